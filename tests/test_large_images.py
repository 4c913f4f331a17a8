"""Photographs with their transparency, and reduced while they are read."""

import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin

from demo_jax.errors import InputError
from demo_jax.media import images
from demo_jax.media.images import read_image, read_image_with_alpha
from demo_jax.media.resize import fitted_size, resize_image

COLOUR = (200, 90, 40)
SIZE = (48, 40)  # width, height


def smooth(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 250 / width, y * 250 / height, 125 + 100 * np.sin(6 * x / width + y * 4 / height)], -1).astype(
        np.uint8
    )


def halves() -> np.ndarray:
    """Alpha [H, W]: 255, from column 24 on 64."""
    return np.tile(np.where(np.arange(SIZE[0]) < 24, 255, 64).astype(np.uint8), (SIZE[1], 1))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_alpha_is_kept_and_colours_are_straight(tmp_path, mode):
    alpha = halves()
    if mode == "P":
        image = Image.fromarray((alpha < 255).astype(np.uint8)).convert("P")
        image.putpalette([*COLOUR, *COLOUR])
        image.save(tmp_path / "a.png", transparency=bytes((255, 64)))
        colour = COLOUR
    else:
        colour = COLOUR if mode == "RGBA" else (90,)
        grey = np.full((*SIZE[::-1], len(colour)), colour, np.uint8)
        Image.fromarray(np.dstack([grey, alpha])).save(tmp_path / "a.png")
    image = read_image_with_alpha(tmp_path / "a.png")
    assert image.shape == (SIZE[1], SIZE[0], 4) and image.dtype == np.uint8
    np.testing.assert_array_equal(image[..., 3], alpha)
    assert (image[..., :3] == np.array(colour)).all()
    # read_image: the same over white.
    over = image[..., :3] * (alpha / 255)[..., None] + 255 - alpha[..., None].astype(float)
    np.testing.assert_allclose(read_image(tmp_path / "a.png"), over, atol=1)


def test_what_is_opaque_gets_an_alpha_of_255(tmp_path):
    for name, image in {
        "a.jpg": Image.fromarray(smooth(40, 48)),
        "a.tif": Image.new("CMYK", SIZE, (0, 255, 255, 0)),
    }.items():
        image.save(tmp_path / name)
        pixels = read_image_with_alpha(tmp_path / name)
        assert (pixels[..., 3] == 255).all()
        np.testing.assert_array_equal(pixels[..., :3], read_image(tmp_path / name))


def test_alpha_is_turned_with_the_image_and_profiles_apply_to_colours(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: shown a quarter turn clockwise
    image = Image.fromarray(np.dstack([np.full((*SIZE[::-1], 3), COLOUR, np.uint8), halves()]))
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.save(tmp_path / "a.png", exif=exif, icc_profile=lab)
    pixels = read_image_with_alpha(tmp_path / "a.png")
    assert pixels.shape == (48, 40, 4) and (pixels[:24, :, 3] == 255).all() and (pixels[24:, :, 3] == 64).all()
    assert np.abs(pixels[..., :3].astype(int) - COLOUR).max() <= 1


def stored(path: Path, image: Image.Image, orientation: int) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    if path.suffix == ".tif":
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[0x0112] = orientation
        image.save(path, tiffinfo=tags)
    else:
        image.save(path, exif=exif, **({"quality": 95} if path.suffix in (".jpg", ".webp") else {}))
    return path


def converted(mode: str) -> Image.Image:
    image = Image.fromarray(smooth(600, 803))
    if mode != "LAB":
        return image.convert(mode)
    profiles = (ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"))
    lab = ImageCms.profileToProfile(image, *profiles, outputMode="LAB")
    assert lab is not None
    return lab


FORMS = [("jpg", "RGB"), ("jpg", "CMYK"), ("png", "RGB"), ("png", "P"), ("png", "L"), ("webp", "RGB"), ("tif", "RGB"),
         ("tif", "RGBA"), ("tif", "CMYK"), ("tif", "LAB"), ("tif", "L"), ("tif", "I;16")]  # fmt: skip


@pytest.mark.parametrize(("suffix", "mode"), FORMS)
def test_reduced_while_read_is_what_reducing_afterwards_gives(tmp_path, suffix, mode):
    """Also of images that EXIF turns."""
    image = converted(mode)
    flat = read_image(stored(tmp_path / f"flat.{suffix}", image, 1))
    turned = stored(tmp_path / f"turned.{suffix}", image, 6)
    whole = read_image(turned)
    np.testing.assert_array_equal(whole, np.rot90(flat, -1))
    for longest in (100, 333, 803, 2000):
        wanted = resize_image(whole, longest)
        assert wanted.shape[:2] == fitted_size(803, 600, longest)
        # Rounded once more or less, and JPEG decoded at a fraction; a step of eight bits in LAB is several in sRGB.
        most = 8 if mode == "LAB" else 4
        for read in (read_image, read_image_with_alpha):
            found = read(turned, longest)[..., :3]
            assert found.shape == wanted.shape
            assert np.abs(found.astype(int) - wanted).max() <= most


def test_sixteen_bits_reduced(tmp_path):
    values = np.tile(np.linspace(0, 65535, 900), (500, 1)).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    small = read_image(tmp_path / "a.png", 90)
    assert small.shape == (50, 90, 3)
    np.testing.assert_allclose(small[25, 2:-2, 0], values[0].reshape(90, 10).mean(1)[2:-2] / 257, atol=1.01)


def test_transparency_reduced_has_no_halo(tmp_path):
    """White beside transparent black, at sizes on both sides of what is reduced in two steps."""
    image = np.zeros((600, 600, 4), np.uint8)
    image[:, 200:] = 255
    Image.fromarray(image).save(tmp_path / "a.png")
    for longest in (59, 151, 400):
        small = read_image_with_alpha(tmp_path / "a.png", longest)
        assert small.shape == (longest, longest, 4)
        seen = small[..., 3] >= 16
        assert small[..., :3][seen].min() >= 245
        assert abs(small[..., 3].mean() - 170) < 2
        assert read_image(tmp_path / "a.png", longest).min() >= 250  # white over white


def test_jpeg_files_are_decoded_reduced_and_none_is_copied_whole(tmp_path, monkeypatch):
    """Pillow's own memory is not Python's; of that, no more than the result and strips."""
    Image.fromarray(smooth(1500, 2000)).save(tmp_path / "a.jpg", quality=90)
    decoded: list[tuple[int, int]] = []
    upright = images._upright

    def recorded(image):
        decoded.append(image.size)
        return upright(image)

    monkeypatch.setattr(images, "_upright", recorded)
    assert read_image(tmp_path / "a.jpg", 200).shape == (150, 200, 3)
    assert decoded == [(500, 375)]  # a quarter; an eighth would be less than twice the size
    tracemalloc.start()
    whole = read_image(tmp_path / "a.jpg")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert whole.shape == (1500, 2000, 3) and peak < 2.2 * whole.nbytes


def test_the_size_limit_is_that_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_IMAGE_PIXELS", 10_000)
    Image.fromarray(smooth(120, 120)).save(tmp_path / "a.jpg")
    with pytest.raises(InputError, match="too large"):
        read_image(tmp_path / "a.jpg", 50)


@pytest.mark.parametrize("alpha", [False, True])
def test_heic_reduced_and_turned(tmp_path, alpha):
    pillow_heif = pytest.importorskip("pillow_heif")
    image = np.dstack([smooth(300, 400), np.full((300, 400), 255, np.uint8)])
    if alpha:
        image[:, 200:, 3] = 0
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image if alpha else image[..., :3].copy()).save(
        tmp_path / "a.heic", quality=95, exif=exif.tobytes()
    )
    found = read_image_with_alpha(tmp_path / "a.heic", 100)
    wanted = np.rot90(resize_image(image, 100), -1).astype(int)
    assert found.shape == (100, 75, 4)
    seen = wanted[..., 3] > 128
    assert np.abs(found[..., :3].astype(int) - wanted[..., :3])[seen].max() <= 8
    assert np.abs(found[..., 3].astype(int) - wanted[..., 3]).mean() < 3


def test_heic_without_the_extra_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(4) + b"mif1heic" + bytes(100))
    with pytest.raises(InputError, match=r"pip install 'demo_jax\[heif\]'"):
        read_image_with_alpha(tmp_path / "a.heic", 100)
