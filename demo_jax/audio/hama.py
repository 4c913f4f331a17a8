"""Posteriors of the phoneme recogniser in the package `hama` (Apache-2.0, `hama` extra), for comparison.

It was trained on natural speech but reads whole recordings: cutting the audio changes its output long before the cut,
and its CTC posteriors are "blank" in three frames of four, with a peak somewhere inside each phoneme.
"""

from __future__ import annotations

import dataclasses
import functools
import unicodedata
from typing import Any

import numpy as np

from demo_jax.audio.phonetic import KINDS
from demo_jax.constants import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from demo_jax.errors import InputError

HOP = 320  # samples from one of its columns to the next; the first is centred on sample 0 (samples / 320 + 1 columns)
BLANK = len(KINDS)  # after the kinds


@dataclasses.dataclass(frozen=True)
class Hama:
    """Probabilities of the phoneme classes (KINDS; the first is everything else), then of blank, at two instants of a
    frame, 10 ms before and after its centre: A = 36. Raises InputError without the package."""

    name: str = "hama"
    dimension: int = 2 * (len(KINDS) + 1)
    version: str = "1"
    # It attends to the whole recording, so a stream cannot have these features; a recording may last an hour.
    lookahead: int = 3600 * SAMPLE_RATE
    history: int = 3600 * SAMPLE_RATE

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        if waveform.dtype != np.int16 or waveform.ndim != 1:
            raise InputError(
                f"hama features need mono int16 audio [samples]; this is {waveform.dtype}{waveform.shape}."
            )
        frames = len(waveform) // SAMPLES_PER_FRAME
        if not frames:
            return np.zeros((0, self.dimension), np.float16)
        posteriors = _posteriors(waveform) @ _kinds()
        times = ((np.arange(frames) + 0.5) / FPS)[:, None] + np.array([-0.01, 0.01])
        known = np.arange(len(posteriors)) * HOP / SAMPLE_RATE
        columns = [np.interp(times.ravel(), known, column) for column in posteriors.T]
        return np.stack(columns, -1).reshape(frames, self.dimension).astype(np.float16)


@functools.cache
def _model() -> Any:
    try:
        from hama.asr import ASRModel
    except ImportError as error:
        raise InputError("hama features need the package hama: pip install demo-jax[hama].") from error
    return ASRModel()


def _posteriors(waveform: np.ndarray) -> np.ndarray:
    """Waveform [samples] int16 -> probabilities of its symbols [about samples / 320, V]."""
    model = _model()
    audio = (waveform / np.float32(32768))[None]
    feeds = {"waveform": audio, "waveform_lengths": np.array([audio.shape[1]], np.int64)}
    log_probabilities, lengths = model.session.run(["log_probs", "out_lengths"], feeds)
    return np.exp(log_probabilities[0][: int(np.ravel(lengths)[0])])


@functools.cache
def _kinds() -> np.ndarray:
    """[V, 18] float32: the class of each symbol's first letter, one-hot."""
    model = _model()
    table = np.zeros((len(model.decoder_tokens), len(KINDS) + 1), np.float32)
    for i, symbol in enumerate(model.decoder_tokens):
        first = unicodedata.normalize("NFD", symbol)[:1]
        matches = [k for k, letters in enumerate(KINDS) if first and first in letters]
        table[i, BLANK if i == model.blank_id else (matches or [0])[0]] = 1
    return table
