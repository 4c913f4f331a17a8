"""Whitening and readout of the code space."""

from __future__ import annotations

import numpy as np
import pytest

from demo_jax import codes
from demo_jax.errors import InputError
from demo_jax.factors import FactorLayout

LAYOUT = FactorLayout()


@pytest.fixture(scope="module")
def space():
    rng = np.random.default_rng(0)
    mixed = rng.normal(size=(4000, 42)) @ rng.normal(size=(42, 42)) + rng.normal(size=42)
    expression = np.full((4000, 52), np.nan)
    expression[:, :2] = 0.5 + 0.01 * (mixed - mixed.mean(0)) @ rng.normal(size=(42, 2)) / 3
    expression[:, 2] = rng.uniform(size=4000)
    return mixed, expression, codes.fit(mixed, expression, LAYOUT)


def test_whitened_codes_are_standard_within_their_block(space):
    mixed, _, fitted = space
    z = np.asarray(fitted.to_whitened(mixed.astype(np.float32)), np.float64)
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(z.std(0), 1, atol=2e-3)
    free = np.setdiff1d(np.arange(20), LAYOUT.calibrated)
    # n - 1 against n, and float32 sums over codes of size about 20
    np.testing.assert_allclose(np.cov(z[:, free], rowvar=False), np.eye(len(free)), atol=5e-3)


def test_each_calibrated_coordinate_depends_on_itself_alone(space):
    _, _, fitted = space
    whiten = np.asarray(fitted.whiten)
    for i in LAYOUT.calibrated:
        assert whiten[i, i] > 0
        assert np.count_nonzero(whiten[i]) == np.count_nonzero(whiten[:, i]) == 1


def test_whitening_has_an_inverse(space):
    mixed, _, fitted = space
    rows = mixed[:50].astype(np.float32)
    np.testing.assert_allclose(fitted.from_whitened(fitted.to_whitened(rows)), rows, atol=2e-3)


def test_readout_explains_what_is_linear_and_says_what_is_not(space):
    mixed, expression, fitted = space
    r2 = np.asarray(fitted.readout_r2)
    assert (r2[:2] > 0.99).all() and r2[2] < 0.1 and np.isnan(r2[3:]).all()
    out = np.asarray(fitted.expression(mixed.astype(np.float32)))
    np.testing.assert_allclose(out[:, :2], np.clip(expression[:, :2], 0, 1), atol=0.02)
    assert np.isnan(out[:, 3:]).all()


def test_a_dead_direction_is_not_blown_up():
    rng = np.random.default_rng(0)
    dead = rng.normal(size=(1000, 42))
    dead[:, 10] *= 1e-6
    z = np.asarray(codes.fit(dead, np.full((1000, 52), np.nan), LAYOUT).to_whitened(dead.astype(np.float32)))
    assert z[:, LAYOUT.slices["lip"]].std(0).min() < 1e-3  # stays small
    assert z.std(0).max() < 1.1


def test_space_file_round_trip_and_damage(space, tmp_path):
    _, _, fitted = space
    path = tmp_path / "space.npz"
    path.write_bytes(codes.pack_space(fitted))
    loaded = codes.load_space(path)
    np.testing.assert_array_equal(loaded.whiten, fitted.whiten)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=r"space\.npz is missing or damaged"):
        codes.load_space(path)
