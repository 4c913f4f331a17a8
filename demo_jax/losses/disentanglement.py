"""Losses that keep the factors of a motion code apart: batch statistics, and distances between codes that should agree.

`block` gives the factor of each coordinate (an index in FACTORS).
"""

from __future__ import annotations

import itertools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

# Of a coordinate's variance over the batch: an uninformative coordinate is not amplified to noise of unit size.
_VARIANCE_FLOOR = 1e-4


def spread(codes: Float[Array, "B K"]) -> Float[Array, " K"]:
    """Returns the standard deviation of every coordinate over the batch, with a floor."""
    return jnp.sqrt(jnp.var(codes, 0) + _VARIANCE_FLOOR)


def cross_covariance(
    codes: Float[Array, "B K"], block: Int[np.ndarray, " K"], fixed: Bool[np.ndarray, " K"]
) -> Float[Array, ""]:
    """Returns the mean squared correlation over the batch between coordinates of different blocks, in 0-1.

    These are covariances of standardised coordinates, so that shrinking a coordinate gains nothing. Every pair of
    blocks has the same weight, whatever its size.

    Args:
      codes: of a batch.
      block: the factor of each coordinate.
      fixed: coordinates whose value is determined by the ground truth. Pairs of these are left out: heads nod with the
        voice, and the loss should not penalise that.
    """
    standard = (codes - jnp.mean(codes, 0, keepdims=True)) / spread(codes)[None]
    square = jnp.square(standard.T @ standard / len(codes))
    means = []
    for a, b in itertools.combinations(np.unique(block), 2):
        pair = np.outer(block == a, block == b) & ~np.outer(fixed, fixed)
        if pair.any():
            means.append(jnp.sum(square * pair) / pair.sum())
    return sum(means, jnp.zeros(())) / max(len(means), 1)


def code_distance(
    a: Float[Array, "B K"],
    b: Float[Array, "B K"],
    scale: Float[Array, " K"],
    block: Int[np.ndarray, " K"],
    keep: Bool[Array, "B K"],
) -> Float[Array, ""]:
    """Returns the mean absolute difference of codes over `scale`, in the kept entries; every block weighs the same.

    Args:
      a: codes.
      b: the codes that should agree with them.
      scale: for example `spread` of the batch: then a factor cannot agree better by shrinking.
      block: the factor of each coordinate.
      keep: which entries should agree.
    """
    error = jnp.abs(a - b) / scale[None] * keep
    parts, kept = [], []
    for f in np.unique(block):
        inside = jnp.asarray(block == f)[None]
        count = jnp.sum(keep * inside)
        parts.append(jnp.sum(error * inside) / jnp.maximum(count, 1))
        kept.append(count > 0)
    return sum(parts) / jnp.maximum(sum(k.astype(jnp.float32) for k in kept), 1)


def cosine_overlap(embeddings: list[Float[Array, "B E"]]) -> Float[Array, ""]:
    """Returns the mean squared cosine between the embeddings of every pair of factors: 0 if all are orthogonal.

    DEMO maximises the cosine distance between factor embeddings so that they are "approximately orthogonal": the square
    favours orthogonal over opposite ones. The projections are learned, so that this loss can fall without changing the
    codes (each factor is projected into a subspace of its own); it is here to be measured.
    """
    units = [e / jnp.linalg.norm(e + 1e-8, axis=-1, keepdims=True) for e in embeddings]
    pairs = [jnp.mean(jnp.square(jnp.sum(a * b, -1))) for a, b in itertools.combinations(units, 2)]
    return sum(pairs) / len(pairs)
