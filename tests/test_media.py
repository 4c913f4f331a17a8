"""Reading and writing media: common formats work, bad files give one sentence, nothing is left behind."""

import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demo_jax.constants import SAMPLE_RATE
from demo_jax.errors import InputError
from demo_jax.media import audio
from demo_jax.media import ffmpeg as ffmpeg_files
from demo_jax.media.audio import read_audio
from demo_jax.media.files import check_output
from demo_jax.media.images import read_image
from demo_jax.media.video import read_video
from demo_jax.media.video_writer import VideoWriter, check_video_output


def ffmpeg(*arguments: str) -> str:
    command = [ffmpeg_files.ffmpeg_program(), "-nostdin", "-hide_banner", "-y", *arguments]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    return done.stderr


def tone(seconds: float = 1.0, hz: float = 440.0) -> np.ndarray:
    t = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (np.sin(2 * np.pi * hz * t) * 8000).astype(np.int16)


@pytest.fixture(scope="module")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "tone.wav"
    audio.write_wav(path, tone())
    return path


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.wav", ["-ar", "8000"]),
        ("a.wav", ["-af", "pan=stereo|c0=c0|c1=c0", "-ar", "44100"]),
        ("a.wav", ["-c:a", "pcm_f32le"]),
        ("a.mp3", []),
        ("a.m4a", []),
        ("a.ogg", []),
        ("a.flac", ["-ar", "48000"]),
    ],
)
def test_any_common_audio_gives_the_same_waveform(wav: Path, tmp_path: Path, name: str, options: list[str]) -> None:
    ffmpeg("-i", str(wav), *options, str(tmp_path / name))
    sound = read_audio(tmp_path / name)
    assert sound.dtype == np.int16
    assert abs(len(sound) - SAMPLE_RATE) <= 1200  # lossy codecs pad to their frame, at most 1152 samples
    middle = slice(4000, 12_000)
    assert np.corrcoef(sound[middle], tone()[middle])[0, 1] > 0.99  # in step to a small part of a 2.3 ms period
    assert 0.9 < np.abs(sound[middle]).mean() / np.abs(tone()[middle]).mean() < 1.1


def test_audio_that_starts_late_stays_in_sync(wav: Path, tmp_path: Path) -> None:
    video = tmp_path / "late.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x64:r=25:d=2", "-itsoffset", "0.5", "-i", str(wav), str(video))
    sound = read_audio(video)
    first = np.flatnonzero(np.abs(sound) > 500)[0] / SAMPLE_RATE
    assert abs(first - 0.5) < 0.01  # the AAC encoder's pre-echo is below 10 ms


def test_a_wav_read_is_exact(wav: Path) -> None:
    np.testing.assert_array_equal(read_audio(wav), tone())


def _bad_audio(folder: Path, wav: Path, kind: str) -> str:
    path = folder / f"{kind.split()[0]}.wav"
    if kind == "missing":
        return str(path)
    if kind == "folder":
        return str(folder)
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "zero-length":
        audio.write_wav(path, np.zeros(0, np.int16))
    elif kind == "cut":
        path.write_bytes(wav.read_bytes()[:9000])
    elif kind == "cut m4a":
        path = folder / "x.m4a"
        ffmpeg("-i", str(wav), str(path))
        path.write_bytes(path.read_bytes()[:3000])
    elif kind == "cut mp3":
        path = folder / "x.mp3"
        ffmpeg("-i", str(wav), str(path))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "text":
        path.write_text("this is not audio\n" * 100)
    elif kind == "image":
        Image.new("RGB", (64, 64)).save(folder / "p.png")
        (folder / "p.png").rename(path)
    elif kind == "mute video":
        path = folder / "mute.mp4"
        ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x64:r=25:d=1", str(path))
    elif kind == "playlist":
        path = folder / "list.m3u8"
        path.write_text(f"#EXTM3U\n#EXTINF:1,\n{wav}\n")
    elif kind == "hidden playlist":
        path.write_text(f"#EXTM3U\n#EXTINF:1,\n{wav}\n#EXT-X-ENDLIST\n")
    elif kind == "hidden concat":
        path.write_text(f"ffconcat version 1.0\nfile '{wav}'\n")
    return str(path)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("missing", "does not exist"),
        ("folder", "not a file"),
        ("empty", "empty"),
        ("zero-length", "no audio|cannot be read|contains no"),
        ("cut", "is cut"),
        ("cut m4a", "cannot be read|is cut"),
        ("cut mp3", "is cut"),
        ("text", "cannot be read as audio"),
        ("image", "cannot be read as audio"),
        ("mute video", "has no audio"),
        ("playlist", "playlist"),
        ("hidden playlist", "cannot be read as audio"),
        ("hidden concat", "cannot be read as audio"),
    ],
)
def test_bad_audio_is_one_sentence(wav: Path, tmp_path: Path, kind: str, says: str) -> None:
    path = _bad_audio(tmp_path, wav, kind)
    with pytest.raises(InputError, match=says) as caught:
        read_audio(path)
    assert path in str(caught.value) and "\n" not in str(caught.value)


def test_a_name_with_a_null_byte_is_refused(tmp_path: Path) -> None:
    for check in (read_audio, read_image, check_video_output):
        with pytest.raises(InputError, match="cannot be the name of a file"):
            check(f"{tmp_path}/a.mp4\x00b.mp4")


@pytest.mark.parametrize("name", ["http://127.0.0.1/a.wav", "file:///etc/passwd", "concat:a.wav|b.wav", "pipe:0"])
def test_addresses_are_never_followed(name: str) -> None:
    for read in (read_audio, read_image, read_video):
        with pytest.raises(InputError, match="not a local file"):
            read(name)


def _frames(count: int, height: int = 64, width: int = 48) -> list[np.ndarray]:
    """A bright bar that moves down by one row a frame, on a colour."""
    frames = []
    for t in range(count):
        frame = np.full((height, width, 3), (180, 60, 40), np.uint8)
        frame[t : t + 8] = (240, 240, 240)
        frames.append(frame)
    return frames


def test_written_video_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with VideoWriter(path, (64, 48), waveform=tone(2.0), metadata={"artist": "checkpoint abc"}) as video:
        for frame in _frames(50):
            video.write(frame)
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]
    info, frames = read_video(path)
    back = list(frames)
    assert (info.width, info.height, info.fps, info.has_audio) == (48, 64, 25.0, True)
    assert len(back) == 50 and abs(info.duration - 2.0) < 0.05
    errors = [np.abs(a.astype(int) - b).mean() for a, b in zip(_frames(50), back, strict=True)]
    assert max(errors) < 6  # crf 18 and chroma at half the resolution; a frame too early or late costs more than 20
    sound = read_audio(path)
    assert np.corrcoef(sound[2000:30_000], tone(2.0)[2000:30_000])[0, 1] > 0.99
    header = ffmpeg("-i", str(path))
    assert header.count("Synthetic media") >= 2 and "checkpoint abc" in header
    boxes = path.read_bytes()
    assert boxes.index(b"moov") < boxes.index(b"mdat")  # fast start


def test_odd_sizes_are_padded_by_one(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "odd.mp4", (33, 47)) as video:
        video.write(np.full((33, 47, 3), 128, np.uint8))
    info, frames = read_video(tmp_path / "odd.mp4")
    assert (info.height, info.width) == (34, 48)
    assert np.abs(next(frames).astype(int) - 128).max() < 5


def test_other_rates_and_turned_video_become_upright_25_fps(tmp_path: Path) -> None:
    source, turned = tmp_path / "s.mp4", tmp_path / "t.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=128x64:r=30:d=2", str(source))
    ffmpeg("-display_rotation", "90", "-i", str(source), "-c", "copy", str(turned))
    info, frames = read_video(turned, max_side=64)
    shapes = {frame.shape for frame in frames}
    assert info.fps == 30 and shapes == {(64, 32, 3)}
    assert len(list(read_video(source)[1])) == 50


def test_a_cut_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    with VideoWriter(path, (64, 48), waveform=tone(2.0)) as video:
        for frame in np.random.default_rng(0).integers(0, 255, (50, 64, 48, 3), np.uint8):
            video.write(frame)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(InputError, match=r"is cut|cannot be decoded"):
        list(read_video(path)[1])


def test_an_error_or_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(error: type[BaseException]) -> None:
        with VideoWriter(tmp_path / "x.mp4", (64, 64), waveform=tone()) as video:
            video.write(np.zeros((64, 64, 3), np.uint8))
            raise error

    for error in (KeyboardInterrupt, ValueError):
        with pytest.raises(error):
            fail(error)
    with pytest.raises(InputError, match="no frame"), VideoWriter(tmp_path / "x.mp4", (64, 64)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_old_output_survives_a_failed_one(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"old")
    with pytest.raises(RuntimeError), VideoWriter(tmp_path / "x.mp4", (64, 64)):
        raise RuntimeError
    assert (tmp_path / "x.mp4").read_bytes() == b"old"


def test_ffmpegs_failure_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "ffmpeg"
    script.write_text("#!/bin/sh\necho '[out @ 0x12ab] Error writing trailer: No space left on device' >&2\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setattr(ffmpeg_files, "ffmpeg_program", lambda: str(script))

    def write() -> None:
        with VideoWriter(tmp_path / "x.mp4", (512, 512)) as video:
            for _ in range(50):
                video.write(np.zeros((512, 512, 3), np.uint8))

    with pytest.raises(InputError, match=r"could not be written: Error writing trailer: No space left on device\.$"):
        write()
    assert [p.name for p in tmp_path.iterdir()] == ["ffmpeg"]


def test_output_is_checked_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        check_video_output(tmp_path / "no" / "x.mp4")
    with pytest.raises(InputError, match="must end in"):
        check_video_output(tmp_path / "x.exe")
    with pytest.raises(InputError, match="cannot be written"):
        check_video_output("/proc/x.mp4")
    (tmp_path / "f.mp4").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        check_video_output(tmp_path / "f.mp4")
    assert check_output(tmp_path / "fine.csv", (".csv",)).name == "fine.csv"


def test_images_are_upright_rgb(tmp_path: Path) -> None:
    base = np.zeros((40, 60, 3), np.uint8)
    base[:20, :30] = (200, 30, 60)
    image = Image.fromarray(base)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    image.save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "turned.png"), np.rot90(base, -1))
    image.convert("CMYK").save(tmp_path / "cmyk.tif")
    assert np.abs(read_image(tmp_path / "cmyk.tif").astype(int) - base).max() <= 2
    alpha = np.dstack([base, np.where(np.arange(60) < 45, 255, 0)[None].repeat(40, 0).astype(np.uint8)])
    Image.fromarray(alpha).save(tmp_path / "alpha.png")
    seen = read_image(tmp_path / "alpha.png")
    assert (seen[:, 45:] == 255).all() and (seen[:, :45] == base[:, :45]).all()
    Image.fromarray(base[..., 0].astype(np.uint16) * 257).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png"), base[..., :1].repeat(3, -1))
    image.quantize(8).save(tmp_path / "palette.gif")
    assert read_image(tmp_path / "palette.gif").shape == (40, 60, 3)


def test_bad_images_are_one_sentence(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    noise.save(tmp_path / "x.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "x.jpg").read_bytes()[:2000])
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.png").write_bytes(b"")
    noise.resize((16, 40)).save(tmp_path / "tiny.png")
    Image.new("L", (20_000, 20_000)).save(tmp_path / "bomb.png")
    cases = {
        "cut.jpg": "damaged or cut", "text.png": "not an image", "empty.png": "empty", "tiny.png": "too small",
        "bomb.png": "too large", "missing.png": "does not exist",
    }  # fmt: skip
    for name, says in cases.items():
        with pytest.raises(InputError, match=says) as caught:
            read_image(tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)


def test_wav_files_are_16_khz_mono(wav: Path) -> None:
    with wave.open(str(wav)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (1, SAMPLE_RATE, 2)
