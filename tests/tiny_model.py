"""A real model, small and with random parameters, for the tests of sampling: 32 px, windows of 12 frames."""

from __future__ import annotations

import dataclasses
import functools
import io
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import synthetic
from jaxtyping import PyTree
from PIL import Image

from data_pipelines.records.schema import CodeRecord
from demo_jax import codes
from demo_jax.audio.log_mel import LogMel
from demo_jax.checkpoint.load import SCHEMA, LoadedModel
from demo_jax.checkpoint.save import RunCheckpoints, space_checkpointable
from demo_jax.config import AutoEncoderConfig, DataConfig, FlowTransformerConfig, Stage1Config, Stage2Config
from demo_jax.factors import FactorLayout
from demo_jax.flow import condition
from demo_jax.models.autoencoder import AutoEncoder
from demo_jax.models.flow_transformer import FlowTransformer
from demo_jax.training.stage1_losses import GROUP_IMAGES

SIZE, WINDOW, CONTEXT, LOOK_AHEAD = 32, 12, 4, 3
LAYOUT = FactorLayout(lip=5, pose=6, gaze=5, residual=2)
STAGE1 = Stage1Config(
    model=AutoEncoderConfig(
        size=SIZE,
        levels=((8, 8), (16, 8)),
        blocks=1,
        latent=24,
        layout=LAYOUT,
        style_width=16,
        encoder_size=32,
        encoder_channels=(8, 8, 8),
        encoder_width=16,
        projection=8,
    )
)
STAGE2 = Stage2Config(
    model=FlowTransformerConfig(width=16, depth=2, heads=2, window=WINDOW, context=CONTEXT, look_ahead=LOOK_AHEAD),
    data=DataConfig(feature="logmel"),
)


@functools.cache
def model(seed: int = 0) -> LoadedModel:
    """The model, the same one for every test."""
    a = LogMel().dimension
    autoencoder, transformer = AutoEncoder(STAGE1.model), FlowTransformer(STAGE2.model, LAYOUT)
    image = jnp.zeros((1, SIZE, SIZE, 3))
    lips = jnp.zeros((1, STAGE1.model.lip_window, SIZE, SIZE, 3)), jnp.zeros((1, STAGE1.model.lip_window, a))
    example = condition.empty(1, LAYOUT.size, a, context=CONTEXT, length=WINDOW, lookahead=LOOK_AHEAD)
    first = jax.eval_shape(autoencoder.init, jax.random.key(0), image, *lips)["params"]
    window = jnp.zeros((1, WINDOW, LAYOUT.size)), jnp.zeros(1)
    second = jax.eval_shape(transformer.init, jax.random.key(0), *window, example)["params"]
    rng = np.random.default_rng(seed)
    statistics = codes.fit(
        rng.normal(size=(400, LAYOUT.size)) * rng.uniform(0.1, 0.2, LAYOUT.size) + rng.uniform(0.4, 0.6, LAYOUT.size),
        rng.uniform(size=(400, 52)),
        LAYOUT,
    )
    r2 = jnp.where(jnp.arange(52) < 40, 0.9, 0.1)  # 40 names are well explained, 12 are not
    return LoadedModel(
        path="tiny",
        meta={"schema": SCHEMA["flow"], "kind": "flow", "corpus": "puppet", "encoder_fingerprint": "0123456789abcdef"},
        autoencoder=STAGE1,
        autoencoder_params=random_params(first, rng),
        flow=STAGE2,
        flow_params=random_params(second, rng),
        space=dataclasses.replace(statistics, readout_r2=r2),
    )


def random_params(shapes: PyTree, rng: np.random.Generator) -> PyTree:
    """Random parameters, those too that training starts at zero; far quicker than compiling the initialisers."""

    def draw(leaf: jax.ShapeDtypeStruct) -> jax.Array:
        inputs = leaf.shape[-2] if leaf.ndim > 1 else 100
        return jnp.asarray(rng.normal(size=leaf.shape) / np.sqrt(inputs), leaf.dtype)

    return jax.tree.map(draw, shapes)


def save(folder: Path) -> Path:
    """The model as a work directory of train.py."""
    tiny = model()
    settings = {"config": dataclasses.asdict(tiny.flow), "autoencoder_config": dataclasses.asdict(tiny.autoencoder)}
    parts = {"ema": tiny.flow_params, "autoencoder": tiny.autoencoder_params, "space": space_checkpointable(tiny.space)}
    with RunCheckpoints(folder) as run:
        run.save(7, parts, {**tiny.meta, **settings})
    return folder


def stage1_batch(rows: int = 4, sets: int = 4, seed: int = 0) -> dict[str, jax.Array]:
    """A random batch, as data_pipelines.loading.batches.stage1_batches gives it."""
    rng = np.random.default_rng(seed)
    s, w = SIZE, STAGE1.model.lip_window

    def pictures(*shape: int) -> np.ndarray:
        return rng.integers(0, 256, (*shape, s, s, 3)).astype(np.uint8)

    boxes = np.array([[8, 20, 24, 28], [4, 8, 28, 14]], np.float32)
    out = {
        "source": pictures(rows), "driving": pictures(rows, w), "target": pictures(rows),
        "driving_boxes": np.tile(boxes, (rows, 1, 1)), "driving_shift": np.zeros((rows, 3), np.float32),
        "audio": rng.normal(size=(rows, w, 160)).astype(np.float32), "clip_hash": np.arange(rows, dtype=np.int32),
        "time": np.zeros(rows, np.int32), "voiced": np.ones(rows, bool), "phoneme": np.full(rows, -1, np.int32),
        "set_factor": (np.arange(sets) % 4).astype(np.int32), "set_boxes": np.tile(boxes, (sets, 1, 1)),
    }  # fmt: skip
    out |= {name: pictures(sets) for name in GROUP_IMAGES}
    truths = {"source": (rows,), "driving": (rows, w), "target": (rows,)} | dict.fromkeys(GROUP_IMAGES, (sets,))
    out |= {f"{name}_calibrated": rng.normal(size=(*shape, 13)).astype(np.float32) for name, shape in truths.items()}
    out |= {f"{name}_expression": rng.uniform(size=(*shape, 52)).astype(np.float32) for name, shape in truths.items()}
    out |= {
        f"{name}_landmarks": rng.uniform(0, s, (shape[0], 68, 2)).astype(np.float32)
        for name, shape in truths.items()
        if name != "driving"
    }
    return jax.tree.map(jnp.asarray, out)


def speech(frames: int, seed: int = 0) -> np.ndarray:
    """Noise of varying level, int16 [frames * 640]."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames * 640) / 16_000
    return (rng.normal(size=len(time)) * 3000 * np.sin(2 * np.pi * 2 * time) ** 2).astype(np.int16)


def portrait(seed: int = 0) -> np.ndarray:
    """uint8 [32, 32, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)


def recording(clip_id: str, codes: np.ndarray, seed: int, **changes: Any) -> CodeRecord:
    """Codes [T, K] of this model as a record with matching audio, features and portrait."""
    buffer, sound = io.BytesIO(), speech(len(codes), seed=seed)
    Image.fromarray(portrait()).save(buffer, "JPEG")
    return synthetic.codes(
        clip_id, len(codes), size=LAYOUT.size, codes=codes, waveform=sound, features={"logmel": LogMel()(sound)},
        portrait=np.frombuffer(buffer.getvalue(), np.uint8), **changes,
    )  # fmt: skip
