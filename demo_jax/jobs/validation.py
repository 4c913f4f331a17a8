"""Validation of a run while it trains: metrics, and an image grid or a clip of held-out data in its work directory."""

from __future__ import annotations

import dataclasses
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from jaxtyping import PyTree
from PIL import Image

from data_pipelines.loading.batches import decode_frame
from data_pipelines.records.schema import CodeRecord
from demo_jax import rng
from demo_jax.checkpoint.load import LoadedModel
from demo_jax.codes import CodeSpace
from demo_jax.config import Stage1Config, Stage2Config
from demo_jax.constants import SAMPLE_RATE
from demo_jax.factors import FactorLayout
from demo_jax.losses.reconstruction import box_mask, psnr
from demo_jax.media.files import remove_unfinished, write_atomically
from demo_jax.media.video_writer import VideoWriter
from demo_jax.models.autoencoder import AutoEncoder, to_float
from demo_jax.models.flow_transformer import FlowTransformer
from demo_jax.sampling.pipeline import Pipeline
from demo_jax.training.stage1_losses import Blocks, stage1_losses, swap_factor
from demo_jax.training.steps import stage2_losses

Batch = dict[str, np.ndarray]
MAX_ROWS = 8  # of the image grid
CLIP_SECONDS = 6


def stage1_validation(
    config: Stage1Config, batches: list[Batch], workdir: epath.PathLike
) -> Callable[[PyTree, int], dict[str, float]]:
    """Returns evaluate(averaged parameters, step): metrics, and an image grid in <workdir>/eval/<step>.png.

    The metrics are the losses, and the PSNR of images and face boxes beside that of copying the source. The grid's
    columns are source, truth and reconstruction and, for corpora with paired groups, the driving image, the
    factor-swapped render and its prediction, the cross-identity render and its prediction.
    """
    model = AutoEncoder(config.model)
    # Without other networks: a discriminator changes while it is trained, so that its loss does not measure the images.
    measured = dataclasses.replace(config, loss=dataclasses.replace(config.loss, perceptual=0.0, adversarial=0.0))

    @jax.jit
    def measure(params: dict, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        metrics = stage1_losses(model, measured, params, batch, rng.stream(config.seed, "validation"))
        images = reconstruct(model, params, batch["source"], batch["driving"][:, config.model.lip_window // 2])
        truth = to_float(batch["driving"][:, config.model.lip_window // 2])
        inside = box_mask(batch["driving_boxes"], config.model.size)
        metrics["psnr_boxes"] = jnp.mean(psnr(images, truth, inside))
        metrics["psnr_copy"] = jnp.mean(psnr(to_float(batch["source"]), truth))
        metrics["psnr_boxes_copy"] = jnp.mean(psnr(to_float(batch["source"]), truth, inside))
        return metrics

    @jax.jit
    def columns(params: dict, batch: dict[str, jax.Array]) -> list[jax.Array]:
        return _columns(model, params, config, batch)

    def evaluate(ema: PyTree, step: int) -> dict[str, float]:
        rows = [jax.device_get(measure(ema, jax.tree.map(jnp.asarray, b))) for b in batches]
        grid = columns(ema, jax.tree.map(lambda a: jnp.asarray(a[:MAX_ROWS]), batches[0]))
        write_image_grid(epath.Path(workdir) / "eval" / f"{step:07d}.png", [np.asarray(c) for c in grid])
        return {name: float(np.mean([r[name] for r in rows])) for name in rows[0]}

    return evaluate


def reconstruct(model: AutoEncoder, params: dict, source: jax.Array, driving: jax.Array) -> jax.Array:
    """Returns the source with the driving motion, float32 -1..1, of uint8 source and driving [B, S, S, 3]."""
    images = to_float(source)
    source_code, code = (
        model.apply({"params": params}, to_float(x), method=AutoEncoder.encode_motion) for x in (source, driving)
    )
    pyramid = model.apply({"params": params}, images, method=AutoEncoder.encode_source)
    return model.apply({"params": params}, pyramid, source_code, code, method=AutoEncoder.decode)


def _columns(model: AutoEncoder, params: dict, config: Stage1Config, batch: dict[str, jax.Array]) -> list[jax.Array]:
    driving = batch["driving"][:, config.model.lip_window // 2]
    columns = [to_float(batch["source"]), to_float(driving), reconstruct(model, params, batch["source"], driving)]
    if "set_source" not in batch:
        return columns
    rows = len(batch["set_source"])
    codes = {
        name: model.apply({"params": params}, to_float(batch[name]), method=AutoEncoder.encode_motion)
        for name in ("set_source", "set_driving", "set_redrawn")
    }
    blocks = Blocks(layout=config.model.layout, merged=config.loss.merged)
    mixed = swap_factor(codes["set_driving"], codes["set_redrawn"], batch["set_factor"], blocks)
    pyramid = model.apply({"params": params}, to_float(batch["set_source"]), method=AutoEncoder.encode_source)
    swapped = model.apply({"params": params}, pyramid, codes["set_source"], mixed, method=AutoEncoder.decode)
    more = [to_float(batch["set_driving"]), to_float(batch["set_redrawn"]), swapped]
    if "set_reidentity" in batch:
        crossed = reconstruct(model, params, batch["set_reidentity_source"], batch["set_driving"])
        more += [to_float(batch["set_reidentity"]), crossed]
    return [c[:rows] for c in columns] + more


def write_image_grid(path: epath.Path, columns: list[np.ndarray]) -> None:
    """Writes columns of images [n, S, S, 3] in -1..1 as one PNG with a row per example, enlarged to 128 px or more."""
    n = min(len(c) for c in columns)
    sheet = np.concatenate([np.concatenate(list(c[:n]), 0) for c in columns], 1)
    image = Image.fromarray(np.clip((sheet + 1) * 127.5, 0, 255).astype(np.uint8))
    factor = max(1, 128 // columns[0].shape[1])
    image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, "png")
    write_atomically(path, buffer.getvalue())


def stage2_validation(
    config: Stage2Config,
    layout: FactorLayout,
    space: CodeSpace,
    batches: list[Batch],
    write_clip: Callable[[dict, int], None],
) -> Callable[[PyTree, int], dict[str, float]]:
    """Returns evaluate(averaged parameters, step): the loss on held-out windows, and a clip by `write_clip(ema, step)`.

    Noise and masks are the same each time.
    """
    model = FlowTransformer(config.model, layout)

    @jax.jit
    def measure(params: dict, batch: dict[str, jax.Array], key: jax.Array) -> dict[str, jax.Array]:
        return stage2_losses(model, config, layout, params, space, batch, key)

    def evaluate(ema: PyTree, step: int) -> dict[str, float]:
        rows = []
        for i, batch in enumerate(batches):
            key = rng.stream(config.seed, "validation", i)
            rows.append(jax.device_get(measure(ema, jax.tree.map(jnp.asarray, batch), key)))
        write_clip(ema, step)
        return {name: float(np.mean([r[name] for r in rows])) for name in rows[0]}

    return evaluate


def clip_writer(
    config: Stage2Config,
    autoencoder: LoadedModel,
    space: CodeSpace,
    meta: dict[str, Any],
    record: CodeRecord,
    workdir: epath.PathLike,
) -> Callable[[dict, int], None]:
    """Returns write(averaged parameters, step), which writes <workdir>/eval/<step>.mp4 as sample.py would: the portrait
    of a held-out clip with the first CLIP_SECONDS of its speech."""
    loaded = dataclasses.replace(autoencoder, path=str(workdir), meta=meta, flow=config, space=space)
    pipeline: Pipeline | None = None

    def write(ema: dict, step: int) -> None:
        nonlocal pipeline
        model = dataclasses.replace(loaded, flow_params=ema)
        pipeline = pipeline or Pipeline(model)  # one, so that its programs compile once in a run
        pipeline.model = model
        portrait = decode_frame(record.portrait.tobytes(), pipeline.size)
        speech = record.waveform[: CLIP_SECONDS * SAMPLE_RATE]
        folder = epath.Path(workdir) / "eval"
        remove_unfinished(folder)  # of a run that was killed here
        with tempfile.TemporaryDirectory() as scratch:  # ffmpeg cannot write to object storage
            clip = Path(scratch) / f"{step:07d}.mp4"
            with VideoWriter(clip, (pipeline.size, pipeline.size), waveform=speech) as writer:
                for image, _ in pipeline.frames(portrait, speech):
                    writer.write(image)
            write_atomically(folder / clip.name, clip.read_bytes())

    return write
