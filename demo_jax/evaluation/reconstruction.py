"""How well an auto-encoder draws true frames again from a source and their own motion codes; and how that looks."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
import simplejpeg
from PIL import Image
from tqdm import tqdm

from data_pipelines.schema import ClipRecord
from data_pipelines.transforms import decode_frame
from demo_jax.evaluation.drawing import Drawer
from demo_jax.evaluation.metrics import pictures as measures
from demo_jax.evaluation.metrics.motion import mean_and_error
from demo_jax.typing import FPS

Table = dict[str, dict[str, float]]
DIFFERENCE_GAIN = 4  # of shown differences


def reconstruction(drawer: Drawer, records: Sequence[ClipRecord]) -> Table:
    """Each piece's first frame is the source; the others are drawn from their own codes. One value a piece.

    PSNR over the frame, the face (around the 68 landmarks) and the mouth box, SSIM and sharpness over the frame,
    flicker where the truth stands still; *_copy is the source instead of the drawing, flicker_truth the truth's own.
    """
    found: dict[str, list[float]] = {}
    for record in tqdm(records, desc="reconstruction", unit="piece"):
        frames = np.stack([decode_frame(f, drawer.size) for f in record.frames])
        if len(frames) < 2:
            continue
        made = drawer.decode(drawer.source(frames[0]), drawer.encode(frames))
        scale = drawer.size / simplejpeg.decode_jpeg_header(record.frames[0])[0]
        boxes, landmarks = record.boxes * scale, record.landmarks * scale
        rows: dict[str, list[float]] = {}
        for t in range(1, len(frames)):
            face = np.concatenate([landmarks[t].min(0), landmarks[t].max(0)])
            for suffix, picture in (("", made[t]), ("_copy", frames[0])):
                for name, box in (("frame", None), ("face", face), ("mouth", boxes[t, 0])):
                    rows.setdefault(f"psnr_{name}{suffix}", []).append(measures.psnr(picture, frames[t], box))
                rows.setdefault(f"ssim{suffix}", []).append(measures.ssim(picture, frames[t]))
            rows.setdefault("sharpness_ratio", []).append(measures.sharpness_ratio(made[t], frames[t]))
        for name, values in rows.items():
            found.setdefault(name, []).append(float(np.mean(values)))
        ours, truth = measures.flicker(made[1:], frames[1:])
        if np.isfinite(ours) and not record.variant:  # where factors jump, nothing is a flicker
            found.setdefault("flicker", []).append(ours)
            found.setdefault("flicker_truth", []).append(truth)
    return {name: mean_and_error(values) for name, values in found.items()}


def example_rows(drawer: Drawer, record: ClipRecord, count: int = 6) -> np.ndarray:
    """uint8 [4, count, S, S, 3]: source, truth, reconstruction and their difference, of frames across a piece."""
    at = np.linspace(0, len(record.frames) - 1, count + 1).astype(int)[1:]
    frames = np.stack([decode_frame(record.frames[t], drawer.size) for t in (0, *at)])
    made = drawer.decode(drawer.source(frames[0]), drawer.encode(frames[1:]))
    return np.stack([np.repeat(frames[:1], count, 0), frames[1:], made, difference(made, frames[1:])])


def example_clip(drawer: Drawer, record: ClipRecord) -> np.ndarray:
    """uint8 [T, S, 3 S, 3]: truth, reconstruction, difference side by side."""
    frames = np.stack([decode_frame(f, drawer.size) for f in record.frames])
    made = drawer.decode(drawer.source(frames[0]), drawer.encode(frames))
    return np.concatenate([frames, made, difference(made, frames)], 2)


def difference(made: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Grey where equal, amplified."""
    return np.clip(128 + DIFFERENCE_GAIN * (made.astype(np.int16) - truth), 0, 255).astype(np.uint8)


def sheet(rows: np.ndarray) -> np.ndarray:
    """[R, C, S, S, 3] -> one picture [R S, C S, 3]."""
    return np.concatenate([np.concatenate(list(row), 1) for row in rows], 0)


def picture_uri(picture: np.ndarray) -> str:
    """[H, W, 3] -> a WebP."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "webp", quality=88)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def clip_uri(frames: np.ndarray, fps: int = FPS) -> str:
    """[T, H, W, 3] -> an animated WebP that repeats."""
    images = [Image.fromarray(f) for f in frames]
    buffer = io.BytesIO()
    images[0].save(
        buffer, "webp", save_all=True, append_images=images[1:], duration=1000 // fps, loop=0, quality=70, method=2
    )
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
