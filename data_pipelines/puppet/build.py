"""Builds the puppet corpus: clip records in DIR/<split>/clips and DIR/<split>/dataset_info.json.

Every clip and set is a pure function of the parameters and its number, so that it can be made alone, in any process,
in any order; a finished one is recognised by its first piece, which is written last.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
import math
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data_pipelines.puppet.articulation import ARTICULATION_VERSION
from data_pipelines.puppet.clips import CLIPS_VERSION, Take, cut, probe_set, speaker_name, speech_clip, stream
from data_pipelines.puppet.motion import MOTION_VERSION
from data_pipelines.puppet.sentences import SENTENCES_VERSION, SPLITS, VARIANTS, languages, sentences
from data_pipelines.puppet.speech import SPEECH_VERSION
from data_pipelines.schema import MAX_PIECE_FRAMES, SCHEMA_VERSION, ClipRecord, write_atomically, write_clip
from demo_jax.typing import FPS, InputError

if TYPE_CHECKING:
    from data_pipelines.puppet.identity import Identity

HEAD_VERSION = "2"  # of head, identities and renderer: raised with every change of a shape or a pixel

_MEAN_SECONDS = 6.9  # of a speech clip, measured; turns hours into a number of clips
_SET_VARIANTS = 6
_SPLIT_SHARE = {"train": 0.8, "val": 0.08, "test": 0.12}
_QUALITY = 95


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parameters:
    """What decides the corpus. Raises InputError when a value is impossible."""

    hours: float = 0.5  # of all splits and variants together
    size: int = 64  # pixels of the square frames
    seed: int = 0
    people: tuple[int, int, int] = (60, 10, 20)  # identities in train, val, test
    set_share: float = 0.2  # of the frames: redrawn sets
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
        if not 0 <= self.set_share < 1:
            raise InputError(f"--set-share {self.set_share}: a share is at least 0 and below 1.")
        if not 1 <= self.set_frames <= MAX_PIECE_FRAMES:
            raise InputError(f"--set-frames {self.set_frames}: a piece has 1 to {MAX_PIECE_FRAMES} frames.")

    def people_in(self, split: str) -> int:
        return self.people[SPLITS.index(split)]

    def jobs(self) -> list[Job]:
        """Every clip and set of the corpus."""
        out = []
        for split in SPLITS:
            frames = self.hours * 3600 * FPS * _SPLIT_SHARE[split]
            clips = max(1, round(frames * (1 - self.set_share) / (_MEAN_SECONDS * FPS)))
            sets = math.ceil(frames * self.set_share / (_SET_VARIANTS * self.set_frames))
            out += [Job(split=split, kind="speech", index=i) for i in range(clips)]
            out += [Job(split=split, kind="set", index=i) for i in range(sets)]
        return out


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """One clip ("speech") or one set ("set")."""

    split: str
    kind: str
    index: int

    @property
    def last_written(self) -> str:
        """The key of the record that is written last, and so proves that the job is done."""
        clip_id = f"{self.index:06d}" if self.kind == "speech" else f"set{self.index:05d}-base"
        return f"{self.split}-{clip_id}-0000"

    def takes(self, parameters: Parameters) -> list[Take]:
        people = parameters.people_in(self.split)
        if self.kind == "speech":
            return [speech_clip(parameters.seed, self.split, self.index, people)]
        return probe_set(parameters.seed, self.split, self.index, people, parameters.set_frames)


def records(take: Take, split: str, seed: int, size: int) -> Iterator[ClipRecord]:
    """Renders a take and yields its pieces, all about equally long and at most 64 frames."""
    import simplejpeg

    from data_pipelines.extraction.audio import LogMel
    from data_pipelines.puppet.render import Renderer, measure

    identity = person(seed, split, take.person)
    moves, total = take.motion, take.motion.frames
    truth = measure(identity, moves.pose, moves.expression, moves.eyes, size)
    pictures = Renderer(identity, size).render(moves.pose, moves.expression, moves.eyes)
    log_mel = LogMel()
    features = log_mel(take.context)[take.offset : take.offset + total]
    gaze = np.concatenate([moves.eyes[:, :2], truth.openings], 1).astype(np.float32)
    edges = np.linspace(0, total, math.ceil(total / MAX_PIECE_FRAMES) + 1).round().astype(int)
    for piece, (start, end) in enumerate(itertools.pairwise(edges)):
        window = slice(int(start), int(end))
        sound = cut(take.sound, int(start), int(end - start))
        yield ClipRecord(
            clip_id=take.clip_id,
            piece=piece,
            speaker_id=speaker_name(split, take.person),
            corpus="puppet",
            frames=tuple(
                simplejpeg.encode_jpeg(
                    np.ascontiguousarray(p), quality=_QUALITY, colorspace="RGB", colorsubsampling="444"
                )
                for p in pictures[window]
            ),
            pose=moves.pose[window],
            expression=moves.expression[window],
            gaze=gaze[window],
            lips=truth.lips[window],
            landmarks=truth.landmarks[window],
            boxes=truth.boxes[window],
            confidence=np.ones(end - start, np.float32),
            waveform=sound.waveform,
            features={log_mel.name: features[window]},
            language=sound.language,
            emotion=take.emotion,
            phonemes=sound.phonemes,
            phoneme_times=sound.times,
            set_id=take.set_id,
            variant=take.variant,
            base_piece=take.base_piece,
            identity=identity.shape,
        )


@functools.lru_cache(maxsize=64)
def person(seed: int, split: str, number: int) -> Identity:
    """The Identity with this number in a split."""
    from data_pipelines.puppet.identity import random_identity

    return random_identity(stream(seed, split, "identity", number))


def run_job(job: Job, parameters: Parameters, folder: Path) -> int:
    """Writes the records of one job, the first piece last. Returns how many frames it has."""
    made = [r for take in job.takes(parameters) for r in records(take, job.split, parameters.seed, parameters.size)]
    for record in reversed(made):
        write_clip(folder / job.split, record)
    return sum(record.length for record in made)


def fingerprint(parameters: Parameters) -> dict:
    """Everything that decides the numbers, and the SHA-256 of it."""
    from data_pipelines.extraction.audio import LogMel

    parts = {
        "parameters": dataclasses.asdict(parameters) | {"people": list(parameters.people)},
        "versions": {
            "schema": SCHEMA_VERSION,
            "speech": SPEECH_VERSION,
            "articulation": ARTICULATION_VERSION,
            "motion": MOTION_VERSION,
            "sentences": SENTENCES_VERSION,
            "clips": CLIPS_VERSION,
            "head": HEAD_VERSION,
            "features/logmel": LogMel().version,
        },
    }
    text = json.dumps(parts, sort_keys=True)
    return parts | {"sha256": hashlib.sha256(text.encode()).hexdigest()}


def build(folder: Path, parameters: Parameters, workers: int, progress: bool = True) -> dict[str, dict]:
    """Makes what is missing of the corpus in a folder. Returns each split's dataset info.

    Raises InputError when the folder holds a corpus of other parameters or cannot be written.
    """
    from tqdm import tqdm

    identity = fingerprint(parameters)
    _claim(folder, identity)
    every = parameters.jobs()
    todo = [j for j in every if not (folder / j.split / "clips" / f"{j.last_written}.npz").exists()]
    with tqdm(total=len(every), initial=len(every) - len(todo), unit="clip", disable=not progress) as bar:
        if workers <= 1:
            for job in todo:
                run_job(job, parameters, folder)
                bar.update()
        elif todo:
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(workers, mp_context=context) as pool:
                futures = [pool.submit(run_job, job, parameters, folder) for job in todo]
                try:
                    for future in as_completed(futures):
                        future.result()
                        bar.update()
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
    infos = {split: _info(folder / split, split, parameters, identity) for split in SPLITS}
    for split, info in infos.items():
        write_atomically(folder / split / "dataset_info.json", json.dumps(info, indent=1).encode())
    return infos


def _claim(folder: Path, identity: dict) -> None:
    """Writes DIR/corpus.json, or checks that the one there is this corpus'."""
    path = folder / "corpus.json"
    try:
        if path.exists():
            if json.loads(path.read_text()).get("sha256") != identity["sha256"]:
                raise InputError(f"{folder} holds a puppet corpus of other parameters; choose an empty folder.")
        else:
            write_atomically(path, json.dumps(identity, indent=1).encode())
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"{folder} cannot be used for the corpus ({error}); choose another folder.") from error


def _info(folder: Path, split: str, parameters: Parameters, identity: dict) -> dict:
    clips, frames, people = set(), 0, set()
    pieces = sorted((folder / "clips").glob("*.npz"))
    for path in pieces:
        with np.load(path) as arrays:
            frames += len(arrays["frame_offsets"]) - 1
            clips.add(str(arrays["clip_id"]))
            people.add(str(arrays["speaker_id"]))
    return {
        "corpus": "puppet",
        "split": split,
        "fingerprint": identity,
        "counts": {
            "pieces": len(pieces),
            "clips": len(clips),
            "frames": frames,
            "hours": round(frames / FPS / 3600, 4),
            "identities": len(people),
            "voice_variants": len(VARIANTS[split]),
            "sentences": sum(len(sentences(language, split)) for language in languages() if language != "en-gb"),
        },
        "datasheet": {
            "source": "Generated by data_pipelines.puppet: a procedural head that speaks with eSpeak NG voices.",
            "licence": "Apache-2.0, as the code that generates it; the sentences were written for this project.",
            "consent": "No person is shown or heard: faces, voices and sentences are synthetic.",
            "rejected": [],
        },
    }
