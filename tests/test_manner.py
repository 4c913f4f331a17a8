"""How generated motion is shown on a photograph: it begins at the portrait, mouths open less, and controls stay."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tiny_model

from demo_jax.constants import FPS
from demo_jax.factors import CALIBRATED_NAMES
from demo_jax.sampling.controls import FREE, Controls
from demo_jax.sampling.manner import PHOTOGRAPH, SQUARE, AppliedManner, Manner
from demo_jax.sampling.options import Options
from demo_jax.sampling.pipeline import Pipeline
from demo_jax.sampling.tracks import MotionTrack

LAYOUT = tiny_model.LAYOUT
PORTRAIT = np.random.default_rng(5).normal(size=LAYOUT.size).astype(np.float32)
APERTURE, YAW, X = (LAYOUT.calibrated[CALIBRATED_NAMES.index(name)] for name in ("aperture", "yaw", "x"))
SETTLED = round(PHOTOGRAPH.settle * FPS)


def motion(frames: int = 40) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(frames, LAYOUT.size)).astype(np.float32)


def shown(codes: np.ndarray, given: np.ndarray, manner: Manner = PHOTOGRAPH, cuts: tuple[int, ...] = ()) -> np.ndarray:
    applied, parts, start = AppliedManner(manner, PORTRAIT, LAYOUT, given[:SETTLED]), [], 0
    for part in np.split(codes, cuts):
        parts.append(applied(part, start))
        start += len(part)
    return np.concatenate(parts)


def test_motion_begins_at_the_portrait_and_becomes_the_generated_one():
    codes, free = motion(), np.zeros((40, LAYOUT.size), bool)
    made = shown(codes, free)
    np.testing.assert_allclose(made[0], PORTRAIT, atol=1e-6)
    wanted = codes.copy()
    wanted[:, APERTURE] *= PHOTOGRAPH.aperture
    np.testing.assert_array_equal(made[SETTLED:], wanted[SETTLED:])
    off = np.abs(made - wanted)[:SETTLED] / np.abs(PORTRAIT - wanted[0])
    assert (np.diff(off, axis=0) < 1e-6).all()  # the portrait's share falls


def test_squares_are_shown_as_generated():
    codes = motion()
    assert shown(codes, np.zeros((40, LAYOUT.size), bool), SQUARE) is not None
    np.testing.assert_array_equal(shown(codes, np.zeros((40, LAYOUT.size), bool), SQUARE), codes)
    assert Manner() == SQUARE


@pytest.mark.parametrize("cuts", [(12, 24, 36), (1, 2, 3), (10, 20, 30), (5,)])
def test_windows_do_not_matter(cuts):
    codes, given = motion(), np.zeros((40, LAYOUT.size), bool)
    given[8:, YAW] = given[0, X] = True
    np.testing.assert_array_equal(shown(codes, given, cuts=cuts), shown(codes, given))


def test_what_a_control_gives_first_does_not_begin_at_the_portrait():
    codes, given = motion(), np.zeros((40, LAYOUT.size), bool)
    given[0, X] = True
    made = shown(codes, given)
    np.testing.assert_array_equal(made[:, X], codes[:, X])
    assert made[0, YAW] == pytest.approx(PORTRAIT[YAW])


def test_motion_has_settled_when_a_control_takes_over():
    """Generated frames lead to a keyframe: those beside it must not be shifted."""
    codes, given = motion(), np.zeros((40, LAYOUT.size), bool)
    given[6, YAW] = True
    made = shown(codes, given)
    assert made[0, YAW] == pytest.approx(PORTRAIT[YAW])
    np.testing.assert_allclose(made[6:, YAW], codes[6:, YAW], atol=1e-6)
    assert abs(made[5, YAW] - codes[5, YAW]) < 0.1 * abs(PORTRAIT[YAW] - codes[0, YAW])


# In a session -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo() -> Pipeline:
    return Pipeline(tiny_model.model())


def session(demo: Pipeline, controls: Controls, manner: Manner) -> np.ndarray:
    generator = demo._motion
    made = generator.start(PORTRAIT, [tiny_model.speech(30)], controls, Options(steps=1), generator.whole, manner)
    return np.concatenate(list(generator.sampled(demo.model.flow_params, made, Options(steps=1))))


def test_a_session_begins_at_the_portrait_and_generates_the_same(demo):
    plain, made = session(demo, FREE, SQUARE), session(demo, FREE, PHOTOGRAPH)
    np.testing.assert_allclose(made[0], PORTRAIT, atol=1e-5)
    plain[:, APERTURE] *= PHOTOGRAPH.aperture
    np.testing.assert_allclose(made[SETTLED:], plain[SETTLED:], atol=1e-5)  # windows' context is as generated


def test_controls_are_obeyed_to_the_number(demo):
    track = MotionTrack(columns={"yaw": np.where(np.arange(30) < 20, np.linspace(0, 9, 30), np.nan)}, start=0)
    controls = dataclasses.replace(Controls.parse(set="aperture=0.4", hold="gaze"), track=track)
    made = session(demo, controls, PHOTOGRAPH)
    np.testing.assert_allclose(made[:, APERTURE], 4, atol=1e-6)  # the multiplier is of generated motion
    np.testing.assert_allclose(made[:20, YAW], np.linspace(0, 9, 30)[:20] / 15, atol=1e-6)
    gaze = LAYOUT.slices["gaze"]
    np.testing.assert_array_equal(made[:, gaze], np.tile(PORTRAIT[gaze], (30, 1)))
