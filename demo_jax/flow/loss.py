"""The flow-matching loss: error of the velocity and of its frame-to-frame difference, factors weighing equally.

    loss = velocity + difference_weight * difference
    each = mean over factors of (mean of squared error over the factor's free entries in the whole batch)

Padding frames and given entries are left out. A difference counts between two neighbouring frames of which at least one
is free: given entries and the last context frame have no error, and generated motion should continue from them without
a leap. A factor without free entries is left out of the mean over factors; if nothing is free the loss is 0.
"""

from __future__ import annotations

import dataclasses

import chex
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from demo_jax.factors import FACTORS, FactorLayout
from demo_jax.flow import path
from demo_jax.flow.condition import Condition, VelocityFn
from demo_jax.pytrees import register


@register
@dataclasses.dataclass(frozen=True, kw_only=True)
class FlowBatch:
    """The inputs of the flow-matching loss, row by row."""

    x0: Float[Array, "B L K"]  # noise, coupled
    x1: Float[Array, "B L K"]  # data
    t: Float[Array, " B"]
    condition: Condition


def factor_means(
    values: Float[Array, "B L K"], free: Bool[Array, "B L K"], layout: FactorLayout
) -> tuple[Float[Array, 4], Bool[Array, 4]]:
    """Returns, in the order of FACTORS, each factor's mean of `values` over its `free` entries (0 without any), and
    whether it has any."""
    sums, counts = [], []
    for factor in FACTORS:
        part = layout.slices[factor]
        mask = free[:, :, part]
        # Masked before the sum, so that a NaN or infinity in an excluded entry stays outside.
        sums.append(jnp.sum(jnp.where(mask, values[:, :, part].astype(jnp.float32), 0.0)))
        counts.append(jnp.sum(mask, dtype=jnp.float32))
    count = jnp.stack(counts)
    return jnp.stack(sums) / jnp.maximum(count, 1.0), count > 0


def velocity_losses(
    velocity: Float[Array, "B L K"],
    target: Float[Array, "B L K"],
    condition: Condition,
    layout: FactorLayout,
    difference_weight: float = 1.0,
) -> dict[str, Float[Array, ""]]:
    """Returns float32 scalars: loss, velocity, difference, velocity/<factor>, difference/<factor>.

    Args:
      velocity: the prediction.
      target: the velocity of the path.
      condition: `condition.free` are the entries that count.
      layout: of the code.
      difference_weight: 1 as in FLOAT (ICCV 2025).
    """
    chex.assert_equal_shape([velocity, target, condition.given])
    free = condition.free
    # Entries outside are cleared before the arithmetic and not only before the sum: 0 * infinity has a NaN gradient.
    error = jnp.where(free, velocity.astype(jnp.float32) - target.astype(jnp.float32), 0.0)
    known = jnp.concatenate([condition.context_mask[:, -1:], condition.valid], 1)[..., None]
    either = jnp.pad(free, ((0, 0), (1, 0), (0, 0)))  # the context's last frame first
    either = (either[:, 1:] | either[:, :-1]) & known[:, 1:] & known[:, :-1]
    terms = {
        "velocity": factor_means(jnp.square(error), free, layout),
        "difference": factor_means(jnp.square(jnp.diff(error, axis=1, prepend=0.0)), either, layout),
    }
    scalars: dict[str, Array] = {}
    for name, (means, present) in terms.items():
        scalars[name] = jnp.sum(means * present) / jnp.maximum(jnp.sum(present, dtype=jnp.float32), 1.0)
        scalars |= {f"{name}/{factor}": means[i] for i, factor in enumerate(FACTORS)}
    scalars["loss"] = scalars["velocity"] + difference_weight * scalars["difference"]
    return scalars


def flow_matching_losses(
    velocity_fn: VelocityFn, batch: FlowBatch, layout: FactorLayout, difference_weight: float = 1.0
) -> dict[str, Float[Array, ""]]:
    """Returns velocity_losses of `velocity_fn` on the path between noise and data at the times of the batch."""
    x = path.insert_given(path.interpolate(batch.x0, batch.x1, batch.t), batch.condition)
    velocity, target = velocity_fn(x, batch.t, batch.condition), path.target_velocity(batch.x0, batch.x1)
    return velocity_losses(velocity, target, batch.condition, layout, difference_weight)
