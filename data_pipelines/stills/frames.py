"""Composes the frames of a photo-puppet, and says where they show more than the photograph can."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

from data_pipelines.stills.still import SCALE, Still
from demo_jax.rendering.composite import darkened, with_paint
from demo_jax.rendering.expression import Pair
from demo_jax.rendering.frames import paint
from demo_jax.rendering.motion import Grid, Painted

TRUST_CELL = 8  # pixels of the record's frames to a side of a cell of `trust`
PAINTED, UNCOVERED = 0.05, 0.3  # more of it is not to be trusted
STRETCHED, SQUEEZED = 0.4, 2.2  # pixels of the photograph to one of the frame: less and more is not to be trusted
UNTRUSTED = 0.25  # share of a cell, from which on nothing of it counts


def compose(
    still: Still,
    grid: Grid,
    at: Pair,
    painted: Painted,
    pixels: float,
    size: int,
) -> tuple[UInt8[np.ndarray, "T S S 3"], UInt8[np.ndarray, "T cells cells"]]:
    """Returns the frames, and where they can be trusted.

    Args:
      still: the photograph.
      grid: the pixels of the crop, at SCALE times its size.
      at: where each pixel of the frames lies in the photograph, face units.
      painted: of the frames.
      pixels: of the crop to one of the photograph.
      size: S.
    """
    import cv2

    x, y = at
    photograph, scene = still.photograph, still.photograph.scene
    layer = np.ascontiguousarray(scene.layer[: photograph.height, : photograph.width])
    plate = np.ascontiguousarray(scene.plate[: photograph.height, : photograph.width])
    unit, centre = np.float32(scene.unit), scene.centre

    def sampled(image: np.ndarray, at: Pair, how: int) -> np.ndarray:
        columns, rows = (np.ascontiguousarray(at[i] * unit + centre[i], np.float32) for i in range(2))
        return cv2.remap(image, columns, rows, how, borderMode=cv2.BORDER_REPLICATE)

    rest = np.broadcast_to(grid.fine[0][None], x[0].shape), np.broadcast_to(grid.fine[1][:, None], x[0].shape)
    behind, matte_here = (sampled(a, rest, cv2.INTER_LINEAR) for a in (plate, layer[..., 3].copy()))
    made, trusted = [], []
    for t in range(len(x)):
        moved = sampled(layer, (x[t], y[t]), cv2.INTER_CUBIC)
        matte = np.clip(moved[..., 3:], 0, 1)
        mouth = paint(painted.teeth[t], painted.tongue[t], scene)
        person = with_paint(moved[..., :3], matte, painted.share[t], mouth)
        colours = darkened(person, matte, painted.lashes[t], scene.lashes) + (1 - matte) * behind
        small = cv2.resize(np.clip(colours, 0, 255), (size, size), interpolation=cv2.INTER_AREA)
        made.append(np.rint(small).astype(np.uint8))
        least, most = _stretch(x[t] * unit * pixels, y[t] * unit * pixels)
        uncovered = (1 - matte[..., 0]) * matte_here > UNCOVERED
        bent = ((least < STRETCHED) | (most > SQUEEZED)) & (matte[..., 0] > 0.5)
        bad = (np.maximum(painted.share[t], np.abs(painted.lashes[t])) > PAINTED) | uncovered | bent
        cell = SCALE * TRUST_CELL
        shares = bad.reshape(len(bad) // cell, cell, -1, cell).mean((1, 3))
        trusted.append(np.rint(255 * np.clip(1 - shares / UNTRUSTED, 0, 1)).astype(np.uint8))
    return np.stack(made), np.stack(trusted)


def _stretch(
    x: Float[np.ndarray, "h w"], y: Float[np.ndarray, "h w"]
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """Singular values of the positions' change from pixel to pixel: the photograph's pixels in a pixel of the frame,
    along the direction in which it is stretched most, negative where it folds, and across it."""
    (x_down, x_across), (y_down, y_across) = np.gradient(x), np.gradient(y)
    area = x_across * y_down - x_down * y_across
    total = x_across**2 + y_down**2 + x_down**2 + y_across**2
    most = np.sqrt((total + np.sqrt(np.maximum(total**2 - 4 * area**2, 0))) / 2)
    return area / np.maximum(most, 1e-6), most
