"""A small network that separates a person, and the head, from the background.

A U-Net of separable residual blocks. Depthwise convolutions are sums of shifted images: XLA's grouped convolutions take
a CPU several times as long. The full resolution exists only as channels of half of it.
"""

from __future__ import annotations

from typing import TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, PyTree, UInt8

from demo_jax.models.layers import channel_norm, depth_to_space, space_to_depth, upsample_bilinear

SIZE = 128  # px: the input's side
WIDTHS = (8, 32, 64, 96)  # channels at a half, a quarter, an eighth and a sixteenth of the size
BLOCKS = (1, 2, 2, 3)  # of the way down; the way up has one a level

Params: TypeAlias = PyTree


class MatteNetwork(nn.Module):
    """Predicts logits of two mattes for images in -1..1: person, and the head's share of the person."""

    @nn.compact
    def __call__(self, images: Float[Array, "B S S 3"]) -> Float[Array, "B S S 2"]:
        x = nn.Dense(WIDTHS[0], name="stem")(space_to_depth(images))
        levels = []
        for i, (width, blocks) in enumerate(zip(WIDTHS, BLOCKS, strict=True)):
            if i:
                levels.append(x)
                x = nn.Dense(width, name=f"down_{i}")(space_to_depth(x))
            for j in range(blocks):
                x = SeparableBlock(name=f"block_{i}_{j}")(x)
        everywhere = nn.silu(nn.Dense(WIDTHS[-1], name="pool")(x.mean((1, 2), keepdims=True)))
        x = x + nn.Dense(WIDTHS[-1], name="context")(everywhere)
        for i in reversed(range(len(levels))):
            x = upsample_bilinear(nn.Dense(WIDTHS[i], name=f"up_{i}")(x)) + levels[i]
            x = SeparableBlock(name=f"merge_{i}")(x)
        return depth_to_space(nn.Dense(2 * 4, name="out")(nn.silu(channel_norm(x))))


class SeparableBlock(nn.Module):
    """A residual block: depthwise 3 x 3 convolution, norm, SiLU, dense layer."""

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        kernel = self.param("kernel", nn.initializers.normal(0.3), (3, 3, x.shape[-1]))
        h = nn.silu(channel_norm(depthwise(x, kernel)))
        return x + nn.Dense(x.shape[-1])(h)


def depthwise(x: Float[Array, "B H W C"], kernel: Float[Array, "3 3 C"]) -> Float[Array, "B H W C"]:
    """Convolves each channel with its own kernel, zeros outside."""
    height, width = x.shape[1:3]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows = (
        padded[:, i : i + height, j : j + width] * kernel[i, j][None, None, None] for i in range(3) for j in range(3)
    )
    return jax.tree.reduce(jnp.add, tuple(rows))


def initial(key: Array) -> Params:
    """Returns random parameters."""
    return MatteNetwork().init(key, jnp.zeros((1, SIZE, SIZE, 3)))["params"]


def logits(params: Params, images: Float[Array, "B S S 3"]) -> Float[Array, "B S S 2"]:
    """Applies the network: person, and the head's share of the person."""
    return MatteNetwork().apply({"params": params}, images)


def as_input(image: UInt8[np.ndarray, "*B S S 3"] | Float32[np.ndarray, "*B S S 3"]) -> Float32[np.ndarray, "*B S S 3"]:
    """Bytes, 0..255, -> -1..1."""
    return image.astype(np.float32) / np.float32(127.5) - 1
