"""Light on the visible surface, pixel by pixel, compiled by numba; from raster.py's triangle numbers to a picture.

Samples of a pixel that show the same kind of surface at about the same depth are one *patch*: its mean position,
normal, colour and openness are lit once, and the patches, weighted by their samples, are averaged in linear light
after the tone curve, together with the background; one gamma a pixel follows.

A patch is lit by the lamps of lighting.py:
- diffuse: the key wrapped round the terminator, red furthest, squared to fade smoothly, times the shadow map, whose
  penumbra is redder on skin; a soft fill; sky and ground times ambient occlusion with one bounce of the own colour
- skin: a warm band at the terminator, a glow in thin parts, two Blinn lobes with Fresnel
- hair: Kajiya and Kay's two shifted highlights across strands that run from the crown, with fine strands of their own
- eyes: the place on the ball gives limbal ring, fibres and caustic of the iris, which turn with the gaze; the lids'
  shadow, which does not; and the key's image, which turns with nothing
- mouth: light falls with the depth behind the lips and grows with their gap
- everywhere: a rim from behind where the surface turns away
"""

from __future__ import annotations

import numpy as np
from numba import njit

from data_pipelines.puppet.occlusion import REACH, lit

SURFACE = 6  # columns of `surface`: albedo (3), openness, gloss, softness
FRAME = 10  # numbers of a frame, see frame_numbers in render.py
EYE = 26  # numbers of an eye, see eye_numbers in render.py
_PATCHES = 6
_LEVELS = 4096
GAMMA = 2.2
_RGB = (0, 1, 2)


@njit(cache=True, nogil=True, error_model="numpy")
def _ramp(start: float, end: float, x: float) -> float:
    t = min(max((x - start) / (end - start), 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


@njit(cache=True, nogil=True, error_model="numpy")
def _shadow(p, lamps, frame, light_axes, shadows):
    """The key's light, 0-1, that reaches the patch p."""
    lambert = p[0] * lamps[0, 0] + p[1] * lamps[0, 1] + p[2] * lamps[0, 2]
    away = 0.022 + 0.03 * (1.0 - max(lambert, 0.0))
    x = (p[9] - frame[1]) / frame[0] + away * p[0]
    y = (frame[2] - p[10]) / frame[0] + away * p[1]
    z = p[11] / frame[0] + away * p[2]
    unit = shadows.shape[0] / (2.0 * REACH)
    u = (light_axes[0, 0] * x + light_axes[0, 1] * y + light_axes[0, 2] * z + REACH) * unit
    v = (REACH - light_axes[1, 0] * x - light_axes[1, 1] * y - light_axes[1, 2] * z) * unit
    height = light_axes[2, 0] * x + light_axes[2, 1] * y + light_axes[2, 2] * z
    # where the surface itself turns away from the light the wrapped diffuse already fades
    return 1.0 - (1.0 - lit(shadows, u, v, height, 0.018)) * _ramp(-0.25, 0.15, lambert)


@njit(cache=True, nogil=True, error_model="numpy")
def _eye(p, lamps, frame, turn, eye):
    """Changes the patch's normal, colour and openness to the eyeball's there; returns (lids' shade, glint)."""
    nx, ny, nz = p[9] - eye[0], eye[1] - p[10], p[11] - eye[2]
    length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
    nx, ny, nz = nx / length, ny / length, nz / length
    p[0], p[1], p[2] = nx, ny, nz
    hx = turn[0, 0] * nx + turn[1, 0] * ny + turn[2, 0] * nz  # in the head's axes
    hy = turn[0, 1] * nx + turn[1, 1] * ny + turn[2, 1] * nz
    hz = turn[0, 2] * nx + turn[1, 2] * ny + turn[2, 2] * nz
    gx = eye[4] * hx + eye[7] * hy + eye[10] * hz  # in the eyeball's
    gy = eye[5] * hx + eye[8] * hy + eye[11] * hz
    gz = eye[6] * hx + eye[9] * hy + eye[12] * hz
    pixel = 1.0 / eye[3]
    ring = np.sqrt(gx * gx + gy * gy) / eye[21]  # 1 at the iris' edge
    if gz > 0.0 and ring < 1.0:
        around = np.arctan2(gy, gx)
        fine = _ramp(0.10, 0.03, pixel)
        fibres = np.sin(23.0 * around + 2.0 * np.sin(5.0 * around)) + 0.7 * np.sin(41.0 * around + 9.0 * ring)
        within = _ramp(eye[22], eye[22] + 0.12, ring) * _ramp(1.0, 0.8, ring)
        # the cornea bends the key's light on to the iris' far side
        side = (gx * eye[23] + gy * eye[24]) / (eye[21] + 1e-9)
        caustic = 1.0 + within * max(0.9 * -side, -0.35)
        factor = caustic * (1.0 + 0.20 * fine * within * fibres) * (1.0 - 0.62 * _ramp(0.76, 1.0, ring))
        for c in _RGB:
            p[3 + c] *= factor
    elif gz > 0.0:
        factor = 1.0 - 0.30 * _ramp(1.22, 1.0, ring)
        for c in _RGB:
            p[3 + c] *= factor
    out = _ramp(0.35, 0.95, np.sqrt(hx * hx + 0.6 * hy * hy))
    p[4] *= 1.0 - 0.30 * out  # the white reddens towards the corners
    p[5] *= 1.0 - 0.34 * out
    p[3] *= 1.0 - 0.16 * out
    upper = eye[13] + hx * (eye[14] + hx * (eye[15] + hx * eye[16]))
    lower = eye[17] + hx * (eye[18] + hx * (eye[19] + hx * eye[20]))
    shade = 1.0 - 0.62 * _ramp(0.40, -0.05, upper - hy) - 0.25 * _ramp(0.16, -0.05, hy - lower)
    gap = np.sqrt((nx - lamps[9, 0]) ** 2 + (ny - lamps[9, 1]) ** 2)
    glint = _ramp(0.10 + 0.5 * pixel, 0.10 - 0.5 * pixel, gap)
    second = np.sqrt((nx + 0.75 * lamps[9, 0]) ** 2 + (ny + 0.75 * lamps[9, 1]) ** 2)
    return max(shade, 0.12), glint + 0.22 * _ramp(0.055 + 0.5 * pixel, 0.055 - 0.5 * pixel, second)


@njit(cache=True, nogil=True, error_model="numpy")
def _light(kind, p, lamps, frame, turn, eyes, light_axes, shadows, out):
    """Lights the patch p [12] (normal 3, albedo 3, openness, gloss, softness, place 3 in pixels): out [3] linear."""
    shade, glint, lips = 1.0, 0.0, 1.0
    if kind == 3 or kind == 4:
        shade, glint = _eye(p, lamps, frame, turn, eyes[kind - 3])
    nx, ny, nz = p[0], p[1], p[2]
    length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
    nx, ny, nz = nx / length, ny / length, nz / length
    p[0], p[1], p[2] = nx, ny, nz
    gloss, soft = p[7], min(p[8], 1.0)
    thin = p[8] - soft
    openness = min(p[6], 1.0)
    lambert = nx * lamps[0, 0] + ny * lamps[0, 1] + nz * lamps[0, 2]
    if kind == 5:
        behind = max(frame[5] - p[11], 0.0) / frame[0]
        below = (p[10] - frame[4]) / frame[0]
        lips = (
            (0.30 + 0.70 * _ramp(0.0, 0.14, frame[3]))
            * np.exp(-5.0 * behind)
            * (0.45 + 0.55 * _ramp(-0.01, 0.07, below))
        )
        openness, shadow = lips, lips
    elif kind == 3 or kind == 4:
        openness, shadow = shade, shade * _shadow(p, lamps, frame, light_axes, shadows)
    else:
        shadow = _shadow(p, lamps, frame, light_axes, shadows)
    up = 0.5 + 0.5 * ny
    facing = min(max(nz, 0.0), 1.0)
    grazing = (1.0 - facing) ** 3
    shine = max(nx * lamps[2, 0] + ny * lamps[2, 1] + nz * lamps[2, 2], 0.0)
    s4 = shine * shine * shine * shine
    s8 = s4 * s4
    s32 = s8 * s8 * s8 * s8
    fill = 0.5 + 0.5 * (nx * lamps[3, 0] + ny * lamps[3, 1] + nz * lamps[3, 2])
    fill *= fill
    back = max(0.35 + 0.65 * (nx * lamps[5, 0] + ny * lamps[5, 1] + nz * lamps[5, 2]), 0.0)
    rim = grazing * back * openness
    highlight, tinted = 0.0, 0.0
    if kind == 0:
        highlight = gloss * (0.16 * s8 + 0.5 * s32 * (0.3 + 0.7 * gloss)) * (1.0 + grazing) * openness
    elif kind == 1:
        dx, dy, dz = p[9] - frame[6], frame[7] - p[10], p[11] - frame[8]
        along = dx * nx + dy * ny + dz * nz
        tx, ty, tz = dx - along * nx, dy - along * ny, dz - along * nz
        inverse = 1.0 / (np.sqrt(tx * tx + ty * ty + tz * tz) + 1e-6)
        tx, ty, tz = tx * inverse, ty * inverse, tz * inverse
        hx = turn[0, 0] * dx + turn[1, 0] * dy + turn[2, 0] * dz
        hz = turn[0, 2] * dx + turn[1, 2] * dy + turn[2, 2] * dz
        around, radius = np.arctan2(hx, hz), np.sqrt(hx * hx + hz * hz)
        strand = 0.0
        if radius > 24.0:
            strand += _ramp(24.0, 60.0, radius) * np.sin(61.0 * around + 1.7 * np.sin(13.0 * around))
        if radius > 60.0:
            strand += 0.8 * _ramp(60.0, 140.0, radius) * np.sin(149.0 * around + 2.3 * np.sin(29.0 * around))
        th = tx * lamps[2, 0] + ty * lamps[2, 1] + tz * lamps[2, 2]
        shifted = th + 0.10 + 0.05 * strand
        s1 = max(1.0 - shifted * shifted, 0.0)
        s1 *= s1
        s1 *= s1
        s1 *= s1
        shifted = th - 0.14 + 0.05 * strand
        s2 = max(1.0 - shifted * shifted, 0.0)
        s2 *= s2
        s2 *= s2
        lit_side = _ramp(-0.2, 0.5, lambert) * s4 * openness
        highlight = 0.34 * gloss * s1 * s1 * s4 * lit_side
        tinted = 3.6 * gloss * s2 * lit_side
        for c in _RGB:
            p[3 + c] *= 1.0 + 0.13 * strand
    elif kind == 2:
        tinted = 0.30 * grazing
    elif kind == 5:
        highlight = gloss * (0.12 * s8 + 0.8 * s32) * lips
    elif kind >= 6:
        highlight = gloss * (0.10 * s8 + 1.0 * s32 * s32 + 0.25 * grazing * up)
    else:
        highlight = gloss * (0.03 * s8 + 1.9 * glint / (0.3 + 0.7 * max(shadow, 0.2)))
    inner = 0.4 + 0.6 * openness
    for c in _RGB:
        albedo = p[3 + c]
        wrap = soft * (0.42 if c == 0 else 0.26 if c == 1 else 0.20)
        diffuse = max((lambert + wrap) / (1.0 + wrap), 0.0)
        diffuse *= (1.0 - wrap) + wrap * diffuse
        passed = shadow
        if kind == 0 and c == 0:
            passed = shadow + 0.35 * shadow * (1.0 - shadow)
        key = lamps[1, c] * diffuse * passed * inner
        bounced = openness / (1.0 - min(albedo, 0.9) * (1.0 - openness))
        ambient = (lamps[8, c] + (lamps[7, c] - lamps[8, c]) * up + lamps[4, c] * fill) * bounced
        value = albedo * (key + ambient)
        value += (highlight + tinted * albedo) * lamps[1, c] * shadow
        value += rim * lamps[6, c] * (0.06 + 0.75 * albedo)
        if kind == 0:
            band = max(1.0 - (lambert - 0.05) * (lambert - 0.05) * 9.0, 0.0) * (0.3 + 0.7 * passed)
            warm = 0.10 if c == 0 else 0.018 if c == 1 else 0.0
            value += albedo * lamps[1, c] * warm * soft * band * openness
            if c == 0:
                value += albedo * 0.5 * thin * lamps[1, c]
        out[c] = value


@njit(cache=True, nogil=True, error_model="numpy")
def tone(x: float) -> float:
    """Linear light -> linear display, 0-1: straight in the shadows, a shoulder that never quite clips."""
    x = 0.6 * max(x, 0.0)
    return min(x * (2.2 * x + 0.10) / (x * (2.1 * x + 0.62) + 0.10), 1.0)


@njit(cache=True, nogil=True, error_model="numpy")
def gamma_table() -> np.ndarray:
    """[_LEVELS] float64: sRGB 0-255 of linear display values, by the level of their square root."""
    return 255.0 * (np.arange(_LEVELS) / (_LEVELS - 1.0)) ** (2.0 / GAMMA)


@njit(cache=True, nogil=True, error_model="numpy")
def _corner(points, triangles, f, samples, u, v):
    """Weights of triangle f's second and third vertex at the sample position u, v; whether its back shows."""
    a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
    ax, ay = points[a, 0] * samples - 0.5, points[a, 1] * samples - 0.5
    bx, by = points[b, 0] * samples - 0.5 - ax, points[b, 1] * samples - 0.5 - ay
    cx, cy = points[c, 0] * samples - 0.5 - ax, points[c, 1] * samples - 0.5 - ay
    area = bx * cy - by * cx
    return ((u - ax) * cy - (v - ay) * cx) / area, (bx * (v - ay) - by * (u - ax)) / area, area > 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def picture(
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

    points [V, 3] as in raster.py, normals [V, 3], surface [V, SURFACE], triangles [F, 3], kinds [F] Kind; number,
    overlay [S samples, S samples] int32: the triangle of every sample, and the glass before it (or no samples), -1
    for none; background [S, S, 3] linear display values; lamps [10, 3], the last the glints' place; frame [FRAME],
    turn [3, 3] head to camera, eyes [2, EYE]: see render.py; light_axes [3, 3], shadows: occlusion.py.
    """
    size = out.shape[0]
    seen = np.empty(64, np.int64)
    count, sum_u, sum_v = np.empty(64), np.empty(64), np.empty(64)
    patches, kind_of, weight = np.empty((_PATCHES, 12)), np.empty(_PATCHES, np.int64), np.empty(_PATCHES)
    p, value, total = np.empty(12), np.empty(3), np.empty(3)
    step = 0.06 * frame[0]
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
            for c in _RGB:
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
                _light(kind_of[s], p, lamps, frame, turn, eyes, light_axes, shadows, value)
                for c in _RGB:
                    total[c] += weight[s] * tone(value[c])
            share = 1.0 / (samples * samples)
            for c in _RGB:
                total[c] *= share
            if overlay.shape[0] > 0:
                _cover(points, normals, surface, triangles, overlay, samples, x, y, lamps, frame, total)
            for c in _RGB:
                level = int(np.sqrt(min(max(total[c], 0.0), 1.0)) * (_LEVELS - 1) + 0.5)
                out[y, x, c] = int(gamma[level] + 0.5)


@njit(cache=True, nogil=True, error_model="numpy")
def _cover(points, normals, surface, triangles, overlay, samples, x, y, lamps, frame, total):
    """Glass before the pixel: tints `total` by its albedo and adds the lamps' reflections."""
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
    for c in _RGB:
        glossy = surface[ia, 4] * lamps[1, c] * (0.02 + 0.25 * (1.0 - min(nz, 1.0)) ** 2 + 0.5 * shine)
        total[c] = total[c] * (1.0 - share * (1.0 - surface[ia, c])) + share * glossy
