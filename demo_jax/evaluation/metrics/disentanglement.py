"""How separate the factors are: in codes (probes, cross-covariance, CKA, distances), in pictures (leakage) and in the
decoder (angles between its Jacobians). Numpy, float64.

Codes and truths are dicts name -> [N, n]; a matrix is an array [rows, columns] in the order of the dicts.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

Blocks = Mapping[str, np.ndarray]
RIDGE = 1e-2  # of the probes, in units of standardised columns
FOLDS = 5


def standardised(x: np.ndarray, floor: float = 1e-6) -> np.ndarray:
    """Columns of [N, n] with mean 0 and variance 1; those that do not move become 0."""
    x = np.asarray(x, np.float64)
    x = x - x.mean(0)
    std = x.std(0)
    return np.where(std > floor, x / np.maximum(std, floor), 0.0)


def probe_r2(x: np.ndarray, y: np.ndarray, groups: np.ndarray) -> float:
    """R2 of ridge regression from x [N, n] to y [N, m] on groups [N] (people) that it was not fitted to.

    Errors of all folds are pooled; each column of y that moves counts equally. 1 is perfect, 0 is as good as the mean
    of the people it was fitted to or worse.
    """
    x, y = standardised(x), standardised(y)
    y = y[:, y.std(0) > 0]
    people = np.unique(groups)
    if len(people) < 2 or y.shape[1] == 0 or x.shape[1] == 0:
        return float("nan")
    fold = np.searchsorted(people, groups) % min(FOLDS, len(people))
    wrong, total = np.zeros(y.shape[1]), np.zeros(y.shape[1])
    for k in range(min(FOLDS, len(people))):
        fit, test = fold != k, fold == k
        mx, my = x[fit].mean(0), y[fit].mean(0)
        a = x[fit] - mx
        w = np.linalg.solve(a.T @ a + RIDGE * len(a) * np.eye(a.shape[1]), a.T @ (y[fit] - my))
        wrong += ((y[test] - my - (x[test] - mx) @ w) ** 2).sum(0)
        total += ((y[test] - my) ** 2).sum(0)
    return float(np.maximum(1 - wrong / np.maximum(total, 1e-12), 0).mean())


def rank_ceiling(y: np.ndarray, size: int) -> float:
    """The best R2 for the columns of y [N, m] that any `size` coordinates can give linearly: their share of the
    correlation's largest eigenvalues."""
    y = standardised(y)
    y = y[:, y.std(0) > 0]
    values = np.linalg.eigvalsh(np.atleast_2d(y.T @ y))[::-1]
    return float(values[:size].sum() / values.sum()) if len(values) else float("nan")


def probe_matrix(codes: Blocks, truths: Blocks, groups: np.ndarray) -> np.ndarray:
    """[blocks, truths]: probe_r2 of every block for every truth."""
    return np.array([[probe_r2(x, y, groups) for y in truths.values()] for x in codes.values()])


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.asarray(x, np.float64) ** 2)))


def response(reading: np.ndarray, before: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Change [N, n] in standard deviations `scale` [n] of the corpus; columns whose scale is 0 are left out."""
    moving = np.asarray(scale) > 1e-9
    return (np.asarray(reading, np.float64) - before)[:, moving] / np.asarray(scale, np.float64)[moving]


def gain(made: np.ndarray, shift: np.ndarray) -> float:
    """Slope through the origin of the change made on the change asked for, both [N, n] in standard deviations."""
    return float((made * shift).sum() / max(float((shift * shift).sum()), 1e-12))


def leakage_matrix(responses: Mapping[str, Blocks], shifts: Blocks) -> np.ndarray:
    """responses[i][j] [N, n_j]: change of factor j read in pictures when factor i was shifted by shifts[i] [N, n_i],
    all in standard deviations -> [i, j]: RMS response of j per RMS shift of i; on the diagonal the gain."""
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
    """What the model adds to the judge's own reading of true renders. Off the diagonal independent errors add in
    quadrature, so the excess is sqrt(model^2 - truth^2), 0 if that is negative; on it, the ratio of the gains."""
    out = np.sqrt(np.maximum(model**2 - truth**2, 0))
    diagonal = np.diagonal(model) / np.where(np.abs(np.diagonal(truth)) > 1e-6, np.diagonal(truth), np.nan)
    np.fill_diagonal(out, diagonal)
    return out


def cross_covariance(codes: Blocks) -> np.ndarray:
    """[blocks, blocks]: RMS correlation between the coordinates of two blocks, standardised; the diagonal is between
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
    """Linear centred kernel alignment of [N, n] and [N, m] (Kornblith et al., ICML 2019): 1 same, 0 unrelated."""
    x, y = (np.asarray(a, np.float64) - np.mean(a, 0) for a in (x, y))
    cross, own, other = (float(np.linalg.norm(m)) for m in (x.T @ y, x.T @ x, y.T @ y))
    return cross**2 / max(own * other, 1e-12)


def cka_matrix(codes: Blocks) -> np.ndarray:
    blocks = list(codes.values())
    return np.array([[linear_cka(a, b) for b in blocks] for a in blocks])


def paper_distances(latents: Blocks) -> tuple[np.ndarray, np.ndarray]:
    """The paper's table: mean L2 distance and mean cosine similarity between unit latents of two factors in one frame,
    both [blocks, blocks]. latents: each factor's share of the motion latent, [N, D]."""
    unit = [np.asarray(a, np.float64) / np.maximum(np.linalg.norm(a, axis=-1, keepdims=True), 1e-12)
            for a in latents.values()]  # fmt: skip
    cosine = np.array([[float((a * b).sum(-1).mean()) for b in unit] for a in unit])
    distance = np.array([[float(np.linalg.norm(a - b, axis=-1).mean()) for b in unit] for a in unit])
    return distance, cosine


def principal_angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Degrees, ascending, between the column spaces of a [P, n] and b [P, m]; min(rank a, rank b) of them."""
    qa, qb = _column_space(a), _column_space(b)
    if qa.shape[1] == 0 or qb.shape[1] == 0:
        return np.zeros(0)
    cosines = np.linalg.svd(qa.T @ qb, compute_uv=False)
    return np.degrees(np.arccos(np.clip(cosines, -1, 1)))


def _column_space(a: np.ndarray) -> np.ndarray:
    u, s, _ = np.linalg.svd(np.asarray(a, np.float64), full_matrices=False)
    return u[:, s > 1e-6 * max(float(s[0]) if len(s) else 0.0, 1e-12)]
