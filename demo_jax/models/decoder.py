"""Source encoder and decoder: frames are the source's features, warped and blended, with the rest painted.

Nothing here is a grouped or modulated kernel (the family's decoders spend nine tenths of their time in those):
activations are modulated, convolutions are ordinary and channels are last. Feature warps happen at 64 px and below; one
warp of the RGB source at full size keeps its texture. The last doubling is a depth-to-space.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from demo_jax.config import AutoEncoderConfig
from demo_jax.models import rigid
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
    """(pyramid; latents [B, D], and blocks [B, .] by factor, of source and driving) -> images [B, S, S, 3] float32,
    about -1..1."""

    config: AutoEncoderConfig
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        pyramid: Pyramid,
        latents: tuple[jax.Array, jax.Array],
        blocks: dict[str, tuple[jax.Array, jax.Array]],
    ) -> jax.Array:
        c = self.config
        poses = tuple(block[:, :6].astype(jnp.float32) for block in blocks["pose"])
        style = jnp.concatenate(latents, -1).astype(self.dtype)
        for i in range(2):
            style = nn.silu(nn.Dense(c.style_width, dtype=self.dtype, name=f"style_{i}")(style))

        head, start = HeadFlow(name="head"), c.levels[0][0]
        flow = jnp.zeros((len(style), start, start, len(HeadFlow.step)), jnp.float32)
        x = None
        for i, (resolution, channels) in enumerate(c.levels):
            if i > 0:
                x, flow = upsample_nearest(x), upsample_bilinear(flow)
            if resolution <= MAX_WARP:
                features = pyramid[str(resolution)]
                if x is not None:
                    flow = flow + self._flow_change(x, f"flow_{resolution}")
                grid, share = head(flow, *poses)
                inputs = [warp(features, grid), share.astype(self.dtype)]
                if x is None:
                    position = jnp.broadcast_to(identity_grid(resolution, resolution)[None], (*features.shape[:3], 2))
                    inputs[1:1] = [features, position.astype(self.dtype)]
                else:
                    inputs[1:1] = [x]
                x = nn.Dense(channels, dtype=self.dtype, name=f"merge_{resolution}")(jnp.concatenate(inputs, -1))
                field = LocalFields(channels + len(HeadFlow.step), dtype=self.dtype, name=f"local_{resolution}")
                local = field(blocks, poses[1], resolution)
                x = x + local[..., : -len(HeadFlow.step)]
                flow = flow + _row(HeadFlow.step) * local[..., -len(HeadFlow.step) :].astype(jnp.float32)
            for j in range(c.blocks if resolution <= MAX_WARP else 1):
                x = ModulatedBlock(channels, dtype=self.dtype, name=f"block_{resolution}_{j}")(x, style)

        # Per pixel: painted colour (3), how much of it to use (1), and a last correction of the flow.
        channels = 4 + len(HeadFlow.step)
        out = nn.Conv(4 * channels, (3, 3), dtype=self.dtype, name="out")(nn.silu(channel_norm(x)))
        out = depth_to_space(out).astype(jnp.float32)
        grid, _ = head(upsample_bilinear(flow) + _row(HeadFlow.step) * out[..., 4:], *poses)
        kept = warp(pyramid["rgb"].astype(jnp.float32), grid)
        painted = nn.sigmoid(out[..., 3:4] - 2.0)  # at first most of the picture is the warped source
        return kept + painted * (out[..., :3] - kept)

    def _flow_change(self, x: jax.Array, name: str) -> jax.Array:
        kernel = nn.initializers.normal(1e-3)
        change = nn.Conv(len(HeadFlow.step), (3, 3), dtype=jnp.float32, kernel_init=kernel, name=name)
        return _row(HeadFlow.step) * change(nn.silu(channel_norm(x)).astype(jnp.float32))


def _row(step: tuple[float, ...]) -> np.ndarray:
    return np.array(step, np.float32)[None, None, None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """Where on the head some factors show: its middle and extent (face widths), and which they are."""

    centre: tuple[float, float, float]
    size: tuple[float, float]
    factors: tuple[str, ...]


PLACES = {
    "eye_right": Place(centre=rigid.EYE_RIGHT, size=(0.13, 0.11), factors=("gaze", "residual")),
    "eye_left": Place(centre=rigid.EYE_LEFT, size=(0.13, 0.11), factors=("gaze", "residual")),
    "mouth": Place(centre=rigid.MOUTH, size=(0.20, 0.20), factors=("lip", "residual")),
}
_DEGREE = 3  # of the polynomials, under a bell curve, that fields around a place are made of


class LocalFields(nn.Module):
    """(blocks of the codes, driving poses [B, 6]) -> [B, r, r, channels]: what lips and lids change, where they are.

    Around each place lies a sum of polynomials under a bell curve, upright and of the face's size, whose coefficients
    are read off the blocks of source and driving code. A convolution with a style would first have to find the mouth.
    """

    channels: int
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, blocks: dict[str, tuple[jax.Array, jax.Array]], pose: jax.Array, resolution: int) -> jax.Array:
        grid, total = identity_grid(resolution, resolution), jnp.zeros((), self.dtype)
        powers = [(i, j) for i in range(_DEGREE + 1) for j in range(_DEGREE + 1 - i)]
        for name, place in PLACES.items():
            known = [x for factor in place.factors for x in blocks[factor]]
            h = nn.silu(nn.Dense(64, dtype=self.dtype, name=f"{name}_style")(jnp.concatenate(known, -1)))
            zeros = nn.initializers.zeros
            weights = nn.Dense(len(powers) * self.channels, dtype=self.dtype, kernel_init=zeros, name=name)(h)
            at = rigid.local_coordinates(grid, pose, place.centre, place.size)
            u, v = at[..., 0], at[..., 1]
            bell = jnp.exp(-0.5 * (u * u + v * v))
            basis = jnp.stack([bell * u**i * v**j for i, j in powers], -1).astype(self.dtype)
            total += jnp.einsum("bhwn,bnc->bhwc", basis, weights.reshape(-1, len(powers), self.channels))
        return total


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
