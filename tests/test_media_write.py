"""Written videos: the recording's own audio, colour tags, long names, links; and missing or full folders."""

import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tiny_model
from media_files import SOUND, make, source
from PIL import Image

from demo_jax import sample
from demo_jax.constants import FPS, SAMPLE_RATE
from demo_jax.errors import InputError
from demo_jax.media import audio as audio_files
from demo_jax.media import ffmpeg
from demo_jax.media import video as video_files
from demo_jax.media.files import AtomicFile, remove_unfinished, write_atomically
from demo_jax.media.probe import MediaFacts, read_facts
from demo_jax.media.video_writer import LiveWriter, VideoWriter, check_video_output
from demo_jax.sampling import pipeline, streaming
from demo_jax.sampling.options import Options

FAST = Options(steps=1)


@pytest.fixture(scope="module")
def demo() -> pipeline.Pipeline:
    return pipeline.Pipeline(tiny_model.model())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """ME.JPG, and A.WAV: two voices at 48 kHz, one on each side, one of them above what 16 kHz can carry."""
    Image.fromarray(tiny_model.portrait()).save(tmp_path / "ME.JPG")
    (tmp_path / "ME.json").write_text('{"cropped": true, "corpus": "puppet"}')
    voices = source("sine=1000:d=0.5:r=48000", "sine=12000:d=0.5:r=48000")
    make(tmp_path / "A.WAV", *voices, "-filter_complex", "amerge=inputs=2,volume=4")
    (tmp_path / "out").mkdir()
    return tmp_path


def facts(path: Path) -> MediaFacts:
    return read_facts(path.absolute(), "video")


def decoded(path: Path) -> np.ndarray:
    """The audio of a video as it is, [samples, channels]."""
    audio = facts(path).audio
    assert audio is not None
    command = [ffmpeg.ffmpeg_program(), "-nostdin", "-v", "error", "-i", str(path), "-f", "s16le", "pipe:1"]
    done = subprocess.run(command, check=True, capture_output=True)
    return np.frombuffer(done.stdout, "<i2").reshape(-1, audio.channels)


def strength(sound: np.ndarray, rate: int, hz: int) -> float:
    return float(np.abs(np.fft.rfft(sound))[round(hz * len(sound) / rate)]) / len(sound)


def check_own_audio(path: Path) -> None:
    audio = facts(path).audio
    assert audio is not None and (audio.rate, audio.channels) == (48_000, 2)
    sound = decoded(path)
    assert abs(len(sound) / 48_000 - 13 / FPS) <= 2 * 1024 / 48_000  # whole AAC frames
    for side, hz, other in ((0, 1000, 12_000), (1, 12_000, 1000)):
        assert strength(sound[:, side], 48_000, hz) > 20 * strength(sound[:, side], 48_000, other)
    given = audio_files.read_audio(path.parents[1] / "A.WAV").std()
    assert abs(20 * np.log10(audio_files.read_audio(path)[:8000].std() / given)) < 0.5  # dB


def test_names_in_capitals_and_the_recordings_own_audio(demo: pipeline.Pipeline, folder: Path) -> None:
    result = demo.generate(folder / "ME.JPG", folder / "A.WAV", folder / "out/OUT.MP4", options=FAST)
    assert result.frames == 13
    check_own_audio(folder / "out/OUT.MP4")
    assert len(list(video_files.read_video(folder / "out/OUT.MP4")[1])) == 13


def test_an_array_stays_16_khz_mono(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", (64, 64), waveform=tiny_model.speech(5)) as video:
        for _ in range(5):
            video.write(np.zeros((64, 64, 3), np.uint8))
    audio = facts(tmp_path / "a.mp4").audio
    assert audio is not None and (audio.rate, audio.channels) == (SAMPLE_RATE, 1)


def test_silence_in_the_file_gives_a_warning(demo: pipeline.Pipeline, folder: Path) -> None:
    make(folder / "mute.wav", *source("anullsrc=d=0.1"))
    warnings: list[str] = []
    demo.generate(folder / "ME.JPG", folder / "mute.wav", folder / "out/a.mp4", options=FAST, warn=warnings.append)
    assert len(warnings) == 1 and "digital silence" in warnings[0]


@pytest.mark.parametrize("live", [False, True])
def test_both_writers_tag_the_colours(tmp_path: Path, live: bool) -> None:
    path, frame = tmp_path / "a.mp4", np.full((64, 64, 3), (200, 60, 40), np.uint8)
    if live:
        with LiveWriter(path, (64, 64), {}) as stream:
            stream.write(frame, np.zeros(640, np.int16))
    else:
        with VideoWriter(path, (64, 64)) as video:
            video.write(frame)
    track = facts(path).video
    assert track is not None and (track.matrix, track.primaries, track.transfer) == (1, 1, 1)  # BT.709
    assert np.abs(next(video_files.read_video(path)[1]).astype(int) - frame).max() <= 3


@pytest.mark.parametrize("name", ["n" * 236 + ".mp4", "ä" * 120 + ".mp4", os.fsdecode(b"caf\xe9.mp4")])
def test_long_and_odd_names_of_outputs(demo: pipeline.Pipeline, folder: Path, name: str) -> None:
    result = demo.generate(folder / "ME.JPG", folder / "A.WAV", folder / "out" / name, options=FAST)
    assert result.video.name == name
    assert sorted(p.suffix for p in (folder / "out").iterdir()) == [".csv", ".mp4", ".npz"]


def test_names_that_do_not_fit_are_refused_before_any_work(demo: pipeline.Pipeline, folder: Path) -> None:
    for name in ("n" * 248 + ".mp4", "n" * 300 + ".mp4"):  # the first fits, the tracks beside it do not
        with pytest.raises(InputError, match="too long"):
            demo.generate(folder / "none.jpg", folder / "A.WAV", folder / "out" / name)
    assert not list((folder / "out").iterdir())


def test_a_link_is_written_through(demo: pipeline.Pipeline, folder: Path) -> None:
    """Also a link to a file that does not exist yet, and links of tracks."""
    kept = folder / "kept"
    kept.mkdir()
    (kept / "old.bin").write_bytes(b"old")
    for link, target in (("a.mp4", "old.bin"), ("a_track.npz", "new.npz"), ("b.mp4", "new.bin")):
        (folder / "out" / link).symlink_to(kept / target)
    for name in ("a.mp4", "b.mp4"):
        demo.generate(folder / "ME.JPG", folder / "A.WAV", folder / "out" / name, options=FAST)
        assert (folder / "out" / name).is_symlink()
        assert len(list(video_files.read_video(folder / "out" / name)[1])) == 13
    assert sorted(p.name for p in kept.iterdir()) == ["new.bin", "new.npz", "old.bin"]
    assert not (folder / "out/b_track.npz").is_symlink()


def test_an_atomic_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    file = write_atomically(tmp_path / "folder" / "a.npz", b"old")

    def fail(error: type[BaseException]) -> None:
        with AtomicFile(file) as temporary:
            temporary.write_bytes(b"half")
            assert temporary.parent == file.parent and temporary not in file.parent.glob("*.npz")
            raise error

    for error in (KeyboardInterrupt, OSError):
        with pytest.raises(error):
            fail(error)
        assert list(file.parent.iterdir()) == [file] and file.read_bytes() == b"old"
    (tmp_path / "link.npz").symlink_to(file)
    with AtomicFile(tmp_path / "link.npz") as temporary:
        temporary.write_bytes(b"new")
    assert file.read_bytes() == b"new" and (tmp_path / "link.npz").is_symlink()
    file.unlink()
    file.mkdir()  # a folder cannot be replaced
    with pytest.raises(OSError, match=r"a\.npz"), AtomicFile(file) as temporary:
        temporary.write_bytes(b"new")
    assert list(file.parent.iterdir()) == [file]


def test_files_left_by_a_killed_process_are_removed(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        AtomicFile(tmp_path / name).temporary.write_bytes(b"half")
        (tmp_path / name).write_bytes(b"whole")
    remove_unfinished(tmp_path, "a")
    assert sorted(p.name[:3] for p in tmp_path.iterdir()) == [".b.", "a.m", "b.m"]
    remove_unfinished(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


def test_links_and_devices_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    (tmp_path / "lost.mp4").symlink_to(tmp_path / "no" / "x.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    for name, says in (("loop", "leads to itself"), ("lost", "does not exist"), ("pipe", "device or pipe")):
        with pytest.raises(InputError, match=says):
            check_video_output(tmp_path / f"{name}.mp4")


def test_no_room_for_temporary_files(folder: Path, demo: pipeline.Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not used, so it may be full, missing or not writable."""
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "missing"))
    speech = audio_files.read_audio(folder / "A.WAV")[: 640 * 12]
    for number, sound in enumerate((folder / "A.WAV", speech)):
        demo.generate(folder / "ME.JPG", sound, folder / f"out/{number}.mp4", options=FAST)
        assert len(list(video_files.read_video(folder / f"out/{number}.mp4")[1])) == 13 - number


@pytest.mark.parametrize("kind", ["missing", "not executable", "no program"])
def test_ffmpeg_named_wrongly(
    folder: Path, demo: pipeline.Pipeline, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, kind: str
) -> None:
    path = folder / "ffmpeg"
    if kind != "missing":
        path.write_bytes(b"\x7fELF, but no more")
        path.chmod(0o755 if kind == "no program" else 0o644)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(path))
    monkeypatch.setattr(pipeline, "load", lambda checkpoint: demo)
    out = str(folder / "out/a.mp4")
    assert sample.main(["--portrait", str(folder / "ME.JPG"), "--silence", "0.2", "--steps", "1", "--out", out]) == 2
    output = capsys.readouterr().err
    assert str(path) in output and output.count("error:") == 1 and "Traceback" not in output
    assert not list((folder / "out").iterdir())


@pytest.mark.parametrize("name", ["x.wav", "x.mp3", "x.ogg", "x.flac", "x.m4a", "x.aiff", "x.au", "x.mkv"])
def test_raw_audio_that_is_a_file_is_refused(tmp_path: Path, name: str) -> None:
    options = ["-id3v2_version", "0", "-write_xing", "0"] if name == "x.mp3" else []
    path = make(tmp_path / name, *source(SOUND), *options)
    with path.open("rb") as stream, pytest.raises(InputError, match="not raw audio") as caught:
        list(streaming.raw_chunks(stream))
    assert "--audio" in str(caught.value)


def test_raw_audio_may_begin_with_anything(tmp_path: Path) -> None:
    """A sample of -1,025 is what an mp3 begins with."""
    sound = np.array([-1025, -28_600, *range(2000)], np.int16)
    sound.tofile(tmp_path / "x.raw")
    with (tmp_path / "x.raw").open("rb") as stream:
        np.testing.assert_array_equal(np.concatenate(list(streaming.raw_chunks(stream))), sound)


def test_an_error_ends_the_recordings_decoder(tmp_path: Path) -> None:
    """For a recording that is longer than all pipes hold."""
    recording = audio_files.read_recording(make(tmp_path / "x.wav", *source("sine=440:d=60:r=48000")))
    video = VideoWriter(tmp_path / "x.mp4", (64, 64), waveform=recording)
    video.write(np.zeros((64, 64, 3), np.uint8))
    decoder = video._audio and video._audio._decoder
    assert decoder is not None and decoder.process.poll() is None
    video.abort()
    assert decoder.code != 0
    assert [p.name for p in tmp_path.iterdir()] == ["x.wav"]
