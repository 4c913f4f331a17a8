"""One process at a time in a folder. Free of JAX, so that commands on data can use it too."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from demo_jax.typing import InputError, on_object_storage

LOCK = ".lock"


@contextlib.contextmanager
def locked(folder: str | os.PathLike, doing: str) -> Iterator[None]:
    """Holds FOLDER/.lock while open; the folder is made. The system releases it with the process, however that ends, so
    the file may stay. There is no lock on object storage, nor on a disk that knows none.

    Args:
      folder: what nobody else may write to meanwhile.
      doing: what this command does there, such as "training", for the message to the one that comes second.

    Raises:
      InputError: another process has it.
      OSError: the folder cannot be made or written.
    """
    if on_object_storage(folder):
        yield
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    with (Path(folder) / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise InputError(
                f"another run, {file.read().strip() or 'which has just begun'}, is {doing} in {folder}; wait for it, or "
                "give another folder."
            ) from error
        except OSError:  # a network disk without locks
            pass
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
