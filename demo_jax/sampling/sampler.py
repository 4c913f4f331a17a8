"""One window of motion from noise: a pure function, compiled once for any length of speech."""

from __future__ import annotations

from collections.abc import Mapping

import chex
import jax
import jax.numpy as jnp

from demo_jax.flow import guidance, ode
from demo_jax.flow.condition import Condition, VelocityFn


def sample_window(
    velocity_fn: VelocityFn,
    keys: jax.Array,
    condition: Condition,
    *,
    steps: int,
    scales: Mapping[str, float | jax.Array],
    solver: str = "euler",
) -> jax.Array:
    """Whitened codes [B, L, K] float32 of a batch of windows.

    keys [B] are typed random keys, one per row, so that a row does not depend on what else is in its batch. `scales`
    are those of guidance.guide. The network is evaluated ode.evaluations(steps, solver) times. Padding frames are
    generated too and mean nothing.
    """
    batch, length, size = condition.given.shape
    chex.assert_shape(keys, (batch,))
    noise = jax.vmap(lambda key: jax.random.normal(key, (length, size), jnp.float32))(keys)  # also where x64 is enabled
    return ode.solve(guidance.guide(velocity_fn, scales), noise, condition, steps, solver)[0]
