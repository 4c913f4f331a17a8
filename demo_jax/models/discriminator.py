"""A patch discriminator (Isola et al. 2017): it scores how real each part of an image looks. Used in training only."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from demo_jax.models.layers import Dtype, channel_norm, space_to_depth

WIDTHS = (32, 64, 128)


class Discriminator(nn.Module):
    """Scores each 8 x 8 pixels of images in -1..1; a score sees some 40 pixels around its place."""

    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, images: Float[Array, "B S S 3"]) -> Float[Array, "B S//8 S//8"]:
        x = space_to_depth(images.astype(self.dtype))
        for i, width in enumerate(WIDTHS):
            stride = 1 if i == 0 else 2
            x = nn.Conv(width, (3, 3), strides=(stride, stride), dtype=self.dtype, name=f"down_{i}")(x)
            x = nn.leaky_relu(channel_norm(x), 0.2)
        x = nn.Conv(WIDTHS[-1], (3, 3), dtype=self.dtype, name="mix")(x)
        x = nn.leaky_relu(channel_norm(x), 0.2)
        return nn.Conv(1, (3, 3), dtype=jnp.float32, name="score")(x)[..., 0]
