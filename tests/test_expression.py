"""How lips and lids move over a face: interpolation at points, contours, and what codes ask of measured faces."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_portrait import LAYOUT, code, face_points

from demo_jax.factors import LIPS_SCALE, rotation_matrix
from demo_jax.models.geometry import landmarks, rigid
from demo_jax.models.geometry.landmarks import LEAST_OPENING, lid_ratio
from demo_jax.rendering import expression, eyes, surface

turn, depth_at = jax.jit(eyes.turn), jax.jit(surface.depth_at)
displacements, curve = jax.jit(expression.displacements), jax.jit(expression.curve)
LIP_GAPS = ((61, 67), (62, 66), (63, 65))
LID_GAPS = ((43, 47), (44, 46), (37, 41), (38, 40))


@pytest.fixture(scope="module")
def move():
    def moved(face, change, source, driving):
        blocks = {name: (source[None, part], driving[None, part]) for name, part in LAYOUT.slices.items()}
        return landmarks.move(face[None], (face[None], (face + change)[None]), blocks)[0]

    return jax.jit(moved)


def gap(points: np.ndarray, upper: int, lower: int) -> float:
    return float(points[upper, 1] - points[lower, 1])


def span(points: np.ndarray) -> float:
    return float(np.linalg.norm(points[36] - points[45]))


@pytest.mark.parametrize("lips", [0.0, 0.1, -0.01])  # closed, open, overlapping
@pytest.mark.parametrize("known", [{}, {"aperture": -0.05}, {"open_left": 0.1, "open_right": -0.1}])
def test_the_sources_own_code_moves_nothing(move, lips, known):
    face = face_points(lips)
    np.testing.assert_allclose(move(face, np.zeros_like(face), code(**known), code(**known)), face, atol=1e-6)


@pytest.mark.parametrize("predicted", [-0.03, 0.0, 0.2])  # what the network says of the lower lip
@pytest.mark.parametrize("aperture", [0.0, 0.05, 0.3])
def test_the_gap_of_lips_is_the_requested_one(move, predicted, aperture):
    face, change = face_points(0.05), np.zeros((70, 3), np.float32)
    change[[65, 66, 67], 1] -= np.array([0.7, 1, 0.7], np.float32) * predicted
    moved = np.asarray(move(face, change, code(aperture=0.05 / span(face)), code(aperture=aperture)))
    closing = max(1 - aperture * span(face) / 0.05, 0)
    pressed = landmarks._OVERLAP * closing  # lips that close press together
    assert gap(moved, 62, 66) == pytest.approx(aperture * span(face) - pressed, abs=1e-5)
    for upper, lower in LIP_GAPS:
        # Ratios have 1e-4 in their denominators.
        assert -pressed - 1e-4 <= gap(moved, upper, lower) <= aperture * span(face) + 1e-4


def test_lids_close_and_open_in_proportion(move):
    face, still = face_points(), np.zeros((70, 3), np.float32)
    for opening in (0.0, 0.45, 0.9):
        moved = np.asarray(move(face, still, code(), code(open_left=opening, open_right=opening)))
        for upper, lower in LID_GAPS:
            assert gap(moved, upper, lower) == pytest.approx(opening / 0.9 * gap(face, upper, lower), abs=1e-6)


def test_the_ratio_of_lids():
    ratio = lid_ratio(jnp.array([0.9, 0.9, 0.9, 0.05, 0.05, -0.2]), jnp.array([0.0, 0.45, 1.35, 0.05, 0.0, -0.2]))
    np.testing.assert_allclose(ratio, [0, 0.5, 1.5, 1, 0, 1], atol=1e-6)
    # A source that is nearly closed says little of how far its eyes open.
    assert float(lid_ratio(jnp.float32(0.05), jnp.float32(0.35))) == pytest.approx(1 + 0.3 / LEAST_OPENING)


def test_irises_move_by_peoples_eyeballs(move):
    """The network moves them by the puppets', which are larger."""
    face, change = face_points(), np.zeros((70, 3), np.float32)
    change[68:, 0] = 0.148
    moved = np.asarray(move(face, change, code(), code(gaze_yaw=30)))
    np.testing.assert_allclose(moved[68:] - face[68:], [[0.09, 0, 0]] * 2, atol=1e-6)


def test_displacement_is_exact_at_the_points():
    source = face_points()[:68, :2] * (1, -1)
    driving = source.copy()
    driving[[*range(55, 60), *range(65, 68), 7, 8, 9]] += (0.01, 0.08)
    with_upper, with_lower = (
        np.stack(pair, -1) for pair in displacements(tuple(jnp.asarray(driving.T)), source, driving)
    )
    for found, members in ((with_upper, expression._UPPER), (with_lower, expression._LOWER)):
        here = list(members)
        np.testing.assert_allclose(found[here], (source - driving)[here], atol=2e-4)  # float32, 87 equations
    np.testing.assert_allclose(with_upper[62], 0, atol=2e-4)  # the upper lip stays


def test_a_contour_of_its_own_kind_is_found_again():
    wanted = np.array([0.3, -0.1, 0.2, 0.05])
    along = np.linspace(-0.9, 0.9, 40)
    down = np.asarray(expression.curve(jnp.asarray(wanted), jnp.asarray(along)))
    np.testing.assert_allclose(expression.fit_curve(along, down), wanted, atol=2e-3)  # the ridge
    beyond = expression.curve(jnp.asarray(wanted), jnp.array([-1.5, -1.0, 1.0, 2.0]))
    np.testing.assert_array_equal(beyond, 0)


def test_a_frame_gives_coordinates_between_the_corners():
    first, last = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    frame = expression.frame_of(first, last)
    u, v = expression.within(frame, tuple(np.array([first, last, (first + last) / 2, [1.0, 4.0]]).T))
    np.testing.assert_allclose(u, [-1, 1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(v, [0, 0, 0, 1], atol=1e-12)  # down, of an axis to the right


@pytest.mark.parametrize("iris", [(0.0, 0.0), (0.8, 0.1), (-1.2, 0.0)])
def test_eyes_at_rest_stay_wherever_the_iris_is(iris):
    frame = jnp.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    lids = jnp.array([[-0.4, 0.05, 0.0, 0.0], [0.3, 0.0, 0.1, 0.0]])
    at = tuple(jnp.asarray(np.random.default_rng(0).uniform(-2, 2, (2, 500)), jnp.float32))
    found = turn(at, frame, lids, jnp.array(iris), jnp.float32(1), jnp.zeros(2), jnp.float32(0.1))
    np.testing.assert_allclose(found, at, atol=1e-6)


def test_lids_never_show_skin_in_the_eye_nor_the_eye_beyond_them():
    frame = jnp.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    lids = jnp.array([[-0.4, 0.0, 0.0, 0.0], [0.3, 0.0, 0.0, 0.0]])
    u, v = np.meshgrid(np.linspace(-0.95, 0.95, 39), np.linspace(-0.39, 0.29, 69))
    at = jnp.asarray(u, jnp.float32), jnp.asarray(v, jnp.float32)
    for opening in (0.3, 1.0, 1.4):
        x, y = turn(at, frame, lids, jnp.zeros(2), jnp.float32(opening), jnp.array([0.2, -0.1]), jnp.float32(0.1))
        upper, lower = (np.asarray(curve(lid, at[0])) for lid in lids)
        meet = upper + eyes.UPPER_SHARE * (lower - upper)
        follow = -0.1 * (1 - u**2) * min(opening, 1)  # lids go along with eyes that look up
        top = meet + opening * (upper - meet) + eyes.UPPER_FOLLOWS * follow
        eye = (v > top) & (v < meet + opening * (lower - meet) + eyes.LOWER_FOLLOWS * follow)
        first, last = (np.asarray(curve(lid, x)) for lid in lids)
        # The contour is followed along the shifted eyeball's own column, a little off the lid's.
        assert (y[eye] > first[eye] - 0.01).all() and (y[eye] < last[eye] + 0.01).all()
        assert ((y[~eye] <= upper[~eye] + 1e-5) | (y[~eye] >= lower[~eye] - 1e-5)).all()


@pytest.mark.parametrize("angles", [(0, 0, 0), (25, -10, 15)])
def test_the_surface_is_the_mean_heads_ellipsoid(angles):
    """Points of a turned ellipsoid that are seen lie on it."""
    turn, (axes, centre) = rotation_matrix(*map(float, angles)), map(np.array, (surface.AXES, rigid.CENTRE))
    away = np.random.default_rng(0).normal(size=(200, 3))
    points = centre + axes * away / np.linalg.norm(away, axis=-1, keepdims=True)
    seen = (points @ turn.T)[((points - centre) / axes**2) @ turn[2] > 0.8]  # not at its outline
    assert len(seen) > 30
    found = depth_at(jnp.asarray(surface.ellipsoid_depth(turn)), *jnp.asarray(seen[:, :2].T, jnp.float32))
    np.testing.assert_allclose(found, seen[:, 2], atol=5e-3)  # linear between nodes


def test_the_surface_goes_through_a_measured_face():
    """A mesh that lies 0.1 face widths before the mean head."""
    around, plane = jnp.asarray(surface.ellipsoid_depth(np.eye(3))), np.meshgrid(*[np.linspace(-0.4, 0.4, 33)] * 2)
    x, y = (jnp.asarray(a, jnp.float32) for a in plane)
    z = depth_at(around, x, y) + 0.1
    depth = surface.mesh_depth(np.stack([np.ravel(a) for a in (x, y, z)], -1), np.eye(3))
    inner = np.hypot(*plane) < 0.25
    np.testing.assert_allclose(depth_at(jnp.asarray(depth), x, y)[inner], z[inner], atol=0.01)  # smoothed
    corner = depth_at(jnp.asarray(depth), jnp.float32(-1.9), jnp.float32(1.9))
    assert float(corner) == pytest.approx(surface.LOWEST, abs=1e-4)


def test_apertures_are_in_eye_spans():
    assert LIPS_SCALE[0] == np.float32(0.1) and code(aperture=0.3)[0] == pytest.approx(3)
