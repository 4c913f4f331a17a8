"""The audio of a clip: sentences in one voice with pauses between them and silence around, or room noise only."""

from __future__ import annotations

import dataclasses

import numpy as np

from data_pipelines.puppet.speech.sentences import VOICE_OF, sentences
from data_pipelines.puppet.speech.synthesis import Speech, synthesise
from demo_jax.constants import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME

LONGEST = 12.0  # seconds of a clip


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipAudio:
    """The audio of a clip of T frames, with its phonemes.

    waveform  [T * 640] int16
    phonemes  P IPA texts
    times     [P, 2] seconds
    stressed  [P] bool
    """

    waveform: np.ndarray
    phonemes: tuple[str, ...]
    times: np.ndarray
    stressed: np.ndarray
    language: str
    text: str

    @property
    def frames(self) -> int:
        return len(self.waveform) // SAMPLES_PER_FRAME


@dataclasses.dataclass(frozen=True, kw_only=True)
class Voice:
    """The voice of a person: an eSpeak NG variant, and the mean rate (words a minute) and pitch (0-100)."""

    variant: str
    rate: int
    pitch: int


def random_voice(rng: np.random.Generator, variant: str) -> Voice:
    """Samples rate and pitch for a voice variant."""
    return Voice(variant=variant, rate=int(rng.integers(135, 190)), pitch=int(rng.integers(30, 70)))


def utterance(
    rng: np.random.Generator, voice: Voice, language: str, split: str, *, seconds: float, tempo: float = 1.0
) -> ClipAudio:
    """Speaks sentences of a split until `seconds` are full, with silence around them and a little room noise.

    A longer clip has several sentences, with pauses from a breath to a second and a half between them. It ends before
    LONGEST unless its first sentence alone is longer. tempo multiplies the rate of the speech.
    """
    texts = sentences(language, split)
    rate = int(np.clip((voice.rate + rng.integers(-12, 13)) * tempo, 100, 230))
    pitch, spread = int(voice.pitch + rng.integers(-6, 7)), int(rng.integers(35, 75))
    lead, tail = rng.uniform(0.2, 0.6, 2)
    said: list[tuple[float, str, Speech]] = []
    end = float(lead)
    for place in rng.permutation(len(texts)):
        pause = float(rng.uniform(0.2, 0.6) if rng.random() < 0.7 else rng.uniform(0.6, 1.5)) if said else 0.0
        speech = synthesise(texts[place], f"{VOICE_OF[language]}+{voice.variant}", rate, pitch, spread)
        if said and end + pause + speech.seconds + tail > LONGEST:
            break
        said.append((end + pause, texts[place], speech))
        end += pause + speech.seconds
        if end + tail >= seconds:
            break
    frames = int(np.ceil((end + tail) * FPS))
    wave = np.zeros(frames * SAMPLES_PER_FRAME)
    times, gain = [], 10 ** (rng.uniform(-9, 4) / 20)
    for at, _, speech in said:
        start = round(at * SAMPLE_RATE)
        wave[start : start + len(speech.waveform)] = speech.waveform * gain
        times.append(speech.times + np.float32(start / SAMPLE_RATE))
    return ClipAudio(
        waveform=_with_noise(rng, wave),
        phonemes=tuple(phoneme for *_, speech in said for phoneme in speech.phonemes),
        times=np.concatenate(times).astype(np.float32),
        stressed=np.concatenate([speech.stressed for *_, speech in said]),
        language=language.split("-")[0],
        text=" ".join(text for _, text, _ in said),
    )


def room_noise(rng: np.random.Generator, frames: int) -> ClipAudio:
    """Returns the audio of a clip without speech."""
    return ClipAudio(
        waveform=_with_noise(rng, np.zeros(frames * SAMPLES_PER_FRAME)),
        phonemes=(),
        times=np.zeros((0, 2), np.float32),
        stressed=np.zeros(0, bool),
        language="",
        text="",
    )


def _with_noise(rng: np.random.Generator, wave: np.ndarray) -> np.ndarray:
    noisy = wave + rng.standard_normal(len(wave)) * 32768 * 10 ** (rng.uniform(-78, -58) / 20)
    return np.clip(np.round(noisy), -32768, 32767).astype(np.int16)


def cut(audio: ClipAudio, start: int, frames: int) -> ClipAudio:
    """Returns `frames` frames of the audio from frame `start` on.

    Phonemes that overlap its ends are cut; times are relative to its start.
    """
    low, high = start / FPS, (start + frames) / FPS
    inside = (audio.times[:, 1] > low + 1e-6) & (audio.times[:, 0] < high - 1e-6)
    kept = np.flatnonzero(inside)
    return dataclasses.replace(
        audio,
        waveform=audio.waveform[start * SAMPLES_PER_FRAME : (start + frames) * SAMPLES_PER_FRAME],
        phonemes=tuple(audio.phonemes[i] for i in kept),
        times=(np.clip(audio.times[kept], low, high) - low).astype(np.float32),
        stressed=audio.stressed[kept],
    )
