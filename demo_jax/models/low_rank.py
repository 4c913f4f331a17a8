"""Fine-tuning by low-rank changes: every kernel W [.., rows, columns] becomes W + down @ up (LoRA, Hu et al. 2021).

down [.., rows, rank] and up [.., rank, columns] are a group of parameters beside the groups they change, which are then
frozen. Leading axes are taps of a convolution or stacked layers: each has factors of its own. `up` begins at zero, so
that a run begins with exactly the model it starts from. The changes are added to the kernels when a model is loaded for
sampling or published.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Float, PyTree

from demo_jax import rng
from demo_jax.config import LOW_RANK as GROUP
from demo_jax.pytrees import AnyArray, leaf_name


def attach(params: PyTree, rank: int, freeze: tuple[str, ...], seed: int) -> PyTree:
    """Adds the group "low_rank" to `params`.

    The group holds, by the path of each kernel outside the groups in `freeze`, factors of `rank` (or of the kernel's
    number of rows or columns, if that is less).
    """
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
    """Returns `params` without the group, the products of its factors added to their kernels; `params` itself if there
    is no such group."""
    if GROUP not in params:
        return params
    factors = params[GROUP]

    def changed(path: tuple, leaf: Float[AnyArray, ...]) -> Float[AnyArray, ...]:
        found = factors.get(leaf_name(path, "."))
        return leaf if found is None else leaf + found["down"] @ found["up"]

    return jax.tree_util.tree_map_with_path(changed, {n: p for n, p in params.items() if n != GROUP})


def _kernels(params: PyTree) -> dict[str, Float[AnyArray, ...]]:
    """Returns the kernels by their names."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {name: leaf for path, leaf in leaves if (name := leaf_name(path, ".")).endswith(".kernel")}
