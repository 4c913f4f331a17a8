import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from demo_jax import sharding
from demo_jax.checkpoint import checksums
from demo_jax.config import MeshConfig


def arrays() -> dict:
    rng = np.random.default_rng(0)
    return {
        "kernel": rng.normal(size=(3, 16, 8)).astype(np.float32),
        "half": rng.normal(size=(16, 4)).astype(np.float16),
        "brain": jnp.asarray(rng.normal(size=(5,)), jnp.bfloat16),
        "step": np.int32(7),
        "double": rng.normal(size=(4, 3)),
        "flags": np.array([True, False, True]),
        "empty": np.zeros((0, 3), np.float32),
    }


def test_host_devices_and_shardings_agree():
    host = checksums.of_tree(arrays(), host=True)
    for name, x in arrays().items():
        if name == "double":  # JAX has no such arrays here
            continue
        assert int(jax.jit(checksums.checksum)(jnp.asarray(x))) == host[f"['{name}']"]
    mesh = sharding.make_mesh(MeshConfig(fsdp=8))
    spread = jax.device_put(jnp.asarray(arrays()["kernel"]), NamedSharding(mesh, P(None, "fsdp", None)))
    program = jax.jit(checksums.checksum).lower(spread).compile()
    assert int(program(spread)) == host["['kernel']"]
    assert "all-gather" not in program.as_text()  # each device reads its own part


@pytest.mark.parametrize("name", ["kernel", "half", "double"])
def test_every_bit_and_every_place_counts(name):
    x = arrays()[name]
    stored = {"['x']": int(checksums.checksum(x, np))}
    rng = np.random.default_rng(1)
    for _ in range(200):
        damaged = bytearray(x.tobytes())
        damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
        y = np.frombuffer(bytes(damaged), x.dtype).reshape(x.shape)
        assert checksums.changed({"x": y}, stored, host=True) == ["['x']"]
    flat = x.reshape(-1)
    for _ in range(200):
        i, j = rng.choice(flat.size, 2, replace=False)
        swapped = flat.copy()
        swapped[[i, j]] = flat[[j, i]]
        assert checksums.changed({"x": swapped.reshape(x.shape)}, stored, host=True) == ["['x']"]
    assert checksums.changed({"x": x}, stored, host=True) == []
