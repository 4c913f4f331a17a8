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
    over j's free entries."""
    n = len(x0)
    noise, data = x0.reshape(n, -1).astype(jnp.float32), x1.reshape(n, -1).astype(jnp.float32)
    mask = free.reshape(n, -1).astype(jnp.float32)
    exact = jax.lax.Precision.HIGHEST  # a GPU's and TPU's faster products have errors as large as the gain
    product = jnp.matmul(noise, (mask * data).T, precision=exact)
    own = jnp.matmul(jnp.square(noise), mask.T, precision=exact)
    return own - 2.0 * product + jnp.sum(mask * jnp.square(data), 1)[None]


def condition_distance(features: jax.Array) -> jax.Array:
    """[n, F] -> [n, n] float32: 1 - cosine."""
    unit = features.astype(jnp.float32)
    unit = unit / jnp.maximum(jnp.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    return 1.0 - jnp.matmul(unit, unit.T, precision=jax.lax.Precision.HIGHEST)


def search_weight(cost: jax.Array, distance: jax.Array, share: float) -> jax.Array:
    """The least weight >= 0 at which at most `share` of the pairs i != j have cost + weight * distance no larger than
    datum j's own noise has. Found at once: pair (i, j) stops being cheaper at weight (cost_jj - cost_ij) / distance_ij.
    """
    own = jnp.diagonal(cost)[None]
    stops = (own - cost) / jnp.maximum(distance, 1e-6)
    off = ~jnp.eye(len(cost), dtype=bool)
    # jnp.quantile interpolates; the share is of pairs, so the pair at the place is taken.
    ranked = jnp.sort(jnp.where(off, stops, -jnp.inf).reshape(-1), descending=True)
    return jnp.maximum(ranked[min(int(share * len(cost) * (len(cost) - 1)), ranked.size - 1)], 0.0)


def exact(cost: jax.Array) -> jax.Array:
    """Cost [n, n] -> the permutation of least total cost, by the Hungarian algorithm: cubic in n, one row at a time."""
    noise, data = optax.assignment.hungarian_algorithm(cost)
    return jnp.zeros(len(cost), jnp.int32).at[data].set(noise.astype(jnp.int32))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sinkhorn:
    """An approximately optimal permutation: potentials of entropic transport, then rounding.

    Log-domain Sinkhorn with the temperature falling from the cost's spread to `temperature` times it, geometrically,
    over `iterations` (epsilon scaling); then rounds in which each datum without noise asks for its best remaining noise
    at reduced cost, and each noise takes the best of those who ask.
    """

    iterations: int = 20
    temperature: float = 0.05

    def __call__(self, cost: jax.Array) -> jax.Array:
        rows = cost - jnp.min(cost, 1, keepdims=True)
        rows = rows - jnp.min(rows, 0, keepdims=True)
        spread = jnp.maximum(jnp.std(rows), 1e-12)

        def iterate(potentials: tuple[jax.Array, jax.Array], e: jax.Array) -> tuple[tuple[jax.Array, jax.Array], None]:
            _, g = potentials
            f = -e * jax.nn.logsumexp((g[None] - rows) / e, axis=1)
            return (f, -e * jax.nn.logsumexp((f[:, None] - rows) / e, axis=0)), None

        temperatures = spread * jnp.geomspace(1.0, self.temperature, self.iterations)
        (f, g), _ = jax.lax.scan(iterate, (jnp.zeros(len(cost)), jnp.zeros(len(cost))), temperatures)
        return round_to_permutation(f[:, None] + g[None] - rows)


def round_to_permutation(score: jax.Array) -> jax.Array:
    """score [n, n] of (noise, datum) -> the noise of each datum, [n] int32, high scores first."""
    n = len(score)
    index = jnp.arange(n)

    def unfinished(noise_of: jax.Array) -> jax.Array:
        return jnp.any(noise_of < 0)

    def one_round(noise_of: jax.Array) -> jax.Array:
        taken = jnp.zeros(n, bool).at[jnp.where(noise_of < 0, n, noise_of)].set(True, mode="drop")
        open_score = jnp.where(taken[:, None] | (noise_of >= 0)[None], -jnp.inf, score)
        wish = jnp.argmax(open_score, 0)  # of each datum
        asks = (wish[None] == index[:, None]) & (noise_of < 0)[None]
        winner = jnp.argmax(jnp.where(asks, open_score, -jnp.inf), 1)  # of each noise
        gives = jnp.any(asks, 1)
        return noise_of.at[jnp.where(gives, winner, n)].set(index, mode="drop")

    return jax.lax.while_loop(unfinished, one_round, jnp.full(n, -1, index.dtype)).astype(jnp.int32)


def check_groups(batch: int, group_size: int) -> None:
    """Raises ValueError unless `batch` rows can be cut into groups of `group_size`."""
    if group_size < 1 or batch % group_size:
        raise ValueError(f"A batch of {batch} rows cannot be cut into coupling groups of {group_size}.")
