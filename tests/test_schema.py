"""The clip and code records: round trips, and a test for each way in which a record can be wrong."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic

from data_pipelines.records import schema as schema_files
from demo_jax.errors import InputError


def assert_same(a: Any, b: Any) -> None:
    """Field by field, with dtypes."""
    for field in dataclasses.fields(a):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if isinstance(x, np.ndarray):
            np.testing.assert_array_equal(x, y, err_msg=field.name)
            assert x.dtype == y.dtype, field.name
        elif isinstance(x, dict):
            assert x.keys() == y.keys()
            for name in x:
                np.testing.assert_array_equal(x[name], y[name])
        else:
            assert x == y, field.name


def full_record() -> schema_files.ClipRecord:
    """Every optional field is filled."""
    rng = np.random.default_rng(1)
    record = synthetic.clip("full", 3, 7, emotion="happy", language="de", set_id="set-1", variant="redrawn:gaze")
    expression = record.expression.copy()
    expression[:, -1] = np.nan  # tongueOut is not measured
    return dataclasses.replace(
        record,
        expression=expression,
        base_piece=2,
        identity=rng.normal(size=9).astype(np.float32),
        coefficients={"flame": rng.normal(size=(7, 5)).astype(np.float32)},
        features=record.features | {"ipa": rng.normal(size=(7, 4)).astype(np.float16)},
        crop=np.array([[2, 0, 1], [0, 2, 1], [0, 0, 1]], np.float32),
    )


@pytest.mark.parametrize("record", [synthetic.clip(), full_record()], ids=["plain", "full"])
def test_clip_round_trip(record: schema_files.ClipRecord, tmp_path: Path):
    assert_same(record, schema_files.read_clip(schema_files.pack(record)))
    path = schema_files.write_clip(tmp_path, record)
    assert path == tmp_path / "clips" / f"{record.clip_id}-{record.piece:04d}.npz"
    assert_same(record, schema_files.read_clip(path))
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # no temporary file stays


def test_code_round_trip():
    record = synthetic.codes("c", 130, emotion="sad", language="en")
    assert_same(record, schema_files.read_codes(schema_files.pack(record)))


def test_packing_is_deterministic():
    assert schema_files.pack(synthetic.clip()) == schema_files.pack(synthetic.clip())


def changed(name: str, **how: Any) -> np.ndarray:
    """An array of the plain record, cut, cast or with one bad value."""
    array = getattr(synthetic.clip(), name).copy()
    if "value" in how:
        array.flat[0] = how["value"]
    return array[: how.get("rows")].astype(how.get("dtype", array.dtype))


BAD_CLIPS: dict[str, tuple[dict[str, Any], str]] = {
    "no frames": ({"frames": ()}, "0 frames"),
    "too many frames": ({"frames": synthetic.clip().frames * 4}, "80 frames"),
    "not a jpeg": ({"frames": (b"PNG",) * 20}, "not a JPEG"),
    "pose rows": ({"pose": changed("pose", rows=19)}, "pose is float32\\[19, 6\\]"),
    "pose dtype": ({"pose": changed("pose", dtype=np.float64)}, "pose is float64"),
    "pose angle": ({"pose": changed("pose", value=200.0)}, "pose is out of range"),
    "expression rows": ({"expression": changed("expression", rows=3)}, "expression is"),
    "expression range": ({"expression": changed("expression", value=1.5)}, "expression leaves 0-1"),
    "gaze nan": ({"gaze": changed("gaze", value=np.nan)}, "gaze holds NaN"),
    "lips rows": ({"lips": changed("lips", rows=3)}, "lips is"),
    "landmarks infinite": ({"landmarks": changed("landmarks", value=np.inf)}, "landmarks holds NaN or infinity"),
    "boxes rows": ({"boxes": changed("boxes", rows=3)}, "boxes is"),
    "confidence rows": ({"confidence": changed("confidence", rows=3)}, "confidence is"),
    "crop shape": ({"crop": np.eye(2, dtype=np.float32)}, "crop is"),
    "waveform length": ({"waveform": changed("waveform", rows=639)}, "waveform is int16\\[639\\]"),
    "waveform dtype": ({"waveform": changed("waveform", dtype=np.float32)}, "waveform is float32"),
    "phonemes": ({"phonemes": ("a",)}, "phoneme_times is"),
    "feature rows": ({"features": {"logmel": np.zeros((5, 6), np.float16)}}, "features/logmel is"),
    "feature dtype": ({"features": {"logmel": np.zeros((20, 6), np.float32)}}, "features/logmel is float32"),
    "coefficients": ({"coefficients": {"flame": np.zeros((20, 6), np.float16)}}, "coefficients/flame is float16"),
    "emotion": ({"emotion": "bored"}, "emotion 'bored'"),
    "variant": ({"variant": "redrawn:nose", "set_id": "s"}, "variant 'redrawn:nose'"),
    "set without variant": ({"set_id": "s"}, "set_id and variant"),
    "variant without set": ({"variant": "base"}, "set_id and variant"),
}


@pytest.mark.parametrize("case", BAD_CLIPS)
def test_a_bad_clip_is_refused_with_its_name(case: str, tmp_path: Path):
    changes, message = BAD_CLIPS[case]
    with pytest.raises(InputError, match=message) as caught:
        schema_files.write_clip(tmp_path, synthetic.clip(**changes))
    assert "clip-0000" in str(caught.value)
    assert list(tmp_path.rglob("*.npz")) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"truth": np.zeros((120, 12), np.float32)}, "truth is"),
        ({"codes": np.full((120, 42), np.nan, np.float32)}, "codes holds NaN"),
        ({"waveform": np.zeros(5, np.int16)}, "waveform is"),
        ({"expression": np.zeros((1, 52), np.float32)}, "expression is"),
        ({"confidence": np.zeros(1, np.float32)}, "confidence is"),
        ({"features": {"logmel": np.zeros((3, 6), np.float16)}}, "features/logmel is"),
        ({"emotion": "bored"}, "emotion 'bored'"),
    ],
)
def test_a_bad_code_record_is_refused(changes: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        synthetic.codes(**changes).validate()


def test_damaged_and_foreign_files_are_named(tmp_path: Path):
    path = schema_files.write_clip(tmp_path, synthetic.clip())
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"clip-0000\.npz is not a record"):
        schema_files.read_clip(path)
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(InputError, match=r"text\.npz is not a record"):
        schema_files.read_clip(tmp_path / "text.npz")
    with pytest.raises(InputError, match="missing"):
        schema_files.read_clip(tmp_path / "missing.npz")


def test_records_of_the_other_kind_are_refused():
    with pytest.raises(InputError, match="not a clip record"):
        schema_files.read_clip(schema_files.pack(synthetic.codes()))
    with pytest.raises(InputError, match="not a code record"):
        schema_files.read_codes(schema_files.pack(synthetic.clip()))


def test_another_schema_version_is_refused(tmp_path: Path):
    arrays = synthetic.clip().to_arrays() | {"schema_version": np.int32(99)}
    np.savez(tmp_path / "new.npz", **arrays)
    with pytest.raises(InputError, match="schema version 99"):
        schema_files.read_clip(tmp_path / "new.npz")
