"""Stretches of a video without a new, intact frame, and how prepare handles them."""

import csv
import functools
import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from media_files import SOUND, make, source

from data_pipelines import prepare
from data_pipelines.extraction.faults import LEAST_RATE, Faults, find_faults
from data_pipelines.loading.examples import decode_frame
from data_pipelines.records.schema import read_clip
from demo_jax.errors import InputError
from demo_jax.media import audio
from demo_jax.media import video as video_files
from demo_jax.media.video_writer import VideoWriter

MOVING = "testsrc2=s=128x128:r={rate}:d=4"


def faults(path: Path) -> Faults:
    return find_faults(path, len(list(video_files.read_video(path)[1])), 5)


def write(path: Path, *options: str, rate: int = 25) -> Path:
    return make(path, *source(MOVING.format(rate=rate), SOUND), "-c:v", "libx264", "-g", "25", *options)


def test_an_intact_video_has_none(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.ts", "a.mkv"):
        found = faults(write(tmp_path / name))
        assert found.unusable == () and found.rate(0, 100) == 25


@pytest.mark.parametrize("rate", [5, 8, 12, 15, 24, 30, 50])
def test_the_rate_is_that_of_the_stored_frames(tmp_path: Path, rate: int) -> None:
    found = faults(write(tmp_path / "a.mp4", rate=rate))
    assert abs(found.rate(0, 100) - min(rate, 25)) < 0.5 and found.unusable == ()
    assert (found.rate(0, 100) < LEAST_RATE) == (rate < 20)


@pytest.mark.parametrize("name", ["late.mp4", "late.ts"])
def test_frames_before_the_first_stored_one(tmp_path: Path, name: str) -> None:
    whole = write(tmp_path / "a.mp4")
    delayed = make(
        tmp_path / name, "-itsoffset", "0.7", "-i", str(whole), "-i", str(whole), "-map", "0:v", "-map", "1:a",
        "-c", "copy",
    )  # fmt: skip
    (fault,) = faults(delayed).unusable
    assert (fault.first, fault.reason) == (0, "no image yet") and abs(fault.last - 17.5) <= 1.5


def test_a_frozen_picture_is_a_fault(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", "-vf", "select='not(between(t,1,2))'", "-fps_mode", "vfr")
    (fault,) = faults(path).unusable
    assert (fault.first, fault.last, fault.reason) == (25, 51, "image stands still")


def test_frames_after_damage_are_faults(tmp_path: Path) -> None:
    """Packets that a receiver lost, and zeros on a disk: damaged from there to the next key frame."""
    clean = np.stack(list(video_files.read_video(write(tmp_path / "a.mp4"))[1])).astype(int)
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3000] = bytes(3000)
    (tmp_path / "zeros.mp4").write_bytes(data)
    (fault,) = faults(tmp_path / "zeros.mp4").unusable
    shown = np.stack(list(video_files.read_video(tmp_path / "zeros.mp4")[1])).astype(int)
    smeared = np.flatnonzero(np.abs(shown - clean).mean((1, 2, 3)) > 1)
    assert len(smeared) and fault.first <= smeared[0] and smeared[-1] < fault.last and fault.last % 25 == 0

    clean = np.stack(list(video_files.read_video(write(tmp_path / "a.ts"))[1])).astype(int)
    packets = (tmp_path / "a.ts").read_bytes()
    middle = len(packets) // 188 // 2
    (tmp_path / "hole.ts").write_bytes(packets[: 188 * middle] + packets[188 * (middle + 30) :])
    (fault,) = faults(tmp_path / "hole.ts").unusable
    assert fault.reason == "image damaged" and fault.last - fault.first < 45
    shown = np.stack(list(video_files.read_video(tmp_path / "hole.ts")[1])).astype(int)
    unlike = np.array([np.abs(clean - frame).mean((1, 2, 3)).min() > 1 for frame in shown])
    assert unlike[fault.first : fault.last].any() and not unlike[: fault.first].any()
    assert not unlike[fault.last :].any()
    assert len(audio.read_audio(tmp_path / "hole.ts")) > 0  # damage in a stream is no cut


@functools.cache
def face() -> list[np.ndarray]:
    """A portrait that moves sideways, 60 frames [256, 256, 3]."""
    image = pytest.importorskip("skimage.data").astronaut()[:256, :]
    return [np.ascontiguousarray(image[:, 90 + round(6 * np.sin(t / 3)) :][:, :256]) for t in range(60)]


def test_prepare_leaves_out_faults(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A late first frame, a video of 12 frames a second, one with a name that is not UTF-8, and other files."""
    pytest.importorskip("mediapipe")
    films = tmp_path / "films"
    films.mkdir()
    speech = (np.sin(np.arange(60 * 640) / 20) * 6000).astype(np.int16)
    with VideoWriter(tmp_path / "whole.mp4", (256, 256), waveform=speech) as video:
        for frame in face():
            video.write(frame)
    whole = str(tmp_path / "whole.mp4")
    both = ["-map", "0:v", "-map", "1:a", "-c", "copy"]
    make(films / "late_01.mts", "-itsoffset", "0.72", "-i", whole, "-i", whole, *both, "-f", "mpegts")
    make(films / "slow_01.mp4", "-i", whole, "-vf", "fps=12")
    odd = Path(os.fsdecode(os.fsencode(films) + b"/caf\xe9_01.mkv"))
    make(odd, "-i", whole, "-i", whole, "-map", "0:v", "-map", "0:a", "-map", "1:a", "-c", "copy")
    (films / "notes.txt").write_text("no video")
    (films / ".hidden").write_text("")
    out = tmp_path / "out"
    arguments = ["--videos", str(films), "--out", str(out), "--split", "train", "--size", "64", "--workers", "1"]
    assert prepare.main(arguments) == 0
    output = capsys.readouterr()
    assert "2 of 3 videos accepted" in output.out
    assert "files skipped" in output.err and "1 (notes.txt)" in output.err
    with (out / "report.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["clip_id"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"late_01", "slow_01", "caf-_01"}
    assert "only 12 new images a second" in rows["slow_01"]["reason"] and rows["slow_01"]["status"] == "rejected"
    assert rows["late_01"]["reason"] in [f"0.00-{end} s: no image yet" for end in ("0.72", "0.76", "0.80")]
    assert "2 audio tracks" in rows["caf-_01"]["reason"] and rows["caf-_01"]["status"] == "accepted"
    first = read_clip(sorted((out / "train/clips").glob("late_01-*.npz"))[0])
    shown = [decode_frame(jpeg, 64).astype(int) for jpeg in first.frames[:6]]
    assert min(np.abs(a - b).mean() for a, b in itertools.pairwise(shown)) > 0.02  # of 255: not one is a copy


def test_a_folder_without_videos(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(InputError, match="holds no videos"):
        prepare.find_videos([str(tmp_path)])
