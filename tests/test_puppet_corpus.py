"""The puppet corpus on disk: records, sets, splits, resume, closure of the lips in the measured mouth."""

from __future__ import annotations

import dataclasses
import json
import wave
from pathlib import Path

import numpy as np
import pytest

from data_pipelines.puppet.__main__ import main
from data_pipelines.puppet.corpus import example
from data_pipelines.puppet.corpus.build import build, person
from data_pipelines.puppet.corpus.clips import probe_set, speech_clip
from data_pipelines.puppet.corpus.plan import BuildTask, Parameters
from data_pipelines.puppet.motion.articulation import contact_frame
from data_pipelines.puppet.motion.face_motion import LOOK_FULL
from data_pipelines.puppet.speech.utterances import cut
from data_pipelines.records.schema import PROBE, ClipRecord, read_clip
from demo_jax.constants import FPS, SAMPLES_PER_FRAME
from demo_jax.errors import InputError
from demo_jax.factors import ARKIT_INDEX, ARKIT_NAMES, FACTOR_OF, FACTORS

pytest.importorskip("espeakng_loader")
pytest.importorskip("numba")
pytest.importorskip("simplejpeg")

SMALL = Parameters(hours=0.004, size=32, people=(3, 2, 2), set_frames=8, set_share=0.3)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("puppet")
    build(folder, SMALL, workers=1, progress=False)
    return folder


def _records(folder: Path, split: str) -> list[ClipRecord]:
    return [read_clip(path) for path in sorted((folder / split / "clips").glob("*.npz"))]


def _speech(folder: Path, split: str) -> dict[str, list[ClipRecord]]:
    out: dict[str, list[ClipRecord]] = {}
    for record in _records(folder, split):
        if not record.set_id:
            out.setdefault(record.clip_id, []).append(record)
    return out


def test_a_clip_is_the_join_of_its_segments(corpus):
    clips = _speech(corpus, "train")
    assert clips
    for index, segments in enumerate(clips.values()):
        take = speech_clip(SMALL.seed, "train", index, 3)
        assert [p.piece for p in segments] == list(range(len(segments)))
        assert 4 <= sum(p.length for p in segments) / FPS <= 12.5
        assert max(p.length for p in segments) - min(p.length for p in segments) <= 1
        for name in ("pose", "expression"):
            whole = np.concatenate([getattr(p, name) for p in segments])
            assert whole.tobytes() == getattr(take.motion, name).tobytes()
        assert np.concatenate([p.waveform for p in segments]).tobytes() == take.audio.waveform.tobytes()
        assert np.concatenate([p.features["logmel"] for p in segments]).shape[0] == take.motion.frames
        # A phoneme divided by a cut is in both segments: together they last as long as in the whole.
        lasted = sum(float(np.diff(p.phoneme_times).sum()) for p in segments)
        assert lasted == pytest.approx(float(np.diff(take.audio.times).sum()), abs=1e-3)


def test_features_are_those_of_the_whole_clip(corpus):
    from demo_jax.audio.log_mel import LogMel

    segments = next(iter(_speech(corpus, "test").values()))
    whole = LogMel()(np.concatenate([p.waveform for p in segments]))
    np.testing.assert_array_equal(np.concatenate([p.features["logmel"] for p in segments]), whole)


def test_gaze_agrees_with_eye_look_everywhere(corpus):
    for record in _records(corpus, "train"):
        look = {n: record.expression[:, i] for n, i in ARKIT_INDEX.items() if n.startswith("eyeLook")}
        left, right = look["eyeLookOutLeft"] - look["eyeLookInLeft"], look["eyeLookInRight"] - look["eyeLookOutRight"]
        np.testing.assert_allclose((left + right) / 2 * LOOK_FULL[0], record.gaze[:, 0], atol=1e-4)
        assert (left < right + 1e-6).all()  # the eyes converge, never diverge
        down = look["eyeLookDownLeft"] - look["eyeLookUpLeft"]
        np.testing.assert_allclose(down * LOOK_FULL[1], record.gaze[:, 1], atol=1e-4)


def test_every_bilabial_closes_the_measured_lips():
    """On every person, at every p, b and m, the inner-lip aperture at the contact frame is that of a closed mouth."""
    from data_pipelines.puppet.render.renderer import measure

    contacts, open_mouth = [], []
    for split, people in (("train", 6), ("test", 4)):
        for index in range(people):
            take = speech_clip(1, split, index, people)
            moves = take.motion
            lips = measure(person(1, split, take.person), moves.pose, moves.expression, moves.eyes, 64).lips
            open_mouth.append(lips[:, 0].max())
            contacts += [
                lips[contact_frame(start, end, moves.frames), 0]
                for phoneme, (start, end) in zip(take.audio.phonemes, take.audio.times, strict=True)
                if phoneme in ("p", "b", "m")
            ]
    assert len(contacts) > 60
    assert min(open_mouth) > 0.1
    # 0.005 of the eye span is 0.4 mm on a face: less than a fifth of a pixel at 64 px.
    assert max(contacts) < 0.005


def test_sets_change_one_factor_and_nothing_else(corpus):
    sets: dict[str, dict[str, ClipRecord]] = {}
    for split in ("train", "val", "test"):
        found = [r for r in _records(corpus, split) if r.set_id and r.variant != PROBE]
        assert found
        for record in found:
            sets.setdefault(record.set_id, {})[record.variant] = record
    for variants in sets.values():
        assert set(variants) == {"base", "reidentity", *(f"redrawn:{f}" for f in FACTORS)}
        base = variants["base"]
        for variant, record in variants.items():
            assert record.base_piece == base.piece and record.length == base.length == SMALL.set_frames
            assert record.waveform.tobytes() == base.waveform.tobytes()
            assert record.features["logmel"].tobytes() == base.features["logmel"].tobytes()
            columns = np.flatnonzero((record.expression != base.expression).any(0))
            changed = {FACTOR_OF[ARKIT_NAMES[i]] for i in columns}
            if not np.array_equal(record.pose, base.pose):
                changed.add("pose")
            if not np.array_equal(record.gaze[:, :2], base.gaze[:, :2]):
                changed.add("gaze")
            if variant == "reidentity":
                assert not changed and record.speaker_id != base.speaker_id
                assert not np.array_equal(record.identity, base.identity)
            else:
                assert changed == ({variant.partition(":")[2]} if variant != "base" else set())
                np.testing.assert_array_equal(record.identity, base.identity)
            if variant != "base":
                assert record.frames != base.frames


def test_splits_share_no_identity(corpus):
    people = {split: {r.identity.tobytes() for r in _records(corpus, split)} for split in ("train", "val", "test")}
    names = {split: {r.speaker_id for r in _records(corpus, split)} for split in people}
    assert {split: len(p) for split, p in people.items()} == {s: len(n) for s, n in names.items()}
    for first, second in (("train", "val"), ("train", "test"), ("val", "test")):
        assert not people[first] & people[second] and not names[first] & names[second]


def test_tracks_and_audio_depend_on_the_seed_alone():
    def digest(seed: int) -> list[bytes]:
        takes = [speech_clip(seed, "val", 3, 4), *probe_set(seed, "val", 1, 4, 8)]
        return [
            b"".join(a.tobytes() for a in (t.motion.pose, t.motion.eyes, t.motion.expression, t.audio.waveform))
            for t in takes
        ]

    first = digest(5)
    speech_clip(9, "test", 0, 2)
    assert digest(5) == first
    assert all(a != b for a, b in zip(digest(6), first, strict=True))


def _contents(path: Path) -> dict[str, bytes]:
    """Every array of a record; the zip file around them holds the time of day as well."""
    with np.load(path) as arrays:
        return {name: arrays[name].tobytes() for name in arrays.files}


def test_resume_generates_only_the_missing_records(corpus):
    job = BuildTask(split="val", kind="speech", index=0)
    clips = corpus / "val" / "clips"
    before = {p: (p.stat().st_mtime_ns, _contents(p)) for p in sorted(corpus.glob("*/clips/*.npz"))}
    removed = [p for p in before if p.name.startswith("val-000000-")]
    assert clips / f"{job.last_written}.npz" in removed
    for path in removed:
        path.unlink()
    infos = build(corpus, SMALL, workers=1, progress=False)
    after = {p: (p.stat().st_mtime_ns, _contents(p)) for p in sorted(corpus.glob("*/clips/*.npz"))}
    assert after.keys() == before.keys()
    assert {p for p in after if after[p][0] != before[p][0]} == set(removed)
    assert all(after[p][1] == before[p][1] for p in before)
    info = json.loads((corpus / "val" / "dataset_info.json").read_text())
    assert info == infos["val"]
    assert info["counts"]["frames"] == sum(r.length for r in _records(corpus, "val"))
    assert set(info["datasheet"]) == {"source", "licence", "consent", "rejected"}


def test_another_corpus_is_not_mixed_in(corpus):
    with pytest.raises(InputError, match="other parameters"):
        build(corpus, dataclasses.replace(SMALL, seed=1), workers=1, progress=False)


def test_cut_keeps_phonemes_in_time():
    audio = speech_clip(0, "val", 0, 1).audio
    part = cut(audio, 30, 20)
    assert len(part.waveform) == 20 * SAMPLES_PER_FRAME
    assert part.times.min() >= 0 and part.times.max() <= 20 / FPS + 1e-6
    first = next(i for i, t in enumerate(audio.times) if t[1] > 30 / FPS + 1e-6)
    assert part.phonemes == audio.phonemes[first : first + len(part.phonemes)]
    np.testing.assert_allclose(
        part.times[1:-1], audio.times[first + 1 : first + len(part.phonemes) - 1] - 1.2, atol=1e-5
    )


@pytest.mark.parametrize(
    "flags", [["--hours", "0"], ["--size", "8"], ["--seed", "-1"], ["--people", "0,1,1"], ["--set-frames", "65"]]
)
def test_impossible_numbers_are_refused(tmp_path, capsys, flags):
    assert main(["--out", str(tmp_path), *flags]) == 2
    assert flags[0] in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_file_in_place_of_the_folder_is_refused(tmp_path, capsys):
    (tmp_path / "taken").write_text("")
    assert main(["--out", str(tmp_path / "taken"), "--hours", "0.001"]) == 2
    assert "choose another folder" in capsys.readouterr().err


def test_example_is_from_the_test_split(tmp_path):
    import cv2

    assert example.main(["--out", str(tmp_path)]) == 0
    assert cv2.imread(str(tmp_path / "portrait.png")).shape == (128, 128, 3)
    sidecar = json.loads((tmp_path / "portrait.json").read_text())
    assert sidecar == {"cropped": True, "corpus": "puppet"}
    with wave.open(str(tmp_path / "speech.wav")) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (1, 16_000, 2)
        assert 6 < file.getnframes() / 16_000 < 10
