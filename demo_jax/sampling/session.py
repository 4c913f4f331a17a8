"""Motion codes from speech: windows of the flow, with what the user decides given to it, and the eyes at the camera."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import jax
import numpy as np
from jaxtyping import PyTree

from demo_jax import rng
from demo_jax.audio.stream import AudioFeatureStream, Features
from demo_jax.codes import CodeSpace
from demo_jax.config import FlowTransformerConfig
from demo_jax.constants import SAMPLES_PER_FRAME
from demo_jax.factors import CALIBRATED_NAMES, GAZE_NAMES, GAZE_SCALE, POSE_SCALE, FactorLayout
from demo_jax.flow import guidance
from demo_jax.flow.condition import Condition
from demo_jax.models.flow_transformer import FlowTransformer
from demo_jax.sampling import windows
from demo_jax.sampling.controls import Controls, gaze_at_camera, resolve
from demo_jax.sampling.options import Options
from demo_jax.sampling.sampler import sample_window

STREAM_HOP = 10  # frames of a stream made at once; frame i waits for the sound up to frame i + this + look-ahead


class MotionGenerator:
    """A flow transformer, the space of its codes, and the audio features it hears with."""

    def __init__(
        self,
        config: FlowTransformerConfig,
        space: CodeSpace,
        layout: FactorLayout,
        features: Features,
    ) -> None:
        self.space, self.layout, self.features = jax.device_get(space), layout, features
        c, length, ahead = config.context, config.window, config.look_ahead
        self.whole = windows.Sizes(context=c, length=length, lookahead=ahead, hop=length, ahead=2 * length)
        # A streamed window is the hop and as many frames more as the look-ahead, less what the features themselves look
        # ahead; these are made and thrown away: to the network the clip ends where the sound does, as it has seen clips
        # end in training.
        hop, more = min(STREAM_HOP, length), max(ahead - -(-features.reach // SAMPLES_PER_FRAME), 0)
        self.streamed = windows.Sizes(context=c, length=hop + more, lookahead=0, hop=hop, ahead=2 * length)
        transformer = FlowTransformer(config, layout)

        def sample(
            params: PyTree, keys: jax.Array, condition: Condition, scales: dict[str, jax.Array], steps: int, solver: str
        ) -> jax.Array:
            def velocity(x: jax.Array, t: jax.Array, cond: Condition) -> jax.Array:
                return transformer.apply({"params": params}, x, t, cond)

            scales = scales | {"audio": guidance.audio_scale(scales["audio"], layout)}
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
        """Raw codes [n, K] float32 to decode, n = sizes.hop but for the last, of one `SamplingSession`."""
        session = self.start(portrait_code, chunks, controls, options, sizes)
        scales = {name: np.float32(scale) for name, scale in options.scales.items()}
        while (window := session.window()) is not None:
            key, condition = window
            for _ in range(session.passes - 1):
                made = self.sample(params, key[None], condition, scales, options.steps, options.solver)
                condition = session.condition_on_head(condition, made)
            made = self.sample(params, key[None], condition, scales, options.steps, options.solver)
            yield session.push(np.asarray(made)[0])

    def start(
        self,
        portrait_code: np.ndarray,
        chunks: Iterable[np.ndarray],
        controls: Controls,
        options: Options,
        sizes: windows.Sizes,
    ) -> SamplingSession:
        """portrait_code [K] is the portrait's own, raw; `chunks` are pieces of the recording, int16 [n], pulled as they
        are needed."""
        return SamplingSession(self, portrait_code, AudioFeatureStream(chunks, self.features), controls, options, sizes)


class SamplingSession:
    """One portrait that says one recording, window by window: `window()`, sample it, `accept`. Of a face that looks at
    the camera each window is sampled twice (`passes`), the second time with what `look` says: where the camera is
    depends on the head, so the head is made first, and then the rest around it and the gaze that it asks for, from the
    same noise."""

    def __init__(
        self,
        generator: MotionGenerator,
        portrait_code: np.ndarray,
        hearing: AudioFeatureStream,
        controls: Controls,
        options: Options,
        sizes: windows.Sizes,
    ) -> None:
        self._space, self._layout = generator.space, generator.layout
        self._gaze = self._layout.calibrated[[CALIBRATED_NAMES.index(name) for name in GAZE_NAMES[:2]]]
        self._portrait_code, self._hearing, self._controls, self._sizes = portrait_code, hearing, controls, sizes
        self._source = self._space.to_whitened(portrait_code)
        self._spans, self._emotions = (np.array(x) for x in zip(*options.emotions, strict=True))
        self._windows = windows.WindowIterator(self._timeline_at, sizes, rng.stream(options.seed, "sample"))
        self.passes = 2 if controls.camera else 1

    def window(self) -> tuple[jax.Array, Condition] | None:
        """A key and the condition of the next window, a batch of one; None when it is over. Waits for the sound."""
        return self._windows.window()

    def push(self, made: np.ndarray) -> np.ndarray:
        """The window's whitened codes [L, K] -> raw codes [n, K] float32 to decode."""
        start, kept = self._windows.push(made)
        # The context of the next window is what was generated, before gains.
        given = resolve(self._controls, self._portrait_code, len(kept), self._layout, start)
        codes = given.finish(self._space.from_whitened(kept), self._portrait_code)
        return self._look_at_camera(codes, given.mask) if self._controls.camera else codes

    def _timeline_at(self, start: int) -> windows.Timeline | None:
        sizes = self._sizes
        end = self._hearing.wait_for(start + sizes.length + sizes.lookahead)
        if end <= start:
            return None
        # The frame before the context says whether something given there begins or goes on.
        first = max(start - sizes.context - 1, 0)
        count = start + sizes.ahead - first
        given = resolve(self._controls, self._portrait_code, count, self._layout, first)
        # Calibrated coordinates are whitened one by one and factors block by block, so what is not given (set to the
        # mean, 0 when whitened) does not leak into what is.
        filled = np.where(given.mask, given.values, self._space.mean)
        whitened = self._space.to_whitened(filled)
        return windows.Timeline(
            first=first,
            audio=self._hearing.features(first, end),
            source=self._source,
            emotion=self._emotions[np.searchsorted(self._spans, first + np.arange(count), side="right") - 1],
            given=np.where(given.mask, whitened, 0).astype(np.float32),
            given_mask=given.mask,
            keyframes=given.keyframes,
            factor_index=self._layout.factor_index,
        )

    def condition_on_head(self, condition: Condition, made: jax.Array) -> Condition:
        """The condition of a window (a batch of one) with the head as it was made, [1, L, K] whitened, given; and with
        it the gaze at the camera, of the head as gains will show it."""
        values, mask, pose = (
            np.array(condition.given)[0],
            np.array(condition.given_mask)[0],
            self._layout.slices["pose"],
        )
        raw = self._space.from_whitened(np.asarray(made))[0]
        portrait, gain = self._portrait_code, resolve(self._controls, self._portrait_code, 1, self._layout).gain
        shown = np.where(mask, raw, portrait + gain * (raw - portrait))
        looking = self._look_at_camera(shown, mask)
        values[:, pose] = np.where(mask[:, pose], values[:, pose], np.asarray(made)[0, :, pose])
        wanted = self._space.to_whitened(looking)[:, self._gaze]
        values[:, self._gaze] = np.where(mask[:, self._gaze], values[:, self._gaze], wanted)
        mask[:, pose] = mask[:, self._gaze] = True
        mask &= np.asarray(condition.valid)[0, :, None]
        return dataclasses.replace(condition, given=np.where(mask, values, 0)[None], given_mask=mask[None])

    def _look_at_camera(self, codes: np.ndarray, given: np.ndarray) -> np.ndarray:
        """Raw codes [n, K] whose eyes look at the camera, except where a gaze is given (bool [n, K])."""
        wanted = gaze_at_camera(codes[:, self._layout.slices["pose"]][:, :6] * POSE_SCALE) / GAZE_SCALE[:2]
        out = np.array(codes, np.float32)
        out[:, self._gaze] = np.where(given[:, self._gaze], codes[:, self._gaze], wanted)
        return out
