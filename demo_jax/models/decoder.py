"""Source encoder and decoder: frames are the source's features, warped and blended, with the rest painted.

Nothing here is a grouped or modulated kernel (the family's decoders spend nine tenths of their time in those):
activations are modulated, convolutions are ordinary and channels are last. Feature warps happen at 64 px and below; one
warp of the RGB source at full size keeps its texture. The last doubling is a depth-to-space.
"""

from __future__ import annotations

from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from demo_jax.config import AutoEncoderConfig
from demo_jax.models.geometry import landmarks, rigid
from demo_jax.models.geometry.warp import identity_grid, warp
from demo_jax.models.layers import (
    ConvBlock,
    MapModulation,
    ModulatedBlock,
    channel_norm,
    depth_to_space,
    space_to_depth,
    upsample_bilinear,
    upsample_nearest,
)

Dtype = Any
MAX_WARP = 64  # px: above it, a feature warp costs more than it shows
LOOKS = 32  # px of the features that tell a face's looks
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
    """(pyramid; latents [B, D], and blocks [B, .] by factor, of source and driving) -> images [B, S, S, 3] float32,
    about -1..1, and the points of the face [B, 70, 3] of both (`landmarks.FacePoints`)."""

    config: AutoEncoderConfig
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        pyramid: Pyramid,
        latents: tuple[jax.Array, jax.Array],
        blocks: dict[str, tuple[jax.Array, jax.Array]],
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        c = self.config
        poses = tuple(block[:, :6].astype(jnp.float32) for block in blocks["pose"])
        style = jnp.concatenate(latents, -1).astype(self.dtype)
        for i in range(2):
            style = nn.silu(nn.Dense(c.style_width, dtype=self.dtype, name=f"style_{i}")(style))

        resolutions = [r for r, _ in c.levels if r <= MAX_WARP]
        looks = pyramid[str(min(LOOKS, resolutions[-1]))]
        points = landmarks.FacePoints(dtype=self.dtype, name="points")(looks, blocks, poses[0])
        outlines = landmarks.sketch(points[1], poses[1], resolutions[-1]).astype(self.dtype)
        head, start = HeadFlow(name="head"), c.levels[0][0]

        def where(flow: jax.Array) -> tuple[jax.Array, jax.Array]:
            grid, share = head(flow, *poses)
            return grid + landmarks.shift(points, poses, flow.shape[1]), share

        flow = jnp.zeros((len(style), start, start, len(HeadFlow.step)), jnp.float32)
        x: jax.Array | None = None
        drawn: jax.Array | None = None
        for i, (resolution, channels) in enumerate(c.levels):
            if i > 0:
                flow = upsample_bilinear(flow)
            if resolution <= MAX_WARP:
                features = pyramid[str(resolution)]
                if x is not None:
                    x = upsample_nearest(x)
                    flow = flow + self._flow_change(x, f"flow_{resolution}")
                grid, share = where(flow)
                inputs = [warp(features, grid), share.astype(self.dtype)]
                if x is None:
                    position = jnp.broadcast_to(identity_grid(resolution, resolution)[None], (*features.shape[:3], 2))
                    inputs[1:1] = [features, position.astype(self.dtype)]
                else:
                    inputs[1:1] = [x]
                x = nn.Dense(channels, dtype=self.dtype, name=f"merge_{resolution}")(jnp.concatenate(inputs, -1))
                smaller = (resolutions[-1] // resolution,) * 2
                drawn = nn.avg_pool(outlines, smaller, smaller)
                for j in range(c.blocks):
                    x = ModulatedBlock(channels, dtype=self.dtype, name=f"block_{resolution}_{j}")(x, style, drawn)
            else:
                drawn = None
                x = ModulatedBlock(channels, doubles=True, dtype=self.dtype, name=f"block_{resolution}_0")(x, style)

        # Per pixel: painted colour (3), how much of it to use (1), and a last correction of the flow.
        channels = 4 + len(HeadFlow.step)
        x = channel_norm(x)
        if drawn is not None:
            x = MapModulation(c.levels[-1][1], dtype=self.dtype, name="out_map")(x, drawn)
        out = nn.Conv(4 * channels, (3, 3), dtype=self.dtype, name="out")(nn.silu(x))
        if drawn is not None:
            zeros = nn.initializers.zeros
            out += nn.Conv(4 * channels, (3, 3), dtype=self.dtype, kernel_init=zeros, name="out_drawn")(drawn)
        out = depth_to_space(out).astype(jnp.float32)
        grid, _ = where(upsample_bilinear(flow) + _row(HeadFlow.step) * out[..., 4:])
        kept = warp(pyramid["rgb"].astype(jnp.float32), grid)
        painted = nn.sigmoid(out[..., 3:4] - 2.0)  # at first most of the picture is the warped source
        return kept + painted * (out[..., :3] - kept), points

    def _flow_change(self, x: jax.Array, name: str) -> jax.Array:
        kernel = nn.initializers.normal(1e-3)
        change = nn.Conv(len(HeadFlow.step), (3, 3), dtype=jnp.float32, kernel_init=kernel, name=name)
        return _row(HeadFlow.step) * change(nn.silu(channel_norm(x)).astype(jnp.float32))


def _row(step: tuple[float, ...]) -> np.ndarray:
    return np.array(step, np.float32)[None, None, None]


class HeadFlow(nn.Module):
    """(flow [B, r, r, 4], poses [B, 6] of source and driving) -> grid [B, r, r, 2], share of head [B, r, r, 1].

    The background stays, the head moves as `rigid.head_flow` says, and a residual shift is added to both. The flow is
    how much a pixel is head (logit), the head's depth beyond the ellipsoid (face widths), and that shift (half
    pictures).
    """

    step: ClassVar[tuple[float, ...]] = (2.0, 0.2, 0.1, 0.1)  # the usual size of a change

    @nn.compact
    def __call__(self, flow: jax.Array, source: jax.Array, driving: jax.Array) -> tuple[jax.Array, jax.Array]:
        axes = jnp.exp(self.param("log_axes", lambda _: jnp.log(jnp.array(rigid.AXES))))
        centre = self.param("centre", lambda _: jnp.array(rigid.CENTRE))
        still = identity_grid(flow.shape[1], flow.shape[2])
        moved, inside = rigid.head_flow(still, source, driving, axes, centre, flow[..., 1])
        share = nn.sigmoid(4.0 * jnp.maximum(inside, -2.0) + flow[..., 0])[..., None]
        grid = still[None] + share * (moved - still[None]) + flow[..., 2:]
        return grid, share
