"""Blocks of a motion code: which coordinates belong to which factor, and what training replaces in them."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from demo_jax.factors import FACTORS, POSE_SCALE, FactorLayout

PARTS = {"lip": slice(0, 3), "pose": slice(3, 9), "gaze": slice(9, 13)}  # of the calibrated coordinates


@dataclasses.dataclass(frozen=True, kw_only=True)
class Blocks:
    """The block of each coordinate, where the factors in `merged` have none of their own and count as residual."""

    layout: FactorLayout
    merged: tuple[str, ...] = ()

    @property
    def of_factor(self) -> Int[np.ndarray, " 4"]:
        """The block of each factor, both as indices in FACTORS."""
        residual = FACTORS.index("residual")
        return np.array([residual if f in self.merged else i for i, f in enumerate(FACTORS)], np.int32)

    @property
    def index(self) -> Int[np.ndarray, " K"]:
        """The block of each coordinate."""
        return self.of_factor[self.layout.factor_index]

    @property
    def fixed(self) -> Bool[np.ndarray, " K"]:
        """The coordinates that supervision ties to true values."""
        out = np.zeros(self.layout.size, bool)
        for factor, part in PARTS.items():
            out[self.layout.calibrated[part]] = factor not in self.merged
        return out

    def moving(self, factor: Int[Array, " B"]) -> Bool[Array, "B K"]:
        """Returns the coordinates that may change when this factor (index in FACTORS) is swapped.

        A row is all false where the factor has no coordinates, as the residual in the paper's split; losses leave such
        a paired group out.
        """
        return jnp.asarray(self.index)[None] == jnp.asarray(self.of_factor)[factor][:, None]


def swap_factor(
    base: Float[Array, "B K"], donor: Float[Array, "B K"], factor: Int[Array, " B"], blocks: Blocks
) -> Float[Array, "B K"]:
    """Returns the codes of `base` with the block of `factor` (index in FACTORS) taken from `donor`."""
    return jnp.where(blocks.moving(factor), donor, base)


def undo_shift(codes: Float[Array, "B K"], shift: Float[Array, "B 3"], layout: FactorLayout) -> Float[Array, "B K"]:
    """Returns the codes of images before they were augmented; only x, y and z of the pose differ.

    Args:
      codes: of images that were enlarged by exp(shift[:, 2]) and then moved by shift[:, :2] crop widths (x, y).
      shift: x, y and the logarithm of the enlargement.
      layout: of the codes.
    """
    x, y, z = (layout.slices["pose"].start + i for i in (3, 4, 5))
    unit = jnp.asarray(POSE_SCALE[3:])[None]
    moved = codes[:, jnp.array([x, y, z])] * unit
    place = (moved[:, :2] - shift[:, :2]) * jnp.exp(-shift[:, 2:])
    return codes.at[:, jnp.array([x, y, z])].set(jnp.concatenate([place, moved[:, 2:] + shift[:, 2:]], 1) / unit)


def teacher_force(
    key: Key[Array, ""],
    codes: Float[Array, "B K"],
    truth: Float[Array, "B 13"],
    blocks: Blocks,
    *,
    share: float,
    lip_share: float,
    false_share: float = 0.0,
) -> Float[Array, "B K"]:
    """Returns the codes with calibrated coordinates replaced by true ones in some rows. Merged factors are unchanged.

    Args:
      key: for the choice of rows.
      codes: of the motion encoder.
      truth: calibrated coordinates; NaN where not known, and there `codes` stay.
      blocks: of the codes.
      share: of the rows whose pose and gaze are replaced.
      lip_share: of the rows whose lips are replaced, chosen independently.
      false_share: of the rows whose free coordinates of lip and gaze become another row's. Free coordinates are then
        sometimes wrong and true calibrated ones never, so that an image follows a calibrated value that is set by hand.
    """
    index, draws = blocks.layout.calibrated, jax.random.uniform(key, (len(codes), 3))
    if false_share:
        free = ~np.isin(np.arange(blocks.layout.size), index)
        of = blocks.layout.factor_index
        replaced = [FACTORS.index(f) for f in ("lip", "gaze") if f not in blocks.merged]
        wrong = (draws[:, 2:] < false_share) & jnp.asarray(free & np.isin(of, replaced))[None]
        codes = jnp.where(wrong, jnp.roll(codes, 1, 0), codes)
    lips, unmerged = np.zeros((2, truth.shape[1]), bool)
    for factor, part in PARTS.items():
        lips[part], unmerged[part] = factor == "lip", factor not in blocks.merged
    rows = jnp.where(lips[None], draws[:, :1] < lip_share, draws[:, 1:2] < share)
    use = rows & unmerged[None] & jnp.isfinite(truth)
    return codes.at[:, index].set(jnp.where(use, jnp.nan_to_num(truth), codes[:, index]))
