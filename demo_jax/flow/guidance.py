"""Classifier-free guidance over several conditions, all branches in one call of the network.

    v = v_0 + sum_i s_i (v_i - v_0)

v_0 drops the guided conditions and nothing else: context, source, given entries and keyframes stay in every branch.
v_i keeps only condition i of the guided ones. One guided condition at scale 1 is the conditional velocity itself, at 0
the unconditional one. Two guided conditions at scale 1 add their effects, v_audio + v_emotion - v_0, which is the
velocity under both only where the effects are additive; a scale of 0 removes a condition.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from demo_jax.factors import FactorLayout
from demo_jax.flow.condition import Condition, VelocityFn, repeat

GUIDED = ("audio", "emotion")  # the conditions that can be guided: those with a keep_* field


def guide(velocity_fn: VelocityFn, scales: Mapping[str, float | jax.Array]) -> VelocityFn:
    """The guided velocity. `scales` maps each guided condition (of GUIDED) to its scale: a number, or an array that
    broadcasts against the velocity [B, L, K].

    One call of the result is one call of `velocity_fn` with a batch (1 + number of guided conditions) times as large.
    A condition that is not in `scales` is not guided and stays in every branch. A condition that the caller has
    dropped already (keep_* False) stays dropped. Raises ValueError for an unknown condition.
    """
    unknown = set(scales) - set(GUIDED)
    if unknown:
        raise ValueError(f"Cannot guide {sorted(unknown)}; the conditions that can be guided are {GUIDED}.")
    names = [name for name in GUIDED if name in scales]
    if not names:
        return velocity_fn

    def guided(x: jax.Array, t: jax.Array, condition: Condition) -> jax.Array:
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


def audio_scale(scale: float | jax.Array, layout: FactorLayout) -> jax.Array:
    """The audio's scale of each entry of a code, [B, 1, K] from one number for all or for each of B rows: above 1 it is
    the lips' alone, for only they are to follow the sound harder than in training (ADR 26)."""
    is_lip = (layout.factor_index == list(layout.slices).index("lip"))[None, None]
    scale = jnp.reshape(scale, (-1, 1, 1))
    return jnp.where(is_lip, scale, jnp.minimum(scale, 1.0))
