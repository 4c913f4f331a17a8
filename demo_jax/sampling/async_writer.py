"""A job's video and tracks, written while the next frames are generated."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int16, UInt8

from demo_jax.media.audio import Recording
from demo_jax.media.frame_folder import FrameFolder
from demo_jax.media.video_writer import VideoWriter
from demo_jax.sampling.manifest import ManifestJob
from demo_jax.sampling.outputs import output_paths
from demo_jax.sampling.pipeline import Pipeline
from demo_jax.sampling.portraits import Source
from demo_jax.sampling.tracks import write_track

WAITING = 4  # decoded batches queued for an encoder before sampling waits for it


class AsyncVideoWriter:
    """Writes a job's video and tracks in a thread of its own while the next frames are generated."""

    def __init__(
        self, job: ManifestJob, demo: Pipeline, source: Source, audio: Int16[np.ndarray, " samples"] | Recording
    ) -> None:
        self._video, *self._tracks = output_paths(job.out, source.alpha)
        self._demo, self._codes = demo, []  # type: ignore[var-annotated]
        metadata = demo.metadata(job.options)
        video = VideoWriter(
            self._video, source.size, fps=job.fps, waveform=audio, metadata=metadata, alpha=source.alpha
        )
        self._writers: list[VideoWriter | FrameFolder] = [video]
        if job.frames is not None:
            try:
                self._writers.insert(0, FrameFolder(job.frames, source.size, metadata, alpha=source.alpha))
            except BaseException:
                video.abort()
                raise
        self._frames: queue.Queue[Iterable[np.ndarray] | None] = queue.Queue(WAITING)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def keep(self, codes: Float32[np.ndarray, "n K"]) -> None:
        """Appends raw codes, 25 a second, to the tracks."""
        self._codes.append(codes)

    def add(self, images: Iterable[UInt8[np.ndarray, "H W _"]]) -> None:
        """Appends frames; waits while too many are queued. They are drawn by the thread, if they are not yet."""
        self._frames.put(images)

    def finish(self) -> int:
        """Waits until everything is written and returns the length of the tracks in frames. Raises the thread's error,
        if there was one; then nothing is left behind."""
        self._frames.put(None)
        self._thread.join()
        written: list[Path] = []
        try:
            if self._error is not None:
                raise self._error
            track = self._demo.track(np.concatenate(self._codes))
            for path in self._tracks:
                written.append(write_track(path, track))
            for writer in self._writers:
                writer.close()
        except BaseException:
            self._abort_writers()
            for path in written:
                path.unlink(missing_ok=True)
            raise
        return track.length

    def abort(self) -> None:
        """Stops, leaving nothing behind."""
        self._error = self._error or RuntimeError("aborted")
        self._frames.put(None)
        self._thread.join()
        self._abort_writers()

    def _abort_writers(self) -> None:
        for writer in self._writers:
            writer.abort()

    def _write(self) -> None:
        while (images := self._frames.get()) is not None:
            if self._error is None:  # after an error the queue is only emptied, so `add` does not block
                try:
                    for image in images:
                        for writer in self._writers:
                            writer.write(image)
                except BaseException as error:
                    self._error = error
