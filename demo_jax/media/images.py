"""Reading image files with Pillow. Every failure is an InputError in one sentence."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from demo_jax.errors import InputError
from demo_jax.media.files import check_input
from demo_jax.media.resize import fitted_size, resize_to

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
_MARGIN = 2  # coarse ways of reducing stop at so many times the size asked for
_STRIP = 2**20  # pixels that are converted at once
_FLOAT_HEADROOM = 8.0  # floating-point images are in units of white, of 255 or of 65535, and may exceed white


def read_image(path: str | os.PathLike, longest: int | None = None) -> UInt8[np.ndarray, "H W 3"]:
    """Reads an image file as sRGB, upright (EXIF), with its colour profile applied, any depth and CMYK converted,
    transparency over white; of several images, the first.

    Args:
      path: of the file.
      longest: reduces an image whose longer side has more pixels to this many. JPEG files are then decoded reduced, and
        others reduced before they are converted, which needs less memory.

    Raises:
      InputError: the file is missing, not an image, cut, below 32 pixels a side or above 50 million pixels.
    """
    from PIL import Image

    colours, opacity, size = _read(path, longest)
    if opacity is not None:
        colours = Image.composite(colours, Image.new("RGB", colours.size, (255, 255, 255)), opacity)
    return resize_to(_array(colours), size)


def read_image_with_alpha(path: str | os.PathLike, longest: int | None = None) -> UInt8[np.ndarray, "H W 4"]:
    """read_image as RGBA with straight alpha, 255 where the file has none. Raises InputError."""
    colours, opacity, size = _read(path, longest)
    if opacity is None:
        return np.dstack([resize_to(_array(colours), size), np.full(size, 255, np.uint8)])
    return resize_to(np.dstack([_array(colours), _array(opacity)]), size)


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


def _read(path: str | os.PathLike, longest: int | None) -> tuple[Any, Any, tuple[int, int]]:
    """Returns Pillow's image of the colours (RGB), that of the opacity (L) or None, and the size (height, width) that
    they are reduced to; the images may still be larger."""
    file = check_input(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an invalid EXIF block is not an error; sizes are checked here
        image, (width, height) = _load(path, file, longest)
        stored = image.size
        image = _upright(image)
        if image.size != stored:
            width, height = height, width
        size = (height, width) if longest is None else fitted_size(height, width, longest)
        return *_to_rgb(image, size), size


def _load(path: str | os.PathLike, file: Path, longest: int | None) -> tuple[Any, tuple[int, int]]:
    """Returns the decoded image, as Pillow's, and (width, height) in the file; a JPEG may be decoded smaller."""
    from PIL import Image, UnidentifiedImageError

    formats = _formats(file)
    try:
        # From a stream, since Pillow maps a named file into memory, where a TIFF that is turned comes out garbled.
        with file.open("rb") as stream, Image.open(stream, formats=formats) as image:
            width, height = image.size
            if width * height > MAX_IMAGE_PIXELS:
                raise InputError(f"{path} is too large ({width} x {height}); make it at most 50 megapixels.")
            if min(width, height) < MIN_IMAGE_SIDE:
                raise InputError(f"{path} is too small ({width} x {height}); give at least 32 x 32 pixels.")
            if image.format == "TIFF" and int(image.tag_v2.get(_SUBFILE_TYPE, 0)) & 1:  # type: ignore[attr-defined]
                raise InputError(f"{path} is a camera's raw file; convert it to JPEG, or take the camera's JPEG.")
            reduced = None
            if longest is not None:  # a JPEG is decoded at 1/2, 1/4 or 1/8, not below this size
                reduced = image.draft(None, fitted_size(height, width, _MARGIN * longest)[::-1])
            image.load()  # the size of icons may change, and that of HEIC when it is turned
            return image, (width, height) if reduced else image.size
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
        return f"{path} is a HEIC image, as phones make them; pip install 'demo_jax[heif]', or convert to JPEG."
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


def _to_rgb(image: Any, size: tuple[int, int]) -> tuple[Any, Any]:
    """Converts any mode of Pillow to RGB, and the opacity to L, or None if there is none. Images larger than `size`
    (height, width) are reduced as soon as their mode allows."""
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I") or image.mode == "F":
        image = _eight_bits(image)
    elif image.mode == "La":  # Pillow converts premultiplied grey to LA only
        image = image.convert("LA")
    if image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
        # Not to the end: Pillow multiplies colours by the opacity in eight bits, which leaves little of faint ones.
        height, width = size
        image = _reduce(image.convert("LA" if image.mode == "LA" else "RGBA"), (_MARGIN * height, _MARGIN * width))
        opacity = image.getchannel("A")
        return _to_srgb(image.convert("L" if image.mode == "LA" else "RGB"), profile), opacity
    return _to_srgb(_reduce(image, size), profile), None


def _reduce(image: Any, size: tuple[int, int]) -> Any:
    """Returns the image, of at most this (height, width)."""
    from PIL import Image

    if image.height <= size[0] or image.width <= size[1]:
        return image
    if image.mode in ("1", "P"):  # what these have as values cannot be averaged
        image = image.convert("L" if image.mode == "1" else "RGB")
    return image.resize(size[::-1], Image.Resampling.LANCZOS)


def _array(image: Any) -> np.ndarray:
    """Copies a Pillow image in strips; at once it would be in memory four times."""
    bands = (len(image.getbands()),) if len(image.getbands()) > 1 else ()
    pixels = np.empty((image.height, image.width, *bands), np.uint8)
    for top, strip in _strips(image):
        pixels[top : top + strip.height] = strip
    return pixels


def _strips(image: Any) -> Iterator[tuple[int, Any]]:
    """Yields the image in strips, as Pillow's, and the first row of each."""
    rows = max(_STRIP // image.width, 1)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _eight_bits(image: Any) -> Any:
    """Converts grey of 16 or 32 bits, or floating-point, to mode L."""
    from PIL import Image

    def values(strip: Any) -> np.ndarray:
        return np.nan_to_num(np.asarray(strip, np.float64), posinf=0.0, neginf=0.0)

    peak = max(float(values(strip).max()) for _, strip in _strips(image))
    if image.mode == "F":
        white = next((w for w in (1.0, 255.0, 65535.0) if peak <= w * (_FLOAT_HEADROOM if w == 1.0 else 1.0)), peak)
    elif image.mode == "I":
        white = next((w for w in (255.0, 65535.0) if peak <= w), peak)
    else:
        bits = image.tag_v2.get(_BITS_PER_SAMPLE, (16,))[0] if image.format == "TIFF" else 16
        white = 2.0**bits - 1
    pixels = np.empty((image.height, image.width), np.uint8)
    for top, strip in _strips(image):  # truncated, as Pillow truncates colours
        pixels[top : top + strip.height] = np.clip(values(strip) * (255 / white) + 1e-6, 0, 255)
    return Image.fromarray(pixels)


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
