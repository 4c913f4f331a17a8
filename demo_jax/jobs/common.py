"""Assembly that both stages share: parameters of a new run, and batches to validate on."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
from jaxtyping import PyTree

from data_pipelines.loading import batches as pipeline
from demo_jax.config import RunConfig
from demo_jax.errors import InputError
from demo_jax.models import low_rank
from demo_jax.training import distributed
from demo_jax.training.state import TrainState, create, matching, replace

VALIDATION_BATCHES, VALIDATION_ROWS = 4, 32  # on one device, however large the batches that a pod shares


def initialisers(
    config: RunConfig,
    random_parameters: Callable[[], PyTree],
    stored: Callable[[], PyTree],
    optimizer: optax.GradientTransformation,
) -> tuple[Callable[[PyTree], TrainState], Callable[[], PyTree]]:
    """Returns `init` and `given` of a TrainingJob.

    Args:
      config: of the run; with low_rank the parameters get their low-rank group.
      random_parameters: gives random parameters, by group.
      stored: gives the parameters of config.start_from; called only if that is set.
      optimizer: of the run.
    """

    def params() -> PyTree:
        made = random_parameters()
        return low_rank.attach(made, config.low_rank, config.freeze, config.seed) if config.low_rank else made

    def init(given: PyTree) -> TrainState:
        return create(replace(params(), given), optimizer)

    return init, functools.partial(given_parameters, config, params, stored)


def given_parameters(
    config: RunConfig, params: Callable[[], PyTree], stored: Callable[[], PyTree]
) -> dict[str, np.ndarray]:
    """Returns the arrays of `stored` that a new run starts with, by name, and prints how many of each group.

    Raises InputError unless every frozen group is complete: the rest would stay random.
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
        count, total = sum(name.startswith(f"[{group!r}]") for name in given), len(jax.tree.leaves(leaves))
        if config.is_frozen(group) and count < total:
            raise InputError(
                f"{group} is frozen, but only {count} of its {total} arrays are in {config.start_from} with the same "
                "name and shape; take config.model from there, or let the group learn."
            )
        print(f"{group}: {count} of {total} arrays from {config.start_from}", flush=True)
    return given


def validation_batches(config: RunConfig, batches: Callable[..., Any], split: str, **rows: int) -> list[dict]:
    """Returns the first batches of a split, the same each time; `rows` are sizes that `batches` takes."""
    with batches(split=split, seed=config.seed + 1, start_step=0, **rows) as iterator:
        return [next(iterator) for _ in range(VALIDATION_BATCHES)]


def held_out_split(path: str) -> str:
    """Returns the split to validate on: val if there is one; else train, with a printed note."""
    splits = pipeline.splits_of(path)
    if "val" in splits:
        return "val"
    if distributed.is_lead():
        print(f"no val split in {path}: evaluating on clips that are trained on.", flush=True)
    return "train" if "train" in splits else splits[0]
