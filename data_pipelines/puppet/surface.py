"""The puppet's skull as a closed surface over the unit sphere, and the helpers that sculpt on it.

Lengths are in face widths; the origin lies between the ears, x is the person's left (image right), y up, z forward.
"""

from __future__ import annotations

import numpy as np

EYE_CENTRE = np.array([0.215, 0.0, 0.415])  # the person's left eye; the right one is its mirror image
EYE_RADIUS = 0.135
LID_RADIUS = 0.147
MOUTH_Y = -0.355
MIRROR = np.array([-1.0, 1.0, 1.0])


def smoothstep(start: float, end: float, x: np.ndarray) -> np.ndarray:
    """0 before `start`, 1 after `end`, smooth between; start may be greater than end."""
    t = np.clip((x - start) / (end - start), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def bump(points: np.ndarray, centre: tuple[float, ...], widths: tuple[float, ...]) -> np.ndarray:
    """A Gaussian of height 1: points [..., n >= len(centre)] -> [...], `widths` its standard deviations."""
    n = len(centre)
    return np.exp(-0.5 * (((points[..., :n] - np.array(centre)) / np.array(widths)) ** 2).sum(-1))


def _egg(directions: np.ndarray) -> np.ndarray:
    """Directions [N, 3] -> the smooth skull without features [N, 3]: a superellipsoid, narrower towards the chin."""
    power = 2.25
    unit = directions / (np.abs(directions) ** power).sum(-1, keepdims=True) ** (1.0 / power)
    y = unit[:, 1] * np.where(unit[:, 1] > 0, 0.70, 0.655)
    low = smoothstep(-0.02, -0.66, y)
    x = unit[:, 0] * 0.512 * (1.0 - 0.15 * low)
    z = unit[:, 2] * np.where(unit[:, 2] > 0, 0.56, 0.60 * (1.0 - 0.45 * low)) + 0.02 * low
    return np.stack([x, y, z], -1)


def _relief(points: np.ndarray) -> np.ndarray:
    """Points [N, 3] of the front -> how far forward [N] the features stand there: nose, chin, cheeks, sockets."""
    sides = points.copy()
    sides[:, 0] = np.abs(sides[:, 0])
    x, y = points[:, 0], points[:, 1]
    profile = 0.012 + 0.125 * smoothstep(0.05, -0.15, y) ** 1.3
    profile *= smoothstep(-0.222, -0.158, y) * smoothstep(0.16, 0.02, y)
    width = 0.026 + 0.022 * smoothstep(0.0, -0.15, y)
    nose = profile * np.exp(-0.5 * (x / width) ** 2)
    wings = 0.034 * bump(sides, (0.052, -0.168), (0.022, 0.022))
    chin = 0.055 * bump(points, (0.0, -0.565), (0.11, 0.07))
    muzzle = 0.035 * bump(points, (0.0, MOUTH_Y), (0.16, 0.11))
    cheeks = 0.036 * bump(sides, (0.25, -0.21), (0.11, 0.10))
    sockets = -0.040 * bump(sides, (0.215, 0.0), (0.13, 0.09))
    ridge = 0.014 * bump(sides, (0.19, 0.17), (0.15, 0.05))
    return nose + wings + chin + muzzle + cheeks + sockets + ridge


def skull(directions: np.ndarray) -> np.ndarray:
    """Unit directions [N, 3] -> points of the head's skin [N, 3]."""
    points = _egg(directions)
    front = smoothstep(0.05, 0.35, directions[:, 2])
    points[:, 2] += front * _relief(points)
    return points


def direction_at(xy: np.ndarray) -> np.ndarray:
    """Places [N, 2] in the frontal view, inside the silhouette -> unit directions [N, 3] of the skin there."""
    d = np.concatenate([xy / np.array([0.6, 0.75]), np.full((len(xy), 1), 0.6)], -1)
    d /= np.linalg.norm(d, axis=-1, keepdims=True)
    for _ in range(60):
        step = 0.7 * (xy - _egg(d)[:, :2]) / np.array([0.52, 0.68])
        plane = d[:, :2] + step
        plane *= np.minimum(1.0, 0.995 / np.linalg.norm(plane, axis=-1, keepdims=True))
        d = np.concatenate([plane, np.sqrt(1.0 - (plane**2).sum(-1, keepdims=True))], -1)
    return d


def skin_at(xy: np.ndarray) -> np.ndarray:
    """Places [N, 2] in the frontal view -> points of the skin [N, 3]."""
    return skull(direction_at(np.asarray(xy, np.float64)))


def mirrored(points: np.ndarray) -> np.ndarray:
    """Points [N, 3] -> themselves and their mirror images, those on the midline once."""
    side = points[points[:, 0] > 1e-6]
    return np.concatenate([points[np.abs(points[:, 0]) <= 1e-6], side, side * MIRROR])


def strip(a: np.ndarray, b: np.ndarray, closed: bool = True) -> np.ndarray:
    """Vertex numbers of two rings [K], b on the left of a's way -> the triangles [2K or 2K - 2, 3] between them."""
    n = len(a) if closed else len(a) - 1
    k, after = np.arange(n), (np.arange(n) + 1) % len(a)
    first = np.stack([a[k], a[after], b[k]], -1)
    second = np.stack([a[after], b[after], b[k]], -1)
    return np.concatenate([first, second])


def grid_triangles(rows: int, columns: int, closed: bool = False) -> np.ndarray:
    """The triangles of rows x columns vertices in row order; later rows lie on the left of earlier ones."""
    index = np.arange(rows * columns).reshape(rows, columns)
    return np.concatenate([strip(index[i], index[i + 1], closed) for i in range(rows - 1)])
