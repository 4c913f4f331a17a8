"""Augmented images: their truth equals the measurements and renders of the changed motion."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import synthetic

from data_pipelines.loading import augmentation, examples
from data_pipelines.loading.augmentation import Augment
from data_pipelines.puppet.person.identity import random_identity
from data_pipelines.puppet.render.renderer import Renderer, measure
from demo_jax.factors import ARKIT_INDEX, ARKIT_MIRROR, CALIBRATED_NAMES, FACTORS, calibrated_code, mirror_calibrated

SIZE = 64


@pytest.fixture(scope="module")
def identity():
    return random_identity(np.random.default_rng(3))


def motion() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A pose, expression and eyes [1, .] without any symmetry."""
    pose = np.array([[14.0, -6, 8, 0.03, -0.02, 0.75]], np.float32)
    expression = np.zeros((1, 52), np.float32)
    for name, value in (("jawOpen", 0.4), ("eyeBlinkLeft", 0.8), ("browOuterUpRight", 0.7), ("mouthLeft", 0.5)):
        expression[0, ARKIT_INDEX[name]] = value
    return pose, expression, np.array([[12.0, -5.0, 0.0]], np.float32)


def code(identity, pose, expression, eyes) -> np.ndarray:
    truth = measure(identity, pose, expression, eyes, SIZE)
    return calibrated_code(truth.lips, pose, np.concatenate([eyes[:, :2], truth.openings], 1))


def test_mirroring_twice_changes_nothing():
    rng = np.random.default_rng(0)
    record = examples.stack([{"set_driving": rng.integers(0, 256, (8, 8, 3)).astype(np.uint8),
                                "set_driving_calibrated": rng.normal(size=13).astype(np.float32),
                                "set_source_landmarks": rng.uniform(0, 8, (68, 2)).astype(np.float32),
                                "set_boxes": rng.uniform(0, 8, (2, 4)).astype(np.float32)}])  # fmt: skip
    once = augmentation.mirror_example(record, 8)
    assert all((once[name] != record[name]).any() for name in record)
    for name, array in augmentation.mirror_example(once, 8).items():
        np.testing.assert_allclose(array, record[name], atol=1e-6)


def test_the_truth_of_a_mirrored_image_is_that_of_the_mirrored_motion(identity):
    pose, expression, eyes = motion()
    mirrored = pose * [-1, 1, -1, -1, 1, 1], expression[:, ARKIT_MIRROR], eyes * [-1, 1, 1]
    found, expected = mirror_calibrated(code(identity, pose, expression, eyes)), code(identity, *mirrored)
    change = np.abs(expected - code(identity, pose, expression, eyes))[0]
    for name in ("yaw", "roll", "x", "gaze_yaw", "open_left", "open_right"):
        assert change[CALIBRATED_NAMES.index(name)] > 0.2
    # An identity is not exactly symmetric: its own left and right lids differ by a few hundredths of a code.
    np.testing.assert_allclose(found, expected, atol=0.1)

    frontal = dataclasses.replace(identity, light=(0.0, *identity.light[1:]))  # or its shadows would change sides
    renderer = Renderer(frontal, SIZE)
    image, again = renderer.render(pose, expression, eyes), renderer.render(*mirrored)
    face = augmentation.mirror_example({"b_boxes": measure(identity, pose, expression, eyes, SIZE).boxes}, SIZE)[
        "b_boxes"
    ]
    np.testing.assert_allclose(face, measure(identity, *mirrored, SIZE).boxes, atol=1.0)  # px, for the same reason
    marks = augmentation.mirror_example(
        {"b_landmarks": measure(identity, pose, expression, eyes, SIZE).landmarks}, SIZE
    )
    np.testing.assert_allclose(marks["b_landmarks"], measure(identity, *mirrored, SIZE).landmarks, atol=1.0)
    (x0, y0), (x1, y1) = np.floor(face[0, :, :2].min(0)).astype(int), np.ceil(face[0, :, 2:].max(0)).astype(int)
    inside = np.s_[y0:y1, x0:x1]

    def differ(a: np.ndarray) -> float:
        return float(np.abs(a[0][inside].astype(float) - again[0][inside]).mean())

    # Hair and background are not symmetric; an image that is not mirrored is several times further away.
    assert differ(augmentation.mirror_image(image)) < 0.5 * differ(image)


@pytest.mark.parametrize("shift", [(0.06, -0.04, 0.0), (0.0, 0.0, 0.2), (-0.05, 0.03, -0.15)])
def test_shifting_an_image_changes_pose_as_rendering_does(identity, shift):
    shift = np.array(shift, np.float32)
    pose, expression, eyes = motion()
    before, after = code(identity, pose, expression, eyes), None
    after = augmentation.shift_truth(before, shift)
    moved = pose.copy()
    moved[:, 3:] = after[:, 6:9] * 0.1
    np.testing.assert_allclose(code(identity, moved, expression, eyes), after, atol=1e-5)
    # Landmarks of the head at the new pose are the old ones, enlarged about the centre and moved.
    old, new = (measure(identity, p, expression, eyes, SIZE) for p in (pose, moved))
    expected = SIZE / 2 + np.exp(shift[2]) * (old.landmarks - SIZE / 2) + SIZE * shift[:2] * [1, -1]
    np.testing.assert_allclose(new.landmarks, expected, atol=1e-3)
    # And so are the pixels of the face (the shoulders follow the head only partly).
    renderer = Renderer(identity, SIZE)
    image, truth = renderer.render(pose, expression, eyes)[0], renderer.render(moved, expression, eyes)[0]
    made = augmentation.shift_image(image, shift)
    (x0, y0), (x1, y1) = np.ceil(new.landmarks[0, 17:].min(0)), np.floor(new.landmarks[0, 17:].max(0))
    inside = np.s_[int(y0) : int(y1), int(x0) : int(x1)]
    error = np.abs(made[inside].astype(float) - truth[inside]).mean()
    assert error < 0.35 * np.abs(image[inside].astype(float) - truth[inside]).mean()
    assert error < 8  # of 255: resampling at 64 px


def test_no_shift_is_the_image_itself_and_borders_repeat():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)
    np.testing.assert_array_equal(augmentation.shift_image(image, np.zeros(3, np.float32)), image)
    right = augmentation.shift_image(image, np.array([0.25, 0, 0], np.float32))
    np.testing.assert_array_equal(right[:, 4:], image[:, :-4])
    np.testing.assert_array_equal(right[:, :4], np.repeat(image[:, :1], 4, 1))


def test_a_composite_is_close_to_the_true_render(identity):
    """Mouth and eyes pasted from another frame in a slightly different pose are nearer to the truth than no paste."""
    pose, expression, eyes = (np.repeat(a, 2, 0) for a in motion())
    pose[1] += (2, 1, -2, 0.02, 0.01, 0.03)
    expression[0, ARKIT_INDEX["jawOpen"]], expression[1, ARKIT_INDEX["jawOpen"]] = 0.0, 0.7
    expression[0, ARKIT_INDEX["eyeBlinkLeft"]], eyes[1, 0] = 0.0, -15.0
    renderer = Renderer(identity, 128)
    images, truth = renderer.render(pose, expression, eyes), measure(identity, pose, expression, eyes, 128)

    def halved(image: np.ndarray) -> np.ndarray:
        return image.reshape(64, 2, 64, 2, 3).mean((1, 3))  # alignment is good to about a pixel

    for factor, box in (("lip", 0), ("gaze", 1)):
        made = augmentation.composite(factor, images[0], truth.landmarks[0], images[1], truth.landmarks[1])
        marks = augmentation.composite_landmarks(factor, truth.landmarks[0], truth.landmarks[1])
        swapped = expression[:1].copy()
        columns = [i for n, i in ARKIT_INDEX.items() if n.startswith("jaw" if factor == "lip" else "eyeBlink")]
        swapped[:, columns] = expression[1:, columns]
        expected = renderer.render(pose[:1], swapped, eyes[:1] if factor == "lip" else eyes[1:])[0]
        there = measure(identity, pose[:1], swapped, eyes[:1] if factor == "lip" else eyes[1:], 128).landmarks[0]
        moved = np.abs(there - truth.landmarks[0]).max(1) > 1
        errors = [np.abs(a - there)[moved].mean() for a in (marks, truth.landmarks[0])]
        assert moved.any() and errors[0] < 0.5 * errors[1]
        x0, y0, x1, y1 = (truth.boxes[0, box] / 2).astype(int)
        errors = [np.abs(halved(a) - halved(expected))[y0:y1, x0:x1].mean() for a in (made, images[0])]
        assert errors[0] < 0.8 * errors[1], factor
        far = np.s_[:8] if factor == "lip" else np.s_[-8:]
        np.testing.assert_array_equal(made[far], images[0][far])


def test_colour_is_one_change_for_a_whole_window_and_keeps_order():
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (2, 4, 256, 3)).reshape(2, 4, 256, 3)
    made = augmentation.recolour(np.random.default_rng(1), ramp, 0.2)
    np.testing.assert_array_equal(made[0], made[1])
    assert (np.diff(made[0, 0].astype(int), axis=0) >= 0).all()
    assert 2 < np.abs(made.astype(int) - ramp).mean() < 40
    np.testing.assert_array_equal(augmentation.recolour(np.random.default_rng(1), ramp, 0.0), ramp)


def composite(record, seed: int, **kinds: float) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return examples.composite_example(rng, record.to_arrays(), size=32, augment=Augment(**kinds))


def test_composites_change_the_truth_of_one_factor_only():
    record = synthetic.clip(length=20)
    found = set()
    for seed in range(12):
        example = composite(record, seed)
        a, b, factor = (example[n] for n in ("set_driving_calibrated", "set_redrawn_calibrated", "set_factor"))
        part = {0: slice(0, 3), 2: slice(9, 13)}[int(factor)]
        assert (a[part] != b[part]).any()
        changed = np.zeros(13, bool)
        changed[part] = True
        np.testing.assert_array_equal(a[~changed], b[~changed])
        found.add(int(factor))
    assert found == {0, 2}


def test_the_donor_has_a_similar_rotation_and_differs_in_its_region():
    rotation, usable = np.zeros((10, 3)), np.ones(10, bool)
    rotation[5:] = 20
    value = np.arange(10.0)[:, None]  # of the near ones, 1 to 4, the half that differs most are 3 and 4
    rng = np.random.default_rng(0)
    assert {augmentation.donor_frame(rng, rotation, value, usable, 0) for _ in range(20)} == {3, 4}
    usable[3:5] = False
    assert {augmentation.donor_frame(rng, rotation, value, usable, 0) for _ in range(20)} <= {2, 5, 6}


def test_frames_without_a_face_are_not_donors():
    confidence = np.zeros(20, np.float32)
    alone = composite(synthetic.clip(confidence=confidence), 0)
    assert FACTORS[int(alone["set_factor"])] == "residual"
    np.testing.assert_array_equal(alone["set_redrawn"], alone["set_driving"])
    confidence[[4, 9]] = 1
    record = synthetic.clip(confidence=confidence)
    truth = calibrated_code(record.lips, record.pose, record.gaze)
    for seed in range(6):
        example = composite(record, seed)
        assert any(np.array_equal(example["set_driving_calibrated"], truth[t]) for t in (4, 9))
        assert np.isfinite(example["set_redrawn_calibrated"]).all()


def test_image_and_truth_of_a_plain_example_are_augmented_alike():
    record = synthetic.clip(length=12)
    arrays, options = record.to_arrays(), {"size": 32, "lip_window": 5, "feature": "logmel"}

    def example(**kinds: float):
        return examples.plain_example(np.random.default_rng(5), arrays, arrays, augment=Augment(**kinds), **options)

    plain, moved, mirrored = example(), example(shift=0.1, zoom=0.1), example(mirror=1.0)
    np.testing.assert_array_equal(plain["target"], plain["driving"][2])
    np.testing.assert_array_equal(plain["target_calibrated"], plain["driving_calibrated"][2])
    assert not plain["driving_shift"].any() and moved["driving_shift"].all()
    np.testing.assert_array_equal(moved["target"], plain["target"])
    np.testing.assert_allclose(
        moved["driving_calibrated"], augmentation.shift_truth(plain["driving_calibrated"], moved["driving_shift"])
    )
    np.testing.assert_array_equal(mirrored["source"], plain["source"][:, ::-1])
    np.testing.assert_allclose(mirrored["driving_calibrated"], mirror_calibrated(plain["driving_calibrated"]))
