"""The colour of every vertex of a puppet: skin, blush, lips, eyes, hair, clothes; functions of the identity."""

from __future__ import annotations

import numpy as np

from data_pipelines.puppet.head import Region
from data_pipelines.puppet.identity import Identity
from data_pipelines.puppet.surface import bump


def vertex_albedo(identity: Identity, region: np.ndarray, shade: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Linear colours [V, 3] float32 of every vertex; `rest` are the vertices of the resting puppet."""
    skin, lips = np.array(identity.skin), np.array(identity.lips)
    table = np.zeros((len(Region), 3))
    for r in (Region.SKIN, Region.EAR, Region.NECK):
        table[r] = skin
    table[Region.LIP] = lips
    table[Region.MOUTH] = (0.42, 0.12, 0.12)
    table[Region.TEETH] = (0.90, 0.88, 0.84)
    table[Region.TONGUE] = (0.80, 0.38, 0.38)
    table[Region.GUM] = (0.78, 0.40, 0.40)
    table[Region.TEAR] = (0.88, 0.58, 0.55)
    table[Region.SCLERA] = (0.93, 0.92, 0.91)
    table[Region.IRIS] = identity.iris
    table[Region.PUPIL] = (0.03, 0.03, 0.04)
    table[Region.BROW] = identity.brows
    table[Region.LASH] = 0.35 * np.array(identity.brows) * (1.4 - identity.lashes)
    table[Region.HAIR] = identity.hair
    table[Region.CLOTHES] = identity.clothes
    table[Region.ACCENT] = identity.clothes_accent
    table[Region.GLASS] = 0.96
    linear = table[region] ** 2.2
    on_skin = np.isin(region, (Region.SKIN, Region.EAR))
    sides = np.abs(rest * [1.0, 0.0, 0.0]) + rest * [0.0, 1.0, 1.0]
    flush = 0.75 * bump(sides, (0.27, -0.20), (0.085, 0.065)) + 0.35 * bump(rest, (0.0, -0.15, 0.6), (0.05, 0.04, 0.1))
    flush = identity.blush * flush * (on_skin & (rest[:, 2] > 0.1))
    linear *= 1.0 - flush[:, None] * np.array([0.02, 0.42, 0.36])
    return (linear * shade[:, None]).astype(np.float32)
