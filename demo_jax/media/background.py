"""What is seen behind the person: nothing, a colour, or an image."""

from __future__ import annotations

import dataclasses
import os
import re

import numpy as np
from jaxtyping import UInt8

from demo_jax.errors import InputError
from demo_jax.media.images import read_image

TRANSPARENT = "transparent"
LONGEST = 4320  # pixels: twice the longer side of the largest video, so that a wide image still covers a high one


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Background:
    """A background.

    text    as the user gave it
    pixels  uint8 RGB: of the image, or a single pixel of the colour; None if it is transparent
    """

    text: str
    pixels: UInt8[np.ndarray, "h w 3"] | None

    @property
    def transparent(self) -> bool:
        return self.pixels is None

    def image(self, height: int, width: int) -> UInt8[np.ndarray, "H W 3"] | None:
        """Returns the background at the size of a video: an image covers it, its centre is kept. None: transparent."""
        from PIL import Image, ImageOps

        if self.pixels is None:
            return None
        if self.pixels.shape[:2] == (1, 1):
            return np.broadcast_to(self.pixels, (height, width, 3)).copy()
        whole = Image.fromarray(self.pixels)
        return np.array(ImageOps.fit(whole, (width, height), Image.Resampling.LANCZOS))


def parse_background(text: str) -> Background:
    """Returns the background that `text` names: `transparent`, a colour as #RRGGBB, or an image file. Raises InputError
    for anything else, and for an image that cannot be read."""
    if text == TRANSPARENT:
        return Background(text=text, pixels=None)
    if re.fullmatch("#[0-9A-Fa-f]{6}", text):
        return Background(text=text, pixels=np.frombuffer(bytes.fromhex(text[1:]), np.uint8).reshape(1, 1, 3))
    if not os.path.lexists(text.partition("\0")[0]):
        raise InputError(
            f"background {text!r} is none of the three: {TRANSPARENT}, a colour such as #00B140 (#RRGGBB), or the name "
            "of an image file that exists."
        )
    return Background(text=text, pixels=read_image(text, LONGEST))
