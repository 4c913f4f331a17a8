"""The train step of both stages, a pure function (state, batch) -> (state, metrics) without I/O, and stage 2's losses.

Stage 1's losses are in `stage1_losses.py`; the jit boundary is in `loop.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key, PyTree

from demo_jax import rng
from demo_jax.codes import CodeSpace
from demo_jax.config import CouplingConfig, RunConfig, Stage2Config
from demo_jax.factors import FactorLayout
from demo_jax.flow import coupling
from demo_jax.flow.condition import Condition
from demo_jax.flow.coupling import CouplingBatch
from demo_jax.flow.loss import FlowBatch, flow_matching_losses
from demo_jax.flow.time_sampling import LogitNormal, Uniform
from demo_jax.models import low_rank
from demo_jax.models.flow_transformer import FlowTransformer
from demo_jax.training.conditioning import Batch, coupling_features, make_condition
from demo_jax.training.state import TrainState, apply_gradients

Metrics = dict[str, Float[Array, ""]]
StepFn = Callable[[TrainState, Any], tuple[TrainState, Metrics]]


def make_flow_batch(
    config: Stage2Config, layout: FactorLayout, space: CodeSpace, batch: Batch, key: Key[Array, ""]
) -> FlowBatch:
    """Returns data, conditions, coupled noise and times of one batch of data_pipelines.loading.batches.stage2_batches.

    All randomness of a step is here.
    """
    condition_key, noise_key, coupling_key, time_key = jax.random.split(key, 4)
    x1, condition = make_condition(condition_key, batch, space, layout, config.condition, config.model.context)
    x0 = jax.random.normal(noise_key, x1.shape)
    features = coupling_features(batch, space, condition)
    uncoupled = CouplingBatch(x0=x0, x1=x1, condition_features=features, free_mask=condition.free)
    x0 = make_coupling(config.coupling)(coupling_key, uncoupled, config.condition.group)
    times = Uniform() if config.loss.time == "uniform" else LogitNormal()
    return FlowBatch(x0=x0, x1=x1, t=times(time_key, len(x1)), condition=condition)


def flow_batch_losses(
    model: FlowTransformer, config: Stage2Config, layout: FactorLayout, params: PyTree, batch: FlowBatch
) -> Metrics:
    """Returns the terms of the flow-matching loss; "loss" is their weighted sum."""

    def velocity(x: Float[Array, "B L K"], t: Float[Array, " B"], condition: Condition) -> Float[Array, "B L K"]:
        return model.apply({"params": params}, x, t, condition)

    terms = flow_matching_losses(velocity, batch, layout, config.loss.difference)
    total = terms["loss"] + (config.loss.velocity - 1) * terms["velocity"]
    return terms | {"loss": total}


def stage2_losses(
    model: FlowTransformer,
    config: Stage2Config,
    layout: FactorLayout,
    params: PyTree,
    space: CodeSpace,
    batch: Batch,
    key: Key[Array, ""],
) -> Metrics:
    """Returns flow_batch_losses of one batch of data_pipelines.loading.batches.stage2_batches."""
    return flow_batch_losses(model, config, layout, params, make_flow_batch(config, layout, space, batch, key))


def make_stage2_step(
    model: FlowTransformer,
    config: Stage2Config,
    layout: FactorLayout,
    space: CodeSpace,
    optimizer: optax.GradientTransformation,
) -> StepFn:
    """Returns one step of stage 2: a batch is coupled as a whole, then split into config.coupling.microbatches with an
    update each, so that a coupling group may be larger than a gradient's rows. Metrics are means over microbatches."""

    def losses(params: PyTree, batch: FlowBatch, key: Key[Array, ""]) -> Metrics:
        del key
        return flow_batch_losses(model, config, layout, params, batch)

    update, count = make_step(losses, config, optimizer), config.coupling.microbatches

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        flow_batch = make_flow_batch(config, layout, space, batch, rng.stream(config.seed, "train", state.step))
        if count == 1:
            return update(state, flow_batch)
        after, metrics = jax.lax.scan(update, state, split_microbatches(flow_batch, count))
        # A step is a batch, however many updates it has: the next batch and its noise depend on this number.
        return dataclasses.replace(after, step=state.step + 1), jax.tree.map(lambda m: m.mean(0), metrics)

    return step


def make_coupling(config: CouplingConfig) -> coupling.Independent | coupling.MinibatchOT:
    """Returns the coupling named by config.kind."""
    if config.kind == "independent":
        return coupling.Independent()
    solver = coupling.exact if config.kind == "exact" else coupling.Sinkhorn()
    return coupling.MinibatchOT(solver=solver, weight=config.weight, share=config.share or None)


def split_microbatches(batch: PyTree, count: int) -> PyTree:
    """Returns arrays [N, ..] as [count, N / count, ..].

    Microbatch j has rows j, j + count, ...: some of every coupling group, and of every device's rows.
    """
    return jax.tree.map(lambda a: a.reshape(-1, count, *a.shape[1:]).swapaxes(0, 1), batch)


def make_step(
    losses: Callable[[PyTree, Any, Array], Metrics],
    config: RunConfig,
    optimizer: optax.GradientTransformation,
) -> StepFn:
    """Returns one step of either stage: gradients, update, average.

    With optimizer.accumulate above 1, gradients are means over that many microbatches, each with a key of its own. A
    loss that is a mean over part of a microbatch (valid frames, free entries) then weights all microbatches equally.

    Args:
      losses: (parameters, batch, key) -> metrics, among them the scalar "loss".
      config: its frozen groups have no gradients, and XLA drops their backward pass.
      optimizer: of make_optimizer.

    Returns:
      The step. Its metrics are those of `losses` and the gradient norm of each trained group.
    """
    count = config.optimizer.accumulate

    def objective(params: PyTree, batch: Any, key: Key[Array, ""]) -> tuple[Float[Array, ""], Metrics]:
        trained = {name: jax.lax.stop_gradient(p) if config.is_frozen(name) else p for name, p in params.items()}
        metrics = losses(low_rank.merged(trained), batch, key)
        return metrics["loss"], metrics

    differentiate = jax.grad(objective, has_aux=True)

    def accumulated(params: PyTree, batch: Any, key: Key[Array, ""]) -> tuple[PyTree, Metrics]:
        def add(total: PyTree, microbatch: tuple[Any, Array]) -> tuple[PyTree, Metrics]:
            gradients, metrics = differentiate(params, *microbatch)
            return jax.tree.map(jnp.add, total, gradients), metrics

        zeros = jax.tree.map(jnp.zeros_like, params)
        total, metrics = jax.lax.scan(add, zeros, (split_microbatches(batch, count), jax.random.split(key, count)))
        return jax.tree.map(lambda g: g / count, total), jax.tree.map(lambda m: m.mean(0), metrics)

    def step(state: TrainState, batch: Any) -> tuple[TrainState, Metrics]:
        key = rng.stream(config.seed, "train", state.step)
        gradients, metrics = (differentiate if count == 1 else accumulated)(state.params, batch, key)
        metrics |= {f"gradient/{n}": optax.tree.norm(g) for n, g in gradients.items() if not config.is_frozen(n)}
        return apply_gradients(state, gradients, optimizer, config.optimizer), metrics

    return step
