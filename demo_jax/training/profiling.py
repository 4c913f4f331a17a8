"""The cost of a run: a table at its start, a breakdown of its time, and a profiler's trace on request."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import jax
from etils import epath
from jaxtyping import PyTree

FIRST_TRACED = 10  # steps after the start: compilation and the first batches are over


class StepTimer:
    """Adds up seconds by activity: `with timer("data"): ...`.

    Work of the devices counts where the host waits for it, which the loop does in "step".
    """

    def __init__(self) -> None:
        self.total: dict[str, float] = {}
        self._read: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.total[name] = self.total.get(name, 0.0) + time.perf_counter() - begin

    def since(self) -> dict[str, float]:
        """Returns the seconds since the last call of this method, by name."""
        passed = {name: seconds - self._read.get(name, 0.0) for name, seconds in self.total.items()}
        self._read = dict(self.total)
        return passed

    def summary(self) -> str:
        """Returns "step 96.0 %, data 3.1 %, ...", shares of all measured time, largest first."""
        whole = sum(self.total.values()) or 1.0
        parts = sorted(self.total.items(), key=lambda item: -item[1])
        return ", ".join(f"{name} {100 * seconds / whole:.1f} %" for name, seconds in parts)


def cost_table(params: PyTree, compiled: jax.stages.Compiled) -> str:
    """Returns a table of the parameters by group, and of the compiled step's operations and bytes on each device."""
    rows = []
    for name, group in params.items():
        leaves = jax.tree.leaves(group)
        rows.append((name, sum(a.size for a in leaves), sum(a.size * a.dtype.itemsize for a in leaves)))
    rows.append(("all", sum(r[1] for r in rows), sum(r[2] for r in rows)))
    lines = [f"{'parameters':<28}{'count':>14}{'MiB':>10}"]
    lines += [f"{name:<28}{count:>14,}{size / 2**20:>10.2f}" for name, count, size in rows]
    found = _analysis(compiled)
    if found:
        lines += ["a step, on each device"] + [f"{name:<28}{value:>24}" for name, value in found.items()]
    return "\n".join(lines)


def _analysis(compiled: jax.stages.Compiled) -> dict[str, str]:
    """Returns the compiler's figures of its program; not every backend has them."""
    found: dict[str, str] = {}
    cost: Any = compiled.cost_analysis()
    if cost and cost.get("flops", 0) > 0:
        found["GFLOP (a loop's body once)"] = f"{cost['flops'] / 1e9:,.2f}"
    memory: Any = compiled.memory_analysis()
    if memory:
        for name, field in (("state and batch", "argument"), ("temporary", "temp"), ("program", "generated_code")):
            found[f"MiB of {name}"] = f"{getattr(memory, f'{field}_size_in_bytes') / 2**20:,.1f}"
    return found


class Profiler:
    """Traces `steps` steps of a run with jax.profiler into `folder`, none if `steps` is 0.

    TensorBoard's profile plugin and Perfetto open the trace.
    """

    def __init__(self, folder: epath.Path, steps: int, start: int) -> None:
        self.folder = folder
        self._from, self._to = start + FIRST_TRACED, start + FIRST_TRACED + steps
        self._on = False

    def before(self, step: int) -> bool:
        """Starts or stops the trace; call it before every step. Returns whether a trace was written just now."""
        if self._from == step < self._to:
            jax.profiler.start_trace(str(self.folder))
            self._on = True
        if self._on and step == self._to:
            return self.close()
        return False

    def close(self) -> bool:
        """Writes the trace if one has begun, and returns whether it had."""
        was, self._on = self._on, False
        if was:
            jax.profiler.stop_trace()
        return was
