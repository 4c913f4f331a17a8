"""The path from noise to data. This file fixes the direction of time: t = 0 is noise, t = 1 is data.

    x_t = (1 - t) x_0 + t x_1        dx_t / dt = x_1 - x_0

the optimal-transport (linear) path of conditional flow matching (Lipman et al. 2023, section 4.1, sigma_min = 0).
"""

from __future__ import annotations

import chex
import jax
import jax.numpy as jnp

from demo_jax.flow.condition import Condition


def interpolate(x0: jax.Array, x1: jax.Array, t: jax.Array) -> jax.Array:
    """x_t [B, L, K] between noise x0 and data x1 (both [B, L, K]) at times t [B] in 0-1."""
    chex.assert_equal_shape([x0, x1])
    chex.assert_shape(t, (x0.shape[0],))
    t = t[:, None, None]
    return (1.0 - t) * x0 + t * x1


def target_velocity(x0: jax.Array, x1: jax.Array) -> jax.Array:
    """d x_t / dt, the same at every t: [B, L, K]."""
    chex.assert_equal_shape([x0, x1])
    return x1 - x0


def insert_given(x: jax.Array, condition: Condition) -> jax.Array:
    """x [B, L, K] with its given entries clean: they do not travel along the path, they are at their value always."""
    chex.assert_equal_shape([x, condition.given])
    return jnp.where(condition.given_mask, condition.given, x)
