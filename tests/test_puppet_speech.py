"""Speech, phoneme times, lip curves and motion of the puppet corpus."""

from __future__ import annotations

import re
import time
import unicodedata

import numpy as np
import pytest

from data_pipelines.puppet.motion.articulation import ArticulationStyle, contact_frame, lip_curves
from data_pipelines.puppet.speech.sentences import SPLITS, VARIANTS, VOICE_OF, languages, sentences
from data_pipelines.puppet.speech.synthesis import Speech, synthesise
from demo_jax.audio.log_mel import LogMel
from demo_jax.constants import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from demo_jax.errors import InputError
from demo_jax.factors import ARKIT_INDEX, ARKIT_NAMES, FACTOR_OF

pytest.importorskip("espeakng_loader")

TEXT = "Peter bought my map, and Mom bobbed up on a boat; then he left five vans by the pool."
VOWELS = set("aæɑɔoɛeɪiuʊʌəɜɚɐ")


@pytest.fixture(scope="module")
def speech() -> Speech:
    return synthesise(TEXT, "en-us")


def _level(speech: Speech, start: float, end: float) -> float:
    """Root mean square of a stretch of audio, of full scale."""
    samples = speech.waveform[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)] / 32768
    return float(np.sqrt(np.mean(samples**2)))


def test_same_arguments_give_the_same_bytes_whatever_was_spoken_before(speech):
    synthesise("Something quite different, in another voice.", "en-gb-x-rp+f3", 210, 80)
    again = synthesise(TEXT, "en-us")
    assert again.waveform.tobytes() == speech.waveform.tobytes()
    assert again.phonemes == speech.phonemes
    np.testing.assert_array_equal(again.times, speech.times)
    assert synthesise(TEXT, "en-us+f3").waveform.tobytes() != speech.waveform.tobytes()


def test_phonemes_are_ordered_and_inside_the_audio(speech):
    assert "".join(speech.phonemes).startswith("piː")
    assert (speech.times[:, 1] > speech.times[:, 0]).all()
    assert (speech.times[1:, 0] >= speech.times[:-1, 1] - 1e-6).all()
    assert speech.times[-1, 1] <= speech.seconds + 1e-6
    assert speech.stressed.any() and not speech.stressed.all()


def test_phoneme_times_agree_with_the_audio(speech):
    """Nothing sounds before the first phone or in the pauses; vowels are louder than the closures of stops."""
    assert _level(speech, 0, speech.times[0, 0] + 0.03) < 1e-3  # it is a [p]
    gaps = [(a, b) for a, b in zip(speech.times[:-1, 1], speech.times[1:, 0], strict=True) if b - a > 0.1]
    assert len(gaps) == 2  # the comma and the semicolon
    assert all(_level(speech, a + 0.01, b - 0.01) < 2e-3 for a, b in gaps)
    middle = [(a + (b - a) / 4, b - (b - a) / 4) for a, b in speech.times]
    vowels = [_level(speech, *m) for p, m in zip(speech.phonemes, middle, strict=True) if p[0] in VOWELS]
    stops = [_level(speech, *m) for p, m in zip(speech.phonemes, middle, strict=True) if p in ("p", "t", "k")]
    assert len(vowels) > 15 and len(stops) >= 6
    # A wrong offset of 50 ms mixes the two groups; as it is, 15 dB lie between the medians.
    assert np.median(vowels) > 5 * np.median(stops)


@pytest.mark.parametrize("language", languages())
def test_a_voiceless_stop_is_a_closure_and_then_its_burst(language):
    """Every [p], [t], [k] between other phones begins within 20 ms of the end of the phone before, is silent, and
    releases before the next phone; so the release lies between its onset and its end."""
    closures, bursts = [], []
    for text in sentences(language, "train")[:10]:
        said = synthesise(text, VOICE_OF[language])
        for i in range(1, len(said.phonemes)):
            start, end = (float(t) for t in said.times[i])
            if said.phonemes[i] not in ("p", "t", "k") or said.phonemes[i - 1][0] not in VOWELS:
                continue
            if start - said.times[i - 1, 1] > 1e-3 or i + 1 == len(said.phonemes):
                continue
            samples = said.waveform[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)] / 32768
            level = np.sqrt((samples[: len(samples) // 16 * 16].reshape(-1, 16) ** 2).mean(1))  # a millisecond each
            closures.append(_level(said, start + 0.003, start + 0.018))
            bursts.append(int(np.argmax(level > 4e-3)) / (1000 * (end - start)))
            # The phone before it continues until 20 ms before the closure at the latest.
            assert _level(said, start - 0.02, start) > 1e-3
    assert len(bursts) >= 5
    assert np.mean(np.array(closures) < 2e-3) > 0.9
    assert 0.3 < np.median(bursts) < 0.8  # of the phone: `articulation` parts the lips at 0.6


@pytest.mark.parametrize("voice", ["victor", "f5", "f3", "sandro", "whisper"])
def test_breathy_voices_do_not_depend_on_the_clock(voice):
    """eSpeak NG seeds their noise with the seconds of the day."""
    first = synthesise(TEXT, f"en-us+{voice}").waveform
    time.sleep(1.05)
    assert synthesise(TEXT, f"en-us+{voice}").waveform.tobytes() == first.tobytes()


@pytest.mark.parametrize("voice", ["xx-nowhere", "en-us+nobody"])
def test_unknown_voice_is_refused(voice):
    with pytest.raises(InputError, match="no voice"):
        synthesise("Hello.", voice)


def test_every_voice_speaks_every_language():
    for place, (voice, language) in enumerate((v, n) for s in SPLITS for v in VARIANTS[s] for n in languages()):
        texts = sorted(sentences(language, "train"), key=len)[:4]  # short ones: there are 600 pairs
        speech = synthesise(texts[place % len(texts)], f"{VOICE_OF[language]}+{voice}")
        assert len(speech.phonemes) > 8
        assert 0.8 < speech.seconds < 9
        assert _level(speech, 0, speech.seconds) > 0.02  # levelled to a peak of 0.5
    assert len({VOICE_OF[name] for name in languages()}) == len(languages()) >= 9  # English twice


def test_no_voice_sounds_like_one_of_another_split():
    """The mean spectra of the phonemes of one sentence separate the voices: voices of different splits differ by at
    least half the usual distance. Variants that are copies of each other are at 0.02 to 0.16."""
    log_mel, spectra_of = LogMel(), {}
    for split, voice in ((s, v) for s in SPLITS for v in VARIANTS[s]):
        speech = synthesise(TEXT, f"en-us+{voice}")
        mel = log_mel(speech.waveform[: len(speech.waveform) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME])
        spans = [(int(a * FPS), int(np.ceil(b * FPS))) for a, b in speech.times.tolist()]
        spectra = np.array([mel[min(a, len(mel) - 1) : max(b, a + 1)].astype(float).mean(0) for a, b in spans])
        spectra_of[split, voice] = spectra - spectra.mean()
    assert len(spectra_of) >= 60
    names = list(spectra_of)
    distances = {
        (a, b): np.sqrt(np.square(spectra_of[a] - spectra_of[b]).mean())
        for i, a in enumerate(names)
        for b in names[:i]
        if a[0] != b[0]
    }
    assert min(distances.values()) > 0.2
    assert np.median(list(distances.values())) > 0.5


def _normal(text: str) -> str:
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))


def test_no_sentence_or_voice_is_in_two_splits():
    texts = [{_normal(t) for language in languages() for t in sentences(language, split)} for split in SPLITS]
    for i, first in enumerate(SPLITS):
        for j in range(i):
            assert not texts[i] & texts[j]
            assert not set(VARIANTS[first]) & set(VARIANTS[SPLITS[j]])
    assert all(len(sentences(language, split)) >= 4 for language in languages() for split in SPLITS)


def test_sentences_are_many_and_distinct():
    said = {name: [_normal(t) for split in SPLITS for t in sentences(name, split)] for name in languages()}
    assert len(said["en"]) >= 300 and min(len(texts) for texts in said.values()) >= 40
    assert all(len(set(texts)) == len(texts) for texts in said.values())


def _curves(speech: Speech, style: ArticulationStyle | None = None, language: str = "") -> np.ndarray:
    frames = int(np.ceil(speech.seconds * FPS))
    return lip_curves(speech.phonemes, speech.times, frames, stressed=speech.stressed, style=style, language=language)


def _column(curves: np.ndarray, name: str) -> np.ndarray:
    return curves[:, ARKIT_INDEX[name]]


@pytest.mark.parametrize("rate", [120, 160, 260])  # at 260 words a minute a [b] lasts half a frame
def test_every_bilabial_closes_the_lips(rate):
    speech = synthesise(TEXT, "en-us", rate)
    curves = _curves(speech, ArticulationStyle(effort=1.3))
    opening = _column(curves, "jawOpen") - _column(curves, "mouthClose")
    bilabials = [t for p, t in zip(speech.phonemes, speech.times, strict=True) if p in "pbm"]
    assert len(bilabials) >= 10
    for start, end in bilabials:
        frame = contact_frame(start, end, len(curves))
        assert opening[frame] < 1e-6
        assert _column(curves, "mouthLowerDownLeft")[frame] < 1e-6
        assert abs((frame + 0.5) / FPS - (start + end) / 2) <= 0.5 / FPS + 1e-6


def test_labiodentals_tuck_the_lower_lip(speech):
    curves = _curves(speech)
    found = [t for p, t in zip(speech.phonemes, speech.times, strict=True) if p in "fv"]
    assert len(found) >= 4
    assert all(_column(curves, "mouthRollLower")[contact_frame(a, b, len(curves))] > 0.6 for a, b in found)


def test_vowels_differ_and_silence_is_rest():
    def middle(vowel: str) -> dict[str, float]:
        curves = lip_curves((vowel,), np.array([[0.4, 0.8]]), 30)
        assert np.abs(curves[:5]).max() < 2e-3 and np.abs(curves[-4:]).max() < 2e-3  # 0.2 s away
        return {name: float(curves[14, i]) for name, i in ARKIT_INDEX.items()}

    a, i, u = middle("ɑː"), middle("iː"), middle("uː")
    assert a["jawOpen"] > 3 * i["jawOpen"] and a["jawOpen"] > 3 * u["jawOpen"]
    assert u["mouthPucker"] > 0.5 > i["mouthPucker"] + 0.4
    assert i["mouthStretchLeft"] > 0.4 and i["mouthStretchLeft"] > a["mouthStretchLeft"] + 0.15


def test_consonants_take_the_rounding_of_their_neighbours():
    times = np.array([[0.4, 0.6], [0.6, 0.67], [0.67, 0.87]])
    frame = contact_frame(0.6, 0.67, 30)
    rounded, spread = (lip_curves((v, "t", v), times, 30)[frame] for v in ("u", "i"))
    assert rounded[ARKIT_INDEX["mouthPucker"]] > spread[ARKIT_INDEX["mouthPucker"]] + 0.3


def test_lip_curves_stay_in_the_lip_factor_and_move_at_a_human_speed(speech):
    curves = _curves(speech)
    outside = [i for i, n in enumerate(ARKIT_NAMES) if FACTOR_OF[n] != "lip"]
    assert curves.dtype == np.float32 and not curves[:, outside].any()
    assert curves.min() >= 0 and curves.max() <= 1
    # A jaw opens 10 mm in about 70 ms at most (0.4 of jawOpen's 25 mm in two frames); twice that is impossible.
    assert np.abs(np.diff(_column(curves, "jawOpen"))).max() < 0.4
