"""Driving motion: the codes of a video, from a model's motion encoder, or of a track that the model wrote."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from demo_jax.errors import InputError
from demo_jax.faces.driving import fill_gaps
from demo_jax.sampling import inputs
from demo_jax.sampling.controls import Drive
from demo_jax.sampling.drawing import DECODE_BATCH, Drawer
from demo_jax.sampling.tracks import read_codes


def read_drive(
    drawer: Drawer,
    assignments: Sequence[str],
    fingerprint: str,
    *,
    face_model: str | os.PathLike | None = None,
    warn: Callable[[str], None] = warnings.warn,
) -> dict[str, Drive]:
    """Reads ["lip=a.mp4", "+pose=b_track.npz"] for the model of this drawer and fingerprint (Pipeline.read_drive).
    Raises InputError."""
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
            motions[path] = read_motion(drawer, path, fingerprint, face_model=face_model, warn=warn)
        drives[factor] = Drive(codes=motions[path], relative=name.strip().startswith("+"))
    return drives


def read_motion(
    drawer: Drawer,
    path: str | os.PathLike,
    fingerprint: str,
    *,
    face_model: str | os.PathLike | None = None,
    warn: Callable[[str], None] = warnings.warn,
) -> Float[np.ndarray, "T K"]:
    """The raw motion codes of a driving video; or those in a track (npz) that the model of this fingerprint wrote.

    All frames are cropped to one square around the face, which needs the `prepare` extra; a square video with a sidecar
    {"cropped": true} is used as it is. Where no face is found, short gaps are interpolated and longer ones NaN, with a
    warning. Raises InputError.
    """
    if Path(path).suffix.lower() == ".npz":
        codes = read_codes(path, fingerprint)
        if codes.shape[1] != drawer.layout.size:
            raise InputError(f"{path} has codes of {codes.shape[1]} numbers; this model's have {drawer.layout.size}.")
        return codes
    frames, person = inputs.driving_frames(path, drawer.size, face_model=face_model, warn=warn)
    codes_read, found = [], []
    while rows := list(itertools.islice(frames, DECODE_BATCH)):
        batch = [image for image, _ in rows]
        found += [shown for _, shown in rows]
        images = np.stack(batch + [batch[-1]] * (DECODE_BATCH - len(batch)))
        codes_read.append(drawer.read_motion(images, person)[: len(batch)])
    return fill_gaps(np.concatenate(codes_read), np.array(found))
