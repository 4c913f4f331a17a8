"""Checkpoints: saving and resuming a run, and loading a model to sample from. The only file that imports Orbax.

A run keeps <workdir>/checkpoints/<step>/ with these parts:

    train        step, parameters, optimiser state        (resume)
    ema          averaged parameters                      (sampling)
    autoencoder  stage 1's averaged parameters            (stage 2 only)
    space        demo_jax.codes.CodeSpace                 (stage 2 only)

and a JSON of metadata: kind, schema, config, corpus, fingerprints, checksums of all arrays. A published model is one
such folder without `train`, its arrays in float16. Orbax commits a step by renaming a finished temporary folder, so a
half-written one is never seen; one that was damaged later is named, and the one before it taken.
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
    newest_whole,
    with_checksums,
)
from demo_jax.codes import CodeSpace
from demo_jax.errors import InputError


class NotSavedError(RuntimeError):
    """A checkpoint could not be written, for example to a full disk. The earlier ones are as they were."""


class RunCheckpoints:
    """The checkpoints of one run; use as a context manager, which waits for the last save.

    Since arrays are written while training goes on, what one save meets is raised by what comes after it.
    """

    def __init__(self, workdir: epath.PathLike, keep: int = 2) -> None:
        self._folder = absolute(workdir) / "checkpoints"
        self._checkpointer = ocp.training.Checkpointer(
            self._folder,
            preservation_policy=ocp.training.preservation_policies.LatestN(keep),
        )

    def save(self, step: int, parts: dict[str, PyTree], meta: dict[str, Any]) -> None:
        """Starts writing; returns when the arrays have been copied from the devices."""
        meta = with_checksums(meta, parts)
        with self._writing():
            self._checkpointer.save_checkpointables_async(step, parts, custom_metadata=meta, force=True, overwrite=True)

    def wait(self) -> None:
        """Until what was saved last is on disk."""
        with self._writing():
            self._checkpointer.wait()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with quiet():
                yield
        except Exception as error:  # Orbax and TensorStore raise many kinds
            room = "Make room; the" if is_no_room(error) else "The"
            raise NotSavedError(
                f"{self._folder}: a checkpoint could not be written ({first_line(error)}). {room} same command goes on "
                "from the checkpoint before it."
            ) from error

    def latest(self) -> int | None:
        """The newest finished step, or None."""
        found = self._checkpointer.latest
        return None if found is None else found.step

    def restore(
        self, abstract: dict[str, PyTree], accept: Callable[[dict[str, Any]], None], say: Callable[[str], None]
    ) -> dict[str, PyTree]:
        """The named parts of the newest step that is whole, placed as the shardings in `abstract` say.

        `accept` sees the metadata first, and raises if they are of another run; `say` is told of every step that is
        damaged. Raises InputError if all are.
        """
        steps = find_steps(self._folder)
        try:
            return newest_whole(steps, lambda folder: self._load(folder, abstract, accept), say)
        except DamagedError as error:
            raise InputError(
                f"{self._folder}: every checkpoint there is damaged, or of a version that cannot be gone on with "
                f"({error}) Take another --workdir; config.start_from can begin with what can still be sampled from."
            ) from error

    def _load(
        self, folder: epath.Path, abstract: dict[str, PyTree], accept: Callable[[dict[str, Any]], None]
    ) -> dict[str, PyTree]:
        step, parts, problem, reason = int(folder.name), {}, "", ""
        try:
            with quiet():
                meta = dict(self._checkpointer.metadata(step).custom_metadata or {})
            accept(meta)
            with quiet():
                # One by one: when one of several is damaged, Orbax drops the others with warnings on stderr.
                load = self._checkpointer.load_checkpointables
                parts = {name: load(step, {name: part})[name] for name, part in abstract.items()}
        except InputError:  # of accept
            raise
        except Exception as error:  # Orbax and TensorStore raise many kinds
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
        # After a failure there may be another behind it, which must not hide it.
        with contextlib.suppress(Exception) if exception[0] else self._writing():
            self._checkpointer.close()


def space_checkpointable(space: CodeSpace) -> dict[str, jax.Array]:
    """CodeSpace as the dict that is saved under "space"."""
    return {f.name: getattr(space, f.name) for f in dataclasses.fields(CodeSpace)}
