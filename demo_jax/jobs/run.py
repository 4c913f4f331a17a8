"""Running a config: checks before anything is written, the lock of the work directory, and the training loop."""

from __future__ import annotations

import contextlib

import jax
from etils import epath

from demo_jax import sharding
from demo_jax.config import RunConfig, Stage1Config, Stage2Config, from_config_dict
from demo_jax.devices import start_jax
from demo_jax.errors import InputError
from demo_jax.jobs.stage1 import autoencoder_job
from demo_jax.jobs.stage2 import flow_job
from demo_jax.media.locks import locked
from demo_jax.training import distributed
from demo_jax.training.loop import train


def run(values, workdir: str, profile: int = 0):
    """Trains as the ConfigDict `values` says, tracing `profile` steps; returns the final TrainState."""
    start_jax()
    config = from_config_dict(values)
    mesh = sharding.make_mesh(config.mesh)
    _check_batches(config, mesh.shape["data"] * mesh.shape["fsdp"])
    if not config.data.path:
        raise InputError("data.path is empty; give the corpus, for example --config.data.path=data/puppet.")
    match config:
        case Stage1Config():
            job = autoencoder_job(config, workdir)
        case Stage2Config():
            job = flow_job(config, workdir)
    _check_writable(workdir)
    # One process of a run has the lock for all of them.
    with locked(workdir, "training") if distributed.is_lead() else contextlib.nullcontext():
        return train(job, config, workdir, mesh, profile)


def _check_batches(config: RunConfig, shards: int) -> None:
    """Raises InputError unless every shard and every part of a step gets as many rows."""
    stage2 = isinstance(config, Stage2Config)
    parts = config.optimizer.accumulate * (config.coupling.microbatches if isinstance(config, Stage2Config) else 1)
    for name in ("batch_size",) if stage2 else ("batch_size", "set_batch_size"):
        size = getattr(config.data, name)
        if size % (shards * parts):
            within = f" in {parts} parts" if parts > 1 else ""
            raise InputError(f"data.{name} {size} must be a multiple of {shards * parts}: {shards} shards{within}.")


def _check_writable(workdir: str) -> None:
    """Makes the work directory; really writing is the only test that also holds for read-only mounts and for root."""
    probe = epath.Path(workdir) / f".writable-{jax.process_index()}"
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise InputError(f"--workdir {workdir} cannot be written ({error.strerror or error}).") from error
    except ImportError as error:  # what speaks to the object storage
        raise InputError(f"--workdir {workdir}: {error} (pip install '.[gcs]')") from error
