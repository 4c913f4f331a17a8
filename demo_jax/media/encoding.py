"""How videos are encoded: containers, codecs, and ffmpeg's commands for raw frames and samples.

| name ends in            | video                               | audio |
|-------------------------|-------------------------------------|-------|
| .mp4, .m4v, .mov, .mkv  | H.264, crf 18                       | AAC   |
| .webm                   | VP9, crf 15, with transparency or not | Opus  |

Colours are BT.709, and tagged so. Transparency is straight: colours are not multiplied by it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from demo_jax.constants import SAMPLE_RATE
from demo_jax.errors import InputError
from demo_jax.media.ffmpeg import ffmpeg_command, ffmpeg_program, local_name
from demo_jax.media.files import check_output

# ffmpeg's, by the file's suffix
MUXERS = {".mp4": "mp4", ".m4v": "ipod", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
ALPHA_SUFFIXES = (".webm",)  # of the formats that can be transparent
LIVE_SUFFIXES = (".mp4", ".m4v", ".mov")  # of the formats that a LiveWriter's mp4 can be called
FRAGMENT = 200_000  # microseconds: the delay of whoever plays a LiveWriter's video
KEY_INTERVAL = 5  # seconds between key frames of webm
_H264: dict[str, Any] = {"vcodec": "libx264", "crf": 18, "preset": "veryfast"}
# Measured at 512 px with transparency: 12 ms of a core a frame. cpu-used 5 takes 22 ms, deadline good 67 ms; 8 saves
# 1 ms and makes files 18 % larger. Colour and transparency are two streams: frames are encoded one by one, with key
# frames at fixed distances, so that both can be decoded from every key frame.
_VP9: dict[str, Any] = {
    "vcodec": "libvpx-vp9", "crf": 15, "video_bitrate": 0, "deadline": "realtime", "cpu-used": 7, "row-mt": 1,
    "tile-columns": 2, "lag-in-frames": 0, "auto-alt-ref": 0,
}  # fmt: skip


def check_video_output(path: str | os.PathLike, alpha: bool = False) -> Path:
    """check_output for a video, with transparency if `alpha`; checks too that there is an ffmpeg. Raises InputError."""
    ffmpeg_program()
    suffix = Path(path).suffix.lower()
    if alpha and suffix in MUXERS and suffix not in ALPHA_SUFFIXES:
        raise InputError(
            f"output {Path(path)}: {suffix} cannot be transparent; give a name in {' or '.join(ALPHA_SUFFIXES)}, or a "
            "background that is not transparent."
        )
    return check_output(path, ALPHA_SUFFIXES if alpha else tuple(MUXERS))


def file_command(
    file: Path,
    muxer: str,
    size: tuple[int, int],
    fps: float,
    alpha: bool = False,
    audio: int | None = None,
    rate: int = 0,
    channels: int = 0,
) -> list[str]:
    """Returns the command that makes `file` from raw frames on its standard input, RGB or, if `alpha`, RGBA, and raw
    int16 samples from the pipe `audio`. `size` is (height, width), both even."""
    import ffmpeg

    inputs = [_frames(size, fps, alpha)]
    options = _video_options(muxer, fps, alpha) | {"format": muxer}
    if muxer != "webm":
        options["movflags"] = "+faststart+use_metadata_tags"
    if audio is not None:
        inputs.append(ffmpeg.input(f"pipe:{audio}", format="s16le", ar=rate, ac=channels))
        options |= _audio_options(muxer, channels)
    return ffmpeg_command(ffmpeg.output(*inputs, local_name(file), **options), "-loglevel", "error", "-y")


def live_command(file: Path | None, size: tuple[int, int], fps: int, audio: int) -> list[str]:
    """Returns the command that makes an mp4 in fragments, in `file` or on standard output, from raw RGB frames on its
    standard input and raw 16 kHz mono int16 samples from the pipe `audio`."""
    import ffmpeg

    quick: dict[str, Any] = {"probesize": 32, "analyzeduration": 0}  # raw streams need no probing
    frames = _frames(size, fps, False, **quick)
    speech = ffmpeg.input(f"pipe:{audio}", format="s16le", ar=SAMPLE_RATE, ac=1, **quick)
    options = _video_options("mp4", fps, False) | _audio_options("mp4", 1) | {
        "tune": "zerolatency", "format": "mp4", "frag_duration": FRAGMENT,
        "movflags": "frag_keyframe+delay_moov+default_base_moof+use_metadata_tags", "flush_packets": 1, "g": fps,
    }  # fmt: skip
    target = "pipe:1" if file is None else local_name(file)
    return ffmpeg_command(ffmpeg.output(frames, speech, target, **options), "-loglevel", "error", "-y")


def _frames(size: tuple[int, int], fps: float, alpha: bool, **options: Any) -> Any:
    import ffmpeg

    form = "rgba" if alpha else "rgb24"
    return ffmpeg.input(
        "pipe:0", format="rawvideo", pix_fmt=form, video_size=(size[1], size[0]), framerate=fps, **options
    )


def _video_options(muxer: str, fps: float, alpha: bool) -> dict[str, Any]:
    filters = (
        f"scale=out_color_matrix=bt709:out_range=tv,format={'yuva420p' if alpha else 'yuv420p'},"
        "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709"  # since ffmpeg 7.1 filters decide
    )
    if muxer != "webm":
        return {"vf": filters} | _H264
    distance = round(KEY_INTERVAL * fps)
    return {"vf": filters} | _VP9 | {"g": distance, "keyint_min": distance}


def _audio_options(muxer: str, channels: int) -> dict[str, Any]:
    if muxer == "webm":
        return {"acodec": "libopus", "audio_bitrate": "96k" if channels == 1 else "160k"}
    return {"acodec": "aac", "audio_bitrate": "128k" if channels == 1 else "192k"}
