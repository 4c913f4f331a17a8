"""Rasterisation of one triangle mesh on one CPU core, compiled by numba: the triangle that every sample shows.

Deterministic: single-threaded, no re-ordered arithmetic. The kernels release the GIL, so callers may render several
clips in threads or processes. Shading is in shading.py.
"""

from __future__ import annotations

import numpy as np
from numba import njit

EMPTY = -1e9  # depth of samples without a surface


@njit(cache=True, nogil=True, error_model="numpy")
def vertex_normals(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Returns area-weighted unit normals [V, 3] float32 of points [V, 3] float32 and triangles [F, 3] int32.

    In points x is right, y down and z towards the camera; the normals' y is up.
    """
    normals = np.zeros_like(points)
    for f in range(triangles.shape[0]):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ux, uy, uz = points[b, 0] - points[a, 0], points[a, 1] - points[b, 1], points[b, 2] - points[a, 2]
        vx, vy, vz = points[c, 0] - points[a, 0], points[a, 1] - points[c, 1], points[c, 2] - points[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for i in (a, b, c):
            normals[i, 0] += nx
            normals[i, 1] += ny
            normals[i, 2] += nz
    for i in range(points.shape[0]):
        length = np.sqrt(normals[i, 0] ** 2 + normals[i, 1] ** 2 + normals[i, 2] ** 2) + np.float32(1e-20)
        for c in range(3):
            normals[i, c] /= length
    return normals


@njit(cache=True, nogil=True, error_model="numpy")
def rasterise(
    points: np.ndarray,
    triangles: np.ndarray,
    chosen: np.ndarray,
    scale: float,
    depth: np.ndarray,
    number: np.ndarray,
    through: bool,
) -> None:
    """Rasterises the chosen triangles into depth [H, H] float32 and number [H, H] int32, both changed in place.

    points [V, 3] float32: x, y (down) with pixel centres at +0.5, z grows towards the camera. A sample of the buffers
    lies at (column + 0.5) / scale. chosen [F] int8: 0 skip, 1 front sides only, 2 both sides. With `through`, depth
    stays as it is and number keeps the last triangle, in mesh order, in front of the surfaces rasterised before.
    """
    wide = depth.shape[0]
    at = points * np.float32(scale)
    for f in range(triangles.shape[0]):
        side = chosen[f]
        if side == 0:
            continue
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ax, ay, bx, by, cx, cy = at[a, 0], at[a, 1], at[b, 0], at[b, 1], at[c, 0], at[c, 1]
        x0 = max(int(np.ceil(min(ax, bx, cx) - np.float32(0.5))), 0)
        x1 = min(int(np.floor(max(ax, bx, cx) - np.float32(0.5))), wide - 1)
        if x0 > x1:
            continue
        y0 = max(int(np.ceil(min(ay, by, cy) - np.float32(0.5))), 0)
        y1 = min(int(np.floor(max(ay, by, cy) - np.float32(0.5))), wide - 1)
        if y0 > y1:
            continue
        ux, uy, vx, vy = float(bx) - ax, float(by) - ay, float(cx) - ax, float(cy) - ay
        area = ux * vy - uy * vx  # y is down: negative when the front shows
        if abs(area) < 1e-9 or (side == 1 and area > 0.0):
            continue
        inverse = 1.0 / area
        step_b, step_c = vy * inverse, -uy * inverse
        za, zb, zc = points[a, 2], points[b, 2] - points[a, 2], points[c, 2] - points[a, 2]
        right = x0 + 0.5 - ax
        for y in range(y0, y1 + 1):
            below = y + 0.5 - ay
            wb = right * step_b - below * vx * inverse
            wc = right * step_c + below * ux * inverse
            for x in range(x0, x1 + 1):
                if min(wb, wc, 1.0 - wb - wc) >= -1e-6:
                    z = np.float32(za + wb * zb + wc * zc)
                    if z > depth[y, x]:
                        number[y, x] = f
                        if not through:
                            depth[y, x] = z
                wb += step_b
                wc += step_c
