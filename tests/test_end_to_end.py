"""The whole path on the smallest real case, through the commands: corpus, both stages, codes, talking video."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import shutil
from xml.etree import ElementTree

import jax
import numpy as np
import pytest

from benchmarks import ablations
from data_pipelines import encode, excerpt
from data_pipelines.loading.examples import decode_frame
from data_pipelines.puppet import __main__ as puppet
from data_pipelines.puppet.corpus import example
from data_pipelines.records.schema import read_clip
from demo_jax import sample
from demo_jax.checkpoint.load import load_any, load_model
from demo_jax.checkpoint.publish import export_model
from demo_jax.checkpoint.save import RunCheckpoints
from demo_jax.config import (
    DataConfig,
    MeshConfig,
    OptimizerConfig,
    Stage1Config,
    Stage1LossConfig,
    Stage2Config,
    as_config_dict,
)
from demo_jax.errors import InputError
from demo_jax.evaluation.judge import regressor as judges
from demo_jax.evaluation.metrics.images import psnr
from demo_jax.evaluation.report import build
from demo_jax.factors import TRACK_COLUMNS
from demo_jax.jobs import run
from demo_jax.jobs import stage2 as stage2_files
from demo_jax.media import audio, images, video
from demo_jax.sampling.pipeline import load as load_pipeline
from demo_jax.sharding import make_mesh
from demo_jax.training.loop import train
from tests import tiny_model

# Two steps of each stage: nothing is learned, but every part passes its results to the next as in a real run.
SHORT = {"steps": 2, "log_every": 1, "eval_every": 2, "save_every": 1, "mesh": MeshConfig(data=8)}


def stage1(corpus) -> Stage1Config:
    data = DataConfig(path=str(corpus), batch_size=8, set_batch_size=8)
    return dataclasses.replace(tiny_model.STAGE1, data=data, optimizer=OptimizerConfig(warmup_steps=1), **SHORT)


def stage2(codes, autoencoder) -> Stage2Config:
    data = DataConfig(path=str(codes), batch_size=8)
    return dataclasses.replace(tiny_model.STAGE2, data=data, autoencoder=str(autoencoder), **SHORT)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Everything up to a trained stage 2, made once."""
    root = tmp_path_factory.mktemp("world")
    assert puppet.main(["--out", str(root / "corpus"), "--hours", "0.004", "--people", "2,2,2", "--workers", "1"]) == 0
    run.run(as_config_dict(stage1(root / "corpus")), str(root / "autoencoder"))
    jax.clear_caches()  # of a step and its gradients, which nothing needs again
    arguments = ["--autoencoder", root / "autoencoder", "--data", root / "corpus", "--out", root / "codes"]
    assert encode.main([str(a) for a in arguments]) == 0
    (root / "flow/eval").mkdir(parents=True)
    (root / "flow/eval/.0000001.99.tmp.mp4").write_bytes(b"cut")  # as a killed run leaves it
    run.run(as_config_dict(stage2(root / "codes", root / "autoencoder")), str(root / "flow"))
    assert example.main(["--out", str(root / "example")]) == 0
    # Two seconds are enough.
    speech = audio.read_audio(root / "example" / "speech.wav")[:32_000]
    audio.write_wav(root / "short.wav", speech)
    return root


def test_training_writes_metrics_images_and_clips(world):
    for name, shown in (("autoencoder", "0000002.png"), ("flow", "0000002.mp4")):
        assert (world / name / "eval" / shown).stat().st_size > 500
        lines = [json.loads(line) for line in (world / name / "metrics.jsonl").read_text().splitlines()]
        assert [(x["step"], x["split"]) for x in lines] == [(0, "train"), (1, "train"), (2, "eval")]
        assert all(np.isfinite([v for v in x.values() if not isinstance(v, str)]).all() for x in lines)
        assert list((world / name / "tensorboard").iterdir())
        assert [p.name for p in (world / name / "eval").iterdir()] == [shown]


def test_stage2_alone_is_enough_to_sample(world, capsys):
    out = world / "out" / "talk.mp4"
    out.parent.mkdir()
    common = ["--portrait", world / "example" / "portrait.png", "--audio", world / "short.wav", "--steps", "2"]
    code = sample.main([str(a) for a in [*common, "--out", out, "--checkpoint", world / "flow", "--hold", "pose"]])
    assert code == 0, capsys.readouterr().err
    info, frames = video.read_video(out)
    assert len(list(frames)) == 50 and (info.width, info.height) == (32, 32)
    assert abs(len(audio.read_audio(out)) - 32_000) < 2 * 1024  # the speech; AAC frames are 1024 samples
    with np.load(world / "out" / "talk_track.npz") as track:
        assert set(TRACK_COLUMNS) <= set(track.files) and len(track["time"]) == 50
        assert np.ptp(track["yaw"]) == 0  # held
    assert (world / "out" / "talk_track.csv").read_text().splitlines()[0].split(",") == list(TRACK_COLUMNS)


def test_a_published_model_has_the_same_parameters(world):
    export_model(world / "flow", world / "public")
    ours, public = load_model(world / "flow"), load_model(world / "public")
    for a, b in zip(jax.tree.leaves(ours.flow_params), jax.tree.leaves(public.flow_params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)  # float16
    assert public.meta["corpus"] == "puppet" and public.space is not None


def test_codes_of_another_autoencoder_are_refused(world):
    # The same model, a little further trained.
    ours = load_model(world / "autoencoder", "autoencoder")
    params = jax.tree.map(lambda p: p + 1e-3, ours.autoencoder_params)
    with RunCheckpoints(world / "other") as checkpoints:
        checkpoints.save(0, {"ema": params}, ours.meta)
    with pytest.raises(InputError, match="has codes of motion encoder"):
        run.run(as_config_dict(stage2(world / "codes", world / "other")), str(world / "flow2"))
    arguments = ["--autoencoder", world / "other", "--data", world / "corpus", "--out", world / "codes"]
    assert encode.main([str(a) for a in arguments]) == 2


def test_features_of_another_version_are_refused(world):
    shutil.copytree(world / "codes", world / "old_codes")
    info = json.loads((world / "old_codes" / "codes.json").read_text())
    config = stage2(world / "old_codes", world / "autoencoder")
    (world / "old_codes" / "codes.json").write_text(json.dumps(info | {"features": {config.data.feature: "0"}}))
    with pytest.raises(InputError, match=f"has version 0 of the audio features {config.data.feature}"):
        run.run(as_config_dict(config), str(world / "flow3"))


def test_a_run_starts_from_another_with_its_encoder_frozen(world, capsys):
    """A larger model takes over arrays that fit, and its codes stay those that stage 2 was trained on."""
    config = stage1(world / "corpus")
    larger = dataclasses.replace(config.model, size=64, levels=(*config.model.levels, (32, 8)))
    more = {"model": larger, "start_from": str(world / "autoencoder"), "freeze": ("motion_encoder",)}
    # One loss is enough, and compiles in half the time.
    names = {f.name for f in dataclasses.fields(Stage1LossConfig)} - {
        "temperature",
        "merged",
        "vgg16",
        "reconstruction",
    }
    more |= {
        "loss": Stage1LossConfig(**dict.fromkeys(names, 0.0)),
        "data": dataclasses.replace(config.data, set_batch_size=0),
    }
    run.run(as_config_dict(dataclasses.replace(config, **more)), str(world / "larger"))
    printed = capsys.readouterr().out
    assert re.search(r"motion_encoder: (\d+) of \1 arrays from", printed)
    assert not re.search(r"decoder: (\d+) of \1 arrays from", printed.split("motion_encoder")[0])  # a level is new
    small, large = (load_model(world / name, "autoencoder").autoencoder_params for name in ("autoencoder", "larger"))
    for a, b in zip(*(jax.tree.leaves(p["motion_encoder"]) for p in (small, large)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(small["decoder"]["style_0"]["kernel"], large["decoder"]["style_0"]["kernel"])
    export_model(world / "flow", world / "public64", autoencoder=world / "larger")
    assert load_pipeline(world / "public64").size == 64
    # A run can start from the auto-encoder of a published stage 2, too.
    assert load_any(world / "public64").autoencoder_params.keys() == large.keys()
    with RunCheckpoints(world / "changed") as checkpoints:
        meta = load_model(world / "autoencoder", "autoencoder").meta
        checkpoints.save(0, {"ema": jax.tree.map(lambda p: p + 1e-3, small)}, meta)
    with pytest.raises(InputError, match="has motion encoder"):
        export_model(world / "flow", world / "never", autoencoder=world / "changed")
    with pytest.raises(InputError, match="freeze names lips; the groups are"):
        run.run(as_config_dict(dataclasses.replace(config, freeze=("lips",))), str(world / "unknown"))


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """An untrained judge: the report uses it, and says so."""
    folder = tmp_path_factory.mktemp("judge")
    params = jax.tree.map(lambda a: np.full(a.shape, 0.01, np.float32), judges.abstract_params(64))
    ones = {"calibrated": 13, "coarse": judges.COARSE, "expression": len(judges.EXPRESSION_NAMES)}
    spread = {f"{k}_mean": (0.0,) * n for k, n in ones.items()} | {f"{k}_std": (1.0,) * n for k, n in ones.items()}
    judges.save_judge(folder, params, judges.JudgeConfig(**spread))
    return folder


def test_the_report_of_an_autoencoder(world, judge, capsys):
    out = world / "report"
    few = ["--clips", "1", "--people", "2", "--frames", "8", "--judge", judge]
    command = ["--checkpoint", world / "autoencoder", "--data", world / "corpus", "--out", out, *few]
    assert build.main([str(a) for a in command]) == 0, capsys.readouterr().err
    assert str(out / "report.html") in capsys.readouterr().out

    def refuse(name: str) -> float:
        raise AssertionError(f"report.json has {name}, which is no JSON")

    found = json.loads((out / "report.json").read_text(), parse_constant=refuse)
    assert list(found["results"]) == list(build.PUPPET)
    # Figures by hand: the copying baseline of the one segment, and the matrix's shape.
    (record,) = build.clip_records(str(world / "corpus"), "test", 1)
    frames = [decode_frame(f, 32) for f in record.frames]
    copy = np.mean([psnr(frames[0], f) for f in frames[1:]])
    assert found["results"]["reconstruction"]["psnr_frame_copy"]["mean"] == pytest.approx(copy)
    leaks = found["results"]["leakage"]
    assert leaks["rows"] == ["lip", "pose", "gaze"] and leaks["residual_read"] == []  # this judge reads no brow
    assert len({len(row) for row in leaks["model"]} | {3}) == 1
    # Everything a figure of report.json is also a row of tables.csv, named by factors.
    with (out / "tables.csv").open() as file:
        rows = dict(csv.reader(file))
    assert float(rows["leakage/model/pose/gaze"]) == leaks["model"][1][2]
    assert float(rows["reconstruction/psnr_frame_copy/mean"]) == pytest.approx(copy)
    # One page, nothing loaded from elsewhere.
    text, pictures = re.subn('data:image/webp;base64,[^"]*', "", (out / "report.html").read_text())
    assert pictures >= 3 and text.count("<section>") == len(build.PUPPET) + 3
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "") and not re.search(r"\bnan\b", text)
    ElementTree.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])
    # Sections are kept: a second report measures nothing again.
    parts = sorted((out / "parts").iterdir())
    times = [p.stat().st_mtime_ns for p in parts]
    assert len(parts) == len(build.PUPPET)
    assert build.main([str(a) for a in command]) == 0
    assert [p.stat().st_mtime_ns for p in sorted((out / "parts").iterdir())] == times


def test_the_report_of_what_stage_2_generates(world):
    out = world / "report2"
    command = ["--checkpoint", world / "flow", "--data", world / "corpus", "--codes", world / "codes", "--out", out]
    assert build.main([str(a) for a in [*command, "--clips", "2", "--only", "lip_sync"]]) == 0
    sync = json.loads((out / "report.json").read_text())["results"]["lip_sync"]
    spoken = build.code_records(str(world / "codes"), "test", 2)
    assert -1 <= sync["aperture_correlation"]["mean"] <= 1 and sync["aperture_correlation"]["count"] == len(spoken)


def test_an_ablation_is_measured(world):
    found = ablations.figures(world / "autoencoder", str(world / "corpus"))
    assert set(found) == {
        "psnr", "psnr_boxes", "psnr_swap", "psnr_cross", "moved_other", "moved_identity",
        "probe_own", "probe_other", "probe_worst",
    }  # fmt: skip
    assert all(np.isfinite(v) for v in found.values()) and 5 < found["psnr"] < 40
    assert found["probe_other"] <= found["probe_worst"] <= 1


def test_a_report_that_cannot_be_made_says_why(world, judge, capsys):
    common = ["--data", str(world / "corpus"), "--out", str(world / "none"), "--checkpoint"]
    cases = {
        "demo_jax.evaluation.judge.train": [*common, str(world / "autoencoder"), "--judge", str(world)],
        "lip_sync, holding, response need": [*common, str(world / "autoencoder"), "--only", "lip_sync"],
        "--people 0": [*common, str(world / "autoencoder"), "--people", "0"],
        "not a checkpoint": [*common, str(world / "corpus")],
    }
    for words, arguments in cases.items():
        assert build.main(arguments) == 2
        assert words in capsys.readouterr().err


def test_two_runs_equal_one_bit_for_bit(world):
    """The real step on real data: 1 step, restart, 1 step, against the 2 steps of the fixture."""
    config = stage2(world / "codes", world / "autoencoder")
    # The first run stops early; its learning rates are those of the whole run.
    job = dataclasses.replace(stage2_files.flow_job(config, str(world / "halves")), evaluate=lambda state, step: {})
    mesh = make_mesh(config.mesh)
    for steps in (1, 2):
        train(job, dataclasses.replace(config, steps=steps), str(world / "halves"), mesh)
    a, b = (load_model(world / name).flow_params for name in ("flow", "halves"))
    assert all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def test_an_excerpt_can_be_sampled(world):
    out = world / "excerpt"
    assert excerpt.main(["--data", str(world / "corpus"), "--out", str(out)]) == 0
    records = [read_clip(path) for path in sorted((world / "corpus" / "test" / "clips").glob("*.npz"))]
    first = [r for r in records if r.clip_id == min(r.clip_id for r in records if not r.variant)]
    sound = audio.read_audio(out / "speech.wav")
    np.testing.assert_array_equal(sound, np.concatenate([r.waveform for r in first]))
    picture = images.read_image(out / "portrait.png")
    np.testing.assert_array_equal(picture, decode_frame(first[0].frames[0], 128))
    demo = load_pipeline(world / "flow")
    assert demo.read_portrait(out / "portrait.png").square.shape == (32, 32, 3)  # the sidecar says that it is cropped
