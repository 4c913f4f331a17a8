"""Cutting a portrait out of a photograph the way prepare cuts video, so that a model sees what it was trained on."""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from data_pipelines.extraction.crop import cut, square_crop
from data_pipelines.extraction.face import FaceFinder
from demo_jax.typing import InputError

SMALLEST_FACE = 32  # pixels from ear to ear
OTHER_FACE = 0.4  # a second face at least this share of the largest is worth a word


@dataclasses.dataclass(frozen=True, kw_only=True)
class Portrait:
    """`image` uint8 RGB [size, size, 3]; `crop` [3, 3] float32, picture pixels -> crop pixels; `warnings` to show."""

    image: np.ndarray
    crop: np.ndarray
    warnings: tuple[str, ...] = ()


def find_portrait(image: np.ndarray, size: int, face_model: str | os.PathLike | None = None) -> Portrait:
    """Finds the largest face in uint8 RGB [H, W, 3] and cuts the square around it. Raises InputError if there is no
    face, if it is below 32 pixels, or if the `prepare` extra is not installed (it says what to install)."""
    with FaceFinder(face_model, most=5) as find:
        faces = find.search(image, find(image))
    if not faces:
        raise InputError("no face was found in the portrait; give a picture of one face seen from the front.")
    face, warnings = faces[0], []
    others = sum(f.width >= OTHER_FACE * face.width for f in faces[1:])
    if others:
        warnings.append(f"the portrait shows {others + 1} faces; the largest is used.")
    if face.width < SMALLEST_FACE:
        raise InputError(f"the face in the portrait is only {face.width:.0f} pixels wide; give a larger picture.")
    crop = square_crop(face.centre[None] * (1, -1), np.array([face.width]), size)
    return Portrait(image=cut(image, crop, size), crop=crop, warnings=tuple(warnings))
