"""Codes at other frame rates: as many as the video has frames, whatever the chunks, and with every closure."""

from __future__ import annotations

import numpy as np
import pytest

from demo_jax.constants import FPS, SAMPLES_PER_FRAME
from demo_jax.factors import CALIBRATED_NAMES, FactorLayout
from demo_jax.media.frame_rates import FRAME_RATES, frame_count
from demo_jax.sampling.interpolation import CLOSING, RateConverter, at_rate

LAYOUT = FactorLayout(lip=5, pose=6, gaze=5, residual=2)
CLOSE = LAYOUT.calibrated[[CALIBRATED_NAMES.index(name) for name in CLOSING]]
YAW = LAYOUT.calibrated[CALIBRATED_NAMES.index("yaw")]


def motion(frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(frames, LAYOUT.size)).astype(np.float32)


def converted(codes: np.ndarray, fps: int, cuts: tuple[int, ...] = ()) -> np.ndarray:
    parts = list(at_rate(iter(np.split(codes, cuts)), fps, LAYOUT))
    assert all(len(part) for part in parts)
    return np.concatenate(parts)


@pytest.mark.parametrize("fps", FRAME_RATES)
@pytest.mark.parametrize("frames", [1, 2, 3, 7, 50, 101])
def test_there_are_as_many_codes_as_frames(fps, frames):
    made = converted(motion(frames), fps)
    assert made.shape == (frame_count(frames * SAMPLES_PER_FRAME, fps), LAYOUT.size) and made.dtype == np.float32


@pytest.mark.parametrize("fps", FRAME_RATES)
def test_chunks_do_not_matter(fps):
    codes = motion(61)
    whole = converted(codes, fps)
    rng = np.random.default_rng(1)
    ways = [tuple(range(1, 61)), tuple(range(10, 61, 10)), (50,), (0, 0, 1, 60)]
    ways += [tuple(np.sort(rng.integers(0, 62, 6))) for _ in range(20)]
    for cuts in ways:
        np.testing.assert_array_equal(converted(codes, fps, cuts), whole, err_msg=str(cuts))


@pytest.mark.parametrize("fps", FRAME_RATES)
def test_codes_arrive_soon(fps):
    """A stream waits for two more frames at most."""
    converter, made = RateConverter(fps, LAYOUT), 0
    for i, code in enumerate(motion(40)):
        made += len(converter.push(code[None]))
        assert made / fps >= (i + 1 - 2) / FPS - 1 / fps


@pytest.mark.parametrize("fps", FRAME_RATES[1:])
def test_other_coordinates_are_interpolated_linearly(fps):
    codes = motion(30)
    times = np.arange(len(made := converted(codes, fps))) / fps
    for k in set(range(LAYOUT.size)) - set(CLOSE):
        np.testing.assert_allclose(made[:, k], np.interp(times, np.arange(30) / FPS, codes[:, k]), atol=1e-5)


@pytest.mark.parametrize("fps", FRAME_RATES[1:])
@pytest.mark.parametrize("start", range(3, 12))
def test_every_closure_is_kept(fps, start):
    """Lips that are closed for a frame, and lids for two, wherever that lies between the new frames."""
    codes = np.ones((25, LAYOUT.size), np.float32)
    codes[start, CLOSE[0]] = 0.0
    codes[start + 1 : start + 3, CLOSE[1:]] = 0.1
    made = converted(codes, fps)
    np.testing.assert_allclose(made[:, CLOSE].min(0), [0, 0.1, 0.1], atol=1e-6)
    for column, centre in zip(CLOSE, (start, start + 1.5, start + 1.5), strict=True):
        assert abs(made[:, column].argmin() / fps - centre / FPS) <= 0.5 / fps + 0.5 / FPS


def test_minima_by_brute_force():
    codes, fps = motion(80), 30
    made = converted(codes, fps)
    for column in CLOSE:
        value = codes[:, column]
        for k in range(1, 79):
            if value[k] < min(value[k - 1], value[k + 1]):
                assert made[round(k * fps / FPS), column] <= value[k]
        assert made[:, column].min() == value.min()
        assert (made[:, column] <= np.interp(np.arange(96) / fps, np.arange(80) / FPS, value) + 1e-5).all()


def test_at_its_own_rate_motion_is_left_alone():
    codes = motion(12)
    assert RateConverter(FPS, LAYOUT).push(codes) is codes
    assert len(RateConverter(FPS, LAYOUT).finish()) == 0
    assert len(RateConverter(60, LAYOUT).finish()) == 0  # of no motion


def test_the_yaw_at_whole_frames_is_the_generated_one():
    codes = motion(10)
    np.testing.assert_array_equal(converted(codes, 50)[::2, YAW], codes[:, YAW])
