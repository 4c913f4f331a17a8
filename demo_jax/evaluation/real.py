"""Experiments on real video, for which there are no true renders: MediaPipe measures (the `prepare` extra).

Its estimate from reconstructed frames is compared with its estimate from the true ones. Its noise is half a degree of
yaw.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from data_pipelines.loading.examples import decode_frame
from data_pipelines.records.schema import ClipRecord
from demo_jax.errors import InputError
from demo_jax.evaluation.metrics import disentanglement
from demo_jax.evaluation.reenactor import Reenactor, swapped
from demo_jax.factors import FACTORS

LEAST_YAW = 4.0  # degrees, standard deviation within a clip; with less, poses cannot be measured
LEAST_FRAMES = 3  # with a face; nothing is fitted to fewer
LANDMARKER_SIZE = 256  # px, what the landmarker was made for
NAMES = ("yaw", "pitch", "roll", "aperture", "width")
FACTOR = {"pose": slice(0, 3), "lip": slice(3, 5)}  # of NAMES


def read_faces(images: np.ndarray, finder, canonical: np.ndarray) -> np.ndarray:
    """Returns NAMES [T, 5] of images [T, S, S, 3], each on its own: degrees, and gaps over the eye span; NaN where no
    face was found."""
    from demo_jax.faces.measures import fit_rigid
    from demo_jax.factors import euler_angles

    out = np.full((len(images), len(NAMES)), np.nan)
    for t, image in enumerate(images):
        large = np.asarray(Image.fromarray(image).resize((LANDMARKER_SIZE, LANDMARKER_SIZE), Image.Resampling.BICUBIC))
        faces = finder(large)
        if not faces:
            continue
        points = faces[0].points
        _, rotation, _ = fit_rigid(points[None], canonical)
        span = np.linalg.norm(points[33] - points[263])
        gaps = [np.linalg.norm(points[a] - points[b]) / span for a, b in ((13, 14), (61, 291))]
        out[t] = [*euler_angles(rotation)[0], *gaps]
    return out


def turning_clips(records: Sequence[ClipRecord]) -> list[ClipRecord]:
    """Returns the clips whose yaw varies enough. Raises InputError if there is none."""
    found = [r for r in records if r.length > 4 and float(r.pose[:, 0].std()) >= LEAST_YAW]
    if not found:
        raise InputError(
            f"no clip's yaw has a standard deviation of {LEAST_YAW:g} degrees; such clips cannot measure poses. Give "
            "more --clips or other data."
        )
    return found


def pose(reenactor: Reenactor, records: Sequence[ClipRecord]) -> dict[str, Any]:
    """Returns gain, R2 and error of pose and lips over all frames of the turning clips, with the source's own values as
    baseline. NaN where MediaPipe finds no face in the reconstructed frames, as with an untrained model."""
    from demo_jax.faces.landmarker import FaceFinder, canonical_face

    clips = turning_clips(records)
    true, made, still = [], [], []
    with FaceFinder(most=1) as finder:
        canonical = canonical_face(finder.model)
        for record in tqdm(clips, desc="real pose", unit="clip"):
            frames = np.stack([decode_frame(f, reenactor.size) for f in record.frames])
            reconstructed = reenactor.decode(reenactor.source(frames[0]), reenactor.encode(frames))
            a, b = (read_faces(x, finder, canonical) for x in (frames, reconstructed))
            true.append(a[1:])
            made.append(b[1:])
            still.append(np.repeat(a[:1], len(a) - 1, 0))
    a, b, c = (np.concatenate(x) for x in (true, made, still))
    known = np.isfinite(a).all(1) & np.isfinite(b).all(1) & np.isfinite(c).all(1)
    share = float(known.mean())
    a, b, c = a[known], b[known], c[known]
    figures = ("gain", "r2", "mae", "mae_constant", "r2_constant")
    poses = {name: dict.fromkeys(figures, float("nan")) for name in NAMES}  # if no face is found
    if len(a) < LEAST_FRAMES:
        return {"poses": poses, "clips": len(clips), "frames": int(known.sum()), "face_found": share}
    for i, name in enumerate(NAMES):
        centred = a[:, i] - a[:, i].mean()
        spread = max(float((centred**2).sum()), 1e-12)
        poses[name] = {
            "gain": float((centred * (b[:, i] - b[:, i].mean())).sum() / spread),
            "r2": float(1 - ((b[:, i] - a[:, i]) ** 2).sum() / spread),
            "mae": float(np.abs(b[:, i] - a[:, i]).mean()),
            "mae_constant": float(np.abs(c[:, i] - a[:, i]).mean()),
            "r2_constant": float(1 - ((c[:, i] - a[:, i]) ** 2).sum() / spread),
        }
    return {"poses": poses, "clips": len(clips), "frames": int(known.sum()), "face_found": share}


def leakage(reenactor: Reenactor, records: Sequence[ClipRecord], seed: int, each: int = 8) -> dict[str, Any]:
    """Returns leakage [block swapped, factor measured]: MediaPipe measures pose and lip; every block of the code is
    swapped."""
    from demo_jax.faces.landmarker import FaceFinder, canonical_face

    clips, generator = turning_clips(records), np.random.default_rng([seed, 21])
    rows = [f for f in FACTORS if reenactor.layout.slices[f].stop > reenactor.layout.slices[f].start]
    changes: dict[tuple[str, str], list] = {}
    readings: list[np.ndarray] = []
    shifts: dict[str, list] = {f: [] for f in FACTOR}
    with FaceFinder(most=1) as finder:
        canonical = canonical_face(finder.model)
        for record in tqdm(clips, desc="real leakage", unit="clip"):
            a, b = (generator.integers(record.length, size=each) for _ in range(2))
            first, second = (np.stack([decode_frame(record.frames[t], reenactor.size) for t in at]) for at in (a, b))
            source = reenactor.source(decode_frame(record.frames[0], reenactor.size))
            code, other = reenactor.encode(first), reenactor.encode(second)
            before = read_faces(reenactor.decode(source, code), finder, canonical)
            true = [read_faces(x, finder, canonical) for x in (first, second)]
            readings += true
            for factor, part in FACTOR.items():
                shifts[factor].append((true[1] - true[0])[:, part])
            for row in rows:
                after = read_faces(
                    reenactor.decode(source, swapped(code, other, reenactor.layout.slices[row])), finder, canonical
                )
                for factor, part in FACTOR.items():
                    changes.setdefault((row, factor), []).append((after - before)[:, part])
    scale = np.nanstd(np.concatenate(readings), 0)
    model = np.full((len(rows), len(FACTOR)), np.nan)
    for i, row in enumerate(rows):
        for j, (factor, part) in enumerate(FACTOR.items()):
            change = np.concatenate(changes[row, factor]) / scale[part]
            requested = np.concatenate(shifts[row]) / scale[FACTOR[row]] if row in FACTOR else np.ones_like(change)
            known = np.isfinite(change).all(1) & np.isfinite(requested).all(1)
            if not known.any():
                continue
            if row == factor:
                model[i, j] = disentanglement.gain(change[known], requested[known])
            else:
                # A block that MediaPipe does not measure: two frames differ by sqrt(2) deviations on average.
                size = disentanglement.rms(requested[known]) if row in FACTOR else 2**0.5
                model[i, j] = disentanglement.rms(change[known]) / max(size, 1e-9)
    return {"rows": rows, "columns": list(FACTOR), "model": model, "excess": model, "clips": len(clips),
            "pairs": each * len(clips)}  # fmt: skip
