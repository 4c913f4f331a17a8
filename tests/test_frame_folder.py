"""Frames as numbered PNG files: exact, marked, all or none."""

import numpy as np
import pytest
from PIL import Image

from demo_jax.errors import InputError
from demo_jax.media.files import remove_unfinished
from demo_jax.media.frame_folder import FrameFolder, check_frame_folder
from demo_jax.media.video_writer import SYNTHETIC

SIZE = (40, 56)


def noise(count: int, channels: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, *SIZE, channels), np.uint8)


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("exists", [False, True])
def test_frames_come_back_exactly_and_are_marked(tmp_path, alpha, exists):
    frames, path = noise(11, 4 if alpha else 3), tmp_path / "frames"
    if exists:
        path.mkdir()
    with FrameFolder(path, SIZE, metadata={"comment": "seed 3", "title": "Größe"}, alpha=alpha) as folder:
        for frame in frames:
            folder.write(frame)
    assert [p.name for p in sorted(path.iterdir())] == [f"{i:06d}.png" for i in range(1, 12)]
    for number, frame in enumerate(frames, 1):
        with Image.open(path / f"{number:06d}.png") as image:
            assert image.mode == ("RGBA" if alpha else "RGB")
            np.testing.assert_array_equal(np.asarray(image), frame)
            assert image.text == {"Description": SYNTHETIC, "Comment": "seed 3", "Title": "Größe"}
            assert image.info["srgb"] == 1


def test_copies_of_recordings_are_not_marked(tmp_path):
    with FrameFolder(tmp_path / "frames", SIZE, synthetic=False) as folder:
        folder.write(noise(1, 3)[0])
    with Image.open(tmp_path / "frames/000001.png") as image:
        assert image.text == {}


def test_folders_that_are_refused(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/000001.png").write_bytes(b"of another run")
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    for name, says in {
        "full": "is not empty; name a new or an empty folder",
        "file": "name another folder",
        "lost": "leads nowhere",
        "no/frames": "does not exist; make it first",
        "n" * 300: "too long",
        "a\0b": "cannot be the name",
    }.items():
        for make in (check_frame_folder, lambda path: FrameFolder(path, SIZE)):
            with pytest.raises(InputError, match=says) as caught:
                make(f"{tmp_path}/{name}")
            assert "\n" not in str(caught.value)
    assert (tmp_path / "full/000001.png").read_bytes() == b"of another run"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "full", "lost"]
    assert check_frame_folder(tmp_path / "new") == tmp_path / "new" and not (tmp_path / "new").exists()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("exists", [False, True])
def test_a_failure_leaves_nothing(tmp_path, error, exists):
    path = tmp_path / "frames"
    if exists:
        path.mkdir()

    def fail() -> None:
        with FrameFolder(path, SIZE) as folder:
            folder.write(noise(1, 3)[0])
            assert not list(path.glob("0*")) and len(list(tmp_path.rglob("000001.png"))) == 1
            if error is ValueError:
                folder.write(noise(1, 4)[0])  # of another shape
            raise error

    with pytest.raises(error):
        fail()
    assert path.exists() == exists and not list(path.glob("*"))


def write(path, count: int) -> FrameFolder:
    folder = FrameFolder(path, SIZE, metadata={"description": f"{SYNTHETIC} seed 3"})  # as the pipeline marks them
    for frame in noise(count, 3):
        folder.write(frame)
    return folder


@pytest.mark.parametrize("exists", [False, True])
def test_files_of_others_stay(tmp_path, exists):
    path = tmp_path / "frames"
    if exists:
        path.mkdir()
    folder = write(path, 1)
    path.mkdir(exist_ok=True)
    (path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty"):
        folder.close()
    assert [p.name for p in path.iterdir()] == ["notes.txt"] and list(tmp_path.iterdir()) == [path]


def test_frames_of_an_earlier_call_are_replaced_when_all_are_written(tmp_path):
    path = tmp_path / "frames"
    write(path, 3).close()
    failed = write(path, 2)
    assert len(list(path.glob("*.png"))) == 3
    failed.abort()
    assert len(list(path.glob("*.png"))) == 3
    write(path, 2).close()
    assert sorted(p.name for p in path.iterdir()) == ["000001.png", "000002.png"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_call_after_a_killed_one_begins_anew(tmp_path):
    for path in (tmp_path / "new", tmp_path / "empty"):
        if path.name == "empty":
            path.mkdir()
        write(path, 2)  # neither closed nor aborted
        write(path, 1).close()
        assert [p.name for p in path.iterdir()] == ["000001.png"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "new"]


def test_what_killed_calls_left_is_found(tmp_path):
    write(tmp_path / "a", 1), write(tmp_path / "b", 1)
    assert len(list(tmp_path.iterdir())) == 2
    remove_unfinished(tmp_path, "a")
    assert [p.name.split(".")[1] for p in tmp_path.iterdir()] == ["b"]


def test_pictures_that_were_not_generated_are_never_replaced(tmp_path):
    with FrameFolder(tmp_path / "mine", SIZE, synthetic=False) as folder:
        folder.write(noise(1, 3)[0])
    (tmp_path / "text").mkdir()
    (tmp_path / "text/000001.png").write_text("no picture")
    for name in ("mine", "text"):
        with pytest.raises(InputError, match="is not empty"):
            check_frame_folder(tmp_path / name)


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path):
    """Its name is taken by a folder, which root cannot write over either."""
    folder = write(tmp_path / "frames", 1)
    (next(tmp_path.glob(".frames*")) / "000002.png").mkdir()
    with pytest.raises(InputError, match="cannot be written"), folder:
        folder.write(noise(1, 3)[0])
    assert not list(tmp_path.iterdir())


def test_no_frames_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no frame was made"), FrameFolder(tmp_path / "frames", SIZE):
        pass
    assert not list(tmp_path.iterdir())
