"""Eyes: where they rest, how they jump, how far they converge, and when the lids close.

A schedule of targets comes first, in the camera's axes: mostly the camera (with small jumps between the features of
the face one would see there), and looks away at the starts of phrases, in thought, or at something beside. The eyes
hold their target while the head turns. Jumps follow the main sequence (Bahill, Clark and Stark, Mathematical
Biosciences 24, 1975): 21 ms and 2.2 ms more for every degree.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from data_pipelines.puppet.motion.motion_style import Temperament
from data_pipelines.puppet.motion.noise import ease, smooth_noise, wander
from data_pipelines.puppet.speech.prosody import Prosody, frame_centres
from demo_jax.constants import FPS
from demo_jax.factors import in_head

GAZE_LIMITS = np.array([25.0, 20.0])  # degrees of yaw and pitch in the head that a comfortable eye reaches
PUPILS = 6.3  # centimetres between the eyes
_CONVERGE = 0.16  # seconds, time constant of vergence: slower than the jump


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """From `start` (seconds) on the eyes rest on something at yaw, pitch (degrees, as pose) and distance (cm)."""

    start: float
    yaw: float
    pitch: float
    distance: float
    away: bool


def vergence(distance: np.ndarray | float) -> np.ndarray:
    """Centimetres to what is looked at -> by how many degrees the lines of sight converge."""
    return 2 * np.rad2deg(np.arctan(PUPILS / 2 / np.asarray(distance, np.float64)))


def saccade_seconds(amplitude: float) -> float:
    """The main sequence: degrees -> duration."""
    return 0.021 + 0.0022 * amplitude


def schedule(rng: np.random.Generator, speech: Prosody, frames: int, temperament: Temperament) -> list[Look]:
    """The targets of a clip, in order; the first begins at 0."""
    t, end = temperament, frames / FPS
    spread = rng.uniform(1.2, 2.6)  # degrees of the features of the face at the camera
    looks: list[Look] = []

    def add(at: float, away: bool) -> None:
        if away:
            side = rng.choice((-1, 1))
            yaw = side * rng.gamma(4.0, 2.6)
            pitch = rng.normal(2.0, 5.5)
            distance = float(rng.choice((45.0, 150.0, 400.0), p=(0.15, 0.5, 0.35)) * rng.uniform(0.8, 1.25))
        else:
            yaw, pitch = rng.normal(0, (spread, 0.8 * spread))
            distance = t.distance
        looks.append(Look(start=at, yaw=float(yaw), pitch=float(pitch), distance=distance, away=away))

    # Looks away that speech asks for: shortly before or at the start of a phrase, while it is planned.
    planned = [start + rng.normal(-0.1, 0.15) for start, _ in speech.phrases if rng.random() < t.aversion]
    at, away = 0.0, bool(rng.random() < 0.1)
    while at < end:
        add(at, away)
        if away and rng.random() < 0.3:  # a pair of glances: a second place before the eyes come back
            stay, follow = rng.lognormal(np.log(0.35), 0.35), True
        elif away:
            stay, follow = rng.lognormal(np.log(0.75), 0.4), False
        else:
            stay, follow = (60 / t.looks) * rng.lognormal(-0.18, 0.6), bool(rng.random() < 0.10)
        due = [p for p in planned if at + 0.12 < p <= at + stay]
        if due and not away:
            stay, follow = due[0] - at, True
        at, away = at + float(np.clip(stay, 0.14, 4.0)), follow
    return looks


def head_share(looks: list[Look], frames: int, turn: float) -> np.ndarray:
    """[T, 2] degrees of yaw and pitch: the head turns after the eyes towards what lies far to the side."""
    centres, out = frame_centres(frames), np.zeros((frames, 2))
    before = np.zeros(2)
    for look in looks:
        at = np.array([look.yaw, look.pitch]) if look.away else np.zeros(2)
        goal = 0.3 * min(turn, 1.6) * np.sign(at) * np.clip(np.abs(at) - 4, 0, None)
        out += ease((centres - look.start - 0.06) / 0.55)[:, None] * (goal - before)
        before = goal
    return out


def gaze_track(
    rng: np.random.Generator, looks: list[Look], pose: np.ndarray, temperament: Temperament
) -> tuple[np.ndarray, np.ndarray]:
    """Eyes [T, 3] float64 degrees in the head (yaw, pitch, vergence), and the jumps [N, 2]: start (s) and amplitude."""
    frames = len(pose)
    centres = frame_centres(frames)
    hold = temperament.hold
    eyes, before = np.zeros((frames, 2)), np.zeros((frames, 2))
    converge = np.full(frames, vergence(looks[0].distance))
    jumps = []
    for number, look in enumerate(looks):
        goal = np.clip(in_head(look.yaw, look.pitch, hold * pose[:, :3]), -GAZE_LIMITS, GAZE_LIMITS)
        if number == 0:
            eyes = goal
        else:
            frame = min(int(look.start * FPS), frames - 1)
            amplitude = float(np.linalg.norm(goal[frame] - before[frame]))
            jumps.append((look.start, amplitude))
            eyes = before + ease((centres - look.start) / saccade_seconds(amplitude))[:, None] * (goal - before)
            late = np.clip(centres - look.start, 0, None)
            reached = 1 - np.exp(-late / _CONVERGE) * (1 + late / _CONVERGE)
            converge = converge + reached * (vergence(look.distance) - converge)
        before = eyes
    tremor = 0.10 * wander(rng, frames, 2, 0.8, 0.6)  # slow drift and microsaccades at rest
    eyes = np.clip(eyes + tremor, -GAZE_LIMITS, GAZE_LIMITS)
    return np.concatenate([eyes, converge[:, None]], -1), np.array(jumps).reshape(-1, 2)


def blink_times(
    rng: np.random.Generator, frames: int, rate: float, speech: Prosody | None = None, jumps: np.ndarray | None = None
) -> np.ndarray:
    """[N] seconds, ascending: `rate` a minute, of which about half go with the ends of phrases and large gaze jumps."""
    end = frames / FPS
    wanted: list[float] = []
    willing = min(1.0, rate / 20)
    if speech is not None:
        wanted += [e + rng.normal(0.05, 0.12) for _, e in speech.phrases if rng.random() < 0.4 * willing]
    if jumps is not None:
        wanted += [
            s + rng.uniform(-0.03, 0.03) for s, a in jumps if rng.random() < willing * np.clip((a - 6) / 20, 0, 0.6)
        ]
    free = max(rate - 60 * len(wanted) / end, 0.35 * rate) if end else rate
    interval = 60 / free
    at = rng.uniform(-interval, interval)
    while at < end:
        wanted.append(at)
        # A few quick pairs, else intervals with a long tail.
        at += rng.uniform(0.35, 0.7) if rng.random() < 0.06 else interval * rng.lognormal(-0.2, 0.7)
    kept: list[float] = []
    for at in sorted(w for w in wanted if -0.3 < w < end):
        if not kept or at - kept[-1] > 0.33:
            kept.append(at)
    return np.array(kept)


def lids_closing(rng: np.random.Generator, frames: int, times: np.ndarray) -> np.ndarray:
    """[T] float64, 0-1: lids that fall within 75-110 ms, hardly rest, and rise in 170-280 ms with a slow end."""
    centres = frame_centres(frames)
    lids = np.zeros(frames)
    for at in times:
        close, hold, reopen = rng.uniform(0.075, 0.11), rng.uniform(0.01, 0.05), rng.uniform(0.17, 0.28)
        depth = rng.uniform(0.93, 1.0) if rng.random() < 0.82 else rng.uniform(0.45, 0.9)
        since = centres - at
        fall = ease(since / close)
        rise = np.clip((since - close - hold) / reopen, 0, 1)
        lids = np.maximum(lids, depth * fall * (1 - rise) ** 2 * (1 + 2 * rise * (1 - rise) ** 2))
    return lids


def blinks(rng: np.random.Generator, frames: int, rate: float = 18.0) -> np.ndarray:
    """[T] float64, 0-1: blinks that go with nothing, `rate` a minute."""
    return lids_closing(rng, frames, blink_times(rng, frames, rate))


def lid_play(rng: np.random.Generator, frames: int, temperament: Temperament) -> np.ndarray:
    """[T]: eyeBlink between the blinks: heavy lids, and a slow play of a few hundredths."""
    slow = 0.05 * smooth_noise(rng, frames, 1, 1.5)[:, 0] + 0.02 * smooth_noise(rng, frames, 1, 0.3)[:, 0]
    return np.clip(temperament.lids + 0.03 + slow, 0, 0.4)
