"""Metrics of controls and of speaking mouths against values that are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from demo_jax.evaluation.metrics import people
from demo_jax.evaluation.metrics.control import blink_closure, leakage
from demo_jax.evaluation.metrics.motion import speaker_range, speaking_frames, speech_aperture
from demo_jax.evaluation.metrics.reader import READ_NAMES


def test_a_blink_closes_to_a_share_of_the_rest() -> None:
    lid = np.array([0.3, 0.3, 0.12, 0.03, np.nan, 0.2, 0.3])
    assert blink_closure(lid, 0.3) == pytest.approx(0.1)
    assert np.isnan(blink_closure(np.full(3, np.nan), 0.3))


def test_leakage_is_in_units_of_spreads() -> None:
    grid = np.linspace(-20, 20, 9)
    yaw, pitch, aperture = grid, 0.1 * grid, np.full(9, 0.02)
    aperture = aperture + 0.001 * np.abs(grid)  # opens to both sides alike
    yaw_moves = np.stack([yaw, pitch, aperture], 1)
    open_grid = np.linspace(0, 0.2, 5)
    mouth_moves = np.stack([np.full(5, 3.0), 10 * open_grid, 0.9 * open_grid], 1)
    mouth_moves[2, 1] = np.nan
    spread = np.array([5.0, 2.0, 0.05])
    found = leakage([grid, open_grid], [yaw_moves, mouth_moves], [0, 2], spread)
    # 0.1 degree of pitch a degree of yaw: 0.5 degrees, a quarter of a spread, per spread of yaw.
    np.testing.assert_allclose(found["linear"], [[1, 0.25, 0], [0, 0.05 * 10 / 2, 0.9]], atol=1e-9)
    assert found["total"][0, 1] == pytest.approx(0.25)
    assert found["total"][0, 2] == pytest.approx(aperture.std() / grid.std() * 5 / 0.05)
    assert found["total"][0, 2] > 0.04
    still = leakage([np.zeros(4)], [np.zeros((4, 3))], [0], spread)
    assert np.isnan(still["linear"]).all()


def test_the_spread_of_people_has_a_value_for_every_reading() -> None:
    assert people.SPREAD.shape == (len(READ_NAMES),) and (people.SPREAD > 0).all()


def test_speech_aperture_counts_frames_spoken_in() -> None:
    rng = np.random.default_rng(0)
    loud, silent = rng.normal(0, 4000, 40 * 640), rng.normal(0, 4000 * 10**-1.5, 20 * 640)  # 30 dB below
    waveform = np.concatenate([loud, silent]).astype(np.int16)
    speaking = speaking_frames(waveform, 62)
    assert speaking[:40].all() and not speaking[40:].any()
    aperture = np.concatenate([np.linspace(0, 0.2, 40), np.full(22, 0.9)])
    aperture[3] = np.nan
    assert speech_aperture(aperture, speaking) == pytest.approx(np.nanpercentile(aperture[:40], 95))
    assert not speaking_frames(np.zeros(6400, np.int16), 10).any()
    assert np.isnan(speech_aperture(aperture, np.zeros(62, bool)))


def test_the_range_over_speakers_weighs_speakers_equally() -> None:
    values = {str(i): [float(i)] for i in range(21)} | {"0": [0.0] * 100, "unread": [float("nan")]}
    assert speaker_range(values) == (pytest.approx(1.0), pytest.approx(19.0))
    assert np.isnan(speaker_range({})).all()
