"""Every config file builds and has fitting shapes in its losses or whole train step; wrong settings are explained."""

from __future__ import annotations

import functools
import importlib
import pkgutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import configs
from benchmarks.abstract import abstract_step, settings, shape, stage1_shapes, stage1_variables
from demo_jax import config
from demo_jax.checkpoint.load import BUNDLED, describe
from demo_jax.config import Stage1Config, Stage2Config, as_config_dict, from_config_dict
from demo_jax.errors import InputError
from demo_jax.models.autoencoder import AutoEncoder
from demo_jax.training.stage1_losses import stage1_losses

NAMES = sorted(module.name for module in pkgutil.iter_modules(configs.__path__))


# Gradients and updates have the shapes of their parameters whatever the sizes; one config of each kind is enough:
# all losses, a frozen part, bfloat16.
WHOLE = {"puppet_autoencoder", "puppet_encoder", "full_autoencoder", "puppet_flow", "real_flow", "full_flow"}


@pytest.mark.parametrize("name", NAMES)
def test_the_losses_or_the_whole_step_of_each_config_have_fitting_shapes(name):
    c = settings(name)
    full = name.startswith("full_")
    if name in WHOLE:
        step, state, batch = abstract_step(c)
        after, metrics = jax.eval_shape(step, state, batch)
        assert jax.tree.map(lambda a: (a.shape, a.dtype), after) == jax.tree.map(lambda a: (a.shape, a.dtype), state)
        params, loss = after.params, metrics["loss"]
    else:
        params, terms = abstract_losses(c)
        loss = terms["loss"]
    assert loss.shape == () and loss.dtype == jnp.float32
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))  # whatever the compute dtype
    count = sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params))
    assert (count > 4e7) == full and (not full or c.model.dtype == "bfloat16")


def abstract_losses(c: Stage1Config):
    """Returns the shapes of the parameters and of the loss terms."""
    params, model = stage1_variables(c)["params"], AutoEncoder(c.model)
    return params, jax.eval_shape(
        functools.partial(stage1_losses, model, c), params, stage1_shapes(c), jax.random.key(0)
    )


@pytest.mark.parametrize("name", ["puppet_128_autoencoder", "puppet_gpu_autoencoder"])
def test_a_128_px_model_keeps_its_budget(name):
    """At most 8 M parameters, and 1.5 GFLOP to decode a frame (the source is encoded once per portrait)."""
    config = settings(name)
    c, variables = config.model, stage1_variables(config)
    model, image, code = AutoEncoder(c), shape(1, c.size, c.size, 3), shape(1, c.layout.size)
    assert sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(variables)) <= 8e6

    def apply(method):
        return functools.partial(model.apply, method=method)

    pyramid = jax.eval_shape(apply(AutoEncoder.encode_source), variables, image)
    lowered = jax.jit(apply(AutoEncoder.decode)).lower(variables, pyramid, code, code)
    flops = lowered.cost_analysis()["flops"]
    assert 0.3e9 < flops <= 1.5e9  # less than the lower bound and XLA has not counted the convolutions


@pytest.mark.parametrize("variant", ["joint", "no_lip_block", "paper_split"])
def test_the_losses_of_an_ablation_have_fitting_shapes(variant):
    c = from_config_dict(importlib.import_module("configs.ablation_autoencoder").get_config(variant))
    _, terms = abstract_losses(c)
    missing = {
        "joint": {"supervision", "lip_contrast", "gaze_contrast", "cosine"},
        "no_lip_block": {"lip_contrast"},
    }.get(variant, set())
    expected = {"reconstruction", "supervision", "lip_contrast", "gaze_contrast", "swap", "consistency", "cosine"}
    assert expected & set(terms) == expected - missing


def test_config_dict_round_trip():
    for c in (Stage1Config(steps=7), Stage2Config()):
        assert from_config_dict(as_config_dict(c)) == c


OLD_SETTINGS = [  # old name, a value, the stage that has it
    ("coupling.slices", 4, Stage2Config),
    ("loss.true_control", 0.75, Stage1Config),
    ("loss.true_lips", 0.125, Stage1Config),
]


def test_every_old_name_is_tested():
    assert {name for name, _, _ in OLD_SETTINGS} == set(config.OLD_NAMES)


@pytest.mark.parametrize(("old", "value", "stage"), OLD_SETTINGS)
def test_an_old_name_of_a_setting_is_read_as_its_new_one(old, value, stage):
    """Metadata of an old checkpoint have the old name alone."""
    section, name = old.split(".")
    new = config.OLD_NAMES[old].split(".")[1]
    values = as_config_dict(stage()).to_dict()
    del values[section][new]
    values[section][name] = value
    assert getattr(getattr(from_config_dict(values), section), new) == value
    values[section][new] = value
    with pytest.raises(InputError, match=rf"config\.{old} is now config\.{section}\.{new}, and both are given"):
        from_config_dict(values)
    with pytest.raises(InputError, match=rf"config\.{name} is not a setting"):  # in another place it is unknown
        from_config_dict(as_config_dict(stage()).to_dict() | {name: value})


def test_the_bundled_model_has_old_names_and_loads():
    meta, stage1, stage2 = describe(BUNDLED)
    assert stage1.loss.teacher_forcing == meta["autoencoder_config"]["loss"]["true_control"]
    assert stage1.loss.teacher_forcing_lips == meta["autoencoder_config"]["loss"]["true_lips"]
    assert stage2 is not None and stage2.coupling.microbatches == meta["config"]["coupling"]["slices"]


def test_wrong_settings_are_explained():
    values = as_config_dict(Stage1Config()).to_dict()
    with pytest.raises(InputError, match=r"config\.model\.sise is not a setting; config\.model has blocks"):
        from_config_dict({**values, "model": {**values["model"], "sise": 64}})
    with pytest.raises(InputError, match=r"config\.steps is 'many'; it must be of type int"):
        from_config_dict({**values, "steps": "many"})
    with pytest.raises(InputError, match=r"freeze is 'basis'; it must be a tuple, such as \(\"basis\",\)"):
        from_config_dict({**values, "freeze": "basis"})
    with pytest.raises(InputError, match=r"levels\[1\] is \(16, 64, 1\); it must have 2 entries"):
        from_config_dict({**values, "model": {**values["model"], "levels": ((8, 96), (16, 64, 1))}})
    with pytest.raises(InputError, match=r"levels\[0\]\[1\] is '96'; it must be of type int"):
        from_config_dict({**values, "model": {**values["model"], "levels": [[8, "96"]]}})
    with pytest.raises(InputError, match=r"config\.stage is 'decoder'"):
        from_config_dict({**values, "stage": "decoder"})
    with pytest.raises(InputError, match="lip needs at least 3"):
        from_config_dict({**values, "model": {**values["model"], "layout": {"lip": 1}}})
    with pytest.raises(InputError, match=r"multiple of condition\.group"):
        Stage2Config(data=config.DataConfig(batch_size=12))
    with pytest.raises(InputError, match=r"loss\.time"):
        Stage2Config(loss=config.Stage2LossConfig(time="cosine"))
