"""The Python API: portrait + speech (+ controls) -> talking video and motion track.

    from demo_jax.sampling import pipeline
    from demo_jax.sampling.controls import Controls

    demo = pipeline.load()                                   # the bundled puppet model; or load("runs/my_flow")
    demo.generate("portrait.png", "speech.wav", "out.mp4", controls=Controls.parse(hold="pose", set="gaze_yaw=+10"))

    portrait, speech = demo.read_portrait("portrait.png"), demo.read_speech("speech.wav")
    for image, code in demo.frames(portrait, speech):        # as they are made, for a window or a stream of your own
        ...

Frames are made window by window and decoded in batches of a fixed size, so three compiled programs serve any length of
speech, and memory does not grow with it but for some hundred numbers a frame.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines import media
from data_pipelines.extraction.audio import extractor
from demo_jax import rng
from demo_jax.checkpoint import BUNDLED, LoadedModel, load_model
from demo_jax.factors import ARKIT_NAMES, CALIBRATED_NAMES, CALIBRATED_SCALE, EMOTIONS
from demo_jax.flow import ode
from demo_jax.flow.condition import Condition
from demo_jax.models.autoencoder import AutoEncoder, to_float, to_uint8
from demo_jax.models.flow_transformer import FlowTransformer
from demo_jax.sampling import portraits, windows
from demo_jax.sampling.controls import FREE, Controls, GivenMotion, resolve
from demo_jax.sampling.sampler import sample_window
from demo_jax.sampling.track import MotionTrack, write_track
from demo_jax.typing import SAMPLES_PER_FRAME, InputError, PyTree

DECODE_BATCH = 10  # frames decoded at once
READOUT_MIN_R2 = 0.5  # a blendshape that codes explain less well than this is left free in the track
MAX_STEPS, MAX_SCALE = 1000, 20.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How to sample; the defaults are the command's. Raises InputError for impossible numbers."""

    seed: int = 0
    steps: int = 10  # solver steps
    solver: str = "euler"  # of ode.SOLVERS
    audio_scale: float = 2.0  # guidance; 1 = as trained, more = lips follow the speech harder
    emotion_scale: float = 1.0
    emotion: str = ""  # of factors.EMOTIONS; "" leaves it to the model

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed {self.seed}: it must lie between 0 and {2**32 - 1}.")
        if not 1 <= self.steps <= MAX_STEPS:
            raise InputError(f"steps {self.steps}: it must lie between 1 and {MAX_STEPS}; 5 to 20 are usual.")
        if self.solver not in ode.SOLVERS:
            raise InputError(f"solver {self.solver!r}: choose one of {', '.join(ode.SOLVERS)}.")
        for name, scale in (("audio scale", self.audio_scale), ("emotion scale", self.emotion_scale)):
            if not (math.isfinite(scale) and 0 <= scale <= MAX_SCALE):
                raise InputError(
                    f"{name} {scale:g}: it must lie between 0 (ignored) and {MAX_SCALE:g}; 1 to 3 are usual."
                )
        if self.emotion not in EMOTIONS:
            raise InputError(f"emotion {self.emotion!r}: choose one of {', '.join(EMOTIONS[1:])}.")

    @property
    def evaluations(self) -> int:
        """Network evaluations per window; the branches of guidance count as one."""
        return ode.evaluations(self.steps, self.solver)


DEFAULTS = Options()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What `generate` made. `seconds` is the wall time of sampling, decoding and encoding, with compilation."""

    video: Path
    tracks: tuple[Path, Path]
    frames: int
    windows: int
    evaluations: int
    seconds: float


class Pipeline:
    """A loaded model with its compiled programs. Programs are compiled on first use and kept."""

    def __init__(self, model: LoadedModel) -> None:
        if model.flow is None or model.space is None:
            raise InputError(f"{model.path} is an auto-encoder; sampling needs a stage-2 (flow) checkpoint.")
        self.model = model
        self.layout = model.autoencoder.model.layout
        self.size = model.autoencoder.model.size
        self._flow, self._space = model.flow.model, model.space
        self._features = extractor(model.flow.data.feature)
        autoencoder, transformer = AutoEncoder(model.autoencoder.model), FlowTransformer(self._flow)

        def encode(params: PyTree, image: jax.Array) -> tuple[PyTree, jax.Array]:
            pixels = to_float(image)[None]
            variables = {"params": params}
            pyramid = autoencoder.apply(variables, pixels, method=AutoEncoder.encode_source)
            return pyramid, autoencoder.apply(variables, pixels, method=AutoEncoder.encode_motion)[0]

        def decode(params: PyTree, pyramid: PyTree, source_code: jax.Array, codes: jax.Array) -> jax.Array:
            rows = len(codes)
            pyramid = jax.tree.map(lambda a: jnp.broadcast_to(a, (rows, *a.shape[1:])), pyramid)
            source = jnp.broadcast_to(source_code[None], codes.shape)
            images = autoencoder.apply({"params": params}, pyramid, source, codes, method=AutoEncoder.decode)
            return to_uint8(images)

        def sample(
            params: PyTree, keys: jax.Array, condition: Condition, scales: dict[str, jax.Array], steps: int, solver: str
        ) -> jax.Array:
            def velocity(x: jax.Array, t: jax.Array, cond: Condition) -> jax.Array:
                return transformer.apply({"params": params}, x, t, cond)

            return sample_window(velocity, keys, condition, steps=steps, scales=scales, solver=solver)

        self._encode = jax.jit(encode)
        self._decode = jax.jit(decode)
        self._sample = jax.jit(sample, static_argnames=("steps", "solver"))

    def read_portrait(
        self,
        path: str | os.PathLike,
        *,
        cropped: bool = False,
        face_model: str | os.PathLike | None = None,
        warn: Callable[[str], None] = warnings.warn,
    ) -> np.ndarray:
        """A picture file -> the square crop around the face, uint8 RGB [S, S, 3] at the model's size.

        `cropped` says that the picture is such a square already, as does a sidecar beside it: portrait.json with
        {"cropped": true}, or {"crop": [left, top, side]} in pixels. Otherwise the face is searched for, which needs the
        `prepare` extra. Calls `warn` if a photograph goes to a puppet model or shows several faces. Raises InputError.
        """
        image, sidecar = media.read_image(path), portraits.read_sidecar(Path(path))
        if self.model.meta.get("corpus") == "puppet" and sidecar.get("corpus") != "puppet":
            warn(
                f"{path} is not a puppet, and this model has only ever seen puppets: expect a poor likeness. Train on "
                "real video for photographs (README, Real video)."
            )
        if "crop" in sidecar:
            return portraits.resize(portraits.cut_square(path, image, sidecar["crop"]), self.size)
        if cropped or sidecar.get("cropped"):
            height, width = image.shape[:2]
            if height != width:
                raise InputError(f"{path} is {width} x {height}; a cropped portrait must be square.")
            return portraits.resize(image, self.size)
        from data_pipelines.extraction.portrait import find_portrait  # the prepare extra

        found = find_portrait(image, self.size, face_model)
        for text in found.warnings:
            warn(text)
        return found.image

    def read_speech(self, path: str | os.PathLike) -> np.ndarray:
        """A sound or video file -> mono 16 kHz int16, lengthened with silence to whole video frames: [T * 640]."""
        waveform = media.read_audio(path)
        return np.pad(waveform, (0, -len(waveform) % SAMPLES_PER_FRAME))

    def portrait_code(self, portrait: np.ndarray) -> np.ndarray:
        """The raw motion code [K] float32 of a portrait uint8 [S, S, 3], as `motion` takes it."""
        return np.asarray(self._encode(self.model.autoencoder_params, jnp.asarray(portrait))[1])

    def frames(
        self,
        portrait: np.ndarray,
        speech: np.ndarray,
        controls: Controls = FREE,
        options: Options = DEFAULTS,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The frames of the video in order: (uint8 RGB [S, S, 3], raw motion code [K] float32).

        portrait uint8 [S, S, 3], speech int16 [T * 640], as read_portrait and read_speech give them; anything else
        raises InputError.
        """
        if portrait.shape != (self.size, self.size, 3) or portrait.dtype != np.uint8:
            raise InputError(f"portrait is {portrait.dtype}{portrait.shape}, not uint8 [{self.size}, {self.size}, 3].")
        params = self.model.autoencoder_params
        pyramid, source_code = self._encode(params, jnp.asarray(portrait))
        for codes in self.motion(np.asarray(source_code), speech, controls, options):
            for start in range(0, len(codes), DECODE_BATCH):
                batch = codes[start : start + DECODE_BATCH]
                padded = np.pad(batch, ((0, DECODE_BATCH - len(batch)), (0, 0)), mode="edge")
                images = np.asarray(self._decode(params, pyramid, source_code, jnp.asarray(padded)))
                yield from zip(images[: len(batch)], batch, strict=True)

    def motion(
        self,
        portrait_code: np.ndarray,
        speech: np.ndarray,
        controls: Controls = FREE,
        options: Options = DEFAULTS,
    ) -> Iterator[np.ndarray]:
        """Raw motion codes [n, K] float32 to decode, window by window. portrait_code [K] is the portrait's own."""
        audio = self._features(speech).astype(np.float32)
        given = resolve(controls, portrait_code, len(audio), self.layout)
        timeline = self._timeline(audio, portrait_code, given, options.emotion)
        # Emotion is guided only when one is asked for: without, its branch would equal the unguided one.
        scales = {"audio": jnp.float32(options.audio_scale)}
        if options.emotion:
            scales["emotion"] = jnp.float32(options.emotion_scale)

        def sample(keys: jax.Array, condition: Condition) -> jax.Array:
            return self._sample(self.model.flow_params, keys, condition, scales, options.steps, options.solver)

        for start, whitened in windows.generate(timeline, sample, rng.stream(options.seed, "sample")):
            codes = np.asarray(self._space.from_whitened(jnp.asarray(whitened)))
            # The context of the next window is what was generated, before gains.
            yield given.finish(codes, portrait_code, start)

    def generate(
        self,
        portrait: str | os.PathLike,
        audio: str | os.PathLike,
        out: str | os.PathLike,
        *,
        controls: Controls = FREE,
        options: Options = DEFAULTS,
        cropped: bool = False,
        face_model: str | os.PathLike | None = None,
        progress: bool = False,
        warn: Callable[[str], None] = warnings.warn,
    ) -> Result:
        """Makes the video `out` (.mp4), and beside it <name>_track.npz and .csv. Nothing is left if it fails.

        Raises InputError for anything unusable: portrait, audio, output folder, controls.
        """
        video, *tracks = output_paths(out)
        for path in (portrait, audio):
            if Path(path).resolve() == video.resolve():
                raise InputError(f"output {out} is also an input; give another name.")
        speech = self.read_speech(audio)
        image = self.read_portrait(portrait, cropped=cropped, face_model=face_model, warn=warn)
        count = len(speech) // SAMPLES_PER_FRAME
        begin, codes = time.monotonic(), []
        made = self.frames(image, speech, controls, options)
        first = next(made)  # so that a control that cannot be met is refused before a file is opened
        written: list[Path] = []
        try:
            with (
                media.VideoWriter(
                    video, (self.size, self.size), waveform=speech, metadata=self._metadata(options)
                ) as writer,
                _progress_bar(count, progress) as bar,
            ):
                for picture, code in _chain(first, made):
                    writer.write(picture)
                    codes.append(code)
                    bar.update()
                track = self.track(np.stack(codes))
                for path in tracks:
                    written.append(write_track(path, track))
        except BaseException:
            for path in written:
                path.unlink(missing_ok=True)
            raise
        windows_made = math.ceil(count / self._flow.window)
        return Result(
            video=video,
            tracks=(tracks[0], tracks[1]),
            frames=count,
            windows=windows_made,
            evaluations=windows_made * options.evaluations,
            seconds=time.monotonic() - begin,
        )

    def track(self, codes: np.ndarray) -> MotionTrack:
        """Raw codes [T, K] -> a motion track in the record's units; blendshapes through the linear readout, NaN where
        the readout explains less than half of the variance."""
        calibrated = codes[:, self.layout.calibrated] * CALIBRATED_SCALE
        r2 = np.nan_to_num(np.asarray(self._space.readout_r2), nan=-np.inf)
        expression = np.where(r2 >= READOUT_MIN_R2, np.asarray(self._space.expression(jnp.asarray(codes))), np.nan)
        columns = dict(zip(CALIBRATED_NAMES, calibrated.T, strict=True)) | dict(
            zip(ARKIT_NAMES, expression.T, strict=True)
        )
        return MotionTrack(columns=columns, codes=codes, fingerprint=self._fingerprint)

    @property
    def _fingerprint(self) -> str:
        return str(self.model.meta.get("encoder_fingerprint", ""))

    def _timeline(
        self, audio: np.ndarray, portrait_code: np.ndarray, given: GivenMotion, emotion: str
    ) -> windows.Timeline:
        space = self._space
        # Calibrated coordinates are whitened one by one and factors block by block, so what is not given (set to the
        # mean, 0 when whitened) does not leak into what is.
        filled = np.where(given.mask, given.values, np.asarray(space.mean))
        whitened = np.asarray(space.to_whitened(jnp.asarray(filled)))
        return windows.Timeline(
            audio=audio,
            source=np.asarray(space.to_whitened(jnp.asarray(portrait_code))),
            given=np.where(given.mask, whitened, 0).astype(np.float32),
            given_mask=given.mask,
            factor_index=self.layout.factor_index,
            context=self._flow.context,
            length=self._flow.window,
            lookahead=self._flow.look_ahead,
            emotion=EMOTIONS.index(emotion),
        )

    def _metadata(self, options: Options) -> dict[str, str]:
        name = Path(self.model.path).name
        label = f"{media.SYNTHETIC} Checkpoint: {name} {self._fingerprint}".rstrip() + f"; seed {options.seed}."
        return {"comment": label, "description": label}


def output_paths(out: str | os.PathLike) -> tuple[Path, Path, Path]:
    """The files that `generate` makes for the video `out`: video, track npz, track csv. Raises InputError if one of
    them cannot be made."""
    video = media.check_output(out)
    npz, csv = (video.with_name(f"{video.stem}_track{suffix}") for suffix in (".npz", ".csv"))
    return video, media.check_output(npz, (".npz",)), media.check_output(csv, (".csv",))


def load(checkpoint: str | os.PathLike | None = None) -> Pipeline:
    """The model in folder `checkpoint` (a work directory of train.py, or a published model), or the bundled puppet
    model. Raises InputError if it is no checkpoint, of the other stage, or of another schema."""
    return Pipeline(load_model(BUNDLED if checkpoint is None else checkpoint))


def _chain(first: tuple[np.ndarray, np.ndarray], rest: Iterator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    yield first
    yield from rest


@contextlib.contextmanager
def _progress_bar(total: int, shown: bool) -> Iterator[Any]:
    from tqdm import tqdm

    with tqdm(total=total, unit="frame", disable=not shown) as bar:
        yield bar
