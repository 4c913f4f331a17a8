"""The datasheet's figures: well-formed SVG that agrees with the numbers and stays inside its frame."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from data_pipelines.puppet.corpus.figures import bars, histogram

_SVG = "{http://www.w3.org/2000/svg}"


def _read(svg: str) -> tuple[list[float], list[float], list[str]]:
    """Returns widths and heights of the bars, and the texts."""
    root = ElementTree.fromstring(svg)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    boxes = [{k: float(e.attrib[k]) for k in ("x", "y", "width", "height")} for e in root.iter(f"{_SVG}rect")]
    assert all(b["x"] >= 0 and b["x"] + b["width"] <= width for b in boxes)
    assert all(b["y"] >= 0 and b["y"] + b["height"] <= height for b in boxes)
    texts = [e.text or "" for e in root.iter(f"{_SVG}text")]
    return [b["width"] for b in boxes], [b["height"] for b in boxes], texts


def test_bars_are_in_order_and_as_long_as_their_counts():
    widths, _, texts = _read(bars("languages <&>", {"b": 1, "a": 3, "c": 4}))
    assert texts == ["languages <&>", "c", "50.0 %", "a", "37.5 %", "b", "12.5 %"]
    np.testing.assert_allclose(np.array(widths) / widths[0], [1, 0.75, 0.25], atol=1e-3)


def test_many_bars_are_summed_up():
    widths, _, texts = _read(bars("many", {str(i): 1 for i in range(10)}, most=4))
    assert len(widths) == 4 and texts[-2:] == ["7 others", "70.0 %"]


def test_nothing_to_count_gives_no_bars():
    assert _read(bars("nothing", {}))[2] == ["nothing"]
    assert not any(_read(histogram("nothing", np.zeros(0), 0, 1))[1])


def test_a_histogram_counts_values_outside_in_its_end_bins():
    _, heights, texts = _read(histogram("yaw", np.array([-90.0, -31.9, 0.5, 0.5, 31.0, 500.0]), -32, 32, "°"))
    shares = np.array(heights) / max(heights)
    assert np.flatnonzero(shares).tolist() == [0, 16, 31]
    assert shares[[0, 16, 31]] == pytest.approx([1, 1, 1])
    assert texts[:4] == ["yaw", "-32", "0", "32 °"]
