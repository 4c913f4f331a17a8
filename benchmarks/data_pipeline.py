"""Batches a second of both pipelines: python -m benchmarks.data_pipeline --data DIR [--codes DIR] [--size 64]."""

from __future__ import annotations

import argparse
import time

from data_pipelines.catalog import splits_of
from data_pipelines.pipeline import Batches, stage1_batches, stage2_batches


def rate(batches: Batches, steps: int) -> float:
    with batches:
        next(batches)
        start = time.perf_counter()
        for _ in range(steps):
            next(batches)
        return steps / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="clip records or shards")
    parser.add_argument("--codes", help="motion codes")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--sets", type=int, default=8, help="0 for a corpus without sets")
    parser.add_argument("--steps", type=int, default=40)
    args = parser.parse_args()
    for workers in (0, 1, 2):
        sizes = {"batch_size": args.batch, "set_batch_size": args.sets, "size": args.size}
        batches = stage1_batches(args.data, splits_of(args.data)[0], seed=0, start_step=0, workers=workers, **sizes)
        pictures = args.batch * 6 + args.sets * 5
        speed = rate(batches, args.steps)
        print(f"stage 1, {workers} workers: {speed:.1f} batches/s, {speed * pictures:.0f} pictures/s")
    if args.codes:
        batches = stage2_batches(args.codes, batch_size=args.batch, seed=0, start_step=0)
        print(f"stage 2: {rate(batches, args.steps):.1f} batches/s of {args.batch} windows")


if __name__ == "__main__":
    main()
