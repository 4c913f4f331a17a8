"""Neck, shoulders and clothes: rings from under the jaw down and out, with collars, hoods and lapels."""

from __future__ import annotations

import numpy as np

from data_pipelines.puppet.dress.mesh_parts import Part, join, mirror, part, tube
from data_pipelines.puppet.person.head import Region
from data_pipelines.puppet.person.identity import Identity
from data_pipelines.puppet.person.surface import grid_triangles, smoothstep

_COLUMNS = 72
_NECK_ROWS = 9
_AXIS = np.array([0.0, 0.0, -0.12])  # of the neck, behind the face centre

Band = tuple[np.ndarray, Region, float]  # where it ends (reach [K]), its region, its shade


def body(identity: Identity) -> Part:
    """Returns neck, shoulders and clothes; the top of the neck follows the head."""
    turn = 2 * np.pi * np.arange(_COLUMNS) / _COLUMNS
    drop = np.linspace(0.0, 1.0, _NECK_ROWS)[:, None]
    rings = [np.stack([(0.225 + 0.02 * drop**2) * np.sin(turn), -0.25 - 0.55 * drop + 0 * turn,
                       0.215 * np.cos(turn) + 0 * drop], -1)]  # fmt: skip
    high = identity.clothes_style == "turtleneck"
    region = [np.where(drop > 0.62, Region.CLOTHES, Region.NECK) if high else np.full(drop.shape, Region.NECK)]
    shade = [0.52 + 0.22 * drop if not high else np.where(drop > 0.62, 0.80, 0.52 + 0.22 * drop)]
    if high:  # the roll stands off the neck
        rings[0] *= np.where(drop > 0.55, 1.0 + 0.14 * np.sin(np.pi * np.clip((drop - 0.55) / 0.5, 0, 1)) ** 0.5, 1.0)[
            ..., None
        ] * [1, 0, 1] + np.array([0, 1, 0])
    start = np.zeros(_COLUMNS)
    for end, what, light in _bands(identity.clothes_style, turn):
        rows = max(2, int(np.ceil((end - start).max() * 17)) + 1)
        reach = start + (end - start) * np.linspace(0.0, 1.0, rows)[:, None]
        rings.append(_shoulders(reach, turn))
        region.append(np.full((rows, 1), what))
        skin = 0.74 + 0.18 * smoothstep(0.0, 0.15, reach.mean(1, keepdims=True))
        shade.append(skin if what == Region.NECK else np.full((rows, 1), light))
        start = end
    rings.append(rings[-1][-1:] * np.array([1.05, 0.0, 1.02]) + np.array([0.0, -2.2, 0.0]))
    region.append(region[-1][-1:])
    shade.append(shade[-1][-1:])
    points = np.concatenate(rings)
    rows = len(points)
    shades = np.repeat(np.concatenate(shade), _COLUMNS, 1)
    if identity.clothes_style == "check":
        x, y = points[..., 0], points[..., 1]
        cloth = np.concatenate(region) == Region.CLOTHES
        shades = shades * np.where(cloth, 1.0 + 0.14 * np.sign(np.sin(26 * x)) + 0.14 * np.sign(np.sin(26 * y)), 1.0)
    follow = np.where(np.arange(rows) < _NECK_ROWS, 0.9 * (1 - smoothstep(0.0, _NECK_ROWS - 1.0, np.arange(rows))), 0.0)
    torso = part(
        points + _AXIS,
        grid_triangles(rows, _COLUMNS, closed=True)[:, ::-1],
        np.repeat(np.concatenate(region), _COLUMNS, 1),
        shades,
        np.repeat(follow, _COLUMNS),
    )
    return join(torso, *_details(identity))


def _shoulders(reach: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Returns points [R, K, 3] about the neck's axis; reach [R, K] is 0 at the neck's base, 1 at the shoulders."""
    wide = 0.245 + 0.80 * np.sin(np.pi / 2 * np.clip(reach, 0, 1)) ** 1.1
    fall = 0.10 * reach + 0.22 * reach**2 + 0.9 * np.clip(reach - 0.82, 0, 1) + 0.06 * (1 - np.abs(np.cos(turn)))
    fall = fall + 0.25 * reach * np.clip(np.cos(turn), 0, 1)  # the chest falls away steeper than the shoulders
    return np.stack([wide * np.sin(turn), -0.80 - fall, (0.215 + 0.24 * reach**0.8) * np.cos(turn)], -1)


def _vee(turn: np.ndarray, deep: float, half: float) -> np.ndarray:
    """Returns how far a V-neck reaches down the chest [K]: `deep` in the middle, 0 at the sine `half` of its width."""
    return deep * np.clip(1 - np.abs(np.sin(turn)) / half, 0, 1) * (np.cos(turn) > 0)


def _bands(style: str, turn: np.ndarray) -> list[Band]:
    """Returns the bands of skin and cloth from the neck outwards."""
    flat, end = np.ones_like(turn), np.ones_like(turn)
    skin, cloth, accent, shirt = Region.NECK, Region.CLOTHES, Region.ACCENT, Region.SHIRT
    match style:
        case "vee":
            line = 0.05 * flat + _vee(turn, 0.36, 0.75)
            return [(line, skin, 1.0), (line + 0.05, cloth, 0.80), (end, cloth, 1.0)]
        case "scoop":
            line = 0.10 + 0.20 * np.clip(np.cos(turn), 0, 1) ** 0.7
            return [(line, skin, 1.0), (line + 0.03, cloth, 0.84), (end, cloth, 1.0)]
        case "stripes":
            edges = 0.05 + np.arange(1, 10) * 0.095
            bands = [(0.05 * flat, skin, 1.0)]
            return bands + [(e * flat, (cloth, accent)[i % 2], 1.0) for i, e in enumerate(edges)] + [(end, cloth, 1.0)]
        case "shirt":
            line = 0.03 + _vee(turn, 0.20, 0.5)
            return [(line, skin, 0.9), (end, cloth, 1.0)]
        case "blazer":
            line, lapel = 0.03 + _vee(turn, 0.16, 0.5), 0.06 + _vee(turn, 0.85, 0.62)
            return [(line, skin, 0.9), (np.maximum(lapel, line + 0.02), shirt, 1.0),
                    (np.minimum(lapel + 0.12, 0.97), cloth, 0.84), (end, cloth, 1.0)]  # fmt: skip
        case "hoodie":
            return [(0.07 * flat, shirt, 0.9), (0.16 * flat, cloth, 0.82), (end, cloth, 1.0)]
        case "turtleneck":
            return [(0.05 * flat, cloth, 0.78), (end, cloth, 1.0)]
        case _:
            return [(0.06 * flat, skin, 1.0), (0.13 * flat, cloth, 0.82), (end, cloth, 1.0)]


def _details(identity: Identity) -> list[Part]:
    match identity.clothes_style:
        case "shirt":
            return [_collar(Region.CLOTHES), mirror(_collar(Region.CLOTHES)), _placket()]
        case "blazer":
            return [_collar(Region.SHIRT), mirror(_collar(Region.SHIRT))]
        case "hoodie":
            return [_hood(), _string(), mirror(_string())]
    return []


def _collar(region: Region) -> Part:
    """Returns the left half of a shirt collar, which stands around the neck and folds down to a point in front."""
    u = np.linspace(0.0, 1.0, 18)  # from the nape to the front
    turn = np.pi * (1.0 - u)
    turn = np.maximum(turn, 0.10)
    top = np.stack([0.262 * np.sin(turn), -0.715 - 0.075 * u**3, 0.250 * np.cos(turn)], -1)
    point = smoothstep(0.62, 0.97, u)[:, None]
    low = np.stack([0.315 * np.sin(turn), -0.835 - 0.06 * u**2, 0.300 * np.cos(turn)], -1)
    low = low + point * np.array([0.10, -0.075, 0.075])
    inner = top * [0.93, 1.0, 0.93] - [0.0, 0.10, 0.0]
    middle = 0.5 * top + 0.5 * low + [0, 0.006, 0.0]
    middle[:, [0, 2]] *= 1.02
    points = np.concatenate([inner, top, middle, low])
    shade = np.repeat([0.62, 1.03, 1.0, 0.93], len(u))
    return part(points + _AXIS, grid_triangles(4, len(u)), region, shade, 0.0)


def _placket() -> Part:
    """Returns the buttoned edge of a shirt with two buttons, over the chest."""
    reach = np.linspace(0.24, 0.95, 12)
    middle = _shoulders(reach[:, None], np.zeros(1))[:, 0] + [0.0, 0.0, 0.012]
    strip = np.concatenate([middle + [-0.035, 0, -0.004], middle, middle + [0.035, 0, -0.004]])
    edge = part(strip + _AXIS, grid_triangles(3, 12), Region.CLOTHES, 0.88, 0.0)
    turn = 2 * np.pi * np.arange(10) / 10
    disc = np.stack([np.cos(turn), np.sin(turn), 0 * turn], -1) * 0.016
    fan = np.stack([np.zeros(8, int), np.arange(1, 9), np.arange(2, 10)], -1)
    buttons = [part(disc + middle[i] + [0, 0, 0.012] + _AXIS, fan, Region.METAL, 1.0, 0.0) for i in (1, 4)]
    return join(edge, *buttons)


def _hood() -> Part:
    """Returns a hood: a roll behind the neck that ends on the chest."""
    turn = np.linspace(0.22, 2 * np.pi - 0.22, 40)
    back = 0.5 - 0.5 * np.cos(turn)
    path = np.stack(
        [(0.30 + 0.07 * back) * np.sin(turn), -0.90 + 0.20 * back**1.5, 0.30 * np.cos(turn) - 0.06 * back], -1
    )
    half = 0.050 + 0.055 * back
    points, triangles = tube(path, half, 0.9 * half, np.array([[0.0, 1.0, 0.0]]), closed=False, sides=10)
    fold = 0.92 + 0.10 * np.sin(2 * np.pi * (np.arange(10) + 0.5) / 10)
    return part(points + _AXIS, triangles, Region.CLOTHES, np.tile(fold, 40), 0.0)


def _string() -> Part:
    at = np.linspace(0.0, 1.0, 8)
    path = np.stack([0.085 + 0.02 * np.sin(3 * at), -0.90 - 0.26 * at, 0.33 + 0.17 * at], -1)
    points, triangles = tube(path, 0.011, 0.011, np.array([[0.0, 0.0, 1.0]]), closed=False, sides=5)
    return part(points + _AXIS, triangles, Region.SHIRT, 1.0, 0.0)
