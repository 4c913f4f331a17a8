"""Gain of a coupling of noise and data, and skew: how well the condition predicts the noise. NumPy, float64."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from demo_jax.evaluation.metrics.disentanglement import probe_r2


def gain_captured(cost: np.ndarray, noise: np.ndarray, data: np.ndarray) -> float:
    """Returns (independent - coupled) / (independent - optimal): 1 is the best permutation, 0 is independent noise.

    Args:
      cost: [n, n] of (noise, datum).
      noise, data: [n] each, the indices of the pairs.

    Returns:
      The share of the possible gain; NaN where nothing can be gained.
    """
    cost = np.asarray(cost, np.float64)
    independent, best = np.trace(cost), cost[linear_sum_assignment(cost)].sum()
    if best >= independent:
        return float("nan")
    return float((independent - cost[np.asarray(noise), np.asarray(data)].sum()) / (independent - best))


def skew(features: np.ndarray, noise: np.ndarray, groups: np.ndarray) -> float:
    """Returns the R2 of ridge regression from conditions to the noise that was paired with them.

    Args:
      features: [N, F] of the conditions.
      noise: [N, ...] paired with them.
      groups: [N], the coupling group of each row; a fold is scored on groups that it was not fitted to.

    Returns:
      0 is the case of sampling, where noise and condition are independent. With fewer rows than features R2 is
      underestimated.
    """
    return probe_r2(features, np.asarray(noise).reshape(len(noise), -1), groups)
