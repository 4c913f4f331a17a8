"""Writing the frames of a video as numbered PNG files, in place of a video or beside it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from demo_jax.errors import InputError
from demo_jax.media.files import CloseOrAbort, check_name, link_target, temporary_name
from demo_jax.media.video_writer import SYNTHETIC, check_frame, synthetic_marks

COMPRESSION = 1  # of zlib: at 6 a frame takes 3.5 times as long and is a tenth smaller
_FRAME = re.compile(r"\d{6,}\.png")
_UNFINISHED = ".unfinished.tmp"  # in a folder that exists; another one is made under a hidden name


def check_frame_folder(path: str | os.PathLike) -> Path:
    """Returns the path if a FrameFolder can be made there: an empty folder, one of frames of an earlier call, or a new
    one in a folder that exists. Call it before any work. Raises InputError otherwise."""
    check_name(os.fspath(path))
    folder = Path(path)
    try:
        if folder.is_dir():
            if not _holds_only_frames(folder):
                raise InputError(
                    f"folder {folder} is not empty; name a new or an empty folder for the frames, or one that holds "
                    "nothing but the frames of an earlier call, which are replaced."
                )
        elif folder.exists() or folder.is_symlink():
            raise InputError(f"{folder} is a file or a link that leads nowhere; name another folder for the frames.")
        elif not folder.absolute().parent.is_dir():
            raise InputError(f"folder {folder.absolute().parent} does not exist; make it first.")
        with tempfile.TemporaryFile(dir=folder if folder.is_dir() else folder.absolute().parent):
            pass  # really writing is the only test that also holds for read-only mounts and for root
    except OSError as error:
        raise InputError(f"folder {folder} cannot be written ({error.strerror}).") from error
    return folder


def _holds_only_frames(folder: Path) -> bool:
    """Whether a folder holds nothing but frames that were marked as synthetic here."""
    from PIL import Image

    names = sorted({path.name for path in folder.iterdir()} - {_UNFINISHED})
    if not names:
        return True
    if not all(map(_FRAME.fullmatch, names)):
        return False
    try:
        with Image.open(folder / names[0]) as image:
            return str(image.info.get("Description")).startswith(SYNTHETIC)
    except (OSError, SyntaxError):  # not a PNG file
        return False


class FrameFolder(CloseOrAbort):
    """Writes frames as 000001.png, 000002.png, ... in sRGB. They appear when all are written; after an error or an
    interrupt nothing is left of them, and an earlier call's frames are as they were.

        with FrameFolder("frames", (256, 256)) as folder:
            for frame in frames:        # uint8 RGB [256, 256, 3]
                folder.write(frame)

    Args:
      path: a folder that does not exist yet, is empty, or holds nothing but frames of an earlier call.
      size: (height, width).
      metadata: added to the marks of synthetic media, as text of each PNG file: Title, Comment, Description ...
      synthetic: False only for copies of real recordings (tests, previews).
      alpha: frames are RGBA, not multiplied by their alpha.

    Raises:
      InputError: the folder holds other files, or cannot be written (say, the disk is full).
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
        self._target = link_target(self.path)
        self._is_new = not self._target.is_dir()  # a folder that exists may be a mount, which cannot be renamed
        self._unfinished = temporary_name(self._target) if self._is_new else self._target / _UNFINISHED
        with self._failures():
            shutil.rmtree(self._unfinished, ignore_errors=True)  # of a call that was killed
            self._unfinished.mkdir()

    def write(self, frame: np.ndarray) -> None:
        """Writes one uint8 RGB [H, W, 3] or, with alpha, RGBA [H, W, 4] frame."""
        from PIL import Image

        check_frame(frame, self.size, self.alpha)
        with self._failures():
            file = self._unfinished / self.file(self.frames).name
            Image.fromarray(frame).save(file, "PNG", compress_level=COMPRESSION, pnginfo=self._text)
        self.frames += 1

    def file(self, frame: int) -> Path:
        """The file of a frame, which counts from 0; the files' names count from 1, as ffmpeg's do."""
        return self.path / f"{frame + 1:06d}.png"

    def close(self) -> None:
        """Lets the frames appear. Raises InputError, leaving nothing behind, if there are none or that fails."""
        try:
            if not self.frames:
                raise InputError(f"{self.path}: no frame was made.")
            check_frame_folder(self.path)  # others may have written there since
            with self._failures():
                if self._is_new:
                    self._unfinished.rename(self._target)
                else:
                    self._replace()
        finally:
            self.abort()

    def _replace(self) -> None:
        for path in self._target.glob("*.png"):
            path.unlink()
        for path in self._unfinished.iterdir():
            path.rename(self._target / path.name)

    def abort(self) -> None:
        """Removes what was written, if it has not appeared yet."""
        shutil.rmtree(self._unfinished, ignore_errors=True)

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(f"folder {self.path} cannot be written ({error.strerror}).") from error
