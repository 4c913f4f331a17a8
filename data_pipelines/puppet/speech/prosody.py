"""Prosody that head motion follows: loudness, pitch, accents and phrases."""

from __future__ import annotations

import dataclasses

import numpy as np

from demo_jax.constants import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME

_HOP = SAMPLE_RATE // 100  # pitch is tracked 100 times a second
_WINDOW = 640  # samples, two periods of the lowest voice
_LOWEST, _HIGHEST = 60.0, 420.0  # Hz
_VOICED = 0.5  # of the normalised autocorrelation
PAUSE = 0.16  # seconds without a phone that end a phrase


def frame_centres(frames: int) -> np.ndarray:
    """Returns [T] float64: the instants that the frames show, in seconds."""
    return (np.arange(frames) + 0.5) / FPS


def loudness(waveform: np.ndarray, frames: int) -> np.ndarray:
    """Returns the loudness [T] float64 of int16 samples: 0 at silence, 1 at the clip's own 95th percentile."""
    from scipy.ndimage import gaussian_filter1d

    padded = np.zeros(frames * SAMPLES_PER_FRAME)
    padded[: min(len(waveform), len(padded))] = waveform[: len(padded)] / 32768
    level = np.sqrt((padded.reshape(frames, -1) ** 2).mean(1))
    level = gaussian_filter1d(level, 1.0)
    return np.clip(level / max(np.percentile(level, 95), 1e-4), 0, 1)


def pitch(waveform: np.ndarray) -> np.ndarray:
    """Returns the fundamental frequency [N] float64 in Hz of int16 samples, 100 a second; NaN where there is no voice.

    The highest peak of the autocorrelation, over that of the window (Boersma, IFA Proceedings 17, 1993), then a median
    over 70 ms against jumps of an octave. This is enough for synthetic speech.
    """
    from scipy.ndimage import median_filter

    signal = np.concatenate([np.zeros(_WINDOW // 2), waveform / 32768, np.zeros(_WINDOW)])
    count = len(waveform) // _HOP
    if count == 0:
        return np.zeros(0)
    at = np.arange(count)[:, None] * _HOP + np.arange(_WINDOW)
    taper = np.hanning(_WINDOW)
    part = signal[at]
    part = (part - part.mean(1, keepdims=True)) * taper
    size = 2 * _WINDOW
    correlation = np.fft.irfft(np.abs(np.fft.rfft(part, size)) ** 2)[:, :_WINDOW]
    own = np.fft.irfft(np.abs(np.fft.rfft(taper, size)) ** 2)[:_WINDOW]
    energy = correlation[:, :1]
    low, high = int(SAMPLE_RATE / _HIGHEST), int(SAMPLE_RATE / _LOWEST)
    normal = correlation[:, low:high] / np.maximum(energy, 1e-12) * (own[0] / own[low:high])
    # The shortest of equally good periods is the true one, so long lags have a small penalty.
    best = (normal - 0.02 * np.log2(np.arange(low, high) / low)).argmax(1)
    strength = normal[np.arange(count), best]
    frequency = SAMPLE_RATE / (best + low)
    voiced = (strength > _VOICED) & (energy[:, 0] > 1e-3 * max(energy.max(), 1e-9))
    return np.where(voiced, median_filter(frequency, 7, mode="nearest"), np.nan)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prosody:
    """The prosody of an utterance, in seconds and in shares of its own range.

    accents   [A] instants of stressed phones
    strength  [A] 0-1: how far pitch and loudness stand out at the accents
    phrases   [(start, end)] of stretches without a pause
    rising    [len(phrases)] bool: the pitch goes up at the end, as in a question or before a continuation
    talking   [T] 0-1: loudness of the voice at each frame, smoothed over a syllable
    """

    accents: np.ndarray
    strength: np.ndarray
    phrases: tuple[tuple[float, float], ...]
    rising: tuple[bool, ...]
    talking: np.ndarray


def prosody(waveform: np.ndarray, times: np.ndarray, stressed: np.ndarray, frames: int) -> Prosody:
    """Measures the prosody of a waveform int16 [T * 640] with phone times [P, 2] in seconds and stressed [P] bool."""
    from scipy.ndimage import gaussian_filter1d

    level = loudness(waveform, frames)
    tone = np.log2(pitch(waveform))
    usual = np.nanmedian(tone) if np.isfinite(tone).any() else 0.0
    height = np.nan_to_num(tone - usual)  # octaves
    spread = max(float(np.percentile(np.abs(height[height != 0]), 80)) if (height != 0).any() else 0.0, 0.05)
    accents = times[stressed].mean(1).astype(np.float64) if len(times) and stressed.any() else np.zeros(0)
    at = np.clip((accents * 100).astype(int), 0, max(len(height) - 1, 0))
    frame = np.clip((accents * FPS).astype(int), 0, frames - 1)
    strength = np.clip(0.5 * level[frame] + 0.5 * np.clip(height[at] / spread, 0, 1), 0, 1) if len(accents) else at
    phrases = _phrases(times)
    return Prosody(
        accents=accents,
        strength=np.asarray(strength, np.float64),
        phrases=phrases,
        rising=tuple(_rises(tone, end) for _, end in phrases),
        talking=np.clip(gaussian_filter1d(level, 3.0) * 1.5, 0, 1),
    )


def _phrases(times: np.ndarray) -> tuple[tuple[float, float], ...]:
    if not len(times):
        return ()
    breaks = np.flatnonzero(times[1:, 0] - times[:-1, 1] > PAUSE)
    first, last = np.concatenate([[0], breaks + 1]), np.concatenate([breaks, [len(times) - 1]])
    return tuple((float(times[a, 0]), float(times[b, 1])) for a, b in zip(first, last, strict=True))


def _rises(tone: np.ndarray, end: float) -> bool:
    """Returns whether the pitch (octaves, 100 a second) ends a tenth of an octave or more above its last minimum."""
    voiced = tone[max(0, round(end * 100) - 50) : round(end * 100) + 1]
    voiced = voiced[np.isfinite(voiced)][-22:]
    return bool(len(voiced) >= 8 and np.median(voiced[-4:]) > voiced.min() + 0.1)
