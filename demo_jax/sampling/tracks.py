"""Motion tracks: the motion of every frame of a video, in the units of the clip record, as npz or csv.

Columns are factors.TRACK_COLUMNS: time (seconds), pose, gaze, lips and the 52 blendshape names; one row per frame, 25 a
second; NaN (npz) or an empty cell (csv) where a value is free. An input track may have a subset of the columns; values
of a name with a leading + (`+yaw`) are added to the portrait's own.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int

from demo_jax.codes import CodeSpace
from demo_jax.constants import FPS
from demo_jax.errors import InputError
from demo_jax.factors import ARKIT_NAMES, CALIBRATED_NAMES, CALIBRATED_SCALE, TRACK_COLUMNS, FactorLayout
from demo_jax.media import text_files
from demo_jax.media.files import AtomicFile

SUFFIXES = (".npz", ".csv")
READOUT_MIN_R2 = 0.5  # blendshapes with a lower R2 of the readout are left free
MAX_TIME = 1e6  # seconds
TIME_TOLERANCE = 0.005  # seconds: csv files are often rounded to a hundredth
_CODE_KEYS = ("codes", "fingerprint")  # beside the columns, in an npz only


@dataclasses.dataclass(frozen=True, kw_only=True)
class MotionTrack:
    """One row per frame, from frame `start` of the video on; or, for keyframes, one at each of the frames `at`.

    columns      name (one of TRACK_COLUMNS without time, perhaps with a leading +) -> values, NaN = free
    start        first frame
    at           the rows' frames if they are not consecutive
    codes        raw motion codes, or None; only models with one motion encoder can read them
    fingerprint  of that motion encoder, "" without codes
    """

    columns: Mapping[str, Float[np.ndarray, " T"]]
    start: int = 0
    at: Int[np.ndarray, " T"] | None = None
    codes: Float32[np.ndarray, "T K"] | None = None
    fingerprint: str = ""

    @property
    def length(self) -> int:
        """T."""
        return len(next(iter(self.columns.values())))

    @property
    def frames(self) -> Int[np.ndarray, " T"]:
        """Each row's frame of the video."""
        return np.arange(self.start, self.start + self.length) if self.at is None else self.at

    @property
    def time(self) -> Float[np.ndarray, " T"]:
        """Seconds at which each frame starts."""
        return self.frames / FPS


def read_track(path: str | os.PathLike) -> MotionTrack:
    """Reads and checks a track. Raises InputError if it is missing, damaged, not at 25 frames a second, holds unknown
    names, infinities or impossible numbers, lacks the time of a row, or has no value that can be controlled."""
    file = Path(path)
    if file.suffix.lower() not in SUFFIXES:
        raise InputError(f"track {path}: the name must end in .npz or .csv.")
    if not file.is_file():
        raise InputError(f"track {path} does not exist.")
    columns = _read_npz(file) if file.suffix.lower() == ".npz" else _read_csv(file)
    _check_names(path, columns)
    start = _start_frame(path, columns.pop("time"))
    _check_values(path, columns)
    return MotionTrack(columns=columns, start=start)


def read_keyframes(path: str | os.PathLike) -> MotionTrack:
    """Reads keyframes: a csv like a track's, with any increasing times; each row applies at the frame nearest to its
    time. Raises InputError as read_track does, and for times less than a frame apart."""
    file = Path(path)
    if file.suffix.lower() != ".csv":
        raise InputError(f"keyframes {path}: the name must end in .csv.")
    if not file.is_file():
        raise InputError(f"keyframes {path} does not exist.")
    columns = _read_csv(file)
    _check_names(path, columns)
    _check_times(path, time := columns.pop("time"))
    frames = np.round(time * FPS).astype(int)
    near = np.diff(frames) < 1
    if near.any():
        row = int(near.argmax()) + 2
        raise InputError(f"keyframes {path}: row {row} is less than a frame (1/{FPS} s) after the row before it.")
    _check_values(path, columns)
    return MotionTrack(columns=columns, start=int(frames[0]), at=frames)


def read_codes(path: str | os.PathLike, fingerprint: str) -> Float32[np.ndarray, "T K"]:
    """Reads the raw motion codes in a track that write_track wrote (npz). Raises InputError if there are none, or if
    they are from a motion encoder with another fingerprint."""
    file = Path(path)
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            codes, encoder = np.asarray(arrays["codes"], np.float32), str(arrays["fingerprint"])
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path} is not a track with motion codes, as sample.py writes beside a video.") from error
    if encoder != fingerprint:
        raise InputError(
            f"{path} holds codes of another model ({encoder}, not {fingerprint}); use its values with --track instead."
        )
    if codes.ndim != 2 or not len(codes) or not np.isfinite(codes).all():
        raise InputError(f"{path}: its motion codes are damaged.")
    return codes


def write_track(path: str | os.PathLike, track: MotionTrack) -> Path:
    """Writes a track atomically, as .npz or .csv by the name's suffix, with all of TRACK_COLUMNS (NaN or empty where
    the track has none). csv numbers have 6 significant digits; codes and fingerprint go into an npz only. Raises
    InputError if it cannot be written."""
    free = np.full(track.length, np.nan, np.float32)
    table = {"time": track.time} | {name: np.asarray(track.columns.get(name, free)) for name in TRACK_COLUMNS[1:]}
    data = _npz_bytes(track, table) if Path(path).suffix.lower() == ".npz" else _csv_bytes(table)
    try:
        with AtomicFile(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise InputError(f"track {path} could not be written: {error.strerror}.") from error
    return Path(path)


def _npz_bytes(track: MotionTrack, table: dict[str, np.ndarray]) -> bytes:
    arrays: dict[str, Any] = dict(table)
    if track.codes is not None:
        arrays |= {"codes": track.codes, "fingerprint": np.array(track.fingerprint)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _csv_bytes(table: dict[str, np.ndarray]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(TRACK_COLUMNS)
    for time, *row in zip(*(table[name] for name in TRACK_COLUMNS), strict=True):
        writer.writerow([f"{time:.2f}", *("" if np.isnan(v) else f"{v:.6g}" for v in row)])
    return text.getvalue().encode()


def _read_npz(file: Path) -> dict[str, np.ndarray]:
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            columns = {n: arrays[n] for n in arrays.files if n not in _CODE_KEYS}
    # TypeError: a single array (npy) with an npz's name.
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"track {file} is not an npz file, or is damaged.") from error
    for name, values in columns.items():
        if values.ndim != 1 or values.dtype.kind not in "fiu":
            raise InputError(f"track {file}: {name} is {values.dtype}{list(values.shape)}; it should be numbers [T].")
    if len({len(v) for v in columns.values()}) > 1:
        raise InputError(f"track {file}: its columns differ in length; one value per frame is needed, NaN where free.")
    return {name: _numbers(name, values) for name, values in columns.items()}


def _read_csv(file: Path) -> dict[str, np.ndarray]:
    rows = text_files.read_csv(file, f"track {file}")
    if not rows:
        raise InputError(f"track {file} is empty; its first row names the columns, for example time,yaw,pitch.")
    names = rows[0]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"track {file} has column {repeated[0]} twice.")
    table = np.full((len(rows) - 1, len(names)), np.nan)
    for r, row in enumerate(rows[1:]):
        if len(row) != len(names):
            raise InputError(f"track {file}: row {r + 1} has {len(row)} cells, the heading {len(names)}.")
        for c, cell in enumerate(row):
            try:
                table[r, c] = float(cell) if cell else np.nan
            except ValueError:
                raise InputError(f"track {file}: {names[c]} in row {r + 1} is {cell!r}, not a number.") from None
    return {name: _numbers(name, table[:, c]) for c, name in enumerate(names)}


def _numbers(name: str, values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # numbers that are too large become infinite and are refused as such
        return values.astype(np.float64 if name == "time" else np.float32)


def _check_names(path: str | os.PathLike, columns: Mapping[str, np.ndarray]) -> None:
    unknown = [name for name in columns if name.removeprefix("+") not in TRACK_COLUMNS or name == "+time"]
    if unknown:
        raise InputError(
            f"track {path} has unknown column {unknown[0]!r}; known are {', '.join(TRACK_COLUMNS[:14])} and the 52 "
            "ARKit names."
        )
    if "time" not in columns:
        raise InputError(f"track {path} has no column time (seconds, 25 rows a second).")
    both = [name for name in columns if f"+{name}" in columns]
    if both:
        raise InputError(f"track {path} has both {both[0]} and +{both[0]}; keep one.")
    if len(columns["time"]) == 0:
        raise InputError(f"track {path} has no rows.")


def _check_values(path: str | os.PathLike, columns: Mapping[str, np.ndarray]) -> None:
    for name, values in columns.items():
        bad = np.isinf(values)
        if bad.any():
            raise InputError(
                f"track {path}: {name} is infinite in row {int(bad.argmax()) + 1}; leave free values empty."
            )
    if not any(np.isfinite(columns[n]).any() for n in columns if n.lstrip("+") in CALIBRATED_NAMES):
        raise InputError(f"track {path} has no value that can be controlled: {', '.join(CALIBRATED_NAMES)}.")


def _check_times(path: str | os.PathLike, time: np.ndarray) -> None:
    missing = ~np.isfinite(time)
    if missing.any():
        raise InputError(f"track {path}: time is missing in row {int(missing.argmax()) + 1}; every row needs it.")
    if np.abs(time).max() > MAX_TIME:
        raise InputError(f"track {path} has a time of {np.abs(time).max():g} s; time is in seconds from the start.")
    if round(float(time[0]) * FPS) < 0:
        raise InputError(f"track {path} starts at {time[0]:.3f} s; it cannot start before 0.")


def _start_frame(path: str | os.PathLike, time: np.ndarray) -> int:
    _check_times(path, time)
    start = round(float(time[0]) * FPS)
    wrong = np.abs(time - (start + np.arange(len(time))) / FPS) > TIME_TOLERANCE
    if wrong.any():
        row = int(wrong.argmax())
        step = float(np.median(np.diff(time))) if len(time) > 1 else float("nan")
        rate = f"{1 / step:.4g} rows a second" if step > 0 else "times that do not increase"
        raise InputError(
            f"track {path} is not at {FPS} rows a second: row {row + 1} is at {time[row]:.4g} s, where "
            f"{(start + row) / FPS:.4g} s was due (it has {rate}); resample it to a step of {1 / FPS:g} s."
        )
    return start


def track_of(codes: Float[np.ndarray, "T K"], layout: FactorLayout, space: CodeSpace, fingerprint: str) -> MotionTrack:
    """Converts raw codes to a motion track in the record's units; blendshapes come from the linear readout, NaN where
    it explains less than half of the variance."""
    calibrated = codes[:, layout.calibrated] * CALIBRATED_SCALE
    r2 = np.nan_to_num(space.readout_r2, nan=-np.inf)
    expression = np.where(r2 >= READOUT_MIN_R2, space.expression(codes), np.nan)
    columns = dict(zip(CALIBRATED_NAMES, calibrated.T, strict=True)) | dict(zip(ARKIT_NAMES, expression.T, strict=True))
    return MotionTrack(columns=columns, codes=codes, fingerprint=fingerprint)
