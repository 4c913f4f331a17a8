"""Video and audio of one file have one zero, whatever the container; a video keeps its recording's time."""

from pathlib import Path

import numpy as np
import pytest
from media_files import CLICKS, FLASHES, clicks, flashes, make, source

from demo_jax.constants import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from demo_jax.media import audio
from demo_jax.media import video as video_files
from demo_jax.media.video_writer import VideoWriter

FRAME = 1 / FPS


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.ts", ["-c:v", "libx264", "-bf", "2", "-c:a", "aac"]),
        ("a.m2ts", ["-c:v", "libx264", "-bf", "2", "-c:a", "ac3"]),
        ("a.mpg", ["-c:v", "mpeg2video", "-c:a", "mp2"]),
        ("a.vob", ["-c:v", "mpeg2video", "-bf", "2", "-c:a", "ac3"]),
        ("a.mkv", ["-c:v", "libx264", "-c:a", "aac"]),
    ],
)
def test_flash_and_click_are_in_sync(tmp_path: Path, name: str, options: list[str]) -> None:
    path = make(tmp_path / name, *source(FLASHES, CLICKS), "-g", "25", *options)
    flash_times, click_times = flashes(path), clicks(audio.read_audio(path))
    assert len(flash_times) == len(click_times) == 4
    assert np.abs(flash_times - click_times).max() <= FRAME + 0.005  # a frame; lossy audio begins up to 5 ms early


@pytest.mark.parametrize("name", ["a.ts", "a.mpg", "a.mp4"])
@pytest.mark.parametrize("delayed", ["video", "audio"])
def test_a_stream_that_starts_later_stays_later(tmp_path: Path, name: str, delayed: str) -> None:
    """As in a transmission that a recorder joined: the first frame comes up to a second after the first audio."""
    offset = ["-itsoffset", "0.6"]
    inputs = [*(offset if delayed == "video" else []), *source(FLASHES), *(offset if delayed == "audio" else [])]
    path = make(tmp_path / name, *inputs, *source(CLICKS), "-g", "12", "-shortest")
    flash_times, click_times = flashes(path), clicks(audio.read_audio(path))
    count = min(len(flash_times), len(click_times))
    behind = flash_times[:count] - click_times[:count]
    assert count >= 3 and np.abs(behind - (0.6 if delayed == "video" else -0.6)).max() <= FRAME + 0.005


@pytest.mark.parametrize("rate", ["24000/1001", "30000/1001", "50", "60", "variable"])
def test_other_rates_are_in_sync(tmp_path: Path, rate: str) -> None:
    """A variable rate: of 60 frames a second every third to fifth one, as a phone records in the dark."""
    graph = FLASHES.replace("r=25", f"r={'60' if rate == 'variable' else rate}")
    thinned = ["-vf", "select='not(mod(n,3)*mod(n,5))'", "-fps_mode", "vfr"] if rate == "variable" else []
    path = make(tmp_path / "a.mp4", *source(graph, CLICKS), *thinned, "-ar", "44100", "-ac", "2")
    flash_times, click_times = flashes(path), clicks(audio.read_audio(path))
    assert len(flash_times) == len(click_times) == 4 and np.abs(flash_times - click_times).max() <= FRAME + 0.005


PLAIN, STEREO, CODED = ["-ar", "16000"], ["-ar", "44100", "-ac", "2"], ["-ar", "48000", "-c:a", "aac"]


@pytest.mark.parametrize(
    ("seconds", "form"),
    [*((s, form) for s in (0.04, 1.01, 7.333) for form in (PLAIN, STEREO, CODED)), (61.0, CODED)],
)
def test_a_video_keeps_its_recordings_time(tmp_path: Path, seconds: float, form: list[str]) -> None:
    """Frames that flash where the waveform is loud, with the recording's own audio, read back."""
    at = min(0.5, seconds / 2)
    tone = f"aevalsrc='if(lt(mod(t-{at}+10,1),0.08),sin(2*PI*1000*t),0)':s=48000:d={seconds}"
    name = "in.m4a" if "aac" in form else "in.wav"
    recording = audio.read_recording(make(tmp_path / name, *source(tone), *form))
    assert abs(len(recording.waveform) / SAMPLE_RATE - seconds) <= (1024 / 48_000 if "aac" in form else 0.001)
    loud = np.abs(recording.speech.reshape(-1, SAMPLES_PER_FRAME).astype(int)).max(1) > 3000
    with VideoWriter(tmp_path / "out.mp4", (64, 64), waveform=recording) as video:
        for white in loud:
            video.write(np.full((64, 64, 3), 255 if white else 0, np.uint8))
    back = audio.read_audio(tmp_path / "out.mp4")
    assert len(list(video_files.read_video(tmp_path / "out.mp4")[1])) == len(loud) == -(-len(recording.waveform) // 640)
    assert abs(len(back) / SAMPLE_RATE - len(loud) / FPS) <= FRAME
    given, kept = clicks(recording.waveform), clicks(back)
    assert len(given) == len(kept) >= 1 and np.abs(given - kept).max() <= 0.01  # AAC's pre-echo
    if seconds > 1:
        assert np.abs(flashes(tmp_path / "out.mp4") - given[: len(flashes(tmp_path / "out.mp4"))]).max() <= FRAME
