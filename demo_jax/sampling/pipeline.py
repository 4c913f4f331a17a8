"""The Python API: portrait + speech (+ controls) -> talking video and motion track.

    from demo_jax import Controls, load

    demo = load()                                            # the bundled puppet model; or load("runs/my_flow")
    demo.generate("portrait.png", "speech.wav", "out.mp4", controls=Controls.parse(hold="pose", set="gaze_yaw=+10"))

    portrait, speech = demo.read_portrait("portrait.png"), demo.read_speech("speech.wav")
    for image, code in demo.frames(portrait, speech):        # as they are generated
        ...
    for image, code in demo.stream(portrait, microphone):    # chunks of int16 audio as they arrive
        ...

Motion is sampled window by window and decoded in batches of a fixed size, so three compiled programs serve any length
of speech, and memory does not grow with it.
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
from jaxtyping import Array, Float, Float32, Int16, PyTree, UInt8

from demo_jax.audio.registry import extractor
from demo_jax.checkpoint.load import BUNDLED, LoadedModel, load_model
from demo_jax.constants import FPS, SAMPLES_PER_FRAME
from demo_jax.errors import InputError
from demo_jax.faces.driving import fill_gaps
from demo_jax.factors import ARKIT_NAMES, CALIBRATED_NAMES, CALIBRATED_SCALE
from demo_jax.media import audio as audio_files
from demo_jax.media.video_writer import SYNTHETIC, VideoWriter
from demo_jax.models.autoencoder import AutoEncoder, to_float, to_uint8
from demo_jax.sampling import inputs
from demo_jax.sampling.controls import FREE, Controls, Drive
from demo_jax.sampling.options import DEFAULTS, Options
from demo_jax.sampling.outputs import output_paths, refuse_overwriting
from demo_jax.sampling.session import MotionGenerator, SamplingSession
from demo_jax.sampling.tracks import MotionTrack, read_codes, write_track

DECODE_BATCH = 10  # frames decoded at once
MAX_SILENCE = 24 * 3600  # seconds
READOUT_MIN_R2 = 0.5  # blendshapes with a lower R2 of the readout are left free in the track


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """The result of `generate`.

    video, tracks  the files written
    frames         of the video
    windows        sampled
    evaluations    NFE in all
    seconds        wall time of sampling, decoding and encoding, with compilation
    """

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
        trained_on = model.meta.get("feature_version")  # None if the codes did not record it
        if trained_on is not None and trained_on != features.version:
            raise InputError(
                f"{model.path} was trained on version {trained_on} of the audio features {features.name}; this is "
                f"version {features.version}. Continue its training on codes with these features: "
                f"--config.start_from={model.path}, and see python -m data_pipelines.add_features --help."
            )
        self._features_version = features.version
        self._motion = MotionGenerator(self._flow, self._space, self.layout, features)
        autoencoder = AutoEncoder(model.autoencoder.model)

        def encode(params: PyTree, image: UInt8[Array, "S S 3"]) -> tuple[PyTree, Float[Array, " K"]]:
            pixels = to_float(image)[None]
            variables = {"params": params}
            pyramid = autoencoder.apply(variables, pixels, method=AutoEncoder.encode_source)
            return pyramid, autoencoder.apply(variables, pixels, method=AutoEncoder.encode_motion)[0]

        def decode(
            params: PyTree, pyramid: PyTree, source_code: Float[Array, " K"], codes: Float[Array, "n K"]
        ) -> UInt8[Array, "n S S 3"]:
            rows = len(codes)
            pyramid = jax.tree.map(lambda a: jnp.broadcast_to(a, (rows, *a.shape[1:])), pyramid)
            source = jnp.broadcast_to(source_code[None], codes.shape)
            images = autoencoder.apply({"params": params}, pyramid, source, codes, method=AutoEncoder.decode)
            return to_uint8(images)

        self._encode = jax.jit(encode)
        self.decode = decode  # a pure function
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
    ) -> UInt8[np.ndarray, "S S 3"]:
        """inputs.read_portrait for this model."""
        corpus = str(self.model.meta.get("corpus", ""))
        return inputs.read_portrait(path, self.size, corpus, cropped=cropped, face_model=face_model, warn=warn)

    def read_speech(
        self, path: str | os.PathLike, *, warn: Callable[[str], None] = warnings.warn
    ) -> Int16[np.ndarray, " samples"]:
        """Reads an audio or video file as mono 16 kHz, padded with silence to whole video frames (T * 640 samples).
        `warn` is called if it has several tracks, or is digital silence. Raises InputError."""
        return audio_files.read_recording(path, warn).speech

    def read_drive(
        self,
        assignments: Sequence[str],
        *,
        face_model: str | os.PathLike | None = None,
        warn: Callable[[str], None] = warnings.warn,
    ) -> dict[str, Drive]:
        """Reads ["lip=a.mp4", "+pose=b_track.npz"] as the argument `drive` of Controls: factor -> motion. A leading +
        adds the change since the file's first frame to the portrait's own code. Raises InputError."""
        drives: dict[str, Drive] = {}
        motions: dict[str, np.ndarray] = {}
        for assignment in assignments:
            name, equals, path = assignment.partition("=")
            factor = name.strip().removeprefix("+")
            if not (equals and path):
                raise InputError(f"drive {assignment!r} is not FACTOR=FILE, as in lip=talk.mp4.")
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
    ) -> Float[np.ndarray, "T K"]:
        """The raw motion codes of a driving video, from this model's motion encoder; or those in a track (npz) that
        this model wrote.

        All frames are cropped to one square around the face, which needs the `prepare` extra; a square video with a
        sidecar {"cropped": true} is used as it is. Where no face is found, short gaps are interpolated and longer ones
        NaN, with a warning. Raises InputError.
        """
        if Path(path).suffix.lower() == ".npz":
            codes = read_codes(path, self.fingerprint)
            if codes.shape[1] != self.layout.size:
                raise InputError(f"{path} has codes of {codes.shape[1]} numbers; this model's have {self.layout.size}.")
            return codes
        frames = inputs.driving_frames(path, self.size, face_model=face_model, warn=warn)
        codes_read, found = [], []
        while rows := list(itertools.islice(frames, DECODE_BATCH)):
            batch = [image for image, _ in rows]
            found += [shown for _, shown in rows]
            images = np.stack(batch + [batch[-1]] * (DECODE_BATCH - len(batch)))
            codes_read.append(np.asarray(self._read_motion(self.model.autoencoder_params, images))[: len(batch)])
        return fill_gaps(np.concatenate(codes_read), np.array(found))

    def frames(
        self,
        portrait: np.ndarray,
        speech: np.ndarray,
        controls: Controls = FREE,
        options: Options = DEFAULTS,
    ) -> Iterator[tuple[UInt8[np.ndarray, "S S 3"], Float32[np.ndarray, " K"]]]:
        """Yields the frames of the video in order: RGB image and raw motion code.

        Args:
          portrait: uint8 [S, S, 3], from read_portrait.
          speech: int16 [T * 640], from read_speech or silence.
          controls: of the motion.
          options: of the sampler.

        Raises:
          InputError: an array of another shape or type, or a control that begins after the end.
        """
        pyramid, code = self.encode_source(portrait)
        return self._decode_motion(pyramid, code, self.motion(np.asarray(code), speech, controls, options))

    def stream(
        self,
        portrait: np.ndarray,
        chunks: Iterable[np.ndarray],
        controls: Controls = FREE,
        options: Options = DEFAULTS,
    ) -> Iterator[tuple[UInt8[np.ndarray, "S S 3"], Float32[np.ndarray, " K"]]]:
        """Like `frames`, from audio that is still arriving: `chunks` are int16 [n] of any length, pulled one by one.
        STREAM_HOP frames come at a time, as soon as their audio and that of the lookahead has arrived."""
        pyramid, code = self.encode_source(portrait)
        return self._decode_motion(pyramid, code, self.motion_stream(np.asarray(code), chunks, controls, options))

    def encode_source(self, portrait: np.ndarray) -> tuple[PyTree, Float[Array, " K"]]:
        """Returns the feature pyramid and the raw code of a portrait, uint8 [S, S, 3]. Raises InputError for another
        shape or type."""
        if portrait.shape != (self.size, self.size, 3) or portrait.dtype != np.uint8:
            raise InputError(f"portrait is {portrait.dtype}{portrait.shape}, not uint8 [{self.size}, {self.size}, 3].")
        return self._encode(self.model.autoencoder_params, portrait)

    def _decode_motion(
        self, pyramid: PyTree, source_code: Float[Array, " K"], motion: Iterator[Float32[np.ndarray, "_ K"]]
    ) -> Iterator[tuple[UInt8[np.ndarray, "S S 3"], Float32[np.ndarray, " K"]]]:
        for codes in motion:
            for start in range(0, len(codes), DECODE_BATCH):
                batch = codes[start : start + DECODE_BATCH]
                padded = np.pad(batch, ((0, DECODE_BATCH - len(batch)), (0, 0)), mode="edge")
                images = self._decode(self.model.autoencoder_params, pyramid, source_code, padded)
                yield from zip(np.asarray(images)[: len(batch)], batch, strict=True)

    def motion(
        self,
        portrait_code: Float[np.ndarray, " K"],
        speech: np.ndarray,
        controls: Controls = FREE,
        options: Options = DEFAULTS,
    ) -> Iterator[Float32[np.ndarray, "n K"]]:
        """Yields the raw motion codes to decode, window by window, for a portrait with this raw code."""
        if not len(speech):
            raise InputError("the audio is empty (0 samples); silence(seconds) makes audio without speech.")
        controls.check_length(len(speech) // SAMPLES_PER_FRAME)
        return self._motion(self.model.flow_params, portrait_code, [speech], controls, options, self._motion.whole)

    def motion_stream(
        self,
        portrait_code: Float[np.ndarray, " K"],
        chunks: Iterable[np.ndarray],
        controls: Controls = FREE,
        options: Options = DEFAULTS,
    ) -> Iterator[Float32[np.ndarray, "n K"]]:
        """Like `motion`, from chunks of audio as they arrive, STREAM_HOP frames at a time."""
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
        """Writes the video `out` (.mp4), and beside it <name>_track.npz and .csv. A failure leaves nothing behind.

        Args:
          portrait: an image file.
          audio: an audio or video file, whose audio is in the video as it was recorded, up to 48 kHz stereo; or the
            speech itself, int16 [T * 640], such as `silence(10)`.
          out: the video's name.
          controls: of the motion.
          options: of the sampler.
          cropped: the portrait is a square around the face already.
          face_model: a face_landmarker.task other than the installed one.
          progress: show a progress bar.
          warn: called with each warning.

        Raises:
          InputError: the portrait, the audio, the output folder or a control cannot be used.
        """
        video, *tracks = output_paths(out)
        refuse_overwriting((video, *tracks), [p for p in (portrait, audio) if not isinstance(p, np.ndarray)])
        recording = audio if isinstance(audio, np.ndarray) else audio_files.read_recording(audio, warn)
        speech = recording if isinstance(recording, np.ndarray) else recording.speech
        image = self.read_portrait(portrait, cropped=cropped, face_model=face_model, warn=warn)
        count = len(speech) // SAMPLES_PER_FRAME
        begin, codes = time.monotonic(), []
        frames = self.frames(image, speech, controls, options)
        first = next(frames)  # an impossible control is refused before a file is opened
        written: list[Path] = []
        try:
            with (
                VideoWriter(
                    video, (self.size, self.size), waveform=recording, metadata=self.metadata(options)
                ) as writer,
                _progress_bar(count, progress) as bar,
            ):
                for frame, code in itertools.chain([first], frames):
                    writer.write(frame)
                    codes.append(code)
                    bar.update()
                track = self.track(np.stack(codes))
                for path in tracks:
                    written.append(write_track(path, track))
        except BaseException:
            for path in written:
                path.unlink(missing_ok=True)
            raise
        window_count = math.ceil(count / self._flow.window)
        return Result(
            video=video,
            tracks=(tracks[0], tracks[1]),
            frames=count,
            windows=window_count,
            evaluations=window_count * options.evaluations * (2 if controls.camera else 1),
            seconds=time.monotonic() - begin,
        )

    def track(self, codes: Float[np.ndarray, "T K"]) -> MotionTrack:
        """Converts raw codes to a motion track in the record's units; blendshapes come from the linear readout, NaN
        where it explains less than half of the variance."""
        calibrated = codes[:, self.layout.calibrated] * CALIBRATED_SCALE
        r2 = np.nan_to_num(self._space.readout_r2, nan=-np.inf)
        expression = np.where(r2 >= READOUT_MIN_R2, self._space.expression(codes), np.nan)
        columns = dict(zip(CALIBRATED_NAMES, calibrated.T, strict=True)) | dict(
            zip(ARKIT_NAMES, expression.T, strict=True)
        )
        return MotionTrack(columns=columns, codes=codes, fingerprint=self.fingerprint)

    def start(
        self, portrait_code: Float[np.ndarray, " K"], speech: np.ndarray, controls: Controls, options: Options
    ) -> SamplingSession:
        """Starts a session whose windows the caller samples with `sample`, so many sessions can share a batch."""
        return self._motion.start(portrait_code, [speech], controls, options, self._motion.whole)

    @property
    def sample(self) -> Callable[..., jax.Array]:
        """MotionGenerator.sample: (flow parameters, keys [B], condition, scales, steps, solver) -> whitened codes."""
        return self._motion.sample

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the motion encoder; codes of models with the same one are interchangeable."""
        return str(self.model.meta.get("encoder_fingerprint", ""))

    @property
    def model_fingerprint(self) -> str:
        """Fingerprint of everything that decides a video."""
        return self.model.fingerprint(self._features_version)

    def metadata(self, options: Options) -> dict[str, str]:
        """Metadata of a video: a mark of synthetic media, the model and the seed."""
        name = Path(self.model.path).name
        label = f"{SYNTHETIC} Checkpoint: {name} {self.fingerprint}".rstrip()
        label += f"; model {self.model_fingerprint}; seed {options.seed}."
        return {"comment": label, "description": label}


def silence(seconds: float) -> Int16[np.ndarray, " samples"]:
    """Digital silence of whole video frames (T * 640 samples), for an idle face. Raises InputError for an impossible
    length."""
    frames = round(seconds * FPS) if math.isfinite(seconds) else 0
    if not 1 <= frames <= MAX_SILENCE * FPS:
        raise InputError(f"silence of {seconds:g} s: it must last from {1 / FPS:g} to {MAX_SILENCE} s.")
    return np.zeros(frames * SAMPLES_PER_FRAME, np.int16)


def load(checkpoint: str | os.PathLike | None = None) -> Pipeline:
    """Loads the model in folder `checkpoint` (a work directory of train.py, or a published model); None = the bundled
    puppet model. Raises InputError if it is no checkpoint, of the other stage, or of another schema."""
    return Pipeline(load_model(BUNDLED if checkpoint is None else checkpoint))


@contextlib.contextmanager
def _progress_bar(total: int, shown: bool) -> Iterator[Any]:
    from tqdm import tqdm

    with tqdm(total=total, unit="frame", disable=not shown) as bar:
        yield bar
