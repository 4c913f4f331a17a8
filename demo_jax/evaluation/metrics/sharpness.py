"""Fine detail of a frame against the photograph it was made from: Laplacian energy of the same skin and hair, and of
the inside of the mouth."""

from __future__ import annotations

import numpy as np

from demo_jax.evaluation.metrics.images import laplacian, luma
from demo_jax.evaluation.metrics.polygons import affine_between, carried, polygon_mask, scaled
from demo_jax.evaluation.metrics.reader import Readings
from demo_jax.faces.measures import INNER_LIPS, OUTER_LIPS
from demo_jax.factors import rotation_matrix

LEAST_YAW = 8.0  # degrees of change from which a frame counts as turned
LEAST_AREA = 0.6  # of a patch's area in the photograph; one that shrinks more has turned away
LEAST_PIXELS = 30  # of a patch; the energy of fewer is noise
CHEEKS = ((36, 31, 48, 2), (45, 35, 54, 14))  # of the 68 landmarks: around the cheek at image left, at image right
CHEEK_PART = 0.5  # of that quadrilateral about its middle: skin only
# Above the forehead, in face widths from the face centre, x right, y up; hair begins near 0.55, the head ends at 0.85.
HAIR = np.array([(-0.2, 0.6), (0.2, 0.6), (0.2, 0.75), (-0.2, 0.75)])
INNER_PART = 0.9  # of the inner lips' polygon, against errors of the landmarks
RING = (1.3, 1.9)  # times the outer lips' polygon: the skin around the mouth


def laplacian_energy(image: np.ndarray, mask: np.ndarray) -> float:
    """Returns the mean square of the luma's 5-point Laplacian over a mask [H, W] of an image [H, W, 3]; NaN if the mask
    has fewer than 30 pixels."""
    inside = mask[1:-1, 1:-1]
    if np.count_nonzero(inside) < LEAST_PIXELS:
        return float("nan")
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    y0, x0 = max(rows[0] - 1, 0), max(columns[0] - 1, 0)
    part = np.s_[y0 : rows[-1] + 2, x0 : columns[-1] + 2]
    return float(np.mean(laplacian(luma(image[part]))[mask[part][1:-1, 1:-1]] ** 2))


def patch_sharpness(frame: np.ndarray, photograph: np.ndarray, there: np.ndarray, here: np.ndarray) -> float:
    """Returns the Laplacian energy of a patch of a frame over that of the same patch of the photograph.

    E(frame, there) / E(photograph, here) * sqrt(|det A|), A the affine map of the photograph's patch to the frame's.

    The patches are compared where they lie: bringing one to the other would resample it, which takes 13-30 % of its
    energy. A patch drawn smaller has more energy a pixel: on 21 photographs rendered at other scales (0.9 to 1.15, or
    squeezed to 0.75) from originals three times as large, energy changed as 1 / sqrt(det A). With this factor such a
    rendering scores 0.94 to 1.03 (medians), one cubic warp of the photograph 0.64 to 0.91.

    Args:
      frame, photograph: uint8 [H, W, 3].
      there, here: the patch in the frame and in the photograph, polygons [P, 2] with corresponding points.

    Returns:
      NaN where the patch has turned away (its area fell below 0.6) or has fewer than 30 pixels.
    """
    area = abs(float(np.linalg.det(affine_between(here, there)[0])))
    if area < LEAST_AREA:
        return float("nan")
    energies = [
        laplacian_energy(image, polygon_mask(polygon, image.shape))
        for image, polygon in ((frame, there), (photograph, here))
    ]
    return float(energies[0] / max(energies[1], 1e-6) * area**0.5)


def cheek_patches(landmarks: np.ndarray) -> list[np.ndarray]:
    """Returns the two cheeks of 68 landmarks [68, 2] as quadrilaterals [4, 2]."""
    return [scaled(landmarks[list(around)], CHEEK_PART) for around in CHEEKS]


def hair_patch(head: tuple[np.ndarray, np.ndarray, float]) -> np.ndarray:
    """Returns a quadrilateral [4, 2] above the forehead, where most people have hair, of a head given as
    `Readings.head`; roll is followed. Look at it, or give another one, where a person is bald or wears a hat."""
    (_, _, roll), centre, width = head
    turn = rotation_matrix(*np.array([0.0, 0.0, roll]))[:2, :2]
    return np.asarray(centre) + width * (HAIR @ turn.T) * (1, -1)


def turned_sharpness(
    frames: np.ndarray, read: Readings, photograph: np.ndarray, source: Readings, hair: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Returns the sharpness of cheeks and hair on turned frames: those whose yaw differs from the photograph's by at
    least 8 degrees.

    Cheeks are carried by their landmarks, the hair by the rigid head.

    Args:
      frames: [T, H, W, 3], read as `read`.
      photograph: [H, W, 3], read as `source`, one reading.
      hair: a polygon [P, 2] of hair in the photograph; without it hair is not measured.

    Returns:
      cheek, hair: [T] patch_sharpness (of the cheeks the mean of those in view), NaN on other frames.
    """
    cheeks, hairs = np.full(len(frames), np.nan), np.full(len(frames), np.nan)
    here = cheek_patches(source.landmarks[0])
    for t in map(int, np.flatnonzero(np.abs(read.yaw - source.yaw[0]) >= LEAST_YAW)):
        values = [
            patch_sharpness(frames[t], photograph, there, patch)
            for there, patch in zip(cheek_patches(read.landmarks[t]), here, strict=True)
        ]
        if np.isfinite(values).any():
            cheeks[t] = np.nanmean(values)
        if hair is not None:
            hairs[t] = patch_sharpness(frames[t], photograph, carried(hair, source.head(0), read.head(t)), hair)
    return {"cheek": cheeks, "hair": hairs}


def mouth_detail(image: np.ndarray, landmarks: np.ndarray) -> float:
    """Returns the Laplacian energy inside the inner lips over that of the ring of skin around the mouth.

    Args:
      image: uint8 [H, W, 3].
      landmarks: [68, 2] pixels.

    Returns:
      NaN if the mouth is closed (fewer than 30 pixels inside).
    """
    from scipy.ndimage import binary_erosion

    inner, outer = landmarks[INNER_LIPS], landmarks[OUTER_LIPS]
    ring = polygon_mask(scaled(outer, RING[1]), image.shape) & ~polygon_mask(scaled(outer, RING[0]), image.shape)
    # The Laplacian looks one pixel to each side: eroded, so that the lips' edges stay out.
    inside = polygon_mask(scaled(inner, INNER_PART), image.shape) & binary_erosion(polygon_mask(inner, image.shape))
    return laplacian_energy(image, inside) / max(laplacian_energy(image, ring), 1e-6)
