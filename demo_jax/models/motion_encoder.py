"""Motion encoder: a picture -> motion code, one trunk and one head per factor; and the joint basis of motion latents.

DEMO's fine-grained controllable motion encoder (arXiv 2510.10650, section on FCME), with one head for each of lip,
pose, gaze and residual. The code's calibrated coordinates are physical quantities over fixed scales
(`demo_jax.factors`).
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from demo_jax.config import AutoEncoderConfig
from demo_jax.factors import FACTORS
from demo_jax.models.layers import ConvBlock, channel_norm, space_to_depth

Dtype = Any


class MotionEncoder(nn.Module):
    """images [B, H, W, 3] in -1..1 -> codes [B, K] float32.

    Every level halves the picture and applies a residual block; the last, 4 x 4, is flattened, not pooled, since where
    things are is what pose means.
    """

    config: AutoEncoderConfig
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        c = self.config
        x = space_to_depth(images.astype(self.dtype))
        for i, channels in enumerate(c.encoder_channels):
            stride = 1 if i == 0 else 2
            x = nn.Conv(channels, (3, 3), strides=(stride, stride), dtype=self.dtype, name=f"down_{i}")(x)
            if i > 0:  # the first level has most of the pixels and least to say
                x = ConvBlock(channels, dtype=self.dtype, name=f"block_{i}")(x)
        x = nn.silu(channel_norm(x)).reshape(x.shape[0], -1)
        x = nn.silu(nn.Dense(c.encoder_width, dtype=self.dtype, name="trunk")(x))
        codes = []
        for factor, size in zip(FACTORS, c.layout.sizes, strict=True):
            if not size:
                continue
            h = nn.silu(nn.Dense(c.encoder_width // 2, dtype=self.dtype, name=f"{factor}_hidden")(x))
            # Codes are compared with physical truth to a fraction of a degree: bf16 is too coarse for the last product.
            codes.append(nn.Dense(size, dtype=jnp.float32, name=f"{factor}_code")(h))
        return jnp.concatenate(codes, -1)


class MotionBasis(nn.Module):
    """Codes [B, K] -> motion latents w = Q code [B, D], Q [D, K] with orthonormal columns, learned jointly.

    Q is the orthogonal factor of a free matrix, in float32, its signs fixed so that it is a smooth function of it.
    """

    config: AutoEncoderConfig

    @nn.compact
    def __call__(self, codes: jax.Array) -> jax.Array:
        c = self.config
        free = self.param("free", nn.initializers.normal(1.0), (c.latent, c.layout.size), jnp.float32)
        return codes.astype(jnp.float32) @ orthonormal(free).T


def orthonormal(free: jax.Array) -> jax.Array:
    """[D, K] with D >= K -> its orthonormal factor [D, K], R's diagonal positive."""
    if free.shape[0] < free.shape[1]:
        raise ValueError(
            f"a basis of {free.shape[1]} codes needs at least as many latent dimensions, not {free.shape[0]}."
        )
    q, r = jnp.linalg.qr(free.astype(jnp.float32))
    return q * jnp.where(jnp.diagonal(r) < 0, -1.0, 1.0)[None]
