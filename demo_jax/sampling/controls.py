"""What the user decides about the motion: hold a factor, scale it, set single values, or follow a track.

Everything that is decided becomes *given* entries of the motion code, frame by frame and coordinate by coordinate; the
flow generates the rest around them. Of several controls on one coordinate, set counts before track and track before
hold. A gain scales what was generated, about the portrait's own motion, and leaves given values as they are.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from demo_jax.factors import CALIBRATED_NAMES, CALIBRATED_SCALE, FACTORS, FactorLayout
from demo_jax.sampling.track import MotionTrack, read_track
from demo_jax.typing import FPS, InputError

MAX_GAIN = 5.0

# What a control may ask for; a little beyond what occurs, since generated motion that is replayed overshoots.
LIMITS: dict[str, tuple[float, float, str]] = {
    "yaw": (-90, 90, "degrees"),
    "pitch": (-90, 90, "degrees"),
    "roll": (-90, 90, "degrees"),
    "x": (-1, 1, "crop widths"),
    "y": (-1, 1, "crop widths"),
    "z": (-3, 3, "log of crop width over face width"),
    "gaze_yaw": (-60, 60, "degrees"),
    "gaze_pitch": (-60, 60, "degrees"),
    "open_left": (-0.5, 2.5, "of an open eye"),
    "open_right": (-0.5, 2.5, "of an open eye"),
    "aperture": (-0.5, 2, "eye spans"),
    "width": (-0.5, 3, "eye spans"),
    "pucker": (-0.5, 1.5, "0 to 1"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """A value in the record's unit; relative = counted from the portrait's own value."""

    value: float
    relative: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Controls:
    """The user's decisions. A factor that nothing is said about is generated.

    hold   factors that stay as in the portrait in every frame
    gain   factor -> how many times its generated deviation from the portrait (1 = as generated, 0 = none)
    set    name of CALIBRATED_NAMES -> one value for all frames
    track  values frame by frame; its blendshape columns are not used (only calibrated coordinates can be given)
    """

    hold: tuple[str, ...] = ()
    gain: Mapping[str, float] = dataclasses.field(default_factory=dict)
    set: Mapping[str, Setting] = dataclasses.field(default_factory=dict)
    track: MotionTrack | None = None

    def __post_init__(self) -> None:
        for factor in (*self.hold, *self.gain):
            if factor not in FACTORS:
                raise InputError(f"{factor!r} is not a factor; the factors are {', '.join(FACTORS)}.")
        for factor, gain in self.gain.items():
            if not (math.isfinite(gain) and 0 <= gain <= MAX_GAIN):
                raise InputError(f"gain {factor}={gain:g}: a gain lies between 0 (no motion) and {MAX_GAIN:g}.")
            if factor in self.hold:
                raise InputError(f"{factor} is held, so a gain on it does nothing; give --hold or --gain, not both.")
        for name, setting in self.set.items():
            _check_value("set", name, np.array([setting.value]), setting.relative)
        if self.track is not None:
            for name, values in self.track.columns.items():
                if name.lstrip("+") in CALIBRATED_NAMES:
                    _check_value("track", name.lstrip("+"), values, name.startswith("+"))

    @classmethod
    def parse(
        cls,
        *,
        hold: str | Sequence[str] = (),
        gain: str | Sequence[str] = (),
        set: str | Sequence[str] = (),
        track: str | os.PathLike | None = None,
    ) -> Self:
        """From the words of the command line, each one string or several, with commas between items:

            Controls.parse(hold="pose,gaze", gain="lip=1.2", set=["yaw=+10", "open_left=0"], track="nod.csv")

        A leading + in a value means relative to the portrait: yaw=+10 is ten degrees more than the portrait, yaw=10 is
        ten degrees, yaw=+-10 ten degrees less than the portrait. Raises InputError.
        """
        held = _items(hold)
        gains = _pairs("gain", gain, "pose=0.5")
        settings = _pairs("set", set, "yaw=+10")
        return cls(
            hold=tuple(dict.fromkeys(held)),
            gain={name: _number("gain", name, text) for name, text in gains.items()},
            set={
                name: Setting(value=_number("set", name, text.removeprefix("+")), relative=text.startswith("+"))
                for name, text in settings.items()
            },
            track=None if track is None else read_track(track),
        )


FREE = Controls()  # everything is generated


@dataclasses.dataclass(frozen=True, kw_only=True)
class GivenMotion:
    """Controls made concrete for one portrait and T frames, in raw code space (record value / scale).

    values  [T, K] float32: what is given, 0 elsewhere
    mask    [T, K] bool: where something is given
    gain    [K] float32: what generated deviations from the portrait are multiplied by
    """

    values: np.ndarray
    mask: np.ndarray
    gain: np.ndarray

    def finish(self, codes: np.ndarray, portrait_code: np.ndarray, start: int = 0) -> np.ndarray:
        """Generated raw codes [n, K] of frames start .. start + n - 1 -> the codes to decode: gains applied, given
        values exactly as given."""
        part = slice(start, start + len(codes))
        scaled = np.where(self.gain == 1, codes, portrait_code + self.gain * (codes - portrait_code))
        return np.where(self.mask[part], self.values[part], scaled).astype(np.float32)


def resolve(controls: Controls, portrait_code: np.ndarray, frames: int, layout: FactorLayout) -> GivenMotion:
    """Controls -> given entries and gains for `frames` frames of a portrait whose raw code is portrait_code [K].

    Raises InputError if the track begins after the last frame.
    """
    values = np.zeros((frames, layout.size), np.float32)
    mask = np.zeros((frames, layout.size), bool)
    gain = np.ones(layout.size, np.float32)
    for factor in controls.hold:
        part = layout.slices[factor]
        values[:, part], mask[:, part] = portrait_code[part], True
    for factor, value in controls.gain.items():
        gain[layout.slices[factor]] = value

    coordinate = dict(zip(CALIBRATED_NAMES, layout.calibrated, strict=True))
    scale = dict(zip(CALIBRATED_NAMES, CALIBRATED_SCALE, strict=True))
    track = controls.track
    if track is not None:
        count = min(track.length, frames - track.start)
        if count <= 0:
            raise InputError(
                f"the track begins at {track.start / FPS:g} s, but the video is only {frames / FPS:g} s long."
            )
        for column, series in track.columns.items():
            name = column.lstrip("+")
            if name in coordinate:
                k = coordinate[name]
                base = portrait_code[k] if column.startswith("+") else 0.0
                known = np.flatnonzero(np.isfinite(series[:count]))
                values[track.start + known, k] = base + series[known] / scale[name]
                mask[track.start + known, k] = True
    for name, setting in controls.set.items():
        k = coordinate[name]
        values[:, k] = (portrait_code[k] if setting.relative else 0.0) + setting.value / scale[name]
        mask[:, k] = True
    return GivenMotion(values=values, mask=mask, gain=gain)


def _items(words: str | Sequence[str]) -> list[str]:
    texts = [words] if isinstance(words, str) else words
    return [item.strip() for text in texts for item in text.split(",") if item.strip()]


def _pairs(flag: str, words: str | Sequence[str], example: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for item in _items(words):
        match = re.fullmatch(r"(\w+)\s*=\s*(\S+)", item)
        if match is None:
            raise InputError(f"{flag} {item!r} is not NAME=NUMBER, as in {example}.")
        if match[1] in pairs:
            raise InputError(f"{flag}: {match[1]} is given twice.")
        pairs[match[1]] = match[2]
    return pairs


def _number(flag: str, name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{flag} {name}={text}: {text!r} is not a number.") from None


def _check_value(where: str, name: str, values: np.ndarray, relative: bool) -> None:
    if name not in LIMITS:
        raise InputError(f"{where} {name}: cannot be set; what can is {', '.join(CALIBRATED_NAMES)}.")
    low, high, unit = LIMITS[name]
    if relative:
        low, high = low - high, high - low
    known = values[~np.isnan(values)] if where == "track" else values
    wrong = ~((known >= low) & (known <= high))
    if wrong.any():
        raise InputError(f"{where} {name}={known[wrong.argmax()]:g}: must lie between {low:g} and {high:g} ({unit}).")
