"""Audio that arrives in chunks: features, motion and video are those of the whole recording."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_model
from PIL import Image

from demo_jax import sample
from demo_jax.audio.log_mel import LogMel
from demo_jax.audio.phonetic import Phonetic
from demo_jax.audio.stream import AudioFeatureStream
from demo_jax.errors import InputError
from demo_jax.media import audio, video
from demo_jax.media.video_writer import LiveWriter
from demo_jax.sampling import pipeline, streaming
from demo_jax.sampling.options import Options
from demo_jax.sampling.pipeline import Pipeline
from demo_jax.sampling.session import STREAM_HOP
from demo_jax.sampling.tracks import read_track

FAST = Options(steps=2)
FRAMES = 31


@pytest.fixture(scope="module")
def demo():
    return Pipeline(tiny_model.model())


def chunked(waveform, sizes=(1, 700, 50, 640, 1999)):
    at, i = 0, 0
    while at < len(waveform):
        yield waveform[at : at + sizes[i % len(sizes)]]
        at, i = at + sizes[i % len(sizes)], i + 1


@pytest.mark.parametrize("extractor", [LogMel(), Phonetic()], ids=lambda e: e.name)
def test_features_of_chunks_are_those_of_the_whole(extractor):
    waveform = tiny_model.speech(203)[:-100]  # an incomplete last frame; longer than any history
    whole = extractor(np.pad(waveform, (0, 100))).astype(np.float32)
    stream = AudioFeatureStream(chunked(waveform), extractor)
    for start, stop in ((0, 5), (3, 9), (8, 20), (19, 140), (135, 150), (149, 220)):
        end = stream.wait_for(stop)
        assert end == min(stop, 203)
        # Products of matrices of another height are summed in another order; then rounded to float16.
        np.testing.assert_allclose(stream.features(start, end), whole[start:end], atol=2e-3)


def test_no_more_is_pulled_than_is_needed_and_little_is_kept():
    pulled = 0

    def endless():
        nonlocal pulled
        while True:
            pulled += 1
            yield np.ones(640, np.int16)

    stream = AudioFeatureStream(endless(), LogMel())
    for start in range(0, 400, 10):
        assert stream.wait_for(start + 20) == start + 20
        assert pulled == start + 21  # the 120 samples beyond the frame are in the next chunk
        stream.features(max(start - 10, 0), start + 20)
        assert len(stream._audio) <= 33 * 640


def test_chunks_of_another_type_are_refused():
    with pytest.raises(InputError, match="mono int16"):
        AudioFeatureStream([np.zeros(640, np.float32)], LogMel()).wait_for(1)


def test_a_frame_depends_on_the_audio_up_to_its_lookahead_however_it_is_chunked(demo):
    waveform, code = tiny_model.speech(FRAMES), np.zeros(tiny_model.LAYOUT.size, np.float32)
    by_chunks = np.concatenate(list(demo.motion_stream(code, chunked(waveform), options=FAST)))
    at_once = list(demo.motion_stream(code, [waveform], options=FAST))
    assert [len(c) for c in at_once] == [10, 10, 10, 1]
    np.testing.assert_array_equal(by_chunks, np.concatenate(at_once))
    # A hop waits for its own audio and that of the lookahead (the features' own included), and for no more.
    other = waveform.copy()
    other[(STREAM_HOP + tiny_model.LOOK_AHEAD) * 640 :] = 5000
    changed = np.concatenate(list(demo.motion_stream(code, [other], options=FAST)))
    np.testing.assert_array_equal(changed[:STREAM_HOP], by_chunks[:STREAM_HOP])
    assert (changed[STREAM_HOP:] != by_chunks[STREAM_HOP:]).any()


def test_frames_come_before_the_audio_ends(demo):
    asked = []

    def speech():
        for i in range(60):
            asked.append(i)
            yield tiny_model.speech(1, seed=i)

    stream = demo.stream(tiny_model.portrait(), speech(), options=FAST)
    for _ in range(STREAM_HOP):
        next(stream)
    assert len(asked) == STREAM_HOP + tiny_model.LOOK_AHEAD
    assert len(list(stream)) == 60 - STREAM_HOP


def test_a_stream_compiles_once(demo):
    fresh = Pipeline(demo.model)
    for frames in (3, 25, 40):
        list(fresh.stream(tiny_model.portrait(), [tiny_model.speech(frames)], options=FAST))
    assert fresh._motion.sample._cache_size() == 1


def test_a_streamed_video_has_its_frames_audio_and_track(demo, tmp_path):
    waveform = tiny_model.speech(FRAMES)[:-200]
    result = streaming.stream_video(demo, tiny_model.portrait(), chunked(waveform), tmp_path / "a.mp4", options=FAST)
    assert result.frames == FRAMES and 0 < result.first_frame <= result.latest and result.real_time_factor > 0
    info, frames = video.read_video(tmp_path / "a.mp4")
    assert len(list(frames)) == FRAMES and info.has_audio
    decoded = audio.read_audio(tmp_path / "a.mp4").astype(float)[: len(waveform)]
    assert np.corrcoef(decoded, waveform[: len(decoded)])[0, 1] > 0.6  # noise through AAC at 128 kbit/s, in step
    assert read_track(tmp_path / "a_track.npz").length == FRAMES
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "a_track.csv", "a_track.npz"]


def test_a_failure_leaves_nothing_behind(demo, tmp_path):
    def broken():
        yield tiny_model.speech(30)
        raise RuntimeError("the microphone is gone")

    with pytest.raises(RuntimeError, match="microphone"):
        streaming.stream_video(demo, tiny_model.portrait(), broken(), tmp_path / "a.mp4", options=FAST)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("nothing", [[], [np.zeros(0, np.int16)]])
def test_an_empty_stream_is_refused(demo, tmp_path, nothing):
    with pytest.raises(InputError, match="no audio arrived"):
        streaming.stream_video(demo, tiny_model.portrait(), nothing, tmp_path / "a.mp4", options=FAST)
    assert list(tmp_path.iterdir()) == []


def test_frames_of_another_size_are_an_error(tmp_path):
    with pytest.raises(ValueError, match="frame is"), LiveWriter(tmp_path / "a.mp4", (32, 32), {}) as writer:
        writer.write(np.zeros((16, 16, 3), np.uint8), np.zeros(640, np.int16))
    assert not list(tmp_path.iterdir())


def test_a_recording_is_paced_in_real_time(monkeypatch):
    now, slept = [100.0], []

    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(streaming.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(streaming.time, "sleep", sleep)
    waveform = tiny_model.speech(3)[:-10]
    made = list(streaming.paced(waveform))
    np.testing.assert_array_equal(np.concatenate(made), waveform)
    np.testing.assert_allclose(slept, 0.04, atol=1e-9)


# The command ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, demo, monkeypatch):
    Image.fromarray(tiny_model.portrait()).save(tmp_path / "puppet.png")
    (tmp_path / "puppet.json").write_text('{"cropped": true, "corpus": "puppet"}')
    audio.write_wav(tmp_path / "speech.wav", tiny_model.speech(FRAMES))
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(pipeline, "load", lambda path=None: demo)
    return tmp_path


def run(folder, *arguments):
    try:
        return sample.main(["--portrait", str(folder / "puppet.png"), "--steps", "2", *map(str, arguments)])
    except SystemExit as stop:  # argparse
        return stop.code


def test_the_command_streams_a_file_and_prints_its_latency(folder, capsys, monkeypatch):
    monkeypatch.setattr(streaming.time, "sleep", lambda seconds: None)
    assert run(folder, "--audio", folder / "speech.wav", "--stream", "--out", folder / "out/a.mp4") == 0
    output = capsys.readouterr().out
    assert "31 frames; the first came" in output and "real-time factor" in output
    assert sorted(p.name for p in (folder / "out").iterdir()) == ["a.mp4", "a_track.csv", "a_track.npz"]


def test_silence_makes_an_idle_face(folder, capsys):
    assert run(folder, "--silence", "1.2", "--out", folder / "out/a.mp4") == 0
    assert "30 frames (1.2 s)" in capsys.readouterr().out
    assert not audio.read_audio(folder / "out/a.mp4").any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--silence", "0"], "silence of 0 s"),
        (["--silence", "nan"], "silence of nan s"),
        (["--audio", "-"], "audio -: only with --stream"),
        (["--silence", "1", "--audio", "x.wav"], "not allowed with argument"),
        ([], "give --portrait and one of --audio, --silence"),
        (["--silence", "1", "--blink", "2"], "blink begins at 2 s"),
        (["--silence", "1", "--emotion", "2:happy,1:sad"], "emotion '1:sad'"),
        (["--silence", "1", "--emotion", "glad"], "emotion 'glad'"),
        (["--silence", "1", "--drive", "lip"], "not FACTOR=FILE"),
        (["--silence", "1", "--drive", "lips=a.mp4"], "a.mp4 does not exist"),
        (["--silence", "1", "--keyframes", "no.csv"], "keyframes no.csv does not exist"),
    ],
)
def test_bad_flags_end_with_2_and_one_sentence(folder, capsys, arguments, message):
    assert run(folder, *arguments, "--out", folder / "out/a.mp4") == 2
    output = capsys.readouterr().err
    assert message in output and "Traceback" not in output
    assert not list((folder / "out").iterdir())


@pytest.mark.slow
def test_standard_input_to_standard_output(tmp_path):
    """The bundled model in a pipe: the output is a complete video, although ffmpeg cannot seek."""
    root = Path(__file__).resolve().parents[1]
    assets = root / "demo_jax" / "assets"
    done = subprocess.run(
        [sys.executable, "sample.py", "--portrait", assets / "portrait.png", "--audio", "-", "--stream", "--out", "-"],
        input=tiny_model.speech(13).astype("<i2").tobytes(), cwd=root, capture_output=True, check=True,
    )  # fmt: skip
    (tmp_path / "a.mp4").write_bytes(done.stdout)
    info, frames = video.read_video(tmp_path / "a.mp4")
    assert len(list(frames)) == 13 and info.has_audio
    assert b"13 frames" in done.stderr
