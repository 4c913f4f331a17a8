"""Adversarial losses in hinge form (Lim & Ye 2017; Miyato et al. 2018), on scores of any shape."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def discriminator_hinge(real: Float[Array, ...], generated: Float[Array, ...]) -> Float[Array, ""]:
    """Returns the loss from scores of real and generated images: 0 when all real ones exceed 1 and all generated ones
    are below -1."""
    return jnp.mean(jax.nn.relu(1 - real)) + jnp.mean(jax.nn.relu(1 + generated))


def generator_hinge(generated: Float[Array, ...]) -> Float[Array, ""]:
    """Returns the loss from scores of generated images: lower the more real they look to the discriminator."""
    return -jnp.mean(generated)
