"""Moles, freckles and wrinkles: thin mesh parts on the skin that move with it."""

from __future__ import annotations

import numpy as np

from data_pipelines.puppet.dress.mesh_parts import Part, join, part
from data_pipelines.puppet.person.deform import neutral_head
from data_pipelines.puppet.person.head import Region, puppet_head
from data_pipelines.puppet.person.identity import Identity
from data_pipelines.puppet.person.surface import grid_triangles

_LIFT = 0.0035  # above the skin, in face widths


def skin_marks(identity: Identity) -> Part:
    """Returns all marks of an identity as one part."""
    head, points = puppet_head(), neutral_head(identity)
    marks = points[head.landmarks]
    rng = np.random.default_rng(identity.skin_seed)
    parts = [part(np.zeros((0, 3)), np.zeros((0, 3)), Region.SKIN)]
    places = _free_places(rng, marks, 400)
    for x, y in places[: identity.moles]:
        parts.append(_dot(points, x, y, rng.uniform(0.009, 0.014), 0.38, 0.55))
    if identity.freckles:
        near = places[identity.moles :]
        likely = np.exp(-0.5 * (((np.abs(near[:, 0]) - 0.14) / 0.13) ** 2 + ((near[:, 1] - marks[29, 1]) / 0.07) ** 2))
        near = near[rng.uniform(size=len(near)) < likely][: int(20 + 40 * identity.freckles)]
        for x, y in near:
            parts.append(_dot(points, x, y, rng.uniform(0.005, 0.009), 1.0 - 0.34 * identity.freckles, 0.97))
    if identity.wrinkles > 0.1:
        for line in _lines(marks, rng):
            parts.append(_crease(points, line, 1.0 - 0.38 * identity.wrinkles))
    return join(*parts)


def _free_places(rng: np.random.Generator, marks: np.ndarray, number: int) -> np.ndarray:
    """Returns random positions [M, 2] on the front of the face, clear of eyes, brows, nostrils and mouth."""
    xy = rng.uniform([-0.36, marks[8, 1] + 0.06], [0.36, marks[19:25, 1].max() + 0.12], (number, 2))
    away = np.linalg.norm(xy[:, None] - marks[None, 17:, :2], axis=-1).min(1)
    eyes = [
        np.hypot((xy[:, 0] - c[0]) / 0.16, (xy[:, 1] - c[1]) / 0.10) > 1
        for c in (marks[36:42].mean(0), marks[42:48].mean(0))
    ]
    round_ = (xy[:, 0] / 0.40) ** 2 + (xy[:, 1] / 0.52) ** 2 < 1.0
    return xy[(away > 0.035) & eyes[0] & eyes[1] & round_]


def _on_skin(points: np.ndarray, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns points [M, 3] on the resting skin at frontal positions [M, 2], and the nearest vertices [M]."""
    head = puppet_head()
    skin = head.parts["skin"]
    used = head.triangles[((head.triangles >= skin.start) & (head.triangles < skin.stop)).all(-1)]
    a, b, c = (points[used[:, i]] for i in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    front = (area > 1e-9) & (a[:, 2] > 0.1)
    used, a, b, c, area = used[front], a[front], b[front], c[front], area[front]
    dx, dy = xy[:, :1] - a[:, 0], xy[:, 1:] - a[:, 1]
    second = (dx * (c[:, 1] - a[:, 1]) - dy * (c[:, 0] - a[:, 0])) / area
    third = (dy * (b[:, 0] - a[:, 0]) - dx * (b[:, 1] - a[:, 1])) / area
    least = np.minimum(np.minimum(second, third), 1.0 - second - third)
    at = least.argmax(1)
    k = np.arange(len(xy))
    weights = np.clip(np.stack([1.0 - second[k, at] - third[k, at], second[k, at], third[k, at]], -1), 0.0, 1.0)
    found = (weights[:, :, None] * points[used[at]]).sum(1) / weights.sum(1, keepdims=True)
    return found, used[at, weights.argmax(1)]


def _dot(points: np.ndarray, x: float, y: float, radius: float, middle: float, edge: float) -> Part:
    """Returns a disc with the shades `middle` and `edge`."""
    turn = 2 * np.pi * np.arange(7) / 7
    ring = np.stack([x + radius * np.cos(turn), y + radius * np.sin(turn)], -1)
    found, carriers = _on_skin(points, np.concatenate([[[x, y]], ring]))
    k = np.arange(7)
    fan = np.stack([np.zeros(7, int), 1 + k, 1 + (k + 1) % 7], -1)
    found[:, 2] += np.where(np.arange(8) == 0, _LIFT, 0.6 * _LIFT)
    return part(found, fan, Region.SKIN, np.where(np.arange(8) == 0, middle, edge), 1.0, carriers[0])


def _crease(points: np.ndarray, line: np.ndarray, dark: float) -> Part:
    """Returns a ribbon along positions [K, 2], dark in the middle and skin-coloured at edges and ends."""
    number = len(line)
    along = np.gradient(line, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], -1) / np.linalg.norm(along, axis=-1, keepdims=True)
    fade = np.sin(np.pi * np.linspace(0.06, 0.94, number))
    half = (0.004 + 0.007 * fade)[:, None]
    found, carriers = _on_skin(points, np.concatenate([line + half * across, line, line - half * across]))
    found[:, 2] += np.repeat([0.3 * _LIFT, _LIFT, 0.3 * _LIFT], number)
    shade = np.concatenate([np.ones(number), 1.0 - (1.0 - dark) * fade, np.ones(number)])
    middle = carriers[number : 2 * number]
    return part(found, grid_triangles(3, number)[:, ::-1], Region.SKIN, shade, 1.0, np.tile(middle, 3))


def _lines(marks: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Returns forehead lines, crow's feet and the folds from nose to mouth, each as positions [K, 2]."""
    brow = marks[[19, 24], 1].mean()
    lines = []
    for height in (0.065, 0.110, 0.155):
        x = np.linspace(-1.0, 1.0, 15) * rng.uniform(0.15, 0.24) + rng.uniform(-0.03, 0.03)
        lines.append(np.stack([x, brow + height + 0.012 * np.cos(14 * x) + rng.uniform(-0.006, 0.006)], -1))
    at = np.linspace(0.0, 1.0, 7)[:, None]
    for side, corner, wing, mouth in ((1, 45, 35, 54), (-1, 36, 31, 48)):
        for way in (0.35, 0.0, -0.4):
            start = marks[corner, :2] + [0.028 * side, 0.05 * way]
            lines.append(start + at * 0.055 * np.array([side, way]))
        start, end = marks[wing, :2] + [0.016 * side, 0.012], marks[mouth, :2] + [0.045 * side, 0.005]
        bend = 0.018 * np.sin(np.pi * at) * np.array([side, 0.4])
        lines.append(start + at * (end - start) + bend)
    return lines
