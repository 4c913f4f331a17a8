"""What is not the linear head: hair, neck and clothes, and the background picture; functions of the identity."""

from __future__ import annotations

import dataclasses

import numpy as np

from data_pipelines.puppet.head import Region, puppet_head
from data_pipelines.puppet.identity import Identity
from data_pipelines.puppet.shapes import identity_fields
from data_pipelines.puppet.surface import bump, grid_triangles, skull, smoothstep


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """A piece of mesh worn by one identity, in head units about the face centre.

    points [V, 3], triangles [F, 3], region [V], shade [V] (above 1: lighter)
    follow [V]: 1 turns with the head, 0 stays
    carrier [V]: the vertex of the head whose expression moves the point too (a beard's), or -1
    """

    points: np.ndarray
    triangles: np.ndarray
    region: np.ndarray
    shade: np.ndarray
    follow: np.ndarray
    carrier: np.ndarray


# style -> hairline's angle from the crown (front, side, back), thickness, curtain's length below the ear, roughness
_HAIR = {
    "crop": (56.0, 95.0, 122.0, 0.065, 0.0, 0.002),
    "quiff": (55.0, 97.0, 122.0, 0.070, 0.0, 0.004),
    "bob": (60.0, 100.0, 128.0, 0.075, 0.42, 0.004),
    "long": (57.0, 100.0, 128.0, 0.070, 0.95, 0.005),
    "bun": (55.0, 95.0, 120.0, 0.052, 0.0, 0.003),
    "curly": (57.0, 98.0, 124.0, 0.135, 0.0, 0.022),
}


def hair(identity: Identity) -> Part:
    """A cap of meridians from the crown to the hairline, some styles with a curtain behind or a bun."""
    cap = _cap(identity)
    if identity.hair_style == "bun":
        cap = join(cap, _ball((0.0, 0.74, -0.30), 0.20, np.random.default_rng(identity.hair_seed)))
    head = puppet_head()
    points = cap.points + np.tensordot(identity.shape.astype(np.float64), identity_fields(cap.points), 1)
    ears = head.mean[head.landmarks[[0, 16]]]
    ears = ears + np.tensordot(identity.shape.astype(np.float64), head.identity_basis[:, head.landmarks[[0, 16]]], 1)
    points = ((points - head.origin) / head.width - ears.mean(0)) / np.linalg.norm(ears[1] - ears[0])
    return dataclasses.replace(cap, points=points)


def _cap(identity: Identity) -> Part:
    front, side, back, thick, length, rough = _HAIR[identity.hair_style]
    rng = np.random.default_rng(identity.hair_seed)
    columns, rows = 144, 30
    turn = 2 * np.pi * np.arange(columns) / columns  # 0 in front, growing to the person's left
    ahead = 0.5 + 0.5 * np.cos(turn)
    edge = side + (front - side) * smoothstep(0.50, 0.86, ahead) + (back - side) * smoothstep(0.45, 0.05, ahead)
    edge = edge + 3.0 * np.exp(-0.5 * ((np.abs(np.sin(turn)) - 0.80) / 0.10) ** 2) * (ahead > 0.5)
    edge = edge + 0.8 * np.sin(23 * turn + rng.uniform(0, 6.3)) + 0.5 * np.sin(41 * turn + rng.uniform(0, 6.3))
    u = np.linspace(0.0, 1.0, rows)[:, None]
    polar = np.deg2rad(1.0 + (edge[None] - 1.0) * u)
    tilt = np.deg2rad(-12.0)  # the crown lies behind the top
    ray = np.stack([np.sin(polar) * np.sin(turn), np.cos(polar) * np.ones_like(turn), np.sin(polar) * np.cos(turn)], -1)
    tilted = ray.copy()
    tilted[..., 1] = np.cos(tilt) * ray[..., 1] - np.sin(tilt) * ray[..., 2]
    tilted[..., 2] = np.sin(tilt) * ray[..., 1] + np.cos(tilt) * ray[..., 2]
    fade = np.where(u < 0.93, 1.0, np.sqrt(np.clip((1.0 - u) / 0.07, 0.0, 1.0))) * np.ones_like(turn)
    layer = thick * (0.75 + 0.25 * np.cos(polar / 2)) * fade
    parting = float(rng.choice([-1.0, 1.0]))
    if identity.hair_style == "quiff":
        layer += 0.085 * np.exp(-0.5 * (((u - 0.72) / 0.2) ** 2)) * smoothstep(0.72, 0.98, ahead) * fade
        layer += 0.020 * parting * np.sin(turn) * fade
    waves = np.zeros_like(layer)
    for _ in range(10):
        k = rng.integers(5, 30)
        waves += np.sin(k * turn + rng.uniform(0, 6.3) + (14.0 if rough > 0.01 else 2.0) * rng.uniform(-1, 1) * u)
    layer += rough * waves / 2.2 * np.sin(np.pi * np.clip(u, 0.05, 1)) ** 0.5
    points = skull(tilted.reshape(-1, 3)).reshape(rows, columns, 3) + layer[..., None] * tilted
    points[-1] -= 0.03 * tilted[-1]  # the hairline's edge goes under the skin
    if length:
        points = _curtain(points, ahead, length, waves)
    strands = 1.0 + 0.16 * np.sin(11 * turn + 3 * u + waves) + 0.12 * np.sin(31 * turn + 2 * waves)
    gloss = 0.22 * np.exp(-0.5 * ((u - 0.42) / 0.10) ** 2)
    shade = (strands + gloss) * (0.80 + 0.20 * smoothstep(1.0, 0.7, u))
    return Part(
        points=points.reshape(-1, 3),
        triangles=grid_triangles(rows, columns, closed=True)[:, ::-1],
        region=np.full(points.size // 3, Region.HAIR),
        shade=shade.reshape(-1),
        follow=np.ones(points.size // 3),
        carrier=np.full(points.size // 3, -1),
    )


def _curtain(points: np.ndarray, ahead: np.ndarray, length: float, waves: np.ndarray) -> np.ndarray:
    """Below the ears' height the hair of sides and back hangs straight down, `length` at the back."""
    rows = len(points)
    longest = np.maximum.accumulate(np.linalg.norm(points[..., [0, 2]], axis=-1), axis=0)
    around = points[..., [0, 2]] / np.maximum(np.linalg.norm(points[..., [0, 2]], axis=-1, keepdims=True), 1e-6)
    falls = smoothstep(0.74, 0.58, ahead)[None]
    start = 18
    hang = np.clip((np.arange(rows) - start) / (rows - 1 - start), 0.0, 1.0)[:, None]
    top = points[start, :, 1][None]
    y = np.where(np.arange(rows)[:, None] > start, top - hang * (top + length), points[..., 1])
    wide = (longest + 0.012 * waves / 2.2 * hang + 0.050 * smoothstep(0.0, 0.15, hang)) * (1.0 - 0.10 * hang**2)
    hung = np.stack([around[..., 0] * wide, y, around[..., 1] * wide], -1)
    return points + falls[..., None] * (hung - points)


def _ball(centre: tuple[float, float, float], radius: float, rng: np.random.Generator) -> Part:
    rows, columns = 14, 28
    polar = np.linspace(0.02, np.pi - 0.02, rows)[:, None]
    turn = 2 * np.pi * np.arange(columns) / columns
    ray = np.stack([np.sin(polar) * np.sin(turn), np.cos(polar) * np.ones_like(turn), np.sin(polar) * np.cos(turn)], -1)
    swirl = np.sin(5 * turn + 4 * polar + rng.uniform(0, 6.3))
    points = np.array(centre) + radius * (1 + 0.03 * swirl[..., None]) * ray * np.array([1.0, 0.85, 0.9])
    number = rows * columns
    return Part(
        points=points.reshape(-1, 3),
        triangles=grid_triangles(rows, columns, closed=True)[:, ::-1],
        region=np.full(number, Region.HAIR),
        shade=(1.0 + 0.12 * swirl).reshape(-1),
        follow=np.ones(number),
        carrier=np.full(number, -1),
    )


def body(identity: Identity) -> Part:
    """Neck and shoulders: rings from under the jaw down and out; the neck's top follows the head."""
    columns, neck_rows, skin_rows, band_rows, cloth_rows = 72, 9, 6, 4, 15
    turn = 2 * np.pi * np.arange(columns) / columns
    drop = np.linspace(0.0, 1.0, neck_rows)[:, None]
    up = np.stack(
        [(0.225 + 0.02 * drop**2) * np.sin(turn), -0.25 - 0.55 * drop + 0 * turn, 0.215 * np.cos(turn) + 0 * drop], -1
    )
    # below the neck: `reach` 0 at its foot, 1 at the shoulders; doubled rows make the edges of neckline and band sharp
    line = {"crew": 0.06, "vee": 0.05, "stripe": 0.04}[identity.collar] * np.ones_like(turn)
    if identity.collar == "vee":
        line = line + 0.36 * np.clip(1 - np.abs(np.sin(turn)) / 0.75, 0, 1) * (np.cos(turn) > 0)
    above = line * np.linspace(0.0, 1.0, skin_rows)[1:, None]
    band = line + 0.10 * np.linspace(0.0, 1.0, band_rows)[:, None]
    cloth = band[-1] + (1.0 - band[-1]) * np.linspace(0.0, 1.0, cloth_rows)[:, None] ** 1.3
    reach = np.concatenate([above, band, cloth])
    wide = 0.245 + 0.80 * np.sin(np.pi / 2 * reach) ** 1.1
    fall = 0.10 * reach + 0.22 * reach**2 + 0.9 * np.clip(reach - 0.82, 0, 1) + 0.06 * (1 - np.abs(np.cos(turn)))
    fall += 0.25 * reach * np.clip(np.cos(turn), 0, 1)  # the chest falls away steeper than the shoulders
    down = np.stack([wide * np.sin(turn), -0.80 - fall, (0.215 + 0.24 * reach**0.8) * np.cos(turn)], -1)
    hem = down[-1:] * np.array([1.05, 0.0, 1.02]) + np.array([0.0, -2.2, 0.0])
    points = np.concatenate([up, down, hem]) + np.array([0.0, 0.0, -0.12])
    rows = len(points)
    accent = Region.ACCENT if identity.collar == "stripe" else Region.CLOTHES
    skin_count = neck_rows + skin_rows - 1
    region = np.repeat([Region.NECK, accent, Region.CLOTHES], [skin_count, band_rows, rows - skin_count - band_rows])
    shade = np.where(np.arange(rows) < skin_count, 0.52 + 0.40 * smoothstep(-0.52, -0.86, points[..., 1].mean(1)), 1.0)
    shade[skin_count : skin_count + band_rows] = 1.0 if identity.collar == "stripe" else 0.82
    follow = np.where(np.arange(rows) < neck_rows, 0.9 * (1 - smoothstep(0.0, neck_rows - 1.0, np.arange(rows))), 0.0)
    return Part(
        points=points.reshape(-1, 3),
        triangles=grid_triangles(rows, columns, closed=True)[:, ::-1],
        region=np.repeat(region, columns),
        shade=np.repeat(shade, columns),
        follow=np.repeat(follow, columns),
        carrier=np.full(points.size // 3, -1),
    )


def join(*parts: Part) -> Part:
    """Several parts as one."""
    starts = np.cumsum([0] + [len(p.points) for p in parts])
    return Part(
        points=np.concatenate([p.points for p in parts]),
        triangles=np.concatenate([p.triangles + s for p, s in zip(parts, starts[:-1], strict=True)]),
        region=np.concatenate([p.region for p in parts]),
        shade=np.concatenate([p.shade for p in parts]),
        follow=np.concatenate([p.follow for p in parts]),
        carrier=np.concatenate([p.carrier for p in parts]),
    )


def background(identity: Identity, size: int) -> np.ndarray:
    """The picture behind the puppet: [size, size, 3] float32, sRGB 0-255."""
    light, dark = (np.array(c) for c in identity.background)
    at = (np.arange(size) + 0.5) / size
    x, y = np.meshgrid(at, 1.0 - at)
    if identity.background_style == "split":
        mix = smoothstep(-0.02, 0.02, y - 0.42 - 0.25 * (x - 0.5) * np.sign(identity.light[0]))
    elif identity.background_style == "dots":
        wave = np.cos(2 * np.pi * 5 * (x + y)) * np.cos(2 * np.pi * 5 * (x - y))
        mix = 0.35 + 0.5 * y + 0.12 * smoothstep(0.3, 0.6, wave)
    else:
        mix = bump(np.stack([x, y], -1), (0.5 + 0.2 * identity.light[0], 0.62), (0.36, 0.36))
    mix = np.clip(mix, 0, 1)[..., None]
    return ((dark + (light - dark) * mix) * 255.0).astype(np.float32)
