"""The face in a driving video, cut the way prepare cuts a clip: what a motion encoder was trained to see."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from data_pipelines.extraction.crop import cut, square_crop
from data_pipelines.extraction.face import FaceFinder
from data_pipelines.extraction.video import scan_video
from data_pipelines.media import read_video
from demo_jax.typing import InputError

LEAST_FOUND = 0.5  # of the frames must show the face; between those, nothing is read from its place


def face_frames(
    path: str | os.PathLike, size: int, face_model: str | os.PathLike | None = None
) -> Iterator[np.ndarray]:
    """The one fixed square around the face of a video, frame by frame at 25 a second, uint8 RGB [size, size, 3].

    The video is decoded twice, first to find the face. Raises InputError if it cannot be read, if fewer than half of
    its frames show a face, or if the `prepare` extra is not installed (it says what to install).
    """
    with FaceFinder(face_model) as finder:
        scan = scan_video(path, finder)
    if scan.found.mean() < LEAST_FOUND:
        raise InputError(
            f"{path}: a face was found in {scan.found.mean():.0%} of its frames; give a video of one face."
        )
    ears = scan.points[scan.found][:, (127, 356)].astype(np.float64)
    centre = ears.mean(1)[:, :2] * (1, -1)  # found with y up
    crop = square_crop(centre, np.linalg.norm(ears[:, 0] - ears[:, 1], axis=-1), size)
    for frame in read_video(path)[1]:
        yield cut(frame, crop, size)
