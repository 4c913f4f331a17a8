"""Photographs from file to video: what is shown, in which size, how often. With a small model of random parameters."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny_model
from media_files import decoded
from PIL import Image

from demo_jax import sample
from demo_jax.checkpoint.load import LoadedModel
from demo_jax.errors import InputError
from demo_jax.media import audio, video
from demo_jax.media.background import parse_background
from demo_jax.media.probe import read_facts
from demo_jax.sampling import pipeline
from demo_jax.sampling.drawing import Drawer
from demo_jax.sampling.pipeline import Pipeline
from demo_jax.sampling.portraits import Portrait, View

pytest.importorskip("mediapipe", reason="finding faces needs the prepare extra")
SIZE = (151, 129)  # of the photograph: odd height and width


def with_people(model: LoadedModel, factor: float) -> LoadedModel:
    """Its parameters for people are multiples of its own."""
    params = jax.tree.map(lambda a: factor * a, model.autoencoder_params)
    people = dataclasses.replace(model, autoencoder_params=params, flow=None, flow_params=None, space=None, people=None)
    return dataclasses.replace(model, people=people)


@pytest.fixture(scope="module")
def demo() -> Pipeline:
    """With parameters of its own for people."""
    model = tiny_model.model()
    return Pipeline(with_people(model, 1.1))


@pytest.fixture(scope="module")
def large() -> np.ndarray:
    """The public-domain portrait that comes with matplotlib, [600, 512, 3]."""
    matplotlib = pytest.importorskip("matplotlib")
    with Image.open(Path(matplotlib.get_data_path()) / "sample_data/grace_hopper.jpg") as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture(scope="module")
def photograph(large: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(large).resize(SIZE[::-1], Image.Resampling.LANCZOS))


@pytest.fixture
def desk(tmp_path: Path, photograph: np.ndarray, demo: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the photograph, where sample.py uses the small model."""
    Image.fromarray(photograph).save(tmp_path / "me.png")
    monkeypatch.setattr(pipeline, "load", lambda path=None: demo)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*flags: str, seconds: float = 0.2) -> int:
    try:
        return sample.main(["--portrait", "me.png", "--silence", str(seconds), "--steps", "1", *flags])
    except SystemExit as stop:
        return stop.code


def frames_in(folder: Path) -> list[np.ndarray]:
    return [np.asarray(Image.open(file)) for file in sorted(folder.glob("*.png"))]


def test_the_whole_photograph_is_shown_and_comes_first(desk, photograph):
    assert run("--out", "a.mp4", "--frames", "frames") == 0
    info, frames = video.read_video(desk / "a.mp4")
    assert (info.height, info.width) == (152, 130)  # colours have half the size: a row and a column are repeated
    assert len(list(frames)) == 5
    made = frames_in(desk / "frames")
    assert len(made) == 5 and made[0].shape == (*SIZE, 3)
    np.testing.assert_array_equal(made[0], photograph)  # motion begins at the portrait
    assert all((frame != photograph).any() for frame in made[1:])
    assert (desk / "a_track.npz").exists() and (desk / "a_track.csv").exists()


def test_only_the_square_around_the_face(desk):
    assert run("--out", "a.mp4", "--square", "--size", "96") == 0
    info, _ = video.read_video(desk / "a.mp4")
    assert (info.height, info.width) == (96, 96)


def test_another_colour_behind(desk):
    assert run("--out", "a.mp4", "--background", "#00ff00", "--frames", "frames") == 0
    for frame in frames_in(desk / "frames"):
        np.testing.assert_array_equal(frame[:10, :5], np.broadcast_to((0, 255, 0), (10, 5, 3)))


def test_nothing_behind(desk, capsys):
    assert run("--out", "a.mp4", "--background", "transparent") == 2
    assert ".webm" in capsys.readouterr().err
    assert run("--out", "a.webm", "--background", "transparent", "--frames", "frames") == 0
    for frame in frames_in(desk / "frames"):
        assert frame.shape == (*SIZE, 4)
        assert (frame[:10, :5, 3] == 0).all() and frame[60, 64, 3] == 255  # a corner, and the face
    shown = decoded(desk / "a.webm")
    assert len(shown) == 5 and shown[:, 3, 3, 3].max() < 3 and shown[:, 60, 64, 3].min() > 252


def test_other_frame_rates(desk):
    audio.write_wav(desk / "me.wav", tiny_model.speech(7))
    code = sample.main(
        ["--portrait", "me.png", "--audio", "me.wav", "--out", "a.mp4", "--steps", "1", "--fps", "30", "--frames", "f"]
    )
    assert code == 0
    assert len(frames_in(desk / "f")) == 9  # 0.28 s at 30
    facts = read_facts(desk / "a.mp4", "video")
    assert facts.audio is not None
    assert len(audio.read_audio(desk / "a.mp4")) == pytest.approx(7 * 640, abs=700)  # and a packet of AAC
    track = np.load(desk / "a_track.npz")
    assert len(track["codes"]) == 7  # tracks have 25 a second


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--face", "3"], "face 3: the portrait shows 1; they are counted from the left, from 1."),
        (["--face", "0"], "face 0: faces are counted from 1, from the left."),
        (["--size", "10"], "size 10: the longer side of a video has 32 to 2160 pixels."),
        (["--size", "5000"], "size 5000: the longer side of a video has 32 to 2160 pixels."),
        (["--fps", "24"], "24 frames a second are not possible; choose one of 25, 30, 50, 60."),
        (["--background", "green"], "background 'green' is none of the three"),
        (["--face-model", "no.task"], "face model no.task does not exist; name a face_landmarker.task file."),
    ],
)
def test_what_is_not_possible_is_refused_in_a_sentence(desk, capsys, flags, says):
    assert run("--out", "a.mp4", *flags) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and says in error and "\n" not in error
    assert sorted(file.name for file in desk.iterdir()) == ["me.png"]


def test_one_of_several_faces(desk, demo, photograph):
    Image.fromarray(np.concatenate([photograph, photograph[:, ::-1]], 1)).save(desk / "two.png")
    chosen = {}
    for which in (None, 1, 2):
        warnings: list[str] = []
        chosen[which] = demo.read_portrait("two.png", view=View(face=which), warn=warnings.append)
        assert any("shows 2 faces" in text for text in warnings) == (which is None)
        if which is None:
            (text,) = [text for text in warnings if "shows 2 faces" in text]
            largest = 1 if chosen[None].face.centre[0] < SIZE[1] else 2
            assert f"number {largest} from the left" in text and "--face" in text
    assert chosen[1].face.centre[0] < SIZE[1] < chosen[2].face.centre[0]
    assert (chosen[1].square != chosen[2].square).any()
    assert chosen[1].image.shape == (SIZE[0], 2 * SIZE[1], 3)


# Sizes --------------------------------------------------------------------------------------------------------------


def test_sizes_of_videos():
    assert View().fit(600, 512) == (600, 512)
    assert View().fit(6000, 9000) == (1080, 1620)
    assert View().fit(400, 12000) == (64, 1920)
    assert View().fit(9000, 600) == (1920, 128)
    assert View(size=2160).fit(6000, 9000) == (1440, 2160)
    assert View(size=2160).fit(300, 200) == (300, 200)  # never enlarged
    assert View(size=100).fit(300, 200) == (100, 67)


def test_a_very_wide_photograph_is_reduced(desk, demo, large):
    wide = np.full((700, 7000, 3), 128, np.uint8)
    wide[50:650, 3000:3512] = large
    Image.fromarray(wide).save(desk / "wide.png", compress_level=1)
    portrait = demo.read_portrait("wide.png", warn=lambda text: None)
    assert portrait.image.shape == (192, 1920, 3)
    assert 3000 < portrait.face.centre[0] * 7000 / 1920 < 3512
    assert portrait.square.shape == (tiny_model.SIZE, tiny_model.SIZE, 3)


# Given squares ------------------------------------------------------------------------------------------------------

CROP = [12, 5, 105]


def test_the_square_may_be_given(desk, demo):
    (desk / "me.json").write_text(json.dumps({"crop": CROP}))
    warnings: list[str] = []
    portrait = demo.read_portrait("me.png", warn=warnings.append)
    assert warnings == [] and portrait.face is not None and portrait.image.shape == (*SIZE, 3)
    square = np.asarray(Image.open("me.png").crop((12, 5, 117, 110)).resize((32, 32), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(portrait.square, square)
    corner = portrait.crop @ (12, 5, 1)
    np.testing.assert_allclose(corner[:2], 0, atol=1e-4)
    with pytest.raises(InputError, match=r"face 1: the square around the face of me\.png is given; leave --face out"):
        demo.read_portrait("me.png", view=View(face=1))


def test_a_missing_face_model_is_named_with_a_given_square_too(desk, capsys):
    (desk / "me.json").write_text(json.dumps({"crop": CROP}))
    assert run("--out", "a.mp4", "--face-model", "no.task") == 2
    assert "face model no.task does not exist" in capsys.readouterr().err


def test_a_given_square_in_a_photograph_that_is_reduced(desk, demo, large):
    """Its numbers are pixels of the file."""
    wide = np.full((700, 7000, 3), 128, np.uint8)
    wide[50:650, 6400:6912] = large
    Image.fromarray(wide).save(desk / "wide.png", compress_level=1)
    (desk / "wide.json").write_text(json.dumps({"crop": [6450, 70, 420]}))
    portrait = demo.read_portrait("wide.png", warn=lambda text: None)
    assert portrait.image.shape == (192, 1920, 3)
    given = np.asarray(Image.fromarray(large).crop((50, 20, 470, 440)).resize((32, 32), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(portrait.square, given)
    assert portrait.face is not None and 6400 < portrait.face.centre[0] * 7000 / 1920 < 6912


def test_the_network_reads_what_the_landmarker_cannot(desk, demo):
    """Noise, in a square that is given: the video is made, with a warning."""
    noise = np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    Image.fromarray(noise).save(desk / "noise.png")
    (desk / "noise.json").write_text(json.dumps({"crop": CROP}))
    warnings: list[str] = []
    portrait = demo.read_portrait("noise.png", warn=warnings.append)
    assert portrait.face is None and len(warnings) == 1 and "the network alone reads the face" in warnings[0]
    source = demo.source(portrait)
    first, last = demo.drawer.frames(source, np.stack([source.code, source.code + 0.5]))
    np.testing.assert_array_equal(first, noise)
    assert last.shape == noise.shape


def test_a_small_square_in_a_photograph_is_no_reason_to_show_it_alone(desk, demo, photograph):
    (desk / "me.json").write_text(json.dumps({"crop": [50, 50, 30]}))
    portrait = demo.read_portrait("me.png", warn=lambda text: None)
    np.testing.assert_array_equal(portrait.image, photograph)


def test_people_and_puppets_have_parameters_of_their_own(desk, demo):
    people, puppets = Drawer(demo.model.people), Drawer(dataclasses.replace(demo.model, people=None))
    portrait = demo.read_portrait("me.png", warn=lambda text: None)
    source, square = demo.source(portrait), tiny_model.portrait()
    np.testing.assert_array_equal(source.code, people.source(portrait).code)
    codes = np.stack([source.code, source.code + 0.5])
    (_, ours), (_, theirs), (_, others) = (d.frames(source, codes) for d in (demo.drawer, people, puppets))
    np.testing.assert_array_equal(ours, theirs)
    assert (ours != others).any()
    np.testing.assert_array_equal(demo.encode_source(square)[1], puppets.encode(square)[1])
    np.testing.assert_array_equal(demo.source(square).code, puppets.encode(square)[1])
    for person, drawer in ((True, people), (False, puppets)):
        read = demo.drawer.read_motion(square[None], person)
        np.testing.assert_array_equal(read, drawer.read_motion(square[None]))
    assert demo.model_fingerprint != Pipeline(dataclasses.replace(demo.model, people=None)).model_fingerprint


def test_whatever_the_network_reads_lies_in_the_photograph(demo, photograph):
    """Its parameters are random: it may read a face far outside."""
    scale = tiny_model.SIZE / CROP[2]
    crop = np.array([[scale, 0, -CROP[0] * scale], [0, scale, -CROP[1] * scale], [0, 0, 1]])
    portrait = Portrait(square=tiny_model.portrait(), image=photograph, crop=crop)
    drawer = Drawer(with_people(demo.model, 30))
    source = drawer.source(portrait)
    made = source.photograph
    assert made is not None and made.height > 0 and made.width > 0
    np.testing.assert_array_equal(made.image, photograph)


def test_a_photograph_with_a_transparent_background_is_shown_over_white(desk, demo, photograph):
    alpha = np.full(SIZE, 255, np.uint8)
    alpha[:, :20], alpha[:, 20:30] = 0, 128
    Image.fromarray(np.dstack([photograph, alpha])).save(desk / "cut.png")
    source = demo.source(demo.read_portrait("cut.png", warn=lambda text: None))
    assert not source.alpha
    (frame,) = demo.drawer.frames(source, np.asarray(source.code)[None])
    assert (frame[:, :20] == 255).all()
    np.testing.assert_array_equal(frame[:, 30:], photograph[:, 30:])
    transparent = View(background=parse_background("transparent"))
    source = demo.source(demo.read_portrait("cut.png", view=transparent, warn=lambda text: None))
    (frame,) = demo.drawer.frames(source, np.asarray(source.code)[None])
    np.testing.assert_array_equal(frame[..., 3], alpha)


# Many, and live -----------------------------------------------------------------------------------------------------


def test_photographs_and_puppets_in_one_batch(desk, photograph, capsys):
    Image.fromarray(tiny_model.portrait()).save(desk / "puppet.png")
    (desk / "puppet.json").write_text('{"cropped": true, "corpus": "puppet"}')
    rows = [
        {"portrait": "me.png", "out": "0.mp4", "frames": "whole"},
        {"portrait": "puppet.png", "out": "1.mp4"},
        {"portrait": "me.png", "out": "2.mp4", "size": 140, "background": "#0000ff", "fps": 50, "frames": "blue"},
        {"portrait": "me.png", "out": "3.webm", "background": "transparent"},
        {"portrait": "puppet.png", "out": "4.mp4", "size": 100},
        {"portrait": "me.png", "out": "5.mp4", "fps": 0},
        {"portrait": "me.png", "out": "6.mp4", "size": "large"},
        {"portrait": "me.png", "out": "7.mp4", "background": "no.png"},
    ]
    lines = [json.dumps({"silence": 0.2, "steps": 1} | row) for row in rows]
    (desk / "jobs.jsonl").write_text("\n".join(lines))
    assert sample.main(["--manifest", "jobs.jsonl", "--out", "out"]) == 1
    assert "4 done, 4 failed" in capsys.readouterr().out
    errors = {
        row["line"]: row.get("error", "") for row in map(json.loads, Path("out/results.jsonl").read_text().splitlines())
    }
    assert [bool(errors[line]) for line in range(1, 9)] == [False] * 4 + [True] * 4
    wrong = {5: "size, background and face", 6: "0 frames a second", 7: "not a whole number", 8: "none of"}
    assert all(says in errors[line] for line, says in wrong.items())
    sizes = [video.read_video(desk / "out" / name)[0] for name in ("0.mp4", "1.mp4", "2.mp4")]
    assert [(info.height, info.width) for info in sizes] == [(152, 130), (32, 32), (140, 120)]
    whole, blue = frames_in(desk / "out/whole"), frames_in(desk / "out/blue")
    assert len(whole) == 5 and len(blue) == 10
    np.testing.assert_array_equal(whole[0], photograph)
    np.testing.assert_array_equal(blue[3][:4, :4], np.broadcast_to((0, 0, 255), (4, 4, 3)))
    Path("out/0.mp4").unlink()  # as if the call had been killed before it had its name
    (desk / "jobs.jsonl").write_text(lines[0])
    assert sample.main(["--manifest", "jobs.jsonl", "--out", "out"]) == 0
    assert len(frames_in(desk / "out/whole")) == 5
    assert run("--out", "alone.mp4", "--frames", "alone") == 0
    for a, b in zip(whole, frames_in(desk / "alone"), strict=True):
        assert np.abs(a.astype(int) - b).mean() < 0.1  # sums in another order move few positions by 1/32 pixel


def test_a_stream_shows_the_photograph(desk, photograph, capsys):
    assert run("--out", "live.mp4", "--stream", seconds=0.5) == 0
    assert "12 frames" in capsys.readouterr().out
    info, frames = video.read_video(desk / "live.mp4")
    assert (info.height, info.width) == (150, 128)  # a stream leaves out an odd row and column
    first = next(frames)
    assert np.abs(first.astype(int) - photograph[:150, :128]).mean() < 4  # coded
    assert run("--out", "live.mp4", "--stream", "--background", "transparent") == 2
    assert "cannot be transparent" in capsys.readouterr().err
