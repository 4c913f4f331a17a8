"""Turns videos of talking people into clip records."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from data_pipelines.loading.workers import run_each
from data_pipelines.records.datasheet import add_datasheet_flags, write_info, write_report
from data_pipelines.records.names import clip_id_of
from data_pipelines.records.schema import ClipRecord, write_clip
from data_pipelines.records.splits import assign_splits, name_identities, parse_split
from demo_jax.cli import CommandParser, cli_main
from demo_jax.constants import FPS
from demo_jax.errors import InputError
from demo_jax.media.files import PLAYLISTS, check_input, write_atomically
from demo_jax.media.locks import locked
from demo_jax.media.video import VIDEO_SUFFIXES

_NAMED = 5  # of the skipped files
_HELP = """
Finds the face, its pose, gaze, lips and expression in every frame, cuts one fixed square per clip, and writes

    OUT/<split>/clips/<clip>-<segment>.npz  clip records (docs/data.md), at most 64 frames each
    OUT/<split>/dataset_info.json           fingerprint and datasheet
    OUT/report.csv                          one line per video: accepted segments, or why it was rejected

Videos may have any size and rate (they become 25 fps) and need audio. A video is split at scene cuts and where the
face is lost for more than 0.2 s; scenes shorter than a second, with several faces, or with tiny or averted faces are
rejected, as are videos of fewer than 20 frames a second. Stretches without a new, whole frame (before the first one,
where the video stands still, after damage) are left out. Running it again resumes: videos that were done with the same
parameters are skipped.

examples:
  python -m data_pipelines.prepare --videos films/ --out data/films
  python -m data_pipelines.prepare --videos a.mp4 b.mp4 --out data/two --split train --size 128
  python -m data_pipelines.prepare --videos films/ --out data/films --split train:0.8,val:0.1,test:0.1 \\
      --identities who.csv --licence "CC BY 4.0" --consent "signed release of every speaker"
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceTask:
    """One file to make records of. `key` is a checksum of its content and of every parameter that decides them."""

    path: str
    clip_id: str
    identity: str
    split: str
    key: str
    out: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrepareTask(SourceTask):
    """One video to prepare. `shortest` is the fewest frames of a scene."""

    corpus: str
    language: str
    size: int
    shortest: int
    face_model: str | None


def find_videos(inputs: Sequence[str]) -> tuple[list[Path], list[Path]]:
    """Returns the videos, each once: files as given, and what has a video's name in folders, sorted; and the other
    files of folders, without hidden ones. Raises InputError if a folder has no videos or a file does not exist."""
    found: list[Path] = []
    skipped: list[Path] = []
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            files = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
            inside = [p for p in files if p.suffix.lower() in VIDEO_SUFFIXES]
            skipped += [p for p in files if p.suffix.lower() not in VIDEO_SUFFIXES]
            if not inside:
                raise InputError(f"folder {text} holds no videos ({', '.join(VIDEO_SUFFIXES)}).")
            found += inside
        elif "://" in text or text.lower().endswith(PLAYLISTS) or not path.exists():
            check_input(text)  # raises with the reason
        else:
            found.append(path)
    return list(dict.fromkeys(p.absolute() for p in found)), skipped


def checksum(path: str | os.PathLike) -> str:
    """Returns the SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def process(task: PrepareTask) -> dict[str, Any]:
    """Prepares one video, in a process of its own, and returns its state: accepted segments and reasons. Faults of a
    video are reasons, never raised; nothing of a rejected or interrupted video stays in the output."""
    from data_pipelines.extraction.video import Labels, Outcome, extract
    from demo_jax.audio.log_mel import LogMel

    labels = Labels(clip_id=task.clip_id, speaker_id=task.identity, corpus=task.corpus, language=task.language)
    segments: list[str] = []
    reasons: list[str] = []
    frames, error = 0, ""
    with tempfile.TemporaryDirectory(dir=task.out, prefix=".unfinished-") as scratch:
        try:
            finder = face_finder(task.face_model)
            results = extract(task.path, labels, finder, (LogMel(),), task.size, task.shortest, reasons.append)
            for result in results:
                if isinstance(result, ClipRecord):
                    segments.append(write_clip(scratch, result).name)
                    frames += result.length
                elif isinstance(result, Outcome) and result.scene.reason:
                    first, last = result.scene.first / FPS, result.scene.last / FPS
                    reasons.append(f"{first:.2f}-{last:.2f} s: {result.scene.reason}")
        except InputError as problem:
            error, segments, frames = str(problem), [], 0
        return keep(task, Path(scratch), segments, frames, error or "; ".join(reasons))


def keep(task: SourceTask, scratch: Path, records: Sequence[str], frames: int, reason: str) -> dict[str, Any]:
    """Moves the records that a task wrote into `scratch` to its split, and returns and keeps its state.

    Args:
      task: the task.
      scratch: folder in `out`.
      records: names of the files.
      frames: of the records.
      reason: why parts, or all, were left out.
    """
    out = Path(task.out)
    state = dataclasses.asdict(task) | {"pieces": list(records), "frames": frames, "reason": reason}
    # The state goes first: records without one would be left over, one whose records are missing is redone.
    write_atomically(_state_file(out, task.clip_id), json.dumps(state, indent=1).encode())
    for name in records:
        (out / task.split / "clips").mkdir(parents=True, exist_ok=True)
        os.replace(scratch / "clips" / name, out / task.split / "clips" / name)
    return state


@functools.cache
def face_finder(model: str | None) -> Any:
    """Returns the one face finder of this process: starting it takes as long as 20 frames."""
    from demo_jax.faces.landmarker import FaceFinder

    return FaceFinder(model)


def prepare(
    tasks: Sequence[SourceTask],
    out: Path,
    workers: int,
    work: Callable[[Any], dict[str, Any]] | None = None,
    unit: str = "video",
) -> list[dict[str, Any]]:
    """Prepares the videos that are not yet done, in parallel, and returns the state of each, in the order of `tasks`.

    Args:
      tasks: what `work` takes; for `process` a PrepareTask each.
      out: the folder.
      workers: processes.
      work: what is done with each, which ends in `keep`; None: `process`.
      unit: what the progress bar counts.

    Raises InputError if `out` cannot be written.
    """
    from tqdm import tqdm

    run: Callable[[Any], dict[str, Any]] = work or process
    states = {task.path: state for task in tasks if (state := _finished(out, task)) is not None}
    todo = [task for task in tasks if task.path not in states]
    for task in todo:
        _forget(out, task.clip_id)
    try:
        with (
            tqdm(total=len(tasks), initial=len(states), unit=unit, desc="prepare") as bar,
            contextlib.closing(run_each(run, todo, workers)) as results,
        ):
            for task, state in results:
                states[task.path] = state or _lost(task)
                bar.update()
    except OSError as error:
        raise InputError(f"--out {out}: {error}. What is done is kept, and the same command resumes.") from error
    finally:
        for scratch in out.glob(".unfinished-*"):
            shutil.rmtree(scratch, ignore_errors=True)
    return [states[task.path] for task in tasks]


def _lost(task: SourceTask) -> dict[str, Any]:
    """Returns the state of a task whose process died twice. It is not kept: the same command tries again."""
    reason = "the process that read it died: short of memory, or a file that crashes a library"
    return dataclasses.asdict(task) | {"pieces": [], "frames": 0, "reason": reason}


def earlier_states(out: Path, clip_ids: Set[str]) -> list[dict[str, Any]]:
    """Returns the states in `out` of videos other than `clip_ids`: those of earlier calls with other --videos."""
    names = sorted(p.stem for p in (out / ".state").glob("*.json"))
    states = [_read_state(out, name) for name in names if name not in clip_ids]
    return [s for s in states if s is not None]


def _state_file(out: Path, clip_id: str) -> Path:
    return out / ".state" / f"{clip_id}.json"


def _read_state(out: Path, clip_id: str) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError):
        return json.loads(_state_file(out, clip_id).read_text())
    return None


def _finished(out: Path, task: SourceTask) -> dict[str, Any] | None:
    """Returns the state of a video that was done with the same content and parameters and whose records are still
    there, or None."""
    state = _read_state(out, task.clip_id)
    if state is None or state["key"] != task.key or state["split"] != task.split:
        return None
    there = all((out / task.split / "clips" / name).is_file() for name in state["pieces"])
    return state | {"path": task.path} if there else None


def _forget(out: Path, clip_id: str) -> None:
    """Removes the records that an earlier run with other parameters made of this video."""
    state = _read_state(out, clip_id) or {"pieces": ()}
    for name in state["pieces"]:
        (out / state["split"] / "clips" / name).unlink(missing_ok=True)
    _state_file(out, clip_id).unlink(missing_ok=True)


def prepare_and_report(
    args: argparse.Namespace,
    tasks: Sequence[SourceTask],
    parameters: Mapping[str, Any],
    work: Callable[[Any], dict[str, Any]] | None = None,
    *,
    unit: str = "video",
    activity: str = "preparing videos",
    generator: str = "prepare",
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], Path] | None:
    """Calls `prepare`, and writes the report and the dataset_info.json of each split.

    Args:
      args: of the command: out, workers, and those of add_datasheet_flags.
      tasks, work, unit: as for `prepare`.
      parameters: of the records.
      activity: what another process that wants the folder is told.
      generator: the command.

    Returns:
      The states, those among them that have records, and the path of the report; None after an interrupt, with a line
      on stderr.
    """
    out = Path(args.out).absolute()
    try:
        with locked(out, activity):
            states = prepare(tasks, out, min(args.workers, len(tasks)), work, unit)
    except KeyboardInterrupt:
        print("stopped; what is done is kept, and the same command resumes.", file=sys.stderr)
        return None
    everything = earlier_states(out, {task.clip_id for task in tasks}) + states
    report = write_report(out, everything)
    datasheet = {"source": args.source, "licence": args.licence, "consent": args.consent}
    accepted = [s for s in states if s["pieces"]]
    for split in sorted({s["split"] for s in accepted}):
        write_info(out, split, [s for s in everything if s["split"] == split], parameters, datasheet, generator)
    return states, accepted, report


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = CommandParser(
        prog="python -m data_pipelines.prepare", description=__doc__, epilog=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--videos", nargs="+", required=True, metavar="PATH", help="video files, or folders of them")
    parser.add_argument("--out", required=True, metavar="DIR", help="output folder; earlier videos in it stay")
    parser.add_argument("--split", default="train:0.8,val:0.1,test:0.1", metavar="NAME|FRACTIONS",
                        help="one split name, or fractions by identity (default %(default)s)")  # fmt: skip
    parser.add_argument("--size", type=int, default=256, help="side of the square frames in pixels (default 256)")
    parser.add_argument("--shortest", type=int, default=25, help="shortest scene to keep, in frames (default 25)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)")
    parser.add_argument("--face-model", metavar="FILE", help="a face_landmarker.task (default: the installed one)")
    parser.add_argument("--identities", metavar="CSV", help="columns file, identity (default: stem up to the last _NN)")
    parser.add_argument("--corpus", default="real", help="name of the corpus in the records (default real)")
    parser.add_argument("--language", default="", help="language of all videos, such as en (default unknown)")
    add_datasheet_flags(parser, "videos")
    args = parser.parse_args(arguments)
    if not 32 <= args.size <= 2048 or args.size % 2:
        raise InputError(f"--size {args.size}: give an even number from 32 to 2048.")
    if args.shortest < 1 or args.workers < 1:
        raise InputError("--shortest and --workers must be at least 1.")
    return args


def _plan(args: argparse.Namespace, videos: Sequence[Path], parameters: Mapping[str, Any]) -> list[PrepareTask]:
    identities = name_identities(videos, args.identities, lambda text: print(f"warning: {text}", file=sys.stderr))
    fractions = parse_split(args.split)
    before = earlier_states(Path(args.out), {clip_id_of(path) for path in videos})
    if sizes := {s["size"] for s in before} - {args.size}:
        raise InputError(f"--out {args.out} holds videos of --size {sizes.pop()}; give the same, or another folder.")
    # A person who was in a split stays there, unless this call names one split for all.
    splits = assign_splits(identities, fractions, {s["identity"]: s["split"] for s in before if len(fractions) > 1})
    described = json.dumps(dict(parameters), sort_keys=True)
    tasks: list[PrepareTask] = []
    used: set[str] = set()
    for path, identity in zip(videos, identities, strict=True):
        content = checksum(path)
        clip_id = clip_id_of(path) or content[:8]
        if clip_id in used:
            clip_id = f"{clip_id}-{content[:8]}"
        if clip_id in used:
            raise InputError(f"{path} is given twice, or a copy of another video with the same name; leave one out.")
        used.add(clip_id)
        tasks.append(
            PrepareTask(
                path=str(path), clip_id=clip_id, identity=identity, split=splits[identity], out=str(Path(args.out)),
                key=hashlib.sha256(f"{content}{described}{identity}".encode()).hexdigest(), corpus=args.corpus,
                language=args.language, size=args.size, shortest=args.shortest, face_model=args.face_model,
            )
        )  # fmt: skip
    return tasks


@cli_main
def main(arguments: Sequence[str] | None = None) -> int:
    from data_pipelines.extraction.video import parameters as extraction_parameters
    from demo_jax.audio.log_mel import LogMel
    from demo_jax.faces.landmarker import FaceFinder

    args = _arguments(arguments)
    parse_split(args.split)
    videos, skipped = find_videos(args.videos)
    if skipped:
        names = ", ".join(p.name for p in skipped[:_NAMED]) + (", ..." if len(skipped) > _NAMED else "")
        print(f"files skipped, since their names are not those of videos: {len(skipped)} ({names}).", file=sys.stderr)
    out = Path(args.out).absolute()
    check_folder(out)
    with FaceFinder(args.face_model) as finder:  # fails here, with one sentence, if the extra is not installed
        model = checksum(finder.model)
    parameters = extraction_parameters(args.size, args.shortest, (LogMel(),), model)
    parameters |= {"corpus": args.corpus, "language": args.language}
    tasks = _plan(args, videos, parameters)
    out.mkdir(parents=True, exist_ok=True)
    if (done := prepare_and_report(args, tasks, parameters)) is None:
        return 130
    states, accepted, report = done
    seconds = sum(s["frames"] for s in states) / FPS
    print(f"{len(accepted)} of {len(states)} videos accepted ({seconds:.0f} s); see {report}.")
    if not accepted:
        raise InputError(f"no video could be used; {states[0]['path']}: {states[0]['reason'].rstrip('.')}.")
    return 0


def check_folder(out: Path) -> None:
    """Raises InputError if the folder cannot be written."""
    parent = next(p for p in (out, *out.parents) if p.exists())
    if not parent.is_dir():
        raise InputError(f"--out {out}: {parent} is a file; name a folder.")
    try:
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise InputError(f"--out {out} cannot be written ({error.strerror}).") from error


if __name__ == "__main__":
    raise SystemExit(main())
