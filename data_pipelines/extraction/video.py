"""One video file -> clip records: find the face in every frame, split into scenes, measure, cut a fixed square.

The file is decoded twice, once to find faces and once to cut the crop, so that memory does not hold its pictures.

A scene ends at a cut (the picture, or the face, jumps) and where the face is lost for more than GAP_FRAMES frames;
shorter gaps are interpolated with low confidence. Each scene is kept or rejected by itself, with a reason, and kept
scenes become pieces of about equal length, of at most 64 frames.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from data_pipelines.extraction.audio import AudioFeatures
from data_pipelines.extraction.crop import cut, square_crop
from data_pipelines.extraction.face import Face, FaceFinder, canonical_face
from data_pipelines.extraction.faults import LEAST_RATE, Faults, find_faults
from data_pipelines.extraction.measures import Measures, feature_boxes, measure
from data_pipelines.media import read_audio, read_video
from data_pipelines.schema import MAX_PIECE_FRAMES, ClipRecord
from demo_jax.typing import SAMPLES_PER_FRAME

VERSION = "2"  # changes whenever the same video gives other records
SCAN_SIDE = 1280  # longer side at which faces are looked for
SEARCH_EVERY = 12  # frames: how often a picture is searched thoroughly, for small faces and for other people
GAP_FRAMES = 5  # a face lost for at most this long is interpolated
CUT_DIFFERENCE = 16.0  # mean change of a 32 x 32 thumbnail between two frames, of 255, that may be a cut ...
CUT_CONTRAST = 4.0  # ... if it is so many times what the frames around it change
FACE_JUMP = 0.45  # face widths that a face's centre moves between two frames only in a cut; its size by 30 %
SIZE_JUMP = 1.3
FOLLOWED = 1.0  # face widths: of several faces the nearest to the last one is followed if it is at most so far from it
OTHER_FACE = 0.5  # a second face counts from this share of the first one's width
SEVERAL_SHARE = 0.1  # of a scene's frames that may show a second face
SMALLEST_FACE = 40  # source pixels from ear to ear
MAX_TURN = np.array([75.0, 60.0, 60.0])  # yaw, pitch, roll in degrees; beyond them the landmarks guess


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scan:
    """What the first pass over a video of T frames found. Coordinates as in `face.py`."""

    points: np.ndarray  # [T, 478, 3] float32, NaN where no face was found
    expression: np.ndarray  # [T, 52] float32
    several: np.ndarray  # [T] bool
    difference: np.ndarray  # [T] change of the picture since the frame before, 0 for the first

    @property
    def found(self) -> np.ndarray:
        return np.isfinite(self.points[:, 0, 0])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scene:
    """Frames first <= t < last of a video; `reason` is "" if it is kept."""

    first: int
    last: int
    reason: str = ""


def scan_video(path: str | os.PathLike, finder: FaceFinder, warn: Callable[[str], None] | None = None) -> Scan:
    """Looks for the face in every frame. `warn` is called if there are several video tracks. Raises InputError if the
    file cannot be read."""
    whole = max(next(read_video(path, max_frames=1)[1]).shape)
    _, frames = read_video(path, max_side=SCAN_SIDE, warn=warn)
    points: list[np.ndarray] = []
    expressions, several, difference = [], [], []
    thumbnail: np.ndarray | None = None
    window: tuple[int, int, int] | None = None  # where to look for a face that the whole picture does not show
    crowd = False
    last: Face | None = None
    for t, frame in enumerate(frames):
        small = _thumbnail(frame)
        difference.append(0.0 if thumbnail is None else float(np.abs(small - thumbnail).mean()))
        thumbnail = small
        faces = finder(frame) if window is None else finder.within(frame, *window)
        if t % SEARCH_EVERY == 0:
            seen = finder(frame) if window is not None else faces
            faces = finder.search(frame, seen)
            window = _window(_followed(faces, last)) if faces and not seen else None
            crowd = _several(faces)
        several.append(crowd or _several(faces))
        if faces:
            last = _followed(faces, last)
            points.append((last.points * (whole / max(frame.shape))).astype(np.float32))
            expressions.append(last.expression)
        else:
            points.append(np.full((478, 3), np.nan, np.float32))
            expressions.append(np.full(52, np.nan, np.float32))
    return Scan(
        points=np.stack(points),
        expression=np.stack(expressions),
        several=np.array(several),
        difference=np.array(difference),
    )


def _followed(faces: list[Face], last: Face | None) -> Face:
    """The face that is nearest to the last one; the largest if there was none, or none is near."""
    if last is None:
        return faces[0]
    distances = [float(np.linalg.norm(face.centre - last.centre)) for face in faces]
    nearest = int(np.argmin(distances))
    return faces[nearest if distances[nearest] <= FOLLOWED * last.width else 0]


def _several(faces: list[Face]) -> bool:
    return len(faces) > 1 and faces[1].width >= OTHER_FACE * faces[0].width


def _thumbnail(frame: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.resize(frame, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)


def _window(face: Face) -> tuple[int, int, int]:
    """x, y, side of the square to look in for a face too small to be seen in the whole picture."""
    side = int(4 * face.width)
    return int(face.centre[0]) - side // 2, int(-face.centre[1]) - side // 2, side


def find_cuts(scan: Scan) -> list[int]:
    """The frames that begin another shot."""
    d, cuts = scan.difference, []
    for t in range(1, len(d)):
        around = np.concatenate([d[max(1, t - 4) : t], d[t + 1 : t + 5]])
        usual = float(np.median(around)) if len(around) else 0.0
        changed = d[t] > CUT_DIFFERENCE and d[t] > CUT_CONTRAST * usual
        if changed or (scan.found[t] and scan.found[t - 1] and jumps(scan.points[t - 1], scan.points[t])):
            cuts.append(t)
    return cuts


def jumps(before: np.ndarray, now: np.ndarray) -> bool:
    """Whether a face [478, 3] is elsewhere, or of another size, than a face moves to between two frames."""
    widths = np.linalg.norm(before[127] - before[356]), np.linalg.norm(now[127] - now[356])
    moved = np.linalg.norm(((now[127] + now[356]) - (before[127] + before[356]))[:2]) / 2
    return bool(moved > FACE_JUMP * max(widths) or max(widths) > SIZE_JUMP * min(widths))


def find_scenes(scan: Scan, shortest: int) -> list[Scene]:
    """Splits at cuts and lost faces and judges each scene. Frames without a face at the ends of a shot are left out."""
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
        yield _judge(scan, int(a), int(b) + 1, shortest, lost=len(starts) > 1)


def _judge(scan: Scan, first: int, last: int, shortest: int, lost: bool) -> Scene:
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
    """Fills the gaps linearly and measures."""
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
    """What is said of a clip and not measured."""

    clip_id: str
    speaker_id: str
    corpus: str
    language: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """Pieces of the kept scenes are yielded as they are made; this says what became of each scene."""

    scene: Scene
    pieces: int = 0


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
    its Outcome; at last those of longer stretches without a new, whole picture, which are in no scene. `warn` is called
    if there are several tracks. Raises InputError if picture or sound cannot be read, or there is no sound."""
    waveform = read_audio(path, warn)
    scan = scan_video(path, finder, warn)
    faults = find_faults(path, len(scan.found), GAP_FRAMES)
    for fault in faults.unusable:
        scan.points[fault.first : fault.last] = np.nan
    scenes = [_at_its_rate(_within_sound(s, waveform, shortest), faults) for s in find_scenes(scan, shortest)]
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
                pictures = itertools.islice(frames, scene.first - at, scene.last - at)
                at = scene.last
                sound = waveform[scene.first * SAMPLES_PER_FRAME : scene.last * SAMPLES_PER_FRAME]
                clip = dataclasses.replace(labels, clip_id=name)
                for record in _records(measured[i], pictures, sound, clip, extractors, size):
                    count += 1
                    yield record
            yield Outcome(scene=scene, pieces=count)
    for fault in faults.unusable:
        if fault.last - fault.first > GAP_FRAMES:
            yield Outcome(scene=Scene(first=fault.first, last=fault.last, reason=fault.reason))


def _within_sound(scene: Scene, waveform: np.ndarray, shortest: int) -> Scene:
    """The sound may end a little before the picture: the scene ends with it, the last frame padded with silence."""
    last = min(scene.last, -(-len(waveform) // SAMPLES_PER_FRAME))
    if scene.reason or last == scene.last:
        return scene
    if last - scene.first < shortest:
        return dataclasses.replace(scene, reason="no sound")
    return dataclasses.replace(scene, last=last)


def _at_its_rate(scene: Scene, faults: Faults) -> Scene:
    """Below about 20 pictures a second many frames are copies: a face that stands still and speaks."""
    rate = faults.rate(scene.first, scene.last)
    if scene.reason or rate >= LEAST_RATE:
        return scene
    return dataclasses.replace(scene, reason=f"only {rate:.0f} pictures a second (at least 20)")


def _records(
    measures: Measures,
    pictures: Iterator[np.ndarray],
    sound: np.ndarray,
    labels: Labels,
    extractors: Sequence[AudioFeatures],
    size: int,
) -> Iterator[ClipRecord]:
    total = len(measures.angles)
    crop = square_crop(measures.centre, measures.face_width, size)
    pose = measures.pose(crop, size)
    landmarks = (measures.landmarks @ crop[:2, :2].T + crop[:2, 2]).astype(np.float32)
    boxes = feature_boxes(landmarks, pose, size)
    features = {e.name: e(sound) for e in extractors}
    pieces = -(-total // MAX_PIECE_FRAMES)
    edges = [total * k // pieces for k in range(pieces + 1)]
    for piece, (a, b) in enumerate(itertools.pairwise(edges)):
        jpegs = tuple(_jpeg(cut(next(pictures), crop, size)) for _ in range(a, b))
        yield ClipRecord(
            **dataclasses.asdict(labels),
            piece=piece,
            frames=jpegs,
            pose=pose[a:b],
            expression=measures.expression[a:b],
            gaze=measures.gaze[a:b],
            lips=measures.lips[a:b],
            landmarks=landmarks[a:b],
            boxes=boxes[a:b],
            confidence=measures.confidence[a:b],
            crop=crop,
            waveform=sound[a * SAMPLES_PER_FRAME : b * SAMPLES_PER_FRAME],
            features={name: values[a:b] for name, values in features.items()},
        ).validate()


def _jpeg(image: np.ndarray) -> bytes:
    """Quality 95, 4:4:4, as the schema says."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def parameters(size: int, shortest: int, extractors: Sequence[AudioFeatures], model_checksum: str) -> dict[str, object]:
    """Everything that decides what `extract` gives for a file, for fingerprints and for resuming."""
    from data_pipelines.extraction import face

    return {
        "video": VERSION,
        "face": face.VERSION,
        "face_model": model_checksum,
        "features": {e.name: e.version for e in extractors},
        "size": size,
        "shortest": shortest,
    }
