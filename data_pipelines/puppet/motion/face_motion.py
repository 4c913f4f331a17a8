"""The motion of a whole face: in speech, in silence, and with every factor drawn independently.

`speech_motion` follows the utterance: the head nods at its accents, the eyes turn away and back with its phrases, brows
and smile show the emotion. `idle_motion` is the same person in silence. `wide_motion` draws every factor independently
over WIDE_*, further than speech goes, so that models learn that the factors are independent and controls work over
their whole range. Frame i shows the instant (i + 1/2) / 25 s.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from data_pipelines.puppet.motion import emotion as emotions
from data_pipelines.puppet.motion import eyes as eye_motion
from data_pipelines.puppet.motion.articulation import ArticulationStyle, idle_lips
from data_pipelines.puppet.motion.emotion import EMOTION_TEMPO, FACES, columns_named, face
from data_pipelines.puppet.motion.head_motion import REST_POSE, head_motion
from data_pipelines.puppet.motion.motion_style import MotionStyle
from data_pipelines.puppet.motion.noise import wide_walk
from data_pipelines.puppet.speech.prosody import prosody
from demo_jax.constants import SAMPLES_PER_FRAME
from demo_jax.factors import ARKIT_INDEX, ARKIT_NAMES, columns_of

__all__ = [
    "LOOK_FULL", "MOTION_VERSION", "REST_POSE", "WIDE_GAZE", "WIDE_POSE", "WIDE_VERGENCE", "Motion",
    "assemble", "eye_look", "idle_motion", "random_lips", "redraw", "speech_motion", "wide_motion",
]  # fmt: skip

MOTION_VERSION = "2"

# Half ranges of wide_motion about REST_POSE: degrees, crop widths, log size. Speech stays within about half of them.
WIDE_POSE = np.array([30.0, 18.0, 18.0, 0.06, 0.06, 0.15])
WIDE_GAZE = np.array([25.0, 18.0])  # degrees in the head
WIDE_VERGENCE = (0.0, 9.0)  # degrees: from far away to 40 cm
LOOK_FULL = (30.0, 30.0)  # degrees of gaze yaw and pitch at which eyeLook* is 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Motion:
    """Tracks of a face, all float32.

    pose        [T, 6]
    eyes        [T, 3] gaze yaw and pitch in the head, vergence; degrees
    expression  [T, 52] of every factor; eyeLook* agree with `eyes`
    """

    pose: np.ndarray
    eyes: np.ndarray
    expression: np.ndarray

    @property
    def frames(self) -> int:
        return len(self.pose)


def eye_look(eyes: np.ndarray) -> np.ndarray:
    """Returns [T, 52] float32, zero except eyeLook*, for gaze yaw, pitch and vergence [T, 3] in degrees.

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


def speech_motion(
    rng: np.random.Generator,
    lips: np.ndarray,
    times: np.ndarray,
    stressed: np.ndarray,
    emotion: str = "neutral",
    *,
    waveform: np.ndarray,
    motion_style: MotionStyle | None = None,
) -> Motion:
    """Returns motion that goes with an utterance.

    Args:
      lips: [T, 52] from lip_curves.
      times, stressed: [P, 2] seconds and [P] bool, as synthesise returns them; P = 0 is silence.
      emotion: one of EMOTIONS but "".
      waveform: int16 [T * 640], the audio.
      motion_style: the person's; default an average person.
    """
    frames, person = len(lips), motion_style or MotionStyle()
    of_head, of_fixations, of_gaze, of_lids, of_face = rng.spawn(5)
    speech = prosody(waveform, times, stressed, frames)
    liveliness, tempo = emotions.LIVELINESS.get(emotion, 1.0), 1 / EMOTION_TEMPO[emotion] ** 1.5
    pose = head_motion(of_head, speech, frames, person, liveliness, tempo)
    fixations = eye_motion.schedule(of_fixations, speech, frames, person)
    pose[:, :2] += eye_motion.head_share(fixations, frames, person.turn)
    eyes, saccades = eye_motion.gaze_track(of_gaze, fixations, pose, person)

    expression = emotions.expression(of_face, emotion, speech, frames, person)
    expression *= _room_for_lips(lips)
    rate = person.blinks * emotions.blink_factor(emotion)
    closing = eye_motion.lids_closing(of_lids, frames, eye_motion.blink_times(of_lids, frames, rate, speech, saccades))
    resting = eye_motion.lid_variation(of_lids, frames, person) + emotions.droop(emotion) * expression.max(1)
    for name in ("eyeBlinkLeft", "eyeBlinkRight"):
        expression[:, ARKIT_INDEX[name]] = np.maximum(closing, resting)
    return assemble(pose, eyes, lips, expression)


def idle_motion(
    rng: np.random.Generator,
    frames: int,
    emotion: str = "neutral",
    *,
    style: ArticulationStyle | None = None,
    motion_style: MotionStyle | None = None,
) -> Motion:
    """Returns the motion of a silent person: they breathe, sway, look around, blink, press their lips and swallow.

    For clips without phonemes, whose audio is room noise.
    """
    of_lips, of_rest = rng.spawn(2)
    return speech_motion(
        of_rest,
        idle_lips(of_lips, frames, style),
        np.zeros((0, 2)),
        np.zeros(0, bool),
        emotion,
        waveform=np.zeros(frames * SAMPLES_PER_FRAME, np.int16),
        motion_style=motion_style,
    )


def _room_for_lips(lips: np.ndarray) -> np.ndarray:
    """Returns factors [T, 52], at most 1: rounded lips cannot smile or frown fully."""
    out = np.ones((len(lips), len(ARKIT_NAMES)))
    rounded = np.clip(lips[:, ARKIT_INDEX["mouthPucker"]] + 0.5 * lips[:, ARKIT_INDEX["mouthFunnel"]], 0, 1)
    for name, less in (("mouthSmile", 0.5), ("mouthFrown", 0.5), ("mouthDimple", 0.7)):
        for side in ("Left", "Right"):
            out[:, ARKIT_INDEX[name + side]] = 1 - less * rounded
    return out


def assemble(pose: np.ndarray, eyes: np.ndarray, lips: np.ndarray, rest: np.ndarray) -> Motion:
    """Returns a Motion with lip columns from `lips`, eyeLook* from `eyes` and the others from `rest`, all [T, ...]."""
    expression = np.clip(rest, 0, 1)
    expression[:, columns_of("lip")] = lips[:, columns_of("lip")]
    look = eye_look(eyes)
    names = [i for n, i in ARKIT_INDEX.items() if n.startswith("eyeLook")]
    expression[:, names] = look[:, names]
    return Motion(pose=pose.astype(np.float32), eyes=eyes.astype(np.float32), expression=expression.astype(np.float32))


def wide_motion(rng: np.random.Generator, lips: np.ndarray) -> Motion:
    """Draws every factor but the lips independently of the others and of the speech, over its whole range (WIDE_*)."""
    frames = len(lips)
    # Fixed order and one child generator each: changing one factor cannot change another.
    of_pose, of_gaze, of_residual = rng.spawn(3)
    pose = REST_POSE + wide_walk(of_pose, frames, WIDE_POSE, 0.7)
    eyes, lids = _wide_gaze(of_gaze, frames)
    residual = _wide_residual(of_residual, frames)
    return assemble(pose, eyes, lips, lids + residual)


def _wide_gaze(rng: np.random.Generator, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns eyes [T, 3] and expression [T, 52] with lids, squint and wide eyes only."""
    low, high = WIDE_VERGENCE
    eyes = wide_walk(rng, frames, np.array([*WIDE_GAZE, (high - low) / 2]), 0.35) + (0, 0, (low + high) / 2)
    out = np.zeros((frames, len(ARKIT_NAMES)))
    lids = np.clip(0.2 + 0.8 * wide_walk(rng, frames, np.ones(2), 0.35), 0, 1) * (rng.random() < 0.5)
    if rng.random() < 0.6:
        lids[:, 1] = lids[:, 0]
    lids = np.maximum(lids, eye_motion.blinks(rng, frames, 30.0)[:, None])
    wide = np.clip(wide_walk(rng, frames, np.ones(2), 0.6), 0, 1) * (rng.random() < 0.4)
    for column, side in enumerate(("Left", "Right")):
        out[:, ARKIT_INDEX[f"eyeBlink{side}"]] = lids[:, column]
        out[:, ARKIT_INDEX[f"eyeWide{side}"]] = wide[:, 0] * (1 - lids[:, column])
        out[:, ARKIT_INDEX[f"eyeSquint{side}"]] = wide[:, 1]
    return eyes, out


def _wide_residual(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Returns [T, 52]: a random mixture of two emotions and of single coefficients, changing smoothly."""
    names = [n for n in FACES if n != "neutral"]
    first, second = rng.choice(len(names), 2, replace=False)
    amounts = np.clip(0.4 + 0.9 * wide_walk(rng, frames, np.ones(2), 0.6), 0, 1)
    mixed = amounts[:, :1] * face(names[first]) + amounts[:, 1:] * face(names[second])
    single = columns_of("residual")
    chosen = rng.choice(single, 4, replace=False)
    mixed[:, chosen] += np.clip(wide_walk(rng, frames, np.full(4, 0.8), 0.6), 0, 1)
    out = np.zeros_like(mixed)
    out[:, single] = mixed[:, single]
    return out


def random_lips(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Returns [T, 52] float32: smooth mouth shapes that do not occur in speech, for probes."""
    out = np.zeros((frames, len(ARKIT_NAMES)))
    names = ("jawOpen", "mouthPucker", "mouthFunnel", "mouthStretch", "mouthLowerDown", "mouthUpperUp")
    amounts = np.clip(wide_walk(rng, frames, np.full(len(names), 0.9), 0.3), 0, 1)
    amounts[:, 0] = np.clip(0.3 + wide_walk(rng, frames, np.full(1, 0.5), 0.3)[:, 0], 0, 0.8)
    for column, name in enumerate(names):
        out[:, columns_named(name)] = amounts[:, [column]]
    sideways = wide_walk(rng, frames, np.full(1, 0.6), 0.4)[:, 0]
    out[:, ARKIT_INDEX["mouthLeft"]] = np.clip(sideways, 0, 1)
    out[:, ARKIT_INDEX["mouthRight"]] = np.clip(-sideways, 0, 1)
    return np.clip(out, 0, 1).astype(np.float32)


def redraw(base: Motion, other: Motion, factor: str) -> Motion:
    """Returns `base` with one factor from `other`, the truth of a factor swap. Raises ValueError on a wrong factor."""
    if factor == "pose":
        return dataclasses.replace(base, pose=other.pose)
    columns = columns_of(factor)
    if not len(columns):
        raise ValueError(f"{factor!r} is not a factor.")
    expression = base.expression.copy()
    expression[:, columns] = other.expression[:, columns]
    return dataclasses.replace(base, expression=expression, eyes=other.eyes if factor == "gaze" else base.eyes)
