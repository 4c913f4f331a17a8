"""Reading audio: the speech that networks hear, and the recording with its own rate and channels; writing wav."""

from __future__ import annotations

import dataclasses
import os
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np

from demo_jax.constants import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from demo_jax.errors import InputError
from demo_jax.media.channels import Mix, choose_mix
from demo_jax.media.ffmpeg import CUT_MARKS, FFmpegProcess, both_mapped, ffmpeg_input, ffmpeg_reason
from demo_jax.media.files import check_input
from demo_jax.media.probe import AudioTrack, MediaFacts, read_facts, track_warnings

ENDLESS = ("mpegts", "mpeg")  # streams without a header that could say where they end; damage is no cut there


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
    warn = warn or ignore
    for text in track_warnings(path, facts, "audio"):
        warn(text)
    mix = _mix(file, facts, track)
    process = FFmpegProcess(_sound_command(file, facts, mix.mono, SAMPLE_RATE, 1))
    waveform = np.frombuffer(process.read_all(), "<i2").astype(np.int16)
    log = process.log()
    if process.code != 0:
        raise InputError(f"{path} cannot be read as sound: {ffmpeg_reason(log)}.")
    seconds = len(waveform) / SAMPLE_RATE
    if CUT_MARKS.search(log) and not (facts.length_unknown or facts.container in ENDLESS):
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


def ignore(text: str) -> None:
    del text


def _mix(file: Path, facts: MediaFacts, track: AudioTrack) -> Mix:
    """How the channels are mixed, by what they hold."""
    if track.channels == 1:
        return Mix(mono="", own="")
    process = FFmpegProcess(_sound_command(file, facts, "", SAMPLE_RATE, track.channels, format="f32le"))
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
    source = ffmpeg_input(file, ignore_length=facts.length_unknown and facts.container == "wav")
    layout = {"ac": channels} if channels <= 2 else {}
    sound = source[str(facts.audio.index)].output("pipe:1", format=format, ar=rate, af=filters, **layout)
    return both_mapped(source, sound, None if facts.video is None else facts.video.index)


def write_wav(path: str | os.PathLike, waveform: np.ndarray) -> None:
    """Mono int16 [S] -> a 16 kHz wav file."""
    with open(path, "wb") as file, wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes(np.asarray(waveform, "<i2").tobytes())
