"""Batches are a pure function of (seed, step), match the records, and refuse unusable input."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic
from etils import epath

from data_pipelines.loading import batches as loading
from data_pipelines.loading import examples
from data_pipelines.records.schema import encode_frame, pack, write_clip
from data_pipelines.records.sources import read_members
from demo_jax.errors import InputError
from demo_jax.factors import EMOTIONS, FACTORS, calibrated_code
from demo_jax.media.files import write_atomically

STAGE1 = {"batch_size": 8, "set_batch_size": 4, "seed": 3, "start_step": 0, "size": 16}
STAGE2 = {"batch_size": 8, "seed": 3, "start_step": 0}
GREY_OF = {"base": 10, "redrawn:lip": 60, "redrawn:pose": 110, "reidentity": 160}  # grey level of frame 0


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of two segments, the last one of 3 frames, and two paired groups."""
    root = tmp_path_factory.mktemp("records")
    folder = root / "train"
    for name, lengths in {"a": (64, 20), "b": (64, 3)}.items():
        for segment, length in enumerate(lengths):
            write_clip(folder, synthetic.clip(name, segment, length, base=100 * segment, phonemes=("h", "ə", "l")))
    for index in range(2):
        for variant, grey in GREY_OF.items():
            name = f"set{index}-{variant.replace(':', '-')}"
            write_clip(
                folder, synthetic.clip(name, 0, 12, base=grey, set_id=f"set{index}", variant=variant, base_piece=0)
            )
    (folder / "dataset_info.json").write_text(json.dumps({"fingerprint": {"sha256": "abc"}}))
    return root


@pytest.fixture(scope="module")
def codes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A long clip, one just longer than a window, and one shorter than it."""
    root = tmp_path_factory.mktemp("codes")
    for name, length, emotion in (("long", 300, "happy"), ("middle", 60, ""), ("short", 20, "sad")):
        record = synthetic.codes(name, length, emotion=emotion)
        write_atomically(root / "train" / "codes" / f"{name}.npz", pack(record))
    (root / "codes.json").write_text(json.dumps({"encoder_fingerprint": "f", "data_fingerprint": {"train": "abc"}}))
    return root


def take(batches: loading.Batches, count: int) -> list[dict[str, np.ndarray]]:
    with batches:
        return [next(batches) for _ in range(count)]


def assert_equal(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def make(root: Path, stage: int, **changes: Any) -> loading.Batches:
    if stage == 1:
        return loading.stage1_batches(root, "train", **(STAGE1 | changes))
    return loading.stage2_batches(root, **(STAGE2 | changes))


@pytest.fixture(params=[1, 2], ids=["stage1", "stage2"])
def stage(request: pytest.FixtureRequest, records: Path, codes: Path) -> tuple[Path, int]:
    return (records, 1) if request.param == 1 else (codes, 2)


def test_resuming_from_a_step_gives_the_same_batches(stage: tuple[Path, int]):
    whole = take(make(*stage), 5)
    for a, b in zip(whole[3:], take(make(*stage, start_step=3), 2), strict=True):
        assert_equal(a, b)


def test_the_seed_decides(stage: tuple[Path, int]):
    name = "driving" if stage[1] == 1 else "codes"
    first, again, other = (take(make(*stage, seed=seed), 1)[0][name] for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_out_the_same_global_batch(stage: tuple[Path, int], processes: int):
    for step, whole in enumerate(take(make(*stage), 2)):
        parts = [
            take(make(*stage, shards=(p,), shard_count=processes, start_step=step), 1)[0] for p in range(processes)
        ]
        assert_equal(whole, {name: np.concatenate([part[name] for part in parts]) for name in whole})


def test_workers_change_nothing(stage: tuple[Path, int]):
    for a, b in zip(take(make(*stage, start_step=1), 4), take(make(*stage, start_step=1, workers=2), 4), strict=True):
        assert_equal(a, b)


def test_an_epoch_holds_every_item_once_and_the_next_is_shuffled_anew():
    rows = loading._Rows(pools=(12,), turns=(0,), seed=5, batch_size=6, shards=(0,), shard_count=1)
    epochs = [[item for step in (2 * e, 2 * e + 1) for _, item in rows(step)] for e in range(3)]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


@pytest.mark.parametrize("turns", [(0, 1), (0, 1, 1), (1, 1, 0, 1, 0)])
def test_pools_of_items_take_turns_in_any_process(turns):
    shared = {"pools": (4, 6), "turns": turns, "seed": 5, "batch_size": 4}
    whole = loading._Rows(**shared, shards=(0,), shard_count=1)
    halves = [loading._Rows(**shared, shards=(i,), shard_count=2) for i in range(2)]
    rows = [row for step in range(15) for row in whole(step)]
    assert rows == [row for step in range(15) for half in halves for row in half(step)]
    assert [int(item >= 4) for _, item in rows] == [*turns] * (60 // len(turns))
    for pool in (range(4), range(4, 10)):
        found = [item for _, item in rows if item in pool]
        epochs = [found[i : i + len(pool)] for i in range(0, len(found) - len(pool) + 1, len(pool))]
        assert len(epochs) > 3 and all(sorted(epoch) == [*pool] for epoch in epochs)


def test_corpora_are_mixed_by_their_shares(records: Path, tmp_path: Path):
    """A second corpus gives two rows for each of the first's."""
    write_clip(tmp_path / "train", synthetic.clip("z", 0, 40))
    batches = take(make(records, 1, mixture=((str(tmp_path), 2),)), 3)
    rows = np.concatenate([batch["clip_hash"] for batch in batches])
    assert [bool(row) for row in rows == examples.stable_hash("z")] == [False, True, True] * 8
    assert_equal(batches[0], take(make(records, 1, mixture=((str(tmp_path), 2),), workers=1), 1)[0])
    with pytest.raises(InputError, match="there is no such folder"):
        make(records, 1, mixture=((str(tmp_path / "none"), 1),))
    held_out = tmp_path / "held_out"
    for split in ("train", "val"):
        write_clip(held_out / split, synthetic.clip("a", 0, 40))
    (batch,) = take(loading.stage1_batches(held_out, "val", mixture=((str(tmp_path), 2),), **STAGE1), 1)
    assert set(batch["clip_hash"]) == {examples.stable_hash("a")}  # the second has no val split


def test_stage1_shapes_and_dtypes(records: Path):
    batch = take(make(records, 1), 1)[0]
    expected = {
        "source": (np.uint8, (8, 16, 16, 3)), "driving": (np.uint8, (8, 5, 16, 16, 3)),
        "source_calibrated": (np.float32, (8, 13)), "driving_calibrated": (np.float32, (8, 5, 13)),
        "target": (np.uint8, (8, 16, 16, 3)), "target_calibrated": (np.float32, (8, 13)),
        "source_expression": (np.float32, (8, 52)), "driving_expression": (np.float32, (8, 5, 52)),
        "source_landmarks": (np.float32, (8, 68, 2)), "target_landmarks": (np.float32, (8, 68, 2)),
        "driving_shift": (np.float32, (8, 3)), "driving_boxes": (np.float32, (8, 2, 4)),
        "audio": (np.float32, (8, 5, 6)), "clip_hash": (np.int32, (8,)), "time": (np.int32, (8,)),
        "voiced": (np.bool_, (8,)), "phoneme": (np.int32, (8,)),
        "set_factor": (np.int32, (4,)), "set_boxes": (np.float32, (4, 2, 4)),
        "target_trust": (np.float32, (8, 2, 2)), "set_redrawn_trust": (np.float32, (4, 2, 2)),
        "set_reidentity_trust": (np.float32, (4, 2, 2)),
    }  # fmt: skip
    for name in ("set_source", "set_driving", "set_redrawn", "set_reidentity_source", "set_reidentity"):
        expected |= {name: (np.uint8, (4, 16, 16, 3)), f"{name}_calibrated": (np.float32, (4, 13))}
        expected |= {f"{name}_expression": (np.float32, (4, 52)), f"{name}_landmarks": (np.float32, (4, 68, 2))}
    assert {name: (array.dtype, array.shape) for name, array in batch.items()} == expected


def test_stage1_rows_match_the_records(records: Path):
    takes = {
        f"set{i}-{v.replace(':', '-')}": grey for i in range(2) for v, grey in GREY_OF.items() if v != "redrawn:lip"
    }
    hashes = {examples.stable_hash(name): name for name in ("a", "b", *takes)}
    seen = set()
    for batch in take(make(records, 1), 12):
        for row in range(8):
            name = hashes[int(batch["clip_hash"][row])]  # a KeyError would be lips that do not match the audio
            segment, t = divmod(int(batch["time"][row]), 64)
            seen.add((name, segment))
            grey = takes.get(name, 100 * segment)
            length = 12 if name in takes else {("a", 0): 64, ("a", 1): 20, ("b", 0): 64}[name, segment]
            record = synthetic.clip(name, segment, length)
            assert 2 <= t < length - 2
            # JPEG keeps flat grey to within 1/255, and frames are 2 apart.
            np.testing.assert_allclose(
                batch["driving"][row].mean((1, 2, 3)), np.minimum(grey + 2 * np.arange(t - 2, t + 3), 255), atol=0.99
            )
            np.testing.assert_array_equal(
                batch["audio"][row], record.features["logmel"][t - 2 : t + 3].astype(np.float32)
            )
            truth = calibrated_code(record.lips, record.pose, record.gaze)
            np.testing.assert_array_equal(batch["driving_calibrated"][row], truth[t - 2 : t + 3])
            np.testing.assert_array_equal(batch["driving_boxes"][row], record.boxes[t] / 2)  # 32 px stored, 16 used
            np.testing.assert_array_equal(batch["target_landmarks"][row], record.landmarks[t] / 2)
            symbol = ("h", "ə", "l", None)[min(int((t + 0.5) / 5), 3)]  # each lasts 0.2 s, 5 frames
            assert batch["phoneme"][row] == (examples.stable_hash(symbol) if symbol else -1)
            assert batch["voiced"][row] == (t - 2 < 15)  # the phonemes end at 0.6 s, however loud the rest is
    assert seen == {("a", 0), ("a", 1), ("b", 0), *((name, 0) for name in takes)}  # b-0001 has 3 frames only


def test_stage1_sources_come_from_every_segment_of_the_clip(records: Path):
    batches = take(make(records, 1), 12)
    level = np.concatenate([b["source"].mean((1, 2, 3)) for b in batches])
    segment = np.concatenate([b["time"] // 64 for b in batches])
    clip = np.concatenate([b["clip_hash"] for b in batches])
    sources = level[(clip == examples.stable_hash("a")) & (segment == 1)]
    assert (sources < 95).any()  # frames of segment 0 start at grey 0, those of segment 1 at 100
    assert (sources > 95).any()


def test_images_of_a_paired_group_correspond(records: Path):
    factors = set()
    for batch in take(make(records, 1), 6):
        levels = {n: np.rint(batch[n].mean((1, 2, 3))) for n in batch if n.startswith("set_") and batch[n].ndim == 4}
        s = (levels["set_source"] - GREY_OF["base"]) / 2
        t = (levels["set_driving"] - GREY_OF["base"]) / 2
        assert (np.abs(s - t) >= 0.5).all()  # two different frames
        # Half a frame is the tolerance: one grey level of JPEG rounding, frames being 2 apart.
        np.testing.assert_allclose((levels["set_reidentity_source"] - GREY_OF["reidentity"]) / 2, s, atol=0.5)
        np.testing.assert_allclose((levels["set_reidentity"] - GREY_OF["reidentity"]) / 2, t, atol=0.5)
        swapped = np.array([GREY_OF[f"redrawn:{FACTORS[f]}"] for f in batch["set_factor"]])
        np.testing.assert_allclose((levels["set_redrawn"] - swapped) / 2, t, atol=0.5)
        factors |= set(batch["set_factor"].tolist())
    assert factors == {FACTORS.index("lip"), FACTORS.index("pose")}


def test_a_corpus_without_paired_groups_gives_composites(tmp_path: Path):
    write_clip(tmp_path / "train", synthetic.clip())
    batch = take(make(tmp_path, 1), 1)[0]
    assert batch["set_redrawn"].shape == (4, 16, 16, 3) and "set_reidentity" not in batch
    assert set(batch["set_factor"].tolist()) <= {FACTORS.index("lip"), FACTORS.index("gaze")}


def test_augmentation_too_is_a_function_of_the_step(records: Path):
    some = examples.Augment(mirror=0.5, colour=0.1, shift=0.05, zoom=0.1)
    whole = take(make(records, 1, augment=some), 3)
    assert_equal(whole[2], take(make(records, 1, augment=some, start_step=2), 1)[0])
    assert whole[0]["driving_shift"].any(1).all() and not np.array_equal(whole[0]["driving"][:, 2], whole[0]["target"])


def test_frames_without_a_face_have_no_truth_and_silence_is_not_voiced(tmp_path: Path):
    quiet = synthetic.clip(
        confidence=np.zeros(20, np.float32),
        waveform=np.full(20 * 640, 60, np.int16),
        phonemes=(),
        phoneme_times=np.zeros((0, 2), np.float32),
    )
    write_clip(tmp_path / "train", quiet)
    batch = take(make(tmp_path, 1, set_batch_size=0), 1)[0]
    assert np.isnan(batch["driving_calibrated"]).all()
    assert np.isnan(batch["source_calibrated"]).all()
    assert not batch["voiced"].any()  # 60 / 32768 is -55 dB
    assert not any(name.startswith("set_") for name in batch)


def test_larger_frames_are_averaged_over_areas():
    image = np.kron(np.array([[0, 200], [100, 40]], np.uint8), np.ones((16, 16), np.uint8))
    checks = (np.indices((32, 32)).sum(0) % 2 * 40 - 20).astype(np.int16)  # averages out
    data = encode_frame(np.clip(image + checks, 0, 255).astype(np.uint8)[..., None].repeat(3, -1))
    small = examples.decode_frame(data, 2)
    # 12: clipping at 0 lifts the black quarter by 10; the rest is JPEG rounding.
    np.testing.assert_allclose(small[..., 0], [[0, 200], [100, 40]], atol=12)
    assert small.shape == (2, 2, 3)


def test_stage2_windows_are_consecutive_frames_with_padding_marked(codes: Path):
    starts: dict[int, set[int]] = {300: set(), 60: set(), 20: set()}
    emotions = {EMOTIONS.index("happy"): 300, 0: 60, EMOTIONS.index("sad"): 20}
    for batch in take(make(codes, 2), 40):
        assert batch["codes"].shape == (8, 60, 42)
        assert batch["audio"].shape == (8, 70, 6)
        for row in range(8):
            length = emotions[int(batch["emotion"][row])]
            valid, number = batch["codes_valid"][row], batch["codes"][row, :, 0]
            start = int(number[10])
            assert valid[10]  # a window starts inside the clip
            starts[length].add(start)
            expected = np.arange(start - 10, start + 50)
            np.testing.assert_array_equal(valid, (expected >= 0) & (expected < length))
            np.testing.assert_array_equal(number, np.where(valid, expected, 0))
            audio = np.arange(start - 10, start + 60)
            np.testing.assert_array_equal(batch["audio_valid"][row], (audio >= 0) & (audio < length))
            np.testing.assert_array_equal(
                batch["audio"][row, :, 0], np.where((audio >= 0) & (audio < length), audio, 0)
            )
            after = np.arange(start + 50, start + 100)
            np.testing.assert_array_equal(batch["next_valid"][row], after < length)
            np.testing.assert_array_equal(batch["next_codes"][row, :, 0], np.where(after < length, after, 0))
            source = batch["source"][row, 0]
            if length > 50:
                assert not start <= source < start + 50
            else:
                assert 0 <= source < length
    assert starts[20] == {0}
    assert starts[60] == set(range(11))  # 80 draws or so of 11 places: a missing one has odds below 0.1 %
    assert min(starts[300]) < 25
    assert max(starts[300]) > 225


def test_long_clips_are_drawn_in_proportion(codes: Path):
    emotions = np.concatenate([b["emotion"] for b in take(make(codes, 2, batch_size=9), 10)])  # 9 items an epoch
    counts = [int((emotions == EMOTIONS.index(e)).sum()) for e in ("happy", "", "sad")]
    assert counts == [60, 20, 10]


def test_names_and_fingerprints(records: Path, codes: Path, tmp_path: Path):
    assert loading.data_fingerprint(records, "train") == "abc"
    assert loading.corpus_name(records, "train") == "synthetic"
    assert loading.splits_of(records) == loading.splits_of(codes) == ("train",)
    assert loading.codes_info(codes)["encoder_fingerprint"] == "f"
    assert loading.first_codes(codes, "train").clip_id == "long"
    for split, name in (("val", "x"), ("train", "x"), ("extra", "x")):
        write_clip(tmp_path / split, synthetic.clip(name, length=6))
    assert loading.splits_of(tmp_path) == ("train", "val", "extra")
    before = loading.data_fingerprint(tmp_path, "train")  # no dataset_info.json: names and lengths
    write_clip(tmp_path / "train", synthetic.clip("y", length=6))
    assert before != loading.data_fingerprint(tmp_path, "train")


def test_unusable_input_is_named(records: Path, codes: Path, tmp_path: Path):
    cases: list[tuple[Any, str]] = [
        (lambda: make(tmp_path / "nowhere", 1), "nowhere: there is no such folder"),
        (lambda: make(tmp_path, 1), "holds no data"),
        (lambda: loading.stage1_batches(records, "val", **STAGE1), "no split 'val'; it has train"),
        (lambda: make(records, 1, feature="ipa"), "no audio feature 'ipa'; it has logmel"),
        (lambda: make(records, 1, size=64), "32 x 32 px cannot serve a model of 64 px"),
        (lambda: make(records, 1, lip_window=4), "lip_window is 4"),
        (lambda: make(records, 1, lip_window=65), "65 frames"),
        (lambda: make(records, 1, batch_size=0), "batch of 0"),
        (lambda: make(records, 1, shard_count=3), "batch of 8 cannot be cut into 3 shards"),
        (lambda: make(tmp_path / "nowhere", 2), "nowhere: there is no such folder"),
        (lambda: make(codes, 2, split="val"), "no motion codes"),
        (lambda: make(codes, 2, feature="ipa"), "no audio feature 'ipa'; it has logmel"),
        (lambda: make(codes, 2, window=0), "window 0"),
        (lambda: loading.codes_info(records), r"codes\.json is missing"),
    ]
    for call, message in cases:
        with pytest.raises(InputError, match=message):
            call()


def test_partial_reads_follow_changes_of_the_file(tmp_path: Path):
    for clip in (synthetic.clip("a", 0, 20), synthetic.clip("a", 0, 30)):  # the second replaces the first
        path = write_clip(tmp_path / "train", clip)
        with np.load(path) as file:
            expected = dict(file)
        for _ in range(2):  # the places of the arrays are cached
            assert_equal(read_members(epath.Path(path), list(expected)), expected)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda f: np.savez_compressed(f, pose=np.zeros(3)), "compressed"),
        (lambda f: np.savez(f, pose=np.zeros((3, 2), order="F")), "Fortran"),
        (lambda f: np.savez(f, pose=np.array([None])), "objects"),
        (lambda f: np.savez(f, gaze=np.zeros(3)), "'pose'"),
        (lambda f: f.write(b"nothing"), "not a zip file"),
    ],
)
def test_files_that_do_not_allow_partial_reads_are_named(tmp_path: Path, write, message: str):
    with open(tmp_path / "odd.npz", "wb") as file:
        write(file)
    with pytest.raises(InputError, match=rf"odd\.npz is damaged or not a record .*{message}"):
        read_members(epath.Path(tmp_path / "odd.npz"), ["pose"])


def test_whole_records_can_be_read(records: Path):
    opened = loading.open_records(records, "train")
    assert len(opened) == len(opened.keys) == 12
    record = opened[opened.keys.index("a-0001")]
    np.testing.assert_array_equal(record.pose, synthetic.clip("a", 1, 20).pose)
    assert dataclasses.asdict(opened.segments[0])["key"] == opened.keys[0]
