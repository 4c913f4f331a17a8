"""Light on the visible surface, pixel by pixel, compiled by numba; image.py finds the patches that a pixel shows.

A *patch* is what a pixel shows of one kind of surface at about one depth: its mean place, normal, colour and openness.
It is lit by the lamps of lighting.py:
- diffuse: the key wrapped round the terminator, red furthest, squared to fade smoothly, times the shadow map, whose
  penumbra is redder on skin; a soft fill; sky and ground times ambient occlusion with one bounce of the own colour
- skin: a warm band at the terminator, a glow in thin parts, two Blinn lobes with Fresnel
- hair: Kajiya and Kay's two shifted highlights across strands that run from the crown, with fine strands of their own
- eyes: the place on the ball gives limbal ring, fibres and caustic of the iris, which turn with the gaze; the lids'
  shadow, which does not; and the key's reflection, which does not turn at all
- mouth: light falls with the depth behind the lips and grows with their gap
- everywhere: a rim from behind where the surface turns away
"""

from __future__ import annotations

import numpy as np
from numba import njit

from data_pipelines.puppet.render.occlusion import REACH, lit

SURFACE = 6  # columns of `surface`: albedo (3), openness, gloss, softness
FRAME = 10  # numbers of a frame, see Renderer._frame_numbers
EYE = 26  # numbers of an eye, see renderer.eye_numbers
RGB = (0, 1, 2)


@njit(cache=True, nogil=True, error_model="numpy")
def ramp(start: float, end: float, x: float) -> float:
    t = min(max((x - start) / (end - start), 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


@njit(cache=True, nogil=True, error_model="numpy")
def _shadow(p, lamps, frame, light_axes, shadows):
    """Returns the share of the key light, 0-1, that reaches the patch p."""
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
    return 1.0 - (1.0 - lit(shadows, u, v, height, 0.018)) * ramp(-0.25, 0.15, lambert)


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
        fine = ramp(0.10, 0.03, pixel)
        fibres = np.sin(23.0 * around + 2.0 * np.sin(5.0 * around)) + 0.7 * np.sin(41.0 * around + 9.0 * ring)
        within = ramp(eye[22], eye[22] + 0.12, ring) * ramp(1.0, 0.8, ring)
        # the cornea bends the key's light on to the iris' far side
        side = (gx * eye[23] + gy * eye[24]) / (eye[21] + 1e-9)
        caustic = 1.0 + within * max(0.9 * -side, -0.35)
        factor = caustic * (1.0 + 0.20 * fine * within * fibres) * (1.0 - 0.62 * ramp(0.76, 1.0, ring))
        for c in RGB:
            p[3 + c] *= factor
    elif gz > 0.0:
        factor = 0.92 - 0.28 * ramp(1.22, 1.0, ring)
        for c in RGB:
            p[3 + c] *= factor
    out = ramp(0.35, 0.95, np.sqrt(hx * hx + 0.6 * hy * hy))
    p[4] *= 1.0 - 0.30 * out  # the white reddens towards the corners
    p[5] *= 1.0 - 0.34 * out
    p[3] *= 1.0 - 0.16 * out
    upper = eye[13] + hx * (eye[14] + hx * (eye[15] + hx * eye[16]))
    lower = eye[17] + hx * (eye[18] + hx * (eye[19] + hx * eye[20]))
    shade = 1.0 - 0.62 * ramp(0.40, -0.05, upper - hy) - 0.25 * ramp(0.16, -0.05, hy - lower)
    gap = np.sqrt((nx - lamps[9, 0]) ** 2 + (ny - lamps[9, 1]) ** 2)
    glint = ramp(0.10 + 0.5 * pixel, 0.10 - 0.5 * pixel, gap)
    second = np.sqrt((nx + 0.75 * lamps[9, 0]) ** 2 + (ny + 0.75 * lamps[9, 1]) ** 2)
    return max(shade, 0.12), glint + 0.22 * ramp(0.055 + 0.5 * pixel, 0.055 - 0.5 * pixel, second)


@njit(cache=True, nogil=True, error_model="numpy")
def light(kind, p, lamps, frame, turn, eyes, light_axes, shadows, out):
    """Writes the linear light of the patch p [12] to out [3].

    p: normal (3), albedo (3), openness, gloss, softness, position in pixels (3); kind: a Kind.
    """
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
            (0.72 + 0.28 * ramp(0.0, 0.10, frame[3])) * np.exp(-3.4 * behind) * (0.66 + 0.34 * ramp(-0.01, 0.05, below))
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
            strand += ramp(24.0, 60.0, radius) * np.sin(61.0 * around + 1.7 * np.sin(13.0 * around))
        if radius > 60.0:
            strand += 0.8 * ramp(60.0, 140.0, radius) * np.sin(149.0 * around + 2.3 * np.sin(29.0 * around))
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
        lit_side = ramp(-0.2, 0.5, lambert) * s4 * openness
        highlight = 0.34 * gloss * s1 * s1 * s4 * lit_side
        tinted = 3.6 * gloss * s2 * lit_side
        for c in RGB:
            p[3 + c] *= 1.0 + 0.13 * strand
    elif kind == 2:
        tinted = 0.30 * grazing
    elif kind == 5:
        highlight = gloss * (0.12 * s8 + 0.8 * s32) * lips
    elif kind >= 6:
        highlight = gloss * (0.10 * s8 + 1.0 * s32 * s32 + 0.25 * grazing * up)
    else:
        highlight = gloss * (0.008 * s8 + 1.9 * glint / (0.3 + 0.7 * max(shadow, 0.2)))
    inner = 0.4 + 0.6 * openness
    for c in RGB:
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
                value += albedo * 0.24 * thin * lamps[1, c] * openness * (0.4 + 0.6 * shadow)
        out[c] = value


@njit(cache=True, nogil=True, error_model="numpy")
def tone(x: float) -> float:
    """Maps linear light to linear display values, 0-1: straight in the shadows, a shoulder that never quite clips."""
    x = 0.57 * max(x, 0.0)
    return min(x * (2.2 * x + 0.10) / (x * (2.2 * x + 0.62) + 0.10), 1.0)
