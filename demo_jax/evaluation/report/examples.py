"""Report examples: strips and clips of truth beside rendered frames, as data URIs for the page."""

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
LEAST_WIDTH = 128  # px; smaller images are shown enlarged
SWEEP = 16  # frames of each control's sweep


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """One image or clip of the page: its data URI, caption, and the width to show it at (px)."""

    uri: str
    caption: str
    width: int


def strip(reenactor: Reenactor, record: ClipRecord) -> Example:
    """Returns source, truth, rendered frame and difference, of frames across a segment."""
    what = "independent factors" if record.variant else "speech"
    caption = f"{record.key}, {what}: source, truth, rendered, difference (times {DIFFERENCE_GAIN})"
    return still(sheet(example_rows(reenactor, record)), caption, reenactor.size)


def cross_strip(reenactor: Reenactor, puppets: Puppets, probes: Probes, count: int = 6) -> Example:
    """Returns one person's portrait with another's motion: source, driver, rendered frame and true render."""
    source, driver = probes.speakers[0], probes.speakers[-1]
    portrait, rows = probes.images[probes.of(source)[0]], probes.of(driver)[:count]
    made = reenactor.decode(reenactor.source(portrait), reenactor.encode(probes.images[rows]))
    true = puppets.render(source, take(probes.motion, rows))
    stack = np.stack([np.repeat(portrait[None], len(rows), 0), probes.images[rows], made, true])
    return still(sheet(stack), f"{source} with the motion of {driver}: source, driver, rendered, truth", reenactor.size)


def sweeps() -> tuple[Motion, np.ndarray]:
    """Returns the motion of a resting head with one control after another swept, and which calibrated coordinates
    [T, 13] are set."""
    motion, set_ = neutral(5 * SWEEP), np.zeros((5 * SWEEP, 13), bool)
    sweep = np.sin(2 * np.pi * np.arange(SWEEP) / SWEEP)
    parts = [slice(k * SWEEP, (k + 1) * SWEEP) for k in range(5)]
    motion.pose[parts[0], 0], motion.pose[parts[1], 1] = 22 * sweep, 12 * sweep
    motion.eyes[parts[2], 0] = 18 * sweep
    motion.expression[parts[3], ARKIT_INDEX["jawOpen"]] = 0.7 * np.abs(sweep)
    for side in ("Left", "Right"):
        motion.expression[parts[4], ARKIT_INDEX[f"eyeBlink{side}"]] = np.abs(sweep)
    for part, columns in zip(parts, (slice(3, 4), slice(4, 5), slice(9, 10), slice(0, 3), slice(11, 13)), strict=True):
        set_[part, columns] = True
    return motion, set_


def control_clip(reenactor: Reenactor, puppets: Puppets, speaker: str) -> Example:
    """Returns a clip of controls on a resting portrait, truth beside rendered frame: yaw, pitch, gaze, jaw, lids."""
    motion, set_ = sweeps()
    true = puppets.render(speaker, motion)
    source = reenactor.source(puppets.render(speaker, neutral(1))[0])
    codes = np.repeat(source[1], motion.frames, 0)
    places = reenactor.layout.calibrated
    requested = puppets.calibrated(speaker, motion) / CALIBRATED_SCALE
    codes[:, places] = np.where(set_, requested, codes[:, places])
    made = reenactor.decode(source, codes)
    caption = f"{speaker}: yaw, pitch, gaze, jaw and lids set on a resting portrait; truth, rendered, difference"
    return clip(np.concatenate([true, made, difference(made, true)], 2), caption, reenactor.size)


def speech_clip(reenactor: Reenactor, record: ClipRecord) -> Example:
    """Returns a segment beside its reconstruction and the difference, in real time."""
    return clip(example_clip(reenactor, record), f"{record.key}: truth, rendered, difference", reenactor.size)


def example_rows(reenactor: Reenactor, record: ClipRecord, count: int = 6) -> np.ndarray:
    """Returns uint8 [4, count, S, S, 3]: source, truth, reconstruction and difference, of frames across a segment."""
    at = np.linspace(0, len(record.frames) - 1, count + 1).astype(int)[1:]
    frames = np.stack([decode_frame(record.frames[t], reenactor.size) for t in (0, *at)])
    made = reenactor.decode(reenactor.source(frames[0]), reenactor.encode(frames[1:]))
    return np.stack([np.repeat(frames[:1], count, 0), frames[1:], made, difference(made, frames[1:])])


def example_clip(reenactor: Reenactor, record: ClipRecord) -> np.ndarray:
    """Returns uint8 [T, S, 3 S, 3]: truth, reconstruction and difference side by side."""
    frames = np.stack([decode_frame(f, reenactor.size) for f in record.frames])
    made = reenactor.decode(reenactor.source(frames[0]), reenactor.encode(frames))
    return np.concatenate([frames, made, difference(made, frames)], 2)


def difference(made: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Returns the difference of uint8 images, amplified: grey where they agree."""
    return np.clip(128 + DIFFERENCE_GAIN * (made.astype(np.int16) - truth), 0, 255).astype(np.uint8)


def sheet(rows: np.ndarray) -> np.ndarray:
    """Returns images [rows, columns, S, S, 3] as one image [rows S, columns S, 3]."""
    return np.concatenate([np.concatenate(list(row), 1) for row in rows], 0)


def still(image: np.ndarray, caption: str, size: int) -> Example:
    """Returns an image [H, W, 3], made of images of `size` px, as a WebP."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "webp", quality=88)
    return _example(buffer.getvalue(), caption, image.shape[1], size)


def clip(frames: np.ndarray, caption: str, size: int) -> Example:
    """Returns frames [T, H, W, 3], made of images of `size` px, as an animated WebP that repeats."""
    images = [Image.fromarray(f) for f in frames]
    buffer = io.BytesIO()
    images[0].save(
        buffer, "webp", save_all=True, append_images=images[1:], duration=1000 // FPS, loop=0, quality=70, method=2
    )
    return _example(buffer.getvalue(), caption, frames.shape[2], size)


def _example(data: bytes, caption: str, width: int, size: int) -> Example:
    uri = f"data:image/webp;base64,{base64.b64encode(data).decode()}"
    return Example(uri=uri, caption=caption, width=round(width * max(1.0, LEAST_WIDTH / size)))
