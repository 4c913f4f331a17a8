"""The motion prior against Gaussian-process regression written out, and the preconditioning that follows from it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from demo_jax.factors import FactorLayout
from demo_jax.flow import condition as conditions
from demo_jax.models.prior import MotionPrior, precondition

LAYOUT = FactorLayout(lip=3, pose=6, gaze=4, residual=0)
K, CONTEXT, LENGTH = LAYOUT.size, 2, 9
PERSISTENCE, REACH, NOISE, LEAST = 0.35, 28.0, 0.001, 0.01  # of pose, where training starts
YAW, PITCH = 3, 4


def expect(**changes):
    """Mean and variance [L, K] of one window at the start of training."""
    cond = conditions.empty(1, K, 5, context=CONTEXT, length=LENGTH, lookahead=0).replace(**changes)
    prior = MotionPrior(LAYOUT)
    mean, variance = prior.apply(prior.init(jax.random.key(0), cond), cond)
    return np.asarray(mean)[0], np.asarray(variance)[0]


def covariance(distance):
    return PERSISTENCE + (1 - PERSISTENCE) * (1 + distance / REACH) * np.exp(-distance / REACH)


def regression(frame: int, known: list[tuple[int, float, float]], source: float) -> tuple[float, float]:
    """What is known is (frame, value, variance of its noise); and the portrait, at no time."""
    at = np.array([k[0] for k in known])
    values = np.array([source, *(k[1] for k in known)])
    together = np.full((len(values), len(values)), PERSISTENCE)
    together[1:, 1:] = covariance(np.abs(at[:, None] - at[None]))
    together += np.diag([1 - PERSISTENCE, *(NOISE + k[2] for k in known)])
    here = np.array([PERSISTENCE, *covariance(np.abs(at - frame))])
    weights = np.linalg.solve(together, here)
    return float(weights @ values), max(float(1 - weights @ here), LEAST)


def given(frames: dict[int, float], at: int = YAW):
    values, mask = np.zeros((1, LENGTH, K), np.float32), np.zeros((1, LENGTH, K), bool)
    for frame, value in frames.items():
        values[0, frame, at], mask[0, frame, at] = value, True
    return {"given": jnp.asarray(values), "given_mask": jnp.asarray(mask)}


def source(value: float):
    return {"source": jnp.full((1, K), value)}


def context(value: float, level: float = 0.0):
    return {
        "context": jnp.full((1, CONTEXT, K), value),
        "context_mask": jnp.ones((1, CONTEXT), bool),
        "context_level": jnp.full((1,), level),
    }


def keyframe(value: float, after: int):
    """`after` frames beyond the window's first."""
    distance = np.zeros((1, LENGTH, 4), np.float32)
    distance[0, :, 1] = after - np.arange(LENGTH)
    mask = np.zeros((1, LENGTH, K), bool)
    mask[0, :, YAW] = True
    return {
        "keyframe": jnp.asarray(np.where(mask, value, 0).astype(np.float32)),
        "keyframe_mask": jnp.asarray(mask),
        "keyframe_distance": jnp.asarray(distance),
    }


CASES = {
    "nothing": ({}, lambda i: []),
    "context": (context(0.8), lambda i: [(-1, 0.8, 0.0)]),
    "noisy context": (context(0.4, 0.5), lambda i: [(-1, 0.8, 1.0)]),
    "one frame": (given({4: 1.2}), lambda i: [(4, 1.2, 0.0)]),
    "context and a keyframe beyond": (context(0.8) | keyframe(-1.0, 20), lambda i: [(-1, 0.8, 0.0), (20, -1.0, 0.0)]),
    # The nearest on either side count.
    "two frames": (
        context(0.8) | given({2: 1.2, 6: -0.4}),
        lambda i: [(-1, 0.8, 0.0), (2, 1.2, 0.0)] if i < 2 else [(2, 1.2, 0.0), (6, -0.4, 0.0)] if i < 6 else
        [(6, -0.4, 0.0)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_it_is_gaussian_process_regression(case):
    changes, known = CASES[case]
    mean, variance = expect(**changes, **source(0.5))
    for i in range(LENGTH):
        if "given_mask" in changes and changes["given_mask"][0, i, YAW]:
            continue
        expected = regression(i, known(i), 0.5)
        np.testing.assert_allclose((mean[i, YAW], variance[i, YAW]), expected, rtol=2e-3, atol=2e-3)


def test_what_one_coordinate_is_given_does_not_move_another():
    mean, variance = expect(**source(0.5))
    changed, narrower = expect(**source(0.5), **given({4: 1.2}))
    others = np.arange(K) != YAW
    np.testing.assert_array_equal(changed[:, others], mean[:, others])
    np.testing.assert_array_equal(narrower[:, others], variance[:, others])
    assert (narrower[:, YAW] < variance[:, YAW]).all()


def test_a_keyframe_is_reached_smoothly():
    mean, _ = expect(**context(0.0), **given({8: 2.0}))
    steps = np.diff(np.concatenate([[0.0], mean[:, YAW]]))
    assert (steps > 0).all() and steps.max() < 0.3  # of 2 in nine steps
    assert mean[8, YAW] == pytest.approx(2.0, abs=0.05)


def test_lips_forget_and_a_head_does_not():
    mean, variance = expect(**context(1.0))
    assert abs(mean[-1, 0]) < 0.15 and variance[-1, 0] > 0.9
    assert mean[-1, YAW] > 0.8 and variance[-1, YAW] < 0.3


@pytest.mark.parametrize(("mean", "variance"), [(0.0, 1.0), (0.8, 0.09)])
def test_preconditioning_is_the_best_linear_guess_and_leaves_unit_variance(mean: float, variance: float):
    t = jnp.linspace(0.0, 1.0, 11)
    x0, x1 = jax.random.normal(jax.random.key(0), (2, 200_000))
    x1 = mean + variance**0.5 * x1
    shape = (len(t), 1, 1)
    constant, skip, scale = (a[:, 0] for a in precondition(t, jnp.full(shape, mean), jnp.full(shape, variance)))
    x = (1 - t[:, None]) * x0[None] + t[:, None] * x1[None]
    velocity = jnp.broadcast_to((x1 - x0)[None], x.shape)
    for i in range(len(t)):  # sampling error of 200,000 pairs
        slope, offset = np.polyfit(x[i], velocity[i], 1)
        assert float(skip[i, 0]) == pytest.approx(slope, abs=0.03)
        assert float(constant[i, 0]) == pytest.approx(offset, abs=0.03)
    left = (velocity - constant - skip * x) / scale
    np.testing.assert_allclose(jnp.var(left, 1), 1.0, atol=0.02)
    np.testing.assert_allclose(left[0], (x1 - mean) / variance**0.5, atol=1e-4)
    np.testing.assert_allclose(left[-1], -x0, atol=1e-4)
