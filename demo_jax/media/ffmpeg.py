"""Running ffmpeg: argument lists (local files and known containers only), the process, and the reason of a failure."""

from __future__ import annotations

import collections
import os
import re
import shutil
import subprocess
import threading
from pathlib import Path
from typing import IO, Any

from demo_jax.errors import InputError
from demo_jax.media.probe import CONTAINERS, PROTOCOLS

# Messages of ffmpeg about a file that ends before the length in its header.
CUT_MARKS = re.compile("Packet corrupt|corrupt input packet|partial file|moov atom not found|End of file")


def both_mapped(source: Any, output: Any, other: int | None) -> list[str]:
    """The command for `output` and, as a copy to nowhere, the stream `other`.

    ffmpeg sets the clock of transport and program streams to zero where the first of the streams in use begins, so both
    must be in use wherever one of them is read.
    """
    import ffmpeg

    if other is not None:
        output = ffmpeg.merge_outputs(
            output, source[str(other)].output("pipe:2", format="null", c="copy", bsf="setts=ts=N")
        )
    return ffmpeg_command(output, "-loglevel", "level+warning")


def ffmpeg_program() -> str:
    """The path of the ffmpeg to run. Raises InputError if there is none."""
    try:
        import imageio_ffmpeg

        name = imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise InputError("reading and writing media needs ffmpeg: pip install imageio-ffmpeg.") from error
    if shutil.which(name) is None:
        raise InputError(f"{name}, which IMAGEIO_FFMPEG_EXE names, cannot be run; unset it, or name an ffmpeg.")
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
    """ffmpeg-python's output as an argument list. Global options come first, or ffmpeg warns about them."""
    arguments = output.compile(cmd="ffmpeg")[1:]
    names = [os.fsdecode(a.encode("latin-1")) if a.startswith("file:") else a for a in arguments]
    return [ffmpeg_program(), "-nostdin", "-hide_banner", "-nostats", *options, *names]


def ffmpeg_reason(log: str) -> str:
    """The one line of ffmpeg's log that explains the failure."""
    if "Invalid data found" in log or "not on whitelist" in log or "not in whitelist" in log:
        return "it is damaged, or in no known format"
    if "moov atom not found" in log or "End of file" in log:
        return "it is cut; its index or end is missing"
    lines = [re.sub(r"(\[[^]]* @ 0x[0-9a-f]+\]|\[[a-z]+\])\s*", "", line).strip() for line in log.splitlines()]
    dull = ("Conversion failed", "Error opening", "Task finished", "Terminating thread", "Last message", "Nothing was")
    useful = [line for line in lines if line and not line.startswith(dull)]
    wrong = [line for line in useful if re.search(r"error|invalid|fail|no space|cannot|unable|not ", line, re.I)]
    return (wrong or useful or ["ffmpeg gave no reason"])[-1].rstrip(".")


class FFmpegProcess:
    """A running ffmpeg. A thread collects its messages, since a disk may have no room for a file of them."""

    def __init__(
        self,
        command: list[str],
        stdin: int = subprocess.DEVNULL,
        stdout: int | None = subprocess.PIPE,
        inherited: tuple[int, ...] = (),
    ) -> None:
        """Starts `command`, which may use the open files `inherited`. An interrupt from the terminal reaches the caller
        only. Raises InputError if the program cannot be run."""
        try:
            self.process = subprocess.Popen(
                command, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, pass_fds=inherited, start_new_session=True
            )
        except OSError as error:
            raise InputError(f"{command[0]}, which should be ffmpeg, cannot be run ({error.strerror}).") from error
        self._name = next((a.removeprefix("file:") for a in command if a.startswith("file:")), "")
        self._lines: collections.deque[str] = collections.deque(maxlen=2000)
        self._collector = threading.Thread(target=self._collect, daemon=True)
        self._collector.start()

    def _collect(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as messages:
            for line in iter(lambda: messages.readline(4096), b""):
                self._lines.append(line.decode(errors="replace"))

    @property
    def stdout(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    @property
    def code(self) -> int:
        """The exit status; waits for the end."""
        return self.process.wait()

    def read_all(self) -> bytes:
        """Returns all of its standard output; waits for the end."""
        with self.stdout as pipe:
            data = pipe.read()
        self.log()
        return data

    def log(self) -> str:
        """Returns ffmpeg's messages, without the file's name, which could look like one of them; waits for the end."""
        self.process.wait()
        self._collector.join()
        return "".join(self._lines).replace(self._name or "\0", "")

    def finish(self) -> None:
        """Waits for the end and closes what is still open."""
        self.log()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def stop(self) -> None:
        """Kills it, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.finish()
