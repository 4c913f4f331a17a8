"""How exactly a control does what it says: asked values against values read in the picture."""

from __future__ import annotations

import numpy as np

from demo_jax.evaluation.metrics.motion import correlation


def precision(asked: np.ndarray, read: np.ndarray) -> dict[str, float]:
    """asked, read [P, G] (people, values of the grid) -> gain (slope over all), offset (read - asked at the middle of
    the grid), mae, correlation. NaN entries are left out."""
    seen = np.isfinite(asked) & np.isfinite(read)
    x, y = np.asarray(asked, np.float64)[seen], np.asarray(read, np.float64)[seen]
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
    """The widest run of neighbouring values [G], ascending, around the smallest error whose mean absolute error [G] is
    within `tolerance`; (nan, nan) if there is none."""
    within = np.asarray(error) <= tolerance
    if not within.any():
        return float("nan"), float("nan")
    low = high = int(np.nanargmin(error))
    while low > 0 and within[low - 1]:
        low -= 1
    while high < len(within) - 1 and within[high + 1]:
        high += 1
    return float(grid[low]), float(grid[high])
