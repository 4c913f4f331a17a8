"""Motion at other frame rates: codes of 25 frames a second, interpolated in time, with closures kept."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32, Int

from demo_jax.constants import FPS
from demo_jax.factors import CALIBRATED_NAMES, FactorLayout

CLOSING = (
    "aperture",
    "open_left",
    "open_right",
)  # a p and a blink last a frame or two: none may be skipped


def at_rate(
    motion: Iterator[Float32[np.ndarray, "_ K"]], fps: int, layout: FactorLayout
) -> Iterator[Float32[np.ndarray, "_ K"]]:
    """Yields codes at `fps` frames a second of parts of codes at 25 (`RateConverter`)."""
    converter = RateConverter(fps, layout)
    for part in motion:
        if len(codes := converter.push(part)):
            yield codes
    if len(codes := converter.finish()):
        yield codes


class RateConverter:
    """Converts codes at 25 frames a second to `fps`, part by part; in all there are frame_rates.frame_count frames.

    Between two frames codes are interpolated linearly. Where lips or lids are closed most, the nearest new frame is
    closed as much.
    """

    def __init__(self, fps: int, layout: FactorLayout) -> None:
        self._fps = fps
        self._closing = layout.calibrated[[CALIBRATED_NAMES.index(name) for name in CLOSING]]
        self._known = np.zeros((0, layout.size), np.float32)  # codes at 25 from frame self._first on
        self._first = self._made = 0

    def push(self, part: Float32[np.ndarray, "n K"]) -> Float32[np.ndarray, "m K"]:
        """Takes the next codes at 25; returns those at the other rate that are known by then, perhaps none."""
        if self._fps == FPS:
            return part
        self._known = np.concatenate([self._known, part])
        # A minimum is known one frame later, and is passed on by up to half a new frame.
        ready = int((self._first + len(self._known) - 2) * self._fps / FPS)
        if ready <= self._made:
            return self._known[:0]
        codes = self._between(ready)
        passed = min(max(self._made * FPS // self._fps - 2 - self._first, 0), len(self._known))
        self._known, self._first = self._known[passed:], self._first + passed
        return codes

    def finish(self) -> Float32[np.ndarray, "m K"]:
        """Returns the last codes."""
        if self._fps == FPS or not len(self._known):
            return self._known[:0]
        return self._between(-(-(self._first + len(self._known)) * self._fps // FPS))

    def _between(self, end: int) -> Float32[np.ndarray, "m K"]:
        """Returns the new frames self._made .. end - 1."""
        known, frames = self._known, np.arange(self._made, end)
        self._made = end
        at = np.clip(frames * FPS / self._fps - self._first, 0, len(known) - 1)
        low: Int[np.ndarray, " m"] = at.astype(int)
        high, share = np.minimum(low + 1, len(known) - 1), (at - low)[:, None]
        codes = (1 - share) * known[low] + share * known[high]
        values = known[:, self._closing]
        before, after = np.concatenate([values[:1], values[:-1]]), np.concatenate([values[1:], values[-1:]])
        for k, column in zip(*np.nonzero((values <= before) & (values <= after)), strict=True):
            nearest = round((self._first + k) * self._fps / FPS) - (end - len(frames))
            if 0 <= nearest < len(frames):
                c = self._closing[column]
                codes[nearest, c] = min(codes[nearest, c], values[k, column])
        return codes.astype(np.float32)
