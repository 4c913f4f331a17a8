"""Frame rates of generated video, and which samples of the 16 kHz audio belong to which frame.

Frame i is shown from i / fps seconds on. Of n samples a second, its audio is the samples floor(i n / fps) to
floor((i + 1) n / fps), so that rounding never adds up: at 30 frames a second frames have 533 or 534 samples of 16 kHz.
A video has as many frames as begin before its audio ends.
"""

from __future__ import annotations

from demo_jax.constants import FPS, SAMPLE_RATE
from demo_jax.errors import InputError

FRAME_RATES = (FPS, 30, 50, 60)  # frames a second


def check_frame_rate(fps: float) -> int:
    """Returns a rate as an int. Raises InputError if it is not one of FRAME_RATES."""
    if fps not in FRAME_RATES:
        rates = ", ".join(str(rate) for rate in FRAME_RATES)
        raise InputError(f"{fps:g} frames a second are not possible; choose one of {rates}.")
    return int(fps)


def first_sample(frame: int, fps: int) -> int:
    """Returns the index of the first 16 kHz sample of a frame; also the number of samples of the frames before it."""
    return frame * SAMPLE_RATE // fps


def frame_count(samples: int, fps: int) -> int:
    """Returns how many frames show this many 16 kHz samples: ceil(seconds * fps), so the last may outlast the audio."""
    return -(-samples * fps // SAMPLE_RATE)
