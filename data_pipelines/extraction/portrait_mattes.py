"""Photographs with labels for `train_matte`: where the face is, where the chin, and which pixels are the person's."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from data_pipelines.extraction.segmenter import Segmenter
from demo_jax.errors import InputError
from demo_jax.faces.landmarker import FaceFinder, canonical_face
from demo_jax.faces.measures import measure
from demo_jax.media.images import read_image

FACE_WIDTH = 48.0  # px: larger photographs are reduced to it, which is still more than the network sees
CHIN = 152  # of MediaPipe's points
SPLITS = ("train", "val", "test")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelledPortrait:
    """A photograph, the person in it, and where the head is. Pixels: x right, y down, centres at +0.5."""

    name: str
    source: str  # the first part of the file's name: one publisher each
    split: str
    image: UInt8[np.ndarray, "H W 3"]
    person: UInt8[np.ndarray, "H W"]  # 255: person
    centre: tuple[float, float]  # between the ears
    face_width: float
    roll: float  # degrees, positive: the head's top to image left
    chin: float  # face widths below the centre, in the head's axes


def read_portraits(folders: Sequence[Path], splits: Path, segmenter: Path) -> list[LabelledPortrait]:
    """Reads and labels the photographs of the folders that `splits` (folder, file, person, split) lists.

    Photographs without exactly the one face of a portrait are left out. Raises InputError if none is left.
    """
    listed = _listed(folders, splits)
    found = []
    with Segmenter(segmenter) as segment, FaceFinder(most=1) as find:
        for path, split in tqdm(listed, desc="labelling", unit="photograph"):
            if (portrait := _labelled(path, split, segment, find)) is not None:
                found.append(portrait)
    if not found:
        raise InputError(f"none of the photographs that {splits} lists shows a face; check --portraits.")
    return found


def _listed(folders: Sequence[Path], splits: Path) -> list[tuple[Path, str]]:
    """The files of the folders with their split."""
    if not splits.is_file():
        raise InputError(f"{splits} does not exist; name a CSV with the columns folder, file, person and split.")
    by_name = {folder.resolve().name: folder for folder in folders}
    with splits.open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row.get("folder") in by_name]
    if not rows or not {"file", "split"} <= rows[0].keys():
        raise InputError(
            f"{splits} lists no file of {', '.join(by_name)}; it needs the columns folder, file and split."
        )
    return [(by_name[row["folder"]] / row["file"], row["split"]) for row in rows if row["split"] in SPLITS]


def _labelled(path: Path, split: str, segment: Segmenter, find: FaceFinder) -> LabelledPortrait | None:
    image = read_image(path)
    if not (faces := find(image)):
        return None
    person = segment(image)
    face = faces[0]
    measured = measure(face.points[None], face.expression[None], np.ones(1, bool), canonical_face(find.model))
    (x, y), width, roll = measured.centre[0], float(measured.face_width[0]), float(measured.angles[0, 2])
    scale = min(FACE_WIDTH / width, 1.0)
    if scale < 1:
        image, person = _resized(image, scale), _resized(person, scale)
    down = np.array([np.sin(np.deg2rad(roll)), np.cos(np.deg2rad(roll))])
    chin = (face.points[CHIN, :2] * (1, -1) - (x, y)) @ down / width
    return LabelledPortrait(
        name=path.name,
        source=path.name.split("__")[0],
        split=split,
        image=image,
        person=np.round(person * 255).astype(np.uint8),
        centre=(float(x) * scale, float(y) * scale),
        face_width=width * scale,
        roll=roll,
        chin=float(chin),
    )


def _resized(values: np.ndarray, scale: float) -> np.ndarray:
    import cv2

    size = [max(round(side * scale), 1) for side in values.shape[1::-1]]
    return cv2.resize(values, size, interpolation=cv2.INTER_AREA)
