"""Checksums of arrays, which reveal a checkpoint whose bits have changed on a disk.

Orbax stores no checksums of its arrays' content. A checksum here is the sum of the bits of all elements, each times an
odd number derived from its position, modulo 2**32: a changed bit always changes it, and an exchange of elements does
with a probability of 1 - 2**-32. It is integer arithmetic, so that it does not depend on sharding or device, and each
device reads only its own part of an array.
"""

from __future__ import annotations

from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

_FACTOR, _OFFSET = 2654435761, 2246822519  # Knuth's multiplicative hash, and a prime of xxHash
_WORDS = {1: np.uint8, 2: np.uint16, 4: np.uint32}


def checksum(x: jax.Array | np.ndarray, xp: ModuleType = jnp) -> jax.Array:
    """Returns the uint32 checksum of an array of any shape and type; with xp=numpy it is computed on the host."""
    if x.dtype.itemsize == 8:  # two words each, along an axis of their own
        x = x.reshape(*x.shape, 1).view(np.uint32)
    words = x.astype(np.uint8) if x.dtype == bool else x.view(_WORDS[x.dtype.itemsize])
    place = xp.zeros((1,) * x.ndim, np.uint32)
    stride = 1
    for axis in reversed(range(x.ndim)):
        along = xp.arange(x.shape[axis], dtype=np.uint32).reshape(tuple(-1 if i == axis else 1 for i in range(x.ndim)))
        place = place + along * xp.asarray(stride % 2**32, np.uint32)
        stride *= x.shape[axis]
    factor = (place * xp.asarray(_FACTOR, np.uint32) + xp.asarray(_OFFSET, np.uint32)) | xp.asarray(1, np.uint32)
    return xp.sum(words.astype(np.uint32) * factor, dtype=np.uint32)


_on_device = jax.jit(checksum, static_argnums=1)


def of_tree(tree: PyTree, host: bool = False) -> dict[str, int]:
    """Returns the checksums of all arrays by path.

    NumPy computes them with `host` and for arrays in host memory. For others a small program runs on their devices, one
    for each shape.
    """

    def find(x: jax.Array | np.ndarray) -> jax.Array:
        if host or isinstance(x, np.ndarray | np.generic) or _in_host_memory(x):
            return checksum(np.asarray(x), np)
        found = _on_device(x, jnp)
        # For an array that is split over processes this is a collective. CPUs run several at once in any order, so that
        # processes could wait for each other forever. Other devices keep the order.
        return jax.block_until_ready(found) if _on_cpus(x) else found

    leaves = jax.tree_util.tree_leaves_with_path(tree)
    found = jax.device_get([find(leaf) for _, leaf in leaves])
    return {jax.tree_util.keystr(path): int(value) for (path, _), value in zip(leaves, found, strict=True)}


def _in_host_memory(x: jax.Array) -> bool:
    return x.is_fully_addressable and _on_cpus(x)


def _on_cpus(x: jax.Array) -> bool:
    return all(d.platform == "cpu" for d in x.sharding.device_set)


def changed(tree: PyTree, stored: dict[str, int], host: bool = False) -> list[str]:
    """Returns the paths of arrays whose checksums differ from `stored`."""
    found = of_tree(tree, host)
    return sorted(name for name, value in found.items() if stored.get(name, value) != value)
