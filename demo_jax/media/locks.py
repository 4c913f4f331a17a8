"""A lock for one process at a time in a folder. Without JAX, so that data commands can use it too."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from demo_jax.errors import InputError
from demo_jax.paths import on_object_storage

LOCK = ".lock"


@contextlib.contextmanager
def locked(folder: str | os.PathLike, doing: str) -> Iterator[None]:
    """Locks FOLDER/.lock inside the `with`; creates the folder. The system releases the lock when the process ends, in
    whatever way, so the lock file of a killed process does not block others. There is no lock on object storage, nor on
    disks without locks.

    Args:
      folder: the folder that only this process writes to.
      doing: the command's work, such as "training", for the message of a second process.

    Raises:
      InputError: another process has the lock.
      OSError: the folder cannot be created or written.
    """
    if on_object_storage(folder):
        yield
        return
    path = Path(folder) / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("a+") as file:
            _lock(file, f"{doing} in {folder}")
            if not _is_at(path, file):  # the previous owner removed it between opening and locking
                continue
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _lock(file: TextIO, what: str) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        who = file.read().strip() or "which has just begun"
        raise InputError(f"another run, {who}, is {what}; wait for it, or give another folder.") from error
    except OSError:
        pass  # a network disk without locks


def _is_at(path: Path, file: TextIO) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
