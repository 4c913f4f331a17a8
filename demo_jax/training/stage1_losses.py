"""The losses of stage 1: (parameters, batch) -> every term by name, and their weighted sum.

The terms have the names of their weights in Stage1LossConfig; a term of weight 0 is not computed.

In the paired groups of puppets, `set_redrawn` is the factor-swapped render: `set_driving` with one factor changed;
`set_reidentity` is the cross-identity render: the same motion on a second identity. For real video `set_redrawn` is a
composite of two frames, and there is no second identity.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, PyTree, UInt8

from demo_jax.config import Stage1Config, Stage1LossConfig
from demo_jax.factors import CALIBRATED_SCALE, FACTORS, FactorLayout, columns_of
from demo_jax.losses.adversarial import discriminator_hinge, generator_hinge
from demo_jax.losses.contrastive import comparable, gaze_contrast, lip_info_nce, other_gaze
from demo_jax.losses.disentanglement import code_distance, cosine_overlap, cross_covariance, spread
from demo_jax.losses.perceptual import Weights, perceptual
from demo_jax.losses.reconstruction import image_loss, landmark_error, psnr, trusted
from demo_jax.models.autoencoder import AutoEncoder, to_float
from demo_jax.models.discriminator import Discriminator
from demo_jax.training.code_blocks import PARTS, Blocks, swap_factor, teacher_force, undo_shift

Batch = dict[str, Array]
Terms = dict[str, Float[Array, ""]]
Images = dict[str, Float[Array, "_ S S 3"]]  # -1..1, by name; some have as many rows as there are paired groups
Codes = dict[str, Float[Array, "_ K"]]  # of these images

GROUP_IMAGES = ("set_source", "set_driving", "set_redrawn", "set_reidentity_source", "set_reidentity")
_GAZE_ANGLES = slice(9, 11)  # yaw and pitch among them


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoundAutoEncoder:
    """The auto-encoder with its parameters: net(AutoEncoder.decode, pyramid, source_code, code)."""

    model: AutoEncoder
    params: PyTree

    def __call__(self, method: Callable, *args: Any) -> Any:
        return self.model.apply({"params": self.params}, *args, method=method)

    @property
    def frozen(self) -> BoundAutoEncoder:
        """The same network without gradients to its parameters."""
        return dataclasses.replace(self, params=jax.lax.stop_gradient(self.params))


def stage1_losses(
    model: AutoEncoder,
    config: Stage1Config,
    params: PyTree,
    batch: Batch,
    key: Key[Array, ""],
    vgg: Weights | None = None,
) -> Terms:
    """Returns all terms on one batch of data_pipelines.loading.batches.stage1_batches.

    Args:
      model: the auto-encoder.
      config: weights of the terms.
      params: of the auto-encoder, and of the discriminator if loss.adversarial has a weight.
      batch: images are uint8.
      key: for teacher forcing and `cycle`.
      vgg: weights of VGG-16, for `perceptual`.

    Returns:
      The terms; psnr (of the reconstruction), psnr_swap, psnr_cross (dB), lip_accuracy, gaze_accuracy; and "loss", the
      weighted sum of the terms plus the discriminator's own loss if there is one.
    """
    weights, net = config.loss, BoundAutoEncoder(model=model, params=params)
    blocks = Blocks(layout=config.model.layout, merged=weights.merged)
    images = {name: to_float(batch[name]) for name in ("source", *GROUP_IMAGES) if name in batch}
    codes, window = encode(net, images, batch["driving"])
    terms = image_terms(net, weights, blocks, batch, images, codes, key, vgg)
    terms |= code_terms(net, weights, blocks, batch, codes, window)
    total = sum(getattr(weights, name) * v for name, v in terms.items() if hasattr(weights, name))
    return terms | {"loss": total + terms.get("discriminator", 0.0)}


def encode(
    net: BoundAutoEncoder, images: Images, driving: UInt8[Array, "B T S S 3"]
) -> tuple[Codes, Float[Array, "B T K"]]:
    """Returns the codes of all images by name, with "driving" for the middle frames of the windows `driving`, and the
    codes of these windows. The encoder is called once: small batches leave a machine idle."""
    rows, frames = driving.shape[:2]
    window = to_float(driving.reshape(rows * frames, *driving.shape[2:]))
    codes = net(AutoEncoder.encode_motion, jnp.concatenate([*images.values(), window]))
    *parts, last = jnp.split(codes, np.cumsum([len(x) for x in images.values()]))
    windows = last.reshape(rows, frames, -1)
    return dict(zip(images, parts, strict=True)) | {"driving": windows[:, frames // 2]}, windows


@dataclasses.dataclass(frozen=True, kw_only=True)
class _DecodeRequest:
    """Images to decode for one term, and the true ones."""

    term: str
    source: Float[Array, "B S S 3"]
    source_code: Float[Array, "B K"]
    code: Float[Array, "B K"]  # to decode
    target: Float[Array, "B S S 3"]  # the true image of that code
    boxes: Float[Array, "B n 4"]  # mouth and eyes of `target`
    landmarks: Float[Array, "B 2 68 2"]  # of source and target, in pixels; NaN where not known
    trust: Float[Array, "B cells cells"]  # 0-1, in equal cells: how far `target` can be trusted
    counts: Bool[Array, " B"]  # rows that enter the mean


def image_terms(
    net: BoundAutoEncoder,
    weights: Stage1LossConfig,
    blocks: Blocks,
    batch: Batch,
    sources: Images,
    codes: Codes,
    key: Key[Array, ""],
    vgg: Weights | None,
) -> Terms:
    """Returns the terms of decoded images: reconstruction, swap and cross_identity, and landmarks, perceptual,
    adversarial and cycle. All images are decoded in one call; if none of the first three has a weight, none is, and
    only landmarks are left."""
    requests_key, cycle_key = jax.random.split(key)
    requests = _decode_requests(weights, blocks, batch, sources, codes, requests_key)
    if not requests:
        return {}

    def join(field: str) -> Array:
        return jnp.concatenate([getattr(request, field) for request in requests])

    pyramid, target = net(AutoEncoder.encode_source, join("source")), join("target")
    codes_of_pairs = join("source_code"), join("code")
    if not _decodes(weights):
        marks = net(AutoEncoder.landmarks, pyramid, *codes_of_pairs)
        return {"landmarks": landmark_error(marks, join("landmarks"), target.shape[1])}
    images, marks = net(AutoEncoder.decode_with_landmarks, pyramid, *codes_of_pairs)
    images = trusted(images, target, join("trust"))
    shares = {"region": weights.region, "structure": weights.structure, "sharpness": weights.sharpness}
    losses, qualities = image_loss(images, target, join("boxes"), **shares), psnr(images, target)
    ends = np.cumsum([len(request.counts) for request in requests])[:-1]
    quality_names = {"reconstruction": "psnr", "swap": "psnr_swap", "cross_identity": "psnr_cross"}
    terms: Terms = {}
    for request, loss, quality in zip(requests, jnp.split(losses, ends), jnp.split(qualities, ends), strict=True):
        count = jnp.maximum(jnp.sum(request.counts), 1)
        terms[request.term] = jnp.sum(loss * request.counts) / count
        terms[quality_names[request.term]] = jnp.sum(quality * request.counts) / count
    if weights.landmarks:
        terms["landmarks"] = landmark_error(marks, join("landmarks"), images.shape[1])
    if weights.perceptual:
        assert vgg is not None
        counts = join("counts")
        terms["perceptual"] = jnp.sum(perceptual(vgg, images, target) * counts) / jnp.maximum(jnp.sum(counts), 1)
    if weights.adversarial:
        terms |= adversarial_terms(net.params["discriminator"], images, target)
    if weights.cycle:
        terms["cycle"] = cycle(net, blocks, sources["source"], codes, cycle_key)
    return terms


def adversarial_terms(params: PyTree, images: Float[Array, "B S S 3"], target: Float[Array, "B S S 3"]) -> Terms:
    """Returns "adversarial", whose gradient reaches only `images`, and "discriminator", whose gradient reaches only the
    discriminator's `params`."""

    def scores(params: PyTree, images: Array) -> Array:
        return Discriminator().apply({"params": params}, images)

    return {
        "adversarial": generator_hinge(scores(jax.lax.stop_gradient(params), images)),
        "discriminator": discriminator_hinge(scores(params, target), scores(params, jax.lax.stop_gradient(images))),
    }


def cycle(
    net: BoundAutoEncoder, blocks: Blocks, source: Float[Array, "B S S 3"], codes: Codes, key: Key[Array, ""]
) -> Float[Array, ""]:
    """Returns the distance of the code read from a decoded image from the requested code, in standard deviations.

    The requested code is the driving code with a random factor's block from another row, for which no true image
    exists. Codes and motion encoder get no gradients, so that only the decoder learns: otherwise the two could agree on
    marks that mean nothing in a true image.
    """
    code = jax.lax.stop_gradient(codes["driving"])
    factor = jax.random.randint(key, (len(code),), 0, len(FACTORS))
    requested = swap_factor(code, jnp.roll(code, 1, 0), factor, blocks)
    pyramid = net(AutoEncoder.encode_source, source)
    images = net(AutoEncoder.decode, pyramid, jax.lax.stop_gradient(codes["source"]), requested)
    reading = net.frozen(AutoEncoder.encode_motion, images)
    return code_distance(reading, requested, spread(code), blocks.index, jnp.ones(requested.shape, bool))


def _decodes(weights: Stage1LossConfig) -> bool:
    return bool(weights.reconstruction or weights.swap or weights.cross_identity)


def _decode_requests(
    weights: Stage1LossConfig, blocks: Blocks, batch: Batch, images: Images, codes: Codes, key: Key[Array, ""]
) -> list[_DecodeRequest]:
    # In a share of the samples the decoder gets true calibrated coordinates, for the source and for the image to
    # decode, so that they mean the same in the decoder as in the encoder.
    shares = {
        "share": weights.teacher_forcing,
        "lip_share": weights.teacher_forcing_lips,
        "false_share": weights.false_free,
    }
    keys = jax.random.split(key, 3)

    def forced(key: Key[Array, ""], code: Float[Array, "B K"], truth: str) -> Float[Array, "B K"]:
        return teacher_force(key, code, batch[f"{truth}_calibrated"], blocks, **shares)

    def request(
        term: str,
        key: Key[Array, ""],
        code: Float[Array, "B K"],
        *,
        source: str,
        target: str,
        boxes: str,
        truth: str | None = None,  # the image with the true coordinates of `code`; None: target
        counts: Bool[Array, " B"] | None = None,  # None: all rows
    ) -> _DecodeRequest:
        return _DecodeRequest(
            term=term,
            source=images[source],
            source_code=forced(key, codes[source], source),
            code=forced(key, code, truth or target),
            target=images[target] if target in images else to_float(batch[target]),
            boxes=batch[boxes],
            landmarks=jnp.stack([batch[f"{name}_landmarks"] for name in (source, target)], 1),
            trust=batch.get(f"{target}_trust", jnp.ones((len(code), 1, 1))),
            counts=jnp.ones(len(code), bool) if counts is None else counts,
        )

    alone = 0.0 if _decodes(weights) else weights.landmarks
    requests = []
    if weights.reconstruction or alone:
        code = undo_shift(codes["driving"], batch["driving_shift"], blocks.layout)
        requests.append(
            request("reconstruction", keys[0], code, source="source", target="target", boxes="driving_boxes")
        )
    if (weights.swap or alone) and "set_redrawn" in images:
        code = swap_factor(codes["set_driving"], codes["set_redrawn"], batch["set_factor"], blocks)
        counts = jnp.any(blocks.moving(batch["set_factor"]), 1)
        requests.append(
            request("swap", keys[1], code, source="set_source", target="set_redrawn", boxes="set_boxes", counts=counts)
        )
    if (weights.cross_identity or alone) and "set_reidentity" in images:
        requests.append(
            request(
                "cross_identity",
                keys[2],
                codes["set_driving"],
                source="set_reidentity_source",
                target="set_reidentity",
                truth="set_driving",
                boxes="set_boxes",
            )
        )
    return requests


def code_terms(
    net: BoundAutoEncoder,
    weights: Stage1LossConfig,
    blocks: Blocks,
    batch: Batch,
    codes: Codes,
    window: Float[Array, "B T K"],
) -> Terms:
    """Returns the terms of the codes themselves.

    Args:
      net: for the projections and readouts of codes.
      weights: of the terms.
      blocks: of the codes.
      batch: truth and audio.
      codes: of all images, by name.
      window: codes of the driving windows.
    """
    layout, merged = blocks.layout, blocks.merged
    singles = [name for name in codes if name != "driving"]
    everything = jnp.concatenate([*(codes[name] for name in singles), _rows(window)])
    truths = [*(batch[f"{name}_calibrated"] for name in singles), _rows(batch["driving_calibrated"])]
    terms: Terms = {}
    if weights.supervision and len(merged) < len(PARTS):
        terms["supervision"] = supervision(everything, jnp.concatenate(truths), blocks)
    if weights.expression and len(merged) < len(PARTS):
        expressions = [*(batch[f"{name}_expression"] for name in singles), _rows(batch["driving_expression"])]
        # Coordinates with supervision get no gradient here: the linear map to an eyeLook name, which is 0 for all looks
        # to the other side, would bend them.
        inputs = jnp.where(jnp.asarray(blocks.fixed)[None], jax.lax.stop_gradient(everything), everything)
        readings = net(AutoEncoder.read_expressions, inputs)
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


def supervision(codes: Float[Array, "B K"], truth: Float[Array, "B 13"], blocks: Blocks) -> Float[Array, ""]:
    """Returns the mean absolute error of the calibrated coordinates against truth (NaN: not known), with equal weight
    for each factor that is not merged."""
    known = jnp.isfinite(truth)
    error = jnp.where(known, jnp.abs(codes[:, blocks.layout.calibrated] - jnp.nan_to_num(truth)), 0.0)
    parts = [
        jnp.sum(error[:, part]) / jnp.maximum(jnp.sum(known[:, part]), 1)
        for factor, part in PARTS.items()
        if factor not in blocks.merged
    ]
    return sum(parts) / len(parts)


def expression_error(readings: dict[str, Float[Array, "B _"]], truth: Float[Array, "B 52"]) -> Float[Array, ""]:
    """Returns the mean squared error of the ARKit coefficients predicted from each factor, with equal weight for each
    factor. Squared: most coefficients are 0 most of the time, and an absolute error would be smallest for a constant 0.

    Args:
      readings: factor -> its coefficients, in the order of columns_of(factor).
      truth: all coefficients; NaN where not known.
    """
    parts = []
    for factor, reading in readings.items():
        target = truth[:, columns_of(factor)]
        known = jnp.isfinite(target)
        error = jnp.where(known, jnp.square(reading - jnp.nan_to_num(target)), 0.0)
        parts.append(jnp.sum(error) / jnp.maximum(jnp.sum(known), 1))
    return sum(parts) / max(len(parts), 1)


def _rows(windows: Float[Array, "B T n"]) -> Float[Array, "rows n"]:
    """Returns the frames of all windows, one a row."""
    return windows.reshape(-1, windows.shape[-1])


def _gaze_terms(
    net: BoundAutoEncoder, weights: Stage1LossConfig, layout: FactorLayout, batch: Batch, codes: Codes
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Returns loss and accuracy. Anchors are `set_driving`; positives have the same gaze with another factor swapped,
    or on the second identity."""
    gaze_swapped = (batch["set_factor"] == FACTORS.index("gaze"))[:, None]
    positives, usable = codes["set_redrawn"], ~gaze_swapped[:, 0]
    if "set_reidentity" in codes:
        positives, usable = jnp.where(gaze_swapped, codes["set_reidentity"], positives), jnp.ones_like(usable)
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
