"""The skin's free vertices: directions spread over the sphere, dense where the face has detail, and their triangles.

Points are placed on one side, from the finest spacing to the coarsest, evened out by a few rounds of averaging and then
mirrored. The midline is a chain of edges, so the mesh and its mirror image are the same to the last bit.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import ConvexHull, cKDTree

from data_pipelines.puppet.person.surface import EYE_CENTRE, MIRROR, MOUTH_Y, fibonacci_sphere, folded, mirrored, skull

_SPACINGS = (0.0145, 0.022, 0.034, 0.056, 0.085)  # face widths
_ROUNDS = 8


def spacing(points: np.ndarray) -> np.ndarray:
    """Returns the target distance [N] between vertices at points [N, 3] of the skin."""
    x, y, z = folded(points).T
    level = np.where(z > 0.28, 2, np.where(z > -0.05, 3, 4))
    level[(y > 0.34) & (level < 3)] = 3
    around = [((x - EYE_CENTRE[0]) / 0.225) ** 2 + (y / 0.195) ** 2, (x / 0.270) ** 2 + ((y - MOUTH_Y) / 0.155) ** 2]
    fine = (
        (np.minimum(*around) < 1.0) | ((x < 0.09) & (y < 0.10) & (y > -0.30)) | ((x < 0.13) & (np.abs(y + 0.18) < 0.09))
    )
    level[fine & (z > 0.15)] = 1
    level[((x / 0.110) ** 2 + ((y + 0.188) / 0.075) ** 2 < 1.0) & (z > 0.3)] = 0
    return np.array(_SPACINGS)[level]


def _inside(directions: np.ndarray, loop: np.ndarray) -> np.ndarray:
    """Returns [N] bool: directions in or near the convex loop [K, 3] of directions (the left eye's or the mouth's)."""
    middle = loop.mean(0)
    normals = np.cross(loop, np.roll(loop, -1, 0))
    normals *= np.sign(normals @ middle)[:, None]
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    return np.min(directions @ normals.T, axis=-1) > -0.012


def free_directions(fixed: np.ndarray, mouth_edge: np.ndarray, eye_edge: np.ndarray) -> np.ndarray:
    """Returns symmetric unit directions [N, 3]: `fixed` (left side and midline) included, none inside the edges."""
    ring = np.concatenate([mouth_edge, eye_edge, eye_edge * MIRROR])
    placed = np.concatenate([fixed, _midline(fixed, mouth_edge)])
    kept = len(placed)
    for level, step in enumerate(_SPACINGS):
        more = fibonacci_sphere(int(4 * np.pi / (0.80 * (step / 0.55) ** 2)))
        more = more[more[:, 0] > 0.0]
        at = skull(more)
        fits = spacing(at) == _SPACINGS[level]
        fits &= (at[:, 0] > 0.5 * step) & ~_inside(more, mouth_edge) & ~_inside(more, eye_edge)
        more, at = more[fits], at[fits]
        far = cKDTree(skull(np.concatenate([placed, ring]))).query(at)[0] > 0.72 * step
        placed = np.concatenate([placed, more[far]])
    for _ in range(_ROUNDS):
        placed = _even(placed, kept, ring, mouth_edge, eye_edge)
    return mirrored(placed)


def _midline(fixed: np.ndarray, mouth_edge: np.ndarray) -> np.ndarray:
    """Returns directions [N, 3] along the midline, spaced as `spacing` demands."""
    turn = np.deg2rad(np.arange(0.0, 360.0, 0.1))
    middle = np.stack([0 * turn, np.sin(turn), np.cos(turn)], -1)
    middle = middle[~_inside(middle, mouth_edge)]
    at = skull(middle)
    taken = list(skull(np.concatenate([fixed[np.abs(fixed[:, 0]) < 1e-9], mouth_edge])))
    chosen = []
    for i, (point, step) in enumerate(zip(at, spacing(at), strict=True)):
        if min(((point - t) ** 2).sum() for t in taken) > (0.8 * step) ** 2:
            taken.append(point)
            chosen.append(i)
    return middle[chosen]


def _even(placed: np.ndarray, kept: int, ring: np.ndarray, *edges: np.ndarray) -> np.ndarray:
    """Moves every direction after the first `kept` half-way to the average of its neighbours."""
    side = placed[placed[:, 0] > 1e-6]
    every = np.concatenate([placed, ring, side * MIRROR])
    hull = ConvexHull(every).simplices
    ends = np.concatenate([hull[:, [0, 1]], hull[:, [1, 2]], hull[:, [2, 0]]])
    ends = np.concatenate([ends, ends[:, ::-1]])
    total = np.zeros_like(every)
    np.add.at(total, ends[:, 0], every[ends[:, 1]])
    moved = 0.5 * (every + total / np.bincount(ends[:, 0], minlength=len(every))[:, None])[: len(placed)]
    moved /= np.linalg.norm(moved, axis=-1, keepdims=True)
    at = skull(moved)
    stays = at[:, 0] < 0.45 * spacing(at)
    for edge in edges:
        stays |= _inside(moved, edge)
    stays[:kept] = True
    return np.where(stays[:, None], placed, moved)


def triangulate(directions: np.ndarray, loops: np.ndarray) -> np.ndarray:
    """Returns triangles [F, 3] of the convex hull of symmetric directions, with holes inside the loops.

    Args:
      directions: [N, 3].
      loops: [N] the number of the ring that a direction belongs to, or -1.
    Returns: the left half and its mirror image, each counter-clockwise from outside.
    """
    hull = ConvexHull(directions).simplices
    a, b, c = (directions[hull[:, i]] for i in range(3))
    inward = (np.cross(b - a, c - a) * a).sum(-1) < 0
    hull[inward] = hull[inward, ::-1]
    image = cKDTree(directions).query(directions * MIRROR)[1]
    left = hull[(directions[hull, 0] >= 0).all(-1)]
    if 2 * len(left) != len(hull):
        raise RuntimeError("the head's midline is not a chain of edges")
    left = left[~((loops[left] == loops[left[:, :1]]).all(-1) & (loops[left[:, 0]] >= 0))]
    return np.concatenate([left, image[left][:, ::-1]])
