"""Reading video: its header, and its frames at 25 a second."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Generator
from typing import IO

import numpy as np

from demo_jax.constants import FPS
from demo_jax.errors import InputError
from demo_jax.media.audio import ENDLESS, ignore
from demo_jax.media.ffmpeg import CUT_MARKS, FFmpegProcess, both_mapped, ffmpeg_input, ffmpeg_reason
from demo_jax.media.files import check_input
from demo_jax.media.probe import MediaFacts, read_facts, track_warnings
from demo_jax.media.video_filters import frame_filters

VIDEO_SUFFIXES = (
    ".mp4", ".mov", ".qt", ".m4v", ".mkv", ".mk3d", ".webm", ".avi", ".divx", ".xvid", ".mpg", ".mpeg", ".mpe", ".m2p",
    ".vob", ".evo", ".mod", ".ts", ".mts", ".m2ts", ".m2t", ".tod", ".trp", ".tp", ".flv", ".f4v", ".wmv", ".asf",
    ".ogv", ".ogm", ".3gp", ".3g2", ".mj2", ".mxf", ".gxf", ".y4m", ".dv", ".nut", ".wtv", ".rm", ".rmvb",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """The header of a video. `fps` is the source's rate; frames are always delivered at 25 a second from the start of
    the file, where the first frame is repeated up to its time."""

    width: int
    height: int
    fps: float
    duration: float  # seconds, of the longest stream
    has_audio: bool


def probe_video(path: str | os.PathLike) -> VideoInfo:
    """Reads a video's header. Raises InputError if the file has no video."""
    return _info(video_facts(path))


def video_facts(path: str | os.PathLike) -> MediaFacts:
    """read_facts of a file that has video. Raises InputError otherwise."""
    facts = read_facts(check_input(path), "video")
    if facts.video is None:
        raise InputError(f"{path} cannot be read as video: it has none.")
    if not facts.video.width * facts.video.height:
        raise InputError(f"{path} cannot be read as video: its header has no frame size.")
    return facts


def _info(facts: MediaFacts) -> VideoInfo:
    track = facts.video
    assert track is not None
    return VideoInfo(
        width=track.width, height=track.height, fps=track.fps, duration=facts.duration,
        has_audio=facts.audio is not None,
    )  # fmt: skip


def read_video(
    path: str | os.PathLike,
    max_side: int | None = None,
    max_frames: int | None = None,
    warn: Callable[[str], None] | None = None,
) -> tuple[VideoInfo, Generator[np.ndarray, None, None]]:
    """Returns the header and an iterator of the frames: uint8 RGB [H, W, 3] at a constant 25 a second, upright, with
    square pixels, deinterlaced, in BT.709 (HDR is tone-mapped), the longer side at most `max_side`. `warn` is called
    if there are several tracks. Raises InputError at once if it is not a video, and while reading if it is cut."""
    facts = video_facts(path)
    for text in track_warnings(path, facts, "video"):
        (warn or ignore)(text)
    return _info(facts), _frames(path, facts, max_side, max_frames)


def _frames(
    path: str | os.PathLike, facts: MediaFacts, max_side: int | None, max_frames: int | None
) -> Generator[np.ndarray, None, None]:
    assert facts.video is not None
    source = ffmpeg_input(check_input(path))
    # PPM carries the size of each frame, which after rotation and scaling only ffmpeg knows.
    output = source[str(facts.video.index)].output(
        "pipe:1", format="image2pipe", vcodec="ppm", pix_fmt="rgb24", vf=frame_filters(facts.video, max_side)
    )
    process = FFmpegProcess(both_mapped(source, output, None if facts.audio is None else facts.audio.index))
    count, limit = 0, float("inf") if max_frames is None else max_frames
    try:
        while count < limit and (frame := _read_ppm(process.stdout)) is not None:
            count += 1
            yield frame
        if count == limit:
            return
        log = process.log()
    finally:
        process.stop()
    if process.code != 0 or count == 0:
        raise InputError(f"{path} cannot be decoded: {ffmpeg_reason(log)}.")
    if CUT_MARKS.search(log) and facts.container not in ENDLESS:
        raise InputError(f"{path} is cut: it ends after {count / FPS:.2f} s, earlier than its header says.")


def _read_ppm(pipe: IO[bytes]) -> np.ndarray | None:
    if pipe.readline() != b"P6\n":
        return None
    width, height = (int(n) for n in pipe.readline().split())
    pipe.readline()
    data = pipe.read(width * height * 3)
    return np.frombuffer(data, np.uint8).reshape(height, width, 3) if len(data) == width * height * 3 else None
