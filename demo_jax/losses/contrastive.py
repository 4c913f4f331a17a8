"""Contrastive losses: InfoNCE between lips and audio (van den Oord et al. 2018), and cosine contrast of gaze.

DEMO (arXiv 2510.10650) learns its lip factor by the first, in both directions, and its gaze factor by the second.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

MIN_DISTANCE = 6  # frames: nearer windows of one clip look and sound alike
MIN_ANGLE = 5.0  # degrees: nearer directions of gaze look alike


def comparable(clip: jax.Array, time: jax.Array, voiced: jax.Array, phoneme: jax.Array) -> jax.Array:
    """Which pairs of windows may be each other's negatives: [B, B] bool, false on the diagonal.

    Left out are windows of the same clip nearer than MIN_DISTANCE frames, pairs in which both are silent, and pairs
    with the same known phoneme. All arguments are [B]; phoneme is an integer, negative = unknown.
    """
    near = (clip[:, None] == clip[None]) & (jnp.abs(time[:, None] - time[None]) < MIN_DISTANCE)
    silent = ~voiced[:, None] & ~voiced[None]
    same = (phoneme[:, None] == phoneme[None]) & (phoneme[:, None] >= 0)
    return ~(near | silent | same)


def lip_info_nce(
    lips: jax.Array, audio: jax.Array, negatives: jax.Array, anchors: jax.Array, temperature: float
) -> tuple[jax.Array, jax.Array]:
    """InfoNCE in both directions between embeddings [B, E], row i of one belonging to row i of the other.

    Args:
      negatives: [B, B] bool, the pairs that count as negatives (`comparable`).
      anchors: [B] bool, the rows that count at all (voiced ones).

    Returns:
      The mean loss over anchors, and the share of anchors whose own audio scores highest (both scalars; 0 without
      anchors).
    """
    lips = lips / jnp.linalg.norm(lips + 1e-8, axis=-1, keepdims=True)
    audio = audio / jnp.linalg.norm(audio + 1e-8, axis=-1, keepdims=True)
    logits = lips @ audio.T / temperature
    allowed = negatives | jnp.eye(len(lips), dtype=bool)
    count = jnp.maximum(jnp.sum(anchors), 1)

    def one_way(scores: jax.Array) -> tuple[jax.Array, jax.Array]:
        scores = jnp.where(allowed, scores, -1e9)
        loss = jax.nn.logsumexp(scores, 1) - jnp.diagonal(scores)
        right = jnp.argmax(scores, 1) == jnp.arange(len(scores))
        return jnp.sum(loss * anchors) / count, jnp.sum(right * anchors) / count

    (a, right_a), (b, right_b) = one_way(logits), one_way(logits.T)
    return (a + b) / 2, (right_a + right_b) / 2


def gaze_contrast(
    anchors: jax.Array, positives: jax.Array, candidates: jax.Array, negatives: jax.Array, temperature: float
) -> tuple[jax.Array, jax.Array]:
    """InfoNCE by cosine similarity: an anchor is nearer to its positive (same gaze) than to other gazes.

    Args:
      anchors, positives: embeddings [B, E].
      candidates: embeddings [M, E] that negatives are taken from.
      negatives: [B, M] bool (`other_gaze`); rows without any are left out.

    Returns:
      The mean loss, and the share of anchors whose positive scores highest (0 and 0 if no row has negatives).
    """
    anchors, positives, candidates = (
        x / jnp.linalg.norm(x + 1e-8, axis=-1, keepdims=True) for x in (anchors, positives, candidates)
    )
    matching = jnp.sum(anchors * positives, -1, keepdims=True) / temperature
    others = jnp.where(negatives, anchors @ candidates.T / temperature, -1e9)
    usable = jnp.any(negatives, 1)
    count = jnp.maximum(jnp.sum(usable), 1)
    loss = jax.nn.logsumexp(jnp.concatenate([matching, others], 1), 1) - matching[:, 0]
    right = matching[:, 0] > jnp.max(others, 1)
    return jnp.sum(loss * usable) / count, jnp.sum(right * usable) / count


def other_gaze(anchors: jax.Array, candidates: jax.Array, usable: jax.Array) -> jax.Array:
    """Which candidates look elsewhere: gaze yaw and pitch [B, 2] and [M, 2] in degrees, NaN = not known -> [B, M] bool.

    True where both are known, the anchor is `usable` [B] and the directions are more than MIN_ANGLE apart.
    """
    angle = jnp.linalg.norm(anchors[:, None] - candidates[None], axis=-1)
    return (angle > MIN_ANGLE) & usable[:, None]  # a comparison with NaN is false
