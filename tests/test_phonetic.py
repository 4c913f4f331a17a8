"""Phonetic features: lookahead and history, independence of level and colour, detection of closed lips."""

import dataclasses

import numpy as np
import pytest

from demo_jax.audio import phonetic
from demo_jax.audio.log_mel import MEL_BANDS
from demo_jax.audio.phonetic import AHEAD, KINDS, MEMORY, STEPS, Phonetic, levelled, network
from demo_jax.audio.registry import extractor
from demo_jax.constants import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from demo_jax.errors import InputError

features = Phonetic()
BILABIAL = next(i for i, letters in enumerate(KINDS) if "p" in letters)
# Matrix products of other shapes round differently, now and then to another last place of log-mel's float16 (0.001);
# the network answers that with up to some thousandths.
SAME = {"rtol": 0, "atol": 0.01}


def _waveform(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise whose level rises and falls, as speech does."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (rng.normal(size=len(t)) * 3000 * (1.05 + np.sin(2 * np.pi * 3 * t))).astype(np.int16)


@pytest.mark.parametrize("samples", [0, 639, 640, 32_000])
def test_one_row_of_probabilities_per_whole_frame(samples: int) -> None:
    found = features(_waveform(2.0)[:samples])
    assert found.shape == (samples // SAMPLES_PER_FRAME, features.dimension) and found.dtype == np.float16
    likely = found[:, :-1].astype(np.float64).reshape(-1, len(KINDS))
    np.testing.assert_allclose(likely.sum(-1), 1, atol=5e-3)  # seventeen numbers of float16


def test_the_lookahead_is_bounded() -> None:
    sound, cut = _waveform(3.0), 50
    whole, part = features(sound), features(sound[: cut * SAMPLES_PER_FRAME])
    untouched = cut - -(-features.lookahead // SAMPLES_PER_FRAME)
    np.testing.assert_allclose(whole[:untouched], part[:untouched], **SAME)
    assert np.abs(whole[untouched:cut].astype(float) - part[untouched:]).max() > 0.02
    assert features.lookahead <= 0.17 * SAMPLE_RATE


def test_audio_before_the_history_has_no_effect() -> None:
    sound = _waveform(8.0)
    start = int(0.5 * FPS)
    whole, delayed = features(sound), features(sound[start * SAMPLES_PER_FRAME :])
    known = -(-features.history // SAMPLES_PER_FRAME)
    np.testing.assert_allclose(whole[start + known :], delayed[known:], **SAME)


def test_loudness_and_colour_of_a_recording_do_not_matter_for_long() -> None:
    sound = _waveform(6.0)
    loud, quiet = features(sound).astype(float), features(sound // 8).astype(float)  # 18 dB apart
    assert np.abs(loud[25:] - quiet[25:]).mean() < 0.03  # what the floor of log-mel and rounding leave
    bands = np.random.default_rng(0).normal(-0.5, 0.5, (1200, MEL_BANDS))
    colour = np.linspace(-0.3, 0.3, MEL_BANDS)
    usual = np.zeros(MEL_BANDS, np.float32)
    apart = np.abs(levelled(bands, usual) - levelled(bands + colour, usual))[..., :-1].mean(-1)
    # Of the colour, 50 parts in 450 remain: the usual voice's share of the memory.
    assert apart[:10].mean() > 0.12 and apart[MEMORY:].mean() < 0.03


def test_the_network_is_the_same_in_jax() -> None:
    import jax.numpy as jnp

    x = np.random.default_rng(0).normal(size=(2, 40, phonetic.INPUTS)).astype(np.float32)
    # Sums of some hundred float32 products, in another order.
    np.testing.assert_allclose(
        network(np, phonetic.weights(), x), network(jnp, phonetic.weights(), x), rtol=1e-4, atol=1e-4
    )
    moved = x.copy()
    moved[:, 30:] += 1
    changed = np.abs(network(np, phonetic.weights(), x) - network(np, phonetic.weights(), moved)).max((0, 2)) > 1e-6
    assert changed.argmax() == 30 - AHEAD


def test_it_detects_closed_lips_in_voices_it_was_not_trained_on() -> None:
    pytest.importorskip("espeakng_loader", reason="needs the puppet extra")
    from data_pipelines.puppet.speech.sentences import VARIANTS, sentences
    from data_pipelines.puppet.speech.synthesis import synthesise

    hits, chance = [], []
    for variant, text in zip(VARIANTS["test"][:6], sentences("en", "test"), strict=False):
        speech = synthesise(text, f"en-us+{variant}")
        likely = features(speech.waveform)[:, :-1].astype(float).reshape(-1, len(KINDS))[:, BILABIAL]
        middles = (speech.times.mean(1) * FPS * STEPS).astype(int).clip(0, len(likely) - 1)
        bilabial = np.array([sound[0] in "pbm" for sound in speech.phonemes])
        hits.append(likely[middles[bilabial]])
        chance.append(likely[middles[~bilabial]])
    assert np.concatenate(hits).mean() > 0.6 and np.concatenate(chance).mean() < 0.1


def test_extractors_are_found_by_name() -> None:
    assert extractor("phonetic") == features and extractor("logmel").name == "logmel"
    with pytest.raises(InputError, match="no audio feature 'mfcc'"):
        extractor("mfcc")
    with pytest.raises(InputError, match="mono int16"):
        features(np.zeros(3200, np.float32))  # type: ignore[arg-type]


def test_hama_is_aligned_to_frames() -> None:
    pytest.importorskip("hama", reason="needs the hama extra")
    hama = extractor("hama")
    assert dataclasses.is_dataclass(hama)
    found = hama(_waveform(2.0))
    assert found.shape == (50, hama.dimension) and found.dtype == np.float16
    likely = found.astype(np.float64).reshape(-1, len(KINDS) + 1)
    np.testing.assert_allclose(likely.sum(-1), 1, atol=5e-3)
    assert hama(np.zeros(639, np.int16)).shape == (0, hama.dimension)
