"""Measures of motion and pictures that need no weights. Numpy, float64, one clip at a time."""

from __future__ import annotations

import numpy as np

from demo_jax.typing import FPS

# Of the 68 landmarks, those that neither speech nor expression moves: eye corners and the bridge of the nose.
RIGID_LANDMARKS = (36, 39, 42, 45, 27, 28, 29)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation of two series [T]; 0 if either does not move."""
    a, b = np.asarray(a, np.float64) - np.mean(a), np.asarray(b, np.float64) - np.mean(b)
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 1e-12 else 0.0


def best_lag(made: np.ndarray, truth: np.ndarray, most: int = FPS // 2) -> tuple[int, float]:
    """The shift in frames at which made [T] correlates best with truth [T], and that correlation; > 0: made is late."""
    found: dict[int, float] = {}
    for lag in range(-most, most + 1):
        a, b = (made[lag:], truth[: len(truth) - lag]) if lag >= 0 else (made[:lag], truth[-lag:])
        found[lag] = correlation(a, b)
    lag = max(found, key=lambda k: found[k])
    return lag, found[lag]


def spread(landmarks: np.ndarray, which: tuple[int, ...] = RIGID_LANDMARKS) -> float:
    """How far landmarks [T, 68, 2] move over a clip: root mean square distance from their own mean, in their unit."""
    points = np.asarray(landmarks, np.float64)[:, list(which)]
    return float(np.sqrt(np.mean(np.sum((points - points.mean(0)) ** 2, -1))))


def psnr(image: np.ndarray, truth: np.ndarray, box: np.ndarray | None = None) -> float:
    """dB, of uint8 pictures [S, S, 3], within a box (x0 y0 x1 y1 pixels) if one is given."""
    if box is not None:
        x0, y0 = np.floor(np.maximum(box[:2], 0)).astype(int)
        x1, y1 = np.ceil(np.minimum(box[2:], truth.shape[0])).astype(int)
        image, truth = image[y0:y1, x0:x1], truth[y0:y1, x0:x1]
    error = np.mean((image.astype(np.float64) - truth.astype(np.float64)) ** 2)
    return float(10 * np.log10(255**2 / max(float(error), 1e-4)))


def mean_and_error(values: list[float]) -> dict[str, float]:
    """Mean, standard error and count of independent values, for a table."""
    array = np.asarray(values, np.float64)
    error = float(array.std(ddof=1)) / len(array) ** 0.5 if len(array) > 1 else float("nan")
    return {"mean": float(array.mean()), "error": float(error), "count": len(array)}
