"""Warnings of what hides a face: dark glasses and masks, painted on a public-domain photograph."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageDraw

from demo_jax.faces.landmarker import Face
from demo_jax.faces.obstruction import behind_dark_glasses, mouth_is_covered

pytest.importorskip("cv2")


@pytest.fixture(scope="module")
def photograph():
    return Image.open(Path(matplotlib.get_data_path()) / "sample_data/grace_hopper.jpg").convert("RGB")


@pytest.fixture(scope="module")
def face(photograph):
    pytest.importorskip("mediapipe")
    from demo_jax.errors import InputError
    from demo_jax.faces.landmarker import FaceFinder, find_model

    try:
        find_model()
    except InputError as error:
        pytest.skip(str(error))
    with FaceFinder(most=1) as find:
        return find(np.asarray(photograph))[0]


def at(face: Face, *indices: int) -> list[tuple[float, float]]:
    return [tuple(face.points[i, :2] * (1, -1)) for i in indices]


def test_a_face_in_clear_glasses_is_not_hidden(photograph, face):
    assert not behind_dark_glasses(np.asarray(photograph), face)
    assert not mouth_is_covered(np.asarray(photograph), face)


def test_dark_glasses_are_seen(photograph, face):
    painted = photograph.copy()
    draw = ImageDraw.Draw(painted)
    for first, last in ((33, 133), (362, 263)):
        (x0, y0), (x1, y1) = at(face, first, last)
        x, y, half = (x0 + x1) / 2, (y0 + y1) / 2, 0.2 * face.width
        draw.ellipse((x - half, y - 0.8 * half, x + half, y + 0.8 * half), fill=(25, 22, 20))
    assert behind_dark_glasses(np.asarray(painted), face)
    assert not mouth_is_covered(np.asarray(painted), face)


@pytest.mark.parametrize("colour", [(150, 190, 220), (20, 20, 22)])
def test_a_mask_is_seen(photograph, face, colour):
    painted = photograph.copy()
    outline = at(face, 234, 93, 132, 58, 172, 150, 152, 379, 397, 288, 361, 323, 454, 280, 5, 50)
    ImageDraw.Draw(painted).polygon(outline, fill=colour)
    assert mouth_is_covered(np.asarray(painted), face)
    assert not behind_dark_glasses(np.asarray(painted), face)
