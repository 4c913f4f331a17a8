"""Probes: independent factors, frame by frame; found in the records, used by stage 1 and never by stage 2."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("espeakng_loader")
pytest.importorskip("numba")

from data_pipelines.loading.batches import paired_groups, stage1_batches
from data_pipelines.loading.examples import stable_hash
from data_pipelines.puppet.corpus.clips import probe_take
from data_pipelines.puppet.corpus.plan import Parameters
from data_pipelines.puppet.motion.face_motion import REST_POSE, WIDE_GAZE, WIDE_POSE
from data_pipelines.records.catalog import open_records, probe_records, speech_clips
from data_pipelines.records.schema import PROBE, write_clip
from data_pipelines.records.sources import JoinedRecords
from demo_jax.errors import InputError
from demo_jax.factors import ARKIT_INDEX, FACTORS, columns_of
from tests import synthetic

PEOPLE, FRAMES = 50, 32
QUIET = {"phonemes": (), "phoneme_times": np.zeros((0, 2), np.float32)}


@pytest.fixture(scope="module")
def takes():
    return [probe_take(0, "test", index, PEOPLE, FRAMES) for index in range(PEOPLE)]


def _columns(takes, factor: str) -> np.ndarray:
    """[N, C]: everything that a factor does in all frames, without what never moves."""
    moves = [t.motion for t in takes]
    if factor == "pose":
        values = np.concatenate([m.pose for m in moves])
    else:
        values = np.concatenate([m.expression for m in moves])[:, columns_of(factor)]
        if factor == "gaze":
            values = np.concatenate([values, np.concatenate([m.eyes[:, :2] for m in moves])], 1)
    return values[:, values.std(0) > 0.01].astype(np.float64)


def test_factors_are_independent_of_each_other_and_of_the_frame_before(takes):
    """Correlations of N independent pairs have a standard deviation of 1 / sqrt(N): 0.025 at 1600 frames. Among some
    2500 pairs the largest is then about 3.5 of them; 5 is beyond chance."""
    values = {factor: _columns(takes, factor) for factor in FACTORS}
    bound = 5 / np.sqrt(PEOPLE * FRAMES)
    pairs = 0
    for i, first in enumerate(FACTORS):
        for second in FACTORS[:i]:
            joint = np.corrcoef(values[first].T, values[second].T)
            across = joint[: values[first].shape[1], values[first].shape[1] :]
            assert np.abs(across).max() < bound, (first, second)
            pairs += across.size
    assert pairs > 1000
    for factor, columns in values.items():
        shaped = columns.reshape(PEOPLE, FRAMES, -1)
        now, before = shaped[:, 1:].reshape(-1, columns.shape[1]), shaped[:, :-1].reshape(-1, columns.shape[1])
        lag = [np.corrcoef(now[:, c], before[:, c])[0, 1] for c in range(columns.shape[1])]
        # The mouths of speech in a take are of three utterances in one style, which is part of who speaks.
        assert np.abs(lag).max() < (0.35 if factor == "lip" else bound), factor


def test_factors_fill_their_range(takes):
    pose, gaze = _columns(takes, "pose"), np.concatenate([t.motion.eyes[:, :2] for t in takes])
    assert (np.abs(pose - REST_POSE).max(0) > 0.97 * WIDE_POSE).all()
    assert (np.abs(pose - REST_POSE).max(0) <= 1.001 * WIDE_POSE).all()
    assert (np.abs(gaze).max(0) > 0.97 * WIDE_GAZE).all() and (np.abs(gaze).max(0) <= WIDE_GAZE).all()
    expression = np.concatenate([t.motion.expression for t in takes])
    assert expression.min() >= 0 and expression.max() <= 1
    for name in ("jawOpen", "mouthPucker", "eyeBlinkLeft", "browInnerUp", "mouthSmileLeft"):
        assert np.ptp(expression[:, ARKIT_INDEX[name]]) > 0.6, name
    assert {t.person for t in takes} == set(range(PEOPLE))


def test_every_identity_of_the_default_corpus_has_a_probe():
    parameters = Parameters()
    jobs = [job for job in parameters.jobs() if job.kind == "probe"]
    frames = {s: sum(j.frames(parameters) for j in jobs if j.split == s) for s in ("train", "val", "test")}
    assert frames == {"train": 230 * 16, "val": 20 * 32, "test": 50 * 32}


@pytest.fixture
def folder(tmp_path):
    """Two plain clips, one set and two probes."""
    for name in ("a", "b"):
        write_clip(tmp_path / "train", synthetic.clip(name, length=12, **QUIET))
    for variant in ("base", "redrawn:lip", "reidentity"):
        write_clip(
            tmp_path / "train", synthetic.clip(f"s-{variant[:3]}", length=8, set_id="s", variant=variant, **QUIET)
        )
    for name in ("p0", "p1"):
        write_clip(tmp_path / "train", synthetic.clip(name, length=8, set_id=name, variant=PROBE, **QUIET))
    return tmp_path


def test_stage_1_uses_probes_and_encode_skips_them(folder):
    assert [record.clip_id for record in probe_records(folder, "train")] == ["p0", "p1"]
    assert [segments[0].clip_id for segments in speech_clips(folder, "train")] == ["a", "b"]
    assert all(PROBE not in group for group in paired_groups(JoinedRecords((open_records(folder, "train"),))))
    options = {"batch_size": 4, "set_batch_size": 2, "seed": 0, "start_step": 0, "size": 16}
    with stage1_batches(folder, "train", **options) as batches:
        rows = np.stack([next(batches)["clip_hash"] for _ in range(10)])
    speech, independent = (set(rows[:, start::2].ravel().tolist()) for start in (0, 1))
    assert speech == {stable_hash(name) for name in ("a", "b")}
    named = {record.clip_id for record in open_records(folder, "train") if record.variant not in ("", "redrawn:lip")}
    assert independent == {stable_hash(name) for name in named} and {"p0", "p1"} <= named


def test_a_corpus_without_probes_is_refused(tmp_path):
    write_clip(tmp_path / "train", synthetic.clip("a", length=8, **QUIET))
    with pytest.raises(InputError, match="no probe records"):
        probe_records(tmp_path, "train")
