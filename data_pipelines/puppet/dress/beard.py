"""Beards: a tint of the skin where hair grows, and raised copies of the skin mesh."""

from __future__ import annotations

import numpy as np

from data_pipelines.puppet.dress.mesh_parts import Part, curls, part
from data_pipelines.puppet.person.deform import neutral_head
from data_pipelines.puppet.person.head import Region, puppet_head
from data_pipelines.puppet.person.identity import Identity
from data_pipelines.puppet.person.surface import smoothstep

# style -> density of moustache, goatee and cheeks (0-1), thickness and length at the chin in face widths
BEARDS: dict[str, tuple[float, float, float, float, float]] = {
    "none": (0.0, 0.0, 0.0, 0.0, 0.0),
    "stubble": (0.42, 0.42, 0.40, 0.0, 0.0),
    "moustache": (1.0, 0.0, 0.0, 0.022, 0.0),
    "goatee": (0.9, 1.0, 0.0, 0.024, 0.02),
    "short beard": (0.85, 0.95, 0.90, 0.020, 0.0),
    "full beard": (1.0, 1.0, 1.0, 0.042, 0.05),
    "long beard": (1.0, 1.0, 1.0, 0.050, 0.22),
}


def density(identity: Identity, points: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Returns the beard's density [N] (0-1) at points [N, 3] of the resting skin; marks [68, 3] are its landmarks."""
    moustache, goatee, cheeks, _, _ = BEARDS[identity.beard_style]
    if not moustache:
        return np.zeros(len(points))
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    half, mouth_y = 0.5 * float(np.linalg.norm(marks[54] - marks[48])), 0.5 * (marks[51, 1] + marks[57, 1])
    nose_y, chin_y = marks[33, 1], marks[8, 1]
    ahead = smoothstep(0.05, 0.25, z)
    out = moustache * _moustache(x, y, half, mouth_y, nose_y) * ahead
    below = smoothstep(mouth_y - 0.02, mouth_y - 0.10, y)
    chin = smoothstep(1.0, 0.72, x / (0.95 * half)) * below * ahead
    beside = np.exp(-0.5 * ((x - 1.18 * half) / (0.20 * half)) ** 2) * smoothstep(nose_y - 0.02, nose_y - 0.09, y)
    beside = beside * smoothstep(chin_y - 0.02, chin_y + 0.05, y) * ahead
    out = np.maximum(out, goatee * np.maximum(chin, beside))
    if cheeks:
        line = np.interp(x, np.array([0.0, half, 0.36, 0.44, 0.50]), mouth_y + np.array([0.0, 0.015, 0.08, 0.23, 0.45]))
        front = np.where(y > -0.10, smoothstep(0.02, 0.05, z), smoothstep(-0.10, 0.0, z))
        grown = smoothstep(0.03, -0.05, y - line) * front
        out = np.maximum(out, cheeks * grown)
    return out * _off_lips(points, marks)


def _moustache(x: np.ndarray, y: np.ndarray, half: float, mouth_y: float, nose_y: float) -> np.ndarray:
    top = nose_y - 0.006 - 0.012 * (x / half) ** 2
    low = mouth_y + 0.012 * smoothstep(0.7, 1.0, x / half)  # ends above the corners of the mouth
    return smoothstep(0.020, -0.010, y - top) * smoothstep(-0.035, -0.005, y - low) * smoothstep(1.26, 1.08, x / half)


def _off_lips(points: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Returns [N]: 0 on the red of the lips and at its border, 1 a little away from it."""
    outline = marks[48:60, :2]
    ends = np.roll(outline, -1, 0)
    way = ends - outline
    away = points[:, None, :2] - outline
    along = np.clip((away * way).sum(-1) / (way**2).sum(-1), 0.0, 1.0)
    near = np.linalg.norm(away - along[..., None] * way, axis=-1).min(1)
    spans = (outline[:, 1] > points[:, 1:2]) != (ends[:, 1] > points[:, 1:2])
    left = points[:, :1] < outline[:, 0] + (points[:, 1:2] - outline[:, 1]) * way[:, 0] / (way[:, 1] + 1e-12)
    inside = (spans & left).sum(1) % 2 == 1
    free = np.where(inside, 0.0, smoothstep(0.005, 0.017, near))
    return np.where(points[:, 2] > 0.1, free, 1.0)


def beard(identity: Identity) -> Part:
    """Returns the beard: raised copies of the skin's triangles where hair grows, which move with jaw and lips."""
    *_, thick, long = BEARDS[identity.beard_style]
    if not thick:
        return part(np.zeros((0, 3)), np.zeros((0, 3)), Region.BEARD)
    head, points = puppet_head(), neutral_head(identity)
    marks = points[head.landmarks]
    covers = np.zeros(len(points), bool)
    for name in ("skin", "mouth"):
        covers[head.parts[name]] = True
    covers &= head.region == Region.SKIN
    grown = np.where(covers, density(identity, points, marks), 0.0)
    used = head.triangles[covers[head.triangles].all(-1) & (grown[head.triangles] > 0.02).any(-1)]
    vertices = np.unique(used)
    number = np.zeros(len(points), np.int64)
    number[vertices] = np.arange(len(vertices))
    grown, at = grown[vertices], points[vertices]
    rng = np.random.default_rng(identity.hair_seed + 1)
    lumps = curls(at, rng, 60.0)
    normals = _normals(points, head.triangles[covers[head.triangles].all(-1)])[vertices]
    stand = 0.004 + thick * smoothstep(0.15, 0.9, grown) * (1.0 + 0.22 * lumps)
    middle, chin = marks[57], marks[8]
    low = (
        smoothstep(middle[1] - 0.03, chin[1], at[:, 1]) * smoothstep(0.0, 0.25, at[:, 2]) * smoothstep(0.2, 0.9, grown)
    )
    narrow = np.exp(-0.5 * (at[:, 0] / 0.20) ** 2)
    hang = long * low * (0.35 + 0.65 * narrow) * (1.0 + 0.12 * lumps)
    raised = at + stand[:, None] * normals + hang[:, None] * np.array([0.0, -1.0, 0.22])
    raised[:, 0] *= 1.0 - 0.5 * np.minimum(hang, 0.4)
    return part(
        raised,
        number[used],
        np.where(grown > 0.80, Region.BEARD, Region.SKIN),
        1.0 + np.minimum(grown, 1.0) * (0.16 * lumps + 0.10 * curls(at, rng, 150.0)),
        1.0,
        vertices,
    )


def _normals(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    a, b, c = (points[triangles[:, i]] for i in range(3))
    face = np.cross(b - a, c - a)
    out = np.zeros_like(points)
    for i in range(3):
        np.add.at(out, triangles[:, i], face)
    return out / (np.linalg.norm(out, axis=-1, keepdims=True) + 1e-12)
