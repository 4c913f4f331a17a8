"""Statistics of a person's motion from 25 fps tracks: the same estimators for measured people and for puppets.

A statistic is one person's: their clips are pooled, because a clip of a few seconds has one blink or none. Measured
tracks are noisy and filtered (demo_jax/faces/measures.py). So that puppets need not imitate the landmarker,
`as_measured` passes their tracks through the same filters and adds its noise before they are compared.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d, median_filter
from scipy.signal import find_peaks, peak_widths, welch

from demo_jax.constants import FPS, SAMPLES_PER_FRAME
from demo_jax.factors import GAZE_NAMES, LIPS_NAMES, POSE_NAMES

SHORTEST = 40  # frames; shorter clips are not measured
SPECTRUM_SEGMENT = 64  # frames
WINDOW = 75  # frames in which a range is measured, so that clips of any length compare
# Noise of the measuring chain, rms per frame of its filtered tracks: the floor found on 40 people (`noise_floor`).
POSE_NOISE = (0.10, 0.15, 0.05, 0.0003, 0.0003, 0.0005)
GAZE_NOISE, LID_NOISE = (0.31, 0.24), (0.010, 0.010)
LIPS_NOISE = (0.0043, 0.0027, 0.0)
SACCADE = 2.5  # degrees: smaller ones are below the landmarker's noise


@dataclasses.dataclass(frozen=True, kw_only=True)
class Track:
    """One clip: pose [T, 6], gaze [T, 4] (yaw, pitch, openings), lips [T, 3], waveform [T * 640] int16."""

    person: str
    pose: np.ndarray
    gaze: np.ndarray
    lips: np.ndarray
    waveform: np.ndarray


def as_measured(track: Track, rng: np.random.Generator) -> Track:
    """Returns a puppet's exact track as the measuring chain for video would give it: with its filters, its noise and
    its unit of openings, and with gaze interpolated while the lids hide the iris."""
    openings = track.gaze[:, 2:] / np.maximum(np.percentile(track.gaze[:, 2:], 95, axis=0), 1e-6)
    visible = np.flatnonzero(openings.mean(1) > 0.35)
    frames = np.arange(len(openings))
    gaze = (
        [np.interp(frames, visible, g[visible]) for g in track.gaze[:, :2].T]
        if len(visible)
        else [*track.gaze[:, :2].T]
    )

    def noise(filtered: Callable[[np.ndarray], np.ndarray], levels: tuple[float, ...]) -> np.ndarray:
        white = filtered(rng.standard_normal((len(frames), len(levels))))
        return white / white.std(0) * levels

    return dataclasses.replace(
        track,
        pose=_slow(track.pose) + noise(_slow, POSE_NOISE),
        gaze=np.concatenate(
            [_light(np.stack(gaze, 1)) + noise(_light, GAZE_NOISE), openings + noise(np.asarray, LID_NOISE)], 1
        ),
        lips=_light(track.lips) + noise(_light, LIPS_NOISE),
    )


def _slow(values: np.ndarray) -> np.ndarray:
    return gaussian_filter1d(values, 1.5, axis=0, mode="nearest", truncate=3.0)


def _light(values: np.ndarray) -> np.ndarray:
    padded = np.concatenate([values[:1], values, values[-1:]])
    return (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4


def _windows(values: np.ndarray, length: int) -> list[np.ndarray]:
    count = max(1, len(values) // length)
    return np.array_split(values, count)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else float("nan")


def _head(tracks: list[Track]) -> dict[str, float]:
    """Speeds in degrees per second; ranges are the 5-95 % spread within three seconds; translation in crop widths."""
    velocity = np.concatenate([np.diff(t.pose, axis=0) for t in tracks]) * FPS
    acceleration = np.concatenate([np.diff(t.pose, 2, axis=0) for t in tracks]) * FPS**2
    third = np.concatenate([np.diff(t.pose[:, :3], 3, axis=0) for t in tracks])
    second = np.concatenate([np.diff(t.pose[:, :3], 2, axis=0) for t in tracks])
    spread = np.array(
        [np.subtract(*np.percentile(w, (95, 5), axis=0)) for t in tracks for w in _windows(t.pose, WINDOW)]
    )
    out = {}
    for i, name in enumerate(("yaw", "pitch", "roll")):
        out[f"{name} speed, rms"] = _rms(velocity[:, i])
        out[f"{name} range in 3 s"] = float(np.mean(spread[:, i]))
        out[f"{name} acceleration, rms"] = _rms(acceleration[:, i])
    total = np.linalg.norm(velocity[:, :3], axis=1)
    out["head speed, 95 %"] = float(np.percentile(total, 95))
    out["head still (< 3 deg/s), share"] = float(np.mean(total < 3))
    out["head 2nd difference, rms"] = _rms(second)
    out["head 3rd difference, rms"] = _rms(third)
    for i, name in enumerate(("x", "y", "z"), 3):
        out[f"{name} range in 3 s"] = float(np.mean(spread[:, i]))
        out[f"{name} speed, rms"] = _rms(velocity[:, i])
    for name, (turn, shift) in {"x follows roll": (2, 3), "x follows yaw": (0, 3), "y follows pitch": (1, 4)}.items():
        out[f"{name}, r"] = _correlation(velocity[:, turn], velocity[:, shift])
    return out


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 1e-9 and b.std() > 1e-9 else float("nan")


def blinks(openings: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns for each blink of a mean opening [T]: frame, seconds at half depth, seconds of closing and of opening
    (half depth to the bottom)."""
    level = maximum_filter1d(median_filter(openings, 3, mode="nearest"), 25)
    level = gaussian_filter1d(level, 6)
    dip = np.clip(1 - openings / np.maximum(level, 1e-3), 0, 1)
    peaks, _ = find_peaks(dip, height=0.35, prominence=0.3, width=(0.5, 13), rel_height=0.5, distance=4)
    if not len(peaks):
        return peaks, *(np.zeros(0) for _ in range(3))
    width, _, left, right = peak_widths(dip, peaks, rel_height=0.5)
    return peaks, width / FPS, (peaks - left) / FPS, (right - peaks) / FPS


def saccades(gaze: np.ndarray, openings: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns for each saccade of gaze [T, 2], with mean opening [T]: frame, amplitude (degrees), peak speed (degrees
    per second)."""
    step = np.linalg.norm(np.pad(gaze[4:] - gaze[:-4], ((2, 2), (0, 0)), mode="edge"), axis=1)
    speed = np.linalg.norm(np.gradient(gaze, axis=0), axis=1) * FPS
    near_blink = maximum_filter1d((openings < 0.6).astype(float), 7) > 0
    step = np.where(near_blink, 0, step)
    noise = 1.5 * np.median(step)
    peaks, _ = find_peaks(step, height=max(SACCADE, noise), distance=4, prominence=SACCADE / 2)
    top = maximum_filter1d(speed, 3)
    return peaks, step[peaks], top[peaks]


def _eyes(tracks: list[Track]) -> dict[str, float]:
    """Rates per minute, times in seconds, amplitudes in degrees."""
    minutes = sum(len(t.pose) for t in tracks) / FPS / 60
    dips = [blinks(t.gaze[:, 2:].mean(1)) for t in tracks]
    jumps = [saccades(t.gaze[:, :2], t.gaze[:, 2:].mean(1)) for t in tracks]
    duration, closing, reopening = (np.concatenate([d[i] for d in dips]) for i in (1, 2, 3))
    amplitude, peak = (np.concatenate([j[i] for j in jumps]) for i in (1, 2))
    rests = np.concatenate([np.diff(j[0]) / FPS for j in jumps])
    between = np.concatenate([t.gaze[_open(t), 2:].mean(1) for t in tracks])
    gaze = np.concatenate([t.gaze[_open(t), :2] for t in tracks])
    drift = np.concatenate([np.diff(t.gaze[:, :2], 2, axis=0) for t in tracks])

    def middle(values: np.ndarray, least: int = 3) -> float:
        return float(np.median(values)) if len(values) >= least else float("nan")

    return {
        "blinks a minute": len(duration) / minutes,
        "blink length at half depth": middle(duration),
        "blink closing": middle(closing),
        "blink opening": middle(reopening),
        "lid opening between blinks, mean": float(between.mean()),
        "lid opening between blinks, sd": float(between.std()),
        "saccades a minute": len(amplitude) / minutes,
        "saccade amplitude": middle(amplitude),
        "saccade speed over amplitude": middle(peak / np.maximum(amplitude, 1e-6)),
        "fixation": middle(rests),
        "gaze yaw, sd": float(gaze[:, 0].std()),
        "gaze pitch, sd": float(gaze[:, 1].std()),
        "gaze 2nd difference, median": float(np.median(np.linalg.norm(drift, axis=1))),
        "gaze turns against head, gain": _counter_rotation(tracks),
    }


def _open(track: Track) -> np.ndarray:
    return maximum_filter1d((track.gaze[:, 2:].mean(1) < 0.6).astype(float), 5) == 0


def _counter_rotation(tracks: list[Track]) -> float:
    """1: the eyes stay on their target while the head turns; 0: they turn with it. From 0.2 s steps without
    saccades."""
    head, eye = [], []
    for t in tracks:
        quiet = np.ones(len(t.pose), bool)
        for at in saccades(t.gaze[:, :2], t.gaze[:, 2:].mean(1))[0]:
            quiet[max(0, at - 3) : at + 4] = False
        quiet &= _open(t)
        keep = quiet[5:] & quiet[:-5]
        head.append((t.pose[5:, :2] - t.pose[:-5, :2])[keep])
        eye.append((t.gaze[5:, :2] - t.gaze[:-5, :2])[keep])
    h, e = np.concatenate(head).ravel(), np.concatenate(eye).ravel()
    # If the head hardly moves, the slope is that of the noise.
    return float(-(h * e).sum() / (h * h).sum()) if len(h) > 40 and _rms(h) > 0.7 else float("nan")


def _energy(track: Track) -> np.ndarray:
    """The root mean square [T] of each frame's samples, in dB over -60 dB of full scale, at least 0."""
    frames = track.waveform[: len(track.pose) * SAMPLES_PER_FRAME].reshape(-1, SAMPLES_PER_FRAME) / 32768
    return np.clip(20 * np.log10(np.sqrt((frames**2).mean(1)) + 1e-6) + 60, 0, None)


def _lips(tracks: list[Track]) -> dict[str, float]:
    """Aperture and width over the eye span."""
    lips = np.concatenate([t.lips for t in tracks])
    speed = np.concatenate([np.diff(t.lips, axis=0) for t in tracks]) * FPS
    together = []
    for t in tracks:
        loudness = gaussian_filter1d(_energy(t), 1.0)
        lags = range(-4, 5)  # the audio of videos is up to a few frames early or late
        together.append(
            max(_correlation(t.lips[4:-4, 0], loudness[4 + g : len(loudness) - 4 + g]) for g in lags)
            if loudness[4:-4].std() > 0
            else float("nan")
        )
    turns = np.concatenate([find_peaks(t.lips[:, 0], prominence=0.02)[0] for t in tracks])
    return {
        "aperture, median": float(np.median(lips[:, 0])),
        "aperture, 90 %": float(np.percentile(lips[:, 0], 90)),
        "aperture, 99 %": float(np.percentile(lips[:, 0], 99)),
        "aperture speed, rms": _rms(speed[:, 0]),
        "aperture speed over sd": _rms(speed[:, 0]) / max(float(lips[:, 0].std()), 1e-6),
        "mouth closed (< 0.02), share": float(np.mean(lips[:, 0] < 0.02)),
        "openings a second": len(turns) * FPS / len(lips),
        "width, mean": float(lips[:, 1].mean()),
        "width, sd": float(lips[:, 1].std()),
        "width speed, rms": _rms(speed[:, 1]),
        "width over aperture, r": _correlation(lips[:, 0], lips[:, 1]),
        "pucker, sd": float(lips[:, 2].std()),
        "aperture with loudness, r": float(np.nanmean(together)) if np.isfinite(together).any() else float("nan"),
    }


def statistics(tracks: list[Track]) -> dict[str, float]:
    """Returns the statistics of one person by name; NaN where their clips do not allow a value."""
    return {**_head(tracks), **_eyes(tracks), **_lips(tracks)}


def spectrum(tracks: list[Track]) -> tuple[np.ndarray, np.ndarray]:
    """Returns frequencies [F] in Hz and the power density of yaw, pitch and roll velocity [F, 3], (deg/s)^2 / Hz."""
    parts, weights = [], []
    for t in tracks:
        velocity = np.diff(t.pose[:, :3], axis=0) * FPS
        length = min(SPECTRUM_SEGMENT, len(velocity))
        _, density = welch(velocity, FPS, nperseg=length, nfft=SPECTRUM_SEGMENT, axis=0, detrend="constant")
        parts.append(density)
        weights.append(len(velocity))
    frequencies = np.fft.rfftfreq(SPECTRUM_SEGMENT, 1 / FPS)
    return frequencies, np.average(parts, axis=0, weights=weights)


def noise_floor(tracks: list[Track]) -> dict[str, float]:
    """Returns the noise of one person's tracks, rms per frame in the unit of the track.

    It is taken from the quietest tenth of half-second stretches: third differences (motion hardly has any there) over
    the gain that they and the chain's filter give to white noise.
    """
    wave = np.zeros((64, 1))
    wave[32] = 1.0
    out = {}
    for name, kernel, names in (
        ("pose", _slow(wave), POSE_NAMES),
        ("gaze", _light(wave), GAZE_NAMES[:2]),
        ("lids", wave, GAZE_NAMES[2:]),
        ("lips", _light(wave), LIPS_NAMES[:2]),
    ):
        gain = np.sqrt((np.diff(kernel, 3, axis=0) ** 2).sum() / (kernel**2).sum())
        for column, label in enumerate(names):
            values = [
                {"pose": t.pose, "gaze": t.gaze, "lids": t.gaze[:, 2:], "lips": t.lips}[name][:, column] for t in tracks
            ]
            third = [_rms(w) for v in values for w in _windows(np.diff(v, 3), 12)]
            out[label] = float(np.percentile(third, 10) / gain)
    return out
