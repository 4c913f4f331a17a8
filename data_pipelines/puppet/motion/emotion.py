"""The effect of emotions on face, head motion and tempo of speech, and the brows and smiles of neutral speech."""

from __future__ import annotations

import numpy as np

from data_pipelines.puppet.motion.motion_style import MotionStyle
from data_pipelines.puppet.motion.noise import bumps, smooth_noise, steps
from data_pipelines.puppet.speech.prosody import Prosody
from demo_jax.constants import FPS
from demo_jax.factors import ARKIT_INDEX, ARKIT_NAMES

# Emotion -> coefficients at full intensity; a name without a side means both.
FACES: dict[str, dict[str, float]] = {
    "neutral": {},
    "happy": {"mouthSmile": 0.85, "cheekSquint": 0.6, "eyeSquint": 0.3, "mouthDimple": 0.2, "browOuterUp": 0.15},
    "sad": {"browInnerUp": 0.95, "mouthFrown": 0.55, "eyeSquint": 0.15, "browDown": 0.15},
    "angry": {"browDown": 1.0, "noseSneer": 0.45, "eyeSquint": 0.4, "mouthFrown": 0.35},
    "surprised": {"browInnerUp": 0.9, "browOuterUp": 0.95, "eyeWide": 0.8},
    "fearful": {"browInnerUp": 1.0, "browOuterUp": 0.35, "eyeWide": 0.75, "mouthFrown": 0.35, "browDown": 0.2},
    "disgusted": {"noseSneer": 1.0, "browDown": 0.55, "cheekSquint": 0.4, "mouthFrown": 0.3, "eyeSquint": 0.3},
    "contempt": {"mouthSmileLeft": 0.6, "mouthDimpleLeft": 0.6, "browOuterUpRight": 0.5, "eyeSquint": 0.15},
}  # fmt: skip

# Emotion -> factor on the rate of speech (words a minute).
EMOTION_TEMPO: dict[str, float] = {
    "neutral": 1.0, "happy": 1.06, "sad": 0.86, "angry": 1.08, "surprised": 1.04, "fearful": 1.10, "disgusted": 0.94,
    "contempt": 0.95,
}  # fmt: skip
# How much the head moves, and how far the mouth opens; 1 is neutral.
LIVELINESS = {"happy": 1.25, "sad": 0.6, "angry": 1.3, "surprised": 1.15, "fearful": 0.9, "contempt": 0.85}
EFFORT = {"happy": 1.05, "sad": 0.85, "angry": 1.15, "surprised": 1.08, "fearful": 0.95}
_BLINKS = {"sad": 0.8, "angry": 0.8, "surprised": 0.7, "fearful": 1.5, "happy": 1.1}
_DROOP = {"sad": 0.12, "disgusted": 0.08, "contempt": 0.08}  # eyeBlink of the open eye


def columns_named(name: str) -> list[int]:
    """Returns the ARKit columns of a name; one without its side means both sides."""
    return [ARKIT_INDEX[name + side] for side in ("", "Left", "Right") if name + side in ARKIT_INDEX]


def face(emotion: str) -> np.ndarray:
    """Returns the emotion's coefficients [52] at full intensity."""
    out = np.zeros(len(ARKIT_NAMES))
    for name, value in FACES[emotion].items():
        out[columns_named(name)] = value
    return out


def blink_factor(emotion: str) -> float:
    """Returns the emotion's factor on the rate of blinks."""
    return _BLINKS.get(emotion, 1.0)


def droop(emotion: str) -> float:
    """Returns the eyeBlink that the emotion adds to open lids."""
    return _DROOP.get(emotion, 0.0)


def intensity(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Returns waves of an emotion's intensity [T] 0-1: onset within a second, apex, offset within two, never zero."""
    seconds, at = frames / FPS, -rng.uniform(0, 3)
    level = rng.uniform(0.3, 0.55)
    times, jumps, lengths = [], [], []
    while at < seconds:
        height = rng.uniform(0.7, 1.0) - level
        onset, apex, offset = rng.uniform(0.35, 0.9), rng.uniform(0.8, 3.0), rng.uniform(0.7, 1.8)
        times += [at, at + onset + apex]
        jumps += [height, -height]
        lengths += [onset, offset]
        at += onset + apex + offset + rng.exponential(0.8)
    wave = level + steps(frames, np.array(times), np.array(jumps)[:, None], np.array(lengths))[:, 0]
    return np.clip(wave * (1 + 0.08 * smooth_noise(rng, frames, 1, 0.6)[:, 0]), 0, 1)


def expression(
    rng: np.random.Generator, emotion: str, speech: Prosody, frames: int, motion_style: MotionStyle
) -> np.ndarray:
    """Returns [T, 52] float64: brows, smile, cheeks, nose and tension of the lids; without blinks, gaze and lips."""
    of_face, of_brow, of_smile = rng.spawn(3)
    # Emotions look different on each person and on each side.
    shown = face(emotion) * of_face.lognormal(0, 0.2, len(ARKIT_NAMES))
    out = intensity(of_face, frames)[:, None] * shown
    for name, value in _brows(of_brow, speech, frames, motion_style).items():
        out[:, ARKIT_INDEX[name]] += value
    smile = _smiles(of_smile, emotion, speech, frames, motion_style)
    lopsided = float(np.clip(of_smile.normal(0, 0.15), -0.4, 0.4))
    for side, more in (("Left", 1 + lopsided), ("Right", 1 - lopsided)):
        out[:, ARKIT_INDEX[f"mouthSmile{side}"]] += smile * more
        out[:, ARKIT_INDEX[f"cheekSquint{side}"]] += 0.5 * smile * more
        out[:, ARKIT_INDEX[f"eyeSquint{side}"]] += 0.25 * smile
    return out


def _brows(rng: np.random.Generator, speech: Prosody, frames: int, motion_style: MotionStyle) -> dict[str, np.ndarray]:
    """Returns name -> [T]: raises at strong accents and questions, short frowns, and small continuous motion."""
    count = len(speech.accents)
    raises = rng.uniform(0.1, 0.45, count) * (rng.random(count) < 0.1 + 0.45 * speech.strength)
    up = bumps(frames, speech.accents, raises, rng.uniform(0.1, 0.2))
    ends = np.array([e for (_, e), rising in zip(speech.phrases, speech.rising, strict=True) if rising])
    up += bumps(frames, ends - 0.1, rng.uniform(0.2, 0.5, len(ends)), 0.22)
    seconds = frames / FPS
    idle = rng.uniform(0, seconds, rng.poisson(seconds / 4))
    up += bumps(frames, idle, rng.uniform(0.05, 0.25, len(idle)), rng.uniform(0.15, 0.4))
    up = motion_style.brow * up + 0.04 * np.abs(smooth_noise(rng, frames, 1, 0.8)[:, 0])
    knit_at = rng.uniform(0, seconds, rng.poisson(seconds / 7))
    knit = motion_style.brow * bumps(frames, knit_at, rng.uniform(0.1, 0.4, len(knit_at)), rng.uniform(0.2, 0.5))
    inner, left, right = rng.uniform(0.6, 1.0, 3)
    wide = 0.25 * np.clip(up - 0.1, 0, None)
    return {
        "browInnerUp": up * inner, "browOuterUpLeft": up * left, "browOuterUpRight": up * right,
        "browDownLeft": knit * left, "browDownRight": knit * right, "eyeWideLeft": wide, "eyeWideRight": wide,
    }  # fmt: skip


def _smiles(
    rng: np.random.Generator, emotion: str, speech: Prosody, frames: int, motion_style: MotionStyle
) -> np.ndarray:
    """Returns [T]: the person's resting smile and polite smiles at the ends of phrases; 0 in negative emotions."""
    if emotion not in ("neutral", "happy", "surprised"):
        return np.zeros(frames)
    ends = np.array([e + 0.15 for _, e in speech.phrases if rng.random() < 0.25])
    polite = bumps(frames, ends, rng.uniform(0.1, 0.4, len(ends)), rng.uniform(0.25, 0.5))
    slow = 1 + 0.5 * smooth_noise(rng, frames, 1, 1.5)[:, 0]
    return np.clip(motion_style.smile * slow + polite, 0, 0.6)
