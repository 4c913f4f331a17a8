"""Distances between images: region-weighted L1, multi-scale structure, landmarks, and PSNR for reports."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

SSIM_WINDOW = 8  # px, uniform, moved by half of itself: enough for a loss and far cheaper than a dense Gaussian
_C1, _C2 = 0.01**2, 0.03**2  # Wang et al. 2004, for a range of 1


def _average_down(x: Float[Array, "B H W C"], factor: int = 2) -> Float[Array, "B H//{factor} W//{factor} C"]:
    """Returns the mean of every factor x factor pixels."""
    b, h, w, c = x.shape
    return x.reshape(b, h // factor, factor, w // factor, factor, c).mean((2, 4))


def box_mask(boxes: Float[Array, "B boxes 4"], size: int) -> Float[Array, "B {size} {size} 1"]:
    """Returns 1 inside any of the boxes (x0 y0 x1 y1 in pixels, y down), else 0."""
    centre = jnp.arange(size, dtype=jnp.float32)[None, None] + 0.5
    across = (centre >= boxes[..., 0, None]) & (centre <= boxes[..., 2, None])
    down = (centre >= boxes[..., 1, None]) & (centre <= boxes[..., 3, None])
    return jnp.any(down[..., :, None] & across[..., None, :], 1)[..., None].astype(jnp.float32)


def weighted_l1(
    image: Float[Array, "B S S 3"], truth: Float[Array, "B S S 3"], weight: Float[Array, "B S S 1"]
) -> Float[Array, " B"]:
    """Returns the mean absolute difference of images in -1..1, pixels weighted by `weight`."""
    total = jnp.sum(jnp.abs(image - truth) * weight, (1, 2, 3))
    return total / (3 * jnp.sum(weight, (1, 2, 3)))


def ssim(image: Float[Array, "B S S C"], truth: Float[Array, "B S S C"]) -> Float[Array, " B"]:
    """Returns the structural similarity of images in 0..1 (Wang et al. 2004), in uniform windows."""

    def mean(x: Float[Array, "B S S C"]) -> Float[Array, "B windows windows C"]:
        """Returns means over windows that overlap by half: two by two quarters each."""
        q = _average_down(x, SSIM_WINDOW // 2)
        return (q[:, 1:, 1:] + q[:, 1:, :-1] + q[:, :-1, 1:] + q[:, :-1, :-1]) / 4

    mu, nu = mean(image), mean(truth)
    var_x, var_y = mean(image * image) - mu * mu, mean(truth * truth) - nu * nu
    cov = mean(image * truth) - mu * nu
    value = ((2 * mu * nu + _C1) * (2 * cov + _C2)) / ((mu * mu + nu * nu + _C1) * (var_x + var_y + _C2))
    return jnp.mean(value, (1, 2, 3))


def multiscale_structure(
    image: Float[Array, "B S S 3"], truth: Float[Array, "B S S 3"], scales: int = 3
) -> Float[Array, " B"]:
    """Returns 1 - SSIM of images in -1..1, averaged over `scales` halvings."""
    a, b = (image + 1) / 2, (truth + 1) / 2
    total = jnp.zeros(image.shape[0])
    for i in range(scales):
        if i:
            a, b = _average_down(a), _average_down(b)
        total += 1 - ssim(a, b)
    return total / scales


def gradient_l1(
    image: Float[Array, "B S S C"], truth: Float[Array, "B S S C"], weight: Float[Array, "B S S 1"], scales: int = 3
) -> Float[Array, " B"]:
    """Returns the mean absolute difference of horizontal and vertical gradients, averaged over `scales` halvings.

    Pixels are weighted by `weight`. It penalises blurred edges, which an L1 tolerates.
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
    image: Float[Array, "B S S 3"],
    truth: Float[Array, "B S S 3"],
    boxes: Float[Array, "B boxes 4"],
    *,
    region: float,
    structure: float,
    sharpness: float,
) -> Float[Array, " B"]:
    """Returns L1 + sharpness x gradient L1 + structure x (1 - SSIM) of images in -1..1.

    Pixels inside `boxes` (mouth and eyes; see `box_mask`) are weighted 1 + region in both L1 terms.
    """
    weight = 1 + region * box_mask(boxes, image.shape[1])
    total = weighted_l1(image, truth, weight)
    if structure:
        total += structure * multiscale_structure(image, truth)
    if sharpness:
        total += sharpness * gradient_l1(image, truth, weight)
    return total


def trusted(
    images: Float[Array, "B S S 3"], target: Float[Array, "B S S 3"], trust: Float[Array, "B cells cells"]
) -> Float[Array, "B S S 3"]:
    """Returns decoded images that are the target where it cannot be trusted, so that no loss asks for it there.

    Args:
      images: decoded.
      target: true images.
      trust: 0-1, in equal cells.
    """
    cell = images.shape[1] // trust.shape[1]
    share = jnp.repeat(jnp.repeat(trust, cell, 1), cell, 2)[..., None]
    return share * images + (1 - share) * target


def landmark_error(found: Float[Array, "B 2 68 2"], truth: Float[Array, "B 2 68 2"], size: int) -> Float[Array, ""]:
    """Returns the mean distance between landmarks in hundredths of the image.

    Args:
      found: landmarks of the decoder, in -1..1.
      truth: in pixels of an image of `size`; NaN where not known, and these do not count.
      size: width of the image, pixels.
    """
    target = truth * (2 / size) - 1
    known = jnp.isfinite(target)
    squares = jnp.sum(jnp.where(known, jnp.square(found - jnp.nan_to_num(target)), 0.0), -1)
    known = jnp.all(known, -1)
    return 50 * jnp.sum(jnp.sqrt(squares + 1e-8) * known) / jnp.maximum(jnp.sum(known), 1)


def psnr(
    image: Float[Array, "B S S 3"], truth: Float[Array, "B S S 3"], weight: Float[Array, "B S S 1"] | None = None
) -> Float[Array, " B"]:
    """Returns the peak signal-to-noise ratio in dB of images in -1..1, optionally within the mask `weight`.

    Images are clipped to the range first, as they are when written.
    """
    error = jnp.square((jnp.clip(image, -1, 1) - jnp.clip(truth, -1, 1)) / 2)
    weight = jnp.ones_like(error[..., :1]) if weight is None else weight
    mse = jnp.sum(error * weight, (1, 2, 3)) / (3 * jnp.maximum(jnp.sum(weight, (1, 2, 3)), 1))
    return -10 * jnp.log10(jnp.maximum(mse, 1e-10))
