"""Minibatch couplings against all permutations, against other libraries, and at both ends of the condition's weight."""

import itertools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from demo_jax.evaluation.metrics.coupling import gain_captured, skew
from demo_jax.flow import coupling

with warnings.catch_warnings():
    # POT has docstrings with invalid escapes; ott-jax imports jaxopt, which warns that it is unmaintained.
    warnings.simplefilter("ignore")
    import ot
    from ott.geometry.geometry import Geometry
    from ott.problems.linear.linear_problem import LinearProblem
    from ott.solvers.linear.sinkhorn import Sinkhorn as OttSinkhorn

SOLVERS = {"exact": coupling.exact, "sinkhorn": coupling.Sinkhorn()}


def batch(
    rows: int, seed: int = 0, length: int = 4, size: int = 3
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Noise and data [rows, length, size], condition features, and what is free (all of it)."""
    keys = jax.random.split(jax.random.key(seed), 3)
    x0, x1 = (jax.random.normal(k, (rows, length, size)) for k in keys[:2])
    return x0, 2 * x1 + 1, jax.random.normal(keys[2], (rows, 5)), jnp.ones((rows, length, size), bool)


def couple(
    method: coupling.MinibatchOT, group_size: int, x0: jax.Array, x1: jax.Array, features: jax.Array, free: jax.Array
) -> jax.Array:
    """The noise x0 as `method` pairs it with the data x1."""
    rows = coupling.CouplingBatch(x0=x0, x1=x1, condition_features=features, free_mask=free)
    return jax.jit(lambda rows: method(jax.random.key(0), rows, group_size))(rows)


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


@pytest.mark.parametrize("rate", [0.6, 1.0])
def test_transport_cost_is_the_squared_distance_over_free_entries_less_the_data_s_own(rate: float) -> None:
    x0, x1, _, _ = batch(5)
    mask = np.asarray(jax.random.bernoulli(jax.random.key(9), rate, x0.shape))
    expected = (np.square(np.asarray(x0)[:, None] - np.asarray(x1)[None]) * mask[None]).sum((2, 3))
    expected -= (np.square(x1) * mask).sum((1, 2))[None]
    free = jnp.asarray(mask)
    cost = lambda x0, x1: coupling.transport_cost(x0, x1, free)  # noqa: E731
    np.testing.assert_allclose(jax.jit(cost)(x0, x1), expected, rtol=1e-4, atol=1e-4)
    # The mask is a constant of the program, and the cost is used in it: both can matter to the compiler.
    least = jax.jit(lambda x0, x1: jnp.min(cost(x0, x1), 0))(x0, x1)
    np.testing.assert_allclose(least, expected.min(0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_every_noise_goes_to_one_datum_of_its_own_group(solver: coupling.Solver) -> None:
    x0, x1, features, free = batch(24)
    paired = couple(coupling.MinibatchOT(solver=solver), 8, x0, x1, features, free)
    index = rows_of(paired, x0)
    assert sorted(index) == list(range(24))
    assert all(sorted(index[i : i + 8]) == list(range(i, i + 8)) for i in (0, 8, 16))
    assert index != list(range(24))


@pytest.mark.parametrize("rows", [64, 200])
def test_solvers_against_pot(rows: int) -> None:
    """Gain captured: 1 for exact, 0.95 at least for Sinkhorn's rounded plan."""
    x0, x1, _, free = batch(rows, length=50, size=42)
    cost = np.asarray(coupling.transport_cost(x0, x1, free), np.float64)
    uniform = np.full(rows, 1 / rows)
    best = float((ot.emd(uniform, uniform, cost) * cost).sum() * rows)
    found = {name: np.asarray(jax.jit(s)(jnp.asarray(cost, jnp.float32))) for name, s in SOLVERS.items()}
    assert total(cost, found["exact"]) == pytest.approx(best, rel=1e-6)
    assert gain_captured(cost, found["exact"], np.arange(rows)) == pytest.approx(1, abs=1e-4)
    assert 0.95 <= gain_captured(cost, found["sinkhorn"], np.arange(rows)) <= 1


def test_potentials_make_the_plans_of_pot_and_ott_at_the_same_temperature() -> None:
    x0, x1, _, free = batch(40, length=10, size=6)
    cost = np.asarray(coupling.transport_cost(x0, x1, free))
    e, uniform = float(0.2 * cost.std()), np.full(40, 1 / 40)
    f, g = jax.jit(coupling.sinkhorn_potentials)(jnp.asarray(cost), jnp.full(300, e))
    plan = np.exp((np.asarray(f)[:, None] + np.asarray(g)[None] - cost) / e) / 40
    ours = {"rows": plan.sum(1), "columns": plan.sum(0)}
    for sums in ours.values():
        np.testing.assert_allclose(sums, uniform, rtol=1e-3)
    theirs = ot.sinkhorn(uniform, uniform, cost.astype(np.float64), e, method="sinkhorn_log", stopThr=1e-12)
    # Float32 potentials near 100 have errors of 1e-5, in units of the temperature 1e-6; costs add as much.
    np.testing.assert_allclose(plan, theirs, rtol=1e-3, atol=1e-7)
    with jax.numpy_rank_promotion("allow"):
        problem = LinearProblem(Geometry(jnp.asarray(cost), epsilon=e))
        solved = OttSinkhorn(threshold=1e-6, max_iterations=500)(problem).matrix
    np.testing.assert_allclose(plan, solved, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("seed", range(4))
def test_an_auction_ends_within_its_step_of_the_least_cost_whatever_the_first_prices(seed: int) -> None:
    keys = jax.random.split(jax.random.key(seed), 2)
    cost = jnp.exp(jax.random.normal(keys[0], (60, 60)))
    uniform = np.full(60, 1 / 60)
    best = float((ot.emd(uniform, uniform, np.asarray(cost, np.float64)) * np.asarray(cost)).sum() * 60)
    solve = jax.jit(coupling.auction)
    for prices in (jnp.zeros(60), jax.random.normal(keys[1], (60,))):
        for step in (0.1, 0.005):
            found = np.asarray(solve(cost, prices, step))
            assert sorted(found.tolist()) == list(range(60))
            assert best - 1e-3 <= total(np.asarray(cost), found) <= best + 60 * step + 1e-3


def test_sinkhorn_makes_a_permutation_of_ties_constant_costs_and_huge_ranges() -> None:
    solve = jax.jit(coupling.Sinkhorn())
    wide = jnp.exp(5 * jax.random.normal(jax.random.key(0), (7, 7)))
    for cost in (jnp.zeros((7, 7)), jnp.tile(jnp.arange(7.0), (7, 1)), jnp.eye(7) * -1e6, jnp.eye(7) * 1e6, wide):
        assert sorted(np.asarray(solve(cost)).tolist()) == list(range(7))
    solve(jnp.full((7, 7), jnp.nan)).block_until_ready()  # ends, so that the check of the loss is reached


def test_sinkhorn_finds_small_differences_beside_a_large_weight() -> None:
    """At a weight that forbids other classes, the gain within the classes is still captured."""
    x0, x1, _, free = batch(96, length=20, size=10)
    label = np.arange(96) % 3
    cost = np.asarray(coupling.transport_cost(x0, x1, free)) + 1e6 * (label[:, None] != label)
    found = np.asarray(jax.jit(coupling.Sinkhorn())(jnp.asarray(cost, jnp.float32)))
    assert (label[found] == label).all()
    assert gain_captured(cost, found, np.arange(96)) > 0.95


def test_skew_is_the_information_of_a_condition_about_its_noise() -> None:
    rng = np.random.default_rng(0)
    x1, x0, groups = rng.normal(size=(640, 6)), rng.normal(size=(640, 6)), np.arange(640) // 32
    assert skew(x1, x0, groups) < 0.02
    known = skew(x1, 0.6 * x1 + 0.8 * x0, groups)
    assert known == pytest.approx(0.36, abs=0.08)  # the share of variance; 0.08 is four standard errors at 640 rows
    method = coupling.MinibatchOT(solver=coupling.Sinkhorn())
    noise, data = (jnp.asarray(a[:, None], jnp.float32) for a in (x0, x1))
    paired = couple(method, 32, noise, data, data[:, 0], jnp.ones(data.shape, bool))
    assert skew(x1, paired, groups) > 0.2


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_the_weight_of_conditions_at_both_ends(solver: coupling.Solver) -> None:
    x0, x1, features, free = batch(16)

    def index(weight: float, features: jax.Array = features) -> list[int]:
        return rows_of(couple(coupling.MinibatchOT(solver=solver, weight=weight), 16, x0, x1, features, free), x0)

    plain = np.asarray(jax.jit(solver)(coupling.transport_cost(x0, x1, free))).tolist()
    assert index(0.0) == plain != list(range(16))
    assert index(1e6) == list(range(16))  # conditions are all different: noise stays where it was drawn
    assert index(1e6, jnp.ones_like(features)) == plain  # all the same: the condition carries no information


def test_noise_changes_places_only_among_equal_conditions_at_a_large_weight() -> None:
    x0, x1, _, free = batch(12)
    label = np.arange(12) % 3
    features = jnp.asarray(np.eye(3, dtype=np.float32)[label])
    method = coupling.MinibatchOT(solver=coupling.exact, weight=1e6)
    index = rows_of(couple(method, 12, x0, x1, features, free), x0)
    assert (label[index] == label).all() and index != list(range(12))


def test_the_searched_weight_leaves_the_requested_share_of_cheaper_pairs() -> None:
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
    method = coupling.MinibatchOT(solver=coupling.Sinkhorn(), share=0.05)
    one = rows_of(couple(method, 16, x0, x1, features, free), x0)
    mesh = Mesh(np.array(jax.devices()[:8]), ("data",))
    spread = jax.device_put((x0, x1, features, free), NamedSharding(mesh, PartitionSpec("data")))
    assert rows_of(couple(method, 16, *spread), x0) == one
