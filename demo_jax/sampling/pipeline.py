"""The Python API: portrait + speech (+ controls) -> talking video and motion track.

    from demo_jax import Controls, load

    demo = load()                                            # the bundled puppet model; or load("runs/my_flow")
    demo.generate("portrait.png", "speech.wav", "out.mp4", controls=Controls.parse(hold="pose", set="gaze_yaw=+10"))

    portrait, speech = demo.read_portrait("portrait.png"), demo.read_speech("speech.wav")
    for image, code in demo.frames(portrait, speech):        # as they are generated, uint8 [H, W, 3]
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
import numpy as np
from jaxtyping import Array, Float, Float32, Int16, PyTree, UInt8

from demo_jax.audio.registry import extractor
from demo_jax.checkpoint.load import LoadedModel, load_bundled, load_model
from demo_jax.constants import FPS, SAMPLES_PER_FRAME
from demo_jax.errors import InputError
from demo_jax.media import audio as audio_files
from demo_jax.media.frame_folder import FrameFolder, check_frame_folder
from demo_jax.media.frame_rates import check_frame_rate, frame_count
from demo_jax.media.video_writer import SYNTHETIC, VideoWriter
from demo_jax.sampling import driving, portraits
from demo_jax.sampling.controls import FREE, Controls, Drive
from demo_jax.sampling.drawing import Drawer
from demo_jax.sampling.interpolation import at_rate
from demo_jax.sampling.manner import PHOTOGRAPH, SQUARE
from demo_jax.sampling.options import DEFAULTS, Options
from demo_jax.sampling.outputs import output_paths, refuse_overwriting
from demo_jax.sampling.portraits import WHOLE, Portrait, Source, View
from demo_jax.sampling.session import MotionGenerator, SamplingSession
from demo_jax.sampling.tracks import MotionTrack, track_of, write_track
from demo_jax.sampling.windows import Sizes

MAX_SILENCE = 24 * 3600  # seconds


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
        self.drawer = Drawer(model)

    def read_portrait(
        self,
        path: str | os.PathLike,
        *,
        cropped: bool = False,
        view: View = WHOLE,
        face_model: str | os.PathLike | None = None,
        warn: Callable[[str], None] = warnings.warn,
    ) -> Portrait:
        """portraits.read_portrait for this model."""
        corpus = str(self.model.meta.get("corpus", ""))
        return portraits.read_portrait(
            path, self.size, corpus, cropped=cropped, view=view, face_model=face_model, warn=warn
        )

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
        return driving.read_drive(self.drawer, assignments, self.fingerprint, face_model=face_model, warn=warn)

    def read_motion(
        self,
        path: str | os.PathLike,
        *,
        face_model: str | os.PathLike | None = None,
        warn: Callable[[str], None] = warnings.warn,
    ) -> Float[np.ndarray, "T K"]:
        """driving.read_motion for this model."""
        return driving.read_motion(self.drawer, path, self.fingerprint, face_model=face_model, warn=warn)

    def frames(
        self,
        portrait: Portrait | Source | np.ndarray,
        speech: np.ndarray,
        controls: Controls = FREE,
        options: Options = DEFAULTS,
        fps: int = FPS,
    ) -> Iterator[tuple[UInt8[np.ndarray, "H W _"], Float32[np.ndarray, " K"]]]:
        """Yields the frames of the video in order: image (RGBA if its background is transparent) and raw motion code.

        Args:
          portrait: from read_portrait; or the square of one, uint8 [S, S, 3].
          speech: int16 [T * 640], from read_speech or silence.
          controls: of the motion.
          options: of the sampler.
          fps: frames a second, one of frame_rates.FRAME_RATES; motion is generated at 25 and interpolated.

        Raises:
          InputError: an array of another shape or type, or a control that begins after the end.
        """
        source = self.source(portrait)
        return self._with_codes(source, self.motion(source, speech, controls, options), fps)

    def stream(
        self,
        portrait: Portrait | Source | np.ndarray,
        chunks: Iterable[np.ndarray],
        controls: Controls = FREE,
        options: Options = DEFAULTS,
        fps: int = FPS,
    ) -> Iterator[tuple[UInt8[np.ndarray, "H W _"], Float32[np.ndarray, " K"]]]:
        """Like `frames`, from audio that is still arriving: `chunks` are int16 [n] of any length, pulled one by one.
        STREAM_HOP frames come at a time, as soon as their audio and that of the lookahead has arrived."""
        source = self.source(portrait)
        return self._with_codes(source, self.motion_stream(source, chunks, controls, options), fps)

    def source(self, portrait: Portrait | Source | np.ndarray) -> Source:
        """Prepares a portrait once for any number of videos: `frames` and `stream` take the result too. Raises
        InputError for an array of another shape or type."""
        return self.drawer.source(portrait)

    def encode_source(self, portrait: Portrait | np.ndarray) -> tuple[PyTree, Float[Array, " K"]]:
        """Returns the feature pyramid and the raw code, as the networks read it, of a portrait's square. Raises
        InputError for an array of another shape or type than uint8 [S, S, 3]."""
        if not isinstance(portrait, Portrait):
            return self.drawer.encode(portrait)
        return self.drawer.encode(portrait.square, person=portrait.image is not None)

    def drawn(
        self, source: Source, motion: Iterator[Float32[np.ndarray, "_ K"]], fps: int = FPS
    ) -> Iterator[UInt8[np.ndarray, "H W _"]]:
        """Yields the frames, `fps` a second, of raw motion codes at 25."""
        return (frame for frame, _ in self._with_codes(source, motion, fps))

    def _with_codes(
        self, source: Source, motion: Iterator[Float32[np.ndarray, "_ K"]], fps: int
    ) -> Iterator[tuple[UInt8[np.ndarray, "H W _"], Float32[np.ndarray, " K"]]]:
        for codes in at_rate(motion, fps, self.layout):
            yield from zip(self.drawer.frames(source, codes), codes, strict=True)

    def motion(
        self,
        portrait: Source | Float[np.ndarray, " K"],
        speech: np.ndarray,
        controls: Controls = FREE,
        options: Options = DEFAULTS,
    ) -> Iterator[Float32[np.ndarray, "n K"]]:
        """Yields the raw motion codes to decode, window by window, 25 a second, for a source or a raw code."""
        if not len(speech):
            raise InputError("the audio is empty (0 samples); silence(seconds) makes audio without speech.")
        controls.check_length(len(speech) // SAMPLES_PER_FRAME)
        session = self.start(portrait, speech, controls, options)
        return self._motion.sampled(self.model.flow_params, session, options)

    def motion_stream(
        self,
        portrait: Source | Float[np.ndarray, " K"],
        chunks: Iterable[np.ndarray],
        controls: Controls = FREE,
        options: Options = DEFAULTS,
    ) -> Iterator[Float32[np.ndarray, "n K"]]:
        """Like `motion`, from chunks of audio as they arrive, STREAM_HOP frames at a time."""
        session = self._session(portrait, chunks, controls, options, self._motion.streamed)
        return self._motion.sampled(self.model.flow_params, session, options)

    def _session(
        self,
        portrait: Source | Float[np.ndarray, " K"],
        chunks: Iterable[np.ndarray],
        controls: Controls,
        options: Options,
        sizes: Sizes,
    ) -> SamplingSession:
        photograph = isinstance(portrait, Source) and portrait.photograph is not None
        code = np.asarray(portrait.code if isinstance(portrait, Source) else portrait)
        return self._motion.start(code, chunks, controls, options, sizes, manner=PHOTOGRAPH if photograph else SQUARE)

    def generate(
        self,
        portrait: str | os.PathLike,
        audio: str | os.PathLike | np.ndarray,
        out: str | os.PathLike,
        *,
        controls: Controls = FREE,
        options: Options = DEFAULTS,
        cropped: bool = False,
        view: View = WHOLE,
        fps: int = FPS,
        frame_folder: str | os.PathLike | None = None,
        face_model: str | os.PathLike | None = None,
        progress: bool = False,
        warn: Callable[[str], None] = warnings.warn,
    ) -> Result:
        """Writes the video `out` (.mp4; .webm where it is transparent), and beside it <name>_track.npz and .csv. A
        failure leaves nothing behind.

        Args:
          portrait: an image file.
          audio: an audio or video file, whose audio is in the video as it was recorded, up to 48 kHz stereo; or the
            speech itself, int16 [T * 640], such as `silence(10)`.
          out: the video's name.
          controls: of the motion.
          options: of the sampler.
          cropped: the portrait is a square around the face already.
          view: what of the photograph is shown.
          fps: frames a second: 25, 30, 50 or 60. Tracks always have 25.
          frame_folder: a new or empty folder for the frames as PNG files, made before they are encoded.
          face_model: a face_landmarker.task other than the installed one.
          progress: show a progress bar.
          warn: called with each warning.

        Raises:
          InputError: the portrait, the audio, the output folder or a control cannot be used.
        """
        transparent = view.background is not None and view.background.transparent
        video, *tracks = output_paths(out, transparent)
        refuse_overwriting((video, *tracks), [p for p in (portrait, audio) if not isinstance(p, np.ndarray)])
        fps = check_frame_rate(fps)
        if frame_folder is not None:
            check_frame_folder(frame_folder)
        recording = audio if isinstance(audio, np.ndarray) else audio_files.read_recording(audio, warn)
        speech = recording if isinstance(recording, np.ndarray) else recording.speech
        source = self.source(self.read_portrait(portrait, cropped=cropped, view=view, face_model=face_model, warn=warn))
        count = frame_count(len(speech), fps)
        begin, codes = time.monotonic(), []

        def kept() -> Iterator[Float32[np.ndarray, "n K"]]:
            for part in self.motion(source, speech, controls, options):
                codes.append(part)
                yield part

        frames = self.drawn(source, kept(), fps)
        first = next(frames)  # an impossible control is refused before a file is opened
        written: list[Path] = []
        metadata = self.metadata(options)
        try:
            with contextlib.ExitStack() as stack:
                writers: list[VideoWriter | FrameFolder] = []
                if frame_folder is not None:
                    writers.append(
                        stack.enter_context(FrameFolder(frame_folder, source.size, metadata, alpha=source.alpha))
                    )
                writers.append(
                    stack.enter_context(
                        VideoWriter(
                            video, source.size, fps=fps, waveform=recording, metadata=metadata, alpha=source.alpha
                        )
                    )
                )
                bar = stack.enter_context(_progress_bar(count, progress))
                for frame in itertools.islice(itertools.chain([first], frames), count):
                    for writer in writers:
                        writer.write(frame)
                    bar.update()
                track = self.track(np.concatenate(codes))
                for path in tracks:
                    written.append(write_track(path, track))
        except BaseException:
            for path in written:
                path.unlink(missing_ok=True)
            raise
        window_count = math.ceil(len(speech) / SAMPLES_PER_FRAME / self._flow.window)
        return Result(
            video=video,
            tracks=(tracks[0], tracks[1]),
            frames=count,
            windows=window_count,
            evaluations=window_count * options.evaluations * (2 if controls.camera else 1),
            seconds=time.monotonic() - begin,
        )

    def track(self, codes: Float[np.ndarray, "T K"]) -> MotionTrack:
        """tracks.track_of for this model."""
        return track_of(codes, self.layout, self._space, self.fingerprint)

    def start(
        self,
        portrait: Source | Float[np.ndarray, " K"],
        speech: np.ndarray,
        controls: Controls,
        options: Options,
    ) -> SamplingSession:
        """Starts a session whose windows the caller samples with `sample`, so many sessions can share a batch."""
        return self._session(portrait, [speech], controls, options, self._motion.whole)

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
    one (`load_bundled`). Raises InputError if it is no checkpoint, of the other stage, or of another schema."""
    return Pipeline(load_bundled() if checkpoint is None else load_model(checkpoint))


@contextlib.contextmanager
def _progress_bar(total: int, shown: bool) -> Iterator[Any]:
    from tqdm import tqdm

    with tqdm(total=total, unit="frame", disable=not shown) as bar:
        yield bar
