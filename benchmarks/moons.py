"""Couplings under a condition, on the plane: python -m benchmarks.moons --out results.json [--seeds 10 --steps 2000].

Eight Gaussians are the noise, two moons the data, and the condition is either the moon a point lies on or its first
coordinate (after Cheng & Schwing 2025, "The Curse of Conditions"). A small network is trained with each coupling of
`demo_jax.flow.coupling`, all seeds at once; then noise and conditions are sampled independently, as at sampling time,
and the square of the 2-Wasserstein distance to held-out data is measured after one Euler step and after an adaptive
solver."""

from __future__ import annotations

import functools
import platform
import time
from pathlib import Path
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from benchmarks.common import make_parser, write_json
from demo_jax.evaluation.metrics.coupling import skew
from demo_jax.flow import coupling, path

BATCH = 128  # also the coupling's group
TEST = 1024
WIDTH = 64
CONDITIONS = ("continuous", "discrete")
_OT = functools.partial(coupling.MinibatchOT, solver=coupling.Sinkhorn())
# A weight at which the transport of this plane outweighs a difference of conditions of half a unit or less, and a share
# that comes to about that weight where the condition is continuous.
COUPLINGS: dict[str, coupling.Coupling] = {
    "independent": coupling.Independent(),
    "plain OT": _OT(),
    "aware, weight 1000": _OT(weight=1e3),
    "aware, share 0.1": _OT(share=0.1),
}
Params = list[tuple[jax.Array, jax.Array]]


def eight_gaussians(key: jax.Array, n: int) -> jax.Array:
    """Returns noise [n, 2] on a circle of radius 5, variance 0.1."""
    which, noise = jax.random.split(key)
    angle = jax.random.randint(which, (n,), 0, 8) * (jnp.pi / 4)
    return 5 * jnp.stack([jnp.cos(angle), jnp.sin(angle)], 1) + 0.1**0.5 * jax.random.normal(noise, (n, 2))


def moons(key: jax.Array, n: int) -> tuple[jax.Array, jax.Array]:
    """Returns points [n, 2], about 9 wide, and the moon of each, [n] int32."""
    which, along, noise = jax.random.split(key, 3)
    moon = jax.random.randint(which, (n,), 0, 2)
    angle = jnp.pi * jax.random.uniform(along, (n,))
    upper = jnp.stack([jnp.cos(angle), jnp.sin(angle)], 1)
    points = jnp.where(moon[:, None] == 0, upper, jnp.array([[1.0, 0.5]]) - upper)
    return 3 * (points + 0.05 * jax.random.normal(noise, (n, 2))) - 1, moon


def describe(kind: str, points: jax.Array, moon: jax.Array) -> jax.Array:
    """Returns the condition [n, 2]: one-hot, or the first coordinate mapped to a half circle, so that near points have
    similar cosines."""
    if kind == "discrete":
        return jax.nn.one_hot(moon, 2)
    angle = (points[:, 0] + 5) / 11 * jnp.pi
    return jnp.stack([jnp.cos(angle), jnp.sin(angle)], 1)


def init(key: jax.Array) -> Params:
    sizes = (5, WIDTH, WIDTH, WIDTH, 2)
    keys = jax.random.split(key, len(sizes) - 1)
    return [
        (jax.random.normal(k, (a, b)) * (2 / a) ** 0.5, jnp.zeros(b))
        for k, a, b in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]


def velocity(params: Params, x: jax.Array, t: jax.Array, condition: jax.Array) -> jax.Array:
    """Returns the velocity [n, 2] at x [n, 2] and t [n] under condition [n, 2]."""
    h = jnp.concatenate([x / 3, 2 * t[:, None] - 1, condition], 1)
    for w, b in params[:-1]:
        h = jax.nn.gelu(h @ w + b[None])
    w, b = params[-1]
    return h @ w + b[None]


def train(key: jax.Array, kind: str, couple: coupling.Coupling, steps: int) -> Params:
    """Returns the parameters trained with one coupling under one kind of condition."""
    optimizer = optax.adam(optax.cosine_decay_schedule(3e-3, steps))
    params = init(jax.random.fold_in(key, 0))

    def step(carry: tuple[Params, Any], key: jax.Array) -> tuple[tuple[Params, Any], None]:
        params, opt_state = carry
        data_key, noise_key, time_key = jax.random.split(key, 3)
        points, moon = moons(data_key, BATCH)
        condition = describe(kind, points, moon)
        x0, x1 = eight_gaussians(noise_key, BATCH)[:, None], points[:, None]
        free = jnp.ones(x1.shape, bool)
        uncoupled = coupling.CouplingBatch(x0=x0, x1=x1, condition_features=condition, free_mask=free)
        x0 = couple(key, uncoupled, BATCH)
        t = jax.random.uniform(time_key, (BATCH,))
        x, target = path.interpolate(x0, x1, t)[:, 0], path.target_velocity(x0, x1)[:, 0]

        def loss(params: Params) -> jax.Array:
            return jnp.mean(jnp.square(velocity(params, x, t, condition) - target))

        updates, opt_state = optimizer.update(jax.grad(loss)(params), opt_state)
        return (optax.apply_updates(params, updates), opt_state), None

    keys = jax.random.split(jax.random.fold_in(key, 1), steps)
    return jax.lax.scan(step, (params, optimizer.init(params)), keys)[0][0]


def sample(params: Params, key: jax.Array, kind: str) -> dict[str, jax.Array]:
    """Returns points [TEST, 2] by name: real, euler and adaptive, under the same conditions."""
    data_key, noise_key = jax.random.split(jax.random.fold_in(key, 2))
    points, moon = moons(data_key, TEST)
    condition, noise = describe(kind, points, moon), eight_gaussians(noise_key, TEST)

    def field(t: jax.Array, x: jax.Array, args: None) -> jax.Array:
        del args
        return velocity(params, x, jnp.full((TEST,), t, x.dtype), condition)

    adaptive = diffrax.diffeqsolve(
        diffrax.ODETerm(field), diffrax.Dopri5(), 0.0, 1.0, None, noise,
        stepsize_controller=diffrax.PIDController(rtol=1e-4, atol=1e-4), throw=False,
    )  # fmt: skip
    return {"real": points, "euler": noise + field(jnp.zeros(()), noise, None), "adaptive": adaptive.ys[-1]}


def wasserstein2(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the square of the 2-Wasserstein distance between two samples [n, 2]."""
    cost = cdist(a, b, "sqeuclidean")
    return float(cost[linear_sum_assignment(cost)].mean())


def measure(kind: str, couple: coupling.Coupling, seeds: int, steps: int) -> dict[str, list[float]]:
    """Returns one distance for each seed, of euler and of adaptive."""

    def one(key: jax.Array) -> dict[str, jax.Array]:
        return sample(train(key, kind, couple, steps), key, kind)

    keys = jax.random.split(jax.random.key(0), seeds)
    points = jax.device_get(jax.jit(jax.vmap(one))(keys))
    return {
        solver: [wasserstein2(a, b) for a, b in zip(points[solver], points["real"], strict=True)]
        for solver in ("euler", "adaptive")
    }


def pairs_skew(kind: str, couple: coupling.Coupling) -> float:
    """Returns how well the condition predicts its noise in 32 groups."""
    n = 32 * BATCH
    keys = jax.random.split(jax.random.key(1), 3)
    points, moon = moons(keys[0], n)
    condition, free = describe(kind, points, moon), jnp.ones((n, 1, 2), bool)
    noise, data = eight_gaussians(keys[2], n)[:, None], points[:, None]
    uncoupled = coupling.CouplingBatch(x0=noise, x1=data, condition_features=condition, free_mask=free)
    x0 = couple(keys[1], uncoupled, BATCH)
    return skew(np.asarray(condition), np.asarray(x0), np.arange(n) // BATCH)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="json file to write")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=2000)
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    results = {
        "date": time.strftime("%Y-%m-%d"), "jax": jax.__version__, "python": platform.python_version(),
        "seeds": args.seeds, "steps": args.steps, "rows": rows,
    }  # fmt: skip
    for kind in CONDITIONS:
        for name, couple in COUPLINGS.items():
            start = time.perf_counter()
            values = measure(kind, couple, args.seeds, args.steps)
            text = ", ".join(
                f"{k} {np.mean(v):.3f} +- {np.std(v, ddof=min(1, len(v) - 1)):.3f}" for k, v in values.items()
            )
            row = {"condition": kind, "coupling": name, **values, "skew": pairs_skew(kind, couple)}
            rows.append(row | {"seconds": time.perf_counter() - start})
            print(f"{kind:11} {name:20} {text}", flush=True)
            write_json(args.out, results)


if __name__ == "__main__":
    main()
