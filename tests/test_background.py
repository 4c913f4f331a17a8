"""Backgrounds: nothing, a colour, or an image that covers the video."""

import numpy as np
import pytest
from PIL import Image

from demo_jax.errors import InputError
from demo_jax.media.background import parse_background


def test_transparent():
    background = parse_background("transparent")
    assert background.transparent and background.image(40, 60) is None


@pytest.mark.parametrize(("text", "colour"), [("#00B140", (0, 177, 64)), ("#ffffff", (255, 255, 255))])
def test_a_colour(text, colour):
    background = parse_background(text)
    image = background.image(40, 60)
    assert not background.transparent and image is not None
    np.testing.assert_array_equal(image, np.broadcast_to(np.array(colour, np.uint8), (40, 60, 3)))
    image[:] = 0  # the caller's own
    assert background.image(1, 1).tolist() == [[list(colour)]]


@pytest.mark.parametrize("size", [(60, 60), (30, 90), (90, 30), (240, 300)])
def test_an_image_covers_without_being_distorted(tmp_path, size):
    """The middle of a 120 x 80 image whose colour is its position; enlarged too, if need be."""
    y, x = np.mgrid[:80, :120]
    Image.fromarray(np.stack([x * 2, y * 2, 0 * x], -1).astype(np.uint8)).save(tmp_path / "wall.png")
    height, width = size
    image = parse_background(str(tmp_path / "wall.png")).image(height, width)
    assert image is not None and image.shape == (height, width, 3)
    scale = max(height / 80, width / 120)
    rows, columns = (np.arange(n) + 0.5 - n / 2 for n in size)
    wanted_x, wanted_y = 2 * (columns / scale + 60 - 0.5), 2 * (rows / scale + 40 - 0.5)
    inner = slice(3, -3)  # the kernel is cut at the borders
    np.testing.assert_allclose(image[0, inner, 0], wanted_x[inner], atol=2)
    np.testing.assert_allclose(image[inner, 0, 1], wanted_y[inner], atol=2)


def test_transparent_images_are_over_white(tmp_path):
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(tmp_path / "a.png")
    assert (parse_background(str(tmp_path / "a.png")).image(32, 32) == 255).all()


@pytest.mark.parametrize(
    "text", ["", "blue", "#12345", "#GGGGGG", "00B140", "#00B14000", "nowhere.png", "a\0b", "Transparent"]
)
def test_anything_else_is_told_the_three_forms(text):
    with pytest.raises(InputError, match=r"transparent, a colour such as #00B140 \(#RRGGBB\), or the name of an image"):
        parse_background(text)


def test_an_unreadable_image_keeps_its_own_reason(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="not an image in a known format"):
        parse_background(str(tmp_path / "a.png"))
    with pytest.raises(InputError, match="is not a file"):
        parse_background(str(tmp_path))
