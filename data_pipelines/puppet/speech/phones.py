"""Articulation targets of every IPA letter, and the split of phonemes into letters with times.

Targets are those of careful speech; `articulation` turns them into curves.
"""

from __future__ import annotations

import dataclasses
import unicodedata

import numpy as np

CHANNELS = ("jaw", "stretch", "pucker", "funnel", "lower", "upper", "forward")

# Vowel -> jaw, stretch, pucker, funnel, lower lip down, upper lip up.
VOWELS: dict[str, tuple[float, ...]] = {
    "a": (0.58, 0.40, 0.00, 0.00, 0.32, 0.18), "ɑ": (0.60, 0.28, 0.00, 0.05, 0.28, 0.16),
    "ɐ": (0.45, 0.32, 0.00, 0.00, 0.26, 0.14), "ʌ": (0.44, 0.28, 0.00, 0.00, 0.24, 0.14),
    "æ": (0.54, 0.50, 0.00, 0.00, 0.38, 0.26), "ɛ": (0.37, 0.46, 0.00, 0.00, 0.33, 0.19),
    "e": (0.25, 0.50, 0.00, 0.00, 0.31, 0.17), "i": (0.12, 0.54, 0.00, 0.00, 0.28, 0.17),
    "ɪ": (0.17, 0.42, 0.00, 0.00, 0.25, 0.14), "ɨ": (0.14, 0.26, 0.00, 0.00, 0.22, 0.12),
    "ɯ": (0.14, 0.22, 0.00, 0.00, 0.20, 0.10), "ə": (0.20, 0.12, 0.00, 0.02, 0.18, 0.10),
    "ɜ": (0.26, 0.16, 0.04, 0.07, 0.20, 0.12), "ɚ": (0.21, 0.08, 0.12, 0.18, 0.18, 0.12),
    "ɝ": (0.24, 0.08, 0.12, 0.18, 0.18, 0.12), "ɒ": (0.42, 0.04, 0.10, 0.18, 0.24, 0.14),
    "ɔ": (0.35, 0.02, 0.20, 0.24, 0.20, 0.12), "o": (0.25, 0.00, 0.38, 0.24, 0.16, 0.10),
    "u": (0.11, 0.00, 0.66, 0.24, 0.08, 0.06), "ʊ": (0.18, 0.00, 0.40, 0.22, 0.12, 0.08),
    "ʉ": (0.13, 0.00, 0.52, 0.22, 0.10, 0.06), "y": (0.11, 0.00, 0.56, 0.22, 0.10, 0.08),
    "ʏ": (0.17, 0.00, 0.40, 0.22, 0.12, 0.08), "ø": (0.22, 0.00, 0.42, 0.20, 0.14, 0.10),
    "œ": (0.32, 0.02, 0.28, 0.22, 0.18, 0.12),
}  # fmt: skip
_VOWEL_LIKE = {"ᵻ": "ɨ", "ᵊ": "ə", "ɵ": "ø", "ɘ": "ə", "ɤ": "ʌ", "ɞ": "œ", "ɶ": "œ", "ɩ": "ɪ"}
VOWELS |= {new: VOWELS[old] for new, old in _VOWEL_LIKE.items()}

# Consonant -> the same six, jaw forward, then its dominance weights for the jaw and for the lips (a vowel has 1, 1).
CONSONANTS: dict[str, tuple[float, ...]] = {
    "t": (0.08, 0.08, 0.00, 0.04, 0.18, 0.10, 0.0, 0.60, 0.15),
    "s": (0.04, 0.28, 0.00, 0.02, 0.28, 0.14, 0.3, 1.20, 0.60),
    "ʃ": (0.07, 0.00, 0.22, 0.44, 0.28, 0.25, 0.5, 1.20, 1.10),
    "ɕ": (0.06, 0.18, 0.10, 0.26, 0.28, 0.20, 0.4, 1.20, 0.80),
    "k": (0.15, 0.08, 0.00, 0.03, 0.18, 0.10, 0.0, 0.30, 0.10),
    "θ": (0.14, 0.14, 0.00, 0.00, 0.26, 0.12, 0.1, 0.80, 0.35),
    "l": (0.15, 0.08, 0.00, 0.03, 0.22, 0.10, 0.0, 0.45, 0.15),
    "r": (0.13, 0.05, 0.06, 0.08, 0.18, 0.10, 0.0, 0.45, 0.20),
    "ɾ": (0.14, 0.06, 0.00, 0.02, 0.20, 0.10, 0.0, 0.35, 0.10),
    "ɹ": (0.13, 0.02, 0.20, 0.22, 0.16, 0.12, 0.1, 0.70, 0.70),
    "ʁ": (0.18, 0.08, 0.00, 0.02, 0.20, 0.10, 0.0, 0.20, 0.06),
    "w": (0.08, 0.00, 0.66, 0.20, 0.04, 0.04, 0.0, 1.10, 1.50),
    "j": (0.10, 0.36, 0.00, 0.00, 0.24, 0.12, 0.0, 0.60, 0.45),
    "ɥ": (0.08, 0.00, 0.56, 0.18, 0.06, 0.04, 0.0, 0.90, 1.30),
    "h": (0.23, 0.12, 0.00, 0.01, 0.20, 0.10, 0.0, 0.10, 0.05),
    "p": (0.08, 0.06, 0.04, 0.04, 0.05, 0.03, 0.0, 0.80, 0.20),
    "f": (0.08, 0.12, 0.00, 0.00, 0.05, 0.20, 0.0, 0.90, 0.40),
}  # fmt: skip
_SAME_AS = {
    **dict.fromkeys("dnɗʈɖɳ", "t"), **dict.fromkeys("zʂʐ", "s"), **dict.fromkeys("ʒɧ", "ʃ"), **dict.fromkeys("ʑç", "ɕ"),
    **dict.fromkeys("ɡgŋxɣqcɟʝɲ", "k"), "ð": "θ", **dict.fromkeys("ɫʎɭɬɮʟ", "l"), **dict.fromkeys("ɽɻ", "ɾ"),
    **dict.fromkeys("χʀʕħ", "ʁ"), "ʔ": "h", "ɦ": "h", **dict.fromkeys("bmβɓɸʙ", "p"), **dict.fromkeys("vʋɱ", "f"),
    "ʍ": "w", "ɰ": "k",
}  # fmt: skip
REST = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.8, 0.8)
BILABIAL, LABIODENTAL = frozenset("pbmɓʙ"), frozenset("fvɱ")
STOPS = frozenset("pbɓ")
SOFT = {"β": 0.7, "ɸ": 0.7, "ʋ": 0.8}  # come near without touching
_KNOWN = frozenset(VOWELS) | frozenset(CONSONANTS) | frozenset(_SAME_AS)

# Language -> eSpeak NG's letter -> the letter of the phone in that language, which the lips follow.
_BY_LANGUAGE: dict[str, dict[str, str]] = {
    "pt": {"y": "ɪ", "æ": "ɐ"},
    "de": {"ɜ": "ɐ", "r": "ʁ"},
    "nl": {"ɵ": "ʏ"},
}
_NASAL_MARK = "\u0303"
_NASAL = {"ɔ": "o", "ɐ": "ə"}  # nasal vowels whose lips differ from those of the letter


@dataclasses.dataclass(frozen=True, kw_only=True)
class Segment:
    """One IPA letter of phoneme number `index`, from `start` to `end` (seconds)."""

    letter: str
    start: float
    end: float
    index: int


def letters(phoneme: str, language: str = "") -> list[str]:
    """Returns the known letters of a phoneme; a long one appears twice. Without any known letter: a neutral vowel."""
    own = _BY_LANGUAGE.get(language, {})
    out: list[str] = []
    for mark in unicodedata.normalize("NFD", phoneme).replace("c\u0327", "ç"):
        if mark == "ː" and out:
            out.append(out[-1])
        elif mark == _NASAL_MARK and out:
            out[-1] = _NASAL.get(out[-1], out[-1])
        elif mark in _KNOWN:
            out.append(own.get(mark, mark))
    return out or ["ə"]


def segments(phonemes: tuple[str, ...], times: np.ndarray, language: str = "") -> list[Segment]:
    """Returns the letters with their times: "aɪ" and "tʃ" become two.

    The first vowel of a diphthong is the longer one, the closure of an affricate the shorter one; a lengthened or
    doubled letter is one long segment.
    """
    out: list[Segment] = []
    for index, (phoneme, (start, end)) in enumerate(zip(phonemes, np.asarray(times).tolist(), strict=True)):
        found = letters(phoneme, language)
        shares = np.ones(len(found))
        if len(found) > 1 and found[0] in VOWELS and found[1] in VOWELS and found[0] != found[1]:
            shares[0] = 1.35
        if len(found) > 1 and found[0] not in VOWELS and found[1] not in VOWELS:
            shares[0] = 0.85
        edges = start + (end - start) * np.concatenate([[0.0], np.cumsum(shares) / shares.sum()])
        for letter, a, b in zip(found, edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            last = out[-1] if out else None
            if last is not None and last.letter == letter and last.index == index:
                out[-1] = dataclasses.replace(last, end=b)  # [ss], [aː]
            else:
                out.append(Segment(letter=letter, start=a, end=b, index=index))
    return out


def target(letter: str) -> np.ndarray:
    """Returns [9]: seven channels, the weight of the jaw, the weight of the lips."""
    if letter in VOWELS:
        return np.array((*VOWELS[letter], 0.0, 1.0, 1.0))
    return np.array(CONSONANTS[_SAME_AS.get(letter, letter)])
