"""Loading a model to sample from, to evaluate or to start a run with."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from typing import Any

import jax
import numpy as np
from etils import epath
from jaxtyping import PyTree
from orbax.checkpoint import v1 as ocp

from demo_jax.checkpoint import checksums
from demo_jax.checkpoint.damage import first_line, not_damage, quiet, sweep
from demo_jax.checkpoint.orbax_io import DamagedError, changed_arrays, find_steps, newest_undamaged
from demo_jax.checkpoint.save import space_checkpointable
from demo_jax.codes import CodeSpace
from demo_jax.config import Stage1Config, Stage2Config, build
from demo_jax.devices import require_devices
from demo_jax.errors import InputError
from demo_jax.models import low_rank
from demo_jax.paths import BUNDLED, PEOPLE, resolve

# Versions of parameters and metadata, by kind; raised when old checkpoints can no longer be read.
SCHEMA = {"autoencoder": 1, "flow": 3}


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model to sample from. `flow`, `flow_params` and `space` are None for a checkpoint of stage 1.

    `people` has other parameters of the same auto-encoder, for photographs and videos of people; None where its own are
    for these too.
    """

    path: str
    meta: dict[str, Any]
    autoencoder: Stage1Config
    autoencoder_params: PyTree
    flow: Stage2Config | None
    flow_params: PyTree | None
    space: CodeSpace | None
    people: LoadedModel | None = None

    @property
    def for_people(self) -> PyTree:
        """Parameters of the auto-encoder for photographs and videos of people."""
        return (self.people or self).autoencoder_params

    def fingerprint(self, features: str = "") -> str:
        """Returns 16 hex digits that depend on everything that determines the model's output.

        That is the arrays of the flow, the auto-encoder and the code space, the sizes of the networks, and `features`,
        the version of the audio features.
        """
        parts = {"ema": self.autoencoder_params}
        if self.space is not None:
            space = space_checkpointable(self.space)
            parts = {"ema": self.flow_params, "autoencoder": self.autoencoder_params, "space": space}
        stored = self.meta.get("checksums", {})  # of these parts; older checkpoints have none
        arrays = {name: stored.get(name) or checksums.of_tree(part) for name, part in parts.items()}
        networks = [dataclasses.asdict(c.model) for c in (self.autoencoder, self.flow) if c is not None]
        facts = json.dumps([arrays, networks, self.meta.get("feature"), features], sort_keys=True)
        if self.people is not None:
            facts += self.people.fingerprint()
        return hashlib.sha256(facts.encode()).hexdigest()[:16]


def load_model(path: epath.PathLike = BUNDLED, kind: str = "flow") -> LoadedModel:
    """Loads averaged parameters, float32, from a work directory, a checkpoint folder or a published model.

    In a work directory it takes the newest step that is undamaged, and names damaged ones on stderr.

    Args:
      path: the folder, or the name of a bundled model (demo_jax.paths).
      kind: "flow" for sampling, "autoencoder" for encoding.

    Raises:
      InputError: there is no checkpoint, it is of the other stage or of another schema, or JAX has no device.
    """
    require_devices()
    steps = find_steps(resolve(path))
    return newest_undamaged(
        steps, lambda folder: _load_step(path, folder, kind), lambda text: sys.stderr.write(f"{text}\n")
    )


def load_bundled() -> LoadedModel:
    """Returns the bundled model: puppet-v1, and people-v0 for photographs and videos of people."""
    return dataclasses.replace(load_model(BUNDLED), people=load_model(PEOPLE, "autoencoder"))


def describe(path: epath.PathLike, kind: str = "flow") -> tuple[dict[str, Any], Stage1Config, Stage2Config | None]:
    """Returns metadata and configs of the model that load_model loads, without its arrays. Raises as it does."""
    require_devices()
    return _describe(path, find_steps(resolve(path))[0], kind)


@quiet()
def _describe(
    path: epath.PathLike, folder: epath.Path, kind: str
) -> tuple[dict[str, Any], Stage1Config, Stage2Config | None]:
    try:
        meta = dict(ocp.checkpointables_metadata(folder).custom_metadata or {})
    except Exception as error:  # Orbax raises many types for folders that are not, or no longer, checkpoints
        if reason := not_damage(error, folder):
            raise InputError(f"{path} cannot be read ({reason}).") from error
        raise DamagedError(
            f"{path} is not a checkpoint of this project, or is damaged ({first_line(error)})."
        ) from error
    if "schema" not in meta:
        raise InputError(f"{path} is not a checkpoint of this project; name a work directory of train.py.")
    if meta["schema"] != (reads := SCHEMA.get(str(meta.get("kind")), SCHEMA[kind])):
        raise InputError(
            f"{path} has checkpoint schema {meta['schema']!r}; this version reads {reads}. Use the version that wrote "
            "it, or train it again."
        )
    if meta.get("kind") != kind:
        needed = {"flow": "a stage-2 (flow) checkpoint", "autoencoder": "a stage-1 (auto-encoder) checkpoint"}[kind]
        raise InputError(f"{path} is of kind {meta.get('kind')!r}; {needed} is needed here.")
    try:
        stage1 = build(Stage1Config, _without_stage(meta["autoencoder_config"]), "config")
        stage2 = build(Stage2Config, _without_stage(meta["config"]), "config") if kind == "flow" else None
    except (InputError, KeyError) as error:
        raise InputError(f"{path} cannot be read by this version: {error}") from error
    return meta, stage1, stage2


@quiet()
def _load_step(path: epath.PathLike, folder: epath.Path, kind: str) -> LoadedModel:
    meta, stage1, stage2 = _describe(path, folder, kind)
    names = ["ema"] if stage2 is None else ["ema", "autoencoder", "space"]
    parts, problem, reason = _load_parts(folder, names)
    problem = problem or changed_arrays(parts, meta, host=True)
    if problem:
        sweep()
        if reason:
            raise InputError(f"{path} cannot be read ({reason}).")
        raise DamagedError(f"{path} is damaged: {problem}.")
    # NumPy converts them: JAX would compile a program for every shape.
    parts = jax.device_put(jax.tree.map(lambda a: np.asarray(a, np.float32), parts))
    parts["ema"] = low_rank.merged(parts["ema"])
    if stage2 is None:
        return LoadedModel(
            path=str(path), meta=meta, autoencoder=stage1, autoencoder_params=parts["ema"],
            flow=None, flow_params=None, space=None,
        )  # fmt: skip
    space = CodeSpace(**{f.name: parts["space"][f.name] for f in dataclasses.fields(CodeSpace)})
    return LoadedModel(
        path=str(path), meta=meta, autoencoder=stage1, autoencoder_params=parts["autoencoder"],
        flow=stage2, flow_params=parts["ema"], space=space,
    )  # fmt: skip


def load_any(path: epath.PathLike) -> LoadedModel:
    """Loads a checkpoint of either stage. Raises InputError as load_model does."""
    try:
        return load_model(path, "flow")
    except InputError as error:
        if "of kind 'autoencoder'" not in str(error):
            raise
        return load_model(path, "autoencoder")


def _load_parts(folder: epath.Path, names: list[str]) -> tuple[dict[str, PyTree], str, str]:
    """Returns the named parts on the first device, the problem ("" if none), and its cause if that is not damage."""
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    try:
        stored = ocp.checkpointables_metadata(folder).metadata
        lost = [n for n in names if stored.get(n) is None]
        if lost:
            return {}, f"its part {lost[0]!r} is missing or cannot be read", not_damage(None, folder)
        abstract = {n: jax.tree.map(lambda leaf: _target(leaf, device), stored[n]) for n in names}
        return {n: ocp.load_checkpointables(folder, {n: abstract[n]})[n] for n in names}, "", ""  # as above
    except Exception as error:  # Orbax and TensorStore raise many types
        return {}, first_line(error), not_damage(error, folder)


def _target(leaf: Any, device: jax.sharding.Sharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device)


def _without_stage(values: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in values.items() if k != "stage"}
