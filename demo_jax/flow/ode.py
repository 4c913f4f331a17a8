"""From noise to data: integrates a velocity from t = 0 to t = 1 with diffrax, in exactly as many steps as requested."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import chex
import diffrax
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from demo_jax.flow import path
from demo_jax.flow.condition import Condition, VelocityFn

# Solver name -> (solver, NFE of n steps). Dopri5's last stage is the next step's first.
SOLVERS: dict[str, tuple[Callable[[], Any], Callable[[int], int]]] = {
    "euler": (diffrax.Euler, lambda n: n),
    "heun": (diffrax.Heun, lambda n: 2 * n),
    "dopri5": (diffrax.Dopri5, lambda n: 6 * n + 1),
}


def evaluations(steps: int, solver: str) -> int:
    """Returns the NFE: how often `solve` calls its velocity.

    Raises:
      ValueError: the solver is unknown, or there is less than one step.
    """
    if solver not in SOLVERS:
        raise ValueError(f"Unknown solver {solver!r}; choose one of {', '.join(SOLVERS)}.")
    if steps < 1:
        raise ValueError(f"{steps} solver steps; at least 1 is needed.")
    return SOLVERS[solver][1](steps)


def solve(
    velocity_fn: VelocityFn, x0: Float[Array, "B L K"], condition: Condition, steps: int, solver: str = "euler"
) -> tuple[Float[Array, "B L K"], int]:
    """Integrates noise x0 at t = 0 to x1 at t = 1 in `steps` equal steps.

    Given entries start at their value and keep it, bit for bit.

    Returns:
      x1, and the number of calls of velocity_fn (the branches of a guided velocity are one call).
    """
    chex.assert_equal_shape([x0, condition.given])
    count = evaluations(steps, solver)
    batch = x0.shape[0]

    def field(t: Float[Array, ""], x: Float[Array, "B L K"], args: None) -> Float[Array, "B L K"]:
        del args
        velocity = velocity_fn(x, jnp.full((batch,), t, x.dtype), condition)
        return jnp.where(condition.given_mask, 0.0, velocity.astype(x.dtype))

    # Only diffrax's solver step is used: around it, diffeqsolve has checks that call Python from the compiled program,
    # which can then be neither kept in the compilation cache nor exported, and times of its own type.
    term, method, grid = diffrax.ODETerm(field), SOLVERS[solver][0](), jnp.linspace(0, 1, steps + 1, dtype=x0.dtype)
    x = path.insert_given(x0, condition).astype(x0.dtype)

    def step(carry: tuple[Array, Any], times: tuple[Array, Array]) -> tuple[tuple[Array, Any], None]:
        x, state = carry
        x, _, _, state, _ = method.step(term, *times, x, None, state, made_jump=False)
        return (x, state), None

    start = (x, method.init(term, grid[0], grid[1], x, None))
    (x1, _), _ = jax.lax.scan(step, start, (grid[:-1], grid[1:]))
    return x1, count
