"""Speed of one accelerator: python -m benchmarks.accelerator --out results.json [--only peaks,flow].

Medians of repeated calls after warm-up, on random numbers. Operations are those of products and convolutions in the
program as written, without what a compiler adds or saves. Sections: peaks, stage1 (train step at 128 px), flow (train
step at full size, attention kernels, coupling), decode (frames at 512 px), sample (one clip, from noise to frames),
precision (bfloat16 and fast float32 beside full float32), and full_size: one float32 step of each full-size preset on a
few rows, for machines too small for more.
"""

from __future__ import annotations

import dataclasses
import functools
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.abstract import (
    AUDIO,
    abstract_step,
    blank_space,
    count_operations,
    filled,
    settings,
    stage1_shapes,
    stage2_shapes,
)
from benchmarks.common import make_parser, write_json
from demo_jax.config import Stage2Config
from demo_jax.factors import FactorLayout
from demo_jax.flow import coupling
from demo_jax.models import flow_transformer
from demo_jax.models.autoencoder import AutoEncoder, to_uint8
from demo_jax.models.flow_transformer import FlowTransformer
from demo_jax.models.layers import portable
from demo_jax.sampling.sampler import sample_window
from demo_jax.training.conditioning import make_condition
from demo_jax.training.stage1_losses import stage1_losses
from demo_jax.training.state import create, make_optimizer
from demo_jax.training.steps import make_step, stage2_losses

Row = dict[str, Any]
REPEATS = 10


def seconds(call: Callable[..., Any], *args: Any) -> float:
    """Returns the median seconds of a call, after two that do not count."""
    times = []
    for i in range(REPEATS + 2):
        start = time.perf_counter()
        jax.block_until_ready(call(*args))
        if i > 1:
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def train_seconds(step: Any, state: Any, batch: Any) -> float:
    """Returns the seconds of a step that donates its state; steps follow each other without waiting, as in training."""
    for _ in range(2):
        state, metrics = step(state, batch)
    jax.block_until_ready(metrics)
    start = time.perf_counter()
    for _ in range(REPEATS):
        state, metrics = step(state, batch)
    jax.block_until_ready(metrics)
    return (time.perf_counter() - start) / REPEATS


def peaks() -> list[Row]:
    rows: list[Row] = []
    n = 8192 if jax.default_backend() != "cpu" else 1024
    for dtype in ("bfloat16", "float32"):
        a, b = (jax.random.normal(jax.random.key(i), (n, n), dtype) for i in range(2))
        product = jax.jit(jnp.matmul)
        rows.append({"what": f"matmul {n} {dtype}", "tflops": 2 * n**3 / seconds(product, a, b) / 1e12})
    big = jnp.ones(2**28 if n == 8192 else 2**24, jnp.float32)
    add = jax.jit(lambda x: x + 1)
    rows.append({"what": "copy", "gigabytes_per_s": 2 * big.nbytes / seconds(add, big) / 1e9})
    for row in rows:
        print_row(row)
    return rows


def stage1() -> list[Row]:
    rows = []
    for dtype in ("float32", "bfloat16"):
        c = settings("puppet_gpu_autoencoder")
        c = dataclasses.replace(c, model=dataclasses.replace(c.model, dtype=dtype))
        model, optimizer = AutoEncoder(c.model), make_optimizer(c.optimizer, c.steps, c.is_frozen)
        batch = jax.device_put(filled(stage1_shapes(c), c.model.size))
        plain, sets = c.data.batch_size, c.data.set_batch_size
        images = jnp.zeros((1, 128, 128, 3)), jnp.zeros((1, 1, 128, 128, 3)), jnp.zeros((1, 1, AUDIO))
        state = create(jax.jit(model.init)(jax.random.key(0), *images)["params"], optimizer)
        losses = functools.partial(stage1_losses, model, c)
        function = jax.jit(make_step(losses, c, optimizer), donate_argnums=0)
        flops, start = count_operations(function, state, batch), time.perf_counter()
        step = function.lower(state, batch).compile()
        compiled = time.perf_counter() - start
        took = train_seconds(step, state, batch)
        row = {"what": f"stage 1 step at 128 px, {dtype}, {plain} + {sets} rows", "ms": 1e3 * took}
        row |= {"decoded_per_s": (plain + 2 * sets) / took, "tflops": flops / took / 1e12, "compile_s": compiled}
        rows.append(row)
        print_row(row)
    return rows


def _flow_config(dtype: str, batch: int, kind: str = "independent", group: int = 8) -> Stage2Config:
    c = settings("full_flow")
    return dataclasses.replace(
        c,
        model=dataclasses.replace(c.model, dtype=dtype),
        data=dataclasses.replace(c.data, batch_size=batch),
        condition=dataclasses.replace(c.condition, group=group),
        coupling=dataclasses.replace(c.coupling, kind=kind),
    )


def flow() -> list[Row]:
    layout = FactorLayout()
    space = jax.device_put(blank_space(layout))
    rows, chosen = [], flow_transformer.attention_implementation
    cases = [
        ("float32", 256, "independent", 8, "xla"), ("bfloat16", 256, "independent", 8, "xla"),
        ("bfloat16", 256, "independent", 8, "cudnn"), ("bfloat16", 1024, "independent", 8, "xla"),
        ("bfloat16", 1024, "independent", 8, "cudnn"), ("bfloat16", 1024, "sinkhorn", 256, "cudnn"),
        ("bfloat16", 1024, "sinkhorn", 1024, "cudnn"),
    ]  # fmt: skip
    for dtype, batch_size, kind, group, kernel in cases:
        c = _flow_config(dtype, batch_size, kind, group)
        try:
            model, optimizer = FlowTransformer(c.model, layout), make_optimizer(c.optimizer, c.steps)
            batch = jax.device_put(filled(stage2_shapes(c, layout.size)))
            x1, condition = make_condition(jax.random.key(0), batch, space, layout, c.condition, c.model.context)
            params = jax.jit(model.init)(jax.random.key(0), x1, jnp.zeros(len(x1)), condition)["params"]
            losses = lambda p, b, k, model=model, c=c: stage2_losses(model, c, layout, p, space, b, k)  # noqa: E731
            state = create(params, optimizer)
            with portable():  # a fused kernel's products are not counted
                flops = count_operations(make_step(losses, c, optimizer), state, batch)
            flow_transformer.attention_implementation = lambda *_, kernel=kernel: kernel
            took = train_seconds(jax.jit(make_step(losses, c, optimizer), donate_argnums=0), state, batch)
        except Exception as error:
            rows.append({"what": f"flow step {dtype} {batch_size} {kind} {kernel}", "failed": str(error)[:300]})
            print_row(rows[-1])
            continue
        finally:
            flow_transformer.attention_implementation = chosen
        rows.append(
            {"what": f"flow step, {dtype}, batch {batch_size}, {kind} coupling of {group}, {kernel} attention",
             "ms": 1e3 * took, "windows_per_s": batch_size / took, "tflops": flops / took / 1e12}
        )  # fmt: skip
        print_row(rows[-1])
    for solver, name in ((coupling.Sinkhorn(), "sinkhorn"), (coupling.exact, "exact")):
        for n in (256, 1024):
            x0, x1 = (jax.random.normal(jax.random.key(i), (n, 50, layout.size)) for i in range(2))
            free = jnp.ones(x0.shape, bool)
            pair = jax.jit(
                lambda x0, x1, n=n, solver=solver, free=free: coupling.MinibatchOT(solver=solver)(
                    jax.random.key(0), x0, x1, jnp.ones((n, 4)), free, n
                )
            )
            row = {"what": f"coupling {name}, n {n}", "ms": 1e3 * seconds(pair, x0, x1)}
            cost = coupling.transport_cost(x0, x1, free)
            chosen_noise = np.asarray(jax.jit(solver)(cost))
            c = np.asarray(cost, np.float64)
            row["cost_saved"] = float(np.trace(c) - c[chosen_noise, np.arange(n)].sum()) / n
            rows.append(row)
            print_row(row)
    return rows


def _decoder(dtype: str, batch: int):
    """Returns the full-size decoder, jitted, and its arguments: variables, pyramid and codes [batch, K]."""
    c = settings("full_autoencoder")
    model = AutoEncoder(dataclasses.replace(c.model, dtype=dtype, lip_window=1))
    size, k = c.model.size, c.model.layout.size
    images = jnp.zeros((1, size, size, 3)), jnp.zeros((1, 1, size, size, 3)), jnp.zeros((1, 1, AUDIO))
    params = jax.jit(model.init)(jax.random.key(0), *images)
    face = jax.random.uniform(jax.random.key(1), (1, size, size, 3), minval=-1)
    pyramid = jax.jit(lambda p, x: model.apply(p, x, method=AutoEncoder.encode_source))(params, face)
    code = 0.3 * jax.random.normal(jax.random.key(2), (batch, k))

    def decode(params: Any, pyramid: Any, code: jax.Array) -> jax.Array:
        many = jax.tree.map(lambda a: jnp.broadcast_to(a, (len(code), *a.shape[1:])), pyramid)
        return to_uint8(model.apply(params, many, jnp.zeros_like(code), code, method=AutoEncoder.decode))

    return jax.jit(decode), params, pyramid, code


def decode() -> list[Row]:
    rows = []
    for dtype in ("float32", "bfloat16"):
        for batch in (1, 8, 64):
            function, *args = _decoder(dtype, batch)
            took, flops = seconds(function, *args), count_operations(function, *args)
            rows.append(
                {"what": f"decode 512 px, {dtype}, batch {batch}", "ms": 1e3 * took, "frames_per_s": batch / took,
                 "gflop_per_frame": flops / batch / 1e9, "tflops": flops / took / 1e12}
            )  # fmt: skip
            print_row(rows[-1])
    return rows


def sample() -> list[Row]:
    """Measures batch 1: a window of 50 frames with an NFE of 10, three branches each, decoded at 512 px and fetched."""
    layout = FactorLayout()
    c, space = _flow_config("bfloat16", 8), blank_space(layout)
    model = FlowTransformer(c.model, layout)
    x1, condition = make_condition(
        jax.random.key(0),
        jax.device_put(filled(stage2_shapes(c, layout.size))),
        space,
        layout,
        c.condition,
        c.model.context,
    )
    params = jax.jit(model.init)(jax.random.key(0), x1, jnp.zeros(len(x1)), condition)["params"]
    one = jax.tree.map(lambda a: a[:1], condition)
    decoder, variables, pyramid, _ = _decoder("bfloat16", c.model.window)

    @jax.jit
    def motion(params: Any, condition: Any) -> jax.Array:
        def velocity(x: jax.Array, t: jax.Array, condition: Any) -> jax.Array:
            return model.apply({"params": params}, x, t, condition)

        keys = jax.random.split(jax.random.key(3), 1)
        return sample_window(velocity, keys, condition, steps=10, scales={"audio": 2.0, "emotion": 1.0})[0]

    def clip() -> np.ndarray:
        return np.asarray(decoder(variables, pyramid, motion(params, one)))

    took, motion_took = seconds(clip), seconds(motion, params, one)
    frames = c.model.window
    what = f"one window of {frames} frames at 512 px, batch 1, 10 evaluations x 3 branches, full size, bfloat16"
    row = {"what": what, "ms": 1e3 * took, "frames_per_s": frames / took, "motion_ms": 1e3 * motion_took}
    print_row(row)
    return [row]


def precision() -> list[Row]:
    """Measures the relative error of the full-size networks against products of full float32 precision."""
    rows, layout = [], FactorLayout()
    c = _flow_config("float32", 8)
    batch, space = jax.device_put(filled(stage2_shapes(c, layout.size))), blank_space(layout)
    x1, condition = make_condition(jax.random.key(0), batch, space, layout, c.condition, c.model.context)
    shapes = jax.eval_shape(FlowTransformer(c.model, layout).init, jax.random.key(0), x1, jnp.zeros(len(x1)), condition)
    # Not those of init, whose zeros make the output zero.
    draws = np.random.default_rng(1)
    params = jax.tree.map(
        lambda a: (draws.standard_normal(a.shape) / np.sqrt(max(a.shape[-2:-1] or (1,)))).astype(np.float32), shapes
    )

    def run(dtype: str, exact: bool) -> np.ndarray:
        model = FlowTransformer(dataclasses.replace(c.model, dtype=dtype), layout)
        with jax.default_matmul_precision("highest" if exact else "default"):
            call = jax.jit(lambda p: model.apply(p, x1, jnp.full(len(x1), 0.5), condition))
            return np.asarray(call(params), np.float64)

    truth = run("float32", True)
    for dtype in ("float32", "bfloat16"):
        error = np.linalg.norm(run(dtype, False) - truth) / np.linalg.norm(truth)
        rows.append({"what": f"flow forward, {dtype}, default precision", "relative_error": float(error)})
        print_row(rows[-1])
    return rows


def _random_state(shapes: Any) -> Any:
    draws = np.random.default_rng(1)

    def array(a: jax.ShapeDtypeStruct) -> np.ndarray:
        if np.issubdtype(a.dtype, np.integer):  # step counts: step 0 has a learning rate of 0
            return np.full(a.shape, 100_000, a.dtype)
        return (0.02 * draws.standard_normal(a.shape)).astype(a.dtype)

    state = jax.tree.map(array, shapes)
    # Averages of squares are not negative.
    return dataclasses.replace(state, opt_state=jax.tree.map(np.abs, state.opt_state))


def full_size() -> list[Row]:
    """Runs one whole float32 step of the full-size presets on few rows: whether it is finite, and its peak memory."""
    rows = []
    for name, data in (("full_flow", {"batch_size": 8}), ("full_autoencoder", {"batch_size": 1, "set_batch_size": 1})):
        c = settings(name)
        c = dataclasses.replace(
            c,
            model=dataclasses.replace(c.model, dtype="float32"),
            data=dataclasses.replace(c.data, **data),
        )
        step, shapes, batch_shapes = abstract_step(c)
        state = _random_state(shapes)
        batch = filled(batch_shapes, getattr(c.model, "size", 0))
        start = time.perf_counter()
        compiled = jax.jit(step, donate_argnums=0).lower(state, batch).compile()
        compile_s, start = time.perf_counter() - start, time.perf_counter()
        after, metrics = jax.block_until_ready(compiled(state, batch))
        row = {"what": f"{name}: one float32 step, {data}", "s": time.perf_counter() - start, "compile_s": compile_s}
        row |= {"loss": float(metrics["loss"]), "finite": all(bool(np.isfinite(v)) for v in metrics.values())}
        changed = jax.tree.map(lambda a, b: bool(np.any(np.asarray(a) != b)), after.params, state.params)
        row["arrays_changed"] = f"{sum(jax.tree.leaves(changed))} of {len(jax.tree.leaves(changed))}"
        row["peak_memory_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        rows.append(row)
        print_row(row)
    return rows


SECTIONS: dict[str, Callable[[], list[Row]]] = {
    "peaks": peaks, "stage1": stage1, "flow": flow, "decode": decode, "sample": sample, "precision": precision,
    "full_size": full_size,
}  # fmt: skip


def print_row(row: Row) -> None:
    """Prints one row at once."""
    print({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}, flush=True)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="json file to write")
    usual = ",".join(name for name in SECTIONS if name != "full_size")
    parser.add_argument("--only", default=usual, help=f"sections, separated by commas ({usual})")
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    device = jax.devices()[0]
    results: dict[str, Any] = {
        "device": device.device_kind, "jax": jax.__version__, "python": sys.version.split()[0],
        "date": time.strftime("%Y-%m-%d"),
    }  # fmt: skip
    for name in args.only.split(","):
        try:
            results[name] = SECTIONS[name]()
        except Exception as error:
            results[name] = [{"failed": f"{type(error).__name__}: {str(error)[:400]}"}]
            print_row(results[name][0])
        write_json(args.out, results)


if __name__ == "__main__":
    main()
