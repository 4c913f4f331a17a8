"""Speech labelled with kinds of phones, for training the phonetic features: synthetic voices and variations of them.

Voices: eSpeak NG's, of the train split; Flite's, by the command `flite` (Debian's package; free voices, whose phones
come from recordings of four speakers); and that of the package `hibari-tts` (Apache-2.0). eSpeak NG and Flite report
when each phone begins; hibari's speech is aligned with its text.
"""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np

from data_pipelines.extraction.speech_augmentation import augment_speech
from data_pipelines.puppet.speech.phones import segments
from data_pipelines.puppet.speech.sentences import VARIANTS, languages, sentences
from data_pipelines.puppet.speech.utterances import random_voice, utterance
from demo_jax.audio.phonetic import KINDS, STEP
from demo_jax.constants import SAMPLE_RATE
from demo_jax.errors import InputError

Rng = np.random.Generator
KIND_OF = {letter: kind for kind, letters in enumerate(KINDS) for letter in letters}
FLITE_VOICES = ("awb", "rms", "slt", "kal16")

# ARPAbet, without stress, to IPA.
IPA_OF = {
    "aa": "ɑ", "ae": "æ", "ah": "ʌ", "ao": "ɔ", "aw": "aʊ", "ax": "ə", "ay": "aɪ", "b": "b", "ch": "tʃ", "d": "d",
    "dh": "ð", "eh": "ɛ", "er": "ɚ", "ey": "eɪ", "f": "f", "g": "ɡ", "hh": "h", "ih": "ɪ", "iy": "i", "jh": "dʒ",
    "k": "k", "l": "l", "m": "m", "n": "n", "ng": "ŋ", "ow": "oʊ", "oy": "ɔɪ", "p": "p", "r": "ɹ", "s": "s", "sh": "ʃ",
    "t": "t", "th": "θ", "uh": "ʊ", "uw": "u", "v": "v", "w": "w", "y": "j", "z": "z", "zh": "ʒ",
}  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Said:
    """One utterance: waveform [S] float64 in the units of int16; P IPA phonemes with times [P, 2] in seconds."""

    waveform: np.ndarray
    phonemes: tuple[str, ...]
    times: np.ndarray
    language: str = "en"


Speaker = Callable[[Rng], Said]


def espeak(rng: Rng) -> Said:
    """Speaks sentences with a random voice of the train split, three in five of them English."""
    others = languages()[2:]
    language = ("en", "en-gb")[int(rng.integers(2))] if rng.random() < 0.6 else others[int(rng.integers(len(others)))]
    voice = random_voice(rng, str(rng.choice(VARIANTS["train"])))
    voice = dataclasses.replace(voice, pitch=int(rng.integers(10, 90)))
    seconds, tempo = float(rng.uniform(4, 8)), float(rng.uniform(0.8, 1.25))
    audio = utterance(rng, voice, language, "train", seconds=seconds, tempo=tempo)
    return Said(
        waveform=audio.waveform.astype(np.float64),
        phonemes=audio.phonemes,
        times=audio.times,
        language=audio.language,
    )


def _two_sentences(rng: Rng) -> str:
    lines = sentences("en", "train")
    return " ".join(lines[i] for i in rng.choice(len(lines), 2, replace=False))


def flite(rng: Rng) -> Said:
    """Speaks two sentences with one of Flite's voices. Raises InputError if the command fails."""
    voice, stretch = str(rng.choice(FLITE_VOICES)), f"duration_stretch={rng.uniform(0.8, 1.3):.2f}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        command = ["flite", "-voice", voice, "-psdur", "--setf", stretch, "-t", _two_sentences(rng), "-o", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not path.exists():
            raise InputError(f"flite could not speak with the voice {voice} ({done.stderr.strip()}).")
        with wave.open(str(path)) as file:
            if file.getframerate() != SAMPLE_RATE:
                raise InputError(f"flite's voice {voice} speaks at {file.getframerate()} Hz, not {SAMPLE_RATE}.")
            waveform = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float64)
    ends = [(name, float(end)) for name, end in (token.rsplit(":", 1) for token in done.stdout.split())]
    starts = [0.0, *(end for _, end in ends[:-1])]
    spoken = [(IPA_OF[name], start, end) for (name, end), start in zip(ends, starts, strict=True) if name in IPA_OF]
    times = np.array([(start, end) for _, start, end in spoken]).reshape(-1, 2)
    return Said(waveform=waveform, phonemes=tuple(name for name, *_ in spoken), times=times)


def hibari() -> Speaker:
    """Returns hibari-tts's voice, aligned by PocketSphinx (`bench` extra). Raises InputError without the packages."""
    from scipy.signal import resample_poly

    from data_pipelines.extraction.forced_alignment import align, spoken_words, unknown_words

    try:
        from hibari import Hibari
    except ImportError as error:
        raise InputError("this voice needs the package hibari-tts; install it, or leave it out of --voices.") from error
    synthesiser = Hibari()

    def speak(rng: Rng) -> Said:
        for _ in range(20):
            text, speed = _two_sentences(rng), float(rng.uniform(0.8, 1.3))
            words = spoken_words(text)
            if unknown_words(words):
                continue
            waveform = resample_poly(
                synthesiser(text, speed=speed, seed=int(rng.integers(1_000_000))).astype(float), 2, 3
            )
            waveform *= 16_384 / max(np.abs(waveform).max(), 1e-3)
            found = align("hibari", np.round(waveform).astype(np.int16), words)
            if found is not None and found.score > -33:
                phonemes = tuple(IPA_OF[name.lower()] for name in found.phones)
                return Said(waveform=waveform, phonemes=phonemes, times=found.times)
        raise InputError("hibari-tts: none of 20 pairs of sentences could be aligned.")

    return speak


def speakers(names: list[str]) -> dict[str, Speaker]:
    """Returns the named speakers (espeak, flite, hibari). Raises InputError for others, or if one is not installed."""
    found: dict[str, Speaker] = {}
    for name in names:
        match name:
            case "espeak":
                found[name] = espeak
            case "flite":
                if shutil.which("flite") is None:
                    raise InputError("no command flite; install Debian's package, or leave it out of --voices.")
                found[name] = flite
            case "hibari":
                found[name] = hibari()
            case _:
                raise InputError(f"no such speaker: {name}; choose from espeak, flite and hibari.")
    return found


def disguised(rng: Rng, said: Said) -> tuple[np.ndarray, np.ndarray]:
    """Returns the utterance as of another speaker, room and microphone.

    Resampling by up to a fifth changes pitch, formants and tempo together, as between bodies of different size; a
    smooth random equaliser changes the colour of voice and microphone; `augment_speech` adds rooms, noise and codecs.

    Returns: waveform [S'] int16, and the times [P, 2] of the same phones in it.
    """
    from scipy.signal import resample_poly

    lead, tail = (np.zeros(int(seconds * SAMPLE_RATE)) for seconds in rng.uniform(0.1, 0.5, 2))
    audio, times = np.concatenate([lead, said.waveform, tail]), said.times + len(lead) / SAMPLE_RATE
    audio = audio + rng.normal(0, 3, len(audio))
    if rng.random() < 0.8:
        down = round(100 * float(np.exp(rng.uniform(np.log(0.84), np.log(1.19)))))
        audio, times = resample_poly(audio, 100, down), times * 100 / down
    if rng.random() < 0.8:
        audio = _equalised(rng, audio)
    waveform = np.round(audio * min(1.0, 30_000 / max(np.abs(audio).max(), 1.0))).astype(np.int16)
    return (augment_speech(rng, waveform) if rng.random() < 0.65 else waveform), times


def _equalised(rng: Rng, audio: np.ndarray) -> np.ndarray:
    frequency = np.log10(1 + np.fft.rfftfreq(len(audio), 1 / SAMPLE_RATE) / 700)
    points = np.linspace(frequency[0], frequency[-1], 7)
    decibels = rng.normal(0, 4, 7) + rng.uniform(-6, 6) * np.linspace(-1, 1, 7)
    gain = 10 ** (np.interp(frequency, points, decibels) / 20)
    return np.fft.irfft(np.fft.rfft(audio) * gain, len(audio))


def kinds_of(said: Said, times: np.ndarray, steps: int) -> np.ndarray:
    """Returns [steps] int32: the kind of phone in the middle of each step of 20 ms, 0 in silence."""
    kinds, centres = np.zeros(steps, np.int32), (np.arange(steps) + 0.5) * STEP / SAMPLE_RATE
    for segment in segments(said.phonemes, times, said.language):
        kinds[(centres >= segment.start) & (centres < segment.end)] = KIND_OF[segment.letter]
    return kinds
