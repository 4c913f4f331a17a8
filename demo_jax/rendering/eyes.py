"""How lids and irises move: lids slide over an eyeball that stays, and the eyeball turns under them.

Positions are in face units, as in `expression`. A lid is the skin between the brow and its line of lashes: it
stretches. The eyeball does not: where the lids close over it,
it is covered. What a line of lashes still lacks where lids meet is drawn (`lashes`).
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from demo_jax.rendering.expression import Pair, curve, smooth, within

UPPER_SHARE = 0.85  # of a blink's way that the upper lid makes
SKIN_ABOVE, SKIN_BELOW = 1.3, 0.8  # half widths of an eye: the skin that stretches, above and below the lids' lines
IRIS = 0.42  # radius of an iris with its rim, half widths of an eye
CORNER = 0.97  # how far along the eye an iris may go
UPPER_FOLLOWS, LOWER_FOLLOWS = 0.8, 0.4  # of an iris's way up or down
LASHES = 0.12  # half widths above the upper lid's edge that do not stretch
LOWER_LASH = 0.2  # half widths: a lower lid that closes leaves out so much at its line, where white shows
LEFT_OUT = 0.25  # from the corners, over which that grows from nothing: what is beyond them stays
CLOSING = 0.6  # opening over the source's below which lids leave out what is not skin, and lashes are drawn
HIDDEN = 0.04  # half widths: colours nearer to a lid's line than this are the lid's


def closing(opening: Float[Array, ""]) -> Float[Array, ""]:
    """0 for an opening (over the source's) of CLOSING and more, 1 for a closed eye, smooth between."""
    return smooth((CLOSING - opening) / CLOSING)


def edges(
    u: Float[Array, "*axes"], lids: Float[Array, "2 4"], opening: Float[Array, ""], gaze: Float[Array, 2]
) -> tuple[Float[Array, "*axes"], Float[Array, "*axes"], Float[Array, "*axes"]]:
    """Returns how far down an eye's frame the upper lid's edge, the lower one's, and the place where they would meet
    lie at `u` along it. Other arguments as in `turn`."""
    upper, lower = curve(lids[0], u), curve(lids[1], u)
    meet = upper + UPPER_SHARE * (lower - upper)
    # Lids follow an eye that looks up or down, most of all the upper one.
    follow = gaze[1] * jnp.clip(1 - u * u, 0, 1) * jnp.clip(opening, 0, 1)
    top = meet + opening * (upper - meet) + UPPER_FOLLOWS * follow
    bottom = meet + opening * (lower - meet) + LOWER_FOLLOWS * follow
    return top, bottom, meet


def left_out(u: Float[Array, "*axes"], opening: Float[Array, ""]) -> Float[Array, "*axes"]:
    """How much of what a closed lid leaves out at its edge it does, 0 to 1, at `u` along the eye."""
    return closing(opening) * smooth((1 - jnp.abs(u)) / LEFT_OUT)


def last_shown(
    u: Float[Array, "*axes"], upper: Float[Array, "*axes"], opening: Float[Array, ""], hidden: Float[Array, ""]
) -> Float[Array, "*axes"]:
    """Returns what of the source is at the upper lid's edge, down an eye's frame; `upper` is its contour."""
    return upper - hidden * left_out(u, opening) * jnp.clip(1 - u * u, 0, 1)


def turn(
    at: Pair,
    frame: Float[Array, "3 2"],
    lids: Float[Array, "2 4"],
    iris: Float[Array, 2],
    opening: Float[Array, ""],
    gaze: Float[Array, 2],
    hidden: Float[Array, ""],
) -> Pair:
    """Returns where positions on the face with moved lids and eyes lie in the source.

    Args:
      at: positions on the face, all else as in the source.
      frame: of the eye (`expression.frame_of`).
      lids: contours of the upper and lower lid in it.
      iris: its middle in the frame.
      opening: over the source's.
      gaze: shift of the iris, in the frame.
      hidden: how much of the upper lid's edge a closed eye leaves out, half widths (`lashes`).
    """
    u, v = within(frame, at)
    upper, lower = curve(lids[0], u), curve(lids[1], u)
    top, bottom, meet = edges(u, lids, opening, gaze)
    brow, cheek = upper - SKIN_ABOVE, lower + SKIN_BELOW
    # Lashes move as they are. Above them skin stretches, and less and less up to the brow, which would sag.
    last, height = last_shown(u, upper, opening, hidden), top - LASHES - brow
    along, ratio = (v - brow) / height, height / (last - LASHES - brow)
    above = brow + height / ratio * along * (ratio + (1 - ratio) * along)
    above = jnp.where(v > top - LASHES, last + v - top, above)
    below = cheek + (v - cheek) * (lower + LOWER_LASH * left_out(u, opening) - cheek) / (bottom - cheek)

    # The eyeball: the iris shifts as a whole, the white stretches between it and the corners.
    low, high = iris[0] - IRIS, iris[0] + IRIS
    shift = jnp.clip(gaze[0], jnp.minimum(-CORNER - low, 0), jnp.maximum(CORNER - high, 0))
    from_low, from_high = low + shift, high + shift
    ball_u = jnp.where(
        u < from_low,
        -1 + (u + 1) * jnp.maximum(low + 1, 0) / jnp.maximum(from_low + 1, 1e-3),
        jnp.where(u > from_high, 1 - (1 - u) * jnp.maximum(1 - high, 0) / jnp.maximum(1 - from_high, 1e-3), u - shift),
    )
    wide = jnp.maximum(opening, 1.0)  # lids wider apart than in the source show more of the eyeball than it does
    ball_v = meet + (v - meet) / wide - gaze[1]
    margin = HIDDEN * jnp.clip(10 * jnp.sum(jnp.abs(gaze)), 0, 1)  # at the source's own gaze nothing changes
    first, last = curve(lids[0], ball_u) + margin, curve(lids[1], ball_u) - margin
    ball_v = jnp.clip(ball_v, jnp.minimum(first, last), jnp.maximum(first, last))

    open_here = (v > top) & (v < bottom) & (jnp.abs(u) < 1)
    moved_v = jnp.where(v <= top, jnp.where(v > brow, above, v), jnp.where(v < cheek, below, v))
    new_u, new_v = jnp.where(open_here, ball_u, u), jnp.where(open_here, ball_v, moved_v)
    du, dv = new_u - u, new_v - v
    near = jnp.abs(u) < 1
    du, dv = jnp.where(near, du, 0.0), jnp.where(near, dv, 0.0)
    return at[0] + du * frame[1, 0] + dv * frame[2, 0], at[1] + du * frame[1, 1] + dv * frame[2, 1]
