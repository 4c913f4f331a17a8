"""The composite of `frames.box` on a CPU, by OpenCV: the same to one level in 255, and several times as fast as XLA's
gathers there. OpenCV comes with the `prepare` extra; without it, `frames.draw` does all."""

from __future__ import annotations

import importlib.util

import numpy as np
from jaxtyping import Float32, UInt8

from demo_jax.rendering.frames import PAINT
from demo_jax.rendering.photograph import Photograph


def available() -> bool:
    """Whether OpenCV is installed."""
    return importlib.util.find_spec("cv2") is not None


def frame(
    photograph: Photograph,
    at: tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]],
    inside: Float32[np.ndarray, "h w"],
    picture: UInt8[np.ndarray, "S S 3"],
) -> UInt8[np.ndarray, "H W _"]:
    """Returns a frame of the photograph: `sampling`'s positions and share of paint, and the decoder's picture."""
    import cv2

    scene, rows, columns = photograph.scene, slice(0, photograph.height), slice(0, photograph.width)
    moved = cv2.remap(
        scene.layer, at[0][rows, columns], at[1][rows, columns], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    matte = np.clip(moved[..., 3], 0, 1)
    colours = moved[..., :3]
    painted = inside[rows, columns]
    where = np.flatnonzero(painted.max(1)), np.flatnonzero(painted.max(0))
    if len(where[0]):
        part = slice(where[0][0], where[0][-1] + 1), slice(where[1][0], where[1][-1] + 1)
        across, down = scene.squared
        paint = np.einsum("hs,stc->htc", down[part[0]], picture.astype(np.float32), optimize=True)
        paint = np.einsum("wt,htc->hwc", across[part[1]], paint, optimize=True) * np.array(PAINT, np.float32)
        share = painted[part][..., None]
        colours[part] = (1 - share) * colours[part] + share * matte[part][..., None] * np.clip(paint, 0, 255)
    colours += (1 - matte)[..., None] * scene.plate[rows, columns]
    result = photograph.image.copy()
    box = result[
        photograph.top : photograph.top + photograph.height, photograph.left : photograph.left + photograph.width
    ]
    reach = scene.reach[rows, columns] > 0
    if photograph.image.shape[2] == 4:
        colours = colours / np.maximum(matte, 1 / 255)[..., None]
        np.copyto(box[..., 3], _bytes(255 * matte), where=reach)
    np.copyto(box[..., :3], _bytes(colours), where=reach[..., None])
    return result


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)
