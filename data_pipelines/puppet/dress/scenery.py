"""Rooms and landscapes for background images, painted with soft-edged boxes and discs on a unit square."""

from __future__ import annotations

import numpy as np

from data_pipelines.puppet.person.palette import CLOTHS, colour
from data_pipelines.puppet.person.surface import smoothstep

_SKY, _GREEN, _WOOD = np.array([0.66, 0.80, 0.92]), np.array([0.44, 0.56, 0.34]), np.array([0.52, 0.38, 0.27])


class Canvas:
    """An image [size, size, 3], sRGB 0-1, filled with `bright` at first; positions are x to the right, y up, 0-1.

    `blur` is half the width of soft edges: at least a pixel of the smallest frames, so all sizes agree.
    """

    def __init__(self, size: int, bright: np.ndarray, deep: np.ndarray, accent: np.ndarray):
        self.size, self.bright, self.deep, self.accent = size, bright, deep, accent
        self.at = (np.arange(size) + 0.5) / size
        self.x, self.y = np.meshgrid(self.at, 1.0 - self.at)
        self.image = np.tile(bright, (size, size, 1)).astype(np.float64)

    def blend(self, mask: np.ndarray, colour: np.ndarray) -> None:
        """Blends `colour` ([3] or [size, size, 3]) into the image with the weights mask [size, size], 0-1."""
        self.image += mask[..., None] * (colour - self.image)

    def box(
        self, x0: float, x1: float, y0: float, y1: float, colour: np.ndarray, blur: float = 0.012, opacity: float = 1.0
    ) -> None:
        """Paints an axis-aligned box."""
        across, up = _bar(self.at, x0, x1, blur), _bar(1.0 - self.at, y0, y1, blur)
        columns, rows = np.flatnonzero(across), np.flatnonzero(up)
        if len(columns) and len(rows):
            inside = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            mask = opacity * up[inside[0], None] * across[None, inside[1]]
            self.image[inside] += mask[..., None] * (colour - self.image[inside])

    def disc(
        self,
        x: float,
        y: float,
        wide: float,
        tall: float,
        colour: np.ndarray,
        blur: float = 0.014,
        opacity: float = 1.0,
        turned: float = 0.0,
    ) -> None:
        """Paints an ellipse with half axes `wide`, `tall`, turned anticlockwise by radians."""
        reach = max(wide, tall) + blur
        left, right = np.searchsorted(self.at, [x - reach, x + reach])
        top, bottom = np.searchsorted(self.at, [1 - y - reach, 1 - y + reach])
        inside = np.s_[top:bottom, left:right]
        dx, dy = self.x[inside] - x, self.y[inside] - y
        c, s = np.cos(turned), np.sin(turned)
        away = np.hypot((c * dx + s * dy) / wide, (c * dy - s * dx) / tall)
        mask = opacity * smoothstep(1.0 + blur / min(wide, tall), 1.0 - blur / min(wide, tall), away)
        self.image[inside] += mask[..., None] * (colour - self.image[inside])


def _bar(at: np.ndarray, start: float, end: float, blur: float) -> np.ndarray:
    return smoothstep(start - blur, start + blur, at) * smoothstep(end + blur, end - blur, at)


def _sky(canvas: Canvas, rng: np.random.Generator) -> None:
    high = 0.65 * _SKY + 0.35 * canvas.bright
    low = 0.5 * high + 0.5 * np.array([0.97, 0.93, 0.86])
    canvas.image[:] = low
    canvas.blend(smoothstep(0.35, 1.0, canvas.y), high)
    for _ in range(rng.integers(0, 5)):
        x, y = rng.uniform(0, 1), rng.uniform(0.72, 0.95)
        for _ in range(4):
            canvas.disc(
                x + rng.uniform(-0.09, 0.09), y, 0.08, rng.uniform(0.018, 0.035), np.array([0.98] * 3), 0.02, 0.6
            )


def courses(
    canvas: Canvas,
    rng: np.random.Generator,
    stone: np.ndarray,
    joint: np.ndarray,
    rows: int,
    columns: float,
    offset: float,
    spread: float,
) -> None:
    """Paints a wall of stones in rows, every second row shifted by `offset`; `spread`: how much their tones differ."""
    up = canvas.y * rows
    row = np.floor(up).astype(int)
    along = canvas.x * columns + offset * (row % 2) + 0.3
    tone = rng.uniform(-spread, spread, (rows + 2, int(columns) + 4))[row, np.floor(along).astype(int)]
    canvas.image[:] = joint
    edge = 0.016
    near = [np.minimum(v - np.floor(v), np.ceil(v) - v) / n for v, n in ((up, rows), (along, columns))]
    mask = smoothstep(0.0, edge, near[0]) * smoothstep(0.0, edge, near[1])
    canvas.blend(0.9 * mask, stone + tone[..., None])


def window(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paints a wall with a window on one side and a curtain."""
    canvas.blend(0.5 * smoothstep(1.0, 0.0, canvas.y), canvas.deep)
    side = rng.choice([0, 1])
    x0, x1 = ((-0.05, 0.34), (0.64, 1.05))[side]
    frame, light = 0.25 * canvas.bright + 0.72, np.array([0.93, 0.96, 0.98])
    canvas.box(x0 - 0.025, x1 + 0.025, 0.34, 0.98, frame)
    canvas.box(x0, x1, 0.37, 0.95, light)
    canvas.box(x0, x1, 0.37, 0.37 + rng.uniform(0.1, 0.25), 0.5 * _GREEN + 0.45, 0.04)
    middle = 0.5 * (x0 + x1)
    canvas.box(middle - 0.010, middle + 0.010, 0.36, 0.96, frame)
    canvas.box(x0, x1, 0.655, 0.675, frame)
    edge = x1 if side == 0 else x0 - 0.10
    for i in range(4):  # the curtain's folds
        start = edge - 0.01 + 0.028 * i
        canvas.box(start, start + 0.028, 0.18, 1.1, canvas.accent * (0.98 if i % 2 else 0.86), 0.012, 0.92)
    other = 1.0 - middle
    canvas.disc(
        other + rng.uniform(-0.05, 0.05), 0.80, 0.11, 0.11, 0.5 * canvas.accent + 0.4 * canvas.bright, 0.02, 0.8
    )


def shelves(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paints shelves full of books, with a few gaps and vases."""
    wood = 0.55 * _WOOD + 0.45 * canvas.deep
    canvas.image[:] = 0.62 * wood
    for floor in np.arange(rng.uniform(-0.1, 0.0), 1.0, 0.245):
        x = rng.uniform(-0.05, 0.0)
        while x < 1.0:
            wide, tall = rng.uniform(0.022, 0.052), rng.uniform(0.13, 0.20)
            if rng.uniform() < 0.07:
                canvas.disc(x + 0.05, floor + 0.075, 0.042, 0.055, canvas.accent)
                x += 0.11
                continue
            book = np.array(colour(CLOTHS[rng.integers(len(CLOTHS))][int(rng.integers(2))]))
            canvas.box(x, x + wide, floor, floor + tall, 0.62 * book + 0.30 * canvas.bright, 0.010, 0.92)
            x += wide + 0.003
        canvas.box(-0.1, 1.1, floor - 0.026, floor, 1.15 * wood, 0.010)


def gallery(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paints a wall with framed paintings."""
    canvas.blend(0.45 * smoothstep(1.0, 0.0, canvas.y), canvas.deep)
    frame = (np.array([0.16, 0.15, 0.15]), np.array([0.93, 0.92, 0.90]), _WOOD)[rng.integers(3)]
    for x, y in ((0.12, 0.82), (0.88, 0.80), (0.10, 0.48), (0.91, 0.46), (0.50, 0.93)):
        if rng.uniform() < 0.15:
            continue
        x, y = x + rng.uniform(-0.03, 0.03), y + rng.uniform(-0.03, 0.03)
        wide, tall = rng.uniform(0.055, 0.11), rng.uniform(0.07, 0.13)
        canvas.box(x - wide - 0.016, x + wide + 0.016, y - tall - 0.016, y + tall + 0.016, frame, 0.010)
        canvas.box(x - wide, x + wide, y - tall, y + tall, np.array([0.95, 0.94, 0.91]), 0.010)
        for _ in range(3):
            tone = (canvas.accent, canvas.deep, canvas.bright)[rng.integers(3)]
            radius = rng.uniform(0.25, 0.6) * wide
            canvas.disc(
                x + rng.uniform(-0.4, 0.4) * wide, y + rng.uniform(-0.4, 0.4) * tall, radius, radius, tone, 0.012
            )


def plants(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paints potted plants in front of a wall, left and right."""
    canvas.blend(0.55 * smoothstep(0.9, 0.1, canvas.y), canvas.deep)
    for side in (0.10, 0.90):
        foot = np.array([side + rng.uniform(-0.05, 0.05), rng.uniform(0.14, 0.34)])
        canvas.box(foot[0] - 0.07, foot[0] + 0.07, -0.1, foot[1] - 0.02, canvas.accent, 0.014)
        for _ in range(17):
            way = rng.uniform(0.25, np.pi - 0.25)
            long = rng.uniform(0.12, 0.40)
            tip = foot + long * np.array([0.75 * np.cos(way), np.sin(way)])
            green = _GREEN * rng.uniform(0.65, 1.25) * np.array([rng.uniform(0.8, 1.1), 1.0, 0.9])
            x, y = 0.45 * foot + 0.55 * tip
            canvas.disc(x, y, 0.40 * long, rng.uniform(0.020, 0.036), green, 0.012, 0.95, way)


def hills(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paints hills one behind the other under the sky."""
    _sky(canvas, rng)
    for i in range(4):
        height = 0.62 - 0.12 * i
        ridge = height + sum(
            rng.uniform(0.01, 0.05) * np.sin(2 * np.pi * k * canvas.x + rng.uniform(0, 6.3)) for k in (0.7, 1.3, 2.4)
        )
        far = (0.65, 0.42, 0.2, 0.0)[i]
        green = (1 - far) * (0.8 * _GREEN + 0.2 * canvas.accent) * (1.05 - 0.1 * i) + far * np.array([0.68, 0.76, 0.82])
        canvas.blend(smoothstep(0.014, -0.014, canvas.y - ridge), green)


def park(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paints trees and a lawn."""
    _sky(canvas, rng)
    canvas.blend(smoothstep(0.50, 0.30, canvas.y), 0.85 * _GREEN + 0.12)
    for i in range(9):
        near = i / 8.0
        x, y = rng.uniform(0, 1), 0.50 + 0.10 * near
        trunk = 0.62 * _WOOD + 0.1
        canvas.box(x - 0.012, x + 0.012, 0.30, y + 0.1, trunk, 0.012, 0.9)
        tone = _GREEN * rng.uniform(0.75, 1.2) * (1.0 - 0.25 * near) + 0.14 * (1 - near)
        for _ in range(6):
            radius = rng.uniform(0.05, 0.10)
            shade = tone * rng.uniform(0.88, 1.14)
            canvas.disc(x + rng.uniform(-0.08, 0.08), y + rng.uniform(0.02, 0.24), radius, radius, shade, 0.03, 0.85)


def sea(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paints a beach and the sea to the horizon."""
    _sky(canvas, rng)
    water = 0.5 * np.array([0.30, 0.52, 0.64]) + 0.35 * canvas.bright
    horizon = rng.uniform(0.44, 0.56)
    canvas.blend(smoothstep(0.010, -0.010, canvas.y - horizon), water)
    for _ in range(14):
        y = horizon - rng.uniform(0.02, 0.3)
        canvas.disc(rng.uniform(0, 1), y, rng.uniform(0.08, 0.2), 0.008, water + 0.10, 0.010, 0.6)
    shore = horizon - 0.28 + 0.03 * np.sin(5 * canvas.x + rng.uniform(0, 6.3))
    canvas.blend(smoothstep(0.014, -0.014, canvas.y - shore), np.array([0.87, 0.79, 0.65]))


def houses(canvas: Canvas, rng: np.random.Generator, tone: np.ndarray, panes: np.ndarray | None) -> None:
    """Paints a row of tall houses along the ground, with window panes if a colour is given."""
    x = rng.uniform(-0.06, 0.0)
    while x < 1.0:
        wide, tall = rng.uniform(0.08, 0.17), rng.uniform(0.40, 0.86)
        wall = tone * rng.uniform(0.85, 1.12)
        canvas.box(x, x + wide, -0.1, tall, wall, 0.012)
        if panes is not None:
            for y in np.arange(tall - 0.05, 0.2, -0.07):
                for at in np.arange(x + 0.03, x + wide - 0.02, 0.042):
                    canvas.box(at - 0.010, at + 0.010, y - 0.016, y + 0.016, panes, 0.010, rng.uniform(0.1, 0.7))
        x += wide + rng.uniform(-0.015, 0.02)


def skyline(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paints a town by day."""
    _sky(canvas, rng)
    houses(canvas, rng, 0.45 * canvas.deep + 0.40, None)
    houses(canvas, rng, 0.75 * canvas.deep + 0.10, 0.6 * canvas.bright + 0.35)
