"""The image from raster.py's triangle numbers: pixels are lit patch by patch and averaged; compiled by numba.

Samples of a pixel that show the same kind of surface at about the same depth are one patch, lit once (shading.py). The
patches, weighted by their samples, are averaged in linear light after the tone curve, together with the background. A
narrow 3 x 3 filter, as of a lens, smooths edges further; gamma is applied last.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from data_pipelines.puppet.render.shading import RGB, light, tone

GAMMA = 2.2
_BLUR = 0.1  # of each neighbour in a row or column
_PATCHES = 6
_LEVELS = 4096
_SAME = 0.06  # face widths of depth within a patch


@njit(cache=True, nogil=True, error_model="numpy")
def gamma_table() -> np.ndarray:
    """Returns [_LEVELS] float64: sRGB 0-255 of linear display values, indexed by the level of their square root."""
    return 255.0 * (np.arange(_LEVELS) / (_LEVELS - 1.0)) ** (2.0 / GAMMA)


@njit(cache=True, nogil=True, error_model="numpy")
def _corner(points, triangles, f, samples, u, v):
    """Returns the weights of triangle f's second and third vertex at sample position u, v; whether its back shows."""
    a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
    ax, ay = points[a, 0] * samples - 0.5, points[a, 1] * samples - 0.5
    bx, by = points[b, 0] * samples - 0.5 - ax, points[b, 1] * samples - 0.5 - ay
    cx, cy = points[c, 0] * samples - 0.5 - ax, points[c, 1] * samples - 0.5 - ay
    area = bx * cy - by * cx
    return ((u - ax) * cy - (v - ay) * cx) / area, (bx * (v - ay) - by * (u - ax)) / area, area > 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _develop(linear: np.ndarray, gamma: np.ndarray, out: np.ndarray) -> None:
    """Filters linear [S, S, 3] float32 and writes sRGB out [S, S, 3] uint8."""
    size = out.shape[0]
    row = np.empty((size, 3))
    middle = 1.0 - 2.0 * _BLUR
    for y in range(size):
        above, below = max(y - 1, 0), min(y + 1, size - 1)
        for x in range(size):
            for c in RGB:
                row[x, c] = middle * linear[y, x, c] + _BLUR * (linear[above, x, c] + linear[below, x, c])
        for x in range(size):
            left, right = max(x - 1, 0), min(x + 1, size - 1)
            for c in RGB:
                value = middle * row[x, c] + _BLUR * (row[left, c] + row[right, c])
                level = int(np.sqrt(min(max(value, 0.0), 1.0)) * (_LEVELS - 1) + 0.5)
                out[y, x, c] = int(gamma[level] + 0.5)


@njit(cache=True, nogil=True, error_model="numpy")
def _cover(points, normals, surface, triangles, overlay, samples, x, y, lamps, total):
    """Tints `total` by the albedo of the glass in front of the pixel and adds the lamps' reflections."""
    covered, u_sum, v_sum, f = 0.0, 0.0, 0.0, -1
    for v in range(y * samples, (y + 1) * samples):
        for u in range(x * samples, (x + 1) * samples):
            if overlay[v, u] >= 0:
                f = overlay[v, u]
                covered += 1.0
                u_sum += u
                v_sum += v
    if f < 0:
        return
    wb, wc, _ = _corner(points, triangles, f, samples, u_sum / covered, v_sum / covered)
    ia, ib, ic = triangles[f, 0], triangles[f, 1], triangles[f, 2]
    wa = 1.0 - wb - wc
    nx = wa * normals[ia, 0] + wb * normals[ib, 0] + wc * normals[ic, 0]
    ny = wa * normals[ia, 1] + wb * normals[ib, 1] + wc * normals[ic, 1]
    nz = wa * normals[ia, 2] + wb * normals[ib, 2] + wc * normals[ic, 2]
    if nz < 0.0:
        nx, ny, nz = -nx, -ny, -nz
    shine = max(nx * lamps[2, 0] + ny * lamps[2, 1] + nz * lamps[2, 2], 0.0) ** 32
    share = covered / (samples * samples)
    for c in RGB:
        glossy = surface[ia, 4] * lamps[1, c] * (0.02 + 0.25 * (1.0 - min(nz, 1.0)) ** 2 + 0.5 * shine)
        total[c] = total[c] * (1.0 - share * (1.0 - surface[ia, c])) + share * glossy


@njit(cache=True, nogil=True, error_model="numpy")
def render_image(
    points: np.ndarray,
    normals: np.ndarray,
    surface: np.ndarray,
    triangles: np.ndarray,
    kinds: np.ndarray,
    number: np.ndarray,
    overlay: np.ndarray,
    samples: int,
    background: np.ndarray,
    lamps: np.ndarray,
    frame: np.ndarray,
    turn: np.ndarray,
    eyes: np.ndarray,
    light_axes: np.ndarray,
    shadows: np.ndarray,
    gamma: np.ndarray,
    out: np.ndarray,
) -> None:
    """Lights and averages the samples into out [S, S, 3] uint8.

    Args:
      points, normals: [V, 3], as in raster.py; surface: [V, SURFACE]; triangles: [F, 3]; kinds: [F] Kind.
      number, overlay: [S samples, S samples] int32, the triangle of every sample and the glass in front of it, -1 for
        none; overlay may be empty [0, 0].
      background: [S, S, 3] linear display values.
      lamps: [10, 3], see lighting.lamps.
      frame: [FRAME]; turn: [3, 3] head to camera; eyes: [2, EYE]; see renderer.py.
      light_axes: [3, 3]; shadows: the shadow map; see occlusion.py.
      gamma: gamma_table's.
    """
    size = out.shape[0]
    linear = np.empty((size, size, 3), np.float32)
    seen = np.empty(64, np.int64)
    count, sum_u, sum_v = np.empty(64), np.empty(64), np.empty(64)
    patches, kind_of, weight = np.empty((_PATCHES, 12)), np.empty(_PATCHES, np.int64), np.empty(_PATCHES)
    p, value, total = np.empty(12), np.empty(3), np.empty(3)
    step = _SAME * frame[0]
    for y in range(size):
        for x in range(size):
            found = 0
            bare = 0.0
            for v in range(y * samples, (y + 1) * samples):
                for u in range(x * samples, (x + 1) * samples):
                    f = number[v, u]
                    if f < 0:
                        bare += 1.0
                        continue
                    at = found - 1
                    while at >= 0 and seen[at] != f:
                        at -= 1
                    if at < 0:
                        at = found
                        found += 1
                        seen[at] = f
                        count[at], sum_u[at], sum_v[at] = 0.0, 0.0, 0.0
                    count[at] += 1.0
                    sum_u[at] += u
                    sum_v[at] += v
            for c in RGB:
                total[c] = bare * background[y, x, c]
            made = 0
            for s in range(found):
                f = seen[s]
                n = count[s]
                u, v = sum_u[s] / n, sum_v[s] / n
                wb, wc, behind = _corner(points, triangles, f, samples, u, v)
                wa = 1.0 - wb - wc
                ia, ib, ic = triangles[f, 0], triangles[f, 1], triangles[f, 2]
                z = wa * points[ia, 2] + wb * points[ib, 2] + wc * points[ic, 2]
                kind = kinds[f]
                at = 0
                while at < made and (kind_of[at] != kind or abs(patches[at, 11] / weight[at] - z) > step):
                    at += 1
                if at == made:
                    if made < _PATCHES:
                        made += 1
                        kind_of[at], weight[at] = kind, 0.0
                        patches[at] = 0.0
                    else:
                        at = made - 1
                g = patches[at]
                weight[at] += n
                nx = wa * normals[ia, 0] + wb * normals[ib, 0] + wc * normals[ic, 0]
                ny = wa * normals[ia, 1] + wb * normals[ib, 1] + wc * normals[ic, 1]
                nz = wa * normals[ia, 2] + wb * normals[ib, 2] + wc * normals[ic, 2]
                side = -n if behind else n
                g[0] += side * nx
                g[1] += side * ny
                g[2] += side * nz
                for k in range(6):
                    g[3 + k] += n * (wa * surface[ia, k] + wb * surface[ib, k] + wc * surface[ic, k])
                if behind:  # the inside of hair and collars
                    g[6] -= 0.5 * n * surface[ia, 3]
                g[9] += n * (u + 0.5) / samples
                g[10] += n * (v + 0.5) / samples
                g[11] += n * z
            for s in range(made):
                for k in range(12):
                    p[k] = patches[s, k] / weight[s]
                light(kind_of[s], p, lamps, frame, turn, eyes, light_axes, shadows, value)
                for c in RGB:
                    total[c] += weight[s] * tone(value[c])
            share = 1.0 / (samples * samples)
            for c in RGB:
                total[c] *= share
            if overlay.shape[0] > 0:
                _cover(points, normals, surface, triangles, overlay, samples, x, y, lamps, total)
            for c in RGB:
                linear[y, x, c] = total[c]
    _develop(linear, gamma, out)
