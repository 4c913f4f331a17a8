"""The space of motion codes: its statistics, whitening for flow matching, and the readout to ARKit's 52 names.

Calibrated coordinates are standardised one by one, so that each can be given alone; the free coordinates are whitened
within their factor's block, with a floor under the variances so that uninformative directions are not amplified.
"""

from __future__ import annotations

import dataclasses
import io
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from jaxtyping import Float

from demo_jax.errors import InputError
from demo_jax.factors import FACTORS, FactorLayout
from demo_jax.pytrees import AnyArray, register

# A free direction with less than this share of its block's mean variance stays small instead of being scaled to 1.
VARIANCE_FLOOR = 1e-2
RIDGE = 1e-3  # of the readout, in units of standardised codes


@register
@dataclasses.dataclass(frozen=True, kw_only=True)
class CodeSpace:
    """The maps between raw codes, whitened codes and expressions.

    With NumPy arrays, as jax.device_get gives, and NumPy codes NumPy does all the work: no program for every length.

    mean          of raw codes
    whiten        whitened = (code - mean) @ whiten
    unwhiten      its inverse
    readout       expression = (code - mean) @ readout + readout_bias
    readout_bias  see readout
    readout_r2    share of variance explained on the codes it was fitted to; NaN where not measured
    """

    mean: Float[AnyArray, " K"]
    whiten: Float[AnyArray, "K K"]
    unwhiten: Float[AnyArray, "K K"]
    readout: Float[AnyArray, "K 52"]
    readout_bias: Float[AnyArray, 52]
    readout_r2: Float[AnyArray, 52]

    def to_whitened(self, codes: Float[AnyArray, "*axes K"]) -> Float[AnyArray, "*axes K"]:
        """Whitens raw codes."""
        return (codes - _row(self.mean, codes)) @ self.whiten

    def from_whitened(self, whitened: Float[AnyArray, "*axes K"]) -> Float[AnyArray, "*axes K"]:
        """Returns the raw codes."""
        return whitened @ self.unwhiten + _row(self.mean, whitened)

    def expression(self, codes: Float[AnyArray, "*axes K"]) -> Float[AnyArray, "*axes 52"]:
        """Returns the 52 coefficients of raw codes, clipped to 0-1; NaN for names that were never measured."""
        values = (codes - _row(self.mean, codes)) @ self.readout + _row(self.readout_bias, codes)
        xp = jnp if isinstance(values, jax.Array) else np
        return xp.where(xp.isnan(_row(self.readout_r2, codes)), xp.nan, xp.clip(values, 0, 1))


def _row(vector: Float[AnyArray, " n"], like: Float[AnyArray, "*axes"]) -> Float[AnyArray, "... n"]:
    """Returns the vector with as many axes as `like`."""
    return vector.reshape((1,) * (like.ndim - 1) + (-1,))


def load_space(path: epath.PathLike) -> CodeSpace:
    """Reads the space.npz that data_pipelines.encode wrote. Raises InputError if it is missing or damaged."""
    try:
        with epath.Path(path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return CodeSpace(**{f.name: jnp.asarray(arrays[f.name]) for f in dataclasses.fields(CodeSpace)})
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} is missing or damaged ({error}); run python -m data_pipelines.encode again."
        ) from error


def pack_space(space: CodeSpace) -> bytes:
    """Returns the contents of the file that load_space reads."""
    buffer = io.BytesIO()
    np.savez(buffer, **{f.name: np.asarray(getattr(space, f.name)) for f in dataclasses.fields(CodeSpace)})  # type: ignore[arg-type]
    return buffer.getvalue()


def fit(codes: Float[np.ndarray, "T K"], expression: Float[np.ndarray, "T 52"], layout: FactorLayout) -> CodeSpace:
    """Computes the statistics of raw codes and the ridge readout to expressions (NaN = not measured)."""
    codes = np.asarray(codes, np.float64)
    mean = codes.mean(0)
    centred = codes - mean
    whiten, unwhiten = np.zeros((layout.size,) * 2), np.zeros((layout.size,) * 2)
    calibrated = set(layout.calibrated.tolist())
    for i in calibrated:
        deviation = max(float(centred[:, i].std()), 1e-3)  # a coordinate that never moves gets 1/1000 of a usual change
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


def _fit_readout(
    centred: Float[np.ndarray, "T K"], expression: Float[np.ndarray, "T E"]
) -> tuple[Float[np.ndarray, "K E"], Float[np.ndarray, " E"], Float[np.ndarray, " E"]]:
    """Returns readout, bias and r2."""
    k, e = centred.shape[1], expression.shape[1]
    readout, bias, r2 = np.zeros((k, e)), np.zeros(e), np.full(e, np.nan)
    scale = np.maximum(centred.std(0), 1e-6)
    for name in range(e):
        measured = np.isfinite(expression[:, name])
        if measured.sum() < 2 * k:
            continue
        x, y = centred[measured] / scale, expression[measured, name]
        bias[name] = y.mean() - x.mean(0) @ (w := _ridge(x - x.mean(0), y - y.mean()))
        readout[:, name] = w / scale
        residual = y - (x @ w + bias[name])
        r2[name] = 1 - residual.var() / y.var() if y.var() > 1e-8 else 0.0
    return readout, bias, r2


def _ridge(x: Float[np.ndarray, "rows K"], y: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " K"]:
    return np.linalg.solve(x.T @ x + RIDGE * len(x) * np.eye(x.shape[1]), x.T @ y)
