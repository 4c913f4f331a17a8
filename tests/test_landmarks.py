"""The decoder's points of the face: their projection, what moves them, and how they change the image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines.puppet.person import surface
from demo_jax.factors import LANDMARK_MIRROR, POSE_SCALE, rotation_matrix
from demo_jax.losses.reconstruction import landmark_error
from demo_jax.models.geometry import landmarks, rigid

POSE = np.array([20.0, -10.0, 8.0, 0.05, -0.03, 0.75])
SIZES = {"lip": 20, "gaze": 6, "residual": 10}


def place(pose: np.ndarray) -> rigid.Placement:
    return rigid.place(jnp.asarray(pose[None] / POSE_SCALE, jnp.float32))


def seen(points: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Points [N, 3] -> positions [N, 2] in -1..1, y down, by the conventions of factors.py."""
    at = (points @ rotation_matrix(*pose[:3]).T)[:, :2] * np.exp(-pose[5]) + pose[3:5]
    return 2 * at * [1, -1]


def test_the_mean_face_is_symmetric_and_one_face_wide() -> None:
    face = landmarks.mean_face()
    assert np.isfinite(face).all()
    np.testing.assert_array_equal(face[LANDMARK_MIRROR], face * np.array([-1, 1, 1], np.float32))
    np.testing.assert_array_equal(np.sort(LANDMARK_MIRROR), np.arange(68))
    np.testing.assert_array_equal(LANDMARK_MIRROR[LANDMARK_MIRROR], np.arange(68))
    assert np.linalg.norm(face[0] - face[16]) == pytest.approx(1.0)


def test_the_mean_face_lies_on_a_puppets() -> None:
    """Before any training the points are those of a stranger at rest to 4 % of the face width, whatever the pose."""
    pytest.importorskip("numba")
    from data_pipelines.puppet.person.identity import random_identity
    from data_pipelines.puppet.render.renderer import measure

    identity = random_identity(np.random.default_rng(0))
    truth = measure(identity, POSE[None], np.zeros((1, 52)), np.zeros((1, 3)), 128).landmarks[0]
    found = np.asarray(rigid.project(jnp.asarray(landmarks.mean_face())[None], place(POSE)))[0]
    np.testing.assert_allclose(found, seen(landmarks.mean_face(), POSE), atol=1e-5)
    distance = np.linalg.norm((found + 1) * 64 - truth, axis=-1) / (128 * np.exp(-POSE[5]))
    assert distance.mean() < 0.04


def face_points(params: dict | None, blocks: dict) -> tuple[dict, np.ndarray]:
    """Parameters of the module, random unless given, and its points [70, 3] for the driving code."""
    module, features = landmarks.FacePoints(), jax.random.normal(jax.random.key(0), (1, 16, 16, 8))
    if params is None:
        params = module.init(jax.random.key(1), features, blocks, place(POSE))
        rest = module.apply(params, features, blocks, place(POSE))[1][0, :68]
        np.testing.assert_allclose(rest, landmarks.mean_face(), atol=1e-6)  # changes start at zero
        params = jax.tree.map(lambda p: p + 0.05 * jax.random.normal(jax.random.key(2), p.shape), params)
    source, driving = module.apply(params, features, blocks, place(POSE))
    assert source.shape == driving.shape == (1, 70, 3)
    return params, np.asarray(driving[0])


def test_each_block_moves_its_part_of_the_face_alone() -> None:
    still = {name: (jnp.zeros((1, size)), jnp.zeros((1, size))) for name, size in SIZES.items()}
    params, rest = face_points(None, still)
    moved = {}
    for name, (source, driving) in still.items():
        _, points = face_points(params, still | {name: (source, driving + 1.0)})
        moved[name] = set(np.flatnonzero(np.abs(points - rest).max(-1) > 1e-4))
    assert moved["lip"] == {*range(17), *range(48, 68)}
    assert moved["gaze"] == {*range(36, 48), 68, 69}
    assert moved["residual"] == set(range(70))


def test_irises_look_where_the_gaze_goes() -> None:
    """Gaze yaw > 0 is towards image right, pitch > 0 down (factors.py); units of ten degrees."""
    still = {name: (jnp.zeros((1, size)), jnp.zeros((1, size))) for name, size in SIZES.items()}
    params, rest = face_points(None, still)
    # The lids' own answer to a gaze is silenced.
    params["params"]["eyes"] = jax.tree.map(jnp.zeros_like, params["params"]["eyes"])
    _, rest = face_points(params, still)
    look = still | {"gaze": (still["gaze"][0], jnp.zeros((1, 6)).at[0, :2].set(jnp.array([2.0, 1.0])))}
    change = (face_points(params, look)[1] - rest)[68:]
    radius = surface.EYE_RADIUS
    np.testing.assert_allclose(change[:, 0], radius * np.sin(np.deg2rad(20)) * np.cos(np.deg2rad(10)), rtol=0.02)
    np.testing.assert_allclose(change[:, 1], -radius * np.sin(np.deg2rad(10)), rtol=0.02)


def test_the_shift_takes_a_moved_point_back_to_the_source() -> None:
    """At a driving point the shifted position is the source's point; far from what moved nothing is shifted."""
    rest = np.concatenate([landmarks.mean_face(), [[-0.2, 0.0, 0.4], [0.2, 0.0, 0.4]]]).astype(np.float32)
    driving = rest.copy()
    driving[48:68, 1] -= 0.1  # the whole mouth a tenth of a face width lower
    front = np.array([0, 0, 0, 0.02, 0.03, 0.75])
    still, moved = jnp.asarray(rest[None]), jnp.asarray(driving[None])
    shifted = np.asarray(landmarks.shift((still, moved), (place(POSE), place(front)), 128))[0]
    assert shifted.shape == (128, 128, 2)
    column, row = (((seen(driving[62:63], front)[0]) + 1) * 64).astype(int)
    expected = seen(rest[62:63], POSE)[0] - seen(driving[62:63], POSE)[0]
    np.testing.assert_allclose(shifted[row, column], expected, rtol=0.2)
    assert np.abs(shifted[:32]).max() < 0.02 * np.abs(expected).max()  # hair and above
    same = landmarks.shift((still, still), (place(POSE), place(front)), 32)
    np.testing.assert_allclose(same, 0.0, atol=1e-6)


def test_sketched_lips_are_inside_their_outline() -> None:
    rest = np.concatenate([landmarks.mean_face(), [[-0.2, 0.0, 0.4], [0.2, 0.0, 0.4]]]).astype(np.float32)
    front = np.array([0, 0, 0, 0, 0, 0.5])
    mouth = []
    for gap in (0.0, 0.2):
        points = rest.copy()
        points[[57, 58, 56, 65, 66, 67], 1] -= gap
        if not gap:
            points[60:68, 1] = points[62, 1]  # closed: the inner outline is a line
        maps = np.asarray(landmarks.sketch(jnp.asarray(points)[None], place(front), 64))[0]
        assert maps.shape == (64, 64, landmarks.SKETCH) and maps.min() >= 0 and maps.max() <= 3
        mouth.append(maps[..., 0])
        column, row = ((seen(points[[51, 57, 62, 66]].mean(0, keepdims=True), front)[0] + 1) * 32).astype(int)
        assert maps[row, column, 2] > 1.5 and maps[:16, :, 2].max() < 1e-3  # between the lips: inside the outer outline
    assert (mouth[0] <= 1.51).all() and 8 < (mouth[1] > 1.5).sum() < 400
    assert mouth[1][row, column] > 2.5


def test_signed_distance_of_a_square() -> None:
    square = jnp.array([[[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]])
    pixels = jnp.array([[0.0, 0.4, 0.9, 0.8]]), jnp.array([[0.0, 0.1, 0.0, 0.9]])
    np.testing.assert_allclose(landmarks._signed_distance(pixels, square)[0], [0.5, 0.1, -0.4, -0.5], atol=1e-6)


def test_landmark_error_counts_what_is_known_in_hundredths_of_the_picture() -> None:
    truth = np.full((1, 2, 68, 2), 32.0, np.float32)
    truth[0, 0] = np.nan
    found = jnp.zeros((1, 2, 68, 2))  # the middle of an image of 64 px
    assert float(landmark_error(found, jnp.asarray(truth), 64)) == pytest.approx(0.0, abs=0.01)
    truth[0, 1, :, 0] += 0.64
    assert float(landmark_error(found, jnp.asarray(truth), 64)) == pytest.approx(1.0, abs=0.01)
    grad = jax.grad(lambda f: landmark_error(f, jnp.asarray(truth), 64))(found)
    assert np.isfinite(grad).all() and (grad[0, 0] == 0).all()
