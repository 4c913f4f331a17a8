"""Precision of controls: requested values against values read from the image."""

from __future__ import annotations

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
