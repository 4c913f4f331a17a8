"""Reading image files with Pillow. Every failure is an InputError in one sentence."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from demo_jax.errors import InputError
from demo_jax.media.files import check_input

# The formats of Pillow for photographs whose readers start no other program.
IMAGE_FORMATS = (
    "JPEG", "PNG", "WEBP", "AVIF", "BMP", "TIFF", "GIF", "PPM", "JPEG2000", "QOI", "ICO", "ICNS", "PSD", "PCX", "SGI",
    "TGA",
)  # fmt: skip
MAX_IMAGE_PIXELS = 50_000_000
MIN_IMAGE_SIDE = 32

# The first bytes of formats that Pillow alone cannot read.
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}
_JPEG_XL = (b"\xff\x0a", b"\x00\x00\x00\x0cJXL \r\n\x87\n")
_DRAWING = (b"%PDF", b"%!PS", b"<svg", b"<?xml")

_SUBFILE_TYPE, _BITS_PER_SAMPLE = 254, 258  # tags of TIFF
_FLOAT_HEADROOM = 8.0  # floating-point images are in units of white, of 255 or of 65535, and may exceed white


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Reads an image file as uint8 sRGB [H, W, 3], upright (EXIF), with its colour profile applied, any depth and CMYK
    converted, transparency over white; of several images, the first. Raises InputError if the file is missing, not an
    image, cut, below 32 pixels a side or above 50 million pixels."""
    file = check_input(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an invalid EXIF block is not an error; sizes are checked here
        return _to_rgb(_upright(_load(path, file)))


def is_image(path: str | os.PathLike) -> bool:
    """Whether the file is of a format that read_image takes. Raises InputError if it is missing or cannot be read."""
    from PIL import Image

    file = check_input(path)
    formats = [name for name in _formats(file) if name != "TGA"]  # TGA has no signature: videos may look like one
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(file, formats=formats):
                return True
        except Exception:  # for damaged files Pillow raises exceptions of any type
            return False


def _load(path: str | os.PathLike, file: Path) -> Any:
    """Returns the decoded image, as Pillow's."""
    from PIL import Image, UnidentifiedImageError

    formats = _formats(file)
    try:
        with Image.open(file, formats=formats) as image:
            width, height = image.size
            if width * height > MAX_IMAGE_PIXELS:
                raise InputError(f"{path} is too large ({width} x {height}); make it at most 50 megapixels.")
            if min(width, height) < MIN_IMAGE_SIDE:
                raise InputError(f"{path} is too small ({width} x {height}); give at least 32 x 32 pixels.")
            if image.format == "TIFF" and int(image.tag_v2.get(_SUBFILE_TYPE, 0)) & 1:  # type: ignore[attr-defined]
                raise InputError(f"{path} is a camera's raw file; convert it to JPEG, or take the camera's JPEG.")
            image.load()
            return image
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(_unknown(path, file)) from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path} is too large; make it at most 50 megapixels.") from error
    except Exception as error:  # Pillow's decoders raise any type: OSError, SyntaxError, struct.error ...
        raise InputError(f"{path} is a damaged or cut image ({error}).") from error


def _formats(file: Path) -> list[str]:
    """The formats that this Pillow can read; with HEIF if the file is one and pillow-heif is installed."""
    from PIL import Image

    Image.init()
    formats = [name for name in IMAGE_FORMATS if name in Image.OPEN]
    if _brands(file) & _HEIF_BRANDS:
        with contextlib.suppress(ImportError):
            import pillow_heif

            pillow_heif.register_heif_opener()
            formats.append("HEIF")
    return formats


def _brands(file: Path) -> set[bytes]:
    """The compatible brands of an ISO media file; an empty set for other files."""
    with file.open("rb") as stream:
        head = stream.read(128)
    length = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[at : at + 4] for at in (8, *range(16, length - 3, 4))} if head[4:8] == b"ftyp" else set()


def _unknown(path: str | os.PathLike, file: Path) -> str:
    with file.open("rb") as stream:
        head = stream.read(16)
    brands = _brands(file)
    if brands & _AVIF_BRANDS:
        return f"{path} is an AVIF image, which the installed Pillow cannot read; convert to JPEG."
    if brands & _HEIF_BRANDS:
        return f"{path} is a HEIC image, as phones make them; convert to JPEG or install pillow-heif."
    if head.startswith(_JPEG_XL):
        return f"{path} is a JPEG XL image, which Pillow cannot read; convert to JPEG."
    if head[:4] in (b"II*\0", b"MM\0*"):
        return f"{path} is a TIFF of a kind that Pillow cannot read (such as colours of 32 bits); convert to JPEG."
    if head.lstrip().startswith(_DRAWING):
        return f"{path} is not an image but a document or a drawing; convert to JPEG."
    return f"{path} is not an image in a known format ({', '.join(IMAGE_FORMATS)}); convert to JPEG."


def _upright(image: Any) -> Any:
    """Turns the image in place by its EXIF orientation; leaves it as it is if EXIF is damaged."""
    from PIL import ImageOps

    # Pillow's EXIF readers raise any type: SyntaxError, KeyError, struct.error ...
    with contextlib.suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)  # a copy would lose its format, which _eight_bits needs
    return image


def _to_rgb(image: Any) -> np.ndarray:
    """Converts any mode of Pillow to uint8 [H, W, 3]."""
    from PIL import Image

    profile = image.info.get("icc_profile")
    if image.mode.startswith("I") or image.mode == "F":
        image = _eight_bits(image)
    elif image.mode == "La":  # Pillow converts premultiplied grey to LA only
        image = image.convert("LA")
    if image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
        image = image.convert("LA" if image.mode == "LA" else "RGBA")
        opacity = image.getchannel("A")
        colours = _to_srgb(image.convert("L" if image.mode == "LA" else "RGB"), profile)
        return np.array(Image.composite(colours, Image.new("RGB", image.size, (255, 255, 255)), opacity), np.uint8)
    return np.array(_to_srgb(image, profile), np.uint8)


def _eight_bits(image: Any) -> Any:
    """Converts grey of 16 or 32 bits, or floating-point, to mode L."""
    from PIL import Image

    values = np.nan_to_num(np.asarray(image, np.float64), posinf=0.0, neginf=0.0)
    peak = float(values.max())
    if image.mode == "F":
        white = next((w for w in (1.0, 255.0, 65535.0) if peak <= w * (_FLOAT_HEADROOM if w == 1.0 else 1.0)), peak)
    elif image.mode == "I":
        white = next((w for w in (255.0, 65535.0) if peak <= w), peak)
    else:
        bits = image.tag_v2.get(_BITS_PER_SAMPLE, (16,))[0] if image.format == "TIFF" else 16
        white = 2.0**bits - 1
    # Truncated, as Pillow truncates colours.
    return Image.fromarray(np.clip(values * (255 / white) + 1e-6, 0, 255).astype(np.uint8))


def _to_srgb(image: Any, profile: bytes | None) -> Any:
    """Converts an image without transparency to mode RGB. A damaged profile, or one for another mode, is ignored."""
    from PIL import Image, ImageCms

    source: Any
    if image.mode == "LAB":
        source = ImageCms.createProfile("LAB")
    elif not profile:
        return image.convert("RGB")
    else:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            space = source.profile.xcolor_space.strip()
        except (ImageCms.PyCMSError, OSError, ValueError):
            return image.convert("RGB")
        mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(space)
        if mode == "L" and image.mode in ("1", "L"):
            image = image.convert("L")
        elif mode == "RGB" and image.mode != "CMYK":
            image = image.convert("RGB")
        elif mode != image.mode:
            return image.convert("RGB")
    try:
        converted = ImageCms.profileToProfile(
            image,
            source,
            ImageCms.createProfile("sRGB"),
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            "RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image.convert("RGB") if image.mode != "LAB" else Image.merge("RGB", [image.getchannel("L")] * 3)
    assert converted is not None  # only inPlace gives none
    return converted
