"""Which flow times a training batch sees."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import jax


class TimeSampler(Protocol):
    def __call__(self, key: jax.Array, batch: int) -> jax.Array:
        """[batch] float32 times in 0-1."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Uniform:
    """Every time alike, in [0, 1)."""

    def __call__(self, key: jax.Array, batch: int) -> jax.Array:
        return jax.random.uniform(key, (batch,))


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogitNormal:
    """sigmoid(mean + std * normal): mean > 0 moves the times towards data, a small std towards the middle of the path
    (Esser et al. 2024, section 3.1)."""

    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        if not self.std > 0:
            raise ValueError(f"LogitNormal.std is {self.std}; it must be above 0.")

    def __call__(self, key: jax.Array, batch: int) -> jax.Array:
        return jax.nn.sigmoid(self.mean + self.std * jax.random.normal(key, (batch,)))
