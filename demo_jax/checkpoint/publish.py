"""Publishing a run: averaged weights in float16, in one folder without paths of the machine that trained."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from etils import epath
from jaxtyping import PyTree
from orbax.checkpoint import v1 as ocp

from demo_jax.checkpoint.fingerprints import code_fingerprint
from demo_jax.checkpoint.load import load_any, load_model
from demo_jax.checkpoint.orbax_io import absolute, with_checksums
from demo_jax.checkpoint.save import space_checkpointable
from demo_jax.errors import InputError


def export_model(workdir: epath.PathLike, out: epath.PathLike, autoencoder: epath.PathLike | None = None) -> None:
    """Publishes a run's newest checkpoint: averaged parameters as float16, and the metadata, in one folder `out`.

    `autoencoder` is a stage-1 run to take the auto-encoder from, instead of the one that a stage-2 run began with: its
    decoder may have learned on. Raises InputError if its motion encoder is another.
    """
    model = load_any(workdir)
    if autoencoder is not None:
        newer = load_model(autoencoder, "autoencoder")
        ours, theirs = (code_fingerprint(m.autoencoder_params) for m in (model, newer))
        if ours != theirs:
            raise InputError(f"{autoencoder} has motion encoder {theirs}, but {workdir} makes codes of {ours}.")
        meta = model.meta | {"autoencoder_config": newer.meta["autoencoder_config"]}
        model = dataclasses.replace(model, autoencoder_params=newer.autoencoder_params, meta=meta)

    def half(tree: PyTree) -> PyTree:
        return jax.tree.map(lambda a: a.astype(jnp.float16), tree)

    trained = {name: p for name, p in model.autoencoder_params.items() if name != "discriminator"}
    parts = {"ema": half(trained)}
    if model.space is not None:
        # Statistics stay float32: they are small, and float16 would cost a calibrated coordinate its precision.
        parts = {"ema": half(model.flow_params), "autoencoder": half(trained)}
        parts["space"] = space_checkpointable(model.space)
    meta = with_checksums(_without_paths(model.meta), parts)
    ocp.save_checkpointables(absolute(out), parts, custom_metadata=meta, overwrite=True)
    marker = absolute(out) / "commit_success.txt"  # Orbax names the full path of the folder in it
    if marker.exists():
        marker.write_text("Checkpoint commit was successful")


def _without_paths(meta: dict[str, Any]) -> dict[str, Any]:
    """Metadata without the folders of the machine that trained: they help nobody else."""
    meta = copy.deepcopy(meta)
    for config in (meta["config"], meta["autoencoder_config"]):
        config["data"]["path"] = ""
        config |= dict.fromkeys({"autoencoder", "start_from"} & config.keys(), "")
    return meta
