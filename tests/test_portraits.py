"""Photographs whose face is sideways, upside down, or cut by the border: the crop and the warnings."""

import functools

import numpy as np
import pytest
from PIL import Image

from demo_jax.checkpoint.load import BUNDLED
from demo_jax.errors import InputError
from demo_jax.faces.portrait import find_portrait
from demo_jax.sampling import portraits

pytest.importorskip("mediapipe")
data = pytest.importorskip("skimage.data")

SIZE = 96
SAYS = {1: "turned by 90 degrees clockwise", 2: "turned by 180 degrees", 3: "turned by 90 degrees counter-clockwise"}


@functools.cache
def astronaut() -> np.ndarray:
    """A face of 90 pixels, enlarged: smaller ones than 100 give a warning."""
    return np.asarray(Image.fromarray(data.astronaut()).resize((640, 640)))


def puppet() -> np.ndarray:
    face = Image.open(BUNDLED.parent / "portrait.png").convert("RGB").resize((300, 300))
    picture = Image.new("RGB", (400, 440), (120, 140, 160))
    picture.paste(face, (50, 70))
    return np.asarray(picture)


@pytest.mark.parametrize("picture", [astronaut, puppet])
def test_a_turned_portrait_is_turned_back_with_a_warning(picture):
    upright = find_portrait(picture(), SIZE)
    assert upright.quarters == 0 and upright.warnings == ()
    for quarters, says in SAYS.items():
        found = find_portrait(np.rot90(picture(), quarters), SIZE)
        assert found.quarters == (-quarters) % 4
        assert len(found.warnings) == 1 and "not upright" in found.warnings[0] and says in found.warnings[0]
        np.testing.assert_allclose(found.crop, upright.crop, atol=0.5)
        assert np.abs(found.image.astype(int) - upright.image).mean() < 1


def test_a_small_upside_down_face_in_a_wide_image(tmp_path):
    """The landmarker does not find it in the whole image, in any orientation."""
    small = np.asarray(Image.fromarray(astronaut()).resize((256, 256)))
    wide = np.full((512, 900, 3), 128, np.uint8)
    wide[200:456, 50:306] = small[::-1, ::-1]
    Image.fromarray(wide).save(tmp_path / "photo.png")
    warnings = []
    image = portraits.read_portrait(tmp_path / "photo.png", SIZE, warn=warnings.append).square
    assert len(warnings) == 2 and "only 4" in warnings[1] and "turned by 180 degrees" in warnings[0]
    upright = find_portrait(small, SIZE)
    assert np.abs(image.astype(int) - upright.image).mean() < 8  # cut out of another, but the same way up


@pytest.mark.parametrize("angle", [-30, 30])
def test_a_head_that_leans_is_left_as_it_is(angle):
    leaning = np.asarray(Image.fromarray(astronaut()).rotate(angle, Image.Resampling.BICUBIC, center=(279, 138)))
    found = find_portrait(leaning, SIZE)
    assert found.quarters == 0 and found.warnings == ()


def test_a_face_cut_by_the_border_gives_a_warning():
    left, right = 219, 331  # of the face's box, in columns
    for share in (0.0, 0.25, 0.45):
        edge = round(left + share * (right - left))
        found = find_portrait(astronaut()[:, edge:], SIZE)
        if share == 0:
            assert found.warnings == ()
            continue
        (text,) = found.warnings
        percent = int(text.partition("%")[0])
        assert "lies outside the portrait" in text and abs(percent / 100 - share) < 0.12, text


def test_an_image_without_a_face_is_refused_in_every_orientation():
    noise = np.random.default_rng(0).integers(0, 256, (150, 180, 3)).astype(np.uint8)
    with pytest.raises(InputError, match="no face was found"):
        find_portrait(noise, SIZE)
