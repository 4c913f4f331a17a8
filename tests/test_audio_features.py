"""Log-mel features: alignment to frame centres, locality, scale."""

import numpy as np
import pytest

from demo_jax.audio.log_mel import HOP, MEL_BANDS, SUB_FRAMES, LogMel
from demo_jax.constants import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from demo_jax.errors import InputError

logmel = LogMel()


def _noise(seconds: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=int(seconds * SAMPLE_RATE)) * 2000).astype(np.int16)


@pytest.mark.parametrize("samples", [0, 639, 640, 641, 16_000, 6 * 4096 * HOP // 5])
def test_one_row_per_whole_frame(samples: int) -> None:
    features = logmel(np.zeros(samples, np.int16))
    assert features.shape == (samples // SAMPLES_PER_FRAME, logmel.dimension)
    assert features.dtype == np.float16


@pytest.mark.parametrize("frame", [0, 7, 19])
def test_a_click_at_a_frames_centre_lies_in_the_middle_of_its_row(frame: int) -> None:
    waveform = np.zeros(20 * SAMPLES_PER_FRAME, np.int16)
    waveform[frame * SAMPLES_PER_FRAME + SAMPLES_PER_FRAME // 2] = 30_000
    energy = np.exp(logmel(waveform).astype(np.float64)).reshape(-1, SUB_FRAMES, MEL_BANDS).sum(-1).reshape(-1)
    times = (np.arange(len(energy)) + 0.5) * HOP / SAMPLE_RATE  # four columns a frame, evenly spread over it
    energy -= np.median(energy)
    found = (energy * times).sum() / energy.sum()
    # Within a tenth of the 10 ms hop: the windows are symmetric about their centres.
    assert abs(found - (frame + 0.5) / FPS) < 0.001


def test_cutting_the_audio_changes_only_windows_across_the_cut() -> None:
    waveform = _noise(2.0)
    whole, cut = logmel(waveform), logmel(waveform[: 30 * SAMPLES_PER_FRAME])
    # The last window of frame 29 reaches 7.5 ms beyond it; no other does.
    np.testing.assert_array_equal(whole[:29], cut[:29])
    assert (whole[29] != cut[29]).any()


def test_a_shift_by_whole_frames_shifts_the_rows() -> None:
    waveform = _noise(1.0)
    np.testing.assert_array_equal(logmel(waveform)[3:-1], logmel(waveform[2 * SAMPLES_PER_FRAME :])[1:-1])


def test_scale_silence_and_pitch() -> None:
    silence = logmel(np.zeros(3200, np.int16)).astype(np.float32)
    assert np.isfinite(silence).all() and silence.min() == silence.max() and -3 < silence.min() < -1.5
    loud = logmel(np.full(3200, 32767, np.int16) * np.where(np.arange(3200) % 2, 1, -1).astype(np.int16))
    assert np.isfinite(loud.astype(np.float32)).all() and np.abs(loud).max() < 6
    t = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    bands = [
        int(logmel((np.sin(2 * np.pi * hz * t) * 8000).astype(np.int16))[5, :MEL_BANDS].argmax())
        for hz in (200, 1000, 4000)
    ]
    assert bands == sorted(set(bands))


def test_other_arrays_are_refused() -> None:
    with pytest.raises(InputError, match="mono int16"):
        logmel(np.zeros(3200, np.float32))  # type: ignore[arg-type]
