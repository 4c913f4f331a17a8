"""Crops a portrait out of a photograph as prepare crops video, so that the model gets its training's view."""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from demo_jax.errors import InputError
from demo_jax.faces.crop import cut, square_crop
from demo_jax.faces.landmarker import Face, FaceFinder
from demo_jax.faces.upright import find_upright

SMALLEST_FACE = 32  # pixels from ear to ear
MOST_OUTSIDE = 0.1  # share of the face's box that may lie beyond the borders without a warning
OTHER_FACE = 0.4  # a second face of at least this share of the largest one's width gives a warning


@dataclasses.dataclass(frozen=True, kw_only=True)
class Portrait:
    """A cropped portrait.

    image     uint8 RGB [size, size, 3]
    crop      [3, 3] float32: pixels of the turned image -> crop pixels
    quarters  quarter turns, counter-clockwise, by which the image was turned first
    warnings  to show to the user
    """

    image: np.ndarray
    crop: np.ndarray
    quarters: int = 0
    warnings: tuple[str, ...] = ()


def find_portrait(image: np.ndarray, size: int, face_model: str | os.PathLike | None = None) -> Portrait:
    """Turns uint8 RGB [H, W, 3] upright, finds the largest face and cuts out the square around it. Raises InputError if
    there is no face, if it is below 32 pixels, or if the `prepare` extra is not installed (with the command that
    installs it)."""
    with FaceFinder(face_model, most=5) as find:
        image, faces, quarters = find_upright(find, image)
    if not faces:
        raise InputError("no face was found in the portrait; give an image of one face seen from the front.")
    face, warnings = faces[0], []
    if quarters:
        degrees, way = ((90, " counter-clockwise"), (180, ""), (90, " clockwise"))[quarters - 1]
        warnings.append(f"the portrait is not upright; it is turned by {degrees} degrees{way}.")
    others = sum(f.width >= OTHER_FACE * face.width for f in faces[1:])
    if others:
        warnings.append(f"the portrait shows {others + 1} faces; the largest is used.")
    if face.width < SMALLEST_FACE:
        raise InputError(f"the face in the portrait is only {face.width:.0f} pixels wide; give a larger image.")
    if (outside := share_outside(face, image)) > MOST_OUTSIDE:
        warnings.append(
            f"{outside:.0%} of the face lies outside the portrait and is filled in from its edge; give an image of the "
            "whole face."
        )
    crop = square_crop(face.centre[None] * (1, -1), np.array([face.width]), size)
    return Portrait(image=cut(image, crop, size), crop=crop, quarters=quarters, warnings=tuple(warnings))


def share_outside(face: Face, image: np.ndarray) -> float:
    """The share (0 to 1) of the face's box, around all its points, that lies beyond the borders of [H, W, 3]."""
    points = face.points[:, :2] * (1, -1)
    low, high = points.min(0), points.max(0)
    inside = np.clip(high, 0, image.shape[1::-1]) - np.clip(low, 0, image.shape[1::-1])
    return float(1 - inside.prod() / (high - low).prod())
