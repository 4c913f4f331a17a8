"""Assembly of stage 1: the motion auto-encoder, its data and its losses from a config."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json

import jax.numpy as jnp
from jaxtyping import PyTree

from data_pipelines.loading import batches as pipeline
from data_pipelines.loading.augmentation import Augment
from demo_jax import rng
from demo_jax.checkpoint.load import SCHEMA, load_any
from demo_jax.config import Stage1Config
from demo_jax.jobs.common import VALIDATION_ROWS, held_out_split, initialisers, validation_batches
from demo_jax.jobs.validation import stage1_validation
from demo_jax.losses.vgg16 import load_vgg16
from demo_jax.models.autoencoder import AutoEncoder
from demo_jax.models.discriminator import Discriminator
from demo_jax.training.loop import TrainingJob
from demo_jax.training.stage1_losses import stage1_losses
from demo_jax.training.state import make_optimizer
from demo_jax.training.steps import make_step


def autoencoder_job(config: Stage1Config, workdir: str) -> TrainingJob:
    """Returns the job of stage 1: networks, data, losses, validation into `workdir`, and metadata of checkpoints.

    Raises InputError if data or weights that the config names cannot be used.
    """
    model, optimizer = AutoEncoder(config.model), make_optimizer(config.optimizer, config.steps, config.is_frozen)
    batches = functools.partial(
        pipeline.stage1_batches,
        config.data.path,
        mixture=config.data.mixture,
        batch_size=config.data.batch_size,
        set_batch_size=config.data.set_batch_size,
        size=config.model.size,
        lip_window=config.model.lip_window,
        feature=config.data.feature,
    )
    fewer = {name: min(getattr(config.data, name), VALIDATION_ROWS) for name in ("batch_size", "set_batch_size")}
    validation = validation_batches(config, batches, held_out_split(config.data.path), **fewer)
    example = validation[0]

    def params() -> PyTree:
        key = rng.stream(config.seed, "init")
        images = jnp.zeros((1, *example["source"].shape[1:])), jnp.zeros((1, *example["driving"].shape[1:]))
        made = model.init(key, *images, jnp.zeros((1, *example["audio"].shape[1:])))["params"]
        if config.loss.adversarial:
            made |= {
                "discriminator": Discriminator().init(rng.stream(config.seed, "discriminator"), images[0])["params"]
            }
        return made

    init, given = initialisers(config, params, lambda: load_any(config.start_from).autoencoder_params, optimizer)
    vgg = load_vgg16(config.loss.vgg16) if config.loss.perceptual else None
    values = dataclasses.asdict(config)
    return TrainingJob(
        init=init,
        given=given,
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
            "data_fingerprint": _fingerprint(config),
            "feature": config.data.feature,
        },
        frozen={},
        shown=("loss", "psnr", "psnr_swap", "supervision"),
    )


def _fingerprint(config: Stage1Config) -> str:
    """That of the corpus, or of all corpora and their shares."""
    found = pipeline.data_fingerprint(config.data.path, "train")
    if not config.data.mixture:
        return found
    more = [(pipeline.data_fingerprint(folder, "train"), rows) for folder, rows in config.data.mixture]
    return hashlib.sha256(json.dumps([found, more]).encode()).hexdigest()
