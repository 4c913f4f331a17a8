"""The puppet's head: a small linear 3DMM, mean + identity basis + expression basis under ARKit's names.

The skin is one mesh: free vertices over the skull, triangulated on the sphere, meet explicit rings around mouth and
eyes. Eyeballs, teeth, tongue, brows, lashes and ears are parts of their own in the same vertex list. Another
linear 3DMM can take its place by giving the same HeadModel.
"""

from __future__ import annotations

import dataclasses
import enum
import functools

import numpy as np
from scipy.spatial import ConvexHull, cKDTree

from data_pipelines.puppet import features
from data_pipelines.puppet.surface import EYE_CENTRE, MIRROR, MOUTH_Y, direction_at, mirrored, skin_at, skull, strip


class Region(enum.IntEnum):
    """What a vertex belongs to; it decides colour and gloss."""

    SKIN = 0
    LIP = 1
    MOUTH = 2
    TEETH = 3
    TONGUE = 4
    SCLERA = 5
    IRIS = 6
    PUPIL = 7
    BROW = 8
    LASH = 9
    EAR = 10
    HAIR = 11
    NECK = 12
    CLOTHES = 13
    POINT = 14  # no surface: the eyes' centres
    GLINT = 15
    ACCENT = 16  # the clothes' second colour


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class HeadModel:
    """A linear head. Vertices N are mean + identity . identity_basis + expression . expression_basis.

    mean               [N, 3] float64, face widths; landmarks 0 and 16 at (-0.5, 0, 0) and (0.5, 0, 0)
    identity_basis     [I, N, 3] float64, one standard deviation of each shape coefficient
    expression_basis   [52, N, 3] float64, ARKIT_NAMES; shapes that the head cannot show are zero
    triangles          [F, 3] int32, counter-clockwise from outside
    region             [N] int8, Region
    shade              [N] float64, 0-1: how much light reaches the vertex in creases and hollows
    landmarks          [68] int32, iBUG order
    eye_centres        [2] int32, the vertices (of region POINT) the left and the right eyeball turn about
    eyeballs           the vertices of the left and the right eyeball, the pupil's middle first
    lids               the vertices of lids and lashes, whose shapes grow with the identity's eyes
    parts              part name -> its vertices
    origin, width      from the sculptor's units (surface.py) to these: (point - origin) / width
    """

    mean: np.ndarray
    identity_basis: np.ndarray
    expression_basis: np.ndarray
    triangles: np.ndarray
    region: np.ndarray
    shade: np.ndarray
    landmarks: np.ndarray
    eye_centres: np.ndarray
    eyeballs: tuple[np.ndarray, np.ndarray]
    lids: np.ndarray
    parts: dict[str, slice]
    origin: np.ndarray
    width: float


@dataclasses.dataclass(eq=False)
class Sketch:
    """A head while it is built: parts are added one after the other; `parts` says where each lies."""

    points: list[np.ndarray] = dataclasses.field(default_factory=list)
    triangles: list[np.ndarray] = dataclasses.field(default_factory=list)
    regions: list[np.ndarray] = dataclasses.field(default_factory=list)
    shades: list[np.ndarray] = dataclasses.field(default_factory=list)
    parts: dict[str, slice] = dataclasses.field(default_factory=dict)

    def add(
        self,
        name: str,
        points: np.ndarray,
        triangles: np.ndarray,
        region: Region | np.ndarray,
        shade: float | np.ndarray = 1.0,
    ) -> slice:
        start = sum(len(p) for p in self.points)
        part = slice(start, start + len(points))
        self.points.append(points)
        self.triangles.append(np.asarray(triangles, np.int64).reshape(-1, 3) + start)
        self.regions.append(np.broadcast_to(np.asarray(region, np.int8), len(points)))
        self.shades.append(np.broadcast_to(np.asarray(shade, np.float64), len(points)))
        self.parts[name] = part
        return part

    def add_pair(
        self,
        name: str,
        points: np.ndarray,
        triangles: np.ndarray,
        region: Region | np.ndarray,
        shade: float | np.ndarray = 1.0,
    ) -> None:
        """The left part and its mirror image: NAME_left, NAME_right."""
        self.add(f"{name}_left", points, triangles, region, shade)
        self.add(f"{name}_right", *features.mirror_part(points, triangles), region, shade)


def jaw_line() -> np.ndarray:
    """[17, 3] unit directions of landmarks 0-16, image-left (the person's right) ear to ear over the chin."""
    a = np.linspace(0.0, np.pi, 17)
    ahead = 0.08 + 0.82 * np.sin(a) ** 1.5
    d = np.stack([-np.cos(a), -np.sin(a), ahead], -1)
    d[:, 1] *= 1.0 + 0.25 * np.sin(a)
    return d / np.linalg.norm(d, axis=-1, keepdims=True)


_NOSE_XY = np.array(  # landmarks 27-35, person's right to left
    [[0, 0.03], [0, -0.03], [0, -0.09], [0, -0.152], [-0.062, -0.19], [-0.032, -0.203], [0, -0.207], [0.032, -0.203],
     [0.062, -0.19]]
)  # fmt: skip


def _free_directions(mouth_edge: np.ndarray, eye_edge: np.ndarray) -> np.ndarray:
    """[N, 3]: directions of the skin's free vertices, symmetric, dense around nose and mouth, none inside the edges."""
    placed = np.concatenate([jaw_line()[:9] * MIRROR, direction_at(_NOSE_XY[_NOSE_XY[:, 0] >= 0])])
    ring = np.concatenate([mouth_edge, eye_edge])
    mouth_xy, eye_xy = skull(mouth_edge)[:, :2], skull(eye_edge)[:, :2]
    for spacing, x_end, y_start, y_end in ((0.024, 0.10, -0.235, 0.06), (0.040, 0.40, -0.60, 0.52)):
        rows = np.arange(y_start, y_end, spacing * 0.87)
        along = np.arange(0, x_end, spacing)
        lines = [np.stack([along + spacing / 2 * (i % 2), np.full(len(along), y)], -1) for i, y in enumerate(rows)]
        xy = np.concatenate(lines)
        xy = xy[((xy / np.array([0.44, 0.62])) ** 2).sum(-1) < 1.0]
        for loop in (mouth_xy, eye_xy):
            middle, half = (loop.max(0) + loop.min(0)) / 2, (loop.max(0) - loop.min(0)) / 2
            xy = xy[(((xy - middle) / (half + 0.012)) ** 2).sum(-1) > 1.0]
        placed = _away_from(placed, ring, direction_at(xy), 0.55 * spacing / 0.6)
    number = 900
    height = 1.0 - (2.0 * np.arange(number) + 1.0) / number
    turn = np.pi * (3.0 - np.sqrt(5.0)) * np.arange(number)
    level = np.sqrt(1.0 - height**2)
    ball = np.stack([np.abs(level * np.cos(turn)), height, level * np.sin(turn)], -1)
    ball = ball[ball[:, 0] > 0.03]
    meridian = np.deg2rad(np.arange(0.0, 360.0, 7.0))
    middle = np.stack([np.zeros_like(meridian), np.sin(meridian), np.cos(meridian)], -1)
    for more in (middle, ball):
        inside_mouth = ((skull(more)[:, :2] - np.array([0, MOUTH_Y])) / np.array([0.22, 0.10])) ** 2
        inside_eye = ((skull(more)[:, :2] - EYE_CENTRE[:2]) / np.array([0.17, 0.14])) ** 2
        behind = more[:, 2] < 0
        more = more[behind | ((inside_mouth.sum(-1) > 1) & (inside_eye.sum(-1) > 1))]
        placed = _away_from(placed, ring, more, 0.07)
    return mirrored(placed)


def _away_from(placed: np.ndarray, ring: np.ndarray, more: np.ndarray, distance: float) -> np.ndarray:
    """`placed` and those of `more` at least `distance` from it and from each other and not on the ring."""
    more = more[cKDTree(np.concatenate([placed, ring])).query(more)[0] > distance]
    kept = np.ones(len(more), bool)
    for i, j in sorted(cKDTree(more).query_pairs(0.5 * distance)):
        if kept[i]:
            kept[j] = False
    return np.concatenate([placed, more[kept]])


def _skin(sketch: Sketch) -> None:
    """The skin with lips, mouth cavity and lids: part `skin`, then `mouth` (rings) and `lid_left`, `lid_right`."""
    mouth, lid, orbit = features.mouth_rings(), features.lid_rings(), features.orbit_ring()
    mouth_edge, eye_edge = direction_at(mouth[0, :, :2]), direction_at(orbit[:, :2])
    free = _free_directions(mouth_edge, eye_edge)
    directions = np.concatenate([free, mouth_edge, eye_edge, eye_edge * MIRROR])
    hull = ConvexHull(directions).simplices
    a, b, c = (directions[hull[:, i]] for i in range(3))
    inward = (np.cross(b - a, c - a) * a).sum(-1) < 0
    hull[inward] = hull[inward, ::-1]
    loops = np.full(len(directions), -1)
    f, m, e = len(free), features.MOUTH_POINTS, features.EYE_POINTS
    loops[f : f + m], loops[f + m : f + m + e], loops[f + m + e :] = 0, 1, 2
    same = (loops[hull] == loops[hull[:, :1]]).all(-1) & (loops[hull[:, 0]] >= 0)
    points = skull(directions)
    nostril = np.abs(points * [1, 0, 0]).sum(-1)
    hollow = np.exp(-0.5 * (((nostril - 0.030) / 0.014) ** 2 + ((points[:, 1] + 0.208) / 0.010) ** 2))
    hollow[points[:, 2] < 0.3] = 0.0
    under = 0.25 * np.clip((-0.45 - points[:, 1]) / 0.2, 0, 1) * (points[:, 2] < 0.35)
    sketch.add("skin", points, hull[~same], Region.SKIN, (1.0 - 0.55 * hollow) * (1.0 - under))

    rings = np.arange((features.MOUTH_RINGS - 1) * m).reshape(-1, m)
    triangles = np.concatenate([strip(rings[i], rings[i + 1]) for i in range(len(rings) - 1)])
    back = rings[-1]
    cap = np.stack([back, np.roll(back, -1), np.full(m, rings.size)], -1)
    region = np.repeat([Region.SKIN, Region.LIP, Region.LIP, Region.LIP, Region.MOUTH, Region.MOUTH, Region.MOUTH], m)
    shade = np.repeat([1.0, 1.0, 1.0, 0.62, 0.55, 0.30, 0.12], m)
    middle = mouth[-1].mean(0, keepdims=True) - [[0, 0, 0.02]]
    part = sketch.add(
        "mouth",
        np.concatenate([mouth[1:].reshape(-1, 3), middle]),
        np.concatenate([triangles, cap]),
        np.append(region, Region.MOUTH),
        np.append(shade, 0.1),
    )
    sketch.triangles.append(strip(np.arange(f, f + m), part.start + rings[0]))

    rows = np.arange(features.LID_ROWS * e).reshape(-1, e)
    triangles = np.concatenate([strip(rows[i], rows[i + 1]) for i in range(len(rows) - 1)])
    upper = np.sin(2 * np.pi * np.arange(e) / e) > 0.2
    shade = np.concatenate([np.where(upper, s, 1.0) for s in (0.80, 0.90, 1.0, 1.0, 0.9)])
    sketch.add_pair("lid", lid.reshape(-1, 3), triangles, Region.SKIN, shade)
    for side, start in (("lid_left", f + m), ("lid_right", f + m + e)):
        joint = strip(np.arange(start, start + e), sketch.parts[side].start + rows[0])
        sketch.triangles.append(joint if side == "lid_left" else joint[:, ::-1])


def _parts(sketch: Sketch) -> None:
    points, triangles, row = features.eyeball()
    region = np.full(len(points), Region.SCLERA, np.int8)
    iris, pupil = features.IRIS_ROWS, features.PUPIL_ROWS
    region[(row >= iris.start) & (row < iris.stop)] = Region.IRIS
    region[row < pupil.stop] = Region.PUPIL
    shade = np.select([row == 3, row == 4, row == 5, row == 6], [0.75, 1.25, 0.95, 0.45], 1.0)
    sketch.add_pair("eyeball", points, triangles, region, shade)
    for upper in (True, False):
        sketch.add(
            f"teeth_{'upper' if upper else 'lower'}", *features.teeth(upper), Region.TEETH, 1.0 if upper else 0.8
        )
    sketch.add("tongue", *features.tongue(), Region.TONGUE, 0.8)
    sketch.add_pair("brow", *features.brow(), Region.BROW)
    sketch.add_pair("lash", *features.lash(features.lid_rings()[-1][: features.EYE_POINTS // 2 + 1]), Region.LASH)
    points, triangles, hollow = features.ear()
    sketch.add_pair("ear", points, triangles, Region.EAR, 1.0 - 0.45 * hollow)
    sketch.add("eye_centres", np.stack([EYE_CENTRE, EYE_CENTRE * MIRROR]), np.zeros((0, 3)), Region.POINT)


def _landmarks(sketch: Sketch, points: np.ndarray) -> np.ndarray:
    """[68] vertex numbers in iBUG order."""
    skin, mouth = sketch.parts["skin"], sketch.parts["mouth"]
    tree = cKDTree(points[skin])
    jaw = skin.start + tree.query(skull(jaw_line()))[1]
    nose = skin.start + tree.query(skin_at(_NOSE_XY))[1]
    crest = 13 + np.linspace(0, 12, 5).round().astype(int)  # the brow's middle row
    brow_right = sketch.parts["brow_right"].start + crest[::-1]
    brow_left = sketch.parts["brow_left"].start + crest
    margin = (features.LID_ROWS - 1) * features.EYE_POINTS
    eye_right = sketch.parts["lid_right"].start + margin + np.array([0, 4, 8, 12, 16, 20])
    eye_left = sketch.parts["lid_left"].start + margin + np.array([12, 8, 4, 0, 20, 16])
    ring = mouth.start + features.MOUTH_POINTS * np.arange(features.MOUTH_RINGS - 1)
    outer = ring[features.BORDER_RING - 1] + np.array([16, 13, 10, 8, 6, 3, 0, 29, 26, 24, 22, 19])
    inner = ring[features.CONTACT_RING - 1] + np.array([16, 11, 8, 5, 0, 27, 24, 21])
    return np.concatenate([jaw, brow_right, brow_left, nose, eye_right, eye_left, outer, inner]).astype(np.int32)


@functools.cache
def puppet_head() -> HeadModel:
    """Builds the head, always the same one."""
    from data_pipelines.puppet.shapes import expression_basis, identity_basis

    sketch = Sketch()
    _skin(sketch)
    _parts(sketch)
    points = np.concatenate(sketch.points)
    triangles = np.concatenate(sketch.triangles).astype(np.int32)
    landmarks = _landmarks(sketch, points)
    expression = expression_basis(sketch.parts, points, triangles)
    identity = identity_basis(sketch.parts, points)
    ears = points[landmarks[[0, 16]]]
    numbers = np.arange(len(points), dtype=np.int32)
    width = np.linalg.norm(ears[1] - ears[0])
    return HeadModel(
        mean=(points - ears.mean(0)) / width,
        identity_basis=identity / width,
        expression_basis=expression / width,
        triangles=triangles,
        region=np.concatenate(sketch.regions),
        shade=np.concatenate(sketch.shades),
        landmarks=landmarks,
        eye_centres=np.arange(2, dtype=np.int32) + sketch.parts["eye_centres"].start,
        eyeballs=(numbers[sketch.parts["eyeball_left"]], numbers[sketch.parts["eyeball_right"]]),
        lids=np.concatenate([numbers[sketch.parts[f"{n}_{s}"]] for n in ("lid", "lash") for s in ("left", "right")]),
        parts=sketch.parts,
        origin=ears.mean(0),
        width=float(width),
    )
