"""Frame rates: every sample belongs to one frame, and times in written files are those of the frames."""

from pathlib import Path

import av
import numpy as np
import pytest
from media_files import make, source

from demo_jax.constants import SAMPLE_RATE, SAMPLES_PER_FRAME
from demo_jax.errors import InputError
from demo_jax.media import audio
from demo_jax.media.frame_rates import FRAME_RATES, check_frame_rate, first_sample, frame_count
from demo_jax.media.video_writer import LiveWriter, VideoWriter

SIZE = (48, 64)


def video_times(path: Path) -> np.ndarray:
    """Times of the frames in seconds."""
    with av.open(str(path)) as container:
        return np.array([float(f.pts * f.time_base) for f in container.decode(video=0)])


def lights(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.array([f.to_ndarray(format="gray").mean() for f in container.decode(video=0)])


def sound(path: Path) -> np.ndarray:
    """The first channel at its own rate, by PyAV: some of the ffmpeg versions in use shift or prolong the end."""
    with av.open(str(path)) as container:
        return np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])


def frame(white: bool) -> np.ndarray:
    return np.full((*SIZE, 3), 255 if white else 0, np.uint8)


def bursts(seconds: float, every: float = 0.4) -> np.ndarray:
    """A tone of 60 ms every 0.4 s, from 0.2 s on, after silence; 16 kHz int16."""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    loud = (t - 0.2) % every < 0.06
    return (np.where(loud & (t >= 0.2), np.sin(2 * np.pi * 1000 * t), 0) * 16_000).astype(np.int16)


@pytest.mark.parametrize("fps", FRAME_RATES)
def test_frames_share_out_every_sample(fps):
    starts = [first_sample(i, fps) for i in range(10 * fps + 1)]
    assert starts[0] == 0 and starts[-1] == 10 * SAMPLE_RATE
    lengths = set(np.diff(starts).tolist())
    assert lengths == {SAMPLE_RATE // fps, -(-SAMPLE_RATE // fps)}
    for samples in (1, 639, 640, 641, 15_999, 16_000, 16_001, 123_457):
        frames = frame_count(samples, fps)
        assert (frames - 1) / fps < samples / SAMPLE_RATE <= frames / fps  # the last begins before the end
        assert first_sample(frames, fps) >= samples > first_sample(frames - 1, fps)
    if fps == 25:
        assert lengths == {SAMPLES_PER_FRAME} and frame_count(7 * SAMPLES_PER_FRAME, fps) == 7


@pytest.mark.parametrize("fps", [24, 29.97, 0, -25, 120])
def test_other_rates_are_refused(fps):
    with pytest.raises(InputError, match="choose one of 25, 30, 50, 60"):
        check_frame_rate(fps)


@pytest.mark.parametrize("suffix", ["mp4", "webm"])
@pytest.mark.parametrize("fps", FRAME_RATES)
def test_times_and_sound_are_exact(tmp_path, fps, suffix):
    """Every frame is white that holds a loud sample. The sound has each of its samples, where it was."""
    waveform = bursts(1.2345)
    count = frame_count(len(waveform), fps)
    padded = np.pad(waveform, (0, first_sample(count, fps) - len(waveform)))
    loud = [np.abs(padded[first_sample(i, fps) : first_sample(i + 1, fps)].astype(int)).max() > 0 for i in range(count)]
    with VideoWriter(tmp_path / f"a.{suffix}", SIZE, fps=fps, waveform=waveform) as video:
        for white in loud:
            video.write(frame(white))
    times = video_times(tmp_path / f"a.{suffix}")
    assert len(times) == count
    # The clock of webm has a tick of 1 ms.
    np.testing.assert_allclose(times, np.arange(count) / fps, atol=5e-4 if suffix == "webm" else 1e-9)
    np.testing.assert_array_equal(lights(tmp_path / f"a.{suffix}") > 128, loud)
    back = sound(tmp_path / f"a.{suffix}")
    if suffix == "webm":
        assert len(back) == 3 * len(waveform)  # at Opus' 48 kHz
        back = back[::3]
    else:
        assert 0 <= len(back) - len(waveform) < 1024  # whole AAC frames; the header says where they end
        back = back[: len(waveform)]
    lags = range(-80, 81)  # 5 ms each way
    fits = [np.dot(np.roll(back.astype(float), -lag), waveform) for lag in lags]
    assert lags[int(np.argmax(fits))] == 0


@pytest.mark.parametrize("suffix", ["mp4", "webm"])
def test_a_recording_keeps_its_length_in_both_codecs(tmp_path, suffix):
    """At 44.1 kHz, which Opus stores at 48 kHz."""
    tone = "sine=440:d=1.01:r=44100"
    recording = audio.read_recording(
        make(tmp_path / "in.wav", *source(tone, tone), "-filter_complex", "amerge=inputs=2")
    )
    assert (recording.rate, recording.channels) == (44_100, 2)
    whole = len(recording.speech)
    count = frame_count(whole, 60)
    with VideoWriter(tmp_path / f"a.{suffix}", SIZE, fps=60, waveform=recording) as video:
        for _ in range(count):
            video.write(frame(False))
    with av.open(str(tmp_path / f"a.{suffix}")) as container:
        (stream,) = container.streams.audio
        assert (stream.rate, stream.channels) == (44_100 if suffix == "mp4" else 48_000, 2)
    rate = 44_100 if suffix == "mp4" else 48_000
    over = len(sound(tmp_path / f"a.{suffix}")) - whole * rate / SAMPLE_RATE
    assert -1 <= over < (1024 if suffix == "mp4" else 1)


@pytest.mark.parametrize("fps", [30, 60])
def test_live_video_at_other_rates_and_odd_sizes(tmp_path, fps):
    waveform, path = bursts(1.0), tmp_path / "a.mp4"
    parts = [waveform[first_sample(i, fps) : first_sample(i + 1, fps)] for i in range(fps)]
    loud = [bool(part.any()) for part in parts]
    with LiveWriter(path, (47, 63), {}, fps=fps) as video:
        for part, white in zip(parts, loud, strict=True):
            assert video.samples == len(part)
            video.write(frame(white)[:47, :63], part)
    np.testing.assert_allclose(video_times(path), np.arange(fps) / fps, atol=1e-9)
    np.testing.assert_array_equal(lights(path) > 128, loud)
    with av.open(str(path)) as container:
        assert (container.streams.video[0].height, container.streams.video[0].width) == SIZE
    back = audio.read_audio(path)[: len(waveform)]
    assert np.corrcoef(back.astype(float), waveform[: len(back)])[0, 1] > 0.95  # in step; AAC at 128 kbit/s


@pytest.mark.timeout(60)
@pytest.mark.parametrize("fps", [25, 60])
def test_frames_that_no_pipe_holds_do_not_stop_a_live_video(tmp_path, fps):
    """ffmpeg waits for more audio than a frame has before it takes the next frame."""
    with LiveWriter(tmp_path / "a.mp4", (320, 300), {}, fps=fps) as video:
        for i in range(fps):
            video.write(np.full((320, 300, 3), 4 * i, np.uint8), np.zeros(video.samples, np.int16))
    assert len(video_times(tmp_path / "a.mp4")) == fps


def test_what_a_live_video_refuses(tmp_path):
    with pytest.raises(InputError, match=r"streamed video is an mp4; give a name in \.mp4"):
        LiveWriter(tmp_path / "a.webm", SIZE, {})
    with pytest.raises(InputError, match="choose one of"):
        LiveWriter(tmp_path / "a.mp4", SIZE, {}, fps=24)
    with pytest.raises(ValueError, match=r"audio is \(640,\), not \(533,\)"), LiveWriter(None, SIZE, {}, fps=30) as v:
        v.write(frame(False), np.zeros(640, np.int16))
    assert not list(tmp_path.iterdir())
