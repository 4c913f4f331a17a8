"""Hair: a cap of meridians from the crown to the hairline, with a combing direction, and hair hanging from it."""

from __future__ import annotations

import dataclasses

import numpy as np

from data_pipelines.puppet.dress import hair_tied
from data_pipelines.puppet.dress.mesh_parts import Part, curls, join, part
from data_pipelines.puppet.person.deform import neutral_head
from data_pipelines.puppet.person.head import Region, puppet_head
from data_pipelines.puppet.person.identity import Identity, on_identity
from data_pipelines.puppet.person.surface import bump, grid_triangles, skull, smoothstep

_COLUMNS = 120
_ROWS = np.concatenate([np.linspace(0.0, 0.88, 20), [0.915, 0.945, 0.97, 0.985, 1.0]])  # 0 crown, 1 hairline
_CROWN = np.deg2rad(-12.0)  # it lies behind the top


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cut:
    """A haircut; lengths in face widths.

    front: height of the hairline above the eyes; side, back: its angle from the crown; temple: degrees it recedes there
    top, sides: thickness; taper: share of the way over which it thins out towards the hairline
    comb: how strands run: radial, part (from a parting to the sides), back, forward, curl
    parting: its distance from the middle; rough: height of locks; locks: how many per face width
    length: how far below the ears' height the hair hangs at the back; wave, flare: of what hangs
    """

    front: float = 0.435
    side: float = 99.0
    back: float = 124.0
    temple: float = 3.0
    top: float = 0.07
    sides: float = 0.05
    taper: float = 0.42
    comb: str = "radial"
    parting: float = 0.0
    quiff: float = 0.0
    rough: float = 0.004
    locks: float = 26.0
    length: float = 0.0
    wave: float = 0.0
    flare: float = 0.0


CUTS = {
    "bald": Cut(),
    "buzz": Cut(top=0.016, sides=0.012, rough=0.0, temple=5.0, taper=0.15),
    "receding": Cut(front=0.45, top=0.03, sides=0.045, side=98.0),
    "crop": Cut(top=0.065, sides=0.035, comb="back", rough=0.005, taper=0.36),
    "caesar": Cut(front=0.345, top=0.06, sides=0.035, comb="forward", rough=0.004, temple=0.0, taper=0.16),
    "side part": Cut(top=0.085, sides=0.040, comb="part", parting=0.17, quiff=0.02),
    "slick": Cut(front=0.455, top=0.055, sides=0.030, comb="back", rough=0.003, temple=6.0),
    "quiff": Cut(front=0.45, top=0.075, sides=0.032, comb="back", quiff=0.085, rough=0.005),
    "undercut": Cut(front=0.445, top=0.105, sides=0.014, comb="part", parting=0.22, quiff=0.04, rough=0.005),
    "flat top": Cut(front=0.45, top=0.17, sides=0.030, comb="curl", rough=0.014, locks=56.0, taper=0.22),
    "tousled": Cut(front=0.40, top=0.105, sides=0.065, comb="forward", rough=0.018, locks=17.0),
    "pixie": Cut(front=0.37, top=0.085, sides=0.050, comb="part", parting=0.20, side=103.0, rough=0.006, taper=0.2),
    "curly": Cut(front=0.415, top=0.135, sides=0.075, comb="curl", rough=0.030, locks=44.0),
    "afro": Cut(front=0.43, top=0.27, sides=0.22, comb="curl", rough=0.026, locks=52.0, taper=0.42, side=104.0),
    "bob": Cut(top=0.075, sides=0.070, comb="part", parting=0.0, length=0.40, side=101.0),
    "fringe bob": Cut(front=0.325, top=0.075, sides=0.070, comb="forward", length=0.36, temple=-2.0, taper=0.13),
    "shoulder": Cut(top=0.080, sides=0.065, comb="part", parting=0.12, length=0.62, wave=0.012, flare=0.05),
    "long": Cut(top=0.070, sides=0.060, comb="part", parting=0.02, length=1.00),
    "fringe long": Cut(front=0.325, top=0.075, sides=0.060, comb="forward", length=1.0, temple=-2.0, taper=0.13),
    "wavy": Cut(top=0.085, sides=0.070, comb="part", parting=0.14, length=0.88, wave=0.034, flare=0.08),
    "curls": Cut(front=0.42, top=0.125, sides=0.105, comb="curl", rough=0.030, locks=40.0, length=0.62, flare=0.14),
    "bun": Cut(top=0.050, sides=0.040, comb="up", rough=0.003),
    "man bun": Cut(front=0.45, top=0.045, sides=0.030, comb="up", rough=0.003, temple=5.0),
    "low bun": Cut(top=0.060, sides=0.048, comb="part", parting=0.0, rough=0.003),
    "ponytail": Cut(top=0.052, sides=0.040, comb="up", rough=0.003),
    "pigtails": Cut(front=0.36, top=0.060, sides=0.045, comb="forward", rough=0.003, taper=0.16),
    "braids": Cut(top=0.058, sides=0.045, comb="part", parting=0.0, rough=0.003),
    "puffs": Cut(top=0.040, sides=0.030, comb="part", parting=0.0, rough=0.003, locks=40.0),
    "dreads": Cut(front=0.44, top=0.075, sides=0.055, comb="curl", rough=0.012, locks=16.0),
}  # fmt: skip


def hair(identity: Identity) -> Part:
    """Returns all hair of the head, an empty part for bald identities."""
    cut = CUTS[identity.hair_style]
    if identity.headwear == "beanie":  # pressed flat under it
        cut = dataclasses.replace(cut, top=min(cut.top, 0.035), sides=min(cut.sides, 0.04), quiff=0.0, front=0.445)
    cut = dataclasses.replace(cut, front=max(cut.front, _brow_top(identity) + 0.075))  # brows may be raised
    rng = np.random.default_rng(identity.hair_seed)
    parts = [] if identity.hair_style == "bald" else [_cap(cut, identity.hair_style, rng)]
    parts += hair_tied.tied(identity.hair_style, rng)
    if not parts:
        return part(np.zeros((0, 3)), np.zeros((0, 3)), Region.HAIR)
    whole = join(*parts)
    return dataclasses.replace(whole, points=on_identity(identity, whole.points))


def _brow_top(identity: Identity) -> float:
    """Returns the height of the brows in the unscaled units of the mean head."""
    head = puppet_head()
    brows, ears = neutral_head(identity)[head.landmarks[17:27], 1], head.mean[head.landmarks[[0, 16]], 1]
    return float(brows.max() + ears.mean()) * head.width + float(head.origin[1])


def tilted(polar: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Returns unit rays [..., 3] at an angle from the crown; turn is 0 in front and grows to the person's left."""
    polar, turn = np.broadcast_arrays(polar, turn)
    x, y, z = np.sin(polar) * np.sin(turn), np.cos(polar), np.sin(polar) * np.cos(turn)
    return np.stack([x, np.cos(_CROWN) * y - np.sin(_CROWN) * z, np.sin(_CROWN) * y + np.cos(_CROWN) * z], -1)


def angle_at_height(height: float) -> float:
    """Returns the degrees from the crown at which the middle of the forehead has this height."""
    polar = np.deg2rad(np.linspace(20.0, 95.0, 300))
    y = skull(tilted(polar, np.zeros(300)))[:, 1]
    return float(np.rad2deg(np.interp(-height, -y, polar)))


def hairline(cut: Cut, turn: np.ndarray) -> np.ndarray:
    """Returns the hairline in degrees from the crown [K] at every turn: forehead, temples, around the ears, nape."""
    ahead = 0.5 + 0.5 * np.cos(turn)
    front = angle_at_height(cut.front)
    edge = cut.side + (front - cut.side) * smoothstep(0.53, 0.84, ahead)
    edge = edge + (cut.back - cut.side) * smoothstep(0.45, 0.05, ahead)
    corner = np.exp(-0.5 * ((np.abs(np.sin(turn)) - 0.70) / 0.13) ** 2) * (ahead > 0.5)
    return edge - cut.temple * corner


def _noise(at: np.ndarray, rng: np.random.Generator, per_unit: float, waves: int = 9) -> np.ndarray:
    """Returns smooth noise [...] of about unit height at positions [...]."""
    out = np.zeros_like(at)
    for _ in range(waves):
        out += np.sin(2 * np.pi * per_unit * rng.uniform(0.35, 1.0) * at + rng.uniform(0, 6.3))
    return out / np.sqrt(waves / 2.0)


def _cap(cut: Cut, style: str, rng: np.random.Generator) -> Part:
    turn = 2 * np.pi * np.arange(_COLUMNS) / _COLUMNS
    side = float(rng.choice([-1.0, 1.0]))
    ragged = _noise(turn / (2 * np.pi), rng, 46.0) * (1.1 if cut.comb != "curl" else 0.8)
    edge = hairline(cut, turn) + ragged
    u = _ROWS[:, None]
    start = np.minimum(edge, 1.0 if style != "receding" else _crown_gap(turn))
    polar = np.deg2rad(start + (edge - start) * u)
    ray = tilted(polar, turn)
    base = skull(ray.reshape(-1, 3)).reshape(ray.shape)
    x, y, z = np.moveaxis(base, -1, 0)
    strand = _strand_place(cut, base, turn, side)
    if cut.comb == "curl":
        locks = curls(base, rng, cut.locks)
    else:
        locks = _noise(strand, rng, cut.locks / 6.0)
    fine = _noise(strand, rng, 11.0) if cut.comb != "curl" else curls(base, rng, 1.5 * cut.locks)
    high = smoothstep(0.05, 0.58, y)
    layer = cut.sides + (cut.top - cut.sides) * high
    if style == "flat top":
        layer = np.where(high > 0, np.clip((0.86 - y) / np.maximum(ray[..., 1], 0.3), layer * 0.5, 0.30) * high, layer)
        layer = np.maximum(layer, cut.sides)
    if cut.quiff:
        layer = layer + cut.quiff * bump(base, (0.10 * side, 0.60, 0.42), (0.26, 0.14, 0.22))
    if cut.parting or (cut.comb == "part" and not cut.quiff):
        layer = layer * (1.0 + 0.30 * smoothstep(0.0, 0.4, -side * (x - side * cut.parting)) * (cut.parting > 0) * high)
    thin = np.clip((u - 1.0 + cut.taper) / cut.taper, 0.0, 1.0)
    if cut.comb in ("forward", "curl"):  # ends hang over the forehead
        fade = np.sqrt(1.0 - thin**2)
    else:  # combed away from it, hair rises from its roots
        fade = 1.0 - thin * (0.35 + 0.65 * thin)
    if style == "receding":
        fade = fade * smoothstep(0.0, 0.25, u)
    layer = (layer + cut.rough * locks) * fade
    dark = np.ones_like(layer)
    if cut.comb == "part":
        line = np.exp(-0.5 * ((x - side * cut.parting) / 0.020) ** 2) * smoothstep(-0.15, 0.05, z) * (y > 0.2)
        layer, dark = layer * (1.0 - 0.55 * line), 1.0 - 0.45 * line
    points = base + np.maximum(layer, 0.005)[..., None] * ray
    falls = _falls(turn) * (cut.length > 0)
    if cut.length:
        points = _curtain(points, cut, falls, locks, turn)
    strands = 0.14 * locks + 0.13 * fine if cut.comb != "curl" else 0.24 * locks + 0.10 * fine
    gloss = 0.20 * np.exp(-0.5 * ((y - 0.46) / 0.08) ** 2) * (cut.comb != "curl")
    shade = (1.0 + strands + gloss) * dark * (0.78 + 0.22 * smoothstep(-0.9, 0.3, points[..., 1]))
    region = np.full(layer.shape, Region.HAIR)
    region[-1] = np.where(falls > 0.1, Region.HAIR, Region.SKIN)  # the hairline blends into the skin
    shade[-1] = np.where(falls > 0.1, shade[-1], 0.94)
    follow = 1.0 - 0.85 * smoothstep(-0.22, -0.95, points[..., 1]) * (cut.length > 0)
    triangles = grid_triangles(len(_ROWS), _COLUMNS, closed=True)[:, ::-1]
    triangles = triangles[((edge - start) > 3.0)[triangles % _COLUMNS].all(-1)]  # where hair has receded, none is left
    return part(points, triangles, region, np.clip(shade, 0.45, 1.6), follow)


def _crown_gap(turn: np.ndarray) -> np.ndarray:
    """Returns the degrees from the crown [K] where receding hair begins: only a wreath is left."""
    ahead = 0.5 + 0.5 * np.cos(turn)
    return 66.0 + 44.0 * smoothstep(0.52, 0.72, ahead) - 8.0 * smoothstep(0.3, 0.0, ahead)


def _strand_place(cut: Cut, base: np.ndarray, turn: np.ndarray, side: float) -> np.ndarray:
    """Returns a coordinate [rows, columns] that is constant along strands and grows across them, in face widths."""
    x, y, z = np.moveaxis(base, -1, 0)
    low = smoothstep(0.35, 0.05, y)
    around = 0.5 * np.sin(turn) * np.sign(np.cos(turn)) + turn * 0.35
    match cut.comb:
        case "part":  # down to the sides from the parting
            top = z + 0.15 * np.abs(x - side * cut.parting)
        case "back" | "forward":
            top = x * (1.0 + 0.2 * z)
        case "up":
            return np.arctan2(x, y - 0.35) * 0.35 + 0.3 * z
        case _:
            return np.broadcast_to(0.5 * turn, x.shape)
    return top + low * (0.15 * around - 0.3 * top)


def _falls(turn: np.ndarray) -> np.ndarray:
    """Returns [K] 0-1: how far a column belongs to sides and back, which hang in long hair."""
    return smoothstep(0.72, 0.60, 0.5 + 0.5 * np.cos(turn))


def _curtain(points: np.ndarray, cut: Cut, falls: np.ndarray, locks: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Returns the points with sides and back hanging straight down below the ears, `length` at the back."""
    longest = np.maximum.accumulate(np.linalg.norm(points[..., [0, 2]], axis=-1), axis=0)
    around = points[..., [0, 2]] / np.maximum(np.linalg.norm(points[..., [0, 2]], axis=-1, keepdims=True), 1e-6)
    start = 11
    hang = np.clip((np.arange(len(points)) - start) / (len(points) - 1 - start), 0.0, 1.0)[:, None]
    top = points[start, :, 1][None]
    ends = cut.length * (1.0 + 0.05 * locks[-1])[None] * (1.0 - 0.10 * smoothstep(0.3, 0.7, 0.5 + 0.5 * np.cos(turn)))
    y = np.where(hang > 0, top - hang * (top + ends), points[..., 1])
    swing = cut.wave * np.sin(2 * np.pi * (2.3 * hang * max(cut.length, 0.5) + 0.12 * locks))
    wide = longest + 0.012 * locks * hang + 0.045 * smoothstep(0.0, 0.2, hang) + swing * smoothstep(0.1, 0.5, hang)
    wide = wide * (1.0 - 0.12 * hang**2 + cut.flare * np.sin(np.pi * hang**1.5) - 0.10 * smoothstep(0.85, 1.0, hang))
    hung = np.stack([around[..., 0] * wide, y, around[..., 1] * wide], -1)
    return points + falls[None, :, None] * (hung - points)
