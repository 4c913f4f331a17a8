"""All reading of sound and video, by ffmpeg; `images` reads pictures and `video_writer` writes video.

ffmpeg is the static one of imageio-ffmpeg; its argument lists are built by ffmpeg-python and run here.

Only local files are opened: the name must be a plain path, playlists are refused by name and by content, and ffmpeg
itself is held to a list of containers and to the protocols `file` and `pipe`. Every failure is an InputError in one
sentence. Sound and picture of one file are both timed from the start of the file, so they are in step.
"""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import tempfile
import wave
from collections.abc import Generator
from pathlib import Path
from typing import IO, Any

import numpy as np

from demo_jax.typing import FPS, SAMPLE_RATE, InputError

CONTAINERS = (
    "mov", "matroska", "avi", "mpegts", "mpeg", "flv", "asf", "mxf", "ogg",
    "wav", "w64", "mp3", "flac", "aac", "aiff", "au", "caf", "amr", "ac3",
)  # fmt: skip
PLAYLISTS = (".m3u8", ".m3u", ".pls", ".ffconcat", ".concat", ".sdp", ".asx", ".xspf", ".wpl", ".mpd", ".ffmeta")
VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".flv", ".wmv", ".ogv")
WRITABLE_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")

# What ffmpeg says of a file that ends before its header says it should.
_CUT = ("Packet corrupt", "corrupt input packet", "partial file", "moov atom not found", "End of file")


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What the header of a video says. `fps` is the source's rate; frames are always delivered at 25 a second."""

    width: int
    height: int
    fps: float
    duration: float  # seconds, of the longest stream
    has_audio: bool


def _check_name(text: str) -> None:
    """Raises InputError for what no file can be called."""
    if "\x00" in text:
        raise InputError(f"{text!r} cannot be the name of a file.")


def check_input(path: str | os.PathLike) -> Path:
    """The absolute path of a readable, non-empty local file that is no playlist; otherwise InputError."""
    text = os.fspath(path)
    _check_name(text)
    if "://" in text or re.match(r"^(concat|concatf|data|subfile|crypto|cache|async|fd|pipe|tcp|udp|rtp|http):", text):
        raise InputError(f"{text} is not a local file; addresses and ffmpeg protocols are never followed.")
    if text.lower().endswith(PLAYLISTS):
        raise InputError(f"{text} is a playlist, which is never followed; give the media file itself.")
    file = Path(text)
    try:
        exists = file.exists()
    except OSError as error:  # a name that is too long
        raise InputError(f"{text} cannot be opened ({error.strerror}).") from error
    if not exists:
        raise InputError(f"{text} does not exist.")
    if not file.is_file():
        raise InputError(f"{text} is not a file.")
    if not os.access(file, os.R_OK):
        raise InputError(f"{text} cannot be read; check its permissions.")
    if file.stat().st_size == 0:
        raise InputError(f"{text} is empty (0 bytes).")
    return file.absolute()


def check_output(path: str | os.PathLike, suffixes: tuple[str, ...] = WRITABLE_SUFFIXES) -> Path:
    """The path, if a file may be made there: its folder exists and is writable and its suffix is one of `suffixes`
    (any, if empty). To be called before any work. Otherwise InputError."""
    _check_name(os.fspath(path))
    file = Path(path)
    if suffixes and file.suffix.lower() not in suffixes:
        raise InputError(f"output {file}: the name must end in one of {', '.join(suffixes)}.")
    folder = file.absolute().parent
    try:
        if file.is_dir():
            raise InputError(f"output {file} is a folder; give a file name.")
        if not folder.is_dir():
            wrong = "is a file; name another folder" if folder.exists() else "does not exist; make it first"
            raise InputError(f"output folder {folder} {wrong}.")
    except OSError as error:  # a name that is too long
        raise InputError(f"output {file} cannot be made ({error.strerror}).") from error
    try:  # really writing is the only test that also holds for read-only mounts and for root
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"output folder {folder} cannot be written ({error.strerror}).") from error
    return file


def read_audio(path: str | os.PathLike) -> np.ndarray:
    """Any common sound or video file -> mono 16 kHz int16 [S], from the start of the file (a sound that starts late
    is preceded by zeros). Raises InputError if it is missing, empty, cut, too short to hold sound, or not sound."""
    file = check_input(path)
    resample = f"aresample={SAMPLE_RATE}:async=1:first_pts=0"
    output = _source(file)["a:0"].output("pipe:1", format="s16le", ac=1, ar=SAMPLE_RATE, af=resample)
    done = subprocess.run(ffmpeg_command(output), capture_output=True, check=False)
    log = done.stderr.decode(errors="replace")
    if "matches no streams" in log or "does not contain any stream" in log:
        raise InputError(f"{path} has no sound.")
    if done.returncode != 0:
        raise InputError(f"{path} cannot be read as sound: {ffmpeg_reason(log)}.")
    waveform = np.frombuffer(done.stdout, "<i2").astype(np.int16)
    seconds, claimed = len(waveform) / SAMPLE_RATE, _duration(log)
    if any(mark in log for mark in _CUT):
        raise InputError(f"{path} is cut: it ends after {seconds:.2f} s, before its header says; give a whole file.")
    if len(waveform) == 0:
        raise InputError(f"{path} holds no sound (0 samples).")
    trusted = "Estimating duration" not in log and "Video:" not in log.split("Output #0")[0]
    if trusted and seconds < claimed - max(0.25, 0.05 * claimed):
        raise InputError(f"{path} is cut or damaged: {seconds:.2f} s of its {claimed:.2f} s can be decoded.")
    return waveform


def probe_video(path: str | os.PathLike) -> VideoInfo:
    """Reads a video's header (no frame is decoded). Raises InputError if there is no picture in it."""
    file = check_input(path)
    done = subprocess.run(
        ffmpeg_command(_source(file).output("-", format="null", t=0)), capture_output=True, check=False
    )
    log = done.stderr.decode(errors="replace").split("Output #0")[0]
    stream = next((line for line in log.splitlines() if "Video:" in line and "attached pic" not in line), None)
    if stream is None:
        raise InputError(
            f"{path} cannot be read as video: {ffmpeg_reason(log) if 'Input #0' not in log else 'no picture'}."
        )
    size = re.search(r"(?<![\dx])(\d{2,5})x(\d{2,5})(?![\dx])", stream)
    if size is None:
        raise InputError(f"{path} cannot be read as video: its header gives no picture size.")
    rate = re.search(r"([\d.]+k?) (?:fps|tbr)", stream)
    fps = float(rate.group(1).replace("k", "e3")) if rate else float(FPS)
    return VideoInfo(
        width=int(size.group(1)), height=int(size.group(2)), fps=fps, duration=_duration(log), has_audio="Audio:" in log
    )


def read_video(
    path: str | os.PathLike, max_side: int | None = None, max_frames: int | None = None
) -> tuple[VideoInfo, Generator[np.ndarray, None, None]]:
    """The header, and the frames as they are decoded: uint8 RGB [H, W, 3] at a constant 25 a second, upright, with
    square pixels, the longer side at most `max_side`. Raises InputError at once if it is no video, and while reading
    if it is cut."""
    info = probe_video(path)
    return info, _frames(path, max_side, max_frames)


def _frames(path: str | os.PathLike, max_side: int | None, max_frames: int | None) -> Generator[np.ndarray, None, None]:
    filters = f"fps={FPS}:start_time=0,scale='trunc(iw*sar)':ih,setsar=1"
    if max_side is not None:
        filters += f",scale='min({max_side},iw)':'min({max_side},ih)':force_original_aspect_ratio=decrease:flags=area"
    limit = {} if max_frames is None else {"frames:v": max_frames}
    # PPM carries the size of each picture, which after rotation and scaling only ffmpeg knows.
    picture = _source(check_input(path))["V:0"]
    command = ffmpeg_command(picture.output("pipe:1", format="image2pipe", vcodec="ppm", vf=filters, **limit))
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, bufsize=1 << 20)
        assert process.stdout is not None
        finished, count = False, 0
        try:
            while (frame := _read_ppm(process.stdout)) is not None:
                count += 1
                yield frame
            finished = True
        finally:
            if not finished:
                process.kill()
            process.stdout.close()
            process.wait()
        log.seek(0)
        text = log.read().decode(errors="replace")
    if process.returncode != 0 or count == 0:
        raise InputError(f"{path} cannot be decoded: {ffmpeg_reason(text)}.")
    if any(mark in text for mark in _CUT):
        raise InputError(f"{path} is cut: it ends after {count / FPS:.2f} s, before its header says.")


def _read_ppm(pipe: IO[bytes]) -> np.ndarray | None:
    if pipe.readline() != b"P6\n":
        return None
    width, height = (int(n) for n in pipe.readline().split())
    pipe.readline()
    data = pipe.read(width * height * 3)
    return np.frombuffer(data, np.uint8).reshape(height, width, 3) if len(data) == width * height * 3 else None


def write_wav(path: str | os.PathLike, waveform: np.ndarray) -> None:
    """Mono int16 [S] -> a 16 kHz wav file."""
    with open(path, "wb") as file, wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes(np.asarray(waveform, "<i2").tobytes())


def _ffmpeg() -> str:
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise InputError("reading and writing media needs ffmpeg: pip install imageio-ffmpeg.") from error
    return imageio_ffmpeg.get_ffmpeg_exe()


def _source(file: Path) -> Any:
    """A file as an input of ffmpeg-python: local protocols and known containers only."""
    import ffmpeg

    return ffmpeg.input(f"file:{file}", protocol_whitelist="file,pipe", format_whitelist=",".join(CONTAINERS))


def ffmpeg_command(output: Any, *options: str) -> list[str]:
    """ffmpeg-python's output as an argument list. Global options stand first: after the output ffmpeg warns of them."""
    return output.compile(cmd=[_ffmpeg(), "-nostdin", "-hide_banner", "-nostats", *options])


def _duration(log: str) -> float:
    match = re.search(r"Duration: (\d+):(\d+):([\d.]+)", log)
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]) if match else 0.0


def ffmpeg_reason(log: str) -> str:
    """The one line of ffmpeg's log that says what went wrong."""
    if "Invalid data found" in log or "not on whitelist" in log or "not in whitelist" in log:
        return "it is damaged, or in no known format"
    if "moov atom not found" in log or "End of file" in log:
        return "it is cut; its index or end is missing"
    lines = [re.sub(r"\[[^]]* @ 0x[0-9a-f]+\]\s*", "", line).strip() for line in log.splitlines()]
    dull = ("Conversion failed", "Error opening", "Task finished", "Terminating thread", "Last message", "Nothing was")
    useful = [line for line in lines if line and not line.startswith(dull)]
    wrong = [line for line in useful if re.search(r"error|invalid|fail|no space|cannot|unable|not ", line, re.I)]
    return (wrong or useful or ["ffmpeg gave no reason"])[-1].rstrip(".")
