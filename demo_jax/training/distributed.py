"""Several processes of one training run: finding each other, stopping together, and who writes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import jax
from jax.experimental import multihost_utils
from jaxtyping import PyTree

from demo_jax.errors import InputError

HEARTBEAT = 60  # seconds after which a process that says nothing counts as dead


def join() -> None:
    """Makes this process one of a job. Must come before any other use of JAX.

    On TPU VMs, SLURM, Open MPI and Kubernetes (with its Python package) JAX finds the others by itself. Anywhere else
    the environment says it: JAX_COORDINATOR_ADDRESS (host:port of process 0), JAX_NUM_PROCESSES, JAX_PROCESS_ID.
    Raises InputError if that is incomplete or the others do not answer.
    """
    counts: dict[str, int | None] = {}
    for name in ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID"):
        text = os.environ.get(name)
        if text is not None and not text.isdigit():
            raise InputError(f"{name} is {text!r}; it must be a whole number.")
        counts[name] = None if text is None else int(text)
    try:
        jax.distributed.initialize(
            num_processes=counts["JAX_NUM_PROCESSES"],
            process_id=counts["JAX_PROCESS_ID"],
            heartbeat_timeout_seconds=HEARTBEAT,
        )
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"--distributed: {str(error).splitlines()[0]} Outside TPU VMs, SLURM, MPI and Kubernetes set "
            "JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID."
        ) from error


def is_lead() -> bool:
    """Whether this process writes for all: metrics, pictures, messages."""
    return jax.process_index() == 0


def gather_to_host(params: PyTree) -> PyTree:
    """A copy on this process's first device, whatever mesh `params` lie on: validation is small, and on a whole mesh
    every device would repeat it. Every process has to call it."""
    if jax.process_count() > 1:
        params = multihost_utils.process_allgather(params, tiled=True)
    return jax.device_put(jax.device_get(params), jax.local_devices()[0])


@contextmanager
def sigterm() -> Iterator[Callable[[int], bool]]:
    """While open, SIGTERM does not end the process. Gives `stop(step)`, which says whether the run is to save and stop
    at this step; it must be asked at every step. Of several processes, which must stop at the same step, one that gets
    the signal is enough: JAX's own service then agrees on a step that none has passed."""
    if jax.process_count() > 1:
        yield multihost_utils.reached_preemption_sync_point
        return
    wanted = False

    def handle(signum: int, frame: FrameType | None) -> None:
        nonlocal wanted
        del signum, frame
        wanted = True

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield lambda step: wanted
    finally:
        signal.signal(signal.SIGTERM, before)
