"""Checkpoints: saving and resuming a run, and loading a model to sample from. The only file that imports Orbax.

A run keeps <workdir>/checkpoints/<step>/ with these parts:

    train        step, parameters, optimiser state        (resume)
    ema          averaged parameters                      (sampling)
    autoencoder  stage 1's averaged parameters            (stage 2 only)
    space        demo_jax.codes.CodeSpace                 (stage 2 only)

and a JSON of metadata: kind, schema, config, corpus, fingerprints, checksums of all arrays. A published model is one
such folder without `train`, its arrays in float16. Orbax commits a step by renaming a finished temporary folder, so a
half-written one is never seen; one that was damaged later is named, and the one before it taken.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from orbax.checkpoint import v1 as ocp

from demo_jax import checksums, low_rank
from demo_jax.bundled import BUNDLED, resolve
from demo_jax.codes import CodeSpace
from demo_jax.config import Stage1Config, Stage2Config, build
from demo_jax.damage import first_line, is_no_room, not_damage, quiet, sweep
from demo_jax.devices import require_devices
from demo_jax.typing import InputError, PyTree, on_object_storage

T = TypeVar("T")

# Of parameters and metadata, by kind; raised when an old checkpoint can no longer be read.
SCHEMA = {"autoencoder": 1, "flow": 3}


class NotSavedError(RuntimeError):
    """A checkpoint could not be written, for example to a full disk. The earlier ones are as they were."""


class DamagedError(InputError):
    """A checkpoint that cannot be read, or whose arrays are not what was saved."""


class RunCheckpoints:
    """The checkpoints of one run; use as a context manager, which waits for the last save.

    Since arrays are written while training goes on, what one save meets is raised by what comes after it.
    """

    def __init__(self, workdir: epath.PathLike, keep: int = 2) -> None:
        self._folder = _absolute(workdir) / "checkpoints"
        self._checkpointer = ocp.training.Checkpointer(
            self._folder,
            preservation_policy=ocp.training.preservation_policies.LatestN(keep),
        )

    def save(self, step: int, parts: dict[str, PyTree], meta: dict[str, Any]) -> None:
        """Starts writing; returns when the arrays have been copied from the devices."""
        meta = _with_checksums(meta, parts)
        with self._writing():
            self._checkpointer.save_checkpointables_async(step, parts, custom_metadata=meta, force=True, overwrite=True)

    def wait(self) -> None:
        """Until what was saved last is on disk."""
        with self._writing():
            self._checkpointer.wait()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with quiet():
                yield
        except Exception as error:  # Orbax and TensorStore raise many kinds
            room = "Make room; the" if is_no_room(error) else "The"
            raise NotSavedError(
                f"{self._folder}: a checkpoint could not be written ({first_line(error)}). {room} same command goes on "
                "from the checkpoint before it."
            ) from error

    def latest(self) -> int | None:
        """The newest finished step, or None."""
        found = self._checkpointer.latest
        return None if found is None else found.step

    def restore(
        self, abstract: dict[str, PyTree], accept: Callable[[dict[str, Any]], None], say: Callable[[str], None]
    ) -> dict[str, PyTree]:
        """The named parts of the newest step that is whole, placed as the shardings in `abstract` say.

        `accept` sees the metadata first, and raises if they are of another run; `say` is told of every step that is
        damaged. Raises InputError if all are.
        """
        steps = _find_steps(self._folder)
        try:
            return _newest_whole(steps, lambda folder: self._load(folder, abstract, accept), say)
        except DamagedError as error:
            raise InputError(
                f"{self._folder}: every checkpoint there is damaged, or of a version that cannot be gone on with "
                f"({error}) Take another --workdir; config.start_from can begin with what can still be sampled from."
            ) from error

    def _load(
        self, folder: epath.Path, abstract: dict[str, PyTree], accept: Callable[[dict[str, Any]], None]
    ) -> dict[str, PyTree]:
        step, parts, problem, reason = int(folder.name), {}, "", ""
        try:
            with quiet():
                meta = dict(self._checkpointer.metadata(step).custom_metadata or {})
            accept(meta)
            with quiet():
                # One by one: when one of several is damaged, Orbax drops the others with warnings on stderr.
                load = self._checkpointer.load_checkpointables
                parts = {name: load(step, {name: part})[name] for name, part in abstract.items()}
        except InputError:  # of accept
            raise
        except Exception as error:  # Orbax and TensorStore raise many kinds
            problem, reason = first_line(error), not_damage(error, folder)
        if problem:
            sweep()
        if reason:
            raise InputError(f"{folder} cannot be read ({reason}).")
        problem = problem or _changed(parts, meta)
        if problem:
            raise DamagedError(f"{folder} is damaged: {problem}.")
        return parts

    def __enter__(self) -> RunCheckpoints:
        return self

    def __exit__(self, *exception: object) -> None:
        # After a failure there may be another behind it, which must not hide it.
        with contextlib.suppress(Exception) if exception[0] else self._writing():
            self._checkpointer.close()


def fingerprint(params: PyTree) -> str:
    """16 hex digits that change with any parameter's value, name or shape. Independent of device and sharding."""
    digest = hashlib.sha256()
    for path, leaf in sorted(
        ((jax.tree_util.keystr(p), x) for p, x in jax.tree_util.tree_leaves_with_path(params)), key=lambda item: item[0]
    ):
        digest.update(f"{path}{leaf.shape}".encode())
        digest.update(np.asarray(leaf, np.float32).tobytes())
    return digest.hexdigest()[:16]


def code_fingerprint(autoencoder_params: PyTree) -> str:
    """The fingerprint of the motion encoder: who reads these codes may draw them with any decoder trained on them."""
    return fingerprint(autoencoder_params["motion_encoder"])


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model to sample from. `flow`, `flow_params` and `space` are None for a checkpoint of stage 1."""

    path: str
    meta: dict[str, Any]
    autoencoder: Stage1Config
    autoencoder_params: PyTree
    flow: Stage2Config | None
    flow_params: PyTree | None
    space: CodeSpace | None

    def fingerprint(self, features: str = "") -> str:
        """16 hex digits that change with all that decides what the model makes: the arrays of the flow, the
        auto-encoder and the code space, their networks' sizes, and `features`, the version of the audio features."""
        parts = {"ema": self.autoencoder_params}
        if self.space is not None:
            space = space_checkpointable(self.space)
            parts = {"ema": self.flow_params, "autoencoder": self.autoencoder_params, "space": space}
        stored = self.meta.get("checksums", {})  # of these very parts, but for checkpoints from before there were any
        arrays = {name: stored.get(name) or checksums.of_tree(part) for name, part in parts.items()}
        networks = [dataclasses.asdict(c.model) for c in (self.autoencoder, self.flow) if c is not None]
        facts = json.dumps([arrays, networks, self.meta.get("feature"), features], sort_keys=True)
        return hashlib.sha256(facts.encode()).hexdigest()[:16]


def _newest_whole(steps: list[epath.Path], load: Callable[[epath.Path], T], say: Callable[[str], object]) -> T:
    """What the first of `steps` that is not damaged gives, newest first; those before it are said. Raises the last
    one's DamagedError if all are."""
    for step in steps[:-1]:
        try:
            return load(step)
        except DamagedError as error:
            say(f"{error} Step {step.name} is left out; taking the one before it.")
    return load(steps[-1])


def load_model(path: epath.PathLike = BUNDLED, kind: str = "flow") -> LoadedModel:
    """Loads averaged parameters, float32, from a work directory, a checkpoint folder or a published model.

    Of a work directory the newest step that is whole; others are named on stderr.

    Args:
      path: the folder, or the name of a bundled model (demo_jax.bundled).
      kind: "flow" for sampling, "autoencoder" for encoding; a checkpoint of the other stage is refused.

    Raises:
      InputError: no checkpoint there, of the other stage, or of another schema; or JAX has no device.
    """
    require_devices()
    steps = _find_steps(resolve(path))
    return _newest_whole(
        steps, lambda folder: _load_step(path, folder, kind), lambda text: sys.stderr.write(f"{text}\n")
    )


def describe(path: epath.PathLike, kind: str = "flow") -> tuple[dict[str, Any], Stage1Config, Stage2Config | None]:
    """Metadata and configs of what load_model loads, without its arrays. Raises as it does."""
    require_devices()
    return _describe(path, _find_steps(resolve(path))[0], kind)


@quiet()
def _describe(
    path: epath.PathLike, folder: epath.Path, kind: str
) -> tuple[dict[str, Any], Stage1Config, Stage2Config | None]:
    try:
        meta = dict(ocp.checkpointables_metadata(folder).custom_metadata or {})
    except Exception as error:  # Orbax raises many kinds for folders that are not, or no longer, checkpoints
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
            "it, or train it anew."
        )
    if meta.get("kind") != kind:
        wanted = {"flow": "a stage-2 (flow) checkpoint", "autoencoder": "a stage-1 (auto-encoder) checkpoint"}[kind]
        raise InputError(f"{path} is of kind {meta.get('kind')!r}; {wanted} is needed here.")
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
    problem = problem or _changed(parts, meta, host=True)
    if problem:
        sweep()
        if reason:
            raise InputError(f"{path} cannot be read ({reason}).")
        raise DamagedError(f"{path} is damaged: {problem}.")
    # Converted by NumPy: JAX would compile a program for every shape.
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
    """A checkpoint of either stage. Raises InputError as load_model does."""
    try:
        return load_model(path, "flow")
    except InputError as error:
        if "of kind 'autoencoder'" not in str(error):
            raise
        return load_model(path, "autoencoder")


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
    meta = _with_checksums(_without_paths(model.meta), parts)
    ocp.save_checkpointables(_absolute(out), parts, custom_metadata=meta, overwrite=True)
    marker = _absolute(out) / "commit_success.txt"  # Orbax names the full path of the folder in it
    if marker.exists():
        marker.write_text("Checkpoint commit was successful")


def space_checkpointable(space: CodeSpace) -> dict[str, jax.Array]:
    """CodeSpace as the dict that is saved under "space"."""
    return {f.name: getattr(space, f.name) for f in dataclasses.fields(CodeSpace)}


def _without_paths(meta: dict[str, Any]) -> dict[str, Any]:
    """Metadata without the folders of the machine that trained: they help nobody else."""
    meta = copy.deepcopy(meta)
    for config in (meta["config"], meta["autoencoder_config"]):
        config["data"]["path"] = ""
        config |= dict.fromkeys({"autoencoder", "start_from"} & config.keys(), "")
    return meta


def _absolute(path: epath.PathLike) -> epath.Path:
    """Orbax takes absolute paths only; an address such as gs://bucket/run is one already."""
    return epath.Path(path) if on_object_storage(path) else epath.Path(path).resolve()


def _find_steps(path: epath.Path) -> list[epath.Path]:
    """A work directory, a folder of steps, or a step -> the steps' folders, newest first."""
    path = _absolute(path)
    if not path.exists():
        raise InputError(
            f"{path} does not exist; name a work directory of train.py, a published model's folder, or {BUNDLED.name}, "
            "the bundled model."
        )
    for folder in (path / "checkpoints", path):
        steps = [p for p in folder.iterdir() if p.name.isdigit()] if folder.is_dir() else []
        if steps:
            return sorted(steps, key=lambda p: -int(p.name))
    return [path]


def _load_parts(folder: epath.Path, names: list[str]) -> tuple[dict[str, PyTree], str, str]:
    """The named parts on the first device; what went wrong; and why, if that is no damage. "" where there is none."""
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    try:
        stored = ocp.checkpointables_metadata(folder).metadata
        lost = [n for n in names if stored.get(n) is None]
        if lost:
            return {}, f"its part {lost[0]!r} is missing or cannot be read", not_damage(None, folder)
        abstract = {n: jax.tree.map(lambda leaf: _target(leaf, device), stored[n]) for n in names}
        return {n: ocp.load_checkpointables(folder, {n: abstract[n]})[n] for n in names}, "", ""  # as above
    except Exception as error:  # Orbax and TensorStore raise many kinds
        return {}, first_line(error), not_damage(error, folder)


def _changed(parts: dict[str, PyTree], meta: dict[str, Any], host: bool = False) -> str:
    """What is wrong with arrays that were read, "" if nothing: not all damage keeps TensorStore from reading."""
    stored = meta.get("checksums", {})  # checkpoints from before there were any have none
    names = [n + path for n, tree in parts.items() for path in checksums.changed(tree, stored.get(n, {}), host)]
    return f"{len(names)} of its arrays are not what was saved, such as {names[0]}" if names else ""


def _with_checksums(meta: dict[str, Any], parts: dict[str, PyTree]) -> dict[str, Any]:
    return meta | {"checksums": {name: checksums.of_tree(part) for name, part in parts.items()}}


def _target(leaf: Any, device: jax.sharding.Sharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device)


def _without_stage(values: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in values.items() if k != "stage"}
