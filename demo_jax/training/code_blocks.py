"""Codes taken apart by factors: which coordinates belong together, and what training puts in their place."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from demo_jax.factors import FACTORS, POSE_SCALE, FactorLayout

PARTS = {"lip": slice(0, 3), "pose": slice(3, 9), "gaze": slice(9, 13)}  # of the calibrated coordinates


@dataclasses.dataclass(frozen=True, kw_only=True)
class Blocks:
    """Which block each coordinate counts in, when some factors (`merged`) have none of their own."""

    layout: FactorLayout
    merged: tuple[str, ...] = ()

    @property
    def of_factor(self) -> np.ndarray:
        """[4]: factor -> block, both as indices in FACTORS."""
        residual = FACTORS.index("residual")
        return np.array([residual if f in self.merged else i for i, f in enumerate(FACTORS)], np.int32)

    @property
    def index(self) -> np.ndarray:
        """[K]: coordinate -> block."""
        return self.of_factor[self.layout.factor_index]

    @property
    def fixed(self) -> np.ndarray:
        """[K] bool: the coordinates that supervision pins to truth."""
        out = np.zeros(self.layout.size, bool)
        for factor, part in PARTS.items():
            out[self.layout.calibrated[part]] = factor not in self.merged
        return out

    def moving(self, factor: jax.Array) -> jax.Array:
        """Redrawn factors [B] -> the coordinates that may change with them, [B, K] bool.

        A row is all false where the factor has no coordinates, as the residual in the paper's split: such a set says
        nothing, and is left out.
        """
        return jnp.asarray(self.index)[None] == jnp.asarray(self.of_factor)[factor][:, None]


def swap_factor(base: jax.Array, redrawn: jax.Array, factor: jax.Array, blocks: Blocks) -> jax.Array:
    """Codes [B, K]: those of `base`, with the block of factor [B] (index in FACTORS) taken from `redrawn`."""
    return jnp.where(blocks.moving(factor), redrawn, base)


def undo_shift(codes: jax.Array, shift: jax.Array, layout: FactorLayout) -> jax.Array:
    """Codes [B, K] of pictures enlarged by exp(shift[:, 2]) and then moved by shift[:, :2] crop widths (x, y) -> the
    codes of the pictures as they were: only x, y and z of the pose differ."""
    x, y, z = (layout.slices["pose"].start + i for i in (3, 4, 5))
    unit = jnp.asarray(POSE_SCALE[3:])[None]
    moved = codes[:, jnp.array([x, y, z])] * unit
    place = (moved[:, :2] - shift[:, :2]) * jnp.exp(-shift[:, 2:])
    return codes.at[:, jnp.array([x, y, z])].set(jnp.concatenate([place, moved[:, 2:] + shift[:, 2:]], 1) / unit)


def teacher_force(
    key: jax.Array,
    codes: jax.Array,
    truth: jax.Array,
    blocks: Blocks,
    *,
    share: float,
    lip_share: float,
    false_share: float = 0.0,
) -> jax.Array:
    """Codes [B, K] with calibrated coordinates replaced by truth [B, 13] where it is known: pose and gaze in `share` of
    the rows, lips in `lip_share`, drawn apart. Merged factors keep what they have.

    In `false_share` of the rows the free coordinates of lip and gaze become another row's. Calibrated ones are always
    right then and free ones are not, so that a picture follows a number that is set by hand against them.
    """
    index, draws = blocks.layout.calibrated, jax.random.uniform(key, (len(codes), 3))
    if false_share:
        free = ~np.isin(np.arange(blocks.layout.size), index)
        of = blocks.layout.factor_index
        told = [FACTORS.index(f) for f in ("lip", "gaze") if f not in blocks.merged]
        wrong = (draws[:, 2:] < false_share) & jnp.asarray(free & np.isin(of, told))[None]
        codes = jnp.where(wrong, jnp.roll(codes, 1, 0), codes)
    use = jnp.zeros(truth.shape, bool)
    for factor, part in PARTS.items():
        if factor not in blocks.merged:
            row = draws[:, :1] < lip_share if factor == "lip" else draws[:, 1:2] < share
            use = use.at[:, part].set(jnp.broadcast_to(row, truth[:, part].shape))
    use &= jnp.isfinite(truth)
    return codes.at[:, index].set(jnp.where(use, jnp.nan_to_num(truth), codes[:, index]))
