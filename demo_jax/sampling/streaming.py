"""A video while its sound arrives: pieces of sound in, frames out, and how late they were."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np

from demo_jax.constants import FPS, SAMPLES_PER_FRAME
from demo_jax.errors import InputError
from demo_jax.media.video_writer import LiveWriter
from demo_jax.sampling.controls import FREE, Controls
from demo_jax.sampling.options import DEFAULTS, Options
from demo_jax.sampling.pipeline import Pipeline, output_paths
from demo_jax.sampling.session import STREAM_HOP
from demo_jax.sampling.tracks import write_track


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
    who speaks into a microphone stops so. Raises InputError if it begins as a sound file does."""
    rest, begun = b"", False
    try:
        while data := os.read(stream.fileno(), 2 * SAMPLES_PER_FRAME):
            data = rest + data
            if not begun and len(data) < 12:  # bytes, by which a file's kind is known
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
    signs = {
        b"RIFF": "a wav", b"RF64": "a wav", b"ID3": "an mp3", b"OggS": "an ogg", b"fLaC": "a flac", b"FORM": "an aiff",
        b".snd": "an au", b"caff": "a caf", b"\x1a\x45\xdf\xa3": "a matroska or webm", b"#!AMR": "an amr",
    }  # fmt: skip
    kind = next((kind for sign, kind in signs.items() if data.startswith(sign)), "")
    if data[4:8] == b"ftyp":
        kind = "an mp4 or m4a"
    if _is_mp3(data):
        kind = "an mp3"
    if kind:
        raise InputError(
            f"standard input is {kind} file, not raw sound; give the file's name to --audio, or decode it first: "
            "ffmpeg -i FILE -f s16le -ar 16000 -ac 1 -"
        )


def _is_mp3(data: bytes) -> bool:
    """Whether an MPEG layer 3 frame begins here, and another one where it ends."""
    if data[0] != 0xFF or data[1] & 0xE6 != 0xE2:
        return False
    first = data[1] & 0x18 == 0x18  # MPEG-1, else MPEG-2
    kilobits = (
        (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
        if first
        else (*range(8, 65, 8), *range(80, 161, 16))
    )
    rate = (44_100, 48_000, 32_000, 0)[data[2] >> 2 & 3]
    if not (rate and 1 <= data[2] >> 4 <= 14):
        return False
    length = 144_000 * kilobits[(data[2] >> 4) - 1] // rate + (data[2] >> 1 & 1)
    return data[length : length + 2] == data[:2]


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
