"""Distances between two sets of frames as distributions. NumPy, float64."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the Frechet distance of a [N, n] and b [M, n] as Gaussians: |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a
    C_b)^1/2)."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    # (C_a C_b)^1/2 has the trace of (C_a^1/2 C_b C_a^1/2)^1/2, which is symmetric.
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ second @ root), 0)).sum()
    return float(np.square(a.mean(0) - b.mean(0)).sum() + np.trace(first) + np.trace(second) - 2 * cross)


def frechet_to_truth(
    made: Sequence[np.ndarray], truth: Sequence[np.ndarray], frames: int = 2000, splits: int = 20, seed: int = 0
) -> dict[str, float]:
    """Returns the Frechet distance of generated clips [T, n] from the true ones of the same recordings.

    In each split the clips are halved at random; `frames` frames are drawn from one half of the truth, and as many from
    the other half of the generated clips, of the truth (the floor), and of the truth's own mean frame (a still face,
    with just enough noise that the distance is defined). `relative` = (distance - floor) / (still - floor): 0 is as
    good as other true clips, 1 as bad as a still face. Values are means over splits; `error` is the standard deviation
    of `relative` over them.
    """
    generator = np.random.default_rng(seed)
    rows: list[tuple[float, float, float]] = []
    scale = np.concatenate(list(truth)).std(0) + 1e-9
    for _ in range(splits):
        order = generator.permutation(len(truth))
        half = len(order) // 2
        kept = np.concatenate([truth[i] for i in order[:half]]) / scale

        def draw(clips: Sequence[np.ndarray], which: np.ndarray = order[half:]) -> np.ndarray:
            pool = np.concatenate([clips[i] for i in which]) / scale
            return pool[generator.choice(len(pool), frames, replace=len(pool) < frames)]

        reference = kept[generator.choice(len(kept), frames, replace=len(kept) < frames)]
        still = np.repeat(kept.mean(0)[None], frames, 0) + 1e-3 * generator.normal(size=(frames, kept.shape[1]))
        rows.append((frechet(draw(made), reference), frechet(draw(truth), reference), frechet(still, reference)))
    distance, floor, still_distance = np.array(rows).T
    relative = (distance - floor) / (still_distance - floor)
    return {
        "distance": float(distance.mean()),
        "floor": float(floor.mean()),
        "still": float(still_distance.mean()),
        "relative": float(relative.mean()),
        "error": float(relative.std(ddof=1)),
    }
