"""Encoding a corpus again: removed clips leave the training data, and another corpus is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest
import synthetic
import tiny_model

from data_pipelines import add_features, encode
from data_pipelines.loading import batches
from data_pipelines.records import catalog
from data_pipelines.records.schema import write_clip
from demo_jax.audio.log_mel import LogMel
from demo_jax.checkpoint.load import SCHEMA
from demo_jax.checkpoint.save import RunCheckpoints
from demo_jax.errors import InputError


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """An auto-encoder, a corpus of three people, and its codes."""
    root = tmp_path_factory.mktemp("encode")
    values = dataclasses.asdict(tiny_model.STAGE1)
    meta = {"schema": SCHEMA["autoencoder"], "kind": "autoencoder", "config": values, "autoencoder_config": values}
    with RunCheckpoints(root / "autoencoder") as run:
        run.save(1, {"ema": tiny_model.model().autoencoder_params}, meta)
    for split, person in (("train", "ada"), ("train", "bob"), ("val", "cyd")):
        for i in range(2):
            waveform = tiny_model.speech(40, seed=i)
            clip = synthetic.clip(f"{person}_{i}", length=40, speaker_id=person, waveform=waveform,
                                  features={"logmel": LogMel()(waveform)})  # fmt: skip
            write_clip(root / "data" / split, clip)
        (root / "data" / split / "dataset_info.json").write_text(json.dumps({"fingerprint": split}))
    assert encoded(root) == 0
    return root


def encoded(root, data="data"):
    given = {"autoencoder": root / "autoencoder", "data": root / data, "out": root / "codes", "feature": "logmel"}
    return encode.main([word for name, value in given.items() for word in (f"--{name}", str(value))])


def speakers(codes):
    return {batches.read_codes(path).speaker_id for path in catalog.code_paths(codes, "train")}


def hashes(codes):
    with batches.stage2_batches(codes, batch_size=4, window=12, context=4, look_ahead=3, seed=0, start_step=0) as it:
        return [next(it)["codes"].tobytes() for _ in range(3)]


def test_a_person_who_withdrew_is_not_trained_on(world, tmp_path):
    assert speakers(world / "codes") == {"ada", "bob"}
    shutil.copytree(world, tmp_path / "w")
    root = tmp_path / "w"
    for path in (root / "data/train/clips").glob("bob*"):
        path.unlink()
    (root / "codes/old/codes").mkdir(parents=True)  # a split that is no longer there
    shutil.copy(root / "codes/train/codes/bob_0.npz", root / "codes/old/codes/bob_0.npz")
    assert encoded(root) == 0
    assert [p.name for p in sorted((root / "codes").rglob("*_*.npz"))] == [
        "ada_0.npz",
        "ada_1.npz",
        "cyd_0.npz",
        "cyd_1.npz",
    ]
    assert speakers(root / "codes") == {"ada"} and batches.splits_of(root / "codes") == ("train", "val")
    listed = json.loads((root / "codes/codes.json").read_text())["clips"]
    assert listed == {"train": ["ada_0", "ada_1"], "val": ["cyd_0", "cyd_1"]}
    # Nor if their codes come back in another way, such as a copy of the old folder.
    alone = hashes(root / "codes")
    shutil.copy(world / "codes/train/codes/bob_0.npz", root / "codes/train/codes/bob_0.npz")
    assert speakers(root / "codes") == {"ada"} and hashes(root / "codes") == alone
    # Other features of the same codes follow the list too, in a folder that has more clips.
    shutil.copytree(root / "codes", root / "more")
    assert add_features.add_features(str(root / "codes"), str(root / "more"), LogMel()) == 4
    assert not (root / "more/train/codes/bob_0.npz").exists() and speakers(root / "more") == {"ada"}
    (root / "codes/train/codes/ada_1.npz").unlink()
    with pytest.raises(InputError, match=r"clip ada_1 of codes\.json is missing"):
        catalog.code_paths(root / "codes", "train")


def test_another_corpus_in_the_same_folder_is_refused(world, capsys):
    shutil.copytree(world / "data", world / "other")
    (world / "other/val/dataset_info.json").write_text(json.dumps({"fingerprint": "another"}))
    before = {path: path.stat().st_mtime_ns for path in (world / "codes").rglob("*")}
    assert encoded(world, "other") == 2
    assert "holds codes of other data" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in (world / "codes").rglob("*")} == before


def test_codes_from_before_they_were_listed_are_read(world, tmp_path):
    shutil.copytree(world / "codes", tmp_path / "codes")
    info = json.loads((tmp_path / "codes/codes.json").read_text())
    del info["clips"]
    (tmp_path / "codes/codes.json").write_text(json.dumps(info))
    assert catalog.splits_of(tmp_path / "codes") == ("train", "val")
    assert [p.stem for p in catalog.code_paths(tmp_path / "codes", "val")] == ["cyd_0", "cyd_1"]
    assert np.isfinite(batches.first_codes(tmp_path / "codes", "train").codes).all()
