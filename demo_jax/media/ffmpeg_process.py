"""Running ffmpeg: its output, its messages and its end."""

from __future__ import annotations

import collections
import subprocess
import threading
from typing import IO

from demo_jax.errors import InputError


class Running:
    """An ffmpeg process. Its messages are collected by a thread: a file for them may find no room."""

    def __init__(
        self,
        command: list[str],
        stdin: int = subprocess.DEVNULL,
        stdout: int | None = subprocess.PIPE,
        inherited: tuple[int, ...] = (),
    ) -> None:
        """inherited: open files that it may use. An interrupt of the terminal is for the caller only."""
        try:
            self.process = subprocess.Popen(
                command, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, pass_fds=inherited, start_new_session=True
            )
        except OSError as error:
            raise InputError(f"{command[0]}, which should be ffmpeg, cannot be run ({error.strerror}).") from error
        self._name = next((a.removeprefix("file:") for a in command if a.startswith("file:")), "")
        self._lines: collections.deque[str] = collections.deque(maxlen=2000)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
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
        """The exit status, once it is there."""
        return self.process.wait()

    def read_all(self) -> bytes:
        """All that it writes to its standard output, until it ends."""
        with self.stdout as pipe:
            data = pipe.read()
        self.log()
        return data

    def log(self) -> str:
        """Waits for the end; ffmpeg's messages, without the name of the file, which could look like one of them."""
        self.process.wait()
        self._listener.join()
        return "".join(self._lines).replace(self._name or "\0", "")

    def finish(self) -> None:
        """Closes what is still open, after the end."""
        self.log()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def stop(self) -> None:
        """Ends it, if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
        self.finish()
