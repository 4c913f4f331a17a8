"""The TFDS dataset contains the records, opens without TensorFlow, and gives the same batches as the npz folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import synthetic
from process_utils import run_code

from data_pipelines import talking_portrait
from data_pipelines.loading import batches as loading
from data_pipelines.records.schema import ClipRecord, pack, write_clip
from demo_jax.errors import InputError


def full(name: str, piece: int, **changes: object) -> ClipRecord:
    rng = np.random.default_rng(piece)
    expression = rng.uniform(0, 1, (9, 52)).astype(np.float32)
    expression[:, 51] = np.nan
    return synthetic.clip(
        name, piece, 9, expression=expression, identity=rng.normal(size=4 + piece).astype(np.float32),
        coefficients={"flame": rng.normal(size=(9, 5)).astype(np.float32)}, emotion="happy", language="de", **changes,
    )  # fmt: skip


RECORDS = [
    full("a", 0),
    full("a", 1, phonemes=(), phoneme_times=np.zeros((0, 2), np.float32)),
    full("b", 0),
    *(full(v[-3:], 0, set_id="s", variant=v, base_piece=0) for v in ("base", "redrawn:lip", "reidentity")),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Records and the dataset made of them."""
    root = tmp_path_factory.mktemp("dataset")
    for record in RECORDS:
        write_clip(root / "records" / "train", record)
    write_clip(root / "records" / "val", full("c", 0))
    info = {
        "fingerprint": {"sha256": "abc"},
        "datasheet": {"licence": "CC0", "consent": "given", "rejected": {"x": "y"}},
    }
    (root / "records" / "train" / "dataset_info.json").write_text(json.dumps(info))
    (root / "records" / "val" / "dataset_info.json").write_text(json.dumps({"fingerprint": "def"}))
    assert talking_portrait.main(["--records", str(root / "records"), "--out", str(root / "out")]) == 0
    return root / "records", root / "out"


def test_every_field_of_every_record_comes_back(folders: tuple[Path, Path]):
    records, dataset = (loading.open_records(folder, "train") for folder in folders)
    assert dataset.keys == records.keys
    assert dataset.segments == records.segments
    for i, key in enumerate(dataset.keys):
        assert pack(dataset[i]) == pack(records[i]), key  # every array, to the byte


def test_it_is_a_plain_tfds_dataset(folders: tuple[Path, Path]):
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(folders[1] / "talking_portrait" / talking_portrait.VERSION)
    source = builder.as_data_source("train")
    assert len(source) == len(RECORDS)
    example = next(e for e in source if e["clip_id"] == b"b")
    record = RECORDS[2]
    np.testing.assert_array_equal(example["pose"], record.pose)
    np.testing.assert_array_equal(example["features"]["logmel"], record.features["logmel"])
    np.testing.assert_array_equal(example["coefficients"]["flame"], record.coefficients["flame"])
    assert [p.decode() for p in example["phonemes"]] == list(record.phonemes)
    start, end = example["frame_offsets"][3:5]
    assert example["frame_bytes"][start:end].tobytes() == record.frames[3]


def test_the_info_has_fingerprint_and_datasheet(folders: tuple[Path, Path]):
    assert loading.splits_of(folders[1]) == ("train", "val")
    for split, fingerprint in (("train", "abc"), ("val", "def")):
        assert {loading.data_fingerprint(folder, split) for folder in folders} == {fingerprint}
    metadata = json.loads((folders[1] / "talking_portrait" / talking_portrait.VERSION / "metadata.json").read_text())
    assert metadata["train"]["datasheet"] == {"licence": "CC0", "consent": "given", "rejected": {"x": "y"}}


@pytest.mark.parametrize("workers", [0, 1])
def test_shards_give_the_batches_of_the_folder(folders: tuple[Path, Path], workers: int):
    taken = []
    for folder, count in zip(folders, (0, workers), strict=True):
        with loading.stage1_batches(
            folder, "train", batch_size=4, set_batch_size=2, seed=1, start_step=2, size=16, workers=count
        ) as batches:
            taken.append([next(batches) for _ in range(2)])
    for a, b in zip(*taken, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_a_second_run_changes_nothing_and_other_records_are_refused(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = folders[1] / "talking_portrait" / talking_portrait.VERSION
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert talking_portrait.main(["--records", str(folders[0]), "--out", str(folders[1])]) == 0
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    write_clip(tmp_path / "train", synthetic.clip())
    assert talking_portrait.main(["--records", str(tmp_path), "--out", str(folders[1])]) == 2
    assert "holds a dataset of other records" in capsys.readouterr().err


def test_records_that_cannot_be_sharded_are_named(folders: tuple[Path, Path], tmp_path: Path):
    with pytest.raises(InputError, match="holds shards already"):
        talking_portrait.build(str(folders[1]), str(tmp_path / "out"))
    with pytest.raises(InputError, match="no such folder"):
        talking_portrait.build(str(tmp_path / "nowhere"), str(tmp_path / "out"))
    write_clip(tmp_path / "train", synthetic.clip("a"))
    write_clip(tmp_path / "train", synthetic.clip("b", features={"ipa": np.zeros((20, 3), np.float16)}))
    with pytest.raises(InputError, match=r"b-0000\.npz has the features ipa, the first record logmel"):
        talking_portrait.build(str(tmp_path), str(tmp_path / "out"))
    assert list((tmp_path / "out").rglob("features.json")) == []  # no incomplete dataset is left


def test_records_take_precedence_over_shards_beside_them(folders: tuple[Path, Path], tmp_path: Path):
    records, shards = folders
    shutil.copytree(records, tmp_path / "both")
    shutil.copytree(shards / "talking_portrait", tmp_path / "both" / "talking_portrait")
    both, train = tmp_path / "both", tmp_path / "both" / "train"
    for path in (train / "clips").glob("b-*"):  # taken out after the shards were made
        path.unlink()
    shutil.rmtree(both / "val")
    (train / "dataset_info.json").write_text(json.dumps({"fingerprint": "without b"}))
    assert loading.splits_of(both) == ("train",)
    assert loading.data_fingerprint(both, "train") == "without b"
    keys = loading.open_records(both, "train").keys
    assert keys and not any(key.startswith("b-") for key in keys)
    with pytest.raises(InputError, match="has no split 'val'; it has train"):
        loading.open_records(both, "val")
    shutil.rmtree(train / "clips")  # now there are shards alone
    assert loading.splits_of(both) == ("train", "val")
    assert loading.data_fingerprint(both, "train") == "abc" and loading.data_fingerprint(both, "val") == "def"
    assert any(key.startswith("b-") for key in loading.open_records(both, "train").keys)


def test_tensorflow_is_never_needed(folders: tuple[Path, Path]):
    """Writing and reading import no TensorFlow, and the lock does not bring it, so all tests here run without."""
    code = (
        "import sys\n"
        "from data_pipelines import talking_portrait\n"
        "from data_pipelines.loading import batches as loading\n"
        f"talking_portrait.build({str(folders[0])!r}, {str(folders[1] / 'again')!r})\n"
        f"assert len(loading.open_records({str(folders[1] / 'again')!r}, 'train')[0].frames) == 9\n"
        "assert not [m for m in sys.modules if m.split('.')[0] == 'tensorflow']"
    )
    assert "tensorflow==" not in (Path(__file__).parents[1] / "requirements.lock").read_text()
    run_code(code)
