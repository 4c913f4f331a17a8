"""Who a puppet is: shape coefficients, colours and styles, background and light; drawn at random from a generator."""

from __future__ import annotations

import colorsys
import dataclasses

import numpy as np

from data_pipelines.puppet.head import puppet_head

Colour = tuple[float, float, float]  # sRGB, 0-1

HAIR_STYLES = ("crop", "quiff", "bob", "long", "bun", "curly")
COLLARS = ("crew", "vee", "stripe")
BACKGROUNDS = ("glow", "split", "dots")

_SKINS = ("f8d9c4", "f2c9ac", "e8b48f", "d79c74", "bd8058", "9c6543", "7a4a30", "5c3624")
_IRISES = ("3f74b5", "5c93c4", "4d8a56", "7b8a3f", "8a5a2b", "5b3a1e", "3a2516", "6f7d88")
_HAIRS = ("1d1714", "2e2019", "4a2f1f", "6e4526", "94602f", "c08a45", "dcb877", "a8462a", "8d8a88", "c9c4bd")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Identity:
    """One puppet. `shape` [I] float32 are coefficients of HeadModel.identity_basis, in standard deviations."""

    shape: np.ndarray
    skin: Colour
    lips: Colour
    blush: float  # 0-1
    iris: Colour
    hair_style: str
    hair: Colour
    hair_seed: int  # the strands and, for some styles, the side of the parting
    brows: Colour
    lashes: float  # 0-1
    collar: str
    clothes: Colour
    clothes_accent: Colour
    background_style: str
    background: tuple[Colour, Colour]
    light: tuple[float, float, float]  # direction towards the key light, camera axes
    warmth: float  # -1 cold to 1 warm


def colour(text: str) -> Colour:
    """Hexadecimal RRGGBB -> sRGB 0-1."""
    return int(text[:2], 16) / 255, int(text[2:4], 16) / 255, int(text[4:], 16) / 255


def _mixed(rng: np.random.Generator, choices: tuple[str, ...]) -> np.ndarray:
    """A colour between two neighbours of an ordered list."""
    at = rng.uniform(0, len(choices) - 1)
    low = min(int(at), len(choices) - 2)
    a, b = np.array(colour(choices[low])), np.array(colour(choices[low + 1]))
    return a + (at - low) * (b - a)


def _tuple(values: np.ndarray) -> Colour:
    red, green, blue = (float(v) for v in np.clip(values, 0, 1))
    return red, green, blue


def random_identity(rng: np.random.Generator) -> Identity:
    """A pleasant random puppet; the same generator state gives the same one."""
    shape = np.clip(rng.standard_normal(len(puppet_head().identity_basis)), -1.8, 1.8).astype(np.float32)
    skin = _mixed(rng, _SKINS)
    redness = rng.uniform(0.55, 0.95)
    lips = (1 - redness) * skin + redness * skin**0.8 * np.array([0.93, 0.56, 0.56])
    dark_skin = skin.mean() < 0.45
    hair = np.array(colour(_HAIRS[rng.integers(0, 4 if dark_skin else len(_HAIRS))])) * rng.uniform(0.85, 1.15)
    brows = 0.75 * hair * (0.8 if hair.mean() > 0.4 else 1.0)
    iris = np.array(colour(_IRISES[rng.integers(4 if dark_skin else 0, 7 if dark_skin else len(_IRISES))]))
    hue = rng.uniform()
    clothes = colorsys.hsv_to_rgb(hue, rng.uniform(0.35, 0.75), rng.uniform(0.35, 0.9))
    accent = colorsys.hsv_to_rgb((hue + rng.choice([0.08, 0.5])) % 1, rng.uniform(0.1, 0.5), rng.uniform(0.75, 0.98))
    back_hue = (hue + rng.uniform(0.3, 0.7)) % 1
    value = rng.uniform(0.45, 0.9)
    bright = colorsys.hsv_to_rgb(back_hue, rng.uniform(0.15, 0.4), value)
    deep = colorsys.hsv_to_rgb((back_hue + 0.06) % 1, rng.uniform(0.3, 0.5), value * 0.68)
    light = np.array([rng.choice([-1, 1]) * rng.uniform(0.25, 0.75), rng.uniform(0.35, 0.8), 1.0])
    light /= np.linalg.norm(light)
    return Identity(
        shape=shape,
        skin=_tuple(skin),
        lips=_tuple(lips),
        blush=float(rng.uniform(0.1, 0.6)),
        iris=_tuple(iris),
        hair_style=str(rng.choice(HAIR_STYLES)),
        hair=_tuple(hair),
        hair_seed=int(rng.integers(2**31)),
        brows=_tuple(brows),
        lashes=float(rng.uniform(0.5, 1.0)),
        collar=str(rng.choice(COLLARS)),
        clothes=_tuple(np.array(clothes)),
        clothes_accent=_tuple(np.array(accent)),
        background_style=str(rng.choice(BACKGROUNDS)),
        background=(bright, deep),
        light=(float(light[0]), float(light[1]), float(light[2])),
        warmth=float(rng.uniform(-1, 1)),
    )
