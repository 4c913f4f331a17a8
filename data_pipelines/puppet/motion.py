"""Everything that moves besides the lips: head, eyes, lids, brows and smile, for speech and for probes.

`speech_motion` follows the utterance (nods and brow raises on stressed syllables, livelier while speaking);
`wide_motion` draws every factor independently over a wide range, so that a model can learn that they are independent.
Frame i shows the instant (i + 1/2) / 25 s.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from demo_jax.factors import ARKIT_INDEX, ARKIT_NAMES, FACTOR_OF
from demo_jax.typing import FPS

MOTION_VERSION = "1"

REST_POSE = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.75], np.float32)  # z: the face is 47 % of the crop wide
WIDE_POSE = np.array([25.0, 15.0, 15.0, 0.06, 0.06, 0.15])
WIDE_GAZE = np.array([20.0, 15.0])
LOOK_FULL = (30.0, 30.0)  # degrees of gaze yaw and pitch at which eyeLook* is 1

# Emotion -> coefficients at full intensity, and how much livelier (or slower) the head is.
_FACES: dict[str, dict[str, float]] = {
    "neutral": {},
    "happy": {"mouthSmile": 0.7, "cheekSquint": 0.5, "eyeSquint": 0.25, "mouthDimple": 0.15, "browOuterUp": 0.12},
    "sad": {"browInnerUp": 0.7, "mouthFrown": 0.55, "eyeSquint": 0.1},
    "angry": {"browDown": 0.85, "noseSneer": 0.3, "eyeSquint": 0.35, "mouthFrown": 0.25},
    "surprised": {"browInnerUp": 0.75, "browOuterUp": 0.8, "eyeWide": 0.65},
    "fearful": {"browInnerUp": 0.85, "browOuterUp": 0.3, "eyeWide": 0.6, "mouthFrown": 0.2},
    "disgusted": {"noseSneer": 0.8, "browDown": 0.45, "cheekSquint": 0.35, "mouthFrown": 0.3, "eyeSquint": 0.25},
    "contempt": {"mouthSmileLeft": 0.5, "mouthDimpleLeft": 0.5, "browOuterUpRight": 0.3},
}
_LIVELINESS = {"happy": 1.25, "sad": 0.6, "angry": 1.3, "surprised": 1.15}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Motion:
    """pose [T, 6], eyes [T, 3] (gaze yaw and pitch in the head, vergence; degrees), expression [T, 52]; all float32.

    The expression holds every factor: eyeLook* agree with `eyes`, the lips are whatever was passed in.
    """

    pose: np.ndarray
    eyes: np.ndarray
    expression: np.ndarray

    @property
    def frames(self) -> int:
        return len(self.pose)


def columns_of(factor: str) -> np.ndarray:
    """The indices of a factor's ARKit names ("pose" has none)."""
    return np.array([ARKIT_INDEX[n] for n in ARKIT_NAMES if FACTOR_OF[n] == factor], np.int64)


def smooth_noise(rng: np.random.Generator, frames: int, channels: int, seconds: float) -> np.ndarray:
    """[T, channels] float64: stationary Gaussian noise of unit variance that changes over about `seconds`."""
    from scipy.ndimage import gaussian_filter1d

    sigma = seconds * FPS / 2
    margin = int(4 * sigma) + 1
    white = rng.standard_normal((frames + 2 * margin, channels))
    scale = np.sqrt(2 * np.sqrt(np.pi) * sigma) if sigma > 0.5 else 1.0
    return gaussian_filter1d(white, sigma, axis=0, truncate=4.0)[margin : margin + frames] * scale


def wide_walk(rng: np.random.Generator, frames: int, limits: np.ndarray, seconds: float = 0.5) -> np.ndarray:
    """[T, C] float64: a smooth walk, uniformly distributed over -limits .. limits."""
    from scipy.special import erf

    return erf(smooth_noise(rng, frames, len(limits), seconds) / np.sqrt(2)) * limits


def eye_look(eyes: np.ndarray) -> np.ndarray:
    """Gaze yaw, pitch and vergence in degrees [T, 3] -> [T, 52] float32, zero except eyeLook*.

    Yaw > 0 is towards image right, the person's left: out for the left eye, in for the right one. Vergence turns each
    eye inwards by half of it.
    """
    out = np.zeros((len(eyes), len(ARKIT_NAMES)), np.float32)
    left, right = ((eyes[:, 0] + half * eyes[:, 2]) / LOOK_FULL[0] for half in (-0.5, 0.5))
    pitch = eyes[:, 1] / LOOK_FULL[1]
    for name, value in (
        ("OutLeft", left), ("InRight", right), ("InLeft", -left), ("OutRight", -right),
        ("DownLeft", pitch), ("DownRight", pitch), ("UpLeft", -pitch), ("UpRight", -pitch),
    ):  # fmt: skip
        out[:, ARKIT_INDEX[f"eyeLook{name}"]] = np.clip(value, 0, 1)
    return out


def blinks(rng: np.random.Generator, frames: int, mean_interval: float = 3.5) -> np.ndarray:
    """[T] float64, 0-1: lids that close in about 90 ms, stay 50 ms and open in 180 ms, every few seconds."""
    centres = (np.arange(frames) + 0.5) / FPS
    lids = np.zeros(frames)
    at = rng.uniform(0, mean_interval)
    while at < frames / FPS:
        close, hold, reopen = rng.uniform(0.07, 0.11), rng.uniform(0.04, 0.07), rng.uniform(0.14, 0.22)
        depth = rng.uniform(0.92, 1.0) if rng.random() < 0.85 else rng.uniform(0.5, 0.9)
        since = centres - at
        falling = np.clip((since - close - hold) / reopen, 0, 1)
        rising = np.clip(since / close, 0, 1)
        lids = np.maximum(lids, depth * _ease(rising) * (1 - _ease(falling)))
        at += close + hold + reopen + mean_interval * rng.gamma(2.0, 0.5)
    return lids


def _ease(u: np.ndarray) -> np.ndarray:
    return u * u * (3 - 2 * u)


def gaze_track(rng: np.random.Generator, pose: np.ndarray) -> np.ndarray:
    """[T, 3] float64 degrees: fixations of 0.3-3 s joined by saccades of 20-70 ms.

    More than half of the fixations rest on the camera, so there the eyes turn against the head.
    """
    frames = len(pose)
    centres = (np.arange(frames) + 0.5) / FPS
    eyes = np.zeros((frames, 2))
    target, at_camera = np.zeros(2), True
    start = 0.0
    before = np.zeros((frames, 2))
    while start < frames / FPS:
        if start > 0:
            at_camera = rng.random() < 0.55
            target = rng.normal(0, (9.0, 5.0))
        on_target = -0.9 * pose[:, :2] if at_camera else target - 0.3 * pose[:, :2]
        on_target = np.clip(on_target, (-28, -18), (28, 18))
        amplitude = float(np.abs(on_target - before).max(1)[min(int(start * FPS), frames - 1)])
        duration = 0.021 + 0.0022 * amplitude
        blend = _ease(np.clip((centres - start) / duration, 0, 1))[:, None] if start > 0 else 1.0
        eyes = before * (1 - blend) + on_target * blend
        before = eyes
        start += float(np.clip(rng.lognormal(-0.1, 0.6), 0.3, 3.0))
    eyes = eyes + 0.25 * smooth_noise(rng, frames, 2, 0.3)
    return np.concatenate([eyes, np.zeros((frames, 1))], -1)


def _bumps(frames: int, times: np.ndarray, heights: np.ndarray, width: float) -> np.ndarray:
    """[T]: a sum of Gaussian bumps at `times` (seconds) with a standard deviation of `width` seconds."""
    centres = (np.arange(frames) + 0.5) / FPS
    return (heights * np.exp(-0.5 * ((centres[:, None] - times) / width) ** 2)).sum(1)


def _face(emotion: str) -> np.ndarray:
    """[52]: the emotion's coefficients; a name without a side means both."""
    out = np.zeros(len(ARKIT_NAMES))
    for name, value in _FACES[emotion].items():
        for side in ("", "Left", "Right"):
            if name + side in ARKIT_INDEX:
                out[ARKIT_INDEX[name + side]] = value
    return out


def speech_motion(
    rng: np.random.Generator,
    lips: np.ndarray,
    times: np.ndarray,
    stressed: np.ndarray,
    emotion: str = "neutral",
) -> Motion:
    """Motion that goes with an utterance.

    Args:
      lips: [T, 52] from lip_curves.
      times, stressed: [P, 2] seconds and [P] bool, as synthesise gives them.
      emotion: one of EMOTIONS but "".
    """
    frames = len(lips)
    liveliness = _LIVELINESS.get(emotion, 1.0) * rng.uniform(0.6, 1.3)
    tempo = 1.5 if emotion == "sad" else 1.0
    accents = times[stressed].mean(1) if stressed.any() else np.zeros(0)
    talking = np.clip(_bumps(frames, times.mean(1), np.ones(len(times)), 0.15) / 3, 0, 1)

    slow = smooth_noise(rng, frames, 6, 2.2 * tempo) * (5.0, 3.0, 2.5, 0.014, 0.008, 0.03)
    quick = smooth_noise(rng, frames, 6, 0.5 * tempo) * (1.6, 1.3, 1.0, 0.002, 0.002, 0.005)
    pose = REST_POSE + rng.normal(0, (7.0, 4.0, 3.0, 0.012, 0.012, 0.05))
    pose = pose + liveliness * (slow + quick * (0.3 + 0.7 * talking)[:, None])
    nods = rng.normal(2.6, 1.4, len(accents)) * (rng.random(len(accents)) < 0.6)
    pose[:, 1] += liveliness * _bumps(frames, accents - 0.02, nods, 0.11)
    pose[:, 0] += liveliness * _bumps(frames, accents, rng.normal(0, 1.5, len(accents)), 0.16)
    limits = np.array([40.0, 25.0, 22.0, 0.08, 0.08, 0.2])
    pose = np.clip(pose, REST_POSE - limits, REST_POSE + limits)

    eyes = gaze_track(rng, pose)
    expression = np.zeros((frames, len(ARKIT_NAMES)))
    intensity = rng.uniform(0.55, 1.0) * (1 + 0.2 * smooth_noise(rng, frames, 1, 1.2))
    expression += _face(emotion) * intensity
    raises = rng.uniform(0.1, 0.45, len(accents)) * (rng.random(len(accents)) < 0.35)
    brow = _bumps(frames, accents, raises, 0.12) + 0.05 * np.abs(smooth_noise(rng, frames, 1, 0.8))[:, 0]
    for name in ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"):
        expression[:, ARKIT_INDEX[name]] += brow * rng.uniform(0.6, 1.0)
    lids = blinks(rng, frames)
    for name in ("eyeBlinkLeft", "eyeBlinkRight"):
        expression[:, ARKIT_INDEX[name]] = lids
    return _assemble(pose, eyes, lips, expression)


def _assemble(pose: np.ndarray, eyes: np.ndarray, lips: np.ndarray, rest: np.ndarray) -> Motion:
    """Lip columns from `lips`, eyeLook* from `eyes`, the others from `rest`."""
    expression = np.clip(rest, 0, 1)
    expression[:, columns_of("lip")] = lips[:, columns_of("lip")]
    look = eye_look(eyes)
    names = [i for n, i in ARKIT_INDEX.items() if n.startswith("eyeLook")]
    expression[:, names] = look[:, names]
    return Motion(pose=pose.astype(np.float32), eyes=eyes.astype(np.float32), expression=expression.astype(np.float32))


def wide_motion(rng: np.random.Generator, lips: np.ndarray) -> Motion:
    """Every factor but the lips drawn independently of the others and of the speech, over its whole range."""
    frames = len(lips)
    # Fixed order and one child generator each: redrawing one factor cannot change another.
    of_pose, of_gaze, of_residual = rng.spawn(3)
    pose = REST_POSE + wide_walk(of_pose, frames, WIDE_POSE, 0.7)
    eyes, lids = _wide_gaze(of_gaze, frames)
    residual = _wide_residual(of_residual, frames)
    return _assemble(pose, eyes, lips, lids + residual)


def _wide_gaze(rng: np.random.Generator, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """eyes [T, 3] and expression [T, 52] with lids, squint and wide eyes only."""
    eyes = np.pad(wide_walk(rng, frames, WIDE_GAZE, 0.35), ((0, 0), (0, 1)))
    out = np.zeros((frames, len(ARKIT_NAMES)))
    lids = np.clip(0.2 + 0.8 * wide_walk(rng, frames, np.ones(2), 0.35), 0, 1) * (rng.random() < 0.5)
    if rng.random() < 0.6:
        lids[:, 1] = lids[:, 0]
    lids = np.maximum(lids, blinks(rng, frames, 2.0)[:, None])
    wide = np.clip(wide_walk(rng, frames, np.ones(2), 0.6), 0, 1) * (rng.random() < 0.4)
    for column, side in enumerate(("Left", "Right")):
        out[:, ARKIT_INDEX[f"eyeBlink{side}"]] = lids[:, column]
        out[:, ARKIT_INDEX[f"eyeWide{side}"]] = wide[:, 0] * (1 - lids[:, column])
        out[:, ARKIT_INDEX[f"eyeSquint{side}"]] = wide[:, 1]
    return eyes, out


def _wide_residual(rng: np.random.Generator, frames: int) -> np.ndarray:
    """[T, 52]: a random mixture of two emotions and of single coefficients, changing smoothly."""
    names = [n for n in _FACES if n != "neutral"]
    first, second = rng.choice(len(names), 2, replace=False)
    amounts = np.clip(0.4 + 0.9 * wide_walk(rng, frames, np.ones(2), 0.6), 0, 1)
    mixed = amounts[:, :1] * _face(names[first]) + amounts[:, 1:] * _face(names[second])
    single = columns_of("residual")
    chosen = rng.choice(single, 4, replace=False)
    mixed[:, chosen] += np.clip(wide_walk(rng, frames, np.full(4, 0.8), 0.6), 0, 1)
    out = np.zeros_like(mixed)
    out[:, single] = mixed[:, single]
    return out


def random_lips(rng: np.random.Generator, frames: int) -> np.ndarray:
    """[T, 52] float32: mouth shapes that no speech makes, smooth, for probes."""
    out = np.zeros((frames, len(ARKIT_NAMES)))
    names = ("jawOpen", "mouthPucker", "mouthFunnel", "mouthStretch", "mouthLowerDown", "mouthUpperUp")
    amounts = np.clip(wide_walk(rng, frames, np.full(len(names), 0.9), 0.3), 0, 1)
    amounts[:, 0] = np.clip(0.3 + wide_walk(rng, frames, np.full(1, 0.5), 0.3)[:, 0], 0, 0.8)
    for column, name in enumerate(names):
        for side in ("", "Left", "Right"):
            if name + side in ARKIT_INDEX:
                out[:, ARKIT_INDEX[name + side]] = amounts[:, column]
    sideways = wide_walk(rng, frames, np.full(1, 0.6), 0.4)[:, 0]
    out[:, ARKIT_INDEX["mouthLeft"]] = np.clip(sideways, 0, 1)
    out[:, ARKIT_INDEX["mouthRight"]] = np.clip(-sideways, 0, 1)
    return np.clip(out, 0, 1).astype(np.float32)


def redraw(base: Motion, other: Motion, factor: str) -> Motion:
    """`base` with one factor taken from `other`: the ground truth of a swap. Raises ValueError on a wrong factor."""
    if factor == "pose":
        return dataclasses.replace(base, pose=other.pose)
    columns = columns_of(factor)
    if not len(columns):
        raise ValueError(f"{factor!r} is not a factor.")
    expression = base.expression.copy()
    expression[:, columns] = other.expression[:, columns]
    return dataclasses.replace(base, expression=expression, eyes=other.eyes if factor == "gaze" else base.eyes)
