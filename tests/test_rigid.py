"""The head's flow against points that are projected by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from demo_jax.factors import POSE_SCALE, rotation_matrix
from demo_jax.models.geometry import rigid
from demo_jax.models.geometry.warp import identity_grid

AXES, CENTRE = jnp.array(rigid.AXES), jnp.array(rigid.CENTRE)
POSES = np.array([
    [0, 0, 0, 0, 0, 0.75], [25, 0, 0, 0, 0, 0.75], [0, 15, 0, 0, 0, 0.75], [0, 0, -15, 0, 0, 0.75],
    [-20, 10, 12, 0.06, -0.05, 0.6], [12, -14, 8, -0.04, 0.06, 0.9],
])  # fmt: skip


def surface(number: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Points of the ellipsoid [N, 3] and its outward normals."""
    ray = np.random.default_rng(0).standard_normal((number, 3))
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
    return ray * rigid.AXES + rigid.CENTRE, ray / rigid.AXES


def project(points: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Points [N, 3] of the head -> positions [N, 2] in -1..1, y down."""
    turned = points @ rotation_matrix(*pose[:3]).T
    at = turned[:, :2] * np.exp(-pose[5]) + pose[3:5]
    return 2 * at * [1, -1]


def place(pose: np.ndarray) -> rigid.Placement:
    return rigid.place(jnp.asarray(pose[None] / POSE_SCALE, jnp.float32))


def test_rotation_is_that_of_the_conventions() -> None:
    expected = rotation_matrix(*POSES[:, :3].T)
    np.testing.assert_allclose(rigid.rotation(jnp.asarray(POSES[:, :3])), expected, atol=1e-6)


@pytest.mark.parametrize("source", range(len(POSES)))
@pytest.mark.parametrize("driving", range(len(POSES)))
def test_every_visible_point_is_found_in_the_source(source: int, driving: int) -> None:
    points, normals = surface()
    facing = (normals @ rotation_matrix(*POSES[driving][:3]).T)[:, 2] > 0.2  # not at the outline, where rays graze
    there = project(points[facing], POSES[driving])
    found, inside = rigid.head_flow(
        jnp.asarray(there[None], jnp.float32), place(POSES[source]), place(POSES[driving]), AXES, CENTRE, 0.0
    )
    np.testing.assert_allclose(found[0, 0], project(points[facing], POSES[source]), atol=1e-4)
    assert (np.asarray(inside) > 0).all()


def test_depth_reaches_points_before_the_ellipsoid() -> None:
    """A nose 0.2 face widths before the surface, seen from the front, found in a turned source."""
    front, turned = POSES[0], POSES[1]
    nose = np.array([[0.0, 0.08, rigid.AXES[2] + rigid.CENTRE[2] + 0.2]])
    at = jnp.asarray(project(nose, front)[None], jnp.float32)
    args = (at, place(turned), place(front), AXES, CENTRE)
    right, _ = rigid.head_flow(*args, jnp.full((1, 1, 1), 0.2))
    np.testing.assert_allclose(right[0, 0], project(nose, turned), atol=1e-4)
    wrong, _ = rigid.head_flow(*args, 0.0)
    assert abs(float(wrong[0, 0, 0, 0]) - project(nose, turned)[0, 0]) > 0.05


def test_the_same_pose_moves_nothing_anywhere_and_odd_codes_stay_finite() -> None:
    grid = identity_grid(16, 16)
    for pose in POSES:
        found, _ = rigid.head_flow(grid, place(pose), place(pose), AXES, CENTRE, 0.0)
        np.testing.assert_allclose(found[0], grid, atol=1e-5)
    wild = jnp.array([[40.0, -40.0, 40.0, 90.0, -90.0, 50.0]])
    assert jnp.isfinite(rigid.head_flow(grid, rigid.place(wild), rigid.place(-wild), AXES, CENTRE, 0.0)[0]).all()


@pytest.mark.parametrize("pose", POSES)
def test_a_patch_is_upright_and_of_the_faces_size(pose: np.ndarray) -> None:
    """Its middle shows the given point of the head; its edges turn with the roll alone, and are `width` apart."""
    centre, width, (rows, columns) = rigid.MOUTH, 0.8, (3, 5)
    grid = np.asarray(rigid.patch_grid(place(pose), centre, (rows, columns), width))[0]
    np.testing.assert_allclose(grid[1, 2], project(np.array([centre]), pose)[0], atol=1e-5)
    across, down = grid[1, 4] - grid[1, 0], grid[2, 2] - grid[0, 2]
    unit = 2 * np.exp(-pose[5]) * width / columns  # face widths -> half image widths
    roll = np.deg2rad(pose[2])
    np.testing.assert_allclose(across, 4 * unit * np.array([np.cos(roll), -np.sin(roll)]), atol=1e-5)
    np.testing.assert_allclose(down, 2 * unit * np.array([np.sin(roll), np.cos(roll)]), atol=1e-5)


def test_a_puppets_landmarks_are_nearly_found_before_any_training() -> None:
    """The ellipsoid that training starts from, on the puppets' true geometry: what is left for the decoder to learn."""
    pytest.importorskip("numba")
    from data_pipelines.puppet.person.identity import random_identity
    from data_pipelines.puppet.render.renderer import measure

    size, rest = 128, np.array([5.0, -3.0, 2.0, 0.02, 0.0, 0.75])
    change = np.array([[20.0, 0, 0, 0, 0, 0], [0, 12, 0, 0, 0, 0], [0, 0, 15, 0.06, 0.05, 0.15]])
    poses, still = np.concatenate([rest[None], rest + change]), (np.zeros((4, 52)), np.zeros((4, 3)))
    for seed in range(3):
        marks = measure(random_identity(np.random.default_rng(seed)), poses, *still, size).landmarks
        for i, most in enumerate((0.35, 0.35, 0.01), start=1):
            there = jnp.asarray(marks[i][None] * 2 / size - 1, jnp.float32)
            found, _ = rigid.head_flow(there, place(poses[0]), place(poses[i]), AXES, CENTRE, 0.0)
            error = np.linalg.norm((np.asarray(found)[0, 0] + 1) * size / 2 - marks[0], axis=-1).mean()
            assert error < most * np.linalg.norm(marks[i] - marks[0], axis=-1).mean(), (seed, i)
