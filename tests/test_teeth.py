"""The colour of drawn teeth is that of the portrait's own, where it shows them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from demo_jax.rendering import mouth

SKIN, LIPS, ENAMEL = np.array([190.0, 140.0, 115.0]), (170, 80, 80), (214, 196, 160)
UNIT = 200.0
INSIDE = np.array([(70, 100), (85, 92), (100, 90), (115, 92), (130, 100), (115, 108), (100, 110), (85, 108)], float)


def portrait(*inside: tuple[int, int, int]) -> np.ndarray:
    """A face of skin with lips, and between them equal bands of colours from above."""
    image = Image.new("RGB", (200, 200), tuple(SKIN.astype(int)))
    draw = ImageDraw.Draw(image)
    draw.ellipse((60, 80, 140, 120), fill=LIPS)
    array, mask = np.asarray(image).copy(), Image.new("L", image.size)
    ImageDraw.Draw(mask).polygon([tuple(p) for p in INSIDE], fill=1)
    band = np.linspace(0, len(inside) - 1e-6, 21).astype(int)[np.clip(np.arange(200) - 90, 0, 20)]
    colours = np.array(inside, np.uint8)[band][:, None].repeat(200, 1)
    return np.where(np.asarray(mask)[..., None] > 0, colours, array)


def test_teeth_that_are_shown_give_their_colour():
    for image in (portrait(ENAMEL), portrait(ENAMEL, ENAMEL, (40, 16, 16))):
        np.testing.assert_allclose(mouth.own_teeth(image, INSIDE, SKIN, UNIT), ENAMEL)


@pytest.mark.parametrize("inside", [(40, 16, 16), (168, 82, 78), (90, 86, 84)], ids=["dark", "tongue", "shadow"])
def test_what_is_no_tooth_gives_none(inside):
    assert mouth.own_teeth(portrait(inside), INSIDE, SKIN, UNIT) is None


def test_closed_lips_give_none():
    closed = np.column_stack([INSIDE[:, 0], np.full(len(INSIDE), 100.0)])
    assert mouth.own_teeth(portrait(ENAMEL), closed, SKIN, UNIT) is None
