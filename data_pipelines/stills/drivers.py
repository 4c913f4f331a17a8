"""Expressions of real people: how far the 68 landmarks of a speaker are displaced from the speaker's own rest.

They come from clip records, which hold landmarks in the image and the pose: the landmarks are taken to the head's axes,
with the depth of the mean face, because a record holds none. So speakers should be seen nearly from the front.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import simplejpeg
from jaxtyping import Float, Float32

from data_pipelines.records.catalog import speech_clips, splits_of
from data_pipelines.records.schema import ClipRecord
from demo_jax.errors import InputError
from demo_jax.factors import rotation_matrix
from demo_jax.media.files import write_atomically

CERTAIN = 0.5  # confidence of frames that count
MOST_TURNED = 12.0  # degrees from the clip's median, and
MOST_YAW = 25.0  # degrees: further, the unknown depth of a face matters
RESTING = 0.25  # share of a clip's frames, those with the lips nearest to each other, that are its rest
FEWEST = 8  # frames of a clip
# Landmarks that no expression moves, so that what they seem to do is an error of the pose.
_RIGID = (27, 28, 29, 30, 36, 39, 42, 45)
MOVING = np.r_[4:13, 17:27, 31:36, 48:68]  # jaw, brows, nostrils and lips
LIPS_AND_JAW = np.r_[4:13, 31:36, 48:68]
_CORNERS = (48, 54)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drivers:
    """Frames of speakers, one row each; the frames of a clip follow each other.

    displacement  from the clip's rest, across and up in the head's axes, face widths
    aperture      of the lips, eye spans
    pucker        above the clip's rest
    expression    ARKit's 52 above the clip's rest; NaN where not measured
    mouth_width   of the clip at rest, face widths
    clip          number of the clip
    """

    displacement: Float32[np.ndarray, "N 68 2"]
    aperture: Float32[np.ndarray, " N"]
    pucker: Float32[np.ndarray, " N"]
    expression: Float32[np.ndarray, "N 52"]
    mouth_width: Float32[np.ndarray, " N"]
    clip: np.ndarray

    @property
    def clips(self) -> int:
        """Their number."""
        return int(self.clip[-1]) + 1

    def frames_of(self, clip: int) -> np.ndarray:
        """The rows of a clip."""
        return np.flatnonzero(self.clip == clip)

    def packed(self) -> bytes:
        """The bytes of the npz file that `load` reads."""
        buffer = io.BytesIO()
        np.savez(buffer, **dataclasses.asdict(self))
        return buffer.getvalue()

    def checksum(self) -> str:
        """SHA-256 of the arrays, in hexadecimal."""
        digest = hashlib.sha256()
        for field in dataclasses.fields(self):
            digest.update(np.ascontiguousarray(getattr(self, field.name)).tobytes())
        return digest.hexdigest()

    def save(self, path: Path) -> Path:
        """Writes them for the worker processes."""
        return write_atomically(path, self.packed())


def load(path: str | os.PathLike) -> Drivers:
    """Reads what `Drivers.save` wrote."""
    with np.load(path, allow_pickle=False) as file:
        return Drivers(**{name: file[name] for name in file.files})


def read_drivers(folder: str | os.PathLike, split: str) -> Drivers:
    """Reads the clips of a split of clip records, without paired groups and probes.

    Raises:
      InputError: there are no records, or none of them can be used.
    """
    if split not in splits_of(folder):
        raise InputError(
            f"--drivers {folder} has no split {split!r}; it has {', '.join(splits_of(folder))}. Name one with "
            "--driver-split."
        )
    rows: list[Drivers] = []
    for records in speech_clips(folder, split):
        if (found := _of_clip(records)) is not None:
            rows.append(dataclasses.replace(found, clip=np.full(len(found.aperture), len(rows), np.int32)))
    if not rows:
        raise InputError(
            f"--drivers {folder}: no clip of its split {split!r} has {FEWEST} frames of a face seen from the front; "
            "give records of people who speak to the camera."
        )
    fields = [f.name for f in dataclasses.fields(Drivers)]
    return Drivers(**{name: np.concatenate([getattr(row, name) for row in rows]) for name in fields})


def _of_clip(records: Sequence[ClipRecord]) -> Drivers | None:
    local = np.concatenate([in_head_axes(record) for record in records])
    pose, lips, expression, confidence = (
        np.concatenate([getattr(record, name) for record in records])
        for name in ("pose", "lips", "expression", "confidence")
    )
    angles = pose[:, :3]
    near = np.abs(angles - np.median(angles, 0)).max(1) < MOST_TURNED
    good = (confidence > CERTAIN) & near & (np.abs(angles[:, 0]) < MOST_YAW)
    if good.sum() < FEWEST:
        return None
    local, lips, expression = local[good], lips[good], expression[good]
    resting = lips[:, 0] <= np.quantile(lips[:, 0], RESTING)
    rest = np.median(local[resting], 0)
    away = local - rest
    away -= away[:, _RIGID].mean(1, keepdims=True)
    displacement = np.zeros_like(away)
    displacement[:, MOVING] = away[:, MOVING]
    return Drivers(
        displacement=displacement.astype(np.float32),
        aperture=lips[:, 0],
        pucker=lips[:, 2] - np.median(lips[resting, 2]),
        expression=(expression - np.median(expression[resting], 0)).astype(np.float32),
        mouth_width=np.full(len(local), np.linalg.norm(rest[_CORNERS[0]] - rest[_CORNERS[1]]), np.float32),
        clip=np.zeros(len(local), np.int32),
    )


def in_head_axes(record: ClipRecord) -> Float[np.ndarray, "T 68 2"]:
    """The landmarks of a record across and up in the head's axes, face widths from the face's centre.

    Their depth is the mean face's.
    """
    from demo_jax.models.geometry.landmarks import mean_face

    size = simplejpeg.decode_jpeg_header(record.frames[0])[0]
    turn = rotation_matrix(*record.pose[:, :3].T)
    centre = (record.pose[:, None, 3:5] * (1, -1) + 0.5) * size
    seen = (record.landmarks - centre) * (1, -1) * (np.exp(record.pose[:, None, 5:]) / size)
    ahead = turn[:, None, :2, 2] * mean_face()[None, :, 2:]
    return np.linalg.solve(turn[:, None, :2, :2], (seen - ahead)[..., None])[..., 0]
