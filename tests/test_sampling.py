"""The pipeline and sample.py with a real, small, randomly initialised model."""

import dataclasses
import json
import subprocess
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_model
from PIL import Image
from process_utils import run_code

from demo_jax import sample
from demo_jax.errors import InputError
from demo_jax.factors import CALIBRATED_NAMES, CALIBRATED_SCALE, GAZE_SCALE, POSE_SCALE, TRACK_COLUMNS
from demo_jax.media import audio as audio_files
from demo_jax.media import ffmpeg, video
from demo_jax.media.video_writer import VideoWriter
from demo_jax.sampling import pipeline
from demo_jax.sampling.controls import FREE, Controls, gaze_at_camera
from demo_jax.sampling.options import Options
from demo_jax.sampling.pipeline import Pipeline
from demo_jax.sampling.sampler import sample_window
from demo_jax.sampling.tracks import MotionTrack, read_track, write_track

ROOT = Path(__file__).resolve().parents[1]
WHERE = dict(zip(CALIBRATED_NAMES, tiny_model.LAYOUT.calibrated, strict=True))
FAST = Options(steps=2)
FRAMES = 31  # three windows of 12, the last one not full


@pytest.fixture(scope="module")
def demo():
    return Pipeline(tiny_model.model())


@pytest.fixture(scope="module")
def portrait_code(demo):
    return np.asarray(demo.encode_source(tiny_model.portrait())[1])


def motion(demo, code, controls=FREE, options=FAST, frames=FRAMES):
    return np.concatenate(list(demo.motion(code, tiny_model.speech(frames), controls, options)))


def test_the_same_seed_gives_the_same_codes_and_another_one_others(demo, portrait_code):
    first = motion(demo, portrait_code)
    assert first.shape == (FRAMES, tiny_model.LAYOUT.size) and np.isfinite(first).all()
    np.testing.assert_array_equal(motion(demo, portrait_code), first)
    other = motion(demo, portrait_code, options=Options(steps=2, seed=1))
    assert (other != first).all()


def test_frames_are_the_decoded_codes(demo):
    size = tiny_model.SIZE
    portrait = tiny_model.portrait()
    made = list(demo.frames(portrait, tiny_model.speech(13), options=FAST))
    params = demo.model.autoencoder_params
    pyramid, source = demo.encode_source(portrait)
    for image, code in made:
        assert image.shape == (size, size, 3) and image.dtype == np.uint8
        alone = np.asarray(demo.drawer._decode(params, pyramid, source, jnp.asarray(code[None])))[0]
        # Another batch size may sum in another order: one grey level.
        assert np.abs(alone.astype(int) - image).max() <= 1


def test_arrays_of_another_shape_or_type_are_refused(demo):
    for portrait in (np.zeros((64, 64, 3), np.uint8), np.zeros((32, 32, 3))):
        with pytest.raises(InputError, match=r"not uint8 \[32, 32, 3\]"):
            next(demo.frames(portrait, tiny_model.speech(3)))
    with pytest.raises(InputError, match="int16"):
        next(demo.frames(tiny_model.portrait(), np.zeros(6400, np.float32)))


def test_held_factors_do_not_move_and_the_others_do(demo, portrait_code):
    codes = motion(demo, portrait_code, Controls.parse(hold="pose,gaze"))
    for factor, part in tiny_model.LAYOUT.slices.items():
        if factor in ("pose", "gaze"):
            np.testing.assert_array_equal(codes[:, part], portrait_code[part][None].repeat(FRAMES, 0))
        else:
            assert (codes[:, part].std(0) > 1e-3).all()


def test_given_values_come_out_exactly_and_the_flow_sees_them(demo, portrait_code):
    yaw = np.full(20, np.nan, np.float32)
    yaw[[0, 7, 13]] = [-5, 12.5, 20]
    track = MotionTrack(columns={"yaw": yaw}, start=5)
    codes = motion(demo, portrait_code, Controls(track=track))
    np.testing.assert_array_equal(codes[[5, 12, 18], WHERE["yaw"]], np.float32([-5, 12.5, 20]) / np.float32(15))
    free = motion(demo, portrait_code)
    assert (codes[:, WHERE["pitch"]] != free[:, WHERE["pitch"]]).any()


def test_gain_changes_the_output_but_not_the_context_of_later_windows(demo, portrait_code):
    free = motion(demo, portrait_code)
    halved = motion(demo, portrait_code, Controls.parse(gain="pose=0.5"))
    pose = tiny_model.LAYOUT.slices["pose"]
    expected = free.copy()
    expected[:, pose] = portrait_code[pose] + 0.5 * (free[:, pose] - portrait_code[pose])
    np.testing.assert_allclose(halved, expected, atol=1e-6)  # every window: the context was the unscaled motion


def test_later_windows_depend_on_earlier_ones(demo, portrait_code):
    """The same window with another past comes out differently."""
    window = tiny_model.WINDOW
    free = motion(demo, portrait_code)
    turned = motion(demo, portrait_code, Controls(track=MotionTrack(columns={"yaw": np.full(window, 60, np.float32)})))
    assert (free[window:] != turned[window:]).any()


def test_audio_and_its_scale_matter(demo, portrait_code):
    base = motion(demo, portrait_code)
    louder = motion(demo, portrait_code, options=Options(steps=2, audio_scale=4.0))
    assert (base != louder).any()
    deaf = Options(steps=2, audio_scale=0.0)
    codes = [
        np.concatenate(list(demo.motion(portrait_code, tiny_model.speech(12, seed), options=deaf))) for seed in (0, 1)
    ]
    np.testing.assert_array_equal(*codes)  # scale 0: the speech has no effect


def test_emotion_is_guided_only_when_requested(demo, portrait_code):
    happy = [
        motion(demo, portrait_code, options=Options(steps=2, emotion="happy", emotion_scale=s), frames=12)
        for s in (0.0, 3.0)
    ]
    assert (happy[0] != happy[1]).any()
    assert "emotion" not in Options().scales


def test_emotions_change_at_their_times(demo, portrait_code):
    assert Options(emotion="sad").emotions == [(0, 3)]
    assert Options(emotion="1.2:happy, 2:sad").emotions == [(0, 0), (30, 2), (50, 3)]
    made = [
        motion(demo, portrait_code, options=Options(steps=2, emotion=e), frames=24) for e in ("sad", "sad,0.64:happy")
    ]
    np.testing.assert_array_equal(made[0][:12], made[1][:12])  # the lookahead of these frames ends with frame 14
    assert (made[0][12:] != made[1][12:]).any()


def test_eyes_on_the_camera_depend_on_the_final_head_and_do_not_change_it(demo, portrait_code):
    gains = Controls.parse(gain="pose=2")
    free, camera = (motion(demo, portrait_code, dataclasses.replace(gains, camera=c)) for c in (False, True))
    pose, gaze = tiny_model.LAYOUT.slices["pose"], [WHERE["gaze_yaw"], WHERE["gaze_pitch"]]
    # The first window's head is that of the same noise; later ones have another context.
    np.testing.assert_allclose(camera[: tiny_model.WINDOW, pose], free[: tiny_model.WINDOW, pose], atol=1e-5)
    wanted = gaze_at_camera(camera[:, pose] * POSE_SCALE) / GAZE_SCALE[:2]
    np.testing.assert_allclose(camera[:, gaze], wanted, rtol=1e-6)
    assert np.abs(free[:, gaze] - wanted).max() > 0.1
    held = motion(demo, portrait_code, Controls.parse(hold="gaze", camera=True))  # what is given counts before
    np.testing.assert_array_equal(held[:, gaze], portrait_code[gaze][None].repeat(FRAMES, 0))


def test_a_driving_track_s_factors_come_out_exactly(demo, portrait_code, tmp_path):
    first = motion(demo, portrait_code, options=Options(steps=2, seed=3))
    write_track(tmp_path / "a.npz", demo.track(first))
    drives = demo.read_drive([f"lip={tmp_path}/a.npz", f"+pose={tmp_path}/a.npz"])
    made = motion(demo, portrait_code, Controls.parse(drive=drives))
    lip, pose = (tiny_model.LAYOUT.slices[f] for f in ("lip", "pose"))
    np.testing.assert_array_equal(made[:, lip], first[:, lip])
    np.testing.assert_allclose(made[:, pose], (first - first[0] + portrait_code)[:, pose], rtol=1e-5, atol=1e-6)


def test_a_driving_video_is_read_by_the_motion_encoder(demo, tmp_path):
    frames = [tiny_model.portrait(seed) for seed in range(13)]
    with VideoWriter(tmp_path / "d.mp4", (32, 32)) as writer:
        for frame in frames:
            writer.write(frame)
    (tmp_path / "d.json").write_text('{"cropped": true}')
    codes = demo.read_motion(tmp_path / "d.mp4")
    shown = list(video.read_video(tmp_path / "d.mp4")[1])
    alone = np.stack([np.asarray(demo.encode_source(x)[1]) for x in shown])
    assert len(codes) == 13  # more than one batch
    np.testing.assert_allclose(codes, alone, atol=1e-4)  # another batch size may sum in another order


def test_a_row_does_not_depend_on_its_batch():
    from demo_jax.flow import condition as conditions

    def velocity(x, t, cond):
        del t
        return x + cond.source[:, None]

    keys = jax.random.split(jax.random.key(0), 3)
    cond = conditions.empty(3, 4, 2, length=5).replace(source=jnp.arange(12.0).reshape(3, 4))
    together = sample_window(velocity, keys, cond, steps=3, scales={})
    alone = sample_window(velocity, keys[1:2], conditions.take(cond, jnp.array([1])), steps=3, scales={})
    np.testing.assert_allclose(together[1:2], alone, rtol=1e-6)


def test_the_track_has_the_records_units_and_leaves_badly_explained_names_free(demo, portrait_code):
    codes = motion(demo, portrait_code)
    track = demo.track(codes)
    assert tuple(track.columns) != () and set(track.columns) == set(TRACK_COLUMNS[1:])
    for i, name in enumerate(CALIBRATED_NAMES):
        np.testing.assert_allclose(track.columns[name], codes[:, WHERE[name]] * CALIBRATED_SCALE[i], rtol=1e-6)
    free = [name for name in TRACK_COLUMNS[14:] if np.isnan(track.columns[name]).all()]
    assert len(free) == 12  # tiny_model's 12 names of low R^2
    assert all(np.isfinite(track.columns[name]).all() for name in TRACK_COLUMNS[14:] if name not in free)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": -1}, {"steps": 0}, {"steps": 10**6}, {"solver": "rk4"}, {"audio_scale": float("nan")},
        {"audio_scale": -1.0}, {"emotion_scale": 1e9}, {"emotion": "bored"},
    ],
)  # fmt: skip
def test_impossible_options_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong)).replace("_", " ")):
        Options(**wrong)


# The command ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, demo, monkeypatch):
    """A portrait of the puppet, a recording, an empty output folder; the tiny model is the bundled one."""
    Image.fromarray(tiny_model.portrait()).save(tmp_path / "puppet.png")
    (tmp_path / "puppet.json").write_text(json.dumps({"cropped": True, "corpus": "puppet"}))
    audio_files.write_wav(tmp_path / "speech.wav", tiny_model.speech(FRAMES))
    (tmp_path / "out").mkdir()
    load = pipeline.load
    monkeypatch.setattr(pipeline, "load", lambda path=None: demo if path is None else load(path))
    return tmp_path


def run(folder, *extra, portrait="puppet.png", audio="speech.wav", out="out/a.mp4"):
    inputs = ["--portrait", str(folder / portrait), "--audio", str(folder / audio), "--out", str(folder / out)]
    try:
        return sample.main([*inputs, "--steps", "2", *extra])
    except SystemExit as stop:  # argparse
        return stop.code


def test_the_command_writes_a_video_and_its_track(folder, capsys):
    assert run(folder, "--hold", "pose", "--set", "gaze_yaw=+10") == 0
    assert sorted(p.name for p in (folder / "out").iterdir()) == ["a.mp4", "a_track.csv", "a_track.npz"]
    info, frames = video.read_video(folder / "out/a.mp4")
    assert len(list(frames)) == FRAMES and info.has_audio and (info.width, info.height) == (32, 32)
    assert (
        len(audio_files.read_audio(folder / "out/a.mp4")) >= FRAMES * 640 - 1024
    )  # AAC works in frames of 1024 samples
    track = read_track(folder / "out/a_track.npz")
    assert track.length == FRAMES and np.ptp(track.columns["yaw"]) == 0
    shown = capsys.readouterr()
    assert f"{FRAMES} frames (1.2 s)" in shown.out and "6 network evaluations in 3 windows" in shown.out
    assert "warning" not in shown.err


def test_the_metadata_marks_the_video_as_synthetic_and_name_its_checkpoint(folder):
    assert run(folder) == 0
    log = subprocess.run(
        [ffmpeg.ffmpeg_program(), "-i", str(folder / "out/a.mp4")], capture_output=True, text=True, check=False
    ).stderr
    model = tiny_model.model().fingerprint("1")
    assert "Synthetic media" in log and f"Checkpoint: tiny 0123456789abcdef; model {model}; seed 0" in log


def test_a_written_track_can_be_followed(folder):
    # An untrained model moves beyond the limits of controls.
    assert run(folder, "--gain", "lip=0.3,pose=0.3,gaze=0.3") == 0
    assert run(folder, "--seed", "5", "--track", str(folder / "out/a_track.npz"), out="out/b.mp4") == 0
    first, second = (read_track(folder / f"out/{n}_track.npz") for n in "ab")
    for name in CALIBRATED_NAMES:
        np.testing.assert_allclose(second.columns[name], first.columns[name], rtol=1e-6)
    assert (first.columns["jawOpen"] != second.columns["jawOpen"]).any()  # what cannot be given was drawn anew


def test_portraits_are_cropped_by_their_sidecar(folder, demo):
    wide = np.random.default_rng(0).integers(0, 256, (64, 80, 3)).astype(np.uint8)
    Image.fromarray(wide).save(folder / "wide.png")
    (folder / "wide.json").write_text(json.dumps({"crop": [40, 10, 32], "corpus": "puppet"}))
    np.testing.assert_array_equal(demo.read_portrait(folder / "wide.png").square, wide[10:42, 40:72])
    (folder / "wide.json").write_text(json.dumps({"crop": [60, 40, 32], "corpus": "puppet"}))
    beyond = demo.read_portrait(folder / "wide.png").square
    np.testing.assert_array_equal(beyond[:24, :20], wide[40:, 60:])
    np.testing.assert_array_equal(beyond[24:, :20], wide[63:, 60:].repeat(8, 0))


def test_a_photograph_gives_a_warning(folder, capsys):
    (folder / "puppet.json").unlink()
    assert run(folder, "--cropped") == 0
    warning = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert len(warning) == 1 and "is not a puppet" in warning[0]


def test_an_image_without_a_face_is_refused(folder, capsys):
    pytest.importorskip("mediapipe")
    Image.fromarray(np.full((200, 200, 3), 128, np.uint8)).save(folder / "grey.png")
    assert run(folder, portrait="grey.png") == 2
    assert "no face" in capsys.readouterr().err


BAD = {
    "unknown flag": (["--stepz", "3"], "unrecognized arguments: --stepz"),
    "abbreviated flag": (["--aud", "3"], "unrecognized arguments"),
    "word for a number": (["--steps", "many"], "invalid int value"),
    "no steps": (["--steps", "0"], "steps 0"),
    "negative seed": (["--seed", "-1"], "seed -1"),
    "infinite scale": (["--audio-scale", "inf"], "audio scale inf"),
    "unknown solver": (["--solver", "rk4"], "solver 'rk4'"),
    "unknown emotion": (["--emotion", "bored"], "emotion 'bored': choose one of"),
    "unknown factor": (["--hold", "head"], "'head' is not a factor"),
    "gain of what": (["--gain", "0.5"], "not NAME=NUMBER"),
    "held and scaled": (["--gain", "pose=2", "--hold", "pose"], "not both"),
    "set of what": (["--set", "smile=1"], "cannot be set"),
    "impossible angle": (["--set", "yaw=1000"], "between -90 and 90"),
    "no checkpoint": (["--checkpoint", "{}/out"], "checkpoint"),
    "missing checkpoint": (["--checkpoint", "{}/nowhere"], "does not exist"),
    "missing track": (["--track", "{}/none.csv"], "does not exist"),
    "slow track": (["--track", "{}/slow.csv"], "not at 25 rows a second"),
    "late track": (["--track", "{}/late.csv"], "begins at 4 s"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD.keys())
def test_bad_flags_end_with_2_and_one_sentence_and_no_output(folder, capsys, arguments, message):
    (folder / "slow.csv").write_text("time,yaw\n0,1\n0.1,2\n")
    (folder / "late.csv").write_text("time,yaw\n4,1\n4.04,2\n")
    assert run(folder, *(a.format(folder) for a in arguments)) == 2
    check_refusal(folder, capsys, message)


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ({"portrait": "none.png"}, "does not exist"),
        ({"portrait": "speech.wav"}, "not an image"),
        ({"portrait": "cut.png"}, "cut"),
        ({"portrait": "oblong.png"}, "must be square"),
        ({"portrait": "broken.png"}, "sidecar"),
        ({"portrait": "outside.png"}, "does not lie on"),
        ({"audio": "none.wav"}, "does not exist"),
        ({"audio": "puppet.json"}, "cannot be read as audio"),
        ({"audio": "empty.wav"}, "is empty"),
        ({"out": "out/a.gif"}, "must end in"),
        ({"out": "nowhere/a.mp4"}, "does not exist"),
    ],
)
def test_bad_inputs_end_with_2_and_one_sentence_and_no_output(folder, capsys, paths, message):
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(folder / "oblong.png")
    (folder / "oblong.json").write_text('{"cropped": true}')
    for name, sidecar in (("broken", "{"), ("outside", '{"crop": [900, 0, 32]}')):
        Image.fromarray(tiny_model.portrait()).save(folder / f"{name}.png")
        (folder / f"{name}.json").write_text(sidecar)
    (folder / "cut.png").write_bytes((folder / "puppet.png").read_bytes()[:600])
    (folder / "empty.wav").write_bytes(b"")
    assert run(folder, **paths) == 2
    check_refusal(folder, capsys, message)


def check_refusal(folder, capsys, message):
    errors = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("warning")]
    assert len(errors) == 1 and errors[0].startswith("error: ") and message in errors[0], errors
    assert list((folder / "out").iterdir()) == []


def test_an_input_is_never_overwritten(folder, capsys):
    assert run(folder) == 0
    before = (folder / "out/a.mp4").read_bytes()
    assert run(folder, audio="out/a.mp4") == 2
    assert "is an input and would be replaced" in capsys.readouterr().err
    assert (folder / "out/a.mp4").read_bytes() == before


def test_a_failure_half_way_leaves_nothing(folder, demo, monkeypatch):
    drawn = demo.drawn

    def failing(*arguments):
        for i, frame in enumerate(drawn(*arguments)):
            if i == 15:
                raise KeyboardInterrupt
            yield frame

    monkeypatch.setattr(demo, "drawn", failing)
    assert run(folder) == 130
    assert list((folder / "out").iterdir()) == []


def test_help_has_examples_and_loads_nothing_heavy():
    code = (
        "import sys, sample\n"
        "try:\n    sample.main(['--help'])\nexcept SystemExit as stop:\n    assert stop.code == 0\n"
        "assert 'jax' not in sys.modules and 'flax' not in sys.modules"
    )
    printed = run_code(code)
    for word in ("--hold pose,gaze", "degrees", "yaw=+10", "examples", "exit codes", *CALIBRATED_NAMES):
        assert word in printed
