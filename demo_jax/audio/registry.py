"""The audio features by name, and what an extractor is."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from demo_jax.audio.log_mel import LogMel
from demo_jax.errors import InputError


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
    def reach(self) -> int:
        """Samples after a frame's own that its features read: what a stream has to wait for."""
        ...

    @property
    def memory(self) -> int:
        """Samples before a frame's own that its features read: what a stream has to keep."""
        ...

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """Mono 16 kHz int16 [S] -> float16 [T, A] with T = S // 640; row i describes the sound around frame i's
        centre. A last incomplete frame is left out."""
        ...


def extractor(name: str) -> AudioFeatures:
    """The extractor of that name. Raises InputError if there is none."""
    match name:
        case "logmel":
            return LogMel()
        case "phonetic":
            from demo_jax.audio.phonetic import Phonetic

            return Phonetic()
        case "hama":
            from demo_jax.audio.hama import Hama

            return Hama()
    raise InputError(f"there is no audio feature {name!r} in this version; what there is: logmel, phonetic, hama.")
