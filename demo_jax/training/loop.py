"""The training loop. Order within one turn: save, evaluate, next batch, step, log.

Saving and evaluation come first so that both see the state that a resumed run starts from: step N is saved and then
evaluated (an evaluation that fails costs no steps) before batch N is drawn, and batch N depends on N alone. Metrics are
fetched one step late, so that the host waits for step N - 1 while the devices work on step N.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import jax
import numpy as np
from etils import epath
from jax.sharding import Mesh
from jaxtyping import PyTree

from demo_jax import sharding
from demo_jax.checkpoint.save import RunCheckpoints
from demo_jax.config import RunConfig, with_current_names
from demo_jax.errors import InputError
from demo_jax.models import low_rank
from demo_jax.training import distributed
from demo_jax.training.profiling import Profiler, StepTimer, cost_table
from demo_jax.training.state import TrainState, from_parts, to_parts
from demo_jax.training.steps import StepFn
from demo_jax.training.writers import MetricWriter, NoWriter

Batches = Callable[..., AbstractContextManager[Iterator[dict[str, np.ndarray]]]]


class TrainingStopped(RuntimeError):
    """The run cannot continue: the message names the step, the cause and what to try."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """Everything the loop needs of a stage."""

    init: Callable[[PyTree], TrainState]  # pure; jitted here with its shardings
    step: StepFn
    batches: Batches  # start step, result of sharding.shards_here -> iterator of this process's rows
    evaluate: Callable[[PyTree, int], dict[str, float]]  # of averaged parameters on one device; also writes images
    meta: dict[str, Any]  # metadata of every checkpoint
    frozen: dict[str, PyTree]  # further parts of every checkpoint, which do not change
    given: Callable[[], PyTree] = dict  # the argument of `init` in a new run
    shown: tuple[str, ...] = ("loss",)  # metrics beside the progress bar


def train(job: TrainingJob, config: RunConfig, workdir: epath.PathLike, mesh: Mesh, profile: int = 0) -> TrainState:
    """Runs `job` to config.steps, from the newest checkpoint in `workdir` if there is one, and returns the last state.

    Args:
      job: of a stage.
      config: steps, intervals and frozen groups.
      workdir: receives checkpoints/, metrics.jsonl, tensorboard/ and profile/.
      mesh: the devices.
      profile: steps to trace.

    Raises:
      InputError: the work directory has a run with other settings, or config.freeze names an unknown group.
      TrainingStopped: a loss or gradient was not finite, a batch had another shape than the first, or a device failed.
      NotSavedError: a checkpoint could not be written.
    """
    abstract = jax.eval_shape(job.init, {})
    if unknown := sorted(set(config.freeze) - set(abstract.params)):
        raise InputError(f"config.freeze names {unknown[0]}; the groups are {', '.join(sorted(abstract.params))}.")
    placed = sharding.state_shardings(abstract, mesh)
    step_fn = jax.jit(job.step, donate_argnums=0, out_shardings=(placed, None))
    with contextlib.ExitStack() as stack:
        checkpoints = stack.enter_context(RunCheckpoints(workdir))
        if checkpoints.latest() is None:
            state = jax.jit(job.init, out_shardings=placed)(job.given())
        else:
            target = jax.tree.map(lambda a, s: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=s), abstract, placed)
            same_run = functools.partial(_check_same_run, new=job.meta, workdir=workdir)
            log = print if distributed.is_lead() else lambda text: None
            state = from_parts(checkpoints.restore(to_parts(target), same_run, log))
        start = int(state.step)
        writer = (MetricWriter if distributed.is_lead() else NoWriter)(workdir, start, config.steps, job.shown)
        stack.callback(writer.close)
        stop = stack.enter_context(distributed.sigterm())
        batches = stack.enter_context(job.batches(start, **sharding.shards_here(mesh)))
        if start:
            writer.log(f"resumed from step {start} of {workdir}")

        frozen = sharding.replicate(job.frozen, mesh)

        def save(state: TrainState) -> None:
            checkpoints.save(int(state.step), {**to_parts(state), **frozen}, job.meta)

        timer, profiler = StepTimer(), Profiler(epath.Path(workdir) / "profile", profile, start)
        stack.callback(profiler.close)
        compiled: jax.stages.Compiled | None = None
        pending: tuple[int, dict[str, jax.Array]] | None = None
        saved = start if start else -1
        for step in range(start, config.steps + 1):
            last, stopping = step == config.steps, stop(step)
            if last or step % config.save_every == 0 or stopping:
                with timer("step"):
                    _check_finite(pending, writer, config, timer)  # before anything is saved
                pending = None
            if (last or stopping or (step % config.save_every == 0 and step > start)) and step != saved:
                with timer("checkpoint"):
                    save(state)
                saved = step
            if (last or step % config.eval_every == 0) and step > start and not stopping:
                with timer("evaluation"):
                    ema = low_rank.merged(distributed.gather_to_host(state.ema))
                    if distributed.is_lead():
                        writer.scalars(step, _evaluated(job, ema, step), "eval")
            if stopping and not last:
                writer.log(f"stopped by signal at step {step}; saved. The same command resumes from here.")
                break
            if last:
                break
            if profiler.before(step):
                writer.log(f"profile of {profile} steps: {profiler.folder}")
            with timer("data"):
                batch = sharding.put_batch(next(batches), mesh)
            if compiled is None:  # ahead of time: it cannot compile again unnoticed, and its needs are known
                with timer("compilation"):
                    compiled = step_fn.lower(state, batch).compile()
                writer.log(cost_table(abstract.params, compiled))
            with timer("step"):
                try:
                    with jax.transfer_guard("disallow"):
                        state, metrics = compiled(state, batch)
                    _check_finite(pending, writer, config, timer)
                except TypeError as error:
                    raise TrainingStopped(f"step {step}: the batch is not like the first one: {error}") from error
                except jax.errors.JaxRuntimeError as error:
                    raise TrainingStopped(
                        f"step {step}: a device or another process failed ({str(error).splitlines()[0][:200]}). "
                        "Start the whole job again; it resumes from the last checkpoint."
                    ) from error
            pending = (step, metrics)
            writer.step(step + 1)
        with timer("checkpoint"):
            checkpoints.wait()
        writer.log(f"time: {timer.summary()}")
        return state


def _evaluated(job: TrainingJob, ema: PyTree, step: int) -> dict[str, float]:
    try:
        return job.evaluate(ema, step)
    except jax.errors.JaxRuntimeError as error:
        raise TrainingStopped(
            f"step {step}: evaluation failed ({str(error).splitlines()[0][:200]}). The same command resumes from the "
            "last checkpoint."
        ) from error


def _check_finite(
    pending: tuple[int, dict[str, jax.Array]] | None, writer: NoWriter, config: RunConfig, timer: StepTimer
) -> None:
    """Fetches the metrics of an earlier step, stops if one is not finite, and logs every config.log_every steps."""
    if pending is None:
        return
    step, metrics = pending[0], {k: float(v) for k, v in jax.device_get(pending[1]).items()}
    bad = [name for name, value in metrics.items() if not math.isfinite(value)]
    if bad:
        groups = [name.removeprefix("gradient/") for name in bad if name.startswith("gradient/")]
        raise TrainingStopped(
            f"step {step}: {', '.join(bad)} not finite"
            + (f" (parameter groups: {', '.join(groups)})" if groups else "")
            + ". Nothing of this step was saved. Resume with a lower optimizer.learning_rate, or look at the data."
        )
    if step % config.log_every == 0:
        passed = timer.since()
        writer.scalars(step, metrics | {f"seconds/{name}": value for name, value in passed.items()})


def _check_same_run(old: dict[str, Any], new: dict[str, Any], workdir: epath.PathLike) -> None:
    for name in ("kind", "schema", "data_fingerprint", "encoder_fingerprint", "space_fingerprint"):
        if name in old and old[name] != new.get(name):
            raise InputError(
                f"{workdir} has a run whose {name} is {old.get(name)!r}; this one's is {new.get(name)!r}. "
                "Take another --workdir, or the data the run started with."
            )
    for name, (was, now) in _changes(with_current_names(old["config"]), new["config"]).items():
        if name.split(".")[0] in _FIXED or name == "data.feature":
            raise InputError(
                f"{workdir} has a run whose config.{name} is {was!r}; this one's is {now!r}. Take another --workdir."
            )


# Settings that stay the same from the first step of a run to its last. Steps, rates, sizes and intervals may change.
_FIXED = ("model", "low_rank", "freeze", "seed", "loss", "augment", "condition", "coupling")


def _changes(old: Any, new: Any, name: str = "") -> dict[str, tuple[Any, Any]]:
    """Returns the old and the new value of each setting that differs."""
    old, new = _plain(old), _plain(new)
    if isinstance(old, dict) and isinstance(new, dict):
        found: dict[str, tuple[Any, Any]] = {}
        for key in old.keys() & new.keys():
            found |= _changes(old[key], new[key], f"{name}.{key}" if name else key)
        # A run older than a setting has its default, which for these is empty.
        for key in new.keys() - old.keys() if not name else ():
            found |= {key: (None, new[key])} if new[key] and not isinstance(new[key], dict) else {}
        return found
    return {} if old == new else {name: (old, new)}


def _plain(value: Any) -> Any:
    """Returns nested tuples as lists, as JSON does."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
