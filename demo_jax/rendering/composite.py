"""One frame from a photograph's layers: the person, warped once with cubic interpolation, over the plate behind.

The person's layer is premultiplied and holds what the plate lacks: layer + (1 - matte) plate is the photograph,
whatever the matte is worth. So where nothing moves, a frame is the photograph to the byte.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

from demo_jax.pytrees import AnyArray
from demo_jax.rendering.expression import Pair

STEPS = 32  # positions are rounded to this part of a pixel, as OpenCV does, so that both ways give the same
CUBIC = -0.75  # the free parameter of cubic convolution (Keys, IEEE ASSP 29(6), 1981), as OpenCV has it


def composite(
    layer: Float[Array, "h w 4"],
    plate: Float[Array, "h w 3"],
    at: Pair,
    inside: Float[Array, "h w"],
    paint: Float[Array, "h w 3"],
    lashes: Float[Array, "h w"],
    lash_colours: Float[Array, "2 3"],
) -> Float[Array, "h w 4"]:
    """Returns the premultiplied colours of a frame, 0 to 255, over the plate, and its matte, 0 to 1.

    Args:
      layer: the person, premultiplied, and the matte.
      plate: what is behind; zeros for a transparent frame.
      at: where each pixel lies in the layer (`positions` rounded), pixels, centres at whole numbers.
      inside: share of paint.
      paint: its colour.
      lashes: shares of their lines, as in `motion.Painted`.
      lash_colours: of the person's left and right eye.
    """
    moved = cubic(layer, at)
    matte = jnp.clip(moved[..., 3:], 0, 1)
    colour = with_paint(moved[..., :3], matte, inside, paint)
    colour = darkened(colour, matte, lashes, lash_colours)
    return jnp.concatenate([(1 - matte) * plate + colour, matte], -1)


def with_paint(
    colours: Float[AnyArray, "h w 3"],
    matte: Float[AnyArray, "h w 1"],
    share: Float[AnyArray, "h w"],
    paint: Float[AnyArray, "h w 3"],
) -> Float[AnyArray, "h w 3"]:
    """Returns premultiplied colours with a share of paint."""
    share = share[..., None]
    return (1 - share) * colours + share * matte * paint


def darkened(
    colours: Float[AnyArray, "h w 3"],
    matte: Float[AnyArray, "h w 1"],
    lashes: Float[AnyArray, "h w"],
    lash_colours: Float[AnyArray, "2 3"],
) -> Float[AnyArray, "h w 3"]:
    """Returns premultiplied colours with lines of lashes, which are nowhere brighter than what is there."""
    xp = jnp if isinstance(colours, jax.Array) else np
    share = lashes[..., None]
    line = xp.where(share > 0, lash_colours[0][None, None], lash_colours[1][None, None])
    return colours + abs(share) * xp.minimum(matte * line - colours, 0)


def rounded(at: Float[Array, "h w"]) -> Float[Array, "h w"]:
    """Rounds positions in pixels to 1 / STEPS."""
    return jnp.round(at * STEPS) / STEPS


def cubic(image: Float[Array, "H W C"], at: Pair) -> Float[Array, "h w C"]:
    """Samples an image by cubic convolution at positions in pixels; beyond it its edge is repeated."""
    height, width = image.shape[:2]
    base = tuple(jnp.floor(p) for p in at)
    across, down = (_weights(p - b) for p, b in zip(at, base, strict=True))
    x, y = (b.astype(jnp.int32) for b in base)
    flat, result = image.reshape(height * width, -1), jnp.zeros((*x.shape, image.shape[2]), image.dtype)
    for j in range(4):
        row = jnp.clip(y + j - 1, 0, height - 1) * width
        for i in range(4):
            index = row + jnp.clip(x + i - 1, 0, width - 1)
            result += (across[i] * down[j])[..., None] * flat.at[index].get(mode="promise_in_bounds")
    return result


def _weights(t: Float[Array, "h w"]) -> tuple[Float[Array, "h w"], ...]:
    a = CUBIC
    u = 1 - t
    first = ((a * (t + 1) - 5 * a) * (t + 1) + 8 * a) * (t + 1) - 4 * a
    second = ((a + 2) * t - (a + 3)) * t * t + 1
    third = ((a + 2) * u - (a + 3)) * u * u + 1
    return first, second, third, 1 - first - second - third


def enlarging(nodes: Float[np.ndarray, " n"], count: int) -> Float32[np.ndarray, "n {count}"]:
    """The matrix that interpolates `count` evenly spaced values at fractional indices (Catmull and Rom, 1974)."""
    base = np.clip(np.floor(nodes).astype(int), 0, count - 2)
    t = np.clip(nodes, 0, count - 1) - base
    weights = (
        -0.5 * t + t * t - 0.5 * t**3, 1 - 2.5 * t * t + 1.5 * t**3,
        0.5 * t + 2 * t * t - 1.5 * t**3, -0.5 * t * t + 0.5 * t**3,
    )  # fmt: skip
    matrix = np.zeros((len(nodes), count), np.float32)
    for k, weight in enumerate(weights):
        np.add.at(matrix, (np.arange(len(nodes)), np.clip(base + k - 1, 0, count - 1)), weight)
    return matrix
