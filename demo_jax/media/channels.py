"""Chooses how the channels of a recording are mixed, from their contents rather than their layout."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

_CANCELLED = 0.4  # share of the channels' summed power below which their sum counts as cancelled
_CENTRE = np.sqrt(0.5)  # weight of a centre channel on either side


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mix:
    """ffmpeg filters that mix the channels of a file to one (`mono`), and to the one or two of a video (`own`). Empty,
    or with a comma at the end."""

    mono: str
    own: str


def choose_mix(chunks: Iterable[np.ndarray], names: Sequence[str], layout: str) -> Mix:
    """Chooses the mix of at least two channels.

    Mono is the sum of the channels at the level of the loudest, or the loudest alone if the sum loses most of the
    power. Two channels stay as they are; more become left and right, at that level too.

    Args:
      chunks: float32 [n * channels], interleaved samples, full scale 1.
      names: of the channels, ffmpeg's.
      layout: ffmpeg's; "" if unknown.
    """
    count = len(names)
    places = np.stack([np.ones(count), *_sides(names)])  # [3, C]: sum, left, right
    power, mixed, peak, loudest_peak = np.zeros(count), np.zeros(3), np.zeros(3), 0.0
    for chunk in chunks:
        samples = chunk.reshape(-1, count).astype(np.float64)
        if not len(samples):
            continue
        sums = samples @ places.T
        power += (samples**2).sum(0)
        mixed += (sums**2).sum(0)
        peak = np.maximum(peak, np.abs(sums).max(0))
        loudest_peak = max(loudest_peak, float(np.abs(samples).max()))
    loudest = int(power.argmax())

    def gain(index: int, level: float) -> float:
        """The gain that gives a mix the loudest channel's power, without clipping."""
        matching = np.sqrt(power[loudest] / level) if level else 1.0
        return float(min(matching, max(1.0, loudest_peak) / peak[index] if peak[index] else 1.0))

    known = f"aformat=channel_layouts={layout}," if layout else ""
    if mixed[0] < _CANCELLED * power.sum():
        mono = np.eye(count)[loudest]
    else:
        mono = places[0] * gain(0, mixed[0])
    own = ""
    if count > 2:
        scale = min(gain(i, max(mixed[1:])) for i in (1, 2))
        own = f"{known}pan=stereo|c0={_terms(places[1] * scale)}|c1={_terms(places[2] * scale)},"
    return Mix(mono=f"{known}pan=mono|c0={_terms(mono)},", own=own)


def _sides(names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Returns each channel's weight on the left and on the right."""
    left = np.array([name.endswith(("L", "LC")) for name in names])
    right = np.array([name.endswith(("R", "RC")) for name in names])
    centre = np.where(left | right, 0.0, _CENTRE)
    return left + centre, right + centre


def _terms(weights: np.ndarray) -> str:
    terms = [f"{weight:.6f}*c{i}" for i, weight in enumerate(weights) if weight]
    return "+".join(terms) or "0*c0"
