"""The puppet's head: a small linear 3DMM (mean + identity basis + expression basis with ARKit's names).

The skin is one mesh: free vertices over the skull, triangulated on the sphere, dense where the face has detail, meet
explicit rings around mouth and eyes. Eyeballs, tear corners, teeth, gums, tongue, brows, lashes and ears are parts of
their own in the same vertex list. The head is symmetric to the last bit. Another linear 3DMM can replace it by
providing the same HeadModel.
"""

from __future__ import annotations

import dataclasses
import enum
import functools

import numpy as np
from scipy.spatial import cKDTree

from data_pipelines.puppet.person import feature_rings, organs, tessellation
from data_pipelines.puppet.person.expressions import expression_basis
from data_pipelines.puppet.person.shapes import identity_basis
from data_pipelines.puppet.person.surface import (
    EYE_CENTRE,
    MIRROR,
    direction_at,
    hollow,
    mirror_part,
    skin_at,
    skull,
    smoothstep,
    strip,
)


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
    GLASS = 15  # drawn over what lies behind: its albedo is the tint, its gloss the strength of reflections
    ACCENT = 16  # the clothes' second colour
    GUM = 17
    TEAR = 18  # the pink flesh in the inner corner of an eye
    BEARD = 19
    FRAME = 20  # of glasses
    METAL = 21  # jewellery, buttons
    HAT = 22
    SHIRT = 23  # under a jacket or a collar


Regions = Region | np.ndarray
Shades = float | np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class HeadModel:
    """A linear head. Vertices N are mean + identity . identity_basis + expression . expression_basis.

    mean               [N, 3] float64, face widths; landmarks 0 and 16 at (-0.5, 0, 0) and (0.5, 0, 0)
    identity_basis     [I, N, 3] float64, one standard deviation of each shape coefficient; order IDENTITY_NAMES
    expression_basis   [52, N, 3] float64, ARKIT_NAMES; shapes that the head cannot show are zero
    triangles          [F, 3] int32, counter-clockwise from outside
    region             [N] int8, Region
    shade              [N] float64, 0-1: how much light reaches the vertex in narrow creases, in any light
    landmarks          [68] int32, iBUG order
    eye_centres        [2] int32, the vertices (of region POINT) the left and the right eyeball turn about
    eyeballs           the vertices of the left and the right eyeball, the pupil's middle first
    lids               the vertices of lids and lashes, whose shapes grow with the identity's eyes
    parts              part name -> its vertices
    origin, width      from the unscaled units (surface.py) to these: (point - origin) / width
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
    """A head under construction: parts are appended one after another; `parts` maps each name to its vertices."""

    points: list[np.ndarray] = dataclasses.field(default_factory=list)
    triangles: list[np.ndarray] = dataclasses.field(default_factory=list)
    regions: list[np.ndarray] = dataclasses.field(default_factory=list)
    shades: list[np.ndarray] = dataclasses.field(default_factory=list)
    parts: dict[str, slice] = dataclasses.field(default_factory=dict)

    def add(self, name: str, points: np.ndarray, triangles: np.ndarray, region: Regions, shade: Shades = 1.0) -> slice:
        """Appends a part; region and shade are given per vertex or once for all. Returns its vertices."""
        start = sum(len(p) for p in self.points)
        part = slice(start, start + len(points))
        self.points.append(points)
        self.triangles.append(np.asarray(triangles, np.int64).reshape(-1, 3) + start)
        self.regions.append(np.broadcast_to(np.asarray(region, np.int8), len(points)))
        self.shades.append(np.broadcast_to(np.asarray(shade, np.float64), len(points)))
        self.parts[name] = part
        return part

    def add_pair(
        self, name: str, points: np.ndarray, triangles: np.ndarray, region: Regions, shade: Shades = 1.0
    ) -> None:
        """Adds the left part and its mirror image as NAME_left and NAME_right."""
        self.add(f"{name}_left", points, triangles, region, shade)
        self.add(f"{name}_right", *mirror_part(points, triangles), region, shade)


def jaw_line() -> np.ndarray:
    """[17, 3] unit directions of landmarks 0-16, ear to ear over the chin from image left; symmetric."""
    a = np.linspace(0.0, np.pi / 2, 9)
    ahead = 0.08 + 0.82 * np.sin(a) ** 1.5
    d = np.stack([-np.cos(a), -np.sin(a), ahead], -1)
    d[:, 1] *= 1.0 + 0.25 * np.sin(a)
    d[8, 0] = 0.0
    d /= np.linalg.norm(d, axis=-1, keepdims=True)
    return np.concatenate([d, d[7::-1] * MIRROR])


_NOSE_XY = np.array(  # landmarks 27-35, person's right to left
    [[0, 0.03], [0, -0.03], [0, -0.09], [0, -0.160], [-0.064, -0.210], [-0.030, -0.224], [0, -0.228], [0.030, -0.224],
     [0.064, -0.210]]
)  # fmt: skip


def _skin(sketch: Sketch) -> None:
    """The skin with lips, mouth cavity and lids: part `skin`, then `mouth` (rings) and `lid_left`, `lid_right`."""
    mouth, lid = feature_rings.mouth_rings(), feature_rings.lid_rings()
    mouth_edge, eye_edge = direction_at(mouth[0, :, :2]), direction_at(feature_rings.orbit_ring()[:, :2])
    fixed = np.concatenate([jaw_line()[8:], direction_at(_NOSE_XY[_NOSE_XY[:, 0] >= 0])])
    free = tessellation.free_directions(fixed, mouth_edge, eye_edge)
    directions = np.concatenate([free, mouth_edge, eye_edge, eye_edge * MIRROR])
    f, m, e = len(free), feature_rings.MOUTH_POINTS, feature_rings.EYE_POINTS
    loops = np.repeat([-1, 0, 1, 2], [f, m, e, e])
    points = skull(directions)
    under = 0.20 * smoothstep(-0.45, -0.65, points[:, 1]) * (points[:, 2] < 0.35)
    shade = (1.0 - 0.35 * hollow(points)) * (1.0 - under)
    sketch.add("skin", points, tessellation.triangulate(directions, loops), Region.SKIN, shade)

    rings = np.arange((feature_rings.MOUTH_RINGS - 1) * m).reshape(-1, m)
    triangles = np.concatenate([strip(rings[i], rings[i + 1]) for i in range(len(rings) - 1)])
    back = rings[-1]
    cap = np.stack([back, np.roll(back, -1), np.full(m, rings.size)], -1)
    number = np.arange(1, feature_rings.MOUTH_RINGS)
    region = np.select(
        [number < feature_rings.BORDER_RING, number <= feature_rings.CONTACT_RING],
        [Region.SKIN, Region.LIP],
        Region.MOUTH,
    )
    shade = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.90, 0.52, 0.42, 0.45, 0.35, 0.15])
    middle = mouth[-1].mean(0, keepdims=True) * [[0, 1, 1]] - [[0, 0, 0.02]]
    part = sketch.add(
        "mouth",
        np.concatenate([mouth[1:].reshape(-1, 3), middle]),
        np.concatenate([triangles, cap]),
        np.append(np.repeat(region, m), Region.MOUTH),
        np.append(np.repeat(shade, m), 0.1),
    )
    sketch.triangles.append(strip(np.arange(f, f + m), part.start + rings[0]))

    rows = np.arange(feature_rings.LID_ROWS * e).reshape(-1, e)
    triangles = np.concatenate([strip(rows[i], rows[i + 1]) for i in range(len(rows) - 1)])
    upper = np.clip(1.5 * np.sin(feature_rings.ring_angle(e)), 0.0, 1.0)
    shade = np.concatenate([1.0 - s * upper for s in (0.0, 0.04, 0.10, 0.34, 0.14, 0.04, 0.0, 0.0, 0.05, 0.3)])
    sketch.add_pair("lid", lid.reshape(-1, 3), triangles, Region.SKIN, shade)
    for side, start in (("lid_left", f + m), ("lid_right", f + m + e)):
        joint = strip(np.arange(start, start + e), sketch.parts[side].start + rows[0])
        sketch.triangles.append(joint if side == "lid_left" else joint[:, ::-1])


def _parts(sketch: Sketch) -> None:
    points, triangles, row = organs.eyeball()
    region = np.full(len(points), Region.SCLERA, np.int8)
    iris, pupil = organs.IRIS_ROWS, organs.PUPIL_ROWS
    region[(row >= iris.start) & (row < iris.stop)] = Region.IRIS
    region[row < pupil.stop] = Region.PUPIL
    shade = np.select([row == 3, row == 4, row == 5, row == 6, row == 7], [0.70, 1.15, 1.20, 0.85, 0.45], 1.0)
    sketch.add_pair("eyeball", points, triangles, region, shade)
    sketch.add_pair("tear", *organs.tear(), Region.TEAR)
    for name, upper in (("upper", True), ("lower", False)):
        points, triangles, shade = organs.teeth(upper)
        sketch.add(f"teeth_{name}", points, triangles, Region.TEETH, shade * (1.0 if upper else 0.85))
        sketch.add(f"gum_{name}", *organs.gum(upper), Region.GUM, 0.75)
    sketch.add("tongue", *organs.tongue(), Region.TONGUE, 0.8)
    points, triangles, shade = organs.brow()
    sketch.add_pair("brow", points, triangles, Region.BROW, shade)
    margin = feature_rings.lid_rings()[feature_rings.MARGIN_ROW, feature_rings.LASH_POINTS]
    sketch.add_pair("lash", *organs.lash(margin), Region.LASH)
    points, triangles, depth = organs.ear()
    sketch.add_pair("ear", points, triangles, Region.EAR, 1.0 - 0.45 * depth)
    sketch.add("eye_centres", np.stack([EYE_CENTRE, EYE_CENTRE * MIRROR]), np.zeros((0, 3)), Region.POINT)


def _landmarks(sketch: Sketch, points: np.ndarray) -> np.ndarray:
    """Returns the vertices [68] of the landmarks in iBUG order."""
    skin, mouth = sketch.parts["skin"], sketch.parts["mouth"]
    tree = cKDTree(points[skin])
    jaw = skin.start + tree.query(skull(jaw_line()))[1]
    nose = skin.start + tree.query(skin_at(_NOSE_XY))[1]
    columns = organs.BROW_COLUMNS
    crest = organs.BROW_ROWS // 2 * columns + np.linspace(0, columns - 1, 5).round().astype(int)
    brow_right = sketch.parts["brow_right"].start + crest[::-1]
    brow_left = sketch.parts["brow_left"].start + crest
    margin = feature_rings.MARGIN_ROW * feature_rings.EYE_POINTS
    eye_right = sketch.parts["lid_right"].start + margin + np.array([0, 8, 16, 24, 32, 40])
    eye_left = sketch.parts["lid_left"].start + margin + np.array([24, 16, 8, 0, 40, 32])
    ring = mouth.start + feature_rings.MOUTH_POINTS * np.arange(feature_rings.MOUTH_RINGS - 1)
    outer = ring[feature_rings.BORDER_RING - 1] + np.array([32, 26, 20, 16, 12, 6, 0, 58, 52, 48, 44, 38])
    inner = ring[feature_rings.CONTACT_RING - 1] + np.array([32, 22, 16, 10, 0, 54, 48, 42])
    return np.concatenate([jaw, brow_right, brow_left, nose, eye_right, eye_left, outer, inner]).astype(np.int32)


@functools.cache
def puppet_head() -> HeadModel:
    """Returns the head, built once per process and always the same."""
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
