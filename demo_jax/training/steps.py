"""The train step of both stages, a pure function (state, batch) -> (state, metrics) without I/O; and stage 2's losses.

Stage 1's are in `stage1.py`; the jit boundary is in `loop.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import optax

from demo_jax import rng
from demo_jax.codes import CodeSpace
from demo_jax.config import CouplingConfig, Stage1Config, Stage2Config
from demo_jax.factors import FactorLayout
from demo_jax.flow import coupling
from demo_jax.flow.coupling import Coupling
from demo_jax.flow.loss import flow_matching_losses
from demo_jax.flow.time_sampling import LogitNormal, Uniform
from demo_jax.models.flow_transformer import FlowTransformer
from demo_jax.training.conditioning import coupling_features, make_condition
from demo_jax.training.state import TrainState, apply_gradients
from demo_jax.typing import PyTree

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]
StepFn = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]


def stage2_losses(
    model: FlowTransformer,
    config: Stage2Config,
    layout: FactorLayout,
    params: PyTree,
    space: CodeSpace,
    batch: Batch,
    key: jax.Array,
) -> Metrics:
    """The flow-matching loss on one batch of data_pipelines.pipeline.stage2_batches."""
    condition_key, noise_key, coupling_key, time_key = jax.random.split(key, 4)
    x1, condition = make_condition(condition_key, batch, space, layout, config.condition, config.model.context)
    x0 = jax.random.normal(noise_key, x1.shape)
    features = coupling_features(batch, space, condition)
    x0 = make_coupling(config.coupling)(coupling_key, x0, x1, features, condition.free, config.condition.group)
    times = Uniform() if config.loss.time == "uniform" else LogitNormal()
    t = times(time_key, len(x1))

    def velocity(x: jax.Array, t: jax.Array, condition: object) -> jax.Array:
        return model.apply({"params": params}, x, t, condition)

    terms = flow_matching_losses(velocity, x0, x1, t, condition, layout, config.loss.difference)
    total = terms["loss"] + (config.loss.velocity - 1) * terms["velocity"]
    return terms | {"loss": total}


def make_coupling(config: CouplingConfig) -> Coupling:
    if config.kind == "independent":
        return coupling.Independent()
    solver = coupling.exact if config.kind == "exact" else coupling.Sinkhorn()
    return coupling.MinibatchOT(solver=solver, weight=config.weight, share=config.share or None)


def make_step(
    losses: Callable[[PyTree, Batch, jax.Array], Metrics],
    config: Stage1Config | Stage2Config,
    optimizer: optax.GradientTransformation,
) -> StepFn:
    """One step of either stage: gradients, update, average; metrics carry each parameter group's gradient norm. Groups
    in config.freeze have none, and XLA drops their backward pass."""

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key = rng.stream(config.seed, "train", state.step)

        def objective(params: PyTree) -> tuple[jax.Array, Metrics]:
            held = {name: jax.lax.stop_gradient(p) if name in config.freeze else p for name, p in params.items()}
            metrics = losses(held, batch, key)
            return metrics["loss"], metrics

        gradients, metrics = jax.grad(objective, has_aux=True)(state.params)
        metrics |= {f"gradient/{n}": optax.tree.norm(g) for n, g in gradients.items() if n not in config.freeze}
        return apply_gradients(state, gradients, optimizer, config.optimizer), metrics

    return step
