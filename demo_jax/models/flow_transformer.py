"""The vector field of stage 2: a transformer over context, current and look-ahead frames.

As in DEMO (arXiv 2510.10650) and its family, clean preceding frames and noisy current frames form one sequence, and
every condition acts frame by frame through adaLN-zero (Peebles & Xie 2023). Here the tokens also include look-ahead
frames with audio only, any entry may be given, and the next keyframe of each factor is a condition.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped

from demo_jax.config import FlowTransformerConfig
from demo_jax.factors import EMOTIONS, FactorLayout
from demo_jax.flow.condition import Condition
from demo_jax.models.layers import Dtype, attention_implementation, fourier_features, rotary
from demo_jax.models.prior import MotionPrior, precondition
from demo_jax.pytrees import AnyArray


class FlowTransformer(nn.Module):
    """Returns the velocity, float32, zero at given entries."""

    config: FlowTransformerConfig
    layout: FactorLayout

    def __call__(self, x: Float[Array, "B L K"], t: Float[Array, " B"], condition: Condition) -> Float[Array, "B L K"]:
        out, mean, variance = self.guess(x, t, condition)
        constant, skip, scale = precondition(t, mean, variance)
        return jnp.where(condition.given_mask, 0.0, constant + skip * x + scale * out)

    @nn.compact
    def guess(
        self, x: Float[Array, "B L K"], t: Float[Array, " B"], condition: Condition
    ) -> tuple[Float[Array, "B L K"], Float[Array, "B L K"], Float[Array, "B L K"]]:
        """Returns the network's part, of unit variance, and the prior's mean and variance of the codes."""
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

        frame = audio + self._conditions(cond, t, before, after, dtype)
        # All but the products are recomputed in the backward pass: on a CPU an eighth less time, half the memory.
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

    def _audio(self, cond: Condition, dtype: Dtype) -> Float[Array, "B tokens {self.config.width}"]:
        """Embeds the audio features; a learned null replaces them where there are none or where they are dropped. A
        sound lasts several frames, so that each token sees four to either side before attention."""
        c = self.config
        audio = jnp.where(cond.audio_mask[..., None], cond.audio, 0.0).astype(dtype)
        h = nn.silu(nn.Conv(c.width, (5,), dtype=dtype, name="audio_in")(audio))
        h = nn.Conv(c.width, (5,), dtype=dtype, name="audio_out")(h)
        null = self.param("audio_null", nn.initializers.normal(0.02), (c.width,), jnp.float32)
        kept = cond.audio_mask & cond.keep_audio.astype(bool)[:, None]
        return jnp.where(kept[..., None], h, null.astype(dtype)[None, None])

    def _conditions(
        self, cond: Condition, t: Float[Array, " B"], before: int, after: int, dtype: Dtype
    ) -> Float[Array, "B tokens {self.config.width}"]:
        """Embeds all conditions except audio."""
        c = self.config

        def dense(x: Float[AnyArray, "*axes _"], name: str) -> Float[Array, "*axes _"]:
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
    """An adaLN-zero transformer block with one modulation per frame."""

    config: FlowTransformerConfig

    @nn.compact
    def __call__(
        self, h: Float[Array, "B T width"], frame: Float[Array, "B T width"], present: Bool[Array, "B T"]
    ) -> tuple[Float[Array, "B T width"], None]:
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


def _detail(motion: Float[Array, "B T K"], known: Float[Array, "B T 1"], reach: int = 2) -> Float[Array, "B T K"]:
    """Subtracts from each frame the mean of the known ones around it.

    Motion is smooth and noise is not: near the end of the path the result is the remaining noise, which is otherwise
    only in the last digits of the network's input.
    """

    def around(x: Float[Array, "B T _"]) -> Float[Array, "B T _"]:
        padded = jnp.pad(x, ((0, 0), (reach, reach), (0, 0)))
        return sum(padded[:, k : k + x.shape[1]] for k in range(2 * reach + 1))

    return known * (motion - around(known * motion) / jnp.maximum(around(known), 1.0))


def _tokens(
    context: Shaped[AnyArray, "B C K"], current: Shaped[AnyArray, "B L K"], after: int
) -> Shaped[Array, "B tokens K"]:
    """Joins context and window, and appends zeros for the look-ahead frames."""
    return jnp.pad(jnp.concatenate([context, current], 1), ((0, 0), (0, after), (0, 0)))
