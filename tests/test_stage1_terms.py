"""The terms of stage 1's loss on the whole tiny model: their sum, and which networks each of them trains."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from demo_jax.config import Stage1LossConfig
from demo_jax.losses.perceptual import LAYERS
from demo_jax.models.autoencoder import AutoEncoder
from demo_jax.models.discriminator import Discriminator
from demo_jax.training import stage1_losses
from demo_jax.training.code_blocks import Blocks
from tests import tiny_model

OFF = Stage1LossConfig(
    **{f.name: 0.0 for f in dataclasses.fields(Stage1LossConfig) if f.name not in ("temperature", "merged", "vgg16")}
)


@functools.cache
def trained_params() -> dict:
    """The tiny model's, with a discriminator."""
    images = jnp.zeros((1, tiny_model.SIZE, tiny_model.SIZE, 3))
    discriminator = jax.jit(Discriminator().init)(jax.random.key(4), images)["params"]
    return tiny_model.model().autoencoder_params | {"discriminator": discriminator}


@functools.cache
def vgg() -> dict[str, jax.Array]:
    rng, out = np.random.default_rng(3), {}
    for number, channels, size in LAYERS:
        out[f"{number}.kernel"] = rng.normal(0, 0.1, (3, 3, channels, size)).astype(np.float32)
        out[f"{number}.bias"] = rng.normal(0, 0.1, size).astype(np.float32)
    return jax.tree.map(jnp.asarray, out)


@functools.cache
def all_terms(loss: Stage1LossConfig) -> dict[str, float]:
    config = dataclasses.replace(tiny_model.STAGE1, loss=loss)
    losses = functools.partial(stage1_losses.stage1_losses, AutoEncoder(config.model), config)
    weights = vgg() if loss.perceptual else None  # an argument: as constants of the program they would cost 1 GB
    terms = jax.jit(losses)(trained_params(), tiny_model.stage1_batch(), jax.random.key(1), vgg=weights)
    return {name: float(value) for name, value in terms.items()}


NOT_TERMS = [
    "structure",
    "sharpness",
    "region",
    "temperature",
    "teacher_forcing",
    "teacher_forcing_lips",
    "false_free",
    "merged",
    "vgg16",
]
TERMS = tuple(f.name for f in dataclasses.fields(Stage1LossConfig) if f.name not in NOT_TERMS)
EVERYTHING = Stage1LossConfig(cycle=0.3, cosine=0.7, perceptual=0.2, vgg16="given", adversarial=0.1)


def test_the_loss_is_the_weighted_sum_of_its_terms():
    terms = all_terms(EVERYTHING)
    assert set(TERMS) <= set(terms) and all(np.isfinite(v) for v in terms.values())
    expected = sum(getattr(EVERYTHING, name) * terms[name] for name in TERMS) + terms["discriminator"]
    assert terms["loss"] == pytest.approx(expected, rel=1e-5)


def test_the_discriminator_and_the_networks_it_scores_are_trained_apart():
    params, (made, true) = trained_params()["discriminator"], np.random.default_rng(0).uniform(-1, 1, (2, 2, 32, 32, 3))

    def gradients(term: str) -> tuple[float, float]:
        of_params, of_pictures = jax.grad(
            lambda p, x: stage1_losses.adversarial_terms(p, x, jnp.asarray(true, jnp.float32))[term], (0, 1)
        )(params, jnp.asarray(made, jnp.float32))
        return tuple(sum(float(jnp.abs(x).sum()) for x in jax.tree.leaves(g)) for g in (of_params, of_pictures))

    (a, b), (c, d) = gradients("adversarial"), gradients("discriminator")
    assert a == 0 and b > 0 and c > 0 and d == 0


def test_a_term_without_weight_is_not_there_and_changes_no_other():
    full = all_terms(EVERYTHING)
    few = all_terms(dataclasses.replace(OFF, reconstruction=1.0, structure=0.2, sharpness=0.5, region=20.0,
                                        teacher_forcing=0.5, teacher_forcing_lips=0.25, false_free=0.15,
                                        identity=0.1))  # fmt: skip
    assert set(few) == {"reconstruction", "psnr", "identity", "loss"}
    assert few["identity"] == pytest.approx(full["identity"], rel=1e-5)
    assert few["reconstruction"] == pytest.approx(full["reconstruction"], rel=1e-5)


def test_landmarks_alone_need_no_images():
    shares = {name: getattr(EVERYTHING, name) for name in ("teacher_forcing", "teacher_forcing_lips", "false_free")}
    alone = all_terms(dataclasses.replace(OFF, landmarks=0.1, **shares))
    assert set(alone) == {"landmarks", "loss"}
    assert alone["landmarks"] == pytest.approx(all_terms(EVERYTHING)["landmarks"], rel=1e-5)


def test_cycle_trains_the_decoder_and_not_the_encoder():
    config = dataclasses.replace(tiny_model.STAGE1, loss=Stage1LossConfig(cycle=1.0))
    model, blocks = AutoEncoder(config.model), Blocks(layout=config.model.layout)
    params = tiny_model.model().autoencoder_params

    def loss(params, some):
        net = stage1_losses.BoundAutoEncoder(model=model, params=params)
        images = {"source": stage1_losses.to_float(some["source"])}
        codes, _ = stage1_losses.encode(net, images, some["driving"])
        return stage1_losses.cycle(net, blocks, images["source"], codes, jax.random.key(0))

    gradients = jax.device_get(jax.jit(jax.grad(loss))(params, tiny_model.stage1_batch()))
    size = {name: sum(np.abs(x).sum() for x in jax.tree.leaves(g)) for name, g in gradients.items()}
    assert size["motion_encoder"] == 0 and size["decoder"] > 0 and size["source_encoder"] > 0
