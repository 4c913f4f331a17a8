"""Occlusion of light: the key light's shadow map of a frame, and an identity's ambient occlusion.

Both rasterise the mesh along a direction and keep the nearest surface. The shadow map is read with a tent of 4 x 4
texels and a soft comparison of depths, so shadows have soft edges and do not flicker when the head moves by less than a
texel.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from data_pipelines.puppet.person.surface import fibonacci_sphere
from data_pipelines.puppet.render.raster import EMPTY, rasterise

REACH = 1.25  # half the width of the maps about the face centre, in face widths
_DIRECTIONS = 48
_TEXELS = 112  # of an ambient occlusion map
_NEAR = 0.030  # face widths: nearer surfaces do not occlude, those at twice the distance do


def axes_towards(direction: np.ndarray) -> np.ndarray:
    """Returns orthonormal axes [3, 3] for a direction [3]: rows right, up and towards it."""
    towards = np.asarray(direction, np.float64) / np.linalg.norm(direction)
    aside = np.array([0.0, 1.0, 0.0]) if abs(towards[1]) < 0.9 else np.array([0.0, 0.0, 1.0])
    right = np.cross(aside, towards)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(towards, right), towards])


@njit(cache=True, nogil=True, error_model="numpy")
def seen_from(
    points: np.ndarray, triangles: np.ndarray, chosen: np.ndarray, axes: np.ndarray, texels: int
) -> np.ndarray:
    """Returns the depth map [texels, texels] float32 of points [V, 3] (face widths, y up) in a direction's axes [3, 3].

    A texel holds the nearest surface's distance towards the light in face widths, EMPTY where there is none.
    """
    seen = np.empty((points.shape[0], 3), np.float32)
    unit = texels / (2.0 * REACH)
    for i in range(points.shape[0]):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        seen[i, 0] = (axes[0, 0] * x + axes[0, 1] * y + axes[0, 2] * z + REACH) * unit
        seen[i, 1] = (REACH - axes[1, 0] * x - axes[1, 1] * y - axes[1, 2] * z) * unit
        seen[i, 2] = axes[2, 0] * x + axes[2, 1] * y + axes[2, 2] * z
    depth = np.full((texels, texels), np.float32(EMPTY), np.float32)
    number = np.empty((texels, texels), np.int32)
    rasterise(seen, triangles, chosen, 1.0, depth, number, False)
    return depth


@njit(cache=True, nogil=True, error_model="numpy")
def about_face(points: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Converts points [V, 3] in pixels to face widths about the face centre, y up; frame: see renderer.py."""
    out = np.empty_like(points)
    for i in range(points.shape[0]):
        out[i, 0] = (points[i, 0] - frame[1]) / frame[0]
        out[i, 1] = (frame[2] - points[i, 1]) / frame[0]
        out[i, 2] = points[i, 2] / frame[0]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def lit(depth: np.ndarray, u: float, v: float, height: float, near: float) -> float:
    """Returns the share of light, 0-1, that reaches a point: u, v in texels (centres at +0.5), height as in seen_from.

    A surface less than `near` above it casts no shadow on it, one at twice that does. Outside the map all is lit.
    """
    texels = depth.shape[0]
    left, top = u - 2.0, v - 2.0
    x, y = int(np.floor(left)), int(np.floor(top))
    if x < 0 or y < 0 or x + 4 > texels or y + 4 > texels:
        return 1.0
    fx, fy = left - x, top - y
    total = 0.0
    for j in range(4):
        wy = 1.0 - fy if j == 0 else fy if j == 3 else 1.0
        for i in range(4):
            wx = 1.0 - fx if i == 0 else fx if i == 3 else 1.0
            above = (depth[y + j, x + i] - height) / near
            if above <= 1.0:
                total += wx * wy
            elif above < 2.0:
                total += wx * wy * (2.0 - above)
    return total / 9.0


@njit(cache=True, nogil=True, error_model="numpy")
def _open_sky(
    points: np.ndarray, normals: np.ndarray, triangles: np.ndarray, chosen: np.ndarray, axes: np.ndarray, texels: int
) -> np.ndarray:
    """Returns the cosine-weighted share [V] of the sky about each normal that is open; axes [D, 3, 3]."""
    unit = texels / (2.0 * REACH)
    number = points.shape[0]
    total, free = np.full(number, 1e-6), np.full(number, 1e-6)
    for d in range(axes.shape[0]):
        a = axes[d]
        depth = seen_from(points, triangles, chosen, a, texels)
        for i in range(number):
            nx, ny, nz = normals[i, 0], normals[i, 1], normals[i, 2]
            facing = a[2, 0] * nx + a[2, 1] * ny + a[2, 2] * nz
            if facing <= 0.02:
                continue
            x, y, z = points[i, 0] + 0.02 * nx, points[i, 1] + 0.02 * ny, points[i, 2] + 0.02 * nz
            u = (a[0, 0] * x + a[0, 1] * y + a[0, 2] * z + REACH) * unit
            v = (REACH - a[1, 0] * x - a[1, 1] * y - a[1, 2] * z) * unit
            total[i] += facing
            free[i] += facing * lit(depth, u, v, a[2, 0] * x + a[2, 1] * y + a[2, 2] * z, _NEAR)
    return free / total


@njit(cache=True, nogil=True, error_model="numpy")
def _smoothed(values: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Returns values [V] averaged with those of the neighbours."""
    total, weight = 3.0 * values, np.full(len(values), 3.0)
    for f in range(triangles.shape[0]):
        for i in range(3):
            a, b = triangles[f, i], triangles[f, (i + 1) % 3]
            total[a] += values[b]
            total[b] += values[a]
            weight[a] += 1.0
            weight[b] += 1.0
    return total / weight


def ambient_occlusion(points: np.ndarray, normals: np.ndarray, triangles: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Returns the openness [V] float32, 0-1, of each vertex of the resting puppet to the sky.

    points [V, 3] face widths, y up; normals [V, 3]; triangles [F, 3]; chosen [F]: which cast shadows (raster.py).
    """
    axes = np.stack([axes_towards(d) for d in fibonacci_sphere(_DIRECTIONS)])
    open_ = _open_sky(points.astype(np.float32), normals.astype(np.float32), triangles, chosen, axes, _TEXELS)
    return _smoothed(open_, triangles).astype(np.float32)
