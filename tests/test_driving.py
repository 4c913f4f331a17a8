"""Difficult driving videos: several people, cuts, and frames without a face, made from a moving photograph."""

import functools
from pathlib import Path

import numpy as np
import pytest
import tiny_model
from PIL import Image

from demo_jax.errors import InputError
from demo_jax.faces.driving import face_frames, fill_gaps, find_gaps
from demo_jax.media.video_writer import VideoWriter
from demo_jax.sampling import inputs
from demo_jax.sampling.controls import Controls, resolve
from demo_jax.sampling.pipeline import Pipeline

pytest.importorskip("mediapipe")
data = pytest.importorskip("skimage.data")

SIZE = 64
FRAMES = 36
GREY = np.full((200, 200, 3), 110, np.uint8)


@functools.cache
def person() -> np.ndarray:
    """Head and shoulders, [200, 200, 3]."""
    return np.asarray(Image.fromarray(data.astronaut()[:256, 96:352]).resize((200, 200)))


def other() -> np.ndarray:
    """A distinguishable second person: mirrored and green."""
    return person()[:, ::-1] // np.array([3, 1, 3], np.uint8)


def beside(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.concatenate([left, right], 1)


def enlarged(image: np.ndarray, side: int) -> np.ndarray:
    """Made `side` pixels wide and high, with its edge repeated to the size that it had."""
    more = len(image) - side
    return np.pad(np.asarray(Image.fromarray(image).resize((side, side))), ((0, more), (0, more), (0, 0)), mode="edge")


def write(path: Path, frames: list[np.ndarray]) -> Path:
    with VideoWriter(path, frames[0].shape[:2], synthetic=False) as video:
        for frame in frames:
            video.write(frame)
    return path


def read(path: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    warnings: list[str] = []
    rows = list(face_frames(path, SIZE, warn=warnings.append))
    return np.stack([image for image, _ in rows]), np.array([seen for _, seen in rows]), warnings


def is_other(images: np.ndarray) -> np.ndarray:
    """[T] whether the green one is in the middle of the square."""
    middle = images[:, 24:40, 24:40].astype(float).mean((1, 2))
    return middle[:, 1] > 2 * middle[:, 0]


def test_an_ordinary_video_gives_no_warning(tmp_path):
    images, seen, warnings = read(write(tmp_path / "a.mp4", [person()] * 10))
    assert seen.all() and len(images) == 10 and warnings == []


def test_one_of_two_people_is_followed_throughout(tmp_path):
    """Each in turn comes nearer to the camera, so that now one face is the larger, now the other."""
    frames = []
    for t in range(FRAMES):
        near = round(10 * np.sin(2 * np.pi * t / 18))
        sides = 190 + near, 190 - near
        frames.append(beside(*(enlarged(who(), s) for who, s in zip((person, other), sides, strict=True))))
    images, seen, warnings = read(write(tmp_path / "pair.mp4", frames))
    assert len(images) == FRAMES and seen.mean() > 0.9
    assert is_other(images[seen]).mean() in (0.0, 1.0)
    assert len(warnings) == 1 and "shows several faces in 100% of its frames" in warnings[0]


def test_only_the_part_before_a_cut_to_someone_else_counts(tmp_path):
    frames = [beside(person(), GREY)] * 15 + [beside(GREY, other())] * 20
    images, seen, warnings = read(write(tmp_path / "cut.mp4", frames))
    assert len(images) == 15 and seen.all() and not is_other(images).any()
    assert len(warnings) == 1 and "cuts to another shot at 0.60 s" in warnings[0]
    assert "from 0.00 to 0.60 s is used" in warnings[0]


def test_a_title_before_the_first_face_is_a_gap(tmp_path):
    images, seen, warnings = read(write(tmp_path / "title.mp4", [GREY] * 12 + [person()] * 18))
    np.testing.assert_array_equal(seen, np.arange(30) >= 12)
    assert len(images) == 30 and len(warnings) == 1 and "no face in 40% of its frames (0.00-0.48 s)" in warnings[0]


def test_a_person_who_walks_out_drives_while_seen(tmp_path):
    frames = [person()] * 14 + [GREY] * 20
    images, seen, warnings = read(write(tmp_path / "out.mp4", frames))
    assert len(images) == 14 and seen.all()
    assert len(warnings) == 1 and "no face in 59% of its frames (0.56-1.36 s)" in warnings[0]


@pytest.mark.parametrize("cover", ["box", "cutaway"])
def test_a_face_covered_in_the_middle_third_is_a_named_gap(tmp_path, cover):
    covered = person().copy() if cover == "box" else GREY
    covered[:150] = 110
    images, seen, warnings = read(write(tmp_path / "a.mp4", [person()] * 12 + [covered] * 12 + [person()] * 12))
    np.testing.assert_array_equal(seen, (np.arange(36) < 12) | (np.arange(36) >= 24))
    assert len(images) == 36 and len(warnings) == 1
    assert "no face in 33% of its frames (0.48-0.96 s)" in warnings[0] and "generated" in warnings[0]


def test_a_video_with_hardly_a_face_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"a face was found in \d+% of its frames"):
        read(write(tmp_path / "a.mp4", [GREY] * 20))


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "avif", "mp4"])
def test_the_portrait_itself_drives_nothing(tmp_path, suffix):
    """An AVIF is a video to ffmpeg, and with the portrait's sidecar its one frame would be taken as it is."""
    Image.fromarray(person()).save(tmp_path / f"me.{suffix}", "PNG" if suffix == "mp4" else None)
    (tmp_path / "me.json").write_text('{"cropped": true}')
    with pytest.raises(InputError, match=r"me\.\w+ is an image, not a video; give a video"):
        next(inputs.driving_frames(tmp_path / f"me.{suffix}", SIZE)[0])
    write(tmp_path / "me.mp4", [person()] * 3)
    frames, of_person = inputs.driving_frames(tmp_path / "me.mp4", SIZE)
    assert len(list(frames)) == 3 and not of_person


def test_motion_is_free_where_the_video_shows_no_face(tmp_path):
    """A person who is covered for a while drives the head before and after, and nothing between."""
    demo, warnings = Pipeline(tiny_model.model()), []
    path = write(tmp_path / "a.mp4", [person()] * 8 + [GREY] * 8 + [person()] * 4)
    drives = demo.read_drive([f"+pose={path}"], warn=warnings.append)
    assert len(warnings) == 1 and "no face in 40% of its frames (0.32-0.64 s)" in warnings[0]
    known = np.isfinite(drives["pose"].codes).all(1)
    np.testing.assert_array_equal(known, (np.arange(20) < 8) | (np.arange(20) >= 16))
    pose, code = demo.layout.slices["pose"], np.full(demo.layout.size, 0.1, np.float32)
    given = resolve(Controls(drive=drives), code, 24, demo.layout)
    np.testing.assert_array_equal(given.mask[:, pose].all(1), np.append(known, [False] * 4))
    np.testing.assert_allclose(given.values[0, pose], code[pose], rtol=1e-6)
    assert np.isfinite(given.values).all()


def test_short_gaps_are_interpolated_and_long_ones_free():
    codes = np.stack([np.arange(20.0), -2 * np.arange(20.0)], 1).astype(np.float32)
    found = np.ones(20, bool)
    found[[0, 3, 4, 10, 11, 12, 13, 14, 15, 19]] = False
    assert find_gaps(found) == [(0, 1), (3, 5), (10, 16), (19, 20)]
    filled = fill_gaps(np.where(found[:, None], codes, 99).astype(np.float32), found)
    free = np.isin(np.arange(20), [0, 10, 11, 12, 13, 14, 15, 19])
    np.testing.assert_array_equal(np.isnan(filled).all(1), free)
    np.testing.assert_allclose(filled[~free], codes[~free], rtol=1e-6)
    assert filled.dtype == np.float32
