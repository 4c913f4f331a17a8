"""Puppet frames a second: python -m benchmarks.puppet_render [--out FILE.json] [--frames 24] [--repeats 5].

On one core, by the processor's time, which other programs do not lengthen; and with one process per core, each drawing
its own identity, by the clock. Medians over the repeats.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import time
from pathlib import Path

import numpy as np

from data_pipelines.puppet.person.identity import random_identity
from data_pipelines.puppet.render.renderer import Renderer

SIZES = (64, 128, 256, 512)


def machine() -> str:
    """The processor's name and the number of its cores that this process may use."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {cores()} cores, Python {platform.python_version()}"


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def motion(frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns tracks of a head that turns, speaks and looks around: pose [T, 6], expression [T, 52], eyes [T, 3]."""
    rng = np.random.default_rng(0)
    pose = rng.normal(0.0, 8.0, (frames, 6)) * [1, 1, 0.5, 0.003, 0.003, 0.0] + [0, 0, 0, 0, 0, np.log(2.1)]
    return pose, rng.uniform(0.0, 0.3, (frames, 52)), rng.normal(0.0, 6.0, (frames, 3))


def seconds(seed: int, size: int, frames: int, repeats: int, alone: bool) -> tuple[float, list[float]]:
    """Of setting up one identity's renderer, and of drawing the frames, each repeat; compiled code is loaded before."""
    clock = time.process_time if alone else time.perf_counter
    tracks = motion(frames)
    identity = random_identity(np.random.default_rng(seed))
    Renderer(identity, size).render(*(t[:1] for t in tracks))
    start = clock()
    renderer = Renderer(identity, size)
    setup = clock() - start
    times = []
    for _ in range(repeats):
        start = clock()
        renderer.render(*tracks)
        times.append(clock() - start)
    return setup, times


def measured(size: int, frames: int, repeats: int, workers: int) -> dict[str, float]:
    """Frames a second of `workers` processes together, medians; setting up a renderer, milliseconds."""
    jobs = [(seed, size, frames, repeats, workers == 1) for seed in range(workers)]
    if workers == 1:
        runs = [seconds(*jobs[0])]
    else:
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            runs = pool.starmap(seconds, jobs, chunksize=1)
    rate = sum(frames / statistics.median(times) for _, times in runs)
    setup = statistics.median(setup for setup, _ in runs)
    return {"frames_per_second": round(rate, 1), "setup_ms": round(1000 * setup, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=24, help="frames rendered in one call (default: 24)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="JSON file to write as well")
    args = parser.parse_args()
    print(machine())
    results = {}
    for size in SIZES:
        for workers in sorted({1, cores()}):
            result = measured(size, args.frames, args.repeats, workers)
            results[f"{size} px, {workers} processes"] = result
            print(
                f"{size} px, {workers} processes: {result['frames_per_second']} frames/s, setup {result['setup_ms']} ms"
            )
    if args.out:
        args.out.write_text(json.dumps({"machine": machine(), "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
