"""Layers shared by the networks: channel norm, modulated convolution block, changes of size, rotary positions."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

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
    """[B, H, W, C] -> [B, 2H, 2W, C], for flows, which must stay smooth."""
    b, h, w, c = x.shape
    return jax.image.resize(x, (b, 2 * h, 2 * w, c), "bilinear")


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
    by a map [B, H, W, M], pixel by pixel, if there is one (spatially adaptive normalisation, Park et al. 2019)."""

    channels: int
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, style: jax.Array, drawn: jax.Array | None = None) -> jax.Array:
        def modulate(h: jax.Array) -> jax.Array:
            scale, shift = jnp.split(nn.Dense(2 * h.shape[-1], dtype=self.dtype)(style)[:, None, None], 2, -1)
            h = channel_norm(h)
            h = h * (1 + scale) + shift
            return nn.silu(h if drawn is None else MapModulation(h.shape[-1], dtype=self.dtype)(h, drawn))

        h = nn.Conv(self.channels, (3, 3), dtype=self.dtype)(modulate(x))
        h = nn.Conv(self.channels, (3, 3), dtype=self.dtype)(modulate(h))
        skip = x if x.shape[-1] == self.channels else nn.Dense(self.channels, dtype=self.dtype)(x)
        return skip + h


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


def attention_implementation(dtype: Dtype) -> str | None:
    """For jax.nn.dot_product_attention: cuDNN's fused kernel on GPUs in half precision (it takes no other); or XLA."""
    return "cudnn" if jax.default_backend() == "gpu" and jnp.dtype(dtype).itemsize == 2 else None
