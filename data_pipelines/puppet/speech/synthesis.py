"""Speech with phoneme times from eSpeak NG, through ctypes.

eSpeak NG reports every phoneme (IPA) with the sample at which it begins. It keeps hidden state between utterances
(voice flutter, noise), so the same call would give other samples the second time; the library is therefore loaded
again for each utterance, which takes a few milliseconds and makes the audio a pure function of the arguments. It is
still one global object: a process synthesises one utterance at a time.
"""

from __future__ import annotations

import _ctypes
import ctypes
import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from demo_jax.constants import SAMPLE_RATE
from demo_jax.errors import InputError

SPEECH_VERSION = "3"

_ESPEAK_RATE = 22_050
_UP, _DOWN = 320, 441  # 22,050 * 320 / 441 = 16,000 exactly
_SYNCHRONOUS = 2
_PHONEMES_IN_IPA, _DO_NOT_EXIT = 1 | 2, 0x8000
_UTF8 = 1
_PARAMETER_RATE, _PARAMETER_PITCH, _PARAMETER_RANGE = 1, 3, 4
_EVENT_END_OF_LIST, _EVENT_PHONEME = 0, 7
_STRESS_AND_TIES = str.maketrans("", "", "ˈˌʲ-\u0361\u200d")
_PEAK = 0.5  # of full scale, after levelling
_VOICELESS_STOPS = frozenset("ptkcqʈ")
_LONG_CLOSURE, _FIRST_CLOSURE = 0.2, 0.05  # seconds, at most: of a doubled stop, and of one after a pause
_SILENT = 16  # of 32768: digital silence and the ends of fades


@dataclasses.dataclass(frozen=True, kw_only=True)
class Speech:
    """One utterance.

    waveform   [S] int16, 16 kHz mono
    phonemes   P IPA texts without stress marks; pauses are left out
    times      [P, 2] float32, start and end in seconds, in order, not overlapping; a stop begins with its closure
    stressed   [P] bool: carries primary stress
    """

    waveform: np.ndarray
    phonemes: tuple[str, ...]
    times: np.ndarray
    stressed: np.ndarray

    @property
    def seconds(self) -> float:
        return len(self.waveform) / SAMPLE_RATE


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("text", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("milliseconds", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@contextmanager
def _fresh_library() -> Iterator[ctypes.CDLL]:
    try:
        import espeakng_loader
    except ImportError as error:
        raise InputError(
            "the puppet corpus needs espeakng-loader: install the extra, pip install demo-jax[puppet]."
        ) from error
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    try:
        data = espeakng_loader.get_data_path().encode()
        if library.espeak_Initialize(_SYNCHRONOUS, 0, data, _PHONEMES_IN_IPA | _DO_NOT_EXIT) != _ESPEAK_RATE:
            raise InputError("eSpeak NG could not start: its voices are missing; install espeakng-loader again.")
        ctypes.CDLL(None).srand(1)  # breath noise comes from the C library's rand()
        library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # and, in some voices, from a generator seeded by the clock
        yield library
        library.espeak_Terminate()
    finally:
        _ctypes.dlclose(library._handle)


def _has_variant(variant: str) -> bool:
    import espeakng_loader

    return (Path(espeakng_loader.get_data_path()) / "voices" / "!v" / variant).exists()


def _speak(text: str, voice: str, rate: int, pitch: int, pitch_range: int) -> tuple[np.ndarray, list[tuple[int, str]]]:
    """Returns int16 samples at 22,050 Hz and (first sample, phoneme) pairs; the phoneme is "" for a pause."""
    chunks: list[np.ndarray] = []
    events: list[tuple[int, str]] = []

    @_Callback
    def receive(samples, count, event):
        if samples and count > 0:
            chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        index = 0
        while event[index].type != _EVENT_END_OF_LIST:
            if event[index].type == _EVENT_PHONEME:
                events.append((event[index].sample, event[index].id.text.decode("utf-8", "ignore")))
            index += 1
        return 0

    with _fresh_library() as library:
        library.espeak_SetSynthCallback(receive)
        # eSpeak NG itself ignores unknown variants.
        if library.espeak_SetVoiceByName(voice.encode()) != 0 or not _has_variant(voice.partition("+")[2]):
            raise InputError(f"eSpeak NG has no voice {voice!r}; examples: en-us, en-us+f3, de+m2.")
        for parameter, value in ((_PARAMETER_RATE, rate), (_PARAMETER_PITCH, pitch), (_PARAMETER_RANGE, pitch_range)):
            library.espeak_SetParameter(parameter, value, 0)
        encoded = text.encode()
        library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, _UTF8, None, None)
        library.espeak_Synchronize()
    return (np.concatenate(chunks) if chunks else np.zeros(0, np.int16)), events


def _with_closures(raw: np.ndarray, events: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Returns the events with each voiceless stop starting at its closure, as in phonetics.

    eSpeak NG starts a voiceless stop at its burst and counts the silent closure before it to the phone before.
    """
    out = list(events)
    for i, (start, name) in enumerate(events):
        if name.translate(_STRESS_AND_TIES)[:1] in _VOICELESS_STOPS:
            least = out[i - 1][0] + 1 if i else 0
            longest = _LONG_CLOSURE if i and events[i - 1][1] else _FIRST_CLOSURE
            before = np.abs(raw[max(least, start - round(longest * _ESPEAK_RATE)) : start].astype(np.int64))
            sounding = np.flatnonzero(before >= _SILENT)
            silence = len(before) - 1 - sounding[-1] if len(sounding) else len(before)
            out[i] = (start - silence, name)
    return out


def synthesise(text: str, voice: str = "en-us", rate: int = 160, pitch: int = 50, pitch_range: int = 50) -> Speech:
    """Speaks one text. The result depends only on the arguments, to the byte.

    Args:
      text: a sentence or several, in the language of the voice.
      voice: an eSpeak NG voice, with an optional variant: "en-us", "de+f2".
      rate: words a minute, 80 to 400.
      pitch, pitch_range: 0 to 100, 50 is the voice's own.
    Raises InputError when the voice does not exist or nothing can be spoken.
    """
    from scipy.signal import resample_poly

    raw, events = _speak(text, voice, rate, pitch, pitch_range)
    if not len(raw):
        raise InputError(f"nothing can be spoken of the text {text!r}.")
    events = _with_closures(raw, events)
    wave = resample_poly(raw.astype(np.float64) / 32768.0, _UP, _DOWN)
    wave *= _PEAK / max(np.abs(wave).max(), 1e-3)
    starts = np.array([s for s, _ in events] + [len(raw)], np.float64) / _ESPEAK_RATE
    names = [name.translate(_STRESS_AND_TIES) for _, name in events]
    spoken = [i for i, name in enumerate(names) if name and starts[i + 1] > starts[i]]
    return Speech(
        waveform=np.round(wave * 32767).astype(np.int16),
        phonemes=tuple(names[i] for i in spoken),
        times=np.array([(starts[i], starts[i + 1]) for i in spoken], np.float32).reshape(-1, 2),
        stressed=np.array(["ˈ" in events[i][1] for i in spoken], bool),
    )
