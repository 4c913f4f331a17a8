"""An image of some records: a row of frames for each, and below the same with landmarks and what cannot be trusted."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from data_pipelines.records.catalog import open_records, splits_of
from data_pipelines.records.schema import ClipRecord
from demo_jax.media.files import write_atomically

ROWS, COLUMNS = 10, 8
CELL = 256  # pixels
DIMMED = 0.45  # brightness of what cannot be trusted at all


def write_sheet(records: str | os.PathLike, path: str | os.PathLike, rows: int = ROWS) -> Path:
    """Draws records, spread evenly over the first split, and their paired ones. Raises InputError if there are none."""
    found = open_records(records, splits_of(records)[0])
    chosen = np.unique(np.linspace(0, len(found) - 1, rows).round().astype(int))
    sheet = np.concatenate([_row(found[int(i)]) for i in chosen])
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "png")
    return write_atomically(Path(path), buffer.getvalue())


def _row(record: ClipRecord) -> np.ndarray:
    plain, marked = [], []
    for t in range(COLUMNS):
        if t >= record.length:
            plain.append(np.zeros((CELL, CELL, 3), np.uint8))
            marked.append(plain[-1])
            continue
        frame = np.asarray(Image.open(io.BytesIO(record.frames[t])).convert("RGB"))
        plain.append(_enlarged(frame))
        if record.trust.size:
            trust = np.kron(record.trust[t] / 255, np.ones((len(frame) // record.trust.shape[-1],) * 2))
            frame = (frame * (DIMMED + (1 - DIMMED) * trust[..., None])).astype(np.uint8)
        image = Image.fromarray(_enlarged(frame))
        pencil = ImageDraw.Draw(image)
        for x, y in record.landmarks[t] * (CELL / len(frame)):
            pencil.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill=(0, 255, 0))
        marked.append(np.asarray(image))
    return np.concatenate([np.concatenate(plain, 1), np.concatenate(marked, 1)])


def _enlarged(frame: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(frame).resize((CELL, CELL), Image.Resampling.BICUBIC))
