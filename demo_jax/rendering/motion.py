"""Where each pixel of a frame lies in the photograph: the head's turn, then the face's expression, then the eyes.

Everything is in face units: face widths from the centre of the face in the photograph, x right, y down. Smooth parts
are computed on a coarse grid over the box that the head can reach and enlarged; the lines of lips and lids are exact at
the photograph's own scale.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from demo_jax.factors import GAZE_SCALE, POSE_SCALE
from demo_jax.models.geometry import rigid
from demo_jax.models.geometry.landmarks import lid_ratio
from demo_jax.pytrees import AnyArray, register
from demo_jax.rendering import expression, eyes, lashes, mouth, surface
from demo_jax.rendering.expression import Pair

COARSE = 96  # nodes across and down the box
SEAM = 0.6  # beyond the mouth's corners, motion of both lips blends over this multiple of the distance from them
EYEBALL = 0.09  # radius of people's eyeballs, face widths
TAPER = 0.42  # face widths below the chin over which the neck goes over into the torso, which stays
NECK, SHOULDER, RISE = 0.5, 0.4, 0.55  # the torso begins higher to the sides: from where, over how much, how much
BORDER = 0.3  # face widths from a border that cuts the head over which its motion ends
DEPTH_STEPS = 8
ONE_ROW = 0.45  # half widths of a mouth: open less, it shows the upper teeth at most
SHUT = 0.02  # face widths between lips below which their edges stretch over what is left between them
PAINTED = 0.015  # face widths by which a mouth is opened when paint covers wholly
MAX_OPENING = 1.5  # of an eye over the source's
FLIP = np.array([1.0, -1.0], np.float32)  # the head's axes have y up


@register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Face:
    """A face in a photograph.

    points   68 landmarks and two irises in the head's axes, face widths
    depth    `surface`
    mouth    contours of the inner lips, upper and lower, in the frame of the mouth
    lids     of the person's left and right eye: upper and lower
    lashes   of the person's left and right eye: width of their line, and what a closed lid hides of it (`lashes`)
    chin     how far below the centre the taper of the neck begins, face widths along the head's roll
    cut      left, right and top border of the photograph where one cuts the head, face units; far away otherwise
    """

    points: Float[AnyArray, "70 3"]
    depth: Float[AnyArray, "129 129"]
    mouth: Float[AnyArray, "2 4"]
    lids: Float[AnyArray, "2 2 4"]
    lashes: Float[AnyArray, "2 2"]
    chin: Float[AnyArray, ""]
    cut: Float[AnyArray, 3]


@register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Painted:
    """What is painted over the moved photograph.

    share          of each pixel that shows the inside of the mouth
    teeth, tongue  shares of the colour of that inside
    lashes         share of the line of lashes: positive of the person's left eye, negative of the right one
    """

    share: Float[Array, "h w"]
    teeth: Float[Array, "h w"]
    tongue: Float[Array, "h w"]
    lashes: Float[Array, "h w"]


def in_image(points: Float[Array, "N 3"], turn: Float[Array, "3 3"]) -> Float[Array, "N 2"]:
    """Points in the head's axes, seen in the photograph."""
    return (points @ turn[:2].T) * jnp.asarray(FLIP)[None]


@register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Grid:
    """The pixels of a box, and the coarse grid over it: face units.

    coarse   x [m] and y [n] of the coarse grid
    fine     x [w] and y [h] of the pixels
    enlarge  matrices from the coarse grid to the pixels, across and down
    """

    coarse: tuple[Float[AnyArray, " m"], Float[AnyArray, " n"]]
    fine: tuple[Float[AnyArray, " w"], Float[AnyArray, " h"]]
    enlarge: tuple[Float[AnyArray, "w m"], Float[AnyArray, "h n"]]

    def up(self, values: Float[Array, "n m"]) -> Float[Array, "h w"]:
        """Enlarges values of the coarse grid to the pixels."""
        return self.enlarge[1] @ values @ self.enlarge[0].T


def find(
    face: Face,
    source: Float[Array, " K"],
    driving: Float[Array, " K"],
    moved: Float[Array, "70 3"],
    grid: Grid,
    pixel: Float[Array, ""],
    blocks: dict[str, slice],
) -> tuple[Pair, Painted]:
    """Returns where the pixels of a frame lie in the photograph, face units, and what is painted: what the photograph
    does not show of the inside of the mouth, and the lashes of lids that close.

    Args:
      face: of the photograph.
      source: its code.
      driving: code of the frame.
      moved: points of the face with the driving expression (`landmarks.move`).
      grid: of the box.
      pixel: a pixel's size in face units.
      blocks: the layout's slices.
    """
    poses = tuple(rigid.limited(code[blocks["pose"]][:6] * jnp.asarray(POSE_SCALE)) for code in (source, driving))
    turns = tuple(rigid.rotation(pose[None, :3])[0] for pose in poses)
    shape = len(grid.coarse[1]), len(grid.coarse[0])
    coarse = jnp.broadcast_to(grid.coarse[0][None], shape), jnp.broadcast_to(grid.coarse[1][:, None], shape)
    still = _turned(face, poses, turns, coarse)
    at, with_expression = (in_image(p, turns[0]) for p in (face.points, moved))
    flat = still[0].reshape(-1), still[1].reshape(-1)
    lips = tuple(
        _in_head(face, poses[0], still, (x.reshape(shape), y.reshape(shape)))
        for x, y in expression.displacements(flat, at[:68], with_expression[:68])
    )

    # What is enlarged is displacement, so that without any no pixel moves.
    fine = grid.fine[0][None], grid.fine[1][:, None]
    rest = tuple(fine[i] + grid.up(still[i] - coarse[i]) for i in range(2))
    upper, lower = (tuple(rest[i] + grid.up(lip[i]) for i in range(2)) for lip in lips)
    gap, opened = moved[62, 1] - moved[66, 1], (moved - face.points)[62, 1] - (moved - face.points)[66, 1]
    shut = jnp.clip(1 - gap / SHUT, 0, 1) * jnp.clip(-opened / SHUT, 0, 1)
    painted = jnp.clip(opened / PAINTED, 0, 1)  # a mouth that is not opened shows what the photograph shows
    jaw = with_expression[8] - at[8]
    position, (share, teeth, tongue) = _mouth(face, at, rest, upper, lower, jaw, shut, painted, pixel)

    gazes = tuple(code[blocks["gaze"]][:4] * jnp.asarray(GAZE_SCALE) for code in (source, driving))
    shift = (turns[0] @ (EYEBALL * (ahead(gazes[1]) - ahead(gazes[0]))))[:2] * jnp.asarray(FLIP)
    drawn = jnp.zeros_like(share)
    for eye, (first, last, iris) in enumerate(((42, 45, 69), (36, 39, 68))):  # the person's left, right
        frame = expression.frame_of(at[first], at[last])
        ratio = jnp.minimum(lid_ratio(gazes[0][2 + eye], gazes[1][2 + eye]), MAX_OPENING)
        middle = jnp.stack(expression.within(frame, at[iris]))
        gaze = jnp.stack(expression.within(frame, frame[0] + shift))
        step = pixel / jnp.sqrt(jnp.sum(frame[1] ** 2))
        # Above the mouth, all moves with the upper lip.
        line = functools.partial(lashes.line, upper, frame, face.lids[eye], ratio, gaze, face.lashes[eye, 0])
        drawn += (1 - 2 * eye) * jax.lax.cond(
            ratio < eyes.CLOSING, functools.partial(line, 1 - 2 * eye, step), functools.partial(jnp.zeros_like, drawn)
        )
        position = eyes.turn(position, frame, face.lids[eye], middle, ratio, gaze, face.lashes[eye, 1])
    return position, Painted(share=share, teeth=teeth, tongue=tongue, lashes=drawn)


def ahead(gaze: Float[Array, 4]) -> Float[Array, 3]:
    return rigid.rotation(jnp.concatenate([gaze[:2], jnp.zeros(1)])[None])[0, :, 2]


def _turned(face: Face, poses: tuple[Array, Array], turns: tuple[Array, Array], at: Pair) -> Pair:
    """Positions in the photograph of a head that is turned, moved and nothing else; the torso stays."""
    zoom = jnp.exp(poses[0][5] - poses[1][5])  # face width over the source's
    shift = (poses[1][3:5] - poses[0][3:5]) * jnp.exp(poses[0][5])
    view = (at[0] - shift[0]) / zoom, (-at[1] - shift[1]) / zoom  # y up
    turn = turns[0] @ turns[1].T  # from the camera's axes of the frame to those of the photograph
    flat = tuple(view[0] * turn[i, 0] + view[1] * turn[i, 1] for i in range(3))

    def nearer(_: int, s: Float[Array, "n m"]) -> Float[Array, "n m"]:
        x, y, z = (flat[i] + s * turn[i, 2] for i in range(3))
        return s - (z - surface.depth_at(face.depth, x, y)) / turn[2, 2]

    # A loop, unrolled, would be fused with all that follows and computed again for each use of it.
    s = jax.lax.fori_loop(0, DEPTH_STEPS, nearer, jnp.zeros_like(view[0]))
    move_x, move_y = flat[0] + s * turn[0, 2] - at[0], -(flat[1] + s * turn[1, 2]) - at[1]
    move_x, move_y = _in_head(face, poses[0], at, (move_x, move_y))
    return at[0] + move_x, at[1] + move_y


def _in_head(face: Face, pose: Float[Array, 6], at: Pair, move: Pair) -> Pair:
    """Displacement of `at` by the share of it that the place where it leads has."""
    # What does not move, or not as much, is known in the photograph: the collar and the shoulders stay where they are.
    share = jnp.ones_like(at[0])
    for _ in range(3):
        share = motion_share(face, pose[2], at[0] + share * move[0], at[1] + share * move[1])
    return share * move[0], share * move[1]


def motion_share(
    face: Face, roll: Float[Array, ""], x: Float[Array, "*axes"], y: Float[Array, "*axes"]
) -> Float[Array, "*axes"]:
    """The share of the head's motion at positions in the photograph: 0 in the torso, and at a border that cuts it."""
    sine, cosine = jnp.sin(jnp.deg2rad(roll)), jnp.cos(jnp.deg2rad(roll))
    across, down = cosine * x - sine * y, sine * x + cosine * y
    beside = expression.smooth((jnp.abs(across) - NECK) / SHOULDER)
    share = 1 - expression.smooth((down - face.chin + RISE * beside) / TAPER)
    left, right, top = face.cut
    inside = jnp.minimum(jnp.minimum(x - left, right - x), y - top)
    return share * expression.smooth(inside / BORDER)


def _mouth(
    face: Face,
    at: Float[Array, "70 2"],
    rest: Pair,
    upper: Pair,
    lower: Pair,
    jaw: Float[Array, 2],
    shut: Float[Array, ""],
    painted: Float[Array, ""],
    pixel: Float[Array, ""],
) -> tuple[Pair, tuple[Array, Array, Array]]:
    """Chooses, for each pixel, whether it moves with the upper lip, with the lower, or is the inside of the mouth.
    Returns where it lies in the photograph, and `Painted`'s shares of the inside, of teeth and of the tongue."""
    frame = expression.frame_of(at[60], at[64])
    step = pixel / jnp.sqrt(jnp.sum(frame[1] ** 2))  # a pixel in the frame's unit
    (u1, v1), (u2, v2) = expression.within(frame, upper), expression.within(frame, lower)
    over = expression.curve(face.mouth[0], u1) - v1  # positive: above the upper lip's lower edge
    under = v2 - expression.curve(face.mouth[1], u2)
    beyond = jnp.maximum(jnp.abs(0.5 * (u1 + u2)) - 1, 0)
    blend = jnp.clip(0.5 + (over - under) / jnp.maximum(4 * SEAM * beyond, 1e-4), 0, 1)
    share = jnp.where(beyond > 0, blend, (over > under).astype(jnp.float32))
    position = tuple(share * a + (1 - share) * b for a, b in zip(upper, lower, strict=True))
    gap = -jnp.maximum(over, under) / step  # pixels from the nearer lip
    between = jnp.where(beyond > 0, 0.0, jnp.clip(gap, 0, 1))
    # A mouth that was wide open does not quite close between its points: there the lips' edges stretch.
    stretch = shut * jnp.where(beyond > 0, 0.0, share * jnp.minimum(over, 0) - (1 - share) * jnp.minimum(under, 0))
    position = tuple(p + stretch * down for p, down in zip(position, frame[2], strict=True))

    # The photograph's own teeth, if it shows them: the upper ones stay with the skull, the lower ones with the jaw.
    def shown(where: Pair) -> Float[Array, "h w"]:
        u, v = expression.within(frame, where)
        depth = jnp.minimum(v - expression.curve(face.mouth[0], u), expression.curve(face.mouth[1], u) - v)
        return jnp.where(jnp.abs(u) < 1, jnp.clip(depth / step - 0.5, 0, 1), 0.0)

    with_jaw = rest[0] - jaw[0], rest[1] - jaw[1]
    gap = expression.curve(face.mouth[1], jnp.zeros(())) - expression.curve(face.mouth[0], jnp.zeros(()))
    both = jnp.clip((gap - ONE_ROW) / 0.1, 0, 1)  # a mouth open so far shows the lower teeth too
    top, bottom = shown(rest), both * shown(with_jaw)
    known = jnp.maximum(top, bottom)
    own = tuple(jnp.where(top >= bottom, a, b) for a, b in zip(rest, with_jaw, strict=True))
    use = (between > 0.5) & (known > 0.5) & (shut < 0.5)
    position = tuple(jnp.where(use, a, b) for a, b in zip(own, position, strict=True))
    line = expression.curve(face.mouth[0], u1)
    teeth, tongue = mouth.shade(expression.within(frame, rest), line, -over, -under)
    # What is left between lips that shut is dark: no tooth shows there.
    share = between * jnp.maximum(painted * (1 - known), shut)
    return position, (share, (1 - shut) * teeth, tongue)
