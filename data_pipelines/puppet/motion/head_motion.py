"""Head motion of a speaker or listener: wandering, nods at accents, rises at the ends of phrases, posture shifts.

Head movements follow the accents of speech (Munhall et al., Psychological Science 15(2), 2004); between them the head
wanders with a spectrum that falls off steeply, and shifts its posture in pauses. It turns about a pivot in the neck, so
the face centre moves with every turn, and the trunk sways beneath it.
"""

from __future__ import annotations

import numpy as np

from data_pipelines.puppet.motion.motion_style import MotionStyle
from data_pipelines.puppet.motion.noise import bumps, smooth_noise, steps, wander
from data_pipelines.puppet.speech.prosody import Prosody, frame_centres
from demo_jax.factors import rotation_matrix

REST_POSE = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.75], np.float32)  # z: the face is 47 % of the crop wide
POSE_LIMITS = np.array([40.0, 25.0, 22.0, 0.10, 0.08, 0.2])
_LARGEST_NOD = 9.0  # degrees
_CAMERA = 6.0  # face widths from the camera, for the growth of a head that moves forward


def head_motion(
    rng: np.random.Generator, speech: Prosody, frames: int, motion_style: MotionStyle, liveliness: float, tempo: float
) -> np.ndarray:
    """Returns the pose [T, 6] float64 of a person who speaks, or listens during silence.

    liveliness and tempo are the emotion's factors: how much, and how slowly (above 1), the head moves.
    """
    t = motion_style
    of_base, of_drift, of_sway, of_accent, of_phrase = rng.spawn(5)
    amount = np.array([t.turn, t.nod, t.tilt]) * liveliness
    base = np.array(t.habit) + of_base.normal(0, (5.0, 2.5, 1.8))
    gate = (0.45 + 0.55 * speech.talking)[:, None]
    slow = smooth_noise(of_drift, frames, 3, 2.0 * t.tempo * tempo) * (4.2, 1.7, 2.3)
    quick = wander(of_drift, frames, 3, 0.9 * t.tempo * tempo, 1.0) * (1.6, 0.75, 1.15)
    angles = base + amount * (slow + gate * quick)
    nods = amount * _accents(of_accent, speech, frames)
    angles += _LARGEST_NOD * np.tanh(nods / _LARGEST_NOD)
    angles += np.sqrt(amount) * _phrases(of_phrase, speech, frames, t.tempo * tempo)
    # Lively people do not turn beyond the limits: large angles are compressed.
    limit = POSE_LIMITS[:3]
    angles = limit * np.tanh(angles / limit)
    trunk = _trunk(of_sway, frames, t, liveliness)
    pose = np.concatenate([angles, np.zeros((frames, 3))], -1) + REST_POSE
    pose[:, 3:] += of_base.normal(0, (0.012, 0.010, 0.05)) + trunk
    pose[:, 3:] += neck_shift(angles, t) - neck_shift(base[None], t)  # the crop is placed on the resting head
    return np.clip(pose, REST_POSE - POSE_LIMITS, REST_POSE + POSE_LIMITS)


def neck_shift(angles: np.ndarray, motion_style: MotionStyle) -> np.ndarray:
    """Returns the shift [T, 3] of the face centre's x, y, z when the head turns about the neck.

    angles: yaw, pitch, roll [T, 3] in degrees. x, y: crop widths at the resting size; z: log size.
    """
    arm = np.array([0.0, motion_style.neck, motion_style.nape])
    moved = rotation_matrix(*angles.T) @ arm - arm
    size = np.exp(-REST_POSE[5])
    return np.stack([size * moved[:, 0], size * moved[:, 1], -moved[:, 2] / _CAMERA], -1)


def _trunk(rng: np.random.Generator, frames: int, t: MotionStyle, liveliness: float) -> np.ndarray:
    """Returns x, y, z [T, 3] of the shoulders: sway, and a breath about every four seconds."""
    sway = wander(rng, frames, 3, 2.0 * t.tempo, 0.75) * (0.0095, 0.0090, 0.0125) * t.sway * liveliness
    rate = rng.uniform(0.2, 0.33)
    phase = 2 * np.pi * (rate * frame_centres(frames) + rng.uniform())
    breath = np.sin(phase + 0.4 * np.sin(phase))  # in faster than out
    sway[:, 1] += 0.0018 * breath
    return sway


def _accents(rng: np.random.Generator, speech: Prosody, frames: int) -> np.ndarray:
    """Returns [T, 3] degrees: nods at accents, each preceded by a lift, and small turns and tilts with some of them."""
    count = len(speech.accents)
    out = np.zeros((frames, 3))
    if not count:
        return out
    given = rng.random(count) < 0.25 + 0.6 * speech.strength
    size = given * rng.gamma(3.0, 0.75, count) * (0.5 + speech.strength)
    width = rng.uniform(0.06, 0.12, count)
    at = speech.accents + rng.normal(0, 0.03, count)
    out[:, 1] += bumps(frames, at, size, width)
    out[:, 1] -= bumps(frames, at - 2.2 * width, 0.5 * size * rng.random(count), width)
    out[:, 1] -= bumps(frames, at + 2.2 * width, 0.35 * size * rng.random(count), width)
    beside = rng.normal(0, 1, (2, count)) * (rng.random((2, count)) < 0.4) * (0.5 + speech.strength)
    out[:, 0] += bumps(frames, at, 1.6 * beside[0], 1.3 * width)
    out[:, 2] += bumps(frames, at, 1.2 * beside[1], 1.3 * width)
    # Now and then a shake: "no", "very", doubt.
    if rng.random() < 0.25:
        middle = speech.accents[rng.integers(count)]
        since = frame_centres(frames) - middle
        shake = np.sin(2 * np.pi * rng.uniform(1.6, 2.6) * since) * np.exp(-0.5 * (since / 0.35) ** 2)
        out[:, 0] += rng.uniform(1.5, 4.0) * shake
    return out


def _phrases(rng: np.random.Generator, speech: Prosody, frames: int, tempo: float) -> np.ndarray:
    """Returns [T, 3] degrees: the head sinks along a phrase and rises at its end, further for a question.

    The posture shifts in pauses, and every few seconds in silence.
    """
    out = np.zeros((frames, 3))
    moments: list[float] = []
    for (start, end), rising in zip(speech.phrases, speech.rising, strict=True):
        inside = np.clip((frame_centres(frames) - start) / max(end - start, 0.1), 0, 1)
        depth = rng.normal(1.2, 0.8)
        out[:, 1] += depth * inside * (frame_centres(frames) < end)
        lift = depth + (rng.uniform(1.0, 3.0) if rising else rng.normal(0.3, 0.8))
        # The sinking ends with the phrase; the rest of it is undone over half a second.
        after = np.clip((frame_centres(frames) - end) / (0.5 * tempo), 0, 1)
        out[:, 1] += (depth - lift * np.sin(0.5 * np.pi * after)) * (frame_centres(frames) >= end)
        if rng.random() < 0.6:
            moments.append(end + rng.uniform(-0.1, 0.2))
    quiet = [(a, b) for a, b in _silences(speech, frames) if b - a > 1.2]
    for start, end in quiet:
        at = start + rng.exponential(1.5)
        while at < end - 0.3:
            moments.append(at)
            at += 1.0 + rng.exponential(2.0)
    if moments:
        times = np.array(moments)
        jumps = rng.normal(0, (3.2, 1.5, 1.7), (len(times), 3))
        # The next shift partly undoes a shift, so the head does not drift away.
        jumps[1:] -= 0.6 * jumps[:-1]
        out += steps(frames, times, jumps, tempo * rng.uniform(0.4, 0.9, len(times)))
    return out


def _silences(speech: Prosody, frames: int) -> list[tuple[float, float]]:
    edges = [0.0, *(v for phrase in speech.phrases for v in phrase), float(frame_centres(frames)[-1])]
    return list(zip(edges[::2], edges[1::2], strict=True))
