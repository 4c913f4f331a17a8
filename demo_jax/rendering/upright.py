"""The upright square around a face that the matte network sees."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, UInt8

from demo_jax.rendering.resizing import reduced

FACES_PER_SQUARE = 3.6  # its side, in face widths: hair, shoulders and the head's reach lie inside


def square_to_photograph(centre: tuple[float, float], face_width: float, roll: float, size: int) -> np.ndarray:
    """Returns [2, 3] float64: pixels of the square -> pixels of the photograph (x right, y down, centres at +0.5).

    Args:
      centre: the point between the ears, photograph pixels.
      face_width: photograph pixels.
      roll: degrees, positive if the head's top leans to image left.
      size: the square's side, pixels.
    """
    step = FACES_PER_SQUARE * face_width / size
    cos, sin = step * np.cos(np.deg2rad(roll)), step * np.sin(np.deg2rad(roll))
    axes = np.array([[cos, sin], [-sin, cos]])
    return np.column_stack([axes, np.array(centre) - axes @ (size / 2, size / 2)])


def cut_square(photograph: UInt8[np.ndarray, "H W 3"], matrix: np.ndarray, size: int) -> Float32[np.ndarray, "S S 3"]:
    """Cuts the square out, 0..255: reduced by area means, interpolated bilinearly, the photograph's edge repeated.

    Memory is that of the part of the photograph inside the square's box.
    """
    from scipy.ndimage import map_coordinates

    corners = np.array([[0, 0], [size, 0], [0, size], [size, size]]) @ matrix[:, :2].T + matrix[:, 2]
    sides = np.array(photograph.shape[1::-1])
    low = np.clip(np.floor(corners.min(0)).astype(int) - 2, 0, sides - 1)
    high = np.clip(np.ceil(corners.max(0)).astype(int) + 2, low + 1, sides)
    part = photograph[low[1] : high[1], low[0] : high[0]]
    factor = max(int(np.hypot(*matrix[:, 0])), 1)  # photograph pixels to a pixel of the square
    small = np.maximum((high - low) // factor, 1)
    colours = reduced(part, int(small[1]), int(small[0]))
    x, y = places(matrix, size)
    scale = small / (high - low)
    at = [(y - low[1]) * scale[1] - 0.5, (x - low[0]) * scale[0] - 0.5]
    channels = [map_coordinates(colours[..., c], at, order=1, mode="nearest") for c in range(3)]
    return np.stack(channels, -1).astype(np.float32)


def inside_photograph(matrix: np.ndarray, size: int, width: int, height: int) -> Float32[np.ndarray, "S S"]:
    """Returns 1 for pixels of the square that lie in the photograph, else 0."""
    x, y = places(matrix, size)
    return ((x >= 0) & (x <= width) & (y >= 0) & (y <= height)).astype(np.float32)


def places(matrix: np.ndarray, size: int) -> tuple[Float32[np.ndarray, "S S"], Float32[np.ndarray, "S S"]]:
    """Returns x and y of where a [2, 3] matrix takes the pixel centres of a square."""
    at = np.arange(size, dtype=np.float32) + np.float32(0.5)
    (a, b, c), (d, e, f) = matrix.astype(np.float32)
    return a * at + b * at[:, None] + c, d * at + e * at[:, None] + f
