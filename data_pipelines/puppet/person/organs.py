"""The head's small parts: eyeballs, tear corners, teeth, gums, tongue, brows, lashes, ears. Points and triangles."""

from __future__ import annotations

import itertools

import numpy as np

from data_pipelines.puppet.person.feature_rings import on_lid
from data_pipelines.puppet.person.surface import (
    EYE_CENTRE,
    EYE_RADIUS,
    LID_RADIUS,
    MOUTH_Y,
    bump,
    direction_at,
    grid_triangles,
    skin_at,
    skull,
    smoothstep,
)

# Rings of the eyeball: angle from the gaze in degrees; its middle ring of the iris; sharp edges have two rings.
PUPIL_DEGREES, IRIS_DEGREES = 13.5, 32.0
_EYE_RINGS = (0.0, 7.5, PUPIL_DEGREES, PUPIL_DEGREES + 0.01, 18.0, 23.0, 29.0, IRIS_DEGREES, IRIS_DEGREES + 0.01,
              38.0, 46.0, 56.0, 70.0, 95.0)  # fmt: skip
PUPIL_ROWS, IRIS_ROWS = slice(0, 3), slice(3, 8)
BROW_ROWS, BROW_COLUMNS = 7, 33
LASH_ROWS = 4


def eyeball() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the left eyeball looking ahead: points [V, 3], triangles, row of each point [V]."""
    columns = 32
    angle = np.deg2rad(np.array(_EYE_RINGS))[:, None]
    turn = 2.0 * np.pi * np.arange(columns)[None] / columns
    ray = np.stack([np.sin(angle) * np.cos(turn), np.sin(angle) * np.sin(turn), np.cos(angle) * np.ones_like(turn)], -1)
    points = EYE_CENTRE + EYE_RADIUS * ray
    rows = np.repeat(np.arange(len(_EYE_RINGS)), columns)
    return points.reshape(-1, 3), grid_triangles(len(_EYE_RINGS), columns, closed=True)[:, ::-1], rows


def _ball(centre: np.ndarray, radii: np.ndarray, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns an ellipsoid whose rows run from front to back, symmetric in x about its centre to the last bit."""
    polar = np.linspace(0.04, np.pi - 0.04, rows)[:, None]
    half = columns // 2
    turn = np.pi * (np.arange(half) + 0.5) / half  # from the left side over the top: half a circle
    cosine = np.cos(turn)
    cosine = 0.5 * (cosine - cosine[::-1])
    sine = 0.5 * (np.sin(turn) + np.sin(turn)[::-1])
    around = np.stack([np.concatenate([cosine, -cosine]), np.concatenate([sine, -sine])], -1)
    ray = np.concatenate(
        [np.sin(polar)[..., None] * around, np.broadcast_to(np.cos(polar), (rows, columns))[..., None]], -1
    )
    return (centre + ray * radii).reshape(-1, 3), grid_triangles(rows, columns, closed=True)[:, ::-1]


def tear() -> tuple[np.ndarray, np.ndarray]:
    """Returns the pink flesh in the left eye's inner corner: points, triangles."""
    at = on_lid(np.array(-58.0), np.array(-6.0), -0.018)
    return _ball(at, np.array([0.017, 0.014, 0.012]), 5, 10)


def _arc(x: np.ndarray, half: float) -> np.ndarray:
    """Returns the depth [N] of the row of teeth behind the contact line, at x."""
    front = skin_at(np.array([[0.0, MOUTH_Y]]))[0, 2]
    return front - 0.062 - 0.115 * (np.abs(x) / half) ** 2.4


def teeth(upper: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns one row of teeth: points, triangles, shade. Each tooth is a small cushion between dark grooves."""
    widths = np.array([0.036, 0.029, 0.030, 0.028, 0.028]) if upper else np.array([0.022, 0.023, 0.027, 0.028, 0.030])
    heights = np.array([1.0, 0.90, 0.97, 0.86, 0.80]) if upper else np.array([0.92, 0.96, 1.0, 0.92, 0.88])
    edges = np.concatenate([[0.0], np.cumsum(widths)])
    inside = np.array([0.0, 0.06, 0.30, 0.70, 0.94])
    x = np.concatenate([a + (b - a) * inside for a, b in itertools.pairwise(edges)] + [edges[-1:]])
    across = np.append(np.tile(inside, len(widths)), 0.0)
    tall = np.append(np.repeat(heights, len(inside)), heights[-1])
    round_ = np.clip(np.minimum(across, 1 - across) / 0.30, 0, 1) ** 0.5
    angle = x / edges[-1]
    place = 0.128 * np.sin(angle * 1.32) / np.sin(1.32)  # the arc turns away at its sides
    root, tip = (0.046, -0.026) if upper else (-0.068, -0.012)
    rows, shades = [], []
    for v in (0.0, 0.35, 0.75, 0.93, 1.0):
        length = root + (tip - root) * v * tall
        length = length - (tip - root) * 0.14 * (1 - round_) * (v > 0.9)
        z = _arc(place, 0.128) + 0.007 * round_ * (1 - (v - 0.4) ** 2) - 0.010 * (v == 1.0) - (0.0 if upper else 0.024)
        rows.append(np.stack([place, MOUTH_Y + length, z], -1))
        shades.append((0.78 + 0.22 * round_) * (0.86 + 0.14 * v) * (1.0 - 0.35 * smoothstep(0.5, 1.0, angle)))
    left, shade = np.stack(rows), np.stack(shades)
    points = np.concatenate([left[:, :0:-1] * [-1.0, 1.0, 1.0], left], 1)
    shade = np.concatenate([shade[:, :0:-1], shade], 1)
    triangles = grid_triangles(*points.shape[:2])
    return points.reshape(-1, 3), triangles[:, ::-1] if upper else triangles, shade.reshape(-1)


def gum(upper: bool) -> tuple[np.ndarray, np.ndarray]:
    """Returns the gum over one row of teeth, slightly scalloped over every tooth: points, triangles."""
    x = np.linspace(0.0, 0.130, 24)
    wave = 0.004 * np.cos(2 * np.pi * x / 0.030)
    rows = []
    for height, depth in ((0.030, 0.004), (0.044, 0.014), (0.066, 0.010), (0.090, -0.02)):
        y = height + wave * (height < 0.04) if upper else -(0.8 * height + 0.030) + wave * (height < 0.04)
        z = _arc(x, 0.128) + (depth if upper else 0.4 * depth - 0.028)
        rows.append(np.stack([x, MOUTH_Y + y + 0 * x, z], -1))
    left = np.stack(rows)
    points = np.concatenate([left[:, :0:-1] * [-1.0, 1.0, 1.0], left], 1)
    triangles = grid_triangles(*points.shape[:2])
    return points.reshape(-1, 3), triangles if upper else triangles[:, ::-1]


def tongue() -> tuple[np.ndarray, np.ndarray]:
    """Returns a flat ellipsoid on the mouth's floor with a groove along its middle: points, triangles."""
    front = skin_at(np.array([[0.0, MOUTH_Y]]))[0, 2]
    points, triangles = _ball(np.array([0.0, MOUTH_Y - 0.056, front - 0.20]), np.array([0.088, 0.036, 0.100]), 10, 18)
    top = points[:, 1] > MOUTH_Y - 0.056
    points[:, 1] -= 0.010 * top * bump(points[:, :1], (0.0,), (0.018,))
    return points, triangles


def brow() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the left brow, a soft volume on the skin with hair-like edges: points, triangles, shade.

    The points are BROW_ROWS x BROW_COLUMNS, the inner end first.
    """
    u = np.linspace(0.0, 1.0, BROW_COLUMNS)
    x = 0.078 + 0.285 * u
    y = 0.176 + 0.052 * np.sin(np.pi * (0.10 + 0.74 * u)) - 0.034 * u**2
    half = 0.026 * (0.50 + 0.50 * np.sin(np.pi * np.clip(0.30 + 0.60 * u, 0, 1))) * (1.0 - 0.72 * u**2.5)
    half = half * smoothstep(-0.10, 0.08, u) ** 0.4
    hair = np.sin(2 * np.pi * (9.3 * u + 0.2)) + 0.6 * np.sin(2 * np.pi * (14.7 * u + 0.55))
    rows, shades = [], []
    for side in np.linspace(-1.0, 1.0, BROW_ROWS):
        ragged = 0.07 * hair * (abs(side) > 0.9) * (1.0 - 0.5 * u)
        slant = 0.012 * side * (1 - u)  # hairs grow outwards: the upper rows lie further out
        d = direction_at(np.stack([x + slant, y + side * half * (1.0 + ragged)], -1))
        lift = -0.002 + 0.019 * (1.0 - side**2) ** 0.7 * smoothstep(-0.02, 0.12, u) * (1.0 - 0.4 * u)
        rows.append(skull(d) + lift[:, None] * d)
        shades.append(1.0 + 0.16 * np.sin(2 * np.pi * (8.0 * u + 0.35 * side)) * (1 - abs(side)) - 0.06 * side)
    return np.concatenate(rows), grid_triangles(BROW_ROWS, BROW_COLUMNS), np.concatenate(shades)


def lash(margin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the left lashes (LASH_ROWS x K points, triangles) on the lid's margin [K, 3], outer corner first."""
    away = (margin - EYE_CENTRE) / LID_RADIUS
    u = np.linspace(0.0, 1.0, len(margin))[:, None]
    thick = 0.003 + 0.011 * np.sin(np.pi * u) ** 0.8 * (1.2 - 0.7 * u) + 0.010 * np.exp(-(((u - 0.12) / 0.09) ** 2))
    thick = thick * (0.15 + 0.85 * smoothstep(0.0, 0.14, u))
    curl = np.array([0.35, 1.0, 0.0]) * thick
    base = margin - away * 0.006
    rows = [
        base - np.array([0.0, 0.003, 0.0]),
        margin + away * 0.005,
        margin + away * 0.9 * thick + 0.40 * curl,
        margin + away * 1.0 * thick + curl,
    ]
    return np.concatenate(rows), grid_triangles(LASH_ROWS, len(margin))[:, ::-1]


def ear() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the left ear: points [V, 3] from the head over the rim inwards, triangles, depth of the shell [V] 0-1."""
    columns = 28
    turn = 2.0 * np.pi * np.arange(columns) / columns  # 0 in front, a quarter at the top
    up, ahead = np.sin(turn), np.cos(turn)
    helix = smoothstep(-0.75, 0.1, up) * smoothstep(0.85, 0.3, ahead)  # the rim fades in front and at the lobe
    points, hollow = [], []
    # radius, height over the ear's plane, hollowness
    for radius, out, dark in ((0.86, -0.070, 0.0), (1.00, -0.020, 0.0), (1.06, 0.012, 0.0), (1.03, 0.028, 0.0),
                              (0.94, 0.024, 0.1), (0.84, 0.004, 0.5), (0.72, 0.006, 0.3), (0.58, 0.018, 0.1),
                              (0.46, 0.004, 0.6), (0.30, -0.004, 1.0), (0.05, -0.006, 1.0)):  # fmt: skip
        lobe = 1.0 - 0.20 * smoothstep(-0.3, -1.0, up)
        y = -0.018 + radius * (0.136 * up + 0.010 * np.abs(up))
        z = -0.050 + radius * (0.082 * lobe * ahead - 0.022 * up) - 0.016
        rim = out if radius > 0.9 or radius < 0.5 else out * (0.4 + 0.6 * helix) + 0.010 * (1 - helix)
        x = 0.522 + rim + 0.50 * (-0.050 - z) - 0.030 * smoothstep(0.3, 0.9, ahead) * (radius > 0.7)
        x = x - 0.012 * smoothstep(-0.4, -1.0, up)
        points.append(np.stack([x, y, z], -1))
        hollow.append(dark * (0.35 + 0.65 * helix) if dark < 0.6 else dark * smoothstep(-1.05, -0.6, up))
    rings = len(points)
    # seen from the person's left, z runs to the left: the ring goes clockwise there
    return np.concatenate(points), grid_triangles(rings, columns, closed=True)[:, ::-1], np.concatenate(hollow)
