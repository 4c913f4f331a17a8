"""The benchmark of what stage 2 generates, on a small random model: every section, with its known figures."""

import json

import numpy as np
import pytest
import tiny_model

from benchmarks import generation
from data_pipelines.records.schema import pack
from demo_jax.media.files import write_atomically
from demo_jax.sampling import pipeline
from demo_jax.sampling.options import Options
from demo_jax.sampling.pipeline import Pipeline

K = tiny_model.LAYOUT.size


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    root = tmp_path_factory.mktemp("codes")
    rng = np.random.default_rng(0)
    for i in range(4):
        frames = 110 + i
        time = np.arange(frames)[:, None]
        codes = (0.5 + 0.1 * np.sin(time / 7 + rng.uniform(0, 6, K)) + 0.01 * rng.normal(size=(frames, K))).astype(
            np.float32
        )
        truth = np.zeros((frames, 13), np.float32)
        truth[:, 0] = codes[:, tiny_model.LAYOUT.calibrated[0]]
        record = tiny_model.recording(f"c{i}", codes, i, truth=truth)
        write_atomically(root / "test" / "codes" / f"c{i}.npz", pack(record))
    return root


def test_every_section_is_measured(bench, tmp_path, monkeypatch, capsys):
    demo = Pipeline(tiny_model.model())
    monkeypatch.setattr(pipeline, "load", lambda path=None: demo)
    monkeypatch.setattr(generation, "memory", lambda checkpoint: {"ratio": 1.0})  # a process of the bundled model
    monkeypatch.setattr(generation, "Options", lambda **more: Options(**({"steps": 1} | more)))
    monkeypatch.setattr(generation, "MINUTES", 2)
    monkeypatch.setattr(generation, "PORTRAITS", 2)
    monkeypatch.setattr(generation, "SAMPLES", 3)
    out = tmp_path / "out.json"
    generation.main(["--codes", str(bench), "--out", str(out), "--clips", "3"])
    found = json.loads(out.read_text())
    assert json.loads(capsys.readouterr().out) == found
    assert found["about"]["clips"] == 3 and found["about"]["frames"] == 110 + 111 + 112
    # The encoder's own codes are the truth here.
    truth = found["steps"]["encoder"]
    assert truth["lip"]["mean"] == pytest.approx(1.0, abs=1e-6) and truth["lag"] == 0 and truth["spread"] == 1
    assert abs(truth["rest"]["mean"]) < 0.2  # three clips
    assert set(found["guidance"]) == {"0", "1", "1.5", "2", "3"} and "shuffled" in found["guidance"]["1"]
    # Without guidance the audio changes nothing.
    assert found["guidance"]["0"]["lip"]["mean"] != found["guidance"]["1"]["lip"]["mean"]
    assert found["samples"]["one"]["count"] == found["samples"]["mean_of_3"]["count"] == 3
    assert found["samples"]["one"]["mean"] != found["samples"]["mean_of_3"]["mean"]
    assert found["samples"]["pose_between_samples_over_within"] > 0
    assert found["controls"]["keyframe_error_degrees"] < 1e-3
    assert found["controls"]["head_moved_by_other_seed"] > 0
    assert found["length"]["head_speed"]["first"] > 0 and found["length"]["blinks"]["last_less_first"]["count"] == 2
    assert found["seams"]["whole_truth"]["mean"] == pytest.approx(1.0, abs=0.5)
    assert found["speed"]["frames_a_second"] > 0 and found["speed"]["stream_first_frame_seconds"] > 0
    assert set(found) == {"about", *generation.SECTIONS}
