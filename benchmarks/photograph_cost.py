"""What frames of a photograph cost: milliseconds by stage, frames a second, memory (for `benchmarks.photographs`)."""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.photograph_frames import changed
from demo_jax.constants import FPS
from demo_jax.faces.crop import cut
from demo_jax.faces.portrait import find_portrait
from demo_jax.factors import CALIBRATED_NAMES, CALIBRATED_SCALE
from demo_jax.media.images import read_image
from demo_jax.media.video_writer import VideoWriter
from demo_jax.paths import ASSETS
from demo_jax.sampling import pipeline
from demo_jax.sampling.drawing import DECODE_BATCH
from demo_jax.sampling.options import Options
from demo_jax.sampling.pipeline import Pipeline
from demo_jax.sampling.portraits import Source

# Height, width and head's height of the photographs, pixels; a head is HEAD face widths high.
SHAPES = {"512": (512, 512, 320), "1080": (1080, 1920, 500)}
HEAD = 1.6
REPEATS = 3
TIMED = 5 * DECODE_BATCH  # frames
PRESET = "H.264 veryfast, crf 18"
MEMORY = "512"


def measure(model: Pipeline, portrait: Path, minutes: int) -> dict[str, Any]:
    """Returns times of a portrait in photographs of SHAPES, and memory."""
    sizes = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in SHAPES:
            path = placed(model, portrait, name, Path(folder))
            sizes[name] = {"stages": stages(model, path, Path(folder)), "whole": whole(model, path, Path(folder))}
        memory = {str(m): peak_of_process(placed(model, portrait, MEMORY, Path(folder)), m) for m in (1, minutes)}
    load = os.getloadavg()[0]
    return {"preset": PRESET, "cores": len(os.sched_getaffinity(0)), "load": load, "sizes": sizes, "memory": memory}


def placed(model: Pipeline, portrait: Path, name: str, folder: Path) -> Path:
    """Writes a photograph of SHAPES with the portrait's head in its middle, its edges repeated, and returns its path.

    Raises InputError if the portrait shows no face.
    """
    from PIL import Image

    height, width, head = SHAPES[name]
    face = find_portrait(read_image(portrait), model.size).face
    size = np.array([[width], [height]])
    matrix = np.eye(3) * (head / HEAD / face.width)
    matrix[:2, 2:] = size / 2 - matrix[:2, :2] @ face.centre[:, None]
    matrix[2, 2] = 1
    path = folder / f"portrait{name}.png"
    square = cut(read_image(portrait), matrix, max(height, width))
    Image.fromarray(square[:height, :width]).save(path)
    return path


def _timed(stage: Callable[[], Any], count: int = 1) -> dict[str, float]:
    """Medians of milliseconds, wall and processor's (with ended child processes), of a stage that makes `count`
    things; it has run once before."""
    wall, cpu = [], []
    for _ in range(REPEATS):
        begin, used = time.perf_counter(), _cpu()
        stage()
        wall.append(1000 * (time.perf_counter() - begin) / count)
        cpu.append(1000 * (_cpu() - used) / count)
    return {"wall": statistics.median(wall), "cpu": statistics.median(cpu)}


def _cpu() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def nodding(model: Pipeline, source: Source, count: int) -> np.ndarray:
    """Returns [count, K] codes of a head that turns and talks."""
    code = np.asarray(source.code)
    values = dict(zip(CALIBRATED_NAMES, code[model.layout.calibrated] * CALIBRATED_SCALE, strict=True))
    time_ = np.arange(count) / FPS
    changes = [
        {"yaw": values["yaw"] + 6 * np.sin(2 * t), "pitch": values["pitch"] + 3 * np.sin(3 * t),
         "aperture": 0.1 - 0.1 * np.cos(20 * t)}
        for t in time_
    ]  # fmt: skip
    return changed(code, model.layout.calibrated, changes)


def stages(model: Pipeline, path: Path, folder: Path) -> dict[str, dict[str, float]]:
    """Milliseconds of what is done once for a portrait, and of each stage of a frame."""
    drawer = model.drawer
    portrait = model.read_portrait(path, warn=lambda _: None)
    source = drawer.source(portrait)
    assert source.photograph is not None
    codes = nodding(model, source, TIMED)
    move = jax.jit(drawer.move_face)
    points, params = source.photograph.scene.face.points, model.model.for_people
    batches = [codes[i : i + DECODE_BATCH] for i in range(0, TIMED, DECODE_BATCH)]

    def moved() -> list[Any]:
        return [jax.block_until_ready(move(params, source.pyramid, source.code, batch, points)) for batch in batches]

    made = moved()

    def sampled() -> list[Any]:
        pairs = zip(batches, made, strict=True)
        return [jax.block_until_ready(drawer.start(source, batch, part)) for batch, part in pairs]

    computed = sampled()

    def composed() -> list[np.ndarray]:
        return [frame for part in computed for frame in drawer.finish(source, part, DECODE_BATCH)]

    frames = composed()

    def encoded() -> None:
        with VideoWriter(folder / "timed.mp4", source.size) as video:
            for frame in frames:
                video.write(frame)

    encoded()
    return {
        "read the portrait": _timed(lambda: model.read_portrait(path, warn=lambda _: None)),
        "prepare the portrait": _timed(lambda: drawer.source(portrait)),
        "points of the face": _timed(moved, TIMED),
        "sampling positions": _timed(sampled, TIMED),
        "composite": _timed(composed, TIMED),
        "encode": _timed(encoded, TIMED),
    }


def whole(model: Pipeline, path: Path, folder: Path) -> dict[str, Any]:
    """The bundled recording from the portrait's file to the mp4, all compiled: frames a second over the frames (motion,
    drawing, encoding), and seconds with reading the portrait."""
    speech, seconds, results = ASSETS / "speech.wav", [], []
    for turn in range(REPEATS + 1):
        begin, used = time.perf_counter(), _cpu()
        result = model.generate(path, speech, folder / f"whole{turn}.mp4", options=Options(), warn=lambda _: None)
        if turn:
            seconds.append(time.perf_counter() - begin)
            results.append((result.frames / result.seconds, 1000 * (_cpu() - used) / result.frames))
    return {
        "frames_per_second": statistics.median(r[0] for r in results),
        "cpu_per_frame": statistics.median(r[1] for r in results),
        "seconds": statistics.median(seconds),
        "frames": result.frames,
    }


def peak_of_process(path: Path, minutes: int) -> float:
    """`peak` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.photograph_cost", str(path), str(minutes)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peak(path: str, minutes: int) -> float:
    """Returns the peak resident memory in MiB of this process after drawing and encoding `minutes` of a photograph."""
    model = pipeline.load()
    source = model.source(model.read_portrait(path, warn=lambda _: None))
    second = nodding(model, source, FPS)
    with tempfile.TemporaryDirectory() as folder, VideoWriter(Path(folder) / "long.mp4", source.size) as video:
        for _ in range(60 * minutes):
            for frame in model.drawer.frames(source, second):
                video.write(frame)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("portrait")
    parser.add_argument("minutes", type=int)
    arguments = parser.parse_args()
    print(peak(arguments.portrait, arguments.minutes))
