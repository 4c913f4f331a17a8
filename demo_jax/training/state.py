"""The train state: one immutable pytree, donated to every step."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int, PyTree

from demo_jax.config import OptimizerConfig
from demo_jax.pytrees import AnyArray, register


@register
@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainState:
    """What a step changes: parameters and their average are float32."""

    step: Int[Array, ""]  # steps done
    params: PyTree
    ema: PyTree  # averaged parameters, which sampling uses
    opt_state: PyTree


def create(params: PyTree, optimizer: optax.GradientTransformation) -> TrainState:
    """Returns the state of step 0."""
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        ema=jax.tree.map(jnp.array, params),  # a copy: a donated state must not contain one buffer twice
        opt_state=optimizer.init(params),
    )


def make_optimizer(
    config: OptimizerConfig, steps: int, is_frozen: Callable[[str], bool] = lambda group: False
) -> optax.GradientTransformation:
    """Returns AdamW with global-norm clipping (unless clip_norm is 0), linear warm-up and cosine decay to a tenth.

    Biases and norms have no weight decay. Groups of parameters for which `is_frozen` is true do not change, and have no
    moments.
    """
    warmup = min(config.warmup_steps, max(steps // 10, 1))
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, warmup, max(steps, warmup + 1), config.learning_rate / 10
    )

    def decays(params: PyTree) -> PyTree:
        return jax.tree.map(lambda p: p.ndim > 1, params)

    def labels(params: PyTree) -> dict[str, str]:
        return {name: "held" if is_frozen(name) else "learns" for name in params}

    learns = optax.chain(
        optax.clip_by_global_norm(config.clip_norm) if config.clip_norm else optax.identity(),
        optax.adamw(schedule, b2=0.99, weight_decay=config.weight_decay, mask=decays),
    )
    # The two labels are keys of saved optimiser states.
    return optax.partition({"learns": learns, "held": optax.set_to_zero()}, labels)


def matching(params: PyTree, given: PyTree) -> dict[str, np.ndarray]:
    """Returns the arrays of `given` whose name and shape occur in `params` (shapes suffice), by name."""
    shapes = {jax.tree_util.keystr(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(params)}
    leaves = ((jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(given))
    return {name: leaf for name, leaf in leaves if shapes.get(name) == leaf.shape}


def replace(params: PyTree, given: dict[str, AnyArray]) -> PyTree:
    """Returns `params` with the arrays in `given` (of `matching`) in their places."""
    return jax.tree_util.tree_map_with_path(lambda path, leaf: given.get(jax.tree_util.keystr(path), leaf), params)


def apply_gradients(
    state: TrainState, gradients: PyTree, optimizer: optax.GradientTransformation, config: OptimizerConfig
) -> TrainState:
    """Returns the state after one update, its parameters averaged with weight config.ema_decay on the past."""
    updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    # With full weight the average would be dominated by the initial values at first; (1 + n) / (10 + n) avoids that.
    decay = jnp.minimum(config.ema_decay, (1.0 + state.step) / (10.0 + state.step))
    ema = jax.tree.map(lambda e, p: e + (1 - decay) * (p - e), state.ema, params)
    return TrainState(step=state.step + 1, params=params, ema=ema, opt_state=opt_state)


def to_parts(state: TrainState) -> dict[str, PyTree]:
    """Returns the state as checkpoint parts: `train` to resume, `ema` to sample."""
    return {"train": {"step": state.step, "params": state.params, "opt_state": state.opt_state}, "ema": state.ema}


def from_parts(parts: dict[str, PyTree]) -> TrainState:
    """Inverts to_parts."""
    return TrainState(ema=parts["ema"], **parts["train"])
