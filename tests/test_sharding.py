"""Where arrays go, and that it does not change the numbers: 1 against 8 devices, and a pod's abstract mesh."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AbstractMesh
from jax.sharding import PartitionSpec as P

from demo_jax import codes, sharding
from demo_jax.config import CouplingConfig, FlowTransformerConfig, MeshConfig, OptimizerConfig, Stage2Config
from demo_jax.factors import FactorLayout
from demo_jax.models.flow_transformer import FlowTransformer
from demo_jax.training.conditioning import make_condition
from demo_jax.training.state import create, make_optimizer
from demo_jax.training.steps import make_step, stage2_losses
from demo_jax.typing import InputError

LAYOUT = FactorLayout()
CONFIG = Stage2Config(
    model=FlowTransformerConfig(width=32, depth=2, heads=2, window=8, context=3, look_ahead=2),
    optimizer=OptimizerConfig(warmup_steps=1),
    coupling=CouplingConfig(kind="sinkhorn", share=0.05),
)


def flow_batch(rows: int = 16) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "codes": rng.normal(size=(rows, 11, 42)).astype(np.float32),
        "codes_valid": np.ones((rows, 11), bool),
        "next_codes": rng.normal(size=(rows, 10, 42)).astype(np.float32),
        "next_valid": np.ones((rows, 10), bool),
        "audio": rng.normal(size=(rows, 13, 6)).astype(np.float16),
        "audio_valid": np.ones((rows, 13), bool),
        "source": rng.normal(size=(rows, 42)).astype(np.float32),
        "emotion": np.zeros(rows, np.int32),
    }


def run_steps(mesh_config: MeshConfig, devices: list, steps: int = 3):
    """Three steps of the real stage-2 step on a mesh over `devices`: losses, and the final state."""
    mesh = sharding.make_mesh(mesh_config, devices)
    batch = flow_batch()
    rng = np.random.default_rng(1)
    space = codes.fit(rng.normal(size=(500, 42)), np.full((500, 52), np.nan), LAYOUT)
    model, optimizer = FlowTransformer(CONFIG.model), make_optimizer(CONFIG.optimizer, 100)

    def losses(params, batch, key):
        return stage2_losses(model, CONFIG, LAYOUT, params, space, batch, key)

    def init():
        example = jax.tree.map(jnp.asarray, batch)
        x1, cond = make_condition(jax.random.key(0), example, space, LAYOUT, CONFIG.condition, CONFIG.model.context)
        return create(model.init(jax.random.key(0), x1, jnp.zeros(len(x1)), cond)["params"], optimizer)

    with jax.set_mesh(mesh):
        placed = sharding.state_shardings(jax.eval_shape(init), mesh)
        state = jax.jit(init, out_shardings=placed)()
        step = jax.jit(make_step(losses, CONFIG, optimizer), donate_argnums=0, out_shardings=(placed, None))
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
    assert state.opt_state[1][0].mu["blocks"]["mlp_in"]["kernel"].sharding.spec == kernel.sharding.spec


def test_rules_on_a_pod():
    pod = AbstractMesh((16, 8, 2), sharding.AXES)
    assert sharding.parameter_spec("params/blocks/qkv/kernel", (8, 1024, 3072), pod) == P(None, "fsdp", "tensor")
    assert sharding.parameter_spec("params/blocks/attention_out/kernel", (8, 1024, 1024), pod) == P(
        None, "tensor", "fsdp"
    )
    assert sharding.parameter_spec("params/blocks/mlp_in/bias", (8, 4096), pod) == P("fsdp", "tensor")
    assert sharding.parameter_spec("decoder/out/kernel", (3, 3, 24, 24), pod) == P(None, None, "fsdp", None)
    assert sharding.parameter_spec("decoder/out/bias", (24,), pod) == P(None)  # too small to be worth a gather
    assert sharding.parameter_spec("decoder/style_0/kernel", (509, 43), pod) == P(None, None)  # 8 divides neither
    assert sharding.parameter_spec("basis/free", (512, 42), pod) == P(None, None)  # a QR needs it whole


def test_mesh_takes_what_is_left_and_refuses_what_does_not_fit():
    assert dict(sharding.make_mesh(MeshConfig(fsdp=2)).shape) == {"data": 4, "fsdp": 2, "tensor": 1}
    for bad in (MeshConfig(fsdp=3), MeshConfig(data=2), MeshConfig(data=-1, fsdp=-1), MeshConfig(tensor=0)):
        with pytest.raises(InputError, match="MeshConfig"):
            sharding.make_mesh(bad)
