"""Changing the size of arrays with NumPy: area means and bilinear enlargement, the latter by strips of rows."""

from __future__ import annotations

import numpy as np

_STRIP = 256  # columns of a large image that are computed at once


def reduced(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Returns [height, width, ...] float32: the mean of [H, W, ...] over the area of each new pixel."""
    strips = [values[:, at : at + _STRIP] for at in range(0, values.shape[1], _STRIP)]
    rows = np.concatenate([_means(strip, height) for strip in strips], 1)
    return np.moveaxis(_means(np.moveaxis(rows, 1, 0), width), 0, 1)


def _means(values: np.ndarray, count: int) -> np.ndarray:
    """Means over `count` intervals of equal length along axis 0; a pixel on the edge of two counts in part for both."""
    length = len(values)
    if count == length:
        return values.astype(np.float32, copy=False)
    if length % count == 0:
        return values.reshape(count, length // count, *values.shape[1:]).mean(1, dtype=np.float32)
    # Differences of the running integral, which is in float64 as it grows with the length.
    total = np.zeros((length + 1, *values.shape[1:]), np.float64)
    np.cumsum(values, 0, dtype=np.float64, out=total[1:])
    edges = np.linspace(0, length, count + 1)
    low = np.minimum(edges.astype(int), length - 1)
    part = (edges - low).reshape((-1,) + (1,) * (values.ndim - 1))
    integral = total[low] * (1 - part) + total[low + 1] * part
    return (np.diff(integral, axis=0) * (count / length)).astype(np.float32)


def enlarged_rows(values: np.ndarray, height: int, width: int, rows: slice) -> np.ndarray:
    """Returns some rows of [H, W, ...] resized bilinearly to height x width: [rows, width, ...] float32.

    Pixel centres lie at +0.5; edge pixels are repeated beyond their centres.
    """
    low, high, part = _taps(values.shape[0], height)
    low, high, part = low[rows], high[rows], part[rows].reshape((-1,) + (1,) * (values.ndim - 1))
    values = values[low] * (1 - part) + values[high] * part
    low, high, part = _taps(values.shape[1], width)
    part = part.reshape((1, -1) + (1,) * (values.ndim - 2))
    return values[:, low] * (1 - part) + values[:, high] * part


def _taps(before: int, after: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each new pixel of an axis: the two old pixels around its centre, and the second one's weight."""
    at = np.clip((np.arange(after) + 0.5) * (before / after) - 0.5, 0, before - 1)
    low = at.astype(int)
    return low, np.minimum(low + 1, before - 1), (at - low).astype(np.float32)
