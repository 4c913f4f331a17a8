"""All reading of pictures, by Pillow."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np

from data_pipelines.media import check_input
from demo_jax.typing import InputError

PICTURE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
MAX_PICTURE_PIXELS = 50_000_000
MIN_PICTURE_SIDE = 32


def read_image(path: str | os.PathLike) -> np.ndarray:
    """A picture file -> uint8 RGB [H, W, 3], upright (EXIF), 16-bit and CMYK converted, transparency over white.
    Raises InputError if it is missing, no picture, cut, below 32 pixels a side or above 50 million pixels."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    file = check_input(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a strange EXIF block is no reason to fail; sizes are checked here
        try:
            with Image.open(file, formats=PICTURE_FORMATS) as picture:
                width, height = picture.size
                if width * height > MAX_PICTURE_PIXELS:
                    raise InputError(f"{path} is too large ({width} x {height}); make it at most 50 megapixels.")
                if min(width, height) < MIN_PICTURE_SIDE:
                    raise InputError(f"{path} is too small ({width} x {height}); give at least 32 x 32 pixels.")
                picture.load()
                upright = ImageOps.exif_transpose(picture)
                return _to_rgb(upright)
        except UnidentifiedImageError as error:
            raise InputError(f"{path} is not a picture in a known format ({', '.join(PICTURE_FORMATS)}).") from error
        except Image.DecompressionBombError as error:
            raise InputError(f"{path} is too large; make it at most 50 megapixels.") from error
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path} is a damaged or cut picture ({error}).") from error


def _to_rgb(picture: Any) -> np.ndarray:
    from PIL import Image

    if picture.mode.startswith("I"):  # 16 bits a pixel, grey
        grey = np.clip(np.asarray(picture).astype(np.int64) // 257, 0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, (255, 255, 255, 255)), picture)
    return np.array(picture.convert("RGB"), np.uint8)
