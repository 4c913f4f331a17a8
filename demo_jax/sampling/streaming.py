"""A video while its sound arrives: pieces of sound in, frames out, and how late they were."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np

from data_pipelines.video_writer import LiveWriter
from demo_jax.sampling.controls import FREE, Controls
from demo_jax.sampling.motion import STREAM_HOP
from demo_jax.sampling.options import DEFAULTS, Options
from demo_jax.sampling.pipeline import Pipeline, output_paths
from demo_jax.sampling.track import write_track
from demo_jax.typing import FPS, SAMPLES_PER_FRAME, InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class StreamResult:
    """What a stream did. Seconds: `first_frame` from the arrival of the last sound that it needs until it was handed to
    the encoder; `latest`, the same of the latest of all hops; `busy`, sampling, decoding and writing in all."""

    frames: int
    first_frame: float
    latest: float
    busy: float

    @property
    def frames_a_second(self) -> float:
        """What could be sustained if sound arrived fast enough."""
        return self.frames / max(self.busy, 1e-9)

    @property
    def real_time_factor(self) -> float:
        """Seconds of work for a second of video: below 1 it keeps up."""
        return FPS * self.busy / max(self.frames, 1)


def paced(speech: np.ndarray) -> Iterator[np.ndarray]:
    """A recording as a microphone would give it: a frame's samples at a time, none before they have been spoken."""
    begin = time.monotonic()
    for i in range(0, len(speech), SAMPLES_PER_FRAME):
        time.sleep(max(begin + (i / SAMPLES_PER_FRAME + 1) / FPS - time.monotonic(), 0))
        yield speech[i : i + SAMPLES_PER_FRAME]


def raw_pieces(stream: BinaryIO) -> Iterator[np.ndarray]:
    """Raw 16 kHz mono int16 (little-endian) from a file or pipe, as it arrives. An interrupt ends it, as its end does:
    who speaks into a microphone stops so."""
    rest = b""
    try:
        while data := os.read(stream.fileno(), 2 * SAMPLES_PER_FRAME):
            data = rest + data
            whole = len(data) // 2 * 2
            rest = data[whole:]
            if whole:
                yield np.frombuffer(data[:whole], "<i2").astype(np.int16)
    except KeyboardInterrupt:
        return


def stream_video(
    demo: Pipeline,
    portrait: np.ndarray,
    pieces: Iterable[np.ndarray],
    out: str | os.PathLike | None,
    controls: Controls = FREE,
    options: Options = DEFAULTS,
) -> StreamResult:
    """Makes the video `out` (.mp4) and its tracks from pieces of sound, int16 [n], as they arrive; with None the video
    goes to standard output as it is made, and there are no tracks. Raises InputError."""
    paths = None if out is None else output_paths(out)
    warm = np.zeros((STREAM_HOP + 1) * SAMPLES_PER_FRAME, np.int16)
    for _ in demo.stream(portrait, [warm], controls, options):
        pass  # compiles, while nobody waits
    heard: list[np.ndarray] = []
    arrived, waited = 0.0, 0.0

    def listened() -> Iterator[np.ndarray]:
        nonlocal arrived, waited
        iterator = iter(pieces)
        while True:
            asked = time.monotonic()
            piece = next(iterator, None)
            arrived = time.monotonic()
            waited += arrived - asked
            if piece is None:
                return
            heard.append(piece)
            yield piece

    lateness, codes, sound = [], [], np.zeros(0, np.int16)
    begin = time.monotonic()
    with LiveWriter(paths[0] if paths else None, (demo.size, demo.size), demo.metadata(options)) as writer:
        for picture, code in demo.stream(portrait, listened(), controls, options):
            if len(sound) < SAMPLES_PER_FRAME:
                sound = np.concatenate([sound, *heard])
                heard.clear()
                sound = np.pad(sound, (0, max(SAMPLES_PER_FRAME - len(sound), 0)))  # the last frame may lack some
            writer.write(picture, sound[:SAMPLES_PER_FRAME])
            sound = sound[SAMPLES_PER_FRAME:]
            lateness.append(time.monotonic() - arrived)
            if paths:
                codes.append(code)
        if not lateness:
            raise InputError("no sound arrived: the stream is empty, so there is nothing to make a video of.")
    if paths:
        track = demo.track(np.stack(codes))
        for path in paths[1:]:
            write_track(path, track)
    return StreamResult(
        frames=len(lateness),
        first_frame=lateness[0] if lateness else float("nan"),
        latest=max(lateness, default=float("nan")),
        busy=time.monotonic() - begin - waited,
    )
