"""The outfit of one identity: everything besides the linear head, as one mesh, and the background image."""

from __future__ import annotations

from data_pipelines.puppet.dress.accessories import earrings, glasses, headwear
from data_pipelines.puppet.dress.backdrop import background
from data_pipelines.puppet.dress.beard import beard
from data_pipelines.puppet.dress.clothes import body
from data_pipelines.puppet.dress.hair import hair
from data_pipelines.puppet.dress.mesh_parts import Part, join
from data_pipelines.puppet.dress.skin_marks import skin_marks
from data_pipelines.puppet.person.identity import Identity

__all__ = ["Part", "background", "join", "outfit_mesh"]


def outfit_mesh(identity: Identity) -> Part:
    """Returns hair, beard, clothes, glasses, headwear, earrings and skin marks as one part; a few thousand vertices."""
    locks = hair(identity)
    return join(
        locks,
        beard(identity),
        body(identity),
        glasses(identity),
        headwear(identity, locks),
        earrings(identity),
        skin_marks(identity),
    )
