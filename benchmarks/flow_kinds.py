"""The ways to generate motion from speech that benchmarks.flow_comparison compares, as losses and samplers.

All use the same transformer, conditions, optimizer, batches and loss weighting; only what it predicts differs.

  independent, plain, aware   flow matching with independent noise, minibatch optimal transport, and the same with a
                              distance between conditions whose weight is searched
  diffusion                   epsilon-prediction on a variance-preserving cosine path (Nichol & Dhariwal 2021), sampled
                              by deterministic DDIM (Song et al. 2021)
  regression                  the codes themselves from the conditions, no noise: the conditional mean
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from demo_jax.config import CouplingConfig
from demo_jax.factors import FactorLayout
from demo_jax.flow import ode
from demo_jax.flow.condition import Condition, VelocityFn
from demo_jax.flow.coupling import CouplingBatch
from demo_jax.flow.loss import FlowBatch, flow_matching_losses, velocity_losses
from demo_jax.models.prior import precondition
from demo_jax.training.steps import make_coupling

COUPLINGS = {
    "independent": CouplingConfig(),
    "plain": CouplingConfig(kind="exact"),
    "aware": CouplingConfig(kind="exact", share=0.1),
}
KINDS = (*COUPLINGS, "diffusion", "regression")

Guess = Callable[[jax.Array, jax.Array, Condition], tuple[jax.Array, jax.Array, jax.Array]]
Losses = Callable[[VelocityFn, jax.Array, jax.Array, Condition, jax.Array], dict[str, jax.Array]]


def noise_level(t: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns signal and noise amplitudes of the cosine path at t in 0-1, where 0 is noise."""
    angle = jnp.pi / 2 * (0.002 + 0.996 * (1 - t))
    return jnp.cos(angle), jnp.sin(angle)


def network(kind: str, guess: Guess) -> VelocityFn:
    """Returns what `kind` predicts: the best linear estimate from the noisy codes and the prior's mean and variance,
    plus FlowTransformer.guess for the remainder, scaled to unit variance. So no kind has an advantage by its scale."""

    def predict(x: jax.Array, t: jax.Array, condition: Condition) -> jax.Array:
        out, mean, variance = guess(x, t, condition)
        if kind == "regression":
            return mean + jnp.sqrt(variance) * out
        if kind == "diffusion":
            signal, amplitude = (a[:, None, None] for a in noise_level(t))
            energy = jnp.square(signal) * variance + jnp.square(amplitude)
            return amplitude * (x - signal * mean) / energy + signal * jnp.sqrt(variance / energy) * out
        constant, skip, scale = precondition(t, mean, variance)
        return constant + skip * x + scale * out

    return predict


def losses(kind: str, layout: FactorLayout, group: int) -> Losses:
    """Returns the losses of `kind`: (network, key, x1 [B, L, K], condition, coupling features [B, F]) -> terms with
    "loss"."""

    def flow(net: VelocityFn, key: jax.Array, x1: jax.Array, condition: Condition, features: jax.Array) -> dict:
        noise_key, pair_key, time_key = jax.random.split(key, 3)
        x0 = jax.random.normal(noise_key, x1.shape)
        uncoupled = CouplingBatch(x0=x0, x1=x1, condition_features=features, free_mask=condition.free)
        x0 = make_coupling(COUPLINGS[kind])(pair_key, uncoupled, group)
        t = jax.random.uniform(time_key, (len(x1),))
        return flow_matching_losses(net, FlowBatch(x0=x0, x1=x1, t=t, condition=condition), layout)

    def diffusion(net: VelocityFn, key: jax.Array, x1: jax.Array, condition: Condition, features: jax.Array) -> dict:
        del features
        noise_key, time_key = jax.random.split(key)
        noise, t = jax.random.normal(noise_key, x1.shape), jax.random.uniform(time_key, (len(x1),))
        signal, amplitude = (a[:, None, None] for a in noise_level(t))
        return velocity_losses(net(signal * x1 + amplitude * noise, t, condition), noise, condition, layout)

    def regression(net: VelocityFn, key: jax.Array, x1: jax.Array, condition: Condition, features: jax.Array) -> dict:
        del key, features
        return velocity_losses(net(jnp.zeros_like(x1), jnp.zeros(len(x1)), condition), x1, condition, layout)

    return {"diffusion": diffusion, "regression": regression}.get(kind, flow)


def sample(kind: str, net: VelocityFn, x0: jax.Array, condition: Condition, steps: int) -> jax.Array:
    """Returns codes [B, L, K] from noise x0 with an NFE of `steps` (one for the regression, which has no noise)."""
    if kind == "regression":
        return net(jnp.zeros_like(x0), jnp.zeros(len(x0)), condition)
    if kind == "diffusion":
        times = jnp.linspace(0.0, 1.0, steps + 1)

        def step(x: jax.Array, i: jax.Array) -> tuple[jax.Array, None]:
            noise = net(x, jnp.full(len(x), times[i]), condition)
            (signal, amplitude), (signal_after, amplitude_after) = noise_level(times[i]), noise_level(times[i + 1])
            # Near pure noise the prediction of the datum divides by almost zero; codes are whitened, so it is clipped
            # to values that occur.
            datum = jnp.clip((x - amplitude * noise) / signal, -6.0, 6.0)
            return signal_after * datum + amplitude_after * (x - signal * datum) / amplitude, None

        return jax.lax.scan(step, x0, jnp.arange(steps))[0]
    return ode.solve(net, x0, condition, steps)[0]
