"""A drawn portrait whose face, matte and background are known: the mean face's landmarks, a head and a torso."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from demo_jax.factors import CALIBRATED_NAMES, CALIBRATED_SCALE, FactorLayout
from demo_jax.models.geometry.landmarks import EYE_CORNERS, mean_face
from demo_jax.rendering.photograph import Outlines, Photograph, make_face, make_photograph

LAYOUT = FactorLayout(lip=3, pose=6, gaze=4, residual=0)
UNIT = 40.0  # face width, pixels
SIZE, CENTRE = (161, 127), (63.2, 77.9)  # an odd height and width
REST = {"open_left": 0.9, "open_right": 0.9, "z": float(np.log(2.1))}


def face_points(gap: float = 0.0) -> np.ndarray:
    """[70, 3]: the mean face and irises in the middle of the eyes, with lips that are `gap` face widths apart."""
    points = np.array(mean_face(), np.float64)
    for upper, lower, share in ((61, 67, 0.75), (62, 66, 1.0), (63, 65, 0.75)):
        middle = points[[upper, lower], 1].mean()
        points[upper, 1], points[lower, 1] = middle + share * gap / 2, middle - share * gap / 2
    return np.concatenate([points, [(points[a] + points[b]) / 2 for a, b in EYE_CORNERS]]).astype(np.float32)


def code(**values: float) -> np.ndarray:
    """A code of these calibrated values, in the record's units; the others are those at rest."""
    known = REST | values
    return (np.array([known.get(name, 0.0) for name in CALIBRATED_NAMES]) / CALIBRATED_SCALE).astype(np.float32)


def matte(size: tuple[int, int] = SIZE, centre: tuple[float, float] = CENTRE) -> np.ndarray:
    """[H, W], 0 to 1: an ellipse, and a torso from 0.9 face widths below its middle."""
    y, x = (np.indices(size) + 0.5).astype(np.float32)
    x, y = (x - centre[0]) / UNIT, (y - centre[1]) / UNIT
    head = 1 - np.hypot(x / 0.6, (y + 0.05) / 0.75)
    neck = np.minimum(0.25 - np.abs(x), y)
    torso = np.minimum(0.9 - np.abs(x), y - 0.9)
    return np.clip(0.5 + 8 * np.maximum.reduce([0.6 * head, neck, torso]), 0, 1)


def background(size: tuple[int, int] = SIZE) -> np.ndarray:
    """uint8 [H, W, 3] without red: noise in blue."""
    image = np.random.default_rng(0).integers(60, 200, (*size, 3))
    image[..., 0] = 0
    return image.astype(np.uint8)


def picture(share: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3]: a red person with this matte before the background."""
    person = np.random.default_rng(1).integers(0, 120, (*share.shape, 3))
    person[..., 0] += 120
    mixed = share[..., None] * person + (1 - share[..., None]) * background(share.shape)
    return np.round(mixed).astype(np.uint8)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drawn:
    """A portrait and what it is made of."""

    photograph: Photograph
    image: np.ndarray
    matte: np.ndarray
    points: np.ndarray


def drawn(
    *,
    gap: float = 0.0,
    angles: tuple[float, float, float] = (0.0, 0.0, 0.0),
    size: tuple[int, int] = SIZE,
    centre: tuple[float, float] = CENTRE,
    **changes: Any,
) -> Drawn:
    """The portrait with lips `gap` apart, turned by `angles`; `changes` are arguments of make_photograph."""
    points, share = face_points(gap), matte(size, centre)
    image = picture(share)
    face = make_face(points, np.array(angles), Outlines.of_landmarks(points))
    made = make_photograph(image, share, face, np.array(angles), centre, UNIT, **changes)
    return Drawn(photograph=made, image=image, matte=share, points=points)
