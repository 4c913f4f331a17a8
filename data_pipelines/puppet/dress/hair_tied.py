"""Tied hair: buns, tails, braids, puffs, dreads; in the unscaled units of the mean head (surface.py)."""

from __future__ import annotations

import numpy as np

from data_pipelines.puppet.dress.mesh_parts import Part, ball, curls, join, part, tube
from data_pipelines.puppet.person.head import Region
from data_pipelines.puppet.person.surface import smoothstep


def tied(style: str, rng: np.random.Generator) -> list[Part]:
    """Returns the parts that a style adds to its cap."""
    match style:
        case "bun":
            return [_knot((0.0, 0.80, -0.26), (0.20, 0.17, 0.19), rng)]
        case "man bun":
            return [_knot((0.0, 0.70, -0.40), (0.145, 0.13, 0.14), rng)]
        case "low bun":
            return [_knot((0.0, -0.22, -0.66), (0.24, 0.20, 0.17), rng)]
        case "puffs":
            return [_puff(side, rng) for side in (-1.0, 1.0)]
        case "ponytail":
            side = float(rng.choice([-1.0, 1.0]))
            path = [(0, 0.60, -0.52), (0.02, 0.72, -0.68), (0.12, 0.62, -0.86), (0.26, 0.25, -0.80)]
            path += [(0.40, -0.2, -0.55), (0.46, -0.6, -0.32), (0.45, -0.88, -0.14)]
            return [_tail(np.array(path) * [side, 1, 1], (0.06, 0.15, 0.03), 0.0, rng), _band((0.0, 0.64, -0.57))]
        case "pigtails":
            path = [
                (0.47, 0.26, -0.22),
                (0.60, 0.30, -0.26),
                (0.70, 0.12, -0.24),
                (0.70, -0.2, -0.18),
                (0.64, -0.52, -0.1),
            ]
            return [_tail(np.array(path) * [s, 1, 1], (0.06, 0.115, 0.03), 0.0, rng) for s in (-1, 1)]
        case "braids":
            path = [
                (0.42, -0.02, -0.30),
                (0.52, -0.22, -0.24),
                (0.50, -0.45, -0.10),
                (0.46, -0.75, 0.10),
                (0.40, -1.02, 0.26),
            ]
            return [_tail(np.array(path) * [s, 1, 1], (0.085, 0.085, 0.05), 7.0, rng) for s in (-1, 1)]
        case "dreads":
            return [_dreads(rng)]
    return []


def falling(y: np.ndarray) -> np.ndarray:
    """Returns how far hair at this height turns with the head (1) or stays with the shoulders (towards 0)."""
    return 1.0 - 0.85 * smoothstep(-0.25, -0.95, y)


def _smooth(path: np.ndarray, number: int) -> np.ndarray:
    """Returns a smooth curve [number, 3] through the points [K, 3]."""
    from scipy.interpolate import CubicSpline

    return CubicSpline(np.linspace(0.0, 1.0, len(path)), path)(np.linspace(0.0, 1.0, number))


def _knot(centre: tuple[float, float, float], radii: tuple[float, float, float], rng: np.random.Generator) -> Part:
    points, triangles = ball(np.array(centre), np.array(radii))
    away = points - centre
    swirl = np.sin(5 * np.arctan2(away[..., 0], away[..., 2]) + 16 * away[..., 1] + rng.uniform(0, 6.3))
    points = centre + away * (1 + 0.035 * swirl[..., None])
    return part(points, triangles, Region.HAIR, 0.96 + 0.16 * swirl)


def _puff(side: float, rng: np.random.Generator) -> Part:
    centre = np.array([0.44 * side, 0.60, -0.16])
    points, triangles = ball(centre, np.array([0.25, 0.24, 0.25]), 18, 32)
    lumps = curls(points, rng, 40.0)
    points = centre + (points - centre) * (1 + 0.06 * lumps[..., None])
    return part(points, triangles, Region.HAIR, 0.95 + 0.16 * lumps)


def _tail(path: np.ndarray, widths: tuple[float, float, float], plaits: float, rng: np.random.Generator) -> Part:
    """Returns a tail along path [K, 3]; widths: half widths at root, middle and tip; braided if it has plaits."""
    rows, sides = (44, 12) if plaits else (20, 18)
    at = np.linspace(0.0, 1.0, rows)
    curve = _smooth(path, rows)
    half = np.interp(at, [0.0, 0.35, 0.8, 1.0], [widths[0], widths[1], 0.85 * widths[1], widths[2]])
    weave = np.abs(np.sin(np.pi * plaits * at)) if plaits else np.ones(rows)
    half = half * (0.72 + 0.28 * weave)
    points, triangles = tube(curve, half, 0.8 * half, np.array([[0.0, 0.0, 1.0]]), closed=False, sides=sides)
    turn = 2 * np.pi * (np.arange(sides) + 0.5) / sides
    streak = np.sin(5 * turn[None] + 7 * at[:, None] + rng.uniform(0, 6.3))
    shade = 1.0 + 0.13 * streak + (0.30 * (weave[:, None] - 0.6) if plaits else 0.0)
    follow = np.repeat(falling(curve[:, 1]), sides)
    return part(points, triangles, Region.HAIR, shade, follow)


def _band(centre: tuple[float, float, float]) -> Part:
    turn = 2 * np.pi * np.arange(20) / 20
    ring = np.array(centre) + 0.085 * np.stack([np.cos(turn), 0.5 * np.sin(turn), np.sin(turn)], -1)
    return part(*tube(ring, 0.022, 0.022, np.array([[0.0, 1.0, 0.0]]), closed=True, sides=6), Region.ACCENT)


def _dreads(rng: np.random.Generator) -> Part:
    """Returns ropes of hair around sides and back, from the cap to the jaw or the shoulders."""
    ropes = []
    number = 26
    for i in range(number):
        turn = np.deg2rad(82 + (360 - 164) * (i + rng.uniform(-0.3, 0.3)) / (number - 1))
        long = rng.uniform(0.62, 0.92)
        out = np.array([np.sin(turn), 0.0, np.cos(turn)])
        reach = np.array([0.46, 0.60, 0.63, 0.58]) * rng.uniform(0.96, 1.06)
        path = out * reach[:, None] + np.outer([0.34, 0.16, -0.22, -long], [0.0, 1.0, 0.0])
        path[:, 2] *= 1.02
        curve = _smooth(path + rng.normal(0, 0.008, path.shape), 12)
        half = np.full(12, 0.042) * (1 + 0.10 * np.sin(np.arange(12) * 2.2 + rng.uniform(0, 6.3)))
        half[-1] *= 0.5
        points, triangles = tube(curve, half, half, out[None], closed=False, sides=6)
        shade = np.repeat(0.92 + 0.18 * np.sin(np.arange(12) * 2.2 + i), 6) * rng.uniform(0.85, 1.1)
        ropes.append(part(points, triangles, Region.HAIR, shade, np.repeat(falling(curve[:, 1]), 6)))
    return join(*ropes)
