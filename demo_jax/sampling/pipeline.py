"""The Python API: portrait + speech (+ controls) -> talking video and motion track.

    from demo_jax.sampling import pipeline
    from demo_jax.sampling.controls import Controls

    demo = pipeline.load()                                   # the bundled puppet model; or load("runs/my_flow")
    demo.generate("portrait.png", "speech.wav", "out.mp4", controls=Controls.parse(hold="pose", set="gaze_yaw=+10"))

    portrait, speech = demo.read_portrait("portrait.png"), demo.read_speech("speech.wav")
    for image, code in demo.frames(portrait, speech):        # as they are made
        ...
    for image, code in demo.stream(portrait, microphone):    # pieces of int16 sound as they arrive
        ...

Frames are made window by window and decoded in batches of a fixed size, so three compiled programs serve any length of
speech, and memory does not grow with it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from demo_jax.audio.registry import extractor
from demo_jax.checkpoint.load import BUNDLED, LoadedModel, load_model
from demo_jax.constants import FPS, SAMPLES_PER_FRAME
from demo_jax.errors import InputError
from demo_jax.faces.driving import fill_gaps
from demo_jax.factors import ARKIT_NAMES, CALIBRATED_NAMES, CALIBRATED_SCALE
from demo_jax.media import audio as audio_files
from demo_jax.media.files import check_output
from demo_jax.media.video_writer import SYNTHETIC, VideoWriter, check_video_output
from demo_jax.models.autoencoder import AutoEncoder, to_float, to_uint8
from demo_jax.sampling import inputs
from demo_jax.sampling.controls import FREE, Controls, Drive
from demo_jax.sampling.options import DEFAULTS, Options
from demo_jax.sampling.session import MotionGenerator, SamplingSession
from demo_jax.sampling.tracks import MotionTrack, read_codes, write_track

DECODE_BATCH = 10  # frames decoded at once
MAX_SILENCE = 24 * 3600  # seconds
READOUT_MIN_R2 = 0.5  # a blendshape that codes explain less well than this is left free in the track


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
        self._flow, self._space = model.flow.model, jax.device_get(model.space)
        features = extractor(model.flow.data.feature)
        learned = model.meta.get("feature_version")  # None of codes that did not say
        if learned is not None and learned != features.version:
            raise InputError(
                f"{model.path} learned to hear by version {learned} of the audio features {features.name}; this is "
                f"version {features.version}. Train it on with codes that hold those: "
                f"--config.start_from={model.path}, and see python -m data_pipelines.add_features --help."
            )
        self._features_version = features.version
        self._motion = MotionGenerator(self._flow, self._space, self.layout, features)
        autoencoder = AutoEncoder(model.autoencoder.model)

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

        self._encode = jax.jit(encode)
        self.decode = decode  # pure; params, pyramid [1, ..], source_code [K], codes [n, K] -> uint8 [n, S, S, 3]
        self._decode = jax.jit(decode)
        self._read_motion = jax.jit(
            lambda params, images: autoencoder.apply(
                {"params": params}, to_float(images), method=AutoEncoder.encode_motion
            )
        )

    def read_portrait(
        self,
        path: str | os.PathLike,
        *,
        cropped: bool = False,
        face_model: str | os.PathLike | None = None,
        warn: Callable[[str], None] = warnings.warn,
    ) -> np.ndarray:
        """inputs.read_portrait for this model."""
        corpus = str(self.model.meta.get("corpus", ""))
        return inputs.read_portrait(path, self.size, corpus, cropped=cropped, face_model=face_model, warn=warn)

    def read_speech(self, path: str | os.PathLike, *, warn: Callable[[str], None] = warnings.warn) -> np.ndarray:
        """A sound or video file -> mono 16 kHz int16, lengthened with silence to whole video frames: [T * 640].
        `warn` is called if it has several tracks, or is digital silence. Raises InputError."""
        return audio_files.read_recording(path, warn).speech

    def read_drive(
        self,
        words: Sequence[str],
        *,
        face_model: str | os.PathLike | None = None,
        warn: Callable[[str], None] = warnings.warn,
    ) -> dict[str, Drive]:
        """["lip=a.mp4", "+pose=b_track.npz"] -> what Controls takes as `drive`: factor -> motion. A leading + counts
        from the file's first frame and adds to the portrait's own. Raises InputError."""
        drives: dict[str, Drive] = {}
        motions: dict[str, np.ndarray] = {}
        for word in words:
            name, equals, path = word.partition("=")
            factor = name.strip().removeprefix("+")
            if not (equals and path):
                raise InputError(f"drive {word!r} is not FACTOR=FILE, as in lip=talk.mp4.")
            if factor in drives:
                raise InputError(f"drive: {factor} is given twice.")
            if path not in motions:
                motions[path] = self.read_motion(path, face_model=face_model, warn=warn)
            drives[factor] = Drive(codes=motions[path], relative=name.strip().startswith("+"))
        return drives

    def read_motion(
        self,
        path: str | os.PathLike,
        *,
        face_model: str | os.PathLike | None = None,
        warn: Callable[[str], None] = warnings.warn,
    ) -> np.ndarray:
        """The raw motion codes [T, K] of a driving video, read by this model's motion encoder; or those in a track
        (npz) that this model wrote.

        One square around the face is cut out of all frames, which needs the `prepare` extra; a sidecar beside the video
        that says {"cropped": true} leaves a square video as it is. Where no face is found, short gaps are interpolated
        and longer ones NaN; `warn` says so. Raises InputError.
        """
        if Path(path).suffix.lower() == ".npz":
            codes = read_codes(path, self.fingerprint)
            if codes.shape[1] != self.layout.size:
                raise InputError(f"{path} has codes of {codes.shape[1]} numbers; this model's have {self.layout.size}.")
            return codes
        frames = inputs.driving_frames(path, self.size, face_model=face_model, warn=warn)
        read, found = [], []
        while rows := list(itertools.islice(frames, DECODE_BATCH)):
            batch = [image for image, _ in rows]
            found += [seen for _, seen in rows]
            images = np.stack(batch + [batch[-1]] * (DECODE_BATCH - len(batch)))
            read.append(np.asarray(self._read_motion(self.model.autoencoder_params, images))[: len(batch)])
        return fill_gaps(np.concatenate(read), np.array(found))

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
        pyramid, code = self.encode_source(portrait)
        return self._draw(pyramid, code, self.motion(np.asarray(code), speech, controls, options))

    def stream(
        self,
        portrait: np.ndarray,
        chunks: Iterable[np.ndarray],
        controls: Controls = FREE,
        options: Options = DEFAULTS,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The same while the sound is still arriving: `chunks` are its pieces, int16 [n] of any length, and are pulled
        one by one. Frames come STREAM_HOP at a time, as soon as the sound of these and of the look-ahead is there."""
        pyramid, code = self.encode_source(portrait)
        return self._draw(pyramid, code, self.motion_stream(np.asarray(code), chunks, controls, options))

    def encode_source(self, portrait: np.ndarray) -> tuple[PyTree, jax.Array]:
        """The portrait's feature pyramid and raw code [K]."""
        if portrait.shape != (self.size, self.size, 3) or portrait.dtype != np.uint8:
            raise InputError(f"portrait is {portrait.dtype}{portrait.shape}, not uint8 [{self.size}, {self.size}, 3].")
        return self._encode(self.model.autoencoder_params, portrait)

    def _draw(
        self, pyramid: PyTree, source_code: jax.Array, motion: Iterator[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for codes in motion:
            for start in range(0, len(codes), DECODE_BATCH):
                batch = codes[start : start + DECODE_BATCH]
                padded = np.pad(batch, ((0, DECODE_BATCH - len(batch)), (0, 0)), mode="edge")
                images = self._decode(self.model.autoencoder_params, pyramid, source_code, padded)
                yield from zip(np.asarray(images)[: len(batch)], batch, strict=True)

    def motion(
        self,
        portrait_code: np.ndarray,
        speech: np.ndarray,
        controls: Controls = FREE,
        options: Options = DEFAULTS,
    ) -> Iterator[np.ndarray]:
        """Raw motion codes [n, K] float32 to decode, window by window. portrait_code [K] is the portrait's own, raw."""
        if not len(speech):
            raise InputError("the audio is empty (0 samples); silence(seconds) makes some in which nobody speaks.")
        controls.check_length(len(speech) // SAMPLES_PER_FRAME)
        return self._motion(self.model.flow_params, portrait_code, [speech], controls, options, self._motion.whole)

    def motion_stream(
        self,
        portrait_code: np.ndarray,
        chunks: Iterable[np.ndarray],
        controls: Controls = FREE,
        options: Options = DEFAULTS,
    ) -> Iterator[np.ndarray]:
        """The same from pieces of sound as they arrive, STREAM_HOP frames at a time."""
        return self._motion(self.model.flow_params, portrait_code, chunks, controls, options, self._motion.streamed)

    def generate(
        self,
        portrait: str | os.PathLike,
        audio: str | os.PathLike | np.ndarray,
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

        `audio` may be the speech itself, int16 [T * 640], such as `silence(10)`. The sound of a file is in the video as
        it was recorded, up to 48 kHz stereo.

        Raises InputError for anything unusable: portrait, audio, output folder, controls.
        """
        video, *tracks = output_paths(out)
        refuse_overwriting((video, *tracks), [p for p in (portrait, audio) if not isinstance(p, np.ndarray)])
        sound = audio if isinstance(audio, np.ndarray) else audio_files.read_recording(audio, warn)
        speech = sound if isinstance(sound, np.ndarray) else sound.speech
        image = self.read_portrait(portrait, cropped=cropped, face_model=face_model, warn=warn)
        count = len(speech) // SAMPLES_PER_FRAME
        begin, codes = time.monotonic(), []
        made = self.frames(image, speech, controls, options)
        first = next(made)  # so that a control that cannot be met is refused before a file is opened
        written: list[Path] = []
        try:
            with (
                VideoWriter(video, (self.size, self.size), waveform=sound, metadata=self.metadata(options)) as writer,
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
            evaluations=windows_made * options.evaluations * (2 if controls.camera else 1),
            seconds=time.monotonic() - begin,
        )

    def track(self, codes: np.ndarray) -> MotionTrack:
        """Raw codes [T, K] -> a motion track in the record's units; blendshapes through the linear readout, NaN where
        the readout explains less than half of the variance."""
        calibrated = codes[:, self.layout.calibrated] * CALIBRATED_SCALE
        r2 = np.nan_to_num(self._space.readout_r2, nan=-np.inf)
        expression = np.where(r2 >= READOUT_MIN_R2, self._space.expression(codes), np.nan)
        columns = dict(zip(CALIBRATED_NAMES, calibrated.T, strict=True)) | dict(
            zip(ARKIT_NAMES, expression.T, strict=True)
        )
        return MotionTrack(columns=columns, codes=codes, fingerprint=self.fingerprint)

    def start(
        self, portrait_code: np.ndarray, speech: np.ndarray, controls: Controls, options: Options
    ) -> SamplingSession:
        """The same for whoever samples the windows himself, with `sample`: many performances in one batch."""
        return self._motion.start(portrait_code, [speech], controls, options, self._motion.whole)

    @property
    def sample(self) -> Callable[..., jax.Array]:
        """MotionGenerator.sample: (flow parameters, keys [B], condition, scales, steps, solver) -> whitened codes."""
        return self._motion.sample

    @property
    def fingerprint(self) -> str:
        """Of the motion encoder: what codes mean."""
        return str(self.model.meta.get("encoder_fingerprint", ""))

    @property
    def model_fingerprint(self) -> str:
        """Of all that makes a video: with another one videos differ, also where `fingerprint` is the same."""
        return self.model.fingerprint(self._features_version)

    def metadata(self, options: Options) -> dict[str, str]:
        """What a video says of itself: that it is synthetic, and which model made it."""
        name = Path(self.model.path).name
        label = f"{SYNTHETIC} Checkpoint: {name} {self.fingerprint}".rstrip()
        label += f"; model {self.model_fingerprint}; seed {options.seed}."
        return {"comment": label, "description": label}


def output_paths(out: str | os.PathLike) -> tuple[Path, Path, Path]:
    """The files that `generate` makes for the video `out`: video, track npz, track csv. Raises InputError if one of
    them cannot be made."""
    video, npz, csv = output_names(check_video_output(out))
    return video, check_output(npz, (".npz",)), check_output(csv, (".csv",))


def output_names(video: Path) -> tuple[Path, Path, Path]:
    """The video, and what its tracks are called."""
    npz, csv = (video.with_name(f"{video.stem}_track{suffix}") for suffix in (".npz", ".csv"))
    return video, npz, csv


def refuse_overwriting(outputs: Iterable[str | os.PathLike], files: Iterable[str | os.PathLike]) -> None:
    """Raises InputError if a file that is read would be replaced by one that is written."""
    made = {Path(path).resolve() for path in outputs}
    for file in files:
        if Path(file).resolve() in made:
            raise InputError(f"{file} is an input and would be replaced by the output; give another output name.")


def silence(seconds: float) -> np.ndarray:
    """Sound in which nobody speaks, int16 [T * 640]: a face idles. Raises InputError for an impossible length."""
    frames = round(seconds * FPS) if math.isfinite(seconds) else 0
    if not 1 <= frames <= MAX_SILENCE * FPS:
        raise InputError(f"silence of {seconds:g} s: it must last from {1 / FPS:g} to {MAX_SILENCE} s.")
    return np.zeros(frames * SAMPLES_PER_FRAME, np.int16)


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
