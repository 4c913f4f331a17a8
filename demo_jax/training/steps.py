"""The train steps of both stages: pure functions (state, batch) -> (state, metrics), without I/O.

Each is built once from its config; the jit boundary is in `loop.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from demo_jax import rng
from demo_jax.codes import CodeSpace
from demo_jax.config import Stage1Config, Stage2Config
from demo_jax.factors import FactorLayout
from demo_jax.flow.coupling import Independent
from demo_jax.flow.loss import flow_matching_losses
from demo_jax.flow.time_sampling import LogitNormal, Uniform
from demo_jax.losses.contrastive import comparable, lip_info_nce
from demo_jax.losses.reconstruction import picture_loss, psnr
from demo_jax.models.autoencoder import AutoEncoder, to_float
from demo_jax.models.flow_transformer import FlowTransformer
from demo_jax.training.conditioning import make_condition
from demo_jax.training.state import TrainState, apply_gradients
from demo_jax.typing import PyTree

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]
StepFn = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]


def stage1_losses(model: AutoEncoder, config: Stage1Config, params: PyTree, batch: Batch, key: jax.Array) -> Metrics:
    """All terms of stage 1 on one batch of data_pipelines.pipeline.stage1_batches; "loss" is their weighted sum."""
    weights, layout = config.loss, config.model.layout
    variables = {"params": params}

    def call(method: Callable, *args: jax.Array) -> jax.Array:
        return model.apply(variables, *args, method=method)

    source = to_float(batch["source"])
    window = to_float(batch["driving"])
    rows, frames = window.shape[:2]
    driving = window[:, frames // 2]
    truth = batch["driving_calibrated"]
    with_sets = "set_source" in batch
    pictures = [source, window.reshape(rows * frames, *window.shape[2:])]
    if with_sets:
        names = ("set_source", "set_driving", "set_redrawn", "set_reidentity_source", "set_reidentity")
        sets = {name: to_float(batch[name]) for name in names}
        pictures += list(sets.values())
    codes = jnp.split(call(AutoEncoder.encode_motion, jnp.concatenate(pictures)), _ends([len(p) for p in pictures]))
    source_code, window_codes = codes[0], codes[1].reshape(rows, frames, -1)

    # In a share of the samples the decoder sees true pose and gaze, so that a calibrated number means the same in the
    # picture as in the encoder.
    keys = jax.random.split(key, 3)
    driving_code = _true_control(
        keys[0], window_codes[:, frames // 2], truth[:, frames // 2], layout, weights.true_control
    )
    jobs = [(source, source_code, driving_code, driving, batch["driving_boxes"])]
    if with_sets:
        set_codes = dict(zip(sets, codes[2:], strict=True))
        mixed = swap_factor(set_codes["set_driving"], set_codes["set_redrawn"], batch["set_factor"], layout)
        mixed = _true_control(keys[1], mixed, batch["set_redrawn_calibrated"], layout, weights.true_control)
        moved = _true_control(
            keys[2], set_codes["set_driving"], batch["set_driving_calibrated"], layout, weights.true_control
        )
        boxes = batch["set_boxes"]
        jobs += [
            (sets["set_source"], set_codes["set_source"], mixed, sets["set_redrawn"], boxes),
            (
                sets["set_reidentity_source"],
                set_codes["set_reidentity_source"],
                moved,
                sets["set_reidentity"],
                boxes,
            ),
        ]
    sources, source_codes, driving_codes, targets, boxes = (jnp.concatenate(x) for x in zip(*jobs, strict=True))
    pyramid = call(AutoEncoder.encode_source, sources)
    images = call(AutoEncoder.decode, pyramid, source_codes, driving_codes)
    per_picture = picture_loss(images, targets, boxes, region=weights.region, structure=weights.structure)
    quality = psnr(images, targets)
    ends = _ends([len(job[0]) for job in jobs])
    losses, qualities = jnp.split(per_picture, ends), jnp.split(quality, ends)

    metrics = {"reconstruction": jnp.mean(losses[0]), "psnr": jnp.mean(qualities[0])}
    total = weights.reconstruction * metrics["reconstruction"]
    truths = [batch["source_calibrated"], truth.reshape(rows * frames, -1)]
    if with_sets:
        metrics |= {"swap": jnp.mean(losses[1]), "cross_identity": jnp.mean(losses[2])}
        metrics |= {"psnr_swap": jnp.mean(qualities[1]), "psnr_cross": jnp.mean(qualities[2])}
        total += weights.swap * metrics["swap"] + weights.cross_identity * metrics["cross_identity"]
        truths += [batch[f"{name}_calibrated"] for name in names]
    metrics["supervision"] = _supervision(jnp.concatenate(codes), jnp.concatenate(truths), layout)
    total += weights.supervision * metrics["supervision"]

    lips = call(AutoEncoder.embed_lips, window_codes[..., layout.slices["lip"]])
    audio = call(AutoEncoder.embed_audio, batch["audio"])
    negatives = comparable(batch["clip_hash"], batch["time"], batch["voiced"], batch["phoneme"])
    metrics["lip_contrast"], metrics["lip_accuracy"] = lip_info_nce(
        lips, audio, negatives, batch["voiced"], weights.temperature
    )
    total += weights.lip_contrast * metrics["lip_contrast"]
    return metrics | {"loss": total}


def swap_factor(base: jax.Array, redrawn: jax.Array, factor: jax.Array, layout: FactorLayout) -> jax.Array:
    """Codes [B, K]: those of `base`, with the block of factor [B] (index in FACTORS) taken from `redrawn`."""
    return jnp.where(jnp.asarray(layout.factor_index)[None] == factor[:, None], redrawn, base)


def _ends(sizes: list[int]) -> list[int]:
    """Where to split a concatenation of these sizes."""
    ends, total = [], 0
    for size in sizes[:-1]:
        total += size
        ends.append(total)
    return ends


def _true_control(key: jax.Array, codes: jax.Array, truth: jax.Array, layout: FactorLayout, share: float) -> jax.Array:
    """Codes [B, K] with pose and gaze replaced by truth [B, 13] in a random `share` of the rows, where it is known."""
    index = jnp.asarray(layout.calibrated[3:])  # pose and gaze; the lips keep the encoder's
    wanted = truth[:, 3:]
    use = jax.random.bernoulli(key, share, (len(codes), 1)) & jnp.isfinite(wanted)
    return codes.at[:, index].set(jnp.where(use, jnp.nan_to_num(wanted), codes[:, index]))


def _supervision(codes: jax.Array, truth: jax.Array, layout: FactorLayout) -> jax.Array:
    """Mean absolute error of the calibrated coordinates, each factor weighing equally; NaN truth is left out."""
    known = jnp.isfinite(truth)
    error = jnp.where(known, jnp.abs(codes[:, layout.calibrated] - jnp.nan_to_num(truth)), 0.0)
    parts = []
    for start, end in ((0, 3), (3, 9), (9, 13)):  # lips, pose, gaze
        parts.append(jnp.sum(error[:, start:end]) / jnp.maximum(jnp.sum(known[:, start:end]), 1))
    return sum(parts) / 3


def stage2_losses(
    model: FlowTransformer,
    config: Stage2Config,
    layout: FactorLayout,
    params: PyTree,
    space: CodeSpace,
    batch: Batch,
    key: jax.Array,
) -> Metrics:
    """The flow-matching loss on one batch of data_pipelines.pipeline.stage2_batches."""
    condition_key, noise_key, coupling_key, time_key = jax.random.split(key, 4)
    x1, condition = make_condition(condition_key, batch, space, layout, config.condition, config.model.context)
    x0 = jax.random.normal(noise_key, x1.shape)
    x0 = Independent()(coupling_key, x0, x1, condition.source, condition.free, config.condition.group)
    times = Uniform() if config.loss.time == "uniform" else LogitNormal()
    t = times(time_key, len(x1))

    def velocity(x: jax.Array, t: jax.Array, condition: object) -> jax.Array:
        return model.apply({"params": params}, x, t, condition)

    terms = flow_matching_losses(velocity, x0, x1, t, condition, layout, config.loss.difference)
    total = terms["loss"] + (config.loss.velocity - 1) * terms["velocity"]
    return terms | {"loss": total}


def make_step(
    losses: Callable[[PyTree, Batch, jax.Array], Metrics],
    config: Stage1Config | Stage2Config,
    optimizer: optax.GradientTransformation,
) -> StepFn:
    """One step of either stage: gradients, update, average; metrics carry each parameter group's gradient norm."""

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key = rng.stream(config.seed, "train", state.step)

        def objective(params: PyTree) -> tuple[jax.Array, Metrics]:
            metrics = losses(params, batch, key)
            return metrics["loss"], metrics

        gradients, metrics = jax.grad(objective, has_aux=True)(state.params)
        metrics |= {f"gradient/{name}": optax.tree.norm(g) for name, g in gradients.items()}
        return apply_gradients(state, gradients, optimizer, config.optimizer), metrics

    return step
