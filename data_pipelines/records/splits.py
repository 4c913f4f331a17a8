"""Identities of the videos of a folder, and which of train, val and test each person goes to."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from data_pipelines.records.names import file_key, identity_of
from demo_jax.errors import InputError
from demo_jax.media.files import check_input
from demo_jax.media.text_files import read_table


def parse_split(text: str) -> dict[str, float]:
    """Returns split -> fraction: "train" -> {"train": 1.0}; "train:0.8,val:0.2" -> those. Raises InputError."""
    parts = [part.partition(":") for part in text.split(",")]
    try:
        fractions = {name.strip(): float(value) if colon else 1.0 for name, colon, value in parts}
    except ValueError as error:
        raise InputError(f"--split {text}: a fraction is not a number; write train:0.8,val:0.1,test:0.1.") from error
    named = all(re.fullmatch(r"[A-Za-z0-9_-]+", name) for name in fractions)
    if not named or min(fractions.values()) <= 0 or not abs(sum(fractions.values()) - 1) <= 1e-6:
        raise InputError(f"--split {text}: give one name, or names with positive fractions that sum to 1.")
    return fractions


def assign_splits(
    identities: Iterable[str], fractions: Mapping[str, float], known: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Returns identity -> split, so that no person is in two. Pseudo-random, but a pure function of the names and of
    `known` (identity -> split); every split gets at least one identity where there are enough."""
    result = {name: split for name, split in (known or {}).items() if split in fractions}
    ranked = sorted(set(identities) - set(result), key=lambda name: hashlib.sha256(name.encode()).digest())
    counts = {split: list(result.values()).count(split) for split in fractions}
    for done, name in enumerate(ranked, start=len(result)):
        # The split that is furthest behind its share; an empty one first.
        behind = {s: (counts[s] > 0, counts[s] - f * (done + 1)) for s, f in fractions.items()}
        result[name] = min(behind, key=lambda s: behind[s])
        counts[result[name]] += 1
    return result


def read_identities(path: str) -> dict[str, str]:
    """Reads a csv with the columns `file` (name of the video, folders ignored) and `identity`. Returns file_key ->
    identity. Raises InputError if the file is no such csv, or gives one video two identities."""
    result: dict[str, str] = {}
    for row in read_table(check_input(path), f"--identities {path}", ("file", "identity")):
        key, identity = file_key(row["file"]), row["identity"]
        if not (key and identity):
            continue
        if result.setdefault(key, identity) != identity:
            raise InputError(f"--identities {path}: {key} is both {result[key]} and {identity}; keep one row.")
    return result


def name_identities(videos: Sequence[Path], table: str | None, warn: Callable[[str], None]) -> list[str]:
    """Returns the identity of each video: from the csv `table` (read_identities), or from the video's own name where
    the table has no row. Warns of rows without a video and of videos without a row. Raises InputError."""
    named = read_identities(table) if table else {}
    keys = [file_key(video.name) for video in videos]
    if unused := sorted(set(named) - set(keys)):
        warn(f"{table}: {len(unused)} of its {len(named)} rows name no video of this call: {_some(unused)}.")
    if table and (missing := [key for key in keys if key not in named]):
        without = f"{len(missing)} of {len(keys)} videos have no row"
        warn(f"{table}: {without}, so their names identify them: {_some(missing)}.")
    return [named.get(key) or identity_of(video) for key, video in zip(keys, videos, strict=True)]


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
