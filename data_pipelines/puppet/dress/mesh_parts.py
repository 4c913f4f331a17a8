"""Mesh parts (hair, clothes, accessories) of one identity, and the shapes they are made of: tubes and ellipsoids."""

from __future__ import annotations

import dataclasses

import numpy as np

from data_pipelines.puppet.person.head import Region
from data_pipelines.puppet.person.surface import grid_triangles, mirror_part


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """A mesh part of one identity's outfit, in head units about the face centre.

    points    [V, 3]
    triangles [F, 3]
    region    [V] Region
    shade     [V] factor on the colour, above 1 is lighter
    follow    [V] 1 turns with the head, 0 stays
    carrier   [V] the vertex of the head whose expression also moves the point (in a beard), or -1
    """

    points: np.ndarray
    triangles: np.ndarray
    region: np.ndarray
    shade: np.ndarray
    follow: np.ndarray
    carrier: np.ndarray


def part(
    points: np.ndarray,
    triangles: np.ndarray,
    region: Region | np.ndarray,
    shade: float | np.ndarray = 1.0,
    follow: float | np.ndarray = 1.0,
    carrier: int | np.ndarray = -1,
) -> Part:
    """Returns a part with points [..., 3]; attributes that are the same for all points may be scalars."""
    points = np.asarray(points, np.float64).reshape(-1, 3)
    number = len(points)

    def each(values: object, kind: type) -> np.ndarray:
        values = np.asarray(values, kind)
        return np.full(number, values) if values.ndim == 0 else values.reshape(number)

    return Part(
        points=points,
        triangles=np.asarray(triangles, np.int64).reshape(-1, 3),
        region=each(region, np.int64),
        shade=each(shade, np.float64),
        follow=each(follow, np.float64),
        carrier=each(carrier, np.int64),
    )


def join(*parts: Part) -> Part:
    """Returns several parts as one."""
    starts = np.cumsum([0] + [len(p.points) for p in parts])
    return Part(
        points=np.concatenate([p.points for p in parts]),
        triangles=np.concatenate([p.triangles + s for p, s in zip(parts, starts[:-1], strict=True)]),
        region=np.concatenate([p.region for p in parts]),
        shade=np.concatenate([p.shade for p in parts]),
        follow=np.concatenate([p.follow for p in parts]),
        carrier=np.concatenate([p.carrier for p in parts]),
    )


def mirror(left: Part) -> Part:
    """Returns the part on the other side of the face. Carriers are not mirrored, so not for parts that have them."""
    points, triangles = mirror_part(left.points, left.triangles)
    return dataclasses.replace(left, points=points, triangles=triangles)


def tube(
    path: np.ndarray, width: np.ndarray | float, depth: np.ndarray | float, out: np.ndarray, closed: bool, sides: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns a tube along path [N, 3]: points [N * sides, 3] and triangles.

    Its section is an ellipse, `width` [N] across and `depth` [N] along `out` [N or 1, 3], which must not be parallel to
    the path.
    """
    along = np.roll(path, -1, 0) - np.roll(path, 1, 0) if closed else np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=-1, keepdims=True) + 1e-12
    across = np.cross(np.broadcast_to(out, path.shape), along)
    across /= np.linalg.norm(across, axis=-1, keepdims=True) + 1e-12
    up = np.cross(along, across)
    turn = 2.0 * np.pi * (np.arange(sides) + 0.5) / sides
    half = [np.broadcast_to(np.asarray(v, np.float64), len(path))[:, None, None] for v in (width, depth)]
    around = half[0] * across[:, None] * np.cos(turn)[:, None] + half[1] * up[:, None] * np.sin(turn)[:, None]
    points = path[:, None] + around
    rows = np.concatenate([points, points[:1]]) if closed else points
    triangles = grid_triangles(len(rows), sides, closed=True)[:, ::-1]
    return points.reshape(-1, 3), triangles % (len(path) * sides)


def ball(centre: np.ndarray, radii: np.ndarray, rows: int = 14, columns: int = 28) -> tuple[np.ndarray, np.ndarray]:
    """Returns an ellipsoid about `centre` [3] with radii [3]: points [rows, columns, 3] and triangles."""
    polar = np.linspace(0.02, np.pi - 0.02, rows)[:, None]
    turn = 2 * np.pi * np.arange(columns) / columns
    ray = np.stack([np.sin(polar) * np.sin(turn), np.cos(polar) * np.ones_like(turn), np.sin(polar) * np.cos(turn)], -1)
    return centre + radii * ray, grid_triangles(rows, columns, closed=True)[:, ::-1]


def curls(points: np.ndarray, rng: np.random.Generator, per_unit: float) -> np.ndarray:
    """Returns knobbly noise [...], like curls, at points [..., 3]."""
    out = np.zeros(points.shape[:-1])
    for _ in range(9):
        way = rng.standard_normal(3)
        out += np.sin(points @ (way / np.linalg.norm(way)) * per_unit * rng.uniform(0.7, 1.1) + rng.uniform(0, 6.3))
    return np.tanh(out / 1.8)
