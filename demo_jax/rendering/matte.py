"""Mattes of the person and of the head in a photograph: the small network, refined to the photograph's resolution."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float32, UInt8

from demo_jax.errors import InputError
from demo_jax.models.matte import SIZE, Params, as_input, logits
from demo_jax.paths import ASSETS
from demo_jax.rendering import guided_filter
from demo_jax.rendering.head_share import NECK, fit_chin, head_share
from demo_jax.rendering.resizing import enlarged_rows, reduced
from demo_jax.rendering.upright import FACES_PER_SQUARE, cut_square, inside_photograph, square_to_photograph

WEIGHTS = ASSETS / "matte-1.npz"
FITTED_SIDE = 1100  # px of the longer side of the image on which the guided filter is fitted
RADIUS = 1.5  # pixels of the network: the guided filter's windows reach so far
EPSILON = 2e-4  # variance of colours (0..1)
SOLID = 0.06  # values below it, or so near to 1, become 0 or 1
_STRIP = 256  # rows of the full photograph that are computed at once


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mattes:
    """Soft mattes, 0..1, at the photograph's resolution."""

    person: Float32[np.ndarray, "H W"]
    head: Float32[np.ndarray, "H W"]  # the part of person that moves with the head


def find_mattes(
    photograph: UInt8[np.ndarray, "H W 3"], centre: tuple[float, float], face_width: float, roll: float = 0.0
) -> Mattes:
    """Finds the person around a face, and the head.

    The network sees a square of 3.6 face widths. Beyond its box the person continues as at the box's border, and there
    is no head. Memory beyond the two mattes is bounded by FITTED_SIDE.

    Args:
      photograph: sRGB.
      centre: the point between the ears (x, y), pixels, y down.
      face_width: pixels from ear to ear.
      roll: degrees, positive if the head's top leans to image left.

    Raises:
      InputError: the face is not in the photograph.
    """
    height, width = photograph.shape[:2]
    if not (face_width > 0 and 0 <= centre[0] <= width and 0 <= centre[1] <= height):
        raise InputError(
            f"a face of {face_width:.0f} px at ({centre[0]:.0f}, {centre[1]:.0f}) does not lie in the photograph of "
            f"{width} x {height}; give the place of the face in this photograph."
        )
    matrix = square_to_photograph(centre, face_width, roll, SIZE)
    coarse, share = np.moveaxis(_probabilities(cut_square(photograph, matrix, SIZE)), -1, 0)
    inside = inside_photograph(matrix, SIZE, width, height)
    chin = chin_of(share, coarse * inside)
    corners = np.array([[0, 0], [SIZE, 0], [0, SIZE], [SIZE, SIZE]]) @ matrix[:, :2].T + matrix[:, 2]
    low = np.clip(np.floor(corners.min(0)).astype(int), 0, (width - 1, height - 1))
    high = np.clip(np.ceil(corners.max(0)).astype(int), low + 1, (width, height))
    box = (slice(low[1], high[1]), slice(low[0], high[0]))
    person, head = np.empty((height, width), np.float32), np.zeros((height, width), np.float32)
    _refine(photograph[box], coarse, matrix - np.pad(low[:, None], ((0, 0), (2, 0))), person[box])
    # From photograph pixels to the head's axes, in face widths.
    to_head = (np.linalg.inv(matrix[:, :2]) * (FACES_PER_SQUARE / SIZE)).astype(np.float32)
    x, y = (
        np.arange(n, dtype=np.float32)[s] + 0.5 - c for n, s, c in zip((width, height), box[::-1], centre, strict=True)
    )
    for top in range(0, len(y), _STRIP):
        rows = slice(top, top + _STRIP)
        across, below = (to_head[i, 0] * x + to_head[i, 1] * y[rows, None] for i in range(2))
        head[box][rows] = person[box][rows] * head_share(across, below, chin)
    (top, bottom), (left, right) = ((part.start, part.stop) for part in box)
    person[top:bottom, :left], person[top:bottom, right:] = (person[top:bottom, [at]] for at in (left, right - 1))
    person[:top], person[bottom:] = person[top], person[bottom - 1]
    return Mattes(person=person, head=head)


def chin_of(share: Float32[np.ndarray, "S S"], weight: Float32[np.ndarray, "S S"]) -> float:
    """Returns the chin's level, in face widths below the square's centre, from the head's share in the square."""
    at = ((np.arange(SIZE) + 0.5) / SIZE - 0.5) * FACES_PER_SQUARE
    neck = np.abs(at) < NECK / 2
    weight = weight[:, neck]
    total = weight.sum(1)
    return fit_chin((share[:, neck] * weight).sum(1) / np.maximum(total, 1e-6), at, total)


def flattened(params: Params) -> dict[str, np.ndarray]:
    """Returns the parameters by name, such as block_0_0/kernel."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {"/".join(entry.key for entry in path): np.asarray(leaf) for path, leaf in leaves}


@functools.cache
def weights(path: Path = WEIGHTS) -> Params:
    """Reads flattened parameters as float32; the bundled ones are described in demo_jax/assets/README.md."""
    params: dict[str, Any] = {}
    with np.load(path, allow_pickle=False) as file:
        for name in file.files:
            *parents, last = name.split("/")
            node = functools.reduce(lambda node, part: node.setdefault(part, {}), parents, params)
            node[last] = file[name].astype(np.float32)
    return params


def _probabilities(square: np.ndarray) -> np.ndarray:
    """[S, S, 3] in 0..255 -> [S, S, 2]: person, and the head's share of it."""
    return np.asarray(jax.nn.sigmoid(_network()(weights(), as_input(square)[None])[0]))


@functools.cache
def _network() -> Any:
    return jax.jit(logits)


def _refine(part: np.ndarray, coarse: np.ndarray, matrix: np.ndarray, out: np.ndarray) -> None:
    """Writes the person in a part [H, W, 3] of a photograph into out [H, W] float32.

    matrix: pixels of the square, whose coarse matte is [S, S], to those of the part.
    """
    height, width = part.shape[:2]
    scale = min(FITTED_SIDE / max(height, width), 1.0)
    h, w = max(round(height * scale), 1), max(round(width * scale), 1)
    guide = reduced(part, h, w) / np.float32(255)
    pixel = np.hypot(*matrix[:, 0]) * scale  # the network's, in pixels of the guide
    sampled = _sampled(coarse, matrix, (height, width), (h, w))
    fitted = guided_filter.coefficients(guide, sampled, max(round(RADIUS * pixel), 1), EPSILON)
    for top in range(0, height, _STRIP):
        rows = slice(top, min(top + _STRIP, height))
        q = guided_filter.apply(enlarged_rows(fitted, height, width, rows), part[rows] / np.float32(255))
        np.clip((q - SOLID) / (1 - 2 * SOLID), 0, 1, out=out[rows])


def _sampled(coarse: np.ndarray, matrix: np.ndarray, full: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """[S, S] in the square -> [h, w] in a reduced image of the part of `full` pixels, the edge repeated."""
    from scipy.ndimage import map_coordinates

    y, x = ((np.arange(n) + 0.5) * (whole / n) for n, whole in zip(size, full, strict=True))
    inverse = np.linalg.inv(matrix[:, :2])
    columns, rows = (
        inverse[i, 0] * (x - matrix[0, 2]) + inverse[i, 1] * (y[:, None] - matrix[1, 2]) - 0.5 for i in range(2)
    )
    return map_coordinates(coarse, [rows, columns], order=1, mode="nearest", output=np.float32)
