"""The line of lashes at an upper lid's edge: found in the photograph, and drawn where lids that close meet.

Contours that a landmarker measures run along the middle of this line. Half of it would be covered as a part of the
eyeball when the lids close: `measure` moves the contour to the line's lower side, and the lashes move with the lid.
Down there the photograph also shows iris and white of the eye between them, which a closed eye must not. So the last of
the way a lid leaves out its edge up to the line's darkest part, and what is lost is drawn in the line's colour.
Lengths are in half widths of the eye.
"""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, UInt8

from demo_jax.constants import LUMA
from demo_jax.rendering import expression, eyes
from demo_jax.rendering.expression import Pair

OUTER, INNER = 0.2, 0.5  # from the corners, over which the drawn line fades
BELOW_EDGE = 0.2  # widths from the lid's edge down to the middle of the drawn line
SHARE = 0.8  # of the eye's half width within which the line is measured
ABOVE, BELOW = 0.25, 0.3  # of the contour, where the line is looked for
GAP = 0.2  # between the contours: where they are nearer there is no white of the eye below the line
CONTRAST = 0.12  # of the line with the skin above and the white below, over the skin's brightness
FEW = 4  # columns: fewer say nothing
LOWER = (-0.06, 0.18)  # bounds of how far below the middle of the contour the line's lower side is
USUAL = 0.1  # the same where it cannot be measured: the median of 16 people
WIDTH = (0.06, 0.12)  # bounds of the drawn width; the line's own is wider by its blur, and mostly there
MARGIN, HIDDEN = 0.04, (0.1, 0.25)  # more than to the darkest part is hidden: the iris is dark too; bounds of it
BRIGHTEST = 0.7  # of the lashes over skin: lids without any have the shadow between them
SKIN = (0.3, 0.45)  # above the contour: skin to compare with
_LUMA = np.array(LUMA, np.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """The line of lashes of an open eye.

    edge    the lid's contour along the line's lower side
    width   with which it is drawn
    hidden  how much of the lid's edge a closed eye leaves out: iris and white show between its lashes
    colour  0 to 255
    """

    edge: Float32[np.ndarray, " 4"]
    width: float
    hidden: float
    colour: Float32[np.ndarray, " 3"]


def line(
    at: Pair,
    frame: Float[Array, "3 2"],
    lids: Float[Array, "2 4"],
    opening: Float[Array, ""],
    gaze: Float[Array, 2],
    width: Float[Array, ""],
    outer: int,
    step: Float[Array, ""],
) -> Float[Array, "*axes"]:
    """Returns the share of the lashes' colour: 0 but along the edge of an upper lid that closes.

    Args:
      at, frame, lids, opening, gaze: as in `eyes.turn`.
      width: of the line.
      outer: the end of the eye that is its outer corner, -1 or 1.
      step: a pixel's size.
    """
    u, v = expression.within(frame, at)
    top, _, _ = eyes.edges(u, lids, opening, gaze)
    thick, soft = jnp.maximum(width, step), jnp.maximum(width, 1.5 * step)
    across = expression.smooth(0.5 + (0.5 * thick - jnp.abs(v - top - BELOW_EDGE * thick)) / soft)
    ends = expression.smooth((1 - jnp.abs(u)) / jnp.where(u * outer > 0, OUTER, INNER))
    return eyes.closing(opening) * across * ends


def measure(
    image: UInt8[np.ndarray, "H W 3"],
    frame: Float[np.ndarray, "3 2"],
    lids: Float[np.ndarray, "2 4"],
    iris: float,
) -> Line:
    """Finds the line of lashes of an open eye: the darkest of each column, between skin and the white of the eye.

    Args:
      image: the photograph.
      frame: of the eye (`expression.frame_of`), pixels, centres at whole numbers.
      lids: contours of the upper and lower lid.
      iris: where it is along the eye. As dark as lashes, it hides where they end.
    """
    u, down = np.linspace(-SHARE, SHARE, 33), np.linspace(-ABOVE, BELOW, 56)
    upper, lower = (np.asarray(expression.curve(lid, u)) for lid in lids)
    skin = np.median(_colours(image, frame, u, upper - np.linspace(*SKIN, 4)[:, None]), (0, 1))
    band = _colours(image, frame, u, upper + down[:, None])
    aside, found = np.abs(u - iris) > eyes.IRIS, []
    for i in np.flatnonzero(aside & (lower - upper > GAP)):
        column = band[down < lower[i] - upper[i] - 0.03, i]
        luma = column @ _LUMA
        darkest = int(np.argmin(luma))
        above, below = luma[: darkest + 1].max(), luma[darkest:].max()
        if min(above, below) - luma[darkest] < CONTRAST * above:
            continue
        first = darkest - np.argmax(luma[darkest::-1] > (luma[darkest] + above) / 2)
        last = darkest + np.argmax(luma[darkest:] > (luma[darkest] + below) / 2)
        shape = down[last] / (1 - u[i] ** 2), down[last] - down[first], down[last] - down[darkest]
        found.append((*shape, *column[darkest]))
    if len(found) >= FEW:
        offset, width, hidden, *colour = np.median(found, 0)
    else:  # light lashes, or an eye without white: the darkest there is
        near = band[np.abs(down) < WIDTH[1]][:, aside if aside.any() else slice(None)]
        offset, width, hidden, colour = USUAL, WIDTH[1], USUAL, np.percentile(near, 10, (0, 1))
    edge = np.array(lids[0], np.float32)
    edge[0] += np.clip(offset, *LOWER)
    return Line(
        edge=edge,
        width=float(np.clip(width / 2, *WIDTH)),
        hidden=float(np.clip(hidden + MARGIN, *HIDDEN)),
        colour=np.minimum(colour, BRIGHTEST * skin).astype(np.float32),
    )


def _colours(
    image: UInt8[np.ndarray, "H W 3"],
    frame: Float[np.ndarray, "3 2"],
    u: Float[np.ndarray, " n"],
    v: Float[np.ndarray, "m n"],
) -> Float32[np.ndarray, "m n 3"]:
    """Colours at positions in an eye's frame."""
    from scipy.ndimage import map_coordinates

    x, y = (frame[0, i] + u * frame[1, i] + v * frame[2, i] for i in range(2))
    rows, columns = _range(image.shape[0], y), _range(image.shape[1], x)
    part, at = image[rows, columns].astype(np.float32), [y - rows.start, x - columns.start]
    return np.stack([map_coordinates(part[..., i], at, order=1, mode="nearest") for i in range(3)], -1)


def _range(count: int, along: Float[np.ndarray, "m n"]) -> slice:
    first = int(np.clip(np.floor(along.min()) - 1, 0, count - 1))
    return slice(first, int(np.clip(np.ceil(along.max()) + 2, first + 1, count)))
