"""Whether one sees where a frame was put together: gradients across a border, and flicker along it.

A border is given as a bool mask [H, W] (of a contour, `polygons.polygon_mask`); it lies where the mask changes. A soft
matte is thresholded by the caller at a half.
"""

from __future__ import annotations

import numpy as np

from demo_jax.errors import InputError
from demo_jax.evaluation.metrics.images import luma

ON_BORDER = 2.0  # pixels from the border: two on each side
BESIDE = (3.0, 7.0)  # pixels from the border: its neighbours, four on each side
ROUNDING = 0.25  # levels a pixel: the mean gradient that rounding to bytes leaves in a flat area


def signed_distance(mask: np.ndarray) -> np.ndarray:
    """Returns the distance of each pixel's centre from the border of a mask [H, W], in pixels: positive inside, 0.5 at
    the first pixel on either side. Raises InputError if the mask has no border."""
    from scipy.ndimage import distance_transform_edt

    if mask.all() or not mask.any():
        raise InputError("the mask has no border; give one that is neither empty nor full.")
    return np.where(mask, distance_transform_edt(mask) - 0.5, 0.5 - distance_transform_edt(~mask))


def edge_ratio(image: np.ndarray, mask: np.ndarray) -> float:
    """Returns the mean gradient across a border over that of its neighbours.

    mean |dY/dn| where |d| < 2, over mean |dY/dn| where 3 < |d| < 7, both plus a quarter of a level; d is the distance
    from the border in pixels, n its normal, Y the luma. A step of h levels on a slope of g levels a pixel gives (g + h
    / 4 + 0.25) / (g + 0.25).

    Args:
      image: uint8 [H, W, 3].
      mask: bool [H, W].
    """
    distance = signed_distance(mask)
    normal = np.stack(np.gradient(distance))
    normal /= np.maximum(np.linalg.norm(normal, axis=0), 1e-9)
    across = np.abs((np.stack(np.gradient(luma(image))) * normal).sum(0))
    far = np.abs(distance)
    on, beside = across[far < ON_BORDER], across[(far > BESIDE[0]) & (far < BESIDE[1])]
    return float((on.mean() + ROUNDING) / (beside.mean() + ROUNDING)) if beside.size else float("nan")


def seam_ratio(frames: np.ndarray, photograph: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Returns edge_ratio of frames [T, H, W, 3] over that of the photograph along the same border, [T]: 1 if the border
    shows no more than it does in the photograph."""
    truth = edge_ratio(photograph, mask)
    return np.array([edge_ratio(frame, mask) / truth for frame in frames])


def rim_flicker(frames: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Returns the mean absolute change of the luma from frame to frame within two pixels of a border.

    Args:
      frames: [T, H, W, 3] at a still pose.
      mask: bool [H, W].

    Returns:
      mean over all changes, and max of their means, in levels of 255; NaN for one frame.
    """
    rim = np.abs(signed_distance(mask)) < ON_BORDER
    if len(frames) < 2:
        return {"mean": float("nan"), "max": float("nan")}
    band = luma(frames[:, rim])
    changes = np.abs(np.diff(band, axis=0)).mean(1)
    return {"mean": float(changes.mean()), "max": float(changes.max())}
