"""The train step of both stages, a pure function (state, batch) -> (state, metrics) without I/O; and stage 2's losses.

Stage 1's are in `stage1.py`; the jit boundary is in `loop.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from demo_jax import rng
from demo_jax.codes import CodeSpace
from demo_jax.config import CouplingConfig, Stage1Config, Stage2Config
from demo_jax.factors import FactorLayout
from demo_jax.flow import coupling
from demo_jax.flow.condition import Condition
from demo_jax.flow.coupling import Coupling
from demo_jax.flow.loss import flow_matching_losses
from demo_jax.flow.time_sampling import LogitNormal, Uniform
from demo_jax.models import low_rank
from demo_jax.models.flow_transformer import FlowTransformer
from demo_jax.training.conditioning import coupling_features, make_condition
from demo_jax.training.state import TrainState, apply_gradients

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]
StepFn = Callable[[TrainState, Any], tuple[TrainState, Metrics]]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class FlowBatch:
    """What the flow-matching loss is taken on: noise and data with their times and conditions, row by row."""

    x0: jax.Array  # [B, L, K] float32, coupled
    x1: jax.Array  # [B, L, K] float32
    t: jax.Array  # [B] float32
    condition: Condition


def make_flow_batch(
    config: Stage2Config, layout: FactorLayout, space: CodeSpace, batch: Batch, key: jax.Array
) -> FlowBatch:
    """Noise for one batch of data_pipelines.loading.batches.stage2_batches, coupled; all that is random in a step."""
    condition_key, noise_key, coupling_key, time_key = jax.random.split(key, 4)
    x1, condition = make_condition(condition_key, batch, space, layout, config.condition, config.model.context)
    x0 = jax.random.normal(noise_key, x1.shape)
    features = coupling_features(batch, space, condition)
    x0 = make_coupling(config.coupling)(coupling_key, x0, x1, features, condition.free, config.condition.group)
    times = Uniform() if config.loss.time == "uniform" else LogitNormal()
    return FlowBatch(x0=x0, x1=x1, t=times(time_key, len(x1)), condition=condition)


def flow_batch_losses(
    model: FlowTransformer, config: Stage2Config, layout: FactorLayout, params: PyTree, pairs: FlowBatch
) -> Metrics:
    """The flow-matching loss."""

    def velocity(x: jax.Array, t: jax.Array, condition: object) -> jax.Array:
        return model.apply({"params": params}, x, t, condition)

    terms = flow_matching_losses(velocity, pairs.x0, pairs.x1, pairs.t, pairs.condition, layout, config.loss.difference)
    total = terms["loss"] + (config.loss.velocity - 1) * terms["velocity"]
    return terms | {"loss": total}


def stage2_losses(
    model: FlowTransformer,
    config: Stage2Config,
    layout: FactorLayout,
    params: PyTree,
    space: CodeSpace,
    batch: Batch,
    key: jax.Array,
) -> Metrics:
    """The flow-matching loss on one batch of data_pipelines.loading.batches.stage2_batches."""
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

    def losses(params: PyTree, pairs: FlowBatch, key: jax.Array) -> Metrics:
        del key
        return flow_batch_losses(model, config, layout, params, pairs)

    update, count = make_step(losses, config, optimizer), config.coupling.microbatches

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        pairs = make_flow_batch(config, layout, space, batch, rng.stream(config.seed, "train", state.step))
        if count == 1:
            return update(state, pairs)
        after, metrics = jax.lax.scan(update, state, split_microbatches(pairs, count))
        # A step is a batch, however many updates it has: the next batch and its noise depend on this number.
        return dataclasses.replace(after, step=state.step + 1), jax.tree.map(lambda m: m.mean(0), metrics)

    return step


def make_coupling(config: CouplingConfig) -> Coupling:
    if config.kind == "independent":
        return coupling.Independent()
    solver = coupling.exact if config.kind == "exact" else coupling.Sinkhorn()
    return coupling.MinibatchOT(solver=solver, weight=config.weight, share=config.share or None)


def split_microbatches(batch: Any, count: int) -> Any:
    """Arrays [N, ..] -> [count, N / count, ..]; part j has rows j, j + count, ...: some of every coupling group, and of
    every device's rows."""
    return jax.tree.map(lambda a: a.reshape(-1, count, *a.shape[1:]).swapaxes(0, 1), batch)


def make_step(
    losses: Callable[[PyTree, Any, jax.Array], Metrics],
    config: Stage1Config | Stage2Config,
    optimizer: optax.GradientTransformation,
) -> StepFn:
    """One step of either stage: gradients, update, average; metrics carry each parameter group's gradient norm. Groups
    that config holds have none, and XLA drops their backward pass.

    With optimizer.accumulate above 1 gradients are means over that many parts of the batch, each with a key of its own.
    A loss that is a mean over what a part holds (valid frames, free entries) weighs every part alike."""
    count = config.optimizer.accumulate

    def objective(params: PyTree, batch: Any, key: jax.Array) -> tuple[jax.Array, Metrics]:
        held = {name: jax.lax.stop_gradient(p) if config.is_frozen(name) else p for name, p in params.items()}
        metrics = losses(low_rank.merged(held), batch, key)
        return metrics["loss"], metrics

    differentiate = jax.grad(objective, has_aux=True)

    def accumulated(params: PyTree, batch: Any, key: jax.Array) -> tuple[PyTree, Metrics]:
        def add(total: PyTree, part: tuple[Any, jax.Array]) -> tuple[PyTree, Metrics]:
            gradients, metrics = differentiate(params, *part)
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
