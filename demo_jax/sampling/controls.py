"""Controls of the motion: hold a factor, scale it, take it from a video, set values, follow a track.

Controls become *given* entries of the motion code, frame by frame and coordinate by coordinate; the flow generates the
rest around them. When several controls set one coordinate, the order of precedence is set, keyframes, track, driving
video, hold; a blink closes the lids whatever they are set to. A gain scales generated motion about the portrait's own
code and leaves given values as they are.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Num

from demo_jax.constants import FPS
from demo_jax.errors import InputError
from demo_jax.factors import CALIBRATED_NAMES, CALIBRATED_SCALE, FACTORS, FactorLayout, in_head
from demo_jax.sampling.tracks import MotionTrack, read_keyframes, read_track

# The flags of sample.py, and the fields of a manifest's line, that are controls.
CONTROL_NAMES = frozenset({"hold", "gain", "set", "track", "keyframes", "drive", "blink", "look_at_camera"})
MAX_GAIN = 5.0
# How far the lids are closed in each frame of a requested blink: down in 80 ms, up in 200, as in people.
BLINK = np.array([0.5, 1.0, 1.0, 0.75, 0.45, 0.2, 0.05], np.float32)
MAX_EYE_TURN = 35.0  # degrees: the limit of the eyes in the head, wherever the camera is

# Limits of a control: a little beyond what occurs, since generated motion that is replayed overshoots.
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
    """A value in the record's unit; if `relative`, it is added to the portrait's own value."""

    value: float | int
    relative: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drive:
    """Driving motion: raw codes of one model from the video's first frame on, NaN in frames that are left free. If
    `relative`, the change since the first known code is added to the portrait's own code."""

    codes: Float[np.ndarray, "T K"]
    relative: bool = False

    @property
    def first(self) -> Float[np.ndarray, " K"]:
        """The first known code."""
        return self.codes[int(np.isfinite(self.codes).all(-1).argmax())]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Controls:
    """The user's controls. Factors without one are generated. Raises InputError for impossible values.

    hold       factors that stay as in the portrait in every frame
    gain       factor -> multiplier of its generated deviation from the portrait (1 = as generated, 0 = none)
    drive      factor -> the motion that all its coordinates are taken from, for as long as that lasts
    track      values frame by frame; its blendshape columns are not used (only calibrated coordinates can be given)
    keyframes  values at single frames, between which everything is generated
    set        name of CALIBRATED_NAMES -> one value for all frames
    blink      seconds at which a blink begins
    camera     the eyes look at the camera, however the head turns
    """

    hold: tuple[str, ...] = ()
    gain: Mapping[str, float] = dataclasses.field(default_factory=dict)
    drive: Mapping[str, Drive] = dataclasses.field(default_factory=dict)
    track: MotionTrack | None = None
    keyframes: MotionTrack | None = None
    set: Mapping[str, Setting] = dataclasses.field(default_factory=dict)
    blink: tuple[float, ...] = ()
    camera: bool = False

    def __post_init__(self) -> None:
        for factor in (*self.hold, *self.gain, *self.drive):
            if factor not in FACTORS:
                raise InputError(f"{factor!r} is not a factor; the factors are {', '.join(FACTORS)}.")
        for factor, gain in self.gain.items():
            if not (math.isfinite(gain) and 0 <= gain <= MAX_GAIN):
                raise InputError(f"gain {factor}={gain:g}: a gain lies between 0 (no motion) and {MAX_GAIN:g}.")
            for state, given in (("held", self.hold), ("driven", self.drive)):
                if factor in given:
                    raise InputError(f"{factor} is {state}, so a gain on it does nothing; give one, not both.")
        for name, setting in self.set.items():
            _check_value("set", name, np.array([setting.value]), setting.relative)
        for where, track in (("track", self.track), ("keyframes", self.keyframes)):
            for name, values in {} if track is None else track.columns.items():
                if name.lstrip("+") in CALIBRATED_NAMES:
                    _check_value(where, name.lstrip("+"), values, name.startswith("+"))
        for second in self.blink:
            if not (math.isfinite(second) and second >= 0):
                raise InputError(f"blink at {second:g}: times are in seconds from the start.")
        if self.camera and {"gaze_yaw", "gaze_pitch"} & self.set.keys():
            raise InputError("the eyes cannot both look at the camera and have a gaze set; give one of the two.")

    @classmethod
    def parse(
        cls,
        *,
        hold: str | Sequence[str] = (),
        gain: str | Sequence[str] = (),
        set: str | Sequence[str] = (),
        track: str | os.PathLike | None = None,
        keyframes: str | os.PathLike | None = None,
        blink: str | Sequence[str] = (),
        camera: bool = False,
        drive: Mapping[str, Drive] | None = None,
    ) -> Controls:
        """Parses the values of the command line's flags, each one string or several, with commas between items:

            Controls.parse(hold="pose,gaze", gain="lip=1.2", set=["yaw=+10", "open_left=0"], track="nod.csv")

        A leading + means relative to the portrait: yaw=+10 is ten degrees more than the portrait, yaw=10 is ten
        degrees, yaw=+-10 ten degrees less than the portrait. `drive` comes from Pipeline.read_drive. Raises InputError.
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
            drive=drive or {},
            track=None if track is None else read_track(track),
            keyframes=None if keyframes is None else read_keyframes(keyframes),
            blink=tuple(_number("blink", "", text) for text in _items(blink)),
            camera=camera,
        )

    @classmethod
    def from_flags(cls, flags: Mapping[str, Any], drive: Mapping[str, Drive]) -> Controls:
        """Returns `parse` of flags of CONTROL_NAMES, by name; of `drive` it takes what Pipeline.read_drive made of it.
        Raises InputError."""
        values = {name: value for name, value in flags.items() if name not in ("drive", "look_at_camera")}
        return cls.parse(**values, camera=bool(flags.get("look_at_camera")), drive=drive)

    def check_length(self, frames: int) -> None:
        """Raises InputError if a control begins only after a video of `frames` frames has ended."""
        starts = [(name, t.start) for name, t in (("track", self.track), ("first keyframe", self.keyframes)) if t]
        starts += [("blink", round(second * FPS)) for second in self.blink]
        for name, start in starts:
            if start >= frames:
                raise InputError(
                    f"the {name} begins at {start / FPS:g} s, but the video is only {frames / FPS:g} s long."
                )


FREE = Controls()  # everything is generated


@dataclasses.dataclass(frozen=True, kw_only=True)
class GivenMotion:
    """Controls resolved for one portrait and a span of T frames, in raw code space (record value / scale).

    values     given values, 0 elsewhere
    mask       where a value is given
    keyframes  where a keyframe gives it
    gain       multiplier of generated deviations from the portrait
    """

    values: Float32[np.ndarray, "T K"]
    mask: Bool[np.ndarray, "T K"]
    keyframes: Bool[np.ndarray, "T K"]
    gain: Float32[np.ndarray, " K"]

    def finish(
        self, codes: Float[np.ndarray, "n K"], portrait_code: Float[np.ndarray, " K"]
    ) -> Float32[np.ndarray, "n K"]:
        """Generated raw codes of the span's first n frames -> the codes to decode: gains applied, given values exactly
        as given."""
        scaled = np.where(self.gain == 1, codes, portrait_code + self.gain * (codes - portrait_code))
        return np.where(self.mask[: len(codes)], self.values[: len(codes)], scaled).astype(np.float32)


def resolve(
    controls: Controls, portrait_code: Float[np.ndarray, " K"], frames: int, layout: FactorLayout, start: int = 0
) -> GivenMotion:
    """Returns the given entries and gains of frames start .. start + frames - 1, for a portrait with this raw code."""
    values = np.zeros((frames, layout.size), np.float32)
    mask, keyframes = np.zeros((2, frames, layout.size), bool)
    gain = np.ones(layout.size, np.float32)
    for factor in controls.hold:
        part = layout.slices[factor]
        values[:, part], mask[:, part] = portrait_code[part], True
    for factor, value in controls.gain.items():
        gain[layout.slices[factor]] = value
    for factor, drive in controls.drive.items():
        part, codes = layout.slices[factor], drive.codes[start : start + frames]
        base = portrait_code - drive.first if drive.relative else np.zeros_like(portrait_code)
        rows = np.flatnonzero(np.isfinite(codes).all(-1))
        values[rows, part], mask[rows, part] = (codes + base)[rows, part], True

    coordinate = dict(zip(CALIBRATED_NAMES, layout.calibrated, strict=True))
    scale = dict(zip(CALIBRATED_NAMES, CALIBRATED_SCALE, strict=True))
    for track in (controls.track, controls.keyframes):
        if track is None:
            continue
        at = track.frames - start
        inside = (at >= 0) & (at < frames)
        for column, series in track.columns.items():
            name = column.lstrip("+")
            if name in coordinate:
                k = coordinate[name]
                base = portrait_code[k] if column.startswith("+") else 0.0
                known = np.isfinite(series) & inside
                values[at[known], k] = base + series[known] / scale[name]
                mask[at[known], k] = True
                keyframes[at[known], k] |= track is controls.keyframes
    for name, setting in controls.set.items():
        k = coordinate[name]
        values[:, k] = (portrait_code[k] if setting.relative else 0.0) + setting.value / scale[name]
        mask[:, k], keyframes[:, k] = True, False
    for second in controls.blink:
        at = round(second * FPS) - start + np.arange(len(BLINK))
        inside = (at >= 0) & (at < frames)
        closed, at = BLINK[inside], at[inside]
        for k in (coordinate["open_left"], coordinate["open_right"]):
            lids = np.where(mask[at, k], values[at, k], portrait_code[k])
            values[at, k], mask[at, k] = (1 - closed) * lids, True
    return GivenMotion(values=values, mask=mask, keyframes=keyframes, gain=gain)


def gaze_at_camera(pose: Float[np.ndarray, "T 6"]) -> Float[np.ndarray, "T 2"]:
    """Pose in the record's units -> gaze yaw and pitch in the head, degrees, along the camera's axis; at most
    MAX_EYE_TURN."""
    return np.clip(in_head(0.0, 0.0, pose[:, :3]), -MAX_EYE_TURN, MAX_EYE_TURN)


def _items(values: str | Sequence[str]) -> list[str]:
    texts = [values] if isinstance(values, str) else values
    return [item.strip() for text in texts for item in text.split(",") if item.strip()]


def _pairs(flag: str, values: str | Sequence[str], example: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for item in _items(values):
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
        raise InputError(f"{flag} {name + '=' if name else ''}{text}: {text!r} is not a number.") from None


def _check_value(where: str, name: str, values: Num[np.ndarray, " T"], relative: bool) -> None:
    if name not in LIMITS:
        raise InputError(f"{where} {name}: cannot be set; choose one of {', '.join(CALIBRATED_NAMES)}.")
    low, high, unit = LIMITS[name]
    if relative:
        low, high = low - high, high - low
    known = values if where == "set" else values[~np.isnan(values)]
    wrong = ~((known >= low) & (known <= high))
    if wrong.any():
        raise InputError(f"{where} {name}={known[wrong.argmax()]:g}: must lie between {low:g} and {high:g} ({unit}).")
