"""All reading of sound and video, by ffmpeg; `images` reads pictures and `video_writer` writes video.

ffmpeg is the static one of imageio-ffmpeg; its argument lists are built by ffmpeg-python and run here. What a file
holds is asked of PyAV (`probe`), never read out of ffmpeg's messages.

Only local files are opened: the name must be a plain path, playlists are refused by name and by content, and ffmpeg
itself is held to a list of containers and to the protocols `file` and `pipe`. Every failure is an InputError in one
sentence. Sound and picture of one file are both timed from the start of the file, so they are in step.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import stat
import tempfile
import wave
from collections.abc import Callable, Generator
from pathlib import Path
from typing import IO, Any

import numpy as np

from data_pipelines.channels import Mix, choose_mix
from data_pipelines.ffmpeg_process import Running
from data_pipelines.probe import CONTAINERS, PROTOCOLS, AudioTrack, MediaFacts, read_facts, track_warnings
from data_pipelines.video_filters import picture_filters
from demo_jax.typing import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, InputError, link_target

PLAYLISTS = (".m3u8", ".m3u", ".pls", ".ffconcat", ".concat", ".sdp", ".asx", ".xspf", ".wpl", ".mpd", ".ffmeta")
VIDEO_SUFFIXES = (
    ".mp4", ".mov", ".qt", ".m4v", ".mkv", ".mk3d", ".webm", ".avi", ".divx", ".xvid", ".mpg", ".mpeg", ".mpe", ".m2p",
    ".vob", ".evo", ".mod", ".ts", ".mts", ".m2ts", ".m2t", ".tod", ".trp", ".tp", ".flv", ".f4v", ".wmv", ".asf",
    ".ogv", ".ogm", ".3gp", ".3g2", ".mj2", ".mxf", ".gxf", ".y4m", ".dv", ".nut", ".wtv", ".rm", ".rmvb",
)  # fmt: skip
WRITABLE_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")

# What ffmpeg says of a file that ends before its header says it should.
_CUT = re.compile("Packet corrupt|corrupt input packet|partial file|moov atom not found|End of file")
_ENDLESS = ("mpegts", "mpeg")  # streams without a header that could say where they end; damage is no cut there


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What the header of a video says. `fps` is the source's rate; frames are always delivered at 25 a second, from the
    start of the file: before the first picture's time it is repeated."""

    width: int
    height: int
    fps: float
    duration: float  # seconds, of the longest stream
    has_audio: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recording:
    """Speech out of a file. waveform: mono 16 kHz int16 [S], for the features. command: of ffmpeg, that writes the same
    stretch as it was recorded, lengthened to whole video frames, to its standard output: int16 little-endian, of
    `channels` (1 or 2) at `rate` (at most 48 kHz)."""

    waveform: np.ndarray
    command: list[str]
    rate: int
    channels: int

    @property
    def speech(self) -> np.ndarray:
        """The waveform, lengthened with silence to whole video frames: [T * 640]."""
        return np.pad(self.waveform, (0, -len(self.waveform) % SAMPLES_PER_FRAME))


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
    (any, if empty); of a link, the file that it leads to. To be called before any work. Otherwise InputError."""
    _check_name(os.fspath(path))
    file = Path(path)
    if suffixes == WRITABLE_SUFFIXES:
        _ffmpeg()  # there is one
    if suffixes and file.suffix.lower() not in suffixes:
        raise InputError(f"output {file}: the name must end in one of {', '.join(suffixes)}.")
    try:
        target = link_target(file)
        folder = target.parent
        if target.is_symlink():
            raise InputError(f"output {file} is a link that leads to itself; give another name.")
        if target.is_dir():
            raise InputError(f"output {file} is a folder; give a file name.")
        if target.exists() and not stat.S_ISREG(target.stat().st_mode):
            raise InputError(f"output {file} is a device or pipe; give a file name.")
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


def read_audio(path: str | os.PathLike, warn: Callable[[str], None] | None = None) -> np.ndarray:
    """The waveform of read_recording: mono 16 kHz int16 [S]."""
    return read_recording(path, warn).waveform


def read_recording(path: str | os.PathLike, warn: Callable[[str], None] | None = None) -> Recording:
    """Any common sound or video file, from the start of the file (a sound that starts late is preceded by zeros). Of
    several channels the mix keeps the level of the loudest; where they cancel each other, that one alone is taken.

    `warn` is called if there are several tracks, and if all is digital silence. Raises InputError if the file is
    missing, empty, cut, too short to hold sound, or not sound.
    """
    file = check_input(path)
    facts = read_facts(file, "sound")
    if (track := facts.audio) is None:
        raise InputError(f"{path} has no sound.")
    warn = warn or _ignore
    for text in track_warnings(path, facts, "audio"):
        warn(text)
    mix = _mix(file, facts, track)
    process = Running(_sound_command(file, facts, mix.mono, SAMPLE_RATE, 1))
    waveform = np.frombuffer(process.read_all(), "<i2").astype(np.int16)
    log = process.log()
    if process.code != 0:
        raise InputError(f"{path} cannot be read as sound: {ffmpeg_reason(log)}.")
    seconds = len(waveform) / SAMPLE_RATE
    if _CUT.search(log) and not (facts.length_unknown or facts.container in _ENDLESS):
        raise InputError(f"{path} is cut: it ends after {seconds:.2f} s, before its header says; give a whole file.")
    if len(waveform) == 0:
        raise InputError(f"{path} holds no sound (0 samples).")
    trusted = "Estimating duration" not in log and facts.video is None and not facts.length_unknown
    if trusted and seconds < facts.duration - max(0.25, 0.05 * facts.duration):
        raise InputError(f"{path} is cut or damaged: {seconds:.2f} s of its {facts.duration:.2f} s can be decoded.")
    if not waveform.any():
        warn(f"the sound of {path} is digital silence from end to end ({seconds:.2f} s); is it the right recording?")
    rate, channels = _own_rate(track.rate), min(track.channels, 2)
    whole = -(-len(waveform) // SAMPLES_PER_FRAME) / FPS
    command = _sound_command(file, facts, mix.own, rate, channels, f",apad=whole_dur={whole},atrim=end={whole}")
    return Recording(waveform=waveform, command=command, rate=rate, channels=channels)


def _ignore(text: str) -> None:
    del text


def _mix(file: Path, facts: MediaFacts, track: AudioTrack) -> Mix:
    """How the channels are mixed, by what they hold."""
    if track.channels == 1:
        return Mix(mono="", own="")
    process = Running(_sound_command(file, facts, "", SAMPLE_RATE, track.channels, format="f32le"))
    width = 4 * track.channels
    chunks = iter(lambda: process.stdout.read(width << 14), b"")
    mix = choose_mix((np.frombuffer(c[: len(c) // width * width], "<f4") for c in chunks), track.names, track.layout)
    process.finish()  # what is wrong with the file is said when it is decoded
    return mix


def _own_rate(rate: int) -> int:
    """The rate, of those that AAC has from 16 to 48 kHz, that loses nothing of a recording at `rate`."""
    return next((r for r in (16_000, 22_050, 24_000, 32_000, 44_100) if r >= rate), 48_000)


def _sound_command(
    file: Path, facts: MediaFacts, mix: str, rate: int, channels: int, after: str = "", format: str = "s16le"
) -> list[str]:
    """ffmpeg's arguments: a file's sound, timed from the file's start, to standard output."""
    assert facts.audio is not None
    filters = f"{mix}aresample={rate}:async=1:first_pts=0{after}"
    source = _source(file, ignore_length=facts.length_unknown and facts.container == "wav")
    layout = {"ac": channels} if channels <= 2 else {}
    sound = source[str(facts.audio.index)].output("pipe:1", format=format, ar=rate, af=filters, **layout)
    return _both_mapped(source, sound, None if facts.video is None else facts.video.index)


def _both_mapped(source: Any, output: Any, other: int | None) -> list[str]:
    """ffmpeg's arguments for `output` and, as a copy to nowhere, the stream `other`. Of transport and program streams
    ffmpeg sets the clock to zero where the first of the streams in use begins, so both must be in use wherever one of
    them is read."""
    import ffmpeg

    if other is not None:
        output = ffmpeg.merge_outputs(
            output, source[str(other)].output("pipe:2", format="null", c="copy", bsf="setts=ts=N")
        )
    return ffmpeg_command(output, "-loglevel", "level+warning")


def probe_video(path: str | os.PathLike) -> VideoInfo:
    """Reads a video's header. Raises InputError if there is no picture in it."""
    return _info(_video_facts(path))


def _video_facts(path: str | os.PathLike) -> MediaFacts:
    facts = read_facts(check_input(path), "video")
    if facts.video is None:
        raise InputError(f"{path} cannot be read as video: no picture.")
    if not facts.video.width * facts.video.height:
        raise InputError(f"{path} cannot be read as video: its header gives no picture size.")
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
    """The header, and the frames as they are decoded: uint8 RGB [H, W, 3] at a constant 25 a second, upright, with
    square pixels, deinterlaced, in BT.709 (HDR is tone-mapped), the longer side at most `max_side`. `warn` is called
    if there are several tracks. Raises InputError at once if it is no video, and while reading if it is cut."""
    facts = _video_facts(path)
    for text in track_warnings(path, facts, "video"):
        (warn or _ignore)(text)
    return _info(facts), _frames(path, facts, max_side, max_frames)


def _frames(
    path: str | os.PathLike, facts: MediaFacts, max_side: int | None, max_frames: int | None
) -> Generator[np.ndarray, None, None]:
    assert facts.video is not None
    source = _source(check_input(path))
    # PPM carries the size of each picture, which after rotation and scaling only ffmpeg knows.
    picture = source[str(facts.video.index)].output(
        "pipe:1", format="image2pipe", vcodec="ppm", pix_fmt="rgb24", vf=picture_filters(facts.video, max_side)
    )
    process = Running(_both_mapped(source, picture, None if facts.audio is None else facts.audio.index))
    count, wanted = 0, float("inf") if max_frames is None else max_frames
    try:
        while count < wanted and (frame := _read_ppm(process.stdout)) is not None:
            count += 1
            yield frame
        if count == wanted:
            return
        log = process.log()
    finally:
        process.stop()
    if process.code != 0 or count == 0:
        raise InputError(f"{path} cannot be decoded: {ffmpeg_reason(log)}.")
    if _CUT.search(log) and facts.container not in _ENDLESS:
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
    """The ffmpeg to run. Raises InputError if there is none."""
    try:
        import imageio_ffmpeg

        name = imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise InputError("reading and writing media needs ffmpeg: pip install imageio-ffmpeg.") from error
    if shutil.which(name) is None:
        raise InputError(
            f"{name}, which IMAGEIO_FFMPEG_EXE names, is no program that can be run; unset it, or name an ffmpeg."
        )
    return name


def _source(file: Path, ignore_length: bool = False) -> Any:
    """A file as an input of ffmpeg-python: local protocols and known containers only."""
    import ffmpeg

    options = {"ignore_length": 1} if ignore_length else {}
    return ffmpeg.input(
        local_name(file), protocol_whitelist=PROTOCOLS, format_whitelist=",".join(CONTAINERS), **options
    )


def local_name(file: Path) -> str:
    """A file's name for ffmpeg-python, which takes UTF-8 only: its bytes, read as Latin-1; ffmpeg_command undoes it."""
    return "file:" + os.fsencode(file.absolute()).decode("latin-1")


def ffmpeg_command(output: Any, *options: str) -> list[str]:
    """ffmpeg-python's output as an argument list. Global options stand first: after the output ffmpeg warns of them."""
    arguments = output.compile(cmd="ffmpeg")[1:]
    names = [os.fsdecode(a.encode("latin-1")) if a.startswith("file:") else a for a in arguments]
    return [_ffmpeg(), "-nostdin", "-hide_banner", "-nostats", *options, *names]


def ffmpeg_reason(log: str) -> str:
    """The one line of ffmpeg's log that says what went wrong."""
    if "Invalid data found" in log or "not on whitelist" in log or "not in whitelist" in log:
        return "it is damaged, or in no known format"
    if "moov atom not found" in log or "End of file" in log:
        return "it is cut; its index or end is missing"
    lines = [re.sub(r"(\[[^]]* @ 0x[0-9a-f]+\]|\[[a-z]+\])\s*", "", line).strip() for line in log.splitlines()]
    dull = ("Conversion failed", "Error opening", "Task finished", "Terminating thread", "Last message", "Nothing was")
    useful = [line for line in lines if line and not line.startswith(dull)]
    wrong = [line for line in useful if re.search(r"error|invalid|fail|no space|cannot|unable|not ", line, re.I)]
    return (wrong or useful or ["ffmpeg gave no reason"])[-1].rstrip(".")
