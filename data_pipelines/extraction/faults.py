"""Stretches of a video without a new, whole image: before the first one, where it stands still, after damage."""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from demo_jax.constants import FPS
from demo_jax.media.files import check_input
from demo_jax.media.probe import read_facts, read_pictures

LEAST_RATE = 19.5  # new images a second
_SHIFT = 5  # frames by which ffmpeg may move what follows on a gap in a transport stream
_STILL = 3  # times the usual time between images, from which on an image stands still


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """Frames first <= t < last that cannot be used, and the reason."""

    first: int
    last: int
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Faults:
    """unusable: in order of time. copies: [T] bool, the frames that show the same image as the frame before."""

    unusable: tuple[Fault, ...]
    copies: np.ndarray

    def rate(self, first: int, last: int) -> float:
        """Returns the new images a second in frames first <= t < last."""
        return FPS * (1 - float(self.copies[first + 1 : last].mean())) if last - first > 1 else float(FPS)


def find_faults(path: str | os.PathLike, frames: int, tolerated: int) -> Faults:
    """Returns the faults of a video that was read as `frames` frames. An image may stand still for `tolerated` frames.
    Raises InputError if the file cannot be read."""
    file = check_input(path)
    facts = read_facts(file, "video")
    pictures = read_pictures(file, facts)
    margin = _SHIFT if facts.joins else 0
    found = [
        Fault(
            first=max(int(a * FPS) - margin, 0), last=min(int(np.ceil(b * FPS)) + margin, frames),
            reason="image damaged",
        )
        for a, b in pictures.damaged
    ]  # fmt: skip
    copies = np.zeros(frames, bool)
    if pictures.times is not None:
        # A frame shows the last image whose time, rounded to frames, has come: what ffmpeg's filter fps does.
        begins = np.unique(np.clip(np.floor(pictures.times * FPS + 0.5).astype(int), 0, frames - 1))
        copies[:] = True
        copies[begins] = False
        if begins[0]:
            found.append(Fault(first=0, last=int(begins[0]), reason="no image yet"))
        lengths = np.diff(begins, append=frames)
        usual = float(np.median(lengths))
        for at, length in zip(begins, lengths, strict=True):
            if length > max(tolerated + 1, _STILL * usual):
                found.append(Fault(first=int(at) + 1, last=int(at + length), reason="image stands still"))
    found = [fault for fault in found if fault.first < fault.last]
    return Faults(unusable=tuple(sorted(found, key=lambda f: (f.first, f.last))), copies=copies)
