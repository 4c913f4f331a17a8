"""Sound as it arrives, and the audio features of the frames that it tells of already."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from demo_jax.constants import SAMPLES_PER_FRAME
from demo_jax.errors import InputError


class Features(Protocol):
    """Of demo_jax.audio.log_mel.AudioFeatures, what hearing needs."""

    @property
    def reach(self) -> int:
        """Samples after a frame's own that its features read."""
        ...

    @property
    def memory(self) -> int:
        """Samples before a frame's own that its features read."""
        ...

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """int16 [S] -> [S // 640, A]."""
        ...


class AudioFeatureStream:
    """Pieces of a recording, mono 16 kHz int16 [n] each, pulled as frames are asked for.

    A frame counts as heard when all that its features read has arrived, so that features are those of the whole
    recording.
    """

    def __init__(self, chunks: Iterable[np.ndarray], features: Features) -> None:
        self._chunks, self._features = iter(chunks), features
        self._sound = np.zeros(0, np.int16)  # from frame self._first on
        self._first = 0
        self._rows: np.ndarray | None = None  # features of the frames up to self._done that may be asked for again
        self._done = 0
        self._ended = False

    @property
    def available(self) -> int:
        """Frames from the start whose features are known."""
        samples = len(self._sound) if self._ended else max(len(self._sound) - self._features.reach, 0)
        return self._first + samples // SAMPLES_PER_FRAME

    def wait_for(self, frames: int) -> int:
        """Waits until `frames` frames are heard or the recording is over; returns how many of them there are."""
        while not self._ended and self.available < frames:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._ended = True
                chunk = np.zeros(-len(self._sound) % SAMPLES_PER_FRAME, np.int16)  # silence up to a whole frame
            elif chunk.dtype != np.int16 or chunk.ndim != 1:
                raise InputError(f"sound must be mono int16 [n]; this is {chunk.dtype}{list(chunk.shape)}.")
            self._sound = np.concatenate([self._sound, chunk])
        return min(self.available, frames)

    def features(self, start: int, stop: int) -> np.ndarray:
        """Features [stop - start, A] float32 of heard frames; `start` never goes back. Each frame's are made once, and
        what lies before them is forgotten, but for the sound that the next ones remember."""
        memory, after = (-(-n // SAMPLES_PER_FRAME) for n in (self._features.memory, self._features.reach))  # frames
        if self._rows is None or stop > self._done:
            before = self._done - self._first
            sound = self._sound[: (stop - self._first + after) * SAMPLES_PER_FRAME]
            new = self._features(sound)[before : stop - self._first].astype(np.float32)
            self._rows = new if self._rows is None else np.concatenate([self._rows, new])
            self._done = stop
            keep = max(self._done - memory, self._first)
            self._sound, self._first = self._sound[(keep - self._first) * SAMPLES_PER_FRAME :], keep
        self._rows = self._rows[len(self._rows) - (self._done - start) :]
        return self._rows[: stop - start]
