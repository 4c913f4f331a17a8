"""Precision of controls: requested values against values read from the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from demo_jax.evaluation.metrics.motion import correlation


def precision(requested: np.ndarray, read: np.ndarray) -> dict[str, float]:
    """Returns gain, offset, mae and correlation of the values read on the values requested.

    Args:
      requested, read: [people, values of the grid], in the control's unit. NaN entries are left out.

    Returns:
      gain (slope over all), offset (read - requested at the middle of the grid), mae and correlation; all NaN where
      fewer than two values are known or all are equal.
    """
    known = np.isfinite(requested) & np.isfinite(read)
    x, y = np.asarray(requested, np.float64)[known], np.asarray(read, np.float64)[known]
    if len(x) < 2 or np.ptp(x) < 1e-9:
        return dict.fromkeys(("gain", "offset", "mae", "correlation"), float("nan"))
    middle = (x.min() + x.max()) / 2
    slope = float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())
    return {
        "gain": slope,
        "offset": float(y.mean() + slope * (middle - x.mean()) - middle),
        "mae": float(np.abs(y - x).mean()),
        "correlation": correlation(x, y),
    }


def usable_range(grid: np.ndarray, error: np.ndarray, tolerance: float) -> tuple[float, float]:
    """Returns the ends of the widest run of neighbouring grid values around the smallest error that are within
    tolerance.

    Args:
      grid, error: ascending values of a control and the mean absolute error at each, both [values of the grid].
      tolerance: largest error, in the control's unit.

    Returns:
      (low, high); (nan, nan) if no value is within tolerance.
    """
    within = np.asarray(error) <= tolerance
    if not within.any():
        return float("nan"), float("nan")
    low = high = int(np.nanargmin(error))
    while low > 0 and within[low - 1]:
        low -= 1
    while high < len(within) - 1 and within[high + 1]:
        high += 1
    return float(grid[low]), float(grid[high])


def blink_closure(lid: np.ndarray, rest: float) -> float:
    """Returns how far a blink closes: the least lid gap over the lid gap at rest (0 closed, 1 not at all).

    Args:
      lid: lid gap of each frame of the blink [T], NaN left out.
      rest: lid gap before it, in the same unit.
    """
    known = np.asarray(lid, np.float64)[np.isfinite(lid)]
    return float(known.min() / rest) if known.size else float("nan")


def leakage(
    requested: Sequence[np.ndarray], read: Sequence[np.ndarray], own: Sequence[int], spread: np.ndarray
) -> dict[str, np.ndarray]:
    """Returns how much every reading changes while one control at a time is moved, [I, J], in units of spreads.

    total[i, j] = rms(read_j - mean) / spread_j over rms(requested_i - mean) / spread_i; it holds changes of any shape
    and the reader's noise. linear[i, j] = |slope of read_j on requested_i| spread_i / spread_j; it averages the noise,
    but misses a change that is the same to both sides. With i's own column both are about 1 where control is exact.

    Args:
      requested: of each control i, values [N] of the grid; everything else is frozen.
      read: of each control i, readings [N, J]; rows with NaN are left out, one reading at a time.
      own: of each control i, the column of `read` that it moves.
      spread: [J], of each reading, its standard deviation over real speakers.
    """
    total, linear = (np.full((len(requested), len(spread)), np.nan) for _ in range(2))
    for i, (x, values) in enumerate(zip(requested, read, strict=True)):
        for j, size in enumerate(spread):
            known = np.isfinite(x) & np.isfinite(values[:, j])
            a, b = x[known], values[known, j]
            if len(a) < 2 or np.ptp(a) < 1e-9:
                continue
            unit = spread[own[i]] / size
            total[i, j] = b.std() / a.std() * unit
            linear[i, j] = abs(precision(a, b)["gain"]) * unit
    return {"total": total, "linear": linear}
