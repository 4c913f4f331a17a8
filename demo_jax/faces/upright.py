"""Finds the orientation of a photograph: phones write it into EXIF, and messengers drop it.

The landmarker is no help: it finds upright faces in images that are upside down. The score of the detector in the same
model file does help. Of 400 portraits, each in all four orientations, the landmarker found a face in 1,334 images; all
of these were turned correctly, and none that was upright already was turned.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from demo_jax.faces.landmarker import DETECTOR, Face, FaceFinder, canonical_face, loading, quiet
from demo_jax.faces.measures import fit_rigid
from demo_jax.factors import euler_angles

MARGIN = 0.01  # by which the score of a turned image must exceed that of the image as it is
MOST_ROLL = 45.0  # degrees: a face that leans further is nearer to upright in another orientation
SURROUNDINGS = 3.0  # side of the square given to the detector, in face widths
LEAST_SCORE = 0.2
ORDER = (0, 2, 1, 3)  # a face that is not found in the image as it is, is more often upside down than sideways


def find_upright(find: FaceFinder, image: np.ndarray) -> tuple[np.ndarray, list[Face], int]:
    """Turns uint8 RGB [H, W, 3] by quarters so that the largest face is upright.

    Returns:
      The turned image, the faces in it, largest first (none if no orientation shows one), and the number of
      counter-clockwise quarter turns.
    """
    for quarters in ORDER:
        turned = _rotated(image, quarters)
        if faces := find.search(turned, find(turned)):
            break
    else:
        return image, [], 0
    if more := _quarters_to_upright(find, _surroundings(turned, faces[0])):
        again = _rotated(turned, more)
        if found := find.search(again, find(again)):
            return again, found, (quarters + more) % 4
    return turned, faces, quarters


def _quarters_to_upright(find: FaceFinder, image: np.ndarray) -> int:
    """The number of counter-clockwise quarter turns that make the face in uint8 RGB [H, W, 3] upright."""
    turned = [_rotated(image, quarters) for quarters in range(4)]
    rolls = [_roll(find, image) for image in turned]
    scores = [s if roll <= MOST_ROLL else 0.0 for s, roll in zip(_scores(find.model, turned), rolls, strict=True)]
    best = int(np.argmax(scores))
    return best if scores[best] > scores[0] + MARGIN else 0


def _roll(find: FaceFinder, image: np.ndarray) -> float:
    """The largest face's roll to either side, degrees; infinite if there is no face."""
    if not (faces := find(image)):
        return np.inf
    _, rotation, _ = fit_rigid(faces[0].points[None], canonical_face(find.model))
    return abs(float(euler_angles(rotation)[0, 2]))


def _scores(model: Path, images: list[np.ndarray]) -> list[float]:
    """The detector's highest score, 0 to 1, in each image."""
    with loading():
        import mediapipe
        from mediapipe.tasks.python import vision
        from mediapipe.tasks.python.core.base_options import BaseOptions
    with zipfile.ZipFile(model) as archive:
        data = archive.read(DETECTOR)
    options = vision.FaceDetectorOptions(
        base_options=BaseOptions(model_asset_buffer=data), min_detection_confidence=LEAST_SCORE
    )
    with quiet(), vision.FaceDetector.create_from_options(options) as detector:
        found = [detector.detect(mediapipe.Image(mediapipe.ImageFormat.SRGB, image)).detections for image in images]
    return [max((d.categories[0].score for d in detections), default=0.0) for detections in found]


def _surroundings(image: np.ndarray, face: Face) -> np.ndarray:
    """The square around the face, cut off at the image's borders."""
    half = SURROUNDINGS / 2 * face.width
    (x0, y0), (x1, y1) = (np.round(face.centre * (1, -1) + offset).astype(int) for offset in (-half, half))
    return image[max(y0, 0) : y1, max(x0, 0) : x1]


def _rotated(image: np.ndarray, quarters: int) -> np.ndarray:
    return np.ascontiguousarray(np.rot90(image, quarters))
