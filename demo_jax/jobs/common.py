"""What both stages share: the parameters that a run starts from, and batches to validate on."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import PyTree

from data_pipelines.loading import batches as pipeline
from demo_jax.config import RunConfig
from demo_jax.errors import InputError
from demo_jax.models import low_rank
from demo_jax.training import distributed
from demo_jax.training.state import matching

VALIDATION_BATCHES, VALIDATION_ROWS = 4, 32  # on one device, however large the batches that a pod shares


def with_low_rank(config: RunConfig, params: PyTree) -> PyTree:
    return low_rank.attach(params, config.low_rank, config.freeze, config.seed) if config.low_rank else params


def given_parameters(
    config: RunConfig, params: Callable[[], PyTree], stored: Callable[[], PyTree]
) -> dict[str, np.ndarray]:
    """What a new run takes over of what is `stored` in config.start_from, by name; says of which group how much.

    Raises InputError unless every group that stays as it is comes whole: else random parameters would stay.
    """
    if not config.start_from:
        if config.freeze:
            raise InputError(
                f"config.freeze names {config.freeze[0]}, but without config.start_from its parameters are random; "
                "give the run they come from."
            )
        return {}
    shapes = {name: p for name, p in jax.eval_shape(params).items() if name != low_rank.GROUP}
    given = matching(shapes, jax.device_get(stored()))  # on the host: the run's devices may be others
    if not given:
        raise InputError(f"config.start_from {config.start_from} has no array in common with this model.")
    for group, leaves in shapes.items():
        count, whole = sum(name.startswith(f"[{group!r}]") for name in given), len(jax.tree.leaves(leaves))
        if config.is_frozen(group) and count < whole:
            raise InputError(
                f"{group} is frozen, but only {count} of its {whole} arrays are in {config.start_from} with the same "
                "name and shape; take config.model from there, or let the group learn."
            )
        print(f"{group}: {count} of {whole} arrays from {config.start_from}", flush=True)
    return given


def first_batches(batches) -> list[dict]:
    with batches(start_step=0) as iterator:
        return [next(iterator) for _ in range(VALIDATION_BATCHES)]


def held_out_split(path: str) -> str:
    """The split to validate on: val where there is one, else train, and then says so."""
    splits = pipeline.splits_of(path)
    if "val" in splits:
        return "val"
    if distributed.is_lead():
        print(f"no val split in {path}: evaluating on clips that are trained on.", flush=True)
    return "train" if "train" in splits else splits[0]
