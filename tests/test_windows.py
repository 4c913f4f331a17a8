"""Cutting a clip into windows: every frame once, each window with its context, audio and keyframes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from demo_jax.factors import FactorLayout
from demo_jax.flow import condition as conditions
from demo_jax.sampling import windows

LAYOUT = FactorLayout(lip=3, pose=6, gaze=4, residual=0)
K = LAYOUT.size
C, L, H = 4, 10, 3


SIZES = windows.Sizes(context=C, length=L, lookahead=H, hop=L, ahead=2 * L)


def timeline(frames, **changes):
    values = {
        "audio": np.arange(frames, dtype=np.float32)[:, None].repeat(2, 1) + 1,  # frame f holds f + 1
        "source": np.full(K, 7, np.float32),
        "emotion": np.zeros(frames, np.int32),
        "given": np.zeros((frames, K), np.float32),
        "given_mask": np.zeros((frames, K), bool),
        "keyframes": np.zeros((frames, K), bool),
        "factor_index": LAYOUT.factor_index,
    }
    return windows.Timeline(**(values | changes))


def generate(clip, sampler, sizes=SIZES):
    iterator = windows.WindowIterator(lambda at: clip if at < clip.end else None, sizes, jax.random.key(0))
    parts = []
    while (window := iterator.window()) is not None:
        parts.append(iterator.push(np.asarray(sampler(window[0][None], window[1]))[0]))
    return parts


class Counter:
    """A sampler whose frame f is f everywhere; it records its conditions and keys."""

    def __init__(self):
        self.seen, self.keys = [], []

    def __call__(self, keys, condition):
        conditions.check(condition)
        start = len(self.seen) * L
        self.seen.append(jax.device_get(condition))
        self.keys.append(jax.random.key_data(keys).tolist())
        return jnp.arange(start, start + L, dtype=jnp.float32)[None, :, None] * jnp.ones((1, 1, K))


@pytest.mark.parametrize("frames", [1, 9, 10, 11, 34])
def test_every_frame_comes_once_and_in_order(frames):
    sampler = Counter()
    parts = generate(timeline(frames), sampler)
    assert [start for start, _ in parts] == list(range(0, frames, L))
    np.testing.assert_array_equal(np.concatenate([c for _, c in parts])[:, 0], np.arange(frames))
    valid = np.concatenate([c.valid[0] for c in sampler.seen])
    np.testing.assert_array_equal(valid, np.arange(len(valid)) < frames)


def test_context_and_audio_line_up_with_the_frames():
    frames = 27
    sampler = Counter()
    generate(timeline(frames), sampler)
    assert not sampler.seen[0].context_mask.any() and not sampler.seen[0].context.any()
    for w, cond in enumerate(sampler.seen):
        at = np.arange(w * L - C, w * L + L + H)
        inside = (at >= 0) & (at < frames)
        np.testing.assert_array_equal(cond.audio_mask[0], inside)
        np.testing.assert_array_equal(cond.audio[0, :, 0], np.where(inside, at + 1, 0))
        if w:
            assert cond.context_mask.all()
            np.testing.assert_array_equal(cond.context[0, :, 0], np.arange(w * L - C, w * L))
        np.testing.assert_array_equal(cond.source[0], np.full(K, 7))
        assert cond.keep_audio.all() and not cond.keep_emotion.any()
    assert len({str(k) for k in sampler.keys}) == len(sampler.keys)  # each window has noise of its own


def test_a_context_may_span_several_windows():
    sampler = Counter()
    generate(timeline(30), sampler, dataclasses.replace(SIZES, context=14))
    np.testing.assert_array_equal(sampler.seen[1].context_mask[0], [False] * 4 + [True] * 10)
    np.testing.assert_array_equal(sampler.seen[2].context[0, :, 0], np.arange(6, 20))


def test_given_values_and_emotion_reach_their_window():
    given_mask = np.zeros((24, K), bool)
    given_mask[7:13, 4] = True
    given = np.where(given_mask, np.arange(24, dtype=np.float32)[:, None], 0)
    sampler = Counter()
    emotion = np.where(np.arange(24) < 12, 2, 5)
    generate(timeline(24, given=given, given_mask=given_mask, emotion=emotion), sampler)
    stitched = np.concatenate([c.given[0] for c in sampler.seen])[:24]
    np.testing.assert_array_equal(stitched, given)
    np.testing.assert_array_equal(np.concatenate([c.given_mask[0] for c in sampler.seen])[:24], given_mask)
    for w, cond in enumerate(sampler.seen):
        at = np.arange(w * L - C, w * L + L + H)
        np.testing.assert_array_equal(cond.emotion[0], np.where(at < 12, 2, 5))
        assert cond.keep_emotion.all()


def test_the_start_of_a_given_stretch_is_the_next_keyframe_in_the_window_before_its_own():
    pose = LAYOUT.slices["pose"]
    given_mask = np.zeros((40, K), bool)
    given_mask[25:30, pose.start] = True
    given = np.where(given_mask, np.float32(2.5), 0)
    sampler = Counter()
    generate(timeline(40, given=given, given_mask=given_mask), sampler)
    distance = np.concatenate([c.keyframe_distance[0, :, 1] for c in sampler.seen])
    known = np.concatenate([c.keyframe_mask[0] for c in sampler.seen])
    # Two windows before, it is not announced yet; its own window has it in `given`.
    near = (np.arange(40) >= L) & (np.arange(40) < 2 * L)
    np.testing.assert_array_equal(distance, np.where(near, 25 - np.arange(40), 0))
    np.testing.assert_array_equal(known[:, pose.start], near)
    assert not np.delete(known, pose.start, 1).any()
    value = np.concatenate([c.keyframe[0] for c in sampler.seen])
    np.testing.assert_array_equal(value, np.where(known, 2.5, 0))


def test_a_given_stretch_across_a_border_is_announced_in_neither_window():
    given_mask = np.zeros((20, K), bool)
    given_mask[8:15] = True
    sampler = Counter()
    generate(timeline(20, given_mask=given_mask), sampler)
    assert not any(cond.keyframe_mask.any() or cond.keyframe_distance.any() for cond in sampler.seen)


def test_a_short_hop_keeps_the_first_frames_and_the_next_window_begins_there():
    sizes = dataclasses.replace(SIZES, length=7, lookahead=0, hop=4)
    seen = []

    def sampler(keys, condition):
        seen.append(jax.device_get(condition))
        at = (len(seen) - 1) * 4 + jnp.arange(7, dtype=jnp.float32)
        return at[None, :, None] * jnp.ones((1, 1, K))

    parts = generate(timeline(18), sampler, sizes)
    assert [(start, len(codes)) for start, codes in parts] == [(0, 4), (4, 4), (8, 4), (12, 4), (16, 2)]
    np.testing.assert_array_equal(np.concatenate([c for _, c in parts])[:, 0], np.arange(18))
    np.testing.assert_array_equal(seen[2].context[0, :, 0], np.arange(4, 8))
    np.testing.assert_array_equal(seen[3].valid[0], np.arange(12, 19) < 18)


def test_a_timeline_may_begin_one_frame_before_its_windows_context():
    given_mask = np.arange(40 * K).reshape(40, K) % 7 == 0
    keyframes = given_mask & (np.arange(40) % 9 == 0)[:, None]
    whole = timeline(40, given_mask=given_mask, keyframes=keyframes, emotion=np.arange(40) // 10 + 1)
    context = np.ones((C, K), np.float32)
    partial = windows.Timeline(
        first=15,
        audio=whole.audio[15:],
        source=whole.source,
        emotion=whole.emotion[15:],
        given=whole.given[15:],
        given_mask=whole.given_mask[15:],
        keyframes=whole.keyframes[15:],
        factor_index=whole.factor_index,
    )
    for a, b in zip(*(jax.tree.leaves(t.condition(20, context, SIZES)) for t in (whole, partial)), strict=True):
        np.testing.assert_array_equal(a, b)
