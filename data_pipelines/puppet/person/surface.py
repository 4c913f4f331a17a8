"""The puppet's skull as a closed surface over the unit sphere, and helpers to shape meshes on it.

The unscaled units of the mean head: roughly face widths; the origin lies between the ears, x is the person's left
(image right), y up, z forward. Mirrored input gives the mirrored result, to the last bit.
"""

from __future__ import annotations

import numpy as np

EYE_CENTRE = np.array([0.208, 0.0, 0.382])  # the person's left eye; the right one is its mirror image
EYE_RADIUS = 0.148
LID_RADIUS = 0.163
MOUTH_Y = -0.355
MIRROR = np.array([-1.0, 1.0, 1.0])


def smoothstep(start: float, end: float, x: np.ndarray) -> np.ndarray:
    """Returns 0 before `start`, 1 after `end` and a smooth cubic between; start may be greater than end."""
    t = np.clip((x - start) / (end - start), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def bump(points: np.ndarray, centre: tuple[float, ...], widths: tuple[float, ...]) -> np.ndarray:
    """Returns a Gaussian [...] of height 1 at points [..., n >= len(centre)]; `widths` are its standard deviations."""
    n = len(centre)
    return np.exp(-0.5 * (((points[..., :n] - np.array(centre)) / np.array(widths)) ** 2).sum(-1))


def folded(points: np.ndarray) -> np.ndarray:
    """Returns points [..., 3] with those of the right side mirrored to the left."""
    return np.concatenate([np.abs(points[..., :1]), points[..., 1:]], -1)


def _egg(directions: np.ndarray) -> np.ndarray:
    """Maps directions [N, 3] to a smooth skull without features [N, 3]: a superellipsoid, narrower at the chin."""
    power = 2.22
    unit = directions / (np.abs(directions) ** power).sum(-1, keepdims=True) ** (1.0 / power)
    y = unit[:, 1] * np.where(unit[:, 1] > 0, 0.70, 0.650)
    low = smoothstep(-0.06, -0.62, y)
    x = unit[:, 0] * 0.512 * (1.0 - 0.24 * low)
    z = unit[:, 2] * np.where(unit[:, 2] > 0, 0.56, 0.60 * (1.0 - 0.45 * low)) + 0.03 * low
    return np.stack([x, y, z], -1)


def _relief(points: np.ndarray) -> np.ndarray:
    """Returns how far forward [N] the features (nose, chin, cheeks, sockets) stand at points [N, 3] of the front."""
    sides = folded(points)
    x, y = points[:, 0], points[:, 1]
    bridge = 0.018 + 0.066 * smoothstep(0.06, -0.15, y) ** 1.1
    bridge *= smoothstep(-0.240, -0.176, y) * smoothstep(0.17, 0.02, y)
    nose = bridge * np.exp(-0.5 * (x / (0.027 + 0.016 * smoothstep(0.02, -0.14, y))) ** 2)
    under = smoothstep(-0.238, -0.182, y)
    tip = 0.054 * bump(points, (0.0, -0.163), (0.044, 0.044)) * under
    wings = 0.066 * bump(sides, (0.060, -0.184), (0.019, 0.025)) * smoothstep(-0.232, -0.200, y)
    creases = -0.010 * bump(sides, (0.096, -0.190), (0.012, 0.024))
    philtrum = 0.005 * bump(sides, (0.024, -0.255), (0.010, 0.026)) - 0.006 * bump(
        points, (0.0, -0.255), (0.011, 0.026)
    )
    chin = 0.098 * bump(points, (0.0, -0.570), (0.105, 0.068)) - 0.018 * bump(points, (0.0, -0.470), (0.11, 0.028))
    muzzle = 0.030 * bump(points, (0.0, MOUTH_Y), (0.15, 0.10))
    cheeks = 0.044 * bump(sides, (0.255, -0.205), (0.105, 0.085)) - 0.012 * bump(sides, (0.30, -0.36), (0.09, 0.08))
    sockets = (
        -0.030 * bump(sides, (0.205, 0.0), (0.12, 0.085))
        - 0.012 * bump(sides, (0.20, -0.13), (0.10, 0.03))
        - 0.012 * bump(sides, (0.090, 0.03), (0.035, 0.05))
    )
    ridge = 0.020 * bump(sides, (0.19, 0.165), (0.13, 0.045))
    return nose + tip + wings + creases + philtrum + chin + muzzle + cheeks + sockets + ridge


def fibonacci_sphere(number: int) -> np.ndarray:
    """Returns [N, 3] unit directions spread evenly over the sphere: a Fibonacci lattice."""
    k = np.arange(number)
    height = 1.0 - (2.0 * k + 1.0) / number
    turn = np.pi * (3.0 - np.sqrt(5.0)) * k
    level = np.sqrt(1.0 - height**2)
    return np.stack([level * np.cos(turn), height, level * np.sin(turn)], -1)


def skull(directions: np.ndarray) -> np.ndarray:
    """Maps unit directions [N, 3] to points of the head's skin [N, 3]."""
    points = _egg(directions)
    front = smoothstep(0.05, 0.35, directions[:, 2])
    jaw = bump(folded(points), (0.40, -0.36, 0.12), (0.10, 0.11, 0.20))
    temple = bump(folded(points), (0.46, 0.16, 0.20), (0.08, 0.10, 0.14))
    side = np.sign(points[:, 0])
    points[:, 0] += side * (0.016 * jaw - 0.014 * temple)
    nostril = front * bump(folded(points), (0.031, -0.216), (0.010, 0.009))
    forward = front * _relief(points)
    points[:, 2] += forward - 0.020 * nostril
    points[:, 1] += 0.016 * nostril
    flare = front * bump(folded(points), (0.066, -0.190), (0.022, 0.022)) * smoothstep(0.01, 0.05, forward)
    points[:, 0] += side * 0.017 * flare
    return points


def hollow(points: np.ndarray) -> np.ndarray:
    """Returns the depth [N], 0-1, of the nostrils at points [N, 3] of the skin."""
    return bump(folded(points), (0.031, -0.215), (0.0100, 0.0085)) * (points[:, 2] > 0.3)


def direction_at(xy: np.ndarray) -> np.ndarray:
    """Returns the unit directions [N, 3] of the skin at places [N, 2] in the frontal view, inside the silhouette."""
    d = np.concatenate([xy / np.array([0.6, 0.75]), np.full((len(xy), 1), 0.6)], -1)
    d /= np.linalg.norm(d, axis=-1, keepdims=True)
    for _ in range(60):
        step = 0.7 * (xy - _egg(d)[:, :2]) / np.array([0.52, 0.68])
        plane = d[:, :2] + step
        plane *= np.minimum(1.0, 0.995 / np.linalg.norm(plane, axis=-1, keepdims=True))
        d = np.concatenate([plane, np.sqrt(1.0 - (plane**2).sum(-1, keepdims=True))], -1)
    return d


def skin_at(xy: np.ndarray) -> np.ndarray:
    """Returns the points of the skin [N, 3] at places [N, 2] in the frontal view."""
    return skull(direction_at(np.asarray(xy, np.float64)))


def mirrored(points: np.ndarray) -> np.ndarray:
    """Returns the points on the midline once, then those of the left side, then their mirror images."""
    side = points[points[:, 0] > 1e-6]
    middle = points[np.abs(points[:, 0]) <= 1e-6] * [0.0, 1.0, 1.0]
    return np.concatenate([middle, side, side * MIRROR])


def strip(a: np.ndarray, b: np.ndarray, closed: bool = True) -> np.ndarray:
    """Returns the triangles [2K or 2K - 2, 3] between two rings of vertices [K]; b lies to the left of a's way."""
    n = len(a) if closed else len(a) - 1
    k, after = np.arange(n), (np.arange(n) + 1) % len(a)
    first = np.stack([a[k], a[after], b[k]], -1)
    second = np.stack([a[after], b[after], b[k]], -1)
    return np.concatenate([first, second])


def grid_triangles(rows: int, columns: int, closed: bool = False) -> np.ndarray:
    """Returns the triangles of rows x columns vertices in row order; later rows lie to the left of earlier ones."""
    index = np.arange(rows * columns).reshape(rows, columns)
    return np.concatenate([strip(index[i], index[i + 1], closed) for i in range(rows - 1)])


def mirror_part(points: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mirror image of a part of the left side, facing outwards."""
    return points * MIRROR, triangles[:, ::-1]
