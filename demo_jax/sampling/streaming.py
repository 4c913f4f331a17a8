"""Makes a video while its audio arrives: chunks of audio in, frames out, and the latency."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np
from jaxtyping import Int16, UInt8

from demo_jax.constants import FPS, SAMPLES_PER_FRAME
from demo_jax.errors import InputError
from demo_jax.media.video_writer import LiveWriter
from demo_jax.sampling.controls import FREE, Controls
from demo_jax.sampling.options import DEFAULTS, Options
from demo_jax.sampling.outputs import output_paths
from demo_jax.sampling.pipeline import Pipeline
from demo_jax.sampling.portraits import Portrait
from demo_jax.sampling.session import STREAM_HOP
from demo_jax.sampling.tracks import write_track


@dataclasses.dataclass(frozen=True, kw_only=True)
class StreamResult:
    """Latency and speed of a stream; times in seconds.

    frames       of the video
    first_frame  latency of the first frame: from the arrival of the last audio it depends on until it is written
    latest       the largest latency of all frames
    busy         time spent on sampling, decoding and writing
    """

    frames: int
    first_frame: float
    latest: float
    busy: float

    @property
    def frames_a_second(self) -> float:
        """The frame rate that could be sustained if audio arrived fast enough."""
        return self.frames / max(self.busy, 1e-9)

    @property
    def real_time_factor(self) -> float:
        """Seconds of work for a second of video; below 1 the stream keeps up."""
        return FPS * self.busy / max(self.frames, 1)


def paced(speech: Int16[np.ndarray, " samples"]) -> Iterator[Int16[np.ndarray, " n"]]:
    """Yields a recording in real time, as a microphone would: one frame's samples at a time."""
    begin = time.monotonic()
    for i in range(0, len(speech), SAMPLES_PER_FRAME):
        time.sleep(max(begin + (i / SAMPLES_PER_FRAME + 1) / FPS - time.monotonic(), 0))
        yield speech[i : i + SAMPLES_PER_FRAME]


def raw_chunks(stream: BinaryIO) -> Iterator[Int16[np.ndarray, " n"]]:
    """Yields raw 16 kHz mono int16 (little-endian) from a file or pipe as it arrives. An interrupt ends it like the end
    of the input, since that is how one stops a microphone. Raises InputError if the data is an audio file."""
    rest, begun = b"", False
    try:
        while data := os.read(stream.fileno(), 2 * SAMPLES_PER_FRAME):
            data = rest + data
            if not begun and len(data) < 12:  # bytes that identify a file format
                rest = data
                continue
            if not begun:
                _check_raw(data)
                begun = True
            whole = len(data) // 2 * 2
            rest = data[whole:]
            if whole:
                yield np.frombuffer(data[:whole], "<i2").astype(np.int16)
    except KeyboardInterrupt:
        return


def _check_raw(data: bytes) -> None:
    signatures = {
        b"RIFF": "a wav", b"RF64": "a wav", b"ID3": "an mp3", b"OggS": "an ogg", b"fLaC": "a flac", b"FORM": "an aiff",
        b".snd": "an au", b"caff": "a caf", b"\x1a\x45\xdf\xa3": "a matroska or webm", b"#!AMR": "an amr",
    }  # fmt: skip
    kind = next((kind for signature, kind in signatures.items() if data.startswith(signature)), "")
    if data[4:8] == b"ftyp":
        kind = "an mp4 or m4a"
    if _is_mp3(data):
        kind = "an mp3"
    if kind:
        raise InputError(
            f"standard input is {kind} file, not raw audio; give the file's name to --audio, or decode it first: "
            "ffmpeg -i FILE -f s16le -ar 16000 -ac 1 -"
        )


def _is_mp3(data: bytes) -> bool:
    """Whether an MPEG layer 3 frame begins here, followed by another one."""
    if data[0] != 0xFF or data[1] & 0xE6 != 0xE2:
        return False
    mpeg1 = data[1] & 0x18 == 0x18  # else MPEG-2
    kilobits = (
        (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
        if mpeg1
        else (*range(8, 65, 8), *range(80, 161, 16))
    )
    rate = (44_100, 48_000, 32_000, 0)[data[2] >> 2 & 3]
    if not (rate and 1 <= data[2] >> 4 <= 14):
        return False
    length = 144_000 * kilobits[(data[2] >> 4) - 1] // rate + (data[2] >> 1 & 1)
    return data[length : length + 2] == data[:2]


def stream_video(
    demo: Pipeline,
    portrait: Portrait | UInt8[np.ndarray, "S S 3"],
    chunks: Iterable[np.ndarray],
    out: str | os.PathLike | None,
    controls: Controls = FREE,
    options: Options = DEFAULTS,
    fps: int = FPS,
) -> StreamResult:
    """Makes the video `out` (.mp4) and its tracks while the audio arrives.

    Args:
      demo: the model.
      portrait: from Pipeline.read_portrait.
      chunks: int16 [n] each, pulled one by one.
      out: the video's name; None writes it to standard output while it is made, without tracks.
      controls: of the motion.
      options: of the sampler.
      fps: frames a second.

    Raises:
      InputError: the background is transparent, which needs a .webm that is not streamed; no audio arrived, an input
        cannot be used, or the video cannot be written.
    """
    paths = None if out is None else output_paths(out)
    source = demo.source(portrait)
    if source.alpha:
        raise InputError("a stream cannot be transparent; leave --stream out, or choose another background.")
    size = source.size[0] // 2 * 2, source.size[1] // 2 * 2  # an odd last row or column is left out
    warm = np.zeros((STREAM_HOP + 1) * SAMPLES_PER_FRAME, np.int16)
    for _ in demo.stream(source, [warm], controls, options, fps):
        pass  # compiles before the stream begins
    received: list[np.ndarray] = []
    arrived, waited = 0.0, 0.0

    def timed() -> Iterator[np.ndarray]:
        """The chunks; notes when each arrived and how long it was waited for."""
        nonlocal arrived, waited
        iterator = iter(chunks)
        while True:
            begin = time.monotonic()
            chunk = next(iterator, None)
            arrived = time.monotonic()
            waited += arrived - begin
            if chunk is None:
                return
            received.append(chunk)
            yield chunk

    latencies, codes, audio = [], [], np.zeros(0, np.int16)
    begin = time.monotonic()

    def kept() -> Iterator[np.ndarray]:
        for part in demo.motion_stream(source, timed(), controls, options):
            if paths:
                codes.append(part)
            yield part

    with LiveWriter(paths[0] if paths else None, size, demo.metadata(options), fps) as writer:
        for frame in demo.drawn(source, kept(), fps):
            if len(audio) < writer.samples:
                audio = np.concatenate([audio, *received])
                received.clear()
                audio = np.pad(audio, (0, max(writer.samples - len(audio), 0)))  # the last frame may be incomplete
            samples, audio = audio[: writer.samples], audio[writer.samples :]
            writer.write(np.ascontiguousarray(frame[: size[0], : size[1]]), samples)
            latencies.append(time.monotonic() - arrived)
        if not latencies:
            raise InputError("no audio arrived: the stream is empty, so there is no video to make.")
    if paths:
        track = demo.track(np.concatenate(codes))
        for path in paths[1:]:
            write_track(path, track)
    return StreamResult(
        frames=len(latencies),
        first_frame=latencies[0],
        latest=max(latencies),
        busy=time.monotonic() - begin - waited,
    )
