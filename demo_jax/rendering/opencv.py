"""The composite of `frames.box` on a CPU, by OpenCV: the same to one level in 255, and several times as fast as XLA's
gathers there. OpenCV comes with the `prepare` extra; without it, `frames.draw` does all."""

from __future__ import annotations

import importlib.util

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from demo_jax.rendering.composite import darkened, with_paint
from demo_jax.rendering.frames import paint
from demo_jax.rendering.motion import Painted
from demo_jax.rendering.photograph import Photograph


def available() -> bool:
    """Whether OpenCV is installed."""
    return importlib.util.find_spec("cv2") is not None


def frame(
    photograph: Photograph,
    at: tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]],
    painted: Painted,
) -> UInt8[np.ndarray, "H W _"]:
    """Returns a frame of the photograph, of what `frames.sampling` found."""
    import cv2

    scene, rows, columns = photograph.scene, slice(0, photograph.height), slice(0, photograph.width)
    moved = cv2.remap(
        scene.layer, at[0][rows, columns], at[1][rows, columns], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    matte = cv2.min(cv2.max(cv2.extractChannel(moved, 3), 0.0), 1.0)
    colours = cv2.cvtColor(moved, cv2.COLOR_RGBA2RGB)
    if part := _box(painted.share[rows, columns] > 0):
        mouth = paint(painted.teeth[part], painted.tongue[part], scene)
        colours[part] = with_paint(colours[part], matte[part][..., None], painted.share[part], mouth)
    if part := _box(painted.lashes[rows, columns] != 0):
        colours[part] = darkened(colours[part], matte[part][..., None], painted.lashes[part], scene.lashes)
    result = photograph.image.copy()
    top, left = photograph.top, photograph.left
    box = result[top : top + photograph.height, left : left + photograph.width]
    reach = (scene.reach[rows, columns] > 0).astype(np.uint8)
    if photograph.image.shape[2] == 4:
        opaque = matte[..., None]
        straight = np.concatenate([colours / np.maximum(opaque, 1 / 255), 255 * opaque], -1)
        box[:] = cv2.copyTo(np.rint(np.clip(straight, 0, 255)).astype(np.uint8), reach, box.copy())
        return result
    behind = cv2.multiply(cv2.cvtColor(1 - matte, cv2.COLOR_GRAY2RGB), scene.plate[rows, columns])
    made = cv2.convertScaleAbs(cv2.max(cv2.add(colours, behind), 0.0))
    box[:] = cv2.copyTo(made, reach, box.copy())
    return result


def _box(where: Bool[np.ndarray, "h w"]) -> tuple[slice, slice] | None:
    """The smallest box that has all of `where`; None if there is nothing."""
    if not (down := np.flatnonzero(where.any(1))).size:
        return None
    across = np.flatnonzero(where[down[0] : down[-1] + 1].any(0))
    return slice(down[0], down[-1] + 1), slice(across[0], across[-1] + 1)
