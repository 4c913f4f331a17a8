"""A config's whole train step with the shapes of its state and batch: to trace, lower and compile it, and to run it on
random numbers."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxprs_in_params

from demo_jax import codes
from demo_jax.config import Stage1Config, Stage2Config, from_config_dict
from demo_jax.factors import FactorLayout
from demo_jax.models.autoencoder import AutoEncoder
from demo_jax.models.flow_transformer import FlowTransformer
from demo_jax.training.conditioning import make_condition
from demo_jax.training.stage1_losses import stage1_losses
from demo_jax.training.state import create, make_optimizer
from demo_jax.training.steps import StepFn, make_stage2_step, make_step

AUDIO = 160  # log-mel values per frame
Shapes = dict[str, jax.ShapeDtypeStruct]


def shape(*sizes: int, dtype: Any = jnp.float32) -> jax.ShapeDtypeStruct:
    """Returns the abstract array of these sizes."""
    return jax.ShapeDtypeStruct(sizes, dtype)


def settings(name: str) -> Any:
    """Returns the config of the file of that name."""
    return from_config_dict(importlib.import_module(f"configs.{name}").get_config())


def blank_space(layout: FactorLayout) -> codes.CodeSpace:
    """Returns a code space without measured expressions."""
    return codes.fit(np.eye(layout.size), np.full((layout.size, 52), np.nan), layout)


def stage1_shapes(c: Stage1Config) -> Shapes:
    """Returns the shapes of a batch of data_pipelines.loading.batches.stage1_batches on a puppet corpus."""
    b, n, s, w = c.data.batch_size, c.data.set_batch_size, c.model.size, c.model.lip_window
    batch = {
        "source": shape(b, s, s, 3, dtype=jnp.uint8),
        "driving": shape(b, w, s, s, 3, dtype=jnp.uint8),
        "driving_shift": shape(b, 3),
        "target": shape(b, s, s, 3, dtype=jnp.uint8),
        "target_calibrated": shape(b, 13),
        "source_calibrated": shape(b, 13),
        "driving_calibrated": shape(b, w, 13),
        "source_expression": shape(b, 52),
        "driving_expression": shape(b, w, 52),
        "source_landmarks": shape(b, 68, 2),
        "target_landmarks": shape(b, 68, 2),
        "driving_boxes": shape(b, 2, 4),
        "audio": shape(b, w, AUDIO),
        "clip_hash": shape(b, dtype=jnp.int32),
        "time": shape(b, dtype=jnp.int32),
        "voiced": shape(b, dtype=jnp.bool_),
        "phoneme": shape(b, dtype=jnp.int32),
    }
    if n:
        for name in ("source", "driving", "redrawn", "reidentity_source", "reidentity"):
            batch |= {f"set_{name}": shape(n, s, s, 3, dtype=jnp.uint8), f"set_{name}_calibrated": shape(n, 13)}
            batch |= {f"set_{name}_expression": shape(n, 52), f"set_{name}_landmarks": shape(n, 68, 2)}
        batch |= {"set_factor": shape(n, dtype=jnp.int32), "set_boxes": shape(n, 2, 4)}
    return batch


def stage1_variables(c: Stage1Config) -> Any:
    """Returns the shapes of the auto-encoder's variables."""
    s, w = c.model.size, c.model.lip_window
    arguments = shape(1, s, s, 3), shape(1, w, s, s, 3), shape(1, w, AUDIO)
    return jax.eval_shape(AutoEncoder(c.model).init, jax.random.key(0), *arguments)


def stage2_shapes(c: Stage2Config, k: int) -> Shapes:
    """Returns the shapes of a batch of data_pipelines.loading.batches.stage2_batches with codes of k coordinates."""
    b, m = c.data.batch_size, c.model
    frames, tokens = m.context + m.window, m.context + m.window + m.look_ahead
    return {
        "codes": shape(b, frames, k),
        "codes_valid": shape(b, frames, dtype=jnp.bool_),
        "next_codes": shape(b, m.window, k),
        "next_valid": shape(b, m.window, dtype=jnp.bool_),
        "audio": shape(b, tokens, AUDIO),
        "audio_valid": shape(b, tokens, dtype=jnp.bool_),
        "source": shape(b, k),
        "emotion": shape(b, dtype=jnp.int32),
    }


def abstract_step(c: Stage1Config | Stage2Config) -> tuple[StepFn, Any, Shapes]:
    """Returns the train step, the shapes of its state and those of its batch."""
    optimizer = make_optimizer(c.optimizer, c.steps, c.is_frozen)
    if isinstance(c, Stage1Config):
        model, batch, variables = AutoEncoder(c.model), stage1_shapes(c), stage1_variables(c)
        step = make_step(functools.partial(stage1_losses, model, c), c, optimizer)
    else:
        layout = FactorLayout()
        model, batch = FlowTransformer(c.model, layout), stage2_shapes(c, layout.size)
        space = blank_space(layout)
        x1, cond = jax.eval_shape(
            lambda b: make_condition(jax.random.key(0), b, space, layout, c.condition, c.model.context), batch
        )
        variables = jax.eval_shape(model.init, jax.random.key(0), x1, shape(c.data.batch_size), cond)
        step = make_stage2_step(model, c, layout, space, optimizer)
    return step, jax.eval_shape(lambda v: create(v["params"], optimizer), variables), batch


def filled(shapes: Shapes, size: int = 0) -> dict[str, np.ndarray]:
    """Returns random arrays of these shapes, the same each time: images, truth near a face's, boxes and landmarks
    within images of `size` px."""
    rng = np.random.default_rng(0)
    box = np.array([[0.4, 0.6, 0.6, 0.7], [0.35, 0.4, 0.65, 0.5]], np.float32) * size

    def array(name: str, s: jax.ShapeDtypeStruct) -> np.ndarray:
        if name.endswith("boxes"):
            return np.broadcast_to(box, s.shape).copy()
        if name.endswith("landmarks"):
            return rng.uniform(0.3 * size, 0.7 * size, s.shape).astype(np.float32)
        match np.dtype(s.dtype).kind:
            case "b":
                return np.ones(s.shape, bool)
            case "u":
                return rng.integers(0, 256, s.shape, np.uint8)
            case "i":
                return (np.arange(np.prod(s.shape)) % 4).reshape(s.shape).astype(np.int32)
        return (0.5 * rng.standard_normal(s.shape)).astype(np.float32)

    return {name: array(name, s) for name, s in shapes.items()}


def count_operations(function: Any, *args: Any) -> float:
    """Returns the operations of a call. JAX caches traces even of plain functions: to trace in another context, pass a
    new function."""
    return operations(jax.make_jaxpr(function)(*args).jaxpr)


def operations(jaxpr: Any) -> float:
    """Returns the operations of all products and convolutions in a jaxpr; loops count as often as they run, and of
    branches the most expensive."""
    total = 0.0
    for eqn in jaxpr.eqns:
        match eqn.primitive.name:
            case "dot_general":
                (contracted, _), _ = eqn.params["dimension_numbers"]
                depth = float(np.prod([eqn.invars[0].aval.shape[i] for i in contracted]))
                total += 2 * float(np.prod(eqn.outvars[0].aval.shape)) * depth
            case "conv_general_dilated":
                kernel = eqn.invars[1].aval.shape
                outputs = kernel[eqn.params["dimension_numbers"].rhs_spec[0]]
                total += 2 * float(np.prod(eqn.outvars[0].aval.shape)) * float(np.prod(kernel)) / outputs
            case "cond":
                total += max(operations(b.jaxpr) for b in eqn.params["branches"])
            case name:
                times = eqn.params["length"] if name == "scan" else 1
                total += times * sum(operations(j) for j in jaxprs_in_params(eqn.params))
    return total
