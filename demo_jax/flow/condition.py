"""The conditions of the velocity network: everything it sees besides the noisy window, as one pytree.

All codes here are whitened ([.., K], zero mean, unit variance). A window has C context frames that are already known,
L frames to generate and some look-ahead frames with audio only; its tokens are all of these, in this order.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from demo_jax.config import FlowTransformerConfig
from demo_jax.factors import FACTORS
from demo_jax.pytrees import AnyArray, register


@register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Condition:
    """The conditions of a batch of windows, NumPy arrays before they are put on a device.

    context            the frames before the window
    context_mask       False = there is no such frame (the start of a clip)
    context_level      noise level of the context, 0 = clean, 1 = noise only
    audio              audio features of every token
    audio_mask         False = before the start or after the end of the recording
    source             the portrait's own code
    emotion            index into factors.EMOTIONS, 0 = unknown
    given              entries that are not to be generated; 0 where given_mask is False
    given_mask         which entries those are
    keyframe           the next keyframe at or after the frame, per factor; 0 where masked
    keyframe_mask      the coordinates which that keyframe gives
    keyframe_distance  frames until it, per factor; 0 where there is none
    valid              False = padding
    keep_audio         False = the whole condition is dropped; the network sees its learned null
    keep_emotion       the same for emotion
    """

    context: Float[AnyArray, "B C K"]
    context_mask: Bool[AnyArray, "B C"]
    context_level: Float[AnyArray, " B"]
    audio: Float[AnyArray, "B tokens A"]
    audio_mask: Bool[AnyArray, "B tokens"]
    source: Float[AnyArray, "B K"]
    emotion: Int[AnyArray, "B tokens"]
    given: Float[AnyArray, "B L K"]
    given_mask: Bool[AnyArray, "B L K"]
    keyframe: Float[AnyArray, "B L K"]
    keyframe_mask: Bool[AnyArray, "B L K"]
    keyframe_distance: Float[AnyArray, "B L 4"]
    valid: Bool[AnyArray, "B L"]
    keep_audio: Bool[AnyArray, " B"]
    keep_emotion: Bool[AnyArray, " B"]

    @property
    def batch(self) -> int:
        """B."""
        return self.source.shape[0]

    @property
    def free(self) -> Bool[AnyArray, "B L K"]:
        """The entries to generate: neither given nor padding."""
        return self.valid[:, :, None] & ~self.given_mask

    def replace(self, **changes: AnyArray) -> Condition:
        """Returns a copy with these fields changed."""
        return dataclasses.replace(self, **changes)


VelocityFn = Callable[[Float[Array, "B L K"], Float[Array, " B"], Condition], Float[Array, "B L K"]]
"""(x, t, condition) -> v"""


def empty(
    batch: int,
    code_size: int,
    feature_size: int,
    *,
    context: int = FlowTransformerConfig.context,
    length: int = FlowTransformerConfig.window,
    lookahead: int = FlowTransformerConfig.look_ahead,
) -> Condition:
    """Returns an unconditional Condition: every mask is False except `valid`, audio and emotion are dropped."""
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
        keyframe_distance=jnp.zeros((batch, length, len(FACTORS))),
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
    chex.assert_shape(condition.keyframe_distance, (b, length, len(FACTORS)))
    chex.assert_shape(condition.valid, (b, length))
    chex.assert_shape([condition.context_level, condition.keep_audio, condition.keep_emotion], (b,))
    if tokens < context + length:
        raise AssertionError(f"audio has {tokens} frames; context and window together have {context + length}.")


def repeat(condition: Condition, times: int) -> Condition:
    """Returns `times` copies of the whole batch, one after the other: [B, ..] -> [times * B, ..]."""
    return jax.tree.map(lambda a: jnp.concatenate([a] * times), condition)


def take(condition: Condition, indices: Int[Array, " rows"]) -> Condition:
    """Returns these rows of the batch."""
    return jax.tree.map(lambda a: a[indices], condition)


def next_keyframe(
    given: Float[AnyArray, "B T K"], given_mask: Bool[AnyArray, "B T K"], factor_index: Int[AnyArray, " K"]
) -> tuple[Float[Array, "B T K"], Bool[Array, "B T K"], Float[Array, "B T 4"]]:
    """Finds, for every frame and factor, the first frame at or after it that gives any coordinate of that factor.

    Args:
      given: values of a whole clip, so that keyframes beyond a window count in it.
      given_mask: which entries of it are given.
      factor_index: FactorLayout.factor_index.

    Returns:
      keyframe (0 where masked), keyframe_mask and keyframe_distance as in Condition.
    """
    chex.assert_equal_shape([given, given_mask])
    frames = given.shape[1]
    member = factor_index[:, None] == jnp.arange(len(FACTORS))[None, :]  # [K, 4]
    has = jnp.any(given_mask[:, :, :, None] & member[None, None], axis=2)  # [B, T, 4]
    frame = jnp.arange(frames, dtype=jnp.int32)[None, :, None]
    following = jax.lax.cummin(jnp.where(has, frame, frames), axis=1, reverse=True)
    exists = following < frames
    at = jnp.minimum(following, frames - 1)[:, :, factor_index]  # [B, T, K]
    mask = jnp.take_along_axis(given_mask, at, axis=1) & exists[:, :, factor_index]
    value = jnp.where(mask, jnp.take_along_axis(given, at, axis=1), 0.0)
    return value, mask, jnp.where(exists, following - frame, 0).astype(jnp.float32)
