"""The face in a driving video, cropped as prepare crops a clip, so that the motion encoder gets its training's view."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Callable, Iterator

import numpy as np

from demo_jax.constants import FPS
from demo_jax.errors import InputError
from demo_jax.faces.crop import cut, square_crop
from demo_jax.faces.landmarker import FaceFinder
from demo_jax.faces.scan import GAP_FRAMES, SEVERAL_SHARE, Scan, find_cuts, jumps, scan_video
from demo_jax.media.video import read_video

LEAST_FOUND = 0.1  # share of a shot's frames that must show the face
MOSTLY_FOUND = 0.5  # the first shot with this share is used; if there is none, the one with the largest share
USUALLY_FOUND = 0.8  # a lower share gives a warning, even without a long gap; prepare rejects such scenes


def face_frames(
    path: str | os.PathLike,
    size: int,
    face_model: str | os.PathLike | None = None,
    warn: Callable[[str], None] = warnings.warn,
) -> Iterator[tuple[np.ndarray, bool]]:
    """Yields the fixed square crop around the face of a video, frame by frame at 25 a second, from the start of the
    video to the end of its first shot with a face: (uint8 RGB [size, size, 3], whether the face was found in it).

    The video is decoded twice, first to find the face. `warn` is called for cuts, several faces and frames without a
    face. Raises InputError if the video cannot be read, if fewer than a tenth of its frames show a face, or if the
    `prepare` extra is not installed (with the command that installs it).
    """
    with FaceFinder(face_model, most=4) as finder:
        scan = scan_video(path, finder, warn)
    shots = _shots_with_face(scan)
    if not shots:
        raise InputError(f"{path}: a face was found in 0% of its frames; give a video of one face.")
    shares = [scan.found[a:b].mean() for a, b in shots]
    chosen = next((i for i, share in enumerate(shares) if share >= MOSTLY_FOUND), int(np.argmax(shares)))
    first, last = shots[chosen]
    if shares[chosen] < LEAST_FOUND:
        raise InputError(f"{path}: a face was found in {shares[chosen]:.0%} of its frames; give a video of one face.")
    if len(shots) > 1:
        warn(
            f"{path} cuts to another shot at {shots[1][0] / FPS:.2f} s ({len(shots)} shots with a face); only the part "
            f"from {first / FPS:.2f} to {last / FPS:.2f} s is used."
        )
    if (several := scan.several[first:last].mean()) > SEVERAL_SHARE:
        warn(
            f"{path} shows several faces in {several:.0%} of its frames; the one that is largest at first is followed."
        )
    end = shots[chosen + 1][0] if chosen + 1 < len(shots) else len(scan.found)
    found = scan.found & (np.arange(len(scan.found)) >= first) & (np.arange(len(scan.found)) < last)
    gaps = [(a, b) for a, b in find_gaps(found[:end]) if b - a > GAP_FRAMES]
    if gaps or shares[chosen] < USUALLY_FOUND:
        named = f" ({', '.join(f'{a / FPS:.2f}-{b / FPS:.2f} s' for a, b in gaps[:5])})" if gaps else ""
        warn(
            f"{path} shows no face in {1 - found[:end].mean():.0%} of its frames{named}; motion is "
            f"interpolated over gaps of at most {GAP_FRAMES / FPS:g} s and generated in longer ones."
        )
    ears = scan.points[found][:, (127, 356)].astype(np.float64)
    centre = ears.mean(1)[:, :2] * (1, -1)  # the points have y up
    crop = square_crop(centre, np.linalg.norm(ears[:, 0] - ears[:, 1], axis=-1), size)
    last_found = int(np.flatnonzero(found)[-1])
    for frame, shown in zip(read_video(path)[1], found[: last_found + 1], strict=False):
        yield cut(frame, crop, size), bool(shown)


def _shots_with_face(scan: Scan) -> list[tuple[int, int]]:
    """(first, last + 1) of each shot that shows a face. Two such shots are joined if the part between them shows no
    face (a hand before it, say) and the face is in the same place afterwards."""
    shots: list[tuple[int, int]] = []
    for first, last in itertools.pairwise([0, *find_cuts(scan), len(scan.found)]):
        found = np.flatnonzero(scan.found[first:last]) + first
        if len(found) == 0:
            continue
        if shots and shots[-1][1] < first:
            before = int(np.flatnonzero(scan.found[:first])[-1])
            if not jumps(scan.points[before], scan.points[found[0]]):
                shots[-1] = (shots[-1][0], last)
                continue
        shots.append((first, last))
    return shots


def find_gaps(found: np.ndarray) -> list[tuple[int, int]]:
    """(first, last + 1) of each run of False in [T] bool, in order."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], found, [True]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def fill_gaps(codes: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Replaces the motion codes [T, K] of frames without a face, where `found` [T] is False: short gaps between two
    found frames are interpolated; longer ones and the ends become NaN."""
    result = np.where(found[:, None], codes, np.nan)
    for a, b in find_gaps(found):
        if a > 0 and b < len(codes) and b - a <= GAP_FRAMES:
            weight = (np.arange(a, b) - a + 1)[:, None] / (b - a + 1)
            result[a:b] = (1 - weight) * codes[a - 1] + weight * codes[b]
    return result.astype(codes.dtype)
