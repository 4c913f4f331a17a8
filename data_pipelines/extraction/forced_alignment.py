"""Times of the phones of a recording: forced alignment of English with its text, by PocketSphinx (`bench` extra).

The acoustic model in its wheel is Gaussian mixtures fitted to American English of many speakers. ADR 20 names what it
shares with the phonetic features that are evaluated with it.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from demo_jax.constants import SAMPLE_RATE
from demo_jax.errors import InputError
from demo_jax.media import audio, text_files

COLUMN = 0.01  # seconds of one column of the aligner
# A score is the log-likelihood of the aligned states less that of the best state, per column. Right transcripts of 76
# recordings scored -6 to -33. With as many words of other recordings, half could not be aligned, and of texts of more
# than six words one in 49 scored as well.
LEAST_SCORE = -33.0
SILENCE = ("SIL", "+NOISE+", "+SPN+", "(NULL)")

# The sentences of the GRID corpus (Cooke et al., 2006) are named by their six words: bbaf2n, bin blue at f two now.
_GRID = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},
    dict(
        zip("z123456789", ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"], strict=True)
    ),
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Aligned:
    """A recording and the times of its phones.

    waveform   [S] int16, 16 kHz mono
    phones     P ARPAbet names without stress; pauses are left out
    times      [P, 2] seconds, start and end
    score      mean over columns of log-likelihood less the best state's; 0 is best
    """

    name: str
    waveform: np.ndarray
    phones: tuple[str, ...]
    times: np.ndarray
    score: float


def spoken_words(text: str) -> list[str]:
    """Returns a text as lower-case words; words with digits stay as they are, and are in no dictionary."""
    return re.findall(r"[a-z0-9']*[a-z0-9][a-z0-9']*", text.lower().replace("’", "'"))


def grid_sentence(code: str) -> list[str]:
    """Returns the words of a GRID sentence from its file's name, such as bbaf2n or swwp2s; [] for another name."""
    words = [table.get(letter, "") for table, letter in zip(_GRID, code, strict=False)]
    return words if len(code) == len(_GRID) and all(words) else []


@functools.cache
def _decoder() -> Any:
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise InputError("forced alignment needs pocketsphinx: pip install demo-jax[bench].") from error
    # Beams so wide that a rare pronunciation is not lost before its word is over.
    return Decoder(lm=None, loglevel="FATAL", bestpath=False, beam=1e-80, pbeam=1e-80, wbeam=1e-60)


def _decode(decoder: Any, waveform: np.ndarray) -> None:
    decoder.start_utt()
    decoder.process_raw(waveform.tobytes(), full_utt=True)
    decoder.end_utt()


def unknown_words(words: Sequence[str]) -> list[str]:
    """Returns the words that the pronouncing dictionary lacks."""
    return [word for word in words if _decoder().lookup_word(word) is None]


def align(name: str, waveform: np.ndarray, words: Sequence[str]) -> Aligned | None:
    """Aligns known words with a recording [S] int16 at 16 kHz; None if they do not fit in it."""
    decoder = _decoder()
    decoder.set_align_text(" ".join(words))
    _decode(decoder, waveform)
    if decoder.hyp() is None:
        return None
    decoder.set_alignment()  # a second pass, which finds the phones inside the words
    _decode(decoder, waveform)
    segments = [phone for word in decoder.get_alignment() for phone in word]
    spoken = [phone for phone in segments if phone.name not in SILENCE]
    return Aligned(
        name=name,
        waveform=waveform,
        phones=tuple(phone.name for phone in spoken),
        times=np.array([(p.start, p.start + p.duration) for p in spoken], np.float64).reshape(-1, 2) * COLUMN,
        score=sum(phone.score for phone in segments) / max(sum(phone.duration for phone in segments), 1),
    )


def read_table(path: Path) -> list[dict[str, str]]:
    """Returns the rows of a csv file with a heading and a column file; [] if there is no file. Raises InputError."""
    return text_files.read_table(path, str(path), ("file",)) if path.exists() else []


def read_aligned(folder: str | Path, least_score: float = LEAST_SCORE) -> tuple[list[Aligned], dict[str, str]]:
    """Aligns every recording that FOLDER/transcripts.csv names (columns file, text), in the order of that file.

    Where FOLDER/manifest.csv names a GRID file as the source (columns file, source_path), its name is the transcript.
    Returns the clips that aligned well, and for each other file the reason why it was left out.

    Raises InputError: no such table, no pocketsphinx, or a recording cannot be read.
    """
    root = Path(folder)
    table = root / "transcripts.csv"
    if not table.exists():
        raise InputError(f"{root} has no transcripts.csv (columns file, text).")
    rows, manifest = read_table(table), read_table(root / "manifest.csv")
    sources = {row["file"]: Path(row["source_path"]).stem.split("_")[-1] for row in manifest}
    kept, left_out = [], {}
    for row in rows:
        name = Path(row["file"]).stem
        waveform = audio.read_audio(root / row["file"])
        words = grid_sentence(sources.get(row["file"], "")) or spoken_words(row["text"])
        unknown = unknown_words(words)
        if unknown or not words:
            left_out[name] = f"not in the dictionary: {', '.join(unknown)}" if words else "no words"
            continue
        found = align(name, waveform, words)
        if found is None:
            left_out[name] = "the transcript does not fit"
        elif found.score < least_score:
            left_out[name] = f"poor fit: {found.score:.0f} per column"
        else:
            kept.append(found)
    return kept, left_out


def seconds(clips: Sequence[Aligned]) -> float:
    """Returns the length of all the recordings together."""
    return sum(len(clip.waveform) for clip in clips) / SAMPLE_RATE
