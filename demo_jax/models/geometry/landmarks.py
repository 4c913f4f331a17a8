"""The motion of lips, lids, brows and eyes, as 70 points of the head: 68 landmarks and two irises.

`rigid` describes the motion of a turning head; these points describe the rest. They are predicted from the blocks of a
code and the source's appearance, in the head's own axes and face widths. Their ground truth is known for every training
image, so that they are learned in minutes. Their differences between source and driving code shift the image, and
outlines through the driving points are drawn into the decoder's features, because an open mouth has to be painted.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32

from demo_jax.factors import GAZE_SCALE, LANDMARK_MIRROR, LIPS_SCALE
from demo_jax.models.geometry import rigid
from demo_jax.models.geometry.warp import identity_grid, warp
from demo_jax.models.layers import Dtype, channel_norm

LANDMARKS = 68
INNER_LIPS, OUTER_LIPS = np.arange(60, 68), np.arange(48, 60)
EYE_CORNERS = ((36, 39), (42, 45))  # right eye, left eye
_EYES = (np.arange(36, 42), np.arange(42, 48))
_BROWS = (np.arange(17, 22), np.arange(22, 27))

# The mean face at rest, from the point half-way between the ears, face widths: landmarks of the right half and of the
# middle, measured on the puppets (for people it differs by less than people differ). These are the initial values.
_MEAN_HALF = {
    0: (-0.500, 0.000, 0.000), 1: (-0.488, -0.131, 0.040), 2: (-0.432, -0.267, 0.110), 3: (-0.344, -0.385, 0.163),
    4: (-0.252, -0.470, 0.212), 5: (-0.176, -0.522, 0.258), 6: (-0.112, -0.547, 0.311), 7: (-0.054, -0.558, 0.350),
    8: (0.000, -0.562, 0.364), 17: (-0.360, 0.172, 0.368), 18: (-0.291, 0.210, 0.424), 19: (-0.220, 0.229, 0.462),
    20: (-0.147, 0.224, 0.492), 21: (-0.071, 0.195, 0.497), 27: (0.000, 0.028, 0.520), 28: (0.000, -0.030, 0.542),
    29: (0.000, -0.090, 0.583), 30: (0.000, -0.158, 0.638), 31: (-0.078, -0.200, 0.552), 32: (-0.033, -0.209, 0.505),
    33: (0.000, -0.225, 0.507), 36: (-0.345, 0.012, 0.401), 37: (-0.290, 0.042, 0.452), 38: (-0.158, 0.035, 0.473),
    39: (-0.082, -0.018, 0.431), 40: (-0.157, -0.050, 0.472), 41: (-0.293, -0.044, 0.452), 48: (-0.178, -0.342, 0.421),
    49: (-0.152, -0.316, 0.470), 50: (-0.072, -0.304, 0.507), 51: (0.000, -0.314, 0.513), 57: (0.000, -0.444, 0.440),
    58: (-0.073, -0.433, 0.436), 59: (-0.153, -0.394, 0.422), 60: (-0.167, -0.346, 0.424), 61: (-0.098, -0.342, 0.486),
    62: (0.000, -0.345, 0.506), 66: (0.000, -0.399, 0.479), 67: (-0.099, -0.389, 0.462),
}  # fmt: skip


def mean_face() -> Float32[np.ndarray, "68 3"]:
    """Returns the landmarks of the mean face, face widths in the head's axes."""
    face = np.full((LANDMARKS, 3), np.nan, np.float32)
    for i, point in _MEAN_HALF.items():
        face[i] = point
        face[LANDMARK_MIRROR[i]] = np.array(point) * (-1, 1, 1)
    return face


# Which blocks of a code move which landmarks: the lower face, the eyes, and brows and nose.
_PARTS: dict[str, tuple[np.ndarray, tuple[str, ...]]] = {
    "mouth": (np.concatenate([np.arange(17), np.arange(48, 68)]), ("lip", "residual")),
    "eyes": (np.arange(36, 48), ("gaze", "residual")),
    "brows": (np.arange(17, 36), ("residual",)),
}
# How far around a point the image moves along with it, face widths.
_REACH = np.concatenate(
    [np.full(n, reach) for n, reach in ((17, 0.12), (10, 0.07), (9, 0.07), (12, 0.025), (20, 0.05), (2, 0.035))]
).astype(np.float32)
_CHANGE = 0.2  # face widths: the size of a change of 1, large so that small weights learn fast
# Without these weights the jaw would hold back the lips, and the lids the irises.
_WEIGHT = np.square(0.04 / _REACH) * np.where(np.arange(len(_REACH)) < LANDMARKS, 1, 4).astype(np.float32)
_REST = 0.05  # weight of no motion, against 1 of a point of the lips at its own place
_APPEARANCE = (16, 16)  # px of source features, over the whole face
# Radius of the puppets' eyeballs, face widths (of people about 0.09). It is not learned: learned from images alone it
# shrank to 0.03, because an iris in the wrong place costs more than one that hardly moves.
_EYEBALL = 0.148
_IRIS = 0.06
SKETCH = 8  # channels
_INSIDE = 3.0  # value inside, large so that small weights suffice; outside is 0, so that weights are learned inside


class FacePoints(nn.Module):
    """Predicts the points of source and driving code, [B, 70, 3] each.

    Codes describe the expression, the source describes the face: both are needed to place half-closed lids.
    """

    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        features: Float[Array, "B R R C"],
        blocks: dict[str, tuple[Float[Array, "B _"], Float[Array, "B _"]]],
        source_place: rigid.Placement,
    ) -> tuple[Float[Array, "B 70 3"], Float[Array, "B 70 3"]]:
        """`features` are the source's, `blocks` are of source and driving code, by factor."""
        grid = rigid.patch_grid(source_place, (0.0, -0.15, 0.4), _APPEARANCE, 1.2)
        appearance = warp(jax.lax.stop_gradient(features), grid)
        for i in range(2):
            appearance = nn.Conv(32, (3, 3), strides=(2, 2), dtype=self.dtype, name=f"looks_{i}")(
                channel_norm(appearance)
            )
            appearance = nn.silu(appearance)
        appearance = nn.silu(nn.Dense(64, dtype=self.dtype, name="looks")(appearance.reshape(len(appearance), -1)))
        layers = {
            name: (
                nn.Dense(64, dtype=self.dtype, name=f"{name}_hidden"),
                nn.Dense(3 * len(index), kernel_init=nn.initializers.zeros, dtype=jnp.float32, name=name),
            )
            for name, (index, _) in _PARTS.items()
        }

        def points(which: int) -> Float[Array, "B 70 3"]:
            face = jnp.broadcast_to(mean_face()[None], (len(appearance), LANDMARKS, 3))
            for name, (index, factors) in _PARTS.items():
                known = jnp.concatenate([blocks[factor][which] for factor in factors], -1)
                hidden, out = layers[name]
                both = jnp.concatenate([appearance, known.astype(appearance.dtype)], -1)
                change = out(jnp.concatenate([nn.silu(hidden(both)), both], -1))
                face = face.at[:, index].add(_CHANGE * change.reshape(len(appearance), len(index), 3))
            angles = blocks["gaze"][which][:, :2] * jnp.asarray(GAZE_SCALE[:2])[None]
            turn = rigid.rotation(jnp.concatenate([angles, jnp.zeros_like(angles[:, :1])], -1))
            irises = [
                (face[:, a] + face[:, b]) / 2 + _EYEBALL * (turn[..., 2] - jnp.array([[0.0, 0.0, 1.0]]))
                for a, b in EYE_CORNERS
            ]
            return jnp.concatenate([face, jnp.stack(irises, 1)], 1)

        return points(0), points(1)


# Of people, face widths (the puppets' is above).
_PERSONS_EYEBALL = 0.09
# (upper, lower) landmarks of each gap, and how far a change of the gap reaches them, 1 in the middle of the mouth.
_LIP_PAIRS = ((61, 67, 0.75), (62, 66, 1.0), (63, 65, 0.75))
_OVERLAP = 0.012  # face widths: lips that close press together, so that no tooth is left at their lines
_UPPER_LIP = 0.25  # share of a change of the gap that the upper lip makes
_LIP_FOLLOWERS = (
    {49: 0.5, 50: 0.9, 51: 1.0, 52: 0.9, 53: 0.5},
    {55: 0.5, 56: 0.9, 57: 1.0, 58: 0.9, 59: 0.5, 5: 0.2, 6: 0.5, 7: 0.7, 8: 0.8, 9: 0.7, 10: 0.5, 11: 0.2},
)
_SIDEWAYS = 0.022  # face widths: puppets purse their lips further than people do, and than skin can be shrunk
_LID_PAIRS = (((43, 47), (44, 46)), ((37, 41), (38, 40)))  # the person's left and right eye, as in the code
_UPPER_LID = 0.85
LEAST_OPENING = 0.3  # a source with eyes more closed than this says little of how far they open


def move(
    face: Float[Array, "B 70 3"],
    points: tuple[Float[Array, "B 70 3"], Float[Array, "B 70 3"]],
    blocks: dict[str, tuple[Float[Array, "B _"], Float[Array, "B _"]]],
) -> Float[Array, "B 70 3"]:
    """Returns the driving points of a measured face: it changes as the prediction does, and the gaps of lips and lids
    are those that the codes ask for, so that they close whatever the prediction says.

    Args:
      face: measured points of the source, face widths in the head's axes.
      points: predicted for source and driving code (`FacePoints`).
      blocks: of source and driving code, by factor.
    """
    change = points[1] - points[0]
    sideways = _SIDEWAYS * jnp.tanh(change[:, 48:LANDMARKS, 0] / _SIDEWAYS)
    moved = face + change.at[:, 48:LANDMARKS, 0].set(sideways)
    gaze = tuple(b[:, :4] * jnp.asarray(GAZE_SCALE)[None] for b in blocks["gaze"])
    span = jnp.linalg.norm(face[:, 36] - face[:, 45], axis=-1)
    apertures = tuple(b[:, 0] * LIPS_SCALE[0] for b in blocks["lip"])

    def gap(at: Float[Array, "B 70 3"], upper: int, lower: int) -> Float[Array, " B"]:
        return at[:, upper, 1] - at[:, lower, 1]

    def parted(upper: int, lower: int) -> tuple[Float[Array, " B"], Float[Array, " B"]]:
        """The gap at which lips touch: 0, or that of the source if its lips overlap; and how far they are parted."""
        touch = jnp.minimum(gap(face, upper, lower), 0.0)
        return touch, jnp.maximum(gap(moved, upper, lower) - touch, 0.0)

    # Too wide a gap shrinks in proportion everywhere, so that all of it can close; too narrow a one grows.
    touch, middle = parted(62, 66)
    more = (jnp.maximum(apertures[1], 0.0) - jnp.maximum(apertures[0], 0.0)) * span
    wanted = jnp.maximum(gap(face, 62, 66) - touch + more, 0.0)
    closing = jnp.clip((apertures[0] - apertures[1]) / jnp.maximum(apertures[0], 0.02), 0.0, 1.0)
    wanted = wanted - _OVERLAP * closing
    shrink = jnp.clip((wanted + 1e-4) / (middle + 1e-4), -1.0, 1.0)
    grow = wanted - shrink * middle
    change = touch + wanted - gap(moved, 62, 66)
    for upper, lower, weight in _LIP_PAIRS:
        touch, now = parted(upper, lower)
        add = touch + shrink * now + weight * grow - gap(moved, upper, lower)
        moved = moved.at[:, upper, 1].add(_UPPER_LIP * add).at[:, lower, 1].add((_UPPER_LIP - 1) * add)
    for share, followers in zip((_UPPER_LIP, _UPPER_LIP - 1), _LIP_FOLLOWERS, strict=True):
        for point, weight in followers.items():
            moved = moved.at[:, point, 1].add(weight * share * change)
    for eye, pairs in enumerate(_LID_PAIRS):
        ratio = lid_ratio(gaze[0][:, 2 + eye], gaze[1][:, 2 + eye])
        for upper, lower in pairs:
            add = ratio * gap(face, upper, lower) - gap(moved, upper, lower)
            moved = moved.at[:, upper, 1].add(_UPPER_LID * add).at[:, lower, 1].add((_UPPER_LID - 1) * add)
    irises = face[:, LANDMARKS:] + (points[1] - points[0])[:, LANDMARKS:] * (_PERSONS_EYEBALL / _EYEBALL)
    return moved.at[:, LANDMARKS:].set(irises)


def lid_ratio(source: Float[Array, "*B"], driving: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """The gap between lids over the source's, of the openings of both: 1 for equal ones, and 0 for a closed eye."""
    closing = jnp.maximum(driving, 0.0) / jnp.maximum(source, 1e-3)
    return jnp.where(driving >= source, 1 + (driving - source) / jnp.maximum(source, LEAST_OPENING), closing)


def shift(
    points: tuple[Float[Array, "B N 3"], Float[Array, "B N 3"]],
    places: tuple[rigid.Placement, rigid.Placement],
    resolution: int,
) -> Float[Array, "B {resolution} {resolution} 2"]:
    """Returns the shift of sampling positions that the points add to the rigid motion of the head, in -1..1, y down.

    It is a mean over the points of how far each lies, in the source image, from the same point of a head with the
    driving expression: weighted by Gaussians around the driving points, with some weight on no motion.

    Args:
      points: of source and driving code.
      places: of the heads of source and driving code.
      resolution: of the positions.
    """
    (source, driving), (before, after) = points, places
    away = rigid.project(source, before) - rigid.project(driving, before)
    at = rigid.project(driving, after)
    reach = 2.0 * after.zoom[:, None] * jnp.asarray(_REACH)[None]
    reach = jnp.maximum(reach, 1.0 / resolution)  # half a pixel
    line = identity_grid(resolution, 1)[:, 0, 1]
    # A Gaussian is a product of one across and one down, so that the sum over points is a product of matrices.
    across, down = (
        jnp.exp(-0.5 * jnp.square((line[None, None] - at[..., i, None]) / reach[..., None])) for i in (0, 1)
    )
    values = jnp.concatenate([away, jnp.ones_like(away[..., :1])], -1) * _WEIGHT[None, :, None]
    total = jnp.einsum("bph,bpw,bpc->bhwc", down, across, values)
    return total[..., :2] / (total[..., 2:] + _REST)


def sketch(
    points: Float[Array, "B 70 3"], place: rigid.Placement, resolution: int
) -> Float[Array, "B {resolution} {resolution} 8"]:
    """Returns outlines of the face: inner lips, outer lips and eyes, each with a sharp and a soft edge, the irises and
    the brows; 0 outside to 3 inside. There is no gradient: the points are learned from the ground truth."""
    at = jax.lax.stop_gradient(rigid.project(points, place))
    size = jax.lax.stop_gradient(2.0 * place.zoom)[:, None]  # a face width, in units of -1..1
    line = (jnp.arange(resolution, dtype=jnp.float32) + 0.5) * 2 / resolution - 1
    pixels = jnp.tile(line, resolution)[None], jnp.repeat(line, resolution)[None]
    inner, outer = (_signed_distance(pixels, at[:, index]) / size for index in (INNER_LIPS, OUTER_LIPS))
    eyes = jnp.maximum(*(_signed_distance(pixels, at[:, index]) for index in _EYES)) / size
    irises = jnp.minimum(*(_squared_distance(pixels, at[:, [i, i]]) for i in (68, 69)))
    brows = jnp.minimum(*(_squared_distance(pixels, at[:, index]) for index in _BROWS))
    maps = [jax.nn.sigmoid(d / width) for d in (inner, outer, eyes) for width in (0.015, 0.08)]
    maps += [jax.nn.sigmoid((radius - jnp.sqrt(d) / size) / 0.025) for d, radius in ((irises, _IRIS), (brows, 0.03))]
    return _INSIDE * jnp.stack(maps, -1).reshape(len(points), resolution, resolution, SKETCH)


# x and y are arrays of their own: sums over a last axis of two keep a CPU from using its vector instructions.
_Pixels = tuple[Float[Array, "1 P"], Float[Array, "1 P"]]
_Ends = tuple[Float[Array, "B 1"], Float[Array, "B 1"]]


def _squared_distance(pixels: _Pixels, line: Float[Array, "B N 2"], closed: bool = False) -> Float[Array, "B P"]:
    """Returns the squared distances of pixels from a polyline."""
    best: Array | float = jnp.inf
    for a, b in _segments(line, closed):
        best = jnp.minimum(best, _from_segment(pixels, a, b))
    return jnp.asarray(best)


@jax.jit  # traced once, not for each of some 40 segments
def _from_segment(pixels: _Pixels, a: _Ends, b: _Ends) -> Float[Array, "B P"]:
    """Returns the squared distances of pixels from a line segment."""
    (u, v), (x, y) = ((b[i] - a[i] for i in range(2)), (pixels[i] - a[i] for i in range(2)))
    t = jnp.clip((x * u + y * v) / jnp.maximum(u * u + v * v, 1e-9), 0, 1)
    return jnp.square(x - t * u) + jnp.square(y - t * v)


def _signed_distance(pixels: _Pixels, polygon: Float[Array, "B N 2"]) -> Float[Array, "B P"]:
    """Returns the distances of pixels from the outline of a polygon, positive inside."""
    inside = jnp.zeros((1, 1), bool)
    for a, b in _segments(polygon, closed=True):
        inside ^= _crosses(pixels, a, b)
    return jnp.sqrt(_squared_distance(pixels, polygon, closed=True)) * jnp.where(inside, 1.0, -1.0)


@jax.jit
def _crosses(pixels: _Pixels, a: _Ends, b: _Ends) -> Bool[Array, "B P"]:
    """Returns whether the ray to the right of each pixel crosses a line segment."""
    x, y = pixels
    slope = (b[0] - a[0]) / jnp.where(a[1] == b[1], 1.0, b[1] - a[1])
    return ((a[1] > y) != (b[1] > y)) & (x < a[0] + slope * (y - a[1]))


def _segments(line: Float[Array, "B N 2"], closed: bool) -> list[tuple[_Ends, _Ends]]:
    """Returns the two ends (x, y) of each segment of a polyline."""
    ends = [(line[:, i, :1], line[:, i, 1:]) for i in range(line.shape[1])]
    return list(zip(ends, ends[1:] + ends[:1], strict=True))[: None if closed else -1]
