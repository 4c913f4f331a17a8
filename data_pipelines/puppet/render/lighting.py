"""Lamps and materials: the light of an identity and the surface properties of every region, for shading.py.

The lights of a puppet are a key light with shadows, from `identity.light` and as warm as `identity.warmth`; a soft fill
from the other side in the complementary tint; a rim light from behind, opposite the key, faint unless `identity.rim`
has a colour; and the sky and the ground, tinted by the background, dimmed by ambient occlusion.
`identity.light_strength` scales the key, `identity.fill` the fill, the sky and the ground.
"""

from __future__ import annotations

import enum

import numpy as np

from data_pipelines.puppet.person.head import Region
from data_pipelines.puppet.person.identity import Identity


class Kind(enum.IntEnum):
    """How a triangle is shaded; see shading.py."""

    SKIN = 0
    HAIR = 1
    CLOTH = 2
    EYE_LEFT = 3
    EYE_RIGHT = 4
    MOUTH = 5  # cavity, teeth and tongue: lit through the open lips
    HARD = 6  # frames and jewellery
    GLASS = 7


KIND = {
    **dict.fromkeys((Region.HAIR, Region.BEARD, Region.BROW, Region.LASH), Kind.HAIR),
    **dict.fromkeys((Region.CLOTHES, Region.ACCENT, Region.HAT, Region.SHIRT), Kind.CLOTH),
    **dict.fromkeys((Region.SCLERA, Region.IRIS, Region.PUPIL), Kind.EYE_LEFT),
    **dict.fromkeys((Region.MOUTH, Region.TEETH, Region.TONGUE, Region.GUM), Kind.MOUTH),
    **dict.fromkeys((Region.FRAME, Region.METAL), Kind.HARD),
    Region.GLASS: Kind.GLASS,
}
# strength of highlights
_GLOSS = {
    Region.SKIN: 0.22,
    Region.EAR: 0.16,
    Region.NECK: 0.12,
    Region.LIP: 0.55,
    Region.TEETH: 0.60,
    Region.TONGUE: 0.60,
    Region.GUM: 0.50,
    Region.TEAR: 0.90,
    Region.MOUTH: 0.10,
    Region.SCLERA: 1.0,
    Region.IRIS: 1.0,
    Region.PUPIL: 1.0,
    Region.HAIR: 0.40,
    Region.BEARD: 0.12,
    Region.BROW: 0.10,
    Region.FRAME: 0.80,
    Region.METAL: 1.6,
    Region.GLASS: 0.3,
}
# how far light reaches beyond the terminator; above 1 the surface is thin and glows
_SOFT = {
    **dict.fromkeys((Region.SKIN, Region.LIP, Region.NECK), 1.0),
    Region.EAR: 1.5,
    **dict.fromkeys(
        (Region.TEETH, Region.TONGUE, Region.GUM, Region.TEAR, Region.SCLERA, Region.IRIS, Region.PUPIL), 0.8
    ),
    **dict.fromkeys((Region.HAIR, Region.BEARD, Region.BROW), 0.7),
    **dict.fromkeys((Region.CLOTHES, Region.ACCENT, Region.SHIRT, Region.HAT), 0.5),
}
# lower bound of ambient occlusion on the resting head: lips and lids unfold
_LEAST_OPEN = {
    Region.LIP: 0.5,
    Region.LASH: 1.0,
    Region.TEAR: 0.7,
    Region.BROW: 0.8,
    Region.GLASS: 1.0,
    Region.FRAME: 0.6,
}
# the inside of the lips, eyes and lashes cast no shadow, and that of glass is too faint to render
_NO_SHADOW = (*(r for r, k in KIND.items() if k in (Kind.MOUTH, Kind.EYE_LEFT)), Region.LASH, Region.BROW, Region.GLASS)


def gloss(region: np.ndarray) -> np.ndarray:
    """Returns the strength of the highlights [V] float32 of every vertex."""
    return np.array([_GLOSS.get(r, 0.0) for r in Region], np.float32)[region]


def softness(region: np.ndarray) -> np.ndarray:
    """Returns how far light reaches beyond the terminator [V] float32; above 1 for thin, glowing surfaces."""
    return np.array([_SOFT.get(r, 0.3) for r in Region], np.float32)[region]


def least_open(region: np.ndarray) -> np.ndarray:
    """Returns the lower bound of ambient occlusion [V] float32."""
    return np.array([_LEAST_OPEN.get(r, 0.0) for r in Region], np.float32)[region]


def triangle_kinds(triangles: np.ndarray, region: np.ndarray, right_eye: np.ndarray) -> np.ndarray:
    """Returns the Kind [F] int8 of triangles, the least of their vertices'; right_eye [V] bool: the right eyeball."""
    kind = np.array([KIND.get(r, Kind.SKIN) for r in Region], np.int8)[region]
    kind[right_eye] = Kind.EYE_RIGHT
    return kind[triangles].min(-1)


def shadow_casters(triangles: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Returns [F] int8 for raster.rasterise: 2 where the triangle casts shadows, else 0."""
    return np.where(np.isin(region[triangles], _NO_SHADOW).all(-1), 0, 2).astype(np.int8)


def lamps(identity: Identity) -> np.ndarray:
    """Returns [10, 3] float64: directions in the camera's axes (y up) and linear colours.

    0 towards the key light, 1 its colour, 2 half-way between it and the camera, 3 towards the fill, 4 its colour, 5
    towards the rim light, 6 its colour, 7 sky, 8 ground, 9 normal of the eyes at the key light's reflection.
    """
    key = np.array(identity.light, np.float64)
    key /= np.linalg.norm(key)
    half = key + [0.0, 0.0, 1.0]
    glint = key + [0.0, 0.0, 1.2]
    fill = np.array([-1.2 * key[0], 0.25, 0.8])
    rim = np.array([-1.6 * key[0], 0.6, -0.5])
    warm = identity.warmth * np.array([0.08, 0.0, -0.11])
    backdrop = np.mean(np.array(identity.background), 0) ** 2.2
    return np.stack(
        [
            key,
            1.42 * identity.light_strength * (1.0 + warm + [0.02, 0.0, -0.03]),
            half / np.linalg.norm(half),
            fill / np.linalg.norm(fill),
            0.26 * identity.fill * (1.0 - 1.2 * warm),
            rim / np.linalg.norm(rim),
            0.7 * (1.0 - warm) * (0.6 + 0.6 * backdrop) + 2.2 * np.array(identity.rim) ** 2.2,
            identity.fill * (0.34 + 0.30 * backdrop),
            identity.fill * (np.array([0.17, 0.14, 0.125]) + 0.12 * backdrop),
            glint / np.linalg.norm(glint),
        ]
    )
