"""Helpers of all command lines: the parser, one-line errors, exit codes."""

from __future__ import annotations

import argparse
import functools
import io
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from demo_jax.errors import InputError


def print_error(error: object) -> None:
    """Prints an error as one line on stderr; line breaks, as in a strange file name, become spaces."""
    print(f"error: {' '.join(str(error).splitlines())}", file=sys.stderr)


class CommandParser(argparse.ArgumentParser):
    """argparse with one-line errors, exit code 2, and no abbreviated flags."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**({"allow_abbrev": False} | kwargs))

    def error(self, message: str) -> NoReturn:
        print_error(f"{message}; see {self.prog} --help.")
        sys.exit(2)


def cli_main(main: Callable[..., int | None]) -> Callable[..., int]:
    """Returns a command's main in which an InputError becomes one line on stderr and exit code 2."""

    @functools.wraps(main)
    def wrapped(*args: Any, **kwargs: Any) -> int:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # file names may not be UTF-8
        try:
            return main(*args, **kwargs) or 0
        except InputError as error:
            print_error(error)
            return 2

    return wrapped
