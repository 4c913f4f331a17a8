"""Samples one window of motion from noise: a pure function, compiled once for any length of speech."""

from __future__ import annotations

from collections.abc import Mapping

import chex
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float32, Key

from demo_jax.flow import guidance, ode
from demo_jax.flow.condition import Condition, VelocityFn


def sample_window(
    velocity_fn: VelocityFn,
    keys: Key[Array, " B"],
    condition: Condition,
    *,
    steps: int,
    scales: Mapping[str, float | Float[Array, "*_"]],
    solver: str = "euler",
) -> Float32[Array, "B L K"]:
    """Samples the whitened codes of a batch of windows.

    Args:
      velocity_fn: the network.
      keys: one per row, so that a row does not depend on the others in its batch.
      condition: of the windows.
      steps: solver steps; NFE is ode.evaluations(steps, solver).
      scales: classifier-free guidance scales of guidance.guide.
      solver: one of ode.SOLVERS.

    Returns:
      The codes. Padding frames are generated too and are meaningless.
    """
    batch, length, size = condition.given.shape
    chex.assert_shape(keys, (batch,))
    noise = jax.vmap(lambda key: jax.random.normal(key, (length, size), jnp.float32))(keys)  # also where x64 is enabled
    return ode.solve(guidance.guide(velocity_fn, scales), noise, condition, steps, solver)[0]
