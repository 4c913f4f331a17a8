"""The clip record and the code record: the contract between every producer and every consumer of data.

A clip record is one segment of a clip: one npz, DIR/clips/<clip_id>-<segment>.npz, of at most 64 frames at 25 a second.
A code record is one whole clip after the motion encoder, DIR/codes/<clip_id>.npz. Both are validated when written and
when read. Absent optional arrays are empty (first axis 0); absent values inside `expression` are NaN.

The fields of a file keep the names of its first version. The code that reads them says: segment (`piece`), paired group
(the records that share a `set_id`), factor-swapped render (`variant` redrawn:FACTOR), cross-identity render
(`variant` reidentity).
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from etils import epath

from data_pipelines.records.names import record_key
from demo_jax.constants import SAMPLES_PER_FRAME
from demo_jax.errors import InputError
from demo_jax.factors import EMOTIONS
from demo_jax.media.files import write_atomically

T = TypeVar("T")
SCHEMA_VERSION = 1
MAX_PIECE_FRAMES = 64
_TEXT_FIELDS = ("clip_id", "speaker_id", "corpus", "language", "emotion", "set_id", "variant")
_ARRAY_FIELDS = (
    "pose", "expression", "gaze", "lips", "landmarks", "boxes", "confidence", "crop", "waveform", "phoneme_times",
    "identity",
)  # fmt: skip
PROBE = "probe"  # the variant of takes whose frames and factors are independent; no training batch holds them
_VARIANTS = ("", "base", "reidentity", "redrawn:lip", "redrawn:pose", "redrawn:gaze", "redrawn:residual", PROBE)


def _empty(*shape: int, dtype: type = np.float32) -> np.ndarray:
    return np.zeros(shape, dtype)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipRecord:
    """One segment of a clip. Shapes, dtypes, units and order are those of the table in docs/data.md.

    frames     T JPEG files (quality 95, 4:4:4), square
    pose       [T, 6] yaw, pitch, roll in degrees; x, y: face centre in crop widths from the crop's centre (x right,
               y up); z = log(crop width / face width)
    gaze       [T, 4] yaw, pitch of the mean eye in the head (degrees); opening left, right: lid gap over the clip's
               95th percentile (real video) or over the identity's neutral gap (puppets); 0 closed, about 1 open
    lips       [T, 3] aperture (inner-lip gap), width (mouth-corner distance), both over the eye span; pucker 0-1
    landmarks  [T, 68, 2] crop pixels, y down, pixel centres at +0.5
    boxes      [T, 2, 4] mouth, eyes as x0 y0 x1 y1 in crop pixels
    trust      [T, n, n] how far the image can be trusted in each of n x n equal cells, 0-255; [0, 0, 0]: everywhere
    """

    clip_id: str
    piece: int
    speaker_id: str
    corpus: str
    frames: tuple[bytes, ...]
    pose: np.ndarray
    expression: np.ndarray  # [T, 52] float32, ARKIT_NAMES, 0-1
    gaze: np.ndarray
    lips: np.ndarray
    landmarks: np.ndarray
    boxes: np.ndarray
    confidence: np.ndarray  # [T] float32, 0-1
    waveform: np.ndarray  # [T * 640] int16, aligned to the first frame's start
    crop: np.ndarray = dataclasses.field(default_factory=lambda: np.eye(3, dtype=np.float32))  # source -> crop pixels
    features: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)  # name -> [T, A] float16
    language: str = ""
    emotion: str = ""  # one of EMOTIONS
    phonemes: tuple[str, ...] = ()  # P, IPA
    phoneme_times: np.ndarray = dataclasses.field(default_factory=lambda: _empty(0, 2))  # [P, 2] seconds in the segment
    set_id: str = ""  # the records of a paired group share it
    variant: str = ""  # "", base, reidentity, redrawn:FACTOR, probe
    base_piece: int = -1  # the segment of the base clip that a variant was rendered from, or -1
    identity: np.ndarray = dataclasses.field(default_factory=lambda: _empty(0))  # [N] shape coefficients
    coefficients: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)  # model -> [T, M], a foreign 3DMM
    trust: np.ndarray = dataclasses.field(default_factory=lambda: _empty(0, 0, 0, dtype=np.uint8))  # [T, n, n]

    @property
    def length(self) -> int:
        """T."""
        return len(self.frames)

    @property
    def key(self) -> str:
        """The name of the record: its file is <key>.npz."""
        return record_key(self.clip_id, self.piece)

    def validate(self) -> Self:
        """Returns itself, or raises InputError naming the record, the array and what it should be."""
        t = self.length
        if not 1 <= t <= MAX_PIECE_FRAMES:
            raise InputError(f"record {self.key}: {t} frames; a segment has 1 to {MAX_PIECE_FRAMES}.")
        wanted: dict[str, tuple[np.ndarray, tuple[int, ...], type]] = {
            "pose": (self.pose, (t, 6), np.float32),
            "expression": (self.expression, (t, 52), np.float32),
            "gaze": (self.gaze, (t, 4), np.float32),
            "lips": (self.lips, (t, 3), np.float32),
            "landmarks": (self.landmarks, (t, 68, 2), np.float32),
            "boxes": (self.boxes, (t, 2, 4), np.float32),
            "confidence": (self.confidence, (t,), np.float32),
            "crop": (self.crop, (3, 3), np.float32),
            "waveform": (self.waveform, (t * SAMPLES_PER_FRAME,), np.int16),
            "phoneme_times": (self.phoneme_times, (len(self.phonemes), 2), np.float32),
        }
        wanted |= {f"features/{n}": (a, (t, a.shape[-1]), np.float16) for n, a in self.features.items()}
        wanted |= {f"coefficients/{n}": (a, (t, a.shape[-1]), np.float32) for n, a in self.coefficients.items()}
        if self.trust.size:
            wanted["trust"] = (self.trust, (t, *self.trust.shape[-1:] * 2), np.uint8)
        for name, (array, shape, dtype) in wanted.items():
            _check_array(self.key, name, array, shape, dtype, finite=name != "expression")
        with np.errstate(invalid="ignore"):
            if ((self.expression < -1e-3) | (self.expression > 1 + 1e-3)).any():
                raise InputError(f"record {self.key}: expression leaves 0-1.")
        if np.abs(self.pose[:, :3]).max() > 180 or np.abs(self.pose[:, 3:5]).max() > 2:
            raise InputError(f"record {self.key}: pose is out of range; angles are degrees, x and y crop widths.")
        if self.emotion not in EMOTIONS:
            raise InputError(f"record {self.key}: emotion {self.emotion!r} is not one of {EMOTIONS}.")
        if self.variant not in _VARIANTS:
            raise InputError(f"record {self.key}: variant {self.variant!r} is not one of {_VARIANTS}.")
        if bool(self.variant) != bool(self.set_id):
            raise InputError(f"record {self.key}: set_id and variant must be given together.")
        if any(not f.startswith(b"\xff\xd8") for f in self.frames):
            raise InputError(f"record {self.key}: a frame is not a JPEG file.")
        return self

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Returns a flat dict of plain arrays (no object dtype), as written to npz."""
        offsets = np.cumsum([0] + [len(f) for f in self.frames])
        arrays: dict[str, np.ndarray] = {
            "schema_version": np.array(SCHEMA_VERSION, np.int32),
            "frame_bytes": np.frombuffer(b"".join(self.frames), np.uint8),
            "frame_offsets": offsets.astype(np.int64),
            "phonemes": np.array(self.phonemes, dtype=np.str_),
            "piece": np.array(self.piece, np.int32),
            "base_piece": np.array(self.base_piece, np.int32),
        }
        arrays |= {name: np.array(getattr(self, name), dtype=np.str_) for name in _TEXT_FIELDS}
        arrays |= {name: getattr(self, name) for name in _ARRAY_FIELDS}
        arrays |= {f"features/{n}": a for n, a in self.features.items()}
        arrays |= {f"coefficients/{n}": a for n, a in self.coefficients.items()}
        if self.trust.size:  # most records have none
            arrays["trust"] = self.trust
        return arrays

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """Returns the validated record of what to_arrays gave. Raises InputError if it is wrong, KeyError if an array
        is missing."""
        raw, offsets = arrays["frame_bytes"].tobytes(), arrays["frame_offsets"]
        values: dict[str, Any] = {name: str(arrays[name]) for name in _TEXT_FIELDS}
        values |= {name: arrays[name] for name in (*_ARRAY_FIELDS, *(["trust"] if "trust" in arrays else []))}
        return cls(
            frames=tuple(raw[a:b] for a, b in itertools.pairwise(offsets)),
            phonemes=tuple(str(p) for p in arrays["phonemes"]),
            piece=int(arrays["piece"]),
            base_piece=int(arrays["base_piece"]),
            features={n.split("/", 1)[1]: a for n, a in arrays.items() if n.startswith("features/")},
            coefficients={n.split("/", 1)[1]: a for n, a in arrays.items() if n.startswith("coefficients/")},
            **values,
        ).validate()


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodeRecord:
    """One whole clip of T frames as motion codes, for stage 2."""

    clip_id: str
    speaker_id: str
    corpus: str
    codes: np.ndarray  # [T, K] float32, as the motion encoder gives them: neither standardised nor whitened
    features: dict[str, np.ndarray]  # name -> [T, A] float16
    waveform: np.ndarray  # [T * 640] int16
    truth: np.ndarray  # [T, 13] float32: the record's lips, pose, gaze over their scales (factors.calibrated_code)
    expression: np.ndarray  # [T, 52] float32, NaN = not measured
    confidence: np.ndarray  # [T] float32
    emotion: str = ""
    language: str = ""
    portrait: np.ndarray = dataclasses.field(
        default_factory=lambda: _empty(0, dtype=np.uint8)
    )  # first frame, a JPEG file

    @property
    def length(self) -> int:
        return len(self.codes)

    def validate(self) -> Self:
        t = self.length
        _check_array(self.clip_id, "codes", self.codes, (t, self.codes.shape[-1]), np.float32)
        _check_array(self.clip_id, "truth", self.truth, (t, 13), np.float32)
        _check_array(self.clip_id, "expression", self.expression, (t, 52), np.float32, finite=False)
        _check_array(self.clip_id, "confidence", self.confidence, (t,), np.float32)
        _check_array(self.clip_id, "waveform", self.waveform, (t * SAMPLES_PER_FRAME,), np.int16)
        for name, array in self.features.items():
            _check_array(self.clip_id, f"features/{name}", array, (t, array.shape[-1]), np.float16)
        if self.emotion not in EMOTIONS:
            raise InputError(f"code record {self.clip_id}: emotion {self.emotion!r} is not one of {EMOTIONS}.")
        return self

    def to_arrays(self) -> dict[str, np.ndarray]:
        arrays: dict[str, np.ndarray] = {"schema_version": np.array(SCHEMA_VERSION, np.int32)}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "features":
                arrays |= {f"features/{n}": a for n, a in value.items()}
            else:
                arrays[field.name] = np.array(value, dtype=np.str_) if isinstance(value, str) else value
        return arrays

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        values: dict[str, Any] = {
            f.name: str(arrays[f.name]) if arrays[f.name].dtype.kind == "U" else arrays[f.name]
            for f in dataclasses.fields(cls)
            if f.name != "features"
        }
        features = {n.split("/", 1)[1]: a for n, a in arrays.items() if n.startswith("features/")}
        return cls(features=features, **values).validate()


def _check_array(
    key: str, name: str, array: np.ndarray, shape: tuple[int, ...], dtype: type, finite: bool = True
) -> None:
    if array.shape != shape or array.dtype != dtype:
        raise InputError(
            f"record {key}: {name} is {array.dtype}{list(array.shape)}; it should be {np.dtype(dtype)}{list(shape)}."
        )
    if finite and array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"record {key}: {name} holds NaN or infinity.")


def encode_frame(image: np.ndarray) -> bytes:
    """Returns uint8 RGB [S, S, 3] as the JPEG file of a record: quality 95, 4:4:4."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def pack(record: ClipRecord | CodeRecord) -> bytes:
    """Validates the record and returns the bytes of its npz file. Raises InputError."""
    buffer = io.BytesIO()
    arrays: dict[str, Any] = record.validate().to_arrays()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _arrays(source: str | os.PathLike | bytes) -> dict[str, np.ndarray]:
    label = "bytes" if isinstance(source, bytes) else str(source)
    try:
        # Opened here, because np.load leaves its own file open when the archive is damaged.
        with (
            io.BytesIO(source) if isinstance(source, bytes) else epath.Path(source).open("rb") as raw,
            np.load(raw, allow_pickle=False) as file,
        ):
            arrays = members(file, file.files)
        version = int(arrays["schema_version"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{label} is not a record of this project, or is damaged ({error}).") from error
    if version != SCHEMA_VERSION:
        raise InputError(f"{label} has schema version {version}; this code reads {SCHEMA_VERSION}. Prepare it again.")
    return arrays


def members(file: np.lib.npyio.NpzFile, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Returns the named arrays of an open npz file, whatever other threads do."""
    return {name: _member(file, name) for name in names}


def _member(file: np.lib.npyio.NpzFile, name: str) -> np.ndarray:
    return parsed(lambda: file[name])


def parsed(read: Callable[[], T]) -> T:
    """Returns what `read`, which parses an array's header, returns.

    NumPy parses the header as Python, and CPython 3.11's parser now and then fails while other threads parse too ("AST
    constructor recursion depth mismatch"); then `read` is tried again.
    """
    for _ in range(10):
        with contextlib.suppress(SystemError):
            return read()
    return read()


def read_clip(source: str | os.PathLike | bytes) -> ClipRecord:
    """Reads one clip record from a path or from the bytes that `pack` returned. Raises InputError if it is damaged."""
    with _missing_array_named(source, "clip record"):
        return ClipRecord.from_arrays(_arrays(source))


def read_codes(source: str | os.PathLike | bytes) -> CodeRecord:
    """Reads one code record. Raises InputError if it is damaged or of another kind."""
    with _missing_array_named(source, "code record"):
        return CodeRecord.from_arrays(_arrays(source))


@contextlib.contextmanager
def _missing_array_named(source: str | os.PathLike | bytes, kind: str) -> Iterator[None]:
    try:
        yield
    except KeyError as error:
        name = "bytes" if isinstance(source, bytes) else source
        raise InputError(f"{name} is not a {kind}: it has no array {error}.") from error


def write_clip(folder: str | os.PathLike, record: ClipRecord) -> Path:
    """Writes DIR/clips/<key>.npz, whole or not at all, and returns its path. Raises InputError."""
    return write_atomically(Path(folder) / "clips" / f"{record.key}.npz", pack(record))
