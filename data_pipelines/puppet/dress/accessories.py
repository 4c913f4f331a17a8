"""Glasses, hats and headbands, earrings, positioned by the identity's own eyes, ears and hair."""

from __future__ import annotations

import numpy as np

from data_pipelines.puppet.dress.hair import tilted
from data_pipelines.puppet.dress.mesh_parts import Part, ball, join, mirror, part, tube
from data_pipelines.puppet.person.deform import neutral_head
from data_pipelines.puppet.person.head import Region, puppet_head
from data_pipelines.puppet.person.identity import Identity, on_identity
from data_pipelines.puppet.person.surface import grid_triangles, skull, smoothstep

_NOTHING = part(np.zeros((0, 3)), np.zeros((0, 3)), Region.FRAME)
_OUT = np.array([[0.0, 0.0, 1.0]])
# glasses -> half width, half height, squareness of a lens; thickness of its rim; face widths
_LENSES = {
    "round": (0.160, 0.146, 2.0, 0.0085),
    "square": (0.168, 0.132, 4.2, 0.0105),
    "thin": (0.162, 0.128, 2.7, 0.0050),
    "browline": (0.166, 0.132, 3.0, 0.0055),
}


def glasses(identity: Identity) -> Part:
    """Returns two rims in front of the eyes with panes, a bridge on the nose and temples to the ears."""
    if identity.glasses == "none":
        return _NOTHING
    head, points = puppet_head(), neutral_head(identity)
    wide, tall, power, thick = _LENSES[identity.glasses]
    eye, ear = points[head.eye_centres[0]], points[head.landmarks[16]]
    skin = points[head.region == Region.SKIN]
    lids = points[head.lids]
    z = float(lids[:, 2].max()) + 0.030
    turn = 2 * np.pi * np.arange(40) / 40
    c, s = np.cos(turn), np.sin(turn)
    x = eye[0] + wide * np.sign(c) * np.abs(c) ** (2 / power)
    y = eye[1] - 0.008 + tall * np.sign(s) * np.abs(s) ** (2 / power) - 0.012 * np.cos(turn)
    bent = z - 0.55 * np.clip(x - eye[0], 0.0, None) ** 1.5  # frames curve around the face
    rim = np.full(40, thick)
    if identity.glasses == "browline":
        rim = rim + 0.014 * smoothstep(0.35, 0.75, s)
    path = np.stack([x, y, bent], -1)
    shade = np.repeat(np.where(rim > 0.012, 0.9, 1.0), 6)
    parts = [part(*tube(path, rim, 0.8 * rim, _OUT, closed=True, sides=6), Region.FRAME, shade)]
    pane = np.concatenate([[path.mean(0) + [0.0, 0.0, 0.006]], path])
    k = np.arange(40)
    parts.append(part(pane, np.stack([np.zeros(40, int), 1 + k, 1 + (k + 1) % 40], -1), Region.GLASS))
    hinge = path[np.argmax(x + 0.25 * y)]
    at = np.linspace(0.0, 1.0, 12)[:, None]
    side = np.stack([ear[0] + 0.035 + 0 * at, hinge[1] + 0.02 + 0 * at, ear[2] + 0.05 + 0 * at], -1)[:, 0]
    way = hinge + at * (side - hinge)
    depth = (1 - at[:, 0]) * hinge[2] + at[:, 0] * side[:, 2]
    for i, (height, deep) in enumerate(zip(way[:, 1], depth, strict=True)):  # never inside the temple's skin
        near = skin[(np.abs(skin[:, 1] - height) < 0.09) & (np.abs(skin[:, 2] - deep) < 0.09) & (skin[:, 0] > 0)]
        way[i, 0] = max(way[i, 0], near[:, 0].max(initial=0.0) + 0.012) if i > 2 else way[i, 0]
    hook = np.array([[ear[0] + 0.030, hinge[1] - 0.01, ear[2] - 0.06], [ear[0] + 0.02, hinge[1] - 0.10, ear[2] - 0.10]])
    way = np.concatenate([way, hook])
    arm = tube(way, max(thick, 0.007), 0.006, np.array([[1.0, 0.0, 0.0]]), closed=False, sides=5)
    parts.append(part(*arm, Region.FRAME, 0.92))
    inner = path[np.argmin(x - 0.1 * y)]
    arch = np.linspace(-1.0, 1.0, 11)
    nose = float(skin[(np.abs(skin[:, 0]) < 0.05) & (np.abs(skin[:, 1] - inner[1] - 0.02) < 0.05), 2].max()) + 0.008
    over = max(nose, inner[2])
    bridge = np.stack(
        [arch * inner[0], inner[1] + 0.022 * (1 - arch**2), inner[2] + (over - inner[2]) * (1 - arch**2)], -1
    )
    middle = part(*tube(bridge, max(0.9 * thick, 0.006), 0.006, _OUT, closed=False, sides=5), Region.FRAME)
    return join(middle, *parts, *(mirror(p) for p in parts))


def headwear(identity: Identity, locks: Part) -> Part:
    """Returns the hat or headband; locks: the hair that a headband lies on."""
    match identity.headwear:
        case "beanie":
            return _beanie(identity)
        case "headband":
            return _headband(locks)
    return _NOTHING


def _beanie(identity: Identity) -> Part:
    """Returns a knitted hat that ends above the brows and the tops of the ears, with a ribbed brim."""
    columns = 96
    turn = 2 * np.pi * np.arange(columns) / columns
    polar = np.deg2rad(np.linspace(5.0, 140.0, 120))[:, None]
    surface = skull(tilted(polar, turn).reshape(-1, 3)).reshape(120, columns, 3)
    over = surface[..., 1] - 0.19 - 0.50 * surface[..., 2]
    edge = polar[np.argmax(over < 0, 0), 0]
    u = np.concatenate([np.linspace(0.01, 0.74, 12), [0.745, 0.78, 0.87, 0.96, 0.995, 1.0]])[:, None]
    ray = tilted(edge * u, turn)
    brim = smoothstep(0.735, 0.77, u)
    rib = np.cos(columns / 4 * turn)
    stand = (
        0.095 + 0.05 * (1 - u) ** 2 * np.cos(edge * u) + brim * (0.018 + 0.005 * rib) - 0.07 * smoothstep(0.985, 1.0, u)
    )
    points = skull(ray.reshape(-1, 3)).reshape(ray.shape) + stand[..., None] * ray
    knit = 0.05 * np.cos(2 * np.pi * 15 * u + 0 * turn) * np.cos(columns / 4 * turn)
    shade = 1.0 + brim * (0.10 * rib - 0.06) + (1 - brim) * knit
    shade[12] *= 0.7
    triangles = grid_triangles(len(u), columns, closed=True)[:, ::-1]
    return part(on_identity(identity, points.reshape(-1, 3)), triangles, Region.HAT, shade)


def _headband(locks: Part) -> Part:
    """Returns a band from behind one ear over the hair to the other."""
    turn = np.deg2rad(np.linspace(-98.0, 98.0, 44))
    tilt = np.deg2rad(16.0)
    ray = np.stack([np.sin(turn), np.cos(turn) * np.cos(tilt), np.cos(turn) * np.sin(tilt)], -1)
    away = np.linalg.norm(locks.points, axis=-1)
    near = (locks.points / away[:, None]) @ ray.T > np.cos(np.deg2rad(5.0))
    reach = np.where(near, away[:, None], 0.0).max(0)
    reach = np.convolve(np.pad(reach, 2, mode="edge"), np.ones(5) / 5, "valid")
    path = (reach + 0.002)[:, None] * ray
    half = 0.045 - 0.015 * np.abs(np.sin(turn)) ** 4
    points, triangles = tube(path, half, 0.018, ray, closed=False, sides=8)
    return part(points, triangles, Region.HAT)


def earrings(identity: Identity) -> Part:
    """Returns both earrings, in metal with an accent colour for drops."""
    if identity.earrings == "none":
        return _NOTHING
    ear = neutral_head(identity)[puppet_head().parts["ear_left"]]
    low = ear[ear[:, 1] < ear[:, 1].min() + 0.03]
    lobe = np.array([low[:, 0].max() + 0.006, ear[:, 1].min() + 0.022, low[:, 2].mean()])
    match identity.earrings:
        case "hoop":
            turn = 2 * np.pi * np.arange(24) / 24
            ring = lobe + 0.058 * np.stack([0.30 * np.sin(turn), np.cos(turn) - 0.9, np.sin(turn)], -1)
            left = part(*tube(ring, 0.007, 0.007, np.array([[1.0, 0.0, 0.0]]), closed=True, sides=6), Region.METAL)
        case "drop":
            stud = part(*ball(lobe, np.full(3, 0.014), 6, 10), Region.METAL)
            left = join(stud, part(*ball(lobe - [0, 0.055, 0], np.array([0.018, 0.032, 0.018]), 8, 12), Region.ACCENT))
        case _:
            left = part(*ball(lobe, np.full(3, 0.021), 7, 12), Region.METAL)
    return join(left, mirror(left))
