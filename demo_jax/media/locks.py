"""One process at a time in a folder. Free of JAX, so that commands on data can use it too."""

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
    """Holds FOLDER/.lock while open; the folder is made. The system releases the lock with the process, however that
    ends, so a file that a killed one leaves hinders nobody. There is no lock on object storage, nor on a disk that
    knows none.

    Args:
      folder: what no other process may write to meanwhile.
      doing: what the command does there, such as "training", for the message to the one that comes second.

    Raises:
      InputError: another process has it.
      OSError: the folder cannot be made or written.
    """
    if on_object_storage(folder):
        yield
        return
    path = Path(folder) / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("a+") as file:
            _lock(file, f"{doing} in {folder}")
            if not _is_at(path, file):  # removed between opening and locking, by the one that had it
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
