"""Checkpoints of a run: saving and resuming.

A run keeps <workdir>/checkpoints/<step>/ with these parts:

    train        step, parameters, optimiser state        (resume)
    ema          averaged parameters                      (sampling)
    autoencoder  stage 1's averaged parameters            (stage 2 only)
    space        demo_jax.codes.CodeSpace                 (stage 2 only)

and a JSON of metadata: kind, schema, config, corpus, fingerprints, checksums of all arrays. A published model is one
such folder without `train`, its arrays in float16. Orbax commits a step by renaming a finished temporary folder, so
that a half-written one is never read. A step that was damaged later is named, and the one before it is used.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import jax
from etils import epath
from jaxtyping import PyTree
from orbax.checkpoint import v1 as ocp

from demo_jax.checkpoint.damage import first_line, is_no_room, not_damage, quiet, sweep
from demo_jax.checkpoint.orbax_io import (
    DamagedError,
    absolute,
    changed_arrays,
    find_steps,
    newest_undamaged,
    with_checksums,
)
from demo_jax.codes import CodeSpace
from demo_jax.errors import InputError

# Bytes. A replicated array is cut into slices that the devices write in parallel. Every shape of a slice is a program
# to compile, hundreds for a model, so small arrays are written whole.
LEAST_SLICE = 2**20


class NotSavedError(RuntimeError):
    """A checkpoint could not be written, for example to a full disk. Earlier ones are unchanged."""


class RunCheckpoints:
    """The checkpoints of one run; use as a context manager, which waits for the last save.

    Arrays are written while training continues, so that the error of a save is raised by a later call.
    """

    def __init__(self, workdir: epath.PathLike, keep: int = 2) -> None:
        self._folder = absolute(workdir) / "checkpoints"
        context = ocp.Context()
        context.array.saving.min_slice_bytes_for_replica_parallel = LEAST_SLICE
        self._checkpointer = ocp.training.Checkpointer(
            self._folder,
            context=context,
            preservation_policy=ocp.training.preservation_policies.LatestN(keep),
        )

    def save(self, step: int, parts: dict[str, PyTree], meta: dict[str, Any]) -> None:
        """Starts writing and returns when the arrays have been copied from the devices."""
        meta = with_checksums(meta, parts)
        with self._writing():
            self._checkpointer.save_checkpointables_async(step, parts, custom_metadata=meta, force=True, overwrite=True)

    def wait(self) -> None:
        """Waits until the last save is on disk."""
        with self._writing():
            self._checkpointer.wait()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with quiet():
                yield
        except Exception as error:  # Orbax and TensorStore raise many types
            room = "Make room; the" if is_no_room(error) else "The"
            raise NotSavedError(
                f"{self._folder}: a checkpoint could not be written ({first_line(error)}). {room} same command "
                "resumes from the checkpoint before it."
            ) from error

    def latest(self) -> int | None:
        """Returns the newest finished step, or None."""
        found = self._checkpointer.latest
        return None if found is None else found.step

    def restore(
        self, abstract: dict[str, PyTree], check: Callable[[dict[str, Any]], None], log: Callable[[str], None]
    ) -> dict[str, PyTree]:
        """Returns the parts of the newest undamaged step.

        Args:
          abstract: shapes, types and shardings of the parts, by name.
          check: called with the metadata first; raises InputError if they are of another run.
          log: called with a line for every damaged step.

        Raises:
          InputError: all steps are damaged, or a step cannot be read on this machine.
        """
        steps = find_steps(self._folder)
        try:
            return newest_undamaged(steps, lambda folder: self._load(folder, abstract, check), log)
        except DamagedError as error:
            raise InputError(
                f"{self._folder}: every checkpoint there is damaged, or of a version that cannot be resumed "
                f"({error}) Take another --workdir; config.start_from can begin with a model that still loads."
            ) from error

    def _load(
        self, folder: epath.Path, abstract: dict[str, PyTree], check: Callable[[dict[str, Any]], None]
    ) -> dict[str, PyTree]:
        step, parts, problem, reason = int(folder.name), {}, "", ""
        try:
            with quiet():
                meta = dict(self._checkpointer.metadata(step).custom_metadata or {})
            check(meta)
            with quiet():
                # One by one: when one of several is damaged, Orbax drops the others with warnings on stderr.
                load = self._checkpointer.load_checkpointables
                parts = {name: load(step, {name: part})[name] for name, part in abstract.items()}
        except InputError:  # of check
            raise
        except Exception as error:  # Orbax and TensorStore raise many types
            problem, reason = first_line(error), not_damage(error, folder)
        if problem:
            sweep()
        if reason:
            raise InputError(f"{folder} cannot be read ({reason}).")
        problem = problem or changed_arrays(parts, meta)
        if problem:
            raise DamagedError(f"{folder} is damaged: {problem}.")
        return parts

    def __enter__(self) -> RunCheckpoints:
        return self

    def __exit__(self, *exception: object) -> None:
        # A second failure must not hide the first.
        with contextlib.suppress(Exception) if exception[0] else self._writing():
            self._checkpointer.close()


def space_checkpointable(space: CodeSpace) -> dict[str, jax.Array]:
    """Returns a CodeSpace as the dict that is saved under "space"."""
    return {f.name: getattr(space, f.name) for f in dataclasses.fields(CodeSpace)}
