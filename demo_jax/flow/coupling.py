"""Couplings of noise and data: a permutation of the noise within groups of fixed size of the global batch.

The size of a group does not depend on the number of devices, so neither do the pairs. A coupling permutes and never
draws with replacement: every datum and every noise sample is used exactly once.

Minibatch optimal transport (Tong et al. 2023; Pooladian et al. 2023) takes the permutation of least squared distance.
With conditions it introduces a skew: noise that is paired by its distance to the data carries information about their
condition, which it does not carry at sampling time. A distance between conditions in the cost (Cheng & Schwing 2025)
lets noise change places only among data with similar conditions. Everything runs in float32, without the host.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import chex
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key

from demo_jax.pytrees import register

Cost = Float[Array, "n n"]  # of (noise, datum)
Solver = Callable[[Cost], Int[Array, " n"]]  # cost -> the noise of each datum


@register
@dataclasses.dataclass(frozen=True, kw_only=True)
class CouplingBatch:
    """Noise and data before they are paired, row by row."""

    x0: Float[Array, "B L K"]  # noise
    x1: Float[Array, "B L K"]  # data
    condition_features: Float[Array, "B F"]  # of the conditions before dropout
    free_mask: Bool[Array, "B L K"]  # the entries that count in the cost


@runtime_checkable  # so that a type checker can check at run time
class Coupling(Protocol):
    def __call__(self, key: Key[Array, ""], batch: CouplingBatch, group_size: int) -> Float[Array, "B L K"]:
        """Returns x0 permuted along the batch within rows g * group_size .. (g + 1) * group_size - 1.

        Args:
          key: for couplings that draw.
          batch: noise, data and what their distance depends on.
          group_size: rows that are coupled with each other.

        Raises:
          ValueError: group_size does not divide B.
        """
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Independent:
    """Leaves the noise as it was drawn."""

    def __call__(self, key: Key[Array, ""], batch: CouplingBatch, group_size: int) -> Float[Array, "B L K"]:
        del key
        check_groups(batch, group_size)
        return batch.x0


@dataclasses.dataclass(frozen=True, kw_only=True)
class MinibatchOT:
    """The permutation of least total cost |x0 - x1|^2 over the free entries + weight x distance of conditions.

    `weight` 0 is plain minibatch OT; an infinite weight leaves the noise where it was drawn, unless conditions are
    equal. With `share` the weight is searched in each group instead: the smallest at which only that share of all pairs
    costs no more than the datum's own noise (Cheng & Schwing 2025, their ratio).
    """

    solver: Solver
    weight: float = 0.0
    share: float | None = None

    def __call__(self, key: Key[Array, ""], batch: CouplingBatch, group_size: int) -> Float[Array, "B L K"]:
        del key
        check_groups(batch, group_size)
        groups = jax.tree.map(lambda a: a.reshape(-1, group_size, *a.shape[1:]), batch)
        return jax.lax.map(self.pair, groups).reshape(batch.x0.shape)

    def pair(self, group: CouplingBatch) -> Float[Array, "n L K"]:
        """Returns the noise of one group, permuted."""
        cost = transport_cost(group.x0, group.x1, group.free_mask)
        if self.share is not None or self.weight:
            distance = condition_distance(group.condition_features)
            weight = self.weight if self.share is None else search_weight(cost, distance, self.share)
            cost = cost + weight * distance
        return group.x0[self.solver(cost)]


def transport_cost(x0: Float[Array, "n L K"], x1: Float[Array, "n L K"], free: Bool[Array, "n L K"]) -> Cost:
    """Returns the squared distance of noise i from datum j over the free entries of j, less the square of the datum
    itself, which is the same whichever noise it gets."""
    n = len(x0)
    noise, data = x0.reshape(n, -1).astype(jnp.float32), x1.reshape(n, -1).astype(jnp.float32)
    # The faster products of GPUs and TPUs have errors as large as the gain.
    product = functools.partial(jax.lax.dot_general, dimension_numbers=(((1,), (1,)), ((), ())), precision="highest")

    def all_free() -> Cost:
        return jnp.sum(jnp.square(noise), 1, keepdims=True) - 2.0 * product(noise, data)

    def partly_free() -> Cost:
        mask = free.reshape(n, -1).astype(jnp.float32)
        return product(jnp.square(noise), mask) - 2.0 * product(noise, mask * data)

    # The branches also keep XLA's CPU backend (jax 0.10 to 0.12) from fusing the products with sums that follow: that
    # is slow, and makes NaN where the mask is a constant.
    return jax.lax.cond(jnp.all(free), all_free, partly_free)


def condition_distance(features: Float[Array, "n F"]) -> Float[Array, "n n"]:
    """Returns 1 - cosine of every pair of rows."""
    unit = features.astype(jnp.float32)
    unit = unit / jnp.maximum(jnp.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    return 1.0 - jnp.matmul(unit, unit.T, precision=jax.lax.Precision.HIGHEST)


def search_weight(cost: Cost, distance: Float[Array, "n n"], share: float) -> Float[Array, ""]:
    """Returns the smallest weight >= 0 at which at most `share` of the pairs i != j have a cost + weight * distance no
    larger than that of datum j's own noise.

    It takes no iterations: pair (i, j) stops being cheaper at weight (cost_jj - cost_ij) / distance_ij.
    """
    stops = (jnp.diagonal(cost)[None] - cost) / jnp.maximum(distance, 1e-6)
    stops = jnp.where(jnp.eye(len(cost), dtype=bool), 0.0, jnp.maximum(stops, 0.0))
    cheaper = int(share * len(cost) * (len(cost) - 1))
    # The value at that place in descending order, bit by bit: floats >= 0 are ordered as their bits are. Sorting takes
    # fifteen times as long on a CPU, and jnp.quantile interpolates.
    bits = jax.lax.bitcast_convert_type(stops, jnp.int32)

    def add_bit(i: Int[Array, ""], found: Int[Array, ""]) -> Int[Array, ""]:
        larger = found | (1 << (30 - i))
        return jnp.where(jnp.sum(bits >= larger) > cheaper, larger, found)

    return jax.lax.bitcast_convert_type(jax.lax.fori_loop(0, 31, add_bit, jnp.zeros((), jnp.int32)), jnp.float32)


def exact(cost: Cost) -> Int[Array, " n"]:
    """Returns the permutation of least total cost, by the Hungarian algorithm: cubic in n, one row at a time."""
    noise, data = optax.assignment.hungarian_algorithm(cost)
    return jnp.zeros(len(cost), jnp.int32).at[data].set(noise.astype(jnp.int32))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sinkhorn:
    """An approximately optimal permutation: potentials of entropic transport (Cuturi 2013), then an auction that starts
    from them.

    The unit of both is the most that any pairing saves a pair: the mean of the diagonal after each row's and then each
    column's least cost is subtracted. The temperature falls geometrically over `iterations`, from a third to
    `temperature`. The sum of costs is above the least by at most `tolerance` of that unit a pair; in practice by a
    tenth of it.
    """

    iterations: int = 10
    temperature: float = 0.02
    tolerance: float = 0.1

    def __call__(self, cost: Cost) -> Int[Array, " n"]:
        """Returns the noise of each datum."""
        reduced = cost - jnp.min(cost, 1, keepdims=True)
        reduced = reduced - jnp.min(reduced, 0, keepdims=True)
        # Not below what float32 can add to the largest cost, where noise as it was drawn is already best.
        unit = jnp.maximum(jnp.mean(jnp.diagonal(reduced)), 1e-6 * jnp.max(reduced) + 1e-30)
        f, _ = sinkhorn_potentials(reduced, unit * jnp.geomspace(1 / 3, self.temperature, self.iterations))
        return auction(reduced, -f, self.tolerance * unit)


def sinkhorn_potentials(
    cost: Cost, temperatures: Float[Array, " iterations"]
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Returns potentials f, g: at the last temperature e the columns of exp((f_i + g_j - cost_ij) / e) sum to 1, and
    its rows nearly. In the log domain (Peyre & Cuturi 2019, section 4.4)."""

    def iterate(potentials: tuple[Array, Array], e: Float[Array, ""]) -> tuple[tuple[Array, Array], None]:
        _, g = potentials
        f = -e * jax.nn.logsumexp((g[None] - cost) / e, axis=1)
        return (f, -e * jax.nn.logsumexp((f[:, None] - cost) / e, axis=0)), None

    zero = jnp.zeros(len(cost), cost.dtype)
    return jax.lax.scan(iterate, (zero, zero), temperatures)[0]


def auction(cost: Cost, prices: Float[Array, " n"], step: Float[Array, ""], bidders: int = 32) -> Int[Array, " n"]:
    """Returns the noise of each datum, by Bertsekas's (1988) auction.

    A datum without noise bids for the one of least cost plus price. It raises the price by as much as the second best
    allows, plus `step`; the previous owner loses the noise. Whatever the initial prices, the sum of costs ends at most
    n * step above the least.

    Args:
      cost: of (noise, datum).
      prices: initial prices of the noise.
      step: the smallest raise. It doubles every 1000 rounds (seldom reached), so that contests for similar noise end in
        time.
      bidders: data that bid at a time: more is no better, since they bid for the same noise.
    """
    n, index = len(cost), jnp.arange(len(cost))
    k = min(bidders, n)
    place, of_datum = jnp.arange(k), cost.T

    def unfinished(state: tuple[Array, ...]) -> Bool[Array, ""]:
        noise_of, _, _, rounds = state
        return jnp.any(noise_of < 0) & (rounds < 50_000)  # reached only where costs are not numbers

    def one_round(state: tuple[Array, ...]) -> tuple[Array, ...]:
        noise_of, datum_of, prices, rounds = state
        bidder = jnp.nonzero(noise_of < 0, size=k, fill_value=n)[0]  # n stands for no datum
        value = -of_datum[jnp.minimum(bidder, n - 1)] - prices[None]
        best = jnp.max(value, 1, keepdims=True)
        choice = jnp.min(jnp.where(value == best, index[None], n - 1), 1)  # argmax, which is slow on CPUs
        second = jnp.max(jnp.where(index[None] == choice[:, None], -jnp.inf, value), 1)
        # A group of one has no second best.
        rise = jnp.where(n > 1, best[:, 0] - second, 0.0) + step * 2.0 ** (rounds // 1000)
        bid = jnp.where(bidder < n, prices[choice] + rise, -jnp.inf)
        higher = (bid[None] > bid[:, None]) | ((bid[None] == bid[:, None]) & (place[None] < place[:, None]))
        wins = (bidder < n) & ~jnp.any((choice[None] == choice[:, None]) & higher, 1)
        taken = jnp.where(wins, choice, n)
        noise_of = noise_of.at[jnp.where(wins, datum_of[choice], n)].set(-1, mode="drop")
        noise_of = noise_of.at[jnp.where(wins, bidder, n)].set(choice, mode="drop")
        datum_of = datum_of.at[taken].set(bidder, mode="drop")
        return noise_of, datum_of, prices.at[taken].set(bid, mode="drop"), rounds + 1

    start = (jnp.full(n, -1, index.dtype), jnp.full(n, n, index.dtype), prices, jnp.zeros((), index.dtype))
    return jax.lax.while_loop(unfinished, one_round, start)[0].astype(jnp.int32)


def check_groups(batch: CouplingBatch, group_size: int) -> None:
    """Raises ValueError unless the rows of `batch` can be divided into groups of `group_size`."""
    chex.assert_equal_shape([batch.x0, batch.x1, batch.free_mask])
    rows = batch.x0.shape[0]
    if group_size < 1 or rows % group_size:
        raise ValueError(f"A batch of {rows} rows cannot be cut into coupling groups of {group_size}.")
