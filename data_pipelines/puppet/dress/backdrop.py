"""The background image of a puppet, plain to busy and slightly out of focus; the same composition at every size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter

from data_pipelines.puppet.dress import scenery
from data_pipelines.puppet.dress.scenery import Canvas
from data_pipelines.puppet.person.identity import Identity
from data_pipelines.puppet.person.palette import brightness, with_luma
from data_pipelines.puppet.person.surface import bump, smoothstep

BACKDROPS: dict[str, Callable[[Canvas, np.random.Generator], None]] = {}  # filled below
_FOCUS = 0.008  # standard deviation of the blur, in frame widths
_AROUND_HAIR = ((0.22, 0.72), (0.78, 0.72), (0.30, 0.86), (0.70, 0.86), (0.50, 0.92))  # places in the frame


def background(identity: Identity, size: int) -> np.ndarray:
    """Returns the background image [size, size, 3] float32, sRGB 0-255."""
    canvas = Canvas(size, *(np.array(c) for c in identity.background))
    BACKDROPS[identity.background_style](canvas, np.random.default_rng(identity.background_seed))
    soft = (_FOCUS * size, _FOCUS * size, 0.0)
    image = gaussian_filter(np.clip(canvas.image, 0.0, 1.0), soft, mode="nearest")
    if identity.hair_style != "bald":
        image = _apart_from(image, brightness(identity.hair))
    return (255.0 * image).astype(np.float32)


def _apart_from(image: np.ndarray, hair: float, least: float = 0.16) -> np.ndarray:
    """Returns the image, made lighter or darker as a whole if it is about as bright as the hair in front of it."""
    size = len(image)
    blocks = []
    for x, y in _AROUND_HAIR:
        column, row = int(x * size), int((1 - y) * size)
        half = max(size // 16, 1)
        blocks.append(image[max(row - half, 0) : row + half, column - half : column + half].mean((0, 1)))
    mean = brightness(np.mean(blocks, 0))
    if abs(mean - hair) >= least:
        return image
    return with_luma(image, mean, hair + least if hair < 0.5 else hair - least)


def _plain(canvas: Canvas, rng: np.random.Generator) -> None:
    at = np.stack([canvas.x, canvas.y], -1)
    canvas.blend(0.6 * (1 - bump(at, (0.5, 0.6), (0.5, 0.5))), canvas.deep)


def _glow(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.image[:] = canvas.deep
    at = np.stack([canvas.x, canvas.y], -1)
    canvas.blend(bump(at, (rng.uniform(0.3, 0.7), 0.64), (0.33, 0.33)), canvas.bright)


def _split(canvas: Canvas, rng: np.random.Generator) -> None:
    slope, height = rng.uniform(-0.6, 0.6), rng.uniform(0.35, 0.65)
    canvas.blend(smoothstep(0.012, -0.012, canvas.y - height - slope * (canvas.x - 0.5)), canvas.deep)


def _stripes(canvas: Canvas, rng: np.random.Generator) -> None:
    angle, number = rng.choice([0.0, 0.7, 1.57, 2.4]), rng.integers(4, 9)
    wave = np.sin(2 * np.pi * number * (canvas.x * np.cos(angle) + canvas.y * np.sin(angle)) + rng.uniform(0, 6.3))
    canvas.blend(0.8 * smoothstep(-0.3, 0.3, wave), canvas.deep)


def _shapes(canvas: Canvas, rng: np.random.Generator) -> None:
    for i in range(7):
        colour = (canvas.deep, canvas.accent, 0.5 * (canvas.bright + canvas.accent))[i % 3]
        middle, radius = rng.uniform([0, 0.15], 1.0), rng.uniform(0.10, 0.26)
        if rng.uniform() < 0.6:
            canvas.disc(middle[0], middle[1], radius, radius, colour, 0.02, 0.75)
        else:
            canvas.box(middle[0] - radius, middle[0] + radius, middle[1] - 0.6 * radius, middle[1] + 0.6 * radius,
                       colour, 0.02, 0.75)  # fmt: skip


def _lights(canvas: Canvas, rng: np.random.Generator, number: int, largest: float, strength: float) -> None:
    for _ in range(number):
        colour = np.array([(1.0, 0.86, 0.62), (1.0, 0.95, 0.88), canvas.accent, canvas.bright][rng.integers(4)])
        radius = rng.uniform(0.35, 1.0) * largest
        x, y = rng.uniform(0, 1), rng.uniform(0.05, 1.0)
        canvas.disc(x, y, radius, radius, colour, 0.014, strength * rng.uniform(0.35, 1.0))


def _bokeh(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.blend(0.9 * smoothstep(1.0, 0.0, canvas.y), 0.8 * canvas.deep)
    _lights(canvas, rng, 26, 0.075, 0.55)


def _night(canvas: Canvas, rng: np.random.Generator) -> None:
    dark = 0.22 * canvas.bright + 0.12 * canvas.deep
    canvas.image[:] = dark + 0.10 * canvas.y[..., None]
    scenery.houses(canvas, rng, 0.6 * dark, None)
    _lights(canvas, rng, 44, 0.032, 0.85)


def _brick(canvas: Canvas, rng: np.random.Generator) -> None:
    brick = 0.55 * canvas.bright + 0.45 * np.array([0.66, 0.40, 0.32])
    scenery.courses(canvas, rng, brick, 0.80 * canvas.bright + 0.16, 13, 5.2, 0.5, 0.10)


def _tiles(canvas: Canvas, rng: np.random.Generator) -> None:
    scenery.courses(canvas, rng, canvas.bright, 0.75 * canvas.deep, 7, 7, 0.0, 0.06)


def _panels(canvas: Canvas, rng: np.random.Generator) -> None:
    wide = 1.0 / rng.integers(4, 7)
    for x in np.arange(0, 1, wide):
        canvas.box(x - 0.006, x + 0.006, -0.1, 1.1, 0.8 * canvas.deep, 0.010, 0.8)
        canvas.box(x + 0.008, x + 0.02, -0.1, 1.1, canvas.bright + 0.08, 0.010, 0.5)
    canvas.box(-0.1, 1.1, 0.36, 0.39, 1.08 * canvas.bright, 0.010, 0.9)
    canvas.box(-0.1, 1.1, -0.1, 0.36, canvas.deep, 0.012, 0.35)


BACKDROPS.update(
    {
        "plain": _plain,
        "glow": _glow,
        "split": _split,
        "stripes": _stripes,
        "shapes": _shapes,
        "bokeh": _bokeh,
        "night": _night,
        "brick": _brick,
        "tiles": _tiles,
        "panels": _panels,
        "window": scenery.window,
        "shelves": scenery.shelves,
        "gallery": scenery.gallery,
        "plants": scenery.plants,
        "hills": scenery.hills,
        "park": scenery.park,
        "sea": scenery.sea,
        "skyline": scenery.skyline,
    }
)
