"""Looking for the face in every frame of a video: one person is followed, cuts and other faces are marked."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable

import numpy as np

from demo_jax.faces.landmarker import Face, FaceFinder
from demo_jax.media.video import read_video

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
