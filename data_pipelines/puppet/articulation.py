"""Phonemes -> lip curves: which of the 52 ARKit coefficients the mouth shows at every frame.

A dominance model in the manner of Cohen and Massaro (1993): every phone has a target for jaw, lips and rounding and a
weight with which it insists on each (a [t] does not care about rounding and takes its neighbours', a [u] insists); the
curve is the weighted mean of the targets under a moving window, which gives anticipation and carry-over. On top of it
come gates that no neighbour can outvote: bilabials seal the lips and labiodentals tuck the lower lip under the teeth,
each during at least one frame centre, however short the phone.
"""

from __future__ import annotations

import unicodedata

import numpy as np

from demo_jax.factors import ARKIT_INDEX, ARKIT_NAMES
from demo_jax.typing import FPS

ARTICULATION_VERSION = "1"

_RATE = 200  # grid of the curves, Hz
_BLUR = 0.042  # standard deviation of the moving window, seconds
_RAMP = 0.068  # seconds in which a closure is approached and released
_CHANNELS = ("jaw", "stretch", "pucker", "funnel", "lower", "upper")

# Vowel -> jaw, stretch, pucker, funnel, lower lip down, upper lip up.
_VOWELS: dict[str, tuple[float, ...]] = {
    "a": (0.58, 0.12, 0.00, 0.00, 0.35, 0.20), "ɑ": (0.62, 0.00, 0.00, 0.12, 0.30, 0.18),
    "ɐ": (0.46, 0.08, 0.00, 0.00, 0.28, 0.16), "ʌ": (0.44, 0.05, 0.00, 0.05, 0.25, 0.15),
    "æ": (0.54, 0.40, 0.00, 0.00, 0.40, 0.28), "ɛ": (0.40, 0.32, 0.00, 0.00, 0.34, 0.20),
    "e": (0.28, 0.45, 0.00, 0.00, 0.32, 0.18), "i": (0.12, 0.62, 0.00, 0.00, 0.28, 0.18),
    "ɪ": (0.20, 0.40, 0.00, 0.00, 0.25, 0.14), "ɨ": (0.16, 0.28, 0.00, 0.00, 0.22, 0.12),
    "ɯ": (0.16, 0.20, 0.00, 0.00, 0.20, 0.10), "ə": (0.24, 0.10, 0.00, 0.06, 0.18, 0.10),
    "ɜ": (0.30, 0.04, 0.08, 0.18, 0.20, 0.12), "ɚ": (0.24, 0.00, 0.15, 0.25, 0.18, 0.12),
    "ɝ": (0.28, 0.00, 0.15, 0.25, 0.18, 0.12), "ɒ": (0.48, 0.00, 0.12, 0.38, 0.25, 0.15),
    "ɔ": (0.40, 0.00, 0.30, 0.48, 0.22, 0.12), "o": (0.28, 0.00, 0.55, 0.45, 0.16, 0.10),
    "u": (0.12, 0.00, 0.90, 0.28, 0.08, 0.06), "ʊ": (0.20, 0.00, 0.58, 0.28, 0.12, 0.08),
    "ʉ": (0.14, 0.00, 0.80, 0.25, 0.10, 0.06), "y": (0.12, 0.00, 0.82, 0.24, 0.10, 0.08),
    "ʏ": (0.18, 0.00, 0.58, 0.24, 0.12, 0.08), "ø": (0.24, 0.00, 0.60, 0.36, 0.14, 0.10),
    "œ": (0.36, 0.00, 0.40, 0.42, 0.18, 0.12),
}  # fmt: skip
_VOWELS |= {"ᵻ": _VOWELS["ɨ"], "ᵊ": _VOWELS["ə"], "ɵ": _VOWELS["ø"], "ɘ": _VOWELS["ə"], "ɤ": _VOWELS["ʌ"]}

# Consonant -> the same six targets, then how much it insists on the jaw, and on the lips (a vowel has 1, 1).
_CONSONANTS: dict[str, tuple[float, ...]] = {
    "t": (0.10, 0.12, 0.00, 0.05, 0.18, 0.10, 0.60, 0.15), "s": (0.06, 0.28, 0.00, 0.05, 0.36, 0.16, 1.20, 0.45),
    "ʃ": (0.08, 0.00, 0.30, 0.65, 0.28, 0.25, 1.20, 1.10), "ɕ": (0.07, 0.15, 0.12, 0.35, 0.28, 0.20, 1.20, 0.80),
    "k": (0.20, 0.08, 0.00, 0.04, 0.18, 0.10, 0.30, 0.10), "θ": (0.16, 0.12, 0.00, 0.00, 0.26, 0.12, 0.80, 0.35),
    "l": (0.18, 0.10, 0.00, 0.04, 0.22, 0.10, 0.45, 0.15), "r": (0.16, 0.04, 0.10, 0.12, 0.18, 0.10, 0.45, 0.20),
    "ɹ": (0.14, 0.00, 0.28, 0.38, 0.16, 0.12, 0.70, 0.80), "w": (0.08, 0.00, 0.95, 0.20, 0.04, 0.04, 1.10, 1.50),
    "j": (0.10, 0.45, 0.00, 0.00, 0.24, 0.12, 0.60, 0.45), "ɥ": (0.08, 0.00, 0.85, 0.20, 0.06, 0.04, 0.90, 1.30),
    "h": (0.25, 0.05, 0.00, 0.02, 0.20, 0.10, 0.10, 0.05), "p": (0.08, 0.00, 0.05, 0.05, 0.05, 0.03, 0.80, 0.20),
    "f": (0.08, 0.05, 0.00, 0.00, 0.05, 0.20, 0.90, 0.40),
}  # fmt: skip
_SAME_AS = {
    **dict.fromkeys("dnɗʈɖɳ", "t"), **dict.fromkeys("zʂʐ", "s"), **dict.fromkeys("ʒ", "ʃ"), **dict.fromkeys("ʑç", "ɕ"),
    **dict.fromkeys("ɡgŋxɣqχʁcɟʝ", "k"), "ð": "θ", **dict.fromkeys("ɫʎɭɬ", "l"), **dict.fromkeys("ɾʀɲ", "r"),
    "ʔ": "h", "ɦ": "h", **dict.fromkeys("bmβɓ", "p"), **dict.fromkeys("vʋɱ", "f"), "ʍ": "w",
}  # fmt: skip
_SILENCE = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.8, 0.8)
_BILABIAL, _LABIODENTAL = frozenset("pbm"), frozenset("fvɱ")
_SOFT_CLOSURE = {"β": 0.75, "ʋ": 0.8}  # approximants come near without touching


def _letters(phoneme: str) -> list[str]:
    """The letters of a phoneme that the tables know; a long one comes twice. Nasal and other marks are left out."""
    out: list[str] = []
    for mark in phoneme:
        if mark == "ː" and out:
            out.append(out[-1])
        for letter in (mark, unicodedata.normalize("NFD", mark)[0]):
            if letter in _VOWELS or letter in _CONSONANTS or letter in _SAME_AS:
                out.append(letter)
                break
    return out or ["ə"]


def _segments(phonemes: tuple[str, ...], times: np.ndarray) -> list[tuple[str, float, float, int]]:
    """One entry per IPA letter: letter, start, end, index of its phoneme. "aɪ" and "tʃ" become two letters."""
    out = []
    for index, (phoneme, (start, end)) in enumerate(zip(phonemes, times.tolist(), strict=True)):
        letters = _letters(phoneme)
        edges = np.linspace(start, end, len(letters) + 1)
        out += [(c, float(a), float(b), index) for c, a, b in zip(letters, edges[:-1], edges[1:], strict=True)]
    return out


def _target(letter: str) -> np.ndarray:
    """[8]: six targets, the jaw's weight, the lips' weight."""
    if letter in _VOWELS:
        return np.array((*_VOWELS[letter], 1.0, 1.0))
    return np.array(_CONSONANTS[_SAME_AS.get(letter, letter)])


def contact_frame(start: float, end: float, frames: int) -> int:
    """The frame whose centre is nearest to the middle of the phone: where a closure must be complete."""
    return int(np.clip(round((start + end) / 2 * FPS - 0.5), 0, frames - 1))


def _gate(time: np.ndarray, spans: list[tuple[float, float, float]], frames: int) -> np.ndarray:
    """[G]: 1 inside each (start, end, strength) span and at its contact frame, falling smoothly to 0 around it."""
    gate = np.zeros(len(time))
    for start, end, strength in spans:
        centre = (contact_frame(start, end, frames) + 0.5) / FPS
        # The release of a stop falls into its last quarter: the lips part before the phone ends.
        first, last = min(start, centre), max(end - 0.25 * (end - start), centre)
        outside = np.clip(np.maximum(first - time, time - last) / _RAMP, 0, 1)
        gate = np.maximum(gate, strength * 0.5 * (1 + np.cos(np.pi * outside)))
    return gate


def lip_curves(
    phonemes: tuple[str, ...],
    times: np.ndarray,
    frames: int,
    *,
    stressed: np.ndarray | None = None,
    effort: float = 1.0,
    asymmetry: float = 0.0,
) -> np.ndarray:
    """The mouth that speaks these phonemes.

    Args:
      phonemes, times: P IPA texts and [P, 2] seconds, as synthesise gives them.
      frames: T; frame i shows the instant (i + 1/2) / 25 s.
      stressed: [P] bool; stressed vowels open the jaw further.
      effort: 1 is ordinary speech, 0.6 mumbling, 1.4 loud.
      asymmetry: -1 to 1, how much stronger the left side of the lips is than the right.
    Returns: [T, 52] float32, 0-1, zero outside the lip factor and in silence.
    """
    # Seconds outside the clip are silence, so the window sees rest there.
    margin = int(4 * _BLUR * _RATE) + 1
    time = (np.arange(-margin, frames * _RATE // FPS + margin) + 0.5) / _RATE
    table = np.tile(np.array(_SILENCE), (len(time), 1))
    closures, tucks = [], []
    for letter, start, end, index in _segments(phonemes, times):
        row = _target(letter)
        if letter in _VOWELS:
            row[0] *= 1.2 if stressed is not None and stressed[index] else 0.95
        table[(time >= start) & (time < end)] = row
        if letter in _BILABIAL or letter == "β":
            closures.append((start, end, _SOFT_CLOSURE.get(letter, 1.0)))
        if letter in _LABIODENTAL or letter == "ʋ":
            tucks.append((start, end, _SOFT_CLOSURE.get(letter, 1.0)))
    weights = table[:, [6, 7, 7, 7, 7, 7]]
    values = _blur(table[:, :6] * weights) / np.maximum(_blur(weights), 1e-6)
    centres = (np.arange(frames) + 0.5) / FPS
    # The grid is linear between its points; the gates are evaluated at the frames' own instants.
    channel = dict(zip(_CHANNELS, np.stack([np.interp(centres, time, v) for v in values.T]) * effort, strict=True))
    return _coefficients(channel, _gate(centres, closures, frames), _gate(centres, tucks, frames), asymmetry)


def _blur(values: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter1d

    return gaussian_filter1d(values, _BLUR * _RATE, axis=0, mode="nearest")


def _coefficients(channel: dict[str, np.ndarray], closed: np.ndarray, tuck: np.ndarray, asymmetry: float) -> np.ndarray:
    """Six channels [T] each and two gates [T] -> [T, 52]."""
    out = np.zeros((len(closed), len(ARKIT_NAMES)), np.float64)

    def put(name: str, value: np.ndarray) -> None:
        out[:, ARKIT_INDEX[name]] = value

    def put_both(name: str, value: np.ndarray) -> None:
        put(f"{name}Left", value * (1 + 0.15 * asymmetry))
        put(f"{name}Right", value * (1 - 0.15 * asymmetry))

    free = (1 - closed) * (1 - tuck)
    jaw = channel["jaw"] * (1 - 0.45 * closed)
    jaw = jaw * (1 - tuck) + np.minimum(jaw, 0.07) * tuck
    put("jawOpen", jaw)
    # mouthClose = jawOpen brings the lips together over the open jaw.
    put("mouthClose", jaw * closed)
    put("mouthPucker", channel["pucker"] * (1 - 0.35 * closed) * (1 - 0.5 * tuck))
    put("mouthFunnel", channel["funnel"] * free)
    put("mouthRollLower", 0.65 * tuck * (1 - closed) + 0.18 * closed)
    put("mouthRollUpper", 0.15 * closed)
    put_both("mouthStretch", channel["stretch"] * (1 - 0.5 * closed))
    put_both("mouthLowerDown", channel["lower"] * free)
    put_both("mouthUpperUp", (channel["upper"] * (1 - tuck) + 0.22 * tuck) * (1 - closed))
    put_both("mouthPress", 0.35 * closed)
    return np.clip(out, 0, 1).astype(np.float32)
