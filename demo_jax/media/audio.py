"""Reading audio, as speech for the networks and as the original recording; writing wav."""

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

ENDLESS = ("mpegts", "mpeg")  # streams whose header has no length; damage does not mean that they are cut


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recording:
    """Speech from a file.

    waveform  mono 16 kHz int16 [samples], for the features
    command   of ffmpeg: writes the recording itself, padded to whole video frames, to its standard output as int16
              little-endian
    rate      of that output, Hz, at most 48,000
    channels  of that output, 1 or 2
    """

    waveform: np.ndarray
    command: list[str]
    rate: int
    channels: int

    @property
    def speech(self) -> np.ndarray:
        """The waveform, padded with silence to whole video frames: [T * 640]."""
        return np.pad(self.waveform, (0, -len(self.waveform) % SAMPLES_PER_FRAME))


def read_audio(path: str | os.PathLike, warn: Callable[[str], None] | None = None) -> np.ndarray:
    """Returns the waveform of read_recording: mono 16 kHz int16 [samples]."""
    return read_recording(path, warn).waveform


def read_recording(path: str | os.PathLike, warn: Callable[[str], None] | None = None) -> Recording:
    """Reads the audio of any common audio or video file, from the start of the file (audio that starts late is preceded
    by zeros). Several channels are mixed at the level of the loudest; if they cancel each other, the loudest alone is
    used.

    `warn` is called if there are several tracks, and if all is digital silence. Raises InputError if the file is
    missing, empty, cut, too short, or has no audio.
    """
    file = check_input(path)
    facts = read_facts(file, "audio")
    if (track := facts.audio) is None:
        raise InputError(f"{path} has no audio.")
    warn = warn or ignore
    for text in track_warnings(path, facts, "audio"):
        warn(text)
    mix = _mix(file, facts, track)
    process = FFmpegProcess(_audio_command(file, facts, mix.mono, SAMPLE_RATE, 1))
    waveform = np.frombuffer(process.read_all(), "<i2").astype(np.int16)
    log = process.log()
    if process.code != 0:
        raise InputError(f"{path} cannot be read as audio: {ffmpeg_reason(log)}.")
    seconds = len(waveform) / SAMPLE_RATE
    if CUT_MARKS.search(log) and not (facts.length_unknown or facts.container in ENDLESS):
        raise InputError(
            f"{path} is cut: it ends after {seconds:.2f} s, earlier than its header says; give a whole file."
        )
    if len(waveform) == 0:
        raise InputError(f"{path} contains no audio (0 samples).")
    trusted = "Estimating duration" not in log and facts.video is None and not facts.length_unknown
    if trusted and seconds < facts.duration - max(0.25, 0.05 * facts.duration):
        raise InputError(f"{path} is cut or damaged: {seconds:.2f} s of its {facts.duration:.2f} s can be decoded.")
    if not waveform.any():
        warn(f"the audio of {path} is digital silence from end to end ({seconds:.2f} s); is it the right recording?")
    rate, channels = _own_rate(track.rate), min(track.channels, 2)
    whole = -(-len(waveform) // SAMPLES_PER_FRAME) / FPS
    command = _audio_command(file, facts, mix.own, rate, channels, f",apad=whole_dur={whole},atrim=end={whole}")
    return Recording(waveform=waveform, command=command, rate=rate, channels=channels)


def ignore(text: str) -> None:
    """Takes a warning and does nothing."""
    del text


def _mix(file: Path, facts: MediaFacts, track: AudioTrack) -> Mix:
    """Chooses how the channels are mixed, from their contents."""
    if track.channels == 1:
        return Mix(mono="", own="")
    process = FFmpegProcess(_audio_command(file, facts, "", SAMPLE_RATE, track.channels, format="f32le"))
    width = 4 * track.channels
    chunks = iter(lambda: process.stdout.read(width << 14), b"")
    mix = choose_mix((np.frombuffer(c[: len(c) // width * width], "<f4") for c in chunks), track.names, track.layout)
    process.finish()  # errors of the file are reported when it is decoded
    return mix


def _own_rate(rate: int) -> int:
    """The lowest AAC rate from 16 to 48 kHz that is at least `rate`; else 48 kHz."""
    return next((r for r in (16_000, 22_050, 24_000, 32_000, 44_100) if r >= rate), 48_000)


def _audio_command(
    file: Path, facts: MediaFacts, mix: str, rate: int, channels: int, after: str = "", format: str = "s16le"
) -> list[str]:
    """The command that writes a file's audio, timed from the file's start, to standard output."""
    assert facts.audio is not None
    filters = f"{mix}aresample={rate}:async=1:first_pts=0{after}"
    source = ffmpeg_input(file, ignore_length=facts.length_unknown and facts.container == "wav")
    layout = {"ac": channels} if channels <= 2 else {}
    output = source[str(facts.audio.index)].output("pipe:1", format=format, ar=rate, af=filters, **layout)
    return both_mapped(source, output, None if facts.video is None else facts.video.index)


def write_wav(path: str | os.PathLike, waveform: np.ndarray) -> None:
    """Writes mono int16 [samples] as a 16 kHz wav file."""
    with open(path, "wb") as file, wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes(np.asarray(waveform, "<i2").tobytes())
