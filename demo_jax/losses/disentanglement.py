"""What keeps the factors of a motion code apart: batch statistics and distances between codes that should agree.

N codes of one batch, each [K]; `block` [K] says which factor a coordinate belongs to (an index in FACTORS).
"""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np

# Of a coordinate's variance over the batch: a coordinate that says nothing is not blown up into noise of unit size.
_VARIANCE_FLOOR = 1e-4


def spread(codes: jax.Array) -> jax.Array:
    """Standard deviation [K] of every coordinate over codes [N, K], with a floor."""
    return jnp.sqrt(jnp.var(codes, 0) + _VARIANCE_FLOOR)


def cross_covariance(codes: jax.Array, block: np.ndarray, fixed: np.ndarray) -> jax.Array:
    """Mean squared correlation over the batch between coordinates of different blocks; codes [N, K] -> scalar in 0-1.

    Correlations, that is covariances of standardised coordinates: shrinking a coordinate gains nothing. Every pair of
    blocks weighs the same, whatever its size.

    Args:
      block: [K] int, the factor of each coordinate.
      fixed: [K] bool, coordinates whose value truth decides. A pair of these is left out: heads nod with the voice, and
        the loss is not to argue with that.
    """
    standard = (codes - jnp.mean(codes, 0, keepdims=True)) / spread(codes)[None]
    square = jnp.square(standard.T @ standard / len(codes))
    means = []
    for a, b in itertools.combinations(np.unique(block), 2):
        pair = np.outer(block == a, block == b) & ~np.outer(fixed, fixed)
        if pair.any():
            means.append(jnp.sum(square * pair) / pair.sum())
    return sum(means, jnp.zeros(())) / max(len(means), 1)


def code_distance(a: jax.Array, b: jax.Array, scale: jax.Array, block: np.ndarray, keep: jax.Array) -> jax.Array:
    """Mean absolute difference of codes [N, K] over scale [K], in the kept entries; every block weighs the same.

    Args:
      scale: [K], for example `spread` of the batch: then a factor cannot agree better by shrinking.
      block: [K] int, the factor of each coordinate.
      keep: [N, K] bool, which entries should agree.
    """
    error = jnp.abs(a - b) / scale[None] * keep
    parts, kept = [], []
    for f in np.unique(block):
        inside = jnp.asarray(block == f)[None]
        count = jnp.sum(keep * inside)
        parts.append(jnp.sum(error * inside) / jnp.maximum(count, 1))
        kept.append(count > 0)
    return sum(parts) / jnp.maximum(sum(k.astype(jnp.float32) for k in kept), 1)


def cosine_overlap(embeddings: list[jax.Array]) -> jax.Array:
    """Mean squared cosine between the embeddings [N, E] of every pair of factors: 0 if all are orthogonal.

    DEMO maximises the cosine distance between factor embeddings so that they are "approximately orthogonal": the square
    asks for orthogonal rather than opposite ones. The projections are learned, so this can be met without touching the
    codes (each factor projected into a subspace of its own); it is here to be measured.
    """
    units = [e / jnp.linalg.norm(e + 1e-8, axis=-1, keepdims=True) for e in embeddings]
    pairs = [jnp.mean(jnp.square(jnp.sum(a * b, -1))) for a, b in itertools.combinations(units, 2)]
    return sum(pairs) / len(pairs)
