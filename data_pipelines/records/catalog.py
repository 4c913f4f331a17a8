"""The contents of a data folder: splits, records, codes, and their fingerprints.

    DIR/<split>/clips/<key>.npz      clip records, with DIR/<split>/dataset_info.json
    DIR/[talking_portrait/VERSION/]  the same as ArrayRecord shards, written by data_pipelines.talking_portrait
    DIR/<split>/codes/<clip_id>.npz  code records, with DIR/codes.json, which lists them

DIR may be on object storage: paths go through etils.epath.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from etils import epath

from data_pipelines.records import schema as schema_files
from data_pipelines.records.schema import ClipRecord, CodeRecord
from data_pipelines.records.sources import ClipFolder, Records, ShardedRecords, index_name
from demo_jax.errors import InputError


def find_shards(root: epath.Path) -> epath.Path | None:
    """Returns the folder of the newest TFDS dataset in `root` (itself, or root/talking_portrait/VERSION), or None."""
    if (root / "features.json").exists():
        return root
    versions = [path for path in (root / "talking_portrait").glob("*") if (path / "features.json").exists()]
    return max(versions, key=lambda path: [int(n) for n in path.name.split(".")], default=None)


def _files(folder: epath.Path) -> list[epath.Path]:
    """Returns the npz files of a folder, in the order of their names; none if there is no such folder."""
    return sorted(path for path in folder.glob("*.npz") if not path.name.startswith(".")) if folder.exists() else []


def _holds_files(folder: epath.Path) -> bool:
    return folder.exists() and any(not path.name.startswith(".") for path in folder.glob("*.npz"))


def _record_splits(root: epath.Path) -> tuple[set[str], epath.Path | None]:
    """Returns the splits of clip records, and the TFDS dataset they are in (None for npz files).

    There is one rule: a folder with clip records is read from these alone, in every split. Shards in it are a copy,
    which may be older than the records; they count where there are no records.
    """
    folders = {path.name for path in root.iterdir() if path.is_dir() and _holds_files(path / "clips")}
    dataset = None if folders else find_shards(root)
    if dataset is None:
        return folders, None
    return {p.name.removeprefix("pieces-").removesuffix(".json") for p in dataset.glob(index_name("*"))}, dataset


def open_records(data_dir: str | os.PathLike, split: str) -> Records:
    """Returns the clip records of a split, from a folder of npz files or from shards.

    Raises:
      InputError: no such folder or split, or the split is empty.
    """
    root = _existing(data_dir)
    splits, dataset = _record_splits(root)
    if split not in splits:
        empty = root / split / "clips"
        if empty.exists():
            raise InputError(f"{empty} holds no clip records (*.npz).")
        raise InputError(f"{data_dir} has no split {split!r}; it has {', '.join(splits_of(data_dir))}.")
    return ClipFolder(tuple(_files(root / split / "clips"))) if dataset is None else ShardedRecords(dataset, split)


def probe_records(data_dir: str | os.PathLike, split: str) -> Iterator[ClipRecord]:
    """Returns the records of a puppet corpus whose factors are drawn independently of each other, frame by frame: what
    a probe or a measure of leakage is fitted to. Those of the train split are driving images too.

    Raises:
      InputError: no such folder or split, or it holds no probes.
    """
    records = open_records(data_dir, split)
    found = [i for i, segment in enumerate(records.segments) if segment.variant == schema_files.PROBE]
    if not found:
        raise InputError(f"{data_dir}, {split}: there are no probe records; only a puppet corpus has them.")
    return (records[i] for i in found)


def speech_clips(data_dir: str | os.PathLike, split: str) -> Iterator[list[ClipRecord]]:
    """Yields the segments of each whole clip, in order, one clip after the other; without paired groups and probes,
    whose motion does not belong to their speech.

    Raises:
      InputError: no such folder or split, or a record is damaged.
    """
    records = open_records(data_dir, split)
    by_clip: dict[str, list[tuple[int, int]]] = {}
    for i, segment in enumerate(records.segments):
        if not segment.variant:
            by_clip.setdefault(segment.clip_id, []).append((segment.piece, i))
    return ([records[i] for _, i in sorted(found)] for found in by_clip.values())


def splits_of(data_dir: str | os.PathLike) -> tuple[str, ...]:
    """Returns the splits of clip records, shards or motion codes in a folder: train, val, test, then others by name.

    Raises:
      InputError: there are none.
    """
    root = _existing(data_dir)
    found = _record_splits(root)[0] | _code_splits(root)
    if not found:
        raise InputError(
            f"{data_dir} holds no data: there is no SPLIT/clips, SPLIT/codes or TFDS dataset in it. "
            "Make some with data_pipelines.prepare, data_pipelines.puppet or encode."
        )
    usual = [split for split in ("train", "val", "test") if split in found]
    return (*usual, *sorted(found.difference(usual)))


def data_fingerprint(data_dir: str | os.PathLike, split: str) -> str:
    """Returns the SHA-256 of what made the records of a split (dataset_info.json); without that file, of the names and
    lengths of the records."""
    root = _existing(data_dir)
    dataset = _record_splits(root)[1]
    info: dict[str, Any] = {}
    if dataset is not None:
        info = _read_json(dataset / "metadata.json").get(split, {})
    elif (root / split / "dataset_info.json").exists():
        info = _read_json(root / split / "dataset_info.json")
    found = info.get("fingerprint", "")
    if isinstance(found, dict):
        found = found["sha256"]
    if found:
        return found
    records = open_records(data_dir, split)
    facts = [(segment.key, segment.length) for segment in records.segments]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def corpus_name(data_dir: str | os.PathLike, split: str) -> str:
    """Returns the corpus that the records of a split name, such as puppet or real."""
    return str(open_records(data_dir, split).read(0, ("corpus",))["corpus"])


def codes_info(codes_dir: str | os.PathLike) -> dict[str, Any]:
    """Returns codes.json, which data_pipelines.encode writes: fingerprints of the auto-encoder and of the data,
    features and clips. Raises InputError if it is missing or damaged."""
    path = _existing(codes_dir) / "codes.json"
    if not path.exists():
        raise InputError(f"{codes_dir} holds no motion codes (codes.json is missing). Run data_pipelines.encode first.")
    return _read_json(path)


def _listed_clips(root: epath.Path) -> dict[str, list[str]] | None:
    """Returns split -> clip_ids of the code records in codes.json; None for folders older than this list."""
    path = root / "codes.json"
    return _read_json(path).get("clips") if path.exists() else None


def _code_splits(root: epath.Path) -> set[str]:
    listed = _listed_clips(root)
    if listed is not None:
        return {split for split, clips in listed.items() if clips}
    return {path.name for path in root.iterdir() if path.is_dir() and _holds_files(path / "codes")}


def code_paths(codes_dir: str | os.PathLike, split: str) -> tuple[epath.Path, ...]:
    """Returns the code records of a split that codes.json lists, in the order of their names.

    Raises:
      InputError: there are none, or one of them is missing.
    """
    root = _existing(codes_dir)
    folder, listed = root / split / "codes", _listed_clips(root)
    paths = _files(folder)
    if listed is not None:
        clips = set(listed.get(split, ()))
        paths = [path for path in paths if path.stem in clips]
        if missing := sorted(clips - {path.stem for path in paths}):
            raise InputError(f"{folder}: clip {missing[0]} of codes.json is missing. Run data_pipelines.encode again.")
    if not paths:
        raise InputError(f"{folder} holds no motion codes (*.npz). Run data_pipelines.encode first.")
    return tuple(paths)


def remove_unlisted_codes(codes_dir: str | os.PathLike, clips: Mapping[str, Collection[str]]) -> None:
    """Deletes code records that `clips` (split -> clip_ids) does not name, such as those of a person who withdrew."""
    root = epath.Path(codes_dir)
    for folder in [path / "codes" for path in root.iterdir() if (path / "codes").is_dir()]:
        kept = set(clips.get(folder.parent.name, ()))
        for path in _files(folder):
            if path.stem not in kept:
                path.unlink()


def first_codes(codes_dir: str | os.PathLike, split: str) -> CodeRecord:
    """Reads the first clip of a split, for validation clips. Raises InputError."""
    return schema_files.read_codes(code_paths(codes_dir, split)[0])


def _existing(folder: str | os.PathLike) -> epath.Path:
    root = epath.Path(folder)
    if not root.exists():
        raise InputError(f"{folder}: there is no such folder.")
    return root


def _read_json(path: epath.Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}).") from error
