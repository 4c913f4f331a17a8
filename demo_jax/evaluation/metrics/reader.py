"""The one reader of every figure on photographs: face measurements of frames, without a checkpoint.

MediaPipe's landmarker (the `prepare` extra) finds the face; `faces.measures` measures it, as it measures corpora and
portraits. Each frame is read on its own. Nothing is smoothed: smoothing would hide flicker, take depth from blinks and
make the first frame depend on the later ones, and a reading of independent images would not compare with one of a
video. What it costs is the landmarker's noise: on one sharp photograph, shifted by up to 4 pixels and compressed, 0.3
degrees of yaw, 0.4 of pitch, 0.2 of roll, 0.8 of gaze, 0.009 of lid gaps and 0.002 of the aperture (standard
deviations, 60 images). The reader's own slope, by `control.precision` on images whose truth is known, belongs beside
every figure that is read. A shut eye reads 0.02 to 0.04 of its width, so that no blink closes to less than about 0.08
of the gap at rest.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable

import numpy as np

from demo_jax.faces.landmarker import Face, FaceFinder, canonical_face
from demo_jax.faces.measures import measure_each
from demo_jax.media.video import read_video

# What figures are named after, in the order of `Readings.table`.
READ_NAMES = ("yaw", "pitch", "roll", "gaze_yaw", "gaze_pitch", "lid_left", "lid_right", "aperture", "width")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Readings:
    """Readings of T frames; NaN where no face was found. Angles and conventions as in `demo_jax.factors`.

    yaw, pitch, roll      [T] degrees
    centre                [T, 2] face centre, pixels, x right, y down
    face_width            [T] pixels, in front of the ears
    gaze_yaw, gaze_pitch  [T] degrees in the head; NaN too where the lids hide the irises
    lid_left, lid_right   [T] lid gap over the distance of the eye's corners: absolute, about 0.3 at rest
    aperture, width       [T] inner-lip gap and mouth-corner distance over the eye span
    landmarks             [T, 68, 2] pixels, centres at +0.5
    """

    yaw: np.ndarray
    pitch: np.ndarray
    roll: np.ndarray
    centre: np.ndarray
    face_width: np.ndarray
    gaze_yaw: np.ndarray
    gaze_pitch: np.ndarray
    lid_left: np.ndarray
    lid_right: np.ndarray
    aperture: np.ndarray
    width: np.ndarray
    landmarks: np.ndarray

    @property
    def found(self) -> np.ndarray:
        """[T] bool: whether the frame shows a face."""
        return np.isfinite(self.yaw)

    @property
    def lid(self) -> np.ndarray:
        """[T] mean lid gap of both eyes."""
        return (self.lid_left + self.lid_right) / 2

    @property
    def table(self) -> np.ndarray:
        """[T, 9] the columns READ_NAMES."""
        return np.stack([getattr(self, name) for name in READ_NAMES], -1)

    def head(self, t: int) -> tuple[np.ndarray, np.ndarray, float]:
        """Returns yaw, pitch, roll [3], face centre [2] and face width of one frame."""
        return np.array([self.yaw[t], self.pitch[t], self.roll[t]]), self.centre[t], float(self.face_width[t])


def read_faces(
    frames: Iterable[np.ndarray] | str | os.PathLike, finder: FaceFinder, near: tuple[float, float] | None = None
) -> Readings:
    """Reads uint8 RGB frames [H, W, 3], or those of a video file (at 25 a second), each on its own.

    Args:
      frames: an array [T, H, W, 3], any iterable of images (their sizes may differ), or the path of a video.
      finder: reusable; it needs `most` above 1 where frames show several people.
      near: the face nearest to this point (x right, y down, pixels) is read; without it the largest.

    Raises:
      InputError: if a path is no readable video.
    """
    images = read_video(frames)[1] if isinstance(frames, str | os.PathLike) else frames
    points = [_points(image, finder, near) for image in images]
    return measured(np.stack(points) if points else np.zeros((0, 478, 3)), canonical_face(finder.model))


def measured(points: np.ndarray, canonical: np.ndarray) -> Readings:
    """Returns the readings of landmarks [T, 478, 3] (axes of `faces.landmarker`, NaN without a face)."""
    found = measure_each(points, canonical)
    columns = np.concatenate([found.angles, found.gaze, found.lids, found.lips], -1)
    return Readings(
        **dict(zip(READ_NAMES, columns.T, strict=True)),
        centre=found.centre,
        face_width=found.face_width,
        landmarks=found.landmarks,
    )


def _points(image: np.ndarray, finder: FaceFinder, near: tuple[float, float] | None) -> np.ndarray:
    """[478, 3] of the face, NaN if there is none. A face that is small in its image is searched for thoroughly."""
    faces = finder(image) or finder.search(image, [])
    if not faces:
        return np.full((478, 3), np.nan)
    return _chosen(faces, near).points


def _chosen(faces: list[Face], near: tuple[float, float] | None) -> Face:
    if near is None:
        return faces[0]
    at = np.array([near[0], -near[1]])  # the landmarker's y is up
    return min(faces, key=lambda face: float(np.linalg.norm(face.centre - at)))
