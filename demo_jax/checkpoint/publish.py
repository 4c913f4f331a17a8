"""Publishing a run: averaged weights in float16, in one folder without paths of the machine that trained them."""

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
    """Publishes a run's newest checkpoint: averaged parameters as float16, and the metadata.

    Args:
      workdir: of the run.
      out: the folder to write.
      autoencoder: a stage-1 run whose auto-encoder replaces that of a stage-2 run; its decoder may be trained further.

    Raises:
      InputError: the motion encoder of `autoencoder` is a different one.
    """
    model = load_any(workdir)
    if autoencoder is not None:
        newer = load_model(autoencoder, "autoencoder")
        ours, theirs = (code_fingerprint(m.autoencoder_params) for m in (model, newer))
        if ours != theirs:
            raise InputError(f"{autoencoder} has motion encoder {theirs}, but the codes of {workdir} are of {ours}.")
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
    marker = absolute(out) / "commit_success.txt"  # Orbax writes the full path of the folder into it
    if marker.exists():
        marker.write_text("Checkpoint commit was successful")


def _without_paths(meta: dict[str, Any]) -> dict[str, Any]:
    """Returns the metadata without the folders of the machine that trained, which mean nothing elsewhere."""
    meta = copy.deepcopy(meta)
    for config in (meta["config"], meta["autoencoder_config"]):
        config["data"] |= {"path": "", "mixture": ()}
        config |= dict.fromkeys({"autoencoder", "start_from"} & config.keys(), "")
    return meta
