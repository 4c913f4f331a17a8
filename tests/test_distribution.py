"""Frechet distances against closed forms, and of clips that are right, still or too lively."""

import numpy as np
import pytest

from demo_jax.evaluation.metrics.distribution import frechet, frechet_to_truth
from demo_jax.evaluation.metrics.motion import boundary_jump, jitter


def test_frechet_of_gaussians_is_the_closed_form():
    generator = np.random.default_rng(0)
    a = generator.normal(size=(200_000, 3)) * (1, 2, 3)
    b = generator.normal(size=(200_000, 3)) * (2, 2, 1) + (1, 0, -2)
    # Independent columns: |m|^2 + sum (s_a - s_b)^2 = 5 + 1 + 0 + 4.
    assert frechet(a, b) == pytest.approx(10.0, rel=0.02)  # sampling error
    turn = np.linalg.qr(generator.normal(size=(3, 3)))[0]
    assert frechet(a @ turn, b @ turn) == pytest.approx(frechet(a, b), rel=1e-9)  # a rotation changes nothing
    assert frechet(a, a) == pytest.approx(0.0, abs=1e-9)


def test_true_clips_are_near_0_still_ones_near_1_and_lively_ones_far():
    generator = np.random.default_rng(1)

    def clips(scale):
        return [scale * generator.normal(size=(150, 4)) * (1, 3, 0.2, 1) for _ in range(60)]

    truth = clips(1.0)
    assert frechet_to_truth(clips(1.0), truth)["relative"] == pytest.approx(0.0, abs=0.01)
    still = [np.zeros((150, 4)) + 1e-3 * generator.normal(size=(150, 4)) for _ in range(60)]
    assert frechet_to_truth(still, truth)["relative"] == pytest.approx(1.0, abs=0.03)
    found = frechet_to_truth(clips(2.0), truth)
    assert found["relative"] == pytest.approx(1.0, abs=0.1)  # (2 - 1)^2 as far as (0 - 1)^2
    assert found["distance"] > found["floor"] > 0


def test_jitter_and_boundary_jumps_of_known_clips():
    steady = np.arange(100.0)[:, None] * (1, 2)
    assert jitter(steady) == pytest.approx(0, abs=1e-12)
    assert jitter((np.arange(100) % 2)[:, None]) == pytest.approx(2.0)
    assert boundary_jump(steady, 10) == pytest.approx(1.0)
    jumps = steady + (np.arange(100) // 10)[:, None] * (2, 4)
    assert boundary_jump(jumps, 10) == pytest.approx(3.0)
