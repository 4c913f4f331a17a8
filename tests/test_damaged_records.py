"""Damaged records and shards are named, and training takes the item before."""

from pathlib import Path

import numpy as np
import pytest
import synthetic
from etils import epath

from data_pipelines import talking_portrait
from data_pipelines.loading import batches as loading
from data_pipelines.records.schema import write_clip
from data_pipelines.records.sources import read_members
from demo_jax.errors import InputError


def make(root: Path, batch_size: int = 8) -> loading.Batches:
    return loading.stage1_batches(root, "train", batch_size=batch_size, set_batch_size=0, seed=3, start_step=0, size=16)


def test_a_damaged_record_is_named(tmp_path: Path):
    path = write_clip(tmp_path / "train", synthetic.clip())
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match=r"clip-0000\.npz is damaged"):
        make(tmp_path)


def test_a_bit_flipped_before_the_first_reading_is_found(tmp_path: Path):
    clip = synthetic.clip()
    path = write_clip(tmp_path / "train", clip)
    data = bytearray(path.read_bytes())
    data[data.index(clip.frames[0]) + 20] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"clip-0000\.npz is damaged .*frame_bytes"):
        read_members(epath.Path(path), ["pose"])


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def damages_only(data: Path, shard: Path, at: int, key: str) -> bool:
    """Returns whether a bit flipped there damages only the record of that key; it is flipped back."""
    flip(shard, at)
    damaged = []
    opened = loading.open_records(data, "train")
    for i, name in enumerate(opened.keys):
        try:
            opened[i]
        except InputError:
            damaged.append(name)
    flip(shard, at)
    return damaged == [key]


def grey_clips(folder: Path) -> None:
    """Writes clips a, b, c, each of another grey."""
    for i, name in enumerate("abc"):
        write_clip(folder / "train", synthetic.clip(name, 0, 20, base=20 + 60 * i))


@pytest.mark.parametrize("sharded", [False, True])
def test_training_takes_the_item_before_a_damaged_one_and_logs_it(tmp_path: Path, caplog, sharded: bool):
    grey_clips(tmp_path)
    if sharded:
        talking_portrait.build(str(tmp_path), str(tmp_path / "shards"))
        data = tmp_path / "shards"
        (shard,) = (data / "talking_portrait").rglob("*array_record*")
        at = next(at for at in range(500, shard.stat().st_size, 500) if damages_only(data, shard, at, "b-0000"))
        flip(shard, at)
        named = "record b-0000 is damaged"
    else:
        data, path = tmp_path, tmp_path / "train" / "clips" / "b-0000.npz"
        flip(path, path.read_bytes().index(synthetic.clip("b", 0, 20, base=80).frames[3]) + 5)
        named = "b-0000.npz is damaged"
    with make(data, batch_size=12) as batches:
        batch = next(batches)
    brightness = set(np.unique(batch["target"][:, 0, 0, 0] // 60).tolist())
    assert brightness == {0, 2}  # of a and c; each third of the rows
    assert len(batch["target"]) == 12
    # Threads that fetch ahead for an earlier test may still log.
    logged = [text for r in caplog.records if str(tmp_path) in (text := r.getMessage())]
    assert len(logged) >= 4 and all(named in text and "The item before it is taken" in text for text in logged)


def test_three_damaged_items_in_a_row_are_too_many(tmp_path: Path):
    grey_clips(tmp_path)
    batches = make(tmp_path)
    for path in (tmp_path / "train" / "clips").iterdir():
        flip(path, 2000)
    with batches, pytest.raises(InputError, match=r"0000\.npz is damaged"):
        next(batches)


def test_damaged_files_beside_the_shards_are_named(tmp_path: Path):
    grey_clips(tmp_path)
    folder = Path(talking_portrait.build(str(tmp_path), str(tmp_path / "shards")))
    for name, message in (("features.json", "features.json"), ("pieces-train.json", r"pieces-train\.json is damaged")):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(InputError, match=message):
            make(tmp_path / "shards")
        (folder / name).write_bytes(whole)
    (shard,) = folder.glob("*array_record*")
    shard.write_bytes(shard.read_bytes()[:5000])
    with pytest.raises(InputError, match="record a-0000 is damaged"):
        make(tmp_path / "shards")
