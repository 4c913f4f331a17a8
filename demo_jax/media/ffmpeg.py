"""ffmpeg as argument lists: local files, known containers, and its reason for a failure in one line."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

from demo_jax.errors import InputError
from demo_jax.media.probe import CONTAINERS, PROTOCOLS

# What ffmpeg says of a file that ends before its header says it should.
CUT_MARKS = re.compile("Packet corrupt|corrupt input packet|partial file|moov atom not found|End of file")


def both_mapped(source: Any, output: Any, other: int | None) -> list[str]:
    """ffmpeg's arguments for `output` and, as a copy to nowhere, the stream `other`. Of transport and program streams
    ffmpeg sets the clock to zero where the first of the streams in use begins, so both must be in use wherever one of
    them is read."""
    import ffmpeg

    if other is not None:
        output = ffmpeg.merge_outputs(
            output, source[str(other)].output("pipe:2", format="null", c="copy", bsf="setts=ts=N")
        )
    return ffmpeg_command(output, "-loglevel", "level+warning")


def ffmpeg_program() -> str:
    """The ffmpeg to run. Raises InputError if there is none."""
    try:
        import imageio_ffmpeg

        name = imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise InputError("reading and writing media needs ffmpeg: pip install imageio-ffmpeg.") from error
    if shutil.which(name) is None:
        raise InputError(
            f"{name}, which IMAGEIO_FFMPEG_EXE names, is no program that can be run; unset it, or name an ffmpeg."
        )
    return name


def ffmpeg_input(file: Path, ignore_length: bool = False) -> Any:
    """A file as an input of ffmpeg-python: local protocols and known containers only."""
    import ffmpeg

    options = {"ignore_length": 1} if ignore_length else {}
    return ffmpeg.input(
        local_name(file), protocol_whitelist=PROTOCOLS, format_whitelist=",".join(CONTAINERS), **options
    )


def local_name(file: Path) -> str:
    """A file's name for ffmpeg-python, which takes UTF-8 only: its bytes, read as Latin-1; ffmpeg_command undoes it."""
    return "file:" + os.fsencode(file.absolute()).decode("latin-1")


def ffmpeg_command(output: Any, *options: str) -> list[str]:
    """ffmpeg-python's output as an argument list. Global options stand first: after the output ffmpeg warns of them."""
    arguments = output.compile(cmd="ffmpeg")[1:]
    names = [os.fsdecode(a.encode("latin-1")) if a.startswith("file:") else a for a in arguments]
    return [ffmpeg_program(), "-nostdin", "-hide_banner", "-nostats", *options, *names]


def ffmpeg_reason(log: str) -> str:
    """The one line of ffmpeg's log that says what went wrong."""
    if "Invalid data found" in log or "not on whitelist" in log or "not in whitelist" in log:
        return "it is damaged, or in no known format"
    if "moov atom not found" in log or "End of file" in log:
        return "it is cut; its index or end is missing"
    lines = [re.sub(r"(\[[^]]* @ 0x[0-9a-f]+\]|\[[a-z]+\])\s*", "", line).strip() for line in log.splitlines()]
    dull = ("Conversion failed", "Error opening", "Task finished", "Terminating thread", "Last message", "Nothing was")
    useful = [line for line in lines if line and not line.startswith(dull)]
    wrong = [line for line in useful if re.search(r"error|invalid|fail|no space|cannot|unable|not ", line, re.I)]
    return (wrong or useful or ["ffmpeg gave no reason"])[-1].rstrip(".")
