"""Audio features of a recording that is still arriving."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from demo_jax.audio.registry import AudioFeatures
from demo_jax.constants import SAMPLES_PER_FRAME
from demo_jax.errors import InputError


class AudioFeatureStream:
    """Features of a recording that arrives in chunks, mono 16 kHz int16 [n] each, which are pulled when needed.

    A frame is available when all samples that its features read have arrived, so its features are those of the whole
    recording.
    """

    def __init__(self, chunks: Iterable[np.ndarray], features: AudioFeatures) -> None:
        self._chunks, self._features = iter(chunks), features
        self._audio = np.zeros(0, np.int16)  # from frame self._first on
        self._first = 0
        self._rows: np.ndarray | None = None  # features of the frames up to self._done that may be requested again
        self._done = 0
        self._ended = False

    @property
    def available(self) -> int:
        """The number of frames, from the start, whose features can be computed."""
        samples = len(self._audio) if self._ended else max(len(self._audio) - self._features.lookahead, 0)
        return self._first + samples // SAMPLES_PER_FRAME

    def wait_for(self, frames: int) -> int:
        """Pulls chunks until `frames` frames are available or the recording ends; returns how many are, at most
        `frames`. Raises InputError for a chunk that is not mono int16."""
        while not self._ended and self.available < frames:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._ended = True
                chunk = np.zeros(-len(self._audio) % SAMPLES_PER_FRAME, np.int16)  # silence up to a whole frame
            elif chunk.dtype != np.int16 or chunk.ndim != 1:
                raise InputError(f"audio must be mono int16 [n]; this is {chunk.dtype}{list(chunk.shape)}.")
            self._audio = np.concatenate([self._audio, chunk])
        return min(self.available, frames)

    def features(self, start: int, stop: int) -> np.ndarray:
        """Returns the features [stop - start, A] float32 of available frames.

        `start` must not decrease from call to call. Each frame is computed once; older audio is dropped, except the
        history that later frames read.
        """
        history, after = (-(-n // SAMPLES_PER_FRAME) for n in (self._features.history, self._features.lookahead))
        if self._rows is None or stop > self._done:
            before = self._done - self._first
            audio = self._audio[: (stop - self._first + after) * SAMPLES_PER_FRAME]
            new = self._features(audio)[before : stop - self._first].astype(np.float32)
            self._rows = new if self._rows is None else np.concatenate([self._rows, new])
            self._done = stop
            keep = max(self._done - history, self._first)
            self._audio, self._first = self._audio[(keep - self._first) * SAMPLES_PER_FRAME :], keep
        self._rows = self._rows[len(self._rows) - (self._done - start) :]
        return self._rows[: stop - start]
