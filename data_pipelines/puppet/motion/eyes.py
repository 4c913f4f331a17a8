"""Eyes: fixations, saccades, vergence and the closing of the lids.

A schedule of fixations comes first, in the camera's axes: mostly the camera (with small saccades, as between the
features of a face there), and glances away at the starts of phrases, in thought, or at something beside. The eyes stay
on their target while the head turns. Saccades follow the main sequence (Bahill, Clark and Stark, Mathematical
Biosciences 24, 1975): 21 ms and 2.2 ms more for every degree.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from data_pipelines.puppet.motion.motion_style import MotionStyle
from data_pipelines.puppet.motion.noise import ease, smooth_noise, wander
from data_pipelines.puppet.speech.prosody import Prosody, frame_centres
from demo_jax.constants import FPS
from demo_jax.factors import in_head

GAZE_LIMITS = np.array([25.0, 20.0])  # degrees of yaw and pitch in the head that a comfortable eye reaches
PUPILS = 6.3  # centimetres between the eyes
_CONVERGE = 0.16  # seconds, time constant of vergence: slower than a saccade


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fixation:
    """From `start` (seconds) on the eyes fixate a target at yaw, pitch (degrees, as in pose) and distance (cm).

    away: the target is not the camera.
    """

    start: float
    yaw: float
    pitch: float
    distance: float
    away: bool


def vergence(distance: np.ndarray | float) -> np.ndarray:
    """Returns by how many degrees the lines of sight converge on a target at this distance in centimetres."""
    return 2 * np.rad2deg(np.arctan(PUPILS / 2 / np.asarray(distance, np.float64)))


def saccade_seconds(amplitude: float) -> float:
    """Returns the duration of a saccade of this amplitude in degrees (the main sequence)."""
    return 0.021 + 0.0022 * amplitude


def schedule(rng: np.random.Generator, speech: Prosody, frames: int, motion_style: MotionStyle) -> list[Fixation]:
    """Returns the fixations of a clip, in order; the first begins at 0."""
    t, end = motion_style, frames / FPS
    spread = rng.uniform(1.2, 2.6)  # degrees of the features of the face at the camera
    fixations: list[Fixation] = []

    def add(at: float, away: bool) -> None:
        if away:
            side = rng.choice((-1, 1))
            yaw = side * rng.gamma(4.0, 2.6)
            pitch = rng.normal(2.0, 5.5)
            distance = float(rng.choice((45.0, 150.0, 400.0), p=(0.15, 0.5, 0.35)) * rng.uniform(0.8, 1.25))
        else:
            yaw, pitch = rng.normal(0, (spread, 0.8 * spread))
            distance = t.distance
        fixations.append(Fixation(start=at, yaw=float(yaw), pitch=float(pitch), distance=distance, away=away))

    # Glances away that go with speech: shortly before or at the start of a phrase, while it is planned.
    planned = [start + rng.normal(-0.1, 0.15) for start, _ in speech.phrases if rng.random() < t.aversion]
    at, away = 0.0, bool(rng.random() < 0.1)
    while at < end:
        add(at, away)
        if away and rng.random() < 0.3:  # a pair of glances: a second place before the eyes come back
            stay, follow = rng.lognormal(np.log(0.35), 0.35), True
        elif away:
            stay, follow = rng.lognormal(np.log(0.75), 0.4), False
        else:
            stay, follow = (60 / t.gaze_shifts) * rng.lognormal(-0.18, 0.6), bool(rng.random() < 0.10)
        due = [p for p in planned if at + 0.12 < p <= at + stay]
        if due and not away:
            stay, follow = due[0] - at, True
        at, away = at + float(np.clip(stay, 0.14, 4.0)), follow
    return fixations


def head_share(fixations: list[Fixation], frames: int, turn: float) -> np.ndarray:
    """Returns yaw and pitch [T, 2] in degrees: the head follows the eyes towards targets far to the side."""
    centres, out = frame_centres(frames), np.zeros((frames, 2))
    before = np.zeros(2)
    for fixation in fixations:
        at = np.array([fixation.yaw, fixation.pitch]) if fixation.away else np.zeros(2)
        goal = 0.3 * min(turn, 1.6) * np.sign(at) * np.clip(np.abs(at) - 4, 0, None)
        out += ease((centres - fixation.start - 0.06) / 0.55)[:, None] * (goal - before)
        before = goal
    return out


def gaze_track(
    rng: np.random.Generator, fixations: list[Fixation], pose: np.ndarray, motion_style: MotionStyle
) -> tuple[np.ndarray, np.ndarray]:
    """Follows the fixations.

    Returns: eyes [T, 3] float64, degrees in the head (yaw, pitch, vergence), and saccades [N, 2]: start (s), amplitude.
    """
    frames = len(pose)
    centres = frame_centres(frames)
    gain = motion_style.vor_gain
    eyes, before = np.zeros((frames, 2)), np.zeros((frames, 2))
    converge = np.full(frames, vergence(fixations[0].distance))
    saccades = []
    for number, fixation in enumerate(fixations):
        goal = np.clip(in_head(fixation.yaw, fixation.pitch, gain * pose[:, :3]), -GAZE_LIMITS, GAZE_LIMITS)
        if number == 0:
            eyes = goal
        else:
            frame = min(int(fixation.start * FPS), frames - 1)
            amplitude = float(np.linalg.norm(goal[frame] - before[frame]))
            saccades.append((fixation.start, amplitude))
            eyes = before + ease((centres - fixation.start) / saccade_seconds(amplitude))[:, None] * (goal - before)
            late = np.clip(centres - fixation.start, 0, None)
            reached = 1 - np.exp(-late / _CONVERGE) * (1 + late / _CONVERGE)
            converge = converge + reached * (vergence(fixation.distance) - converge)
        before = eyes
    tremor = 0.10 * wander(rng, frames, 2, 0.8, 0.6)  # slow drift and microsaccades at rest
    eyes = np.clip(eyes + tremor, -GAZE_LIMITS, GAZE_LIMITS)
    return np.concatenate([eyes, converge[:, None]], -1), np.array(saccades).reshape(-1, 2)


def blink_times(
    rng: np.random.Generator,
    frames: int,
    rate: float,
    speech: Prosody | None = None,
    saccades: np.ndarray | None = None,
) -> np.ndarray:
    """Returns blink times [N] in seconds, ascending: `rate` a minute, about half at phrase ends and large saccades."""
    end = frames / FPS
    candidates: list[float] = []
    willing = min(1.0, rate / 20)
    if speech is not None:
        candidates += [e + rng.normal(0.05, 0.12) for _, e in speech.phrases if rng.random() < 0.4 * willing]
    if saccades is not None:
        candidates += [
            s + rng.uniform(-0.03, 0.03) for s, a in saccades if rng.random() < willing * np.clip((a - 6) / 20, 0, 0.6)
        ]
    free = max(rate - 60 * len(candidates) / end, 0.35 * rate) if end else rate
    interval = 60 / free
    at = rng.uniform(-interval, interval)
    while at < end:
        candidates.append(at)
        # A few quick pairs, else intervals with a long tail.
        at += rng.uniform(0.35, 0.7) if rng.random() < 0.06 else interval * rng.lognormal(-0.2, 0.7)
    kept: list[float] = []
    for at in sorted(w for w in candidates if -0.3 < w < end):
        if not kept or at - kept[-1] > 0.33:
            kept.append(at)
    return np.array(kept)


def lids_closing(rng: np.random.Generator, frames: int, times: np.ndarray) -> np.ndarray:
    """Returns [T] float64, 0-1: lids close within 75-110 ms, pause briefly and reopen in 170-280 ms, slowing down."""
    centres = frame_centres(frames)
    lids = np.zeros(frames)
    for at in times:
        close, pause, reopen = rng.uniform(0.075, 0.11), rng.uniform(0.01, 0.05), rng.uniform(0.17, 0.28)
        depth = rng.uniform(0.93, 1.0) if rng.random() < 0.82 else rng.uniform(0.45, 0.9)
        since = centres - at
        fall = ease(since / close)
        rise = np.clip((since - close - pause) / reopen, 0, 1)
        lids = np.maximum(lids, depth * fall * (1 - rise) ** 2 * (1 + 2 * rise * (1 - rise) ** 2))
    return lids


def blinks(rng: np.random.Generator, frames: int, rate: float = 18.0) -> np.ndarray:
    """Returns [T] float64, 0-1: blinks independent of speech and gaze, `rate` a minute."""
    return lids_closing(rng, frames, blink_times(rng, frames, rate))


def lid_variation(rng: np.random.Generator, frames: int, motion_style: MotionStyle) -> np.ndarray:
    """Returns [T]: eyeBlink between blinks, the person's heavy lids and slow variation of a few hundredths."""
    slow = 0.05 * smooth_noise(rng, frames, 1, 1.5)[:, 0] + 0.02 * smooth_noise(rng, frames, 1, 0.3)[:, 0]
    return np.clip(motion_style.lids + 0.03 + slow, 0, 0.4)
