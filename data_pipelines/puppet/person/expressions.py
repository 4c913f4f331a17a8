"""The expression basis of the linear head, with ARKit's names.

Mouth shapes are defined on the rings of the lips; the skin around them is interpolated as a thin plate. Lid shapes turn
about the eye; the others are Gaussian pushes. Left is the person's left, x > 0. Outside its region a shape is exactly
zero.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from data_pipelines.puppet.person import feature_rings, organs
from data_pipelines.puppet.person.interpolation import Parts, ThinPlate, mirror_map
from data_pipelines.puppet.person.surface import MIRROR, MOUTH_Y, bump, smoothstep
from demo_jax.factors import ARKIT_INDEX, mirror_name

JAW_DEGREES = 22.5  # of jawOpen = 1
_HINGE = np.array([0.0, -0.08, 0.0])
_NOTHING = 1.5e-4  # face widths; smaller displacements are set to zero
Out = Callable[[str, np.ndarray], None]
Push = tuple[tuple[float, float], tuple[float, float], tuple[float, float, float]]


def _jaw_turn(points: np.ndarray) -> np.ndarray:
    """Returns the displacement [N, 3] of points that turn with the lower jaw, at jawOpen = 1."""
    c, s = np.cos(np.deg2rad(JAW_DEGREES)), np.sin(np.deg2rad(JAW_DEGREES))
    away = points - _HINGE
    turned = np.stack([away[:, 0], c * away[:, 1] - s * away[:, 2], s * away[:, 1] + c * away[:, 2]], -1)
    return turned - away


def _along(*values: float) -> np.ndarray:
    """One value per mouth ring -> [rings - 1, 1]."""
    return np.array(values)[:, None]


def _lip_shapes(parts: Parts, points: np.ndarray) -> dict[str, np.ndarray]:
    """Returns name -> displacement of the mouth's rings [rings - 1, 64, 3], without the outermost free ring."""
    n = feature_rings.MOUTH_POINTS
    mouth = points[parts["mouth"]][:-1].reshape(-1, n, 3)
    sine = feature_rings.quarters()[1]
    s, upper, lower = np.abs(sine), (sine > 0).astype(float), (sine < 0).astype(float)
    depth = _along(1, 1, 1, 1, 1, 1, 1, 1, 0.9, 0.4, 0.0)  # how far each ring follows
    contact = feature_rings.CONTACT_RING - 1
    x, y = mouth[..., 0], mouth[..., 1] - mouth[contact, :, 1]
    xc = np.broadcast_to(mouth[contact, :, 0], x.shape)
    left = smoothstep(-0.05, 0.15, xc)
    corner = smoothstep(0.02, 0.15, xc)
    half_left = smoothstep(-0.08, 0.08, xc)
    bow = (mouth[contact, :, 1] - MOUTH_Y) * _along(0.3, 0.8, 1, 1, 1, 1, 1, 1, 1, 0.5, 0)  # rounded lips lie level

    def shape(dx: np.ndarray | float = 0.0, dy: np.ndarray | float = 0.0, dz: np.ndarray | float = 0.0) -> np.ndarray:
        return np.stack([np.broadcast_to(depth * d, x.shape) for d in (dx, dy, dz)], -1)

    carried = np.where(upper > 0, 0.42 * (1.0 - s) ** 1.4, 0.42 + 0.58 * s**0.70)
    turn = _jaw_turn(mouth.reshape(-1, 3)).reshape(mouth.shape)
    weight = _along(1, 1, 1, 1, 1, 1, 1, 1, 0.95, 0.95, 0.9) * carried
    jaw = turn * weight[..., None] + shape(dx=-0.05 * x * (1 - s) ** 0.5)
    opposite = (n - np.arange(n)) % n  # the same place on the other lip
    gap = (jaw - jaw[:, opposite]) * lower[:, None]  # by how much the lower lip leaves the upper, on the lower lip
    close = -0.70 * gap + 0.30 * gap[:, opposite]
    close[contact + 2 :] = 0.0

    red = _along(0.2, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.6, 0.0, 0.0)  # the lip itself rather than the skin beside it
    thin = _along(-0.18, -0.36, -0.58, -0.60, -0.56, -0.4, 0, 0, 0, 0, 0) * y
    inward = _along(-0.002, -0.006, -0.012, -0.018, -0.022, -0.020, -0.016, -0.014, -0.012, 0, 0)
    roll = _along(-0.25, -0.55, -0.80, -0.86, -0.80, -0.6, 0, 0, 0, 0, 0) * y
    tuck = _along(-0.004, -0.010, -0.022, -0.038, -0.052, -0.052, -0.042, -0.044, -0.044, -0.020, 0) * s**0.5
    flare = _along(0.1, 0.25, 0.5, 0.8, 1.1, 1.3, 1.4, 1.2, 0.6, 0, 0)
    gather = _along(0.26, 0.36, 0.43, 0.46, 0.46, 0.46, 0.46, 0.46, 0.44, 0.40, 0.0)
    swell = _along(0.3, 0.6, 1.0, 1.25, 1.3, 1.2, 1.0, 0.8, 0.4, 0, 0)
    stretched = 0.16 * y * _along(0, 0.4, 1, 1, 1, 1, 1, 1, 0, 0, 0)  # a pulled lip gets thinner
    return {
        "jawOpen": jaw,
        "jawLeft": shape(dx=0.060 * carried),
        "jawForward": shape(dy=0.004 * carried, dz=0.050 * carried),
        "mouthClose": close,
        "mouthFunnel": shape(
            -0.75 * gather * x,
            (0.028 * upper - 0.036 * lower) * s**0.8 * red - 0.6 * bow,
            0.030 * swell + 0.020 * flare * s,
        ),
        "mouthPucker": shape(-gather * x, 0.16 * y * red - 0.9 * bow, 0.054 * swell + 0.012 * s * red),
        "mouthLeft": shape(0.060 - 0.010 * left, 0.012 * left - 0.004, -0.020 * left),
        "mouthSmileLeft": shape(
            0.050 * left, 0.056 * corner**1.3 + 0.004 * half_left - 0.6 * stretched * half_left, -0.036 * left
        ),
        "mouthFrownLeft": shape(0.004 * left, -0.058 * corner + 0.006 * half_left * (1 - corner), -0.010 * left),
        "mouthStretchLeft": shape(0.056 * left, -0.020 * corner - 1.3 * stretched * half_left, -0.034 * left),
        "mouthDimpleLeft": shape(0.026 * corner, 0.016 * corner, -0.040 * corner),
        "mouthPressLeft": shape(0.006 * left, thin * half_left, inward * half_left),
        "mouthRollLower": shape(dy=(roll + 0.006 * s * red) * lower, dz=tuck * lower),
        "mouthRollUpper": shape(dy=roll * upper, dz=(tuck - 0.2 * tuck) * upper),
        "mouthShrugLower": shape(
            dy=0.038 * (0.3 + 0.7 * s), dz=_along(0.0, 0.004, 0.012, 0.018, 0.020, 0.014, 0.006, 0, 0, 0, 0) * lower * s
        ),
        "mouthShrugUpper": shape(
            dy=0.030 * (0.2 + 0.8 * s),
            dz=_along(0.004, 0.008, 0.014, 0.016, 0.014, 0.010, 0.004, 0, 0, 0, 0) * upper * s,
        ),
        "mouthLowerDownLeft": shape(
            0.012 * left * lower * s, -0.064 * s**0.8 * lower * half_left * red**0.5, -0.012 * lower * half_left * s
        ),
        "mouthUpperUpLeft": shape(
            0.004 * left * upper, 0.052 * s**0.8 * upper * half_left * red**0.5, -0.004 * upper * half_left * s
        ),
    }


def _fixed(points: np.ndarray, parts: Parts) -> np.ndarray:
    """Returns [N] bool: the skin that mouth shapes never move (cranium, nose, ears, lids)."""
    x, y, z = points.T
    fixed = (y > -0.08) | (z < 0.04 - 0.24 * smoothstep(-0.28, -0.50, y)) | ((np.abs(x) < 0.078) & (y > -0.205))
    for side in ("lid_left", "lid_right"):
        fixed[parts[side]] = True
    return fixed


def _mouth(parts: Parts, points: np.ndarray, triangles: np.ndarray, out: Out) -> None:
    plate = ThinPlate(parts, points, triangles)
    fixed, displaced = _fixed(points, parts), np.zeros(len(points), bool)
    displaced[parts["mouth"]] = True
    fixed[parts["mouth"]] = False
    x, y, z = points.T
    chin = (y < -0.49) & (z > 0.12) & ~displaced
    base = ~displaced & (y < -0.60) & (z > 0.0)
    turn = _jaw_turn(points)
    whole = {
        "jawOpen": turn,
        "jawLeft": np.broadcast_to([0.060, 0.0, 0.0], points.shape),
        "jawForward": np.broadcast_to([0.0, 0.004, 0.050], points.shape),
    }
    cheeks = {
        "mouthSmileLeft": (
            ((0.255, -0.205), (0.085, 0.055), (0.012, 0.036, 0.040)),
            ((0.17, -0.25), (0.022, 0.05), (0.0, 0.0, -0.008)),
        ),
        "mouthDimpleLeft": (((0.235, -0.335), (0.030, 0.035), (0.0, 0.0, -0.022)),),
        "mouthUpperUpLeft": (((0.13, -0.20), (0.05, 0.05), (0.004, 0.014, 0.010)),),
        "mouthPucker": tuple(((side * 0.27, -0.36), (0.07, 0.08), (0.0, 0.0, -0.008)) for side in (-1, 1)),
        "mouthShrugLower": (((0.0, -0.53), (0.09, 0.05), (0.0, 0.022, 0.010)),),
        "mouthFrownLeft": (((0.10, -0.54), (0.09, 0.05), (0.0, 0.012, 0.006)),),
    }
    for name, rings in _lip_shapes(parts, points).items():
        move = np.zeros_like(points)
        move[parts["mouth"]] = np.concatenate([rings.reshape(-1, 3), rings[-1].mean(0, keepdims=True)])
        if name in whole:
            move[chin] = whole[name][chin]
            plate.fill(move, fixed & ~chin, displaced | chin)
            for part in ("teeth_lower", "gum_lower", "tongue"):
                move[parts[part]] = whole[name][parts[part]]
        else:
            plate.fill(move, fixed | base, displaced)
        out(name, move + _pushed(points, parts, *cheeks.get(name, ())))


def _lids(parts: Parts, points: np.ndarray, out: Out) -> None:
    lids, lashes = parts["lid_left"], parts["lash_left"]
    neutral = feature_rings.lid_rings()
    line = -15.0
    for name, upper, lower in (
        ("eyeBlinkLeft", line - 2.0, line + 0.5),
        ("eyeWideLeft", 38.0, -25.5),
        ("eyeSquintLeft", 21.5, -11.0),
        ("eyeLookDownLeft", 9.0, -29.0),
        ("eyeLookUpLeft", 38.0, -18.5),
    ):
        move = np.zeros_like(points)
        moved = feature_rings.lid_rings(upper, lower) - neutral
        move[lids] = moved.reshape(-1, 3)
        lash = np.repeat(moved[None, feature_rings.MARGIN_ROW, feature_rings.LASH_POINTS], organs.LASH_ROWS, 0)
        if name in ("eyeBlinkLeft", "eyeLookDownLeft"):  # the lashes of a closed eye hang down
            hang = 1.0 if name == "eyeBlinkLeft" else 0.3
            stands = (points[lashes].reshape(lash.shape) - points[lashes][: lash.shape[1]])[2:] * [0.0, 1.0, 0.0]
            lash[2:] -= 1.5 * hang * stands
        move[lashes] = lash.reshape(-1, 3)
        if name == "eyeSquintLeft":
            move += _pushed(points, parts, ((0.215, -0.15), (0.10, 0.045), (0.0, 0.020, 0.008)))
        out(name, move)


def _pushed(points: np.ndarray, parts: Parts, *pushes: Push) -> np.ndarray:
    """Returns the displacement [N, 3] of skin and brows under Gaussian pushes: centre (x, y), widths and vector."""
    reach = np.zeros(len(points))
    for part in ("skin", "brow_left", "brow_right"):
        reach[parts[part]] = 1.0
    for side in ("left", "right"):
        reach[parts[f"lid_{side}"]] = np.repeat(feature_rings.LID_FOLLOWS, feature_rings.EYE_POINTS)
    reach *= smoothstep(0.15, 0.35, points[:, 2])
    move = np.zeros_like(points)
    for centre, widths, by in pushes:
        weight = bump(points, centre, widths)
        move += (reach * weight * smoothstep(0.01, 0.06, weight))[:, None] * np.array(by)
    return move


def _face(parts: Parts, points: np.ndarray, out: Out) -> None:
    def soft(name: str, *pushes: Push) -> None:
        out(name, _pushed(points, parts, *pushes))

    soft(
        "browDownLeft",
        ((0.085, 0.19), (0.075, 0.055), (-0.016, -0.058, 0.006)),
        ((0.29, 0.20), (0.09, 0.05), (-0.004, -0.034, 0.002)),
    )
    soft(
        "browInnerUp", *[((side * 0.085, 0.20), (0.070, 0.075), (side * -0.006, 0.056, -0.010)) for side in (-1.0, 1.0)]
    )
    soft("browOuterUpLeft", ((0.27, 0.21), (0.10, 0.075), (0.0, 0.066, -0.022)))
    soft("cheekSquintLeft", ((0.235, -0.165), (0.085, 0.060), (0.0, 0.036, 0.020)))
    soft(
        "noseSneerLeft",
        ((0.062, -0.165), (0.030, 0.045), (0.008, 0.026, 0.004)),
        ((0.05, 0.07), (0.05, 0.04), (0.0, -0.016, 0.004)),
        ((0.10, -0.20), (0.035, 0.045), (0.004, 0.014, 0.008)),
    )
    soft("cheekPuff", *[((side * 0.275, -0.31), (0.095, 0.090), (side * 0.050, 0.0, 0.050)) for side in (-1.0, 1.0)])
    move = np.zeros_like(points)
    tongue = points[parts["tongue"]]
    ahead = smoothstep(tongue[:, 2].min(), tongue[:, 2].max(), tongue[:, 2])[:, None]
    move[parts["tongue"]] = ahead * np.array([0.0, 0.004, 0.200]) + ahead**3 * np.array([0.0, -0.050, 0.0])
    out("tongueOut", move)


def expression_basis(parts: Parts, points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Returns [52, N, 3] float64 in the order of ARKIT_NAMES, for `parts` and `points` of the unscaled mean head."""
    basis = np.zeros((len(ARKIT_INDEX), *points.shape))
    image = mirror_map(points, parts)

    def out(name: str, move: np.ndarray) -> None:
        small = np.abs(move).max(-1) < _NOTHING
        small[parts["mouth"]] = False  # opposite lips move by the same amount to the last bit
        move = np.where(small[:, None], 0.0, move)
        if mirror_name(name) == name:
            move = 0.5 * (move + move[image] * MIRROR)  # symmetric to the last bit
        basis[ARKIT_INDEX[name]] = move
        basis[ARKIT_INDEX[mirror_name(name)]] = move if mirror_name(name) == name else move[image] * MIRROR

    _mouth(parts, points, triangles, out)
    _lids(parts, points, out)
    _face(parts, points, out)
    return basis
