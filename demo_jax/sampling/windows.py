"""Cuts motion of any length into windows, each conditioned on the frames generated just before it.

Memory does not grow with the length: only the part of a clip that one window reads is kept.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import chex
import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int, Key, Shaped

from demo_jax.flow.condition import Condition, next_keyframe


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes:
    """Sizes of a window, in frames.

    context    frames before it whose codes condition it (C)
    length     frames that are generated (L)
    lookahead  frames of audio after it
    hop        frames that are kept, after which the next window begins: all of them when the whole clip is known, a few
               of them in a stream, where the others serve as lookahead
    ahead      frames, from the window's first on, that are searched for keyframes
    """

    context: int
    length: int
    lookahead: int
    hop: int
    ahead: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timeline:
    """The known part of a clip from frame `first` on; codes are whitened. The clip ends with its audio.

    audio         features
    source        the portrait's code
    emotion       index into factors.EMOTIONS; 0 = unknown
    given         values set by the user, 0 where not given; G >= T frames
    given_mask    where they are given
    keyframes     which of the given entries are keyframes
    factor_index  of FactorLayout
    """

    audio: Float32[np.ndarray, "T A"]
    source: Float32[np.ndarray, " K"]
    emotion: Int[np.ndarray, " G"]
    given: Float32[np.ndarray, "G K"]
    given_mask: Bool[np.ndarray, "G K"]
    keyframes: Bool[np.ndarray, "G K"]
    factor_index: Int[np.ndarray, " K"]
    first: int = 0

    def __post_init__(self) -> None:
        frames, size = self.given.shape
        chex.assert_shape(self.audio, (None, None))
        chex.assert_shape([self.given_mask, self.keyframes], (frames, size))
        chex.assert_shape(self.emotion, (frames,))
        chex.assert_shape([self.source, self.factor_index], (size,))

    @property
    def end(self) -> int:
        """The first frame after the known audio."""
        return self.first + len(self.audio)

    def condition(self, start: int, context: Float32[np.ndarray, "n K"], sizes: Sizes) -> Condition:
        """The condition, a batch of one, of the window that begins at frame `start`.

        Args:
          start: the window's first frame.
          context: the whitened codes of the n <= C frames just before it (n = 0 for the first window).
          sizes: of the window.
        """
        c, size, before, at = sizes.context, self.given.shape[1], len(context), start - self.first
        tokens = c + sizes.length + sizes.lookahead
        audio, audio_mask = _cut(self.audio, at - c, tokens)
        inside = _cut(self.audio, at, sizes.length)[1]
        given, _ = _cut(self.given, at, sizes.ahead)
        given_mask = _cut(self.given_mask, at - 1, sizes.ahead + 1)[0]
        # As in training: keyframes are announced, within the window and beyond it. A given stretch is not announced in
        # its own window, which has it in `given`; for the window before, its first frame is a keyframe like any other.
        given_mask, begins = given_mask[1:], given_mask[1:] & ~given_mask[:-1]
        begins[: sizes.length] = False
        announced = begins | _cut(self.keyframes, at, sizes.ahead)[0]
        within = given_mask[: sizes.length] & inside[:, None]
        known = np.zeros((c, size), np.float32)
        known[c - before :] = context
        keyframe, keyframe_mask, distance = _keyframes(given, announced, self.factor_index, sizes.length)
        # Before the clip and after it the emotion is that of its ends, as in training.
        emotion = self.emotion[np.clip(np.arange(at - c, at - c + tokens), 0, len(self.emotion) - 1)]
        return Condition(
            context=known[None],
            context_mask=np.arange(c)[None] >= c - before,
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
    """Goes through a clip window by window: `window()` returns the next condition, the caller samples it, and `push`
    takes the codes, from which the next window's context comes.

    Args:
      timeline_at: start -> the timeline around the window that begins there (from the frame before its context on), or
        None when the clip is over.
      sizes: of every window.
      key: window w's noise is that of fold_in(key, w).
    """

    def __init__(self, timeline_at: Callable[[int], Timeline | None], sizes: Sizes, key: Key[Array, ""]) -> None:
        self._timeline_at, self._sizes, self._key = timeline_at, sizes, key
        self._context: np.ndarray | None = None
        self._start, self._window, self._end = 0, 0, 0

    def window(self) -> tuple[Key[Array, ""], Condition] | None:
        """Returns a key and the condition of the next window, a batch of one; None when the clip is over."""
        timeline = self._timeline_at(self._start)
        if timeline is None:
            return None
        if self._context is None:
            self._context = np.zeros((0, timeline.given.shape[1]), np.float32)
        self._end = timeline.end
        key = jax.random.fold_in(self._key, self._window)
        return key, timeline.condition(self._start, self._context, self._sizes)

    def push(self, codes: Float32[np.ndarray, "L K"]) -> tuple[int, Float32[np.ndarray, "n K"]]:
        """Takes that window's whitened codes; returns its first frame and the codes that are kept, n = hop except at
        the end."""
        assert self._context is not None
        start, kept = self._start, codes[: min(self._sizes.hop, self._end - self._start)]
        if self._sizes.context:
            self._context = np.concatenate([self._context, kept])[-self._sizes.context :]
        self._start, self._window = start + self._sizes.hop, self._window + 1
        return start, kept


def _cut(
    array: Shaped[np.ndarray, "T ..."], start: int, length: int
) -> tuple[Shaped[np.ndarray, "L ..."], Bool[np.ndarray, " L"]]:
    """Rows start .. start + length - 1, zeros outside; and which rows were inside."""
    index = np.arange(start, start + length)
    inside = (index >= 0) & (index < len(array))
    out = np.zeros((length, *array.shape[1:]), array.dtype)
    out[inside] = array[index[inside]]
    return out, inside


@functools.partial(jax.jit, static_argnames="length")
def _keyframes(
    values: Float[Array, "T K"], mask: Bool[Array, "T K"], factor_index: Int[Array, " K"], length: int
) -> tuple[Float[Array, "1 L K"], Bool[Array, "1 L K"], Float[Array, "1 L F"]]:
    """next_keyframe over T frames, for the first L = `length` of them."""
    keyframe, known, distance = next_keyframe(values[None], mask[None], factor_index)
    return keyframe[:, :length], known[:, :length], distance[:, :length]
