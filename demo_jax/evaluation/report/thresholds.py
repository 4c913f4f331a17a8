"""Acceptance thresholds: the values that a checkpoint should reach, by metric, and where a report's results have them.

The metrics themselves are in `demo_jax.evaluation.metrics` and in the experiments beside them.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

Results = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """One metric with its threshold, a line of the summary. `value` is None if it was not measured."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    digits: int = 2

    @property
    def reached(self) -> bool | None:
        """Whether the value lies within the threshold; None if it was not measured."""
        if self.value is None or not np.isfinite(self.value):
            return None
        return (self.low is None or self.value >= self.low) and (self.high is None or self.value <= self.high)

    @property
    def threshold(self) -> str:
        """The threshold in words."""
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}"
        return f"at least {self.low:g}" if self.low is not None else f"at most {self.high:g}"


def targets(results: Results) -> list[Target]:
    """Returns the summary: a line for each threshold whose section was measured."""
    out: list[Target] = []
    for section, where in (("probe_reconstruction", "independent factors"), ("real_reconstruction", "real video")):
        if table := results.get(section):
            out += [
                Target(name=f"PSNR, dB ({where})", value=_mean(table, "psnr_frame"), low=28, digits=1),
                Target(name=f"SSIM ({where})", value=_mean(table, "ssim"), low=0.92),
                Target(name=f"sharpness over truth ({where})", value=_mean(table, "sharpness_ratio"), low=0.8),
            ]
    if "probe" in results:
        out += _probe_targets(results["probe"])
        out.append(
            Target(name="identity predicted by a code block, R² (largest)", value=_identity(results["probe"]), high=0.1)
        )
    if "leakage" in results:
        out += _matrix_targets(results["leakage"], "leakage", (0.9, 1.1), 0.05, words=("smallest gain", "largest gain"))
    for name, figures in results.get("control", {}).items():
        out += _control_targets(name, figures)
    cross = results.get("reenactment", {}).get("cross")
    if cross:
        value = cross["model"]["identity_percent"]
        out.append(Target(name="identity preserved, cross-identity motion, % of frames", value=value, low=95, digits=1))
    if real := results.get("real_pose"):
        for name in ("yaw", "pitch", "roll"):
            if name in real["poses"]:
                gain, r2 = real["poses"][name]["gain"], real["poses"][name]["r2"]
                out += [
                    Target(name=f"real video: {name} gain", value=gain, low=0.8, high=1.2),
                    Target(name=f"real video: {name} R²", value=r2, low=0.8),
                ]
    if real := results.get("real_leakage"):
        out += _matrix_targets(real, "real video: leakage", (None, None), 0.2)
    return out


def _mean(table: Results, name: str) -> float | None:
    return table[name]["mean"] if name in table else None


def _matrix_targets(
    result: Results,
    name: str,
    diagonal: tuple[float | None, float | None],
    off: float,
    words: tuple[str, str] = ("", ""),
) -> list[Target]:
    """Returns the lines of a matrix of excesses: the worst of its diagonal, and its largest other entry, without the
    identity row and column."""
    rows, columns, excess = result["rows"], result["columns"], np.array(result["excess"], np.float64)
    names = [n for n in rows if n in columns and n != "identity"]
    part = np.array([[excess[rows.index(a), columns.index(b)] for b in names] for a in names])
    if not len(part):
        return []
    own, others = np.diagonal(part), part[~np.eye(len(part), dtype=bool)]
    out = []
    if diagonal[1] is not None:
        out.append(Target(name=f"{name}, {words[0]}", value=_finite(own, np.nanmin), low=diagonal[0], high=diagonal[1]))
        out.append(Target(name=f"{name}, {words[1]}", value=_finite(own, np.nanmax), low=diagonal[0], high=diagonal[1]))
    elif diagonal[0] is not None:
        out.append(Target(name=f"{name}, own factor (smallest)", value=_finite(own, np.nanmin), low=diagonal[0]))
    out.append(Target(name=f"{name}, other factors (largest excess)", value=_finite(others, np.nanmax), high=off))
    return out


def _probe_targets(result: Results) -> list[Target]:
    """The residual has more expressions than coordinates: it is compared with the ceiling of its size."""
    own = {n: result["model"][result["rows"].index(n)][result["columns"].index(n)] for n in result["ceiling"]}
    known = {n: np.nan if v is None else v for n, v in own.items()}
    read = np.array([v for n, v in known.items() if n != "residual"], np.float64)
    out = [Target(name="probe R², own factor (smallest of lip, pose, gaze)", value=_finite(read, np.nanmin), low=0.95)]
    if result["ceiling"].get("residual"):
        share = known["residual"] / result["ceiling"]["residual"]
        out.append(Target(name="probe R², residual over its size's ceiling", value=share, low=0.95))
    return out + _matrix_targets(result, "probe R²", (None, None), 0.10)


def _identity(result: Results) -> float | None:
    at = result["columns"].index("identity")
    rows = [i for i, n in enumerate(result["rows"]) if n != "identity"]
    return _finite(np.array(result["excess"], np.float64)[rows, at], np.nanmax)


def _control_targets(name: str, figures: Results) -> list[Target]:
    gain = Target(name=f"{name}: gain over the judge's", value=figures["gain_ratio"], low=0.9, high=1.1)
    if name in ("yaw", "pitch", "roll"):
        return [gain, Target(name=f"{name}: excess error, degrees", value=figures["excess_mae"], high=1)]
    if name in ("gaze_yaw", "gaze_pitch"):
        return [gain, Target(name=f"{name}: excess error, degrees", value=figures["excess_mae"], high=3)]
    if name in ("aperture", "open_left", "open_right"):
        return [gain, Target(name=f"{name}: correlation", value=figures["model"]["correlation"], low=0.97)]
    return [gain]


def _finite(values: np.ndarray, choose) -> float | None:
    return float(choose(values)) if np.isfinite(values).any() else None
