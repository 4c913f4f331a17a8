"""Refusals of train.py and prepare: unknown flags and settings, impossible numbers, unusable folders and videos. Exit
code 2, one line starting `error:`, no traceback, no partial output."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import synthetic
from absl.testing import flagsaver

from data_pipelines import prepare
from data_pipelines.records.schema import write_clip
from demo_jax import train
from demo_jax.config import DataConfig, MeshConfig, Stage1Config, Stage2Config, as_config_dict
from demo_jax.errors import InputError
from demo_jax.jobs import run
from demo_jax.media.video_writer import VideoWriter

ROOT = Path(__file__).resolve().parents[1]
STAGE1, STAGE2 = (f"--config={ROOT}/configs/puppet_{name}.py" for name in ("autoencoder", "flow"))

ONE = ("--config.mesh.data=1", "--config.mesh.tensor=8")  # of conftest's 8 devices, the batch lies on one


def refusal(capfd):
    """The one line on stderr."""
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), lines
    return lines[0]


@pytest.fixture
def command(tmp_path, monkeypatch):
    """train.py's parser and main; the work directory is tmp_path / run."""

    def call(*flags, workdir=tmp_path / "run"):
        arguments = ["train.py", f"--workdir={workdir}", *(str(f).format(tmp_path) for f in flags)]
        monkeypatch.delitem(sys.modules, "config_config", raising=False)  # or it would keep the previous config
        monkeypatch.setattr(sys, "argv", arguments)  # config_flags looks there for overrides
        with flagsaver.flagsaver(), pytest.raises(SystemExit) as stop:
            train.main(train.parse(arguments))
        return stop.value.code

    (tmp_path / "data").mkdir()
    (tmp_path / "syntax.py").write_text("def get_config(:\n")
    (tmp_path / "none.py").write_text("values = 3\n")
    config = "from demo_jax.config import *\ndef get_config():\n    return as_config_dict(Stage1Config(steps=0))\n"
    (tmp_path / "steps.py").write_text(config)
    return call


@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # of config_flags
@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ([STAGE1, "--stepz=3"], "Unknown command line flag 'stepz'"),
        ([STAGE1, "--config.step=3"], 'Did you mean "steps"'),
        ([STAGE1, "--config.model.nope=3"], "'nope'"),
        ([STAGE1, "--config.steps.x=3"], "steps.x"),
        ([STAGE1, "--config.steps=many"], "--config.steps=many"),
        ([STAGE1, "--config.steps=2.5"], "--config.steps=2.5"),
        ([STAGE1, "--config.optimizer.learning_rate=fast"], "learning_rate=fast"),
        ([STAGE1, "--config.steps=0"], "steps is 0; it must be at least 1"),
        ([STAGE1, "--config.seed=-1"], "seed is -1"),
        ([STAGE1, "--config.optimizer.learning_rate=nan"], "optimizer.learning_rate is nan"),
        ([STAGE1, "--config.optimizer.ema_decay=1.5"], "optimizer.ema_decay is 1.5; it must be from 0 to 1"),
        ([STAGE1, "--config.data.batch_size=0"], "data.batch_size is 0"),
        ([STAGE1, "--config.model.dtype=float99"], "model.dtype is 'float99'"),
        ([STAGE1, "--config.mesh.fsdp=3", "--config.data.path={}/data"], "does not fit 8 devices"),
        ([STAGE2, "--config.model.heads=0"], "model.heads is 0"),
        ([STAGE2, "--config.condition.given=2"], "condition.given is 2.0; it must be from 0 to 1"),
        ([STAGE1, *ONE], "data.path is empty"),
        ([STAGE1, *ONE, "--config.data.path={}/nowhere"], "there is no such folder"),
        ([STAGE1, *ONE, "--config.data.path={}/data"], "holds no data"),
        ([STAGE2, "--config.data.path={}/data"], "autoencoder is empty"),
        ([STAGE2, "--config.data.path={}/data", "--config.autoencoder={}/nowhere"], "does not exist"),
        (["--config={}/nofile.py"], "nofile.py: there is no such file"),
        (["--config={}/nofile.py", "--config.steps=3"], "nofile.py: there is no such file"),
        (["--config={}/syntax.py"], "invalid syntax"),
        (["--config={}/none.py"], "get_config"),
        (["--config={}/steps.py"], "steps is 0"),
        ([], "--config and --workdir are needed"),
        ([STAGE1, "run"], "unexpected 'run'; settings begin with --config."),  # --workdir=runs/my run
        ([STAGE1, "run", "--config.steps=3"], "unexpected 'run'"),
        ([STAGE1, "config.steps=10"], "unexpected 'config.steps=10'"),
        ([STAGE1, "-config.steps=10"], "unexpected '-config.steps=10'"),
        ([STAGE1, "--", "x"], "unexpected 'x'"),
        ([STAGE1, "--config.model.encoder_channels=(1.5,)"], "encoder_channels[0] is 1.5; it must be of type int"),
        ([STAGE1, "--config.freeze=(1,)"], "config.freeze[0] is 1; it must be of type str"),
    ],
)
def test_train_explains_every_refusal(command, tmp_path, capfd, flags, says):
    assert command(*flags) == 2
    assert says in refusal(capfd)
    assert not (tmp_path / "run").exists()


@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # of config_flags
@pytest.mark.parametrize(
    ("stage", "old", "says"),
    [
        (STAGE2, "coupling.slices", "coupling.microbatches is 0; it must be at least 1"),
        (STAGE1, "loss.true_control", "loss.teacher_forcing is -2.0; it must be from 0 to 1"),
        (STAGE1, "loss.true_lips", "loss.teacher_forcing_lips is -2.0; it must be from 0 to 1"),
    ],
)
@pytest.mark.parametrize("separate", [False, True])
def test_an_old_name_of_a_setting_is_noted_and_set(command, capfd, stage, old, says, separate):
    value = "0" if old == "coupling.slices" else "-2.0"
    flags = [f"--config.{old}", value] if separate else [f"--config.{old}={value}"]
    assert command(stage, *flags) == 2
    note, error = capfd.readouterr().err.splitlines()
    assert note == f"note: --config.{old} is now --config.{says.split(' ')[0]}; the old name will go."
    assert error.startswith("error: ") and says in error


def test_a_work_directory_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for workdir in (tmp_path / "file", tmp_path / "file" / "run", "/proc/run"):
        with pytest.raises(InputError, match=r"--workdir .* cannot be written"):
            run._check_writable(str(workdir))
    run._check_writable(str(tmp_path / "new" / "run"))
    assert list((tmp_path / "new" / "run").iterdir()) == []


def test_data_of_the_other_stage_is_refused(tmp_path):
    write_clip(tmp_path / "train", synthetic.clip())
    data, one = DataConfig(path=str(tmp_path)), MeshConfig(data=1, tensor=8)
    with pytest.raises(InputError, match="32 x 32 px cannot serve a model of 64 px"):
        run.run(as_config_dict(Stage1Config(data=data, mesh=one)), str(tmp_path / "run"))
    with pytest.raises(InputError, match="is not a checkpoint"):
        run.run(as_config_dict(Stage2Config(data=data, autoencoder=str(tmp_path))), str(tmp_path / "run"))


@pytest.mark.parametrize("module", ["train.py", "sample.py"])
def test_the_script_itself_shows_no_traceback(tmp_path, module):
    done = subprocess.run(
        [sys.executable, module, "--nonsense=1"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: ")


# prepare --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def video(tmp_path):
    with VideoWriter(tmp_path / "v_01.mp4", (64, 64)) as writer:
        writer.write(np.full((64, 64, 3), 90, np.uint8))
    return tmp_path / "v_01.mp4"


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--sise", "64"], "unrecognized arguments: --sise 64"),
        (["--workers", "many"], "invalid int value"),
        (["--size", "0"], "--size 0"),
        (["--size", "63"], "--size 63"),
        (["--size", "1000000"], "--size 1000000"),
        (["--shortest", "0"], "--shortest"),
        (["--workers", "-1"], "--workers"),
        (["--split", "train:nan"], "sum to 1"),
        (["--split", "train:1.5,val:-0.5"], "positive fractions"),
        (["--split", "../../away"], "--split"),
        (["--identities", "{}/none.csv"], "does not exist"),
        (["--face-model", "{}/none.task"], "does not exist"),
        (["--videos", "{}/none.mp4"], "does not exist"),
        (["--videos", "{}/list.m3u8"], "playlist"),
        (["--videos", "rtmp://127.0.0.1/live"], "not a local file"),
        (["--out", "{}/v_01.mp4"], "is a file"),
        (["--out", "{}/v_01.mp4/b"], "--out"),
        (["--out", "/proc/b"], "cannot be written"),
    ],
)
def test_prepare_refuses_before_any_work(video, tmp_path, capfd, flags, says):
    pytest.importorskip("mediapipe")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n")
    before = sorted(tmp_path.iterdir())
    arguments = ["--videos", str(video), "--out", str(tmp_path / "out"), *(f.format(tmp_path) for f in flags)]
    try:
        code = prepare.main(arguments)
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert says in refusal(capfd)
    assert sorted(tmp_path.iterdir()) == before


def test_prepare_reports_a_reason_for_each_video_and_leaves_no_record(video, tmp_path, capfd):
    pytest.importorskip("mediapipe")
    (tmp_path / "empty_01.mp4").write_bytes(b"")
    (tmp_path / "text_01.mp4").write_text("this is no video\n" * 50)
    (tmp_path / "list_01.mp4").write_text(f"#EXTM3U\n#EXTINF:1,\n{video}\n#EXT-X-ENDLIST\n")
    with VideoWriter(tmp_path / "cut_01.mp4", (64, 64), waveform=np.zeros(32_000, np.int16)) as writer:
        for frame in np.random.default_rng(0).integers(0, 255, (50, 64, 64, 3), np.uint8):
            writer.write(frame)
    data = (tmp_path / "cut_01.mp4").read_bytes()
    (tmp_path / "cut_01.mp4").write_bytes(data[: len(data) // 2])
    out = tmp_path / "out"
    assert prepare.main(["--videos", str(tmp_path), "--out", str(out), "--workers", "1", "--size", "64"]) == 2
    printed = capfd.readouterr().err
    errors = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "no video could be used" in errors[0] and "Traceback" not in printed
    assert errors[0].endswith(".") and not errors[0].endswith("..")
    with (out / "report.csv").open(newline="") as file:
        reasons = {row["clip_id"]: row["reason"] for row in csv.DictReader(file) if row["status"] == "rejected"}
    assert set(reasons) == {"v_01", "empty_01", "text_01", "list_01", "cut_01"}
    assert "has no audio" in reasons["v_01"] and "is empty" in reasons["empty_01"]
    assert "cannot be read" in reasons["text_01"] and "cannot be read" in reasons["list_01"]
    assert "is cut" in reasons["cut_01"]
    assert not list(out.rglob("*.npz"))
