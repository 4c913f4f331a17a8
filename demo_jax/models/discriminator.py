"""A patch discriminator (Isola et al. 2017): does each part of a picture look true? Used in training only."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from demo_jax.models.layers import Dtype, channel_norm, space_to_depth

WIDTHS = (32, 64, 128)


class Discriminator(nn.Module):
    """Pictures [B, S, S, 3] in -1..1 -> scores [B, S/8, S/8] float32; each sees some 40 pixels around its place."""

    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = space_to_depth(images.astype(self.dtype))
        for i, width in enumerate(WIDTHS):
            stride = 1 if i == 0 else 2
            x = nn.Conv(width, (3, 3), strides=(stride, stride), dtype=self.dtype, name=f"down_{i}")(x)
            x = nn.leaky_relu(channel_norm(x), 0.2)
        x = nn.Conv(WIDTHS[-1], (3, 3), dtype=self.dtype, name="mix")(x)
        x = nn.leaky_relu(channel_norm(x), 0.2)
        return nn.Conv(1, (3, 3), dtype=jnp.float32, name="score")(x)[..., 0]
