"""Our networks against PyTorch with the same layer shapes on this machine's CPU: python -m benchmarks.pytorch --out
OUT.

Needs the `bench` extra. Both take turns, REPEATS times after warm-up, in float32 with all cores; medians, and the ratio
of medians (PyTorch's time over ours: above 1 we are faster). Random weights and inputs. benchmarks.torch_models lists
what PyTorch's side leaves out; our train steps also sample conditions and noise.

  peaks     practical products and convolutions of both
  forward   the flow at 70 tokens x 3 guidance branches, as bundled (128 x 6) and at full size (1024 x 8)
  step      a train step of the bundled flow, 32 windows, and of the 128 px decoder, 8 images with an L1 loss
  decode    a frame of the full-size 512 px decoder, batches of 1 and 8; and of a decoder of grouped, modulated kernels
  warp      the decoder's warps alone, forward and backward, as in its train step
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.abstract import AUDIO, blank_space, count_operations, filled, settings, stage2_shapes
from benchmarks.common import make_parser, processor, write_json
from demo_jax.factors import FactorLayout
from demo_jax.models.autoencoder import AutoEncoder
from demo_jax.models.flow_transformer import FlowTransformer
from demo_jax.models.geometry.warp import identity_grid, warp
from demo_jax.training.conditioning import make_condition
from demo_jax.training.state import create, make_optimizer
from demo_jax.training.steps import make_stage2_step

REPEATS = 7
LAYOUT = FactorLayout()
Row = dict[str, Any]
Call = Callable[[], Any]


def in_turns(what: str, ours: Call, others: dict[str, Call], flops: float = 0.0) -> Row:
    """Returns medians in milliseconds, and the ratio of each other's to ours."""
    calls = {"ours": ours, **others}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(REPEATS + 2):
        for name, call in calls.items():
            start = time.perf_counter()
            jax.block_until_ready(call())
            if turn > 1:
                times[name].append(1e3 * (time.perf_counter() - start))
    medians = {name: statistics.median(t) for name, t in times.items()}
    row: Row = {"what": what, **{f"{name}_ms": round(m, 2) for name, m in medians.items()}}
    row |= {f"{name}_over_ours": round(medians[name] / medians["ours"], 2) for name in others}
    if flops:
        row |= {"gflop": flops / 1e9, "ours_gflop_per_s": flops / medians["ours"] / 1e6}
    print(row, flush=True)
    return row


def peaks() -> list[Row]:
    import torch
    import torch.nn.functional as F

    n = 1536
    a, b = (np.random.default_rng(i).standard_normal((n, n), np.float32) for i in range(2))
    x, w = jnp.asarray(a), jnp.asarray(b)
    s, t = torch.from_numpy(a), torch.from_numpy(b)
    product = jax.jit(jnp.matmul)
    rows = [in_turns(f"matmul {n}", lambda: product(x, w), {"pytorch": lambda: s @ t}, 2 * n**3)]
    size, channels, batch = 64, 64, 8
    p = np.random.default_rng(0).standard_normal((batch, size, size, channels), np.float32)
    k = np.random.default_rng(1).standard_normal((3, 3, channels, channels), np.float32)
    convolve = jax.jit(
        lambda x, k: jax.lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    )
    images = torch.from_numpy(p).permute(0, 3, 1, 2)
    kernel = torch.from_numpy(k).permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
    flops = 2 * batch * size**2 * channels**2 * 9
    ours = lambda: convolve(p, k)  # noqa: E731
    rows.append(
        in_turns(
            "3x3 convolution, 8 x 64 x 64 x 64", ours, {"pytorch": lambda: F.conv2d(images, kernel, padding=1)}, flops
        )
    )
    return rows


def flow_parts(width: int, depth: int, heads: int, rows: int) -> tuple[Any, ...]:
    """Returns our model with its config, batch, condition and parameters, and PyTorch's with its inputs."""
    import torch

    from benchmarks.torch_models import Flow

    c = settings("puppet_flow")
    c = dataclasses.replace(
        c,
        model=dataclasses.replace(c.model, width=width, depth=depth, heads=heads),
        data=dataclasses.replace(c.data, batch_size=rows),
        condition=dataclasses.replace(c.condition, group=1 if rows % 8 else 8),
    )
    model, space = FlowTransformer(c.model, LAYOUT), blank_space(LAYOUT)
    batch = filled(stage2_shapes(c, LAYOUT.size))
    batch["audio"] = batch["audio"][..., :35]
    batch = jax.device_put(batch)
    x1, condition = make_condition(jax.random.key(0), batch, space, LAYOUT, c.condition, c.model.context)
    params = jax.jit(model.init)(jax.random.key(0), x1, jnp.zeros(rows), condition)["params"]
    torch.manual_seed(0)
    other = Flow(width, depth, heads)
    inputs = (
        torch.randn(rows, 70, 129), torch.randn(rows, 70, 84), torch.randn(rows, 70, 35),
        (torch.randn(rows, width), torch.randn(rows, 42), torch.randn(rows, 2)), torch.randn(rows, 50, 92),
    )  # fmt: skip
    return c, model, space, batch, x1, condition, params, other, inputs


def forward() -> list[Row]:
    import torch

    rows = []
    for width, depth, heads in ((128, 6, 4), (1024, 8, 8)):
        _, model, _, _, x1, condition, params, other, inputs = flow_parts(width, depth, heads, 3)
        call = jax.jit(lambda p, x, c, model=model: model.apply({"params": p}, x, jnp.full(3, 0.5), c))
        flops = count_operations(call, params, x1, condition)
        with torch.inference_mode():
            rows.append(
                in_turns(
                    f"flow forward, {width} x {depth}, 3 x 70 tokens",
                    lambda: call(params, x1, condition),  # noqa: B023
                    {"pytorch": lambda: other(*inputs)},  # noqa: B023
                    flops,
                )
            )
    return rows


def step() -> list[Row]:
    import torch

    c, model, space, batch, _, _, params, other, inputs = flow_parts(128, 6, 4, 32)
    optimizer = make_optimizer(c.optimizer, c.steps)
    state = create(params, optimizer)
    update = jax.jit(make_stage2_step(model, c, LAYOUT, space, optimizer))
    adam, target = torch.optim.AdamW(other.parameters(), 1e-4), torch.randn(32, 50, 42)

    def theirs() -> None:
        adam.zero_grad()
        (other(*inputs) - target).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(other.parameters(), 1.0)
        adam.step()

    rows = [in_turns("flow train step, 128 x 6, 32 windows", lambda: update(state, batch)[1], {"pytorch": theirs})]
    ours, variables, call, others = decoder_parts("puppet_128_autoencoder", 8)
    pyramid, source_code, code, target_image = call
    adamw = optax.adamw(1e-4)

    @jax.jit
    def learn(variables: Any, moments: Any) -> Any:
        def loss(variables: Any) -> jax.Array:
            return jnp.mean(jnp.abs(ours(variables, pyramid, source_code, code) - target_image))

        gradients = jax.grad(loss)(variables)
        updates, moments = adamw.update(gradients, moments, variables)
        return optax.apply_updates(variables, updates), moments

    moments = adamw.init(variables)
    other, given = others
    adam, target = torch.optim.AdamW(other.parameters(), 1e-4), torch.zeros(8, 3, 128, 128)

    def their_step() -> None:
        adam.zero_grad()
        (other(*given) - target).abs().mean().backward()
        adam.step()

    rows.append(
        in_turns("decoder train step, 128 px, 8 pictures", lambda: learn(variables, moments), {"pytorch": their_step})
    )
    return rows


def decoder_parts(name: str, rows: int) -> tuple[Any, ...]:
    """Returns our decoder of a config in float32 with its variables and inputs, and PyTorch's with its inputs."""
    import torch

    from benchmarks.torch_models import Decoder

    c = dataclasses.replace(settings(name).model, dtype="float32", lip_window=1)
    model, size, k = AutoEncoder(c), c.size, c.layout.size
    images = jnp.zeros((1, size, size, 3)), jnp.zeros((1, 1, size, size, 3)), jnp.zeros((1, 1, AUDIO))
    variables = jax.jit(model.init)(jax.random.key(0), *images)
    face = jax.random.uniform(jax.random.key(1), (1, size, size, 3), minval=-1)
    pyramid = jax.jit(lambda v, x: model.apply(v, x, method=AutoEncoder.encode_source))(variables, face)
    code = 0.3 * jax.random.normal(jax.random.key(2), (rows, k))

    def decode(variables: Any, pyramid: Any, source_code: jax.Array, code: jax.Array) -> jax.Array:
        many = jax.tree.map(lambda a: jnp.broadcast_to(a, (len(code), *a.shape[1:])), pyramid)
        return model.apply(variables, many, source_code, code, method=AutoEncoder.decode)

    torch.manual_seed(0)
    other = Decoder(c.levels, c.latent, c.style_width, c.blocks).to(memory_format=torch.channels_last)
    features = {
        n: torch.from_numpy(np.array(a)).permute(0, 3, 1, 2) for n, a in pyramid.items()
    }  # channels last in memory
    turns = torch.eye(3).expand(rows, 3, 3), torch.eye(3).expand(rows, 3, 3)
    points = torch.rand(rows, 70, 2) - 0.5, torch.rand(rows, 70, 2) - 0.5
    given = (features, torch.randn(rows, 2 * c.latent), turns, points, torch.zeros(rows, 8, 64, 64))
    inputs = pyramid, jnp.zeros_like(code), code, jnp.zeros((rows, size, size, 3))
    return decode, variables, inputs, (other, given)


def decode() -> list[Row]:
    import torch

    from benchmarks.torch_models import GroupedDecoder

    rows, grouped = [], GroupedDecoder().to(memory_format=torch.channels_last)
    features = [
        torch.randn(1, c, r, r).contiguous(memory_format=torch.channels_last) for r, c in GroupedDecoder.CHANNELS
    ]
    for batch in (1, 8):
        ours, variables, (pyramid, source_code, code, _), (other, given) = decoder_parts("full_autoencoder", batch)
        call = jax.jit(ours)
        style = torch.randn(batch, 512)
        flops = count_operations(call, variables, pyramid, source_code, code) / batch
        with torch.inference_mode():
            row = in_turns(
                f"decode at 512 px, batch {batch}",
                lambda: call(variables, pyramid, source_code, code),  # noqa: B023
                {"pytorch": lambda: other(*given), "grouped": lambda: grouped(features, style)},  # noqa: B023
            )
        row |= {"gflop_per_frame": flops / 1e9, "ours_ms_per_frame": row["ours_ms"] / batch}
        rows.append(row)
    return rows


def warps() -> list[Row]:
    """Measures all warps of a 128 px image, for 8 images, forward and backward, against PyTorch's grid_sample."""
    import torch
    import torch.nn.functional as F

    c = settings("puppet_128_autoencoder").model
    shapes = [(r, n) for r, n in c.levels if r <= 64] + [(c.size, 3)]
    rng = np.random.default_rng(0)
    images = [rng.standard_normal((8, r, r, n), np.float32) for r, n in shapes]
    grids = [
        np.asarray(identity_grid(r, r))[None] + 0.05 * rng.standard_normal((8, r, r, 2), np.float32) for r, _ in shapes
    ]

    @jax.jit
    def ours(images: Any, grids: Any) -> Any:
        def total(images: Any, grids: Any) -> jax.Array:
            return sum(jnp.sum(jnp.square(warp(x, g))) for x, g in zip(images, grids, strict=True))

        return jax.grad(total, (0, 1))(images, grids)

    theirs = [torch.from_numpy(p).permute(0, 3, 1, 2).requires_grad_() for p in images]
    places = [torch.from_numpy(g.astype(np.float32)).requires_grad_() for g in grids]

    def sampled() -> None:
        for p, g in zip(theirs, places, strict=True):
            p.grad = g.grad = None
            F.grid_sample(p, g, padding_mode="border", align_corners=False).square().sum().backward()

    inputs = jax.device_put((images, [g.astype(np.float32) for g in grids]))
    return [
        in_turns("warps of 8 pictures of 128 px, forward and backward", lambda: ours(*inputs), {"pytorch": sampled})
    ]


SECTIONS: dict[str, Callable[[], list[Row]]] = {
    "peaks": peaks, "forward": forward, "step": step, "warp": warps, "decode": decode,
}  # fmt: skip


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="json file to write")
    parser.add_argument("--only", choices=tuple(SECTIONS), action="append", help="this section; may be repeated")
    args = parser.parse_args()
    found: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d"), "machine": platform.machine(), "processor": processor(),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0], "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("jax", "torch")},
    }  # fmt: skip
    for name in args.only or SECTIONS:
        found[name] = SECTIONS[name]()
        write_json(args.out, found)


if __name__ == "__main__":
    main()
