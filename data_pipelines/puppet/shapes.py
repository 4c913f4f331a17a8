"""What the linear head can do: its expression shapes under ARKit's names, and the directions identities differ in.

Shapes of the mouth are given on the lips' rings; the skin around follows by a bi-harmonic solve on the mesh. Shapes of
the lids turn about the eye, the others are soft bumps. Left is the person's left, x > 0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.linalg import splu

from data_pipelines.puppet import features
from data_pipelines.puppet.surface import EYE_CENTRE, MIRROR, MOUTH_Y, bump, smoothstep
from demo_jax.factors import ARKIT_INDEX, mirror_name

JAW_DEGREES = 25.0  # of jawOpen = 1
_HINGE = np.array([0.0, -0.08, 0.0])
LARGE_EYES, _LARGE_EYES_AT = 0.060, 4  # growth at one standard deviation; its place among the directions
Parts = dict[str, slice]


def _jaw_turn(points: np.ndarray) -> np.ndarray:
    """Displacement [N, 3] of points that the lower jaw carries, at jawOpen = 1."""
    c, s = np.cos(np.deg2rad(JAW_DEGREES)), np.sin(np.deg2rad(JAW_DEGREES))
    away = points - _HINGE
    turned = np.stack([away[:, 0], c * away[:, 1] - s * away[:, 2], s * away[:, 1] + c * away[:, 2]], -1)
    return turned - away


class _Membrane:
    """Carries displacements of some vertices of the skin on to the others, smoothly."""

    def __init__(self, parts: Parts, points: np.ndarray, triangles: np.ndarray):
        count = parts["lid_right"].stop  # skin, mouth and lids are one mesh and come first
        used = triangles[(triangles < count).all(-1)]
        edges = np.concatenate([used[:, [0, 1]], used[:, [1, 2]], used[:, [2, 0]]])
        edges = np.unique(np.sort(edges, -1), axis=0)
        ones = np.ones(len(edges))
        near = sparse.coo_matrix((ones, (edges[:, 0], edges[:, 1])), (count, count))
        near = (near + near.T).tocsr()
        degree = np.asarray(near.sum(1)).ravel()
        laplacian = sparse.eye(count) - sparse.diags(1.0 / degree) @ near
        self._matrix = (laplacian.T @ laplacian).tocsr()
        self._points = points[:count]
        self._parts = parts

    def follow(self, displacement: np.ndarray, still: np.ndarray, carried: np.ndarray) -> None:
        """Fills displacement [N, 3] in place, where neither `still` (zero) nor `carried` (as given), both [N] bool."""
        count = len(self._points)
        still, carried = still[:count], carried[:count]
        free = np.flatnonzero(~(still | carried))
        known = np.flatnonzero(carried)
        rows = self._matrix[free]
        solved = splu(rows[:, free].tocsc()).solve(-(rows[:, known] @ displacement[known]))
        displacement[free] = solved


def _lip_shapes(parts: Parts, points: np.ndarray) -> dict[str, np.ndarray]:
    """Name -> displacement of the mouth's rings [rings - 1, 32, 3], outermost free ring left out."""
    n = features.MOUTH_POINTS
    mouth = points[parts["mouth"]][:-1].reshape(-1, n, 3)
    t = features.mouth_angle()
    s, upper = np.abs(np.sin(t)), (np.sin(t) > 1e-9).astype(float)
    lower = (np.sin(t) < -1e-9).astype(float)
    depth = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.0])[:, None]  # how far each ring follows
    x, y = mouth[..., 0], mouth[..., 1] - MOUTH_Y
    left = smoothstep(-0.05, 0.15, x)
    corner = smoothstep(0.03, 0.17, x)
    half_left = smoothstep(-0.08, 0.08, x)

    def shape(dx: np.ndarray | float = 0.0, dy: np.ndarray | float = 0.0, dz: np.ndarray | float = 0.0) -> np.ndarray:
        return np.stack([np.broadcast_to(depth * d, x.shape) for d in (dx, dy, dz)], -1)

    carried = np.where(upper > 0, 0.30 * (1.0 - s) ** 1.5, 0.30 + 0.70 * s**0.8)
    ring_weight = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.9, 0.4])[:, None]
    jaw = _jaw_turn(mouth.reshape(-1, 3)).reshape(mouth.shape) * (carried * ring_weight)[..., None]
    opposite = (n - np.arange(n)) % n  # the same place on the other lip
    gap = (jaw - jaw[:, opposite]) * lower[:, None]  # by how much the lower lip leaves the upper, on the lower lip
    close = -0.70 * gap - 0.30 * gap[:, opposite] * -1.0
    close[5:] = 0.0
    funnel_y = 0.040 * s * upper - 0.045 * s * lower
    press = np.array([-0.50, -0.55, -0.35, 0.0, 0.0, 0.0, 0.0])[:, None] * y
    roll = np.array([-0.40, -0.75, -0.55, 0.0, 0.0, 0.0, 0.0])[:, None] * y
    inward = np.array([-0.01, -0.022, -0.040, -0.020, 0.0, 0.0, 0.0])[:, None]
    return {
        "jawOpen": jaw,
        "jawLeft": shape(dx=0.060 * carried),
        "jawForward": shape(dz=0.050 * carried),
        "mouthClose": close,
        "mouthFunnel": shape(-0.30 * x, funnel_y, 0.050 + 0.0 * x),
        "mouthPucker": shape(-0.42 * x, -0.10 * y, 0.065 + 0.0 * x),
        "mouthLeft": shape(dx=0.055 + 0.0 * x, dy=0.010 * left),
        "mouthSmileLeft": shape(0.052 * left, 0.064 * corner - 0.012 * left * (1 - corner), -0.030 * left),
        "mouthFrownLeft": shape(0.008 * left, -0.055 * corner, -0.008 * left),
        "mouthStretchLeft": shape(0.055 * left, -0.014 * corner, -0.030 * left),
        "mouthDimpleLeft": shape(0.030 * corner, 0.012 * corner, -0.030 * corner),
        "mouthPressLeft": shape(0.006 * left, press * half_left, 0.35 * inward * half_left),
        "mouthRollLower": shape(dy=roll * lower, dz=inward * lower * s),
        "mouthRollUpper": shape(dy=roll * upper, dz=inward * upper * s),
        "mouthShrugLower": shape(dy=0.024 * (0.3 + 0.7 * s), dz=0.012 * lower * s),
        "mouthShrugUpper": shape(dy=0.018 * (0.3 + 0.7 * s), dz=0.010 * upper * s),
        "mouthLowerDownLeft": shape(dy=-0.058 * s * lower * half_left, dz=-0.008 * lower * half_left),
        "mouthUpperUpLeft": shape(dy=0.050 * s * upper * half_left),
    }


def _still(points: np.ndarray, parts: Parts) -> np.ndarray:
    """[N] bool: the skin that no shape of the mouth moves: cranium, nose, ears, lids."""
    x, y, z = points.T
    still = (y > -0.08) | (z < 0.06) | ((np.abs(x) < 0.08) & (y > -0.19))
    for side in ("lid_left", "lid_right"):
        still[parts[side]] = True
    return still


def _mouth(parts: Parts, points: np.ndarray, triangles: np.ndarray, out: Callable[[str, np.ndarray], None]) -> None:
    membrane = _Membrane(parts, points, triangles)
    still, carried = _still(points, parts), np.zeros(len(points), bool)
    carried[parts["mouth"]] = True
    still[parts["mouth"]] = False
    x, y, z = points.T
    chin = (y < -0.47) & (z > 0.12) & ~carried
    base = ~carried & (y < -0.60) & (z > 0.0)
    turn = _jaw_turn(points)
    for name, rings in _lip_shapes(parts, points).items():
        move = np.zeros_like(points)
        move[parts["mouth"]] = np.concatenate([rings.reshape(-1, 3), rings[-1].mean(0, keepdims=True)])
        if name.startswith("jaw"):
            whole = {"jawOpen": turn, "jawLeft": np.array([[0.060, 0, 0]]), "jawForward": np.array([[0, 0, 0.050]])}[
                name
            ]
            whole = np.broadcast_to(whole, points.shape)
            move[chin] = whole[chin]
            membrane.follow(move, still & ~chin, carried | chin)
            for part in ("teeth_lower", "tongue"):
                move[parts[part]] = whole[parts[part]]
        else:
            membrane.follow(move, still | base, carried)
        out(name, move)


def _lids(parts: Parts, points: np.ndarray, out: Callable[[str, np.ndarray], None]) -> None:
    lids, lashes = parts["lid_left"], parts["lash_left"]
    neutral = features.lid_rings()
    margin = features.EYE_POINTS // 2 + 1
    line = -16.0
    for name, upper, lower in (
        ("eyeBlinkLeft", line - 1.5, line),
        ("eyeWideLeft", 37.0, -26.0),
        ("eyeSquintLeft", 20.0, -13.0),
        ("eyeLookDownLeft", 14.0, -26.0),
        ("eyeLookUpLeft", 34.0, -20.0),
    ):
        move = np.zeros_like(points)
        moved = features.lid_rings(upper, lower) - neutral
        move[lids] = moved.reshape(-1, 3)
        move[lashes] = np.tile(moved[-1, :margin], (3, 1))
        if name == "eyeBlinkLeft":  # the lashes of a closed eye hang down
            move[lashes][margin:, 1] -= 0.012
        if name == "eyeSquintLeft":
            move += _soft(points, (0.22, -0.15), (0.10, 0.05), (0.0, 0.018, 0.008), parts)
        out(name, move)


def _soft(points: np.ndarray, centre: tuple, widths: tuple, by: tuple, parts: Parts) -> np.ndarray:
    """A soft push of the front's skin and brows about `centre` (x, y): displacement [N, 3]."""
    weight = bump(points, centre, widths) * smoothstep(0.15, 0.35, points[:, 2])
    reach = np.zeros(len(points))
    for part in ("skin", "brow_left", "brow_right"):
        reach[parts[part]] = 1.0
    return (weight * reach)[:, None] * np.array(by)


def _face(parts: Parts, points: np.ndarray, out: Callable[[str, np.ndarray], None]) -> None:
    def soft(*pushes: tuple[tuple, tuple, tuple]) -> np.ndarray:
        return np.sum([_soft(points, *push, parts) for push in pushes], axis=0)

    inner, outer = (0.075, 0.19), (0.30, 0.20)
    out(
        "browDownLeft",
        soft((inner, (0.075, 0.055), (-0.012, -0.060, 0.004)), (outer, (0.09, 0.05), (0.0, -0.028, 0.0))),
    )
    sides = [((side * 0.08, 0.19), (0.070, 0.070), (0.0, 0.046, -0.010)) for side in (-1, 1)]
    out("browInnerUp", soft(*sides))
    out("browOuterUpLeft", soft(((0.27, 0.21), (0.10, 0.07), (0.0, 0.062, -0.022))))
    out("cheekSquintLeft", soft(((0.23, -0.17), (0.09, 0.06), (0.0, 0.030, 0.012))))
    out(
        "noseSneerLeft",
        soft(((0.055, -0.15), (0.035, 0.05), (0.006, 0.022, 0.004)), ((0.05, 0.06), (0.05, 0.04), (0, -0.012, 0))),
    )
    puffs = [((side * 0.28, -0.32), (0.10, 0.09), (side * 0.045, 0.0, 0.045)) for side in (-1, 1)]
    out("cheekPuff", soft(*puffs))
    move = np.zeros_like(points)
    tongue = points[parts["tongue"]]
    ahead = smoothstep(tongue[:, 2].min(), tongue[:, 2].max(), tongue[:, 2])[:, None]
    move[parts["tongue"]] = ahead * np.array([0.0, -0.010, 0.190]) + ahead**3 * np.array([0.0, -0.045, 0.0])
    out("tongueOut", move)


def _mirror_map(points: np.ndarray, parts: Parts) -> np.ndarray:
    """[N] vertex numbers: each vertex's mirror image, the nearest of the mirrored part."""
    from scipy.spatial import cKDTree

    image = np.zeros(len(points), int)
    for name, part in parts.items():
        other = parts[
            mirror_name(name.replace("_left", "Left").replace("_right", "Right"))
            .replace("Left", "_left")
            .replace("Right", "_right")
        ]
        image[part] = other.start + cKDTree(points[other]).query(points[part] * MIRROR)[1]
    n = features.MOUTH_POINTS  # upper and lower lip touch: by number, not by place
    rings = np.arange(parts["mouth"].stop - parts["mouth"].start - 1).reshape(-1, n)
    image[parts["mouth"]][:-1] = parts["mouth"].start + rings[:, (n // 2 - np.arange(n)) % n].ravel()
    return image


def expression_basis(parts: Parts, points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """[52, N, 3] float64 in ARKIT_NAMES order; `parts` and `points` are those of the unscaled mean head."""
    basis = np.zeros((len(ARKIT_INDEX), *points.shape))
    image = _mirror_map(points, parts)

    def out(name: str, move: np.ndarray) -> None:
        if mirror_name(name) == name:
            move = 0.5 * (move + move[image] * MIRROR)  # to the last bit symmetric
        basis[ARKIT_INDEX[name]] = move
        basis[ARKIT_INDEX[mirror_name(name)]] = move if mirror_name(name) == name else move[image] * MIRROR

    _mouth(parts, points, triangles, out)
    _lids(parts, points, out)
    _face(parts, points, out)
    return basis


def identity_fields(points: np.ndarray) -> np.ndarray:
    """Points [N, 3] in the sculptor's units -> [I, N, 3]: where each direction of identity moves them."""
    side = np.concatenate([np.abs(points[:, :1]), points[:, 1:]], -1)
    x, y, z = points.T
    zero = np.zeros_like(x)
    front = smoothstep(0.1, 0.35, z)
    low, high = smoothstep(-0.05, -0.6, y), smoothstep(0.1, 0.7, y)
    eye_place = np.stack([np.sign(x) * EYE_CENTRE[0], zero + EYE_CENTRE[1], zero + EYE_CENTRE[2]], -1)
    eye = bump(side, tuple(EYE_CENTRE), (0.15, 0.13, 0.2)) * smoothstep(0.0, 0.12, side[:, 0])
    nose = bump(points, (0.0, -0.13), (0.07, 0.09)) * front
    mouth = bump(points, (0.0, MOUTH_Y), (0.20, 0.10)) * front
    brow = bump(side, (0.2, 0.19), (0.16, 0.07)) * front
    cheek = bump(side, (0.30, -0.27), (0.13, 0.13))
    chin = bump(points, (0.0, -0.58), (0.13, 0.09)) * front
    return np.stack(
        [
            np.stack([-0.055 * x * low, zero, zero], -1),  # narrow jaw
            np.stack([0.030 * x * low**2, -0.030 * low, zero], -1),  # long lower face
            np.stack([0.02 * x * high, 0.040 * high, zero], -1),  # tall forehead
            np.stack([0.012 * np.sign(x) * eye, zero, zero], -1),  # eyes apart
            LARGE_EYES * (points - eye_place) * eye[:, None],
            np.stack([zero, -0.012 * nose, 0.022 * nose], -1),  # long nose
            np.stack([0.18 * x * nose, zero, zero], -1),  # wide nose
            np.stack([0.06 * x * mouth, zero, zero], -1),  # wide mouth
            np.stack([zero, 0.14 * (y - MOUTH_Y) * mouth, 0.006 * mouth], -1),  # full lips
            np.stack([zero, zero, 0.018 * chin], -1),  # strong chin
            np.stack(
                [0.020 * np.sign(x) * cheek * smoothstep(0, 0.1, np.abs(x)), zero, 0.008 * cheek], -1
            ),  # full cheeks
            np.stack([zero, 0.012 * brow, zero], -1),  # high brows
            np.stack([zero, zero, zero], -1),  # thick brows: not a field
        ]
    )


def identity_basis(parts: Parts, points: np.ndarray) -> np.ndarray:
    """[I, N, 3] float64: one standard deviation of each direction, symmetric. Eyes stay balls, brows may thicken."""
    basis = identity_fields(points)
    for i, side in enumerate(("left", "right")):
        at = parts["eye_centres"].start + i
        for part in (parts[f"eyeball_{side}"], parts[f"lid_{side}"], parts[f"lash_{side}"]):
            basis[:, part] = basis[:, at : at + 1]  # an eye moves as one and grows about its centre
            basis[_LARGE_EYES_AT, part] = LARGE_EYES * (points[part] - points[at])
        brow = points[parts[f"brow_{side}"]].reshape(3, -1, 3)
        basis[-1, parts[f"brow_{side}"]] = (0.25 * (brow - brow[1])).reshape(-1, 3)
    return basis
