"""Many jobs at once: their windows are sampled and decoded together, spread over all devices, while finished frames are
being encoded.

Jobs of equal solver steps and guided conditions share a bucket, and a bucket one compiled program. A bucket has a fixed
number of slots; each slot holds a job and makes its next window in every round, and takes the next job when its own is
over. So long and short recordings fill the machine alike. A job's video does not depend on what is beside it, but for
the rounding of sums.
"""

from __future__ import annotations

import dataclasses
import functools
import glob
import json
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import PyTree
from tqdm import tqdm

from demo_jax.config import MeshConfig
from demo_jax.constants import SAMPLES_PER_FRAME
from demo_jax.errors import InputError
from demo_jax.flow.condition import Condition
from demo_jax.media.audio import Recording, read_recording
from demo_jax.media.files import remove_unfinished
from demo_jax.media.video_writer import VideoWriter
from demo_jax.sampling.controls import Controls
from demo_jax.sampling.manifest import RESULTS, InvalidJob, ManifestJob, finished
from demo_jax.sampling.pipeline import DECODE_BATCH, Pipeline, output_paths, silence
from demo_jax.sampling.session import SamplingSession
from demo_jax.sampling.tracks import write_track
from demo_jax.sharding import batch_sharding, make_mesh

Bucket = tuple[int, str, tuple[str, ...], int]  # steps, solver, guided conditions, passes
WAITING = 4  # decoded batches that may wait for an encoder before sampling waits for it


class AsyncVideoWriter:
    """A job's video and tracks, written by a thread of its own while the next frames are made."""

    def __init__(self, job: ManifestJob, demo: Pipeline, sound: np.ndarray | Recording) -> None:
        self._video, *self._tracks = output_paths(job.out)
        self._demo, self._codes = demo, []  # type: ignore[var-annotated]
        size = (demo.size, demo.size)
        self._writer = VideoWriter(self._video, size, waveform=sound, metadata=demo.metadata(job.options))
        self._frames: queue.Queue[np.ndarray | None] = queue.Queue(WAITING)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def add(self, images: np.ndarray, codes: np.ndarray) -> None:
        """Frames uint8 [n, S, S, 3] and their raw codes [n, K]."""
        self._codes.append(codes)
        self._frames.put(images)

    def finish(self) -> int:
        """Waits until all is written; the number of frames. Raises what went wrong, and then nothing is left."""
        self._frames.put(None)
        self._thread.join()
        written: list[Path] = []
        try:
            if self._error is not None:
                raise self._error
            track = self._demo.track(np.concatenate(self._codes))
            for path in self._tracks:
                written.append(write_track(path, track))
            self._writer.close()
        except BaseException:
            self._writer.abort()
            for path in written:
                path.unlink(missing_ok=True)
            raise
        return track.length

    def abort(self) -> None:
        self._error = self._error or RuntimeError("aborted")
        self._frames.put(None)
        self._thread.join()
        self._writer.abort()

    def _write(self) -> None:
        while (images := self._frames.get()) is not None:
            if self._error is None:  # after an error the queue is only emptied, so that nobody waits for it
                try:
                    for image in images:
                        self._writer.write(image)
                except BaseException as error:
                    self._error = error


@dataclasses.dataclass
class _Slot:
    """A job in work: what its next window needs, and where its frames go."""

    job: ManifestJob
    fingerprint: str
    session: SamplingSession
    pyramid: PyTree
    source_code: jax.Array
    writer: AsyncVideoWriter
    begun: float


class BatchSampler:
    """`slots` jobs at a time, rounded up to a multiple of the devices; no more than a bucket has jobs for.

    By default eight on each device, but one on a CPU: that is as busy with one as with eight, and slots whose jobs are
    over compute on until the last job is.
    """

    def __init__(self, demo: Pipeline, slots: int | None = None, face_model: str | os.PathLike | None = None) -> None:
        self._demo, self._face_model = demo, face_model
        self._mesh = make_mesh(MeshConfig())
        devices = self._mesh.devices.size
        self.slots = _whole(slots or devices * (1 if jax.default_backend() == "cpu" else 8), devices)
        whole = NamedSharding(self._mesh, PartitionSpec())
        self._rows = batch_sharding(self._mesh)
        self._autoencoder = jax.device_put(demo.model.autoencoder_params, whole)
        self._flow = jax.device_put(demo.model.flow_params, whole)
        self._decode = jax.jit(jax.vmap(demo.decode, in_axes=(None, 0, 0, 0)))

    def run(
        self,
        jobs: list[ManifestJob | InvalidJob],
        folder: Path,
        *,
        progress: bool = False,
        warn: Callable[[str], None] = print,
    ) -> dict[str, int]:
        """Makes every job's video in `folder` that is not there yet. One line of results.jsonl per job that was made or
        that failed, as soon as that is known. Returns how many are "done", "failed" and "skipped"."""
        counts = {"done": 0, "failed": 0, "skipped": 0}
        done = finished(folder)
        waiting: dict[Bucket, list[tuple[ManifestJob, str]]] = {}
        model = self._demo.model_fingerprint
        with (
            (folder / RESULTS).open("a", encoding="utf-8") as results,
            tqdm(total=len(jobs), unit="job", disable=not progress) as bar,
        ):

            def say(row: dict[str, Any]) -> None:
                counts[row["status"]] += 1
                results.write(json.dumps(row) + "\n")
                results.flush()
                bar.update()

            for job in jobs:
                if isinstance(job, InvalidJob):
                    say({"line": job.line, "out": job.out, "status": "failed", "error": job.error})
                    continue
                mark = job.fingerprint(model)
                remove_unfinished(folder, glob.escape(job.out.stem))  # of a call that was killed
                if done.get(job.out.name) == mark and job.out.exists():
                    counts["skipped"] += 1
                    bar.update()
                    continue
                passes = 2 if job.controls.get("look_at_camera") else 1
                bucket = (job.options.steps, job.options.solver, tuple(sorted(job.options.scales)), passes)
                waiting.setdefault(bucket, []).append((job, mark))
            for bucket, members in waiting.items():
                self._run_bucket(bucket, members, say, warn)
        return counts

    def _run_bucket(
        self,
        bucket: Bucket,
        members: list[tuple[ManifestJob, str]],
        say: Callable[[dict[str, Any]], None],
        warn: Callable,
    ) -> None:
        pending = iter(members)
        slots: list[_Slot | None] = [None] * min(self.slots, _whole(len(members), self._mesh.devices.size))
        undelivered: list[
            tuple[AsyncVideoWriter, jax.Array, int, np.ndarray]
        ] = []  # decoded on the device, not fetched yet
        try:
            while True:
                windows = self._next_windows(slots, pending, undelivered, say, warn)
                if not any(windows):
                    break
                made = self._sample(bucket, slots, windows)
                self._hand_over(undelivered)  # while the devices sample
                undelivered = self._draw(slots, windows, np.asarray(made))
        finally:
            for slot in slots:
                if slot is not None:
                    slot.writer.abort()

    def _next_windows(
        self,
        slots: list[_Slot | None],
        pending: Iterator[tuple[ManifestJob, str]],
        undelivered: list[tuple[AsyncVideoWriter, jax.Array, int, np.ndarray]],
        say: Callable[[dict[str, Any]], None],
        warn: Callable,
    ) -> list[tuple[jax.Array, Condition] | None]:
        """Each slot's next window; slots whose job is over finish it and take the next one."""
        windows: list[tuple[jax.Array, Condition] | None] = []
        for i in range(len(slots)):
            window = None
            while window is None:
                slot = slots[i]
                if slot is None:
                    if (opened := self._open(pending, say, warn)) is None:
                        break
                    slots[i] = slot = opened
                window = slot.session.window()
                if window is None:
                    self._hand_over(undelivered)
                    slots[i] = None
                    say(_finish(slot))
            windows.append(window)
        return windows

    def _open(
        self, pending: Iterator[tuple[ManifestJob, str]], say: Callable[[dict[str, Any]], None], warn: Callable
    ) -> _Slot | None:
        """The next job that can be begun; those that cannot are said to have failed."""
        demo = self._demo
        for job, mark in pending:
            begun, tell = time.monotonic(), functools.partial(_warn_of, warn, job.line)
            try:
                tell = functools.partial(_warn_of, warn, job.line)
                sound = silence(job.silence) if job.audio is None else read_recording(job.audio, tell)
                speech = sound if isinstance(sound, np.ndarray) else sound.speech
                words = {k: v for k, v in job.controls.items() if k not in ("drive", "look_at_camera")}
                controls = Controls.parse(
                    **words,
                    camera=bool(job.controls.get("look_at_camera")),
                    drive=demo.read_drive(job.controls["drive"], face_model=self._face_model, warn=tell),
                )
                controls.check_length(len(speech) // SAMPLES_PER_FRAME)
                image = demo.read_portrait(job.portrait, cropped=job.cropped, face_model=self._face_model, warn=tell)
                pyramid, code = demo.encode_source(image)
                session = demo.start(np.asarray(code), speech, controls, job.options)
                writer = AsyncVideoWriter(job, demo, sound)
            except (InputError, OSError, ValueError) as error:  # a name that no system takes must stop no other job
                say(_failure(job, error))
                continue
            return _Slot(job, mark, session, pyramid, code, writer, begun)
        return None

    def _sample(
        self, bucket: Bucket, slots: list[_Slot | None], windows: list[tuple[jax.Array, Condition] | None]
    ) -> jax.Array:
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
            made = self._demo.sample(self._flow, self._put(keys), condition, scales, steps, solver)
            if not last:
                rows = np.asarray(made)
                conditions = [
                    s.session.condition_on_head(c, rows[i : i + 1]) if s else c
                    for i, (s, c) in enumerate(zip(slots, conditions, strict=True))
                ]
        return made

    def _draw(
        self, slots: list[_Slot | None], windows: list[tuple[jax.Array, Condition] | None], made: np.ndarray
    ) -> list[tuple[AsyncVideoWriter, jax.Array, int, np.ndarray]]:
        """Decodes a window of every slot, DECODE_BATCH frames of each at a time; the pictures stay on the devices."""
        busy = [i for i, w in enumerate(windows) if w is not None]
        codes = {i: slots[i].session.push(made[i]) for i in busy}  # type: ignore[union-attr]
        filler = slots[busy[0]]
        sources = [slot or filler for slot in slots]
        pyramid = self._put(jax.tree.map(lambda *rows: jnp.stack(rows), *[s.pyramid for s in sources]))  # type: ignore[union-attr]
        source_codes = self._put(jnp.stack([s.source_code for s in sources]))  # type: ignore[union-attr]
        undelivered = []
        for start in range(0, max(map(len, codes.values())), DECODE_BATCH):
            rows = np.zeros((len(slots), DECODE_BATCH, made.shape[-1]), np.float32)
            for i, code in codes.items():
                part = code[start : start + DECODE_BATCH]
                rows[i, : len(part)] = part
            images = self._decode(self._autoencoder, pyramid, source_codes, self._put(rows))
            for i, code in codes.items():
                part = code[start : start + DECODE_BATCH]
                if len(part):
                    undelivered.append((slots[i].writer, images, i, part))  # type: ignore[union-attr]
        return undelivered

    def _hand_over(self, undelivered: list[tuple[AsyncVideoWriter, jax.Array, int, np.ndarray]]) -> None:
        fetched: dict[int, np.ndarray] = {}
        for writer, images, i, codes in undelivered:
            if id(images) not in fetched:
                fetched[id(images)] = np.asarray(images)
            writer.add(fetched[id(images)][i, : len(codes)], codes)
        undelivered.clear()

    def _put(self, tree: PyTree) -> PyTree:
        return jax.tree.map(lambda a: jax.device_put(a, self._rows), tree)


def _whole(count: int, devices: int) -> int:
    """The least multiple of the devices that is not below."""
    return -(-count // devices) * devices


def _warn_of(warn: Callable[[str], None], line: int, text: str) -> None:
    warn(f"line {line}: {text}")


def _finish(slot: _Slot) -> dict[str, Any]:
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
