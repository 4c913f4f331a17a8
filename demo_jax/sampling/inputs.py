"""Portraits and driving videos: finding the face, or cutting where a sidecar beside the file says that it is."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from demo_jax.errors import InputError
from demo_jax.media import images, video
from demo_jax.media.text_files import check_flag, parse_json, read_text

SMALLEST_CROP = 16  # pixels


def read_portrait(
    path: str | os.PathLike,
    size: int,
    corpus: str = "",
    *,
    cropped: bool = False,
    face_model: str | os.PathLike | None = None,
    warn: Callable[[str], None] = warnings.warn,
) -> np.ndarray:
    """A picture file -> the square crop around the face, uint8 RGB [size, size, 3].

    `cropped` says that the picture is such a square already, as does a sidecar beside it: portrait.json with
    {"cropped": true}, or {"crop": [left, top, side]} in pixels. Otherwise the face is searched for, which needs the
    `prepare` extra; `warn` is called if there are several, and if a photograph goes to a model of puppets, whose
    `corpus` is "puppet". Raises InputError.
    """
    image, sidecar = images.read_image(path), read_sidecar(path)
    if corpus == "puppet" and sidecar.get("corpus") != "puppet":
        warn(
            f"{path} is not a puppet, and this model has only ever seen puppets: expect a poor likeness. Train on "
            "real video for photographs (README, Real video)."
        )
    if "crop" in sidecar:
        return resize(cut_square(path, image, sidecar["crop"]), size)
    if cropped or sidecar.get("cropped"):
        height, width = image.shape[:2]
        if height != width:
            raise InputError(f"{path} is {width} x {height}; a cropped portrait must be square.")
        return resize(image, size)
    from demo_jax.faces.portrait import find_portrait  # the prepare extra

    found = find_portrait(image, size, face_model)
    for text in found.warnings:
        warn(text)
    return found.image


def driving_frames(
    path: str | os.PathLike,
    size: int,
    *,
    face_model: str | os.PathLike | None = None,
    warn: Callable[[str], None] = warnings.warn,
) -> Iterator[tuple[np.ndarray, bool]]:
    """The frames of a driving video, 25 a second: one square around the face in all of them, uint8 [size, size, 3], and
    whether the face was found in each.

    The face is searched for, which needs the `prepare` extra, and `warn` is called for what is doubtful about it; a
    sidecar beside the video that says {"cropped": true} leaves a square video as it is. Raises InputError.
    """
    if images.is_image(path):
        raise InputError(f"drive {path} is an image, not a video; give a video, or a track (npz) of the same model.")
    if not read_sidecar(path).get("cropped"):
        from demo_jax.faces.driving import face_frames  # the prepare extra

        return face_frames(path, size, face_model, warn)
    info, frames = video.read_video(path, warn=warn)
    if info.width != info.height:
        raise InputError(f"{path} is {info.width} x {info.height}; a cropped video must be square.")
    return ((resize(frame, size), True) for frame in frames)


def read_sidecar(portrait: str | os.PathLike) -> dict[str, Any]:
    """NAME.json beside the picture NAME.png, or {} if there is none. Raises InputError if it is damaged.

    cropped  true: the picture is the square crop around the face already
    crop     [left, top, side]: that square, in pixels of the picture; it may reach beyond it
    corpus   the corpus that the picture comes from, for example "puppet"
    """
    path = Path(portrait).with_suffix(".json")
    if not path.is_file():
        return {}
    name = f"{path}, the sidecar of {portrait},"
    try:
        sidecar = parse_json(read_text(path, name), name)
    except InputError as error:
        raise InputError(f"{str(error).rstrip('.')}; mend or remove it.") from error
    if not isinstance(sidecar, dict):
        raise InputError(f'{name} is not like {{"cropped": true}}; mend or remove it.')
    given = {key: value for key, value in sidecar.items() if value is not None}
    if "cropped" in given:
        check_flag(f"cropped in {path}", given["cropped"])
    return given


def cut_square(path: str | os.PathLike, image: np.ndarray, crop: Any) -> np.ndarray:
    """The square crop = [left, top, side] of uint8 [H, W, 3]; beyond the picture its edge is repeated.

    `path` is the picture's name, for the messages. Raises InputError if crop is no such square.
    """
    height, width = image.shape[:2]
    wrong = f"the sidecar of {path} has crop {crop!r}"
    try:
        left, top, side = (round(value) for value in crop)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{wrong}; it should be [left, top, side] in pixels.") from error
    on_picture = -side < left < width and -side < top < height
    if not (SMALLEST_CROP <= side <= 4 * max(height, width) and on_picture):
        raise InputError(f"{wrong}, which does not lie on its {width} x {height} pixels.")
    rows = np.clip(np.arange(top, top + side), 0, height - 1)
    columns = np.clip(np.arange(left, left + side), 0, width - 1)
    return image[np.ix_(rows, columns)]


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Square uint8 [S, S, 3] -> [size, size, 3], without aliasing."""
    from PIL import Image

    if image.shape[0] == size:
        return image
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.LANCZOS))
