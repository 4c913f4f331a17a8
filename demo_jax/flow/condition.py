"""Everything the velocity network is told besides the noisy window, as one pytree.

All codes here are whitened ([.., K], zero mean, unit variance). A window has C context frames that are already known,
L frames to generate and H frames of audio look-ahead; its token axis is C + L + H frames long.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Self

import chex
import jax
import jax.numpy as jnp

CONTEXT_FRAMES = 10  # C
WINDOW_FRAMES = 50  # L
LOOKAHEAD_FRAMES = 10  # H
FACTOR_COUNT = 4


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Condition:
    """The conditions of a batch of windows. Every leaf has the batch on its first axis.

    context            [B, C, K] float32: the frames before the window
    context_mask       [B, C] bool: False = there is no such frame (the start of a clip)
    context_level      [B] float32: noise level of the context, 0 = clean, 1 = noise only
    audio              [B, C + L + H, A] float32
    audio_mask         [B, C + L + H] bool: False = before the start or after the end of the recording
    source             [B, K] float32: the portrait's own code
    emotion            [B, C + L + H] int32: index into factors.EMOTIONS, 0 = unknown
    given              [B, L, K] float32: entries that are not to be generated; 0 where given_mask is False
    given_mask         [B, L, K] bool
    keyframe           [B, L, K] float32: the next keyframe at or after the frame, per factor; 0 where masked
    keyframe_mask      [B, L, K] bool: the coordinates which that keyframe gives
    keyframe_distance  [B, L, 4] float32: frames until it, per factor; 0 where there is none
    valid              [B, L] bool: False = padding
    keep_audio         [B] bool: False = the whole condition is dropped; the network sees its learned null
    keep_emotion       [B] bool: the same for emotion
    """

    context: jax.Array
    context_mask: jax.Array
    context_level: jax.Array
    audio: jax.Array
    audio_mask: jax.Array
    source: jax.Array
    emotion: jax.Array
    given: jax.Array
    given_mask: jax.Array
    keyframe: jax.Array
    keyframe_mask: jax.Array
    keyframe_distance: jax.Array
    valid: jax.Array
    keep_audio: jax.Array
    keep_emotion: jax.Array

    @property
    def batch(self) -> int:
        """B."""
        return self.source.shape[0]

    @property
    def free(self) -> jax.Array:
        """[B, L, K] bool: the entries to generate, which is to say neither given nor padding."""
        return self.valid[:, :, None] & ~self.given_mask

    def replace(self, **changes: jax.Array) -> Self:
        return dataclasses.replace(self, **changes)


# (x [B, L, K], t [B], condition) -> v [B, L, K]
VelocityFn = Callable[[jax.Array, jax.Array, Condition], jax.Array]


def empty(
    batch: int,
    code_size: int,
    feature_size: int,
    *,
    context: int = CONTEXT_FRAMES,
    length: int = WINDOW_FRAMES,
    lookahead: int = LOOKAHEAD_FRAMES,
) -> Condition:
    """A condition that says nothing: every mask False except `valid`, audio and emotion dropped."""
    tokens = context + length + lookahead
    return Condition(
        context=jnp.zeros((batch, context, code_size)),
        context_mask=jnp.zeros((batch, context), bool),
        context_level=jnp.zeros((batch,)),
        audio=jnp.zeros((batch, tokens, feature_size)),
        audio_mask=jnp.zeros((batch, tokens), bool),
        source=jnp.zeros((batch, code_size)),
        emotion=jnp.zeros((batch, tokens), jnp.int32),
        given=jnp.zeros((batch, length, code_size)),
        given_mask=jnp.zeros((batch, length, code_size), bool),
        keyframe=jnp.zeros((batch, length, code_size)),
        keyframe_mask=jnp.zeros((batch, length, code_size), bool),
        keyframe_distance=jnp.zeros((batch, length, FACTOR_COUNT)),
        valid=jnp.ones((batch, length), bool),
        keep_audio=jnp.zeros((batch,), bool),
        keep_emotion=jnp.zeros((batch,), bool),
    )


def check(condition: Condition) -> None:
    """Raises AssertionError unless all shapes agree with each other (see Condition)."""
    b, length, k = condition.given.shape
    context = condition.context.shape[1]
    tokens = condition.audio.shape[1]
    chex.assert_shape(condition.context, (b, context, k))
    chex.assert_shape(condition.context_mask, (b, context))
    chex.assert_shape(condition.audio, (b, tokens, None))
    chex.assert_shape([condition.audio_mask, condition.emotion], (b, tokens))
    chex.assert_shape(condition.source, (b, k))
    chex.assert_shape([condition.given_mask, condition.keyframe, condition.keyframe_mask], (b, length, k))
    chex.assert_shape(condition.keyframe_distance, (b, length, FACTOR_COUNT))
    chex.assert_shape(condition.valid, (b, length))
    chex.assert_shape([condition.context_level, condition.keep_audio, condition.keep_emotion], (b,))
    if tokens < context + length:
        raise AssertionError(f"audio has {tokens} frames; context and window together have {context + length}.")


def repeat(condition: Condition, times: int) -> Condition:
    """The whole batch `times` times over, one copy after the other: [B, ..] -> [times * B, ..]."""
    return jax.tree.map(lambda a: jnp.concatenate([a] * times), condition)


def take(condition: Condition, indices: jax.Array) -> Condition:
    """The rows `indices` [N] int of the batch."""
    return jax.tree.map(lambda a: a[indices], condition)


def next_keyframe(
    given: jax.Array, given_mask: jax.Array, factor_index: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """For every frame and factor, the first frame at or after it that gives any coordinate of that factor.

    given [B, T, K] float32, given_mask [B, T, K] bool, factor_index [K] int (FactorLayout.factor_index). Returns
    keyframe [B, T, K] (0 where masked), keyframe_mask [B, T, K] and keyframe_distance [B, T, 4] as in Condition; T is
    the whole clip, so that keyframes beyond a window count in it.
    """
    chex.assert_equal_shape([given, given_mask])
    frames = given.shape[1]
    member = factor_index[:, None] == jnp.arange(FACTOR_COUNT)[None, :]  # [K, 4]
    has = jnp.any(given_mask[:, :, :, None] & member[None, None], axis=2)  # [B, T, 4]
    frame = jnp.arange(frames, dtype=jnp.int32)[None, :, None]
    following = jax.lax.cummin(jnp.where(has, frame, frames), axis=1, reverse=True)
    exists = following < frames
    at = jnp.minimum(following, frames - 1)[:, :, factor_index]  # [B, T, K]
    mask = jnp.take_along_axis(given_mask, at, axis=1) & exists[:, :, factor_index]
    value = jnp.where(mask, jnp.take_along_axis(given, at, axis=1), 0.0)
    return value, mask, jnp.where(exists, following - frame, 0).astype(jnp.float32)
