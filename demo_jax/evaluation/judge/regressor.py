"""The judge: a small frozen attribute regressor for puppet images, to measure models that render puppets.

It shares no network code with the models it measures. A coarse branch takes the whole image at 64 px and locates the
head; three fine branches take patches cut at full resolution where the coarse branch located face, eyes and mouth,
turned upright and scaled to the face, because a degree of gaze is a tenth of a pixel at 128 px. Boxes come from the
image alone. Its errors are known: every figure it gives is shown beside its figure on true renders.
"""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree
from PIL import Image

from demo_jax.errors import InputError
from demo_jax.factors import ARKIT_INDEX, ARKIT_NAMES, CALIBRATED_NAMES, FACTOR_OF
from demo_jax.paths import ASSETS
from demo_jax.pytrees import leaf_name

SIZE = 128  # px of the input; other sizes are resampled
BUNDLED_JUDGE = ASSETS / "judge"
VERSION = 1  # of the architecture

# What the coarse branch estimates: the six of pose, then the middle of the eyes and of the mouth (crop widths, y up).
COARSE = 10
EXPRESSION_NAMES = tuple(n for n in ARKIT_NAMES if FACTOR_OF[n] in ("lip", "residual"))
EXPRESSION_COLUMNS = np.array([ARKIT_INDEX[n] for n in EXPRESSION_NAMES])
_POSE = slice(3, 9)  # within the 13 calibrated coordinates
_CHUNK = 64  # images at once


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgeCrop:
    """A window of the upright face: pixels (rows, columns) and how many face widths it is wide."""

    rows: int
    columns: int
    width: float


FACE, EYES, MOUTH = JudgeCrop(rows=48, columns=48, width=1.2), JudgeCrop(rows=24, columns=48, width=0.9), JudgeCrop(
    rows=32, columns=40, width=0.8
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgeConfig:
    """Configuration stored with a set of weights. Means and deviations are of the corpus it was trained on.

    calibrated_* [13], coarse_* [10], expression_* [E] (EXPRESSION_NAMES); a deviation of 0 marks a constant.
    """

    version: int = VERSION
    embedding: int = 64
    calibrated_mean: tuple[float, ...]
    calibrated_std: tuple[float, ...]
    coarse_mean: tuple[float, ...]
    coarse_std: tuple[float, ...]
    expression_mean: tuple[float, ...]
    expression_std: tuple[float, ...]
    corpus: str = ""  # fingerprint
    accuracy: dict = dataclasses.field(default_factory=dict)  # on held-out people: by name, R2 and mean absolute error
    training: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Readings:
    """calibrated [N, 13] in the units of the clip record (lips, pose, gaze); expression [N, E] (EXPRESSION_NAMES);
    embedding [N, D], unit length. float32."""

    calibrated: np.ndarray
    expression: np.ndarray
    embedding: np.ndarray

    def __getitem__(self, rows: slice | np.ndarray) -> Readings:
        return Readings(
            calibrated=self.calibrated[rows], expression=self.expression[rows], embedding=self.embedding[rows]
        )


class _Branch(nn.Module):
    """[B, H, W, 3] -> [B, out]: 2 x 2 pixels to channels, then convolutions; each stride of 2 halves the size."""

    layers: tuple[tuple[int, int], ...]  # (channels, stride)
    out: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        b, h, w, c = x.shape
        x = x.reshape(b, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5).reshape(b, h // 2, w // 2, 4 * c)
        for channels, stride in self.layers:
            x = nn.silu(nn.RMSNorm()(nn.Conv(channels, (3, 3), (stride, stride))(x)))
        return nn.silu(nn.Dense(self.out)(x.reshape(b, -1)))


class JudgeNet(nn.Module):
    """Images [B, 128, 128, 3] in 0-1 -> standardised coarse [B, 10], calibrated [B, 13], expression [B, E], and
    embedding [B, D]. `boxes` turns the standardised coarse estimate into the place of the patches (`found_boxes`)."""

    embedding: int

    @nn.compact
    def __call__(self, images: jax.Array, boxes: Callable[[jax.Array], jax.Array]) -> dict[str, jax.Array]:
        b = images.shape[0]
        small = images.reshape(b, SIZE // 2, 2, SIZE // 2, 2, 3).mean((2, 4)) * 2 - 1
        coarse_layers = ((32, 1), (48, 2), (48, 1), (96, 2), (96, 1), (64, 2))
        whole = _Branch(coarse_layers, 192, name="whole")(small)
        coarse = nn.Dense(COARSE, name="coarse")(whole)
        place = jax.lax.stop_gradient(boxes(coarse))
        pixels = jax.lax.stop_gradient(images) * 2 - 1
        face_layers = ((32, 1), (64, 2), (64, 1), (96, 2), (96, 1), (96, 2))
        fine_layers = ((32, 1), (32, 1), (64, 2), (64, 1), (64, 2))
        face = _Branch(face_layers, 192, name="face")(cut(pixels, place, place[:, 3:5], FACE))
        eyes = _Branch(fine_layers, 96, name="eyes")(cut(pixels, place, place[:, 6:8], EYES))
        mouth = _Branch(fine_layers, 96, name="mouth")(cut(pixels, place, place[:, 8:10], MOUTH))
        known = jax.lax.stop_gradient(coarse)
        joint = jnp.concatenate([whole, face, eyes, mouth, known], -1)
        hidden = nn.silu(nn.Dense(192, name="hidden")(joint))
        calibrated = nn.Dense(len(CALIBRATED_NAMES), name="calibrated")(hidden)
        calibrated = calibrated.at[:, _POSE].add(known[:, :6])
        embedding = nn.Dense(self.embedding, name="identity")(face)
        return {
            "coarse": coarse,
            "calibrated": calibrated,
            "expression": nn.Dense(len(EXPRESSION_NAMES), name="expression")(hidden),
            "embedding": embedding / jnp.maximum(jnp.linalg.norm(embedding, axis=-1, keepdims=True), 1e-6),
        }


def cut(pixels: jax.Array, place: jax.Array, centre: jax.Array, patch: JudgeCrop) -> jax.Array:
    """Returns upright patches [B, rows, columns, 3] of images [B, S, S, 3]. Bilinear; edges repeat.

    Args:
      pixels: [B, S, S, 3].
      place: [B, 10], the coarse estimate: its face width scales the patch and its roll turns it.
      centre: [B, 2], crop widths from the image's centre, y up.
      patch: size in pixels and in face widths.
    """
    size = pixels.shape[1]
    step = patch.width / patch.columns
    u = (jnp.arange(patch.columns) - (patch.columns - 1) / 2) * step
    v = ((patch.rows - 1) / 2 - jnp.arange(patch.rows)) * step
    scale, roll = jnp.exp(-place[:, 5])[:, None, None], jnp.deg2rad(place[:, 2])[:, None, None]
    u, v = u[None, None, :], v[None, :, None]
    x = (0.5 + centre[:, 0, None, None] + scale * (u * jnp.cos(roll) - v * jnp.sin(roll))) * size - 0.5
    y = (0.5 - centre[:, 1, None, None] - scale * (u * jnp.sin(roll) + v * jnp.cos(roll))) * size - 0.5
    x, y = jnp.clip(x, 0, size - 1.001), jnp.clip(y, 0, size - 1.001)
    left, top = jnp.floor(x).astype(jnp.int32), jnp.floor(y).astype(jnp.int32)
    fx, fy = (x - left)[..., None], (y - top)[..., None]
    flat = pixels.reshape(pixels.shape[0], size * size, 3)

    def at(row: jax.Array, column: jax.Array) -> jax.Array:
        index = (row * size + column).reshape(flat.shape[0], -1, 1)
        return jnp.take_along_axis(flat, index, 1).reshape(*row.shape, 3)

    upper = at(top, left) * (1 - fx) + at(top, left + 1) * fx
    lower = at(top + 1, left) * (1 - fx) + at(top + 1, left + 1) * fx
    return upper * (1 - fy) + lower * fy


def found_boxes(config: JudgeConfig) -> Callable[[jax.Array], jax.Array]:
    """Returns the function from a standardised coarse estimate to physical units, clipped to face sizes that an image
    can show."""
    mean, std = jnp.asarray(config.coarse_mean), jnp.asarray(config.coarse_std)

    def boxes(coarse: jax.Array) -> jax.Array:
        place = coarse * std[None] + mean[None]
        return place.at[:, 5].set(jnp.clip(place[:, 5], 0.0, 2.0))

    return boxes


def fit_size(image: np.ndarray, size: int = SIZE) -> np.ndarray:
    """Returns a uint8 image [S, S, 3] as [size, size, 3]: larger ones are averaged over areas, smaller ones enlarged
    bicubically. Raises InputError for other types and shapes."""
    if image.ndim != 3 or image.shape[0] != image.shape[1] or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f"an image is {image.dtype}{image.shape}; the judge takes uint8 [S, S, 3].")
    if image.shape[0] == size:
        return image
    kind = Image.Resampling.BOX if image.shape[0] > size else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(image).resize((size, size), kind))


class Judge:
    """Weights with their config, compiled once. `read` takes any number of uint8 images of any square size."""

    def __init__(self, params: PyTree, config: JudgeConfig) -> None:
        self.params, self.config = params, config
        net, boxes = JudgeNet(config.embedding), found_boxes(config)
        self._apply = jax.jit(lambda params, x: net.apply({"params": params}, x.astype(jnp.float32) / 255, boxes))

    def read(self, images: np.ndarray) -> Readings:
        """Returns the Readings, N rows, of images uint8 [N, S, S, 3]."""
        parts = list(self._chunks(images))
        join = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
        c = self.config
        return Readings(
            calibrated=(join["calibrated"] * _row(c.calibrated_std) + _row(c.calibrated_mean)),
            expression=(join["expression"] * _row(c.expression_std) + _row(c.expression_mean)),
            embedding=join["embedding"],
        )

    def readable(self, least: float = 0.5) -> np.ndarray:
        """Returns the indices into EXPRESSION_NAMES that the judge reads with at least this R2 on held-out people."""
        r2 = self.config.accuracy.get("expression_r2", {})
        return np.array([i for i, n in enumerate(EXPRESSION_NAMES) if r2.get(n, 0.0) >= least], np.int64)

    def _chunks(self, images: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
        if len(images) == 0:
            raise InputError("the judge got no image.")
        for start in range(0, len(images), _CHUNK):
            rows = np.stack([fit_size(image) for image in images[start : start + _CHUNK]])
            padded = np.pad(rows, ((0, _CHUNK - len(rows)), (0, 0), (0, 0), (0, 0)))
            made = jax.device_get(self._apply(self.params, padded))
            yield {name: value[: len(rows)] for name, value in made.items()}


def _row(values: tuple[float, ...]) -> np.ndarray:
    return np.asarray(values, np.float32)[None]


def nearest(embedding: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Returns for each embedding [N, D] the index [N] of the reference [people, D] of largest cosine."""
    unit = [a / np.maximum(np.linalg.norm(a, axis=-1, keepdims=True), 1e-9) for a in (embedding, references)]
    return np.argmax(unit[0] @ unit[1].T, -1)


def abstract_params(embedding: int) -> PyTree:
    """Returns the shapes of the parameters."""
    net = JudgeNet(embedding)

    def init(key: jax.Array) -> PyTree:
        return net.init(key, jnp.zeros((1, SIZE, SIZE, 3)), lambda c: jnp.zeros_like(c))["params"]

    return jax.eval_shape(init, jax.random.key(0))


def save_judge(folder: Path, params: PyTree, config: JudgeConfig) -> None:
    """Writes judge.npz (float16) and judge.json into `folder`. The json is written last: it completes the judge."""
    from demo_jax.media.files import write_atomically

    buffer = io.BytesIO()
    arrays: dict[str, Any] = {k: np.asarray(v, np.float16) for k, v in flat_names(params).items()}
    np.savez_compressed(buffer, **arrays)
    write_atomically(folder / "judge.npz", buffer.getvalue())
    write_atomically(folder / "judge.json", json.dumps(dataclasses.asdict(config), indent=1).encode())


def load_judge(folder: Path = BUNDLED_JUDGE) -> Judge:
    """Returns the judge of a folder, in float32. Raises InputError if it is missing, damaged or of another version."""
    try:
        values = json.loads((folder / "judge.json").read_text())
        known = {f.name for f in dataclasses.fields(JudgeConfig)}
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known}
        config = JudgeConfig(**fields)
        if config.version != VERSION:
            raise InputError(f"{folder} is a judge of version {config.version}; this code reads {VERSION}. Train it.")
        shapes = abstract_params(config.embedding)
        with np.load(folder / "judge.npz") as file:
            stored = {name: np.asarray(file[name], np.float32) for name in file.files}
        expected = flat_names(shapes)
        if {k: v.shape for k, v in stored.items()} != {k: v.shape for k, v in expected.items()}:
            raise InputError(f"{folder}/judge.npz does not contain the parameters of this judge. Train it again.")
    except FileNotFoundError as error:
        raise InputError(
            f"{folder} contains no judge (judge.json and judge.npz); run python -m demo_jax.evaluation.judge.train."
        ) from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{folder} contains a damaged judge ({error}); train it again.") from error
    paths, structure = jax.tree_util.tree_flatten_with_path(shapes)
    leaves = [jnp.asarray(stored[leaf_name(path)]) for path, _ in paths]
    return Judge(jax.tree_util.tree_unflatten(structure, leaves), config)


def flat_names(tree: PyTree) -> dict:
    """Returns the leaves of a tree of dicts as {"a/b/c": leaf}."""
    return {leaf_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
