"""Bidirectional InfoNCE between lips and audio (DEMO's lip factor; van den Oord et al. 2018)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

MIN_DISTANCE = 6  # frames: nearer windows of one clip look and sound alike


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
