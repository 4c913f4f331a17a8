"""The vector field of stage 2: a transformer over context, current and look-ahead frames.

DEMO (arXiv 2510.10650) and its family: clean preceding frames and noisy current frames in one sequence, every condition
frame-wise through adaLN-zero (Peebles & Xie 2023). Here the tokens also include look-ahead frames of audio alone, any
entry may be given, and the next keyframe of each factor is a condition.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from demo_jax.config import FlowTransformerConfig
from demo_jax.factors import EMOTIONS, FactorLayout
from demo_jax.flow.condition import Condition
from demo_jax.models.layers import Dtype, attention_implementation, fourier_features, rotary
from demo_jax.models.prior import MotionPrior, precondition


class FlowTransformer(nn.Module):
    """(x [B, L, K], t [B], condition) -> velocity [B, L, K] float32, zero at given entries."""

    config: FlowTransformerConfig
    layout: FactorLayout

    def __call__(self, x: jax.Array, t: jax.Array, condition: Condition) -> jax.Array:
        out, mean, variance = self.guess(x, t, condition)
        constant, skip, scale = precondition(t, mean, variance)
        return jnp.where(condition.given_mask, 0.0, constant + skip * x + scale * out)

    @nn.compact
    def guess(self, x: jax.Array, t: jax.Array, condition: Condition) -> tuple[jax.Array, jax.Array, jax.Array]:
        """The network's part, of unit variance, and the mean and variance of the codes before it: [B, L, K] each."""
        c, cond = self.config, condition
        dtype = jnp.dtype(c.dtype)
        batch, length, size = x.shape
        before, total = cond.context.shape[1], cond.audio.shape[1]
        after = total - before - length

        given = cond.given_mask.astype(jnp.float32)
        current = jnp.where(cond.given_mask, cond.given, x)  # given entries are clean at every flow time
        context = jnp.where(cond.context_mask[..., None], cond.context, 0.0)
        motion = _tokens(context, current, after)
        is_given = _tokens(jnp.zeros_like(context), given, after)
        known = _tokens(cond.context_mask[..., None], cond.valid[..., None], after)
        detail = _detail(motion, known.astype(jnp.float32)) / (1.1 - t)[:, None, None]
        kind = jnp.repeat(
            jnp.eye(3, dtype=jnp.float32), jnp.array([before, length, after]), 0, total_repeat_length=total
        )
        kind = jnp.broadcast_to(kind[None], (batch, total, 3))

        audio = self._audio(cond, dtype)
        tokens = jnp.concatenate([motion, detail, is_given, kind], -1).astype(dtype)
        mean, variance = MotionPrior(self.layout, name="prior")(cond)
        expected = _tokens(jnp.zeros_like(jnp.tile(context, 2)), jnp.concatenate([mean, jnp.sqrt(variance)], -1), after)
        h = nn.Dense(c.width, dtype=dtype, name="tokens")(tokens) + audio
        h += nn.Dense(c.width, dtype=dtype, name="expected")(expected.astype(dtype))
        present = jnp.concatenate([cond.context_mask, cond.valid, cond.audio_mask[:, before + length :]], 1)

        frame = audio + self._conditions(cond, t, batch, before, length, after, dtype)
        # What is not a product is cheaper to compute again than to keep: on a CPU an eighth less time, half the memory.
        kept = None if c.remat else jax.checkpoint_policies.dots_with_no_batch_dims_saveable
        stack = nn.scan(
            nn.remat(_Block, prevent_cse=False, policy=kept),
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=(nn.broadcast, nn.broadcast),
            length=c.depth,
        )
        h, _ = stack(c, name="blocks")(h, nn.silu(frame), present)

        h = h[:, before : before + length]
        frame = nn.silu(frame[:, before : before + length])
        scale, shift = jnp.split(nn.Dense(2 * c.width, dtype=dtype, name="final_modulation")(frame), 2, -1)
        h = nn.LayerNorm(use_bias=False, use_scale=False, dtype=dtype)(h) * (1 + scale) + shift
        out = nn.Dense(size, dtype=jnp.float32, kernel_init=nn.initializers.zeros, name="velocity")(h)
        return out, mean, variance

    def _audio(self, cond: Condition, dtype: Dtype) -> jax.Array:
        """Audio features -> [B, tokens, width]; a learned null where there is none or where it is dropped. What is said
        takes several frames to say: each sees four to either side before attention begins."""
        c = self.config
        heard = jnp.where(cond.audio_mask[..., None], cond.audio, 0.0).astype(dtype)
        h = nn.silu(nn.Conv(c.width, (5,), dtype=dtype, name="audio_in")(heard))
        h = nn.Conv(c.width, (5,), dtype=dtype, name="audio_out")(h)
        null = self.param("audio_null", nn.initializers.normal(0.02), (c.width,), jnp.float32)
        kept = cond.audio_mask & cond.keep_audio.astype(bool)[:, None]
        return jnp.where(kept[..., None], h, null.astype(dtype)[None, None])

    def _conditions(
        self, cond: Condition, t: jax.Array, batch: int, before: int, length: int, after: int, dtype: Dtype
    ) -> jax.Array:
        """Everything but audio that modulates a frame -> [B, tokens, width]."""
        c = self.config

        def dense(x: jax.Array, name: str) -> jax.Array:
            h = nn.silu(nn.Dense(c.width, dtype=dtype, name=f"{name}_in")(x.astype(dtype)))
            return nn.Dense(c.width, dtype=dtype, name=f"{name}_out")(h)

        clip = dense(fourier_features(t, c.width, 2.0), "time")
        clip += dense(cond.source, "source")
        has_context = jnp.any(cond.context_mask, 1)
        level = jnp.stack([jnp.where(has_context, cond.context_level, 0.0), has_context.astype(jnp.float32)], -1)
        clip += dense(level, "context_level")

        emotion = jnp.where(cond.keep_emotion.astype(bool)[:, None], cond.emotion, 0)  # 0 is "unknown", the null
        emotion = nn.Embed(len(EMOTIONS), c.width, dtype=dtype, name="emotion")(emotion)

        value = jnp.where(cond.keyframe_mask, cond.keyframe, 0.0)
        near = jnp.exp(-cond.keyframe_distance / 10.0)  # 10 frames: about the time a head movement takes
        far = jnp.log1p(cond.keyframe_distance) / 5.0
        keyframe = jnp.concatenate([value, cond.keyframe_mask.astype(jnp.float32), near, far], -1)
        keyframe = jnp.pad(dense(keyframe, "keyframe"), ((0, 0), (before, after), (0, 0)))
        return clip[:, None] + emotion + keyframe


class _Block(nn.Module):
    """adaLN-zero transformer block with one modulation per frame."""

    config: FlowTransformerConfig

    @nn.compact
    def __call__(self, h: jax.Array, frame: jax.Array, present: jax.Array) -> tuple[jax.Array, None]:
        c = self.config
        dtype = jnp.dtype(c.dtype)
        modulation = nn.Dense(6 * c.width, dtype=dtype, kernel_init=nn.initializers.zeros, name="modulation")(frame)
        scale_a, shift_a, gate_a, scale_m, shift_m, gate_m = jnp.split(modulation, 6, -1)

        x = nn.LayerNorm(use_bias=False, use_scale=False, dtype=dtype)(h) * (1 + scale_a) + shift_a
        b, n, _ = x.shape
        qkv = nn.Dense(3 * c.width, dtype=dtype, name="qkv")(x).reshape(b, n, 3, c.heads, c.width // c.heads)
        q, k, v = qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]
        mask = jnp.broadcast_to(present[:, None, None, :], (b, 1, n, n))
        x = jax.nn.dot_product_attention(
            rotary(q), rotary(k), v, mask=mask, implementation=attention_implementation(dtype, n, c.width // c.heads)
        )
        h = h + gate_a * nn.Dense(c.width, dtype=dtype, name="attention_out")(x.reshape(b, n, c.width))

        x = nn.LayerNorm(use_bias=False, use_scale=False, dtype=dtype)(h) * (1 + scale_m) + shift_m
        x = nn.Dense(4 * c.width, dtype=dtype, name="mlp_in")(x)
        return h + gate_m * nn.Dense(c.width, dtype=dtype, name="mlp_out")(nn.gelu(x)), None


def _detail(motion: jax.Array, known: jax.Array, reach: int = 2) -> jax.Array:
    """Each frame of [B, T, K] less the mean of the known ones [B, T, 1] around it. Motion is smooth and noise is not:
    near the end of the path this is what noise is left, which a network would have to see in the last digits."""

    def around(x: jax.Array) -> jax.Array:
        padded = jnp.pad(x, ((0, 0), (reach, reach), (0, 0)))
        return sum(padded[:, k : k + x.shape[1]] for k in range(2 * reach + 1))

    return known * (motion - around(known * motion) / jnp.maximum(around(known), 1.0))


def _tokens(context: jax.Array, current: jax.Array, after: int) -> jax.Array:
    """[B, C, K] and [B, L, K] -> [B, C + L + after, K], zeros for the look-ahead frames."""
    return jnp.pad(jnp.concatenate([context, current], 1), ((0, 0), (0, after), (0, 0)))
