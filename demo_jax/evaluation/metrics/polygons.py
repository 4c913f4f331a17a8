"""Polygons on images and on faces: masks, affine maps between them, and points carried with a turning head."""

from __future__ import annotations

import numpy as np

from demo_jax.factors import rotation_matrix

# The cranium with short hair, in face widths in the head's axes from the point between the ears: centre, semi-axes.
# From mean adult breadths and heights of the head over the distance of the points in front of the ears; carried points
# need to be right by a few pixels only, because what is compared is a texture's energy.
CRANIUM_CENTRE = np.array([0.0, 0.2, -0.1])
CRANIUM_AXES = np.array([0.56, 0.78, 0.7])


def polygon_mask(polygon: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Returns a bool mask [H, W] of the pixels whose centre (at +0.5) lies in a polygon [P, 2] (x, y), by the even-odd
    rule. `shape` begins with H, W."""
    mask = np.zeros(shape[:2], bool)
    x0, y0 = np.maximum(np.floor(polygon.min(0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(polygon.max(0)).astype(int), (shape[1], shape[0]))
    if x1 <= x0 or y1 <= y0:
        return mask
    x, y = np.arange(x0, x1) + 0.5, (np.arange(y0, y1) + 0.5)[:, None]
    part = mask[y0:y1, x0:x1]
    for (ax, ay), (bx, by) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if ay != by:
            crosses = (ay > y) != (by > y)
            part ^= crosses & (x < ax + (y - ay) * (bx - ax) / (by - ay))
    return mask


def scaled(polygon: np.ndarray, factor: float) -> np.ndarray:
    """Returns a polygon [P, 2] scaled about the mean of its points."""
    middle = polygon.mean(0)
    return middle + factor * (polygon - middle)


def affine_between(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the least-squares affine map of points [P, 2] to others: matrix [2, 2] and shift [2], with target ~
    source @ matrix.T + shift."""
    design = np.column_stack([source, np.ones(len(source))])
    solution = np.linalg.lstsq(design, target, rcond=None)[0]
    return solution[:2].T, solution[2]


def carried(
    points: np.ndarray, source: tuple[np.ndarray, np.ndarray, float], target: tuple[np.ndarray, np.ndarray, float]
) -> np.ndarray:
    """Carries points on the hair or the forehead with the head: they are lifted to an ellipsoid, which turns.

    Args:
      points: [P, 2] pixels, in the source image. Points beside the ellipsoid are taken to its outline.
      source, target: of both images, the head's yaw, pitch, roll [3] (degrees), its face centre [2] and face width
        (pixels), as a reader gives them.

    Returns:
      [P, 2] pixels, in the target image (a weak perspective view).
    """
    (angles, centre, width), (angles_to, centre_to, width_to) = source, target
    turn, turn_to = rotation_matrix(*angles), rotation_matrix(*angles_to)
    # Camera axes, in face widths from the ellipsoid's centre, y up; the camera looks along -z.
    across = (points - centre) * (1, -1) / width - (turn @ CRANIUM_CENTRE)[:2]
    # |axes^-1 R^T (x, y, z)| = 1 is a quadratic a z^2 + 2 b z + c = 0; the nearer root is the visible one.
    unit = turn.T / CRANIUM_AXES[:, None]
    flat = across @ unit[:, :2].T
    a, b = float(unit[:, 2] @ unit[:, 2]), flat @ unit[:, 2]
    reach = np.sqrt(np.maximum((flat**2).sum(-1) - b**2 / a, 1e-12))  # 1 on the outline
    inward = np.minimum(1.0, 1.0 / reach)[:, None]
    flat, b, across = flat * inward, b * inward[:, 0], across * inward
    root = np.sqrt(np.maximum(b**2 - a * ((flat**2).sum(-1) - 1), 0))
    lifted = np.column_stack([across, (root - b) / a])
    head = lifted @ turn + CRANIUM_CENTRE
    return np.asarray(centre_to) + width_to * (head @ turn_to.T)[:, :2] * (1, -1)
