"""What `benchmarks.photographs` measures of generated speech: how far mouths open and close, and the first frame."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.photograph_frames import Sitter
from demo_jax.constants import SAMPLES_PER_FRAME
from demo_jax.errors import InputError
from demo_jax.evaluation.metrics.motion import speaking_frames, speech_aperture
from demo_jax.evaluation.metrics.reader import Readings
from demo_jax.factors import CALIBRATED_NAMES, CALIBRATED_SCALE
from demo_jax.media.audio import read_audio
from demo_jax.media.text_files import read_table
from demo_jax.paths import ASSETS
from demo_jax.sampling.manner import PHOTOGRAPH, AppliedManner
from demo_jax.sampling.options import Options

PORTRAITS = 6
SHORTEST, LONGEST = 5.0, 12.0  # seconds of a recording
BUNDLED = ASSETS / "speech.wav"
FIRST_FRAMES = 25  # of free motion that are generated for the first of them
ANGLES = ("yaw", "pitch", "roll")


def recordings(folder: Path | None, splits: Path, split: str, count: int, seed: int) -> dict[str, np.ndarray]:
    """Returns name -> int16 [T * 640]: the bundled recording, and English ones of different speakers.

    Args:
      folder: with manifest.csv (columns file, language, speaker, seconds); None: the bundled one alone.
      splits: csv with the columns folder, file, split.
      split: whose rows are used.
      count: of recordings.
      seed: of the choice.

    Raises:
      InputError: there are too few.
    """
    chosen = {BUNDLED.name: BUNDLED}
    if folder is not None:
        name = str(folder / "manifest.csv")
        manifest = read_table(name, name, ("file", "language", "speaker", "seconds"))
        rows = read_table(splits, str(splits), ("folder", "file", "split"))
        allowed = {row["file"] for row in rows if row["folder"] == folder.name and row["split"] == split}
        fitting = {
            row["speaker"]: row["file"]
            for row in manifest
            if row["file"] in allowed and row["language"] == "en" and SHORTEST <= float(row["seconds"]) <= LONGEST
        }
        if len(fitting) < count:
            raise InputError(f"{folder} has only {len(fitting)} English speakers in split {split}.")
        speakers = np.random.default_rng(seed).choice(sorted(fitting), count, replace=False)
        chosen |= {fitting[s]: folder / fitting[s] for s in speakers}
    return {name: _whole_frames(read_audio(path)) for name, path in chosen.items()}


def _whole_frames(waveform: np.ndarray) -> np.ndarray:
    return np.pad(waveform, (0, -len(waveform) % SAMPLES_PER_FRAME))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Speech:
    """Recordings that portraits speak.

    clips        name -> waveform
    multipliers  of generated apertures, beside the default
    seed         of the sampler
    """

    clips: Mapping[str, np.ndarray]
    multipliers: tuple[float, ...] = ()
    seed: int = 0

    def first_frames(self, sitter: Sitter) -> dict[str, Any]:
        """How far the first frame of free motion is from the portrait: by its code, and as read."""
        model, code = sitter.model, np.asarray(sitter.source.code)
        speech = next(iter(self.clips.values()))[: FIRST_FRAMES * SAMPLES_PER_FRAME]
        part = next(model.motion(sitter.source, speech, options=Options(seed=self.seed)))
        first = part[:2]
        change = (first[0] - code)[model.layout.calibrated] * CALIBRATED_SCALE
        names = dict(zip(CALIBRATED_NAMES, map(float, change), strict=True))
        read = sitter.read_frames(np.stack(list(model.drawer.frames(sitter.source, first))))
        return {
            "code_degrees": max(abs(names[name]) for name in ANGLES),
            "code_width": abs(float(np.expm1(-names["z"]))),
            **_moved(sitter.read, read),
        }

    def apertures(self, sitter: Sitter) -> dict[str, Any]:
        """Apertures of each recording as read from rendered frames, by multiplier."""
        return {
            "clips": {
                f"{multiplier:g}": {
                    name: self._aperture(sitter, waveform, multiplier) for name, waveform in self.clips.items()
                }
                for multiplier in (PHOTOGRAPH.aperture, *self.multipliers)
            }
        }

    def _aperture(self, sitter: Sitter, waveform: np.ndarray, multiplier: float) -> dict[str, float]:
        model, code = sitter.model, np.asarray(sitter.source.code)
        # From a raw code motion is as generated, without the photograph's manner, which is applied here.
        generated = np.concatenate(list(model.motion(code, waveform, options=Options(seed=self.seed))))
        manner = dataclasses.replace(PHOTOGRAPH, aperture=multiplier)
        free = np.zeros((manner.settling, len(code)), bool)
        codes = AppliedManner(manner, code, model.layout, free)(generated, 0)
        read = sitter.read_frames(np.stack(list(model.drawer.frames(sitter.source, codes))))
        speaking = speaking_frames(waveform, len(codes))
        i = CALIBRATED_NAMES.index("aperture")
        asked = codes[:, model.layout.calibrated[i]] * CALIBRATED_SCALE[i]
        known = read.aperture[np.isfinite(read.aperture)]
        silent = read.aperture[~speaking & np.isfinite(read.aperture)]
        return {
            "spoken": speech_aperture(read.aperture, speaking),
            "asked": speech_aperture(asked, speaking),
            "closed": float(np.percentile(known, 5)) if len(known) else float("nan"),
            "silent": float(np.median(silent)) if len(silent) else float("nan"),
            "found": float(read.found.mean()),
        }


def _moved(portrait: Readings, read: Readings) -> dict[str, float]:
    """The first of frames against the portrait, as read, and the second against the first."""
    angles = [np.array([getattr(r, name)[t] for name in ANGLES]) for r, t in ((portrait, 0), (read, 0), (read, 1))]
    width = float(portrait.face_width[0])
    return {
        "degrees": float(np.abs(angles[1] - angles[0]).max()),
        "centre": float(np.linalg.norm(read.centre[0] - portrait.centre[0]) / width),
        "width": float(abs(read.face_width[0] / width - 1)),
        "aperture": float(abs(read.aperture[0] - portrait.aperture[0])),
        "next_degrees": float(np.abs(angles[2] - angles[1]).max()),
    }
