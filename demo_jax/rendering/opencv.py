"""The composite of `frames.box` on a CPU, by OpenCV: the same to one level in 255, and several times as fast as XLA's
gathers there. OpenCV comes with the `prepare` extra; without it, `frames.draw` does all."""

from __future__ import annotations

import importlib.util

import numpy as np
from jaxtyping import Float32, UInt8

from demo_jax.rendering.frames import paint
from demo_jax.rendering.motion import Inside
from demo_jax.rendering.photograph import Photograph


def available() -> bool:
    """Whether OpenCV is installed."""
    return importlib.util.find_spec("cv2") is not None


def frame(
    photograph: Photograph,
    at: tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]],
    inside: Inside,
) -> UInt8[np.ndarray, "H W _"]:
    """Returns a frame of the photograph, of what `frames.sampling` found."""
    import cv2

    scene, rows, columns = photograph.scene, slice(0, photograph.height), slice(0, photograph.width)
    moved = cv2.remap(
        scene.layer, at[0][rows, columns], at[1][rows, columns], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    matte = np.clip(moved[..., 3], 0, 1)
    colours = moved[..., :3]
    painted = inside.share[rows, columns]
    where = np.flatnonzero(painted.max(1)), np.flatnonzero(painted.max(0))
    if len(where[0]):
        part = slice(where[0][0], where[0][-1] + 1), slice(where[1][0], where[1][-1] + 1)
        mouth = Inside(share=inside.share[part], teeth=inside.teeth[part], tongue=inside.tongue[part])
        share = painted[part][..., None]
        colours[part] = (1 - share) * colours[part] + share * matte[part][..., None] * paint(mouth, scene.tone)
    colours += (1 - matte)[..., None] * scene.plate[rows, columns]
    result = photograph.image.copy()
    box = result[
        photograph.top : photograph.top + photograph.height, photograph.left : photograph.left + photograph.width
    ]
    reach = scene.reach[rows, columns] > 0
    if photograph.image.shape[2] == 4:
        opaque = np.where(scene.still[rows, columns, 3] < 1, matte, 1.0)
        colours = colours / np.maximum(opaque, 1 / 255)[..., None]
        np.copyto(box[..., 3], _bytes(255 * opaque), where=reach)
    np.copyto(box[..., :3], _bytes(colours), where=reach[..., None])
    return result


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)
