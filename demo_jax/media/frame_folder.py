"""Writing the frames of a video as numbered PNG files, in place of a video or beside it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from demo_jax.errors import InputError
from demo_jax.media.files import AtomicFile, check_name
from demo_jax.media.video_writer import check_frame, synthetic_marks

COMPRESSION = 1  # of zlib: at 6 a frame takes 3.5 times as long and is a tenth smaller


def check_frame_folder(path: str | os.PathLike) -> Path:
    """Returns the path if a FrameFolder can be made there: an empty folder, or a new one in a folder that exists.
    Call it before any work. Raises InputError otherwise."""
    check_name(os.fspath(path))
    folder = Path(path)
    try:
        if folder.is_dir():
            if any(folder.iterdir()):
                raise InputError(f"folder {folder} is not empty; name a new or an empty folder for the frames.")
        elif folder.exists() or folder.is_symlink():
            raise InputError(f"{folder} is a file or a link that leads nowhere; name another folder for the frames.")
        elif not folder.absolute().parent.is_dir():
            raise InputError(f"folder {folder.absolute().parent} does not exist; make it first.")
        with tempfile.TemporaryFile(dir=folder if folder.is_dir() else folder.absolute().parent):
            pass  # really writing is the only test that also holds for read-only mounts and for root
    except OSError as error:
        raise InputError(f"folder {folder} cannot be written ({error.strerror}).") from error
    return folder


class FrameFolder:
    """Writes frames as 000001.png, 000002.png, ... in sRGB. After an error or an interrupt none of them is left,
    nor the folder if it was made for them.

        with FrameFolder("frames", (256, 256)) as folder:
            for frame in frames:        # uint8 RGB [256, 256, 3]
                folder.write(frame)

    Args:
      path: a folder that is empty, or does not exist yet.
      size: (height, width).
      metadata: added to the marks of synthetic media, as text of each PNG file: Title, Comment, Description ...
      synthetic: False only for copies of real recordings (tests, previews).
      alpha: frames are RGBA, not multiplied by their alpha.

    Raises:
      InputError: the folder is not empty, or cannot be written (say, the disk is full).
    """

    def __init__(
        self,
        path: str | os.PathLike,
        size: tuple[int, int],
        metadata: Mapping[str, str] | None = None,
        synthetic: bool = True,
        alpha: bool = False,
    ) -> None:
        from PIL import PngImagePlugin

        self.path, self.size, self.alpha, self.frames = check_frame_folder(path), size, alpha, 0
        self._text = PngImagePlugin.PngInfo()
        self._text.add(b"sRGB", b"\x01")  # relative colorimetric
        for name, value in ((synthetic_marks() if synthetic else {}) | dict(metadata or {})).items():
            self._text.add_text(name.capitalize(), value)  # iTXt where it is not Latin-1
        self._made = not self.path.exists()
        with self._failures():
            self.path.mkdir(exist_ok=True)

    def write(self, frame: np.ndarray) -> None:
        """Writes one uint8 RGB [H, W, 3] or, with alpha, RGBA [H, W, 4] frame."""
        from PIL import Image

        check_frame(frame, self.size, self.alpha)
        with self._failures(), AtomicFile(self.file(self.frames)) as temporary:
            Image.fromarray(frame).save(temporary, "PNG", compress_level=COMPRESSION, pnginfo=self._text)
        self.frames += 1

    def file(self, frame: int) -> Path:
        """The file of a frame, which counts from 0; the files' names count from 1, as ffmpeg's do."""
        return self.path / f"{frame + 1:06d}.png"

    def close(self) -> None:
        """Ends the frames. Raises InputError, leaving nothing behind, if there are none."""
        if not self.frames:
            self.abort()
            raise InputError(f"{self.path}: no frame was made.")

    def abort(self) -> None:
        """Removes the frames written so far, and the folder if it was made for them."""
        for frame in range(self.frames):
            self.file(frame).unlink(missing_ok=True)
        self.frames = 0
        if self._made:
            with contextlib.suppress(OSError):  # others' files in it stay
                self.path.rmdir()

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(f"folder {self.path} cannot be written ({error.strerror}).") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()
