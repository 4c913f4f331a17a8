"""Where arrays go, and that it does not change the numbers: 1 against 8 devices, and a pod's abstract mesh."""

from __future__ import annotations

import dataclasses
import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AbstractMesh
from jax.sharding import PartitionSpec as P

from demo_jax import codes, rng, sharding
from demo_jax.config import CouplingConfig, FlowTransformerConfig, MeshConfig, OptimizerConfig, Stage2Config
from demo_jax.errors import InputError
from demo_jax.factors import FactorLayout
from demo_jax.models.flow_transformer import FlowTransformer
from demo_jax.training.conditioning import make_condition
from demo_jax.training.state import create, make_optimizer
from demo_jax.training.steps import flow_batch_losses, make_flow_batch, make_stage2_step, make_step

LAYOUT = FactorLayout()
CONFIG = Stage2Config(
    model=FlowTransformerConfig(width=32, depth=2, heads=2, window=8, context=3, look_ahead=2),
    optimizer=OptimizerConfig(warmup_steps=1),
    coupling=CouplingConfig(kind="sinkhorn", share=0.05, microbatches=2),
)


def flow_batch(rows: int = 16) -> dict[str, np.ndarray]:
    draws = np.random.default_rng(0)
    return {
        "codes": draws.normal(size=(rows, 11, 42)).astype(np.float32),
        "codes_valid": np.ones((rows, 11), bool),
        "next_codes": draws.normal(size=(rows, 10, 42)).astype(np.float32),
        "next_valid": np.ones((rows, 10), bool),
        "audio": draws.normal(size=(rows, 13, 6)).astype(np.float16),
        "audio_valid": np.ones((rows, 13), bool),
        "source": draws.normal(size=(rows, 42)).astype(np.float32),
        "emotion": np.zeros(rows, np.int32),
    }


def run_steps(mesh_config: MeshConfig, devices: list, steps: int = 3):
    """Three steps of the real stage-2 step on a mesh over `devices`: losses, and the final state."""
    mesh = sharding.make_mesh(mesh_config, devices)
    batch = flow_batch()
    space = codes.fit(np.random.default_rng(1).normal(size=(500, 42)), np.full((500, 52), np.nan), LAYOUT)
    model, optimizer = FlowTransformer(CONFIG.model, LAYOUT), make_optimizer(CONFIG.optimizer, 100)

    def init():
        example = jax.tree.map(jnp.asarray, batch)
        x1, cond = make_condition(jax.random.key(0), example, space, LAYOUT, CONFIG.condition, CONFIG.model.context)
        return create(model.init(jax.random.key(0), x1, jnp.zeros(len(x1)), cond)["params"], optimizer)

    with jax.set_mesh(mesh):
        placed = sharding.state_shardings(jax.eval_shape(init), mesh)
        state = jax.jit(init, out_shardings=placed)()
        make = make_stage2_step(model, CONFIG, LAYOUT, space, optimizer)
        step = jax.jit(make, donate_argnums=0, out_shardings=(placed, None))
        found = []
        for _ in range(steps):
            state, metrics = step(state, sharding.put_batch(batch, mesh))
            found.append(float(metrics["loss"]))
        assert step._cache_size() == 1
    return found, state


@functools.cache
def one_device():
    return run_steps(MeshConfig(), jax.devices()[:1])


@pytest.mark.parametrize("shape", [(8, 1, 1), (2, 2, 2), (1, 8, 1)])
def test_eight_devices_give_the_losses_of_one(shape):
    reference, expected = one_device()
    found, state = run_steps(MeshConfig(data=shape[0], fsdp=shape[1], tensor=shape[2]), jax.devices())
    # Sums over the batch are taken in another order: float32 rounding, amplified by three optimiser steps.
    np.testing.assert_allclose(found, reference, rtol=2e-4)
    for a, b in zip(jax.tree.leaves(state.params), jax.tree.leaves(expected.params), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4)
    kernel = state.params["blocks"]["mlp_in"]["kernel"]  # [depth, width, 4 width]
    fsdp, tensor = shape[1] > 1, shape[2] > 1
    expected_spec = {
        (False, False): P(None, None, None),
        (True, True): P(None, "fsdp", "tensor"),
        (True, False): P(None, None, "fsdp"),
    }
    assert kernel.sharding.spec == expected_spec[fsdp, tensor]
    moment = optax.tree.get(state.opt_state, "mu")["blocks"]["mlp_in"]["kernel"]
    assert moment.sharding.spec == kernel.sharding.spec


def test_a_batch_coupled_whole_is_trained_on_in_parts():
    """Two updates a step, on rows 0, 2, ... and 1, 3, ... of pairs made for the whole batch."""
    found, state = one_device()
    assert int(state.step) == 3
    space = codes.fit(np.random.default_rng(1).normal(size=(500, 42)), np.full((500, 52), np.nan), LAYOUT)
    model, optimizer = FlowTransformer(CONFIG.model, LAYOUT), make_optimizer(CONFIG.optimizer, 100)
    batch = jax.tree.map(jnp.asarray, flow_batch())
    make_pairs = jax.jit(
        lambda step: make_flow_batch(CONFIG, LAYOUT, space, batch, rng.stream(CONFIG.seed, "train", step))
    )
    update = jax.jit(
        make_step(lambda params, part, key: flow_batch_losses(model, CONFIG, LAYOUT, params, part), CONFIG, optimizer)
    )
    pairs = make_pairs(0)
    after = create(model.init(jax.random.key(0), pairs.x1, pairs.t, pairs.condition)["params"], optimizer)
    for step in range(3):
        pairs, losses = make_pairs(step), []
        for first in range(2):
            after, metrics = update(after, jax.tree.map(lambda a, k=first: a[k::2], pairs))
            losses.append(float(metrics["loss"]))
        after = dataclasses.replace(after, step=jnp.asarray(step + 1, jnp.int32))
        assert np.mean(losses) == pytest.approx(found[step], rel=2e-4)
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4)  # as above: sums in another order


def test_rules_on_a_pod():
    pod = AbstractMesh((16, 8, 2), sharding.AXES)
    assert sharding.parameter_spec("params/blocks/qkv/kernel", (8, 1024, 3072), pod) == P(None, "fsdp", "tensor")
    assert sharding.parameter_spec("params/blocks/attention_out/kernel", (8, 1024, 1024), pod) == P(
        None, "tensor", "fsdp"
    )
    assert sharding.parameter_spec("params/blocks/mlp_in/bias", (8, 4096), pod) == P("fsdp", "tensor")
    assert sharding.parameter_spec("decoder/out/kernel", (3, 3, 24, 24), pod) == P(*[None] * 4)
    assert sharding.parameter_spec("basis/free", (512, 42), pod) == P(
        None, None
    )  # nothing of the auto-encoder is split
    assert sharding.parameter_spec("blocks/qkv/kernel", (3, 43, 129), pod) == P(None, None, None)  # 8 divides none
    assert sharding.parameter_spec("blocks/mlp_in/bias", (3, 24), pod) == P(None, "tensor")  # too small to gather


def test_mesh_takes_what_is_left_and_refuses_what_does_not_fit():
    assert dict(sharding.make_mesh(MeshConfig(fsdp=2)).shape) == {"data": 4, "fsdp": 2, "tensor": 1}
    for bad in (MeshConfig(fsdp=3), MeshConfig(data=2), MeshConfig(data=-1, fsdp=-1), MeshConfig(tensor=0)):
        with pytest.raises(InputError, match="MeshConfig"):
            sharding.make_mesh(bad)


@pytest.mark.parametrize(
    ("owners", "tensor", "mine"),
    [
        ([0, 0, 1, 1], 1, (2, 3)),
        ([0, 1, 1, 0], 1, (1, 2)),
        ([1, 0, 0, 1], 1, (0, 3)),  # as the rings of a TPU slice may have it
        ([0, 0, 1, 1], 2, (1,)),
        ([0, 1, 0, 1], 2, (0, 1)),  # a tensor axis across hosts: both hold both
    ],
)
def test_a_process_makes_the_rows_that_its_devices_hold(owners, tensor, mine, monkeypatch):
    devices = np.array([types.SimpleNamespace(process_index=p) for p in owners], object).reshape(-1, 1, tensor)
    mesh = types.SimpleNamespace(devices=devices, shape={"tensor": tensor})
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    assert sharding.shards_here(mesh) == {"shards": mine, "shard_count": len(owners) // tensor}


@pytest.mark.parametrize("shape", [(8, 1, 1), (2, 2, 2), (1, 1, 8)])
def test_a_batch_arrives_as_it_is(shape):
    mesh = sharding.make_mesh(MeshConfig(data=shape[0], fsdp=shape[1], tensor=shape[2]))
    rows = {"x": np.arange(48.0).reshape(16, 3), "n": np.arange(16)}
    placed = sharding.put_batch(rows, mesh)
    for name, array in rows.items():
        np.testing.assert_array_equal(placed[name], array)
        assert placed[name].sharding == sharding.batch_sharding(mesh)
