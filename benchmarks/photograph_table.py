"""Figures of `benchmarks.photographs` over portraits, as rows: measured, baseline, ceiling, target, sample count."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.photograph_frames import GRIDS
from demo_jax.evaluation.metrics import people
from demo_jax.evaluation.metrics.control import leakage, precision
from demo_jax.evaluation.metrics.reader import READ_NAMES

COLUMN = {name: READ_NAMES.index(name) for name in GRIDS if name != "open"} | {"open": READ_NAMES.index("lid_left")}
# The reader's own slope and correlation on puppets, whose truth is exact: 18 people, 687 frames of 256 px.
READER = {
    "yaw": (0.92, 0.99), "pitch": (0.82, 0.77), "roll": (1.01, 0.99), "gaze_yaw": (1.21, 0.91),
    "gaze_pitch": (0.57, 0.46), "aperture": (1.04, 0.95),
}  # fmt: skip
GAIN = {"gaze_yaw": "0.8 to 1.2", "gaze_pitch": "–", "aperture": "0.85 to 1.15", "open": "–"}
CLOSED = (0.003, 0.031)  # people's 5th percentile of the aperture in a clip, 5-95 % over 60 speakers; median 0.009
CLOSES = 0.15  # a blink: least lid gap over the gap at rest
WARP = "0.77 (one cubic warp)"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One figure. `low` and `high` are the 5th and 95th percentile over the n things that it is a mean or median of."""

    metric: str
    measured: float
    n: str
    low: float | None = None
    high: float | None = None
    baseline: str = "–"
    ceiling: str = "–"
    target: str = "–"


def rows(found: Mapping[str, Any]) -> list[Row]:
    """Returns the rows of the sections that were measured."""
    made: list[Row] = []
    if found.get("frames"):
        made += still(found["frames"]) + control(found["frames"]) + seams(found["frames"])
    if found.get("sharp"):
        made += sharp(found["sharp"])
    if found.get("first"):
        made += first(found["first"])
    if found.get("speech"):
        made += speech(found["speech"])
    if found.get("cost"):
        made += cost(found["cost"])
    return made


def text(made: Sequence[Row]) -> str:
    """Returns the rows as a Markdown table."""
    lines = ["| metric | measured | 5-95 % | baseline | ceiling | target | n |", "|" + "---|" * 7]
    for row in made:
        spread = "–" if row.low is None else f"{_short(row.low)} to {_short(row.high)}"
        cells = (row.metric, _short(row.measured), spread, row.baseline, row.ceiling, row.target, row.n)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _short(x: float | None) -> str:
    return "–" if x is None or not np.isfinite(x) else f"{x:.3g}" if abs(x) < 100 else f"{x:.0f}"


def _over(metric: str, values: Sequence[float], unit: str = "portraits", how: str = "median", **cells: Any) -> Row:
    known = np.array(values, np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return Row(metric=metric, measured=float("nan"), n=f"0 {unit}", **cells)
    low, high = np.percentile(known, (5, 95))
    statistic: dict[str, Any] = {"median": np.median, "max": np.max, "min": np.min}
    return Row(
        metric=metric, measured=float(statistic[how](known)), low=low, high=high, n=f"{len(known)} {unit}", **cells
    )


def _of(found: Sequence[Mapping[str, Any]], *path: str) -> list[float]:
    values = []
    for one in found:
        value: Any = one
        for key in path:
            value = value.get(key, float("nan")) if isinstance(value, Mapping) else float("nan")
        values.append(float(value))
    return values


def still(found: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The portrait at rest, and what is outside its reach."""
    old = _short(float(np.median(_of(found, "kept", "old"))))
    return [
        _over("portrait kept: PSNR in the head's box before encoding (dB), least", _of(found, "kept", "frames"),
              how="min", baseline=f"{old} (decoder's square)", ceiling="88.1", target="at least 45"),
        _over("portrait kept: PSNR of luma in the mp4 (dB), least", _of(found, "kept", "mp4_luma"), how="min",
              baseline=f"{old} (decoder's square)", target="at least 38"),
        _over("largest change outside the reach (levels of 255)", _of(found, "outside"), how="max", target="0"),
        _over("reach over the photograph's area", _of(found, "reach")),
    ]  # fmt: skip


def control(found: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Precision of each control, blinks, leakage, and what a blink changes elsewhere."""
    made = []
    n = f"{len(found)} portraits"
    for name, grid in GRIDS.items():
        new, old = (precision(*_changes(found, key, name)) for key in ("control", "old_control"))
        gain, r = READER.get(name, (None, None))
        cells: dict[str, Any] = {"n": f"{n}, {len(grid)} values"}
        label = name.replace("_", " ") if name != "open" else "eyes' opening"
        made += [
            Row(metric=f"gain: {label} ({grid[0]:g} to {grid[-1]:g})", measured=new["gain"],
                baseline=_short(old["gain"]), ceiling=f"{gain or '–'}", target=GAIN.get(name, "0.9 to 1.1"), **cells),
            Row(metric=f"correlation: {label}", measured=new["correlation"], baseline=_short(old["correlation"]),
                ceiling=f"{r or '–'}", target="at least 0.95" if name == "aperture" else "–", **cells),
            Row(metric=f"mean absolute error: {label}", measured=new["mae"], baseline=_short(old["mae"]), **cells),
        ]  # fmt: skip
        if name in found[0]["aligned"]:
            angles = np.array([one["aligned"][name] for one in found])
            second = precision(np.repeat(np.array(grid, float)[None], len(found), 0), angles)
            made.append(Row(metric=f"gain by direct alignment: {label}", measured=second["gain"], target="–", **cells))
    blinks = np.array(_of(found, "blink"))
    made += [
        _over("blink: lid gap over the gap at rest", blinks.tolist(), baseline=f"{people.BLINK_CLOSURE} (people)",
              target=f"at most {CLOSES}"),
        Row(metric="blinks that close (share)", measured=float(np.mean(blinks <= CLOSES)), n=n),
        *leaks(found),
        _over("frozen pose: largest change by a blink outside the eyes' box (levels of 255)", _of(found, "frozen"),
              how="max", target="at most 1"),
    ]  # fmt: skip
    return made


def _changes(found: Sequence[Mapping[str, Any]], key: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Requested and read changes of a control [people, values]; openings over the gap at rest."""
    asked = np.array([one[key][name]["requested"] for one in found], np.float64)
    read = np.array([one[key][name]["read"] for one in found], np.float64)
    rest = np.array([one[key][name]["rest"] for one in found], np.float64)[:, None]
    if name == "open":
        return asked, read[..., 5:7].mean(-1) / rest[..., 5:7].mean(-1)
    return asked, (read - rest)[..., COLUMN[name]]


def leak_matrix(found: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """`control.leakage` over the people's grids, [controls, READ_NAMES]."""
    asked, read = [], []
    for name in GRIDS:
        table = np.array([one["control"][name]["read"] for one in found], np.float64)
        rest = np.array([one["control"][name]["rest"] for one in found], np.float64)[:, None]
        request = _changes(found, "control", name)[0]
        if name == "open":  # in the unit of its reading
            request = (request - 1) * rest[..., 5]
        asked.append(request.ravel())
        read.append((table - rest).reshape(-1, table.shape[-1]))
    return leakage(asked, read, list(COLUMN.values()), people.SPREAD)


def leaks(found: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The leakage of each control into its worst other reading."""
    matrix, made = leak_matrix(found), []
    for i, name in enumerate(GRIDS):
        own = (5, 6) if name == "open" else (COLUMN[name],)
        for kind in ("linear", "total"):
            values = matrix[kind][i].copy()
            values[list(own)] = -1
            worst = int(np.nanargmax(values))
            made.append(
                Row(metric=f"leakage of {name.replace('_', ' ')}, {kind}, largest: into {READ_NAMES[worst]}",
                    measured=float(values[worst]), target="at most 0.1", n=f"{len(found)} portraits")
            )  # fmt: skip
    return made


def seams(found: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Borders, flicker and the mouth's inside."""
    mouth = np.array(_of(found, "mouth"))
    low, high = people.MOUTH_DETAIL
    known = mouth[np.isfinite(mouth)]
    inside = float(np.mean((known >= low) & (known <= high))) if len(known) else float("nan")
    return [
        _over("seam ratio along the reach's border, largest of six poses", _of(found, "seams", "reach"), ceiling="1",
              target="at most 1.1"),
        _over("seam ratio along the box's border, largest of six poses", _of(found, "seams", "box"), ceiling="1",
              target="at most 1.1"),
        _over("flicker of the head's outline above the mouth while lips move (levels of 255)",
              _of(found, "flicker", "head"), how="max", target="at most 1"),
        _over("flicker of the outline of the shoulders while lips move (levels of 255)",
              _of(found, "flicker", "shoulders"), how="max", target="at most 1"),
        _over("flicker along the reach's border (levels of 255)", _of(found, "flicker", "reach"), how="max",
              target="at most 1"),
        _over("detail of the mouth's inside over the skin's, aperture 0.15", mouth.tolist(),
              ceiling=f"{low} to {high} (people)"),
        Row(metric="mouths whose detail is within people's range (share)", measured=inside, ceiling="0.9",
            n=f"{len(known)} portraits"),
    ]  # fmt: skip


def sharp(found: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Sharpness at native size."""
    return [
        _over(f"sharpness of {name} at yaw 10 and 15 over the photograph's", _of(found, name),
              baseline=f"{_short(float(np.nanmedian(_of(found, 'old_' + name))))} (decoder's square); {WARP}",
              ceiling="1", target="0.7 to 1.15")
        for name in ("cheek", "hair")
    ]  # fmt: skip


def first(found: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The first frame of free motion."""
    return [
        _over("first frame of free motion, from the portrait: degrees of the code", _of(found, "code_degrees"),
              how="max", target="at most 1.5"),
        _over("first frame, from the portrait: degrees as read", _of(found, "degrees"), how="max",
              target="at most 1.5"),
        _over("first frame: centre (face widths)", _of(found, "centre"), how="max", target="at most 0.02"),
        _over("first frame: face width (share)", _of(found, "width"), how="max", target="at most 0.02"),
        _over("second frame, from the first: degrees as read", _of(found, "next_degrees"), how="max"),
    ]  # fmt: skip


def speech(found: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Apertures of generated speech, a person's figure being the median of the recordings."""
    low, high = people.SPEECH_APERTURE
    made = []
    for multiplier in found[0]["clips"]:
        clips = [list(one["clips"][multiplier].values()) for one in found]
        n = f"portraits x {len(clips[0])} recordings"
        spoken, asked, closed, silent = (
            [float(np.nanmedian([clip[key] for clip in person])) for person in clips]
            for key in ("spoken", "asked", "closed", "silent")
        )
        within = [low <= value <= high for value in spoken]
        label = f"multiplier {multiplier}"
        made += [
            _over(f"aperture while speaking, 95th percentile, {label}", spoken, n,
                  ceiling=f"0.178, {low} to {high} (people)", target=f"{low} to {high}"),
            _over(f"the same of the codes, {label}", asked, n),
            Row(metric=f"portraits within people's range (share), {label}", measured=float(np.mean(within)),
                n=f"{len(within)} {n}"),
            _over(f"closed: 5th percentile of the aperture, {label}", closed, n,
                  ceiling=f"0.009, {CLOSED[0]} to {CLOSED[1]} (people)"),
            _over(f"aperture in silence, median, {label}", silent, n),
        ]  # fmt: skip
    return made


def cost(found: Mapping[str, Any]) -> list[Row]:
    """Times and memory."""
    made = []
    where = f"{found['cores']} cores, load {found['load']:.1f}, median of 3"
    wanted = {"512": "at least 30", "1080": "at least 15"}
    for size, timed in found["sizes"].items():
        for stage, ms in timed["stages"].items():
            for clock in ("wall", "cpu"):
                made.append(Row(metric=f"{stage}, {size} px, {clock} (ms)", measured=ms[clock], n=where))
        whole = timed["whole"]
        made += [
            Row(metric=f"end to end with encoding ({found['preset']}), {size} px (frames a second)",
                measured=whole["frames_per_second"], target=wanted.get(size, "–"), n=where),
            Row(metric=f"processor's time a frame, end to end, {size} px (ms)", measured=whole["cpu_per_frame"],
                n=where),
            Row(metric=f"a clip of {whole['frames'] / 25:.0f} s, warm, with reading the portrait, {size} px (s)",
                measured=whole["seconds"], target="at most 12", n=where),
        ]  # fmt: skip
    (short, least), (long, most) = found["memory"].items()
    made.append(
        Row(metric=f"peak memory of {long} minutes over that of {short} ({least:.0f} MiB)", measured=most / least,
            target="at most 1.2", n="1 run each")
    )  # fmt: skip
    return made
