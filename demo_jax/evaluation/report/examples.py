"""What a report shows: strips and clips of truth beside drawing, as data URIs for its page."""

from __future__ import annotations

import base64
import dataclasses
import io

import numpy as np
from PIL import Image

from data_pipelines.loading.examples import decode_frame
from data_pipelines.puppet.motion.face_motion import Motion
from data_pipelines.records.schema import ClipRecord
from demo_jax.constants import FPS
from demo_jax.evaluation.experiments import neutral
from demo_jax.evaluation.puppets import Probes, Puppets, take
from demo_jax.evaluation.reenactor import Reenactor
from demo_jax.factors import ARKIT_INDEX, CALIBRATED_SCALE

DIFFERENCE_GAIN = 4  # of shown differences
SHOWN_AT = 128  # px, of small pictures
SWEEP = 16  # frames of each control's swing


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """One picture or clip of the page: its data URI, what it is, and how wide to show it (px)."""

    uri: str
    caption: str
    width: int


def strip(reenactor: Reenactor, record: ClipRecord) -> Example:
    """Source, truth, drawing and difference of frames across a piece."""
    what = "independent factors" if record.variant else "speech"
    caption = f"{record.key}, {what}: source, truth, drawing, difference (times {DIFFERENCE_GAIN})"
    return picture(sheet(example_rows(reenactor, record)), caption, reenactor.size)


def cross_strip(reenactor: Reenactor, puppets: Puppets, probes: Probes, count: int = 6) -> Example:
    """One person's portrait with another's motion: source, driver, drawing and the true render."""
    source, driver = probes.speakers[0], probes.speakers[-1]
    portrait, rows = probes.pictures[probes.of(source)[0]], probes.of(driver)[:count]
    made = reenactor.decode(reenactor.source(portrait), reenactor.encode(probes.pictures[rows]))
    true = puppets.render(source, take(probes.motion, rows))
    stack = np.stack([np.repeat(portrait[None], len(rows), 0), probes.pictures[rows], made, true])
    return picture(
        sheet(stack), f"{source} with the motion of {driver}: source, driver, drawing, truth", reenactor.size
    )


def swings() -> tuple[Motion, np.ndarray]:
    """A resting head that swings one thing after another, and which calibrated coordinates [T, 13] are controlled."""
    motion, set_ = neutral(5 * SWEEP), np.zeros((5 * SWEEP, 13), bool)
    swing = np.sin(2 * np.pi * np.arange(SWEEP) / SWEEP)
    parts = [slice(k * SWEEP, (k + 1) * SWEEP) for k in range(5)]
    motion.pose[parts[0], 0], motion.pose[parts[1], 1] = 22 * swing, 12 * swing
    motion.eyes[parts[2], 0] = 18 * swing
    motion.expression[parts[3], ARKIT_INDEX["jawOpen"]] = 0.7 * np.abs(swing)
    for side in ("Left", "Right"):
        motion.expression[parts[4], ARKIT_INDEX[f"eyeBlink{side}"]] = np.abs(swing)
    for part, columns in zip(parts, (slice(3, 4), slice(4, 5), slice(9, 10), slice(0, 3), slice(11, 13)), strict=True):
        set_[part, columns] = True
    return motion, set_


def control_clip(reenactor: Reenactor, puppets: Puppets, speaker: str) -> Example:
    """Controls on a resting portrait, truth beside drawing: yaw, pitch, gaze, jaw, lids."""
    motion, set_ = swings()
    true = puppets.render(speaker, motion)
    source = reenactor.source(puppets.render(speaker, neutral(1))[0])
    codes = np.repeat(source[1], motion.frames, 0)
    places = reenactor.layout.calibrated
    asked = puppets.calibrated(speaker, motion) / CALIBRATED_SCALE
    codes[:, places] = np.where(set_, asked, codes[:, places])
    made = reenactor.decode(source, codes)
    caption = f"{speaker}: yaw, pitch, gaze, jaw and lids set on a resting portrait; truth, drawing, difference"
    return clip(np.concatenate([true, made, difference(made, true)], 2), caption, reenactor.size)


def speech_clip(reenactor: Reenactor, record: ClipRecord) -> Example:
    """A piece beside its drawing and the difference, at its own speed."""
    return clip(example_clip(reenactor, record), f"{record.key}: truth, drawing, difference", reenactor.size)


def example_rows(reenactor: Reenactor, record: ClipRecord, count: int = 6) -> np.ndarray:
    """uint8 [4, count, S, S, 3]: source, truth, reconstruction and their difference, of frames across a piece."""
    at = np.linspace(0, len(record.frames) - 1, count + 1).astype(int)[1:]
    frames = np.stack([decode_frame(record.frames[t], reenactor.size) for t in (0, *at)])
    made = reenactor.decode(reenactor.source(frames[0]), reenactor.encode(frames[1:]))
    return np.stack([np.repeat(frames[:1], count, 0), frames[1:], made, difference(made, frames[1:])])


def example_clip(reenactor: Reenactor, record: ClipRecord) -> np.ndarray:
    """uint8 [T, S, 3 S, 3]: truth, reconstruction, difference side by side."""
    frames = np.stack([decode_frame(f, reenactor.size) for f in record.frames])
    made = reenactor.decode(reenactor.source(frames[0]), reenactor.encode(frames))
    return np.concatenate([frames, made, difference(made, frames)], 2)


def difference(made: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Grey where equal, amplified."""
    return np.clip(128 + DIFFERENCE_GAIN * (made.astype(np.int16) - truth), 0, 255).astype(np.uint8)


def sheet(rows: np.ndarray) -> np.ndarray:
    """[R, C, S, S, 3] -> one picture [R S, C S, 3]."""
    return np.concatenate([np.concatenate(list(row), 1) for row in rows], 0)


def picture(image: np.ndarray, caption: str, size: int) -> Example:
    """[H, W, 3] made of pictures of `size` px, as a WebP."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "webp", quality=88)
    return _shown(buffer.getvalue(), caption, image.shape[1], size)


def clip(frames: np.ndarray, caption: str, size: int) -> Example:
    """[T, H, W, 3] -> an animated WebP that repeats."""
    images = [Image.fromarray(f) for f in frames]
    buffer = io.BytesIO()
    images[0].save(
        buffer, "webp", save_all=True, append_images=images[1:], duration=1000 // FPS, loop=0, quality=70, method=2
    )
    return _shown(buffer.getvalue(), caption, frames.shape[2], size)


def _shown(data: bytes, caption: str, width: int, size: int) -> Example:
    uri = f"data:image/webp;base64,{base64.b64encode(data).decode()}"
    return Example(uri=uri, caption=caption, width=round(width * max(1.0, SHOWN_AT / size)))
