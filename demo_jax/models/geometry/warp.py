"""Backward warping by bilinear sampling, with a gradient written by hand.

XLA differentiates a gather into a scatter and keeps every corner alive; the rule here recomputes the corners, takes the
flow's gradient from gathers alone, and scatters only where the gradient of the warped image is needed (XLA drops it
when the image is data, as in the RGB warp).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def identity_grid(height: int, width: int) -> Float[Array, "{height} {width} 2"]:
    """Returns the pixel centres (x, y) of an image in -1..1, x right, y down."""
    y = (jnp.arange(height, dtype=jnp.float32) + 0.5) * 2 / height - 1
    x = (jnp.arange(width, dtype=jnp.float32) + 0.5) * 2 / width - 1
    return jnp.stack(jnp.meshgrid(x, y, indexing="xy"), -1)


def _corners(grid: Float[Array, "B H W 2"], height: int, width: int) -> tuple[Array, ...]:
    """Returns four row indices [B, P] into a flat image, fractions fx, fy [B, P, 1], and whether x, y lie inside."""
    grid = grid.reshape(grid.shape[0], -1, 2).astype(jnp.float32)  # bf16 cannot hold a pixel position at 512 px
    x = (grid[..., 0] + 1) * (width / 2) - 0.5
    y = (grid[..., 1] + 1) * (height / 2) - 0.5
    inside = ((x >= 0) & (x <= width - 1), (y >= 0) & (y <= height - 1))
    x, y = jnp.clip(x, 0, width - 1), jnp.clip(y, 0, height - 1)
    x0, y0 = jnp.floor(x), jnp.floor(y)
    fx, fy = (x - x0)[..., None], (y - y0)[..., None]
    x0i, y0i = x0.astype(jnp.int32), y0.astype(jnp.int32)
    x1i, y1i = jnp.minimum(x0i + 1, width - 1), jnp.minimum(y0i + 1, height - 1)
    top, bottom = y0i * width, y1i * width
    return top + x0i, top + x1i, bottom + x0i, bottom + x1i, fx, fy, *inside


@jax.jit
def _gather(flat: Float[Array, "B pixels C"], index: Int[Array, "B P"]) -> Float[Array, "B P C"]:
    return jax.vmap(lambda rows, i: rows.at[i].get(mode="promise_in_bounds"))(flat, index)


@jax.custom_vjp
def warp(image: Float[Array, "B H W C"], grid: Float[Array, "B rows columns 2"]) -> Float[Array, "B rows columns C"]:
    """Samples `image` at `grid`; positions outside are clamped to the border.

    Args:
      image: of any float dtype.
      grid: sampling positions (x, y), -1..1 between the edges of the image (`identity_grid` changes nothing).

    Returns:
      The samples, in image's dtype.
    """
    return _forward(image, grid)[0]


def _forward(
    image: Float[Array, "B H W C"], grid: Float[Array, "B rows columns 2"]
) -> tuple[Float[Array, "B rows columns C"], tuple[Array, Array]]:
    batch, height, width, channels = image.shape
    i00, i01, i10, i11, fx, fy, *_ = _corners(grid, height, width)
    flat = image.reshape(batch, height * width, channels)
    fx, fy = fx.astype(image.dtype), fy.astype(image.dtype)
    top = _gather(flat, i00) * (1 - fx) + _gather(flat, i01) * fx
    bottom = _gather(flat, i10) * (1 - fx) + _gather(flat, i11) * fx
    out = top * (1 - fy) + bottom * fy
    return out.reshape(*grid.shape[:3], channels), (image, grid)


def _backward(
    saved: tuple[Float[Array, "B H W C"], Float[Array, "B rows columns 2"]], out: Float[Array, "B rows columns C"]
) -> tuple[Float[Array, "B H W C"], Float[Array, "B rows columns 2"]]:
    image, grid = saved
    batch, height, width, channels = image.shape
    i00, i01, i10, i11, fx, fy, inside_x, inside_y = _corners(grid, height, width)
    flat = image.reshape(batch, height * width, channels).astype(jnp.float32)
    out = out.reshape(batch, -1, channels).astype(jnp.float32)

    # d out / d grid needs only the inner products of the four corners with the incoming gradient.
    p00, p01, p10, p11 = (jnp.sum(_gather(flat, i) * out, -1) for i in (i00, i01, i10, i11))
    gx, gy = fx[..., 0], fy[..., 0]
    d_x = ((p01 - p00) * (1 - gy) + (p11 - p10) * gy) * inside_x * (width / 2)
    d_y = ((p10 - p00) * (1 - gx) + (p11 - p01) * gx) * inside_y * (height / 2)
    d_grid = jnp.stack([d_x, d_y], -1).reshape(grid.shape).astype(grid.dtype)

    index = jnp.concatenate([i00, i01, i10, i11], 1)
    weights = ((1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx)
    updates = jnp.concatenate([out * w for w in weights], 1)
    scatter = jax.vmap(lambda rows, i, u: rows.at[i].add(u, mode="promise_in_bounds"))
    d_image = scatter(jnp.zeros_like(flat), index, updates)
    return d_image.reshape(image.shape).astype(image.dtype), d_grid


warp.defvjp(_forward, _backward)
