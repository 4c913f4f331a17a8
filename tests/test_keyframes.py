"""Keyframes are announced in sampling exactly as in training: both build the same condition."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_model

from demo_jax import codes
from demo_jax.config import ConditionConfig
from demo_jax.factors import CALIBRATED_NAMES, CALIBRATED_SCALE, FactorLayout
from demo_jax.sampling import windows
from demo_jax.sampling.controls import Controls
from demo_jax.sampling.options import Options
from demo_jax.sampling.pipeline import Pipeline
from demo_jax.sampling.tracks import MotionTrack
from demo_jax.training.conditioning import make_condition

LAYOUT = FactorLayout(lip=4, pose=7, gaze=4, residual=2)
K, A = LAYOUT.size, 3
C, L, H, ROWS = 4, 12, 3, 24
SIZES = windows.Sizes(context=C, length=L, lookahead=H, hop=L, ahead=2 * L)
# As in training, but for what is dropped and noised at random. Half of the rows end within their window.
CONFIG = ConditionConfig(
    drop_audio=0.0, drop_emotion=0.0, drop_source=0.0, drop_context=0.0, context_noise=0.0,
    given=0.7, keyframe=0.7, cut=0.5, group=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def space():
    rng = np.random.default_rng(1)
    return codes.fit(rng.normal(1, 2, size=(2000, K)), np.full((2000, 52), np.nan), LAYOUT)


def training_conditions(space):
    """Raw codes [B, C + 2 L, K] of clips that continue after their window, and their conditions in training."""
    rng = np.random.default_rng(0)
    raw = rng.normal(1, 2, size=(ROWS, C + 2 * L, K)).astype(np.float32)
    batch = {
        "codes": raw[:, : C + L],
        "codes_valid": np.ones((ROWS, C + L), bool),
        "next_codes": raw[:, C + L :],
        "next_valid": np.ones((ROWS, L), bool),
        "audio": rng.normal(size=(ROWS, C + L + H, A)).astype(np.float32),
        "audio_valid": np.ones((ROWS, C + L + H), bool),
        "source": rng.normal(1, 2, size=(ROWS, K)).astype(np.float32),
        "emotion": np.full(ROWS, 2, np.int32),
    }
    made = jax.jit(lambda key, arrays: make_condition(key, arrays, space, LAYOUT, CONFIG, C)[1])
    return raw, batch, jax.device_get(made(jax.random.key(0), jax.tree.map(jnp.asarray, batch)))


def keyframes_of(cond, row):
    """[2 L, K] bool: those that a training condition's row knows of, of each factor the first after the window."""
    where = np.zeros((2 * L, K), bool)
    for k, factor in enumerate(LAYOUT.factor_index):
        for frame in range(L):
            if cond.keyframe_mask[row, frame, k]:
                where[frame + int(cond.keyframe_distance[row, frame, factor]), k] = True
    return where


def test_sampling_builds_the_same_condition_as_training(space):
    raw, batch, trained = training_conditions(space)
    whitened = np.asarray(space.to_whitened(jnp.asarray(raw)))
    within = beyond = spans = 0
    for row in range(ROWS):
        keyframes = keyframes_of(trained, row)
        given = keyframes.copy()
        given[:L] |= trained.given_mask[row]
        end = int(trained.audio_mask[row].sum())  # of the available audio, from the context on
        clip = windows.Timeline(
            audio=batch["audio"][row, :end],
            source=np.asarray(space.to_whitened(jnp.asarray(batch["source"][row]))),
            emotion=np.full(C + 2 * L, 2),
            given=np.where(np.pad(given, ((C, 0), (0, 0))), whitened[row], 0),
            given_mask=np.pad(given, ((C, 0), (0, 0))),
            keyframes=np.pad(keyframes, ((C, 0), (0, 0))),
            factor_index=LAYOUT.factor_index,
        )
        sampled = jax.device_get(clip.condition(C, whitened[row, :C], SIZES))
        for field in dataclasses.fields(sampled):
            ours, theirs = getattr(sampled, field.name)[0], getattr(trained, field.name)[row]
            known_audio = trained.audio_mask[row] if field.name == "audio" else np.ones(len(np.atleast_1d(ours)), bool)
            np.testing.assert_allclose(
                np.atleast_1d(ours)[known_audio], np.atleast_1d(theirs)[known_audio], atol=1e-5, err_msg=field.name
            )
        within, beyond = within + keyframes[:L].any(), beyond + keyframes[L:].any()
        spans += (trained.given_mask[row] & ~keyframes[:L]).any()
    assert min(within, beyond, spans) > 3  # all of it did occur


@pytest.fixture(scope="module")
def demo():
    return Pipeline(tiny_model.model())


def conditions(demo, controls, frames=36):
    """The condition of each window, [1, ..] leaves, whatever the network makes of it."""
    portrait = np.full(tiny_model.LAYOUT.size, 0.5, np.float32)
    session, seen = demo.start(portrait, tiny_model.speech(frames), controls, Options(steps=1)), []
    while (window := session.window()) is not None:
        seen.append(jax.device_get(window[1]))
        session.push(np.zeros((tiny_model.WINDOW, tiny_model.LAYOUT.size), np.float32))
    return seen


def test_only_keyframes_are_announced_within_their_window(demo):
    yaw = dict(zip(CALIBRATED_NAMES, tiny_model.LAYOUT.calibrated, strict=True))["yaw"]
    keyframes = MotionTrack(columns={"yaw": np.float32([15, -15, 30])}, start=4, at=np.array([4, 5, 20]))
    controls = dataclasses.replace(
        Controls.parse(hold="gaze", set="aperture=0.3", blink="0.2"), keyframes=keyframes,
    )  # fmt: skip
    seen = conditions(demo, controls)
    known = np.concatenate([c.keyframe_mask[0] for c in seen])
    distance = np.concatenate([c.keyframe_distance[0] for c in seen])
    frame = np.arange(36)
    following = np.where(frame <= 4, 4, np.where(frame <= 5, 5, 20))
    np.testing.assert_array_equal(known[:, yaw], frame <= 20)
    assert not np.delete(known, yaw, 1).any()
    np.testing.assert_array_equal(distance[:, 1], np.where(frame <= 20, following - frame, 0))
    assert not np.delete(distance, 1, 1).any()
    space = demo.model.space
    row = np.asarray(space.mean).copy()
    values = {4: 15, 5: -15, 20: 30}
    for at, degrees in values.items():
        row[yaw] = degrees / CALIBRATED_SCALE[CALIBRATED_NAMES.index("yaw")]
        expected = np.asarray(space.to_whitened(jnp.asarray(row)))[yaw]
        announced = np.concatenate([c.keyframe[0] for c in seen])[:21, yaw][following[:21] == at]
        np.testing.assert_allclose(announced, expected, rtol=1e-5)


def test_a_set_value_is_not_a_keyframe(demo):
    keyframes = MotionTrack(columns={"yaw": np.float32([15])}, start=20, at=np.array([20]))
    controls = dataclasses.replace(Controls.parse(set="yaw=5"), keyframes=keyframes)
    assert not any(c.keyframe_mask.any() for c in conditions(demo, controls))
