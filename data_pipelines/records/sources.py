"""Clip records by number, the same from a folder of npz files and from ArrayRecord shards.

Batches need a few arrays of many records, so a source describes all its records and reads them in part.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import json
import math
import os
import struct
import zipfile
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, Protocol

import numpy as np
from etils import epath

from data_pipelines.records import schema as schema_files
from data_pipelines.records.names import record_key
from data_pipelines.records.schema import ClipRecord
from demo_jax.errors import InputError
from demo_jax.paths import on_object_storage

_SCAN_THREADS = 8
_OPTIONAL = ("trust",)  # arrays that records need not have


class DamagedRecordError(InputError):
    """The bytes of a record are not those that were written."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Segment:
    """The description of a clip record, known before the record is read. Its fields are those of the index on disk."""

    key: str
    clip_id: str
    piece: int
    length: int  # frames
    set_id: str
    variant: str
    features: tuple[str, ...]


class Records(Protocol):
    """The clip records of one split, in the order of their keys."""

    @property
    def segments(self) -> tuple[Segment, ...]: ...

    @property
    def keys(self) -> tuple[str, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> ClipRecord:
        """Returns the whole record, validated."""
        ...

    def read(self, index: int, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Returns the named arrays of ClipRecord.to_arrays, as written; not validated again. An optional one that the
        record lacks is left out."""
        ...


@dataclasses.dataclass(frozen=True)
class ClipFolder:
    """Records read from npz files."""

    paths: tuple[epath.Path, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(path.stem for path in self.paths)

    @functools.cached_property
    def segments(self) -> tuple[Segment, ...]:
        with ThreadPoolExecutor(_SCAN_THREADS) as pool:
            return tuple(pool.map(_describe, self.paths))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> ClipRecord:
        return schema_files.read_clip(self.paths[index])

    def read(self, index: int, names: Sequence[str]) -> dict[str, np.ndarray]:
        return read_members(self.paths[index], names)


def read_members(path: epath.Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Returns the named arrays of one npz file, without optional ones that it lacks. Raises DamagedRecordError if it is
    damaged or lacks another.

    Training reads the same files again and again, so the places of the arrays in a file on a local disk are cached, and
    checksums are verified the first time only: parsing an archive takes ten times as long as reading from it.
    """
    with _damage_named(path):
        local = os.fspath(path)
        if on_object_storage(local):
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                return schema_files.members(file, _present(names, file.files))
        with open(local, "rb") as raw:
            state = os.fstat(raw.fileno())
            places = _places(local, state.st_mtime_ns, state.st_size)
            return {name: _read(raw, *places[name]) for name in _present(names, places)}


def _present(names: Sequence[str], there: Collection[str]) -> list[str]:
    return [name for name in names if name in there or name not in _OPTIONAL]


@contextlib.contextmanager
def _damage_named(path: epath.Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, struct.error) as error:
        raise DamagedRecordError(f"{path} is damaged or not a record of this project ({error}).") from error


_Place = tuple[int, tuple[int, ...], np.dtype]  # first byte, shape and type of an array


@functools.lru_cache(maxsize=2**14)
def _places(path: str, modified: int, size: int) -> dict[str, _Place]:
    """Returns name -> place of every array of an npz file as it was when `modified`. Raises what zipfile and NumPy do.

    NumPy's savez compresses nothing (savez_compressed would), and no array here is in Fortran order.
    """
    del modified, size
    places: dict[str, _Place] = {}
    with open(path, "rb") as raw, zipfile.ZipFile(raw) as archive:
        broken = archive.testzip()
        if broken is not None:
            raise zipfile.BadZipFile(f"bad checksum of {broken}")
        for info in archive.infolist():
            if info.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{info.filename} is compressed")
            raw.seek(info.header_offset)
            name_size, extra_size = struct.unpack("<26x2H", raw.read(30))
            raw.seek(name_size + extra_size, os.SEEK_CUR)
            shape, fortran, dtype = _array_header(raw)
            if (fortran and len(shape) > 1) or dtype.hasobject:
                raise ValueError(f"{info.filename} is in Fortran order, or holds objects")
            places[info.filename.removesuffix(".npy")] = raw.tell(), shape, dtype
    return places


def _array_header(raw: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    start = raw.tell()

    def read() -> tuple[tuple[int, ...], bool, np.dtype]:
        raw.seek(start)
        old = np.lib.format.read_magic(raw) == (1, 0)
        return np.lib.format.read_array_header_1_0(raw) if old else np.lib.format.read_array_header_2_0(raw)

    return schema_files.parsed(read)


def _read(raw: BinaryIO, start: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    raw.seek(start)
    count = math.prod(shape) * dtype.itemsize
    data = raw.read(count)
    if len(data) < count:
        raise EOFError("it ends too early")
    return np.frombuffer(data, dtype).reshape(shape)


def _describe(path: epath.Path) -> Segment:
    names = ("clip_id", "piece", "set_id", "variant", "frame_offsets")
    with _damage_named(path), path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
        features = [n.removeprefix("features/") for n in file.files if n.startswith("features/")]
        return describe(schema_files.members(file, names), features)


def describe(values: dict[str, Any], features: Sequence[str]) -> Segment:
    """Returns the description of a record, given (some of) its arrays and the names of its audio features."""
    clip_id, number = str(values["clip_id"]), int(values["piece"])
    return Segment(
        key=record_key(clip_id, number),
        clip_id=clip_id,
        piece=number,
        length=len(values["frame_offsets"]) - 1,
        set_id=str(values["set_id"]),
        variant=str(values["variant"]),
        features=tuple(features),
    )


@dataclasses.dataclass(frozen=True)
class ShardedRecords:
    """Records read from one split of a TFDS dataset that data_pipelines.talking_portrait wrote into `folder`.

    The shards are in TFDS's shuffled order; the index beside them has the description of every record in that order.
    """

    folder: epath.Path
    split: str

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(segment.key for segment in self.segments)

    @functools.cached_property
    def segments(self) -> tuple[Segment, ...]:
        return tuple(segment for segment, _ in self._index)

    @functools.cached_property
    def _index(self) -> list[tuple[Segment, int]]:
        path = self.folder / index_name(self.split)
        try:
            rows = json.loads(path.read_text())
            found = [(Segment(**row | {"features": tuple(row["features"])}), place) for place, row in enumerate(rows)]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(f"{path} is damaged ({error}); shard the records again.") from error
        return sorted(found, key=lambda entry: entry[0].key)

    @functools.cached_property
    def _source(self) -> Sequence[dict[str, Any]]:
        import tensorflow_datasets as tfds

        try:
            return tfds.builder_from_directory(self.folder).as_data_source(self.split)
        except (RuntimeError, ValueError, OSError) as error:  # a cut shard; a changed JSON file
            raise InputError(
                f"{self.folder}, {self.split}: a shard, features.json or dataset_info.json is damaged "
                f"({str(error).splitlines()[0]}); shard the records again."
            ) from error

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, index: int) -> ClipRecord:
        return ClipRecord.from_arrays(self._arrays(index))

    def read(self, index: int, names: Sequence[str]) -> dict[str, np.ndarray]:
        arrays = self._arrays(index)
        return {name: arrays[name] for name in _present(names, arrays)}

    def _arrays(self, index: int) -> dict[str, np.ndarray]:
        segment, place = self._index[index]
        try:
            return from_example(self._source[place])
        except RuntimeError as error:  # ArrayRecord's, whose chunks have hashes
            raise DamagedRecordError(
                f"{self.folder}, {self.split}: record {segment.key} is damaged ({str(error).splitlines()[0]})."
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "split": self.split}  # open files stay in their process


@dataclasses.dataclass(frozen=True)
class JoinedRecords:
    """The records of several corpora, one corpus after the other."""

    corpora: tuple[Records, ...]

    @functools.cached_property
    def parts(self) -> tuple[range, ...]:
        """The numbers of each corpus's records."""
        ends = list(itertools.accumulate((len(corpus) for corpus in self.corpora), initial=0))
        return tuple(range(a, b) for a, b in itertools.pairwise(ends))

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(segment.key for segment in self.segments)

    @functools.cached_property
    def segments(self) -> tuple[Segment, ...]:
        """Clips and paired groups of two corpora may have the same names; here they have not."""
        if len(self.corpora) == 1:
            return self.corpora[0].segments
        return tuple(
            dataclasses.replace(s, clip_id=f"{i}/{s.clip_id}", set_id=s.set_id and f"{i}/{s.set_id}")
            for i, corpus in enumerate(self.corpora)
            for s in corpus.segments
        )

    def __len__(self) -> int:
        return self.parts[-1].stop

    def __getitem__(self, index: int) -> ClipRecord:
        corpus, number = self._place(index)
        return corpus[number]

    def read(self, index: int, names: Sequence[str]) -> dict[str, np.ndarray]:
        corpus, number = self._place(index)
        return corpus.read(number, names)

    def _place(self, index: int) -> tuple[Records, int]:
        return next(
            (corpus, index - part.start) for corpus, part in zip(self.corpora, self.parts, strict=True) if index in part
        )


def index_name(split: str) -> str:
    """Returns the name of the file beside the shards that describes each record, in the order of the shards."""
    return f"pieces-{split}.json"


def from_example(example: dict[str, Any]) -> dict[str, np.ndarray]:
    """Returns the arrays of ClipRecord.to_arrays, given one example of the TFDS dataset."""
    arrays: dict[str, np.ndarray] = {}
    for name, value in example.items():
        if isinstance(value, dict):  # features, coefficients
            arrays |= {f"{name}/{key}": array for key, array in value.items()}
        elif name == "phonemes":
            arrays[name] = np.array([text.decode() for text in value], dtype=np.str_)
        else:
            arrays[name] = np.array(value.decode() if isinstance(value, bytes) else value)
    return arrays
