"""Smooth random curves at 25 frames a second, and random factors around 1."""

from __future__ import annotations

import numpy as np

from data_pipelines.puppet.speech.prosody import frame_centres
from demo_jax.constants import FPS


def smooth_noise(rng: np.random.Generator, frames: int, channels: int, seconds: float) -> np.ndarray:
    """Returns [T, channels] float64: stationary Gaussian noise of unit variance that changes over about `seconds`."""
    from scipy.ndimage import gaussian_filter1d

    sigma = seconds * FPS / 2
    margin = int(4 * sigma) + 1
    white = rng.standard_normal((frames + 2 * margin, channels))
    scale = np.sqrt(2 * np.sqrt(np.pi) * sigma) if sigma > 0.5 else 1.0
    return gaussian_filter1d(white, sigma, axis=0, truncate=4.0)[margin : margin + frames] * scale


def wander(rng: np.random.Generator, frames: int, channels: int, slowest: float, fall: float = 1.2) -> np.ndarray:
    """Returns [T, channels] float64 of unit variance: octaves of smooth noise from `slowest` seconds down to 0.12 s.

    Each octave is 2^-fall as strong as the next slower one, as the spectrum of a real head falls off.
    """
    total, power, seconds, weight = np.zeros((frames, channels)), 0.0, slowest, 1.0
    while seconds > 0.12:
        total += weight * smooth_noise(rng, frames, channels, seconds)
        power, seconds, weight = power + weight**2, seconds / 2, weight * 2.0**-fall
    return total / np.sqrt(power)


def wide_walk(rng: np.random.Generator, frames: int, limits: np.ndarray, seconds: float = 0.5) -> np.ndarray:
    """Returns [T, C] float64: a smooth walk, uniformly distributed over -limits .. limits."""
    from scipy.special import erf

    return erf(smooth_noise(rng, frames, len(limits), seconds) / np.sqrt(2)) * limits


def bumps(frames: int, times: np.ndarray, heights: np.ndarray, width: float | np.ndarray) -> np.ndarray:
    """Returns [T]: a sum of Gaussian bumps at `times` (seconds) with a standard deviation of `width` seconds."""
    centres = frame_centres(frames)
    return (heights * np.exp(-0.5 * ((centres[:, None] - times) / width) ** 2)).sum(1)


def ease(u: np.ndarray) -> np.ndarray:
    """Maps 0-1 to 0-1 with zero slope at both ends; clips."""
    u = np.clip(u, 0, 1)
    return u * u * (3 - 2 * u)


def steps(frames: int, times: np.ndarray, jumps: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Returns [T, C]: a sum of eased steps that begin at `times` [N], with heights `jumps` [N, C], in `seconds` [N]."""
    since = (frame_centres(frames)[:, None] - times) / np.maximum(seconds, 1e-6)
    return ease(since) @ jumps


def factor_about_one(rng: np.random.Generator, spread: float) -> float:
    """Returns a log-normal factor with median 1; its logarithm has standard deviation `spread`, clipped at two."""
    return float(np.exp(np.clip(rng.normal(0, spread), -2 * spread, 2 * spread)))
