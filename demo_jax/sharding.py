"""The mesh, and the rules that place parameters, optimiser state and batches on it.

Axes: data (batch only), fsdp (batch, and the transformer's layers split over it), tensor (wide products split over it).
Models know no mesh; a parameter's place follows from its path and shape alone. A dimension that an axis does not divide
is not split over it.
"""

from __future__ import annotations

import functools
import re
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import PyTree

from demo_jax.config import MeshConfig
from demo_jax.errors import InputError
from demo_jax.pytrees import leaf_name

AXES = ("data", "fsdp", "tensor")
BATCH = P(("data", "fsdp"))

# (path ends with, which dimension counted from the last goes over `tensor`): columns first, then rows, so that one
# all-reduce closes each pair of products (Shoeybi et al. 2019).
TENSOR_RULES = (
    (r"(qkv|mlp_in)/kernel$", -1),
    (r"(qkv|mlp_in)/bias$", -1),
    (r"(attention_out|mlp_out)/kernel$", -2),
)

# The layers of the transformer go over `fsdp`; a scan gathers them one by one. If kernels of convolutions, or of their
# modulation, are split, XLA splits images by channels instead of gathering: at fsdp 8 a step of the auto-encoder sent
# 20 GB instead of 1, and took more memory (benchmarks.pods).
FSDP_RULE = r"(^|/)blocks/"


def make_mesh(config: MeshConfig, devices: list[jax.Device] | None = None) -> Mesh:
    """Returns the mesh over all devices. Raises InputError if the axes do not multiply to their number."""
    devices = jax.devices() if devices is None else devices
    sizes = [config.data, config.fsdp, config.tensor]
    known = int(np.prod([s for s in sizes if s != -1]))
    if sizes.count(-1) > 1 or any(s == 0 or s < -1 for s in sizes):
        raise InputError(f"{config}: sizes must be positive, and at most one -1.")
    if len(devices) % known or (-1 not in sizes and known != len(devices)):
        raise InputError(f"{config} does not fit {len(devices)} devices: the axes must multiply to that number.")
    shape = tuple(len(devices) // known if s == -1 else s for s in sizes)
    return jax.make_mesh(shape, AXES, axis_types=(AxisType.Auto,) * len(AXES), devices=devices)


def parameter_spec(path: str, shape: tuple[int, ...], mesh: Mesh) -> P:
    """Returns the PartitionSpec of the parameter at `path` ("decoder/out/kernel")."""
    axes: list[str | None] = [None] * len(shape)
    tensor, fsdp = mesh.shape["tensor"], mesh.shape["fsdp"]
    for pattern, dimension in TENSOR_RULES:
        if tensor > 1 and re.search(pattern, path) and len(shape) >= -dimension and shape[dimension] % tensor == 0:
            axes[dimension] = "tensor"
    large = np.prod(shape) >= 2**10  # smaller ones cost more to gather than to keep
    if fsdp > 1 and re.search(FSDP_RULE, path) and large:
        free = [i for i in range(len(shape)) if axes[i] is None and shape[i] % fsdp == 0]
        if free:
            axes[max(free, key=lambda i: shape[i])] = "fsdp"
    return P(*axes)


def state_shardings(abstract: PyTree, mesh: Mesh) -> PyTree:
    """Returns shardings for any pytree of parameters, moments or averages: the rules match the end of each path."""

    def place(path: tuple, leaf: jax.ShapeDtypeStruct) -> NamedSharding:
        return NamedSharding(mesh, parameter_spec(leaf_name(path), leaf.shape, mesh))

    return jax.tree_util.tree_map_with_path(place, abstract)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of every array of a batch: its rows go over data and fsdp."""
    return NamedSharding(mesh, BATCH)


def replicate(arrays: PyTree, mesh: Mesh) -> PyTree:
    """Makes arrays that every process has global, whole on each device: several processes can save only global ones."""
    everywhere = NamedSharding(mesh, P())
    return jax.tree.map(
        lambda a: jax.make_array_from_callback(np.shape(a), everywhere, lambda index: np.asarray(a)[index]), arrays
    )


def shards_here(mesh: Mesh) -> dict[str, Any]:
    """Returns which of the equal shards of a batch's rows this process's devices hold: `shards`, in order, and the
    `shard_count`.

    The shards need not be neighbours, depending on the topology of a TPU slice. With a tensor axis that crosses hosts
    several processes hold the same ones.
    """
    owners = mesh.devices.reshape(-1, mesh.shape["tensor"])
    mine = [i for i, row in enumerate(owners) if any(d.process_index == jax.process_index() for d in row)]
    return {"shards": tuple(mine), "shard_count": len(owners)}


@functools.cache
def _places(mesh: Mesh) -> tuple[dict[int, int], int]:
    """Returns this process's shards, each with its place among them, and the number of all shards. Cached, because
    every step needs them."""
    here = shards_here(mesh)
    return {shard: i for i, shard in enumerate(here["shards"])}, here["shard_count"]


def put_batch(batch: dict[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Makes global arrays from the rows of this process's shards, in order."""
    (places, count), sharding = _places(mesh), batch_sharding(mesh)

    def put(rows: np.ndarray) -> jax.Array:
        each = len(rows) // len(places)

        def of_shard(index: tuple[slice, ...]) -> np.ndarray:
            place = places[(index[0].start or 0) // each]
            return rows[place * each : (place + 1) * each]

        return jax.make_array_from_callback((each * count, *rows.shape[1:]), sharding, of_shard)

    return {k: put(v) for k, v in batch.items()}
