"""Samples many jobs at once: their windows are sampled and decoded together, spread over all devices, while finished
frames are encoded.

Jobs with the same solver, steps and guided conditions share a bucket, which has one compiled program and a fixed number
of slots. In every round each slot samples the next window of its job; when a job ends, its slot takes the next one, so
the slots stay full whatever the lengths of the recordings. A job's video does not depend on the other jobs, except for
the rounding of sums.
"""

from __future__ import annotations

import dataclasses
import functools
import glob
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float32, Key, PyTree
from tqdm import tqdm

from demo_jax.config import MeshConfig
from demo_jax.constants import SAMPLES_PER_FRAME
from demo_jax.errors import InputError
from demo_jax.flow.condition import Condition
from demo_jax.media.audio import read_recording
from demo_jax.media.background import parse_background
from demo_jax.media.files import remove_unfinished
from demo_jax.sampling.async_writer import AsyncVideoWriter
from demo_jax.sampling.controls import Controls
from demo_jax.sampling.drawing import DECODE_BATCH
from demo_jax.sampling.interpolation import RateConverter
from demo_jax.sampling.manifest import RESULTS, InvalidJob, ManifestJob, finished
from demo_jax.sampling.pipeline import Pipeline, silence
from demo_jax.sampling.portraits import Source
from demo_jax.sampling.session import SamplingSession
from demo_jax.sharding import batch_sharding, make_mesh

Bucket = tuple[int, str, tuple[str, ...], int]  # steps, solver, guided conditions, passes
Window = tuple[Key[Array, ""], Condition]  # a window's key and condition, a batch of one
Report = Callable[[dict[str, Any]], None]  # takes a row of results.jsonl


@dataclasses.dataclass
class _Slot:
    """A running job: the inputs of its next window and the writer of its frames."""

    job: ManifestJob
    fingerprint: str
    session: SamplingSession
    source: Source
    rate: RateConverter
    writer: AsyncVideoWriter
    begun: float  # time.monotonic()


@dataclasses.dataclass(frozen=True)
class _Decoded:
    """What was decoded for the codes of one slot, still on the device."""

    slot: _Slot
    row: int  # of the slot, in the arrays
    made: Array  # images [slots, n, S, S, 3]; of photographs the points of their faces [slots, n, 70, 3]
    codes: Float32[np.ndarray, "n K"]
    count: int  # of these, that count


class BatchSampler:
    """Runs `slots` jobs at a time, rounded up to a multiple of the devices, and no more than a bucket has jobs.

    The default is eight on each device, but one on a CPU: one keeps it as busy as eight, and slots whose jobs have
    ended compute until the last job ends.
    """

    def __init__(self, demo: Pipeline, slots: int | None = None, face_model: str | os.PathLike | None = None) -> None:
        self._demo, self._face_model = demo, face_model
        self._mesh = make_mesh(MeshConfig())
        devices = self._mesh.devices.size
        self.slots = _round_up(slots or devices * (1 if jax.default_backend() == "cpu" else 8), devices)
        replicated = NamedSharding(self._mesh, PartitionSpec())
        self._rows = batch_sharding(self._mesh)
        self._autoencoder = jax.device_put(demo.model.autoencoder_params, replicated)
        self._people = jax.device_put(demo.model.for_people, replicated) if demo.model.people else self._autoencoder
        self._flow = jax.device_put(demo.model.flow_params, replicated)
        self._decode = jax.jit(jax.vmap(demo.drawer.decode, in_axes=(None, 0, 0, 0)))
        self._move_face = jax.jit(jax.vmap(demo.drawer.move_face, in_axes=(None, 0, 0, 0, 0)))

    def run(
        self,
        jobs: list[ManifestJob | InvalidJob],
        folder: Path,
        *,
        progress: bool = False,
        warn: Callable[[str], None] = print,
    ) -> dict[str, int]:
        """Makes the video of every job that `folder` does not have yet. Each job that is done or failed adds a line to
        results.jsonl at once. Returns how many jobs are "done", "failed" and "skipped"."""
        counts = {"done": 0, "failed": 0, "skipped": 0}
        done = finished(folder)
        waiting: dict[Bucket, list[tuple[ManifestJob, str]]] = {}
        model = self._demo.model_fingerprint
        with (
            (folder / RESULTS).open("a", encoding="utf-8") as results,
            tqdm(total=len(jobs), unit="job", disable=not progress) as bar,
        ):

            def report(row: dict[str, Any]) -> None:
                counts[row["status"]] += 1
                results.write(json.dumps(row) + "\n")
                results.flush()
                bar.update()

            for job in jobs:
                if isinstance(job, InvalidJob):
                    report({"line": job.line, "out": job.out, "status": "failed", "error": job.error})
                    continue
                fingerprint = job.fingerprint(model)
                for path in filter(None, (job.out, job.frames)):
                    remove_unfinished(path.parent, glob.escape(path.stem))  # of a killed call
                if done.get(job.out.name) == fingerprint and job.out.exists():
                    counts["skipped"] += 1
                    bar.update()
                    continue
                passes = 2 if job.controls.get("look_at_camera") else 1
                bucket = (job.options.steps, job.options.solver, tuple(sorted(job.options.scales)), passes)
                waiting.setdefault(bucket, []).append((job, fingerprint))
            for bucket, members in waiting.items():
                self._run_bucket(bucket, members, report, warn)
        return counts

    def _run_bucket(
        self,
        bucket: Bucket,
        members: list[tuple[ManifestJob, str]],
        report: Report,
        warn: Callable,
    ) -> None:
        pending = iter(members)
        slots: list[_Slot | None] = [None] * min(self.slots, _round_up(len(members), self._mesh.devices.size))
        undelivered: list[_Decoded] = []
        try:
            while True:
                windows = self._next_windows(slots, pending, undelivered, report, warn)
                if not any(windows):
                    break
                codes = self._sample(bucket, slots, windows)
                self._deliver(undelivered)  # while the devices sample
                undelivered = self._decode_windows(slots, windows, np.asarray(codes))
        finally:
            for slot in slots:
                if slot is not None:
                    slot.writer.abort()

    def _next_windows(
        self,
        slots: list[_Slot | None],
        pending: Iterator[tuple[ManifestJob, str]],
        undelivered: list[_Decoded],
        report: Report,
        warn: Callable,
    ) -> list[Window | None]:
        """Returns each slot's next window; a slot whose job has ended finishes it and takes the next one."""
        windows: list[Window | None] = []
        for i in range(len(slots)):
            window = None
            while window is None:
                slot = slots[i]
                if slot is None:
                    if (opened := self._open(pending, report, warn)) is None:
                        break
                    slots[i] = slot = opened
                window = slot.session.window()
                if window is None:
                    self._deliver(undelivered)
                    slot.writer.add(self._demo.drawer.frames(slot.source, slot.rate.finish()))
                    slots[i] = None
                    report(_finish(slot))
            windows.append(window)
        return windows

    def _open(self, pending: Iterator[tuple[ManifestJob, str]], report: Report, warn: Callable) -> _Slot | None:
        """Starts the next job whose inputs can be used; those before it are reported as failed."""
        demo = self._demo
        for job, fingerprint in pending:
            begun, warn_job = time.monotonic(), functools.partial(_warn_of, warn, job.line)
            try:
                audio = silence(job.silence) if job.audio is None else read_recording(job.audio, warn_job)
                speech = audio if isinstance(audio, np.ndarray) else audio.speech
                drive = demo.read_drive(job.controls["drive"], face_model=self._face_model, warn=warn_job)
                controls = Controls.from_flags(job.controls, drive)
                controls.check_length(len(speech) // SAMPLES_PER_FRAME)
                background = None if job.background is None else parse_background(job.background)
                portrait = demo.read_portrait(
                    job.portrait,
                    cropped=job.cropped,
                    view=dataclasses.replace(job.view, background=background),
                    face_model=self._face_model,
                    warn=warn_job,
                )
                source = demo.source(portrait)
                session = demo.start(source, speech, controls, job.options)
                writer = AsyncVideoWriter(job, demo, source, audio)
            except (InputError, OSError, ValueError) as error:  # ValueError: a file name that the system refuses
                report(_failure(job, error))
                continue
            return _Slot(job, fingerprint, session, source, RateConverter(job.fps, demo.layout), writer, begun)
        return None

    def _sample(
        self, bucket: Bucket, slots: list[_Slot | None], windows: list[Window | None]
    ) -> Float32[Array, "slots L K"]:
        """Samples the whitened codes of all windows; slots without one repeat the first window."""
        steps, solver, guided, passes = bucket
        first = next(w for w in windows if w is not None)
        keys = jnp.stack([(w or first)[0] for w in windows])
        conditions = [(w or first)[1] for w in windows]
        scales = {
            name: self._put(
                np.array([s.job.options.scales[name] if s else 0.0 for s in slots], np.float32)[:, None, None]
            )
            for name in guided
        }
        for last in [False] * (passes - 1) + [True]:
            condition = self._put(jax.tree.map(lambda *rows: np.concatenate(rows), *conditions))
            codes = self._demo.sample(self._flow, self._put(keys), condition, scales, steps, solver)
            if not last:
                rows = np.asarray(codes)
                conditions = [
                    s.session.condition_on_head(c, rows[i : i + 1]) if s else c
                    for i, (s, c) in enumerate(zip(slots, conditions, strict=True))
                ]
        return codes

    def _decode_windows(
        self, slots: list[_Slot | None], windows: list[Window | None], whitened: Float32[np.ndarray, "slots L K"]
    ) -> list[_Decoded]:
        """Decodes a window of every slot, DECODE_BATCH frames of each at a time; the images stay on the devices."""
        codes: dict[int, np.ndarray] = {}
        for i, (slot, window) in enumerate(zip(slots, windows, strict=True)):
            if slot is not None and window is not None:
                slot.writer.keep(raw := slot.session.push(whitened[i]))
                codes[i] = slot.rate.push(raw)
        undelivered: list[_Decoded] = []
        for photographs in (False, True):
            members = {
                i: code
                for i, code in codes.items()
                if (slots[i].source.photograph is not None) == photographs  # type: ignore[union-attr]
            }
            if members:
                undelivered += self._decode_members(slots, members, photographs)
        return undelivered

    def _decode_members(
        self, slots: list[_Slot | None], codes: dict[int, np.ndarray], photographs: bool
    ) -> list[_Decoded]:
        """Decodes the codes of slots of one kind; the rows of the others repeat the first of these."""
        filler = slots[next(iter(codes))]
        sources = [(slots[i] if i in codes else filler).source for i in range(len(slots))]  # type: ignore[union-attr]
        inputs = [
            self._put(jax.tree.map(lambda *rows: jnp.stack(rows), *[s.pyramid for s in sources])),
            self._put(jnp.stack([s.code for s in sources])),
        ]
        points = [self._put(np.stack([s.photograph.scene.face.points for s in sources]))] if photographs else []  # type: ignore[union-attr]
        decode = self._move_face if photographs else self._decode
        params = self._people if photographs else self._autoencoder
        undelivered = []
        for start in range(0, max(map(len, codes.values())), DECODE_BATCH):
            rows = np.zeros((len(slots), DECODE_BATCH, next(iter(codes.values())).shape[-1]), np.float32)
            for i, code in codes.items():
                part = code[start : start + DECODE_BATCH]
                rows[i, : len(part)] = part
            made = decode(params, *inputs, self._put(rows), *points)
            for i, code in codes.items():
                if count := len(code[start : start + DECODE_BATCH]):
                    undelivered.append(_Decoded(slots[i], i, made, rows[i], count))  # type: ignore[arg-type]
        return undelivered

    def _deliver(self, undelivered: list[_Decoded]) -> None:
        """Fetches what was decoded and passes frames to their writers; empties the list."""
        fetched: dict[int, np.ndarray] = {}
        drawer = self._demo.drawer
        for part in undelivered:
            if id(part.made) not in fetched:
                fetched[id(part.made)] = np.asarray(part.made)
            made, source = fetched[id(part.made)][part.row], part.slot.source
            if source.photograph is None:
                part.slot.writer.add(made[: part.count])
            else:
                part.slot.writer.add(drawer.finish(source, drawer.start(source, part.codes, made), part.count))
        undelivered.clear()

    def _put(self, tree: PyTree) -> PyTree:
        return jax.tree.map(lambda a: jax.device_put(a, self._rows), tree)


def _round_up(count: int, devices: int) -> int:
    """The smallest multiple of `devices` that is at least `count`."""
    return -(-count // devices) * devices


def _warn_of(warn: Callable[[str], None], line: int, text: str) -> None:
    warn(f"line {line}: {text}")


def _finish(slot: _Slot) -> dict[str, Any]:
    """Waits for the job's writer; returns its row of results.jsonl."""
    try:
        frames = slot.writer.finish()
    except InputError as error:
        return _failure(slot.job, error)
    return {
        "line": slot.job.line, "out": slot.job.out.name, "status": "done", "frames": frames,
        "seconds": round(time.monotonic() - slot.begun, 3), "fingerprint": slot.fingerprint,
    }  # fmt: skip


def _failure(job: ManifestJob, error: Exception) -> dict[str, Any]:
    return {"line": job.line, "out": job.out.name, "status": "failed", "error": str(error)}
