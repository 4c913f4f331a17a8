"""The rings of vertices around mouth and eyes: lips, mouth cavity, lids."""

from __future__ import annotations

import numpy as np

from data_pipelines.puppet.person.surface import EYE_CENTRE, EYE_RADIUS, LID_RADIUS, MOUTH_Y, bump, skin_at

MOUTH_POINTS = 64  # of each mouth ring; 0 is the person's left corner, 16 the top, 32 the right corner, 48 the bottom
EYE_POINTS = 48  # of each eye ring; 0 is the outer corner, 12 the top, 24 the inner corner, 36 the bottom

# Mouth rings from outside to inside: half width; height above and below the contact line; how far the middle of the
# upper and of the lower lip stand before the skin.
_MOUTH_RINGS = (
    (0.218, 0.094, 0.108, 0.000, 0.000),  # skin, where the free mesh begins
    (0.196, 0.070, 0.084, 0.006, -0.001),  # skin
    (0.180, 0.053, 0.064, 0.016, 0.006),  # skin beside the border of the red
    (0.172, 0.045, 0.055, 0.021, 0.014),  # border of the red: landmarks 48-59
    (0.168, 0.035, 0.045, 0.030, 0.030),
    (0.165, 0.020, 0.027, 0.038, 0.040),  # the lip's fullness
    (0.162, 0.008, 0.011, 0.034, 0.037),
    (0.160, 0.000, 0.000, 0.022, 0.022),  # contact line: landmarks 60-67
    (0.157, 0.003, 0.003, 0.000, 0.000),
    (0.153, 0.020, 0.024, -0.034, -0.034),  # inside of the lip
    (0.150, 0.080, 0.090, -0.085, -0.085),  # the cavity
    (0.090, 0.045, 0.050, -0.260, -0.260),
)
MOUTH_RINGS = len(_MOUTH_RINGS)
BORDER_RING, CONTACT_RING, CAVITY_RING = 3, 7, 10

# Rows of a lid from the orbit's edge to the eyeball: share of the way from crease to margin, and distance from the
# lid's sphere, of the upper and of the lower lid. Two rows before them bridge the way from the orbit.
_LID_ROWS = (
    (-0.22, 0.010, 0.006),  # the fold over the crease
    (0.00, -0.006, 0.002),  # the crease
    (0.14, 0.000, 0.003),
    (0.40, 0.001, 0.004),
    (0.68, 0.001, 0.004),
    (0.92, 0.001, 0.002),
    (1.00, -0.002, -0.003),  # the margin: landmarks 36-47
    (1.00, EYE_RADIUS + 0.001 - LID_RADIUS, EYE_RADIUS + 0.001 - LID_RADIUS),  # the margin's edge on the eyeball
)
_BRIDGES = (1 / 3, 2 / 3)
LID_ROWS = len(_BRIDGES) + len(_LID_ROWS)
MARGIN_ROW = LID_ROWS - 2
LID_FOLLOWS = np.array([0.80, 0.50, 0.20] + [0.0] * (LID_ROWS - 3))  # share of the skin's movements each row takes
LASH_POINTS = slice(2, EYE_POINTS // 2)  # of the margin's ring: the upper lid between the corners
CREASE_UP, CREASE_DOWN, MARGIN_UP, MARGIN_DOWN = 44.0, -39.0, 29.0, -22.0  # degrees, the rows' middles


def ring_angle(points: int) -> np.ndarray:
    return 2.0 * np.pi * np.arange(points) / points


def quarters() -> tuple[np.ndarray, np.ndarray]:
    """Returns cosine and sine [64] of the mouth's angle, exactly symmetric in both axes."""
    q = MOUTH_POINTS // 4
    c = np.cos(np.pi / 2 * np.arange(q + 1) / q)
    c[-1] = 0.0
    cosine = np.concatenate([c, -c[-2::-1], -c[1:], c[-2:0:-1]])
    return cosine, np.roll(cosine, q)


def contact_line(x: np.ndarray) -> np.ndarray:
    """Returns the height of the line where the closed lips meet: a small bow in the middle, corners up."""
    return MOUTH_Y + 0.026 * (np.abs(x) / 0.16) ** 2.2 - 0.004 * np.exp(-0.5 * (x / 0.030) ** 2)


def mouth_rings() -> np.ndarray:
    """Returns the rings [rings, 64, 3] of the closed neutral mouth, symmetric to the last bit."""
    cosine, sine = quarters()
    rings = []
    for ring, (half, above, below, upper, lower) in enumerate(_MOUTH_RINGS):
        up = sine > 0
        rise = np.sign(sine) * np.abs(sine) ** (1.15 if ring else 1.0)  # the free mesh's edge must be convex
        x = half * cosine
        y = MOUTH_Y + rise * np.where(up, above, below)
        if 0 < ring < CAVITY_RING:
            share = 1.0 if ring > 1 else 0.5
            y = y + share * (contact_line(x) - MOUTH_Y)
        if 0 < ring < CONTACT_RING - 1:  # the cupid's bow
            bow = 0.006 * bump(np.abs(x)[:, None], (0.036,), (0.020,)) - 0.011 * bump(x[:, None], (0.0,), (0.016,))
            y = y + (0.5 if ring == 1 else 1.0 if ring <= BORDER_RING else 0.45) * bow * (sine > 0.5)
        at = np.stack([x, np.full_like(x, MOUTH_Y) if ring >= CONTACT_RING + 1 else y], -1)
        depth = np.where(up, upper, lower)
        if 0 < ring <= CONTACT_RING:  # the lips flatten towards the corners, which are drawn in
            depth = depth * np.abs(sine) ** 0.6 - 0.008 * smooth_corner(cosine)
            if ring > BORDER_RING:  # three soft cushions above, two below
                cushion = np.where(up, bump(x[:, None], (0.0,), (0.022,)), bump(np.abs(x)[:, None], (0.035,), (0.03,)))
                depth = depth + 0.005 * cushion * (ring < CONTACT_RING)
        z = skin_at(at)[:, 2] + depth
        rings.append(np.stack([x, y, z], -1))
    return np.stack(rings)


def smooth_corner(cosine: np.ndarray) -> np.ndarray:
    """Returns 1 at the mouth's corners and 0 over its middle."""
    return np.clip((np.abs(cosine) - 0.8) / 0.2, 0, 1) ** 2


def on_lid(azimuth: np.ndarray, elevation: np.ndarray, lift: np.ndarray | float = 0.0) -> np.ndarray:
    """Returns points [..., 3] at angles (degrees) on the left lid's sphere, `lift` away from it.

    The sphere's axis is turned 9 degrees outwards.
    """
    a, e = np.deg2rad(azimuth + 9.0), np.deg2rad(elevation)
    ray = np.stack([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)], -1)
    return EYE_CENTRE + (LID_RADIUS + np.asarray(lift))[..., None] * ray


def lid_rings(upper: float = MARGIN_UP, lower: float = MARGIN_DOWN) -> np.ndarray:
    """Returns the left lid [LID_ROWS, 48, 3] from the orbit to the eyeball, its margins' middles at these degrees."""
    t = ring_angle(EYE_POINTS)
    up = np.sin(t) >= 0
    # the upper margin is highest a little inside, the lower is deepest a little outside
    rise = np.abs(np.sin(t - 0.16 * np.sin(t) ** 2)) ** 0.88
    inner = smooth_corner(np.cos(t)) * (np.cos(t) < 0)
    rows = []
    for share, lift_up, lift_down in _LID_ROWS:
        f = max(share, 0.0)
        azimuth = (68.0 + (55.0 - 68.0) * f) * np.cos(t) - 5.0 * f * inner  # the tear corner
        crease = np.where(up, CREASE_UP, CREASE_DOWN)
        margin = np.where(up, upper, lower)
        neutral = np.where(up, MARGIN_UP, MARGIN_DOWN)
        over = (neutral - crease) * min(share, 0.0) + 0.12 * (margin - neutral) * (share < 0)
        tilt = (4.5 * np.cos(t) - 2.0 * inner * f) * (1.0 if share >= 0 else 0.8)  # the outer corner stands higher
        ease = f**1.15
        lift = np.where(up, lift_up, lift_down) * (1.0 if share == 1.0 else np.abs(np.sin(t)) ** 0.5)
        rows.append(on_lid(azimuth, rise * (crease + (margin - crease) * ease + over) + tilt, lift))
    orbit = orbit_ring()
    fold = rows[0]
    swell = np.where(up, 0.010, 0.003) * np.abs(np.sin(t))
    bridge = [orbit + (fold - orbit) * u + np.stack([0 * t, 0 * t, 4 * u * (1 - u) * swell], -1) for u in _BRIDGES]
    return np.stack(bridge + rows)


def orbit_ring() -> np.ndarray:
    """Returns the edge [48, 3] of the free mesh around the left eye, on the skin."""
    t = ring_angle(EYE_POINTS)
    xy = EYE_CENTRE[:2] + np.stack([0.176 * np.cos(t), np.where(np.sin(t) > 0, 0.152, 0.142) * np.sin(t)], -1)
    return skin_at(xy)


def lid_weights() -> np.ndarray:
    """Returns [LID_ROWS * 48]: 1 where a lid's vertex moves with the eye, less towards the orbit."""
    return np.repeat(np.array([0.40, 0.80] + [1.0] * (LID_ROWS - 2)), EYE_POINTS)
