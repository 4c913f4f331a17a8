"""Unusual input that is accepted: deep colour, HDR, interlacing, many channels, open headers, odd names and titles."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from media_files import PICTURE, SOUND, make, source

from demo_jax.constants import SAMPLE_RATE
from demo_jax.errors import InputError
from demo_jax.media import audio, ffmpeg, video
from demo_jax.media.ffmpeg import FFmpegProcess

GREYS = "color=gray:s=128x64:r=25:d=0.2,format=gray,geq='lum=X*2'"  # a ramp from black to white
BARS = "smptebars=s=128x{height}:r=25:d=0.2"


def first_frame(path: Path) -> np.ndarray:
    return next(video.read_video(path)[1]).astype(int)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("h264.mp4", ["-c:v", "libx264", "-pix_fmt", "yuv420p10le"]),
        ("hevc.mp4", ["-c:v", "libx265", "-x265-params", "log-level=error", "-pix_fmt", "yuv420p10le"]),
        ("prores.mov", ["-c:v", "prores_ks", "-pix_fmt", "yuv422p10le"]),
        ("ffv1.mkv", ["-c:v", "ffv1", "-pix_fmt", "gbrp12le"]),
        ("av1.mkv", ["-c:v", "libsvtav1", "-preset", "12", "-pix_fmt", "yuv420p10le"]),
    ],
)
def test_more_than_eight_bits_are_read(tmp_path: Path, name: str, options: list[str]) -> None:
    frames = list(video.read_video(make(tmp_path / name, *source(GREYS), *options))[1])
    assert len(frames) == 5 and frames[0].dtype == np.uint8
    assert np.abs(frames[2].astype(int) - 2 * np.arange(128)[None, :, None]).mean() < 4  # lossy coding


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_hdr_is_tone_mapped(tmp_path: Path, transfer: str) -> None:
    """The ramp as HDR has it, its white at the 203 cd/m2 of graphics, comes back as it was, highlights compressed."""
    to_hdr = (
        "format=gbrp,scale=out_color_matrix=bt709:out_range=tv,format=yuv444p,"
        "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv,"
        "zscale=tin=bt709:t=linear:npl=203,format=gbrpf32le,"
        f"zscale=npl=203:t={transfer}:p=2020:m=2020_ncl:r=tv,format=yuv420p10le"
    )
    tags = f"log-level=error:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc"
    path = make(tmp_path / "hdr.mp4", *source(GREYS), "-vf", to_hdr, "-c:v", "libx265", "-x265-params", tags)
    row = first_frame(path).mean((0, 2))
    ramp = 2 * np.arange(128)
    assert np.abs(row - ramp)[:100].max() < 8  # below 0.7 of white in light nothing changes
    assert 225 < row[-1] <= 250 and (np.diff(row) > -1).all()


@pytest.mark.parametrize(("height", "matrix"), [(720, "bt709"), (480, "smpte170m")])
def test_untagged_colour_depends_on_the_size(tmp_path: Path, height: int, matrix: str) -> None:
    """Bars coded by the matrix that this size has, without tags, show the colours of tagged ones."""
    coded = f"scale=out_color_matrix={matrix}:out_range=tv,format=yuv444p,setparams=colorspace={{}}"
    shown = []
    for tag in (matrix, "unknown"):
        graph = f"{BARS.format(height=height)},format=gbrp,{coded.format(tag)}"
        path = make(tmp_path / f"{tag}.mkv", *source(graph), "-c:v", "libx264", "-crf", "1")
        shown.append(first_frame(path))
    assert np.abs(shown[0] - shown[1]).max() <= 2


def test_interlaced_video_is_deinterlaced(tmp_path: Path) -> None:
    """A bar that moves fast, in fields: without a deinterlacer every second row of its edge is elsewhere."""
    bar = "color=black:s=128x64:r=50:d=1,geq=lum='if(between(X,mod(N*8,112),mod(N*8,112)+16),235,16)':cb=128:cr=128"
    graph = f"{bar},interlace=scan=tff:lowpass=off"
    path = make(tmp_path / "i.mpg", *source(graph), "-c:v", "mpeg2video", "-q:v", "1", "-flags", "+ildct+ilme")
    frames = np.stack(list(video.read_video(path)[1])).astype(int)
    assert len(frames) == 25
    combed = np.abs(frames[5:20, 11:51:2] - frames[5:20, 10:50:2]).mean()  # neighbouring rows, of different fields
    assert combed < 8  # left as it is, a quarter of the bar differs by white: 16 columns of 128 by 200


def test_a_video_of_one_frame(tmp_path: Path) -> None:
    for options in ([], ["-c:v", "mpeg2video", "-vf", "interlace", "-flags", "+ildct+ilme"]):
        path = make(tmp_path / "a.mkv", *source(PICTURE), *options, "-frames:v", "1")
        assert len(list(video.read_video(path)[1])) in (1, 2)  # of an interlaced one either field may count


def test_the_track_marked_default_is_read(tmp_path: Path) -> None:
    quiet, loud = "sine=300:d=1,volume=0.1", "sine=300:d=1,volume=4"
    path = make(
        tmp_path / "two.mkv",
        *source("color=black:s=64x64:r=25:d=1", "color=white:s=64x64:r=25:d=1", quiet, loud),
        *("-map", "0", "-map", "1", "-map", "2", "-map", "3", "-c:a", "pcm_s16le"),
        *(
            "-disposition:v:0",
            "0",
            "-disposition:v:1",
            "default",
            "-disposition:a:0",
            "0",
            "-disposition:a:1",
            "default",
        ),
    )
    warnings: list[str] = []
    assert audio.read_audio(path, warnings.append).std() > 5000
    _, frames = video.read_video(path, warn=warnings.append)
    assert next(frames).mean() > 240
    frames.close()
    assert [("2 audio tracks" in warnings[0]), ("2 video tracks" in warnings[1]), len(warnings)] == [True, True, 2]


LINES = "Video: h264, 640x480, 7 fps Packet corrupt partial file matches no streams End of file Duration: 00:00:01.00"


@pytest.mark.parametrize("name", ["t.mp4", "t.mkv", "t.ts"])
def test_titles_that_look_like_messages_change_nothing(tmp_path: Path, name: str) -> None:
    lines = "\n    Stream #0:5: Audio: mp3\n  Duration: 00:00:09.00\nOutput #0\n[error] Packet corrupt\n" + LINES
    marks = [w for key in ("title", "comment", "service_name") for w in ("-metadata", f"{key}={lines}")]
    path = make(tmp_path / name, *source(PICTURE), *marks)
    info, frames = video.read_video(path)
    assert (info.width, info.height, info.fps, info.has_audio, len(list(frames))) == (64, 64, 25, False, 25)
    assert abs(info.duration - 1) < 0.05
    with pytest.raises(InputError, match="has no audio"):
        audio.read_audio(path)
    sound = make(tmp_path / "Packet corrupt partial file.mp3", *source(SOUND), *marks)
    assert abs(len(audio.read_audio(sound)) / SAMPLE_RATE - 1) < 0.1
    with pytest.raises(InputError, match="it has none"):
        video.read_video(sound)


def _wav(path: Path, **sizes: int) -> Path:
    make(path, *source(SOUND), "-ar", "24000", "-f", path.suffix[1:])
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[4:8] = data[at : at + 4] = struct.pack("<I", sizes["size"])
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0x80000100, 0])
def test_a_wav_of_unknown_length_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    sound = audio.read_audio(_wav(tmp_path / "x.wav", size=size))
    assert len(sound) == SAMPLE_RATE and 2500 < sound.std() < 3500


def test_other_containers_of_unknown_length(tmp_path: Path) -> None:
    """As ffmpeg writes them to a pipe, where it cannot go back to say how long they were."""
    for form, options in (("wav", ["-rf64", "always"]), ("au", []), ("flac", []), ("matroska", [])):
        path = tmp_path / f"x.{form}"
        path.write_bytes(_piped(form, options))
        assert abs(len(audio.read_audio(path)) - SAMPLE_RATE) <= 32, form


def _piped(form: str, options: list[str]) -> bytes:
    import subprocess

    command = [ffmpeg.ffmpeg_program(), "-nostdin", "-v", "error", *source(SOUND), *options, "-f", form, "pipe:1"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def test_a_wav_that_is_cut_is_still_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "x.wav", *source(SOUND))
    path.write_bytes(path.read_bytes()[:40_000])
    with pytest.raises(InputError, match="is cut"):
        audio.read_audio(path)


@pytest.mark.parametrize(
    ("channels", "kept"),
    [
        ("stereo|c0=c0|c1=c0", 1), ("stereo|c0=c0|c1=-1*c0", 1), ("stereo|c0=c0", 1), ("5.1|FC=c0", 1),
        ("5.1|FL=c0|FR=c0|FC=c0|BL=c0|BR=c0", 1), ("16c|c9=c0", 1), ("quad|FL=c0|FR=-1*c0", 1), ("mono|c0=c0", 1),
    ],
)  # fmt: skip
def test_channels_keep_their_level(tmp_path: Path, channels: str, kept: float) -> None:
    mono = audio.read_audio(make(tmp_path / "mono.wav", *source(SOUND), "-af", "volume=4")).astype(float).std()
    path = make(tmp_path / "x.wav", *source(SOUND), "-af", f"volume=4,pan={channels}")
    warnings: list[str] = []
    recording = audio.read_recording(path, warnings.append)
    assert abs(20 * np.log10(recording.waveform.astype(float).std() / mono / kept)) < 0.5  # dB
    own = np.frombuffer(FFmpegProcess(recording.command).read_all(), "<i2").reshape(-1, recording.channels)
    assert abs(20 * np.log10(own.astype(float).std(0).max() / mono)) < 0.5
    assert not warnings and np.abs(own).max() < 32_767


@pytest.mark.parametrize("layout", ["5.1(side)", "7.1", "2.1", "octagonal"])
def test_layouts_with_odd_names(tmp_path: Path, layout: str) -> None:
    path = make(tmp_path / "x.mkv", *source(SOUND), "-af", f"aformat=channel_layouts={layout}", "-c:a", "pcm_s16le")
    recording = audio.read_recording(path)
    own = np.frombuffer(FFmpegProcess(recording.command).read_all(), "<i2").reshape(-1, 2)
    loudest = 2048 if layout == "2.1" else 2896  # ffmpeg puts it into the middle, or at -3 dB on two sides
    assert abs(recording.waveform.std() / loudest - 1) < 0.05 and abs(own.std() / loudest - 1) < 0.05


def test_two_voices_on_two_channels_are_both_there(tmp_path: Path) -> None:
    path = make(tmp_path / "x.wav", *source("sine=300:d=1", "sine=500:d=1"), "-filter_complex", "amerge=inputs=2")
    spectrum = np.abs(np.fft.rfft(audio.read_audio(path)))
    assert 0.9 < spectrum[300] / spectrum[500] < 1.1


def test_digital_silence_gives_a_warning(tmp_path: Path) -> None:
    warnings: list[str] = []
    audio.read_audio(make(tmp_path / "x.wav", *source("anullsrc=d=1")), warnings.append)
    assert len(warnings) == 1 and "digital silence" in warnings[0] and "1.00 s" in warnings[0]


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 \xfc.mkv"))
    make(path, *source(PICTURE, SOUND))
    assert len(audio.read_audio(path)) == SAMPLE_RATE
    assert len(list(video.read_video(path)[1])) == 25


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("B.MP4", []), ("b.mts", ["-f", "mpegts"]), ("b.3gp", ["-c:v", "mpeg4", "-c:a", "aac"]), ("b.wmv", []),
        ("b.ogv", []), ("b.f4v", ["-c:v", "libx264"]), ("b.asf", []), ("b.mxf", ["-c:v", "mpeg2video", "-ar", "48000"]),
        ("b.divx", ["-f", "avi"]), ("b.nut", []), ("b.dv", ["-s", "720x576", "-ar", "48000", "-ac", "2"]),
    ],
)  # fmt: skip
def test_every_suffix_that_ffmpeg_reads(tmp_path: Path, name: str, options: list[str]) -> None:
    path = make(tmp_path / name, *source(PICTURE, SOUND), *options)
    assert path.suffix.lower() in video.VIDEO_SUFFIXES
    info, frames = video.read_video(path)
    assert info.has_audio and len(list(frames)) in (25, 26)  # some containers round the time of the last one
    assert abs(len(audio.read_audio(path)) / SAMPLE_RATE - 1) < 0.1
