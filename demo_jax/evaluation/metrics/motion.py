"""Metrics of motion over time: correlation, lag, spread, jitter. NumPy, float64, one clip at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from demo_jax.constants import FPS, SAMPLES_PER_FRAME

# Of the 68 landmarks, those that neither speech nor expression moves: eye corners and the bridge of the nose.
RIGID_LANDMARKS = (36, 39, 42, 45, 27, 28, 29)

QUIET = 50.0  # rms of int16 samples: -56 dB of full scale, a quiet room
SPEECH_RANGE = 25.0  # dB below the loud parts of a recording, to which speech reaches


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the Pearson correlation of two series [T]; 0 if either is constant."""
    a, b = np.asarray(a, np.float64) - np.mean(a), np.asarray(b, np.float64) - np.mean(b)
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 1e-12 else 0.0


def contains_speech(waveform: np.ndarray) -> bool:
    """Returns whether an int16 waveform is louder than a quiet room (-56 dB of full scale). Lip sync is measured on
    such clips only."""
    return float(np.std(waveform, dtype=np.float64)) > QUIET


def best_lag(made: np.ndarray, truth: np.ndarray, most: int = FPS // 2) -> tuple[int, float]:
    """Returns the shift in frames at which made [T] correlates best with truth [T], and that correlation. A shift > 0
    means that `made` is late; at most `most` frames are tried."""
    found: dict[int, float] = {}
    for lag in range(-most, most + 1):
        a, b = (made[lag:], truth[: len(truth) - lag]) if lag >= 0 else (made[:lag], truth[-lag:])
        found[lag] = correlation(a, b)
    lag = max(found, key=lambda k: found[k])
    return lag, found[lag]


def spread(landmarks: np.ndarray, which: tuple[int, ...] = RIGID_LANDMARKS) -> float:
    """Returns how far landmarks [T, 68, 2] move over a clip: the root mean square distance from their mean position, in
    their unit."""
    points = np.asarray(landmarks, np.float64)[:, list(which)]
    return float(np.sqrt(np.mean(np.sum((points - points.mean(0)) ** 2, -1))))


def mean_and_error(values: list[float]) -> dict[str, float]:
    """Returns the mean, standard error and count of independent values."""
    array = np.asarray(values, np.float64)
    error = float(array.std(ddof=1)) / len(array) ** 0.5 if len(array) > 1 else float("nan")
    return {"mean": float(array.mean()), "error": float(error), "count": len(array)}


def jitter(clip: np.ndarray) -> float:
    """Returns the root mean square of the second difference of a clip [T, n], in the unit of the columns per
    frame^2."""
    return float(np.sqrt(np.mean(np.square(np.diff(np.asarray(clip, np.float64), 2, axis=0)))))


def boundary_jump(clip: np.ndarray, hop: int) -> float:
    """Returns the velocity at window borders over the velocity elsewhere, of a clip [T, n].

    That is the mean |x_t - x_{t-1}| where t is a multiple of `hop`, over the mean where it is not. 1: borders do not
    show.
    """
    speed = np.linalg.norm(np.diff(np.asarray(clip, np.float64), axis=0), axis=1)
    border = np.arange(1, len(speed) + 1) % hop == 0
    return float(speed[border].mean() / speed[~border].mean()) if border.any() and not border.all() else float("nan")


def speaking_frames(waveform: np.ndarray, frames: int) -> np.ndarray:
    """Returns which of `frames` video frames are spoken in, [T] bool: their level is within 25 dB of the 95th
    percentile, and above -56 dB of full scale.

    Args:
      waveform: int16, 640 samples a frame, from the first frame's start; missing samples are silent.
    """
    samples = np.zeros(frames * SAMPLES_PER_FRAME)
    given = np.asarray(waveform, np.float64)[: len(samples)]
    samples[: len(given)] = given
    level = np.sqrt(np.mean(samples.reshape(frames, -1) ** 2, axis=1)) if frames else np.zeros(0)
    return level > max(QUIET, 10 ** (-SPEECH_RANGE / 20) * float(np.percentile(level, 95))) if frames else level > 0


def speech_aperture(aperture: np.ndarray, speaking: np.ndarray) -> float:
    """Returns the 95th percentile of the mouth's aperture [T] over frames spoken in; NaN if none of them is known."""
    values = np.asarray(aperture, np.float64)[speaking & np.isfinite(aperture)]
    return float(np.percentile(values, 95)) if values.size else float("nan")


def speaker_range(values: Mapping[str, Sequence[float]]) -> tuple[float, float]:
    """Returns the 5th and 95th percentile over speakers of the median of each speaker's values (one a clip)."""
    medians = [float(np.nanmedian(v)) for v in values.values() if np.isfinite(v).any()]
    low, high = np.percentile(medians, (5, 95)) if medians else (float("nan"), float("nan"))
    return float(low), float(high)
