"""The arithmetic of the ablations: probes on planted codes, the table, and finished runs."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest

from benchmarks import ablations
from demo_jax.factors import FACTORS


def planted(seed: int, leakage: float) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Each block contains its own factor's truth, mixed; the residual also `leakage` times the pose."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(900, 13))
    mix = np.random.default_rng(9).normal(size=(13, 13))
    blocks = {f: truth[:, part] @ np.linalg.qr(mix[part, part])[0] for f, part in ablations.PARTS.items()}
    return blocks | {"residual": leakage * truth[:, 3:9] + rng.normal(size=(900, 6))}, truth


def test_probes_find_the_content_of_a_block_and_leakage():
    clean = ablations.probe_figures(planted(0, 0.0), planted(1, 0.0))
    assert clean["probe_own"] > 0.999
    assert clean["probe_worst"] < 0.02  # 900 samples
    leaky = ablations.probe_figures(planted(0, 1.0), planted(1, 1.0))
    assert leaky["probe_worst"] == pytest.approx(0.5, abs=0.05)  # half of the residual's variance is pose
    assert leaky["probe_other"] == pytest.approx(0.5 / 9, abs=0.02)  # one of nine pairs: four blocks, three factors
    assert len(FACTORS) * 3 - 3 == 9


def test_a_probe_worse_than_the_mean_counts_as_zero():
    x, y = np.random.default_rng(0).normal(size=(2, 50, 4))
    assert ablations.probe(x, y, x, -y) == 0


def test_the_table_has_mean_and_spread():
    table = ablations.summary({"full": [{"psnr": 20.0, "probe_own": 0.5}, {"psnr": 22.0, "probe_own": 0.7}]})
    assert table["full"]["psnr"] == {"mean": 21.0, "spread": pytest.approx(2**0.5), "count": 2}
    assert "| full | 21.00 ± 1.41 | 0.600 ± 0.141 |" in ablations.markdown(table)


def test_a_finished_run_is_skipped_and_a_new_one_is_trained(tmp_path, monkeypatch, capsys):
    trained = []

    def train(command, **kwargs):
        del kwargs
        trained.append(command)

    monkeypatch.setattr(subprocess, "run", train)
    monkeypatch.setattr(ablations, "figures", lambda checkpoint, data: {"psnr": 20.0 + len(trained)})
    arguments = ["--data", str(tmp_path), "--out", str(tmp_path / "out"), "--steps", "7"]
    ablations.main([*arguments, "--only", "full", "--only", "joint", "--seeds", "1"])
    assert len(trained) == 2 and "--config=configs/ablation_autoencoder.py:joint" in trained[1]
    ablations.main([*arguments, "--only", "full", "--only", "joint", "--seeds", "2"])
    assert [c[-2] for c in trained[2:]] == ["--config.seed=1"] * 2  # those of seed 0 are kept
    table = json.loads((tmp_path / "out" / "table.json").read_text())
    assert table["full"]["psnr"]["mean"] == (21 + 23) / 2
    assert capsys.readouterr().out.count("| full |") == 2
