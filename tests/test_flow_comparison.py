"""Couplings, diffusion and regression compared: the samplers against closed forms, and the whole comparison, small."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import synthetic

from benchmarks import flow_comparison, flow_kinds
from data_pipelines.records.schema import pack
from demo_jax import codes
from demo_jax.factors import FactorLayout
from demo_jax.flow import condition as conditions
from demo_jax.media.files import write_atomically

LAYOUT = FactorLayout()


def test_ddim_with_the_true_noise_of_a_gaussian_gives_that_gaussian():
    """Of data N(m, s^2) the best noise prediction is known, and DDIM's limit maps noise z to m + s z."""
    mean, deviation = 0.5, 0.3

    def net(x, t, condition):
        del condition
        signal, amplitude = (a[:, None, None] for a in flow_kinds.noise_level(t))
        variance = (signal * deviation) ** 2 + amplitude**2
        return amplitude * (x - signal * mean) / variance

    condition = conditions.empty(64, 42, 4)
    noise = jax.random.normal(jax.random.key(0), condition.given.shape)
    made = flow_kinds.sample("diffusion", net, noise, condition, 200)
    np.testing.assert_allclose(made, mean + deviation * noise, atol=0.03)  # first order in 1 / steps


def test_the_noise_level_goes_from_noise_to_data():
    signal, amplitude = flow_kinds.noise_level(jnp.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(signal**2 + amplitude**2, 1.0, rtol=1e-5)
    np.testing.assert_allclose([signal[0], amplitude[2]], [0.0, 0.0], atol=5e-3)


@pytest.mark.parametrize("kind", flow_kinds.KINDS)
def test_the_networks_target_has_unit_variance(kind):
    """And its exact output gives what the kind predicts."""
    x1, x0 = (
        0.7 + 0.4 * jax.random.normal(jax.random.key(0), (64, 50, 42)),
        jax.random.normal(jax.random.key(1), (64, 50, 42)),
    )
    mean, variance = jnp.full_like(x1, 0.7), jnp.full_like(x1, 0.16)
    condition = conditions.empty(64, 42, 4)
    for time in (0.1, 0.5, 0.9):
        t = jnp.full(64, time)
        signal, amplitude = flow_kinds.noise_level(t) if kind == "diffusion" else (t, 1 - t)
        x = signal[:, None, None] * x1 + amplitude[:, None, None] * x0
        target = {"diffusion": x0, "regression": x1}.get(kind, x1 - x0)
        base = flow_kinds.network(kind, lambda *_: (jnp.zeros_like(x1), mean, variance))(x, t, condition)
        one = flow_kinds.network(kind, lambda *_: (jnp.ones_like(x1), mean, variance))(x, t, condition)
        remainder = (target - base) / (one - base)
        assert float(jnp.mean(remainder)) == pytest.approx(0.0, abs=0.02)
        assert float(jnp.var(remainder)) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("kind", flow_kinds.KINDS)
def test_the_exact_prediction_has_no_loss(kind):
    """With a network that knows the pair: the target of each kind is exactly what its sampler uses."""
    condition = conditions.empty(4, 42, 4)
    x1 = jax.random.normal(jax.random.key(1), condition.given.shape)
    seen = {}

    def record(x, t, condition):
        seen.update(x=x, t=t)
        return jnp.zeros_like(x)

    terms = flow_kinds.losses(kind, LAYOUT, 4)
    features = jax.random.normal(jax.random.key(2), (4, 7))
    terms(record, jax.random.key(3), x1, condition, features)
    x, t = seen["x"], seen["t"][:, None, None]
    if kind == "regression":
        assert not np.asarray(x).any()
        target = x1
    elif kind == "diffusion":
        signal, amplitude = (a[:, None, None] for a in flow_kinds.noise_level(seen["t"]))
        target = (x - signal * x1) / amplitude
    else:
        target = (x1 - x) / (1 - t)  # x = (1 - t) x0 + t x1
    found = terms(lambda *_: target, jax.random.key(3), x1, condition, features)
    assert float(found["loss"]) < 1e-4
    assert float(terms(record, jax.random.key(3), x1, condition, features)["loss"]) > 0.5


def test_the_comparison_runs_and_skips_finished_runs(tmp_path, monkeypatch, capsys):
    small = dataclasses.replace(flow_comparison.MODEL, width=16, depth=1, heads=2)
    sizes = {"MODEL": small, "BATCH": 4, "NFE": (1, 10), "SAMPLES": 2, "PAIRED": 3, "DIRECTIONS": 2}
    for name, value in sizes.items():
        monkeypatch.setattr(flow_comparison, name, value)
    monkeypatch.setattr(flow_comparison, "CONDITION", dataclasses.replace(flow_comparison.CONDITION, group=4))
    rows = []
    for split, count in (("train", 3), ("test", 4)):
        for i in range(count):
            record = synthetic.codes(f"{split}{i}", 120 + i)
            record = dataclasses.replace(record, codes=np.sin(record.codes).astype(np.float32))
            rows.append(record.codes)
            write_atomically(tmp_path / "codes" / split / "codes" / f"{split}{i}.npz", pack(record))
    (tmp_path / "codes/codes.json").write_text(json.dumps({"encoder_fingerprint": "f", "data_fingerprint": {}}))
    space = codes.fit(np.concatenate(rows), np.full((len(np.concatenate(rows)), 52), np.nan), LAYOUT)
    (tmp_path / "codes/space.npz").write_bytes(codes.pack_space(space))
    command = [
        "--codes",
        str(tmp_path / "codes"),
        "--out",
        str(tmp_path / "out"),
        "--steps",
        "2",
        "--seeds",
        "1",
        "--feature",
        "logmel",
    ]
    flow_comparison.main([*command, "--only", "aware", "--only", "regression"])
    table = json.loads((tmp_path / "out/table.json").read_text())
    assert set(table["runs"]) == {"aware", "regression"} and set(table["references"]) == {
        "retrieval",
        "still",
        "encoder",
    }
    assert set(table["runs"]["aware"][0]["10"]) == {"lip", "lag", "mean16", "pose", "rest", "spread", "jitter"}
    assert table["references"]["encoder"]["spread"] == 1 and table["references"]["still"]["jitter"] == 0
    gains = {kind: of["gain"] for kind, of in table["pairs"].items()}
    assert gains["independent"] == 0 < gains["aware"] <= gains["plain"] == 1
    assert all(0 <= of["skew"] < 1 for of in table["pairs"].values())
    table = capsys.readouterr().out
    assert "| aware | 10 |" in table and "| regression | 1 |" in table and "| aware |" in table.split("straightness")[1]
    before = (tmp_path / "out/aware-2-0.json").stat().st_mtime_ns
    flow_comparison.main([*command, "--only", "aware"])
    assert (tmp_path / "out/aware-2-0.json").stat().st_mtime_ns == before
