"""Small random records for the tests of the data side. They look like nothing; every array is valid."""

from __future__ import annotations

from typing import Any

import numpy as np

from data_pipelines.records.schema import ClipRecord, CodeRecord, encode_frame
from demo_jax.constants import SAMPLES_PER_FRAME


def grey_frame(value: int, size: int) -> bytes:
    """One flat picture; JPEG keeps a flat grey to within 1/255, so a test can tell frames apart."""
    return encode_frame(np.full((size, size, 3), value, np.uint8))


def clip(
    clip_id: str = "clip", piece: int = 0, length: int = 20, *, size: int = 32, base: int = 10, **changes: Any
) -> ClipRecord:
    """A valid record whose frame t is flat grey `base + 2 t` and whose arrays are seeded by (clip_id, piece)."""
    rng = np.random.default_rng([piece, *clip_id.encode()])
    values: dict[str, Any] = {
        "clip_id": clip_id,
        "piece": piece,
        "speaker_id": "speaker",
        "corpus": "synthetic",
        "frames": tuple(grey_frame(min(base + 2 * t, 255), size) for t in range(length)),
        "pose": rng.uniform(-0.2, 0.2, (length, 6)).astype(np.float32),
        "expression": rng.uniform(0, 1, (length, 52)).astype(np.float32),
        "gaze": rng.uniform(0, 1, (length, 4)).astype(np.float32),
        "lips": rng.uniform(0, 1, (length, 3)).astype(np.float32),
        "landmarks": rng.uniform(0, size, (length, 68, 2)).astype(np.float32),
        "boxes": np.tile(np.array([[8, 20, 24, 28], [4, 8, 28, 14]], np.float32) * size / 32, (length, 1, 1)),
        "confidence": np.ones(length, np.float32),
        "waveform": rng.integers(-8000, 8000, length * SAMPLES_PER_FRAME).astype(np.int16),
        "features": {"logmel": rng.normal(size=(length, 6)).astype(np.float16)},
        "phonemes": ("h", "ə", "l"),
        "phoneme_times": np.array([[0.0, 0.2], [0.2, 0.4], [0.4, 0.6]], np.float32),
    }
    return ClipRecord(**(values | changes))


def codes(clip_id: str = "clip", length: int = 120, *, size: int = 42, **changes: Any) -> CodeRecord:
    """A valid code record; coordinate 0 of its codes is the frame's number, so a test can read a window's place."""
    rng = np.random.default_rng([length, *clip_id.encode()])
    code = rng.normal(size=(length, size)).astype(np.float32)
    code[:, 0] = np.arange(length)
    feature = rng.normal(size=(length, 6)).astype(np.float16)
    feature[:, 0] = np.arange(length)  # whole numbers to 2048 are exact in float16
    values: dict[str, Any] = {
        "clip_id": clip_id,
        "speaker_id": "speaker",
        "corpus": "synthetic",
        "codes": code,
        "features": {"logmel": feature},
        "waveform": rng.integers(-8000, 8000, length * SAMPLES_PER_FRAME).astype(np.int16),
        "truth": rng.normal(size=(length, 13)).astype(np.float32),
        "expression": rng.uniform(0, 1, (length, 52)).astype(np.float32),
        "confidence": np.ones(length, np.float32),
    }
    return CodeRecord(**(values | changes))
