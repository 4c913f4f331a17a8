"""What stage 1 minimises: (parameters, batch) -> every term by name, and their weighted sum.

The terms have the names of their weights in Stage1LossConfig; a term of weight 0 is not computed.

Puppet sets hold true renders: `set_redrawn` is `set_driving` with one factor redrawn, `set_reidentity` the same motion
on a second identity. For real video `set_redrawn` is a composite of two frames, and there is no second identity.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from demo_jax.config import Stage1Config, Stage1LossConfig
from demo_jax.factors import CALIBRATED_SCALE, FACTORS, FactorLayout, columns_of
from demo_jax.losses.adversarial import discriminator_hinge, generator_hinge
from demo_jax.losses.contrastive import comparable, gaze_contrast, lip_info_nce, other_gaze
from demo_jax.losses.disentanglement import code_distance, cosine_overlap, cross_covariance, spread
from demo_jax.losses.perceptual import Weights, perceptual
from demo_jax.losses.reconstruction import image_loss, psnr
from demo_jax.models.autoencoder import AutoEncoder, to_float
from demo_jax.models.discriminator import Discriminator
from demo_jax.training.code_blocks import PARTS, Blocks, swap_factor, teacher_force, undo_shift

Batch = dict[str, jax.Array]
Terms = dict[str, jax.Array]

GROUP_IMAGES = ("set_source", "set_driving", "set_redrawn", "set_reidentity_source", "set_reidentity")
_GAZE_ANGLES = slice(9, 11)  # yaw and pitch among them


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoundAutoEncoder:
    """The auto-encoder with parameters: net(AutoEncoder.decode, pyramid, source_code, code)."""

    model: AutoEncoder
    params: PyTree

    def __call__(self, method: Callable, *args: Any) -> Any:
        return self.model.apply({"params": self.params}, *args, method=method)

    @property
    def frozen(self) -> BoundAutoEncoder:
        return dataclasses.replace(self, params=jax.lax.stop_gradient(self.params))


def stage1_losses(
    model: AutoEncoder, config: Stage1Config, params: PyTree, batch: Batch, key: jax.Array, vgg: Weights | None = None
) -> Terms:
    """All terms on one batch of data_pipelines.loading.batches.stage1_batches; "loss" is their weighted sum, and the
    discriminator's own loss if there is one. `vgg` holds the weights that `perceptual` needs.

    Beside the terms: psnr (of the reconstruction), psnr_swap, psnr_cross, lip_accuracy, gaze_accuracy.
    """
    weights, net = config.loss, BoundAutoEncoder(model=model, params=params)
    blocks = Blocks(layout=config.model.layout, merged=weights.merged)
    pictures = {name: to_float(batch[name]) for name in ("source", *GROUP_IMAGES) if name in batch}
    codes, window = encode(net, pictures, batch["driving"])
    terms = image_terms(net, weights, blocks, batch, pictures, codes, key, vgg)
    terms |= code_terms(net, weights, blocks, batch, codes, window)
    total = sum(getattr(weights, name) * v for name, v in terms.items() if hasattr(weights, name))
    return terms | {"loss": total + terms.get("discriminator", 0.0)}


def encode(
    net: BoundAutoEncoder, pictures: dict[str, jax.Array], driving: jax.Array
) -> tuple[dict[str, jax.Array], jax.Array]:
    """Codes [B, K] by name of pictures [B, S, S, 3], with "driving" the middle of windows [B, W, S, S, 3] uint8; and
    the windows' codes [B, W, K]. One call for all: small batches leave a machine idle."""
    rows, frames = driving.shape[:2]
    window = to_float(driving.reshape(rows * frames, *driving.shape[2:]))
    codes = net(AutoEncoder.encode_motion, jnp.concatenate([*pictures.values(), window]))
    *parts, last = jnp.split(codes, np.cumsum([len(p) for p in pictures.values()]))
    windows = last.reshape(rows, frames, -1)
    return dict(zip(pictures, parts, strict=True)) | {"driving": windows[:, frames // 2]}, windows


@dataclasses.dataclass(frozen=True, kw_only=True)
class _DecodeRequest:
    """A picture to decode in each of B rows: the source with its code, the code to show, the truth with its boxes, the
    landmarks of source and truth [B, 2, 68, 2] in pixels (NaN: not known), and which rows count."""

    term: str
    source: jax.Array
    source_code: jax.Array
    code: jax.Array
    target: jax.Array
    boxes: jax.Array
    landmarks: jax.Array
    counts: jax.Array


def image_terms(
    net: BoundAutoEncoder,
    weights: Stage1LossConfig,
    blocks: Blocks,
    batch: Batch,
    pictures: Terms,
    codes: Terms,
    key: jax.Array,
    vgg: Weights | None,
) -> Terms:
    """reconstruction, swap and cross_identity, whose pictures are decoded in one call, and what perceptual, adversarial
    and cycle say of them; nothing where none of the three has a weight."""
    jobs_key, cycle_key = jax.random.split(key)
    jobs = _jobs(weights, blocks, batch, pictures, codes, jobs_key)
    if not jobs:
        return {}

    def join(field: str) -> jax.Array:
        return jnp.concatenate([getattr(job, field) for job in jobs])

    pyramid, target = net(AutoEncoder.encode_source, join("source")), join("target")
    images, marks = net(AutoEncoder.decode_with_landmarks, pyramid, join("source_code"), join("code"))
    shares = {"region": weights.region, "structure": weights.structure, "sharpness": weights.sharpness}
    losses, qualities = image_loss(images, target, join("boxes"), **shares), psnr(images, target)
    ends = np.cumsum([len(job.counts) for job in jobs])[:-1]
    quality_names = {"reconstruction": "psnr", "swap": "psnr_swap", "cross_identity": "psnr_cross"}
    terms: Terms = {}
    for job, loss, quality in zip(jobs, jnp.split(losses, ends), jnp.split(qualities, ends), strict=True):
        count = jnp.maximum(jnp.sum(job.counts), 1)
        terms[job.term] = jnp.sum(loss * job.counts) / count
        terms[quality_names[job.term]] = jnp.sum(quality * job.counts) / count
    if weights.landmarks:
        terms["landmarks"] = landmark_error(marks, join("landmarks"), images.shape[1])
    if weights.perceptual:
        assert vgg is not None
        counts = jnp.concatenate([job.counts for job in jobs])
        terms["perceptual"] = jnp.sum(perceptual(vgg, images, target) * counts) / jnp.maximum(jnp.sum(counts), 1)
    if weights.adversarial:
        terms |= adversarial_terms(net.params["discriminator"], images, target)
    if weights.cycle:
        terms["cycle"] = cycle(net, blocks, pictures["source"], codes, cycle_key)
    return terms


def landmark_error(found: jax.Array, truth: jax.Array, size: int) -> jax.Array:
    """Mean distance of landmarks found [B, 2, 68, 2] (-1..1) and true (pixels of a `size` picture; NaN: not known), in
    hundredths of the picture."""
    wanted = truth * (2 / size) - 1
    known = jnp.isfinite(wanted)
    squares = jnp.sum(jnp.where(known, jnp.square(found - jnp.nan_to_num(wanted)), 0.0), -1)
    known = jnp.all(known, -1)
    return 50 * jnp.sum(jnp.sqrt(squares + 1e-8) * known) / jnp.maximum(jnp.sum(known), 1)


def adversarial_terms(params: PyTree, images: jax.Array, target: jax.Array) -> Terms:
    """adversarial teaches the makers of `images` alone, discriminator the discriminator alone."""

    def scores(params: PyTree, pictures: jax.Array) -> jax.Array:
        return Discriminator().apply({"params": params}, pictures)

    return {
        "adversarial": generator_hinge(scores(jax.lax.stop_gradient(params), images)),
        "discriminator": discriminator_hinge(scores(params, target), scores(params, jax.lax.stop_gradient(images))),
    }


def cycle(net: BoundAutoEncoder, blocks: Blocks, source: jax.Array, codes: Terms, key: jax.Array) -> jax.Array:
    """How far the encoder's reading of a made picture is from what was asked for, in standard deviations.

    Asked for is the driving code with a random factor's block from another row, of which no true picture exists. Codes
    and reader are held still, so that only the drawing can change: were the encoder free, the two could agree on marks
    that mean nothing in a true picture.
    """
    code = jax.lax.stop_gradient(codes["driving"])
    factor = jax.random.randint(key, (len(code),), 0, len(FACTORS))
    wish = swap_factor(code, jnp.roll(code, 1, 0), factor, blocks)
    pyramid = net(AutoEncoder.encode_source, source)
    images = net(AutoEncoder.decode, pyramid, jax.lax.stop_gradient(codes["source"]), wish)
    reading = net.frozen(AutoEncoder.encode_motion, images)
    return code_distance(reading, wish, spread(code), blocks.index, jnp.ones(wish.shape, bool))


def _jobs(
    weights: Stage1LossConfig, blocks: Blocks, batch: Batch, pictures: Terms, codes: Terms, key: jax.Array
) -> list[_DecodeRequest]:
    # In a share of the samples the decoder sees the truth, of the source as of what is to be shown, so that a
    # calibrated number means the same in the picture as in the encoder.
    shares = {
        "share": weights.teacher_forcing,
        "lip_share": weights.teacher_forcing_lips,
        "false_share": weights.false_free,
    }
    keys = jax.random.split(key, 3)

    def marks(*names: str) -> jax.Array:
        return jnp.stack([batch[f"{name}_landmarks"] for name in names], 1)

    def told(key: jax.Array, code: jax.Array, truth: str) -> jax.Array:
        return teacher_force(key, code, batch[f"{truth}_calibrated"], blocks, **shares)

    jobs = []
    if weights.reconstruction:
        code = undo_shift(codes["driving"], batch["driving_shift"], blocks.layout)
        jobs.append(
            _DecodeRequest(
                term="reconstruction",
                source=pictures["source"],
                source_code=told(keys[0], codes["source"], "source"),
                code=told(keys[0], code, "target"),
                target=to_float(batch["target"]),
                boxes=batch["driving_boxes"],
                landmarks=marks("source", "target"),
                counts=jnp.ones(len(code), bool),
            )
        )
    if weights.swap and "set_redrawn" in pictures:
        code = swap_factor(codes["set_driving"], codes["set_redrawn"], batch["set_factor"], blocks)
        jobs.append(
            _DecodeRequest(
                term="swap",
                source=pictures["set_source"],
                source_code=told(keys[1], codes["set_source"], "set_source"),
                code=told(keys[1], code, "set_redrawn"),
                target=pictures["set_redrawn"],
                boxes=batch["set_boxes"],
                landmarks=marks("set_source", "set_redrawn"),
                counts=jnp.any(blocks.moving(batch["set_factor"]), 1),
            )
        )
    if weights.cross_identity and "set_reidentity" in pictures:
        code = codes["set_driving"]
        jobs.append(
            _DecodeRequest(
                term="cross_identity",
                source=pictures["set_reidentity_source"],
                source_code=told(keys[2], codes["set_reidentity_source"], "set_reidentity_source"),
                code=told(keys[2], code, "set_driving"),
                target=pictures["set_reidentity"],
                boxes=batch["set_boxes"],
                landmarks=marks("set_reidentity_source", "set_reidentity"),
                counts=jnp.ones(len(code), bool),
            )
        )
    return jobs


def code_terms(
    net: BoundAutoEncoder, weights: Stage1LossConfig, blocks: Blocks, batch: Batch, codes: Terms, window: jax.Array
) -> Terms:
    """What is asked of the codes themselves."""
    layout, merged = blocks.layout, blocks.merged
    singles = [name for name in codes if name != "driving"]
    everything = jnp.concatenate([*(codes[name] for name in singles), _rows(window)])
    truths = [*(batch[f"{name}_calibrated"] for name in singles), _rows(batch["driving_calibrated"])]
    terms: Terms = {}
    if weights.supervision and len(merged) < len(PARTS):
        terms["supervision"] = supervision(everything, jnp.concatenate(truths), blocks)
    if weights.expression and len(merged) < len(PARTS):
        expressions = [*(batch[f"{name}_expression"] for name in singles), _rows(batch["driving_expression"])]
        # Coordinates that truth decides are told here as they are: a linear map of an eyeLook name, which is 0 for all
        # looks to the other side, would bend them.
        told = jnp.where(jnp.asarray(blocks.fixed)[None], jax.lax.stop_gradient(everything), everything)
        readings = net(AutoEncoder.read_expressions, told)
        own = {factor: reading for factor, reading in readings.items() if factor not in merged}
        terms["expression"] = expression_error(own, jnp.concatenate(expressions))
    if weights.lip_contrast and "lip" not in merged:
        lips = net(AutoEncoder.embed_lips, window[..., layout.slices["lip"]])
        audio = net(AutoEncoder.embed_audio, batch["audio"])
        negatives = comparable(batch["clip_hash"], batch["time"], batch["voiced"], batch["phoneme"])
        terms["lip_contrast"], terms["lip_accuracy"] = lip_info_nce(
            lips, audio, negatives, batch["voiced"], weights.temperature
        )
    if weights.cross_covariance:
        terms["cross_covariance"] = cross_covariance(everything, blocks.index, blocks.fixed)
    if weights.cosine:
        terms["cosine"] = cosine_overlap(net(AutoEncoder.embed_factors, everything))
    if "set_redrawn" not in codes:
        return terms
    if weights.gaze_contrast and "gaze" not in merged:
        terms["gaze_contrast"], terms["gaze_accuracy"] = _gaze_terms(net, weights, layout, batch, codes)
    scale = spread(everything)
    if weights.consistency:
        moving = blocks.moving(batch["set_factor"])
        keep = ~moving & jnp.any(moving, 1, keepdims=True)
        terms["consistency"] = code_distance(codes["set_driving"], codes["set_redrawn"], scale, blocks.index, keep)
    if weights.identity and "set_reidentity" in codes:
        first = jnp.concatenate([codes["set_source"], codes["set_driving"]])
        second = jnp.concatenate([codes["set_reidentity_source"], codes["set_reidentity"]])
        terms["identity"] = code_distance(first, second, scale, blocks.index, jnp.ones(first.shape, bool))
    return terms


def supervision(codes: jax.Array, truth: jax.Array, blocks: Blocks) -> jax.Array:
    """Mean absolute error of the calibrated coordinates of codes [N, K] against truth [N, 13] (NaN: not known), each
    factor that is not merged weighing equally."""
    known = jnp.isfinite(truth)
    error = jnp.where(known, jnp.abs(codes[:, blocks.layout.calibrated] - jnp.nan_to_num(truth)), 0.0)
    parts = [
        jnp.sum(error[:, part]) / jnp.maximum(jnp.sum(known[:, part]), 1)
        for factor, part in PARTS.items()
        if factor not in blocks.merged
    ]
    return sum(parts) / len(parts)


def expression_error(readings: dict[str, jax.Array], truth: jax.Array) -> jax.Array:
    """Mean squared error of what factors say of their ARKit names, factor -> [N, columns_of(factor)], against truth
    [N, 52] (NaN: not known), each factor weighing equally. Squared: most names are 0 most of the time, and an absolute
    error would be content to say so always."""
    parts = []
    for factor, reading in readings.items():
        wanted = truth[:, columns_of(factor)]
        known = jnp.isfinite(wanted)
        error = jnp.where(known, jnp.square(reading - jnp.nan_to_num(wanted)), 0.0)
        parts.append(jnp.sum(error) / jnp.maximum(jnp.sum(known), 1))
    return sum(parts) / max(len(parts), 1)


def _rows(windows: jax.Array) -> jax.Array:
    """[B, W, n] -> [B * W, n]."""
    return windows.reshape(-1, windows.shape[-1])


def _gaze_terms(
    net: BoundAutoEncoder, weights: Stage1LossConfig, layout: FactorLayout, batch: Batch, codes: Terms
) -> tuple[jax.Array, jax.Array]:
    """Anchors are `set_driving`; positives the same gaze with another factor redrawn, or on the second identity."""
    redrawn = (batch["set_factor"] == FACTORS.index("gaze"))[:, None]
    positives, usable = codes["set_redrawn"], ~redrawn[:, 0]
    if "set_reidentity" in codes:
        positives, usable = jnp.where(redrawn, codes["set_reidentity"], positives), jnp.ones_like(usable)
    others = ("source", "set_source", "set_redrawn")
    candidates = jnp.concatenate([codes["driving"], *(codes[name] for name in others)])
    middle = batch["driving_calibrated"].shape[1] // 2
    truths = [batch["driving_calibrated"][:, middle], *(batch[f"{name}_calibrated"] for name in others)]
    unit = jnp.asarray(CALIBRATED_SCALE[_GAZE_ANGLES])[None]
    angles = jnp.concatenate(truths)[:, _GAZE_ANGLES] * unit
    negatives = other_gaze(batch["set_driving_calibrated"][:, _GAZE_ANGLES] * unit, angles, usable)
    anchors, positives, candidates = (
        net(AutoEncoder.embed_gaze, c[:, layout.slices["gaze"]]) for c in (codes["set_driving"], positives, candidates)
    )
    return gaze_contrast(anchors, positives, candidates, negatives, weights.temperature)
