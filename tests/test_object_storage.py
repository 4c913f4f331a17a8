"""Work directories and data at gs://..., on a store in memory in place of Google's. Checkpoints are not tested here:
TensorStore has its own client for the real one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import ClassVar

import fsspec
import numpy as np
import pytest
import synthetic
from etils import epath
from etils.epath import backend
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from data_pipelines.loading import batches
from data_pipelines.records.schema import pack, write_clip
from demo_jax.jobs import validation
from demo_jax.media import video
from demo_jax.media.files import write_atomically
from demo_jax.training import writers
from demo_jax.training.writers import MetricWriter
from tests import tiny_model


class Store(MemoryFileSystem):
    protocol = ("gs",)
    store: ClassVar[dict] = {}
    pseudo_dirs: ClassVar[list] = [""]

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return MemoryFileSystem._strip_protocol(str(path).replace("gs://", "/", 1))

    def open(self, path: str, mode: str = "rb", **options):
        assert "a" not in mode  # gcsfs rewrites the file instead, with a warning
        return super().open(path, mode, **options)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[epath.Path]:
    store, local = Store(), fsspec.filesystem("file")
    there = lambda self, path: store if str(path).startswith("gs://") else local  # noqa: E731
    monkeypatch.setattr(backend._FileSystemSpecBackend, "fs", there)
    yield epath.Path("gs://bucket")
    Store.store.clear()


def test_batches_come_from_a_bucket(bucket, tmp_path):
    for root in (bucket, epath.Path(tmp_path)):
        for name in ("a", "b"):
            record = synthetic.clip(name, 0, 12)
            if root == bucket:
                write_atomically(root / "clips/train/clips" / f"{record.key}.npz", pack(record))
            else:
                write_clip(tmp_path / "clips/train", record)
            write_atomically(root / "codes/train/codes" / f"{name}.npz", pack(synthetic.codes(name, 80)))
        (root / "codes/codes.json").write_text(json.dumps({"encoder_fingerprint": "f", "data_fingerprint": {}}))

    def first(root: epath.Path) -> dict[str, np.ndarray]:
        shared = {"batch_size": 4, "seed": 3, "start_step": 0}
        with (
            batches.stage1_batches(root / "clips", "train", set_batch_size=0, size=16, **shared) as one,
            batches.stage2_batches(root / "codes", **shared) as two,
        ):
            return next(one) | next(two)

    there, here = first(bucket), first(epath.Path(tmp_path))
    assert there.keys() == here.keys() and batches.codes_info(bucket / "codes")["encoder_fingerprint"] == "f"
    for name in here:
        np.testing.assert_array_equal(there[name], here[name], err_msg=name)


def test_validation_of_a_run_is_written_to_the_bucket(bucket, tmp_path):
    validation.write_image_grid(bucket / "run/eval/0000001.png", [np.zeros((2, 64, 64, 3))])
    with (bucket / "run/eval/0000001.png").open("rb") as file:
        assert Image.open(file).size == (128, 256)
    model = tiny_model.model()
    record = synthetic.codes(length=30, portrait=np.frombuffer(synthetic.grey_frame(90, 32), np.uint8))
    write = validation.clip_writer(model.flow, model, model.space, model.meta, record, "gs://bucket/run")
    write(model.flow_params, 1)
    clip = tmp_path / "0000001.mp4"
    clip.write_bytes((bucket / "run/eval/0000001.mp4").read_bytes())
    assert len(list(video.read_video(clip)[1])) == 30


def test_metrics_of_every_start_stay(bucket, monkeypatch):
    class NoBoard:
        def __init__(self, *arguments, **options) -> None: ...
        def add_scalar(self, *arguments) -> None: ...
        def close(self) -> None: ...

    monkeypatch.setattr("tensorboardX.SummaryWriter", NoBoard)  # it needs Google's own library
    monkeypatch.setattr(writers._ObjectStorageLines, "every", 0.0)
    first = MetricWriter(bucket / "run", 0, 10, ())
    first.scalars(1, {"loss": 2.0})
    lines = (bucket / "run/metrics-0000000.jsonl").read_text().splitlines()  # while it runs
    assert [json.loads(line)["loss"] for line in lines] == [2.0]
    first.close()
    second = MetricWriter(bucket / "run", 5, 10, ())
    second.scalars(6, {"loss": 1.0})
    second.close()
    steps = [json.loads(p.read_text())["step"] for p in sorted((bucket / "run").glob("metrics-*.jsonl"))]
    assert steps == [1, 6]
