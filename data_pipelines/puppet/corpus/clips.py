"""One clip of the puppet corpus as tracks and sound: a pure function of (seed, split, kind, index).

Nothing here draws a pixel; `build` renders what `speech_clip`, `probe_set` and `probe_take` return.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from data_pipelines.extraction.speech_augmentation import augment_speech
from data_pipelines.puppet.motion import face_motion
from data_pipelines.puppet.motion.articulation import Style, lip_curves, random_style, vary
from data_pipelines.puppet.motion.emotion import EFFORT, EMOTION_TEMPO
from data_pipelines.puppet.motion.face_motion import Motion
from data_pipelines.puppet.motion.motion_style import Temperament, random_temperament
from data_pipelines.puppet.motion.probe import independent_motion
from data_pipelines.puppet.speech.sentences import SPLITS, VARIANTS, languages
from data_pipelines.puppet.speech.utterances import LONGEST, Sound, Voice, cut, nothing_said, random_voice, utterance
from data_pipelines.records.schema import PROBE
from demo_jax.constants import FPS, SAMPLES_PER_FRAME
from demo_jax.factors import EMOTIONS, FACTORS

CLIPS_VERSION = "2"

ENGLISH_SHARE = 0.4  # of the clips in which somebody speaks; the other languages share the rest alike
AUGMENTED_SHARE = 0.5  # of those of the train split
_KINDS = ("speech", "set", "identity", "voice", "style", "probe", "heard")


def stream(seed: int, split: str, kind: str, index: int) -> np.random.Generator:
    """The generator of one clip, set, identity or voice: independent of every other and of the order of work."""
    return np.random.default_rng([seed, SPLITS.index(split), _KINDS.index(kind), index])


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


def voice(seed: int, split: str, person: int) -> Voice:
    """A person keeps a voice; the voice variants of the split take turns."""
    variants = VARIANTS[split]
    return random_voice(stream(seed, split, "voice", person), variants[person % len(variants)])


def _speak(
    rng: np.random.Generator, seed: int, split: str, person: int, turn: int, seconds: float, emotion: str = "neutral"
) -> Sound:
    """An utterance of the person. The languages besides English take turns, so that a small corpus has all of them."""
    others = [name for name in languages() if not name.startswith("en")]
    english = ("en", "en-gb")[int(rng.integers(2))]
    language = english if rng.random() < ENGLISH_SHARE else others[turn % len(others)]
    return utterance(rng, voice(seed, split, person), language, split, seconds=seconds, tempo=EMOTION_TEMPO[emotion])


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


def is_idle(index: int) -> bool:
    """Whether a clip shows somebody who says nothing: one in 32."""
    return index % 32 == 20


def is_augmented(seed: int, split: str, index: int) -> bool:
    """Whether the sound of a clip has been through a room, a microphone or a telephone: AUGMENTED_SHARE of those of the
    train split in which somebody speaks, so that val and test measure the same whatever augmentation does."""
    drawn = stream(seed, split, "heard", index).random() < AUGMENTED_SHARE
    return split == "train" and not is_idle(index) and bool(drawn)


def speech_clip(seed: int, split: str, index: int, people: int) -> Take:
    """Clip number `index` of a split in which `people` identities take turns.

    The motion follows the clean sound, whatever is heard of it in the end.
    """
    rng = stream(seed, split, "speech", index)
    person = index % people
    emotion = "neutral" if rng.random() < 0.4 else str(rng.choice(EMOTIONS[2:]))
    seconds = float(rng.uniform(4, LONGEST - 1.5))  # the last sentence goes beyond it
    if is_idle(index):
        sound = nothing_said(rng, round(seconds * FPS))
    else:
        sound = _speak(rng, seed, split, person, index + index // people, seconds, emotion)
    style, temperament = manner(seed, split, person)
    if is_idle(index):
        moves = face_motion.idle_motion(rng, sound.frames, emotion, style=style, temperament=temperament)
    else:
        lips = _mouth(rng, sound, style, emotion)
        moves = face_motion.speech_motion(
            rng, lips, sound.times, sound.stressed, emotion, waveform=sound.waveform, temperament=temperament
        )
    if is_augmented(seed, split, index):
        heard = augment_speech(stream(seed, split, "heard", index).spawn(1)[0], sound.waveform)
        sound = dataclasses.replace(sound, waveform=heard)
    return Take(
        clip_id=f"{split}-{index:06d}",
        person=person,
        motion=moves,
        sound=sound,
        context=sound.waveform,
        emotion=emotion,
    )


def probe_take(seed: int, split: str, index: int, people: int, frames: int) -> Take:
    """Probe number `index`: frames of one person in which no factor tells anything of another, without sound."""
    rng = stream(seed, split, "probe", index)
    person = index % people
    style, _ = manner(seed, split, person)
    spoken = [_mouth(rng, _speak(rng, seed, split, person, index + i, 0.0), style) for i in range(3)]
    sound = dataclasses.replace(nothing_said(rng, frames), waveform=np.zeros(frames * SAMPLES_PER_FRAME, np.int16))
    name = f"{split}-probe{index:05d}"
    return Take(
        clip_id=name,
        person=person,
        motion=independent_motion(rng, np.concatenate(spoken), frames),
        sound=sound,
        context=sound.waveform,
        set_id=name,
        variant=PROBE,
    )


def probe_set(seed: int, split: str, index: int, people: int, frames: int) -> list[Take]:
    """Set number `index`: a base, the base with each factor redrawn, and the base's motion on a second identity.

    The mouth of the base speaks the sound of the set; the redrawn mouth speaks another sentence, or moves as no speech
    does, to the same sound. Frame t of all takes correspond.
    """
    rng = stream(seed, split, "set", index)
    person = index % people
    second = int((person + rng.integers(1, people)) % people) if people > 1 else person
    whole = _speak(rng, seed, split, person, index, 2.0)
    offset = int(rng.integers(max(1, whole.frames - frames + 1)))
    frames = min(frames, whole.frames)
    style, _ = manner(seed, split, person)
    base = face_motion.wide_motion(rng, _mouth(rng, whole, style)[offset : offset + frames])
    if rng.random() < 0.5:
        other_lips = face_motion.random_lips(rng, frames)
    else:
        other = _speak(rng, seed, split, second, index + 1, 2.0)
        start = int(rng.integers(max(1, other.frames - frames + 1)))
        other_lips = _mouth(rng, other, manner(seed, split, second)[0])[start : start + frames]
        other_lips = np.pad(other_lips, ((0, frames - len(other_lips)), (0, 0)), mode="edge")
    another = face_motion.wide_motion(rng, other_lips)
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

    redrawn = [take(f, f"redrawn:{f}", person, face_motion.redraw(base, another, f)) for f in FACTORS]
    return [take("base", "base", person, base), *redrawn, take("reidentity", "reidentity", second, base)]
