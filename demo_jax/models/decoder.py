"""Source encoder and decoder: frames are the source's features, warped and blended, and the rest is painted.

There are no grouped or modulated kernels (comparable decoders spend nine tenths of their time in those): activations
are modulated, convolutions are ordinary and channels are last. Feature warps happen at 64 px and below; one warp of the
RGB source at full size keeps its texture. The last doubling is a depth-to-space.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from demo_jax.config import AutoEncoderConfig
from demo_jax.models.geometry import landmarks, rigid
from demo_jax.models.geometry.warp import identity_grid, warp
from demo_jax.models.layers import (
    ConvBlock,
    Dtype,
    MapModulation,
    ModulatedBlock,
    channel_norm,
    depth_to_space,
    space_to_depth,
    upsample_bilinear,
    upsample_nearest,
)
from demo_jax.pytrees import register

MAX_WARP = 64  # px: above it, a feature warp costs more than it improves
APPEARANCE = 32  # px of the features that describe the source's appearance
Pyramid = dict[str, Float[Array, "B _ _ _"]]  # "rgb" and resolutions


@register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Layers:
    """What an image is composed of: the warped source, and paint over it.

    grid    where each pixel is sampled in the source, (x, y) in -1..1, y down
    colour  painted colour, about -1..1
    alpha   how much of it is used, 0..1
    points  source and driving face, `landmarks.FacePoints`
    """

    grid: Float[Array, "B S S 2"]
    colour: Float[Array, "B S S 3"]
    alpha: Float[Array, "B S S 1"]
    points: tuple[Float[Array, "B 70 3"], Float[Array, "B 70 3"]]


def compose(image: Float[Array, "B S S 3"], layers: Layers) -> Float[Array, "B S S 3"]:
    """Returns the frames that the layers make of their source `image`, float32, about -1..1."""
    kept = warp(image.astype(jnp.float32), layers.grid)
    return kept + layers.alpha * (layers.colour - kept)


class SourceEncoder(nn.Module):
    """Returns {"rgb": image, "<resolution>": features [B, R, R, C]}, each level up to 64 px, of an image in -1..1."""

    config: AutoEncoderConfig
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, image: Float[Array, "B S S 3"]) -> Pyramid:
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
    """Renders the source with the driving motion."""

    config: AutoEncoderConfig
    dtype: Dtype = jnp.float32

    def setup(self) -> None:
        self.points = landmarks.FacePoints(dtype=self.dtype)

    def face_points(
        self, pyramid: Pyramid, blocks: dict[str, tuple[Float[Array, "B _"], Float[Array, "B _"]]]
    ) -> tuple[Float[Array, "B 70 3"], Float[Array, "B 70 3"]]:
        """Returns the points of source and driving face: all that a photograph needs of the decoder."""
        appearance = pyramid[str(min(APPEARANCE, max(r for r, _ in self.config.levels if r <= MAX_WARP)))]
        return self.points(appearance, blocks, rigid.place(blocks["pose"][0][:, :6].astype(jnp.float32)))

    @nn.compact
    def __call__(
        self,
        pyramid: Pyramid,
        latents: tuple[Float[Array, "B D"], Float[Array, "B D"]],
        blocks: dict[str, tuple[Float[Array, "B _"], Float[Array, "B _"]]],
    ) -> Layers:
        """Decodes a batch.

        Args:
          pyramid: of the source.
          latents: of source and driving motion.
          blocks: of source and driving code, by factor.

        Returns:
          The layers of the images (`compose`).
        """
        c = self.config
        before, after = (rigid.place(block[:, :6].astype(jnp.float32)) for block in blocks["pose"])
        style = jnp.concatenate(latents, -1).astype(self.dtype)
        for i in range(2):
            style = nn.silu(nn.Dense(c.style_width, dtype=self.dtype, name=f"style_{i}")(style))

        resolutions = [r for r, _ in c.levels if r <= MAX_WARP]
        points = self.face_points(pyramid, blocks)
        outlines = landmarks.sketch(points[1], after, resolutions[-1]).astype(self.dtype)
        head, start = HeadFlow(name="head"), c.levels[0][0]

        def where(flow: Float[Array, "B R R 4"]) -> tuple[Float[Array, "B R R 2"], Float[Array, "B R R 1"]]:
            grid, share = head(flow, before, after)
            return grid + landmarks.shift(points, (before, after), flow.shape[1]), share

        flow = jnp.zeros((len(style), start, start, len(HeadFlow.step)), jnp.float32)
        x: Array | None = None
        drawn: Array | None = None
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
        painted = nn.sigmoid(out[..., 3:4] - 2.0)  # at initialisation most of the image is the warped source
        return Layers(grid=grid, colour=out[..., :3], alpha=painted, points=points)

    def _flow_change(self, x: Float[Array, "B R R C"], name: str) -> Float[Array, "B R R 4"]:
        """Returns the change of the flow at one level."""
        kernel = nn.initializers.normal(1e-3)
        change = nn.Conv(len(HeadFlow.step), (3, 3), dtype=jnp.float32, kernel_init=kernel, name=name)
        return _row(HeadFlow.step) * change(nn.silu(channel_norm(x)).astype(jnp.float32))


def _row(step: tuple[float, ...]) -> Float[np.ndarray, "1 1 1 4"]:
    return np.array(step, np.float32)[None, None, None]


class HeadFlow(nn.Module):
    """Returns sampling positions and the share of head of each pixel, from a flow and the places of both heads.

    The background stays, the head moves by `rigid.head_flow`, and a residual shift is added to both. The channels of
    the flow are the share of head (logit), the head's depth beyond the ellipsoid (face widths), and that shift (half
    image widths).
    """

    step: ClassVar[tuple[float, ...]] = (2.0, 0.2, 0.1, 0.1)  # the usual size of a change

    @nn.compact
    def __call__(
        self, flow: Float[Array, "B R R 4"], source: rigid.Placement, driving: rigid.Placement
    ) -> tuple[Float[Array, "B R R 2"], Float[Array, "B R R 1"]]:
        axes = jnp.exp(self.param("log_axes", lambda _: jnp.log(jnp.array(rigid.AXES))))
        centre = self.param("centre", lambda _: jnp.array(rigid.CENTRE))
        still = identity_grid(flow.shape[1], flow.shape[2])
        moved, inside = rigid.head_flow(still, source, driving, axes, centre, flow[..., 1])
        share = nn.sigmoid(4.0 * jnp.maximum(inside, -2.0) + flow[..., 0])[..., None]
        grid = still[None] + share * (moved - still[None]) + flow[..., 2:]
        return grid, share
