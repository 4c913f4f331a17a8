"""Writing a video while its frames and its sound are still being made."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from data_pipelines import media
from demo_jax.typing import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, InputError

FRAGMENT = 200_000  # microseconds: what a player has to wait for


class LiveWriter:
    """H.264 and AAC in fragments of an mp4, each complete in itself, so that it can be played while it grows.

        with LiveWriter(None, (128, 128)) as video:          # None: to standard output
            video.write(frame, sound)                        # uint8 RGB [128, 128, 3], int16 [640]

    A file appears under its name only when it is whole; after an error nothing is left. `metadata` adds to what marks
    every video as synthetic media. `size` is (height, width), both even. Raises InputError if ffmpeg fails.
    """

    def __init__(self, path: Path | None, size: tuple[int, int], metadata: Mapping[str, str]) -> None:
        self.path, self.size, self.frames = path, size, 0
        self._temporary = None if path is None else path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by _clean)
        hears, self._sound = os.pipe()
        marks = {"title": "Synthetic media", "comment": media.SYNTHETIC, "description": media.SYNTHETIC}
        command = _command(self._temporary, size, hears)
        for name, value in (marks | dict(metadata)).items():
            command[-1:-1] = ["-metadata", f"{name}={value}"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=None if path is None else subprocess.DEVNULL, stderr=self._log,
            start_new_session=True, pass_fds=(hears,),
        )  # fmt: skip
        os.close(hears)

    def write(self, frame: np.ndarray, sound: np.ndarray) -> None:
        """Appends one uint8 RGB [H, W, 3] frame and its int16 [640] samples."""
        if frame.shape != (*self.size, 3) or frame.dtype != np.uint8 or sound.shape != (SAMPLES_PER_FRAME,):
            raise ValueError(f"frame is {frame.dtype}{frame.shape}, sound {sound.shape}; not {(*self.size, 3)}, (640,)")
        assert self._process.stdin is not None
        try:
            # Sound first: ffmpeg asks for whichever stream is behind, and the two must not wait for each other.
            os.write(self._sound, np.ascontiguousarray(sound, "<i2").tobytes())
            self._process.stdin.write(np.ascontiguousarray(frame).data)
            self._process.stdin.flush()
        except OSError as error:
            raise self._failure() from error
        self.frames += 1

    def close(self) -> None:
        """Finishes the video and gives a file its name."""
        assert self._process.stdin is not None
        os.close(self._sound)
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        if self._process.wait() != 0 or not self.frames:
            failure = self._failure() if self.frames else InputError(f"{self.path or 'the video'}: no frame was made.")
            self._clean()
            raise failure
        if self._temporary is not None and self.path is not None:
            os.replace(self._temporary, self.path)
        self._clean()

    def abort(self) -> None:
        """Stops, and removes what was written to a file so far."""
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):
            os.close(self._sound)
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._clean()

    def _clean(self) -> None:
        self._log.close()
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)

    def _failure(self) -> InputError:
        self._process.wait()
        self._log.seek(0)
        reason = media.ffmpeg_reason(self._log.read().decode(errors="replace"))
        return InputError(f"{self.path or 'standard output'} could not be written: {reason}.")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


def _command(file: Path | None, size: tuple[int, int], sound: int) -> list[str]:
    import ffmpeg

    quick: dict[str, Any] = {"probesize": 32, "analyzeduration": 0}  # raw streams: there is nothing to find out
    pictures = ffmpeg.input(
        "pipe:0", format="rawvideo", pix_fmt="rgb24", video_size=(size[1], size[0]), framerate=FPS, **quick
    )
    speech = ffmpeg.input(f"pipe:{sound}", format="s16le", ar=SAMPLE_RATE, ac=1, **quick)
    options = media.PICTURES | {
        "tune": "zerolatency", "acodec": "aac", "audio_bitrate": "128k", "format": "mp4", "frag_duration": FRAGMENT,
        "movflags": "frag_keyframe+delay_moov+default_base_moof+use_metadata_tags", "flush_packets": 1, "g": FPS,
    }  # fmt: skip
    target = "pipe:1" if file is None else f"file:{file.absolute()}"
    return media.ffmpeg_command(ffmpeg.output(pictures, speech, target, **options), "-loglevel", "error", "-y")
