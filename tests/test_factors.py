"""Names, layout and the rotation conventions, against their definitions."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from demo_jax import factors

NOSE = np.array([0.0, 0.0, 1.0])  # the face looks along +z
TOP = np.array([0.0, 1.0, 0.0])
LEFT_EAR = np.array([1.0, 0.0, 0.0])  # the person's left is image right


def test_yaw_turns_the_nose_to_image_right():
    nose = factors.rotation_matrix(10, 0, 0) @ NOSE
    np.testing.assert_allclose(nose, [np.sin(np.deg2rad(10)), 0, np.cos(np.deg2rad(10))], atol=1e-12)


def test_pitch_turns_the_nose_down():
    nose = factors.rotation_matrix(0, 10, 0) @ NOSE
    np.testing.assert_allclose(nose, [0, -np.sin(np.deg2rad(10)), np.cos(np.deg2rad(10))], atol=1e-12)


def test_roll_turns_the_top_to_image_left():
    top = factors.rotation_matrix(0, 0, 10) @ TOP
    np.testing.assert_allclose(top, [-np.sin(np.deg2rad(10)), np.cos(np.deg2rad(10)), 0], atol=1e-12)


@pytest.mark.parametrize(
    ("angles", "unmoved"), [((10, 0, 0), TOP), ((0, 10, 0), LEFT_EAR), ((0, 0, 10), NOSE)], ids=["yaw", "pitch", "roll"]
)
def test_each_angle_leaves_its_axis_alone(angles: tuple[int, int, int], unmoved: np.ndarray):
    np.testing.assert_allclose(factors.rotation_matrix(*angles) @ unmoved, unmoved, atol=1e-12)


def test_angles_compose_as_rz_ry_rx_and_come_back():
    rng = np.random.default_rng(0)
    yaw, pitch, roll = rng.uniform(-80, 80, 50), rng.uniform(-170, 170, 50), rng.uniform(-170, 170, 50)
    whole = factors.rotation_matrix(yaw, pitch, roll)
    zero = np.zeros(50)
    parts = (
        factors.rotation_matrix(zero, zero, roll)
        @ factors.rotation_matrix(yaw, zero, zero)
        @ factors.rotation_matrix(zero, pitch, zero)
    )
    np.testing.assert_allclose(whole, parts, atol=1e-12)
    np.testing.assert_allclose(whole @ np.swapaxes(whole, -1, -2), np.broadcast_to(np.eye(3), (50, 3, 3)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(whole), 1.0)
    # 1e-9 degrees: arcsin loses half the digits only at yaw = 90, which is not reached here.
    np.testing.assert_allclose(factors.euler_angles(whole), np.stack([yaw, pitch, roll], -1), atol=1e-9)


def test_mirroring_a_rotation_flips_yaw_and_roll_only():
    flip = np.diag([-1.0, 1.0, 1.0])
    mirrored = flip @ factors.rotation_matrix(20, 10, 30) @ flip
    np.testing.assert_allclose(factors.euler_angles(mirrored), [-20, 10, -30], atol=1e-9)


def test_arkit_names_are_the_52_and_each_has_one_factor():
    assert len(factors.ARKIT_NAMES) == len(set(factors.ARKIT_NAMES)) == 52
    assert tuple(factors.FACTOR_OF) == factors.ARKIT_NAMES
    # eye: 8 look, 2 blink, 2 wide, 2 squint. lip: 4 jaw + 23 mouth - 6 of smile, frown, dimple. residual: 5 brow,
    # 3 cheek, 2 nose, those 6, the tongue.
    assert Counter(factors.FACTOR_OF.values()) == {"gaze": 14, "lip": 21, "residual": 17}


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("jawOpen", "lip"), ("mouthPucker", "lip"), ("mouthSmileLeft", "residual"), ("mouthFrownRight", "residual"),
        ("mouthDimpleLeft", "residual"), ("eyeBlinkLeft", "gaze"), ("eyeLookInRight", "gaze"),
        ("browInnerUp", "residual"),
        ("cheekPuff", "residual"), ("noseSneerLeft", "residual"), ("tongueOut", "residual"),
    ],
)  # fmt: skip
def test_factor_of_follows_the_rule(name: str, factor: str):
    assert factors.FACTOR_OF[name] == factor


def test_mirror_is_an_involution_that_swaps_sides():
    p = factors.ARKIT_MIRROR
    np.testing.assert_array_equal(p[p], np.arange(52))
    assert p[factors.ARKIT_INDEX["eyeBlinkLeft"]] == factors.ARKIT_INDEX["eyeBlinkRight"]
    assert p[factors.ARKIT_INDEX["jawOpen"]] == factors.ARKIT_INDEX["jawOpen"]
    assert p[factors.ARKIT_INDEX["mouthLeft"]] == factors.ARKIT_INDEX["mouthRight"]
    for name in factors.ARKIT_NAMES:
        assert factors.FACTOR_OF[name] == factors.FACTOR_OF[factors.mirror_name(name)]


def test_layout_shares_out_the_code():
    layout = factors.FactorLayout()
    assert layout.size == 42
    assert layout.slices == {
        "lip": slice(0, 20), "pose": slice(20, 26), "gaze": slice(26, 32), "residual": slice(32, 42)
    }  # fmt: skip
    np.testing.assert_array_equal(layout.factor_index, [0] * 20 + [1] * 6 + [2] * 6 + [3] * 10)
    np.testing.assert_array_equal(layout.calibrated, [0, 1, 2, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29])
    assert layout.calibrated.dtype == layout.factor_index.dtype == np.int32


def test_layout_without_residual_still_covers_the_code():
    layout = factors.FactorLayout(lip=500, pose=6, gaze=6, residual=0)  # the paper's split
    assert layout.size == 512
    assert layout.slices["residual"] == slice(512, 512)


@pytest.mark.parametrize("sizes", [{"lip": 2}, {"pose": 5}, {"gaze": 3}, {"residual": -1}])
def test_layout_refuses_blocks_below_the_calibrated_coordinates(sizes: dict[str, int]):
    with pytest.raises(ValueError, match="lip needs at least 3"):
        factors.FactorLayout(**sizes)


def test_calibrated_code_divides_by_the_documented_scales():
    code = factors.calibrated_code(
        np.array([0.1, 0.2, 0.5]), np.array([15.0, -30.0, 45.0, 0.1, 0.2, np.nan]), np.array([10.0, 20.0, 0.5, 1.0])
    )
    np.testing.assert_allclose(code, [1, 2, 1, 1, -2, 3, 1, 2, np.nan, 1, 2, 1, 2], rtol=1e-6)
    assert code.dtype == np.float32
    assert len(factors.CALIBRATED_NAMES) == len(factors.CALIBRATED_SCALE) == 13


def test_track_columns_are_named_once():
    assert len(factors.TRACK_COLUMNS) == len(set(factors.TRACK_COLUMNS)) == 1 + 6 + 4 + 3 + 52
