"""Transparent video: colours and alpha as they were written, straight, in webm."""

from pathlib import Path

import av
import numpy as np
import pytest
from media_files import decoded

from demo_jax.errors import InputError
from demo_jax.media import video as video_files
from demo_jax.media.encoding import check_video_output
from demo_jax.media.probe import read_facts
from demo_jax.media.video_writer import SYNTHETIC, VideoWriter

SIZE = (96, 128)


def disc(t: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """RGBA: a soft disc that moves; colours go on where it is transparent."""
    y, x = np.mgrid[: size[0], : size[1]]
    alpha = np.clip((30 - np.hypot(x - 40 - 2 * t, y - 48)) / 6, 0, 1)
    colours = np.stack([x * 200 / size[1] + 30, y * 200 / size[0] + 20, np.full(x.shape, 90)], -1)
    return np.dstack([colours, alpha * 255]).round().astype(np.uint8)


def write(path: Path, frames: list[np.ndarray], **options) -> None:
    with VideoWriter(path, frames[0].shape[:2], alpha=frames[0].shape[-1] == 4, **options) as video:
        for frame in frames:
            video.write(frame)


def test_colours_and_alpha_come_back_straight(tmp_path):
    frames = [disc(t) for t in range(10)]
    write(tmp_path / "a.webm", frames)
    shown = decoded(tmp_path / "a.webm").astype(int)
    assert shown.shape == (10, *SIZE, 4)
    error = np.abs(shown - np.stack(frames))
    # crf 15: a level on average. Multiplied by alpha, colours would be 0 where alpha is, and not up to 230.
    assert error[..., :3].mean() < 2 and error[..., :3].max() < 16
    assert error[..., 3].mean() < 0.5 and error[..., 3].max() < 20
    inside, outside = np.stack(frames)[..., 3] == 255, np.stack(frames)[..., 3] == 0
    assert np.median(shown[..., 3][inside]) == 255 and np.median(shown[..., 3][outside]) == 0


def test_a_still_mask_is_opaque_and_transparent_to_the_end(tmp_path):
    frame = disc(5)
    frame[..., 3] = np.where(np.arange(SIZE[1]) < 64, 255, 0)
    write(tmp_path / "a.webm", [frame] * 12)
    alpha = decoded(tmp_path / "a.webm")[..., 3]
    assert alpha[:, :, :48].min() >= 253 and alpha[:, :, 80:].max() <= 2  # a block away from the edge
    assert np.median(alpha[-1, :, :48]) == 255 and np.median(alpha[-1, :, 80:]) == 0


def test_odd_sizes(tmp_path):
    frames = [disc(t, (95, 127)) for t in range(2)]
    write(tmp_path / "a.webm", frames)
    shown = decoded(tmp_path / "a.webm")
    assert shown.shape[1:] == (96, 128, 4)
    assert np.abs(shown[0, :95, :127].astype(int) - frames[0]).mean() < 2


def test_alpha_and_colours_can_be_decoded_from_a_key_frame(tmp_path):
    """Players seek to key frames of the colours; alpha has one there too."""
    frames = [disc(t % 20) for t in range(5 * 25 + 4)]
    frames[60:70] = [255 - f for f in frames[60:70]]  # a cut, where an encoder would like a key frame
    write(tmp_path / "a.webm", frames)
    with av.open(str(tmp_path / "a.webm")) as container:
        keys = [p.pts * p.time_base for p in container.demux(video=0) if p.is_keyframe and p.size]
    assert keys == [0, 5]
    late = decoded(tmp_path / "a.webm", "-ss", "5").astype(int)
    assert len(late) == 4
    assert np.abs(late - np.stack(frames[-4:])).mean((0, 1, 2)).max() < 2


@pytest.mark.parametrize("alpha", [True, False])
def test_tags_of_webm(tmp_path, alpha):
    frame = np.full((*SIZE, 3), (200, 60, 40), np.uint8)
    frames = [np.dstack([frame, np.full(SIZE, 255, np.uint8)]) if alpha else frame] * 2
    write(tmp_path / "a.webm", frames, waveform=np.zeros(1280, np.int16), metadata={"comment": "Ähnlich; seed 3"})
    track = read_facts(tmp_path / "a.webm", "video").video
    assert track is not None and (track.matrix, track.primaries, track.transfer) == (1, 1, 1)  # BT.709
    assert np.abs(next(video_files.read_video(tmp_path / "a.webm")[1]).astype(int) - frame).max() <= 3
    with av.open(str(tmp_path / "a.webm")) as container:
        tags = {name.lower(): value for name, value in container.metadata.items()}
        assert container.streams.audio[0].codec_context.name == "opus"
        assert container.streams.video[0].codec_context.name == "vp9"
        assert (container.streams.video[0].metadata.get("alpha_mode") == "1") == alpha
    assert tags["title"] == "Synthetic media" and tags["description"] == SYNTHETIC
    assert tags["comment"] == "Ähnlich; seed 3"


@pytest.mark.parametrize("name", ["a.mp4", "a.MOV", "a.mkv"])
def test_formats_without_transparency_are_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"cannot be transparent; give a name in \.webm, or a background"):
        VideoWriter(tmp_path / name, SIZE, alpha=True)
    assert check_video_output(tmp_path / name) == tmp_path / name
    assert not list(tmp_path.iterdir())


def test_unknown_endings_name_those_that_work(tmp_path):
    with pytest.raises(InputError, match=r"must end in one of \.webm\."):
        check_video_output(tmp_path / "a.avi", alpha=True)
    with pytest.raises(InputError, match=r"must end in one of \.mp4, .*\.webm\."):
        check_video_output(tmp_path / "a.avi")


@pytest.mark.parametrize("alpha", [True, False])
def test_a_frame_of_another_shape_leaves_nothing(tmp_path, alpha):
    video = VideoWriter(tmp_path / "a.webm", SIZE, waveform=np.zeros(64_000, np.int16), alpha=alpha)
    video.write(disc(0)[..., : 4 if alpha else 3])
    with pytest.raises(ValueError, match=rf"not uint8\(96, 128, {4 if alpha else 3}\)"), video:
        video.write(disc(0)[..., : 3 if alpha else 4])
    assert not list(tmp_path.iterdir())


def test_ffmpegs_failure_is_one_sentence_and_leaves_nothing(tmp_path):
    video = VideoWriter(tmp_path / "a.webm", SIZE, alpha=True)
    video.write(disc(0))
    video._process.kill()
    with pytest.raises(InputError, match=r"a\.webm could not be written"):
        video.close()
    assert not list(tmp_path.iterdir())
