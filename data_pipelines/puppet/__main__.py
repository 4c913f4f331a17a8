"""python -m data_pipelines.puppet: makes the puppet corpus."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from data_pipelines.puppet.build import Parameters, build
from demo_jax.typing import CommandParser, exits_with_two

_EXAMPLES = """examples:
  python -m data_pipelines.puppet --out data/puppet
      half an hour at 64 pixels, 90 identities: some minutes on two cores
  python -m data_pipelines.puppet --out data/large --hours 2 --size 128 --people 240,30,50
  python -m data_pipelines.puppet --out data/tiny --hours 0.01 --people 4,2,2 --workers 1

DIR/train, DIR/val and DIR/test each get clips/*.npz (clip records, docs/data.md) and dataset_info.json. The three share
no identity, voice variant or sentence. Running the same command again finishes what was interrupted."""


def _people(text: str) -> tuple[int, int, int]:
    parts = text.split(",")
    if len(parts) != 3 or not all(p.strip().isdigit() for p in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not three counts such as 60,10,20")
    return int(parts[0]), int(parts[1]), int(parts[2])


@exits_with_two
def main(arguments: list[str] | None = None) -> None:
    parser = CommandParser(
        prog="python -m data_pipelines.puppet",
        description="Generates the puppet corpus: synthetic heads that speak, with exact ground truth.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    d = Parameters()
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the corpus")
    parser.add_argument("--hours", type=float, default=d.hours, help=f"of video in all (default {d.hours})")
    parser.add_argument("--size", type=int, default=d.size, help=f"pixels of the square frames (default {d.size})")
    parser.add_argument("--seed", type=int, default=d.seed, help=f"decides everything that is drawn (default {d.seed})")
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
        help=f"share of the frames in sets with one factor redrawn (default {d.set_share})",
    )
    parser.add_argument(
        "--set-frames", type=int, default=d.set_frames, help=f"frames of each take of a set (default {d.set_frames})"
    )
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one for each core)"
    )
    args = parser.parse_args(arguments)
    parameters = Parameters(
        hours=args.hours,
        size=args.size,
        seed=args.seed,
        people=args.people,
        set_share=args.set_share,
        set_frames=args.set_frames,
    )
    infos = build(args.out, parameters, args.workers)
    for split, info in infos.items():
        counts = info["counts"]
        line = f"{split}: {counts['clips']} clips, {counts['hours']:.3f} hours, {counts['identities']} identities\n"
        sys.stdout.write(line)


if __name__ == "__main__":
    raise SystemExit(main())
