"""Draws the aspects of a random identity, each from its own generator; later aspects depend on earlier ones.

Every function returns some of Identity's fields by name. New aspects go to the end of ASPECTS.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from data_pipelines.puppet.person.palette import (
    CLOTHS,
    GREYS,
    HAIRS,
    IRISES,
    SKIN_GROUPS,
    SKINS,
    UNDERTONES,
    apart,
    as_colour,
    between,
    brightness,
    colour,
    from_hsv,
)
from data_pipelines.puppet.person.shapes import IDENTITY_INDEX, IDENTITY_NAMES

# Each aspect has a child generator; only the order counts, so the names may stay while the functions are renamed.
ASPECTS = ("person", "skin", "hair", "face", "beard", "worn", "clothes", "background", "light", "shape")
Fields = dict[str, Any]
_LEANS = {"wide_jaw": 0.5, "square_chin": 0.6, "thick_brows": 0.5, "full_upper_lip": -0.3, "large_eyes": -0.3}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Traits:
    """What several aspects depend on: age in years, masculinity from -1 (feminine) to 1 (masculine)."""

    age: float
    masculinity: float


def _pick(rng: np.random.Generator, weights: dict[str, float]) -> str:
    shares = np.array(list(weights.values()))
    return str(rng.choice(list(weights), p=shares / shares.sum()))


def traits(rng: np.random.Generator) -> Traits:
    age = rng.uniform(12, 18) if rng.uniform() < 0.12 else 18 + 62 * rng.beta(1.1, 1.7)
    masculinity = rng.choice([-1, 1]) * rng.uniform(0.35, 1.0) if rng.uniform() < 0.85 else rng.uniform(-0.35, 0.35)
    return Traits(age=float(age), masculinity=float(masculinity))


def shape(rng: np.random.Generator, traits: Traits) -> np.ndarray:
    """Samples the shape coefficients [I] float32: age sets its own direction, masculinity shifts those of _LEANS."""
    values = np.clip(rng.standard_normal(len(IDENTITY_NAMES)), -1.8, 1.8)
    for name, lean in _LEANS.items():
        values[IDENTITY_INDEX[name]] = np.clip(
            0.85 * values[IDENTITY_INDEX[name]] + lean * traits.masculinity, -1.8, 1.8
        )
    values[IDENTITY_INDEX["age"]] = np.interp(traits.age, [12, 22, 45, 80], [-1.8, -0.7, 0.2, 1.8])
    return values.astype(np.float32)


def skin(rng: np.random.Generator, traits: Traits) -> Fields:
    depth = rng.uniform()
    undertone = _pick(rng, {"neutral": 3, "cool": 2, "warm": 3, "olive": 1.5})
    tone = between(SKINS, depth) * np.array(UNDERTONES[undertone]) * rng.uniform(0.97, 1.03)
    fair = depth < 0.45
    return {
        "skin": as_colour(tone),
        "skin_group": SKIN_GROUPS[min(int(depth * len(SKIN_GROUPS)), len(SKIN_GROUPS) - 1)],
        "undertone": undertone,
        "skin_seed": int(rng.integers(2**31)),
        "freckles": float(rng.uniform(0.4, 1.0)) if rng.uniform() < (0.30 if fair else 0.08) else 0.0,
        "moles": int(rng.choice([0, 1, 2, 3], p=[0.6, 0.2, 0.13, 0.07])),
        "blush": float(rng.uniform(0.1, 0.65)),
        "tired": float(np.clip(rng.normal(0.15 + 0.006 * max(traits.age - 25, 0), 0.15), 0, 0.8)),
    }


_SHORT = {
    "crop": 5.0, "side part": 5.0, "quiff": 5.0, "undercut": 4.0, "buzz": 3.0, "slick": 3.0, "tousled": 5.0,
    "caesar": 3.0, "curly": 3.0, "afro": 0.6, "flat top": 0.5, "man bun": 1.5, "shoulder": 1.5, "dreads": 0.5,
}  # fmt: skip
_LONG = {
    "bob": 4.0, "fringe bob": 3.5, "long": 4.5, "wavy": 5.0, "fringe long": 3.0, "bun": 4.0, "low bun": 3.0,
    "ponytail": 4.0, "pigtails": 1.5, "braids": 2.5, "pixie": 3.5, "curls": 4.0, "afro": 0.6, "puffs": 0.5,
    "dreads": 0.4, "shoulder": 3.0, "tousled": 1.0,
}  # fmt: skip
_TIGHT = {
    "afro": 6.0, "curly": 1.8, "curls": 1.6, "puffs": 8.0, "dreads": 5.0, "flat top": 5.0, "buzz": 2.0,
    "braids": 1.6, "slick": 0.4, "caesar": 0.3, "quiff": 0.4, "fringe long": 0.4, "fringe bob": 0.4,
}  # fmt: skip
_FLAT = (
    "buzz",
    "crop",
    "bob",
    "long",
    "wavy",
    "side part",
    "shoulder",
    "bald",
    "receding",
    "low bun",
    "pixie",
    "slick",
)


def hair(rng: np.random.Generator, traits: Traits, skin: Fields) -> Fields:
    dark = brightness(skin["skin"]) < 0.52
    masculine = 1.0 / (1.0 + np.exp(-7.0 * traits.masculinity))
    weights = dict.fromkeys([*_SHORT, *_LONG], 0.0)
    for share, styles in ((masculine, _SHORT), (1.0 - masculine, _LONG)):
        for name, weight in styles.items():
            weights[name] += share * weight * (_TIGHT.get(name, 1.0) if dark else 1.0)
    if traits.age > 22:
        weights["bald"] = masculine * np.interp(traits.age, [22, 45, 80], [0.8, 3.5, 6.0])
        weights["receding"] = masculine * np.interp(traits.age, [22, 40, 80], [0.0, 4.0, 16.0])
    if traits.age > 30:
        weights["pigtails"] = weights["puffs"] = 0.0
    style = _pick(rng, weights)
    groups = {
        "black": 3.0,
        "dark brown": 4.0,
        "brown": 4.0,
        "light brown": 3.0,
        "auburn": 2.0,
        "red": 1.6,
        "blond": 3.5,
    }
    if dark:
        groups = {"black": 5.0, "dark brown": 4.0, "brown": 0.8}
    elif brightness(skin["skin"]) < 0.68:
        groups = {"black": 4.0, "dark brown": 5.0, "brown": 3.0, "light brown": 0.6, "auburn": 0.6}
    group = _pick(rng, groups)
    base = between(HAIRS[group], rng.uniform())
    natural_colour = base
    grey = np.clip((traits.age - rng.normal(52, 9)) / 22.0, 0.0, 1.0)
    recoloured = traits.masculinity < 0 and rng.uniform() < 0.35  # dyed back to its natural colour
    if grey > 0 and not recoloured:
        base = base + (between(GREYS, 0.35 * rng.uniform() + 0.65 * grey) - base) * grey**0.7
        group = "white" if grey > 0.85 else "grey" if grey > 0.25 else group
    elif rng.uniform() < 0.07 and style not in ("bald", "receding", "buzz"):
        group = "dyed"
        base = np.array(colour(str(rng.choice(HAIRS["dyed"]))))
    if style not in ("bald",):
        base = apart(base, skin["skin"], 0.13)
    return {
        "hair_style": style,
        "hair": as_colour(base),
        "hair_group": group,
        "hair_seed": int(rng.integers(2**31)),
        "brows": as_colour(_brows(natural_colour, base if grey > 0.6 else natural_colour, skin)),
    }


def _brows(natural: np.ndarray, hair: np.ndarray, skin: Fields) -> np.ndarray:
    """Returns a colour a little darker than the hair that always stands out from the skin."""
    mixed = 0.5 * natural + 0.5 * hair
    colour = 0.80 * mixed if brightness(mixed) > 0.3 else 0.95 * mixed
    limit = 0.62 * brightness(skin["skin"])  # expressions are read from the brows
    if brightness(colour) > limit:
        colour = colour * limit / brightness(colour)
    return colour


def face(rng: np.random.Generator, traits: Traits, skin: Fields) -> Fields:
    tone = np.array(skin["skin"])
    dark = brightness(tone) < 0.55
    weights = {"brown": 4.0, "dark brown": 6.0, "hazel": 1.0} if dark else dict.fromkeys(IRISES, 1.0) | {"brown": 2.0}
    group = _pick(rng, weights)
    redness = rng.uniform(0.65, 1.0)
    lips = (1 - redness) * tone + redness * tone**0.85 * np.array([0.93, 0.55, 0.56])
    adorned = traits.masculinity < 0 and traits.age > 16
    make_up = _pick(rng, {"none": 5.0, "soft": 3.0, "lipstick": 3.0}) if adorned else "none"
    lids = tone * [0.93, 0.88, 0.88]
    if make_up == "soft":
        lips = 0.55 * lips + 0.45 * np.array(colour("c65b66")) * (0.55 + 0.45 * brightness(tone) / 0.85)
        lids = 0.65 * tone + 0.35 * tone * [0.80, 0.60, 0.62]
    elif make_up == "lipstick":
        lips = np.array(colour(str(rng.choice(["b3202e", "9c2547", "c23b3b", "a83a58", "7e1f35", "c2506e"]))))
        lids = 0.55 * tone + 0.45 * np.array(colour(str(rng.choice(["7a5560", "6a5a52", "8a6a78", "5a5a6a"]))))
    lips = np.clip(lips, 0.02, 0.98)
    unlike = float(np.abs(lips - tone).max())
    lips = tone + (lips - tone) * max(1.0, 0.12 / unlike)  # speech is read from the lips
    return {
        "lips": as_colour(lips),
        "make_up": make_up,
        "lids": as_colour(lids),
        "iris": as_colour(between(IRISES[group], rng.uniform())),
        "iris_group": group,
        "lashes": float(rng.uniform(0.75, 1.0) if adorned else rng.uniform(0.35, 0.8)),
    }


def beard(rng: np.random.Generator, traits: Traits, hair: Fields) -> Fields:
    style = "none"
    if traits.masculinity > 0 and traits.age > 20:
        style = _pick(rng, {"none": 4.5, "stubble": 2.2, "moustache": 0.9, "goatee": 1.0, "short beard": 2.0,
                            "full beard": 1.0, "long beard": 0.6 if traits.age > 30 else 0.0})  # fmt: skip
    tone = np.array(hair["hair"] if hair["hair_group"] != "dyed" else hair["brows"])
    if hair["hair_group"] == "blond":
        tone = tone * [0.80, 0.72, 0.66]  # a blond person's beard is darker than the hair
    return {"beard_style": style, "beard": as_colour(tone * rng.uniform(0.85, 1.0))}


def accessories(rng: np.random.Generator, traits: Traits, hair: Fields) -> Fields:
    glasses = "none"
    if rng.uniform() < 0.18:
        glasses = _pick(rng, {"round": 1.0, "square": 1.0, "thin": 1.0, "browline": 0.8})
    frame = "9c8a5a" if glasses == "thin" and rng.uniform() < 0.5 else str(
        rng.choice(["17181c", "2c2f36", "4a2c1e", "6d4a2a", "5a1f28", "24425e", "7f858c"])
    )  # fmt: skip
    headwear = "none"
    if hair["hair_style"] in _FLAT and rng.uniform() < 0.10:
        headwear = "beanie"
    elif traits.masculinity < 0.2 and hair["hair_style"] in (
        "bob",
        "long",
        "bun",
        "ponytail",
        "afro",
        "curls",
        "low bun",
        "puffs",
    ):
        headwear = "headband" if rng.uniform() < 0.22 else "none"
    cloth = colour(CLOTHS[int(rng.integers(len(CLOTHS)))][0])
    earrings = "none"
    if (traits.masculinity < 0.1 and rng.uniform() < 0.42) or rng.uniform() < 0.04:
        earrings = _pick(rng, {"stud": 2.0, "hoop": 1.5, "drop": 1.0})
    return {
        "glasses": glasses,
        "frame": colour(frame),
        "headwear": headwear,
        "headwear_colour": as_colour(apart(np.array(cloth), hair["hair"], 0.15)),
        "earrings": earrings,
    }


def clothes(rng: np.random.Generator, traits: Traits) -> Fields:
    style = _pick(rng, {
        "crew": 3.0, "vee": 2.5, "stripes": 2.0, "shirt": 3.0, "hoodie": 2.5, "turtleneck": 2.0, "check": 1.2,
        "scoop": 1.5, "blazer": 0.2 if traits.age < 18 else 2.5,
    })  # fmt: skip
    cloth, accent = (np.array(colour(c)) for c in CLOTHS[int(rng.integers(len(CLOTHS)))])
    if style == "blazer":
        cloth = np.array(
            colour(str(rng.choice(["23282f", "2f3d55", "4a4744", "5d4a3c", "6b6f73", "3c2f3f", "2e4a47"])))
        )
    shirt = colour(str(rng.choice(["f4f2ec", "dfe8f0", "f0dfdf", "e6e4d4", "2b2d33", "c9d6e2"])))
    return {"clothes_style": style, "clothes": as_colour(cloth), "clothes_accent": as_colour(accent), "shirt": shirt}


def background(rng: np.random.Generator, hair: Fields, skin: Fields) -> Fields:
    style = _pick(rng, {
        "plain": 2.0, "glow": 2.0, "split": 1.5, "stripes": 1.2, "shapes": 1.6, "bokeh": 2.0, "night": 1.2,
        "brick": 1.5, "tiles": 1.2, "panels": 1.0, "window": 1.8, "shelves": 2.0, "gallery": 2.0, "plants": 1.6,
        "hills": 2.0, "park": 1.8, "sea": 1.2, "skyline": 1.4,
    })  # fmt: skip
    hue, saturation = rng.uniform(), rng.uniform(0.12, 0.45)
    value = rng.uniform(0.30, 0.92)
    bright = from_hsv(hue, saturation, value)
    least = 0.20 if hair["hair_style"] != "bald" else 0.0
    bright = np.clip(apart(apart(bright, skin["skin"], 0.08), hair["hair"], least), 0, 1)
    deep = bright * from_hsv(hue + rng.uniform(-0.08, 0.08), 0.25, rng.uniform(0.60, 0.82))
    accent = from_hsv(hue + rng.choice([0.08, 0.42, 0.5, 0.58]), rng.uniform(0.25, 0.6), rng.uniform(0.5, 0.9))
    return {
        "background_style": style,
        "background": (as_colour(bright), as_colour(deep), as_colour(accent)),
        "background_seed": int(rng.integers(2**31)),
    }


def light(rng: np.random.Generator) -> Fields:
    towards = np.array([rng.choice([-1, 1]) * rng.uniform(0.10, 0.90), rng.uniform(0.20, 0.85), 1.0])
    towards /= np.linalg.norm(towards)
    rim = np.zeros(3)
    if rng.uniform() < 0.30:
        rim = from_hsv(rng.uniform(), rng.uniform(0.1, 0.7), rng.uniform(0.5, 1.0))
    return {
        "light": (float(towards[0]), float(towards[1]), float(towards[2])),
        "warmth": float(rng.uniform(-1, 1)),
        "light_strength": float(rng.uniform(0.80, 1.15)),
        "fill": float(rng.uniform(0.75, 1.30)),
        "rim": as_colour(rim),
    }
