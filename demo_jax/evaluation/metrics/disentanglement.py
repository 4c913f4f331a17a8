"""How separate the factors are: in codes (probes, cross-covariance, CKA, distances), in images (leakage) and in the
decoder (angles between its Jacobians). NumPy, float64.

Codes and truths are dicts name -> [N, n]; a matrix is an array [rows, columns] in the order of the dicts.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.linalg import orth, subspace_angles

Blocks = Mapping[str, np.ndarray]
RIDGE = 1e-2  # of the probes, in units of standardised columns
FOLDS = 5
RANK_TOLERANCE = 1e-6  # of the largest singular value: smaller ones are rounding of float32


def standardised(x: np.ndarray, floor: float = 1e-6) -> np.ndarray:
    """Returns the columns of x [N, n] with mean 0 and variance 1; constant columns become 0."""
    x = np.asarray(x, np.float64)
    x = x - x.mean(0)
    std = x.std(0)
    return np.where(std > floor, x / np.maximum(std, floor), 0.0)


def probe_r2(x: np.ndarray, y: np.ndarray, groups: np.ndarray) -> float:
    """Returns the R2 of ridge regression from x [N, n] to y [N, m] on groups [N] (people) that it was not fitted to.

    The errors of all folds are pooled; each column of y that varies counts equally. 1 is perfect; 0 is no better than
    the mean of the people that it was fitted to. NaN for one group, or where x or y has no column that varies.
    """
    x, y = standardised(x), standardised(y)
    y = y[:, y.std(0) > 0]
    people = np.unique(groups)
    if len(people) < 2 or y.shape[1] == 0 or x.shape[1] == 0:
        return float("nan")
    fold = np.searchsorted(people, groups) % min(FOLDS, len(people))
    error, total = np.zeros(y.shape[1]), np.zeros(y.shape[1])
    for k in range(min(FOLDS, len(people))):
        fit, test = fold != k, fold == k
        mx, my = x[fit].mean(0), y[fit].mean(0)
        a = x[fit] - mx
        w = np.linalg.solve(a.T @ a + RIDGE * len(a) * np.eye(a.shape[1]), a.T @ (y[fit] - my))
        error += ((y[test] - my - (x[test] - mx) @ w) ** 2).sum(0)
        total += ((y[test] - my) ** 2).sum(0)
    return float(np.maximum(1 - error / np.maximum(total, 1e-12), 0).mean())


def rank_ceiling(y: np.ndarray, size: int) -> float:
    """Returns the best mean R2 for the columns of y [N, m] that any `size` coordinates can reach linearly: the share of
    the `size` largest eigenvalues of their correlation."""
    y = standardised(y)
    y = y[:, y.std(0) > 0]
    values = np.linalg.eigvalsh(np.atleast_2d(y.T @ y))[::-1]
    return float(values[:size].sum() / values.sum()) if len(values) else float("nan")


def probe_matrix(codes: Blocks, truths: Blocks, groups: np.ndarray) -> np.ndarray:
    """Returns probe_r2 of every block for every truth, [blocks, truths]."""
    return np.array([[probe_r2(x, y, groups) for y in truths.values()] for x in codes.values()])


def rms(x: np.ndarray) -> float:
    """Returns the root mean square of all entries."""
    return float(np.sqrt(np.mean(np.asarray(x, np.float64) ** 2)))


def response(reading: np.ndarray, before: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Returns the change reading - before [N, n] in the corpus's standard deviations `scale` [n]; columns whose scale
    is 0 are left out."""
    moving = np.asarray(scale) > 1e-9
    return (np.asarray(reading, np.float64) - before)[:, moving] / np.asarray(scale, np.float64)[moving]


def gain(made: np.ndarray, shift: np.ndarray) -> float:
    """Returns the slope through the origin of the change made on the requested change, both [N, n] in standard
    deviations."""
    return float((made * shift).sum() / max(float((shift * shift).sum()), 1e-12))


def leakage_matrix(responses: Mapping[str, Blocks], shifts: Blocks) -> np.ndarray:
    """Returns [i, j]: the RMS response of factor j per RMS shift of factor i; on the diagonal the gain.

    Args:
      responses: [i][j] -> [N, n_j], the change of factor j read from images when factor i was shifted.
      shifts: [i] -> [N, n_i], that shift. All in standard deviations.
    """
    names = list(shifts)
    return np.array(
        [
            [
                gain(responses[i][j], shifts[i]) if i == j else rms(responses[i][j]) / max(rms(shifts[i]), 1e-12)
                for j in names
            ]
            for i in names
        ]
    )


def excess_leakage(model: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Returns what the model adds to the judge's own reading of true renders.

    Off the diagonal, independent errors add in quadrature: the excess is sqrt(model^2 - truth^2), or 0 if that is
    negative. On the diagonal it is the ratio of the gains.
    """
    out = np.sqrt(np.maximum(model**2 - truth**2, 0))
    diagonal = np.diagonal(model) / np.where(np.abs(np.diagonal(truth)) > 1e-6, np.diagonal(truth), np.nan)
    np.fill_diagonal(out, diagonal)
    return out


def cross_covariance(codes: Blocks) -> np.ndarray:
    """Returns the RMS correlation between the coordinates of two blocks, [blocks, blocks]; the diagonal is between
    different coordinates of one block."""
    blocks = [standardised(c) for c in codes.values()]
    out = np.zeros((len(blocks), len(blocks)))
    for i, a in enumerate(blocks):
        for j, b in enumerate(blocks):
            c = a.T @ b / len(a)
            if i == j:
                c = c[~np.eye(len(c), dtype=bool)]
            out[i, j] = rms(c) if c.size else 0.0
    return out


def linear_cka(x: np.ndarray, y: np.ndarray) -> float:
    """Returns the linear centred kernel alignment of x [N, n] and y [N, m] (Kornblith et al., ICML 2019): 1 same, 0
    unrelated."""
    x, y = (np.asarray(a, np.float64) - np.mean(a, 0) for a in (x, y))
    cross, own, other = (float(np.linalg.norm(m)) for m in (x.T @ y, x.T @ x, y.T @ y))
    return cross**2 / max(own * other, 1e-12)


def cka_matrix(codes: Blocks) -> np.ndarray:
    """Returns linear_cka of every two blocks, [blocks, blocks]."""
    blocks = list(codes.values())
    return np.array([[linear_cka(a, b) for b in blocks] for a in blocks])


def paper_distances(latents: Blocks) -> tuple[np.ndarray, np.ndarray]:
    """Returns the paper's table: mean L2 distance and mean cosine similarity between the unit latents of two factors in
    one frame, both [blocks, blocks].

    Args:
      latents: each factor's share of the motion latent, [N, D].
    """
    unit = [np.asarray(a, np.float64) / np.maximum(np.linalg.norm(a, axis=-1, keepdims=True), 1e-12)
            for a in latents.values()]  # fmt: skip
    cosine = np.array([[float((a * b).sum(-1).mean()) for b in unit] for a in unit])
    distance = np.array([[float(np.linalg.norm(a - b, axis=-1).mean()) for b in unit] for a in unit])
    return distance, cosine


def principal_angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the angles in degrees, ascending, between the column spaces of a [P, n] and b [P, m]; there are
    min(rank a, rank b) of them."""
    bases = [orth(np.asarray(x, np.float64), rcond=RANK_TOLERANCE) for x in (a, b)]
    if 0 in (bases[0].shape[1], bases[1].shape[1]):
        return np.zeros(0)
    return np.degrees(subspace_angles(*bases))[::-1]
