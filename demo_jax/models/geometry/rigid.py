"""The motion of pixels under a turning head: geometry that the decoder does not have to learn.

The calibrated coordinates of a code give the exact pose of the head in the source and in the target image. If the head
is an ellipsoid, the ray through a pixel of the target image meets it in one point, and the source's pose gives the
place of that point in the source. The decoder learns the rest: the true depth, which pixels are head, and all motion
that is not rigid.
"""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from demo_jax.factors import POSE_SCALE, rotation_from_radians
from demo_jax.pytrees import register

AXES = (0.60, 0.80, 0.66)  # half axes in face widths: across, up, ahead; initial values
CENTRE = (0.0, 0.08, -0.05)  # of the ellipsoid, from the point half-way between the ears
EYES = (0.0, 0.03, 0.45)  # between the eyes and in the middle of the mouth, likewise
MOUTH = (0.0, -0.39, 0.45)
DOWN = np.array([[[1.0, -1.0]]], np.float32)  # images have y down
_MAX_ANGLE = 75.0  # degrees


@register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Placement:
    """Where heads are, from `place`."""

    turn: Float[Array, "B 3 3"]
    roll: Float[Array, " B"]  # radians
    move: Float[Array, "B 2"]  # from the crop's centre, crop widths, y up
    zoom: Float[Array, " B"]  # face width over crop width


def place(pose: Float[Array, "B 6"]) -> Placement:
    """Returns where pose coordinates of codes (yaw, pitch, roll, x, y, z over POSE_SCALE) put the head.

    They are clipped: an untrained encoder may return any value.
    """
    pose = limited(pose * jnp.asarray(POSE_SCALE)[None])
    return Placement(
        turn=rotation(pose[:, :3]),
        roll=jnp.deg2rad(pose[:, 2]),
        move=pose[:, 3:5],
        zoom=jnp.exp(-pose[:, 5]),
    )


def limited(pose: Float[Array, "*B 6"]) -> Float[Array, "*B 6"]:
    """Clips poses in the record's units to those that geometry is made for."""
    low, high = (np.array([*[sign * _MAX_ANGLE] * 3, sign, sign, z], np.float32) for sign, z in ((-1, -0.5), (1, 3.0)))
    shape = (1,) * (pose.ndim - 1) + (6,)
    return jnp.clip(pose, low.reshape(shape), high.reshape(shape))


def rotation(degrees: Float[Array, "B 3"]) -> Float[Array, "B 3 3"]:
    """Returns R = Rz(roll) Ry(yaw) Rx(pitch) from yaw, pitch, roll, as demo_jax.factors.rotation_matrix.

    jax.scipy.spatial.transform.Rotation (jax 0.10) relies on rank promotion, which raises an error in the tests.
    """
    return rotation_from_radians(*jnp.moveaxis(jnp.deg2rad(degrees), -1, 0), xp=jnp)


def head_flow(
    grid: Float[Array, "H W 2"],
    source: Placement,
    driving: Placement,
    axes: Float[Array, 3],
    centre: Float[Array, 3],
    depth: Float[Array, "B H W"] | float,
) -> tuple[Float[Array, "B H W 2"], Float[Array, "B H W"]]:
    """Finds, for the point of the head at each pixel of the target image, its place in the source.

    Args:
      grid: pixel positions (x, y) in -1..1, y down (`warp.identity_grid`).
      source: of the head in the source.
      driving: of the head in the target image.
      axes: of the ellipsoid, face widths, in the head's own axes.
      centre: of the ellipsoid, likewise.
      depth: added to the ellipsoid's depth towards the camera, face widths.

    Returns:
      Sampling positions in -1..1, y down; and how far inside the ellipsoid's outline a pixel lies: 1 in its middle, 0
      on the outline, negative outside, where the positions continue those of the outline.
    """
    # Crop widths, y up, from the crop's centre; then face widths from the face's centre, in the camera's axes.
    seen = 0.5 * grid * DOWN
    view = (seen[None] - driving.move[:, None, None]) / driving.zoom[:, None, None, None]
    # A point (view, s) of the ray, in the head's axes over the ellipsoid's: base + s * along.
    inverse = jnp.swapaxes(driving.turn, 1, 2)
    base = (jnp.einsum("bij,bhwj->bhwi", inverse[:, :, :2], view) - centre[None, None, None]) / axes[None, None, None]
    along = inverse[:, :, 2] / axes[None]
    a = jnp.sum(along * along, -1)[:, None, None]
    b = jnp.einsum("bhwi,bi->bhw", base, along)
    inside = 1.0 - (jnp.sum(base * base, -1) - b * b / a)
    root = jnp.sqrt(jnp.maximum(inside, 1e-4) / a)
    s = root - b / a + depth
    point = jnp.einsum("bij,bhwj->bhwi", inverse[:, :, :2], view) + inverse[:, None, None, :, 2] * s[..., None]
    turned = jnp.einsum("bij,bhwj->bhwi", source.turn[:, :2], point)
    at = turned * source.zoom[:, None, None, None] + source.move[:, None, None]
    return 2.0 * at * DOWN[None], inside


def patch_grid(
    at: Placement, centre: tuple[float, float, float], shape: tuple[int, int], width: float
) -> Float[Array, "B rows columns 2"]:
    """Returns the sampling positions of an upright patch of the face, in -1..1, y down.

    Args:
      at: of the heads.
      centre: the point in the middle of the patch, face widths in the head's axes (`EYES`, `MOUTH`).
      shape: rows and columns of the patch.
      width: of the patch, in face widths. The patch turns with the roll and scales with the face, and nothing else.
    """
    rows, columns = shape
    cos, sin = jnp.cos(at.roll), jnp.sin(at.roll)
    across, up = jnp.stack([cos, sin], -1), jnp.stack([-sin, cos], -1)
    step = width / columns
    right = ((jnp.arange(columns) - (columns - 1) / 2) * step)[None, None, :, None]
    above = (((rows - 1) / 2 - jnp.arange(rows)) * step)[None, :, None, None]
    away = right * across[:, None, None] + above * up[:, None, None]
    middle = project(jnp.asarray(centre)[None, None], at)
    return middle[:, None] + 2.0 * at.zoom[:, None, None, None] * away * DOWN[None]


def project(points: Float[Array, "#B N 3"], at: Placement) -> Float[Array, "B N 2"]:
    """Projects points of heads (face widths, in the head's axes) to the image, in -1..1, y down.

    Args:
      points: of each head, or the same of all.
      at: of the heads.
    """
    points = jnp.broadcast_to(points, (len(at.zoom), *points.shape[1:]))
    seen = at.move[:, None] + at.zoom[:, None, None] * jnp.einsum("bij,bnj->bni", at.turn[:, :2], points)
    return 2.0 * seen * DOWN
