"""Layers shared by the networks: channel norm, modulated convolution block, changes of size, rotary positions."""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Iterator
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

Dtype = Any


def channel_norm(x: jax.Array, epsilon: float = 1e-6) -> jax.Array:
    """x [..., C] over its root mean square along C, without parameters: what follows is always modulated or affine."""
    square = jnp.mean(jnp.square(x.astype(jnp.float32)), -1, keepdims=True)  # bf16 squares lose the small channels
    return (x * jax.lax.rsqrt(square + epsilon)).astype(x.dtype)


def space_to_depth(x: jax.Array, factor: int = 2) -> jax.Array:
    """[B, H, W, C] -> [B, H/f, W/f, f*f*C]."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // factor, factor, w // factor, factor, c)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, h // factor, w // factor, factor * factor * c)


def depth_to_space(x: jax.Array, factor: int = 2) -> jax.Array:
    """[B, H, W, f*f*C] -> [B, f*H, f*W, C]; the inverse of space_to_depth."""
    b, h, w, c = x.shape
    x = x.reshape(b, h, w, factor, factor, c // (factor * factor))
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, h * factor, w * factor, c // (factor * factor))


def upsample_nearest(x: jax.Array) -> jax.Array:
    """[B, H, W, C] -> [B, 2H, 2W, C]; the convolution that follows smooths it."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


def upsample_bilinear(x: jax.Array) -> jax.Array:
    """[B, H, W, C] -> [B, 2H, 2W, C], for flows, which must stay smooth: `jax.image.resize`, which is two products with
    matrices of zeros and four numbers a row, without the zeros."""
    for axis in (1, 2):
        size = x.shape[axis]
        first, last = (jax.lax.slice_in_dim(x, i, i + 1, axis=axis) for i in (0, size - 1))
        before = jnp.concatenate([first, jax.lax.slice_in_dim(x, 0, size - 1, axis=axis)], axis)
        after = jnp.concatenate([jax.lax.slice_in_dim(x, 1, size, axis=axis), last], axis)
        x = jnp.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1)
        x = x.reshape(*x.shape[:axis], 2 * size, *x.shape[axis + 2 :])
    return x


class ConvBlock(nn.Module):
    """Residual block [B, H, W, C] -> [B, H, W, channels]: norm, SiLU, 3x3 convolution, twice."""

    channels: int
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        h = nn.Conv(self.channels, (3, 3), dtype=self.dtype)(nn.silu(channel_norm(x)))
        h = nn.Conv(self.channels, (3, 3), dtype=self.dtype)(nn.silu(channel_norm(h)))
        skip = x if x.shape[-1] == self.channels else nn.Dense(self.channels, dtype=self.dtype)(x)
        return skip + h


class ModulatedBlock(nn.Module):
    """A ConvBlock whose activations, not its kernels, are scaled and shifted: by a style [B, S], everywhere alike, and
    by a map [B, H, W, M], pixel by pixel, if there is one (spatially adaptive normalisation, Park et al. 2019).

    With `doubles` it is the block of the doubled input (upsample_nearest), [B, H, W, C] -> [B, 2H, 2W, channels]: what
    looks at single pixels is done before they are doubled."""

    channels: int
    doubles: bool = False
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, style: jax.Array, drawn: jax.Array | None = None) -> jax.Array:
        def modulate(h: jax.Array) -> jax.Array:
            scale, shift = jnp.split(nn.Dense(2 * h.shape[-1], dtype=self.dtype)(style)[:, None, None], 2, -1)
            h = channel_norm(h)
            h = h * (1 + scale) + shift
            return nn.silu(h if drawn is None else MapModulation(h.shape[-1], dtype=self.dtype)(h, drawn))

        first = DoublingConv if self.doubles else functools.partial(nn.Conv, kernel_size=(3, 3))
        h = first(self.channels, dtype=self.dtype, name="Conv_0")(modulate(x))
        h = nn.Conv(self.channels, (3, 3), dtype=self.dtype, name="Conv_1")(modulate(h))
        skip = x if x.shape[-1] == self.channels else nn.Dense(self.channels, dtype=self.dtype)(x)
        return (upsample_nearest(skip) if self.doubles else skip) + h


class DoublingConv(nn.Module):
    """nn.Conv(channels, (3, 3)) after upsample_nearest, [B, H, W, C] -> [B, 2H, 2W, channels], with its parameters and
    four ninths of its work: a doubled pixel's 3 x 3 neighbours are only 2 x 2 pixels, whose kernel entries are added
    up. One product of these for all pixels; as convolutions their gradients take XLA ten times as long on a CPU."""

    channels: int
    dtype: Dtype = jnp.float32
    # Of an even and of an odd row: which of the kernel's three rows fall on each of the two rows. Columns alike.
    folds: ClassVar[np.ndarray] = np.array([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]], np.float32)

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        b, h, w, c = x.shape
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (3, 3, c, self.channels))
        bias = self.param("bias", nn.initializers.zeros, (self.channels,))
        folded = jnp.einsum("pik,qjl,klcd->ijcpqd", self.folds, self.folds, kernel).reshape(4 * c, -1)
        padded = jnp.pad(x.astype(self.dtype), ((0, 0), (1, 1), (1, 1), (0, 0)))
        corners = jnp.concatenate([padded[:, i : i + h + 1, j : j + w + 1] for i in range(2) for j in range(2)], -1)
        y = (corners @ folded.astype(self.dtype)).reshape(b, h + 1, w + 1, 2, 2, self.channels)
        rows = jnp.stack([y[:, :h, :, 0], y[:, 1:, :, 1]], 2)
        y = jnp.stack([rows[:, :, :, :w, 0], rows[:, :, :, 1:, 1]], 4)
        return y.reshape(b, 2 * h, 2 * w, self.channels) + bias.astype(self.dtype)[None, None, None]


class MapModulation(nn.Module):
    """x [B, H, W, C] scaled and shifted by a linear function of a map [B, H, W, M]; nothing at first."""

    channels: int
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, drawn: jax.Array) -> jax.Array:
        zeros = nn.initializers.zeros
        change = nn.Dense(2 * self.channels, dtype=self.dtype, kernel_init=zeros, name="map")(drawn)
        scale, shift = jnp.split(change, 2, -1)
        return x * (1 + scale) + shift


def rotary(x: jax.Array, base: float = 1000.0) -> jax.Array:
    """Rotary positions (Su et al. 2021) on queries or keys [B, T, heads, width], position = index along T."""
    half = x.shape[-1] // 2
    frequency = base ** (-jnp.arange(half, dtype=jnp.float32) / half)
    angle = (jnp.arange(x.shape[1], dtype=jnp.float32)[:, None] * frequency[None])[None, :, None]
    a, b = x[..., :half].astype(jnp.float32), x[..., half:].astype(jnp.float32)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], -1).astype(x.dtype)


def fourier_features(x: jax.Array, width: int, period: float) -> jax.Array:
    """x [...] float32 -> sines and cosines [..., width] with periods from `period` down to period / 1000."""
    frequency = 2 * jnp.pi / period * 1000.0 ** jnp.linspace(0, 1, width // 2)
    angle = x[..., None].astype(jnp.float32) * frequency.reshape((1,) * x.ndim + (-1,))
    return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], -1)


_portable = contextvars.ContextVar("portable", default=False)


@contextlib.contextmanager
def portable() -> Iterator[None]:
    """Within it nothing is traced that one kind of device alone can run: what is exported must not know cuDNN."""
    token = _portable.set(True)
    try:
        yield
    finally:
        _portable.reset(token)


def attention_implementation(dtype: Dtype, tokens: int, head: int) -> str | None:
    """For jax.nn.dot_product_attention of heads `head` wide: cuDNN's fused kernel on GPUs where it takes such arrays
    with a mask and has a gradient (half precision, an even number of tokens, heads of a multiple of 8 up to 128); or
    XLA."""
    if _portable.get():
        return None
    fits = jnp.dtype(dtype).itemsize == 2 and tokens % 2 == 0 and head % 8 == 0 and head <= 128
    return "cudnn" if fits and jax.default_backend() == "gpu" else None
