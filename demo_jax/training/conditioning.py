"""Stage 2: from a batch of raw code windows to data x1 and its conditions, dropped, noised and given at random.

In sampling any factor, coordinate or span of frames may be given, keyframes may lie beyond the window, and the context
comes from the model itself. Training draws all of these, each with its own probability.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from demo_jax.codes import CodeSpace
from demo_jax.config import ConditionConfig
from demo_jax.factors import FACTORS, FactorLayout
from demo_jax.flow.condition import Condition, next_keyframe

Batch = dict[str, Array]
# The three fields of Condition, and which entries of the window are keyframes themselves.
Keyframes = tuple[Float[Array, "B L K"], Bool[Array, "B L K"], Float[Array, "B L 4"], Bool[Array, "B L K"]]


def make_condition(
    key: Key[Array, ""],
    batch: Batch,
    space: CodeSpace,
    layout: FactorLayout,
    config: ConditionConfig,
    context: int,
) -> tuple[Float[Array, "B L K"], Condition]:
    """Returns x1, whitened, and its Condition.

    Args:
      key: of all that is drawn here.
      batch: of data_pipelines.loading.batches.stage2_batches. With C context frames and H frames of lookahead: codes
        [B, C + L, K] raw, codes_valid [B, C + L] bool, next_codes [B, N, K] and next_valid [B, N] of the N frames after
        the window, audio [B, C + L + H, A], audio_valid, source [B, K] raw, emotion [B] int32.
      space: for whitening.
      layout: of the codes.
      config: probabilities.
      context: C.
    """
    keys = dict(zip(("noise", "level", "given", "keyframe", "drop", "cut"), jax.random.split(key, 6), strict=True))
    codes = space.to_whitened(batch["codes"])
    rows, frames = codes.shape[:2]
    x1, before = codes[:, context:], codes[:, :context]
    valid = batch["codes_valid"][:, context:]
    x1 = jnp.where(valid[..., None], x1, 0.0)

    drop = jax.random.uniform(keys["drop"], (4, rows))
    level_key, clean_key = jax.random.split(keys["level"])
    level = config.context_noise * jax.random.uniform(level_key, (rows,))
    level = jnp.where(jax.random.bernoulli(clean_key, 0.5, (rows,)), 0.0, level)
    noise = jax.random.normal(keys["noise"], before.shape)
    before = (1 - level[:, None, None]) * before + level[:, None, None] * noise
    context_mask = batch["codes_valid"][:, :context] & (drop[0] >= config.drop_context)[:, None]

    given_mask = given_masks(keys["given"], rows, frames - context, layout, config)
    after = space.to_whitened(batch["next_codes"])
    keyframe, keyframe_mask, keyframe_distance, at_keyframe = _keyframes(
        keys["keyframe"], x1, valid, after, batch["next_valid"], layout, config
    )
    # A stream has received little audio beyond the frames it returns, so that the clip of every window ends early. Its
    # keyframes are known beyond that.
    available = _available_frames(keys["cut"], rows, frames - context, config)
    valid = valid & (jnp.arange(frames - context)[None] < available[:, None])
    given_mask = (given_mask | at_keyframe) & valid[..., None]
    x1 = jnp.where(valid[..., None], x1, 0.0)

    source = space.to_whitened(batch["source"])
    source = jnp.where((drop[1] >= config.drop_source)[:, None], source, 0.0)
    tokens = batch["audio"].shape[1]
    missing = jnp.arange(tokens)[None] >= context + available[:, None]
    missing = missing & (available < frames - context)[:, None]  # an uncut window has its lookahead
    condition = Condition(
        context=jnp.where(context_mask[..., None], before, 0.0),
        context_mask=context_mask,
        context_level=level,
        audio=batch["audio"].astype(jnp.float32),
        audio_mask=batch["audio_valid"] & ~missing,
        source=source,
        emotion=jnp.broadcast_to(batch["emotion"][:, None], (rows, tokens)),
        given=jnp.where(given_mask, x1, 0.0),
        given_mask=given_mask,
        keyframe=keyframe,
        keyframe_mask=keyframe_mask,
        keyframe_distance=keyframe_distance,
        valid=valid,
        keep_audio=drop[2] >= config.drop_audio,
        keep_emotion=drop[3] >= config.drop_emotion,
    )
    return x1, condition


def coupling_features(batch: Batch, space: CodeSpace, condition: Condition) -> Float[Array, "B F"]:
    """Returns features by which a coupling compares the conditions of windows.

    They are audio, source, context and given values before dropout and noise, each centred over the batch and scaled to
    the same mean square, in steps of five frames.
    """
    rows = len(batch["codes"])
    before = space.to_whitened(batch["codes"])[:, : condition.context.shape[1]]
    before = jnp.where(batch["codes_valid"][:, : before.shape[1], None], before, 0.0)
    audio = jnp.where(batch["audio_valid"][..., None], batch["audio"].astype(jnp.float32), 0.0)
    parts = [_pooled(audio), space.to_whitened(batch["source"]), _pooled(before), _pooled(condition.given)]
    features = []
    for part in parts:
        part = part.reshape(rows, -1)
        part = part - jnp.mean(part, 0, keepdims=True)
        features.append(part / jnp.sqrt(jnp.mean(jnp.sum(jnp.square(part), 1)) + 1e-6))
    return jnp.concatenate(features, 1)


def _available_frames(key: Key[Array, ""], rows: int, length: int, config: ConditionConfig) -> Int[Array, " B"]:
    """Returns how many frames of each window exist: `length`, or fewer in a share config.cut of the rows."""
    which, where = jax.random.split(key)
    ends = jax.random.randint(where, (rows,), 1, length + 1)
    return jnp.where(jax.random.bernoulli(which, config.cut, (rows,)), ends, length)


def _pooled(x: Float[Array, "B T n"], frames: int = 5) -> Float[Array, "B pooled n"]:
    """Returns means over `frames` frames each; a remainder at the end is left out."""
    whole = x.shape[1] // frames * frames
    return x[:, :whole].reshape(len(x), -1, frames, x.shape[-1]).mean(2)


def given_masks(
    key: Key[Array, ""], rows: int, length: int, layout: FactorLayout, config: ConditionConfig
) -> Bool[Array, "B L K"]:
    """Returns which entries are given, the same for each `config.group` consecutive rows.

    With probability config.given a group has something given: whole factors or single calibrated coordinates (half of
    the time each), over the whole window or over one span of it (half of the time each). Never everything.
    """
    groups = -(-rows // config.group)
    any_key, factor_key, one_key, which_key, span_key, ends_key = jax.random.split(key, 6)
    factor_index = jnp.asarray(layout.factor_index)

    factors = jax.random.bernoulli(factor_key, 0.4, (groups, len(FACTORS)))
    factors = factors & ~jnp.all(factors, 1, keepdims=True)
    by_factor = factors[:, factor_index]
    calibrated = jnp.zeros(layout.size, bool).at[layout.calibrated].set(True)
    by_coordinate = jax.random.bernoulli(one_key, 0.3, (groups, layout.size)) & calibrated[None]
    coordinates = jnp.where(jax.random.bernoulli(which_key, 0.5, (groups, 1)), by_factor, by_coordinate)

    ends = jnp.sort(jax.random.randint(ends_key, (groups, 2), 0, length + 1), 1)
    frame = jnp.arange(length)[None]
    span = (frame >= ends[:, :1]) & (frame < ends[:, 1:])
    span = span | jax.random.bernoulli(span_key, 0.5, (groups, 1))

    active = jax.random.bernoulli(any_key, config.given, (groups, 1, 1))
    mask = active & span[:, :, None] & coordinates[:, None]
    return jnp.repeat(mask, config.group, 0, total_repeat_length=groups * config.group)[:rows]


def _keyframes(
    key: Key[Array, ""],
    x1: Float[Array, "B L K"],
    valid: Bool[Array, "B L"],
    after: Float[Array, "B after K"],
    after_valid: Bool[Array, "B after"],
    layout: FactorLayout,
    config: ConditionConfig,
) -> Keyframes:
    """Draws up to two keyframes per sample and factor, in the window or after it, of the whole factor or (in half of
    the samples) of some of its calibrated coordinates."""
    rows, length = x1.shape[:2]
    codes = jnp.concatenate([x1, after], 1)
    exists = jnp.concatenate([valid, after_valid], 1)
    total = codes.shape[1]
    has_key, frame_key, whole_key, one_key = jax.random.split(key, 4)
    has = jax.random.bernoulli(has_key, config.keyframe, (rows, 1, len(FACTORS)))
    chosen = jax.random.randint(frame_key, (2, rows, 1, len(FACTORS)), 0, total)
    at = jnp.any(jnp.arange(total)[None, None, :, None] == chosen, 0) & has & exists[..., None]
    whole = jax.random.bernoulli(whole_key, 0.5, (rows, 1, 1))
    calibrated = jnp.zeros(layout.size, bool).at[layout.calibrated].set(True)
    some = jax.random.bernoulli(one_key, 0.5, (rows, 1, layout.size)) & calibrated[None, None]
    mask = at[..., jnp.asarray(layout.factor_index)] & (whole | some)
    value, value_mask, distance = next_keyframe(jnp.where(mask, codes, 0.0), mask, jnp.asarray(layout.factor_index))
    return value[:, :length], value_mask[:, :length], distance[:, :length], mask[:, :length]
