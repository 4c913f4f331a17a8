"""Runs a config: checks before anything is written, the lock of the work directory, and the training loop."""

from __future__ import annotations

import contextlib

import jax
from etils import epath

from data_pipelines.loading.iterator import WorkersLostError
from demo_jax import sharding
from demo_jax.config import RunConfig, Stage1Config, Stage2Config, from_config_dict
from demo_jax.devices import start_jax
from demo_jax.errors import InputError
from demo_jax.jobs.stage1 import autoencoder_job
from demo_jax.jobs.stage2 import flow_job
from demo_jax.media.locks import locked
from demo_jax.training import distributed
from demo_jax.training.loop import TrainingStopped, train


def run(values, workdir: str, profile: int = 0):
    """Trains with the settings of the ConfigDict `values` and returns the last TrainState.

    Args:
      values: of as_config_dict.
      workdir: of the run, new or to resume.
      profile: steps to trace.

    Raises:
      InputError: a setting, the data or the work directory cannot be used.
      TrainingStopped, NotSavedError: as the training loop does.
    """
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
    # The lead has the lock for all processes of a run.
    with locked(workdir, "training") if distributed.is_lead() else contextlib.nullcontext():
        try:
            return train(job, config, workdir, mesh, profile)
        except WorkersLostError as error:
            raise TrainingStopped(str(error)) from error


def _check_batches(config: RunConfig, shards: int) -> None:
    """Raises InputError unless all shards and all microbatches get equally many rows."""
    stage2 = isinstance(config, Stage2Config)
    parts = config.optimizer.accumulate * (config.coupling.microbatches if isinstance(config, Stage2Config) else 1)
    for name in ("batch_size",) if stage2 else ("batch_size", "set_batch_size"):
        size = getattr(config.data, name)
        if size % (shards * parts):
            within = f" in {parts} parts" if parts > 1 else ""
            raise InputError(f"data.{name} {size} must be a multiple of {shards * parts}: {shards} shards{within}.")


def _check_writable(workdir: str) -> None:
    """Makes the work directory. Only writing a file also detects read-only mounts, and works for root."""
    probe = epath.Path(workdir) / f".writable-{jax.process_index()}"
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise InputError(f"--workdir {workdir} cannot be written ({error.strerror or error}).") from error
    except ImportError as error:  # the client of the object storage
        raise InputError(f"--workdir {workdir}: {error} (pip install '.[gcs]')") from error
