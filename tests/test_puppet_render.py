"""The puppet's conventions, measured in rendered pixels as well as in the projection, and its shapes."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("numba")

from data_pipelines.puppet.person.head import Region, puppet_head
from data_pipelines.puppet.person.identity import Identity, random_identity
from data_pipelines.puppet.render.renderer import Renderer, measure, neutral_head
from demo_jax.factors import ARKIT_INDEX, ARKIT_MIRROR, ARKIT_NAMES

NEUTRAL_Z = np.log(2.1)


def drawn_identity(seed: int = 1, **changes: object) -> Identity:
    return dataclasses.replace(random_identity(np.random.default_rng(seed)), **changes)


def motion(**values: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One frame at rest, but for yaw=..., x=..., gaze_yaw=... and expression names, `Both` for left and right."""
    pose, expression, eyes = np.zeros((1, 6)), np.zeros((1, 52)), np.zeros((1, 3))
    pose[0, 5] = NEUTRAL_Z
    for name, value in values.items():
        if name in ("yaw", "pitch", "roll", "x", "y", "z"):
            pose[0, ("yaw", "pitch", "roll", "x", "y", "z").index(name)] += value
        elif name.startswith("gaze_"):
            eyes[0, ("gaze_yaw", "gaze_pitch").index(name)] = value
        else:
            for each in (name.replace("Both", "Left"), name.replace("Both", "Right")):
                expression[0, ARKIT_INDEX[each]] = value
    return pose, expression, eyes


def centroid(renderer: Renderer, vertices: np.ndarray, frame: tuple[np.ndarray, ...]) -> tuple[np.ndarray, float]:
    """Paints the vertices white and all else black: the light's centre (x, y in pixels, y down) and its amount."""
    painted = Renderer(renderer.identity, renderer.size, renderer.samples)
    painted.albedo = np.zeros_like(painted.albedo)
    painted.albedo[vertices] = 1.0
    painted.gloss = np.zeros_like(painted.gloss)
    painted.background = np.zeros_like(painted.background)
    black = Renderer(renderer.identity, renderer.size, renderer.samples)
    black.albedo = np.zeros_like(painted.albedo)
    black.gloss, black.background = painted.gloss, painted.background
    image = painted.render(*frame)[0].astype(np.float64).sum(-1) - black.render(*frame)[0].astype(np.float64).sum(-1)
    at = np.arange(renderer.size) + 0.5
    total = image.sum()
    if total == 0:
        return np.full(2, np.nan), 0.0
    return np.array([image.sum(0) @ at, image.sum(1) @ at]) / total, float(total)


def pupil(renderer: Renderer, side: int, **values: float) -> tuple[np.ndarray, float]:
    ball = puppet_head().eyeballs[side]
    return centroid(renderer, ball[puppet_head().region[ball] == Region.PUPIL], motion(**values))


def glint(renderer: Renderer, **values: float) -> np.ndarray:
    """[S, S] brightness: the key light's image on both eyes, all else black."""
    painted = Renderer(renderer.identity, renderer.size, renderer.samples)
    painted.albedo, painted.background = np.zeros_like(painted.albedo), np.zeros_like(painted.background)
    painted.gloss = np.zeros_like(painted.gloss)
    dark = painted.render(*motion(**values))[0].astype(float)
    painted.gloss[np.concatenate(puppet_head().eyeballs)] = 1.0
    return (painted.render(*motion(**values))[0] - dark).sum(-1)


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(drawn_identity(), 192)


def test_the_model_has_the_documented_shapes() -> None:
    head = puppet_head()
    count = len(head.mean)
    assert head.expression_basis.shape == (52, count, 3) and head.identity_basis.shape[1:] == (count, 3)
    assert head.triangles.min() >= 0 and head.triangles.max() < count
    assert len(set(head.landmarks.tolist())) == 68
    np.testing.assert_allclose(head.mean[head.landmarks[[0, 16]]], [[-0.5, 0, 0], [0.5, 0, 0]], atol=1e-12)
    unable = {n for i, n in enumerate(ARKIT_NAMES) if not np.abs(head.expression_basis[i]).any()}
    assert unable == {f"eyeLook{way}{side}" for way in ("In", "Out") for side in ("Left", "Right")}
    # no expression moves what pose and the lips' unit are measured by
    assert not head.expression_basis[:, head.landmarks[[0, 16, 36, 45]]].any()


def test_identity_is_a_function_of_the_generator() -> None:
    one, same, other = drawn_identity(5), drawn_identity(5), drawn_identity(6)
    assert one.shape.dtype == np.float32 and one.shape.shape == (len(puppet_head().identity_basis),)
    np.testing.assert_array_equal(one.shape, same.shape)
    assert one.skin == same.skin and one.hair_seed == same.hair_seed and one.skin != other.skin
    ears = neutral_head(other)[puppet_head().landmarks[[0, 16]]]
    assert np.linalg.norm(ears[0] - ears[1]) == pytest.approx(1.0)


@pytest.mark.parametrize("landmark", [3, 8, 13, 19, 24, 27, 30, 36, 39, 45, 48, 51, 54, 57, 62, 66])
@pytest.mark.parametrize("frame", [{}, {"yaw": 12.0, "pitch": -8.0, "roll": 15.0, "x": 0.05, "y": -0.04, "z": -0.3}])
def test_landmarks_lie_where_they_are_rendered(landmark: int, frame: dict[str, float]) -> None:
    renderer = Renderer(drawn_identity(), 384, samples=4)
    vertex = puppet_head().landmarks[[landmark]]
    expected = measure(renderer.identity, *motion(**frame), renderer.size).landmarks[0, landmark]
    painted = Renderer(renderer.identity, renderer.size, renderer.samples)
    painted.albedo = np.zeros_like(painted.albedo)
    painted.gloss = np.zeros_like(painted.gloss)
    painted.background = np.zeros_like(painted.background)
    black = painted.render(*motion(**frame))[0].astype(np.float64)
    painted.albedo[vertex] = 0.5  # brightest at the vertex, falling to its neighbours
    image = (painted.render(*motion(**frame))[0].astype(np.float64) - black).sum(-1)
    y, x = np.unravel_index(image.argmax(), image.shape)
    # the lit vertex's pixel at three times the usual resolution; half a pixel of a 128 px frame is 1.5 of these
    assert np.abs([x + 0.5 - expected[0], y + 0.5 - expected[1]]).max() < 1.5


def test_pupils_are_rendered_where_the_eyes_point(renderer: Renderer) -> None:
    head, scale = puppet_head(), renderer.size / 2.1
    for side in (0, 1):
        ball = head.eyeballs[side]
        front = neutral_head(renderer.identity)[ball].mean(0)
        at, _ = pupil(renderer, side)
        apex = neutral_head(renderer.identity)[ball[0]]
        np.testing.assert_allclose(at, [96 + scale * apex[0], 96 - scale * apex[1]], atol=0.5)
        assert np.sign(front[0]) == (1, -1)[side]  # the person's left eye is at image right


@pytest.mark.parametrize(
    ("change", "axis", "sign"),
    [({"yaw": 10}, 0, 1), ({"pitch": 10}, 1, 1), ({"x": 0.1}, 0, 1), ({"y": 0.1}, 1, -1)],
)
def test_pose_moves_the_nose_tip_in_the_image(renderer: Renderer, change: dict, axis: int, sign: int) -> None:
    near = np.linalg.norm(puppet_head().mean - puppet_head().mean[puppet_head().landmarks[30]], axis=-1)
    tip = np.flatnonzero((near < 0.05) & (puppet_head().region == Region.SKIN))
    before, _ = centroid(renderer, tip, motion())
    after, _ = centroid(renderer, tip, motion(**change))
    moved = after - before
    assert sign * moved[axis] > 6.0  # of 192 px; 10 degrees at the nose are about 9, 0.1 crop widths 19
    assert abs(moved[1 - axis]) < 0.35 * abs(moved[axis])
    if "x" in change or "y" in change:
        np.testing.assert_allclose(np.abs(moved[axis]), 19.2, atol=0.3)


def test_roll_turns_the_top_to_image_left_and_z_shrinks(renderer: Renderer) -> None:
    left, _ = pupil(renderer, 0)
    right, _ = pupil(renderer, 1)
    left_rolled, _ = pupil(renderer, 0, roll=10.0)
    right_rolled, _ = pupil(renderer, 1, roll=10.0)
    slope = np.rad2deg(np.arctan2(-(left_rolled - right_rolled)[1], (left_rolled - right_rolled)[0]))
    assert slope == pytest.approx(10.0, abs=1.0)  # image right goes up: anticlockwise; 1 degree: lids cut the pupils
    brows = np.flatnonzero(puppet_head().region == Region.BROW)
    moved = centroid(renderer, brows, motion(roll=10.0))[0] - centroid(renderer, brows, motion())[0]
    assert moved[0] < -1.5
    left_far, _ = pupil(renderer, 0, z=0.1)
    right_far, _ = pupil(renderer, 1, z=0.1)
    assert (left_far - right_far)[0] / (left - right)[0] == pytest.approx(np.exp(-0.1), abs=0.01)


@pytest.mark.parametrize("side", [0, 1])
def test_gaze_moves_the_pupil_in_the_image(renderer: Renderer, side: int) -> None:
    rest, _ = pupil(renderer, side)
    right, _ = pupil(renderer, side, gaze_yaw=10.0)
    down, _ = pupil(renderer, side, gaze_pitch=10.0)
    assert (right - rest)[0] > 1.2 and abs((right - rest)[1]) < 0.6
    assert (down - rest)[1] > 1.2 and abs((down - rest)[0]) < 0.6


def test_blink_covers_the_eye_of_the_right_side(renderer: Renderer) -> None:
    for name, closed, open_ in (("eyeBlinkLeft", 0, 1), ("eyeBlinkRight", 1, 0)):
        for gaze in ({}, {"gaze_yaw": 20.0, "gaze_pitch": 10.0}, {"gaze_pitch": -20.0}):
            frame = motion(**{name: 1.0}, **gaze)
            whole = puppet_head().eyeballs[closed]
            assert centroid(renderer, whole, frame)[1] == 0.0
            assert centroid(renderer, puppet_head().eyeballs[open_], frame)[1] > 0.0
            openings = measure(renderer.identity, *frame, 192).openings[0]
            assert openings[closed] < 0.06 and openings[open_] > 0.7
    assert not glint(renderer, eyeBlinkBoth=1.0).any()
    np.testing.assert_allclose(measure(renderer.identity, *motion(), 192).openings, 1.0, atol=1e-6)


@pytest.mark.parametrize("blink", [0.25, 0.5, 0.75])
def test_a_half_closed_lid_lets_no_eye_through(renderer: Renderer, blink: float) -> None:
    """Rows of the eye's white above the lid's margin stay covered."""
    frame = motion(eyeBlinkBoth=blink)
    landmarks = measure(renderer.identity, *frame, 192).landmarks[0]
    painted = Renderer(renderer.identity, 192)
    lit = []
    for value in (0.0, 1.0):
        painted.albedo = np.zeros_like(painted.albedo)
        painted.albedo[np.concatenate(puppet_head().eyeballs)] = value
        lit.append(painted.render(*frame)[0].astype(int).sum(-1))
    rows = np.flatnonzero(np.abs(lit[1] - lit[0]).max(1) > 30)
    assert len(rows) and rows.min() >= landmarks[[37, 38, 43, 44], 1].min() - 2.5  # the margin bulges between landmarks


def test_turning_the_head_changes_neither_lips_nor_size() -> None:
    rng = np.random.default_rng(0)
    pose = np.concatenate([rng.uniform(-30, 30, (8, 3)), rng.uniform(-0.1, 0.1, (8, 2)), np.full((8, 1), 0.7)], -1)
    expression = np.repeat(rng.uniform(0, 0.5, (1, 52)), 8, 0)
    eyes = np.zeros((8, 3))
    m = measure(drawn_identity(), pose, expression, eyes, 128)
    np.testing.assert_array_equal(m.lips, np.repeat(m.lips[:1], 8, 0))
    np.testing.assert_array_equal(m.openings, np.repeat(m.openings[:1], 8, 0))
    middle = (m.landmarks[:, 0] + m.landmarks[:, 16]) / 2  # the face centre does not move when the head turns
    np.testing.assert_allclose(middle[:, 0], 128 * (0.5 + pose[:, 3]), atol=1e-3)
    np.testing.assert_allclose(middle[:, 1], 128 * (0.5 - pose[:, 4]), atol=1e-3)


def test_measured_lips() -> None:
    identities = [drawn_identity(seed) for seed in range(6)]
    for identity in identities:

        def lips(identity: Identity = identity, **values: float) -> np.ndarray:
            return measure(identity, *motion(**values), 64).lips[0]

        assert lips()[0] == pytest.approx(0.0, abs=1e-6)
        assert 0.30 < lips(jawOpen=1.0)[0] < 0.45
        assert lips(jawOpen=0.5)[0] == pytest.approx(0.5 * lips(jawOpen=1.0)[0], rel=1e-4)
        for jaw in (0.2, 0.6):
            assert lips(jawOpen=jaw, mouthClose=jaw)[0] == pytest.approx(0.0, abs=0.005)
        assert lips(mouthPressBoth=1.0)[0] == pytest.approx(0.0, abs=0.005)
        assert lips(mouthPucker=1.0)[1] < 0.7 * lips()[1] < 0.7 * lips(mouthSmileBoth=1.0)[1]
        np.testing.assert_allclose([lips(mouthPucker=0.4)[2], lips(mouthFunnel=0.4)[2]], [0.4, 0.2], atol=1e-6)


def test_closed_lips_hide_teeth_and_cavity(renderer: Renderer) -> None:
    inside = np.flatnonzero(np.isin(puppet_head().region, (Region.TEETH, Region.TONGUE)))
    for frame in (
        {},
        {"pitch": 15.0},
        {"pitch": -15.0},
        {"jawOpen": 0.4, "mouthClose": 0.4},
        {"mouthPressBoth": 1.0},
        {"mouthSmileBoth": 0.8, "yaw": 30.0},
        {"mouthRollLower": 0.8, "mouthRollUpper": 0.8},
    ):
        assert centroid(renderer, inside, motion(**frame))[1] == 0.0, frame
    assert centroid(renderer, inside, motion(jawOpen=0.6))[1] > 0.0


def test_mirrored_motion_is_the_mirrored_image() -> None:
    light = np.array([0.0, 0.5, 1.0]) / np.sqrt(1.25)
    plain = {"headwear": "none", "glasses": "none", "freckles": 0.0, "moles": 0, "beard_style": "none"}
    identity = drawn_identity(1, light=tuple(light), background_style="plain", hair_style="buzz", hair_seed=0, **plain)
    renderer = Renderer(identity, 128)
    rng = np.random.default_rng(2)
    expression = rng.uniform(0, 0.35, (3, 52))
    pose = np.array([[12.0, 5.0, -6.0, 0.03, 0.02, 0.6]] * 3)
    eyes = np.array([[8.0, 3.0, 2.0]] * 3)
    mirrored = (pose * [-1, 1, -1, -1, 1, 1], expression[:, ARKIT_MIRROR], eyes * [-1, 1, 1])
    here, there = measure(identity, pose, expression, eyes, 128), measure(identity, *mirrored, 128)
    np.testing.assert_allclose(here.lips, there.lips, atol=1e-5)
    np.testing.assert_allclose(here.openings, there.openings[:, ::-1], atol=1e-5)
    np.testing.assert_allclose(
        128 - here.landmarks[:, [36, 48, 0, 31], 0], there.landmarks[:, [45, 54, 16, 35], 0], atol=1e-3
    )
    a, b = renderer.render(pose, expression, eyes), renderer.render(*mirrored)[:, :, ::-1]
    face = np.s_[:, 52:98, 30:98]
    difference = np.abs(a[face].astype(float) - b[face].astype(float))
    # the triangulation of cheeks and the hair's strands are not symmetric to the last vertex
    assert difference.mean() < 2.0


def test_same_input_gives_the_same_bytes_and_frames_do_not_depend_on_the_batch() -> None:
    rng = np.random.default_rng(4)
    pose = rng.normal(0, 8, (3, 6)) * [1, 1, 1, 0.005, 0.005, 0] + [0, 0, 0, 0, 0, NEUTRAL_Z]
    expression, eyes = rng.uniform(0, 0.5, (3, 52)), rng.normal(0, 8, (3, 3))
    frames = Renderer(drawn_identity(9), 64).render(pose, expression, eyes)
    again = Renderer(drawn_identity(9), 64).render(pose, expression, eyes)
    assert frames.dtype == np.uint8 and frames.shape == (3, 64, 64, 3)
    np.testing.assert_array_equal(frames, again)
    single = Renderer(drawn_identity(9), 64).render(pose[1:2], expression[1:2], eyes[1:2])
    np.testing.assert_array_equal(frames[1], single[0])
    whole, part = (measure(drawn_identity(9), pose[p], expression[p], eyes[p], 64) for p in (slice(3), slice(1, 2)))
    for name in ("lips", "openings", "landmarks", "boxes"):
        np.testing.assert_array_equal(getattr(whole, name)[1], getattr(part, name)[0])


def test_boxes_hold_their_landmarks() -> None:
    m = measure(drawn_identity(), *motion(jawOpen=1.0, yaw=20.0), 64)
    for part, box in ((slice(48, 68), m.boxes[0, 0]), (slice(36, 48), m.boxes[0, 1])):
        assert (m.landmarks[0, part] > box[:2]).all() and (m.landmarks[0, part] < box[2:]).all()
    assert m.boxes.min() >= 0 and m.boxes.max() <= 64
