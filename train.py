"""Trains either stage of DEMO: the motion auto-encoder (stage 1) or the flow transformer on its codes (stage 2).

    python train.py --config=configs/puppet_autoencoder.py --workdir=runs/puppet_ae --config.data.path=data/puppet
    python train.py --config=configs/puppet_flow.py --workdir=runs/puppet_flow --config.data.path=data/puppet_codes \\
        --config.autoencoder=runs/puppet_ae

Any setting of the config file can be given as --config.section.name=value. The work directory receives checkpoints/,
metrics.jsonl, tensorboard/ and eval/ (pictures, clips). The same command goes on from the newest checkpoint; SIGTERM
saves and stops with exit code 143. Exit code 2 means that something given cannot be used, 3 that training had to stop.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import re
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags, logging
from etils import epath
from jaxtyping import PyTree
from ml_collections import config_flags

from data_pipelines.loading import batches as pipeline
from data_pipelines.loading.augmentation import Augment
from data_pipelines.loading.iterator import WorkersLostError
from demo_jax import rng, sharding
from demo_jax.audio.registry import extractor
from demo_jax.checkpoint.fingerprints import code_fingerprint, fingerprint
from demo_jax.checkpoint.load import SCHEMA, load_any, load_model
from demo_jax.checkpoint.save import NotSavedError, space_checkpointable
from demo_jax.cli import say_error
from demo_jax.codes import load_space
from demo_jax.config import RunConfig, Stage1Config, Stage2Config, from_config_dict
from demo_jax.devices import start_jax
from demo_jax.errors import InputError
from demo_jax.jobs.validation import clip_writer, stage1_validation, stage2_validation
from demo_jax.losses.vgg16 import load_vgg16
from demo_jax.media.locks import locked
from demo_jax.models import low_rank
from demo_jax.models.autoencoder import AutoEncoder
from demo_jax.models.discriminator import Discriminator
from demo_jax.models.flow_transformer import FlowTransformer
from demo_jax.training import distributed
from demo_jax.training.conditioning import make_condition
from demo_jax.training.loop import Job, TrainingStopped, train
from demo_jax.training.stage1_losses import stage1_losses
from demo_jax.training.state import create, make_optimizer, matching, replace
from demo_jax.training.steps import make_stage2_step, make_step

CONFIG = config_flags.DEFINE_config_file("config", None, "Config file, see configs/.", lock_config=True)
flags.DEFINE_bool(  # read by _join_early
    "distributed",
    False,
    "One of several processes, one on each host: on TPU VMs, SLURM, Open MPI and Kubernetes they find each other; "
    "elsewhere by JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID.",
)
PROFILE = flags.DEFINE_integer("profile", 0, "Steps to trace, from the tenth on, into WORKDIR/profile.", lower_bound=0)
WORKDIR = flags.DEFINE_string("workdir", None, "Folder of this run; it may hold an earlier part of it.")
VALIDATION_BATCHES, VALIDATION_ROWS = 4, 32  # on one device, however large the batches that a pod shares


def autoencoder_job(config: Stage1Config, workdir: str) -> Job:
    """Stage 1 from config: networks, data, losses, and what a checkpoint must say of itself."""
    model, optimizer = AutoEncoder(config.model), make_optimizer(config.optimizer, config.steps, config.holds)
    batches = functools.partial(
        pipeline.stage1_batches,
        config.data.path,
        batch_size=config.data.batch_size,
        set_batch_size=config.data.set_batch_size,
        size=config.model.size,
        lip_window=config.model.lip_window,
        feature=config.data.feature,
    )
    fewer = {name: min(getattr(config.data, name), VALIDATION_ROWS) for name in ("batch_size", "set_batch_size")}
    validation = _first(functools.partial(batches, _held_out(config.data.path), seed=config.seed + 1, **fewer))
    example = validation[0]

    def params() -> PyTree:
        key = rng.stream(config.seed, "init")
        pictures = jnp.zeros((1, *example["source"].shape[1:])), jnp.zeros((1, *example["driving"].shape[1:]))
        made = model.init(key, *pictures, jnp.zeros((1, *example["audio"].shape[1:])))["params"]
        if config.loss.adversarial:
            made |= {
                "discriminator": Discriminator().init(rng.stream(config.seed, "discriminator"), pictures[0])["params"]
            }
        return _with_low_rank(config, made)

    vgg = load_vgg16(config.loss.vgg16) if config.loss.perceptual else None
    values = dataclasses.asdict(config)
    return Job(
        init=lambda given: create(replace(params(), given), optimizer),
        given=functools.partial(_given, config, params, lambda: load_any(config.start_from).autoencoder_params),
        step=make_step(functools.partial(stage1_losses, model, config, vgg=vgg), config, optimizer),
        batches=lambda start, **shards: batches(
            "train",
            seed=config.seed,
            start_step=start,
            augment=Augment(**dataclasses.asdict(config.augment)),
            workers=config.data.workers,
            **shards,
        ),
        evaluate=stage1_validation(config, validation, workdir),
        meta={
            "schema": SCHEMA["autoencoder"],
            "kind": "autoencoder",
            "config": values,
            "autoencoder_config": values,
            "corpus": pipeline.corpus_name(config.data.path, "train"),
            "data_fingerprint": pipeline.data_fingerprint(config.data.path, "train"),
            "feature": config.data.feature,
        },
        frozen={},
        shown=("loss", "psnr", "psnr_swap", "supervision"),
    )


def flow_job(config: Stage2Config, workdir: str) -> Job:
    """Stage 2 from config; its checkpoints hold the auto-encoder and the code space too, so that one folder samples."""
    if not config.autoencoder:
        raise InputError("autoencoder is empty; give the stage-1 run, for example --config.autoencoder=runs/puppet_ae.")
    autoencoder = load_any(config.autoencoder)
    codes = pipeline.codes_info(config.data.path)
    ours = code_fingerprint(autoencoder.autoencoder_params)
    if codes.get("encoder_fingerprint") != ours:
        raise InputError(
            f"{config.data.path} holds codes of motion encoder {codes.get('encoder_fingerprint')}, but that of "
            f"{config.autoencoder} is {ours}. Encode the corpus with it: python -m data_pipelines.encode "
            f"--autoencoder {config.autoencoder}"
        )
    feature = config.data.feature
    version = codes.get("features", {}).get(feature)
    if version is not None and version != (current := extractor(feature).version):
        raise InputError(
            f"{config.data.path} holds version {version} of the audio features {feature}, but sampling would hear by "
            f"version {current}. Make them anew: python -m data_pipelines.add_features --codes {config.data.path} "
            f"--feature {feature} --out FOLDER"
        )
    layout = autoencoder.autoencoder.model.layout
    # Parameters only mean something in the code space they learned in.
    start = load_model(config.start_from, "flow") if config.start_from else None
    # On the host: a constant of the step that lay on a device would have to be fetched when it compiles.
    space = jax.device_get(start.space if start else load_space(epath.Path(config.data.path) / "space.npz"))
    model, optimizer = (
        FlowTransformer(config.model, layout),
        make_optimizer(config.optimizer, config.steps * config.coupling.slices, config.holds),
    )
    batches = functools.partial(
        pipeline.stage2_batches,
        config.data.path,
        batch_size=config.data.batch_size,
        window=config.model.window,
        context=config.model.context,
        look_ahead=config.model.look_ahead,
        feature=feature,
    )
    held_out = _held_out(config.data.path)
    group = config.condition.group
    fewer = min(config.data.batch_size, max(VALIDATION_ROWS // group * group, group))
    validation = _first(functools.partial(batches, split=held_out, seed=config.seed + 1, batch_size=fewer))
    example = jax.tree.map(lambda a: jnp.asarray(a[: config.condition.group]), validation[0])

    def params() -> PyTree:
        key = rng.stream(config.seed, "init")
        x1, condition = make_condition(key, example, space, layout, config.condition, config.model.context)
        return _with_low_rank(config, model.init(key, x1, jnp.zeros(len(x1)), condition)["params"])

    feature_size = int(example["audio"].shape[-1])
    meta = {
        "schema": SCHEMA["flow"],
        "kind": "flow",
        "config": dataclasses.asdict(config),
        "autoencoder_config": autoencoder.meta["autoencoder_config"],
        "encoder_fingerprint": ours,
        "space_fingerprint": fingerprint(space_checkpointable(space)),
        "corpus": autoencoder.meta["corpus"],
        "data_fingerprint": codes["data_fingerprint"].get("train", ""),
        "feature": feature,
        "feature_version": version,
        "feature_size": feature_size,
    }
    shown = pipeline.first_codes(config.data.path, held_out)
    write_clip = clip_writer(config, autoencoder, space, meta, shown, workdir)
    return Job(
        init=lambda given: create(replace(params(), given), optimizer),
        given=functools.partial(_given, config, params, lambda: start.flow_params if start else {}),
        step=make_stage2_step(model, config, layout, space, optimizer),
        batches=lambda start, **shards: batches(
            split="train", seed=config.seed, start_step=start, workers=config.data.workers, **shards
        ),
        evaluate=stage2_validation(config, layout, space, validation, write_clip),
        meta=meta,
        frozen={"autoencoder": autoencoder.autoencoder_params, "space": space_checkpointable(space)},
        shown=("loss", "velocity/lip", "velocity/pose"),
    )


def _with_low_rank(config: RunConfig, params: PyTree) -> PyTree:
    return low_rank.attach(params, config.low_rank, config.freeze, config.seed) if config.low_rank else params


def _given(config: RunConfig, params: Callable[[], PyTree], stored: Callable[[], PyTree]) -> dict[str, np.ndarray]:
    """What a new run takes over of what is `stored` in config.start_from, by name; says of which group how much.

    Raises InputError unless every group that stays as it is comes whole: else random parameters would stay.
    """
    if not config.start_from:
        if config.freeze:
            raise InputError(
                f"config.freeze names {config.freeze[0]}, but without config.start_from its parameters are random; "
                "give the run they come from."
            )
        return {}
    shapes = {name: p for name, p in jax.eval_shape(params).items() if name != low_rank.GROUP}
    given = matching(shapes, jax.device_get(stored()))  # on the host: the run's devices may be others
    if not given:
        raise InputError(f"config.start_from {config.start_from} has no array in common with this model.")
    for group, leaves in shapes.items():
        count, whole = sum(name.startswith(f"[{group!r}]") for name in given), len(jax.tree.leaves(leaves))
        if config.holds(group) and count < whole:
            raise InputError(
                f"{group} is frozen, but only {count} of its {whole} arrays are in {config.start_from} with the same "
                "name and shape; take config.model from there, or let the group learn."
            )
        print(f"{group}: {count} of {whole} arrays from {config.start_from}", flush=True)
    return given


def _first(batches) -> list[dict]:
    with batches(start_step=0) as iterator:
        return [next(iterator) for _ in range(VALIDATION_BATCHES)]


def _held_out(path: str) -> str:
    """The split to validate on: val where there is one, else train, and then says so."""
    splits = pipeline.splits_of(path)
    if "val" in splits:
        return "val"
    if distributed.first():
        print(f"no val split in {path}: evaluating on clips that are trained on.", flush=True)
    return "train" if "train" in splits else splits[0]


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
    with locked(workdir, "training") if distributed.first() else contextlib.nullcontext():
        return train(job, config, workdir, mesh, profile)


def _check_batches(config: RunConfig, shards: int) -> None:
    """Raises InputError unless every shard and every part of a step gets as many rows."""
    stage2 = isinstance(config, Stage2Config)
    parts = config.optimizer.accumulate * (config.coupling.slices if stage2 else 1)
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


def main(argv: list[str]) -> None:
    logging.set_verbosity(logging.WARNING)  # Orbax and Grain report every array at INFO
    try:
        if argv[1:]:
            raise InputError(
                f"unexpected {argv[1]!r}; settings begin with --config., and a name with spaces stands in quotes."
            )
        if CONFIG.value is None or not WORKDIR.value:
            raise InputError("--config and --workdir are needed; see python train.py --help.")
        state = run(CONFIG.value, WORKDIR.value, PROFILE.value)
        if int(state.step) < CONFIG.value.steps:
            # As a shell has it for a process that SIGTERM ended: a scheduler must not take the run for finished.
            sys.exit(128 + signal.SIGTERM)
    except InputError as error:
        _fail(error, 2)
    except (TrainingStopped, NotSavedError, WorkersLostError) as error:
        _fail(error, 3)
    except OSError as error:  # a full disk, or one that went away
        _fail(f"{error}. The same command goes on from the last checkpoint.", 3)


def _parse(arguments: list[str]) -> list[str]:
    """absl's parser, with config_flags' many ways to say "no such setting" as one line and exit code 2."""
    try:
        if single := next((a for a in arguments[1:] if a.startswith("-config.")), None):
            raise InputError(f"unexpected {single!r}; settings begin with --config.")
        _join_early(arguments)
        left = flags.FLAGS(arguments)
        getattr(CONFIG.value, "stage", None)  # only now does a config file that is missing raise
        return left
    except OSError:
        named = next((a for a in arguments if a.lstrip("-").startswith("config=")), "--config")
        _fail(f"{named}: there is no such file, or it cannot be read; see configs/.", 2)
    except (AttributeError, KeyError) as error:
        cause = error.args[0].args[0] if isinstance(error.args[0], KeyError) else error.args[0]
        _fail(f"unknown setting, or not a config file: {cause}", 2)
    except (flags.Error, SyntaxError, TypeError, ValueError) as error:
        # From within a config file the text is a whole traceback, whose last line says it.
        last = str(error).strip().rpartition("\n")[2]
        _fail(re.sub(r"^[\w.]+Error: ", "", last) if "Traceback" in str(error) else error, 2)


def _join_early(arguments: list[str]) -> None:
    """Finds the other processes of a run before its config file is read: one that describes a checkpoint starts JAX's
    devices, and then it is too late."""
    early = flags.FlagValues()
    flags.DEFINE_bool("distributed", False, "", flag_values=early)
    early(arguments, known_only=True)
    if early["distributed"].value:
        distributed.join()


def _fail(error: object, code: int) -> NoReturn:
    say_error(error)
    if jax.distributed.is_initialized():
        # An orderly end waits for all the others, one of which may be what has failed.
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    app.run(main, flags_parser=_parse)
