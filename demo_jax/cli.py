"""What every command line shares: the parser, one-line errors, exit codes."""

from __future__ import annotations

import argparse
import functools
import io
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from demo_jax.errors import InputError


def print_error(error: object) -> None:
    """The one line on stderr with which a command refuses; line breaks, as in a strange file name, become spaces."""
    print(f"error: {' '.join(str(error).splitlines())}", file=sys.stderr)


class CommandParser(argparse.ArgumentParser):
    """argparse that refuses in one line, with exit code 2, and takes no abbreviated flags."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**({"allow_abbrev": False} | kwargs))

    def error(self, message: str) -> NoReturn:
        print_error(f"{message}; see {self.prog} --help.")
        sys.exit(2)


def cli_main(main: Callable[..., int | None]) -> Callable[..., int]:
    """Wraps a command's main: an InputError becomes one line on stderr and exit code 2."""

    @functools.wraps(main)
    def wrapped(*args: Any, **kwargs: Any) -> int:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be UTF-8
        try:
            return main(*args, **kwargs) or 0
        except InputError as error:
            print_error(error)
            return 2

    return wrapped
