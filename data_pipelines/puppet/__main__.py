"""python -m data_pipelines.puppet: generates the puppet corpus."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from data_pipelines.puppet.corpus.build import build
from data_pipelines.puppet.corpus.plan import Parameters
from demo_jax.cli import CommandParser, cli_main

_EXAMPLES = """examples:
  python -m data_pipelines.puppet --out data/puppet
      two hours at 128 pixels, 300 identities: about half an hour on two cores
  python -m data_pipelines.puppet --out data/small --hours 0.5 --size 64 --people 60,10,20
  python -m data_pipelines.puppet --out data/tiny --hours 0.01 --size 64 --people 4,2,2

DIR/train, DIR/val and DIR/test each get clips/*.npz (clip records, docs/data.md) and dataset_info.json, and share no
identity, voice variant or sentence; DIR/datasheet.html describes the corpus. Run the same command again to resume an
interrupted run."""


def _people(text: str) -> tuple[int, int, int]:
    parts = text.split(",")
    if len(parts) != 3 or not all(p.strip().isdigit() for p in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not three counts such as 230,20,50")
    return int(parts[0]), int(parts[1]), int(parts[2])


@cli_main
def main(arguments: list[str] | None = None) -> int:
    parser = CommandParser(
        prog="python -m data_pipelines.puppet",
        description="Generates the puppet corpus: synthetic heads that speak, with exact ground truth.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    d = Parameters()
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the corpus")
    parser.add_argument("--hours", type=float, default=d.hours, help=f"hours of video in total (default {d.hours})")
    parser.add_argument("--size", type=int, default=d.size, help=f"pixels of the square frames (default {d.size})")
    parser.add_argument("--seed", type=int, default=d.seed, help=f"seed of all random choices (default {d.seed})")
    parser.add_argument(
        "--people",
        type=_people,
        default=d.people,
        metavar="N,N,N",
        help=f"identities in train, val, test (default {','.join(map(str, d.people))})",
    )
    parser.add_argument(
        "--set-share",
        type=float,
        default=d.set_share,
        help=f"share of the frames in sets with one factor swapped (default {d.set_share})",
    )
    parser.add_argument(
        "--set-frames", type=int, default=d.set_frames, help=f"frames of each take of a set (default {d.set_frames})"
    )
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one for each core)"
    )
    options = vars(parser.parse_args(arguments))
    folder, workers = options.pop("out"), options.pop("workers")
    try:
        infos = build(folder, Parameters(**options), workers)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: run the same command again to resume.\n")
        return 130
    for split, info in infos.items():
        counts = info["counts"]
        line = f"{split}: {counts['clips']} clips, {counts['hours']:.3f} hours, {counts['identities']} identities\n"
        sys.stdout.write(line)
    sys.stdout.write(f"datasheet: {folder / 'datasheet.html'}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
