"""Statistics of a puppet corpus, read back from its records."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np

from data_pipelines.puppet.speech.sentences import VARIANTS, voice_variant
from demo_jax.constants import FPS

_TEXTS = ("clip_id", "speaker_id", "language", "emotion", "variant")
_TRACKS = ("pose", "gaze", "lips")


@dataclasses.dataclass(kw_only=True)
class CorpusStats:
    """Statistics of one split. Languages, voices, emotions, phonemes and tracks are those of the speech clips.

    segments   number of records
    takes_of   kind (clips, sets, probes) -> takes
    kinds      kind -> frames
    lengths    clip -> frames
    speakers, languages, voices, emotions, phonemes: name -> frames (phonemes: occurrences)
    tracks     pose [T, 6], gaze [T, 4], lips [T, 3] of all frames
    portraits  speaker -> a JPEG file, for some speakers
    takes      variant -> JPEG files, of the first set
    """

    segments: int = 0
    takes_of: Counter[str] = dataclasses.field(default_factory=Counter)
    lengths: Counter[str] = dataclasses.field(default_factory=Counter)
    speakers: Counter[str] = dataclasses.field(default_factory=Counter)
    kinds: Counter[str] = dataclasses.field(default_factory=Counter)
    languages: Counter[str] = dataclasses.field(default_factory=Counter)
    voices: Counter[str] = dataclasses.field(default_factory=Counter)
    emotions: Counter[str] = dataclasses.field(default_factory=Counter)
    phonemes: Counter[str] = dataclasses.field(default_factory=Counter)
    tracks: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    portraits: dict[str, bytes] = dataclasses.field(default_factory=dict)
    takes: dict[str, list[bytes]] = dataclasses.field(default_factory=dict)

    @property
    def frames(self) -> int:
        return self.kinds.total()


def kind_of(variant: str) -> str:
    """Returns the kind of a record: clips, probes or sets."""
    return "clips" if not variant else "probes" if variant == "probe" else "sets"


def read_stats(folder: Path, split: str, portraits: int) -> CorpusStats:
    """Reads DIR/<split>/clips once; keeps the portraits of `portraits` speakers."""
    out = CorpusStats()
    tracks: dict[str, list[np.ndarray]] = {name: [] for name in _TRACKS}
    first_set = ""
    for path in sorted((folder / split / "clips").glob("[!.]*.npz")):
        with np.load(path) as file:
            clip, speaker, language, emotion, variant = (str(file[name]) for name in _TEXTS)
            offsets = file["frame_offsets"]
            frames = len(offsets) - 1
            out.segments += 1
            out.takes_of[kind_of(variant)] += int(file["piece"]) == 0
            out.speakers[speaker] += frames
            out.kinds[kind_of(variant)] += frames
            if kind_of(variant) == "clips":
                out.lengths[clip] += frames
                out.languages[language or "silent"] += frames
                out.voices[voice_variant(split, int(speaker.rsplit("-", 1)[1]))] += frames
                out.emotions[emotion] += frames
                out.phonemes.update(str(p) for p in file["phonemes"])
                for name in _TRACKS:
                    tracks[name].append(file[name])
                if speaker not in out.portraits and len(out.portraits) < portraits:
                    out.portraits[speaker] = _jpeg(file, frames // 2)
            elif kind_of(variant) == "sets":
                first_set = first_set or str(file["set_id"])
                if str(file["set_id"]) == first_set:
                    out.takes[variant] = [_jpeg(file, t) for t in np.linspace(0, frames - 1, 6).astype(int)]
    widths = {"pose": 6, "gaze": 4, "lips": 3}
    out.tracks = {n: np.concatenate([np.zeros((0, widths[n]), np.float32), *parts]) for n, parts in tracks.items()}
    return out


def _jpeg(file: np.lib.npyio.NpzFile, t: int) -> bytes:
    start, end = file["frame_offsets"][t : t + 2]
    return file["frame_bytes"][start:end].tobytes()


def counts(stats: CorpusStats, split: str, sentences: int) -> dict[str, int | float | dict[str, int]]:
    """Returns the counts for dataset_info.json."""
    return {
        "pieces": stats.segments,
        "clips": stats.takes_of["clips"],
        "takes_of": dict(stats.takes_of),
        "frames": stats.frames,
        "hours": round(stats.frames / FPS / 3600, 4),
        "frames_of": dict(stats.kinds),
        "identities": len(stats.speakers),
        "voice_variants": len(VARIANTS[split]),
        "sentences": sentences,
    }
