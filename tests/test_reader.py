"""The reader of faces: its mathematics on a synthetic face, and MediaPipe on a photograph that is moved by known
amounts. The latter needs the `prepare` extra; the photograph (public domain) comes with matplotlib."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest

from demo_jax.errors import InputError
from demo_jax.evaluation.metrics.control import precision
from demo_jax.evaluation.metrics.direct_alignment import face_points, pose_changes
from demo_jax.evaluation.metrics.reader import READ_NAMES, Readings, measured, read_faces
from demo_jax.faces.landmarker import find_model
from demo_jax.faces.measures import EYE_BACK, EYE_OUT, EYE_RADIUS, EYE_UP, HIDDEN_LID_GAP, measure_each
from demo_jax.factors import rotation_matrix

# A head in centimetres, x right in the image, y up, looking along +z: an ellipsoid, 7 cm from the middle to each ear.
AXES = np.array([7.0, 9.0, 8.0])
EYE_Y, EYE_X, EYE_HALF = 2.0, 3.2, 1.5
LID_PAIRS = {1: ((386, 374), (385, 380), (387, 373)), -1: ((159, 145), (158, 153), (160, 144))}


def on_surface(x: float, y: float) -> np.ndarray:
    return np.array([x, y, AXES[2] * np.sqrt(max(0.0, 1 - (x / AXES[0]) ** 2 - (y / AXES[1]) ** 2))])


@functools.cache
def canonical() -> np.ndarray:
    """[468, 3]: points all over the face, and those that are named where they belong, with eyes of a lid gap of 0.3 eye
    widths and lips 0.6 cm apart."""
    rng = np.random.default_rng(0)
    points = np.array([on_surface(*rng.uniform((-6, -6), (6, 7))) for _ in range(468)])
    points[127], points[356] = (-7, 0, 0), (7, 0, 0)
    points[33], points[133] = on_surface(-EYE_X - EYE_HALF, EYE_Y), on_surface(-EYE_X + EYE_HALF, EYE_Y)
    points[362], points[263] = on_surface(EYE_X - EYE_HALF, EYE_Y), on_surface(EYE_X + EYE_HALF, EYE_Y)
    for side, pairs in LID_PAIRS.items():
        for dx, (upper, lower) in zip((0.0, -0.5, 0.5), pairs, strict=True):
            at = on_surface(side * EYE_X + dx, EYE_Y)
            points[upper], points[lower] = at + (0, 0.45, 0), at - (0, 0.45, 0)
    points[13], points[14] = on_surface(0, -4.5) + (0, 0.3, 0), on_surface(0, -4.5) - (0, 0.3, 0)
    points[61], points[291] = on_surface(-2.5, -4.5), on_surface(2.5, -4.5)
    return points


def head(lid: float = 0.3, aperture: float | None = None, gaze: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """[478, 3] in the head's axes: lid gap over the eye's width (3 cm), aperture over the eye span, gaze in degrees."""
    points = np.concatenate([canonical(), np.zeros((10, 3))])
    for pairs in LID_PAIRS.values():
        for upper, lower in pairs:
            middle = (points[upper] + points[lower]) / 2
            points[upper], points[lower] = middle + (0, lid * EYE_HALF, 0), middle - (0, lid * EYE_HALF, 0)
    if aperture is not None:
        span = np.linalg.norm(points[33] - points[263])
        middle = (points[13] + points[14]) / 2
        points[13], points[14] = middle + (0, aperture * span / 2, 0), middle - (0, aperture * span / 2, 0)
    ahead = rotation_matrix(gaze[0], gaze[1], 0.0) @ (0, 0, 1)
    for iris, inner, outer, side in ((473, 362, 263, 1), (468, 133, 33, -1)):
        corner = (points[inner] + points[outer]) / 2
        points[iris] = corner + (side * EYE_OUT, EYE_UP, -EYE_BACK) + EYE_RADIUS * ahead
    return points


def seen(points: np.ndarray, angles: tuple[float, float, float], scale: float = 12.0) -> np.ndarray:
    """The head in an image: pixels, y up, its middle at (200, -150)."""
    return scale * points @ rotation_matrix(*angles).T + (200.0, -150.0, 0.0)


def test_readings_are_what_the_face_was_posed_with() -> None:
    poses = [(20.0, 0.0, 0.0), (-15.0, 10.0, 5.0), (0.0, -12.0, -14.0)]
    gazes = [(10.0, 0.0), (-12.0, 5.0), (0.0, -8.0)]
    lids, apertures = [0.3, 0.12, 0.25], [0.0, 0.1, 0.25]
    heads = zip(lids, apertures, gazes, poses, strict=True)
    points = np.stack([seen(head(lid, aperture, gaze), pose) for lid, aperture, gaze, pose in heads])
    read = measured(points, canonical())
    np.testing.assert_allclose(np.stack([read.yaw, read.pitch, read.roll], 1), poses, atol=1e-6)
    # Lids belong to the rigid face: where they move, the fitted scale and the eyeball's radius changes by 0.04 %.
    np.testing.assert_allclose(np.stack([read.gaze_yaw, read.gaze_pitch], 1), gazes, atol=0.01)
    np.testing.assert_allclose(read.lid_left, np.array(lids), rtol=1e-6)
    np.testing.assert_allclose(read.lid_right, np.array(lids), rtol=1e-6)
    np.testing.assert_allclose(read.lid, np.array(lids), rtol=1e-6)
    np.testing.assert_allclose(read.aperture, apertures, atol=1e-9)
    np.testing.assert_allclose(read.centre, [(200.0, 150.0)] * 3, atol=1e-6)
    np.testing.assert_allclose(read.face_width, 14 * 12.0, rtol=1e-3)
    assert read.table.shape == (3, len(READ_NAMES))
    np.testing.assert_allclose(read.table[:, READ_NAMES.index("roll")], read.roll)
    angles, centre, face_width = read.head(1)
    np.testing.assert_allclose(angles, poses[1], atol=1e-6)
    assert face_width == pytest.approx(168.0, rel=1e-3) and centre.shape == (2,)
    np.testing.assert_allclose(read.landmarks[:, 66], points[:, 14, :2] * (1, -1))


def test_each_frame_is_read_alone_so_that_a_blink_keeps_its_depth() -> None:
    points = np.stack([seen(head(lid), (5.0 * lid, 0, 0)) for lid in (0.3, 0.3, 0.02, 0.3, 0.3)])
    read = measured(points, canonical())
    np.testing.assert_allclose(read.lid, [0.3, 0.3, 0.02, 0.3, 0.3], rtol=1e-6)
    assert HIDDEN_LID_GAP > 0.02
    np.testing.assert_array_equal(np.isnan(read.gaze_yaw), [False, False, True, False, False])
    order = np.array([3, 0, 4, 2, 1])
    np.testing.assert_array_equal(measured(points[order], canonical()).table, read.table[order])
    np.testing.assert_array_equal(measured(points[2:3], canonical()).table, read.table[2:3])


def test_frames_without_a_face_are_nan_and_an_empty_clip_is_empty() -> None:
    points = np.stack([seen(head(), (0, 0, 0)), np.full((478, 3), np.nan), seen(head(), (4, 0, 0))])
    read = measured(points, canonical())
    np.testing.assert_array_equal(read.found, [True, False, True])
    assert np.isnan(read.table[1]).all() and np.isnan(read.landmarks[1]).all() and np.isnan(read.centre[1]).all()
    np.testing.assert_allclose(read.yaw[[0, 2]], (0, 4), atol=1e-6)
    assert measured(np.zeros((0, 478, 3)), canonical()).table.shape == (0, 9)
    assert measured(points[1:2], canonical()).found.sum() == 0


def test_the_readers_own_slope_under_noise() -> None:
    rng = np.random.default_rng(1)
    yaws = np.repeat(np.linspace(-20, 20, 9), 5)
    points = np.stack([seen(head(), (yaw, 3.0, -2.0)) for yaw in yaws])
    read = measured(points + rng.normal(0, 1.0, points.shape), canonical())
    found = precision(yaws, read.yaw)
    # 300 points with an error of 1 of about 60 pixels each: a tenth of a degree.
    assert found["gain"] == pytest.approx(1.0, abs=0.01) and found["mae"] < 0.3 and found["correlation"] > 0.999


def test_lid_gaps_ignore_errors_in_depth() -> None:
    points = head(0.05)
    points[386] += (0, 0, 0.8)  # the upper lid 8 mm towards the camera
    found = measure_each(seen(points, (0, 0, 0))[None], canonical())
    np.testing.assert_allclose(found.lids, 0.05, rtol=0.02)


# Direct alignment: a textured ellipsoid drawn by casting rays


def drawn(angles: tuple[float, float, float], light: float = 1.0, shift: float = 0.0, scale: float = 9.0) -> np.ndarray:
    """uint8 [240, 240, 3]: the ellipsoid of `canonical` with a texture fixed to it, before a fixed background."""
    rows, columns = np.mgrid[0:240, 0:240] + 0.5
    turn = rotation_matrix(*angles)
    flat = np.stack([columns - 120 - shift, 120 - rows], -1) / scale
    unit = turn.T / AXES[:, None]
    base, along = flat @ unit[:, :2].T, unit[:, 2]
    a, b, c = along @ along, base @ along, (base**2).sum(-1) - 1
    hit = b**2 > a * c
    z = (np.sqrt(np.maximum(b**2 - a * c, 0)) - b) / a
    x, y, depth = np.moveaxis(np.concatenate([flat, z[..., None]], -1) @ turn, -1, 0)
    texture = sum(np.sin(f * x + p) * np.cos(f * y - 2 * p) * np.sin(0.5 * f * depth + p) for f, p in _WAVES)
    wall = 100 + 40 * np.sin(0.3 * columns) * np.cos(0.23 * rows)
    image = light * np.where(hit, 128 + 25 * texture, wall)
    return np.repeat(np.clip(image, 0, 255).astype(np.uint8)[..., None], 3, -1)


_WAVES = ((1.1, 0.3), (2.3, 1.7), (3.7, 2.9), (1.7, 4.1))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_direct_alignment_finds_the_turn_of_a_textured_head(axis: int) -> None:
    wanted = np.zeros((6, 3))
    wanted[:, axis] = (0, 3, 6, 9, 12, 15)
    start = np.array([4.0, -3.0, 2.0])
    frames = [drawn(tuple(start + w)) for w in wanted]
    found = pose_changes(frames, (start, np.array([120.0, 120.0]), 14 * 9.0), canonical())
    np.testing.assert_allclose(found, wanted, atol=0.35)
    slope = precision(wanted[:, axis], found[:, axis])["gain"]
    assert slope == pytest.approx(1.0, abs=0.03)


def test_direct_alignment_ignores_light_shift_and_reads_no_turn_where_there_is_none() -> None:
    at = (np.zeros(3), np.array([120.0, 120.0]), 14 * 9.0)
    still = [drawn((0, 0, 0)), drawn((0, 0, 0), light=0.7), drawn((0, 0, 0), shift=6.0)]
    np.testing.assert_allclose(pose_changes(still, at, canonical()), 0, atol=0.15)
    large = [np.repeat(np.repeat(f, 3, 0), 3, 1) for f in (still[0], drawn((8, 0, 0)))]
    found = pose_changes(large, (np.zeros(3), np.array([360.0, 360.0]), 3 * 14 * 9.0), canonical())
    np.testing.assert_allclose(found[1], (8, 0, 0), atol=0.4)
    away = pose_changes([still[0], drawn((0, 0, 0))[:, :60]], at, canonical())
    assert np.isnan(away[1]).all()


def test_face_points_avoid_the_eyes() -> None:
    points = face_points(canonical())
    assert len(points) > 300
    for side in (-1, 1):
        assert np.hypot(points[:, 0] - side * EYE_X, points[:, 1] - EYE_Y).min() > 1.5


# MediaPipe


@functools.cache
def hopper() -> np.ndarray:
    from PIL import Image

    matplotlib = pytest.importorskip("matplotlib", reason="the photograph comes with matplotlib (`prepare` extra)")
    path = Path(matplotlib.__file__).parent / "mpl-data" / "sample_data" / "grace_hopper.jpg"
    return np.asarray(Image.open(path).convert("RGB"))


def moved(roll: float = 0.0, right: float = 0.0, down: float = 0.0, scale: float = 1.0) -> np.ndarray:
    """The photograph turned counter-clockwise about the face and enlarged, then shifted."""
    cv2 = pytest.importorskip("cv2")
    matrix = cv2.getRotationMatrix2D((263.0, 195.0), roll, scale)
    matrix[:, 2] += (right, down)
    return cv2.warpAffine(hopper(), matrix, (512, 600), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


@pytest.fixture(scope="module")
def finder():
    pytest.importorskip("mediapipe", reason="finding faces needs the `prepare` extra")
    try:
        find_model()
    except InputError as error:
        pytest.skip(str(error))
    from demo_jax.faces.landmarker import FaceFinder

    with FaceFinder(most=2) as found:
        yield found


def test_a_photograph_turned_in_its_plane_reads_a_roll_of_slope_one(finder) -> None:
    rolls = np.linspace(-16, 16, 9)
    read = read_faces([moved(roll) for roll in rolls], finder)
    found = precision(rolls, read.roll)
    # The landmarker's noise is 0.2 degrees of roll.
    assert found["gain"] == pytest.approx(1.0, abs=0.03) and found["correlation"] > 0.999
    assert read.yaw.std() < 0.7 and read.pitch.std() < 1.5 and read.lid.std() < 0.015 and read.aperture.std() < 0.006


def test_shift_and_scale_are_read_from_the_image(finder) -> None:
    rest, shifted, larger = (read_faces([moved(**k)], finder) for k in ({}, {"right": 30, "down": 40}, {"scale": 1.3}))
    np.testing.assert_allclose(shifted.centre - rest.centre, [(30.0, 40.0)], atol=3)
    # The points in front of the ears lie on the outline, which the landmarker finds to 3 % of the width only.
    assert larger.face_width[0] / rest.face_width[0] == pytest.approx(1.3, rel=0.04)
    spans = [np.linalg.norm(r.landmarks[0, 36] - r.landmarks[0, 45]) for r in (rest, larger)]
    assert spans[1] / spans[0] == pytest.approx(1.3, rel=0.02)
    np.testing.assert_allclose(larger.lid, rest.lid, atol=0.03)
    assert 0.2 < rest.lid[0] < 0.4 and rest.aperture[0] < 0.03 and abs(rest.yaw[0]) < 5


def test_an_image_reads_the_same_alone_in_a_clip_and_after_another_face(finder) -> None:
    images = [moved(), moved(10), np.full((600, 512, 3), 127, np.uint8), moved(right=20)]
    together = read_faces(images, finder)
    np.testing.assert_array_equal(together.found, [True, True, False, True])
    alone = [read_faces([image], finder) for image in images]
    np.testing.assert_allclose(together.table, np.concatenate([a.table for a in alone]), atol=1e-6)


def test_of_several_people_the_largest_or_the_nearest_is_read(finder) -> None:
    both = np.concatenate([moved(), moved(8, scale=0.8)], axis=1)
    assert read_faces([both], finder).roll[0] == pytest.approx(read_faces([moved()], finder).roll[0], abs=1.5)
    other = read_faces([both], finder, near=(512 + 263.0, 195.0))
    assert other.centre[0, 0] > 512 and other.roll[0] > read_faces([both], finder).roll[0] + 5


def test_a_small_face_in_a_large_image_is_found(finder) -> None:
    cv2 = pytest.importorskip("cv2")
    image = np.full((720, 1280, 3), 200, np.uint8)
    image[500:700, 1000:1171] = cv2.resize(hopper(), (171, 200), interpolation=cv2.INTER_AREA)
    read = read_faces([image], finder)
    assert read.found.all()
    np.testing.assert_allclose(read.centre[0], (1000 + 263 / 3, 500 + 195 / 3), atol=4)


def test_a_video_is_read_as_its_frames(finder, tmp_path: Path) -> None:
    from demo_jax.media.video_writer import VideoWriter

    frames = [moved(roll) for roll in (0, 5, 10)]
    path = tmp_path / "roll.mp4"
    with VideoWriter(path, (600, 512), synthetic=False) as writer:
        for frame in frames:
            writer.write(frame)
    read, direct = read_faces(path, finder), read_faces(frames, finder)
    assert isinstance(read, Readings) and len(read.yaw) == 3
    np.testing.assert_allclose(read.roll, direct.roll, atol=1.0)
    with pytest.raises(InputError):
        read_faces(tmp_path / "none.mp4", finder)
