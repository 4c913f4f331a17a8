"""Reducing images without aliasing, with their transparency."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, UInt8

SMALLEST_SIDE = 2  # pixels: colours of videos are stored at half the size


def fitted_size(height: int, width: int, longest: int) -> tuple[int, int]:
    """Returns (height, width) with the longer side at most `longest`: never enlarged, the aspect kept, 2 at least."""
    scale = longest / max(height, width)
    if scale >= 1:
        return height, width
    return max(round(height * scale), SMALLEST_SIDE), max(round(width * scale), SMALLEST_SIDE)


def resize_image(image: UInt8[np.ndarray, "H W C"], longest: int) -> UInt8[np.ndarray, "h w C"]:
    """Returns an image with its longer side at most `longest`; a smaller one as it is.

    Args:
      image: RGB, or RGBA with straight alpha, as is the result.
      longest: pixels.
    """
    height, width = image.shape[:2]
    return resize_to(image, fitted_size(height, width, longest))


def resize_to(image: UInt8[np.ndarray, "H W C"], size: tuple[int, int]) -> UInt8[np.ndarray, "h w C"]:
    """Returns an RGB or RGBA image resized to (height, width) with Lanczos' kernel of three lobes, which grows with the
    reduction. Pixels are weighted by their alpha, so the colours of transparent ones do not spread."""
    from PIL import Image

    if image.shape[:2] == size:
        return image
    if image.shape[-1] == 3:
        return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.LANCZOS))
    if (image[..., 3] == 255).all():
        return np.dstack([resize_to(np.ascontiguousarray(image[..., :3]), size), np.full(size, 255, np.uint8)])
    alpha = image[..., 3].astype(np.float32)
    small = np.clip(_resize_plane(alpha, size), 0, 255)
    planes = []
    for c in range(3):
        plane = image[..., c].astype(np.float32)
        # Where nothing is left of alpha, colours are the neighbourhood's: the video's edges hold some of them.
        weighted = _resize_plane(plane * alpha, size) / np.maximum(small, 0.5)
        planes.append(np.where(small >= 0.5, weighted, _resize_plane(plane, size)))
    return (np.clip(np.stack([*planes, small], -1), 0, 255) + 0.5).astype(np.uint8)


def _resize_plane(plane: Float32[np.ndarray, "H W"], size: tuple[int, int]) -> Float32[np.ndarray, "h w"]:
    from PIL import Image

    return np.asarray(Image.fromarray(plane).resize(size[::-1], Image.Resampling.LANCZOS))
