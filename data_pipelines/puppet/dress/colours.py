"""The colour of every vertex of a puppet: skin with age, blush and make-up, eyes, hair, clothes."""

from __future__ import annotations

import numpy as np

from data_pipelines.puppet.dress.beard import density
from data_pipelines.puppet.person.head import Region, puppet_head
from data_pipelines.puppet.person.identity import Identity
from data_pipelines.puppet.person.surface import bump, smoothstep


def vertex_albedo(identity: Identity, region: np.ndarray, shade: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Returns the linear colours [V, 3] float32 of all vertices; rest [V, 3]: the resting puppet, head first."""
    table = np.zeros((len(Region), 3))
    for r in (Region.SKIN, Region.EAR, Region.NECK):
        table[r] = identity.skin
    table[Region.LIP] = identity.lips
    table[Region.MOUTH] = (0.34, 0.10, 0.10)
    table[Region.TEETH] = np.array([0.94, 0.92, 0.87]) * (1.0 - identity.wrinkles * np.array([0.02, 0.03, 0.08]))
    table[Region.TONGUE] = (0.80, 0.38, 0.38)
    table[Region.GUM] = (0.78, 0.40, 0.40)
    table[Region.TEAR] = (0.88, 0.58, 0.55)
    table[Region.SCLERA] = (0.93, 0.92, 0.91)
    table[Region.IRIS] = identity.iris
    table[Region.PUPIL] = (0.03, 0.03, 0.04)
    table[Region.BROW] = identity.brows
    table[Region.LASH] = 0.35 * np.array(identity.brows) * (1.4 - identity.lashes)
    table[Region.HAIR] = identity.hair
    table[Region.BEARD] = identity.beard
    table[Region.CLOTHES] = identity.clothes
    table[Region.ACCENT] = identity.clothes_accent
    table[Region.GLASS] = 0.96
    table[Region.SHIRT] = identity.shirt
    table[Region.HAT] = identity.headwear_colour
    table[Region.FRAME] = identity.frame
    table[Region.METAL] = (0.86, 0.72, 0.42) if identity.skin_seed % 2 else (0.80, 0.81, 0.84)
    linear = table[region] ** 2.2
    skin = np.flatnonzero(np.isin(region, (Region.SKIN, Region.EAR)))
    marks = rest[puppet_head().landmarks]
    linear[skin] = complexion(identity, linear[skin], rest[skin], marks)
    lids = np.concatenate([np.arange(len(rest))[puppet_head().parts[f"lid_{s}"]] for s in ("left", "right")])
    upper = lids[rest[lids, 1] > marks[[36, 45], 1].mean() + 0.005]
    linear[upper] = 0.35 * linear[upper] + 0.65 * np.array(identity.lids) ** 2.2
    return (linear * shade[:, None]).astype(np.float32)


def complexion(identity: Identity, linear: np.ndarray, points: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Returns linear skin colours [N, 3] with blush, shadows under the eyes and beard added.

    points [N, 3] lie on the face whose landmarks are marks [68, 3].
    """
    front = smoothstep(0.05, 0.2, points[:, 2])
    sides = np.abs(points * [1.0, 0.0, 0.0]) + points * [0.0, 1.0, 1.0]
    nose, eye_y = marks[30], marks[36:48, 1].mean()
    cheek = (0.27, nose[1] - 0.045)
    flush = 0.75 * bump(sides, cheek, (0.085, 0.065)) + 0.35 * bump(points, (0.0, nose[1], nose[2]), (0.05, 0.04, 0.1))
    out = linear * (1.0 - (identity.blush * flush * front)[:, None] * np.array([0.02, 0.42, 0.36]))
    hollow = bump(sides, (marks[45, 0] * 0.62 + 0.02, eye_y - 0.105), (0.085, 0.026)) * front
    out *= 1.0 - (identity.tired * hollow)[:, None] * np.array([0.22, 0.30, 0.20])
    grown = np.minimum(density(identity, points, marks), 0.92)[:, None]
    return out + grown * (np.array(identity.beard) ** 2.2 * 0.9 - out)
