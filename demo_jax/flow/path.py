"""The path from noise to data. This file fixes the direction of time: t = 0 is noise, t = 1 is data.

    x_t = (1 - t) x_0 + t x_1        dx_t / dt = x_1 - x_0

the optimal-transport (linear) path of conditional flow matching (Lipman et al. 2023, section 4.1, sigma_min = 0).
"""

from __future__ import annotations

import chex
import jax.numpy as jnp
from jaxtyping import Array, Float

from demo_jax.flow.condition import Condition


def interpolate(x0: Float[Array, "B L K"], x1: Float[Array, "B L K"], t: Float[Array, " B"]) -> Float[Array, "B L K"]:
    """Returns x_t between noise x0 and data x1 at times t in 0-1."""
    chex.assert_equal_shape([x0, x1])
    chex.assert_shape(t, (x0.shape[0],))
    t = t[:, None, None]
    return (1.0 - t) * x0 + t * x1


def target_velocity(x0: Float[Array, "B L K"], x1: Float[Array, "B L K"]) -> Float[Array, "B L K"]:
    """Returns d x_t / dt, which is the same at every t."""
    chex.assert_equal_shape([x0, x1])
    return x1 - x0


def insert_given(x: Float[Array, "B L K"], condition: Condition) -> Float[Array, "B L K"]:
    """Returns x with its given entries clean: they stay at their value at every t instead of following the path."""
    chex.assert_equal_shape([x, condition.given])
    return jnp.where(condition.given_mask, condition.given, x)
