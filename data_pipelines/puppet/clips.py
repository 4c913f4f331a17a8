"""One clip of the puppet corpus as tracks and sound: a pure function of (seed, split, kind, index).

Nothing here draws a pixel; `build` renders what `speech_clip` and `probe_set` return.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from data_pipelines.puppet import motion
from data_pipelines.puppet.articulation import Style, lip_curves, random_style, vary
from data_pipelines.puppet.emotion import EFFORT
from data_pipelines.puppet.motion import Motion
from data_pipelines.puppet.sentences import SPLITS, VARIANTS, VOICE_OF, languages, sentences
from data_pipelines.puppet.speech import Speech, synthesise
from data_pipelines.puppet.temperament import Temperament, random_temperament
from demo_jax.factors import EMOTIONS, FACTORS
from demo_jax.typing import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME

CLIPS_VERSION = "1"

_KINDS = ("speech", "set", "identity", "voice", "style")
_SHORTEST, _LONGEST = 4.0, 8.0  # seconds of a speech clip, as far as sentences allow
_ENGLISH_SHARE = 0.7


def stream(seed: int, split: str, kind: str, index: int) -> np.random.Generator:
    """The generator of one clip, set, identity or voice: independent of every other and of the order of work."""
    return np.random.default_rng([seed, SPLITS.index(split), _KINDS.index(kind), index])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sound:
    """What is heard in a clip of T frames: waveform [T * 640] int16, phonemes P, times [P, 2] s, stressed [P] bool."""

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
class Take:
    """One continuous shot: who moves how to which sound.

    person is the number of the identity in its split; variant, set_id and base_piece are those of the record. The
    feature extractors hear `context` (the whole utterance, int16), of which the take's sound is the part that starts
    at frame `offset`.
    """

    clip_id: str
    person: int
    motion: Motion
    sound: Sound
    context: np.ndarray
    offset: int = 0
    emotion: str = ""
    set_id: str = ""
    variant: str = ""
    base_piece: int = -1


def speaker_name(split: str, person: int) -> str:
    return f"puppet-{split}-{person:04d}"


def _speak(rng: np.random.Generator, seed: int, split: str, person: int, turn: int) -> Sound:
    """An utterance in the person's voice, with silence around it and a little room noise. The languages besides English
    take turns, so that a small corpus has all of them."""
    own = stream(seed, split, "voice", person)  # a person keeps a voice; rate and pitch vary around it
    variant = VARIANTS[split][person % len(VARIANTS[split])]
    base_rate, base_pitch = own.integers(135, 190), own.integers(30, 70)
    others = [name for name in languages() if not name.startswith("en")]
    english = ("en", "en-gb")[int(rng.integers(2))]
    language = english if rng.random() < _ENGLISH_SHARE else others[turn % len(others)]
    texts = sentences(language, split)
    rate, pitch = int(base_rate + rng.integers(-12, 13)), int(base_pitch + rng.integers(-6, 7))
    spread = int(rng.integers(35, 75))

    def say(text: str) -> Speech:
        return synthesise(text, f"{VOICE_OF[language]}+{variant}", rate, pitch, spread)

    first, second = (texts[i] for i in rng.choice(len(texts), 2, replace=False))
    text, speech = first, say(first)
    if speech.seconds < _SHORTEST:
        both = say(f"{first} {second}")
        if both.seconds <= _LONGEST:
            text, speech = f"{first} {second}", both
    lead, tail = rng.uniform(0.2, 0.6, 2)
    frames = int(np.ceil((lead + speech.seconds + tail) * FPS))
    wave = np.zeros(frames * SAMPLES_PER_FRAME)
    start = round(lead * SAMPLE_RATE)
    wave[start : start + len(speech.waveform)] = speech.waveform * 10 ** (rng.uniform(-9, 4) / 20)
    wave += rng.standard_normal(len(wave)) * 32768 * 10 ** (rng.uniform(-78, -58) / 20)
    return Sound(
        waveform=np.clip(np.round(wave), -32768, 32767).astype(np.int16),
        phonemes=speech.phonemes,
        times=speech.times + np.float32(start / SAMPLE_RATE),
        stressed=speech.stressed,
        language=language.split("-")[0],
        text=text,
    )


def cut(sound: Sound, start: int, frames: int) -> Sound:
    """The part of a sound from one frame on; phonemes that overlap it keep the part inside, relative to its start."""
    low, high = start / FPS, (start + frames) / FPS
    inside = (sound.times[:, 1] > low + 1e-6) & (sound.times[:, 0] < high - 1e-6)
    kept = np.flatnonzero(inside)
    return dataclasses.replace(
        sound,
        waveform=sound.waveform[start * SAMPLES_PER_FRAME : (start + frames) * SAMPLES_PER_FRAME],
        phonemes=tuple(sound.phonemes[i] for i in kept),
        times=(np.clip(sound.times[kept], low, high) - low).astype(np.float32),
        stressed=sound.stressed[kept],
    )


def manner(seed: int, split: str, person: int) -> tuple[Style, Temperament]:
    """How a person articulates and moves, in all of their clips."""
    own = stream(seed, split, "style", person)
    return random_style(own), random_temperament(own)


def _mouth(rng: np.random.Generator, sound: Sound, style: Style, emotion: str = "neutral") -> np.ndarray:
    return lip_curves(
        sound.phonemes,
        sound.times,
        sound.frames,
        stressed=sound.stressed,
        style=vary(rng, style, EFFORT.get(emotion, 1.0)),
        language=sound.language,
    )


def speech_clip(seed: int, split: str, index: int, people: int) -> Take:
    """Clip number `index` of a split in which `people` identities take turns."""
    rng = stream(seed, split, "speech", index)
    person = index % people
    sound = _speak(rng, seed, split, person, index)
    emotion = "neutral" if rng.random() < 0.4 else str(rng.choice(EMOTIONS[2:]))
    style, temperament = manner(seed, split, person)
    lips = _mouth(rng, sound, style, emotion)
    moves = motion.speech_motion(
        rng, lips, sound.times, sound.stressed, emotion, waveform=sound.waveform, temperament=temperament
    )
    return Take(
        clip_id=f"{split}-{index:06d}",
        person=person,
        motion=moves,
        sound=sound,
        context=sound.waveform,
        emotion=emotion,
    )


def probe_set(seed: int, split: str, index: int, people: int, frames: int) -> list[Take]:
    """Set number `index`: a base, the base with each factor redrawn, and the base's motion on a second identity.

    The mouth of the base speaks the sound of the set; the redrawn mouth speaks another sentence, or moves as no speech
    does, to the same sound. Frame t of all takes correspond.
    """
    rng = stream(seed, split, "set", index)
    person = int(rng.integers(people))
    second = int((person + rng.integers(1, people)) % people) if people > 1 else person
    whole = _speak(rng, seed, split, person, index)
    offset = int(rng.integers(max(1, whole.frames - frames + 1)))
    frames = min(frames, whole.frames)
    style, _ = manner(seed, split, person)
    base = motion.wide_motion(rng, _mouth(rng, whole, style)[offset : offset + frames])
    if rng.random() < 0.5:
        other_lips = motion.random_lips(rng, frames)
    else:
        other = _speak(rng, seed, split, second, index + 1)
        start = int(rng.integers(max(1, other.frames - frames + 1)))
        other_lips = _mouth(rng, other, manner(seed, split, second)[0])[start : start + frames]
        other_lips = np.pad(other_lips, ((0, frames - len(other_lips)), (0, 0)), mode="edge")
    another = motion.wide_motion(rng, other_lips)
    name = f"{split}-set{index:05d}"
    sound = cut(whole, offset, frames)

    def take(suffix: str, variant: str, who: int, moves: Motion) -> Take:
        return Take(
            clip_id=f"{name}-{suffix}",
            person=who,
            motion=moves,
            sound=sound,
            context=whole.waveform,
            offset=offset,
            set_id=name,
            variant=variant,
            base_piece=0,
        )

    redrawn = [take(f, f"redrawn:{f}", person, motion.redraw(base, another, f)) for f in FACTORS]
    return [take("base", "base", person, base), *redrawn, take("reidentity", "reidentity", second, base)]
