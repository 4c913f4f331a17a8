"""Moves still photographs: each becomes clip records of a person whose every number is exact by construction."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_pipelines.loading.examples import stable_hash
from data_pipelines.prepare import SourceTask, check_folder, checksum, face_finder, keep, prepare_and_report
from data_pipelines.records.datasheet import add_datasheet_flags
from data_pipelines.records.names import clip_id_of, file_key
from data_pipelines.records.schema import ClipRecord, encode_frame, write_clip
from data_pipelines.stills.drivers import Drivers, load, read_drivers
from demo_jax.audio.log_mel import LogMel
from demo_jax.cli import CommandParser, cli_main
from demo_jax.constants import SAMPLES_PER_FRAME
from demo_jax.errors import InputError
from demo_jax.faces.measures import feature_boxes
from demo_jax.media.files import check_input
from demo_jax.media.text_files import read_table

VERSION = "1"  # changes whenever the same photograph gives other records
CORPUS = "photo-puppet"
_COLUMNS = ("folder", "file", "person", "split")
_HELP = """
Each photograph is cut into layers and moved by its own measured mesh, as the photograph path of sample.py does it: the
head turns, the lids close, the irises turn under them, and lips and brows take expressions of people who speak
(--drivers, records of data_pipelines.prepare). So pose, gaze, lips, landmarks and boxes are those that a frame was made
from, not a measurement of it. It writes

    OUT/<split>/clips/<photograph>-0000.npz          the photograph and --frames - 1 moved frames (docs/data.md)
    OUT/<split>/clips/<photograph>-<factor>-0000.npz the same frames with lip, pose or gaze drawn again: a paired group
    OUT/<split>/dataset_info.json                    fingerprint and datasheet
    OUT/report.csv                                   one line per photograph: accepted, or why it was left out

--splits names the photographs, their persons and their splits; rows of other folders are ignored, and test is made only
if --split names it. What a warp cannot show, such as the inside of the mouth, is marked in the records (trust) and does
not teach images. Running it again resumes. About a second per photograph and core.

examples:
  python -m data_pipelines.photo_puppets --portraits photographs --splits splits.csv --drivers data/films \\
      --out data/photo_puppets
  python -m data_pipelines.photo_puppets --out data/photo_puppets --sheet sheet.png
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PhotoTask(SourceTask):
    """One photograph to move."""

    drivers: str
    size: int
    frames: int
    seed: int
    face_model: str | None


def process(task: PhotoTask) -> dict[str, Any]:
    """Moves one photograph, in a process of its own, and returns its state. A photograph that cannot be moved is left
    out with the reason."""
    from data_pipelines.stills.still import LeftOut

    written: list[str] = []
    frames, reason = 0, ""
    with tempfile.TemporaryDirectory(dir=task.out, prefix=".unfinished-") as scratch:
        try:
            for record in records_of(task):
                written.append(write_clip(scratch, record).name)
                frames += record.length
        except LeftOut as problem:
            written, frames, reason = [], 0, str(problem)
        return keep(task, Path(scratch), written, frames, reason)


def records_of(task: PhotoTask) -> list[ClipRecord]:
    """Returns the paired group of a photograph: its base, and the same with one factor drawn again. Raises LeftOut."""
    from data_pipelines.stills import motion, puppet
    from data_pipelines.stills.still import read_still

    rng = np.random.default_rng([task.seed, stable_hash(task.clip_id)])
    drivers, find = _drivers(task.drivers), face_finder(task.face_model)
    still = read_still(task.path, find, task.size, rng)
    pose = still.face.pose(still.crop, task.size)
    resting = motion.rest(pose, still.face.gaze, float(still.face.lips[0]), task.frames)
    base, swapped = motion.draw(rng, resting, drivers)
    factor = motion.FACTORS[int(rng.integers(len(motion.FACTORS)))]
    own = still.expression
    return [
        _record(task, puppet.move(still, wanted, drivers, own, task.size), still.original, variant)
        for wanted, variant in ((base, "base"), (swapped[factor], f"redrawn:{factor}"))
    ]


def _record(task: PhotoTask, moved: Any, crop: np.ndarray, variant: str) -> ClipRecord:
    factor = variant.partition(":")[2]
    waveform = np.zeros(len(moved.frames) * SAMPLES_PER_FRAME, np.int16)
    return ClipRecord(
        clip_id=f"{task.clip_id}-{factor}" if factor else task.clip_id,
        piece=0,
        speaker_id=task.identity,
        corpus=CORPUS,
        frames=tuple(encode_frame(frame) for frame in moved.frames),
        pose=moved.pose,
        expression=moved.expression,
        gaze=moved.gaze,
        lips=moved.lips,
        landmarks=moved.landmarks,
        boxes=feature_boxes(moved.landmarks, moved.pose, task.size),
        confidence=np.ones(len(moved.frames), np.float32),
        waveform=waveform,
        crop=np.asarray(crop, np.float32),
        features={"logmel": LogMel()(waveform)},  # of silence: loaders need it
        set_id=task.clip_id,
        variant=variant,
        base_piece=0 if factor else -1,
        trust=moved.trust,
    )


@functools.cache
def _drivers(path: str) -> Drivers:
    return load(path)


def plan(args: argparse.Namespace, drivers: Drivers, parameters: dict[str, Any]) -> list[PhotoTask]:
    """Returns a task for each row of --splits that belongs to --portraits and a split of --split. Raises InputError."""
    folder = Path(args.portraits)
    if not folder.is_dir():
        raise InputError(f"--portraits {folder}: there is no such folder.")
    name, out = folder.resolve().name, Path(args.out).absolute()
    rows = [r for r in read_table(check_input(args.splits), f"--splits {args.splits}", _COLUMNS) if r["folder"] == name]
    if not rows:
        raise InputError(f"--splits {args.splits} has no row whose folder is {name}, the name of --portraits.")
    chosen = [row for row in rows if row["split"] in args.split]
    if not chosen:
        has = ", ".join(sorted({row["split"] for row in rows}))
        raise InputError(f"--splits {args.splits} has no row of {name} in {', '.join(args.split)}; it has {has}.")
    saved = drivers.save(out / ".state" / f"drivers-{drivers.checksum()[:16]}.npz")
    described, tasks, used = json.dumps(parameters, sort_keys=True), [], set()
    for row in chosen:
        path = folder / file_key(row["file"])
        if not path.is_file():
            raise InputError(f"--splits {args.splits} names {row['file']}, which {folder} does not hold.")
        clip_id = clip_id_of(path) or checksum(path)[:8]
        if clip_id in used:
            raise InputError(f"--splits {args.splits}: {row['file']} is there twice; keep one row.")
        used.add(clip_id)
        tasks.append(
            PhotoTask(
                path=str(path.absolute()), clip_id=clip_id, identity=row["person"], split=row["split"], out=str(out),
                key=hashlib.sha256(f"{checksum(path)}{described}{row['person']}".encode()).hexdigest(),
                drivers=str(saved), size=args.size, frames=args.frames, seed=args.seed, face_model=args.face_model,
            )
        )  # fmt: skip
    return tasks


def build(args: argparse.Namespace) -> int:
    """Makes the records. Raises InputError."""
    from demo_jax.faces.landmarker import VERSION as LANDMARKER
    from demo_jax.faces.landmarker import FaceFinder
    from demo_jax.rendering.matte import WEIGHTS

    out = Path(args.out).absolute()
    check_folder(out)
    with FaceFinder(args.face_model) as finder:  # fails here, with one sentence, if the extra is not installed
        model = checksum(finder.model)
    drivers = read_drivers(args.drivers, args.driver_split)
    parameters = {
        "version": VERSION, "size": args.size, "frames": args.frames, "seed": args.seed, "corpus": CORPUS,
        "drivers": drivers.checksum(), "landmarker": LANDMARKER, "face_model": model, "matte": checksum(WEIGHTS),
    }  # fmt: skip
    tasks = plan(args, drivers, parameters)
    done = prepare_and_report(
        args, tasks, parameters, process, unit="photograph", activity="moving photographs", generator="photo_puppets"
    )
    if done is None:
        return 130
    states, accepted, report = done
    print(f"{len(accepted)} of {len(states)} photographs moved; see {report}.")
    if not accepted:
        raise InputError(f"no photograph could be moved; {states[0]['path']}: {states[0]['reason']}.")
    return 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = CommandParser(
        prog="python -m data_pipelines.photo_puppets", description=__doc__, epilog=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--portraits", metavar="DIR", help="folder of photographs of one person each")
    parser.add_argument("--splits", metavar="CSV", help="columns folder (the name of --portraits), file, person, split")
    parser.add_argument("--drivers", metavar="RECORDS", help="clip records of people who speak, for expressions")
    parser.add_argument("--driver-split", default="train", metavar="NAME", help="split of --drivers (default train)")
    parser.add_argument("--out", required=True, metavar="DIR", help="output folder; earlier photographs in it stay")
    parser.add_argument("--split", nargs="+", default=["train", "val"], metavar="NAME",
                        help="splits of --splits to make (default train val)")  # fmt: skip
    parser.add_argument("--frames", type=int, default=12, help="frames of a record, 2 to 64 (default 12)")
    parser.add_argument("--size", type=int, default=128, help="side of the square frames in pixels (default 128)")
    parser.add_argument("--seed", type=int, default=0, help="of the motion (default 0)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)")
    parser.add_argument("--face-model", metavar="FILE", help="a face_landmarker.task (default: the installed one)")
    parser.add_argument("--sheet", metavar="FILE", help="only draws records of --out with their landmarks, as an "
                        "image; it shows people: do not publish it")  # fmt: skip
    add_datasheet_flags(parser, "photographs")
    args = parser.parse_args(arguments)
    if args.sheet is None and (missing := [n for n in ("portraits", "splits", "drivers") if getattr(args, n) is None]):
        parser.error(f"--{missing[0]} is required, unless --sheet is given")
    if not 64 <= args.size <= 512 or args.size % 16:
        raise InputError(f"--size {args.size}: give a multiple of 16 from 64 to 512.")
    if not 2 <= args.frames <= 64:
        raise InputError(f"--frames {args.frames}: a record has 2 to 64.")
    if args.workers < 1 or args.seed < 0:
        raise InputError("--workers must be at least 1, and --seed at least 0.")
    return args


@cli_main
def main(arguments: Sequence[str] | None = None) -> int:
    args = _arguments(arguments)
    if args.sheet is None:
        return build(args)
    from data_pipelines.stills.contact_sheet import write_sheet

    print(f"{write_sheet(args.out, args.sheet)} shows people: do not publish it.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
