"""Which noise goes with which datum: a permutation of the noise within groups of fixed size of the global batch.

A group's size does not depend on the number of devices, so neither do the pairs. A coupling permutes and never draws
with replacement: every datum and every noise sample is used exactly once.

Minibatch optimal transport (Tong et al. 2023; Pooladian et al. 2023) takes the permutation of least squared distance.
With conditions it skews what it should straighten: noise that is paired by its distance to the data tells something
about their condition, and at sampling time it does not. A distance between conditions in the cost (Cheng & Schwing
2025) lets noise change places only among data with like conditions. All in float32, without the host.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Protocol

import chex
import jax
import jax.numpy as jnp
import optax

Solver = Callable[[jax.Array], jax.Array]  # cost [n, n] of (noise, datum) -> the noise of each datum, [n] int32


class Coupling(Protocol):
    def __call__(
        self,
        key: jax.Array,
        x0: jax.Array,
        x1: jax.Array,
        condition_features: jax.Array,
        free_mask: jax.Array,
        group_size: int,
    ) -> jax.Array:
        """x0 [B, L, K] permuted along the batch within rows g * group_size .. (g + 1) * group_size - 1.

        x1 [B, L, K] data; condition_features [B, F] float32, of the conditions before dropout; free_mask [B, L, K]
        bool, the entries that count in the cost. Raises ValueError if group_size does not divide B.
        """
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Independent:
    """Noise as it was drawn: no pairing."""

    def __call__(
        self,
        key: jax.Array,
        x0: jax.Array,
        x1: jax.Array,
        condition_features: jax.Array,
        free_mask: jax.Array,
        group_size: int,
    ) -> jax.Array:
        del key, condition_features
        chex.assert_equal_shape([x0, x1, free_mask])
        check_groups(x0.shape[0], group_size)
        return x0


@dataclasses.dataclass(frozen=True, kw_only=True)
class MinibatchOT:
    """The permutation of least total cost |x0 - x1|^2 over the free entries + weight x distance of conditions.

    `weight` 0 is plain minibatch OT; a weight of infinity leaves noise where it was drawn, unless conditions are equal.
    With `share` the weight is searched in each group instead: the least at which only that share of all pairs costs no
    more than the datum's own noise (Cheng & Schwing 2025, their ratio).
    """

    solver: Solver
    weight: float = 0.0
    share: float | None = None

    def __call__(
        self,
        key: jax.Array,
        x0: jax.Array,
        x1: jax.Array,
        condition_features: jax.Array,
        free_mask: jax.Array,
        group_size: int,
    ) -> jax.Array:
        del key
        chex.assert_equal_shape([x0, x1, free_mask])
        check_groups(x0.shape[0], group_size)

        def groups(a: jax.Array) -> jax.Array:
            return a.reshape(-1, group_size, *a.shape[1:])

        def pair(x0: jax.Array, x1: jax.Array, features: jax.Array, free: jax.Array) -> jax.Array:
            cost = transport_cost(x0, x1, free)
            if self.share is not None or self.weight:
                distance = condition_distance(features)
                weight = self.weight if self.share is None else search_weight(cost, distance, self.share)
                cost = cost + weight * distance
            return x0[self.solver(cost)]

        paired = jax.lax.map(lambda group: pair(*group), tuple(map(groups, (x0, x1, condition_features, free_mask))))
        return paired.reshape(x0.shape)


def transport_cost(x0: jax.Array, x1: jax.Array, free: jax.Array) -> jax.Array:
    """Noise, data [n, L, K] and the data's free entries -> [n, n] float32: the squared distance of noise i from datum j
    over j's free entries, less the square of the datum itself, which is the same whichever noise it gets."""
    n = len(x0)
    noise, data = x0.reshape(n, -1).astype(jnp.float32), x1.reshape(n, -1).astype(jnp.float32)
    # A GPU's and TPU's faster products have errors as large as the gain.
    product = functools.partial(jax.lax.dot_general, dimension_numbers=(((1,), (1,)), ((), ())), precision="highest")

    def all_free() -> jax.Array:
        return jnp.sum(jnp.square(noise), 1, keepdims=True) - 2.0 * product(noise, data)

    def partly_free() -> jax.Array:
        mask = free.reshape(n, -1).astype(jnp.float32)
        return product(jnp.square(noise), mask) - 2.0 * product(noise, mask * data)

    # The branches also keep XLA's CPU backend (jax 0.10 to 0.12) from fusing the products with sums that follow: that
    # is slow, and makes NaN where the mask is a constant.
    return jax.lax.cond(jnp.all(free), all_free, partly_free)


def condition_distance(features: jax.Array) -> jax.Array:
    """[n, F] -> [n, n] float32: 1 - cosine."""
    unit = features.astype(jnp.float32)
    unit = unit / jnp.maximum(jnp.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    return 1.0 - jnp.matmul(unit, unit.T, precision=jax.lax.Precision.HIGHEST)


def search_weight(cost: jax.Array, distance: jax.Array, share: float) -> jax.Array:
    """The least weight >= 0 at which at most `share` of the pairs i != j have cost + weight * distance no larger than
    datum j's own noise has. Found at once: pair (i, j) stops being cheaper at weight (cost_jj - cost_ij) / distance_ij.
    """
    stops = (jnp.diagonal(cost)[None] - cost) / jnp.maximum(distance, 1e-6)
    stops = jnp.where(jnp.eye(len(cost), dtype=bool), 0.0, jnp.maximum(stops, 0.0))
    cheaper = int(share * len(cost) * (len(cost) - 1))
    # The value at that place in descending order, bit by bit: floats >= 0 are ordered as their bits are. To sort them
    # takes a CPU fifteen times as long, and jnp.quantile interpolates.
    bits = jax.lax.bitcast_convert_type(stops, jnp.int32)

    def add_bit(i: jax.Array, found: jax.Array) -> jax.Array:
        larger = found | (1 << (30 - i))
        return jnp.where(jnp.sum(bits >= larger) > cheaper, larger, found)

    return jax.lax.bitcast_convert_type(jax.lax.fori_loop(0, 31, add_bit, jnp.zeros((), jnp.int32)), jnp.float32)


def exact(cost: jax.Array) -> jax.Array:
    """Cost [n, n] -> the permutation of least total cost, by the Hungarian algorithm: cubic in n, one row at a time."""
    noise, data = optax.assignment.hungarian_algorithm(cost)
    return jnp.zeros(len(cost), jnp.int32).at[data].set(noise.astype(jnp.int32))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sinkhorn:
    """An approximately optimal permutation: potentials of entropic transport (Cuturi 2013), then an auction that starts
    from them.

    The unit of both is the most that any pairing saves a pair: the mean of the diagonal once each row's and then each
    column's least cost is taken off. `temperature` is the last of `iterations`, falling geometrically from a third.
    The sum of costs is above the least by at most `tolerance` of that unit a pair; in practice by a tenth of it.
    """

    iterations: int = 10
    temperature: float = 0.02
    tolerance: float = 0.1

    def __call__(self, cost: jax.Array) -> jax.Array:
        reduced = cost - jnp.min(cost, 1, keepdims=True)
        reduced = reduced - jnp.min(reduced, 0, keepdims=True)
        # Not below what float32 can add to the largest cost, where noise as it was drawn is already best.
        unit = jnp.maximum(jnp.mean(jnp.diagonal(reduced)), 1e-6 * jnp.max(reduced) + 1e-30)
        f, _ = sinkhorn_potentials(reduced, unit * jnp.geomspace(1 / 3, self.temperature, self.iterations))
        return auction(reduced, -f, self.tolerance * unit)


def sinkhorn_potentials(cost: jax.Array, temperatures: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Cost [n, n], one temperature for each iteration -> f, g [n] float32: at the last temperature e the columns of
    exp((f_i + g_j - cost_ij) / e) sum to 1, and its rows nearly. In the log domain (Peyre & Cuturi 2019, section 4.4).
    """

    def iterate(potentials: tuple[jax.Array, jax.Array], e: jax.Array) -> tuple[tuple[jax.Array, jax.Array], None]:
        _, g = potentials
        f = -e * jax.nn.logsumexp((g[None] - cost) / e, axis=1)
        return (f, -e * jax.nn.logsumexp((f[:, None] - cost) / e, axis=0)), None

    zero = jnp.zeros(len(cost), cost.dtype)
    return jax.lax.scan(iterate, (zero, zero), temperatures)[0]


def auction(cost: jax.Array, prices: jax.Array, step: jax.Array, bidders: int = 32) -> jax.Array:
    """Cost [n, n] of (noise, datum), first prices [n] of the noise -> the noise of each datum, [n] int32.

    Bertsekas's (1988) auction: a datum without noise bids for the one of least cost and price, as much more than its
    price as the second best allows and `step` on top; who had it goes without. Whatever the first prices, the sum of
    costs ends at most n * step above the least. `bidders` data bid at a time: more is no better, since they bid for the
    same noise. The step doubles every 1000 rounds (seldom reached), so that contests for like noise end in time.
    """
    n, index = len(cost), jnp.arange(len(cost))
    k = min(bidders, n)
    place, of_datum = jnp.arange(k), cost.T

    def unfinished(state: tuple[jax.Array, ...]) -> jax.Array:
        noise_of, _, _, rounds = state
        return jnp.any(noise_of < 0) & (rounds < 50_000)  # without end only where costs are not numbers

    def one_round(state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        noise_of, datum_of, prices, rounds = state
        bidder = jnp.nonzero(noise_of < 0, size=k, fill_value=n)[0]  # n is nobody
        value = -of_datum[jnp.minimum(bidder, n - 1)] - prices[None]
        best = jnp.max(value, 1, keepdims=True)
        wish = jnp.min(jnp.where(value == best, index[None], n - 1), 1)  # argmax, which is slow on CPUs
        second = jnp.max(jnp.where(index[None] == wish[:, None], -jnp.inf, value), 1)
        # A group of one has no second best.
        rise = jnp.where(n > 1, best[:, 0] - second, 0.0) + step * 2.0 ** (rounds // 1000)
        bid = jnp.where(bidder < n, prices[wish] + rise, -jnp.inf)
        higher = (bid[None] > bid[:, None]) | ((bid[None] == bid[:, None]) & (place[None] < place[:, None]))
        wins = (bidder < n) & ~jnp.any((wish[None] == wish[:, None]) & higher, 1)
        taken = jnp.where(wins, wish, n)
        noise_of = noise_of.at[jnp.where(wins, datum_of[wish], n)].set(-1, mode="drop")
        noise_of = noise_of.at[jnp.where(wins, bidder, n)].set(wish, mode="drop")
        datum_of = datum_of.at[taken].set(bidder, mode="drop")
        return noise_of, datum_of, prices.at[taken].set(bid, mode="drop"), rounds + 1

    start = (jnp.full(n, -1, index.dtype), jnp.full(n, n, index.dtype), prices, jnp.zeros((), index.dtype))
    return jax.lax.while_loop(unfinished, one_round, start)[0].astype(jnp.int32)


def check_groups(batch: int, group_size: int) -> None:
    """Raises ValueError unless `batch` rows can be cut into groups of `group_size`."""
    if group_size < 1 or batch % group_size:
        raise ValueError(f"A batch of {batch} rows cannot be cut into coupling groups of {group_size}.")
