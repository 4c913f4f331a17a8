"""The vocabulary every other file shares: axis letters, fixed rates, and the one error a user can cause.

Axis letters, used in every public docstring:

    B batch            T frames (25 a second)      L frames of one flow window
    H W C image        A audio feature             N vertices, or entries of an identity
    D motion latent    K motion code               P phonemes
    S samples of sound (16 kHz)                    M coefficients of a foreign 3DMM

Flow time runs from t = 0 (noise) to t = 1 (data); `demo_jax/flow/path.py` states it and a test pins it.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

FPS = 25  # frames a second, of every record, code and video
SAMPLE_RATE = 16_000  # samples a second of mono int16 speech
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS
LONGEST_NAME = 255  # bytes of a file's name, on every common file system

PyTree = Any


class InputError(ValueError):
    """Something the user gave cannot be used. The message is one sentence or two: what was wrong, with which input,
    and what to do about it. Commands print it and exit with code 2; they never show a traceback for it."""


def on_object_storage(path: str | os.PathLike) -> bool:
    """Whether it is a URL such as gs://bucket/run. There a file appears whole or not at all, and cannot be added to."""
    return "://" in os.fspath(path)


def link_target(path: Path) -> Path:
    """Where a file of this name is really written: links are followed, not replaced."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path.absolute()


def temporary_name(path: Path) -> Path:
    """The name of a file, beside its own, while it is being written: hidden, and of the same kind."""
    ending = f".{os.getpid()}.tmp{path.suffix}"
    stem = path.stem
    if len(os.fsencode(f".{stem}{ending}")) > LONGEST_NAME:
        stem = f"{os.fsencode(stem)[:180].decode(errors='ignore')}-{hashlib.sha256(os.fsencode(stem)).hexdigest()[:8]}"
    return path.with_name(f".{stem}{ending}")


def say_error(error: object) -> None:
    """The one line on stderr with which a command refuses; line breaks, as in a strange file name, become spaces."""
    print(f"error: {' '.join(str(error).splitlines())}", file=sys.stderr)


class CommandParser(argparse.ArgumentParser):
    """argparse that refuses in one line, with exit code 2, and takes no abbreviated flags."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**({"allow_abbrev": False} | kwargs))

    def error(self, message: str) -> NoReturn:
        say_error(f"{message}; see {self.prog} --help.")
        sys.exit(2)


def exits_with_two(main: Callable[..., int | None]) -> Callable[..., int]:
    """Wraps a command's main: an InputError becomes one line on stderr and exit code 2."""

    @functools.wraps(main)
    def wrapped(*args: Any, **kwargs: Any) -> int:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be UTF-8
        try:
            return main(*args, **kwargs) or 0
        except InputError as error:
            say_error(error)
            return 2

    return wrapped
