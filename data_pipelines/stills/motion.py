"""What the frames of a photo-puppet show: pose, gaze, lids and expression, drawn independently of each other."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from data_pipelines.stills.drivers import Drivers

TURN = np.array([22.0, 14.0, 15.0])  # degrees of yaw, pitch and roll from the photograph's
USUAL_TURN = np.array([8.0, 5.0, 4.0])  # standard deviation of half of the frames; the others are uniform
MOST_TURNED = np.array([32.0, 24.0, 25.0])  # degrees from the camera
MOVE, ZOOM = 0.03, 0.06  # crop widths, logarithm
GAZE = np.array([20.0, 12.0])  # degrees of yaw and pitch, in the head
WIDEST = 1.15  # opening of an eye
# Share of frames, and lowest and highest opening: both eyes at rest, shut, half shut, wide; and of winks.
_LIDS = ((0.55, 0.7, 1.05), (0.15, 0.0, 0.05), (0.15, 0.05, 0.7), (0.1, 1.0, WIDEST))
ASYMMETRY = 0.03
OTHER_APERTURE, WIDEST_APERTURE = 0.3, 0.3  # share of frames whose lips are as far apart as drawn, at most
FACTORS = ("lip", "pose", "gaze")
ONE_FACTOR = 0.4  # share of clips in which only one factor changes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Motion:
    """T frames, absolute but for the expression.

    pose      [T, 6] in the record's units
    gaze      [T, 4] likewise
    aperture  [T] eye spans
    lips      [T] rows of the drivers that move lips and jaw; -1: as in the photograph
    brows     [T] rows of the drivers that move the brows; -1 likewise
    own_gap   [T] whether the lips are as far apart as the driver's, so that the driver's expression applies
    """

    pose: Float[np.ndarray, "T 6"]
    gaze: Float[np.ndarray, "T 4"]
    aperture: Float[np.ndarray, " T"]
    lips: Int[np.ndarray, " T"]
    brows: Int[np.ndarray, " T"]
    own_gap: np.ndarray

    def with_factor(self, other: Motion, factor: str) -> Motion:
        """This motion, with lip, pose or gaze of another."""
        fields = {"lip": ("aperture", "lips", "own_gap"), "pose": ("pose",), "gaze": ("gaze",)}[factor]
        return dataclasses.replace(self, **{name: getattr(other, name) for name in fields})


def rest(pose: Float[np.ndarray, 6], gaze: Float[np.ndarray, 4], aperture: float, frames: int) -> Motion:
    """The photograph as it is, in every frame."""
    nothing = np.full(frames, -1)
    return Motion(
        pose=np.tile(pose, (frames, 1)),
        gaze=np.tile(gaze, (frames, 1)),
        aperture=np.full(frames, float(aperture)),
        lips=nothing,
        brows=nothing,
        own_gap=np.ones(frames, bool),
    )


def draw(rng: np.random.Generator, still: Motion, drivers: Drivers) -> tuple[Motion, dict[str, Motion]]:
    """Returns the motion of a clip whose first frame is the photograph, and the same with one factor drawn again, by
    factor. Lips are those of one speaker, so that what is the speaker's own, such as a smile, hardly changes with them.

    Args:
      rng: random numbers.
      still: the photograph, in as many frames (`rest`).
      drivers: expressions.
    """
    speaker = drivers.frames_of(int(rng.integers(drivers.clips)))
    full, second = (_independent(rng, still, drivers, speaker) for _ in range(2))
    moving = FACTORS[int(rng.integers(len(FACTORS)))] if rng.random() < ONE_FACTOR else None
    base = full if moving is None else still.with_factor(full, moving)
    base = _first_at_rest(base, still)
    return base, {factor: base.with_factor(second, factor) for factor in FACTORS}


def _independent(rng: np.random.Generator, still: Motion, drivers: Drivers, speaker: np.ndarray) -> Motion:
    count = len(still.aperture)
    pose = still.pose.copy()
    usual = rng.random((count, 1)) < 0.5
    turn = np.where(usual, rng.normal(size=(count, 3)) * USUAL_TURN, rng.uniform(-1, 1, (count, 3)) * TURN)
    turned = np.clip(pose[:, :3] + np.clip(turn, -TURN, TURN), -MOST_TURNED, MOST_TURNED)
    # A photograph that is turned further than that is not turned back to it.
    pose[:, :3] = np.clip(turned, pose[:, :3] - TURN, pose[:, :3] + TURN)
    pose[:, 3:] += rng.uniform(-1, 1, (count, 3)) * (MOVE, MOVE, ZOOM)
    lips = rng.choice(speaker, count)
    other = rng.random(count) < OTHER_APERTURE
    aperture = np.where(other, rng.uniform(0, WIDEST_APERTURE, count), drivers.aperture[lips])
    return Motion(
        pose=pose,
        gaze=np.concatenate([rng.uniform(-1, 1, (count, 2)) * GAZE, _openings(rng, count)], 1),
        aperture=np.clip(aperture, 0, None),
        lips=lips,
        brows=rng.integers(len(drivers.aperture), size=count),
        own_gap=~other,
    )


def _openings(rng: np.random.Generator, count: int) -> Float[np.ndarray, "T 2"]:
    shares = np.array([share for share, *_ in _LIDS])
    kinds = rng.choice(len(_LIDS) + 1, count, p=[*shares, 1 - shares.sum()])
    openings = np.zeros((count, 2))
    for row, kind in zip(openings, kinds, strict=True):
        if kind == len(_LIDS):  # a wink
            row[:] = rng.permutation([rng.uniform(*_LIDS[1][1:]), rng.uniform(*_LIDS[0][1:])])
        else:
            row[:] = rng.uniform(*_LIDS[kind][1:]) + rng.normal(size=2) * ASYMMETRY
    return np.clip(openings, 0, WIDEST)


def _first_at_rest(motion: Motion, still: Motion) -> Motion:
    first = np.arange(len(still.aperture)) == 0
    changed = {}
    for field in dataclasses.fields(motion):
        values, resting = getattr(motion, field.name), getattr(still, field.name)
        changed[field.name] = np.where(first.reshape((-1,) + (1,) * (values.ndim - 1)), resting, values)
    return dataclasses.replace(motion, **changed)
