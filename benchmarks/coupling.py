"""Time and gain of couplings: python -m benchmarks.coupling [--out results.json --sizes 64,256,1024 --repeats 7].

Each method maps noise and standardised data of 50 frames x 42 coordinates (d = 2100) on the CPU to the noise of each
datum; the time is from arrays to indices, costs included. Other libraries are timed if they are installed (POT and
ott-jax with the dev extra, torchcfm with bench). Methods take turns, so that the load is the same for all, and medians
are reported. Gain is (independent - coupled) / (independent - optimal); kept is the share of noise or data, the
smaller, that is used: torchcfm samples pairs with replacement. Skew is held-out R2 of ridge regression from the data's
condition to their noise.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.distance import cdist

from benchmarks.common import make_parser, write_json
from demo_jax.evaluation.metrics.coupling import gain_captured, skew
from demo_jax.flow import coupling

LENGTH, SIZE, FEATURES = 50, 42, 16
FlowBatch = tuple[np.ndarray, np.ndarray]  # the rows of noise and of data that are paired
Method = Callable[[np.ndarray, np.ndarray], FlowBatch]  # noise, data [n, LENGTH, SIZE]
FAST = coupling.Sinkhorn(iterations=3, temperature=0.06, tolerance=0.3)


def draw(seed: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns noise and data [n, LENGTH, SIZE] float32 and condition features [n, FEATURES] that explain half of the
    data's variance; the data's coordinates are correlated over time, as those of motion are."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((n, LENGTH, SIZE))
    frequency = np.arange(8)[:, None] * np.pi * (np.arange(LENGTH) + 0.5)[None] / LENGTH
    basis = np.cos(frequency) * np.sqrt(np.where(np.arange(8) > 0, 2, 1) / 8)[:, None]
    features = rng.standard_normal((n, FEATURES))
    loading = np.random.default_rng(0).standard_normal((FEATURES, 8, SIZE)) / np.sqrt(FEATURES)
    coefficients = (np.einsum("nf,fks->nks", features, loading) + rng.standard_normal((n, 8, SIZE))) / np.sqrt(2)
    data = np.einsum("nks,kl->nls", coefficients, basis)
    return noise.astype(np.float32), data.astype(np.float32), features.astype(np.float32)


def ours(solver: coupling.Solver) -> Method:
    """Returns the method of one of our solvers, compiled."""

    @jax.jit
    def pair(noise: jax.Array, data: jax.Array, free: jax.Array) -> jax.Array:
        return solver(coupling.transport_cost(noise, data, free))

    return lambda noise, data: (np.asarray(pair(noise, data, np.ones(data.shape, bool))), np.arange(len(data)))


def pot_exact() -> Method:
    import ot

    def pair(noise: np.ndarray, data: np.ndarray) -> FlowBatch:
        n = len(data)
        cost = ot.dist(noise.reshape(n, -1), data.reshape(n, -1))
        return np.nonzero(ot.emd(ot.unif(n), ot.unif(n), cost))

    return pair


def torchcfm_exact() -> Method:
    import torch
    from torchcfm.optimal_transport import OTPlanSampler

    sampler = OTPlanSampler(method="exact")

    def pair(noise: np.ndarray, data: np.ndarray) -> FlowBatch:
        return sampler.sample_map(sampler.get_map(torch.from_numpy(noise), torch.from_numpy(data)), len(data))

    return pair


def ott_sinkhorn() -> Method:
    """Returns the method that takes the largest entry of each datum's column, which need not be a permutation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jaxopt warns that it is unmaintained
        from ott.geometry.pointcloud import PointCloud
        from ott.problems.linear.linear_problem import LinearProblem
        from ott.solvers.linear.sinkhorn import Sinkhorn

    @jax.jit
    def plan(noise: jax.Array, data: jax.Array) -> jax.Array:
        n = len(data)
        geometry = PointCloud(noise.reshape(n, -1), data.reshape(n, -1), epsilon=0.05, relative_epsilon="std")
        return jnp.argmax(Sinkhorn()(LinearProblem(geometry)).matrix, 0)

    return lambda noise, data: (np.asarray(plan(noise, data)), np.arange(len(data)))


METHODS: dict[str, Callable[[], Method]] = {
    "ours, exact": lambda: ours(coupling.exact),
    "ours, sinkhorn": lambda: ours(coupling.Sinkhorn()),
    "ours, sinkhorn, fewer iterations": lambda: ours(FAST),
    "POT emd": pot_exact,
    "torchcfm exact (drawn)": torchcfm_exact,
    "ott sinkhorn (argmax)": ott_sinkhorn,
}


def measure(n: int, methods: dict[str, Method], repeats: int) -> list[dict[str, Any]]:
    """Returns time, gain and share kept of every method on n rows."""
    noise, data, _ = draw(1, n)
    flat_noise, flat_data = (a.reshape(n, -1).astype(np.float64) for a in (noise, data))
    cost = cdist(flat_noise, flat_data, "sqeuclidean")
    pairs = {name: method(noise, data) for name, method in methods.items()}  # compiles, too
    times: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(repeats):
        for name, method in methods.items():
            start = time.perf_counter()
            method(noise, data)
            times[name].append(time.perf_counter() - start)
    return [
        {"n": n, "method": name, "ms": 1e3 * statistics.median(times[name]), "least_ms": 1e3 * min(times[name]),
         "gain": gain_captured(cost, i, j), "kept": min(len(np.unique(i)), len(np.unique(j))) / n}
        for name, (i, j) in pairs.items()
    ]  # fmt: skip


def skews(groups: int, n: int) -> list[dict[str, Any]]:
    """Returns the skew of couplings by Sinkhorn in groups of n rows, with conditions as in `draw`."""
    noise, data, features = draw(2, groups * n)
    uncoupled = coupling.CouplingBatch(
        x0=jnp.asarray(noise), x1=jnp.asarray(data), condition_features=jnp.asarray(features),
        free_mask=jnp.ones(data.shape, bool),
    )  # fmt: skip
    ot = functools.partial(coupling.MinibatchOT, solver=coupling.Sinkhorn())
    rows = []
    for name, couple in (
        ("independent (the default)", coupling.Independent()), ("plain", ot()), ("weight 1000", ot(weight=1e3)),
        ("share 0.1", ot(share=0.1)), ("share 0.01", ot(share=0.01)),
    ):  # fmt: skip
        paired = np.asarray(jax.jit(lambda batch, c=couple: c(jax.random.key(0), batch, n))(uncoupled))
        saved = float(np.square(noise - data).sum(dtype="f8") - np.square(paired - data).sum(dtype="f8")) / len(data)
        value = skew(features, paired, np.repeat(np.arange(groups), n))
        rows.append({"coupling": name, "group": n, "groups": groups, "skew": value, "saved": saved})
    return rows


def main() -> None:
    parser = make_parser(__doc__)
    today = time.strftime("%Y-%m-%d")
    parser.add_argument("--out", type=Path, default=Path(f"benchmarks/results/{today}-coupling.json"))
    parser.add_argument("--sizes", default="64,256,1024", help="group sizes, separated by commas")
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    methods: dict[str, Method] = {}
    for name, make in METHODS.items():
        try:
            methods[name] = make()
        except ImportError as error:
            print(f"{name} is left out: {error}")
    results: dict[str, Any] = {
        "date": today, "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "cores_used": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0], "python": platform.python_version(),
        "versions": {n: _version(n) for n in ("jax", "pot", "ott-jax", "torchcfm", "torch", "scipy")},
        "note": "medians of interleaved repeats in one run; the machine was as busy as load says", "d": LENGTH * SIZE,
        "rows": [], "skew": [],
    }  # fmt: skip
    for n in map(int, args.sizes.split(",")):
        for row in measure(n, methods, args.repeats):
            results["rows"].append(row)
            print("n {n:5d}  {method:33} {ms:8.1f} ms  gain {gain:.4f}  kept {kept:.2f}".format(**row), flush=True)
    for row in skews(16, 128):
        results["skew"].append(row)
        print("skew {skew:.4f}  saved {saved:7.1f}  {coupling}".format(**row), flush=True)
    write_json(args.out, results)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    main()
