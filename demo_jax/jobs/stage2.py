"""Assembly of stage 2: the flow transformer on the codes of an auto-encoder, from a config."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
from etils import epath
from jaxtyping import PyTree

from data_pipelines.loading import batches as pipeline
from demo_jax import rng
from demo_jax.audio.registry import extractor
from demo_jax.checkpoint.fingerprints import code_fingerprint, fingerprint
from demo_jax.checkpoint.load import SCHEMA, load_any, load_model
from demo_jax.checkpoint.save import space_checkpointable
from demo_jax.codes import load_space
from demo_jax.config import Stage2Config
from demo_jax.errors import InputError
from demo_jax.jobs.common import VALIDATION_ROWS, held_out_split, initialisers, validation_batches
from demo_jax.jobs.validation import clip_writer, stage2_validation
from demo_jax.models.flow_transformer import FlowTransformer
from demo_jax.training.conditioning import make_condition
from demo_jax.training.loop import TrainingJob
from demo_jax.training.state import make_optimizer
from demo_jax.training.steps import make_stage2_step


def flow_job(config: Stage2Config, workdir: str) -> TrainingJob:
    """Returns the job of stage 2, with validation into `workdir`.

    Its checkpoints also contain the auto-encoder and the code space, so that one folder suffices for sampling.

    Raises InputError if the codes are not of that auto-encoder, or other data that the config names cannot be used.
    """
    if not config.autoencoder:
        raise InputError("autoencoder is empty; give the stage-1 run, for example --config.autoencoder=runs/puppet_ae.")
    autoencoder = load_any(config.autoencoder)
    codes = pipeline.codes_info(config.data.path)
    ours = code_fingerprint(autoencoder.autoencoder_params)
    if codes.get("encoder_fingerprint") != ours:
        raise InputError(
            f"{config.data.path} has codes of motion encoder {codes.get('encoder_fingerprint')}, but that of "
            f"{config.autoencoder} is {ours}. Encode the corpus with it: python -m data_pipelines.encode "
            f"--autoencoder {config.autoencoder}"
        )
    feature = config.data.feature
    version = codes.get("features", {}).get(feature)
    if version is not None and version != (current := extractor(feature).version):
        raise InputError(
            f"{config.data.path} has version {version} of the audio features {feature}, but sampling would use "
            f"version {current}. Make them again: python -m data_pipelines.add_features --codes {config.data.path} "
            f"--feature {feature} --out FOLDER"
        )
    layout = autoencoder.autoencoder.model.layout
    # The parameters are valid only in the code space they were trained in.
    start = load_model(config.start_from, "flow") if config.start_from else None
    # On the host: a constant of the step would have to be fetched from a device when it compiles.
    space = jax.device_get(start.space if start else load_space(epath.Path(config.data.path) / "space.npz"))
    model, optimizer = (
        FlowTransformer(config.model, layout),
        make_optimizer(config.optimizer, config.steps * config.coupling.microbatches, config.is_frozen),
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
    held_out = held_out_split(config.data.path)
    group = config.condition.group
    fewer = min(config.data.batch_size, max(VALIDATION_ROWS // group * group, group))
    validation = validation_batches(config, batches, held_out, batch_size=fewer)
    example = jax.tree.map(lambda a: jnp.asarray(a[: config.condition.group]), validation[0])

    def params() -> PyTree:
        key = rng.stream(config.seed, "init")
        x1, condition = make_condition(key, example, space, layout, config.condition, config.model.context)
        return model.init(key, x1, jnp.zeros(len(x1)), condition)["params"]

    init, given = initialisers(config, params, lambda: start.flow_params if start else {}, optimizer)
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
    return TrainingJob(
        init=init,
        given=given,
        step=make_stage2_step(model, config, layout, space, optimizer),
        batches=lambda start, **shards: batches(
            split="train", seed=config.seed, start_step=start, workers=config.data.workers, **shards
        ),
        evaluate=stage2_validation(config, layout, space, validation, write_clip),
        meta=meta,
        frozen={"autoencoder": autoencoder.autoencoder_params, "space": space_checkpointable(space)},
        shown=("loss", "velocity/lip", "velocity/pose"),
    )
