"""Memory and communication of the full-size presets on 1, 8 and 256 devices: python -m benchmarks.pods --json OUT.

No accelerator is needed or used. Each whole train step is compiled for that many simulated CPU devices, sharded as
train.py would shard it (over data alone, its default, and with fsdp 8), and never run. The batch grows with the
devices.

  bytes        of state and of temporary arrays on each device, by the compiler's memory analysis. The CPU compiler
               computes bfloat16 convolutions in float32 and fuses less: temporaries are an upper bound
  collectives  in the compiled program, loops counted as often as they run: how many of each kind, and the bytes that
               each device sends around a ring, (n - 1) / n of the array for a gather or scatter, twice that for a sum
  operations   of products and convolutions, counted in the traced program of the global batch, over the devices

and for 256 devices it is lowered for TPUs on an abstract mesh. The scaling curve divides operations by ASSUMED's share
of a TPU v5e's peak, and bytes by its links: `hidden` if communication overlaps computation, `exposed` if it does not.
It is an estimate: nothing was run on a TPU.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding
from tqdm import tqdm

from benchmarks.abstract import abstract_step, operations, settings
from benchmarks.common import make_parser, write_json
from demo_jax import sharding
from demo_jax.config import MeshConfig, Stage1Config

MESHES = ((1, 1), (8, 1), (1, 8), (256, 1), (32, 8))  # data, fsdp
PRESETS = {"full_flow": {"batch_size": 32}, "full_autoencoder": {"batch_size": 2, "set_batch_size": 1}}  # per device
# docs.cloud.google.com/tpu/docs/v5e: 197 TFLOP/s in bfloat16, 400 GB/s of links in both directions together. The share
# of the peak is an assumption: this step has not been timed on any accelerator.
ASSUMED = {"peak": 197e12, "share": 0.4, "link_bytes_per_s": 200e9}
SIZES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8}
KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")


def collectives(text: str) -> tuple[Counter[str], float]:
    """Returns, from a compiled program's text, how many collectives of each kind run, and the bytes each device
    sends."""
    bodies: dict[str, list[str]] = {}
    entry, name = "", ""
    for line in text.splitlines():
        if (head := re.match(r"(ENTRY )?%?([\w.\-]+) \(.*\{$", line)) is not None:
            name = head[2]
            bodies[name] = []
            entry = name if head[1] else entry
        elif name:
            bodies[name].append(line)
    counts: Counter[str] = Counter()
    sent = 0.0

    def visit(name: str, times: int) -> None:
        nonlocal sent
        for line in bodies.get(name, ()):
            found = re.search(rf"= (.*?) ({'|'.join(KINDS)})(-start)?\(", line)
            if found:
                size, group = _bytes(found[1]), _group(line)
                counts[found[2]] += times
                whole = size * group if found[2] == "reduce-scatter" else size
                sent += times * whole * (group - 1) / group * (2 if found[2] == "all-reduce" else 1)
            trips = re.search(r'"known_trip_count":\{"n":"(\d+)"\}', line)
            for inner in re.findall(r"(?:body|to_apply|calls|branch_computations)=\{?%?([\w.\-]+)", line):
                if " while(" in line:
                    visit(inner, times * (int(trips[1]) if trips else 1))
                elif " call(" in line or " conditional(" in line:
                    visit(inner, times)

    visit(entry, 1)
    return counts, sent


def _bytes(types: str) -> int:
    """Returns the bytes of the arrays in a type as XLA writes it."""
    found = re.findall(r"(\w+)\[([\d,]*)\]", types)
    return sum(SIZES.get(kind, 4) * int(np.prod([int(n) for n in dims.split(",") if n])) for kind, dims in found)


def _group(line: str) -> int:
    """Returns the number of devices in one collective. XLA writes {{0,1},{2,3}}, or [4,2]<=[8], or mesh['a'=4,'b'=8]
    {'a'}, where 'b':(2)4 is a part of an axis: four devices, after two."""
    if listed := re.search(r"(?:replica_groups|source_target_pairs)=\{\{([\d,]+)\}", line):
        return len(listed[1].split(","))
    if counted := re.search(r"replica_groups=\[\d+,(\d+)\]", line):
        return int(counted[1])
    if named := re.search(r"replica_groups=@?mesh[^\[]*\[(.*?)\][^{]*\{(.*?)\}", line):
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", named[1]))
        axes = re.findall(r"'(\w+)'(?::\(\d+\)(\d+))?", named[2])
        return int(np.prod([int(part or sizes[axis]) for axis, part in axes]))
    raise ValueError(f"the devices of this collective cannot be read: {line.strip()}")


def preset(name: str, devices: int) -> Any:
    """Returns a preset's config with its batch for that many devices."""
    c = settings(name)
    rows = {field: count * devices for field, count in PRESETS[name].items()}
    return dataclasses.replace(c, data=dataclasses.replace(c.data, **rows))


def placed(c: Any, mesh: Mesh | AbstractMesh) -> tuple[Any, Any, Any]:
    """Returns the jitted step, and its arguments' shapes with their shardings."""
    step, state, batch = abstract_step(c)
    shardings = sharding.state_shardings(state, mesh)  # type: ignore[arg-type]
    rows = NamedSharding(mesh, sharding.BATCH)  # type: ignore[arg-type]

    def at(leaf: Any, place: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)

    jitted = jax.jit(step, donate_argnums=0, out_shardings=(shardings, None))
    return jitted, jax.tree.map(at, state, shardings), {k: at(v, rows) for k, v in batch.items()}


def measure(name: str, data: int, fsdp: int) -> dict[str, Any]:
    """Returns the row of one preset on a mesh of data x fsdp devices."""
    devices = data * fsdp
    c, mesh = preset(name, devices), sharding.make_mesh(MeshConfig(fsdp=fsdp), jax.devices()[:devices])
    start = time.perf_counter()
    step, state, batch = placed(c, mesh)
    traced = step.trace(state, batch)
    compiled = traced.lower().compile()
    memory = compiled.memory_analysis()
    counts, sent = collectives(compiled.as_text())
    rows = c.data.batch_size + (c.data.set_batch_size if isinstance(c, Stage1Config) else 0)
    work = operations(traced.jaxpr.jaxpr) / devices
    compute, communication = work / (ASSUMED["peak"] * ASSUMED["share"]), sent / ASSUMED["link_bytes_per_s"]
    return {
        "preset": name, "devices": devices, "mesh": dict(mesh.shape), "rows": rows,
        "parameters": sum(x.size for x in jax.tree.leaves(state.params)),
        "state_and_batch_bytes": memory.argument_size_in_bytes, "temporary_bytes": memory.temp_size_in_bytes,
        "operations": work, "collectives": dict(counts), "sent_bytes": sent,
        "compute_s": compute, "communication_s": communication,
        "efficiency_hidden": compute / max(compute, communication),
        "efficiency_exposed": compute / (compute + communication),
        "compile_s": round(time.perf_counter() - start, 1),
    }  # fmt: skip


def lower_for_tpu(name: str) -> dict[str, Any]:
    """Lowers a preset's step for a pod of 256 TPU chips, without having one. Returns partitions and lines."""
    data, fsdp = MESHES[-1]
    mesh = AbstractMesh((data, fsdp, 1), sharding.AXES, axis_types=(AxisType.Auto,) * len(sharding.AXES))
    step, state, batch = placed(preset(name, data * fsdp), mesh)
    text = step.trace(state, batch).lower(lowering_platforms=("tpu",)).as_text()
    partitions = re.search(r"mhlo.num_partitions = (\d+)", text)
    return {"preset": name, "partitions": int(partitions[1]) if partitions else 1, "lines": text.count("\n")}


def main(argv: list[str] | None = None) -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--json", type=Path, required=True, help="file to write, after every row")
    parser.add_argument("--only", choices=tuple(PRESETS), action="append", help="this preset; may be repeated")
    names = tuple(f"{data}x{fsdp}" for data, fsdp in MESHES)
    parser.add_argument("--mesh", choices=names, action="append", help="data x fsdp; may be repeated")
    args = parser.parse_args(argv)
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", max(data * fsdp for data, fsdp in MESHES))
    found: dict[str, Any] = {
        "date": datetime.date.today().isoformat(), "jax": jax.__version__, "assumed": ASSUMED, "tpu": [], "steps": [],
    }  # fmt: skip
    meshes = [MESHES[names.index(n)] for n in args.mesh or names]
    jobs = [(name, *mesh) for name in args.only or PRESETS for mesh in meshes]
    for name in args.only or PRESETS:
        found["tpu"].append(lower_for_tpu(name))
        print(found["tpu"][-1], flush=True)
    for name, data, fsdp in tqdm(jobs, unit="program"):
        found["steps"].append(measure(name, data, fsdp))
        tqdm.write(json.dumps(found["steps"][-1]))
        write_json(args.json, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
