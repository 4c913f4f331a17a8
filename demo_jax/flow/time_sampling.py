"""Distributions of the flow times of a training batch."""

from __future__ import annotations

import dataclasses

import jax
from jaxtyping import Array, Float, Key


@dataclasses.dataclass(frozen=True, kw_only=True)
class Uniform:
    """Uniform times in [0, 1)."""

    def __call__(self, key: Key[Array, ""], batch: int) -> Float[Array, " B"]:
        """Returns `batch` times."""
        return jax.random.uniform(key, (batch,))


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogitNormal:
    """Times sigmoid(mean + std * normal) (Esser et al. 2024, section 3.1).

    mean > 0 moves the times towards data; a small std moves them towards the middle of the path.
    """

    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        if not self.std > 0:
            raise ValueError(f"LogitNormal.std is {self.std}; it must be above 0.")

    def __call__(self, key: Key[Array, ""], batch: int) -> Float[Array, " B"]:
        """Returns `batch` times."""
        return jax.nn.sigmoid(self.mean + self.std * jax.random.normal(key, (batch,)))
