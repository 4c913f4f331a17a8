"""One photograph: its face, whether it can be moved, and the layers that its frames are made of."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
from jaxtyping import Float, UInt8

from demo_jax.errors import InputError
from demo_jax.faces.crop import FACES_PER_CROP, crop_matrix
from demo_jax.faces.landmarker import Face, FaceFinder, canonical_face
from demo_jax.faces.obstruction import behind_dark_glasses, mouth_is_covered
from demo_jax.faces.portrait import CLOSED_EYES, MOST_OUTSIDE, MOST_YAW, OTHER_FACE, share_outside
from demo_jax.faces.still import StillFace, measure_still
from demo_jax.media.images import read_image
from demo_jax.rendering.matte import find_mattes
from demo_jax.rendering.photograph import Photograph, make_photograph, measured_face

SCALE = 2  # frames are made at this multiple of the records' size, and reduced
LONGEST = 1600  # pixels to which a photograph is reduced when it is read
SMALLEST = 0.7  # of a face over its width in the crop: smaller ones would be soft
MOST_PITCH = 25.0  # degrees
WIDE_OPEN = 0.3  # aperture, eye spans
ROOM = (0.85, 0.6)  # face widths from the face's centre to a border that cuts the head: sides, top
CROP_MOVES, CROP_ZOOMS = 0.03, 0.05  # crop widths, and logarithm, by which crops differ as those of video do


class LeftOut(Exception):
    """A photograph that cannot be moved; the message says why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Still:
    """A photograph ready to be moved, at SCALE times the records' size.

    face        measured, pixels of the photograph
    photograph  its layers
    crop        [3, 3] pixels of the photograph -> pixels of the record
    original    [3, 3] pixels of the file -> pixels of the record
    expression  [52] ARKit's
    """

    face: StillFace
    photograph: Photograph
    crop: Float[np.ndarray, "3 3"]
    original: Float[np.ndarray, "3 3"]
    expression: Float[np.ndarray, 52]


def read_still(path: str | os.PathLike, find: FaceFinder, size: int, rng: np.random.Generator) -> Still:
    """Reads, measures and cuts a photograph into layers.

    Args:
      path: the image file.
      find: finds the faces.
      size: of the record's frames.
      rng: where the crop lies about the face.

    Raises:
      LeftOut: the photograph shows no face, or one that cannot be moved.
    """
    try:
        image = read_image(path, LONGEST)
    except InputError as error:
        raise LeftOut(str(error).removeprefix(f"{path}").strip(" :").rstrip(".")) from error
    found = _found(image, find)
    face = measure_still(found, canonical_face(find.model))
    if reason := _unfit(face, size):
        raise LeftOut(reason)
    side = FACES_PER_CROP * face.width * np.exp(CROP_ZOOMS * rng.uniform(-1, 1))
    middle = face.centre + side * CROP_MOVES * rng.uniform(-1, 1, 2)
    small, scale = _resized(image, SCALE * size / side)
    moved = dataclasses.replace(face, centre=face.centre * scale, width=float(face.width * np.sqrt(scale.prod())))
    return Still(
        face=moved,
        photograph=_layers(small, moved),
        crop=_crop(middle * scale, side * float(np.sqrt(scale.prod())), size),
        original=_crop(middle, side, size),
        expression=found.expression,
    )


def _found(image: UInt8[np.ndarray, "H W 3"], find: FaceFinder) -> Face:
    faces = find(image) or find.search(image, [])
    if not faces:
        raise LeftOut("no face was found")
    face = faces[0]
    if any(other.width >= OTHER_FACE * face.width for other in faces[1:]):
        raise LeftOut("it shows several faces")
    if share_outside(face, image) > MOST_OUTSIDE:
        raise LeftOut("a part of the face lies outside the photograph")
    if behind_dark_glasses(image, face):
        raise LeftOut("the eyes are behind dark glasses")
    if mouth_is_covered(image, face):
        raise LeftOut("something covers the mouth")
    return face


def _unfit(face: StillFace, size: int) -> str:
    yaw, pitch, _ = np.abs(face.angles)
    if face.width < SMALLEST * size / FACES_PER_CROP:
        return f"the face is only {face.width:.0f} pixels wide"
    if yaw > MOST_YAW or pitch > MOST_PITCH:
        return f"the face is turned by {max(yaw, pitch):.0f} degrees"
    if min(face.gaps) < CLOSED_EYES:
        return "an eye is closed or hidden"
    if face.lips[0] > WIDE_OPEN:
        return "the mouth is wide open"
    return ""


def _resized(image: np.ndarray, scale: float) -> tuple[np.ndarray, Float[np.ndarray, 2]]:
    """The image at about `scale`, and the exact scale across and down."""
    import cv2

    height, width = (max(round(n * scale), 1) for n in image.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, (width, height), interpolation=how), np.array([width, height]) / image.shape[1::-1]


def _layers(image: UInt8[np.ndarray, "H W 3"], face: StillFace) -> Photograph:
    centre = float(face.centre[0]), float(face.centre[1])
    inside = tuple(float(np.clip(c, 0, n)) for c, n in zip(centre, image.shape[1::-1], strict=True))
    person = find_mattes(image, (inside[0], inside[1]), face.width, float(face.angles[2])).person
    photograph = make_photograph(image, person, measured_face(face), face.angles, centre, face.width)
    left, right, top = photograph.scene.face.cut
    if min(-left, right) < ROOM[0] or -top < ROOM[1]:
        raise LeftOut("the photograph's border cuts the head too near to the face")
    return photograph


def _crop(middle: np.ndarray, side: float, size: int) -> Float[np.ndarray, "3 3"]:
    return crop_matrix(middle - side / 2, side, size).astype(np.float32)
