"""The plan of a puppet corpus: its parameters, and the clips, sets and probes that follow from them."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable

from data_pipelines.puppet.corpus.clips import Take, probe_set, probe_take, speech_clip
from data_pipelines.puppet.speech.sentences import SPLITS
from data_pipelines.records.schema import MAX_PIECE_FRAMES
from demo_jax.constants import FPS
from demo_jax.errors import InputError
from demo_jax.factors import FACTORS

_MEAN_SECONDS = 8.68  # of a clip: slightly less than the 8.75 measured, so the requested hours are reached
_SET_TAKES = 2 + len(FACTORS)
_SPLIT_SHARE = {"train": 0.8, "val": 0.08, "test": 0.12}
_PROBE_FRAMES = {"train": 16, "val": 32, "test": 32}  # of each identity
_PROBE_SHARE = 0.1  # of a split's frames, at most: a small corpus lacks probes of some identities


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parameters:
    """The parameters that determine the corpus. Raises InputError when a value is impossible."""

    hours: float = 2.0  # of all splits and kinds of takes together
    size: int = 128  # pixels of the square frames
    seed: int = 0
    people: tuple[int, int, int] = (230, 20, 50)  # identities in train, val, test
    set_share: float = 0.18  # of the frames: sets of factor-swapped takes
    set_frames: int = 24  # of each take of a set

    def __post_init__(self) -> None:
        if not 0 < self.hours <= 1000:
            raise InputError(f"--hours {self.hours}: give more than 0 and at most 1000 hours.")
        if not 32 <= self.size <= 1024:
            raise InputError(f"--size {self.size}: frames are 32 to 1024 pixels wide.")
        if self.seed < 0:
            raise InputError(f"--seed {self.seed}: a seed is 0 or more.")
        if min(self.people) < 1:
            raise InputError(f"--people {self.people}: every split needs at least one identity.")
        if not 0 <= self.set_share <= 0.8:
            raise InputError(f"--set-share {self.set_share}: a share is 0 to 0.8.")
        if not 1 <= self.set_frames <= MAX_PIECE_FRAMES:
            raise InputError(f"--set-frames {self.set_frames}: a segment has 1 to {MAX_PIECE_FRAMES} frames.")

    def people_in(self, split: str) -> int:
        return self.people[SPLITS.index(split)]

    def jobs(self) -> list[BuildTask]:
        """Returns every clip, set and probe of the corpus. A split has at least one of each."""
        out = []
        for split in SPLITS:
            frames = self.hours * 3600 * FPS * _SPLIT_SHARE[split]
            probes = min(self.people_in(split), max(1, int(frames * _PROBE_SHARE / _PROBE_FRAMES[split])))
            sets = max(1, int(frames * self.set_share / (_SET_TAKES * self.set_frames))) if self.set_share else 0
            left = frames - probes * _PROBE_FRAMES[split] - sets * _SET_TAKES * self.set_frames
            clips = max(1, round(left / (_MEAN_SECONDS * FPS)))
            for kind, count in (("speech", clips), ("set", sets), ("probe", probes)):
                out += [BuildTask(split=split, kind=kind, index=i) for i in range(count)]
        return out


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuildTask:
    """One clip ("speech"), one set ("set") or the probe of one identity ("probe")."""

    split: str
    kind: str
    index: int

    @property
    def last_written(self) -> str:
        """The key of the record that is written last, which marks the task as finished."""
        name = {"speech": "{:06d}", "set": "set{:05d}-base", "probe": "probe{:05d}"}[self.kind]
        return f"{self.split}-{name.format(self.index)}-0000"

    def frames(self, parameters: Parameters) -> int:
        """Returns the number of frames; for a clip, the mean number."""
        match self.kind:
            case "speech":
                return round(_MEAN_SECONDS * FPS)
            case "set":
                return _SET_TAKES * parameters.set_frames
            case _:
                return _PROBE_FRAMES[self.split]

    def takes(self, parameters: Parameters) -> list[Take]:
        """Returns the takes of this task."""
        seed, people = parameters.seed, parameters.people_in(self.split)
        match self.kind:
            case "speech":
                return [speech_clip(seed, self.split, self.index, people)]
            case "set":
                return probe_set(seed, self.split, self.index, people, parameters.set_frames)
            case _:
                return [probe_take(seed, self.split, self.index, people, _PROBE_FRAMES[self.split])]


def by_person(jobs: Iterable[BuildTask], parameters: Parameters) -> list[list[BuildTask]]:
    """Groups the tasks by identity, so each process sets an identity up only once."""

    def who(job: BuildTask) -> tuple[str, int]:
        return job.split, job.index % parameters.people_in(job.split)

    return [list(group) for _, group in itertools.groupby(sorted(jobs, key=who), key=who)]


def duration(seconds: float) -> str:
    """Formats a duration for people: 40 seconds, 25 minutes, 3.4 hours."""
    if seconds < 90:
        return f"{max(1, math.ceil(seconds))} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
