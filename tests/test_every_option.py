"""No option is accepted and ignored: each changes the motion or is refused. Inputs are never overwritten."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest
import tiny_model
from PIL import Image

from demo_jax import sample
from demo_jax.errors import InputError
from demo_jax.media import audio
from demo_jax.sampling import pipeline
from demo_jax.sampling.controls import Controls, Drive, Setting
from demo_jax.sampling.options import Options
from demo_jax.sampling.pipeline import Pipeline
from demo_jax.sampling.tracks import MotionTrack

FRAMES = 14  # two windows
MOVING = np.random.default_rng(0).uniform(0.3, 0.7, (FRAMES, tiny_model.LAYOUT.size)).astype(np.float32)


def track(**columns) -> MotionTrack:
    return MotionTrack(columns={name: np.asarray(values, np.float32) for name, values in columns.items()})


# Option -> (what is set beside it, another value); control -> a value.
OPTIONS = {
    "seed": ({}, 1),
    "steps": ({}, 3),
    "solver": ({}, "heun"),
    "audio_scale": ({}, 4.0),
    "emotion": ({}, "happy"),
    "emotion_scale": ({"emotion": "happy"}, 3.0),
}
CONTROLS = {
    "hold": ("pose",),
    "gain": {"lip": 0.5},
    "drive": {"lip": Drive(codes=MOVING)},
    "track": track(yaw=np.full(FRAMES, 10)),
    "keyframes": MotionTrack(columns={"yaw": np.full(1, 10, np.float32)}, start=6),
    "set": {"yaw": Setting(value=10)},
    "blink": (0.2,),
    "camera": True,
}


@pytest.fixture(scope="module")
def demo():
    return Pipeline(tiny_model.model())


@pytest.fixture(scope="module")
def motion(demo):
    _, code = demo.encode_source(tiny_model.portrait())

    def make(controls: Controls, options: Options) -> np.ndarray:
        return np.concatenate(list(demo.motion(np.asarray(code), tiny_model.speech(FRAMES), controls, options)))

    return make


def test_the_tables_cover_all_options_and_controls():
    assert OPTIONS.keys() == {f.name for f in dataclasses.fields(Options)}
    assert CONTROLS.keys() == {f.name for f in dataclasses.fields(Controls)}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_changes_the_motion(motion, name):
    beside, value = OPTIONS[name]
    plain = Options(**({"steps": 2} | beside))
    changed = dataclasses.replace(plain, **{name: value})
    assert (motion(Controls(), plain) != motion(Controls(), changed)).any()


@pytest.mark.parametrize("name", CONTROLS)
def test_every_control_changes_the_motion(motion, name):
    changed = Controls(**{name: CONTROLS[name]})
    assert (motion(Controls(), Options(steps=2)) != motion(changed, Options(steps=2))).any()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--emotion-scale", "3"], "without an emotion there is nothing to scale"),
        (["--slots", "2"], "slots: only with --manifest"),
    ],
)
def test_a_flag_without_effect_is_refused(capsys, arguments, says):
    assert sample.main(["--portrait", "p.png", "--silence", "1", "--out", "x.mp4", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_motion_is_the_same_where_x64_is_enabled(demo, motion):
    plain = motion(Controls(), Options(steps=2))
    wide = Pipeline(tiny_model.model())  # its own programs
    with jax.enable_x64(True):
        _, code = wide.encode_source(tiny_model.portrait())
        made = np.concatenate(list(wide.motion(np.asarray(code), tiny_model.speech(FRAMES), options=Options(steps=2))))
    # The noise is the same; sums in 64 bits differ in the last digits, which this untrained network enlarges.
    np.testing.assert_allclose(made, plain, rtol=1e-2, atol=1e-2)
    assert np.ptp(plain, axis=0).max() > 0.5


# inputs ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, demo, monkeypatch):
    monkeypatch.setattr(pipeline, "load", lambda path=None: demo)
    monkeypatch.chdir(tmp_path)
    Image.fromarray(tiny_model.portrait()).save("p.png")
    (tmp_path / "p.json").write_text('{"cropped": true, "corpus": "puppet"}')
    audio.write_wav(tmp_path / "s.wav", tiny_model.speech(FRAMES))
    return tmp_path


def made(out, *arguments):
    return sample.main(["--portrait", "p.png", "--audio", "s.wav", "--steps", "2", "--out", out, *arguments])


def test_audio_of_no_samples_is_refused(demo, folder):
    with pytest.raises(InputError, match=r"the audio is empty \(0 samples\)"):
        demo.generate("p.png", np.zeros(0, np.int16), "a.mp4")
    with pytest.raises(InputError, match=r"the audio is empty \(0 samples\)"):
        next(demo.frames(tiny_model.portrait(), np.zeros(0, np.int16)))
    assert sorted(p.name for p in folder.iterdir()) == ["p.json", "p.png", "s.wav"]


def test_no_input_is_overwritten(folder, capsys):
    for name in ("a.mp4", "a_track.npz", "a_track.csv"):
        (folder / name).write_text("here")
    (folder / "link.mp4").symlink_to("a.mp4")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for out, arguments in (
        ("a.mp4", ["--drive", "lip=a.mp4"]),
        ("./a.mp4", ["--drive", "+pose=a_track.npz"]),
        ("a.mp4", ["--drive", "pose=link.mp4"]),
        ("a.mp4", ["--track", "a_track.csv"]),
        ("a.mp4", ["--keyframes", "a_track.csv"]),
        ("a.mp4", ["--audio", "a.mp4"]),
        ("a.mp4", ["--stream", "--audio", "a.mp4"]),
        ("a.mp4", ["--checkpoint", "a.mp4"]),
    ):
        capsys.readouterr()
        assert made(out, *arguments) == 2, arguments
        assert "is an input and would be replaced by the output" in capsys.readouterr().err, arguments
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


# the model's name -----------------------------------------------------------------------------------------------------


def test_the_fingerprint_covers_everything_that_decides_a_video(demo):
    model = tiny_model.model()

    def changed(tree, *path):
        copy = jax.tree.map(lambda a: a, tree)
        leaf = copy
        for name in path:
            leaf = leaf[name]
        name = next(k for k, v in leaf.items() if not isinstance(v, dict))
        leaf[name] = leaf[name].at[(0,) * leaf[name].ndim].add(1e-3)
        return copy

    others = {
        "flow": dataclasses.replace(model, flow_params=changed(model.flow_params, "audio_in")),
        "decoder": dataclasses.replace(
            model, autoencoder_params=changed(model.autoencoder_params, "decoder", "style_0")
        ),
        "space": dataclasses.replace(model, space=dataclasses.replace(model.space, mean=model.space.mean + 1e-3)),
        "network": dataclasses.replace(
            model, flow=dataclasses.replace(model.flow, model=dataclasses.replace(model.flow.model, look_ahead=4))
        ),
    }
    found = {"itself": demo.model_fingerprint, "features": model.fingerprint("2")}
    found |= {name: Pipeline(other).model_fingerprint for name, other in others.items()}
    assert len(set(found.values())) == len(found), found
    assert Pipeline(tiny_model.model()).model_fingerprint == demo.model_fingerprint == model.fingerprint("1")
    assert all(Pipeline(other).fingerprint == demo.fingerprint for other in others.values())  # of the motion encoder
