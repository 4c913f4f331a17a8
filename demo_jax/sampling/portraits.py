"""Portraits: reading one, and what is made of it once before its frames: a square for the networks, and a photograph in
its own size and surroundings where there is more to show than the square."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Array, Float, PyTree, UInt8

from demo_jax.errors import InputError
from demo_jax.faces.crop import crop_matrix
from demo_jax.media import images
from demo_jax.media.background import Background
from demo_jax.media.files import check_input
from demo_jax.media.resize import fitted_size, resize_to
from demo_jax.rendering.photograph import Photograph
from demo_jax.sampling.inputs import cut_square, read_sidecar, resize

if TYPE_CHECKING:
    from demo_jax.faces.still import StillFace

LONGER, SHORTER = 1920, 1080  # pixels of a video's sides, unless a size is given
MAX_SIZE = 2160
READ_SIDE = 3 * MAX_SIZE  # pixels: photographs are reduced to this longer side while they are read


@dataclasses.dataclass(frozen=True, kw_only=True)
class View:
    """What of a photograph is shown. Raises InputError for impossible values.

    size        longer side of the video, pixels; None: the photograph's, at most 1,920 by 1,080
    square      only the square around the face
    background  another background, or none
    face        which of several faces, counted from the left from 1; None: the largest
    """

    size: int | None = None
    square: bool = False
    background: Background | None = None
    face: int | None = None

    def __post_init__(self) -> None:
        if self.size is not None and not images.MIN_IMAGE_SIDE <= self.size <= MAX_SIZE:
            raise InputError(
                f"size {self.size}: the longer side of a video has {images.MIN_IMAGE_SIDE} to {MAX_SIZE} pixels."
            )
        if self.face is not None and self.face < 1:
            raise InputError(f"face {self.face}: faces are counted from 1, from the left.")

    def fit(self, height: int, width: int) -> tuple[int, int]:
        """The size (height, width) of the video of an image: never enlarged."""
        if self.size is not None:
            return fitted_size(height, width, self.size)
        scale = min(1.0, LONGER / max(height, width), SHORTER / min(height, width))
        return (height, width) if scale == 1 else fitted_size(height, width, round(max(height, width) * scale))


WHOLE = View()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Portrait:
    """A portrait that was read.

    square      what the networks see
    image       the photograph, RGB or RGBA, at the size of the video; None: the video is the decoder's square
    crop        image -> pixels of the square
    face        measured in the image; None: the network reads it
    background  another background
    """

    square: UInt8[np.ndarray, "S S 3"]
    image: UInt8[np.ndarray, "H W _"] | None = None
    crop: Float[np.ndarray, "3 3"] | None = None
    face: StillFace | None = None
    background: Background | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A portrait as frames are made of it.

    pyramid     features for the decoder
    code        raw
    size        height and width of the frames
    photograph  None: frames are the decoder's squares
    alpha       whether frames are RGBA
    """

    pyramid: PyTree
    code: Float[Array, " K"]
    size: tuple[int, int]
    photograph: Photograph | None = None
    alpha: bool = False


def read_portrait(
    path: str | os.PathLike,
    size: int,
    corpus: str = "",
    *,
    cropped: bool = False,
    view: View = WHOLE,
    face_model: str | os.PathLike | None = None,
    warn: Callable[[str], None] = warnings.warn,
) -> Portrait:
    """Reads an image file.

    A sidecar file beside the image may give the square around the face (`inputs.read_sidecar`). Otherwise the face is
    found, which needs the `prepare` extra. The video of a puppet, and of an image that is a square of no more pixels
    than the decoder draws, is the decoder's own.

    Args:
      path: the image.
      size: S.
      corpus: the model's training corpus.
      cropped: the image is the square around the face already.
      view: what is shown.
      face_model: a face_landmarker.task other than the installed one.
      warn: called with each warning, such as several faces.

    Raises:
      InputError: the image or its sidecar cannot be used, or it shows no face.
    """
    check_input(path)  # an image that is missing is named before its sidecar
    sidecar = read_sidecar(path)
    whole = images.read_image_with_alpha(path, None if "crop" in sidecar else READ_SIDE)  # a crop is in its pixels
    plain = over_white(whole)
    puppet = sidecar.get("corpus") == "puppet"
    cropped = bool(cropped or sidecar.get("cropped"))
    height, width = plain.shape[:2]
    if cropped and height != width:
        raise InputError(f"{path} is {width} x {height}; a cropped portrait must be square.")
    if view.face is not None and (cropped or "crop" in sidecar):
        raise InputError(f"face {view.face}: the square around the face of {path} is given; leave --face out.")
    if "crop" in sidecar:
        square = resize(cut_square(path, plain, sidecar["crop"]), size)
        left, top, side = (float(value) for value in sidecar["crop"])
    elif cropped:
        square, (left, top, side) = resize(plain, size), (0.0, 0.0, float(width))
    else:
        return _found(plain, whole, size, view, face_model, warn)
    if puppet or (cropped and side <= size):
        _refuse_view(view, path)
        if corpus == "puppet" and not puppet:
            warn(
                f"{path} is not a puppet, and has no more than the {size} pixels that this model draws, which was "
                "trained on puppets only: expect a poor likeness. Give a larger photograph."
            )
        return Portrait(square=square)
    crop = crop_matrix((left, top), side, size)
    return _shown(whole, square, crop, _measured(plain, crop, size, face_model, warn), view)


def _found(
    plain: np.ndarray,
    whole: np.ndarray,
    size: int,
    view: View,
    face_model: str | os.PathLike | None,
    warn: Callable[[str], None],
) -> Portrait:
    from demo_jax.faces.portrait import find_portrait  # the prepare extra

    found = find_portrait(plain, size, face_model, view.face)
    for text in found.warnings:
        warn(text)
    return _shown(np.rot90(whole, found.quarters), found.image, found.crop, found.face, view)


def _measured(
    plain: np.ndarray, crop: np.ndarray, size: int, face_model: str | os.PathLike | None, warn: Callable[[str], None]
) -> StillFace | None:
    """The face in a square that is given, if it can be measured there."""
    from demo_jax.faces.landmarker import find_model
    from demo_jax.faces.portrait import measure_in_square

    if face_model is not None:
        find_model(face_model)
    try:
        return measure_in_square(plain, crop, size, face_model)
    except InputError as error:
        warn(f"the network alone reads the face, so that pose, lids and lips are less exact: {error}")
        return None


def _shown(whole: np.ndarray, square: np.ndarray, crop: np.ndarray, face: StillFace | None, view: View) -> Portrait:
    """The portrait at the size of the video."""
    if view.square:
        whole, crop, face = _cut_to_square(whole, crop, len(square), face)
    height, width = view.fit(*whole.shape[:2])
    scale = height / whole.shape[0], width / whole.shape[1]
    image = resize_to(np.ascontiguousarray(whole), (height, width))
    crop = crop @ np.diag([1 / scale[1], 1 / scale[0], 1])
    if face is not None:
        face = face.scaled(scale[1])
    opaque = image.shape[2] == 4 and bool((image[..., 3] == 255).all())
    return Portrait(
        square=square,
        image=np.ascontiguousarray(image[..., :3]) if opaque else image,
        crop=crop,
        face=face,
        background=view.background,
    )


def _cut_to_square(
    whole: np.ndarray, crop: np.ndarray, size: int, face: StillFace | None
) -> tuple[np.ndarray, np.ndarray, StillFace | None]:
    """Cuts the largest square around the face that lies within the image."""
    height, width = whole.shape[:2]
    side = min(round(size / crop[0, 0]), height, width)
    middle = (size / 2 - crop[:2, 2]) / crop[0, 0]
    left, top = (int(np.clip(round(m - side / 2), 0, n - side)) for m, n in zip(middle, (width, height), strict=True))
    crop = crop @ np.array([[1, 0, left], [0, 1, top], [0, 0, 1]], np.float64)
    return whole[top : top + side, left : left + side], crop, face and face.shifted(-left, -top)


def _refuse_view(view: View, path: str | os.PathLike) -> None:
    if view != dataclasses.replace(WHOLE, square=view.square):
        raise InputError(
            f"{path} is a square of the model's own size or a puppet: its video is the decoder's square, so that size, "
            "background and face cannot be chosen; leave them out, or give a photograph."
        )


def over_white(image: UInt8[np.ndarray, "H W 4"]) -> UInt8[np.ndarray, "H W 3"]:
    """Removes straight alpha."""
    opacity = image[..., 3:]
    if (opacity == 255).all():
        return np.ascontiguousarray(image[..., :3])
    share = opacity.astype(np.float32) / 255
    return np.round(share * image[..., :3] + (1 - share) * 255).astype(np.uint8)


def as_array(portrait: Any) -> np.ndarray:
    """The square of a portrait, or of an array that is one."""
    return portrait.square if isinstance(portrait, Portrait) else portrait
