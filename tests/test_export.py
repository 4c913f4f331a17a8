"""An exported model agrees with the model, in a process without its code."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_model
from drawn_portrait import drawn

from demo_jax.errors import InputError
from demo_jax.flow import condition as conditions
from demo_jax.flow import guidance, ode
from demo_jax.models.flow_transformer import FlowTransformer
from demo_jax.rendering import opencv
from demo_jax.sampling import export
from demo_jax.sampling.drawing import Drawer
from demo_jax.sampling.pipeline import Pipeline
from demo_jax.sampling.portraits import Source


@pytest.fixture(scope="module")
def demo():
    return Pipeline(tiny_model.model())


@pytest.fixture(scope="module")
def exported(demo, tmp_path_factory):
    return export.write(demo, tmp_path_factory.mktemp("export") / "tiny.zip", batch=2, steps=3, box=(192, 128))


def inputs(demo):
    said = conditions.empty(
        2, tiny_model.LAYOUT.size, 160, context=tiny_model.CONTEXT, length=tiny_model.WINDOW,
        lookahead=tiny_model.LOOK_AHEAD,
    )  # fmt: skip
    audio = jax.random.normal(jax.random.key(1), said.audio.shape)
    said = said.replace(audio=audio, audio_mask=jnp.ones_like(said.audio_mask), keep_audio=jnp.ones(2, bool))
    return jax.random.normal(jax.random.key(2), said.given.shape), said


def test_exported_programs_agree_with_the_model(demo, exported):
    programs, meta = export.read(exported)
    assert meta["size"] == 32 and meta["batch"] == 2 and meta["fingerprint"] == "0123456789abcdef"
    assert meta["calibrated"]["yaw"] == {"coordinate": 5, "scale": 15.0}
    portrait = tiny_model.portrait()
    *pyramid, code = programs["encode"](portrait)
    tree, own = demo.encode_source(portrait)
    np.testing.assert_allclose(code, own, atol=1e-5)
    noise, said = inputs(demo)
    made = programs["sample"](noise, jnp.float32(1.5), jnp.float32(1.0), *(getattr(said, n) for n in export.FIELDS))
    assert made.shape == (2, tiny_model.WINDOW, tiny_model.LAYOUT.size) and np.isfinite(made).all()
    guided = guidance.guide(
        lambda x, t, c: FlowTransformer(tiny_model.STAGE2.model, tiny_model.LAYOUT).apply(
            {"params": demo.model.flow_params}, x, t, c
        ),
        {"audio": guidance.audio_scale(1.5, tiny_model.LAYOUT), "emotion": 1.0},
    )
    whitened = ode.solve(guided, noise, said, 3)[0]
    np.testing.assert_allclose(made, demo.model.space.from_whitened(whitened), atol=1e-4)
    louder = said.replace(audio=said.audio + 1)
    other = programs["sample"](noise, jnp.float32(1.5), jnp.float32(1.0), *(getattr(louder, n) for n in export.FIELDS))
    assert (np.asarray(other) != np.asarray(made)).any()
    codes = np.zeros((10, tiny_model.LAYOUT.size), np.float32)
    codes[:2] = np.asarray(made)[0, :2]
    frames = np.asarray(programs["decode"](*pyramid, code, codes)).astype(int)
    wanted = np.asarray(demo.drawer._decode(demo.model.autoencoder_params, tree, own, jnp.asarray(codes))).astype(int)
    assert np.abs(frames - wanted).max() <= 1  # rounding


@pytest.fixture(scope="module")
def source(demo):
    """A drawn portrait, whose box has the exported size."""
    pyramid, code = demo.encode_source(tiny_model.portrait())
    photograph = drawn().photograph
    return Source(pyramid=pyramid, code=code, size=photograph.size, photograph=photograph)


def test_exported_programs_draw_photographs(demo, exported, source):
    programs, meta = export.read(exported)
    assert meta["photograph"] == [192, 128]
    assert [i["name"] for i in meta["inputs"]["draw"]][-3:] == ["portrait_code", "codes", "points"]
    codes = np.asarray(source.code) + np.random.default_rng(0).normal(0, 0.3, (10, tiny_model.LAYOUT.size))
    codes = codes.astype(np.float32)
    codes[0] = source.code
    face = source.photograph.scene.face.points
    moved = programs["move_face"](*jax.tree.leaves(source.pyramid), source.code, codes, face)
    boxes = programs["draw"](*export.scene_arrays(source.photograph.scene).values(), source.code, codes, moved)
    assert boxes.shape == (10, 192, 128, 4)
    made = np.stack([source.photograph.paste(np.asarray(box)[..., :3]) for box in boxes]).astype(int)
    np.testing.assert_array_equal(made[0], source.photograph.image)
    drawer = Drawer(demo.model)
    for by_opencv in {False, opencv.available()}:
        drawer._opencv = by_opencv  # XLA alone, as on an accelerator
        off = np.abs(made - np.stack(list(drawer.frames(source, codes))))
        assert (made[1:] != source.photograph.image).mean() > 0.1
        # Two compilations round few positions to another 1/32 pixel, which noise shows.
        assert (off > 1).mean() < 1e-3 and off.max() <= 16


def test_exported_programs_run_without_the_models(exported):
    code = f"""
import sys, zipfile, json, numpy as np
from jax import export
with zipfile.ZipFile({str(exported)!r}) as file:
    meta = json.loads(file.read("meta.json"))
    sample = export.deserialize(bytearray(file.read("sample.bin")))
arrays = [np.zeros(i["shape"], i["dtype"]) for i in meta["inputs"]["sample"]]
codes = np.asarray(sample.call(*arrays))
ours = [m for m in sys.modules if m.startswith(("demo_jax", "flax", "diffrax"))]
print(json.dumps([codes.shape, bool(np.isfinite(codes).all()), ours]))
"""
    out = subprocess.run([sys.executable, "-c", code], check=True, cwd="/", stdout=subprocess.PIPE, text=True).stdout
    shape, finite, ours = json.loads(out)
    assert shape == [2, 12, 18] and finite
    assert ours == []


def test_impossible_exports_are_refused(demo, tmp_path, capsys):
    with pytest.raises(InputError, match="batch 0"):
        export.write(demo, tmp_path / "a.zip", batch=0)
    for box in ((100, 128), (0, 64), (64, 4096)):
        with pytest.raises(InputError, match="multiples of 64, at most 2176"):
            export.write(demo, tmp_path / "a.zip", box=box)
    with pytest.raises(InputError, match="does not exist"):
        export.write(demo, tmp_path / "no/a.zip")
    assert export.main(["--out", str(tmp_path / "a.zip"), "--photograph", "640"]) == 2
    assert "photograph '640' is not HEIGHTxWIDTH, as in 640x576." in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
