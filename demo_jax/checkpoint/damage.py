"""Causes of a failure to read or write a checkpoint: damage, or this machine.

Orbax and TensorStore raise many types of exceptions, log them as well, and leave tasks behind that raise once more.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import os
import sys
import warnings
from collections.abc import Iterator

import jax
from etils import epath

from demo_jax.paths import on_object_storage

_NO_ROOM = ("no space left", "disk quota exceeded", "file too large", "resource_exhausted")
_MACHINE = ("permission denied", "permission_denied", "too many open files", "resource_exhausted", "unavailable:")
_OF_THE_FILE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR}  # errors of a damaged folder


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences the loggers in which Orbax repeats exceptions, and warnings of the coroutines it then leaves."""
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def sweep() -> None:
    """Collects Orbax's failed tasks, which raise and warn once more at that moment, without output."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda arguments: None
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            gc.collect()
    finally:
        sys.unraisablehook = hook


def first_line(error: BaseException) -> str:
    """Returns the first line of an exception's message, or its type if it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:400]


def is_no_room(error: BaseException) -> bool:
    """Whether a file could not be written for lack of space."""
    return any(
        (isinstance(e, OSError) and e.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
        or any(words in str(e).lower() for words in _NO_ROOM)
        for e in _chain(error)
    )


def not_damage(error: BaseException | None, folder: epath.Path) -> str:
    """Returns why `folder` could not be read if the cause is this machine, or "" if it seems to be damage.

    Such causes are a file that this user may not read, a disk that fails, or too little memory.
    """
    for e in _chain(error):
        machine = isinstance(e, MemoryError | ImportError | jax.errors.JaxRuntimeError)
        system = isinstance(e, OSError) and e.errno is not None and e.errno not in _OF_THE_FILE
        if machine or system or any(words in str(e).lower() for words in _MACHINE):
            return first_line(e)
    return "" if on_object_storage(folder) else _cannot_open(folder)


def _cannot_open(folder: epath.Path) -> str:
    """Returns the system's error for a file of `folder` that cannot be opened, or "".

    Orbax drops that error, so that all files are opened once more: at the same time, as Orbax does, since there may be
    too many.
    """
    try:
        with contextlib.ExitStack() as opened:
            for root, _, names in os.walk(folder, onerror=_raise):
                for name in names:
                    opened.enter_context(open(os.path.join(root, name), "rb")).read(1)
    except OSError as error:
        if error.errno not in _OF_THE_FILE:
            return f"{error.strerror}: {error.filename}"
    return ""


def _raise(error: OSError) -> None:
    raise error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yields an exception and its causes."""
    if error is None:
        return
    yield error
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _chain(part)
    yield from _chain(error.__cause__ or error.__context__)
