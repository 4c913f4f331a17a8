"""Adversarial losses in hinge form (Lim & Ye 2017; Miyato et al. 2018), on scores of any shape."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def discriminator_hinge(real: jax.Array, made: jax.Array) -> jax.Array:
    """Scores of true and of made pictures -> scalar: 0 when all true ones exceed 1 and all made ones are below -1."""
    return jnp.mean(jax.nn.relu(1 - real)) + jnp.mean(jax.nn.relu(1 + made))


def generator_hinge(made: jax.Array) -> jax.Array:
    """Scores of made pictures -> scalar, lower the truer they look to the discriminator."""
    return -jnp.mean(made)
