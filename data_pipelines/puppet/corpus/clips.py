"""One clip of the puppet corpus as tracks and audio: a pure function of (seed, split, kind, index).

This module renders nothing; `build` renders what `speech_clip`, `probe_set` and `probe_take` return. A *take*, as in
film, is one continuous shot.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from data_pipelines.extraction.speech_augmentation import augment_speech
from data_pipelines.puppet.motion import face_motion
from data_pipelines.puppet.motion.articulation import ArticulationStyle, lip_curves, random_articulation_style, vary
from data_pipelines.puppet.motion.emotion import EFFORT, EMOTION_TEMPO
from data_pipelines.puppet.motion.face_motion import Motion
from data_pipelines.puppet.motion.motion_style import MotionStyle, random_motion_style
from data_pipelines.puppet.motion.probe import independent_motion
from data_pipelines.puppet.speech.sentences import SPLITS, languages, voice_variant
from data_pipelines.puppet.speech.utterances import LONGEST, ClipAudio, Voice, cut, random_voice, room_noise, utterance
from data_pipelines.records.schema import PROBE
from demo_jax.constants import FPS, SAMPLES_PER_FRAME
from demo_jax.factors import EMOTIONS, FACTORS

CLIPS_VERSION = "2"

ENGLISH_SHARE = 0.4  # of the clips with speech; the other languages share the rest equally
AUGMENTED_SHARE = 0.5  # of the clips with speech in the train split
# A generator depends on the place of its kind: new kinds go to the end.
_KINDS = ("speech", "set", "identity", "voice", "style", "probe", "heard")


def stream(seed: int, split: str, kind: str, index: int) -> np.random.Generator:
    """Returns the generator of one clip, set, identity or voice, independent of all others and of the order of work."""
    return np.random.default_rng([seed, SPLITS.index(split), _KINDS.index(kind), index])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Take:
    """One continuous shot of one person: motion and audio, before rendering.

    person      number of the identity in its split
    context     [S] int16: the whole utterance, which the audio features are extracted from
    offset      frame of `context` at which the take's audio starts
    set_id, variant, base_piece, emotion: as in the record
    """

    clip_id: str
    person: int
    motion: Motion
    audio: ClipAudio
    context: np.ndarray
    offset: int = 0
    emotion: str = ""
    set_id: str = ""
    variant: str = ""
    base_piece: int = -1


def speaker_name(split: str, person: int) -> str:
    """Returns the speaker_id of a person's records."""
    return f"puppet-{split}-{person:04d}"


def voice(seed: int, split: str, person: int) -> Voice:
    """Returns the voice of a person, the same in all of their clips."""
    return random_voice(stream(seed, split, "voice", person), voice_variant(split, person))


def _speak(
    rng: np.random.Generator, seed: int, split: str, person: int, turn: int, seconds: float, emotion: str = "neutral"
) -> ClipAudio:
    """Returns an utterance of the person. Languages besides English take turns, so a small corpus has all."""
    others = [name for name in languages() if not name.startswith("en")]
    english = ("en", "en-gb")[int(rng.integers(2))]
    language = english if rng.random() < ENGLISH_SHARE else others[turn % len(others)]
    return utterance(rng, voice(seed, split, person), language, split, seconds=seconds, tempo=EMOTION_TEMPO[emotion])


def person_styles(seed: int, split: str, person: int) -> tuple[ArticulationStyle, MotionStyle]:
    """Returns how a person articulates and moves, the same in all of their clips."""
    own = stream(seed, split, "style", person)
    return random_articulation_style(own), random_motion_style(own)


def _mouth(
    rng: np.random.Generator, audio: ClipAudio, style: ArticulationStyle, emotion: str = "neutral"
) -> np.ndarray:
    return lip_curves(
        audio.phonemes,
        audio.times,
        audio.frames,
        stressed=audio.stressed,
        style=vary(rng, style, EFFORT.get(emotion, 1.0)),
        language=audio.language,
    )


def is_idle(index: int) -> bool:
    """Returns whether a clip shows a silent person: one in 32."""
    return index % 32 == 20


def is_augmented(seed: int, split: str, index: int) -> bool:
    """Returns whether the audio of a clip is augmented (room, microphone, telephone).

    This is AUGMENTED_SHARE of the clips with speech in train; val and test do not depend on the augmentation.
    """
    drawn = stream(seed, split, "heard", index).random() < AUGMENTED_SHARE
    return split == "train" and not is_idle(index) and bool(drawn)


def speech_clip(seed: int, split: str, index: int, people: int) -> Take:
    """Returns clip number `index` of a split in which `people` identities take turns.

    The motion follows the clean audio, even if the take's audio is augmented.
    """
    rng = stream(seed, split, "speech", index)
    person = index % people
    emotion = "neutral" if rng.random() < 0.4 else str(rng.choice(EMOTIONS[2:]))
    seconds = float(rng.uniform(4, LONGEST - 1.5))  # the last sentence extends beyond it
    if is_idle(index):
        audio = room_noise(rng, round(seconds * FPS))
    else:
        audio = _speak(rng, seed, split, person, index + index // people, seconds, emotion)
    style, motion_style = person_styles(seed, split, person)
    if is_idle(index):
        moves = face_motion.idle_motion(rng, audio.frames, emotion, style=style, motion_style=motion_style)
    else:
        lips = _mouth(rng, audio, style, emotion)
        moves = face_motion.speech_motion(
            rng, lips, audio.times, audio.stressed, emotion, waveform=audio.waveform, motion_style=motion_style
        )
    if is_augmented(seed, split, index):
        augmented = augment_speech(stream(seed, split, "heard", index).spawn(1)[0], audio.waveform)
        audio = dataclasses.replace(audio, waveform=augmented)
    return Take(
        clip_id=f"{split}-{index:06d}",
        person=person,
        motion=moves,
        audio=audio,
        context=audio.waveform,
        emotion=emotion,
    )


def probe_take(seed: int, split: str, index: int, people: int, frames: int) -> Take:
    """Returns probe number `index`: frames of one person with independent factors and digital silence."""
    rng = stream(seed, split, "probe", index)
    person = index % people
    style, _ = person_styles(seed, split, person)
    spoken = [_mouth(rng, _speak(rng, seed, split, person, index + i, 0.0), style) for i in range(3)]
    audio = dataclasses.replace(room_noise(rng, frames), waveform=np.zeros(frames * SAMPLES_PER_FRAME, np.int16))
    name = f"{split}-probe{index:05d}"
    return Take(
        clip_id=name,
        person=person,
        motion=independent_motion(rng, np.concatenate(spoken), frames),
        audio=audio,
        context=audio.waveform,
        set_id=name,
        variant=PROBE,
    )


def probe_set(seed: int, split: str, index: int, people: int, frames: int) -> list[Take]:
    """Returns set number `index`: a base take, the base with each factor swapped, and its motion on a second identity.

    The mouth of the base speaks the audio of the set. The swapped mouth speaks another sentence, or moves as speech
    never does, to the same audio. Frames t of all takes correspond.
    """
    rng = stream(seed, split, "set", index)
    person = index % people
    second = int((person + rng.integers(1, people)) % people) if people > 1 else person
    whole = _speak(rng, seed, split, person, index, 2.0)
    offset = int(rng.integers(max(1, whole.frames - frames + 1)))
    frames = min(frames, whole.frames)
    style, _ = person_styles(seed, split, person)
    base = face_motion.wide_motion(rng, _mouth(rng, whole, style)[offset : offset + frames])
    if rng.random() < 0.5:
        other_lips = face_motion.random_lips(rng, frames)
    else:
        other = _speak(rng, seed, split, second, index + 1, 2.0)
        start = int(rng.integers(max(1, other.frames - frames + 1)))
        other_lips = _mouth(rng, other, person_styles(seed, split, second)[0])[start : start + frames]
        other_lips = np.pad(other_lips, ((0, frames - len(other_lips)), (0, 0)), mode="edge")
    another = face_motion.wide_motion(rng, other_lips)
    name = f"{split}-set{index:05d}"
    audio = cut(whole, offset, frames)

    def take(suffix: str, variant: str, who: int, moves: Motion) -> Take:
        return Take(
            clip_id=f"{name}-{suffix}",
            person=who,
            motion=moves,
            audio=audio,
            context=whole.waveform,
            offset=offset,
            set_id=name,
            variant=variant,
            base_piece=0,
        )

    swapped = [take(f, f"redrawn:{f}", person, face_motion.redraw(base, another, f)) for f in FACTORS]
    return [take("base", "base", person, base), *swapped, take("reidentity", "reidentity", second, base)]
