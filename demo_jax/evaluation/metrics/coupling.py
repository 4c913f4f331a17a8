"""What a coupling of noise and data gains, and what its noise tells about the condition. Numpy, float64."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from demo_jax.evaluation.metrics.disentanglement import probe_r2


def gain_captured(cost: np.ndarray, noise: np.ndarray, data: np.ndarray) -> float:
    """(independent - coupled) / (independent - optimal) for cost [n, n] of (noise, datum) and the pairs' indices, [n]
    each: 1 is the best permutation, 0 is noise as it was drawn; NaN where nothing can be gained."""
    cost = np.asarray(cost, np.float64)
    independent, best = np.trace(cost), cost[linear_sum_assignment(cost)].sum()
    if best >= independent:
        return float("nan")
    return float((independent - cost[np.asarray(noise), np.asarray(data)].sum()) / (independent - best))


def skew(features: np.ndarray, noise: np.ndarray, groups: np.ndarray) -> float:
    """How much a condition tells about the noise it was trained with: R2 of ridge regression from the conditions'
    features [N, F] to the paired noise [N, ...], on coupling groups [N] that it was not fitted to.

    0 is what sampling has, where noise and condition are drawn independently; fewer rows than features find less.
    """
    return probe_r2(features, np.asarray(noise).reshape(len(noise), -1), groups)
