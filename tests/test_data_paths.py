"""A data folder has the same fingerprint and batches, whatever way its path is written."""

import json
import os
import shutil

import numpy as np
import pytest
import synthetic

from data_pipelines.loading import batches
from data_pipelines.records import catalog
from data_pipelines.records.schema import pack, write_clip
from demo_jax.media.files import write_atomically

STAGE1 = {"batch_size": 4, "set_batch_size": 2, "seed": 3, "start_step": 0, "size": 16}
STAGE2 = {"batch_size": 4, "seed": 3, "start_step": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Clip records without a dataset_info.json, so that their names and lengths are the fingerprint, and codes."""
    root = tmp_path_factory.mktemp("paths") / "data"
    for name in "abc":
        write_clip(root / "train", synthetic.clip(name, 0, 30))
        write_atomically(root / "train" / "codes" / f"{name}.npz", pack(synthetic.codes(name, 80)))
    (root / "codes.json").write_text(json.dumps({"encoder_fingerprint": "f", "data_fingerprint": {"train": "abc"}}))
    return root


def first(root):
    with batches.stage1_batches(root, "train", **STAGE1) as one, batches.stage2_batches(root, **STAGE2) as two:
        return next(one) | {f"codes/{name}": value for name, value in next(two).items()}


@pytest.fixture(scope="module")
def expected(folder):
    return first(folder.absolute())


@pytest.mark.parametrize("written", ["relative", "slash", "dots", "space", "link", "path"])
def test_the_form_of_a_path_changes_nothing(folder, expected, tmp_path, monkeypatch, written):
    if written == "space":
        shutil.copytree(folder, tmp_path / "my data ü")
    elif written == "link":
        os.symlink(folder, tmp_path / "link")
    monkeypatch.chdir(folder.parent)
    root = {
        "relative": "data", "slash": "./data/", "dots": f"{folder}/train/..",
        "space": str(tmp_path / "my data ü"), "link": str(tmp_path / "link"), "path": folder,
    }[written]  # fmt: skip
    assert catalog.data_fingerprint(root, "train") == catalog.data_fingerprint(folder, "train")
    assert catalog.corpus_name(root, "train") == "synthetic"
    found = first(root)
    assert expected.keys() == found.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
