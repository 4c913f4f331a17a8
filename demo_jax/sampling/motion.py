"""Motion codes from speech: windows of the flow, with what the user decides given to it, and the eyes at the camera."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from demo_jax import rng
from demo_jax.codes import CodeSpace
from demo_jax.config import FlowTransformerConfig
from demo_jax.factors import CALIBRATED_NAMES, GAZE_NAMES, GAZE_SCALE, POSE_SCALE, FactorLayout
from demo_jax.flow.condition import Condition
from demo_jax.models.flow_transformer import FlowTransformer
from demo_jax.sampling import windows
from demo_jax.sampling.controls import Controls, gaze_at_camera, resolve
from demo_jax.sampling.hearing import Hearing
from demo_jax.sampling.options import Options
from demo_jax.sampling.sampler import sample_window
from demo_jax.typing import PyTree

STREAM_HOP = 10  # frames of a stream made at once; frame i waits for the sound up to frame i + this + look-ahead


class MotionGenerator:
    """A flow transformer, the space of its codes, and the audio features it hears with."""

    def __init__(
        self,
        config: FlowTransformerConfig,
        space: CodeSpace,
        layout: FactorLayout,
        features: Callable[[np.ndarray], np.ndarray],
        reach: int,
    ) -> None:
        self._space, self._layout = space, layout
        self._features, self._reach = features, reach
        self._gaze = layout.calibrated[[CALIBRATED_NAMES.index(name) for name in GAZE_NAMES[:2]]]
        c, length, ahead = config.context, config.window, config.look_ahead
        self.whole = windows.Sizes(context=c, length=length, lookahead=ahead, hop=length, ahead=2 * length)
        # A streamed window is the hop and as many frames more as the look-ahead, which are made and thrown away: to the
        # network the clip ends where the sound does, as it has seen clips end in training.
        hop = min(STREAM_HOP, length)
        self.streamed = windows.Sizes(context=c, length=hop + ahead, lookahead=0, hop=hop, ahead=2 * length)
        transformer = FlowTransformer(config)

        def sample(
            params: PyTree, keys: jax.Array, condition: Condition, scales: dict[str, jax.Array], steps: int, solver: str
        ) -> jax.Array:
            def velocity(x: jax.Array, t: jax.Array, cond: Condition) -> jax.Array:
                return transformer.apply({"params": params}, x, t, cond)

            return sample_window(velocity, keys, condition, steps=steps, scales=scales, solver=solver)

        self.sample = jax.jit(sample, static_argnames=("steps", "solver"))

    def __call__(
        self,
        params: PyTree,
        portrait_code: np.ndarray,
        chunks: Iterable[np.ndarray],
        controls: Controls,
        options: Options,
        sizes: windows.Sizes,
    ) -> Iterator[np.ndarray]:
        """Raw codes [n, K] float32 to decode, n = sizes.hop but for the last. portrait_code [K] is the portrait's own;
        `chunks` are pieces of the recording, int16 [n], pulled as they are needed."""
        hearing, space = Hearing(chunks, self._features, self._reach), self._space
        source = np.asarray(space.to_whitened(jnp.asarray(portrait_code)))
        spans, emotions = (np.array(x) for x in zip(*options.emotions, strict=True))

        def timeline_at(start: int) -> windows.Timeline | None:
            end = hearing.listen(start + sizes.length + sizes.lookahead)
            if end <= start:
                return None
            # The frame before the context says whether something given there begins or goes on.
            first = max(start - sizes.context - 1, 0)
            count = start + sizes.ahead - first
            given = resolve(controls, portrait_code, count, self._layout, first)
            # Calibrated coordinates are whitened one by one and factors block by block, so what is not given (set to
            # the mean, 0 when whitened) does not leak into what is.
            filled = np.where(given.mask, given.values, np.asarray(space.mean))
            whitened = np.asarray(space.to_whitened(jnp.asarray(filled)))
            return windows.Timeline(
                first=first,
                audio=hearing.features(first, end),
                source=source,
                emotion=emotions[np.searchsorted(spans, first + np.arange(count), side="right") - 1],
                given=np.where(given.mask, whitened, 0).astype(np.float32),
                given_mask=given.mask,
                factor_index=self._layout.factor_index,
            )

        # Emotion is guided only when one is asked for: without, its branch would equal the unguided one.
        scales = {"audio": jnp.float32(options.audio_scale)}
        if emotions.any():
            scales["emotion"] = jnp.float32(options.emotion_scale)

        def sample(keys: jax.Array, condition: Condition) -> jax.Array:
            def solve(condition: Condition) -> jax.Array:
                return self.sample(params, keys, condition, scales, options.steps, options.solver)

            codes = solve(condition)
            # Where the camera is depends on the head. So the head is made first, and then the rest around it and the
            # gaze that it asks for, from the same noise.
            return solve(self._towards_camera(condition, codes, controls, portrait_code)) if controls.camera else codes

        for start, made in windows.generate(timeline_at, sizes, sample, rng.stream(options.seed, "sample")):
            # The context of the next window is what was generated, before gains.
            given = resolve(controls, portrait_code, len(made), self._layout, start)
            codes = given.finish(np.asarray(space.from_whitened(jnp.asarray(made))), portrait_code)
            yield self._look_at_camera(codes, given.mask) if controls.camera else codes

    def _towards_camera(
        self, condition: Condition, made: jax.Array, controls: Controls, portrait_code: np.ndarray
    ) -> Condition:
        """The condition of a window (a batch of one) with the head as it was made, [1, L, K] whitened, given; and with
        it the gaze at the camera, of the head as gains will show it."""
        values, mask, pose = (
            np.array(condition.given)[0],
            np.array(condition.given_mask)[0],
            self._layout.slices["pose"],
        )
        raw = np.asarray(self._space.from_whitened(made))[0]
        gain = resolve(controls, portrait_code, 1, self._layout).gain
        shown = np.where(mask, raw, portrait_code + gain * (raw - portrait_code))
        looking = self._look_at_camera(shown, mask)
        values[:, pose] = np.where(mask[:, pose], values[:, pose], np.asarray(made)[0, :, pose])
        wanted = np.asarray(self._space.to_whitened(jnp.asarray(looking)))[:, self._gaze]
        values[:, self._gaze] = np.where(mask[:, self._gaze], values[:, self._gaze], wanted)
        mask[:, pose] = mask[:, self._gaze] = True
        mask &= np.asarray(condition.valid)[0, :, None]
        return dataclasses.replace(
            condition, given=jnp.asarray(np.where(mask, values, 0)[None]), given_mask=jnp.asarray(mask[None])
        )

    def _look_at_camera(self, codes: np.ndarray, given: np.ndarray) -> np.ndarray:
        """Raw codes [n, K] whose eyes look at the camera, except where a gaze is given (bool [n, K])."""
        wanted = gaze_at_camera(codes[:, self._layout.slices["pose"]][:, :6] * POSE_SCALE) / GAZE_SCALE[:2]
        out = np.array(codes, np.float32)
        out[:, self._gaze] = np.where(given[:, self._gaze], codes[:, self._gaze], wanted)
        return out
