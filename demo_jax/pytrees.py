"""Pytrees: dataclasses registered as such, and the names of leaves."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, TypeVar

import jax
import numpy as np

AnyArray = jax.Array | np.ndarray  # for what is built on the host as well as in a program

_T = TypeVar("_T", bound=type)


def register(cls: _T) -> _T:
    """Registers a frozen dataclass as a pytree whose leaves are all its fields.

    As jax.tree_util.register_dataclass does, with the same keys, but JAX makes its instances without `__init__`: they
    may hold shardings, shapes or None instead of arrays, while `__init__` checks shapes when the tests run.
    """
    names = [field.name for field in dataclasses.fields(cls)]
    keys = [jax.tree_util.GetAttrKey(name) for name in names]

    def flatten_with_keys(tree: Any) -> tuple[list[tuple[Any, Any]], None]:
        return [(key, getattr(tree, name)) for key, name in zip(keys, names, strict=True)], None

    def flatten(tree: Any) -> tuple[list[Any], None]:
        return [getattr(tree, name) for name in names], None

    def unflatten(_: None, leaves: Iterable[Any]) -> Any:
        tree: Any = object.__new__(cls)
        for name, leaf in zip(names, leaves, strict=True):
            object.__setattr__(tree, name, leaf)
        return tree

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    return cls


def leaf_name(path: tuple, separator: str = "/") -> str:
    """The name of the leaf at `path` (of jax.tree_util.tree_leaves_with_path): "decoder/out/kernel"."""
    return jax.tree_util.keystr(path, simple=True, separator=separator)
