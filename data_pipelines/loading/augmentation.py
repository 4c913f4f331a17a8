"""Augmented images with their truth: mirrored, recoloured, shifted and enlarged, and composites of two frames.

Images are u8 [S, S, 3]; truth is the calibrated code [..., 13] of demo_jax/factors.py. Pure functions; randomness comes
from the generator of the example.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image

from demo_jax.factors import ARKIT_MIRROR, LANDMARK_MIRROR, POSE_SCALE, columns_of, mirror_calibrated

_POSE = slice(3, 9)  # of the calibrated coordinates
PART = {"lip": slice(0, 3), "gaze": slice(9, 13)}
# Landmarks that align a composite (nose and outer eye corners stay still), and the regions it takes from the donor:
# mouth with chin, or both eyes.
_STILL = (27, 28, 29, 30, 31, 33, 35, 36, 45)
_REGIONS = {"lip": ((*range(48, 68), *range(6, 11)),), "gaze": (tuple(range(36, 42)), tuple(range(42, 48)))}
_MARGIN = 0.05  # around a region, in face widths
_SOFT = 0.35  # of an ellipse's radius, over which a paste fades out
_NEAR = 0.4  # share of a segment's frames, the nearest in rotation, that may be donors


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augment:
    """Amounts of augmentation. `colour` is the largest change of gain (and a third of it for each channel), `shift` in
    crop widths, `zoom` a logarithm."""

    mirror: float = 0.0  # share of examples
    colour: float = 0.0
    shift: float = 0.0
    zoom: float = 0.0


def mirror_image(image: np.ndarray) -> np.ndarray:
    """Returns [..., S, S, 3] as in a mirror."""
    return np.ascontiguousarray(image[..., ::-1, :])


def mirror_example(example: dict[str, np.ndarray], size: int) -> dict[str, np.ndarray]:
    """Returns an example with its images, truth, boxes, landmarks and trust, known by names and shapes, as in a
    mirror."""
    out = {}
    for name, array in example.items():
        if array.dtype == np.uint8:
            array = mirror_image(array)
        elif name.endswith("_calibrated"):
            array = mirror_calibrated(array)
        elif name.endswith("_expression"):
            array = array[..., ARKIT_MIRROR]
        elif name.endswith("_boxes"):
            array = np.stack([size - array[..., 2], array[..., 1], size - array[..., 0], array[..., 3]], -1)
        elif name.endswith("_landmarks"):
            array = np.stack([size - array[..., 0], array[..., 1]], -1)[..., LANDMARK_MIRROR, :]
        elif name.endswith("_trust"):
            array = np.ascontiguousarray(array[..., ::-1])
        out[name] = array
    return out


def recolour(rng: np.random.Generator, images: np.ndarray, amount: float) -> np.ndarray:
    """Returns images [..., S, S, 3] with one change of brightness, contrast, gamma and white balance for all."""
    gain = 1 + amount * (rng.uniform(-1, 1) + rng.uniform(-1, 1, 3) / 3)
    gamma, offset = 1 + amount * rng.uniform(-1, 1), 64 * amount * rng.uniform(-1, 1)
    table = 255 * (np.arange(256)[:, None] / 255) ** gamma * gain + offset
    table = np.clip(np.round(table), 0, 255).astype(np.uint8)
    return np.stack([table[:, c][images[..., c]] for c in range(3)], -1)


def draw_shift(rng: np.random.Generator, augment: Augment) -> np.ndarray:
    """Returns a random shift [3] float32: x, y in crop widths (right, up), and the logarithm of the enlargement."""
    return (rng.uniform(-1, 1, 3) * (augment.shift, augment.shift, augment.zoom)).astype(np.float32)


def shift_image(image: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Enlarges [S, S, 3] about its centre by exp(shift[2]), then moves it by shift[:2] crop widths (x right, y up).
    Pixels from outside repeat the border."""
    size, scale = len(image), float(np.exp(shift[2]))
    x, y = size * float(shift[0]), -size * float(shift[1])
    centre, half = size / 2, size / 2
    left, top = centre - (half + x) / scale, centre - (half + y) / scale
    pad = int(np.ceil(max(-left, -top, left + size / scale - size, top + size / scale - size, 0))) + 1
    padded = Image.fromarray(np.pad(image, ((pad, pad), (pad, pad), (0, 0)), mode="edge"))
    box = (left + pad, top + pad, left + pad + size / scale, top + pad + size / scale)
    return np.asarray(padded.resize((size, size), Image.Resampling.BICUBIC, box=box))


def shift_truth(truth: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Returns the calibrated code [..., 13] of images after shift_image: only x, y and z of the pose change."""
    out, pose = truth.copy(), truth[..., _POSE] * POSE_SCALE
    pose[..., 3:5] = pose[..., 3:5] * np.exp(shift[2]) + shift[:2]
    pose[..., 5] -= shift[2]
    out[..., _POSE] = pose / POSE_SCALE
    return out


def donor_frame(rng: np.random.Generator, rotation: np.ndarray, value: np.ndarray, usable: np.ndarray, t: int) -> int:
    """Returns the frame that frame t takes a region from: usable [T], near to t in rotation [T, 3] (degrees), since a
    paste does not turn, and of these one of the half that differ most in the region's truth `value` [T, n]."""
    others = np.flatnonzero(usable & (np.arange(len(rotation)) != t))
    turned = np.abs(rotation[others] - rotation[t]).sum(-1)
    near = others[np.argsort(turned, kind="stable")[: max(1, int(_NEAR * len(rotation)))]]
    changed = np.abs(value[near] - value[t]).sum(-1)
    return int(rng.choice(near[np.argsort(-changed, kind="stable")[: (len(near) + 1) // 2]]))


def composite(
    factor: str, image: np.ndarray, landmarks: np.ndarray, donor: np.ndarray, donor_landmarks: np.ndarray
) -> np.ndarray:
    """Returns `image` with the mouth ("lip") or the eyes ("gaze") of `donor`, aligned by nose and eye corners, pasted
    with soft edges. Landmarks [68, 2] are in pixels of these images [S, S, 3] u8."""
    size = len(image)
    affine, back = _align(landmarks, donor_landmarks)
    # Image.transform takes output -> input, with pixel centres at +0.5 as ours are.
    warped = np.asarray(
        Image.fromarray(donor).transform(
            (size, size), Image.Transform.AFFINE, affine.T.reshape(-1).tolist(), Image.Resampling.BICUBIC
        )
    )
    margin = _MARGIN * np.linalg.norm(landmarks[0] - landmarks[16])
    mask = np.zeros((size, size))
    grid = np.arange(size) + 0.5
    for region in _REGIONS[factor]:
        points = np.concatenate([landmarks[list(region)], back[list(region)]])
        low, high = points.min(0) - margin, points.max(0) + margin
        (x, y), (a, b) = (low + high) / 2, (high - low) / 2
        radius = np.hypot((grid[None] - x) / a, (grid[:, None] - y) / b)
        mask = np.maximum(mask, np.clip((1 + _SOFT - radius) / _SOFT, 0, 1))
    mixed = image + mask[..., None] * (warped.astype(np.float64) - image)
    return np.clip(np.round(mixed), 0, 255).astype(np.uint8)


def composite_landmarks(factor: str, landmarks: np.ndarray, donor_landmarks: np.ndarray) -> np.ndarray:
    """Returns the landmarks [68, 2] of a composite: those of the region are the donor's, aligned."""
    out, region = landmarks.copy(), [i for part in _REGIONS[factor] for i in part]
    out[region] = _align(landmarks, donor_landmarks)[1][region]
    return out


def composite_truth(factor: str, truth: np.ndarray, donor: np.ndarray) -> np.ndarray:
    """Returns the calibrated code [13] of a composite: that of its frame, with lips or gaze of the donor."""
    out = truth.copy()
    out[PART[factor]] = donor[PART[factor]]
    return out


def composite_expression(factor: str, expression: np.ndarray, donor: np.ndarray) -> np.ndarray:
    """Returns the expression [52] of a composite. The residual, whose names lie partly in the region, is unknown."""
    out = expression.copy()
    out[columns_of(factor)] = donor[columns_of(factor)]
    out[columns_of("residual")] = np.nan
    return out


def _align(landmarks: np.ndarray, donor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the map [3, 2] from pixels of the image to pixels of the donor, and the donor's landmarks in the image,
    given the landmarks [68, 2] of both."""
    still = list(_STILL)
    affine = np.linalg.lstsq(np.c_[landmarks[still], np.ones(len(still))], donor[still], rcond=None)[0]
    return affine, np.c_[donor, np.ones(len(donor))] @ _inverse(affine)


def _inverse(affine: np.ndarray) -> np.ndarray:
    """Returns the inverse of an affine map [3, 2] of rows (x, y, 1)."""
    matrix = np.linalg.inv(affine[:2])
    return np.concatenate([matrix, -affine[2:] @ matrix])
