"""Motion codes from speech, window by window: the flow generates them around the values that controls give."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Key, PyTree

from demo_jax import rng
from demo_jax.audio.registry import AudioFeatures
from demo_jax.audio.stream import AudioFeatureStream
from demo_jax.codes import CodeSpace
from demo_jax.config import FlowTransformerConfig
from demo_jax.constants import SAMPLES_PER_FRAME
from demo_jax.factors import CALIBRATED_NAMES, GAZE_NAMES, GAZE_SCALE, POSE_SCALE, FactorLayout
from demo_jax.flow import guidance
from demo_jax.flow.condition import Condition
from demo_jax.models.flow_transformer import FlowTransformer
from demo_jax.sampling import windows
from demo_jax.sampling.controls import Controls, gaze_at_camera, resolve
from demo_jax.sampling.manner import SQUARE, AppliedManner, Manner
from demo_jax.sampling.options import Options
from demo_jax.sampling.sampler import sample_window

STREAM_HOP = 10  # frames of a stream generated at once; frame i waits for the audio up to frame i + this + lookahead


class MotionGenerator:
    """A flow transformer, the space of its codes, and the audio features that condition it.

    `whole` and `streamed` are the window sizes for a known recording and for one that is still arriving.
    """

    def __init__(
        self,
        config: FlowTransformerConfig,
        space: CodeSpace,
        layout: FactorLayout,
        features: AudioFeatures,
    ) -> None:
        self.space, self.layout, self.features = jax.device_get(space), layout, features
        c, length, ahead = config.context, config.window, config.look_ahead
        self.whole = windows.Sizes(context=c, length=length, lookahead=ahead, hop=length, ahead=2 * length)
        # A streamed window is the hop plus the lookahead, less the features' own lookahead. Frames after the hop are
        # generated and discarded: for the network the clip ends where the audio does, as clips do in training.
        hop, more = min(STREAM_HOP, length), max(ahead - -(-features.lookahead // SAMPLES_PER_FRAME), 0)
        self.streamed = windows.Sizes(context=c, length=hop + more, lookahead=0, hop=hop, ahead=2 * length)
        transformer = FlowTransformer(config, layout)

        def sample(
            params: PyTree,
            keys: Key[Array, " B"],
            condition: Condition,
            scales: dict[str, Float[Array, "*_"]],
            steps: int,
            solver: str,
        ) -> Float32[Array, "B L K"]:
            def velocity(x: Float[Array, "B L K"], t: Float[Array, " B"], cond: Condition) -> Float[Array, "B L K"]:
                return transformer.apply({"params": params}, x, t, cond)

            scales = scales | {"audio": guidance.audio_scale(scales["audio"], layout)}
            return sample_window(velocity, keys, condition, steps=steps, scales=scales, solver=solver)

        self.sample = jax.jit(sample, static_argnames=("steps", "solver"))

    def sampled(
        self, params: PyTree, session: SamplingSession, options: Options
    ) -> Iterator[Float32[np.ndarray, "n K"]]:
        """Samples a session alone: yields the raw codes to decode, n = sizes.hop except for the last window."""
        scales = {name: np.float32(scale) for name, scale in options.scales.items()}
        while (window := session.window()) is not None:
            key, condition = window
            for _ in range(session.passes - 1):
                codes = self.sample(params, key[None], condition, scales, options.steps, options.solver)
                condition = session.condition_on_head(condition, codes)
            codes = self.sample(params, key[None], condition, scales, options.steps, options.solver)
            yield session.push(np.asarray(codes)[0])

    def start(
        self,
        portrait_code: Float[np.ndarray, " K"],
        chunks: Iterable[np.ndarray],
        controls: Controls,
        options: Options,
        sizes: windows.Sizes,
        manner: Manner = SQUARE,
    ) -> SamplingSession:
        """Starts a session.

        Args:
          portrait_code: the portrait's own code, raw.
          chunks: the recording, int16 [n] each, pulled as needed.
          controls: of the motion.
          options: of the sampler.
          sizes: of the windows, `whole` or `streamed`.
          manner: what is changed of generated motion.
        """
        audio = AudioFeatureStream(chunks, self.features)
        return SamplingSession(self, portrait_code, audio, controls, options, sizes, manner)


class SamplingSession:
    """The motion of one portrait for one recording, window by window: call `window()`, sample it, and `push` the codes.

    When the eyes follow the camera, each window is sampled twice (`passes`) from the same noise. The gaze depends on
    the head, so the head is sampled first; `condition_on_head` then gives that head and the gaze at the camera to the
    second pass, which generates the rest.
    """

    def __init__(
        self,
        generator: MotionGenerator,
        portrait_code: Float[np.ndarray, " K"],
        audio: AudioFeatureStream,
        controls: Controls,
        options: Options,
        sizes: windows.Sizes,
        manner: Manner,
    ) -> None:
        self._space, self._layout = generator.space, generator.layout
        self._gaze = self._layout.calibrated[[CALIBRATED_NAMES.index(name) for name in GAZE_NAMES[:2]]]
        self._portrait_code, self._audio, self._controls, self._sizes = portrait_code, audio, controls, sizes
        self._source = self._space.to_whitened(portrait_code)
        self._spans, self._emotions = (np.array(x) for x in zip(*options.emotions, strict=True))
        self._windows = windows.WindowIterator(self._timeline_at, sizes, rng.stream(options.seed, "sample"))
        self.passes = 2 if controls.camera else 1
        begin = resolve(controls, portrait_code, manner.settling, self._layout)
        self._manner = AppliedManner(manner, portrait_code, self._layout, begin.mask)

    def window(self) -> tuple[Key[Array, ""], Condition] | None:
        """Returns a key and the condition of the next window, a batch of one; None at the end. Waits for the audio."""
        return self._windows.window()

    def push(self, codes: Float32[np.ndarray, "L K"]) -> Float32[np.ndarray, "n K"]:
        """Takes the window's whitened codes; returns the raw codes to decode."""
        start, kept = self._windows.push(codes)
        # The context of the next window is the generated motion, before gains.
        given = resolve(self._controls, self._portrait_code, len(kept), self._layout, start)
        generated = self._manner(self._space.from_whitened(kept), start)
        raw = given.finish(generated, self._portrait_code)
        return self._look_at_camera(raw, given.mask) if self._controls.camera else raw

    def _timeline_at(self, start: int) -> windows.Timeline | None:
        sizes = self._sizes
        end = self._audio.wait_for(start + sizes.length + sizes.lookahead)
        if end <= start:
            return None
        # Whether a given stretch begins or continues at the first frame depends on the frame before the context.
        first = max(start - sizes.context - 1, 0)
        count = start + sizes.ahead - first
        given = resolve(self._controls, self._portrait_code, count, self._layout, first)
        # Calibrated coordinates are whitened one by one and factors block by block, so entries that are not given (set
        # to the mean, 0 when whitened) do not leak into given ones.
        filled = np.where(given.mask, given.values, self._space.mean)
        whitened = self._space.to_whitened(filled)
        return windows.Timeline(
            first=first,
            audio=self._audio.features(first, end),
            source=self._source,
            emotion=self._emotions[np.searchsorted(self._spans, first + np.arange(count), side="right") - 1],
            given=np.where(given.mask, whitened, 0).astype(np.float32),
            given_mask=given.mask,
            keyframes=given.keyframes,
            factor_index=self._layout.factor_index,
        )

    def condition_on_head(self, condition: Condition, codes: Float32[Array | np.ndarray, "1 L K"]) -> Condition:
        """Returns the window's condition (a batch of one) with the pose of the sampled whitened `codes` given, and with
        the gaze at the camera, computed for the head after gains, given too."""
        values, mask, pose = (
            np.array(condition.given)[0],
            np.array(condition.given_mask)[0],
            self._layout.slices["pose"],
        )
        raw = self._space.from_whitened(np.asarray(codes))[0]
        portrait, gain = self._portrait_code, resolve(self._controls, self._portrait_code, 1, self._layout).gain
        final = np.where(mask, raw, portrait + gain * (raw - portrait))
        values[:, pose] = np.where(mask[:, pose], values[:, pose], np.asarray(codes)[0, :, pose])
        gaze = self._space.to_whitened(self._look_at_camera(final, mask))[:, self._gaze]
        values[:, self._gaze] = np.where(mask[:, self._gaze], values[:, self._gaze], gaze)
        mask[:, pose] = mask[:, self._gaze] = True
        mask &= np.asarray(condition.valid)[0, :, None]
        return dataclasses.replace(condition, given=np.where(mask, values, 0)[None], given_mask=mask[None])

    def _look_at_camera(
        self, codes: Float[np.ndarray, "n K"], given: Bool[np.ndarray, "n K"]
    ) -> Float32[np.ndarray, "n K"]:
        """Raw codes with the eyes turned to the camera, except where a gaze is given."""
        target = gaze_at_camera(codes[:, self._layout.slices["pose"]][:, :6] * POSE_SCALE) / GAZE_SCALE[:2]
        out = np.array(codes, np.float32)
        out[:, self._gaze] = np.where(given[:, self._gaze], codes[:, self._gaze], target)
        return out
