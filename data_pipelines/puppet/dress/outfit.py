"""What is not the linear head: everything one identity wears, as one mesh, and the picture behind it."""

from __future__ import annotations

from data_pipelines.puppet.dress.accessories import earrings, glasses, headwear
from data_pipelines.puppet.dress.backdrop import background
from data_pipelines.puppet.dress.beard import beard
from data_pipelines.puppet.dress.clothes import body
from data_pipelines.puppet.dress.hair import hair
from data_pipelines.puppet.dress.mesh_parts import Part, join
from data_pipelines.puppet.dress.skin_marks import skin_marks
from data_pipelines.puppet.person.identity import Identity

__all__ = ["Part", "background", "dressed", "join"]


def dressed(identity: Identity) -> Part:
    """Hair, beard, clothes, glasses, hat and earrings; a few thousand vertices in all."""
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
