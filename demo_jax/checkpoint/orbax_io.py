"""What saving and loading share: finding steps, checksums of what was read, and the newest step that is whole."""

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
    """A checkpoint that cannot be read, or whose arrays are not what was saved."""


def newest_whole(steps: list[epath.Path], load: Callable[[epath.Path], T], say: Callable[[str], object]) -> T:
    """What the first of `steps` that is not damaged gives, newest first; those before it are said. Raises the last
    one's DamagedError if all are."""
    for step in steps[:-1]:
        try:
            return load(step)
        except DamagedError as error:
            say(f"{error} Step {step.name} is left out; taking the one before it.")
    return load(steps[-1])


def absolute(path: epath.PathLike) -> epath.Path:
    """Orbax takes absolute paths only; an address such as gs://bucket/run is one already."""
    return epath.Path(path) if on_object_storage(path) else epath.Path(path).resolve()


def find_steps(path: epath.Path) -> list[epath.Path]:
    """A work directory, a folder of steps, or a step -> the steps' folders, newest first."""
    path = absolute(path)
    if not path.exists():
        raise InputError(
            f"{path} does not exist; name a work directory of train.py, a published model's folder, or {BUNDLED.name}, "
            "the bundled model."
        )
    for folder in (path / "checkpoints", path):
        steps = [p for p in folder.iterdir() if p.name.isdigit()] if folder.is_dir() else []
        if steps:
            return sorted(steps, key=lambda p: -int(p.name))
    return [path]


def changed_arrays(parts: dict[str, PyTree], meta: dict[str, Any], host: bool = False) -> str:
    """What is wrong with arrays that were read, "" if nothing: not all damage keeps TensorStore from reading."""
    stored = meta.get("checksums", {})  # checkpoints from before there were any have none
    names = [n + path for n, tree in parts.items() for path in checksums.changed(tree, stored.get(n, {}), host)]
    return f"{len(names)} of its arrays are not what was saved, such as {names[0]}" if names else ""


def with_checksums(meta: dict[str, Any], parts: dict[str, PyTree]) -> dict[str, Any]:
    return meta | {"checksums": {name: checksums.of_tree(part) for name, part in parts.items()}}
