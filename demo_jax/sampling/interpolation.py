"""Motion at other frame rates: codes of 25 frames a second, interpolated in time, with closures kept."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32, Int

from demo_jax.constants import FPS
from demo_jax.factors import CALIBRATED_NAMES, FactorLayout

CLOSING = ("aperture", "open_left", "open_right")  # a sound p and a blink last a frame or two: none may fall between two


def at_rate(
    motion: Iterator[Float32[np.ndarray, "_ K"]], fps: int, layout: FactorLayout
) -> Iterator[Float32[np.ndarray, "_ K"]]:
    """Yields codes at `fps` frames a second of parts of codes at 25; the number of frames is that of frame_count.

    Between two frames codes are interpolated linearly. Where lips or lids are closed most, the nearest new frame is
    closed as much.
    """
    if fps == FPS:
        yield from motion
        return
    closing = layout.calibrated[[CALIBRATED_NAMES.index(name) for name in CLOSING]]
    known: Float32[np.ndarray, "n K"] | None = None  # from frame `first` on
    first, made = 0, 0
    for part in motion:
        known = part if known is None else np.concatenate([known, part])
        end = first + len(known)
        # A minimum is known one frame later, and is passed on by up to half a new frame.
        ready = max(int(np.floor((end - 2) * fps / FPS)), made)
        if ready > made:
            yield _between(known, first, np.arange(made, ready), fps, closing)
            made = ready
            keep = max(int(np.floor(made * FPS / fps)) - 2 - first, 0)
            known, first = known[keep:], first + keep
    if known is not None:
        total = -(-(first + len(known)) * fps // FPS)
        if total > made:
            yield _between(known, first, np.arange(made, total), fps, closing)


def _between(
    known: Float32[np.ndarray, "n K"], first: int, frames: Int[np.ndarray, " m"], fps: int, closing: Int[np.ndarray, " c"]
) -> Float32[np.ndarray, "m K"]:
    at = np.clip(frames * FPS / fps - first, 0, len(known) - 1)
    low = np.minimum(at.astype(int), len(known) - 1)
    high, share = np.minimum(low + 1, len(known) - 1), (at - low)[:, None]
    codes = (1 - share) * known[low] + share * known[high]
    # Minima of what closes, and the new frame nearest to each.
    values = known[:, closing]
    before, after = np.concatenate([values[:1], values[:-1]]), np.concatenate([values[1:], values[-1:]])
    for k, column in zip(*np.nonzero((values <= before) & (values <= after)), strict=True):
        nearest = round((first + k) * fps / FPS) - frames[0]
        if 0 <= nearest < len(frames):
            c = closing[column]
            codes[nearest, c] = min(codes[nearest, c], values[k, column])
    return codes.astype(np.float32)
