"""The audio features by name, and the protocol of an extractor."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from demo_jax.audio.log_mel import LogMel
from demo_jax.errors import InputError


@runtime_checkable
class AudioFeatures(Protocol):
    """One extractor of audio features. `name` is the key under `features/` in a record; `version` changes whenever
    the numbers do and is part of a data set's fingerprint."""

    @property
    def name(self) -> str: ...

    @property
    def dimension(self) -> int:
        """A."""
        ...

    @property
    def version(self) -> str: ...

    @property
    def lookahead(self) -> int:
        """Samples after a frame's own that its features read; a stream has to wait for them."""
        ...

    @property
    def history(self) -> int:
        """Samples before a frame's own that its features read; a stream has to keep them."""
        ...

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """Mono 16 kHz int16 [samples] -> float16 [T, A] with T = samples // 640; row i describes the audio around
        frame i's centre. An incomplete last frame is left out."""
        ...


def extractor(name: str) -> AudioFeatures:
    """Returns the extractor of that name. Raises InputError if there is none."""
    match name:
        case "logmel":
            return LogMel()
        case "phonetic":
            from demo_jax.audio.phonetic import Phonetic

            return Phonetic()
        case "hama":
            from demo_jax.audio.hama import Hama

            return Hama()
    raise InputError(f"there is no audio feature {name!r} in this version; choose one of logmel, phonetic, hama.")
