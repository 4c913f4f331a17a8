"""The rings of vertices around mouth and eyes, and the small parts: eyeballs, teeth, tongue, brows, lashes, ears."""

from __future__ import annotations

import numpy as np

from data_pipelines.puppet.surface import (
    EYE_CENTRE,
    EYE_RADIUS,
    LID_RADIUS,
    MIRROR,
    MOUTH_Y,
    direction_at,
    grid_triangles,
    skin_at,
    skull,
)

MOUTH_POINTS = 32  # of each mouth ring; 0 is the person's left corner, 8 the top, 16 the right corner, 24 the bottom
EYE_POINTS = 24  # of each eye ring; 0 is the outer corner, 6 the top, 12 the inner corner, 18 the bottom
LID_ROWS = 5  # rings from the crease to the margin, on the lid's sphere

# Mouth rings from outside to inside: half width, height above and below the contact line, distance before the skin.
_MOUTH_RINGS = (
    (0.215, 0.080, 0.090, 0.000),  # skin, where the free mesh begins
    (0.182, 0.050, 0.060, 0.008),  # skin beside the border of the red
    (0.174, 0.042, 0.052, 0.014),  # border of the red: landmarks 48-59
    (0.168, 0.021, 0.027, 0.034),  # the lip's fullness
    (0.162, 0.000, 0.000, 0.016),  # contact line: landmarks 60-67
    (0.152, 0.010, 0.010, -0.030),  # inside of the lip
    (0.160, 0.090, 0.100, -0.085),  # the cavity
    (0.090, 0.045, 0.050, -0.260),
)
MOUTH_RINGS = len(_MOUTH_RINGS)
BORDER_RING, CONTACT_RING = 2, 4


def mouth_angle() -> np.ndarray:
    return 2.0 * np.pi * np.arange(MOUTH_POINTS) / MOUTH_POINTS


def mouth_rings() -> np.ndarray:
    """[rings, 32, 3] of the closed neutral mouth."""
    t = mouth_angle()
    rings = []
    for ring, (half, above, below, depth) in enumerate(_MOUTH_RINGS):
        rise = np.sin(t)
        if ring:  # the free mesh's edge stays an ellipse: it must be convex
            rise = np.sign(rise) * np.abs(rise) ** 1.15
        x = half * np.cos(t)
        y = MOUTH_Y + rise * np.where(rise > 0, above, below)
        if ring in (1, 2):  # the cupid's bow
            y -= 0.008 * np.exp(-0.5 * (x / 0.018) ** 2) * (np.sin(t) > 0.5)
        if 0 < ring < 6:  # corners slightly up: a friendly face at rest
            y += 0.020 * (x / 0.17) ** 2
        at = np.stack([x, np.full_like(x, MOUTH_Y) if ring >= 5 else y], -1)
        z = skin_at(at)[:, 2] + depth * (np.abs(np.sin(t)) ** 0.5 if 0 < ring < 5 else 1.0)
        rings.append(np.stack([x, y, z], -1))
    return np.stack(rings)


def on_lid(azimuth: np.ndarray, elevation: np.ndarray) -> np.ndarray:
    """Degrees [...] on the left lid's sphere, whose axis is turned 10 degrees outwards -> points [..., 3]."""
    a, e = np.deg2rad(azimuth + 10.0), np.deg2rad(elevation)
    ray = np.stack([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)], -1)
    return EYE_CENTRE + LID_RADIUS * ray


def lid_rings(upper: float = 26.0, lower: float = -22.0) -> np.ndarray:
    """[LID_ROWS, 24, 3]: the left lid from crease to margin; the margins' middles at these elevations (degrees)."""
    t = 2.0 * np.pi * np.arange(EYE_POINTS) / EYE_POINTS
    rise = np.abs(np.sin(t)) ** 0.85
    rings = []
    for f in np.linspace(0.0, 1.0, LID_ROWS):
        azimuth = (70.0 + (58.0 - 70.0) * f) * np.cos(t)
        crease = np.where(np.sin(t) >= 0, 52.0, -46.0)
        margin = np.where(np.sin(t) >= 0, upper, lower)
        tilt = 4.0 * np.cos(t)  # the outer corner stands a little higher
        rings.append(on_lid(azimuth, rise * (crease + (margin - crease) * f) + tilt))
    return np.stack(rings)


def orbit_ring() -> np.ndarray:
    """[24, 3]: the left eye's edge of the free mesh, on the skin."""
    t = 2.0 * np.pi * np.arange(EYE_POINTS) / EYE_POINTS
    xy = EYE_CENTRE[:2] + np.stack([0.168 * np.cos(t), np.where(np.sin(t) > 0, 0.138, 0.128) * np.sin(t)], -1)
    return skin_at(xy)


# Rings of the eyeball: angle from the gaze in degrees; its middle ring of the iris; sharp edges have two rings.
_EYE_RINGS = (0.0, 7.0, 12.5, 12.51, 21.0, 27.5, 29.5, 29.51, 38.0, 50.0, 70.0, 95.0)
PUPIL_ROWS, IRIS_ROWS = slice(0, 3), slice(3, 7)


def eyeball() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The left eyeball looking ahead: points [V, 3], triangles, row of each point [V]."""
    columns = 24
    angle = np.deg2rad(np.array(_EYE_RINGS))[:, None]
    turn = 2.0 * np.pi * np.arange(columns)[None] / columns
    ray = np.stack([np.sin(angle) * np.cos(turn), np.sin(angle) * np.sin(turn), np.cos(angle) * np.ones_like(turn)], -1)
    points = EYE_CENTRE + EYE_RADIUS * ray
    rows = np.repeat(np.arange(len(_EYE_RINGS)), columns)
    return points.reshape(-1, 3), grid_triangles(len(_EYE_RINGS), columns, closed=True)[:, ::-1], rows


def teeth(upper: bool) -> tuple[np.ndarray, np.ndarray]:
    """One row of teeth: points, triangles."""
    columns = 15
    x = 0.125 * np.sin(np.linspace(-1.35, 1.35, columns))
    z = skin_at(np.stack([x, np.full_like(x, MOUTH_Y)], -1))[:, 2] - 0.072 - 2.0 * x**2
    heights = (-0.018, 0.075) if upper else (-0.085, -0.026)
    rows = [np.stack([x, np.full_like(x, MOUTH_Y + h), z], -1) for h in heights]
    return np.concatenate(rows), grid_triangles(2, columns)


def tongue() -> tuple[np.ndarray, np.ndarray]:
    """A flat ellipsoid on the mouth's floor: points, triangles."""
    rows, columns = 7, 12
    polar = np.linspace(0.05, np.pi - 0.05, rows)[:, None]
    turn = 2.0 * np.pi * np.arange(columns)[None] / columns
    ray = np.stack([np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar) * np.ones_like(turn)], -1)
    front = skin_at(np.array([[0.0, MOUTH_Y]]))[0, 2]
    points = np.array([0.0, MOUTH_Y - 0.058, front - 0.19]) + ray * np.array([0.090, 0.046, 0.105])
    return points.reshape(-1, 3), grid_triangles(rows, columns, closed=True)[:, ::-1]


def brow(thickness: float = 0.024) -> tuple[np.ndarray, np.ndarray]:
    """The left brow, a strip just before the skin: 3 rows x 13 columns from inside to outside; points, triangles."""
    u = np.linspace(0.0, 1.0, 13)
    x = 0.085 + 0.275 * u
    y = 0.178 + 0.050 * np.sin(np.pi * (0.12 + 0.75 * u)) - 0.030 * u**2
    half = thickness * (0.30 + 0.70 * np.sin(np.pi * np.clip(0.18 + 0.72 * u, 0, 1))) * (1.0 - 0.55 * u**3)
    rows = []
    for side, lift in ((-1.0, 0.008), (0.0, 0.022), (1.0, 0.008)):
        d = direction_at(np.stack([x, y + side * half], -1))
        rows.append(skull(d) + lift * d)
    return np.concatenate(rows), grid_triangles(3, 13)


def lash(margin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The left upper lid's margin [13, 3], outer corner first -> the dark line along it: points [39, 3], triangles."""
    away = margin - EYE_CENTRE
    u = np.linspace(0.0, 1.0, len(margin))[:, None]
    thick = 0.007 + 0.013 * np.sin(np.pi * u) ** 0.5 + 0.014 * (1.0 - u) ** 6
    up = np.array([0.25, 1.0, 0.0]) * thick
    rows = [margin - 0.004 * np.array([0.0, 1.0, 0.0]), margin + 0.05 * away + up * 0.4, margin + 0.03 * away + up]
    return np.concatenate(rows), grid_triangles(3, len(margin))[:, ::-1]


def ear() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The left ear: points [V, 3], triangles, depth of the shell [V] in 0-1."""
    rows, columns = 6, 16
    turn = 2.0 * np.pi * np.arange(columns) / columns
    points, hollow = [], []
    for radius, out, shade in ((1.0, -0.03, 0.0), (1.1, 0.03, 0.0), (1.0, 0.055, 0.0), (0.80, 0.045, 0.3),
                               (0.55, 0.02, 0.9), (0.05, 0.015, 1.0)):  # fmt: skip
        y = -0.02 + radius * (0.120 + 0.02 * np.sin(turn)) * np.sin(turn)
        z = -0.035 + radius * 0.070 * np.cos(turn) - 0.02 * np.sin(turn)
        x = 0.500 + out + 0.35 * (-0.035 - z)
        points.append(np.stack([x, y, z], -1))
        hollow.append(np.full(columns, shade))
    # seen from the person's left, z runs to the left: the ring goes clockwise there
    return np.concatenate(points), grid_triangles(rows, columns, closed=True)[:, ::-1], np.concatenate(hollow)


def mirror_part(points: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A part of the left side -> the same of the right side, facing outwards."""
    return points * MIRROR, triangles[:, ::-1]
