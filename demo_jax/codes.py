"""The space of motion codes: its statistics, whitening for flow matching, and the readout to ARKit's 52 names.

Calibrated coordinates are standardised one by one, so that any one alone can be given; the free coordinates are
whitened within their factor's block, with a floor under the variances so that a direction that means nothing is not
blown up.
"""

from __future__ import annotations

import dataclasses
import io
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath

from demo_jax.errors import InputError
from demo_jax.factors import FACTORS, FactorLayout

# A free direction with less than this share of its block's mean variance is left small instead of scaled to 1.
VARIANCE_FLOOR = 1e-2
RIDGE = 1e-3  # of the readout, in units of standardised codes


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class CodeSpace:
    """Everything needed to go between raw codes [..., K], whitened codes [..., K] and expressions [..., 52].

    With NumPy arrays, as jax.device_get gives, and NumPy codes all is done by NumPy: no program for every length.
    """

    mean: jax.Array  # [K]
    whiten: jax.Array  # [K, K]; whitened = (code - mean) @ whiten
    unwhiten: jax.Array  # [K, K]; its inverse
    readout: jax.Array  # [K, 52]; expression = (code - mean) @ readout + readout_bias
    readout_bias: jax.Array  # [52]
    readout_r2: jax.Array  # [52]; share of variance explained on the codes it was fitted to; NaN where not measured

    def to_whitened(self, codes: jax.Array) -> jax.Array:
        return (codes - _row(self.mean, codes)) @ self.whiten

    def from_whitened(self, whitened: jax.Array) -> jax.Array:
        return whitened @ self.unwhiten + _row(self.mean, whitened)

    def expression(self, codes: jax.Array) -> jax.Array:
        """Raw codes [..., K] -> the 52 coefficients [..., 52], clipped to 0-1; NaN for names never measured."""
        values = (codes - _row(self.mean, codes)) @ self.readout + _row(self.readout_bias, codes)
        xp = jnp if isinstance(values, jax.Array) else np
        return xp.where(xp.isnan(_row(self.readout_r2, codes)), xp.nan, xp.clip(values, 0, 1))


def _row(vector: jax.Array, like: jax.Array) -> jax.Array:
    return vector.reshape((1,) * (like.ndim - 1) + (-1,))


def load_space(path: epath.PathLike) -> CodeSpace:
    """Reads the space.npz that data_pipelines.encode wrote."""
    try:
        with epath.Path(path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return CodeSpace(**{f.name: jnp.asarray(arrays[f.name]) for f in dataclasses.fields(CodeSpace)})
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} is missing or damaged ({error}); run python -m data_pipelines.encode again."
        ) from error


def pack_space(space: CodeSpace) -> bytes:
    """What load_space reads."""
    buffer = io.BytesIO()
    np.savez(buffer, **{f.name: np.asarray(getattr(space, f.name)) for f in dataclasses.fields(CodeSpace)})  # type: ignore[arg-type]
    return buffer.getvalue()


def fit(codes: np.ndarray, expression: np.ndarray, layout: FactorLayout) -> CodeSpace:
    """Statistics of raw codes [T, K] and the ridge readout to expressions [T, 52] (NaN = not measured)."""
    codes = np.asarray(codes, np.float64)
    mean = codes.mean(0)
    centred = codes - mean
    whiten, unwhiten = np.zeros((layout.size,) * 2), np.zeros((layout.size,) * 2)
    calibrated = set(layout.calibrated.tolist())
    for i in calibrated:
        deviation = max(float(centred[:, i].std()), 1e-3)  # of a coordinate that never moves: 1/1000 of a usual change
        whiten[i, i], unwhiten[i, i] = 1 / deviation, deviation
    for factor in FACTORS:
        s = layout.slices[factor]
        free = np.array([i for i in range(s.start, s.stop) if i not in calibrated], int)
        if not len(free):
            continue
        variance, basis = np.linalg.eigh(np.atleast_2d(np.cov(centred[:, free], rowvar=False)))
        deviation = np.sqrt(np.maximum(variance, VARIANCE_FLOOR * max(variance.mean(), 1e-8)))
        whiten[np.ix_(free, free)] = basis / deviation
        unwhiten[np.ix_(free, free)] = (basis * deviation).T
    readout, bias, r2 = _fit_readout(centred, np.asarray(expression, np.float64))
    arrays = (mean, whiten, unwhiten, readout, bias, r2)
    names = [f.name for f in dataclasses.fields(CodeSpace)]
    return CodeSpace(**{n: jnp.asarray(a, jnp.float32) for n, a in zip(names, arrays, strict=True)})


def _fit_readout(centred: np.ndarray, expression: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    k, e = centred.shape[1], expression.shape[1]
    readout, bias, r2 = np.zeros((k, e)), np.zeros(e), np.full(e, np.nan)
    scale = np.maximum(centred.std(0), 1e-6)
    for name in range(e):
        seen = np.isfinite(expression[:, name])
        if seen.sum() < 2 * k:
            continue
        x, y = centred[seen] / scale, expression[seen, name]
        bias[name] = y.mean() - x.mean(0) @ (w := _ridge(x - x.mean(0), y - y.mean()))
        readout[:, name] = w / scale
        residual = y - (x @ w + bias[name])
        r2[name] = 1 - residual.var() / y.var() if y.var() > 1e-8 else 0.0
    return readout, bias, r2


def _ridge(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.linalg.solve(x.T @ x + RIDGE * len(x) * np.eye(x.shape[1]), x.T @ y)
