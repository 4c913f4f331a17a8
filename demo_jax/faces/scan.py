"""Finds the face in every frame of a video: follows one person, and marks cuts and other faces."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable

import numpy as np

from demo_jax.faces.landmarker import Face, FaceFinder
from demo_jax.media.video import read_video

SCAN_SIDE = 1280  # longer side of the frames that are searched, pixels
SEARCH_EVERY = 12  # frames between thorough searches, for small faces and for other people
GAP_FRAMES = 5  # gaps up to this length are interpolated
CUT_DIFFERENCE = 16.0  # a cut: mean change of a 32 x 32 thumbnail between two frames, of 255, ...
CUT_CONTRAST = 4.0  # ... that is at least this multiple of the change around it
FACE_JUMP = 0.45  # or: a move of the face's centre between two frames, in face widths; or of its size by 30 %
SIZE_JUMP = 1.3
FOLLOWED = 1.0  # face widths: the face nearest to the last one is followed up to this distance
OTHER_FACE = 0.5  # a second face counts from this share of the first one's width
SEVERAL_SHARE = 0.1  # share of a scene's frames that may show a second face


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scan:
    """The result of the first pass over a video of T frames. Coordinates as in `landmarker.py`."""

    points: np.ndarray  # [T, 478, 3] float32, NaN where no face was found
    expression: np.ndarray  # [T, 52] float32
    several: np.ndarray  # [T] bool
    difference: np.ndarray  # [T] change of the image since the frame before, 0 for the first

    @property
    def found(self) -> np.ndarray:
        """[T] bool."""
        return np.isfinite(self.points[:, 0, 0])


def scan_video(path: str | os.PathLike, finder: FaceFinder, warn: Callable[[str], None] | None = None) -> Scan:
    """Finds the face in every frame. `warn` is called if there are several video tracks. Raises InputError if the file
    cannot be read."""
    whole = max(next(read_video(path, max_frames=1)[1]).shape)
    _, frames = read_video(path, max_side=SCAN_SIDE, warn=warn)
    points: list[np.ndarray] = []
    expressions, several, difference = [], [], []
    thumbnail: np.ndarray | None = None
    window: tuple[int, int, int] | None = None  # where to search for a face that is not found in the whole frame
    crowd = False
    last: Face | None = None
    for t, frame in enumerate(frames):
        small = _thumbnail(frame)
        difference.append(0.0 if thumbnail is None else float(np.abs(small - thumbnail).mean()))
        thumbnail = small
        faces = finder(frame) if window is None else finder.within(frame, *window)
        if t % SEARCH_EVERY == 0:
            whole_frame = finder(frame) if window is not None else faces
            faces = finder.search(frame, whole_frame)
            window = _window(_followed(faces, last)) if faces and not whole_frame else None
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
    """The face nearest to the last one; the largest if there was none, or none is near."""
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
    """x, y, side of the square to search for a face that is too small to be found in the whole frame."""
    side = int(4 * face.width)
    return int(face.centre[0]) - side // 2, int(-face.centre[1]) - side // 2, side


def find_cuts(scan: Scan) -> list[int]:
    """Returns the frames that begin another shot."""
    d, cuts = scan.difference, []
    for t in range(1, len(d)):
        around = np.concatenate([d[max(1, t - 4) : t], d[t + 1 : t + 5]])
        usual = float(np.median(around)) if len(around) else 0.0
        changed = d[t] > CUT_DIFFERENCE and d[t] > CUT_CONTRAST * usual
        if changed or (scan.found[t] and scan.found[t - 1] and jumps(scan.points[t - 1], scan.points[t])):
            cuts.append(t)
    return cuts


def jumps(before: np.ndarray, now: np.ndarray) -> bool:
    """Whether a face [478, 3] moved or changed its size by more than is possible between two frames."""
    widths = np.linalg.norm(before[127] - before[356]), np.linalg.norm(now[127] - now[356])
    moved = np.linalg.norm(((now[127] + now[356]) - (before[127] + before[356]))[:2]) / 2
    return bool(moved > FACE_JUMP * max(widths) or max(widths) > SIZE_JUMP * min(widths))
