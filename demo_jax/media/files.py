"""Files: checking the names a user gives, and writing so that a file appears whole or not at all."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tempfile
from pathlib import Path

from etils import epath

from demo_jax.errors import InputError
from demo_jax.media.ffmpeg import ffmpeg_program
from demo_jax.paths import on_object_storage

LONGEST_NAME = 255  # bytes of a file's name, on every common file system


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


def remove_unfinished(folder: Path, stem: str = "*") -> None:
    """Removes what killed writers left in `folder` of files whose names begin with `stem` (a glob); there must be no
    living one."""
    for left in folder.glob(f".{stem}.*.tmp*"):
        left.unlink(missing_ok=True)


def write_atomically(path: epath.Path | Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if on_object_storage(path):
        path.write_bytes(data)
        return path
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(data)
    os.replace(temporary, path)
    return path


PLAYLISTS = (".m3u8", ".m3u", ".pls", ".ffconcat", ".concat", ".sdp", ".asx", ".xspf", ".wpl", ".mpd", ".ffmeta")
WRITABLE_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")


def _check_name(text: str) -> None:
    """Raises InputError for what no file can be called."""
    if "\x00" in text:
        raise InputError(f"{text!r} cannot be the name of a file.")


def check_input(path: str | os.PathLike) -> Path:
    """The absolute path of a readable, non-empty local file that is no playlist; otherwise InputError."""
    text = os.fspath(path)
    _check_name(text)
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


def check_output(path: str | os.PathLike, suffixes: tuple[str, ...] = WRITABLE_SUFFIXES) -> Path:
    """The path, if a file may be made there: its folder exists and is writable and its suffix is one of `suffixes`
    (any, if empty); of a link, the file that it leads to. To be called before any work. Otherwise InputError."""
    _check_name(os.fspath(path))
    file = Path(path)
    if suffixes == WRITABLE_SUFFIXES:
        ffmpeg_program()  # there is one
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
