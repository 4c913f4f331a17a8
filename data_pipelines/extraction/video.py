"""One video file -> clip records: find the face in every frame, split into scenes, measure, cut a fixed square.

The file is decoded twice, once to find faces and once to cut the crop, so that its frames need not fit into memory.

A scene ends at a cut (the image, or the face, jumps) and where the face is lost for more than GAP_FRAMES frames;
shorter gaps are interpolated with low confidence. Each scene is kept or rejected by itself, with a reason, and kept
scenes become segments of about equal length, of at most 64 frames.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from data_pipelines.extraction.faults import LEAST_RATE, Faults, find_faults
from data_pipelines.records.schema import MAX_PIECE_FRAMES, ClipRecord, encode_frame
from demo_jax.audio.registry import AudioFeatures
from demo_jax.constants import SAMPLES_PER_FRAME
from demo_jax.faces.crop import cut, square_crop
from demo_jax.faces.landmarker import FaceFinder, canonical_face
from demo_jax.faces.measures import Measures, feature_boxes, measure
from demo_jax.faces.scan import GAP_FRAMES, SEVERAL_SHARE, Scan, find_cuts, scan_video
from demo_jax.media.audio import read_audio
from demo_jax.media.video import read_video

VERSION = "2"  # changes whenever the same video gives other records
SMALLEST_FACE = 40  # source pixels from ear to ear
MAX_TURN = np.array([75.0, 60.0, 60.0])  # yaw, pitch, roll in degrees; beyond them the landmarks are unreliable


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scene:
    """Frames first <= t < last of a video; `reason` is "" if it is kept."""

    first: int
    last: int
    reason: str = ""


def find_scenes(scan: Scan, shortest: int) -> list[Scene]:
    """Splits at cuts and lost faces, and keeps or rejects each scene. Frames without a face at the ends of a shot are
    left out."""
    edges = [0, *find_cuts(scan), len(scan.found)]
    return [scene for a, b in itertools.pairwise(edges) for scene in _scenes_of_shot(scan, a, b, shortest)]


def _scenes_of_shot(scan: Scan, first: int, last: int, shortest: int) -> Iterator[Scene]:
    seen = np.flatnonzero(scan.found[first:last]) + first
    if len(seen) == 0:
        yield Scene(first=first, last=last, reason="no face")
        return
    breaks = np.flatnonzero(np.diff(seen) > GAP_FRAMES + 1)
    starts, ends = [seen[0], *seen[breaks + 1]], [*seen[breaks], seen[-1]]
    for a, b in zip(starts, ends, strict=True):
        yield _checked(scan, int(a), int(b) + 1, shortest, lost=len(starts) > 1)


def _checked(scan: Scan, first: int, last: int, shortest: int, lost: bool) -> Scene:
    part = slice(first, last)
    points = scan.points[part][scan.found[part]]
    width = float(np.median(np.linalg.norm(points[:, 127] - points[:, 356], axis=-1)))
    reason = ""
    if last - first < shortest:
        reason = f"too short ({last - first} frames; at least {shortest})" + (" between lost faces" if lost else "")
    elif scan.several[part].mean() > SEVERAL_SHARE:
        reason = "several faces"
    elif scan.found[part].mean() < 0.8:
        reason = f"face lost in {1 - scan.found[part].mean():.0%} of the frames"
    elif width < SMALLEST_FACE:
        reason = f"face too small ({width:.0f} pixels wide; at least {SMALLEST_FACE})"
    return Scene(first=first, last=last, reason=reason)


def measure_scene(scan: Scan, scene: Scene, finder: FaceFinder) -> Measures:
    """Measures the face in every frame of a scene, after filling the gaps linearly."""
    part = slice(scene.first, scene.last)
    found, times = scan.found[part], np.arange(scene.last - scene.first)

    def fill(values: np.ndarray) -> np.ndarray:
        flat = values[part].reshape(len(times), -1).astype(np.float64)
        if not found.all():
            flat = np.stack([np.interp(times, times[found], column[found]) for column in flat.T], -1)
        return flat.reshape(values[part].shape)

    return measure(fill(scan.points), fill(scan.expression), found, canonical_face(finder.model))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Labels:
    """The facts about a clip that are given, not measured."""

    clip_id: str
    speaker_id: str
    corpus: str
    language: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """A scene, kept or rejected, and how many segments came of it."""

    scene: Scene
    segments: int = 0


def extract(
    path: str | os.PathLike,
    labels: Labels,
    finder: FaceFinder,
    extractors: Sequence[AudioFeatures],
    size: int = 256,
    shortest: int = 25,
    warn: Callable[[str], None] | None = None,
) -> Iterator[ClipRecord | Outcome]:
    """Yields the records of every kept scene (clip_id with -s01 and so on if there are several), and after each scene
    its Outcome; at last those of longer stretches without a new, whole image, which are in no scene. `warn` is called
    if there are several tracks. Raises InputError if video or audio cannot be read, or there is no audio."""
    waveform = read_audio(path, warn)
    scan = scan_video(path, finder, warn)
    faults = find_faults(path, len(scan.found), GAP_FRAMES)
    for fault in faults.unusable:
        scan.points[fault.first : fault.last] = np.nan
    scenes = [_at_its_rate(_within_audio(s, waveform, shortest), faults) for s in find_scenes(scan, shortest)]
    measured: dict[int, Measures] = {}
    for i, scene in enumerate(scenes):
        if not scene.reason:
            measured[i] = measure_scene(scan, scene, finder)
            turned = np.abs(measured[i].angles).max(0)
            if (turned > MAX_TURN).any():
                worst = int((turned / MAX_TURN).argmax())
                name = ("yaw", "pitch", "roll")[worst]
                scenes[i] = dataclasses.replace(
                    scene, reason=f"head turned too far ({name} {turned[worst]:.0f} degrees)"
                )
    _, frames = read_video(path)
    waveform = np.pad(waveform, (0, -len(waveform) % SAMPLES_PER_FRAME))
    with contextlib.closing(frames):
        at = 0
        for i, scene in enumerate(scenes):
            count = 0
            if not scene.reason:
                name = labels.clip_id if len(scenes) == 1 else f"{labels.clip_id}-s{i + 1:02d}"
                images = itertools.islice(frames, scene.first - at, scene.last - at)
                at = scene.last
                audio = waveform[scene.first * SAMPLES_PER_FRAME : scene.last * SAMPLES_PER_FRAME]
                clip = dataclasses.replace(labels, clip_id=name)
                for record in _records(measured[i], images, audio, clip, extractors, size):
                    count += 1
                    yield record
            yield Outcome(scene=scene, segments=count)
    for fault in faults.unusable:
        if fault.last - fault.first > GAP_FRAMES:
            yield Outcome(scene=Scene(first=fault.first, last=fault.last, reason=fault.reason))


def _within_audio(scene: Scene, waveform: np.ndarray, shortest: int) -> Scene:
    """Ends the scene with the audio, which may be a little shorter than the video; the last frame is padded with
    silence."""
    last = min(scene.last, -(-len(waveform) // SAMPLES_PER_FRAME))
    if scene.reason or last == scene.last:
        return scene
    if last - scene.first < shortest:
        return dataclasses.replace(scene, reason="no audio")
    return dataclasses.replace(scene, last=last)


def _at_its_rate(scene: Scene, faults: Faults) -> Scene:
    """Rejects a scene of fewer than about 20 new images a second: many of its frames are copies, a face that stands
    still and speaks."""
    rate = faults.rate(scene.first, scene.last)
    if scene.reason or rate >= LEAST_RATE:
        return scene
    return dataclasses.replace(scene, reason=f"only {rate:.0f} new images a second (at least 20)")


def _records(
    measures: Measures,
    images: Iterator[np.ndarray],
    audio: np.ndarray,
    labels: Labels,
    extractors: Sequence[AudioFeatures],
    size: int,
) -> Iterator[ClipRecord]:
    total = len(measures.angles)
    crop = square_crop(measures.centre, measures.face_width, size)
    pose = measures.pose(crop, size)
    landmarks = (measures.landmarks @ crop[:2, :2].T + crop[:2, 2]).astype(np.float32)
    boxes = feature_boxes(landmarks, pose, size)
    features = {e.name: e(audio) for e in extractors}
    count = -(-total // MAX_PIECE_FRAMES)
    edges = [total * k // count for k in range(count + 1)]
    for number, (a, b) in enumerate(itertools.pairwise(edges)):
        jpegs = tuple(encode_frame(cut(next(images), crop, size)) for _ in range(a, b))
        yield ClipRecord(
            **dataclasses.asdict(labels),
            piece=number,
            frames=jpegs,
            pose=pose[a:b],
            expression=measures.expression[a:b],
            gaze=measures.gaze[a:b],
            lips=measures.lips[a:b],
            landmarks=landmarks[a:b],
            boxes=boxes[a:b],
            confidence=measures.confidence[a:b],
            crop=crop,
            waveform=audio[a * SAMPLES_PER_FRAME : b * SAMPLES_PER_FRAME],
            features={name: values[a:b] for name, values in features.items()},
        ).validate()


def parameters(size: int, shortest: int, extractors: Sequence[AudioFeatures], model_checksum: str) -> dict[str, object]:
    """Returns everything that decides what `extract` yields for a file, for fingerprints and for resuming."""
    from demo_jax.faces import landmarker

    return {
        "video": VERSION,
        "face": landmarker.VERSION,
        "face_model": model_checksum,
        "features": {e.name: e.version for e in extractors},
        "size": size,
        "shortest": shortest,
    }
