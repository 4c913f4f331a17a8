"""The files that a sampled video consists of: their names, and whether they can be written."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from demo_jax.errors import InputError
from demo_jax.media.files import check_output
from demo_jax.media.video_writer import check_video_output


def output_paths(out: str | os.PathLike, transparent: bool = False) -> tuple[Path, Path, Path]:
    """The files that `generate` writes for the video `out`: video, track npz, track csv. Raises InputError if one of
    them cannot be written."""
    video, npz, csv = output_names(check_video_output(out, transparent))
    return video, check_output(npz, (".npz",)), check_output(csv, (".csv",))


def output_names(video: Path) -> tuple[Path, Path, Path]:
    """The names of the video and its two tracks."""
    npz, csv = (video.with_name(f"{video.stem}_track{suffix}") for suffix in (".npz", ".csv"))
    return video, npz, csv


def refuse_overwriting(outputs: Iterable[str | os.PathLike], files: Iterable[str | os.PathLike]) -> None:
    """Raises InputError if one of the input `files` is one of `outputs`."""
    written = {Path(path).resolve() for path in outputs}
    for file in files:
        if Path(file).resolve() in written:
            raise InputError(f"{file} is an input and would be replaced by the output; give another output name.")
