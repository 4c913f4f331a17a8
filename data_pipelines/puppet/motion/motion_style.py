"""How one person moves, whatever they say: sampled once per person, as their face and their voice are."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from data_pipelines.puppet.motion.noise import factor_about_one


@dataclasses.dataclass(frozen=True, kw_only=True)
class MotionStyle:
    """The motion style of one person. The defaults are an average speaker.

    turn, nod, tilt  how far the head wanders about its three axes, and how strongly it nods at accents; 1 is usual
    sway             of the trunk, 1 is usual
    tempo            of head and gaze, above 1 is slower
    habit            [3] degrees: the yaw, pitch and roll in which this head rests
    neck, nape       face widths from the pivot in the neck up and forward to the face centre
    blinks           a minute
    gaze_shifts      a minute
    aversion         share of phrases before which the eyes turn away from the camera
    distance         centimetres from the eyes to the camera
    vor_gain         share of a head turn that the eyes compensate while they fixate (vestibulo-ocular reflex)
    brow             activity of the brows in speech, 1 is usual
    lids             eyeBlink of the open eye: heavy lids
    smile            mouthSmile of the person's neutral face
    """

    turn: float = 1.0
    nod: float = 1.0
    tilt: float = 1.0
    sway: float = 1.0
    tempo: float = 1.0
    habit: tuple[float, float, float] = (0.0, 0.0, 0.0)
    neck: float = 0.4
    nape: float = 0.0
    blinks: float = 18.0
    gaze_shifts: float = 70.0
    aversion: float = 0.35
    distance: float = 80.0
    vor_gain: float = 0.92
    brow: float = 1.0
    lids: float = 0.05
    smile: float = 0.03


def random_motion_style(rng: np.random.Generator) -> MotionStyle:
    """Samples a style. People differ most in how much they move: the quietest fifth moves a quarter as much as the
    liveliest."""

    about_one = functools.partial(factor_about_one, rng)
    lively = about_one(0.5)
    yaw, pitch, roll = rng.normal(0, (3.5, 3.0, 1.8))
    return MotionStyle(
        turn=lively * about_one(0.45),
        nod=lively * about_one(0.3),
        tilt=lively * about_one(0.45),
        sway=lively * about_one(0.35),
        tempo=about_one(0.15),
        habit=(float(yaw), float(pitch), float(roll)),
        neck=float(rng.uniform(0.15, 0.65)),
        nape=float(rng.uniform(-0.2, 0.2)),
        blinks=float(np.clip(19 * about_one(0.55), 5, 45)),
        gaze_shifts=float(np.clip(62 * about_one(0.45), 22, 130)),
        aversion=float(rng.beta(2, 3)),
        distance=float(rng.uniform(60, 100)),
        vor_gain=float(rng.uniform(0.75, 0.98)),
        brow=about_one(0.4),
        lids=float(rng.beta(1.5, 15)),
        smile=float(rng.beta(1.2, 14)),
    )
