"""Two processes of one run over loopback, as a user starts them: they have the losses of one, and stop together."""

import dataclasses
import json
import signal
import time

import numpy as np
import pytest
import tiny_model

from benchmarks import processes
from data_pipelines.records.schema import pack
from demo_jax import codes
from demo_jax.checkpoint.fingerprints import code_fingerprint
from demo_jax.checkpoint.load import SCHEMA
from demo_jax.checkpoint.save import RunCheckpoints
from demo_jax.media.files import write_atomically

pytestmark = pytest.mark.slow
SETTINGS = [
    "model.width=16", "model.depth=1", "model.heads=2", "model.window=12", "model.context=4", "model.look_ahead=3",
    "data.feature=logmel", "condition.group=4", "mesh.fsdp=4",  # rows and parameters both lie across the processes
]  # fmt: skip
STEPS = 4


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    root = tmp_path_factory.mktemp("processes")
    model = tiny_model.model()
    values = dataclasses.asdict(tiny_model.STAGE1)
    meta = {"schema": SCHEMA["autoencoder"], "kind": "autoencoder", "config": values, "autoencoder_config": values}
    with RunCheckpoints(root / "autoencoder") as run:
        run.save(1, {"ema": model.autoencoder_params}, meta | {"corpus": "puppet", "feature": "logmel"})
    rng, rows = np.random.default_rng(0), []
    for split, count in (("train", 4), ("val", 2)):
        for i in range(count):
            frames = 60 + i
            moving = 0.5 + 0.1 * rng.normal(size=(frames, tiny_model.LAYOUT.size)).astype(np.float32)
            rows.append(moving)
            record = tiny_model.recording(f"{split}{i}", moving, i)
            write_atomically(root / "codes" / split / "codes" / f"{split}{i}.npz", pack(record))
    info = {"encoder_fingerprint": code_fingerprint(model.autoencoder_params), "data_fingerprint": {"train": "x"}}
    (root / "codes/codes.json").write_text(json.dumps(info))
    space = codes.fit(np.concatenate(rows), np.full((len(np.concatenate(rows)), 52), np.nan), tiny_model.LAYOUT)
    (root / "codes/space.npz").write_bytes(codes.pack_space(space))
    (root / "out").mkdir()
    return processes.Work(str(root / "codes"), str(root / "autoencoder"), root / "out", SETTINGS)


def until_stopped(work, name: str, count: int, signalled: int) -> list[int]:
    """Exit codes of an endless run, one process of which gets SIGTERM after some steps. (A run that ends would compile
    its validation too.)"""
    started = work.start(name, count, 100_000)
    try:
        metrics, end = work.out / name / "metrics.jsonl", time.monotonic() + 240
        while not metrics.exists() or len(work.losses(name)) < STEPS:
            printed = [work.said(name, i) for i in range(count)]
            assert all(p.poll() is None for p in started) and time.monotonic() < end, printed
            time.sleep(0.1)
        started[signalled].send_signal(signal.SIGTERM)
        return [p.wait(120) for p in started]
    finally:
        for process in started:
            process.kill()


def test_two_processes_compute_what_one_does_and_stop_together(work):
    assert until_stopped(work, "one", 1, 0) == [143]
    assert until_stopped(work, "two", 2, 1) == [143, 143]  # the second gets the signal
    one, two = work.losses("one"), work.losses("two")
    # The same four devices in both, but sums between processes are taken in another order.
    np.testing.assert_allclose([two[i] for i in range(STEPS)], [one[i] for i in range(STEPS)], rtol=1e-5)
    assert "stopped by signal" in work.said("two", 0)
    assert "loss=" not in work.said("two", 1)  # the first prints for both
    saved = max(int(p.name) for p in (work.out / "two" / "checkpoints").iterdir() if p.name.isdigit())
    assert saved >= max(two)
