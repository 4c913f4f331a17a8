"""Which noise goes with which datum: a permutation of the noise within groups of fixed size of the global batch.

A group's size does not depend on the number of devices, so neither do the pairs. A coupling permutes and never draws
with replacement: every datum and every noise sample is used exactly once.
"""

from __future__ import annotations

import dataclasses
from typing import Protocol

import chex
import jax


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


def check_groups(batch: int, group_size: int) -> None:
    """Raises ValueError unless `batch` rows can be cut into groups of `group_size`."""
    if group_size < 1 or batch % group_size:
        raise ValueError(f"A batch of {batch} rows cannot be cut into coupling groups of {group_size}.")
