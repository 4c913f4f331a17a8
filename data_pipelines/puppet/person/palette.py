"""Matching colours: skin with undertones, hair and its greys, irises and cloth; and the arithmetic on them."""

from __future__ import annotations

import colorsys

import numpy as np

Colour = tuple[float, float, float]  # sRGB, 0-1

SKINS = ("fae0d0", "f5cfb4", "eebf9d", "dfa67f", "c98d62", "a87049", "85543a", "673e2a", "4d2c1d")
SKIN_GROUPS = ("very fair", "fair", "medium", "tan", "brown", "deep")
UNDERTONES = {
    "cool": (1.0, 0.965, 1.015),
    "neutral": (1.0, 1.0, 1.0),
    "warm": (1.0, 1.005, 0.94),
    "olive": (0.965, 1.0, 0.925),
}

HAIRS = {
    "black": ("14110f", "241c18"),
    "dark brown": ("2f2019", "45301f"),
    "brown": ("573723", "6f482b"),
    "light brown": ("85603a", "9a7145"),
    "auburn": ("6b2f1c", "82391f"),
    "red": ("a1481f", "bd5a2b"),
    "blond": ("c0964f", "e0bf83"),
    "dyed": ("3b6fa3", "a85c86", "6a52a0", "2f8a84", "c4564f", "e6dcc8"),
}
GREYS = ("8b8884", "b9b6b1", "e6e3de")
IRISES = {
    "blue": ("3f74b5", "5c93c4"),
    "green": ("4d8a56", "6d8a4a"),
    "grey": ("6f7d88", "8794a0"),
    "hazel": ("8a6a33", "86743c"),
    "brown": ("6b4423", "824f28"),
    "dark brown": ("3a2516", "4a2d1a"),
}
CLOTHS = (  # cloth, what goes with it
    ("2f4a6d", "e9e4d8"), ("7a2f3a", "efe3d2"), ("3d5a45", "e8dfc2"), ("c98a2e", "34393f"), ("e8e2d6", "5b6d7a"),
    ("34393f", "c9ccd0"), ("8fa9bf", "ffffff"), ("b9596a", "f4dcdc"), ("5b4a7a", "d9cdea"), ("2d7d80", "f2e7cf"),
    ("d9b8a3", "6e4a3c"), ("94a37b", "f3eeda"), ("a24a2a", "f0d9b5"), ("f2f0ec", "2f4a6d"), ("1f2a3a", "9fb4c8"),
    ("6e5a48", "e6d8c3"), ("d7c04f", "ffffff"), ("c56f52", "f6e9dd"), ("4f7fa8", "e7eef4"), ("887a9c", "f1ecf5"),
)  # fmt: skip


def colour(text: str) -> Colour:
    """Converts hexadecimal RRGGBB to sRGB 0-1."""
    return int(text[:2], 16) / 255, int(text[2:4], 16) / 255, int(text[4:], 16) / 255


def as_colour(values: np.ndarray) -> Colour:
    red, green, blue = (float(v) for v in np.clip(values, 0, 1))
    return red, green, blue


def between(choices: tuple[str, ...], at: float) -> np.ndarray:
    """Returns the interpolated colour at position 0-1 of an ordered list."""
    at = float(np.clip(at, 0, 1)) * (len(choices) - 1)
    low = min(int(at), len(choices) - 2)
    a, b = np.array(colour(choices[low])), np.array(colour(choices[low + 1]))
    return a + (at - low) * (b - a)


def brightness(values: np.ndarray | Colour) -> float:
    """Returns the luma of an sRGB colour, 0-1."""
    return float(np.asarray(values) @ [0.30, 0.59, 0.11])


def from_hsv(hue: float, saturation: float, value: float) -> np.ndarray:
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, value))


def apart(values: np.ndarray, other: np.ndarray | Colour, least: float) -> np.ndarray:
    """Returns `values` made lighter or darker until its luma differs from `other`'s by at least `least`."""
    base, other_luma = brightness(values), brightness(other)
    if abs(base - other_luma) >= least:
        return values
    up = (base >= other_luma and other_luma + least < 0.92) or other_luma - least < 0.08
    return with_luma(values, base, other_luma + least if up else other_luma - least)


def with_luma(values: np.ndarray, luma: float, target: float) -> np.ndarray:
    """Returns a colour or image of this mean luma, blended towards white or scaled down to the target luma."""
    if target > luma:
        return values + (1.0 - values) * (target - luma) / (1.0 - luma)
    return values * target / luma
