"""The identity of a puppet: shape coefficients, age, colours, styles, background and light, sampled at random."""

from __future__ import annotations

import dataclasses

import numpy as np

from data_pipelines.puppet.person import identity_sampling
from data_pipelines.puppet.person.head import puppet_head
from data_pipelines.puppet.person.palette import Colour
from data_pipelines.puppet.person.shapes import identity_fields

AGE_GROUPS = {"child": 18.0, "young": 35.0, "middle": 55.0, "old": 200.0}  # each ends before this many years


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Identity:
    """One puppet. Colours are sRGB 0-1; *_style names one of the styles of the file that makes it.

    shape [I] float32: coefficients of HeadModel.identity_basis, in standard deviations
    light: direction towards the key light, camera axes; warmth: -1 cold to 1 warm
    light_strength: factor of the key light; fill: factor of the light from all around; both 1 when neutral
    rim: colour of a light behind the head, on the side away from the key light; black when there is none
    """

    shape: np.ndarray
    age: float  # years

    skin: Colour
    skin_group: str
    undertone: str
    skin_seed: int  # where freckles and moles are
    freckles: float  # 0-1
    moles: int
    blush: float  # 0-1
    tired: float  # 0-1: darkness under the eyes
    lips: Colour
    make_up: str  # none, soft, lipstick
    lids: Colour  # of the upper lids
    iris: Colour
    iris_group: str
    brows: Colour
    lashes: float  # 0-1

    hair_style: str
    hair: Colour
    hair_group: str
    hair_seed: int  # the strands and, for some styles, the side of the parting
    beard_style: str
    beard: Colour
    headwear: str
    headwear_colour: Colour
    earrings: str
    glasses: str
    frame: Colour

    clothes_style: str
    clothes: Colour
    clothes_accent: Colour
    shirt: Colour

    background_style: str
    background: tuple[Colour, Colour, Colour]  # bright, deep, accent
    background_seed: int

    light: tuple[float, float, float]
    warmth: float
    light_strength: float
    fill: float
    rim: Colour

    @property
    def wrinkles(self) -> float:
        """0 before 35 years, 1 from 75."""
        return float(np.clip((self.age - 35.0) / 40.0, 0.0, 1.0))


def on_identity(identity: Identity, points: np.ndarray) -> np.ndarray:
    """Maps points [N, 3] of the unscaled mean head (surface.py) to the identity's head, in neutral_head's units."""
    head = puppet_head()
    shape, ends = identity.shape.astype(np.float64), head.landmarks[[0, 16]]
    moved = points + np.tensordot(shape, identity_fields(points), 1)
    ears = head.mean[ends] + np.tensordot(shape, head.identity_basis[:, ends], 1)
    moved = (moved - head.origin) / head.width
    return (moved - ears.mean(0)) / np.linalg.norm(ears[1] - ears[0])


def describe(identity: Identity) -> dict[str, str]:
    """Returns attribute -> value: the categorical attributes of an identity, for counts over a corpus."""
    group = next(name for name, end in AGE_GROUPS.items() if identity.age < end)
    return {
        "age": group,
        "skin": identity.skin_group,
        "undertone": identity.undertone,
        "iris": identity.iris_group,
        "make_up": identity.make_up,
        "hair_style": identity.hair_style,
        "hair_colour": identity.hair_group,
        "beard": identity.beard_style,
        "headwear": identity.headwear,
        "earrings": identity.earrings,
        "glasses": identity.glasses,
        "clothes": identity.clothes_style,
        "background": identity.background_style,
        "rim_light": "yes" if any(identity.rim) else "no",
    }


def random_identity(rng: np.random.Generator) -> Identity:
    """Samples an identity; generators in the same state give the same identity.

    Each aspect has its own child generator, so a change to one aspect leaves the others as they are.
    """
    of = dict(zip(identity_sampling.ASPECTS, rng.spawn(len(identity_sampling.ASPECTS)), strict=True))
    traits = identity_sampling.traits(of["person"])
    skin = identity_sampling.skin(of["skin"], traits)
    hair = identity_sampling.hair(of["hair"], traits, skin)
    face = identity_sampling.face(of["face"], traits, skin)
    beard = identity_sampling.beard(of["beard"], traits, hair)
    accessories = identity_sampling.accessories(of["worn"], traits, hair)
    clothes = identity_sampling.clothes(of["clothes"], traits)
    background = identity_sampling.background(of["background"], hair, skin)
    light = identity_sampling.light(of["light"])
    shape = identity_sampling.shape(of["shape"], traits)
    return Identity(
        shape=shape, age=traits.age, **skin, **hair, **face, **beard, **accessories, **clothes, **background, **light
    )
