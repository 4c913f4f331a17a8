"""Metrics of the photograph path against constructed images whose figures are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from demo_jax.errors import InputError
from demo_jax.evaluation.metrics.polygons import affine_between, carried, polygon_mask, scaled
from demo_jax.evaluation.metrics.preservation import boxes_mask, change_outside, luma_709, portrait_psnr
from demo_jax.evaluation.metrics.reader import READ_NAMES, Readings
from demo_jax.evaluation.metrics.reenactment import (
    gap_closed,
    identity_similarity,
    landmark_box,
    landmark_error,
    mean_psnr,
)
from demo_jax.evaluation.metrics.seams import ROUNDING, edge_ratio, rim_flicker, seam_ratio, signed_distance
from demo_jax.evaluation.metrics.sharpness import (
    LEAST_PIXELS,
    cheek_patches,
    hair_patch,
    laplacian_energy,
    mouth_detail,
    patch_sharpness,
    turned_sharpness,
)

HEIGHT, WIDTH = 120, 160
SQUARE = np.array([(40.0, 30.0), (100.0, 30.0), (100.0, 90.0), (40.0, 90.0)])


def grey(values: np.ndarray) -> np.ndarray:
    """[H, W] levels -> uint8 RGB."""
    return np.repeat(np.clip(np.round(values), 0, 255).astype(np.uint8)[..., None], 3, -1)


def noise(seed: int = 0, spread: float = 20.0) -> np.ndarray:
    return grey(128 + spread * np.random.default_rng(seed).standard_normal((HEIGHT, WIDTH)))


def square_mask() -> np.ndarray:
    return polygon_mask(SQUARE, (HEIGHT, WIDTH))


# Portrait kept, nothing outside moves


def test_portrait_psnr_of_a_known_error_in_a_box_that_is_not_square() -> None:
    photograph = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
    frames = np.stack([photograph, photograph + 2, photograph])
    frames[:, :, 150:] = 255  # outside the box
    found = portrait_psnr(frames, photograph, np.array([20, 10, 150, 110]))
    assert found["min"] == pytest.approx(10 * np.log10(255**2 / 4))
    assert found["mean"] == pytest.approx((2 * 10 * np.log10(255**2 / 1e-4) + found["min"]) / 3)


def test_luma_psnr_ignores_a_change_of_colour_alone() -> None:
    photograph = np.full((1, HEIGHT, WIDTH, 3), 120, np.uint8)
    # 0.2126 r + 0.7152 g + 0.0722 b: blue up by 29 weighs 2.094, red down by 10 weighs -2.126.
    frames = photograph + np.array([-10, 0, 29], np.int16)
    frames = frames.astype(np.uint8)
    box = np.array([0, 0, WIDTH, HEIGHT])
    assert np.abs(luma_709(frames) - luma_709(photograph)).max() < 0.04
    assert portrait_psnr(frames, photograph[0], box, of_luma=True)["min"] > 75
    assert portrait_psnr(frames, photograph[0], box)["min"] < 24


def test_change_outside_a_mask_counts_what_differs() -> None:
    photograph = noise()
    frames = np.stack([photograph, photograph.copy(), photograph.copy()])
    inside = square_mask()
    frames[1][inside] = 0
    assert change_outside(frames, photograph, inside) == {"max": 0.0, "share": 0.0}
    frames[2, 5, 7, 1] = photograph[5, 7, 1] + 3  # one pixel in one channel
    assert change_outside(frames, photograph, inside) == {"max": 3.0, "share": 1 / (3 * np.count_nonzero(~inside))}
    # Frame by frame: with and without a blink, moving masks.
    assert change_outside(frames, frames, np.stack([inside] * 3)) == {"max": 0.0, "share": 0.0}
    assert np.isnan(change_outside(frames, photograph, np.ones_like(inside))["max"])


def test_a_blink_of_a_frozen_pose_changes_nothing_outside_the_eye_patches() -> None:
    eyes = boxes_mask(np.array([(50.4, 40, 60, 48.2), (90, 40, 170, 48)]), (HEIGHT, WIDTH))
    assert eyes.sum() == 10 * 9 + 70 * 8 and eyes[48, 50] and not eyes[48, 90] and eyes[47, WIDTH - 1]
    rng = np.random.default_rng(0)
    still = rng.integers(1, 254, (4, HEIGHT, WIDTH, 3), np.uint8)  # the rest may move from frame to frame
    blinking = still + rng.integers(0, 2, still.shape, np.uint8)
    blinking[1:3, eyes] = 7
    assert change_outside(blinking, still, eyes)["max"] == 1.0
    blinking[2, 49, 55] = still[2, 49, 55] + 2  # just below a patch
    assert change_outside(blinking, still, eyes)["max"] == 2.0


def test_images_of_other_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="size"):
        change_outside(noise()[None], noise()[:-1], square_mask())
    with pytest.raises(InputError, match="at least one"):
        portrait_psnr(noise()[None][:0], noise(), np.array([0, 0, 5, 5]))


# Polygons


def test_polygon_mask_has_the_area_of_the_polygon() -> None:
    assert polygon_mask(SQUARE, (HEIGHT, WIDTH)).sum() == 60 * 60
    angle = np.linspace(0, 2 * np.pi, 100, endpoint=False)
    circle = 80 + np.column_stack([30 * np.cos(angle), 30 * np.sin(angle)]) * (1, 1) - (0, 20)
    assert polygon_mask(circle, (HEIGHT, WIDTH)).sum() == pytest.approx(np.pi * 900, rel=0.01)
    assert polygon_mask(SQUARE - 200, (HEIGHT, WIDTH)).sum() == 0
    assert polygon_mask(SQUARE - (70, 60), (HEIGHT, WIDTH)).sum() == 30 * 30  # cut off at the image's corner


def test_affine_between_recovers_a_map() -> None:
    matrix, shift = np.array([[0.9, 0.2], [-0.1, 1.1]]), np.array([5.0, -3.0])
    found, moved = affine_between(SQUARE, SQUARE @ matrix.T + shift)
    np.testing.assert_allclose(found, matrix, atol=1e-9)
    np.testing.assert_allclose(moved, shift, atol=1e-9)


def test_hair_is_carried_with_the_head() -> None:
    rest = (np.zeros(3), np.array([80.0, 70.0]), 50.0)
    hair = np.array([(75.0, 35.0), (85.0, 35.0), (85.0, 42.0), (75.0, 42.0)])
    np.testing.assert_allclose(carried(hair, rest, rest), hair, atol=1e-9)
    # Rolled by 90 degrees counter-clockwise, what was above the centre lies to its left; twice as large.
    rolled = carried(hair, rest, (np.array([0, 0, 90.0]), np.array([0.0, 0.0]), 100.0))
    offset = hair - rest[1]
    np.testing.assert_allclose(rolled, 2 * np.column_stack([offset[:, 1], -offset[:, 0]]), atol=1e-9)
    # The front of the head moves to image right with yaw > 0, by what lies in front of the axis.
    turned = carried(hair, rest, (np.array([15.0, 0, 0]), rest[1], 50.0))
    assert (turned[:, 0] > hair[:, 0] + 1).all()
    # There and back, from a turned head too.
    pose = (np.array([20.0, -8.0, 10.0]), np.array([90.0, 60.0]), 61.0)
    np.testing.assert_allclose(carried(carried(hair, rest, pose), pose, rest), hair, atol=1e-6)
    # A point beside the head is taken to its outline: 0.56 face widths to the right, 0.2 above the centre.
    beside = carried(np.array([(200.0, 60.0)]), rest, rest)
    np.testing.assert_allclose(beside, [(80 + 0.56 * 50, 60.0)], atol=1e-3)


# Sharpness


def test_laplacian_energy_of_white_noise_is_twenty_variances() -> None:
    # 1 + 1 + 1 + 1 + 16 of independent pixels.
    image = noise(spread=10.0)
    variance = image[..., 0].astype(float).var()
    assert laplacian_energy(image, np.ones((HEIGHT, WIDTH), bool)) == pytest.approx(20 * variance, rel=0.05)
    small = np.zeros((HEIGHT, WIDTH), bool)
    small[10:15, 10:15] = True
    assert small.sum() < LEAST_PIXELS and np.isnan(laplacian_energy(image, small))


def test_laplacian_energy_is_that_of_the_mask_alone() -> None:
    image = noise()
    image[square_mask()] = 128
    inner = polygon_mask(scaled(SQUARE, 0.8), image.shape)
    assert laplacian_energy(image, inner) == 0.0
    assert laplacian_energy(image, ~square_mask()) > 1000


def test_sharpness_of_the_same_texture_elsewhere_is_one_and_of_a_blurred_one_known() -> None:
    photograph = noise()
    shift = np.array([14.0, -9.0])
    moved = np.roll(photograph, (-9, 14), (0, 1))
    assert patch_sharpness(moved, photograph, SQUARE + shift, SQUARE) == pytest.approx(1.0)
    assert patch_sharpness(photograph, photograph, SQUARE, SQUARE) == pytest.approx(1.0)
    # Half the contrast is a quarter of the energy.
    faint = grey(128 + (moved[..., 0].astype(float) - 128) / 2)
    assert patch_sharpness(faint, photograph, SQUARE + shift, SQUARE) == pytest.approx(0.25, rel=0.02)
    # (1 1)/2 along x keeps, of the energy 20 of white noise, the sum of squares of the product kernel:
    # rows (0 1 1 0)/2, (1 -3 -3 1)/2, (0 1 1 0)/2 -> (2 + 20 + 2) / 4 = 6.
    y = photograph[..., 0].astype(float)
    blurred = grey((y + np.roll(y, 1, 1)) / 2)
    assert patch_sharpness(blurred, photograph, SQUARE, SQUARE) == pytest.approx(6 / 20, rel=0.06)


def test_sharpness_does_not_depend_on_the_scale_at_which_a_scene_is_drawn() -> None:
    # A scene with the spectrum of natural images (amplitude 1 / frequency), sampled at two scales through the same
    # pixel aperture. Without the factor sqrt(det A) the smaller drawing would seem 25 % sharper.
    side, rng = 960, np.random.default_rng(3)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    spectrum = np.fft.rfft2(rng.standard_normal((side, side))) / np.maximum(frequency, 1 / side)
    scene = np.fft.irfft2(spectrum, (side, side))
    scene *= 40 / scene.std()

    def drawn(factor: int) -> np.ndarray:
        return grey(128 + scene.reshape(side // factor, factor, side // factor, factor).mean((1, 3)))

    photograph, smaller = drawn(4), drawn(5)
    patch = np.array([(30.0, 30.0), (200.0, 30.0), (200.0, 200.0), (30.0, 200.0)])
    plain = laplacian_energy(smaller, polygon_mask(patch * 0.8, smaller.shape)) / laplacian_energy(
        photograph, polygon_mask(patch, photograph.shape)
    )
    ratio = patch_sharpness(smaller, photograph, patch * 0.8, patch)
    assert ratio == pytest.approx(0.8 * plain)
    assert np.isnan(patch_sharpness(smaller, photograph, patch * (0.5, 0.8), patch))  # turned away


def face_landmarks() -> np.ndarray:
    """68 points, of which the cheeks' corners and the lips have places: a face 100 px wide about (80, 60)."""
    points = np.full((68, 2), np.nan)
    for index, at in {36: (50, 45), 31: (72, 65), 48: (65, 85), 2: (35, 70)}.items():
        points[index] = at
    for right, left in ((45, 36), (35, 31), (54, 48), (14, 2)):
        points[right] = (160 - points[left][0], points[left][1])
    angle = np.pi + np.linspace(0, 2 * np.pi, 12, endpoint=False)
    points[48:60] = np.column_stack([80 + 15 * np.cos(angle), 85 + 9 * np.sin(angle)])
    points[60:68] = scaled(points[48:60], 0.7)[[0, 2, 3, 4, 6, 8, 9, 10]]
    return points


def test_cheeks_lie_between_eye_nose_mouth_and_jaw() -> None:
    left, right = cheek_patches(face_landmarks())
    assert left.shape == (4, 2)
    np.testing.assert_allclose(left.mean(0), [55.5, 66.25])
    np.testing.assert_allclose(right.mean(0), [104.5, 66.25])
    assert np.linalg.norm(left[0] - left[2]) == pytest.approx(0.5 * np.hypot(15, 40))


def readings(yaw: np.ndarray, landmarks: np.ndarray, centre: np.ndarray) -> Readings:
    nothing = np.full(len(yaw), np.nan)
    known = {"yaw": yaw, "pitch": np.zeros(len(yaw)), "roll": np.zeros(len(yaw))}
    return Readings(
        **{name: known.get(name, nothing) for name in READ_NAMES},
        centre=centre, face_width=np.full(len(yaw), 90.0), landmarks=landmarks,
    )  # fmt: skip


def test_turned_frames_are_compared_with_the_same_skin_of_the_photograph() -> None:
    photograph = noise()
    photograph[60:] = grey(128 + (photograph[60:, :, 0].astype(float) - 128) / 3)  # hair has nine times the energy
    landmarks, shift = face_landmarks(), np.array([6.0, 4.0])
    moved = np.roll(photograph, (4, 6), (0, 1))
    soft = grey(128 + (moved[..., 0].astype(float) - 128) / 2)
    frames = np.stack([soft, moved, soft, moved])
    source = readings(np.zeros(1), landmarks[None], np.array([[80.0, 90.0]]))
    read = readings(np.array([7.0, 9.0, -9.0, np.nan]), np.stack([landmarks + shift] * 4), np.array([[86.0, 94.0]] * 4))
    hair = hair_patch(source.head(0))
    np.testing.assert_allclose(hair.mean(0), [80, 90 - 0.675 * 90])
    found = turned_sharpness(frames, read, photograph, source, hair)
    np.testing.assert_allclose(found["cheek"], [np.nan, 1.0, 0.25, np.nan], rtol=0.04)
    np.testing.assert_allclose(found["hair"], [np.nan, 1.0, 0.25, np.nan], rtol=0.25)  # carried by an ellipsoid
    assert np.isnan(turned_sharpness(frames, read, photograph, source)["hair"]).all()


def test_mouth_detail_compares_the_inside_with_the_skin_around() -> None:
    landmarks = face_landmarks()
    image = noise(spread=16.0)
    assert mouth_detail(image, landmarks) == pytest.approx(1.0, rel=0.35)  # two estimates from few pixels
    inside = polygon_mask(landmarks[60:68], image.shape)
    smooth = image.copy()
    smooth[inside] = 60
    assert mouth_detail(smooth, landmarks) == 0.0
    # A quarter of the contrast around the mouth is 16 times the ratio; the lips count for nothing.
    lips = polygon_mask(scaled(landmarks[48:60], 1.1), image.shape) & ~inside
    faint = grey(128 + (image[..., 0].astype(float) - 128) / 4)
    faint[inside] = image[inside]
    faint[lips] = 255
    assert mouth_detail(faint, landmarks) == pytest.approx(16 * mouth_detail(image, landmarks), rel=0.05)
    closed = landmarks.copy()
    closed[60:68, 1] = 85.0
    assert np.isnan(mouth_detail(image, closed))


# Seams


def test_edge_ratio_of_a_step_on_a_slope_is_the_closed_form() -> None:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[:, 70:] = True
    slope = np.repeat(1.0 * np.arange(WIDTH)[None], HEIGHT, 0)
    assert edge_ratio(grey(slope), mask) == pytest.approx(1.0)
    for step in (4, 20):
        image = grey(slope + step * mask)
        expected = (1 + step / 4 + ROUNDING) / (1 + ROUNDING)
        assert edge_ratio(image, mask) == pytest.approx(expected)
        np.testing.assert_allclose(seam_ratio(image[None], grey(slope), mask), [expected])
        # An edge that the photograph has too is no seam.
        np.testing.assert_allclose(seam_ratio(image[None], image, mask), [1.0])


def test_edge_ratio_of_a_patch_on_a_flat_wall_and_along_a_curve() -> None:
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    circle = polygon_mask(np.column_stack([80 + 40 * np.cos(angle), 60 + 40 * np.sin(angle)]), (HEIGHT, WIDTH))
    flat = np.full((HEIGHT, WIDTH), 128.0)
    assert edge_ratio(grey(flat), circle) == 1.0
    # One level lighter, on a wall without any gradient: half a level a pixel across the border's two pixels.
    assert edge_ratio(grey(flat + circle), circle) == pytest.approx((1 / 4 + ROUNDING) / ROUNDING, rel=0.1)
    # A gradient along the border is none across it, and a change away from the border is no seam.
    assert edge_ratio(grey(flat + 60 * scaled_mask(circle)), circle) < 1.0


def scaled_mask(mask: np.ndarray) -> np.ndarray:
    """The mask shrunk by five pixels."""
    return signed_distance(mask) > 5


def test_a_softer_seam_is_lower_and_borders_of_empty_masks_are_refused() -> None:
    image, mask = noise(spread=4.0), square_mask()
    hard = image.astype(float) + 12 * mask[..., None]
    soft = image.astype(float) + 12 * gaussian_filter(mask.astype(float), 4.0)[..., None]
    values = seam_ratio(np.stack([grey(x[..., 0]) for x in (hard, soft)]), image, mask)
    assert values[0] > 1.3 > 1.1 > values[1] > 0.9
    with pytest.raises(InputError, match="border"):
        edge_ratio(image, np.ones_like(mask))


def test_rim_flicker_is_the_change_along_the_border() -> None:
    mask = square_mask()
    frames = np.stack([noise()] * 3)
    assert rim_flicker(frames, mask) == {"mean": 0.0, "max": 0.0}
    rim = np.abs(signed_distance(mask)) < 2
    frames[1][rim] += 3
    frames[1][~rim] = 0  # elsewhere anything
    found = rim_flicker(frames, mask)
    assert found["mean"] == pytest.approx(3.0) and found["max"] == pytest.approx(3.0)
    assert np.isnan(rim_flicker(frames[:1], mask)["mean"])


# Self-reenactment


def test_the_gap_closed_between_baseline_and_ceiling() -> None:
    assert gap_closed(26.0, 20.0, 30.0) == pytest.approx(0.6)
    assert gap_closed(20.0, 20.0, 30.0) == 0.0
    assert gap_closed(18.0, 20.0, 30.0) == pytest.approx(-0.2)
    assert np.isnan(gap_closed(20.0, 20.0, 20.0))


def test_psnr_and_landmarks_of_a_reenactment() -> None:
    truth = np.stack([noise(), noise(1), noise(2)])
    made = truth.copy()
    made[0, 30:90, 40:100] = np.clip(truth[0, 30:90, 40:100].astype(int) + 5, 0, 255)
    boxes = landmark_box(np.stack([SQUARE] * 3), np.zeros(3))
    np.testing.assert_allclose(boxes[0], [40, 30, 100, 90])
    np.testing.assert_allclose(landmark_box(SQUARE[None], np.array([4.0]))[0], [36, 26, 104, 94])
    boxes[2] = np.nan
    equal = 10 * np.log10(255**2 / 1e-4)
    assert mean_psnr(made, truth, boxes) == pytest.approx((10 * np.log10(255**2 / 25) + equal) / 2, abs=0.01)
    points = np.random.default_rng(0).uniform(0, 100, (3, 68, 2))
    read = points + (3.0, 4.0)
    read[1] = np.nan
    assert landmark_error(read, points, np.array([100.0, 50.0, 200.0])) == pytest.approx((0.05 + 0.025) / 2)


def test_identity_similarity_is_the_cosine_to_the_source() -> None:
    source = np.zeros((2, 2, 3), np.uint8)
    source[0, 0] = (10, 0, 0)
    other = np.zeros_like(source)
    other[0, 0] = (10, 10, 0)
    found = identity_similarity(np.stack([source, other]), source, lambda image: image[0, 0].astype(float))
    assert found["mean"] == pytest.approx((1 + 2**-0.5) / 2) and found["min"] == pytest.approx(2**-0.5)
