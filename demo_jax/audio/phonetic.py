"""Phonetic features: probabilities of seventeen phoneme classes, which a small network predicts from log-mel bands.

Log-mel bands depend on the voice and the room. A motion model trained only on synthetic voices learns bands of that
kind and predicts little from a natural voice. Here the bands are first normalised by the audio up to now; then a
network trained on many voices and distortions (`train_phonetic`) predicts the phoneme class. NumPy only, with a
lookahead below 0.17 s.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from typing import Any

import numpy as np

from demo_jax.audio.log_mel import HOP, MEL_BANDS, SUB_FRAMES, LogMel
from demo_jax.constants import SAMPLES_PER_FRAME
from demo_jax.paths import ASSETS

# Phoneme classes by what lips and tongue do, as IPA letters; the first is silence.
KINDS: tuple[str, ...] = (
    "", "pbmɓʙβɸ", "fvʋɱ", "θð", "tdnlrɾɗʈɖɳɫʎɭɬɮʟɽɻ", "szʂʐ", "ʃʒɕʑçɧ", "kɡgŋxɣqcɟʝɲɰhɦʔʁχʀʕħ", "ɹ", "wɥʍ", "j",
    "aɑɐʌæɶɤ", "ɛe", "iɪɨɯᵻɩ", "əɜɚɝᵊɘ", "ɔɒoœɞ", "uʊʉyʏøɵ",
)  # fmt: skip
STEPS = 2  # of 20 ms in a video frame; one row of the network's input and output each
COLUMNS = SUB_FRAMES // STEPS  # of log-mel in a step
STEP = SAMPLES_PER_FRAME // STEPS  # samples
INPUTS = COLUMNS * (MEL_BANDS + 1)  # of a step: levelled bands and loudness of each column

# The steps of the layer below that each layer reads, relative to the current step.
TAPS: tuple[tuple[int, ...], ...] = (
    (-2, -1, 0, 1, 2), (-2, 0, 2), (-2, 0, 2), (-4, -2, 0, 2), (-8, -4, 0), (-12, -6, 0),
)  # fmt: skip
AHEAD = sum(max(taps) for taps in TAPS)  # steps
BEHIND = -sum(min(taps) for taps in TAPS)

# Levels are in log-mel units (LOG_SPREAD = 4.2 nepers of power: 18 dB).
MEMORY = 400  # columns (4 s) from which the speaker's level and the colour of voice and room are estimated
_DOUBT = 50  # columns: the weight of the usual voice in that estimate
_QUIETEST = -0.8  # lower bound of the peak level, so that a silent room does not count as a whisper
_SPEECH = 1.37  # columns within 25 dB of the peak count as speech
_RANGE = (-2.0, 1.5)

Parameters = dict[str, np.ndarray]
WEIGHTS = ASSETS / "phonetic-2.npz"


def levelled(bands: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Normalises log-mel bands by the speaker's peak level and by the colour of voice and room, both estimated from the
    audio up to each column.

    Args:
      bands: [columns, 40] log-mel, 100 columns a second.
      usual: [40] float32: the assumed colour before any speech, relative to its peak level.

    Returns:
      [columns, 41] float32: the bands, then the column's level below the peak. A row depends on the MEMORY rows up to
      it.
    """
    bands = np.maximum(bands.astype(np.float16), np.float16(-2)).astype(np.float64)
    # float16 numbers add up exactly in float64, so sums do not depend on where a recording began.
    level = bands.mean(-1).astype(np.float16).astype(np.float64)
    levels = np.concatenate([np.full(MEMORY - 1, _QUIETEST), np.maximum(level, _QUIETEST)])
    peak = np.lib.stride_tricks.sliding_window_view(levels, MEMORY).max(-1).astype(np.float16).astype(np.float64)
    loudness, bands = level - peak, bands - peak[:, None]
    speech = (loudness > -_SPEECH)[:, None]
    colour = (_recent(bands * speech) + _DOUBT * usual) / (_recent(speech.astype(np.float64)) + _DOUBT)
    normalised = np.clip(bands - colour, *_RANGE)
    return np.concatenate([normalised, np.clip(loudness, -2.0, 0.2)[:, None]], -1).astype(np.float32)


def _recent(values: np.ndarray) -> np.ndarray:
    """[columns, n] -> the sum of each row and the MEMORY - 1 rows before it."""
    total = np.cumsum(values, 0)
    total[MEMORY:] -= total[:-MEMORY].copy()
    return total


def network_inputs(waveform: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Waveform [samples] int16 -> [2 T, 82] float32: the normalised columns of each step of 20 ms."""
    bands = LogMel()(waveform).reshape(-1, MEL_BANDS)
    return levelled(bands, usual).reshape(-1, INPUTS)


def network(xp: types.ModuleType, parameters: Any, x: Any) -> Any:
    """Inputs [..., steps, 82] -> logits [..., steps, 17]; xp is numpy or jax.numpy. Silence is assumed outside.

    Each layer is dense over a few earlier and later steps; all but the first are residual.
    """
    steps = x.shape[-2]
    row = (1,) * (x.ndim - 1) + (-1,)  # biases are broadcast over everything but the last axis
    for i, taps in enumerate(TAPS):
        before, after = -min(taps), max(taps)
        padded = xp.pad(x, [(0, 0)] * (x.ndim - 2) + [(before, after), (0, 0)])
        taken = xp.concatenate([padded[..., before + tap : before + tap + steps, :] for tap in taps], -1)
        new = xp.maximum(taken @ parameters[f"layer{i}"] + parameters[f"bias{i}"].reshape(row), 0)
        x = x + new if i else new
    return x @ parameters["out"] + parameters["bias_out"].reshape(row)


@dataclasses.dataclass(frozen=True)
class Phonetic:
    """Probabilities of the KINDS at the two steps of a frame, then its loudness: A = 35.

    A frame's row depends on the audio up to `lookahead` samples (167.5 ms) after it and `history` (some 4.5 s) before.
    Loudness is the mean level below the peak, about -1 (18 dB) to 0.
    """

    name: str = "phonetic"
    dimension: int = STEPS * len(KINDS) + 1
    version: str = "2"
    lookahead: int = AHEAD * STEP + LogMel.lookahead
    history: int = BEHIND * STEP + MEMORY * HOP + LogMel.history

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        frames = len(waveform) // SAMPLES_PER_FRAME
        if not frames:
            return np.zeros((0, self.dimension), np.float16)
        parameters = weights()
        x = network_inputs(waveform, parameters["usual"])
        logits = network(np, parameters, x)
        likely = np.exp(logits - logits.max(-1, keepdims=True))
        likely /= likely.sum(-1, keepdims=True)
        loudness = x.reshape(frames, SUB_FRAMES, MEL_BANDS + 1)[..., -1].mean(-1, keepdims=True)
        return np.concatenate([likely.reshape(frames, -1), loudness], -1).astype(np.float16)


@functools.cache
def weights() -> Parameters:
    """The bundled network, trained on synthetic voices only (demo_jax/assets/README.md), as float32."""
    with np.load(WEIGHTS, allow_pickle=False) as file:
        return {name: file[name].astype(np.float32) for name in file.files}
