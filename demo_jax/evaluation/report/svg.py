"""Small figures for the report as SVG text: heat maps and curves. No scripts, no fonts, no files."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import numpy as np

CELL, LABEL, TOP = 58, 78, 26
INK, SOFT, LINE = "#1f2430", "#7a8194", "#d9dce4"
GOOD, BAD, MODEL, TRUTH = (34, 139, 116), (201, 76, 60), "#2563c9", "#e0962c"


def number(value: float | None, digits: int = 2) -> str:
    """Returns a short number; "–" if it was not measured."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def _mixed(colour: tuple[int, int, int], amount: float) -> str:
    amount = min(max(amount, 0.0), 1.0) * 0.85
    red, green, blue = (round(255 + amount * (c - 255)) for c in colour)
    return f"rgb({red},{green},{blue})"


def heat_map(
    rows: Sequence[str],
    columns: Sequence[str],
    values: np.ndarray,
    *,
    title: str,
    high: float = 1.0,
    diagonal_good: bool = True,
    digits: int = 2,
) -> str:
    """Returns a matrix [rows, columns] with its numbers. Cells on the diagonal (equal names) are green, others red,
    more saturated towards `high`; with diagonal_good False all cells are blue."""
    width, height = LABEL + CELL * len(columns) + 8, 2 * TOP + CELL * 0.62 * len(rows) + 8
    out = [_open(width, height, title), _text(4, 16, title, weight="600")]
    for j, name in enumerate(columns):
        out.append(_text(LABEL + CELL * (j + 0.5), 2 * TOP - 8, name, anchor="middle", size=11, fill=SOFT))
    for i, row in enumerate(rows):
        y = 2 * TOP + CELL * 0.62 * i
        out.append(_text(LABEL - 8, y + 23, row, anchor="end", size=12))
        for j, column in enumerate(columns):
            value = float(values[i][j]) if values[i][j] is not None else math.nan
            colour = (GOOD if row == column else BAD) if diagonal_good else (70, 110, 190)
            shade = abs(value) / high if math.isfinite(value) else 0.0
            x = LABEL + CELL * j
            out.append(
                f'<rect x="{x:g}" y="{y:.1f}" width="{CELL - 3}" height="{CELL * 0.62 - 3:.1f}" rx="4" '
                f'fill="{_mixed(colour, shade)}" stroke="{LINE}"/>'
            )
            fill = "#fff" if shade > 0.75 else INK
            out.append(_text(x + CELL / 2 - 1, y + 22, number(value, digits), anchor="middle", size=12, fill=fill))
    return "".join(out) + "</svg>"


def control_curve(
    title: str,
    requested: Sequence[float],
    model: Sequence[float],
    truth: Sequence[float],
    model_std: Sequence[float],
    note: str = "",
) -> str:
    """Returns the values read against those requested: grey is exact, orange the judge on true renders, blue the model
    with one standard deviation."""
    size, left, top = 150, 40, 24
    values = [v for v in [*requested, *model, *truth] if v is not None and math.isfinite(v)]
    low, high = min(values), max(values)
    pad = 0.06 * max(high - low, 1e-9)
    low, high = low - pad, high + pad

    def at(x: float, y: float) -> tuple[float, float]:
        return left + size * (x - low) / (high - low), top + size * (1 - (y - low) / (high - low))

    def path(ys: Sequence[float]) -> str:
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(a, b) for a, b in zip(requested, ys, strict=True)))

    band = [at(a, m + s) for a, m, s in zip(requested, model, model_std, strict=True)]
    band += [at(a, m - s) for a, m, s in reversed(list(zip(requested, model, model_std, strict=True)))]
    (x0, y0), (x1, y1) = at(low, low), at(high, high)
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in band)
    out = [
        _open(left + size + 12, top + size + 34, title),
        _text(4, 14, title, weight="600", size=13),
        f'<rect x="{left}" y="{top}" width="{size}" height="{size}" fill="#fbfbfd" stroke="{LINE}"/>',
        f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="#b9bfcc" stroke-dasharray="4 3"/>',
        f'<polygon points="{corners}" fill="{MODEL}" opacity="0.15"/>',
        f'<polyline points="{path(truth)}" fill="none" stroke="{TRUTH}" stroke-width="2"/>',
        f'<polyline points="{path(model)}" fill="none" stroke="{MODEL}" stroke-width="2"/>',
    ]
    for value in (low + pad, high - pad):
        x, y = at(value, value)
        out.append(_text(left - 4, y + 4, f"{value:.3g}", anchor="end", size=10, fill=SOFT))
        out.append(_text(x, top + size + 13, f"{value:.3g}", anchor="middle", size=10, fill=SOFT))
    out.append(_text(left + size / 2, top + size + 29, note, anchor="middle", size=11, fill=SOFT))
    return "".join(out) + "</svg>"


def _open(width: float, height: float, title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" role="img" aria-label="{html.escape(title)}">'
    )


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", size: int = 14, fill: str = INK, weight: str = "400"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" '
        f'fill="{fill}">{html.escape(text)}</text>'
    )
