"""Names of records, and the names that file names give: the one place where a path becomes a clip or a person."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path, PureWindowsPath


def record_key(clip_id: str, segment: int) -> str:
    """The name of a clip record: its file is <key>.npz."""
    return f"{clip_id}-{segment:04d}"


def clip_id_of(path: Path) -> str:
    """The file's stem, with a hyphen for whatever is not fit for every file system; "" if nothing is left."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", path.stem).strip("-.")


def identity_of(path: Path) -> str:
    """The file's stem up to the last _NN: Obama_03.mp4 -> Obama. Bytes that are not UTF-8 become \\xNN."""
    stem = os.fsencode(path.stem).decode("utf-8", "backslashreplace")
    return re.sub(r"_\d+$", "", stem)


def file_key(name: str) -> str:
    """The name without folders, of either kind of system, and with accents composed: macOS stores them apart."""
    return unicodedata.normalize("NFC", PureWindowsPath(name).name)
