"""Cuts motion of any length into windows, each conditioned on the frames generated just before it.

Memory does not grow with the length: of a clip, only what one window looks at is held.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import chex
import jax
import numpy as np

from demo_jax.flow.condition import Condition, next_keyframe


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes:
    """Frames of a window: C context before it, L in it, H of audio after it, and how many of the L are kept before the
    next window begins. A clip that is known as a whole keeps all; a stream keeps a few, and the others it asks for only
    as look-ahead, whose audio it has."""

    context: int
    length: int
    lookahead: int
    hop: int
    ahead: int  # frames from a window's first on in which keyframes are looked for


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timeline:
    """What is known of a clip from frame `first` on; codes are whitened. The clip ends with its audio.

    audio         [T, A] float32
    source        [K] float32: the portrait's code
    emotion       [G] int32: index into factors.EMOTIONS; 0 = unknown
    given         [G, K] float32, 0 where not given; G >= T
    given_mask    [G, K] bool
    keyframes     [G, K] bool: those of the given entries that are keyframes
    factor_index  [K] int32, of FactorLayout
    """

    audio: np.ndarray
    source: np.ndarray
    emotion: np.ndarray
    given: np.ndarray
    given_mask: np.ndarray
    keyframes: np.ndarray
    factor_index: np.ndarray
    first: int = 0

    def __post_init__(self) -> None:
        frames, size = self.given.shape
        chex.assert_shape(self.audio, (None, None))
        chex.assert_shape([self.given_mask, self.keyframes], (frames, size))
        chex.assert_shape(self.emotion, (frames,))
        chex.assert_shape([self.source, self.factor_index], (size,))

    @property
    def end(self) -> int:
        """The clip's length, as far as it is known."""
        return self.first + len(self.audio)

    def condition(self, start: int, context: np.ndarray, sizes: Sizes) -> Condition:
        """The condition, a batch of one, of the window that begins at frame `start`.

        context [n, K]: the whitened codes of the n <= C frames just before it (n = 0 for the first window).
        """
        c, size, seen, at = sizes.context, self.given.shape[1], len(context), start - self.first
        tokens = c + sizes.length + sizes.lookahead
        audio, audio_mask = _cut(self.audio, at - c, tokens)
        inside = _cut(self.audio, at, sizes.length)[1]
        given, _ = _cut(self.given, at, sizes.ahead)
        given_mask = _cut(self.given_mask, at - 1, sizes.ahead + 1)[0]
        # As in training: keyframes are announced, in the window and beyond; a stretch that is given is not, since its
        # window sees it in `given`. To the window before, the first frame of a stretch is a keyframe like any other.
        given_mask, begins = given_mask[1:], given_mask[1:] & ~given_mask[:-1]
        begins[: sizes.length] = False
        announced = begins | _cut(self.keyframes, at, sizes.ahead)[0]
        within = given_mask[: sizes.length] & inside[:, None]
        known = np.zeros((c, size), np.float32)
        known[c - seen :] = context
        keyframe, keyframe_mask, distance = _keyframes(given, announced, self.factor_index, sizes.length)
        # Before the clip and after it the emotion is that of its ends, as in training.
        emotion = self.emotion[np.clip(np.arange(at - c, at - c + tokens), 0, len(self.emotion) - 1)]
        return Condition(
            context=known[None],
            context_mask=np.arange(c)[None] >= c - seen,
            context_level=np.zeros(1, np.float32),
            audio=audio[None].astype(np.float32),
            audio_mask=audio_mask[None],
            source=self.source[None],
            emotion=emotion[None].astype(np.int32),
            given=np.where(within, given[: sizes.length], 0)[None],
            given_mask=within[None],
            keyframe=keyframe,
            keyframe_mask=keyframe_mask,
            keyframe_distance=distance,
            valid=inside[None],
            keep_audio=np.ones(1, bool),
            keep_emotion=np.array([emotion.any()]),
        )


class WindowIterator:
    """Goes through a clip window by window. Whoever walks samples: `window()` says of what, `accept` takes the result.

    timeline_at(start) gives what is known around the window that begins there (from the frame before its context on),
    None when the clip is over. Window w's noise is that of fold_in(key, w).
    """

    def __init__(self, timeline_at: Callable[[int], Timeline | None], sizes: Sizes, key: jax.Array) -> None:
        self._timeline_at, self._sizes, self._key = timeline_at, sizes, key
        self._context: np.ndarray | None = None
        self._start, self._window, self._end = 0, 0, 0

    def window(self) -> tuple[jax.Array, Condition] | None:
        """A key and the condition of the next window, a batch of one; None when the clip is over."""
        timeline = self._timeline_at(self._start)
        if timeline is None:
            return None
        if self._context is None:
            self._context = np.zeros((0, timeline.given.shape[1]), np.float32)
        self._end = timeline.end
        key = jax.random.fold_in(self._key, self._window)
        return key, timeline.condition(self._start, self._context, self._sizes)

    def push(self, codes: np.ndarray) -> tuple[int, np.ndarray]:
        """Whitened codes [L, K] of that window -> its first frame and those that count, [n, K], n = hop but at the
        end."""
        assert self._context is not None
        start, kept = self._start, codes[: min(self._sizes.hop, self._end - self._start)]
        if self._sizes.context:
            self._context = np.concatenate([self._context, kept])[-self._sizes.context :]
        self._start, self._window = start + self._sizes.hop, self._window + 1
        return start, kept


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
