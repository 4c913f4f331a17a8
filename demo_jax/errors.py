"""The error that a user can cause."""

from __future__ import annotations


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one sentence or two: what was wrong, with which input, and what to do about it. Commands print it
    without a traceback and exit with code 2.
    """
