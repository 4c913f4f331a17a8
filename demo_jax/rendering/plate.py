"""What is behind a person: the background goes on under the matte, with its texture near the outline."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

MIRRORED = 0.08  # face widths from the outline at which mirrored texture has given way to smooth colour, by 1/e
OUTLINE = 0.05  # face widths
SWEEPS = 8
COARSE = 0.08  # face widths: what is coarser than it is colour, what is finer is texture
SOFT = 0.02  # face widths: texture and colour go over into each other without a step


def fill_background(
    image: UInt8[np.ndarray, "H W 3"], person: Bool[np.ndarray, "H W"], face_width: float
) -> Float32[np.ndarray, "H W 3"]:
    """Returns the image with the pixels of a person replaced by background.

    Colour is a membrane over the outline (harmonic, by relaxation on a pyramid), so that it meets the background
    everywhere. Near the outline the background's texture, mirrored at it, is added. Nothing comes from the person.
    """
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    if not person.any():
        return image.astype(np.float32)
    if person.all():
        return np.broadcast_to(image.mean((0, 1), dtype=np.float32), image.shape).copy()
    height, width = person.shape
    # Mirrored at a smooth outline: at a ragged one, texture falls into shards.
    hidden, person = person, person | (gaussian_filter(person.astype(np.float32), OUTLINE * face_width) > 0.4)
    if person.all():
        person = hidden
    distance, (row, column) = distance_transform_edt(person, return_indices=True)
    rows, columns = np.indices(person.shape)
    mirrored_row, mirrored_column = 2 * row - rows, 2 * column - columns
    within = (mirrored_row >= 0) & (mirrored_row < height) & (mirrored_column >= 0) & (mirrored_column < width)
    at = np.clip(mirrored_row, 0, height - 1), np.clip(mirrored_column, 0, width - 1)
    texture = (within & ~person[at]) * np.exp(-distance / (MIRRORED * face_width))
    share = gaussian_filter(texture.astype(np.float32), SOFT * face_width)[..., None]
    known = (~person).astype(np.float32)
    sigma = COARSE * face_width, COARSE * face_width
    weight = np.maximum(gaussian_filter(known, sigma), 1e-4)[..., None]
    colour = gaussian_filter(image * known[..., None], (*sigma, 0), output=np.float32) / weight
    detail = (image - colour) * known[..., None]  # softened, the share reaches where the person's own is mirrored
    filled = _membrane(image.astype(np.float32), known) + share * detail[at]
    # What is seen stays: a residual between it and the plate would move with the head.
    return np.where(hidden[..., None], filled, image).astype(np.float32)


def _membrane(image: Float[np.ndarray, "H W 3"], known: Float[np.ndarray, "H W"]) -> Float32[np.ndarray, "H W 3"]:
    """Fills the unknown pixels harmonically: coarse to fine over a pyramid of halves, with relaxation on each level."""
    levels = [(image * known[..., None], known)]
    while max(levels[-1][1].shape) > 1:
        levels.append((_half(levels[-1][0]), _half(levels[-1][1][..., None])[..., 0]))
    filled = levels[-1][0] / np.maximum(levels[-1][1], 1e-6)[..., None]
    for colour, weight in levels[-2::-1]:
        fixed = (weight > 0)[..., None]
        own = colour / np.maximum(weight, 1e-6)[..., None]
        filled = np.where(fixed, own, _double(filled, weight.shape))
        for _ in range(SWEEPS):
            (up, down), (left, right) = (
                [np.concatenate(parts, axis) for parts in _neighbours(filled, axis)] for axis in (0, 1)
            )
            filled = np.where(fixed, own, 0.25 * (up + down + left + right))
    return filled


def _half(x: Float[np.ndarray, "H W C"]) -> Float32[np.ndarray, "h w C"]:
    height, width = x.shape[:2]
    x = np.pad(x, ((0, height % 2), (0, width % 2), (0, 0)))
    return 0.25 * (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2])


def _double(x: Float[np.ndarray, "h w C"], shape: tuple[int, int]) -> Float32[np.ndarray, "H W C"]:
    """Enlarges by 2, linearly, and cuts off what is beyond `shape`."""
    for axis in (0, 1):
        before, after = (np.concatenate(parts, axis) for parts in _neighbours(x, axis))
        pair = np.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1)
        x = pair.reshape(*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])
    return x[: shape[0], : shape[1]]


def _neighbours(x: np.ndarray, axis: int) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    first, last = np.take(x, [0], axis), np.take(x, [-1], axis)
    inner = np.delete(x, -1, axis), np.delete(x, 0, axis)
    return (first, inner[0]), (inner[1], last)
