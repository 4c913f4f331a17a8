"""The guided filter (He, Sun, Tang: Guided image filtering, IEEE TPAMI 35(6), 2013), with a colour image as guide.

In every window the result is a linear function of the guide's colours, q = a . I + b, fitted to the input p; the
functions of all windows over a pixel are averaged. Edges of q lie where the guide has edges. The functions are smooth,
so they may be fitted on a reduced image, enlarged, and applied to the full one (He, Sun: Fast guided filter, 2015).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32


def coefficients(
    guide: Float32[np.ndarray, "H W 3"], values: Float32[np.ndarray, "H W"], radius: int, epsilon: float
) -> Float32[np.ndarray, "H W 4"]:
    """Returns the averaged functions: a (three numbers) and b of each pixel, so that q = a . I + b.

    Args:
      guide: colours, 0..1.
      values: the input p.
      radius: windows are squares of 2 radius + 1 pixels; the image is mirrored at its edges.
      epsilon: variance of colours below which an edge of the guide is ignored.
    """
    mean, mean_values = _box(guide, radius), _box(values, radius)
    # Equations 19 and 20: a = (covariance of I + epsilon)^-1 covariance of I and p. The inverse of a symmetric 3 x 3
    # matrix is written out by cofactors.
    r, g, b = np.moveaxis(guide, -1, 0)
    mr, mg, mb = np.moveaxis(mean, -1, 0)
    rr, gg, bb = (_box(x * x, radius) - m * m + epsilon for x, m in ((r, mr), (g, mg), (b, mb)))
    rg, rb, gb = (_box(x * y, radius) - m * n for x, y, m, n in ((r, g, mr, mg), (r, b, mr, mb), (g, b, mg, mb)))
    pr, pg, pb = (_box(x * values, radius) - m * mean_values for x, m in ((r, mr), (g, mg), (b, mb)))
    c_rr, c_gg, c_bb = gg * bb - gb * gb, rr * bb - rb * rb, rr * gg - rg * rg
    c_rg, c_rb, c_gb = gb * rb - rg * bb, rg * gb - gg * rb, rg * rb - rr * gb
    # The determinant is at least epsilon^3: of a positive semi-definite matrix plus epsilon.
    determinant = np.maximum(rr * c_rr + rg * c_rg + rb * c_rb, np.float32(epsilon) ** 3)
    slopes = (
        np.stack(
            [c_rr * pr + c_rg * pg + c_rb * pb, c_rg * pr + c_gg * pg + c_gb * pb, c_rb * pr + c_gb * pg + c_bb * pb],
            -1,
        )
        / determinant[..., None]
    )
    offsets = mean_values - (slopes * mean).sum(-1)
    return _box(np.concatenate([slopes, offsets[..., None]], -1), radius)


def apply(fitted: Float32[np.ndarray, "H W 4"], guide: Float32[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "H W"]:
    """Returns q."""
    return (fitted[..., :3] * guide).sum(-1) + fitted[..., 3]


def _box(values: np.ndarray, radius: int) -> np.ndarray:
    """Means of [H, W] or [H, W, C] over windows, mirrored at the edges."""
    from scipy.ndimage import uniform_filter

    size = 2 * radius + 1
    return uniform_filter(values, (size, size) + (1,) * (values.ndim - 2), mode="reflect")
