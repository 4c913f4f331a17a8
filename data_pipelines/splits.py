"""Who is who among the videos of a folder, and which of train, val and test each person goes to."""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from data_pipelines.media import check_input
from demo_jax.typing import InputError


def parse_split(text: str) -> dict[str, float]:
    """ "train" -> {"train": 1.0}; "train:0.8,val:0.2" -> those fractions. Raises InputError."""
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
    """Identity -> split, so that no person is in two. Pseudo-random but a pure function of the names and of which split
    is `known` of whom; every split gets at least one identity where there are enough."""
    result = {name: split for name, split in (known or {}).items() if split in fractions}
    ranked = sorted(set(identities) - set(result), key=lambda name: hashlib.sha256(name.encode()).digest())
    counts = {split: list(result.values()).count(split) for split in fractions}
    for done, name in enumerate(ranked, start=len(result)):
        # The split that is furthest behind its share; an empty one first.
        behind = {s: (counts[s] > 0, counts[s] - f * (done + 1)) for s, f in fractions.items()}
        result[name] = min(behind, key=lambda s: behind[s])
        counts[result[name]] += 1
    return result


def identity_of(path: Path) -> str:
    """The file's stem up to the last _NN: Obama_03.mp4 -> Obama. Bytes that are not UTF-8 become \\xNN."""
    stem = os.fsencode(path.stem).decode("utf-8", "backslashreplace")
    return re.sub(r"_\d+$", "", stem)


def read_identities(path: str) -> dict[str, str]:
    """A csv with columns `file` (name of the video, folders ignored) and `identity`. Raises InputError."""
    try:
        with check_input(path).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return {Path(row["file"]).name: row["identity"] for row in rows if row["identity"]}
    except (KeyError, UnicodeDecodeError, csv.Error, TypeError) as error:
        raise InputError(f"--identities {path}: it must be a csv with the columns file and identity.") from error
