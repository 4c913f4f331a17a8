"""Colours of the person and of the background in pixels that show both, so that another background leaves no halo.

A pixel is I = a F + (1 - a) B. F and B are the smoothest colours that explain the photograph (Germer, Uelwer, Conrad,
Harmeling: Fast multi-level foreground estimation, ICPR 2020): they minimise

    sum_i |a_i F_i + (1 - a_i) B_i - I_i|^2 + sum_ij (e + w |a_i - a_j|) (|F_i - F_j|^2 + |B_i - B_j|^2)

over neighbours i, j. The minimum for one pixel given its neighbours is a 2 x 2 system; it is iterated (Jacobi) on
images of growing size, each starting from the last, enlarged. Above SOLVED_SIDE the last step is one local correction
(Forte: Approximate fast foreground colour estimation, ICIP 2021, equation 5) instead.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, UInt8

from demo_jax.errors import InputError
from demo_jax.rendering.resizing import enlarged_rows, reduced

SOLVED_SIDE = 512  # px of the longer side up to which the whole system is solved
SMOOTHNESS, EDGES = 5e-3, 1.0  # e and w, for colours in 0..1
_SMALL = 32  # px: up to it an image is iterated often
_ITERATIONS_SMALL, _ITERATIONS = 10, 3
_STRIP = 256  # rows of the full photograph that are computed at once


def foreground(photograph: UInt8[np.ndarray, "H W 3"], matte: Float[np.ndarray, "H W"]) -> Float32[np.ndarray, "H W 3"]:
    """Returns the person's colours, 0..255: the photograph's where the matte is 1, continued smoothly where it is 0.

    Raises InputError if the sizes differ.
    """
    return layers(photograph, matte)[0]


def layers(
    photograph: UInt8[np.ndarray, "H W 3"], matte: Float[np.ndarray, "H W"]
) -> tuple[Float32[np.ndarray, "H W 3"], Float32[np.ndarray, "H W 3"]]:
    """Returns the colours, 0..255, of the person and of the background, as `foreground` does.

    Memory beyond the two is bounded by SOLVED_SIDE.
    """
    if photograph.shape[:2] != matte.shape:
        raise InputError(
            f"the photograph is {photograph.shape[1]} x {photograph.shape[0]} and its matte {matte.shape[1]} x "
            f"{matte.shape[0]}; give a matte of the photograph's size."
        )
    height, width = matte.shape
    if max(height, width) <= SOLVED_SIDE:
        front, back = _solved(photograph.astype(np.float32) / 255, matte.astype(np.float32))
        return np.clip(front, 0, 1) * 255, np.clip(back, 0, 1) * 255
    scale = SOLVED_SIDE / max(height, width)
    size = max(round(height * scale), 1), max(round(width * scale), 1)
    small = _solved(reduced(photograph, *size) / 255, reduced(matte, *size))
    front, back = (np.empty((height, width, 3), np.float32) for _ in range(2))
    for top in range(0, height, _STRIP):
        rows = slice(top, min(top + _STRIP, height))
        alpha = matte[rows, :, None].astype(np.float32)
        f, b = (enlarged_rows(layer, height, width, rows) for layer in small)
        left = photograph[rows].astype(np.float32) / 255 - alpha * f - (1 - alpha) * b
        front[rows] = np.clip(f + alpha * left, 0, 1) * 255
        back[rows] = np.clip(b + (1 - alpha) * left, 0, 1) * 255
    return front, back


def _solved(image: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both layers [H, W, 3] of a float32 image in 0..1, from one pixel up to the full size, doubling."""
    height, width = alpha.shape
    levels = int(np.ceil(np.log2(max(height, width, 2))))
    both = np.repeat(image.mean((0, 1), keepdims=True), 2, -1)  # [h, w, 6]: F, then B
    for level in range(levels + 1):
        # Sizes grow geometrically from 1 to the full ones, so that the last level is exactly the image.
        h, w = (round(side ** (level / levels)) for side in (height, width))
        both = enlarged_rows(both, h, w, slice(0, h))
        times = _ITERATIONS_SMALL if max(h, w) <= _SMALL else _ITERATIONS
        both = _iterated(both, reduced(image, h, w), reduced(alpha, h, w), times)
    return both[..., :3], both[..., 3:]


def _iterated(both: np.ndarray, image: np.ndarray, alpha: np.ndarray, times: int) -> np.ndarray:
    """Jacobi steps: each pixel's F and B solve their 2 x 2 system given the neighbours of the step before."""
    down = SMOOTHNESS + EDGES * np.abs(np.diff(alpha, axis=0))
    right = SMOOTHNESS + EDGES * np.abs(np.diff(alpha, axis=1))
    total = _neighbours(np.ones((1, *alpha.shape), np.float32), down, right)[0]
    back = 1 - alpha
    aa, ab, bb = alpha * alpha + total, alpha * back, back * back + total
    scale = 1 / np.maximum(aa * bb - ab * ab, np.float32(1e-12))
    layers, colours = (np.ascontiguousarray(np.moveaxis(x, -1, 0)) for x in (both, image))  # NumPy is fast along rows
    known = np.concatenate([alpha * colours, back * colours])
    aa, ab, bb = aa * scale, ab * scale, bb * scale
    for _ in range(times):
        f, b = np.split(known + _neighbours(layers, down, right), 2)
        layers = np.clip(np.concatenate([bb * f - ab * b, aa * b - ab * f]), 0, 1)
    return np.moveaxis(layers, 0, -1)


def _neighbours(layers: np.ndarray, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The weighted sum of the four neighbours of each pixel of [C, H, W]."""
    total = np.zeros_like(layers)
    total[:, 1:] += down * layers[:, :-1]
    total[:, :-1] += down * layers[:, 1:]
    total[..., 1:] += right * layers[..., :-1]
    total[..., :-1] += right * layers[..., 1:]
    return total
