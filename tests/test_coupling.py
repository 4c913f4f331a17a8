"""Minibatch couplings against all permutations, against other libraries, and at both ends of the condition's weight."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from demo_jax.flow import coupling

SOLVERS = {"exact": coupling.exact, "sinkhorn": coupling.Sinkhorn()}


def batch(
    rows: int, seed: int = 0, length: int = 4, size: int = 3
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Noise and data [rows, length, size], condition features, and what is free (all of it)."""
    keys = jax.random.split(jax.random.key(seed), 3)
    x0, x1 = (jax.random.normal(k, (rows, length, size)) for k in keys[:2])
    return x0, 2 * x1 + 1, jax.random.normal(keys[2], (rows, 5)), jnp.ones((rows, length, size), bool)


def rows_of(paired: jax.Array, noise: jax.Array) -> list[int]:
    """Which row of `noise` each row of `paired` is."""
    same = (np.asarray(paired)[:, None] == np.asarray(noise)[None]).all((2, 3))
    assert (same.sum(1) == 1).all()
    return same.argmax(1).tolist()


def total(cost: np.ndarray, noise_of: list[int] | np.ndarray) -> float:
    return float(np.asarray(cost)[np.asarray(noise_of), np.arange(len(cost))].sum())


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 6])
def test_exact_is_the_best_of_all_permutations(rows: int) -> None:
    for seed in range(5):
        x0, x1, _, free = batch(rows, seed)
        cost = np.square(np.asarray(x0)[:, None] - np.asarray(x1)[None]).sum((2, 3))
        best = min(total(cost, p) for p in itertools.permutations(range(rows)))
        found = jax.jit(coupling.exact)(coupling.transport_cost(x0, x1, free))
        assert total(cost, found) == pytest.approx(best, rel=1e-5)


def test_transport_cost_is_the_squared_distance_over_the_data_s_free_entries() -> None:
    x0, x1, _, _ = batch(5)
    free = jax.random.bernoulli(jax.random.key(9), 0.6, x0.shape)
    wanted = (np.square(np.asarray(x0)[:, None] - np.asarray(x1)[None]) * np.asarray(free)[None]).sum((2, 3))
    np.testing.assert_allclose(coupling.transport_cost(x0, x1, free), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_every_noise_goes_to_one_datum_of_its_own_group(solver: coupling.Solver) -> None:
    x0, x1, features, free = batch(24)
    paired = jax.jit(lambda *a: coupling.MinibatchOT(solver=solver)(jax.random.key(0), *a, 8))(x0, x1, features, free)
    index = rows_of(paired, x0)
    assert sorted(index) == list(range(24))
    assert all(sorted(index[i : i + 8]) == list(range(i, i + 8)) for i in (0, 8, 16))
    assert index != list(range(24))


@pytest.mark.parametrize("rows", [64, 200])
def test_solvers_against_scipy(rows: int) -> None:
    """Gain captured: 1 for exact, 0.95 at least for Sinkhorn's rounded plan."""
    x0, x1, _, free = batch(rows, length=50, size=42)
    cost = np.asarray(coupling.transport_cost(x0, x1, free), np.float64)
    noise, data = linear_sum_assignment(cost)
    best, independent = cost[noise, data].sum(), np.trace(cost)
    gains = {
        name: (independent - total(cost, s(jnp.asarray(cost, jnp.float32)))) / (independent - best)
        for name, s in SOLVERS.items()
    }
    assert gains["exact"] == pytest.approx(1, abs=1e-4)
    assert gains["sinkhorn"] >= 0.95


def test_sinkhorn_rounds_ties_and_constant_costs_to_a_permutation() -> None:
    for cost in (jnp.zeros((7, 7)), jnp.tile(jnp.arange(7.0), (7, 1)), jnp.eye(7) * -1e6):
        assert sorted(np.asarray(coupling.Sinkhorn()(cost)).tolist()) == list(range(7))


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_the_weight_of_conditions_at_both_ends(solver: coupling.Solver) -> None:
    x0, x1, features, free = batch(16)

    def index(weight: float, features: jax.Array = features) -> list[int]:
        return rows_of(
            coupling.MinibatchOT(solver=solver, weight=weight)(jax.random.key(0), x0, x1, features, free, 16), x0
        )

    plain = np.asarray(solver(coupling.transport_cost(x0, x1, free))).tolist()
    assert index(0.0) == plain != list(range(16))
    assert index(1e6) == list(range(16))  # conditions are all different: noise stays where it was drawn
    assert index(1e6, jnp.ones_like(features)) == plain  # all the same: the condition says nothing


def test_noise_changes_places_only_among_equal_conditions_at_a_large_weight() -> None:
    x0, x1, _, free = batch(12)
    label = np.arange(12) % 3
    features = jnp.asarray(np.eye(3, dtype=np.float32)[label])
    index = rows_of(
        coupling.MinibatchOT(solver=coupling.exact, weight=1e6)(jax.random.key(0), x0, x1, features, free, 12), x0
    )
    assert (label[index] == label).all() and index != list(range(12))


def test_the_searched_weight_leaves_the_wanted_share_of_cheaper_pairs() -> None:
    x0, x1, features, free = batch(40, length=20, size=10)
    cost, distance = (
        np.asarray(coupling.transport_cost(x0, x1, free)),
        np.asarray(coupling.condition_distance(features)),
    )
    off = ~np.eye(40, dtype=bool)
    for share in (0.02, 0.1, 0.3):
        weight = float(coupling.search_weight(jnp.asarray(cost), jnp.asarray(distance), share))
        cheaper = (cost + weight * distance < np.diagonal(cost)[None])[off].mean()
        assert cheaper <= share and cheaper > share - 0.005
    assert float(coupling.search_weight(jnp.asarray(cost), jnp.asarray(distance), 1.0)) == 0.0


def test_pairs_do_not_depend_on_the_number_of_devices() -> None:
    """Groups are of the global batch: sharded over 8 devices the permutation is the same."""
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    x0, x1, features, free = batch(32)
    couple = jax.jit(lambda *a: coupling.MinibatchOT(solver=coupling.Sinkhorn(), share=0.05)(jax.random.key(0), *a, 16))
    one = rows_of(couple(x0, x1, features, free), x0)
    mesh = Mesh(np.array(jax.devices()[:8]), ("data",))
    spread = jax.device_put((x0, x1, features, free), NamedSharding(mesh, PartitionSpec("data")))
    assert rows_of(couple(*spread), x0) == one
