"""Source encoder and decoder: frames are the source's features, warped and blended, with the rest painted.

Nothing here is a grouped or modulated kernel (the family's decoders spend nine tenths of their time in those):
activations are modulated, convolutions are ordinary and channels are last. Feature warps happen at 64 px and below; one
warp of the RGB source at full size keeps its texture. The last doubling is a depth-to-space.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from demo_jax.config import AutoEncoderConfig
from demo_jax.models.layers import (
    ConvBlock,
    ModulatedBlock,
    channel_norm,
    depth_to_space,
    space_to_depth,
    upsample_bilinear,
    upsample_nearest,
)
from demo_jax.models.warp import identity_grid, warp

Dtype = Any
MAX_WARP = 64  # px: above it, a feature warp costs more than it shows
Pyramid = dict[str, jax.Array]


class SourceEncoder(nn.Module):
    """image [B, S, S, 3] in -1..1 -> {"rgb": image, "<resolution>": features [B, r, r, c]}, each level up to 64 px."""

    config: AutoEncoderConfig
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array) -> Pyramid:
        levels = self.config.levels
        x = nn.Conv(levels[-1][1], (3, 3), dtype=self.dtype, name="stem")(space_to_depth(image.astype(self.dtype)))
        pyramid = {"rgb": image}
        for i, (resolution, channels) in enumerate(reversed(levels)):
            if i > 0:
                x = nn.Conv(channels, (3, 3), strides=(2, 2), dtype=self.dtype, name=f"down_{resolution}")(x)
            if resolution <= MAX_WARP:
                x = ConvBlock(channels, dtype=self.dtype, name=f"block_{resolution}")(x)
                pyramid[str(resolution)] = x
        return pyramid


class Decoder(nn.Module):
    """(pyramid, latents of source and driving [B, D]) -> images [B, S, S, 3] float32, about -1..1."""

    config: AutoEncoderConfig
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, pyramid: Pyramid, source: jax.Array, driving: jax.Array) -> jax.Array:
        c = self.config
        style = jnp.concatenate([source, driving], -1).astype(self.dtype)
        for i in range(2):
            style = nn.silu(nn.Dense(c.style_width, dtype=self.dtype, name=f"style_{i}")(style))

        grid = self._first_grid(style, c.levels[0][0])
        x = None
        for i, (resolution, channels) in enumerate(c.levels):
            if i > 0:
                x, grid = upsample_nearest(x), upsample_bilinear(grid)
            if resolution <= MAX_WARP:
                features = pyramid[str(resolution)]
                if x is None:
                    position = jnp.broadcast_to(identity_grid(resolution, resolution)[None], (*features.shape[:3], 2))
                    inputs = [warp(features, grid), features, position.astype(self.dtype)]
                else:
                    change = self._grid_change(x, f"grid_{resolution}")
                    grid = grid + change
                    inputs = [warp(features, grid), x]
                x = nn.Conv(channels, (1, 1), dtype=self.dtype, name=f"merge_{resolution}")(jnp.concatenate(inputs, -1))
            for j in range(c.blocks if resolution <= MAX_WARP else 1):
                x = ModulatedBlock(channels, dtype=self.dtype, name=f"block_{resolution}_{j}")(x, style)

        # Per pixel: painted colour (3), how much of it to use (1), and a last correction of the sampling grid (2).
        out = nn.Conv(4 * 6, (3, 3), dtype=self.dtype, name="out")(nn.silu(channel_norm(x)))
        out = depth_to_space(out).astype(jnp.float32)
        grid = upsample_bilinear(grid) + 0.1 * out[..., 4:6]
        kept = warp(pyramid["rgb"].astype(jnp.float32), grid)
        painted = nn.sigmoid(out[..., 3:4] - 2.0)  # at first most of the picture is the warped source
        return kept + painted * (out[..., :3] - kept)

    def _first_grid(self, style: jax.Array, resolution: int) -> jax.Array:
        """An affine map read off the style alone: most head motion is one, and it gives the warps something to learn
        from at once. It starts as the identity."""
        affine = nn.Dense(6, dtype=jnp.float32, kernel_init=nn.initializers.zeros, name="affine")(style)
        matrix, shift = affine[:, :4].reshape(-1, 2, 2), affine[:, 4:]
        grid = identity_grid(resolution, resolution)
        return grid[None] + jnp.einsum("hwi,bij->bhwj", grid, matrix) + shift[:, None, None]

    def _grid_change(self, x: jax.Array, name: str) -> jax.Array:
        change = nn.Conv(2, (3, 3), dtype=jnp.float32, kernel_init=nn.initializers.normal(1e-3), name=name)
        return 0.1 * change(nn.silu(channel_norm(x)).astype(jnp.float32))
