"""Sound as it arrives, and the audio features of the frames that it tells of already."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from demo_jax.typing import SAMPLES_PER_FRAME, InputError


class Hearing:
    """Pieces of a recording, mono 16 kHz int16 [n] each, pulled as frames are asked for.

    `features` maps sound [S] to [S // 640, A]; a frame's read `reach` samples beyond its own on either side, and the
    frame counts as heard when these have arrived. So features are those of the whole recording.
    """

    def __init__(self, chunks: Iterable[np.ndarray], features: Callable[[np.ndarray], np.ndarray], reach: int) -> None:
        self._chunks, self._features, self._reach = iter(chunks), features, reach
        self._sound = np.zeros(0, np.int16)  # from frame self._first on
        self._first = 0
        self._ended = False

    @property
    def heard(self) -> int:
        """Frames from the start whose features are known."""
        samples = len(self._sound) if self._ended else max(len(self._sound) - self._reach, 0)
        return self._first + samples // SAMPLES_PER_FRAME

    def listen(self, frames: int) -> int:
        """Waits until `frames` frames are heard or the recording is over; returns how many of them there are."""
        while not self._ended and self.heard < frames:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._ended = True
                chunk = np.zeros(-len(self._sound) % SAMPLES_PER_FRAME, np.int16)  # silence up to a whole frame
            elif chunk.dtype != np.int16 or chunk.ndim != 1:
                raise InputError(f"sound must be mono int16 [n]; this is {chunk.dtype}{list(chunk.shape)}.")
            self._sound = np.concatenate([self._sound, chunk])
        return min(self.heard, frames)

    def features(self, start: int, stop: int) -> np.ndarray:
        """Features [stop - start, A] float32 of heard frames. Sound before them is forgotten but for their reach."""
        margin = -(-self._reach // SAMPLES_PER_FRAME)  # frames
        keep = max(start - margin, 0)
        self._sound = self._sound[max(keep - self._first, 0) * SAMPLES_PER_FRAME :]
        self._first = max(keep, self._first)
        before = start - self._first
        sound = self._sound[: (before + stop - start + margin) * SAMPLES_PER_FRAME]
        return self._features(sound)[before : before + stop - start].astype(np.float32)
