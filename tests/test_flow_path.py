"""The path, the times, the coupling and the condition pytree."""

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from demo_jax.factors import FactorLayout
from demo_jax.flow import condition as conditions
from demo_jax.flow import coupling, path, time_sampling

LAYOUT = FactorLayout(lip=3, pose=6, gaze=4, residual=2)
K = LAYOUT.size


def pair(batch=3, length=5):
    keys = jax.random.split(jax.random.key(0))
    return jax.random.normal(keys[0], (batch, length, K)), jax.random.normal(keys[1], (batch, length, K))


def test_time_zero_is_noise_and_time_one_is_data():
    noise, data = pair()
    np.testing.assert_array_equal(path.interpolate(noise, data, jnp.zeros(3)), noise)
    np.testing.assert_array_equal(path.interpolate(noise, data, jnp.ones(3)), data)


def test_target_is_the_paths_derivative():
    noise, data = (np.asarray(a, np.float64) for a in pair())
    t, h = np.array([0.1, 0.5, 0.9]), 1e-4
    with jax.enable_x64(True):
        ahead, behind = (path.interpolate(jnp.asarray(noise), jnp.asarray(data), jnp.asarray(t + d)) for d in (h, -h))
        target = path.target_velocity(jnp.asarray(noise), jnp.asarray(data))
        # The path is linear, so central differences are exact up to float64 rounding over h.
        np.testing.assert_allclose((ahead - behind) / (2 * h), target, atol=1e-10)


def test_insert_given_changes_given_entries_only():
    noise, data = pair()
    mask = jax.random.bernoulli(jax.random.key(1), 0.4, noise.shape)
    cond = conditions.empty(3, K, 2, length=5).replace(given=jnp.where(mask, data, 0), given_mask=mask)
    inserted = path.insert_given(noise, cond)
    np.testing.assert_array_equal(inserted[mask], data[mask])
    np.testing.assert_array_equal(inserted[~mask], noise[~mask])


def test_time_samplers_are_distributed_as_they_say():
    n = 20_000
    uniform = np.asarray(time_sampling.Uniform()(jax.random.key(0), n))
    # 5 standard errors of the mean (1 / sqrt(12 n)) and of quartile frequencies.
    assert abs(uniform.mean() - 0.5) < 5 / np.sqrt(12 * n)
    assert abs((uniform < 0.25).mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / n)
    times = np.asarray(time_sampling.LogitNormal(mean=0.5, std=0.7)(jax.random.key(0), n))
    logits = np.log(times) - np.log1p(-times)
    assert abs(logits.mean() - 0.5) < 5 * 0.7 / np.sqrt(n)
    assert abs(logits.std() - 0.7) < 5 * 0.7 / np.sqrt(2 * n)
    assert times.min() > 0 and times.max() < 1
    with pytest.raises(ValueError, match="std"):
        time_sampling.LogitNormal(std=0.0)


def test_independent_coupling_leaves_the_noise_and_checks_groups():
    noise, data = pair(batch=6)
    couple = coupling.Independent()
    free = jnp.ones(noise.shape, bool)
    batch = coupling.CouplingBatch(x0=noise, x1=data, condition_features=jnp.zeros((6, 1)), free_mask=free)
    np.testing.assert_array_equal(couple(jax.random.key(0), batch, 3), noise)
    with pytest.raises(ValueError, match="groups of 4"):
        couple(jax.random.key(0), batch, 4)


def test_condition_repeats_and_takes_rows():
    cond = conditions.empty(2, K, 3).replace(source=jnp.arange(2.0)[:, None] * jnp.ones((1, K)))
    conditions.check(cond)
    twice = conditions.repeat(cond, 2)
    conditions.check(twice)
    np.testing.assert_array_equal(twice.source[:, 0], [0, 1, 0, 1])
    np.testing.assert_array_equal(conditions.take(twice, jnp.array([3, 0])).source[:, 0], [1, 0])
    assert len(jax.tree.leaves(cond)) == 15  # nothing became static
    with pytest.raises(jaxtyping.TypeCheckError, match="valid"):
        cond.replace(valid=jnp.ones((2, 3), bool))
    leaves, structure = jax.tree.flatten(cond)
    with pytest.raises(AssertionError):
        conditions.check(jax.tree.unflatten(structure, [*leaves[:-1], jnp.ones((2, 3), bool)]))  # JAX checks nothing


def test_next_keyframe_against_a_search():
    rng = np.random.default_rng(0)
    batch, frames = 2, 17
    mask = rng.random((batch, frames, K)) < 0.03
    given = np.where(mask, rng.normal(size=mask.shape), 0).astype(np.float32)
    value, known, distance = jax.jit(conditions.next_keyframe)(given, mask, jnp.asarray(LAYOUT.factor_index))
    for b in range(batch):
        for t in range(frames):
            for f, part in enumerate(LAYOUT.slices.values()):
                after = [u for u in range(t, frames) if mask[b, u, part].any()]
                if not after:
                    assert not known[b, t, part].any() and distance[b, t, f] == 0
                    continue
                np.testing.assert_array_equal(known[b, t, part], mask[b, after[0], part])
                np.testing.assert_array_equal(value[b, t, part], given[b, after[0], part])
                assert distance[b, t, f] == after[0] - t
