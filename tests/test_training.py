"""The training loop: bit-exact resume, saving on SIGTERM, stopping at losses that are not finite, and refusals."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from demo_jax import sharding
from demo_jax.config import MeshConfig, OptimizerConfig, RunConfig
from demo_jax.errors import InputError
from demo_jax.training.loop import TrainingJob, TrainingStopped, train
from demo_jax.training.state import create, make_optimizer
from demo_jax.training.steps import make_step


def batches(start: int, act=lambda step: None):
    @contextlib.contextmanager
    def opened():
        def rows():
            step = start
            while True:
                act(step)
                yield {"x": np.random.default_rng(step).normal(size=(8, 3)).astype(np.float32)}
                step += 1

        yield rows()

    return opened()


def make_job(config: RunConfig, act=lambda step: None, break_at: int | None = None, **meta) -> TrainingJob:
    optimizer = make_optimizer(
        config.optimizer, 12, config.is_frozen
    )  # the schedule of the whole run, even if this call stops early

    def losses(params, batch, key):
        noise = jax.random.normal(key, batch["x"].shape)
        loss = jnp.mean((batch["x"] @ params["layer"]["w"] + noise[:, :2]) ** 2)
        return {
            "loss": loss
            if break_at is None
            else jnp.where(batch["x"][0, 0] == _first_value(break_at), jnp.nan, 1.0) * loss
        }

    return TrainingJob(
        init=lambda given: create({"layer": {"w": jnp.ones((3, 2))}}, optimizer),
        step=make_step(losses, config, optimizer),
        batches=lambda start, **shards: batches(start, act),
        evaluate=lambda ema, step: {"norm": float(jnp.linalg.norm(ema["layer"]["w"]))},
        meta={"kind": "test", "schema": 1, "config": {"model": {"sizes": (1, 2)}}, **meta},
        frozen={},
    )


def _first_value(step: int) -> float:
    return np.random.default_rng(step).normal(size=(8, 3)).astype(np.float32)[0, 0]


CONFIG = RunConfig(steps=12, log_every=1, eval_every=4, save_every=4, optimizer=OptimizerConfig(warmup_steps=2))
MESH = sharding.make_mesh(MeshConfig(), jax.devices()[:1])


def same(a, b) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def test_two_halves_equal_the_whole_run_bit_for_bit(tmp_path):
    whole = train(make_job(CONFIG), CONFIG, tmp_path / "whole", MESH)
    half = dataclasses.replace(CONFIG, steps=6)
    train(make_job(half), half, tmp_path / "halves", MESH)
    resumed = train(make_job(CONFIG), CONFIG, tmp_path / "halves", MESH)
    assert int(resumed.step) == 12 and same(whole, resumed)
    lines = [json.loads(line) for line in (tmp_path / "halves" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["split"] == "train"] == list(range(12))
    whole_lines = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    losses = [[x["loss"] for x in ls if x["split"] == "train"] for ls in (lines, whole_lines)]
    assert losses[0] == losses[1]


def test_a_run_with_a_damaged_newest_checkpoint_repeats_its_steps(tmp_path, capfd):
    whole = train(make_job(CONFIG), CONFIG, tmp_path / "a", MESH)
    newest = tmp_path / "a" / "checkpoints" / "12" / "train"
    file = max((p for p in newest.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    steps = []
    again = train(make_job(CONFIG, steps.append), CONFIG, tmp_path / "a", MESH)
    assert steps[0] == 8 and int(again.step) == 12 and same(whole, again)
    assert "checkpoints/12 is damaged" in capfd.readouterr().out
    # The step that was written again is undamaged.
    assert same(whole, train(make_job(CONFIG, pytest.fail), CONFIG, tmp_path / "a", MESH))


def test_sigterm_saves_and_the_next_run_resumes(tmp_path):
    def act(step):
        if step == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    stopped = train(make_job(CONFIG, act), CONFIG, tmp_path / "a", MESH)
    assert int(stopped.step) == 6  # the step in flight is finished
    resumed = train(make_job(CONFIG), CONFIG, tmp_path / "a", MESH)
    assert same(resumed, train(make_job(CONFIG), CONFIG, tmp_path / "b", MESH))


def test_a_failing_evaluation_costs_no_steps(tmp_path):
    def fail(ema, step):
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        train(dataclasses.replace(make_job(CONFIG), evaluate=fail), CONFIG, tmp_path, MESH)
    steps = []
    train(make_job(CONFIG, steps.append), CONFIG, tmp_path, MESH)
    assert steps[0] == 4  # saved before the evaluation


def test_a_loss_that_is_not_finite_stops_the_run_and_names_step_and_group(tmp_path):
    with pytest.raises(TrainingStopped, match=r"step 7: gradient/layer, loss not finite \(parameter groups: layer\)"):
        train(make_job(CONFIG, break_at=7), CONFIG, tmp_path, MESH)
    # The last good checkpoint is still there and the run can be resumed.
    resumed = train(make_job(CONFIG), CONFIG, tmp_path, MESH)
    assert int(resumed.step) == 12 and np.isfinite(resumed.params["layer"]["w"]).all()


def test_a_work_directory_of_another_run_is_refused(tmp_path):
    train(make_job(CONFIG, data_fingerprint="abc"), CONFIG, tmp_path, MESH)
    with pytest.raises(InputError, match="data_fingerprint is 'abc'; this one's is 'xyz'"):
        train(make_job(CONFIG, data_fingerprint="xyz"), CONFIG, tmp_path, MESH)
    other = make_job(CONFIG, data_fingerprint="abc")
    other.meta["config"] = {"model": {"sizes": (1, 3)}}
    with pytest.raises(InputError, match=r"config\.model\.sizes is \[1, 2\]; this one's is \[1, 3\]"):
        train(other, CONFIG, tmp_path, MESH)


@pytest.mark.parametrize(
    ("setting", "was", "now"),
    [("loss.swap", 1.0, 0.0), ("seed", 0, 1), ("data.feature", "logmel", "hama"), ("low_rank", None, 8)],
)
def test_another_config_in_the_same_work_directory_is_refused(tmp_path, setting, was, now):
    """A second command with the same --workdir must neither continue nor replace the run of the first."""
    name, _, field = setting.partition(".")

    def job(value, steps):
        made = make_job(CONFIG)
        chosen = {} if value is None else {name: {field: value} if field else value}
        made.meta["config"] |= {"steps": steps, "optimizer": {"learning_rate": steps / 1e4}} | chosen
        return made

    first = dataclasses.replace(CONFIG, steps=4)
    train(job(was, 4), first, tmp_path, MESH)
    before = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    with pytest.raises(InputError, match=rf"config\.{setting} is {was!r}; this one's is {now!r}\. Take"):
        train(job(now, 12), CONFIG, tmp_path, MESH)
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == before
    assert int(train(job(was, 12), CONFIG, tmp_path, MESH).step) == 12  # more steps and another rate are the same run


def test_a_run_with_the_old_name_of_a_setting_is_the_same_run(tmp_path):
    def job(name, value):
        made = make_job(CONFIG)
        made.meta["config"] |= {"coupling": {name: value}}
        return made

    train(job("slices", 2), dataclasses.replace(CONFIG, steps=4), tmp_path, MESH)
    with pytest.raises(InputError, match=r"config\.coupling\.microbatches is 2; this one's is 4"):
        train(job("microbatches", 4), CONFIG, tmp_path, MESH)
    assert int(train(job("microbatches", 2), CONFIG, tmp_path, MESH).step) == 12


def test_a_run_prints_its_cost_and_where_its_time_goes(tmp_path, capfd):
    train(make_job(CONFIG), CONFIG, tmp_path, MESH)
    printed = "".join(capfd.readouterr())
    assert "layer" in printed and "MiB of state and batch" in printed
    assert all(name in printed.rsplit("time: ", 1)[1] for name in ("step", "data", "checkpoint", "evaluation"))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    rows = [line for line in lines if line["split"] == "train"]
    assert all(row["seconds/data"] >= 0 and row["seconds/step"] > 0 for row in rows[1:])


def test_a_profile_of_the_requested_steps_is_written(tmp_path):
    config = dataclasses.replace(CONFIG, steps=14)
    train(make_job(config), config, tmp_path, MESH, profile=2)
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))


def test_a_batch_of_another_shape_stops_the_run(tmp_path):
    @contextlib.contextmanager
    def changing(start, **shards):
        yield ({"x": np.ones((8 if step < 3 else 4, 3), np.float32)} for step in range(start, 99))

    job = dataclasses.replace(make_job(CONFIG), batches=changing)
    with pytest.raises(TrainingStopped, match="step 3: the batch is not like the first one"):
        train(job, CONFIG, tmp_path, MESH)


@pytest.mark.parametrize("count", [2, 4])
def test_accumulated_gradients_are_those_of_the_whole_batch(count):
    config = dataclasses.replace(CONFIG, optimizer=dataclasses.replace(CONFIG.optimizer, accumulate=count))
    optimizer = make_optimizer(CONFIG.optimizer, 12)
    batch = {"x": jnp.asarray(np.random.default_rng(0).normal(size=(8, 3)), jnp.float32)}

    def losses(params, batch, key):
        return {"loss": jnp.mean(jnp.square(batch["x"] @ params["layer"]["w"]))}

    found = []
    for c in (CONFIG, config):
        state = create({"layer": {"w": jnp.ones((3, 2))}}, optimizer)
        step = jax.jit(make_step(losses, c, optimizer))
        for _ in range(3):
            state, metrics = step(state, batch)
        found.append((state.params["layer"]["w"], metrics["loss"], metrics["gradient/layer"]))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
