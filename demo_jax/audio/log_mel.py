"""Audio features, aligned to the centres of the 25 video frames a second. NumPy only: sampling needs nothing else.

Frame i covers samples 640 i to 640 (i + 1); its centre is (i + 1/2) / 25 seconds.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from demo_jax.constants import SAMPLE_RATE, SAMPLES_PER_FRAME
from demo_jax.errors import InputError

MEL_BANDS = 40
SUB_FRAMES = 4  # log-mel columns per video frame, centred 15 and 5 ms before and 5 and 15 ms after the frame's centre
HOP = SAMPLES_PER_FRAME // SUB_FRAMES  # 10 ms
WINDOW = 400  # 25 ms
FFT_SIZE = 512
LOWEST_HZ, HIGHEST_HZ = 60.0, 7600.0
# Natural log of band power: the floor is about -95 dB of full scale, below 16-bit dither. Centre and spread are those
# of speech at usual levels, so that features are about unit scale; digital silence becomes about -2.
POWER_FLOOR, LOG_CENTRE, LOG_SPREAD = 1e-8, -10.0, 4.2


@dataclasses.dataclass(frozen=True)
class LogMel:
    """40 log-mel bands at a 10 ms hop, four columns per frame (A = 160, oldest column first).

    Windows are 25 ms (Hann), and silence is assumed outside the waveform. Column c of frame i reads samples
    640 i + 80 + 160 c - 200 to ... + 200, so cutting the audio changes only the last frame before the cut.
    """

    name: str = "logmel"
    dimension: int = MEL_BANDS * SUB_FRAMES
    version: str = "1"
    lookahead: int = WINDOW // 2 - HOP // 2
    history: int = WINDOW // 2 - HOP // 2

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        if waveform.dtype != np.int16 or waveform.ndim != 1:
            raise InputError(
                f"log-mel features need mono int16 audio [samples]; this is {waveform.dtype}{waveform.shape}."
            )
        frames = len(waveform) // SAMPLES_PER_FRAME
        columns = frames * SUB_FRAMES
        # The first window starts at 80 - 200 = -120.
        before = WINDOW // 2 - HOP // 2
        padded = np.zeros(before + max(columns * HOP, len(waveform)) + WINDOW, np.float32)
        padded[before : before + len(waveform)] = waveform / np.float32(32768)
        windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[: columns * HOP : HOP]
        features = np.empty((columns, MEL_BANDS), np.float16)
        window, filters = _hann(), mel_filters()
        for start in range(0, columns, 4096):  # bounds the memory for an hour of audio
            spectrum = np.fft.rfft(windows[start : start + 4096] * window, FFT_SIZE, axis=-1)
            power = (np.abs(spectrum) ** 2) @ filters / WINDOW
            features[start : start + 4096] = (np.log(power + POWER_FLOOR) - LOG_CENTRE) / LOG_SPREAD
        return features.reshape(frames, self.dimension)


@functools.cache
def _hann() -> np.ndarray:
    return np.hanning(WINDOW + 1)[:-1].astype(np.float32)


@functools.cache
def mel_filters() -> np.ndarray:
    """[257, 40] float64: triangles of peak 1, equally spaced on the mel scale 2595 log10(1 + f / 700)."""
    low, high = (2595 * np.log10(1 + f / 700) for f in (LOWEST_HZ, HIGHEST_HZ))
    edges = 700 * (10 ** (np.linspace(low, high, MEL_BANDS + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(FFT_SIZE, 1 / SAMPLE_RATE)[:, None]
    left, peak, right = edges[:-2], edges[1:-1], edges[2:]
    return np.clip(np.minimum((bins - left) / (peak - left), (right - bins) / (right - peak)), 0, None)
