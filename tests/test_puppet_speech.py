"""Speech, phoneme times, lip curves and motion of the puppet corpus."""

from __future__ import annotations

import numpy as np
import pytest

from data_pipelines.puppet import motion
from data_pipelines.puppet.articulation import contact_frame, lip_curves
from data_pipelines.puppet.sentences import SPLITS, VARIANTS, VOICE_OF, languages, sentences
from data_pipelines.puppet.speech import Speech, synthesise
from demo_jax.factors import ARKIT_INDEX, ARKIT_NAMES, EMOTIONS, FACTOR_OF
from demo_jax.typing import FPS, SAMPLE_RATE, InputError

pytest.importorskip("espeakng_loader")

TEXT = "Peter bought my map, and Mom bobbed up on a boat; then he left five vans by the pool."
VOWELS = set("aæɑɔoɛeɪiuʊʌəɜɚɐ")


@pytest.fixture(scope="module")
def speech() -> Speech:
    return synthesise(TEXT, "en-us")


def _level(speech: Speech, start: float, end: float) -> float:
    """Root mean square of a stretch of sound, of full scale."""
    samples = speech.waveform[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)] / 32768
    return float(np.sqrt(np.mean(samples**2)))


def test_same_arguments_give_the_same_bytes_whatever_was_said_before(speech):
    synthesise("Something quite different, in another voice.", "en-gb-x-rp+f3", 210, 80)
    again = synthesise(TEXT, "en-us")
    assert again.waveform.tobytes() == speech.waveform.tobytes()
    assert again.phonemes == speech.phonemes
    np.testing.assert_array_equal(again.times, speech.times)
    assert synthesise(TEXT, "en-us+f3").waveform.tobytes() != speech.waveform.tobytes()


def test_phonemes_are_ordered_and_inside_the_sound(speech):
    assert "".join(speech.phonemes).startswith("piː")
    assert (speech.times[:, 1] > speech.times[:, 0]).all()
    assert (speech.times[1:, 0] >= speech.times[:-1, 1] - 1e-6).all()
    assert speech.times[-1, 1] <= speech.seconds + 1e-6
    assert speech.stressed.any() and not speech.stressed.all()


def test_phoneme_times_agree_with_the_sound(speech):
    """Nothing sounds before the first phone or in the pauses; vowels are louder than the closures of stops."""
    assert _level(speech, 0, speech.times[0, 0] - 0.005) < 1e-3
    gaps = [(a, b) for a, b in zip(speech.times[:-1, 1], speech.times[1:, 0], strict=True) if b - a > 0.1]
    assert len(gaps) == 2  # the comma and the semicolon
    assert all(_level(speech, a + 0.01, b - 0.01) < 2e-3 for a, b in gaps)
    middle = [(a + (b - a) / 4, b - (b - a) / 4) for a, b in speech.times]
    vowels = [_level(speech, *m) for p, m in zip(speech.phonemes, middle, strict=True) if p[0] in VOWELS]
    stops = [_level(speech, *m) for p, m in zip(speech.phonemes, middle, strict=True) if p in ("p", "t", "k")]
    assert len(vowels) > 15 and len(stops) >= 6
    # A wrong offset of 50 ms mixes the two groups; as it is, 15 dB lie between the medians.
    assert np.median(vowels) > 5 * np.median(stops)
    # The beginning of a stop before a vowel: sound rises into the vowel within a few milliseconds of its time.
    for i, (first, second) in enumerate(zip(speech.phonemes[:-1], speech.phonemes[1:], strict=True)):
        if first in ("p", "t", "k") and second[0] in VOWELS and speech.times[i, 1] == speech.times[i + 1, 0]:
            at = speech.times[i + 1, 0]
            assert _level(speech, at, at + 0.03) > 1.5 * _level(speech, at - 0.03, at)


@pytest.mark.parametrize("voice", ["xx-nowhere", "en-us+nobody"])
def test_unknown_voice_is_refused(voice):
    with pytest.raises(InputError, match="no voice"):
        synthesise("Hello.", voice)


def test_every_language_and_voice_variant_speaks():
    for language in languages():
        assert len(synthesise(sentences(language, "val")[0], VOICE_OF[language]).phonemes) > 10
    said = {synthesise("Good day.", f"en-us+{v}").waveform.tobytes() for s in SPLITS for v in VARIANTS[s]}
    assert len(said) == sum(len(VARIANTS[s]) for s in SPLITS) >= 12


def test_no_sentence_or_voice_is_in_two_splits():
    texts = [{t for language in languages() for t in sentences(language, split)} for split in SPLITS]
    for i, first in enumerate(SPLITS):
        for j in range(i):
            assert not texts[i] & texts[j]
            assert not set(VARIANTS[first]) & set(VARIANTS[SPLITS[j]])
    assert min(len(t) for t in texts) >= 30
    assert all(len(sentences(language, split)) >= 2 for language in languages() for split in SPLITS)


def _curves(speech: Speech, **options: float) -> np.ndarray:
    return lip_curves(
        speech.phonemes, speech.times, int(np.ceil(speech.seconds * FPS)), stressed=speech.stressed, **options
    )


def _column(curves: np.ndarray, name: str) -> np.ndarray:
    return curves[:, ARKIT_INDEX[name]]


@pytest.mark.parametrize("rate", [120, 160, 260])  # at 260 words a minute a [b] lasts half a frame
def test_every_bilabial_closes_the_lips(rate):
    speech = synthesise(TEXT, "en-us", rate)
    curves = _curves(speech, effort=1.3)
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
        assert not curves[:5].any() and np.abs(curves[-4:]).max() < 1e-3
        return {name: float(curves[14, i]) for name, i in ARKIT_INDEX.items()}

    a, i, u = middle("ɑː"), middle("iː"), middle("uː")
    assert a["jawOpen"] > 3 * i["jawOpen"] and a["jawOpen"] > 3 * u["jawOpen"]
    assert u["mouthPucker"] > 0.7 > i["mouthPucker"] + 0.6
    assert i["mouthStretchLeft"] > 0.5 > a["mouthStretchLeft"]


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


def test_gaze_and_eye_look_agree():
    eyes = np.array([[12.0, -9.0, 3.0], [-15.0, 6.0, 0.0], [0.0, 0.0, 8.0]])
    look = motion.eye_look(eyes)
    out_left, in_left, in_right, out_right, up, down = (
        _column(look, f"eyeLook{n}") for n in ("OutLeft", "InLeft", "InRight", "OutRight", "UpLeft", "DownRight")
    )
    # Yaw > 0 is image right, the person's left.
    np.testing.assert_allclose((out_left - in_left) * motion.LOOK_FULL[0], eyes[:, 0] - eyes[:, 2] / 2, atol=1e-5)
    np.testing.assert_allclose((in_right - out_right) * motion.LOOK_FULL[0], eyes[:, 0] + eyes[:, 2] / 2, atol=1e-5)
    np.testing.assert_allclose((down - up) * motion.LOOK_FULL[1], eyes[:, 1], atol=1e-5)


@pytest.mark.parametrize("emotion", EMOTIONS[1:])
def test_speech_motion_is_plausible(speech, emotion):
    lips = _curves(speech)
    moves = motion.speech_motion(np.random.default_rng(4), lips, speech.times, speech.stressed, emotion)
    assert moves.pose.dtype == moves.eyes.dtype == moves.expression.dtype == np.float32
    assert moves.expression.min() >= 0 and moves.expression.max() <= 1
    np.testing.assert_array_equal(moves.expression[:, motion.columns_of("lip")], lips[:, motion.columns_of("lip")])
    # People turn their heads by up to about 100 degrees a second when they talk, and do not jump.
    speed = np.abs(np.diff(moves.pose[:, :3], axis=0)) * FPS
    assert 1.0 < speed.max() < 150
    assert np.abs(np.diff(moves.pose[:, 3:], axis=0)).max() < 0.03
    # Between saccades the gaze rests: most frames move by less than a degree.
    assert np.median(np.abs(np.diff(moves.eyes, axis=0)).max(1)) < 1.0


def test_blinks_are_as_frequent_and_short_as_in_people():
    lids = motion.blinks(np.random.default_rng(0), 25 * 600)
    closed = lids > 0.5
    starts = np.flatnonzero(closed[1:] & ~closed[:-1])
    assert 10 < len(starts) / 10 < 25  # a minute
    lengths = [int(np.argmin(closed[s + 1 :])) / FPS for s in starts]
    assert 0.08 <= np.median(lengths) <= 0.25
    assert (lids[closed] > 0.9).any()


def test_wide_motion_covers_its_range_and_redraw_changes_one_factor():
    lips = np.zeros((24, 52), np.float32)
    drawn = [motion.wide_motion(np.random.default_rng(i), lips) for i in range(200)]
    pose = np.concatenate([d.pose for d in drawn]) - motion.REST_POSE
    assert (np.abs(pose).max(0) <= motion.WIDE_POSE + 1e-5).all()
    # A uniform distribution over -a .. a has a standard deviation of 0.577 a; 200 walks of about 2 independent values.
    np.testing.assert_allclose(pose.std(0), 0.577 * motion.WIDE_POSE, rtol=0.12)
    base, other = (
        drawn[0],
        motion.wide_motion(np.random.default_rng(999), motion.random_lips(np.random.default_rng(1), 24)),
    )
    for factor in ("lip", "pose", "gaze", "residual"):
        new = motion.redraw(base, other, factor)
        assert np.array_equal(new.pose, base.pose) == (factor != "pose")
        assert np.array_equal(new.eyes, base.eyes) == (factor != "gaze")
        changed = {FACTOR_OF[ARKIT_NAMES[i]] for i in np.flatnonzero((new.expression != base.expression).any(0))}
        assert changed == (set() if factor == "pose" else {factor})
