"""How far one picture is from another: region-weighted L1, multi-scale structure, and PSNR for reports."""

from __future__ import annotations

import jax
import jax.numpy as jnp

SSIM_WINDOW = 8  # px, uniform, moved by half of itself: enough for a loss and far cheaper than a dense Gaussian
_C1, _C2 = 0.01**2, 0.03**2  # Wang et al. 2004, for a range of 1


def _average_down(x: jax.Array, factor: int = 2) -> jax.Array:
    """[B, H, W, C] -> [B, H/f, W/f, C], the mean of f x f pixels."""
    b, h, w, c = x.shape
    return x.reshape(b, h // factor, factor, w // factor, factor, c).mean((2, 4))


def box_mask(boxes: jax.Array, size: int) -> jax.Array:
    """Boxes [B, n, 4] (x0 y0 x1 y1 in pixels, y down) -> [B, S, S, 1] float32, 1 inside any of them."""
    centre = jnp.arange(size, dtype=jnp.float32)[None, None] + 0.5
    across = (centre >= boxes[..., 0, None]) & (centre <= boxes[..., 2, None])
    down = (centre >= boxes[..., 1, None]) & (centre <= boxes[..., 3, None])
    return jnp.any(down[..., :, None] & across[..., None, :], 1)[..., None].astype(jnp.float32)


def weighted_l1(image: jax.Array, truth: jax.Array, weight: jax.Array) -> jax.Array:
    """Mean absolute difference [B] of pictures [B, S, S, 3] in -1..1, pixels weighted by [B, S, S, 1]."""
    total = jnp.sum(jnp.abs(image - truth) * weight, (1, 2, 3))
    return total / (3 * jnp.sum(weight, (1, 2, 3)))


def ssim(image: jax.Array, truth: jax.Array) -> jax.Array:
    """Structural similarity [B] of pictures [B, S, S, C] in 0..1 (Wang et al. 2004), in uniform windows."""

    def mean(x: jax.Array) -> jax.Array:
        """Over windows that overlap by half: two by two quarters each."""
        q = _average_down(x, SSIM_WINDOW // 2)
        return (q[:, 1:, 1:] + q[:, 1:, :-1] + q[:, :-1, 1:] + q[:, :-1, :-1]) / 4

    mu, nu = mean(image), mean(truth)
    var_x, var_y = mean(image * image) - mu * mu, mean(truth * truth) - nu * nu
    cov = mean(image * truth) - mu * nu
    value = ((2 * mu * nu + _C1) * (2 * cov + _C2)) / ((mu * mu + nu * nu + _C1) * (var_x + var_y + _C2))
    return jnp.mean(value, (1, 2, 3))


def multiscale_structure(image: jax.Array, truth: jax.Array, scales: int = 3) -> jax.Array:
    """1 - SSIM, averaged over `scales` halvings; pictures [B, S, S, 3] in -1..1 -> [B]."""
    a, b = (image + 1) / 2, (truth + 1) / 2
    total = jnp.zeros(image.shape[0])
    for i in range(scales):
        if i:
            a, b = _average_down(a), _average_down(b)
        total += 1 - ssim(a, b)
    return total / scales


def gradient_l1(image: jax.Array, truth: jax.Array, weight: jax.Array, scales: int = 3) -> jax.Array:
    """Mean absolute difference of the horizontal and vertical gradients, averaged over `scales` halvings: [B].

    Pictures [B, S, S, C], pixels weighted by [B, S, S, 1]. A blurred edge costs it what an L1 forgives.
    """
    error = image - truth
    total = jnp.zeros(image.shape[0])
    for i in range(scales):
        if i:
            error, weight = _average_down(error), _average_down(weight)
        for axis in (1, 2):
            both = jax.lax.slice_in_dim(weight, 1, None, axis=axis) + jax.lax.slice_in_dim(weight, 0, -1, axis=axis)
            steep = jnp.sum(jnp.abs(jnp.diff(error, axis=axis)) * both, (1, 2, 3))
            total += steep / (image.shape[-1] * jnp.sum(both, (1, 2, 3))) / 2
    return total / scales


def image_loss(
    image: jax.Array, truth: jax.Array, boxes: jax.Array, *, region: float, structure: float, sharpness: float
) -> jax.Array:
    """L1 plus sharpness x gradient L1, both with mouth and eye boxes [B, n, 4] weighted 1 + region, plus structure x
    (1 - SSIM): [B]."""
    weight = 1 + region * box_mask(boxes, image.shape[1])
    total = weighted_l1(image, truth, weight)
    if structure:
        total += structure * multiscale_structure(image, truth)
    if sharpness:
        total += sharpness * gradient_l1(image, truth, weight)
    return total


def psnr(image: jax.Array, truth: jax.Array, weight: jax.Array | None = None) -> jax.Array:
    """Peak signal-to-noise ratio [B] in dB of pictures [B, S, S, 3] in -1..1, optionally within a mask [B, S, S, 1].

    Pictures are clipped to the range first, as they are when written.
    """
    error = jnp.square((jnp.clip(image, -1, 1) - jnp.clip(truth, -1, 1)) / 2)
    weight = jnp.ones_like(error[..., :1]) if weight is None else weight
    mse = jnp.sum(error * weight, (1, 2, 3)) / (3 * jnp.maximum(jnp.sum(weight, (1, 2, 3)), 1))
    return -10 * jnp.log10(jnp.maximum(mse, 1e-10))
