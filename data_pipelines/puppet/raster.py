"""Shading and z-buffer rasterisation of one triangle mesh on one CPU core, compiled by numba.

Frames are deterministic: single-threaded, no re-ordered arithmetic. The kernels release the GIL, so that callers may
render several clips in threads or processes.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def vertex_normals(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """points [V, 3] float32, triangles [F, 3] int32 -> unit normals [V, 3] float32, weighted by area."""
    normals = np.zeros_like(points)
    for f in range(triangles.shape[0]):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ux, uy, uz = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
        vx, vy, vz = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1], points[c, 2] - points[a, 2]
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


@njit(cache=True, nogil=True)
def shade(
    normals: np.ndarray,
    albedo: np.ndarray,
    gloss: np.ndarray,
    soft: np.ndarray,
    light: np.ndarray,
    key: np.ndarray,
    sky: np.ndarray,
    ground: np.ndarray,
) -> np.ndarray:
    """Light on each vertex -> sRGB colours [V, 3] float32 in 0-255.

    normals [V, 3]; albedo [V, 3] linear; gloss, soft [V] 0-1: highlight, and light that wraps round the terminator;
    light [3] towards the key light; key, sky, ground [3] linear colours of the lights. All float32.
    """
    out = np.empty_like(albedo)
    hx, hy, hz = light[0], light[1], light[2] + 1.0
    length = np.sqrt(hx * hx + hy * hy + hz * hz)
    hx, hy, hz = hx / length, hy / length, hz / length
    for i in range(normals.shape[0]):
        nx, ny, nz = normals[i, 0], normals[i, 1], normals[i, 2]
        lambert = nx * light[0] + ny * light[1] + nz * light[2]
        up = 0.5 + 0.5 * ny
        facing = min(max(nz, 0.0), 1.0)
        rim = 0.22 * (1.0 - facing) ** 3 * (0.3 + 0.7 * up)
        shine = max(nx * hx + ny * hy + nz * hz, 0.0)
        highlight = gloss[i] * (0.30 * shine**12 + 0.55 * shine**60)
        for c in range(3):
            wrap = soft[i] * (0.42 if c == 0 else 0.28)  # red goes furthest through skin
            diffuse = max((lambert + wrap) / (1.0 + wrap), 0.0)
            ambient = ground[c] + (sky[c] - ground[c]) * up
            value = (
                albedo[i, c] * (key[c] * diffuse + ambient) + (highlight + rim * (0.25 + albedo[i, c])) * key[c] * 0.6
            )
            value = value / (1.0 + 0.12 * value)
            out[i, c] = 255.0 * min(max(value, 0.0), 1.0) ** (1.0 / 2.2)
    return out


@njit(cache=True, nogil=True)
def rasterise(
    points: np.ndarray,
    colours: np.ndarray,
    triangles: np.ndarray,
    background: np.ndarray,
    samples: int,
) -> np.ndarray:
    """Draws the mesh over the background, samples x samples points per pixel averaged -> [size, size, 3] uint8.

    points [V, 3] float32: x, y in pixels, y down, centres at +0.5; z grows towards the camera. Triangles whose front
    faces away are drawn too: the inside of hair shows.
    """
    size = background.shape[0]
    wide = size * samples
    depth = np.full((wide, wide), np.float32(-1e9), np.float32)
    image = np.zeros((wide, wide, 3), np.float32)
    for f in range(triangles.shape[0]):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ax, ay = points[a, 0] * samples - 0.5, points[a, 1] * samples - 0.5
        bx, by = points[b, 0] * samples - 0.5, points[b, 1] * samples - 0.5
        cx, cy = points[c, 0] * samples - 0.5, points[c, 1] * samples - 0.5
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < 1e-9:
            continue
        x0 = max(int(np.ceil(min(ax, bx, cx))), 0)
        x1 = min(int(np.floor(max(ax, bx, cx))), wide - 1)
        y0 = max(int(np.ceil(min(ay, by, cy))), 0)
        y1 = min(int(np.floor(max(ay, by, cy))), wide - 1)
        if x0 > x1 or y0 > y1:
            continue
        inverse = 1.0 / area
        step_b, step_c = (cy - ay) * inverse, -(by - ay) * inverse
        for y in range(y0, y1 + 1):
            wb = ((x0 - ax) * (cy - ay) - (y - ay) * (cx - ax)) * inverse
            wc = ((bx - ax) * (y - ay) - (by - ay) * (x0 - ax)) * inverse
            for x in range(x0, x1 + 1):
                wa = 1.0 - wb - wc
                if wa >= -1e-6 and wb >= -1e-6 and wc >= -1e-6:
                    z = wa * points[a, 2] + wb * points[b, 2] + wc * points[c, 2]
                    if z > depth[y, x]:
                        depth[y, x] = z
                        for k in range(3):
                            image[y, x, k] = wa * colours[a, k] + wb * colours[b, k] + wc * colours[c, k]
                wb += step_b
                wc += step_c
    out = np.empty((size, size, 3), np.uint8)
    number = np.float32(1.0 / (samples * samples))
    for y in range(size):
        for x in range(size):
            for k in range(3):
                total = np.float32(0.0)
                for j in range(samples):
                    for i in range(samples):
                        v, u = y * samples + j, x * samples + i
                        total += image[v, u, k] if depth[v, u] > -1e8 else background[y, x, k]
                out[y, x, k] = int(total * number + np.float32(0.5))  # colours are within 0-255
    return out
