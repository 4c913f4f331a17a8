"""Files: checking the names a user gives, and writing so that a file appears whole or not at all."""

from __future__ import annotations

import abc
import hashlib
import os
import re
import shutil
import stat
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from etils import epath

from demo_jax.errors import InputError
from demo_jax.paths import on_object_storage

LONGEST_NAME = 255  # bytes of a file's name, on every common file system


def link_target(path: Path) -> Path:
    """The absolute path that a file of this name is written to: links are followed."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path.absolute()


def temporary_name(path: Path) -> Path:
    """The name that a file has, in the same folder, while it is being written: hidden, and ending in .tmp, so that a
    search for files of its kind does not find it."""
    name, ending = path.name, f".{os.getpid()}.tmp"
    if len(os.fsencode(f".{name}{ending}")) > LONGEST_NAME:
        name = f"{os.fsencode(name)[:180].decode(errors='ignore')}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}"
    return path.with_name(f".{name}{ending}")


class AtomicFile:
    """A file that appears under its name whole or not at all. A link is followed, not replaced.

        with AtomicFile("out.npz") as temporary:
            temporary.write_bytes(data)

    Without `with`: write to `temporary`, then call `commit()` or `discard()`. An error or an interrupt inside `with`
    leaves nothing behind, and an older file as it was.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        named = Path(path)
        self.target = link_target(named)
        self.temporary = temporary_name(self.target.with_name(named.name))

    def commit(self) -> None:
        """Gives the file its name. Raises OSError, leaving nothing behind, if that fails."""
        try:
            os.replace(self.temporary, self.target)
        finally:
            self.discard()

    def discard(self) -> None:
        """Removes what was written, if it has not been committed."""
        self.temporary.unlink(missing_ok=True)

    def __enter__(self) -> Path:
        return self.temporary

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.commit()
        else:
            self.discard()


class CloseOrAbort(abc.ABC):
    """What appears whole when it is closed, or not at all: `with` closes it, or aborts it after an error."""

    @abc.abstractmethod
    def close(self) -> None:
        """Finishes it, so that it appears."""

    @abc.abstractmethod
    def abort(self) -> None:
        """Leaves nothing behind, if it has not appeared yet."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


def write_atomically(path: epath.Path | Path, data: bytes) -> Path:
    """Writes a whole file, and its folder if there is none. On object storage a write is atomic already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if on_object_storage(path):
        path.write_bytes(data)
        return path
    with AtomicFile(path) as temporary:
        temporary.write_bytes(data)
    return path


def remove_unfinished(folder: Path, stem: str = "*") -> None:
    """Removes what killed processes left in `folder` of files and folders whose names begin with `stem` (a glob). No
    process may be writing there."""
    for left in folder.glob(f".{stem}.*.tmp*"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


PLAYLISTS = (".m3u8", ".m3u", ".pls", ".ffconcat", ".concat", ".sdp", ".asx", ".xspf", ".wpl", ".mpd", ".ffmeta")


def check_name(text: str) -> None:
    """Raises InputError for a name that no file can have."""
    if "\x00" in text:
        raise InputError(f"{text!r} cannot be the name of a file.")


def check_input(path: str | os.PathLike) -> Path:
    """Returns the absolute path of a readable, non-empty local file, not a playlist. Raises InputError otherwise."""
    text = os.fspath(path)
    check_name(text)
    if "://" in text or re.match(r"^(concat|concatf|data|subfile|crypto|cache|async|fd|pipe|tcp|udp|rtp|http):", text):
        raise InputError(f"{text} is not a local file; addresses and ffmpeg protocols are never followed.")
    if text.lower().endswith(PLAYLISTS):
        raise InputError(f"{text} is a playlist, which is never followed; give the media file itself.")
    file = Path(text)
    try:
        exists = file.exists()
    except OSError as error:  # a name that is too long
        raise InputError(f"{text} cannot be opened ({error.strerror}).") from error
    if not exists:
        raise InputError(f"{text} does not exist.")
    if not file.is_file():
        raise InputError(f"{text} is not a file.")
    if not os.access(file, os.R_OK):
        raise InputError(f"{text} cannot be read; check its permissions.")
    if file.stat().st_size == 0:
        raise InputError(f"{text} is empty (0 bytes).")
    return file.absolute()


def check_output(path: str | os.PathLike, suffixes: tuple[str, ...] = ()) -> Path:
    """Returns the path if a file can be written there; call it before any work.

    The suffix must be one of `suffixes` (any, if empty), and the folder must exist and be writable. Of a link, the file
    it leads to is checked. Raises InputError otherwise.
    """
    check_name(os.fspath(path))
    file = Path(path)
    if suffixes and file.suffix.lower() not in suffixes:
        raise InputError(f"output {file}: the name must end in one of {', '.join(suffixes)}.")
    try:
        target = link_target(file)
        folder = target.parent
        if target.is_symlink():
            raise InputError(f"output {file} is a link that leads to itself; give another name.")
        if target.is_dir():
            raise InputError(f"output {file} is a folder; give a file name.")
        if target.exists() and not stat.S_ISREG(target.stat().st_mode):
            raise InputError(f"output {file} is a device or pipe; give a file name.")
        if not folder.is_dir():
            wrong = "is a file; name another folder" if folder.exists() else "does not exist; make it first"
            raise InputError(f"output folder {folder} {wrong}.")
    except OSError as error:  # a name that is too long
        raise InputError(f"output {file} cannot be made ({error.strerror}).") from error
    try:  # really writing is the only test that also holds for read-only mounts and for root
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"output folder {folder} cannot be written ({error.strerror}).") from error
    return file
