"""Cuts a clip of any length into windows, each conditioned on the frames generated just before it.

Memory does not grow with the clip except for the arrays of the clip itself (some hundred numbers a frame).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator

import chex
import jax
import jax.numpy as jnp
import numpy as np

from demo_jax.flow.condition import Condition, next_keyframe


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timeline:
    """What is known about a whole clip of T frames; codes are whitened.

    audio         [T, A] float32
    source        [K] float32: the portrait's code
    emotion       index into factors.EMOTIONS; 0 = unknown
    given         [T, K] float32, 0 where not given
    given_mask    [T, K] bool
    factor_index  [K] int32, of FactorLayout
    context, length, lookahead   C, L, H: frames before, in and after a window
    """

    audio: np.ndarray
    source: np.ndarray
    given: np.ndarray
    given_mask: np.ndarray
    factor_index: np.ndarray
    context: int
    length: int
    lookahead: int
    emotion: int = 0

    def __post_init__(self) -> None:
        frames, size = self.given.shape
        chex.assert_shape(self.audio, (frames, None))
        chex.assert_shape(self.given_mask, (frames, size))
        chex.assert_shape([self.source, self.factor_index], (size,))

    @property
    def frames(self) -> int:
        """T."""
        return len(self.given)

    @property
    def windows(self) -> int:
        return -(-self.frames // self.length)

    def condition(self, start: int, context: np.ndarray) -> Condition:
        """The condition, a batch of one, of the window that begins at frame `start`.

        context [n, K]: the whitened codes of the n <= C frames just before it (n = 0 for the first window).
        """
        c, size, seen = self.context, self.given.shape[1], len(context)
        tokens = c + self.length + self.lookahead
        audio, audio_mask = _cut(self.audio, start - c, tokens)
        ahead = 2 * self.length  # as in training, a keyframe is mentioned from the window before its own
        given, inside = _cut(self.given, start, ahead)
        given_mask = _cut(self.given_mask, start - 1, ahead + 1)[0]
        # A keyframe is where a given stretch begins: what a stretch holds is seen in `given` itself.
        given_mask, begins = given_mask[1:], given_mask[1:] & ~given_mask[:-1]
        known = np.zeros((c, size), np.float32)
        known[c - seen :] = context
        keyframe, keyframe_mask, distance = _keyframes(given, begins, self.factor_index, self.length)
        return Condition(
            context=jnp.asarray(known[None]),
            context_mask=jnp.asarray(np.arange(c)[None] >= c - seen),
            context_level=jnp.zeros((1,)),
            audio=jnp.asarray(audio[None], jnp.float32),
            audio_mask=jnp.asarray(audio_mask[None]),
            source=jnp.asarray(self.source[None]),
            emotion=jnp.full((1, tokens), self.emotion, jnp.int32),
            given=jnp.asarray(given[None, : self.length]),
            given_mask=jnp.asarray(given_mask[None, : self.length]),
            keyframe=keyframe,
            keyframe_mask=keyframe_mask,
            keyframe_distance=distance,
            valid=jnp.asarray(inside[None, : self.length]),
            keep_audio=jnp.ones((1,), bool),
            keep_emotion=jnp.full((1,), self.emotion != 0),
        )


def generate(
    timeline: Timeline, sample: Callable[[jax.Array, Condition], jax.Array], key: jax.Array
) -> Iterator[tuple[int, np.ndarray]]:
    """Generates window after window: yields (first frame, whitened codes [n, K] float32), n = L but for the last.

    sample(keys [1], condition) -> [1, L, K], as sampler.sample_window. Window w uses fold_in(key, w).
    """
    context = np.zeros((0, timeline.given.shape[1]), np.float32)
    for w in range(timeline.windows):
        start = w * timeline.length
        keys = jax.random.fold_in(key, w)[None]
        codes = np.asarray(sample(keys, timeline.condition(start, context)))[0, : timeline.frames - start]
        context = np.concatenate([context, codes])[-timeline.context :]
        yield start, codes


def _cut(array: np.ndarray, start: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows start .. start + length - 1 of array [T, ..], zeros outside; and which rows were inside [length] bool."""
    index = np.arange(start, start + length)
    inside = (index >= 0) & (index < len(array))
    out = np.zeros((length, *array.shape[1:]), array.dtype)
    out[inside] = array[index[inside]]
    return out, inside


@functools.partial(jax.jit, static_argnames="length")
def _keyframes(
    values: np.ndarray, mask: np.ndarray, factor_index: np.ndarray, length: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """next_keyframe over [N, K], for the first `length` frames: three arrays [1, L, ..]."""
    keyframe, known, distance = next_keyframe(values[None], mask[None], factor_index)
    return keyframe[:, :length], known[:, :length], distance[:, :length]
