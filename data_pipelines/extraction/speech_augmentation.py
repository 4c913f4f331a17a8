"""Augmented speech, as rooms, microphones and telephones transmit it: a pure function of a generator and the clean
recording.

Every effect keeps the length and moves nothing in time: filters have zero phase, a room's direct sound comes first, and
the codecs' delay is undone. So whatever was measured on the clean recording (phonemes, lips) stays in place.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from demo_jax.constants import SAMPLE_RATE

AUGMENTATION_VERSION = "1"

_REVERB, _NOISE, _BAND, _CODEC, _CLIPPING = 0.4, 0.65, 0.3, 0.35, 0.1  # how often each is applied
_SNR = (5.0, 30.0)  # dB, speech over noise
_GAIN = (-18.0, 4.0)  # dB
_QUIET = 10 ** (-40 / 20)  # noise is set against at least this level, so that silence gets some as well
_HOP = 256  # of the transform codec: 16 ms

Rng = np.random.Generator


def augment_speech(rng: Rng, waveform: np.ndarray) -> np.ndarray:
    """Returns speech changed by room, noise, bandwidth, codec, level and clipping, each with some probability.

    Args:
      waveform: [S] int16, 16 kHz mono, S >= 1.
    Returns [S] int16, in sync with the input to the sample.
    """
    wave = waveform.astype(np.float64) / 32768
    if rng.random() < _REVERB:
        wave = reverberated(rng, wave)
    if rng.random() < _NOISE:
        wave = wave + noise_for(rng, wave, snr=float(rng.uniform(*_SNR)))
    if rng.random() < _BAND:
        wave = band_limited(wave, *_BANDS[int(rng.integers(len(_BANDS)))](rng))
    if rng.random() < _CODEC:
        wave = (mu_law if rng.random() < 0.5 else transform_coded)(rng, wave)
    wave = wave * 10 ** (rng.uniform(*_GAIN) / 20)
    if rng.random() < _CLIPPING:
        ceiling = float(rng.uniform(0.25, 0.8) * max(np.abs(wave).max(), 1e-6))
        wave = np.clip(wave, -ceiling, ceiling)
    return np.clip(np.round(wave * 32768), -32768, 32767).astype(np.int16)


def speech_level(wave: np.ndarray) -> float:
    """Returns the root mean square of the louder half of 20-ms stretches: the level of speech, whatever its pauses."""
    stretch = SAMPLE_RATE // 50
    powers = np.square(np.pad(wave, (0, -len(wave) % stretch))).reshape(-1, stretch).mean(1)
    loud = np.sort(powers)[len(powers) // 2 :]
    return float(np.sqrt(loud.mean()))


def impulse_response(rng: Rng) -> np.ndarray:
    """Returns [N] float64 of unit energy: direct sound at 0, a few early reflections, an exponential tail."""
    decay = rng.uniform(0.15, 0.8)  # seconds until -60 dB
    t = np.arange(int(decay * SAMPLE_RATE)) / SAMPLE_RATE
    rest = rng.standard_normal(len(t)) * 10 ** (-3 * t / decay) * np.clip((t - 0.003) / 0.03, 0, 1)
    rest *= 0.7 / np.linalg.norm(rest)
    early = np.round(rng.uniform(0.003, 0.045, int(rng.integers(3, 9))) * SAMPLE_RATE).astype(int)
    heights = rng.choice([-1, 1], len(early)) * rng.uniform(0.3, 1, len(early)) * np.exp(-early / SAMPLE_RATE / 0.03)
    np.add.at(rest, early, heights * 0.7 / np.linalg.norm(heights))
    response = rest * 10 ** (-rng.uniform(1, 15) / 20) / np.linalg.norm(rest)  # direct sound 1-15 dB above the rest
    response[0] = 1.0
    return response / np.linalg.norm(response)


def reverberated(rng: Rng, wave: np.ndarray) -> np.ndarray:
    """Returns the recording in a random room; nothing comes earlier than in the recording."""
    from scipy.signal import fftconvolve

    return fftconvolve(wave, impulse_response(rng))[: len(wave)]


def noise_for(rng: Rng, wave: np.ndarray, snr: float) -> np.ndarray:
    """Returns [S] white, pink, hum or babble noise, `snr` dB below the level of the speech."""
    kinds: tuple[Callable[[Rng, np.ndarray], np.ndarray], ...] = (_white, _pink, _hum, _babble)
    noise = kinds[int(rng.integers(len(kinds)))](rng, wave)
    level = max(speech_level(wave), _QUIET) * 10 ** (-snr / 20)
    return noise * level / max(float(np.sqrt(np.square(noise).mean())), 1e-9)


def _white(rng: Rng, wave: np.ndarray) -> np.ndarray:
    return rng.standard_normal(len(wave))


def _pink(rng: Rng, wave: np.ndarray) -> np.ndarray:
    frequency = np.fft.rfftfreq(len(wave), 1 / SAMPLE_RATE)
    spectrum = np.fft.rfft(rng.standard_normal(len(wave))) / np.sqrt(np.maximum(frequency, 20.0))
    return np.fft.irfft(spectrum, len(wave))


def _hum(rng: Rng, wave: np.ndarray) -> np.ndarray:
    """Returns the hum of the mains with its overtones, over a little hiss."""
    mains = rng.choice([50.0, 60.0]) * np.arange(1, 9)
    heights = rng.uniform(0.1, 1, 8) / np.arange(1, 9)
    t = np.arange(len(wave)) / SAMPLE_RATE
    hum = (heights[:, None] * np.sin(2 * np.pi * (mains[:, None] * t + rng.random((8, 1))))).sum(0)
    return hum + 0.05 * rng.standard_normal(len(wave))


def _babble(rng: Rng, wave: np.ndarray) -> np.ndarray:
    """Returns the murmur of many voices: the speech itself backwards, at eight speeds and offsets."""
    out = 0.01 * max(speech_level(wave), _QUIET) * rng.standard_normal(len(wave))
    for speed in rng.uniform(0.8, 1.25, 8):
        at = (np.arange(len(wave)) * speed + rng.integers(len(wave))) % len(wave)
        out += np.interp(at, np.arange(len(wave)), wave[::-1]) * rng.uniform(0.5, 1)
    return out


def band_limited(wave: np.ndarray, low: float, high: float) -> np.ndarray:
    """Returns the part between two frequencies (Hz), with edges a third of an octave wide and no change of phase."""
    frequency = np.maximum(np.fft.rfftfreq(len(wave), 1 / SAMPLE_RATE), 1.0)
    octaves = np.minimum(np.log2(frequency / low), np.log2(high / frequency)) if low else np.log2(high / frequency)
    return np.fft.irfft(np.fft.rfft(wave) * np.clip(0.5 + 3 * octaves, 0, 1), len(wave))


_BANDS: tuple[Callable[[Rng], tuple[float, float]], ...] = (
    lambda rng: (300.0, 3400.0),  # telephone
    lambda rng: (0.0, float(rng.uniform(2500, 7000))),  # a muffled or cheap recording
    lambda rng: (float(rng.uniform(80, 400)), 20_000.0),  # a small loudspeaker or microphone
)


def mu_law(rng: Rng, wave: np.ndarray) -> np.ndarray:
    """Codes to 8 kHz at 8 bits with mu = 255, the logarithmic law of digital telephony (ITU-T G.711), and decodes."""
    from scipy.signal import resample_poly

    del rng
    narrow = np.clip(resample_poly(wave, 1, 2), -1, 1)
    code = np.round(np.sign(narrow) * np.log1p(255 * np.abs(narrow)) / np.log(256) * 127)
    narrow = np.sign(code) * np.expm1(np.abs(code) / 127 * np.log(256)) / 255
    return resample_poly(narrow, 2, 1)[: len(wave)]


def transform_coded(rng: Rng, wave: np.ndarray) -> np.ndarray:
    """Imitates a perceptual codec at a low bit rate: a lapped cosine transform whose bands are coarsely quantised.

    Modified discrete cosine transform with a sine window, 32 ms long, every 16 ms; what lies in weak bands is lost.
    """
    coarse, floor = rng.uniform(0.4, 1.6), rng.uniform(-42, -28)
    phase = (np.arange(2 * _HOP)[:, None] + 0.5 + _HOP / 2) * (np.arange(_HOP) + 0.5) * np.pi / _HOP
    window = np.sin((np.arange(2 * _HOP) + 0.5) * np.pi / (2 * _HOP))[:, None]
    basis = np.cos(phase) * window * np.sqrt(2 / _HOP)
    padded = np.pad(wave, (_HOP, _HOP + -len(wave) % _HOP))
    blocks = np.lib.stride_tricks.sliding_window_view(padded, 2 * _HOP)[::_HOP]
    spectrum = blocks @ basis
    edges = np.unique(np.round(_HOP * np.linspace(0, 1, 21) ** 1.7).astype(int))
    powers = np.add.reduceat(np.square(spectrum), edges[:-1], axis=1) / np.diff(edges)
    kept = powers > powers.max(1, keepdims=True) * 10 ** (floor / 10)
    step = np.repeat(np.where(kept, coarse * np.sqrt(powers), np.inf), np.diff(edges), axis=1)
    coded = np.where(np.isfinite(step), np.round(spectrum / step) * np.where(np.isfinite(step), step, 0), 0)
    out = np.zeros(len(padded))
    for start, block in zip(range(0, len(padded), _HOP), coded @ basis.T, strict=False):
        out[start : start + 2 * _HOP] += block
    return out[_HOP : _HOP + len(wave)]
