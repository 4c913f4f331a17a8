"""Small media files for the tests, made by ffmpeg's own sources."""

from __future__ import annotations

import subprocess
from pathlib import Path

import av
import numpy as np

from demo_jax.constants import FPS, SAMPLE_RATE
from demo_jax.media import ffmpeg, video

CLOCK = "lt(mod(t-0.5+10,1),0.08)"  # true for two frames from every half second on
FLASHES = f"color=black:s=64x64:r=25:d=4,drawbox=c=white:t=fill:enable='{CLOCK}'"
CLICKS = f"aevalsrc='if({CLOCK},sin(2*PI*1000*t),0)':s=48000:d=4"
PICTURE = "testsrc2=s=64x64:r=25:d=1"
SOUND = "sine=440:d=1"


def make(path: Path, *arguments: str) -> Path:
    """Runs ffmpeg; its last argument is `path`."""
    command = [ffmpeg.ffmpeg_program(), "-nostdin", "-v", "error", "-y", *arguments, str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


def source(*graphs: str) -> list[str]:
    return [word for graph in graphs for word in ("-f", "lavfi", "-i", graph)]


def flashes(path: Path) -> np.ndarray:
    """Times at which the frame turns white, in seconds."""
    light = np.array([frame.mean() for frame in video.read_video(path)[1]])
    return (np.flatnonzero((light[1:] > 128) & (light[:-1] <= 128)) + 1) / FPS


def clicks(waveform: np.ndarray, level: float = 3000) -> np.ndarray:
    """Times at which audio begins after at least 0.2 s of silence, in seconds."""
    loud = np.flatnonzero(np.abs(waveform.astype(np.int32)) > level)
    return loud[np.diff(loud, prepend=-9999) > 3200] / SAMPLE_RATE


def decoded(path: Path, *options: str) -> np.ndarray:
    """RGBA frames; ffmpeg's own VP9 decoder leaves alpha out, libvpx's does not."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        height, width = stream.height, stream.width
    command = [ffmpeg.ffmpeg_program(), "-nostdin", "-v", "error", *options, "-c:v", "libvpx-vp9", "-i", str(path)]
    command += ["-f", "rawvideo", "-pix_fmt", "rgba", "pipe:1"]
    done = subprocess.run(command, check=True, capture_output=True)
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 4)
