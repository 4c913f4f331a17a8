"""The photograph path, measured: python -m benchmarks.photographs --portraits DIR --splits splits.csv --out FILE.json

Portraits are drawn at random, equally often from each source (a file is SOURCE__PERSON.jpg), from the rows of
splits.csv (columns folder, file, split) whose folder is that of --portraits; one that cannot be used is replaced by the
next. Every figure is of frames as they are before encoding, unless it says mp4, at the photograph's own size, by the
one reader (`demo_jax.evaluation.metrics.reader`, the `prepare` extra).

  kept      the portrait at rest: PSNR in the head's box; change outside the reach
  sharp     cheeks and hair at yaw +-10 and +-15, on photographs of --large (native size)
  control   grids of one control at a time, all else frozen; leakage between them; blinks; with the decoder's own
            square (the path before this one) and direct alignment, which trained nothing, beside
  seams     along the borders of the reach and of the box; flicker along the outline
  speech    apertures of generated speech (the bundled recording, and --speech recordings of people), the first frame
  cost      milliseconds by stage, frames a second, memory

On one core about 20 s a portrait, 8 s for each of --large, 5 minutes for speech; cost takes 6 minutes with --minutes 4.
"""

from __future__ import annotations

import dataclasses
import datetime
import os
import platform
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
from tqdm import tqdm

from benchmarks import photograph_cost, photograph_frames, photograph_speech, photograph_table
from benchmarks.common import processor, write_json
from benchmarks.photograph_frames import GRIDS, Sitter, sit
from demo_jax.cli import CommandParser, cli_main
from demo_jax.errors import InputError
from demo_jax.evaluation.metrics.reader import READ_NAMES
from demo_jax.faces.landmarker import FaceFinder
from demo_jax.media.text_files import read_table
from demo_jax.sampling import pipeline
from demo_jax.sampling.pipeline import Pipeline

SECTIONS = ("frames", "sharp", "speech", "cost")


def spread_over_sources(files: Sequence[str], seed: int) -> list[str]:
    """Returns all files in a random order that takes one of each source (the part before __) in turn."""
    rng = random.Random(seed)
    groups: dict[str, list[str]] = {}
    for file in sorted(files):
        groups.setdefault(file.partition("__")[0], []).append(file)
    for group in groups.values():
        rng.shuffle(group)
    longest = max(map(len, groups.values()), default=0)
    return [group[i] for i in range(longest) for group in groups.values() if i < len(group)]


def listed(splits: Path, folder: Path, split: str, seed: int) -> list[Path]:
    """Returns the files of a folder that splits.csv gives to a split, `spread_over_sources`. Raises InputError if there
    is none."""
    rows = read_table(splits, str(splits), ("folder", "file", "split"))
    files = [row["file"] for row in rows if row["folder"] == folder.name and row["split"] == split]
    if not files:
        raise InputError(f"{splits} has no {split} rows of the folder {folder.name}.")
    return [folder / file for file in spread_over_sources(files, seed)]


def measured(
    model: Pipeline,
    finder: FaceFinder,
    paths: Sequence[Path],
    count: int,
    measure: Callable[[Sitter], dict[str, Any]],
    name: str,
    left_out: dict[str, str],
) -> Iterator[dict[str, Any]]:
    """Yields what is measured of the first `count` portraits that can be used."""
    done = 0
    with tqdm(total=min(count, len(paths)), desc=name) as bar:
        for path in paths:
            if done == count:
                return
            try:
                portrait = model.read_portrait(path, warn=lambda _: None)
                if portrait.image is None:
                    raise InputError("it is drawn as the decoder's square.")
                found = measure(sit(model, finder, portrait))
            except InputError as error:
                left_out[path.name] = str(error)
                continue
            done += 1
            bar.update()
            yield {"file": path.name} | found


def about(model: Pipeline, seed: int, split: str) -> dict[str, Any]:
    """What the figures were made with."""
    return {
        "checkpoint": Path(model.model.path).name, "split": split, "seed": seed,
        "date": datetime.date.today().isoformat(), "machine": f"{processor()}, {os.cpu_count()} cores, "
        f"{len(os.sched_getaffinity(0))} used", "load": os.getloadavg()[0], "python": platform.python_version(),
        "jax": jax.__version__,
    }  # fmt: skip


@cli_main
def main(argv: list[str] | None = None) -> None:
    parser = CommandParser(prog="python -m benchmarks.photographs", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--portraits", type=Path, required=True, help="folder of portraits")
    parser.add_argument("--large", type=Path, help="folder of portraits at native size, for sharpness and cost")
    parser.add_argument("--speech", type=Path, help="folder of recordings, rows of splits.csv too")
    parser.add_argument("--splits", type=Path, required=True, help="csv with the columns folder, file, split")
    parser.add_argument("--split", choices=("test", "val", "train"), default="test")
    parser.add_argument("--count", type=int, default=30, help="of portraits")
    parser.add_argument("--large-count", type=int, default=24, help="of portraits at native size")
    parser.add_argument("--recordings", type=int, default=4, help="of --speech, in English")
    parser.add_argument(
        "--aperture", type=float, nargs="*", default=(), help="other multipliers of generated apertures"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=SECTIONS, action="append", help="sections to measure; all unless given")
    parser.add_argument("--minutes", type=int, default=10, help="length of the longer video whose memory is measured")
    parser.add_argument("--out", type=Path, help="json to write")
    args = parser.parse_args(argv)
    wanted = args.only or SECTIONS
    model = pipeline.load()
    left_out: dict[str, str] = {}
    found: dict[str, Any] = {"about": about(model, args.seed, args.split), "left_out": left_out}
    paths = listed(args.splits, args.portraits, args.split, args.seed)
    large = listed(args.splits, args.large, args.split, args.seed) if args.large else []

    def keep(section: str, values: Any) -> None:
        found[section] = values
        if args.out:
            write_json(args.out, found)

    with FaceFinder(most=5) as finder:
        if "frames" in wanted:
            rows = measured(model, finder, paths, args.count, photograph_frames.figures, "portraits", left_out)
            keep("frames", list(rows))
        if "sharp" in wanted and large:
            rows = measured(model, finder, large, args.large_count, photograph_frames.sharp, "native size", left_out)
            keep("sharp", list(rows))
        if "speech" in wanted:
            clips = photograph_speech.recordings(args.speech, args.splits, args.split, args.recordings, args.seed)
            speech = photograph_speech.Speech(clips=clips, multipliers=tuple(args.aperture), seed=args.seed)
            rows = measured(model, finder, paths, args.count, speech.first_frames, "first frames", left_out)
            keep("first", list(rows))
            rows = measured(model, finder, paths, photograph_speech.PORTRAITS, speech.apertures, "speech", left_out)
            keep("speech", list(rows))
    if "cost" in wanted:
        keep("cost", photograph_cost.measure(model, (large or paths)[0], args.minutes))
    if found.get("frames"):
        matrix = photograph_table.leak_matrix(found["frames"])
        keep("leakage", {"controls": list(GRIDS), "readings": READ_NAMES} | {k: v.tolist() for k, v in matrix.items()})
    table = photograph_table.rows(found)
    keep("table", [dataclasses.asdict(row) for row in table])
    sys.stdout.write(photograph_table.text(table))


if __name__ == "__main__":
    raise SystemExit(main())
