"""How benchmarks.pods counts: against closed forms, and a program whose collectives are known."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from benchmarks import abstract, pods
from demo_jax import sharding
from demo_jax.config import MeshConfig


def count(function, *shapes) -> float:
    return abstract.operations(jax.make_jaxpr(function)(*[jnp.zeros(s) for s in shapes]).jaxpr)


def test_operations_are_counted_as_often_as_they_run():
    assert count(jnp.matmul, (3, 5), (5, 7)) == 2 * 3 * 5 * 7

    def looped(x, w):
        return jax.lax.scan(lambda h, _: (jnp.tanh(h @ w), None), x, length=6)[0]

    assert count(looped, (3, 5), (5, 5)) == 6 * 2 * 3 * 5 * 5
    assert count(jax.checkpoint(looped), (3, 5), (5, 5)) == 6 * 2 * 3 * 5 * 5

    def convolved(x, w):
        return jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    assert count(convolved, (2, 8, 8, 3), (3, 3, 3, 16)) == 2 * (2 * 8 * 8 * 16) * (3 * 3 * 3)

    def branched(x, w):
        return jax.lax.cond(x[0, 0] > 0, lambda: x @ w @ w, lambda: x @ w)

    assert count(branched, (3, 5), (5, 5)) == 2 * 2 * 3 * 5 * 5


@pytest.mark.parametrize("loops", [1, 5])
def test_collectives_of_loops_and_their_bytes(loops):
    mesh = sharding.make_mesh(MeshConfig(fsdp=8))
    rows, whole = NamedSharding(mesh, P("fsdp")), NamedSharding(mesh, P())

    def summed(x):
        def body(h, _):
            return jax.lax.with_sharding_constraint(jnp.sin(x + h[None]).sum(0), whole), None

        return jax.lax.scan(body, jnp.zeros(16), length=loops)[0]

    x = jax.ShapeDtypeStruct((64, 16), jnp.float32, sharding=rows)
    counts, sent = pods.collectives(jax.jit(summed, out_shardings=whole).lower(x).compile().as_text())
    assert counts == {"all-reduce": loops}
    assert sent == loops * 16 * 4 * 2 * 7 / 8


def test_a_pod_of_tpus_gets_a_program_of_256_parts():
    found = pods.lower_for_tpu("full_flow")
    assert found["partitions"] == 256


@pytest.mark.parametrize(
    ("groups", "devices"),
    [
        ("replica_groups={{0,1,2},{3,4,5}}", 3), ("replica_groups=[2,4]<=[8]", 4),
        ("replica_groups=mesh['a'=4,'b'=8] {'b'}", 8), ("replica_groups=mesh['a'=4,'b'=8] {'a','b':(2)4}", 16),
    ],
)  # fmt: skip
def test_devices_of_a_collective(groups, devices):
    assert pods._group(f"%x = f32[4] all-reduce(%y), channel_id=1, {groups}, use_global_device_ids=true") == devices
