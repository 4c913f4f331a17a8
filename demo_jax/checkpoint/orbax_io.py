"""Helpers of saving and loading: finding steps, checking what was read, and the newest undamaged step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from etils import epath
from jaxtyping import PyTree

from demo_jax.checkpoint import checksums
from demo_jax.errors import InputError
from demo_jax.paths import BUNDLED, on_object_storage

T = TypeVar("T")


class DamagedError(InputError):
    """A checkpoint cannot be read, or its arrays differ from what was saved."""


def newest_undamaged(steps: list[epath.Path], load: Callable[[epath.Path], T], log: Callable[[str], object]) -> T:
    """Returns `load` of the first undamaged step of `steps`, newest first.

    `log` receives a line for every damaged step before it. Raises DamagedError of the oldest step if all are damaged.
    """
    for step in steps[:-1]:
        try:
            return load(step)
        except DamagedError as error:
            log(f"{error} Step {step.name} is skipped; taking the one before it.")
    return load(steps[-1])


def absolute(path: epath.PathLike) -> epath.Path:
    """Returns an absolute path, as Orbax needs; an address such as gs://bucket/run is one already."""
    return epath.Path(path) if on_object_storage(path) else epath.Path(path).resolve()


def find_steps(path: epath.Path) -> list[epath.Path]:
    """Returns the folders of steps, newest first, of a work directory, a folder of steps, or a step."""
    path = absolute(path)
    if not path.exists():
        raise InputError(
            f"{path} does not exist; name a work directory of train.py, a published model's folder, or {BUNDLED.name}, "
            "the bundled model."
        )
    try:
        for folder in (path / "checkpoints", path):
            steps = [p for p in folder.iterdir() if p.name.isdigit()] if folder.is_dir() else []
            if steps:
                return sorted(steps, key=lambda p: -int(p.name))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}).") from error
    return [path]


def changed_arrays(parts: dict[str, PyTree], meta: dict[str, Any], host: bool = False) -> str:
    """Returns what is wrong with arrays that were read, "" if nothing: TensorStore does not notice all damage."""
    stored = meta.get("checksums", {})  # older checkpoints have none
    names = [n + path for n, tree in parts.items() for path in checksums.changed(tree, stored.get(n, {}), host)]
    return f"{len(names)} of its arrays differ from what was saved, such as {names[0]}" if names else ""


def with_checksums(meta: dict[str, Any], parts: dict[str, PyTree]) -> dict[str, Any]:
    """Returns the metadata with the checksums of all arrays added."""
    return meta | {"checksums": {name: checksums.of_tree(part) for name, part in parts.items()}}
