"""Crops a portrait out of a photograph as prepare crops video, so that the model gets its training's view."""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from demo_jax.errors import InputError
from demo_jax.faces.crop import cut, square_crop
from demo_jax.faces.landmarker import Face, FaceFinder, canonical_face
from demo_jax.faces.obstruction import behind_dark_glasses, mouth_is_covered
from demo_jax.faces.still import StillFace, measure_still
from demo_jax.faces.upright import find_upright

SMALLEST_FACE = 32  # pixels from ear to ear
MOST_OUTSIDE = 0.1  # share of the face's box that may lie beyond the borders without a warning
SMALL_FACE = 100  # pixels; a smaller face gives a warning, as do these:
MOST_YAW = 30.0  # degrees
OPEN_MOUTH = 0.25  # aperture, eye spans: more than a smile that shows teeth
CLOSED_EYES = 0.12  # lid gap over the width of the eye
OTHER_FACE = 0.4  # a second face of at least this share of the largest one's width gives a warning


@dataclasses.dataclass(frozen=True, kw_only=True)
class Portrait:
    """A cropped portrait.

    image     uint8 RGB [size, size, 3]
    crop      [3, 3] float32: pixels of the turned image -> crop pixels
    face      measured, in pixels of the turned image
    quarters  quarter turns, counter-clockwise, by which the image was turned first
    warnings  to show to the user
    """

    image: np.ndarray
    crop: np.ndarray
    face: StillFace
    quarters: int = 0
    warnings: tuple[str, ...] = ()


def find_portrait(
    image: np.ndarray, size: int, face_model: str | os.PathLike | None = None, which: int | None = None
) -> Portrait:
    """Turns uint8 RGB [H, W, 3] upright, finds a face, measures it and cuts out the square around it.

    Args:
      image: the photograph.
      size: of the square.
      face_model: a face_landmarker.task other than the installed one.
      which: of several faces, counted from the left from 1; None takes the largest.

    Raises:
      InputError: there is no face, or not as many; it is below 32 pixels; or the `prepare` extra is not installed (with
        the command that installs it).
    """
    with FaceFinder(face_model, most=5) as find:
        image, faces, quarters = find_upright(find, image)
        canonical = canonical_face(find.model)
    if not faces:
        raise InputError("no face was found in the portrait; give an image of one face seen from the front.")
    face, warnings = _chosen(faces, which), []
    if quarters:
        degrees, way = ((90, " counter-clockwise"), (180, ""), (90, " clockwise"))[quarters - 1]
        warnings.append(f"the portrait is not upright; it is turned by {degrees} degrees{way}.")
    others = sum(f.width >= OTHER_FACE * face.width for f in faces[1:])
    if others and which is None:
        place = 1 + sum(f.centre[0] < face.centre[0] for f in faces)
        warnings.append(
            f"the portrait shows {others + 1} faces; the largest is used, number {place} from the left. Choose another "
            "with --face."
        )
    if face.width < SMALLEST_FACE:
        raise InputError(f"the face in the portrait is only {face.width:.0f} pixels wide; give a larger image.")
    if (outside := share_outside(face, image)) > MOST_OUTSIDE:
        warnings.append(
            f"{outside:.0%} of the face lies outside the portrait and is filled in from its edge; give an image of the "
            "whole face."
        )
    still = measure_still(face, canonical)
    warnings += doubts(still)
    warnings += _hidden(image, face)
    crop = square_crop(face.centre[None] * (1, -1), np.array([face.width]), size)
    return Portrait(image=cut(image, crop, size), crop=crop, face=still, quarters=quarters, warnings=tuple(warnings))


def measure_in_square(
    image: np.ndarray, crop: np.ndarray, size: int, face_model: str | os.PathLike | None = None
) -> StillFace:
    """Measures the face in the square that `crop` (image -> pixels of the square of `size`) gives. Raises InputError if
    there is none."""
    side = size / crop[0, 0]
    left, top = -crop[0, 2] / crop[0, 0], -crop[1, 2] / crop[1, 1]
    with FaceFinder(face_model, most=3) as find:
        faces = find.within(image, round(left), round(top), round(side)) or find(image)
        canonical = canonical_face(find.model)
    if not faces:
        raise InputError("no face was found in the portrait; give an image of one face seen from the front.")
    return measure_still(faces[0], canonical)


def _chosen(faces: list[Face], which: int | None) -> Face:
    if which is None:
        return faces[0]
    if which > len(faces):
        raise InputError(f"face {which}: the portrait shows {len(faces)}; they are counted from the left, from 1.")
    return sorted(faces, key=lambda face: float(face.centre[0]))[which - 1]


def _hidden(image: np.ndarray, face: Face) -> list[str]:
    found = []
    if behind_dark_glasses(image, face):
        found.append("the eyes are behind dark glasses; blinks and gaze will show on them. Give an image without.")
    if mouth_is_covered(image, face):
        found.append("something covers the mouth; it will move with the lips. Give an image that shows the mouth.")
    return found


def doubts(face: StillFace) -> list[str]:
    """Warnings of what will go wrong with a portrait, one for each thing."""
    found = []
    if (yaw := abs(float(face.angles[0]))) > MOST_YAW:
        found.append(
            f"the face is turned by {yaw:.0f} degrees; the far side will be smeared. Give a more frontal image."
        )
    if face.lips[0] > OPEN_MOUTH:
        found.append(
            "the mouth is open; it will close, but the lips will look stretched. Give an image with closed lips."
        )
    if min(face.gaps) < CLOSED_EYES:
        found.append("an eye is closed or hidden; it cannot be opened. Give an image with both eyes open.")
    if face.width < SMALL_FACE:
        found.append(f"the face is only {face.width:.0f} pixels wide; it will be soft. Give a larger image.")
    return found


def share_outside(face: Face, image: np.ndarray) -> float:
    """The share (0 to 1) of the face's box, around all its points, that lies beyond the borders of [H, W, 3]."""
    points = face.points[:, :2] * (1, -1)
    low, high = points.min(0), points.max(0)
    inside = np.clip(high, 0, image.shape[1::-1]) - np.clip(low, 0, image.shape[1::-1])
    return float(1 - inside.prod() / (high - low).prod())
