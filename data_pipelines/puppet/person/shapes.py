"""Identity directions as smooth displacement fields, which hair and accessories follow too, and the identity basis.

Fields are written for the left side (x > 0) and mirrored. One unit is one standard deviation.
"""

from __future__ import annotations

import numpy as np

from data_pipelines.puppet.person import feature_rings, organs
from data_pipelines.puppet.person.interpolation import Parts
from data_pipelines.puppet.person.surface import EYE_CENTRE, MOUTH_Y, bump, folded, smoothstep

# "age": jowls, bags, folds, thin lips, long nose and ears at +; round cheeks, large eyes and a small nose at -.
IDENTITY_NAMES = (
    "long_face", "wide_jaw", "long_chin", "square_chin", "tall_forehead", "high_cheekbones", "full_cheeks",
    "large_eyes", "wide_set_eyes", "slanted_eyes", "deep_eyes", "hooded_lids", "long_nose", "wide_nose", "high_bridge",
    "upturned_nose", "wide_mouth", "full_upper_lip", "full_lower_lip", "large_ears", "high_brows", "thick_brows",
    "angled_brows", "age",
)  # fmt: skip
IDENTITY_INDEX = {name: i for i, name in enumerate(IDENTITY_NAMES)}
LARGE_EYES = 0.055  # growth of the eyes at one standard deviation
_AGE_EYES = -0.030  # old eyes look smaller
_SLANT = np.deg2rad(3.5)


def identity_fields(points: np.ndarray) -> np.ndarray:
    """Returns the displacement [I, N, 3] of points [N, 3] (unscaled, see surface.py) along each identity direction."""
    side = folded(points)
    fields = _left_fields(side)
    sign = np.sign(points[:, :1])
    basis = np.stack([fields[name] for name in IDENTITY_NAMES])
    basis[..., :1] *= sign
    return basis


def _left_fields(points: np.ndarray) -> dict[str, np.ndarray]:
    """Returns name -> displacement [N, 3] of points with x >= 0; x displacements vanish on the midline."""
    x, y, z = points.T
    zero = np.zeros_like(x)
    front, off = smoothstep(0.10, 0.35, z), smoothstep(0.0, 0.06, x)
    low, high = smoothstep(-0.05, -0.6, y), smoothstep(0.1, 0.7, y)

    def by(dx: np.ndarray = zero, dy: np.ndarray = zero, dz: np.ndarray = zero) -> np.ndarray:
        return np.stack([dx, dy, dz], -1)

    def at(centre: tuple[float, ...], widths: tuple[float, ...]) -> np.ndarray:
        return bump(points, centre, widths) * front

    eye = bump(points, tuple(EYE_CENTRE), (0.15, 0.13, 0.2)) * smoothstep(0.0, 0.12, x)
    nose = at((0.0, -0.13), (0.065, 0.085))
    wing = at((0.055, -0.188), (0.045, 0.040))
    tip = at((0.0, -0.165), (0.050, 0.042))
    bridge = at((0.0, -0.03), (0.045, 0.075))
    mouth = at((0.0, MOUTH_Y), (0.19, 0.09))
    line = y - feature_rings.contact_line(np.minimum(x, 0.2))
    lip = np.exp(-0.5 * (line / 0.045) ** 2) * smoothstep(0.21, 0.08, x) * smoothstep(0.30, 0.40, z)
    above, below = np.maximum(line, 0.0), np.maximum(-line, 0.0)
    brow = at((0.2, 0.19), (0.16, 0.060))
    apple = at((0.25, -0.21), (0.11, 0.085))
    cheek = bump(points, (0.33, -0.30, 0.25), (0.13, 0.12, 0.25))
    bone = bump(points, (0.37, -0.12, 0.28), (0.10, 0.075, 0.20))
    angle = bump(points, (0.38, -0.38, 0.15), (0.15, 0.14, 0.28))
    chin = at((0.0, -0.58), (0.12, 0.085))
    chin_side = at((0.13, -0.58), (0.09, 0.085))
    ear = bump(points, (0.54, -0.02, -0.06), (0.06, 0.30, 0.14)) * smoothstep(0.522, 0.55, x)
    fold = at((0.155, -0.27), (0.028, 0.075))
    jowl = at((0.235, -0.475), (0.085, 0.060))
    bag = at((0.20, -0.150), (0.090, 0.028))
    eye_x, eye_y = x - EYE_CENTRE[0], y - EYE_CENTRE[1]
    grow = (points - EYE_CENTRE) * eye[:, None]
    return {
        "long_face": by(-0.016 * x, 0.045 * (y + 0.02) * smoothstep(0.0, 0.25, np.abs(y + 0.02))),
        "wide_jaw": by(0.030 * angle * off + 0.020 * x * low),
        "long_chin": by(-0.02 * x * low**2, -0.034 * smoothstep(-0.38, -0.62, y)),
        "square_chin": by(0.022 * chin_side * off, -0.003 * chin_side, 0.014 * chin),
        "tall_forehead": by(0.022 * x * high, 0.044 * high, 0.014 * high * front),
        "high_cheekbones": by(0.018 * bone * off - 0.016 * cheek * off, 0.010 * apple, 0.012 * bone - 0.012 * cheek),
        "full_cheeks": by(0.030 * cheek * off, -0.004 * cheek, 0.012 * cheek + 0.014 * apple),
        "large_eyes": LARGE_EYES * grow,
        "wide_set_eyes": by(0.011 * eye),
        "slanted_eyes": by(-_SLANT * eye_y * eye, _SLANT * eye_x * eye + 0.35 * _SLANT * (x - 0.2) * brow),
        "deep_eyes": by(dz=-0.013 * eye + 0.012 * brow),
        "hooded_lids": by(dy=-0.004 * brow, dz=0.004 * brow),
        "long_nose": by(zero, -0.028 * nose, 0.012 * nose),
        "wide_nose": by(0.20 * x * nose + 0.008 * wing * off, zero, 0.004 * wing),
        "high_bridge": by(-0.12 * x * bridge, zero, 0.018 * bridge),
        "upturned_nose": by(0.14 * x * tip, 0.015 * tip, 0.010 * tip),
        "wide_mouth": by(0.085 * x * mouth),
        "full_upper_lip": by(zero, 0.28 * above * lip, 0.012 * lip * smoothstep(0.0, 0.02, above)),
        "full_lower_lip": by(zero, -0.28 * below * lip, 0.012 * lip * smoothstep(0.0, 0.02, below)),
        "large_ears": by(0.22 * (x - 0.51) * ear, 0.20 * (y + 0.02) * ear, 0.18 * (z + 0.05) * ear),
        "high_brows": by(zero, 0.013 * brow),
        "thick_brows": by(),  # not a field: see identity_basis
        "angled_brows": by(zero, 0.075 * (x - 0.19) * brow),
        "age": by(
            0.014 * jowl * off - 0.010 * cheek * off,
            -0.008 * apple - 0.012 * jowl - 0.006 * bag - 0.013 * nose - 0.014 * chin - 0.005 * brow
            + lip * (0.14 * below - 0.14 * above) + 0.10 * (y + 0.02) * ear - 0.02 * ear,
            -0.014 * apple - 0.010 * fold + 0.018 * jowl + 0.010 * bag - 0.010 * cheek + 0.004 * nose,
        ) + _AGE_EYES * grow,
    }  # fmt: skip


def identity_basis(parts: Parts, points: np.ndarray) -> np.ndarray:
    """Returns [I, N, 3] float64: one standard deviation of each direction, symmetric. Eyeballs stay spheres."""
    basis = identity_fields(points)
    lid_share = feature_rings.lid_weights()[:, None]
    for i, side in enumerate(("left", "right")):
        centre = parts["eye_centres"].start + i
        for name, share in (("eyeball", 1.0), ("tear", 1.0), ("lash", 1.0), ("lid", lid_share)):
            part = parts[f"{name}_{side}"]
            basis[:, part] += share * (_rigid(points[part], points[centre], basis[:, centre], i) - basis[:, part])
        _hood(basis, parts, side)
        brow = parts[f"brow_{side}"]
        rows = points[brow].reshape(organs.BROW_ROWS, -1, 3)
        middle = rows[organs.BROW_ROWS // 2]
        basis[IDENTITY_INDEX["thick_brows"], brow] = (0.24 * (rows - middle)).reshape(-1, 3)
        angle = basis[IDENTITY_INDEX["angled_brows"], brow]
        angle[:, 1] -= angle[:, 1].mean()
    return basis


def _rigid(points: np.ndarray, centre: np.ndarray, moved: np.ndarray, right: int) -> np.ndarray:
    """Returns the displacement [I, V, 3] of an eye's parts, which move with, scale and turn about its centre [I, 3]."""
    away = points - centre
    out = np.repeat(moved[:, None], len(points), 1)
    out[IDENTITY_INDEX["large_eyes"]] = LARGE_EYES * away
    out[IDENTITY_INDEX["age"]] += _AGE_EYES * away
    turn = -_SLANT if right else _SLANT
    out[IDENTITY_INDEX["slanted_eyes"]] = turn * np.stack([-away[:, 1], away[:, 0], 0.0 * away[:, 0]], -1)
    return out


def _hood(basis: np.ndarray, parts: Parts, side: str) -> None:
    """Adds the fold over the upper lid to the basis: it hangs over the crease, or shows more of the lid."""
    lid = parts[f"lid_{side}"]
    rise = np.maximum(np.sin(feature_rings.ring_angle(feature_rings.EYE_POINTS)), 0.0)
    move = basis[IDENTITY_INDEX["hooded_lids"], lid].reshape(feature_rings.LID_ROWS, -1, 3)
    for row, (down, out) in {0: (0.004, 0.004), 1: (0.009, 0.006), 2: (0.015, 0.008), 3: (0.010, 0.003)}.items():
        move[row, :, 1] -= down * rise
        move[row, :, 2] += out * rise
    for row, share in {2: 1.0, 3: 0.5}.items():  # an old lid hangs a little too
        basis[IDENTITY_INDEX["age"], lid].reshape(feature_rings.LID_ROWS, -1, 3)[row, :, 1] -= 0.006 * share * rise
