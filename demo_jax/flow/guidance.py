"""Classifier-free guidance over several conditions, all branches in one call of the network.

    v = v_0 + sum_i s_i (v_i - v_0)

v_0 drops the guided conditions and nothing else: context, source, given entries and keyframes stay in every branch.
v_i keeps only condition i of the guided ones. One guided condition at scale 1 gives the conditional velocity, at 0 the
unconditional one. Two guided conditions at scale 1 add their effects, v_audio + v_emotion - v_0, which is the velocity
under both only where the effects are additive; a scale of 0 removes a condition.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Float

from demo_jax.factors import FactorLayout
from demo_jax.flow.condition import Condition, VelocityFn, repeat
from demo_jax.pytrees import AnyArray

GUIDED = ("audio", "emotion")  # the conditions that can be guided: those with a keep_* field


def guide(velocity_fn: VelocityFn, scales: Mapping[str, float | Float[AnyArray, ...]]) -> VelocityFn:
    """Returns the guided velocity.

    One call of the result is one call of `velocity_fn` with a batch (1 + number of guided conditions) times as large.

    Args:
      velocity_fn: the velocity to guide.
      scales: the classifier-free guidance scale of each guided condition (of GUIDED): a number, or an array that
        broadcasts against the velocity [B, L, K]. A condition without a scale is not guided and stays in every branch.
        A condition that the caller has already dropped (keep_* False) stays dropped.

    Raises:
      ValueError: a condition is unknown.
    """
    unknown = set(scales) - set(GUIDED)
    if unknown:
        raise ValueError(f"Cannot guide {sorted(unknown)}; the conditions that can be guided are {GUIDED}.")
    names = [name for name in GUIDED if name in scales]
    if not names:
        return velocity_fn

    def guided(x: Float[Array, "B L K"], t: Float[Array, " B"], condition: Condition) -> Float[Array, "B L K"]:
        branches = 1 + len(names)
        keeps = {}
        for name in names:
            kept = getattr(condition, f"keep_{name}")
            rows = [kept if branch == name else jnp.zeros_like(kept) for branch in ("", *names)]
            keeps[f"keep_{name}"] = jnp.concatenate(rows)
        stacked = repeat(condition, branches).replace(**keeps)
        velocity = velocity_fn(jnp.concatenate([x] * branches), jnp.concatenate([t] * branches), stacked)
        base, *others = jnp.split(velocity, branches)
        total = base
        for name, other in zip(names, others, strict=True):
            total = total + scales[name] * (other - base)
        return total

    return guided


def audio_scale(
    scale: float | Float[AnyArray, ""] | Float[AnyArray, " B"] | Float[AnyArray, "B 1 1"], layout: FactorLayout
) -> Float[Array, "rows 1 K"]:
    """Returns the audio's guidance scale of each entry of a code, from one scale for all rows or one for each of B.

    Scales above 1 are for the lips only: only they should follow the audio more strongly than in training (ADR 26).
    """
    is_lip = (layout.factor_index == list(layout.slices).index("lip"))[None, None]
    scale = jnp.reshape(scale, (-1, 1, 1))
    return jnp.where(is_lip, scale, jnp.minimum(scale, 1.0))
