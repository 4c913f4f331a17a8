"""The motion prior: each coordinate is a Gaussian process, conditioned on its known values.

    Cov(x_i, x_j) = p + (1 - p) rho(|i - j|),   rho(d) = (1 + d / r) exp(-d / r)      Cov(source, x_i) = p

in whitened codes, d in frames. p (persistence) is the share that a person keeps for a whole clip, portrait included; r
(reach) is how long a movement lasts; rho is Matern's with one derivative (Rasmussen & Williams 2006, eq. 4.17), as
motion has. The known values are the portrait, the context's last frame, and per coordinate the given frames before and
after: the mean runs smoothly from the context and into a keyframe, and the network adds the effect of speech.

`precondition` turns this into the best linear prediction of the velocity; it generalises Karras et al. (2022) for the
linear path from variance 1 and mean 0 to a variance and a mean for every entry.
"""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from demo_jax.factors import FACTORS, FactorLayout
from demo_jax.flow.condition import Condition

# Initial values for lip, pose, gaze, residual, from the autocorrelation of the puppet corpus' codes.
_PERSISTENCE = (0.1, 0.35, 0.3, 0.4)
_REACH = (1.5, 28.0, 3.0, 5.0)  # frames
_NOISE = 0.001  # variance of known values; with much more the mean would leap at a distant keyframe
_LEAST = 0.01  # variance of unknown values: motion is not quite as smooth as rho


class MotionPrior(nn.Module):
    """Returns mean and variance of whitened codes, float32. Persistence and reach are learned for each coordinate."""

    layout: FactorLayout

    @nn.compact
    def __call__(self, condition: Condition) -> tuple[Float[Array, "B L K"], Float[Array, "B L K"]]:
        index = self.layout.factor_index
        start = np.array(_PERSISTENCE)[index]
        zeros = nn.initializers.zeros
        shape = (len(index),)
        persistence = jax.nn.sigmoid(np.log(start / (1 - start)) + self.param("persistence", zeros, shape))[None, None]
        reach = (np.array(_REACH)[index] * jnp.exp(self.param("reach", zeros, shape)))[None, None]

        before, after = _before(condition), _after(condition, index)
        alone = 1 - jnp.square(persistence)  # variance once the portrait is known

        def covariance(distance: Float[Array, "B L K"], *known: Bool[Array, "B L K"]) -> Float[Array, "B L K"]:
            d = distance / reach
            together = (1 - persistence) * (persistence + (1 + d) * jnp.exp(-d))
            return jnp.where(jnp.all(jnp.stack(known), 0), together, 0.0)

        a, b = covariance(before.distance, before.known), covariance(after.distance, after.known)
        both = covariance(before.distance + after.distance, before.known, after.known)
        of_a, of_b = alone + _NOISE + before.noise, alone + _NOISE
        determinant = of_a * of_b - jnp.square(both)
        weight_a, weight_b = (a * of_b - b * both) / determinant, (b * of_a - a * both) / determinant
        mean = persistence * condition.source[:, None]
        mean = mean + weight_a * (before.value - mean) + weight_b * (after.value - mean)
        return mean, jnp.maximum(alone - weight_a * a - weight_b * b, _LEAST)


def precondition(
    t: Float[Array, " B"], mean: Float[Array, "B L K"], variance: Float[Array, "B L K"]
) -> tuple[Float[Array, "B L K"], Float[Array, "B L K"], Float[Array, "B L K"]]:
    """Returns (constant, skip, scale) of velocity = constant + skip * x + scale * network.

    constant + skip * x is the best linear prediction of x_1 - x_0 from x = (1 - t) x_0 + t x_1, and the rest, which the
    network predicts, has unit variance. It is the datum at t = 0 and the noise at t = 1, never the noise of its input.

    Args:
      t: flow times.
      mean: of the prior.
      variance: of the prior.
    """
    t = t[:, None, None]
    energy = jnp.square(t) * variance + jnp.square(1 - t)
    skip = (t * variance - (1 - t)) / energy
    return mean - skip * t * mean, skip, jnp.sqrt(variance / energy)


class _Known(NamedTuple):
    """For each entry, the nearest known value on one side: the value and its distance in frames (0 where there is
    none), whether there is one, and the variance of its noise."""

    value: Float[Array, "B L K"]
    distance: Float[Array, "B L K"]
    known: Bool[Array, "B L K"]
    noise: Float[Array, "B L K"] | float


def _before(condition: Condition) -> _Known:
    """Returns the given frame at or before each, or else the context's last."""
    level = jnp.minimum(condition.context_level, 0.9)[:, None, None]
    last = condition.context[:, -1:] / (1 - level)  # it was scaled when noise was mixed in
    has = jnp.broadcast_to(condition.context_mask[:, -1:, None], last.shape)
    values = jnp.concatenate([last, condition.given], 1)
    frame = jnp.arange(values.shape[1])[None, :, None]
    known = jnp.concatenate([has, condition.given_mask], 1)
    at = jax.lax.cummax(jnp.where(known, frame, -1), axis=1)[:, 1:]
    value = jnp.take_along_axis(values, jnp.maximum(at, 0), axis=1)
    noise = jnp.where(at == 0, jnp.square(level / (1 - level)), 0.0)
    known = at >= 0
    return _Known(jnp.where(known, value, 0.0), jnp.where(known, frame[:, 1:] - at, 0.0), known, noise)


def _after(condition: Condition, factor_index: Int[np.ndarray, " K"]) -> _Known:
    """Returns the given frame at or after each, or else the keyframe beyond the window."""
    length = condition.given.shape[1]
    frame = jnp.arange(length)[None, :, None]
    at = jax.lax.cummin(jnp.where(condition.given_mask, frame, length), axis=1, reverse=True)
    inside = at < length
    value = jnp.take_along_axis(condition.given, jnp.minimum(at, length - 1), axis=1)
    value = jnp.where(inside, value, condition.keyframe)
    distance = jnp.where(inside, at - frame, condition.keyframe_distance[..., factor_index])
    known = inside | condition.keyframe_mask
    return _Known(jnp.where(known, value, 0.0), jnp.where(known, distance, 0.0), known, 0.0)


assert len(_PERSISTENCE) == len(_REACH) == len(FACTORS)
