"""Contrastive losses: InfoNCE between lips and audio (van den Oord et al. 2018), and InfoNCE by cosine of gaze.

DEMO (arXiv 2510.10650) learns its lip factor by the first, in both directions, and its gaze factor by the second. Their
weights are config.loss.lip_contrast and gaze_contrast; several configs set them to 0, because the ablation found no
difference (docs/results.md).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

MIN_DISTANCE = 6  # frames: nearer windows of one clip are too similar
MIN_ANGLE = 5.0  # degrees: nearer directions of gaze are too similar


def comparable(
    clip: Int[Array, " B"], time: Int[Array, " B"], voiced: Bool[Array, " B"], phoneme: Int[Array, " B"]
) -> Bool[Array, "B B"]:
    """Returns which pairs of windows may be each other's negatives, false on the diagonal.

    Windows of the same clip nearer than MIN_DISTANCE frames, pairs in which both are silent, and pairs with the same
    known phoneme are left out.

    Args:
      clip: an identifier of the clip.
      time: of the window, frames.
      voiced: whether somebody speaks.
      phoneme: an index, negative = unknown.
    """
    near = (clip[:, None] == clip[None]) & (jnp.abs(time[:, None] - time[None]) < MIN_DISTANCE)
    silent = ~voiced[:, None] & ~voiced[None]
    same = (phoneme[:, None] == phoneme[None]) & (phoneme[:, None] >= 0)
    return ~(near | silent | same)


def lip_info_nce(
    lips: Float[Array, "B E"],
    audio: Float[Array, "B E"],
    negatives: Bool[Array, "B B"],
    anchors: Bool[Array, " B"],
    temperature: float,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Computes InfoNCE in both directions between embeddings, row i of one belonging to row i of the other.

    Args:
      lips: embeddings of lip codes.
      audio: embeddings of audio features.
      negatives: the pairs that count as negatives (`comparable`).
      anchors: the rows that count at all (voiced ones).
      temperature: of the similarities.

    Returns:
      The mean loss over anchors, and the share of anchors whose own audio scores highest (0 and 0 without anchors).
    """
    lips = lips / jnp.linalg.norm(lips + 1e-8, axis=-1, keepdims=True)
    audio = audio / jnp.linalg.norm(audio + 1e-8, axis=-1, keepdims=True)
    logits = lips @ audio.T / temperature
    allowed = negatives | jnp.eye(len(lips), dtype=bool)
    count = jnp.maximum(jnp.sum(anchors), 1)

    def one_way(scores: Float[Array, "B B"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
        scores = jnp.where(allowed, scores, -1e9)
        loss = jax.nn.logsumexp(scores, 1) - jnp.diagonal(scores)
        right = jnp.argmax(scores, 1) == jnp.arange(len(scores))
        return jnp.sum(loss * anchors) / count, jnp.sum(right * anchors) / count

    (a, right_a), (b, right_b) = one_way(logits), one_way(logits.T)
    return (a + b) / 2, (right_a + right_b) / 2


def gaze_contrast(
    anchors: Float[Array, "B E"],
    positives: Float[Array, "B E"],
    candidates: Float[Array, "candidates E"],
    negatives: Bool[Array, "B candidates"],
    temperature: float,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Computes InfoNCE by cosine similarity: an anchor should be nearer to its positive than to other gazes.

    Args:
      anchors: embeddings.
      positives: embeddings of the same gaze, row by row.
      candidates: embeddings that negatives are taken from.
      negatives: which of them differ (`other_gaze`); rows without any are left out.
      temperature: of the similarities.

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


def other_gaze(
    anchors: Float[Array, "B 2"], candidates: Float[Array, "candidates 2"], usable: Bool[Array, " B"]
) -> Bool[Array, "B candidates"]:
    """Returns which candidates look elsewhere, from gaze yaw and pitch in degrees (NaN = unknown).

    True where both gazes are known, the anchor is usable and the directions are more than MIN_ANGLE apart.
    """
    angle = jnp.linalg.norm(anchors[:, None] - candidates[None], axis=-1)
    return (angle > MIN_ANGLE) & usable[:, None]  # a comparison with NaN is false
