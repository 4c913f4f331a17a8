"""Conditions of the flow transformer in training: masks, dropout, noise and keyframes as configured."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from demo_jax import codes
from demo_jax.config import ConditionConfig
from demo_jax.factors import FactorLayout
from demo_jax.flow.condition import check
from demo_jax.training.conditioning import coupling_features, given_masks, make_condition

LAYOUT = FactorLayout()
C, L, H, A, ROWS = 4, 12, 3, 5, 16
QUIET = ConditionConfig(
    drop_audio=0.0,
    drop_emotion=0.0,
    drop_source=0.0,
    drop_context=0.0,
    context_noise=0.0,
    given=0.0,
    keyframe=0.0,
    cut=0.0,
    group=4,
)


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    valid = np.ones((ROWS, C + L), bool)
    valid[0, :C] = False  # the start of a clip
    valid[1, -3:] = False  # its end
    return {
        "codes": rng.normal(size=(ROWS, C + L, 42)).astype(np.float32),
        "codes_valid": valid,
        "next_codes": rng.normal(size=(ROWS, 20, 42)).astype(np.float32),
        "next_valid": np.ones((ROWS, 20), bool),
        "audio": rng.normal(size=(ROWS, C + L + H, A)).astype(np.float16),
        "audio_valid": np.ones((ROWS, C + L + H), bool),
        "source": rng.normal(size=(ROWS, 42)).astype(np.float32),
        "emotion": np.full(ROWS, 2, np.int32),
    }


@pytest.fixture(scope="module")
def space():
    rng = np.random.default_rng(1)
    return codes.fit(rng.normal(1, 2, size=(2000, 42)), np.full((2000, 52), np.nan), LAYOUT)


def made(batch, space, config, seed=0):
    batch = jax.tree.map(jnp.asarray, batch)
    run = jax.jit(lambda key: make_condition(key, batch, space, LAYOUT, config, C))
    return run(jax.random.key(seed))


def test_without_randomness_conditions_equal_the_batch(batch, space):
    x1, cond = made(batch, space, QUIET)
    check(cond)
    z = space.to_whitened(jnp.asarray(batch["codes"]))
    np.testing.assert_allclose(x1[2:], z[2:, C:], atol=1e-5)
    np.testing.assert_allclose(cond.context[1:], z[1:, :C], atol=1e-5)
    np.testing.assert_array_equal(cond.context_mask, batch["codes_valid"][:, :C])
    np.testing.assert_array_equal(cond.valid, batch["codes_valid"][:, C:])
    np.testing.assert_allclose(cond.source, space.to_whitened(jnp.asarray(batch["source"])), atol=1e-5)
    assert cond.keep_audio.all() and cond.keep_emotion.all() and (cond.emotion == 2).all()
    assert not cond.given_mask.any() and not cond.keyframe_mask.any() and not cond.context_level.any()
    assert cond.audio.dtype == jnp.float32
    assert not np.asarray(x1)[1, -3:].any()  # padding


def test_certain_dropout_drops(batch, space):
    config = ConditionConfig(
        drop_audio=1.0, drop_emotion=1.0, drop_source=1.0, drop_context=1.0, given=0.0, keyframe=0.0, group=4
    )
    _, cond = made(batch, space, config)
    assert not cond.keep_audio.any() and not cond.keep_emotion.any()
    assert not cond.context_mask.any() and not cond.context.any() and not cond.source.any()


def test_coupling_features_are_neither_dropped_nor_noised(batch, space):
    arrays = jax.tree.map(jnp.asarray, batch)
    dropping = dataclasses.replace(QUIET, drop_audio=0.5, drop_source=0.5, drop_context=0.5, context_noise=1.0)
    features = [coupling_features(arrays, space, made(batch, space, c)[1]) for c in (QUIET, dropping)]
    np.testing.assert_allclose(features[0], features[1], atol=1e-6)
    assert features[0].shape[0] == ROWS and np.isfinite(features[0]).all()
    # Audio, source and context weigh the same (nothing is given here), whatever their number of coordinates.
    audio = (C + L + H) // 5 * A
    parts = np.split(np.asarray(features[0]), [audio, audio + 42], 1)
    np.testing.assert_allclose([np.square(p).sum(1).mean() for p in parts[:2]], 1.0, rtol=1e-3)
    given = made(batch, space, dataclasses.replace(QUIET, given=1.0))[1]
    assert np.abs(coupling_features(arrays, space, given) - features[0]).max() > 0.01


def test_context_is_noised_by_its_level(batch, space):
    config = ConditionConfig(drop_context=0.0, context_noise=0.5, given=0.0, keyframe=0.0, group=4)
    _, cond = made(batch, space, config)
    z = np.asarray(space.to_whitened(jnp.asarray(batch["codes"])))[1:, :C]
    level = np.asarray(cond.context_level)[1:]
    error = np.abs(np.asarray(cond.context)[1:] - z).max((1, 2))
    assert (error[level == 0] < 1e-5).all() and (error[level > 0.05] > 0.05).all()
    assert 0 < (level == 0).sum() < len(level) and level.max() <= 0.5


def test_given_masks_are_shared_by_groups_and_never_complete():
    config = ConditionConfig(given=1.0, group=4)
    masks = np.asarray(given_masks(jax.random.key(0), 400, L, LAYOUT, config)).reshape(100, 4, L, 42)
    assert (masks == masks[:, :1]).all()
    assert not masks.all((2, 3)).any()
    assert masks.any((1, 2, 3)).mean() > 0.6
    whole = masks[:, 0].any(1)  # coordinates given anywhere
    free = np.setdiff1d(np.arange(42), LAYOUT.calibrated)
    alone = whole[:, LAYOUT.calibrated].any(1) & ~whole[:, free].any(1)
    assert alone.any()  # single calibrated coordinates
    assert whole[:, LAYOUT.slices["lip"]].all(1).any()  # whole factors
    none = np.asarray(given_masks(jax.random.key(0), 8, L, LAYOUT, ConditionConfig(given=0.0, group=4)))
    assert not none.any()


def test_keyframes_hold_the_codes_of_their_frame(batch, space):
    config = ConditionConfig(given=0.0, keyframe=1.0, cut=0.0, group=4)
    x1, cond = made(batch, space, config)
    everything = np.concatenate([x1, space.to_whitened(jnp.asarray(batch["next_codes"]))], 1)
    mask, value, distance = (np.asarray(a) for a in (cond.keyframe_mask, cond.keyframe, cond.keyframe_distance))
    assert mask.any() and distance.max() > L  # beyond the window
    index = LAYOUT.factor_index
    for row, frame, k in zip(*(a[:200] for a in np.nonzero(mask)), strict=True):
        at = frame + int(distance[row, frame, index[k]])
        assert value[row, frame, k] == pytest.approx(everything[row, at, k], abs=1e-5)
    free = np.setdiff1d(np.arange(42), LAYOUT.calibrated)
    some = mask.any(1)[:, LAYOUT.calibrated].any(1) & ~mask.any(1)[:, free].any(1)
    assert 0 < some.sum() < ROWS  # calibrated coordinates alone, and whole factors
    # At a keyframe inside the window the value is given.
    here = (distance[:, :, index] == 0) & mask & np.asarray(cond.valid)[:, :, None]
    np.testing.assert_array_equal(here, np.asarray(cond.given_mask))
    assert not np.asarray(cond.given)[~np.asarray(cond.given_mask)].any()


def test_a_cut_clip_ends_early_in_audio_and_motion(batch, space):
    x1, cond = made(batch, space, dataclasses.replace(QUIET, cut=1.0, given=1.0))
    valid, audio_mask = np.asarray(cond.valid), np.asarray(cond.audio_mask)
    ends = np.where(valid[2:].all(1), L, valid[2:].argmin(1))
    assert ends.min() >= 1 and len(set(ends)) > 3
    for row, end in enumerate(ends, start=2):
        np.testing.assert_array_equal(valid[row], np.arange(L) < end)
        if end < L:
            np.testing.assert_array_equal(audio_mask[row], np.arange(C + L + H) < C + end)
        else:
            assert audio_mask[row].all()
    assert not np.asarray(x1)[~valid].any() and not np.asarray(cond.given_mask)[~valid].any()
    whole = made(batch, space, QUIET)[1]
    np.testing.assert_array_equal(whole.valid, batch["codes_valid"][:, C:])
    assert np.asarray(whole.audio_mask).all()
