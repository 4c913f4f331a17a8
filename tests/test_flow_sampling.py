"""Guidance in closed form, and the solvers: order, exact steps, exact evaluations, given entries."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from demo_jax.flow import condition as conditions
from demo_jax.flow import guidance, ode

K = 4


def condition(batch=2, length=3):
    keep = jnp.ones((batch,), bool)
    return conditions.empty(batch, K, 2, length=length).replace(
        keep_audio=keep, keep_emotion=keep, source=jax.random.normal(jax.random.key(3), (batch, K))
    )


class Linear:
    """v = x + 2 source + 3 [audio] + 5 [emotion] + 7 [audio and emotion]; counts its calls."""

    def __init__(self):
        self.batches = []

    def __call__(self, x, t, cond):
        self.batches.append(x.shape[0])
        assert t.shape == (x.shape[0],)
        audio, emotion = cond.keep_audio, cond.keep_emotion
        constant = 3.0 * audio + 5.0 * emotion + 7.0 * (audio & emotion)
        return x + 2.0 * cond.source[:, None] + constant[:, None, None]


@pytest.mark.parametrize(
    ("scales", "constant"),
    [
        ({"audio": 2.0, "emotion": 1.5}, 2.0 * 3 + 1.5 * 5),  # neither branch keeps both
        ({"audio": 1.0, "emotion": 1.0}, 3 + 5),
        ({"audio": 0.0, "emotion": 0.0}, 0),
        ({"audio": 2.0}, 5 + 2 * (3 + 7)),  # emotion is not guided: it stays in every branch
        ({"audio": 1.0}, 3 + 5 + 7),
        ({}, 3 + 5 + 7),
    ],
)
def test_guidance_is_its_formula_in_one_call(scales, constant):
    cond, velocity = condition(), Linear()
    x = jax.random.normal(jax.random.key(0), (2, 3, K))
    result = guidance.guide(velocity, scales)(x, jnp.full(2, 0.5), cond)
    np.testing.assert_allclose(result, x + 2.0 * cond.source[:, None] + constant, rtol=1e-5, atol=1e-5)  # float32
    assert velocity.batches == [2 * (1 + len(scales))]


def test_guidance_keeps_what_the_caller_dropped_dropped():
    cond = condition().replace(keep_audio=jnp.array([True, False]))
    x = jnp.zeros((2, 3, K))
    result = guidance.guide(Linear(), {"audio": 2.0, "emotion": 1.0})(x, jnp.zeros(2), cond)
    np.testing.assert_allclose(result - 2.0 * cond.source[:, None], np.array([11.0, 5.0])[:, None, None] + x, rtol=1e-5)


def test_guidance_scales_may_be_traced_and_names_are_checked():
    x, cond = jnp.zeros((2, 3, K)), condition()
    run = jax.jit(lambda s: guidance.guide(Linear(), {"audio": s})(x, jnp.zeros(2), cond))
    np.testing.assert_allclose(run(3.0) - run(2.0), jnp.full(x.shape, 10.0), rtol=1e-5)
    assert run._cache_size() == 1
    with pytest.raises(ValueError, match="source"):
        guidance.guide(Linear(), {"source": 1.0})


def growth(x, t, cond):
    """dx/dt = x cos(t): x(1) = x(0) exp(sin 1)."""
    del cond
    return x * jnp.cos(t)[:, None, None]


@pytest.mark.parametrize(("solver", "order", "steps"), [("euler", 1, 16), ("heun", 2, 8), ("dopri5", 5, 1)])
def test_solver_order(solver, order, steps):
    counts = np.array([steps, 2 * steps, 4 * steps])
    with jax.enable_x64(True):  # so that rounding does not hide the order
        x0, cond = jnp.ones((1, 1, K), jnp.float64), condition(1, 1)
        ends = [float(ode.solve(growth, x0, cond, int(n), solver)[0][0, 0, 0]) for n in counts]
    errors = np.abs(np.array(ends) - np.exp(np.sin(1.0)))
    slope = -np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert abs(slope - order) < 0.35, (slope, errors)  # at these step counts higher-order terms are still seen


@pytest.mark.parametrize("solver", list(ode.SOLVERS))
@pytest.mark.parametrize("steps", [1, 5])
def test_steps_and_evaluations_are_exact(solver, steps):
    times = []

    def velocity(x, t, cond):
        del cond
        jax.debug.callback(lambda s: times.append(float(s[0])), t, ordered=True)
        return jnp.ones_like(x)

    x1, evaluations = ode.solve(velocity, jnp.zeros((2, 3, K)), condition(), steps, solver)
    np.testing.assert_allclose(x1, 1.0, rtol=1e-6)
    jax.effects_barrier()
    assert len(times) == evaluations == ode.evaluations(steps, solver)
    if solver == "euler":  # the whole grid 0, 1/n, .., (n-1)/n
        np.testing.assert_allclose(times, np.arange(steps) / steps, atol=1e-6)


@pytest.mark.parametrize("solver", list(ode.SOLVERS))
def test_the_program_calls_nothing_on_the_host(solver):
    """Else it could be neither kept in the compilation cache nor exported."""
    cond = condition()
    program = jax.jit(lambda x: ode.solve(growth, x, cond, 10, solver)[0]).trace(jnp.zeros((2, 3, K)))
    assert "callback" not in str(program.jaxpr)
    for platform in ("cpu", "cuda", "tpu"):
        assert "custom_call" not in program.lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize("steps", [3, 49, 1000])
def test_rounding_costs_no_step(steps):
    run = jax.jit(lambda x: ode.solve(lambda x, t, c: t[:, None, None] * jnp.ones_like(x), x, condition(), steps)[0])
    ends = np.arange(steps) / steps
    np.testing.assert_allclose(run(jnp.zeros((2, 3, K))), ends.mean(), rtol=1e-5)  # the sum of as many left ends


def test_state_and_times_stay_float32_where_jax_has_64_bits():
    seen, cond = set(), condition()

    def velocity(x, t, cond):
        seen.add((x.dtype, t.dtype))
        return growth(x, t, cond)

    def end(solver):
        return np.asarray(jax.jit(lambda x: ode.solve(velocity, x, cond, 7, solver)[0])(np.ones((2, 3, K), np.float32)))

    for solver in ode.SOLVERS:
        narrow = end(solver)
        with jax.enable_x64(True):
            wide = end(solver)
        assert wide.dtype == np.float32
        np.testing.assert_allclose(wide, narrow, rtol=1e-6)
    assert seen == {(np.dtype("float32"), np.dtype("float32"))}


def test_given_entries_stay_bit_for_bit():
    mask = jax.random.bernoulli(jax.random.key(1), 0.5, (2, 3, K))
    given = jnp.where(mask, jax.random.normal(jax.random.key(2), (2, 3, K)), 0)
    cond = condition().replace(given=given, given_mask=mask)
    seen = []

    def velocity(x, t, c):
        del t, c
        jax.debug.callback(lambda a: seen.append(np.asarray(a)), x)
        return jnp.full_like(x, jnp.pi)

    for solver in ode.SOLVERS:
        x1, _ = ode.solve(velocity, jnp.zeros((2, 3, K)), cond, 3, solver)
        np.testing.assert_array_equal(x1[mask], given[mask])
        np.testing.assert_allclose(x1[~mask], np.pi, rtol=1e-5)
    jax.effects_barrier()
    for x in seen:
        np.testing.assert_array_equal(x[np.asarray(mask)], given[mask])


def test_impossible_solves_are_refused():
    with pytest.raises(ValueError, match="rk4"):
        ode.solve(growth, jnp.zeros((2, 3, K)), condition(), 2, "rk4")
    with pytest.raises(ValueError, match="0 solver steps"):
        ode.solve(growth, jnp.zeros((2, 3, K)), condition(), 0)
