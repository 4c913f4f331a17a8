"""Behaviour of all commands: devices are checked first, one process writes to a folder at a time, and bundled files are
found from any folder."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import synthetic
import tiny_model
from process_utils import wait_for

from data_pipelines.records.schema import write_clip
from demo_jax import devices, paths
from demo_jax.checkpoint.load import describe, load_any, load_model
from demo_jax.config import DataConfig, OptimizerConfig, Stage1Config, as_config_dict, from_config_dict
from demo_jax.errors import InputError
from demo_jax.jobs import common, run, stage1
from demo_jax.media.locks import LOCK, locked
from demo_jax.training import distributed
from demo_jax.training.state import create, make_optimizer

ROOT = Path(__file__).resolve().parents[1]

WITHOUT_A_DEVICE = """
import contextlib, io, sys
import jax
from demo_jax import sample, train
from demo_jax.errors import InputError
from demo_jax.jobs.run import run
from data_pipelines import encode, train_matte, train_phonetic
from demo_jax.evaluation.judge import train as train_judge
from demo_jax.evaluation.report import build
from demo_jax.sampling import export

def trained(arguments):
    try:
        run(train.parse(["train.py", "--config=configs/puppet_flow.py"])  and train.CONFIG.value, "w")
    except InputError as error:
        print("error:", error, file=sys.stderr)
        return 2

sys.argv = ["train.py", "--config=configs/puppet_flow.py"]
for platform in ("tpu", "cuda"):
    jax.config.update("jax_platforms", platform)
    for main, arguments in (
        (sample.main, ["--portrait", "p.png", "--silence", "1", "--out", "x.mp4"]),
        (sample.main, ["--portrait", "p.png", "--audio", "-", "--stream", "--out", "-"]),
        (sample.main, ["--manifest", "m.jsonl", "--out", "videos"]),
        (encode.main, ["--autoencoder", "puppet-v1", "--data", "d", "--out", "o"]),
        (export.main, ["--out", "o.zip"]),
        (build.main, ["--data", "d", "--out", "o"]),
        (train_judge.main, ["--data", "d", "--out", "o"]),
        (train_phonetic.main, ["--out", "o.npz"]),
        (train_matte.main, ["--portraits", "p", "--splits", "s", "--segmenter", "s", "--out", "o.npz"]),
        (trained, []),
    ):
        printed = io.StringIO()
        with contextlib.redirect_stderr(printed):
            code = main(arguments)
        print(platform, main.__module__, code, printed.getvalue(), end="")
"""


def test_every_command_reports_a_missing_device_in_one_sentence(tmp_path):
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT_A_DEVICE], env=environment, cwd=tmp_path,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) == 20, done.stderr
    for line in lines:
        platform, module, code, printed = line.split(" ", 3)
        assert code == "2", line
        expected = f'JAX finds no {platform} device (JAX_PLATFORMS={platform}); install ".[{platform}]", or unset it.'
        assert printed == f"error: {expected}", module
    assert [p.name for p in tmp_path.iterdir() if p.name not in ("configs", "videos")] == []


def test_an_unknown_platform_is_refused_too(monkeypatch):
    def no_backend():
        raise RuntimeError("Unable to initialize backend 'cdua': Backend 'cdua' is not in the list of known backends")

    monkeypatch.setattr(jax, "devices", no_backend)
    before = jax.config.jax_platforms
    try:
        jax.config.update("jax_platforms", "cpu,cdua")
        with pytest.raises(InputError, match=r"no cdua device \(JAX_PLATFORMS=cpu,cdua\); unset it\."):
            devices.require_devices()
    finally:
        jax.config.update("jax_platforms", before)


def test_a_command_computes_in_32_bits_and_prints_a_warning(capsys):
    jax.config.update("jax_enable_x64", True)
    try:
        devices.start_jax()
        assert not jax.config.jax_enable_x64
    finally:
        jax.config.update("jax_enable_x64", False)
    assert "warning: JAX_ENABLE_X64 is set" in capsys.readouterr().err


# one at a time --------------------------------------------------------------------------------------------------------


def test_a_second_process_in_a_folder_is_refused_until_the_first_ends(tmp_path):
    with (
        locked(tmp_path, "training"),
        pytest.raises(InputError, match=rf"another run, process {os.getpid()} on .*, is training in {tmp_path}; wait"),
        locked(tmp_path, "training"),
    ):
        pytest.fail("two at a time")
    assert list(tmp_path.iterdir()) == []
    with locked(tmp_path, "training"):
        pass


def test_a_lock_ends_when_its_process_is_killed(tmp_path):
    code = (
        "import sys, time\nfrom demo_jax.media.locks import locked\n"
        "with locked(sys.argv[1], 'training'):\n    time.sleep(600)\n"
    )
    other = subprocess.Popen([sys.executable, "-c", code, tmp_path], cwd=ROOT)
    try:
        assert wait_for(lambda: (tmp_path / LOCK).exists() and (tmp_path / LOCK).read_text() != "", 60)
        with pytest.raises(InputError, match=f"process {other.pid} "), locked(tmp_path, "training"):
            pytest.fail("two at a time")
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert (tmp_path / LOCK).exists()  # left behind, without effect
    with locked(tmp_path, "training"):
        assert str(os.getpid()) in (tmp_path / LOCK).read_text()


@pytest.fixture
def one_person(tmp_path):
    """A corpus of one training clip, and a config of stage 1 for it."""
    write_clip(tmp_path / "data" / "train", synthetic.clip("a_01", length=20))
    data = DataConfig(path=str(tmp_path / "data"), batch_size=8, set_batch_size=0)
    return Stage1Config(steps=1, model=tiny_model.STAGE1.model, data=data)


def test_two_runs_in_one_work_directory(one_person, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "train", lambda *arguments: "trained")  # the loop has its own tests
    values = as_config_dict(one_person)
    with locked(tmp_path / "run", "training"):
        with pytest.raises(InputError, match=r"another run, process \d+ on .*, is training in"):
            run.run(values, str(tmp_path / "run"))
        monkeypatch.setattr(distributed, "is_lead", lambda: False)
        assert run.run(values, str(tmp_path / "run")) == "trained"  # another process of the same run
    monkeypatch.undo()
    assert [p.name for p in (tmp_path / "run").iterdir()] == []


def test_a_corpus_without_a_val_split_is_reported(one_person, tmp_path, capsys):
    stage1.autoencoder_job(one_person, str(tmp_path / "run"))
    line = f"no val split in {tmp_path / 'data'}: evaluating on clips that are trained on.\n"
    assert capsys.readouterr().out == line
    write_clip(tmp_path / "data" / "val", synthetic.clip("b_01", length=20))
    stage1.autoencoder_job(one_person, str(tmp_path / "run"))
    assert "no val split" not in capsys.readouterr().out


# bundled files --------------------------------------------------------------------------------------------------------

CONFIGS = ["real_autoencoder", "finetune:autoencoder", "finetune:flow"]


@pytest.mark.parametrize("name", CONFIGS)
def test_configs_that_start_from_the_bundled_model_work_from_any_folder(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    module, _, argument = name.partition(":")
    get_config = importlib.import_module(f"configs.{module}").get_config
    config = from_config_dict(get_config(*filter(None, [argument])))
    assert config.start_from == "puppet-v1"
    assert describe(config.start_from)[0]["kind"] == "flow"


def test_an_existing_folder_takes_precedence_over_a_bundled_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    there = paths.ASSETS / "puppet-v1"
    assert Path(paths.resolve("puppet-v1")) == there == paths.BUNDLED
    assert Path(paths.resolve("demo_jax/assets/puppet-v1")) == there
    assert Path(paths.resolve(str(there))) == there
    assert Path(paths.resolve("judge")) == paths.ASSETS / "judge"
    for unknown in ("puppet-v9", "runs/puppet-v1", "/puppet-v1", "../assets/puppet-v1", ""):
        assert str(paths.resolve(unknown)) == str(Path(unknown))
    (tmp_path / "puppet-v1").mkdir()
    with pytest.raises(InputError, match="puppet-v1 is not a checkpoint of this project"):
        load_any("puppet-v1")
    with pytest.raises(InputError, match="does not exist; name a work directory of"):
        load_model("puppet-v9")


# settings -------------------------------------------------------------------------------------------------------------


def test_a_frozen_group_must_be_complete():
    config = Stage1Config(freeze=("decoder",))

    def params():
        return {"decoder": {"a": np.zeros(2), "b": np.zeros(3)}, "basis": {"c": np.zeros(4)}}

    with pytest.raises(InputError, match=r"freeze names decoder, but without config\.start_from"):
        common.given_parameters(config, params, dict)
    config = Stage1Config(freeze=("decoder",), start_from="runs/x")
    for other in ({"a": np.ones(2)}, {"a": np.ones(2), "b": np.ones(5)}):
        with pytest.raises(InputError, match="decoder is frozen, but only 1 of its 2 arrays are in runs/x"):
            common.given_parameters(config, params, lambda other=other: {"decoder": other})
    whole = common.given_parameters(config, params, lambda: {"decoder": {"a": np.ones(2), "b": np.ones(3)}})
    assert set(whole) == {
        "['decoder']['a']",
        "['decoder']['b']",
    }  # basis is trained, and may start from random parameters


def test_clip_norm_0_does_not_clip():
    params = {"group": {"w": np.ones(3, np.float32)}}
    gradients = {"group": {"w": np.full(3, 1e3, np.float32)}}

    def first_moment(clip_norm: float) -> np.ndarray:
        optimizer = make_optimizer(OptimizerConfig(clip_norm=clip_norm), 10)
        _, state = optimizer.update(gradients, create(params, optimizer).opt_state, params)
        return max((np.asarray(x) for x in jax.tree.leaves(state) if np.shape(x) == (3,)), key=lambda x: x[0])

    np.testing.assert_array_equal(first_moment(0.0), first_moment(1e9))
    assert (first_moment(1.0) < first_moment(0.0)).all()
