"""Fine-tuning by low-rank changes: every kernel W [.., I, O] becomes W + down @ up (LoRA, Hu et al. 2021).

down [.., I, R] and up [.., R, O] are a group of parameters of their own beside the groups they change, which are then
held. Leading axes are taps of a convolution or stacked layers: each has factors of its own. `up` begins at zero, so
that a run begins with exactly the model it starts from; what is loaded to sample or published has them added in.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from demo_jax import rng
from demo_jax.config import LOW_RANK as GROUP


def attach(params: PyTree, rank: int, freeze: tuple[str, ...], seed: int) -> PyTree:
    """`params` with the group "low_rank": for each kernel outside the groups in `freeze`, by its path, its factors of
    `rank` (or as many as it has rows or columns)."""
    factors = {}
    for path, kernel in _kernels({n: p for n, p in params.items() if n not in freeze}).items():
        *lead, rows, columns = kernel.shape
        r = min(rank, rows, columns)
        scale = rows**-0.5
        factors[path] = {
            "down": scale * jax.random.normal(rng.stream(seed, f"{GROUP}/{path}"), (*lead, rows, r)),
            "up": jnp.zeros((*lead, r, columns)),
        }
    return params | {GROUP: factors}


def merged(params: PyTree) -> PyTree:
    """`params` without the group, its factors multiplied and added to their kernels; as they are if there is none."""
    if GROUP not in params:
        return params
    factors = params[GROUP]

    def changed(path: tuple, leaf: jax.Array) -> jax.Array:
        found = factors.get(_name(path))
        return leaf if found is None else leaf + found["down"] @ found["up"]

    return jax.tree_util.tree_map_with_path(changed, {n: p for n, p in params.items() if n != GROUP})


def _kernels(params: PyTree) -> dict[str, jax.Array]:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {name: leaf for path, leaf in leaves if (name := _name(path)).endswith(".kernel")}


def _name(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")
