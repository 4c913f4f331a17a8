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
from jaxtyping import Array, Float

Dtype = Any  # a name or a type, as jnp.dtype takes it


@jax.jit  # traced once for each shape, not for each of its many calls
def channel_norm(x: Float[Array, "*axes C"], epsilon: float = 1e-6) -> Float[Array, "*axes C"]:
    """Divides by the root mean square along C, without parameters: a modulated or affine layer always follows."""
    square = jnp.mean(jnp.square(x.astype(jnp.float32)), -1, keepdims=True)  # bf16 squares lose the small channels
    return (x * jax.lax.rsqrt(square + epsilon)).astype(x.dtype)


def space_to_depth(
    x: Float[Array, "B H W C"], factor: int = 2
) -> Float[Array, "B H//{factor} W//{factor} {factor}*{factor}*C"]:
    """Moves every factor x factor pixels into channels."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // factor, factor, w // factor, factor, c)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, h // factor, w // factor, factor * factor * c)


def depth_to_space(
    x: Float[Array, "B H W C"], factor: int = 2
) -> Float[Array, "B {factor}*H {factor}*W C//({factor}*{factor})"]:
    """Moves channels into factor x factor pixels; the inverse of space_to_depth."""
    b, h, w, c = x.shape
    x = x.reshape(b, h, w, factor, factor, c // (factor * factor))
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, h * factor, w * factor, c // (factor * factor))


def upsample_nearest(x: Float[Array, "B H W C"]) -> Float[Array, "B 2*H 2*W C"]:
    """Repeats every pixel; the convolution that follows smooths the result."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


def upsample_bilinear(x: Float[Array, "B H W C"]) -> Float[Array, "B 2*H 2*W C"]:
    """Doubles the size of flows, which must stay smooth.

    It equals `jax.image.resize`, which takes two products with matrices of zeros and four numbers a row.
    """
    for axis in (1, 2):
        size = x.shape[axis]
        first, last = (jax.lax.slice_in_dim(x, i, i + 1, axis=axis) for i in (0, size - 1))
        before = jnp.concatenate([first, jax.lax.slice_in_dim(x, 0, size - 1, axis=axis)], axis)
        after = jnp.concatenate([jax.lax.slice_in_dim(x, 1, size, axis=axis), last], axis)
        x = jnp.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1)
        x = x.reshape(*x.shape[:axis], 2 * size, *x.shape[axis + 2 :])
    return x


class ConvBlock(nn.Module):
    """A residual block: norm, SiLU, 3x3 convolution, twice."""

    channels: int
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W {self.channels}"]:
        h = nn.Conv(self.channels, (3, 3), dtype=self.dtype)(nn.silu(channel_norm(x)))
        h = nn.Conv(self.channels, (3, 3), dtype=self.dtype)(nn.silu(channel_norm(h)))
        skip = x if x.shape[-1] == self.channels else nn.Dense(self.channels, dtype=self.dtype)(x)
        return skip + h


class ModulatedBlock(nn.Module):
    """A ConvBlock whose activations, not its kernels, are scaled and shifted: by a style, the same for all pixels, and
    by a map, pixel by pixel, if there is one (spatially adaptive normalisation, Park et al. 2019).

    With `doubles` it is the block of the doubled input (upsample_nearest): operations on single pixels come before the
    doubling.
    """

    channels: int
    doubles: bool = False
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B H W C"],
        style: Float[Array, "B style"],
        drawn: Float[Array, "B H W maps"] | None = None,
    ) -> Float[Array, "B _ _ {self.channels}"]:
        """Returns [B, H, W, channels], or [B, 2 H, 2 W, channels] with `doubles`."""

        def modulate(h: Float[Array, "B _ _ C"]) -> Float[Array, "B _ _ C"]:
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
    """nn.Conv(channels, (3, 3)) after upsample_nearest, with the same parameters and four ninths of the work.

    The 3 x 3 neighbours of a doubled pixel are only 2 x 2 pixels, whose kernel entries are added up. All pixels are one
    product; as convolutions their gradients take XLA ten times as long on a CPU.
    """

    channels: int
    dtype: Dtype = jnp.float32
    # For an even and for an odd row: which of the kernel's three rows fall on each of the two rows. So for columns.
    folds: ClassVar[np.ndarray] = np.array([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]], np.float32)

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B 2*H 2*W {self.channels}"]:
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
    """Scales and shifts x by a linear function of a map, which is zero at initialisation."""

    channels: int
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], drawn: Float[Array, "B H W maps"]) -> Float[Array, "B H W C"]:
        zeros = nn.initializers.zeros
        change = nn.Dense(2 * self.channels, dtype=self.dtype, kernel_init=zeros, name="map")(drawn)
        scale, shift = jnp.split(change, 2, -1)
        return x * (1 + scale) + shift


def rotary(x: Float[Array, "B T heads width"], base: float = 1000.0) -> Float[Array, "B T heads width"]:
    """Applies rotary positions (Su et al. 2021) to queries or keys; the position is the index along T."""
    half = x.shape[-1] // 2
    frequency = base ** (-jnp.arange(half, dtype=jnp.float32) / half)
    angle = (jnp.arange(x.shape[1], dtype=jnp.float32)[:, None] * frequency[None])[None, :, None]
    a, b = x[..., :half].astype(jnp.float32), x[..., half:].astype(jnp.float32)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], -1).astype(x.dtype)


def fourier_features(x: Float[Array, "*axes"], width: int, period: float) -> Float[Array, "*axes {width}"]:
    """Returns sines and cosines of x with periods from `period` down to period / 1000."""
    frequency = 2 * jnp.pi / period * 1000.0 ** jnp.linspace(0, 1, width // 2)
    angle = x[..., None].astype(jnp.float32) * frequency.reshape((1,) * x.ndim + (-1,))
    return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], -1)


_portable = contextvars.ContextVar("portable", default=False)


@contextlib.contextmanager
def portable() -> Iterator[None]:
    """A context for tracing exported programs: in it cuDNN is not used, which only one kind of device can run."""
    token = _portable.set(True)
    try:
        yield
    finally:
        _portable.reset(token)


def attention_implementation(dtype: Dtype, tokens: int, head: int) -> str | None:
    """Returns the implementation for jax.nn.dot_product_attention, of heads `head` wide.

    It is cuDNN's fused kernel on GPUs where that takes such arrays with a mask and has a gradient (half precision, an
    even number of tokens, heads of a multiple of 8 up to 128), else None, which means XLA.
    """
    if _portable.get():
        return None
    fits = jnp.dtype(dtype).itemsize == 2 and tokens % 2 == 0 and head % 8 == 0 and head <= 128
    return "cudnn" if fits and jax.default_backend() == "gpu" else None
