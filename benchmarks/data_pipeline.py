"""Batches per second of both pipelines, and the cores that a GPU needs: python -m benchmarks.data_pipeline --help.

    python -m data_pipelines.puppet --out data/puppet512 --size 512 --hours 0.02 --people 4,1,1
    python -m benchmarks.data_pipeline --data data/puppet512 --size 512 --out out/data_pipeline.json

Core-seconds (of all threads, so that other work on the machine changes little) per image of stage 1, and of decoding
alone; and the images that a GPU needs if it reaches --share of --peak with the full-size auto-encoder (operations
counted in its traced train step).
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import platform
import time
from pathlib import Path

from benchmarks.abstract import abstract_step, count_operations, settings
from benchmarks.common import make_parser, write_json
from data_pipelines.loading.batches import Batches, stage1_batches, stage2_batches
from data_pipelines.loading.examples import decode_frame
from data_pipelines.records.catalog import open_records, splits_of

PER_ROW, PER_SET = 6, 5  # images: a source and five driving frames; a paired group


def rate(batches: Batches, steps: int) -> tuple[float, float]:
    """Returns batches per second, and this process's core-seconds per batch."""
    with batches:
        next(batches)
        start, busy = time.perf_counter(), time.process_time()
        for _ in range(steps):
            next(batches)
        return steps / (time.perf_counter() - start), (time.process_time() - busy) / steps


def decoding(data: str, size: int, frames: int = 200) -> float:
    """Returns the core-seconds to decode one frame's JPEG."""
    record = next(r for r in open_records(data, splits_of(data)[0]) if r.frames)
    files = [record.frames[i % len(record.frames)] for i in range(frames)]
    busy = time.process_time()
    for file in files:
        decode_frame(file, size)
    return (time.process_time() - busy) / frames


def operations_per_image() -> float:
    """Returns the operations per image of the train step of configs/full_autoencoder.py."""
    c = settings("full_autoencoder")
    c = dataclasses.replace(c, data=dataclasses.replace(c.data, batch_size=2, set_batch_size=1))
    return count_operations(*abstract_step(c)) / (2 * PER_ROW + PER_SET)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--data", required=True, help="clip records or shards")
    parser.add_argument("--codes", help="motion codes")
    parser.add_argument("--out", type=Path, help="json to write")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--sets", type=int, default=8, help="paired groups in a batch, 0 for a corpus without them")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--peak", type=float, default=790, help="TFLOP/s of the GPU (an H100's in practice)")
    parser.add_argument("--share", type=float, default=0.4, help="the share of the peak that training reaches")
    args = parser.parse_args()
    found: dict = {"date": datetime.date.today().isoformat(), "machine": platform.machine(), "size": args.size}
    images = args.batch * PER_ROW + args.sets * PER_SET
    for workers in (0, 1, 2):
        sizes = {"batch_size": args.batch, "set_batch_size": args.sets, "size": args.size}
        batches = stage1_batches(args.data, splits_of(args.data)[0], seed=0, start_step=0, workers=workers, **sizes)
        speed, busy = rate(batches, args.steps)
        found[f"pictures_per_s_{workers}_workers"] = speed * images
        if workers == 0:
            found["core_s_per_picture"] = busy / images
    found["of_it_decoding"] = decoding(args.data, args.size)
    if args.size == 512:
        found["gpu_pictures_per_s"] = args.peak * 1e12 * args.share / operations_per_image()
        found["cores_per_gpu"] = found["gpu_pictures_per_s"] * found["core_s_per_picture"]
    if args.codes:
        batches = stage2_batches(args.codes, batch_size=args.batch, seed=0, start_step=0)
        found["windows_per_s"] = rate(batches, args.steps)[0] * args.batch
    if args.out:
        write_json(args.out, found)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
