"""Augmented speech: the length of the clean one, in sync with it, reproducible, and as degraded as requested."""

from __future__ import annotations

import numpy as np
import pytest

from data_pipelines.extraction import speech_augmentation
from data_pipelines.extraction.speech_augmentation import augment_speech
from demo_jax.constants import SAMPLE_RATE

MILLISECOND = SAMPLE_RATE // 1000


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """[S] int16, 3 s with what matters of speech here: bursts of a gliding voice and of hiss, with pauses."""
    rng = np.random.default_rng(3)
    t = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    pulses = np.diff(np.floor(np.cumsum(120 + 25 * np.sin(2 * np.pi * 0.7 * t)) / SAMPLE_RATE), prepend=0)
    voice = np.convolve(pulses, np.exp(-np.arange(160) / 30) * np.cos(np.arange(160) * 0.28))[: len(t)]
    syllables = np.clip(np.sin(2 * np.pi * 2.3 * t), 0, 1)
    hiss = 0.1 * rng.standard_normal(len(t)) * np.clip(-np.sin(2 * np.pi * 2.3 * t) - 0.6, 0, 1)
    wave = (voice * syllables + hiss) * (np.abs(t - 1.5) > 0.25)
    return np.round(12_000 * wave / np.abs(wave).max()).astype(np.int16)


def _lag(clean: np.ndarray, augmented: np.ndarray, furthest: int = 800) -> int:
    """Returns by how many samples `augmented` lags behind `clean`: the peak of their cross-correlation."""
    size = 2 * len(clean)
    cross = np.fft.irfft(np.conj(np.fft.rfft(clean, size)) * np.fft.rfft(augmented, size))
    lags = np.r_[-furthest : furthest + 1]
    return int(lags[np.argmax(np.abs(cross[lags]))])


def test_augmented_speech_is_in_sync_for_every_seed(speech):
    clean = speech.astype(np.float64)
    assert _lag(clean, np.roll(clean, 40)) == 40  # the metric detects a shift
    augmented = [augment_speech(np.random.default_rng(seed), speech) for seed in range(60)]
    assert all(h.dtype == np.int16 and h.shape == speech.shape for h in augmented)
    assert max(abs(_lag(clean, h.astype(np.float64))) for h in augmented) <= MILLISECOND
    assert len({h.tobytes() for h in augmented}) == len(augmented)


def test_augmentation_depends_on_the_seed_alone(speech):
    first, again = (augment_speech(np.random.default_rng(8), speech) for _ in range(2))
    assert first.tobytes() == again.tobytes()


@pytest.mark.parametrize("samples", [1, 100, 640, 16_001])
def test_any_length_even_silence(samples):
    silence = np.zeros(samples, np.int16)
    for seed in range(12):
        out = augment_speech(np.random.default_rng(seed), silence)
        assert out.shape == silence.shape
        assert np.abs(out.astype(int)).max() < 3000  # 20 dB below full scale: noise is not made louder than speech


def test_a_room_neither_shifts_the_onset_nor_changes_the_energy_of_its_response():
    wave = np.zeros(SAMPLE_RATE)
    wave[5000:] = np.random.default_rng(0).standard_normal(SAMPLE_RATE - 5000)
    for seed in range(8):
        response = speech_augmentation.impulse_response(np.random.default_rng(seed))
        assert np.square(response).sum() == pytest.approx(1)
        assert np.argmax(np.abs(response)) == 0
        augmented = speech_augmentation.reverberated(np.random.default_rng(seed), wave)
        assert np.abs(augmented[:5000]).max() < 1e-9  # of rounding in the FFT
        assert np.abs(augmented[5000:5004]).max() > 0.1


@pytest.mark.parametrize("snr", [0.0, 20.0])
def test_noise_has_the_requested_level(speech, snr):
    wave = speech / 32768
    for seed in range(8):
        noise = speech_augmentation.noise_for(np.random.default_rng(seed), wave, snr)
        level = np.sqrt(np.square(noise).mean())
        assert 20 * np.log10(speech_augmentation.speech_level(wave) / level) == pytest.approx(snr, abs=0.01)
        assert abs(np.corrcoef(noise, wave)[0, 1]) < 0.2  # babble is no copy of the speech


def _power(wave: np.ndarray, low: float, high: float) -> float:
    frequency = np.fft.rfftfreq(len(wave), 1 / SAMPLE_RATE)
    return float(np.square(np.abs(np.fft.rfft(wave)))[(frequency >= low) & (frequency < high)].sum())


def test_a_telephone_keeps_its_band_only():
    wave = np.random.default_rng(1).standard_normal(SAMPLE_RATE)
    augmented = speech_augmentation.band_limited(wave, 300, 3400)
    assert _power(augmented, 500, 2800) == pytest.approx(_power(wave, 500, 2800), rel=1e-6)
    assert _power(augmented, 4300, 8000) < 1e-6 * _power(wave, 4300, 8000)
    assert _power(augmented, 0, 200) < 1e-6 * _power(wave, 0, 200)


@pytest.mark.parametrize("codec", [speech_augmentation.mu_law, speech_augmentation.transform_coded])
def test_codecs_lose_something_but_not_the_speech(speech, codec):
    wave = speech_augmentation.band_limited(speech / 32768, 0, 3000)  # within what 8 kHz can carry
    for seed in range(4):
        augmented = codec(np.random.default_rng(seed), wave)
        error = np.square(augmented - wave).sum() / np.square(wave).sum()
        assert 1e-6 < error < 0.5
        assert _lag(wave, augmented) == 0
