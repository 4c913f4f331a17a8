"""Several processes of one training run: finding each other, stopping together, and one that writes."""

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

HEARTBEAT = 60  # seconds without a sign of life after which a process counts as dead


def join() -> None:
    """Makes this process one of a job. Must come before any other use of JAX.

    On TPU VMs, SLURM, Open MPI and Kubernetes (with its Python package) JAX finds the others by itself. Anywhere else
    it takes them from the environment: JAX_COORDINATOR_ADDRESS (host:port of process 0), JAX_NUM_PROCESSES,
    JAX_PROCESS_ID.

    Raises:
      InputError: these are incomplete, or the others do not answer.
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
    """Whether this process writes metrics, images and messages for all."""
    return jax.process_index() == 0


def gather_to_host(params: PyTree) -> PyTree:
    """Returns a copy on this process's first device, whatever mesh `params` lie on. Every process has to call it.

    Validation is small, and on a whole mesh every device would repeat it.
    """
    if jax.process_count() > 1:
        params = multihost_utils.process_allgather(params, tiled=True)
    return jax.device_put(jax.device_get(params), jax.local_devices()[0])


@contextmanager
def sigterm() -> Iterator[Callable[[int], bool]]:
    """Keeps SIGTERM from ending the process while open.

    Yields:
      stop(step): whether the run is to save and stop at this step; call it at every step. Several processes must stop
        at the same step: when one gets the signal, JAX's own service agrees on a step that none has passed.
    """
    if jax.process_count() > 1:
        yield multihost_utils.reached_preemption_sync_point
        return
    requested = False

    def handle(signum: int, frame: FrameType | None) -> None:
        nonlocal requested
        del signum, frame
        requested = True

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield lambda step: requested
    finally:
        signal.signal(signal.SIGTERM, before)
