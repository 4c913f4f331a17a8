"""Driving videos, cropped around the face, and the sidecar file beside an image, which says how it is cropped."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from demo_jax.errors import InputError
from demo_jax.media import images, video
from demo_jax.media.text_files import check_flag, parse_json, read_text

SMALLEST_CROP = 16  # pixels


def driving_frames(
    path: str | os.PathLike,
    size: int,
    *,
    face_model: str | os.PathLike | None = None,
    warn: Callable[[str], None] = warnings.warn,
) -> tuple[Iterator[tuple[UInt8[np.ndarray, "S S 3"], bool]], bool]:
    """Returns the frames of a driving video, 25 a second, cropped to one square around the face, with whether the face
    was found in each; and whether it is a person's, as what the face finder finds is taken to be.

    The face is detected, which needs the `prepare` extra; `warn` is called for several faces, cuts and gaps. A square
    video with a sidecar {"cropped": true} is used as it is. Raises InputError.
    """
    if images.is_image(path):
        raise InputError(f"drive {path} is an image, not a video; give a video, or a track (npz) of the same model.")
    if not read_sidecar(path).get("cropped"):
        from demo_jax.faces.driving import face_frames  # the prepare extra

        return face_frames(path, size, face_model, warn), True
    info, frames = video.read_video(path, warn=warn)
    if info.width != info.height:
        raise InputError(f"{path} is {info.width} x {info.height}; a cropped video must be square.")
    return ((resize(frame, size), True) for frame in frames), False


def read_sidecar(portrait: str | os.PathLike) -> dict[str, Any]:
    """Reads NAME.json beside the image NAME.png; {} if there is none. Raises InputError if it is damaged.

    cropped  true: the image is the square crop around the face already
    crop     [left, top, side]: that square, in pixels of the image; it may extend beyond it
    corpus   the corpus that the image comes from, for example "puppet"
    """
    path = Path(portrait).with_suffix(".json")
    if not path.is_file():
        return {}
    name = f"{path}, the sidecar of {portrait},"
    try:
        sidecar = parse_json(read_text(path, name), name)
    except InputError as error:
        raise InputError(f"{str(error).rstrip('.')}; correct or remove it.") from error
    if not isinstance(sidecar, dict):
        raise InputError(f'{name} is not like {{"cropped": true}}; correct or remove it.')
    given = {key: value for key, value in sidecar.items() if value is not None}
    if "cropped" in given:
        check_flag(f"cropped in {path}", given["cropped"])
    return given


def cut_square(
    path: str | os.PathLike, image: UInt8[np.ndarray, "H W 3"], crop: Any
) -> UInt8[np.ndarray, "side side 3"]:
    """Cuts out the square crop = [left, top, side]; beyond the image its edge is repeated.

    `path` is the image's name, for messages. Raises InputError if crop is not such a square.
    """
    height, width = image.shape[:2]
    wrong = f"the sidecar of {path} has crop {crop!r}"
    try:
        left, top, side = (round(value) for value in crop)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{wrong}; it should be [left, top, side] in pixels.") from error
    overlaps = -side < left < width and -side < top < height
    if not (SMALLEST_CROP <= side <= 4 * max(height, width) and overlaps):
        raise InputError(f"{wrong}, which does not lie on its {width} x {height} pixels.")
    rows = np.clip(np.arange(top, top + side), 0, height - 1)
    columns = np.clip(np.arange(left, left + side), 0, width - 1)
    return image[np.ix_(rows, columns)]


def resize(image: UInt8[np.ndarray, "side side 3"], size: int) -> UInt8[np.ndarray, "S S 3"]:
    """Resizes a square image to `size` pixels without aliasing."""
    from PIL import Image

    if image.shape[0] == size:
        return image
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.LANCZOS))
