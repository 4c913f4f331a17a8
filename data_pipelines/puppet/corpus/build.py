"""Builds the puppet corpus: clip records in DIR/<split>/clips, DIR/<split>/dataset_info.json and DIR/datasheet.html.

Every clip, set and probe is a pure function of the parameters and its number, so it can be made alone, in any process
and in any order. A finished one is recognised by its first segment, which is written last.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
import math
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data_pipelines.extraction.speech_augmentation import AUGMENTATION_VERSION
from data_pipelines.loading.workers import Report, run_all
from data_pipelines.puppet.corpus.clips import CLIPS_VERSION, Take, probe_take, speaker_name, stream
from data_pipelines.puppet.corpus.datasheet import write_datasheet
from data_pipelines.puppet.corpus.plan import BuildTask, Parameters, by_person, duration
from data_pipelines.puppet.motion.articulation import ARTICULATION_VERSION
from data_pipelines.puppet.motion.face_motion import MOTION_VERSION
from data_pipelines.puppet.speech.sentences import SENTENCES_VERSION
from data_pipelines.puppet.speech.synthesis import SPEECH_VERSION
from data_pipelines.puppet.speech.utterances import cut
from data_pipelines.records.schema import MAX_PIECE_FRAMES, SCHEMA_VERSION, ClipRecord, pack, write_clip
from demo_jax.errors import InputError
from demo_jax.media.files import write_atomically

if TYPE_CHECKING:
    from data_pipelines.puppet.person.identity import Identity
    from data_pipelines.puppet.render.renderer import Renderer

HEAD_VERSION = "2"  # of head, identities and renderer: raised with every change of a shape or a pixel

_QUALITY = 95
_WORTH_MEASURING = 5000  # frames: fewer are finished before an estimate would be
_TRIAL_FRAMES = 16


def records(take: Take, split: str, seed: int, size: int) -> Iterator[ClipRecord]:
    """Renders a take and yields its segments, all about equally long and at most 64 frames."""
    import simplejpeg

    from data_pipelines.puppet.render.renderer import measure
    from demo_jax.audio.log_mel import LogMel

    identity = person(seed, split, take.person)
    moves, total = take.motion, take.motion.frames
    truth = measure(identity, moves.pose, moves.expression, moves.eyes, size)
    images = _renderer(seed, split, take.person, size).render(moves.pose, moves.expression, moves.eyes)
    log_mel = LogMel()
    features = log_mel(take.context)[take.offset : take.offset + total]
    gaze = np.concatenate([moves.eyes[:, :2], truth.openings], 1).astype(np.float32)
    edges = np.linspace(0, total, math.ceil(total / MAX_PIECE_FRAMES) + 1).round().astype(int)
    for segment, (start, end) in enumerate(itertools.pairwise(edges)):
        window = slice(int(start), int(end))
        audio = cut(take.audio, int(start), int(end - start))
        yield ClipRecord(
            clip_id=take.clip_id,
            piece=segment,
            speaker_id=speaker_name(split, take.person),
            corpus="puppet",
            frames=tuple(
                simplejpeg.encode_jpeg(
                    np.ascontiguousarray(p), quality=_QUALITY, colorspace="RGB", colorsubsampling="444"
                )
                for p in images[window]
            ),
            pose=moves.pose[window],
            expression=moves.expression[window],
            gaze=gaze[window],
            lips=truth.lips[window],
            landmarks=truth.landmarks[window],
            boxes=truth.boxes[window],
            confidence=np.ones(end - start, np.float32),
            waveform=audio.waveform,
            features={log_mel.name: features[window]},
            language=audio.language,
            emotion=take.emotion,
            phonemes=audio.phonemes,
            phoneme_times=audio.times,
            set_id=take.set_id,
            variant=take.variant,
            base_piece=take.base_piece,
            identity=identity.shape,
        )


@functools.lru_cache(maxsize=64)
def person(seed: int, split: str, number: int) -> Identity:
    """Returns the Identity with this number in a split."""
    from data_pipelines.puppet.person.identity import random_identity

    return random_identity(stream(seed, split, "identity", number))


@functools.lru_cache(maxsize=2)
def _renderer(seed: int, split: str, number: int, size: int) -> Renderer:
    """Returns a cached renderer: setting one up takes as long as about ten frames, and tasks come grouped by person."""
    from data_pipelines.puppet.render.renderer import Renderer

    return Renderer(person(seed, split, number), size)


def run_jobs(jobs: Sequence[BuildTask], report: Report, *, parameters: Parameters, folder: Path) -> None:
    """Writes the records of some jobs, each job's first piece last. Reports frames."""
    for job in jobs:
        takes = job.takes(parameters)
        made = [r for take in takes for r in records(take, job.split, parameters.seed, parameters.size)]
        for record in reversed(made):
            write_clip(folder / job.split, record)
        report(sum(record.length for record in made))


def fingerprint(parameters: Parameters) -> dict:
    """Returns everything that determines the data, and its SHA-256."""
    from demo_jax.audio.log_mel import LogMel

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
            "augmentation": AUGMENTATION_VERSION,
            "features/logmel": LogMel().version,
        },
    }
    text = json.dumps(parts, sort_keys=True)
    return parts | {"sha256": hashlib.sha256(text.encode()).hexdigest()}


def build(folder: Path, parameters: Parameters, workers: int, progress: bool = True) -> dict[str, dict]:
    """Generates the missing records of the corpus in a folder. Returns each split's dataset info.

    Raises InputError when the folder holds a corpus of other parameters or cannot be written.
    """
    from tqdm import tqdm

    if workers < 1:
        raise InputError(f"--workers {workers}: at least one process is needed.")
    identity = fingerprint(parameters)
    _claim(folder, identity)
    every = parameters.jobs()
    todo = [j for j in every if not (folder / j.split / "clips" / f"{j.last_written}.npz").exists()]
    frames, left = (sum(job.frames(parameters) for job in jobs) for jobs in (every, todo))
    try:
        if left >= _WORTH_MEASURING:
            new_person, frame, size = _trial(parameters)
            _check_space(folder, left * size)
            people = len(by_person(todo, parameters)) + sum(job.kind == "set" for job in todo)
            seconds = (left * frame + people * new_person) / workers
            if progress:
                tqdm.write(
                    f"{left:,} of {frames:,} frames of {parameters.size} px to render: about "
                    f"{left * size / 1e9:.1f} GB, {duration(seconds)} with {workers} free cores."
                )
        work = functools.partial(run_jobs, parameters=parameters, folder=folder)
        with tqdm(total=frames, initial=frames - left, unit=" frames", disable=not progress) as bar:
            run_all(work, by_person(todo, parameters), workers, bar.update)
            bar.total = bar.n  # how long the clips are is known only now
        infos = write_datasheet(folder, parameters, identity, every)
        for half_written in folder.glob("*/clips/.*.tmp"):
            half_written.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error}); make room or choose another folder.") from error
    return infos


def _trial(parameters: Parameters) -> tuple[float, float, float]:
    """Measures seconds for a new person, and seconds and bytes per frame. It also compiles the renderer."""
    people = max(2, parameters.people_in("val"))
    spent, size = [], 0
    for number in (0, 1, 1):  # the first compiles, the second sets a person up, the third only renders
        take = probe_take(parameters.seed, "val", number, people, _TRIAL_FRAMES)
        start = time.perf_counter()
        made = list(records(take, "val", parameters.seed, parameters.size))
        spent.append(time.perf_counter() - start)
        size = sum(len(pack(record)) for record in made)
    return spent[1] - spent[2], spent[2] / _TRIAL_FRAMES, size / _TRIAL_FRAMES


def _check_space(folder: Path, needed: float) -> None:
    free = shutil.disk_usage(folder).free
    if free < 1.05 * needed:
        raise InputError(
            f"{folder}: about {needed / 1e9:.1f} GB will be written, but {free / 1e9:.1f} GB are free; make room, or "
            "choose another folder, fewer --hours or a smaller --size."
        )


def _claim(folder: Path, identity: dict) -> None:
    """Writes DIR/corpus.json, or checks that an existing one belongs to this corpus."""
    path = folder / "corpus.json"
    try:
        if path.exists():
            if json.loads(path.read_text()).get("sha256") != identity["sha256"]:
                raise InputError(f"{folder} holds a puppet corpus of other parameters; choose an empty folder.")
        else:
            write_atomically(path, json.dumps(identity, indent=1).encode())
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"{folder} cannot be used for the corpus ({error}); choose another folder.") from error
