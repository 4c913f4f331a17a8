"""Paths: object storage, and the files that come with the package, which can be named from any folder."""

from __future__ import annotations

import os
from pathlib import Path

from etils import epath

_PACKAGE = Path(__file__).resolve().parent
ASSETS = _PACKAGE / "assets"
CONFIGS = next((p for p in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if p.is_dir()), _PACKAGE / "configs")
BUNDLED = ASSETS / "puppet-v1"
PEOPLE = ASSETS / "people-v0"
_IN_THE_REPOSITORY = "demo_jax/assets/"


def on_object_storage(path: str | os.PathLike) -> bool:
    """Returns whether the path is a URL such as gs://bucket/run. A file there appears whole or not at all, and cannot
    be appended to."""
    return "://" in os.fspath(path)


def find_config(name: str) -> str:
    """A config file, FILE or FILE:ARGUMENT, as it is given, if there is one; else the file of that name that comes with
    the package, so that puppet_flow, and configs/puppet_flow.py, can be named in any folder."""
    file, colon, argument = name.partition(":")
    there = CONFIGS / f"{Path(file).stem}.py"
    return f"{there}{colon}{argument}" if not Path(file).exists() and there.exists() else name


def resolve(path: str | os.PathLike) -> epath.Path:
    """Returns the given path if it exists, else the bundled file or folder of that name, such as "puppet-v1".

    A folder of the user's therefore takes precedence over a bundled one of the same name. The path of a bundled file in
    the repository, demo_jax/assets/NAME, is such a name too.
    """
    given = epath.Path(path)
    if on_object_storage(path) or given.exists():
        return given
    name = given.as_posix().removeprefix(_IN_THE_REPOSITORY)
    there = ASSETS / name
    return epath.Path(there) if name and "/" not in name and there.exists() else given
