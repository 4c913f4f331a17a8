"""Plain figures as SVG, for a self-contained page."""

from __future__ import annotations

import html
from collections.abc import Mapping

import numpy as np

_INK, _BAR, _LINE = "#333", "#5b8db8", "#ccc"
_FONT = "font-family='sans-serif' font-size='11'"


def bars(title: str, counts: Mapping[str, float], most: int = 24) -> str:
    """Returns horizontal bars, the longest first. The last of `most` bars sums up the rest."""
    entries = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    if len(entries) > most:
        rest = entries[most - 1 :]
        entries = [*entries[: most - 1], (f"{len(rest)} others", sum(value for _, value in rest))]
    top = max((value for _, value in entries), default=0) or 1
    total = sum(counts.values()) or 1
    rows = []
    for i, (name, value) in enumerate(entries):
        y, width = 26 + 16 * i, 170 * value / top
        rows.append(
            f"<text x='112' y='{y + 10}' text-anchor='end'>{html.escape(name)}</text>"
            f"<rect x='118' y='{y}' width='{width:.1f}' height='12' fill='{_BAR}'/>"
            f"<text x='{122 + width:.1f}' y='{y + 10}'>{100 * value / total:.1f} %</text>"
        )
    return _svg(title, 350, 34 + 16 * len(entries), "".join(rows))


def histogram(title: str, values: np.ndarray, low: float, high: float, unit: str = "") -> str:
    """Returns vertical bars of the shares of values in 32 equal bins; values outside count in the end bins."""
    shares = np.histogram(np.clip(values, low, high), 32, (low, high))[0] / max(len(values), 1)
    top = max(float(shares.max()), 1e-9)
    out = [
        f"<rect x='{20 + 10 * i}' y='{130 - 96 * share / top:.1f}' width='9' height='{96 * share / top:.1f}' "
        f"fill='{_BAR}'/>"
        for i, share in enumerate(shares)
    ]
    out.append(f"<line x1='20' x2='340' y1='130.5' y2='130.5' stroke='{_LINE}'/>")
    for at in (0.0, 0.5, 1.0):
        anchor = {0.0: "start", 0.5: "middle", 1.0: "end"}[at]
        label = f"{low + at * (high - low):g} {unit if at == 1 else ''}".strip()
        out.append(f"<text x='{20 + 320 * at:g}' y='144' text-anchor='{anchor}'>{html.escape(label)}</text>")
    if len(values):
        spread = f"mean {values.mean():.3g}, sd {values.std():.2g}"
        out.append(f"<text x='340' y='18' text-anchor='end' fill='#777'>{spread}</text>")
    return _svg(title, 350, 150, "".join(out))


def _svg(title: str, width: int, height: int, body: str) -> str:
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' {_FONT} fill='{_INK}'>"
        f"<text x='4' y='18' font-weight='bold'>{html.escape(title)}</text>{body}</svg>"
    )
