"""`python -m demo_jax.evaluation.judge.train --data DIR --out DIR`: trains the judge on true puppet renders.

It trains on frames of speech, paired groups and probes of the train split, half of them from takes with independent
factors if there are any, and is scored on the people of the val split. A batch is a pure function of (seed, step), so
the same command resumes an interrupted run. On one core a step of 32 images takes about half a second.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import simplejpeg
from jaxtyping import PyTree

from data_pipelines.records.catalog import corpus_name, data_fingerprint, open_records
from data_pipelines.records.sources import Records
from demo_jax import rng
from demo_jax.checkpoint.save import RunCheckpoints
from demo_jax.cli import CommandParser, cli_main
from demo_jax.config import OptimizerConfig
from demo_jax.devices import start_jax
from demo_jax.errors import InputError
from demo_jax.evaluation.judge.regressor import (
    EXPRESSION_COLUMNS,
    EXPRESSION_NAMES,
    SIZE,
    Judge,
    JudgeConfig,
    JudgeNet,
    fit_size,
    found_boxes,
    nearest,
    save_judge,
)
from demo_jax.factors import CALIBRATED_NAMES
from demo_jax.training.state import TrainState, apply_gradients, create, from_parts, to_parts
from demo_jax.training.writers import MetricWriter

Batch = dict[str, np.ndarray]
FRAMES_A_RECORD = 2  # of one record in a batch: reading a record costs about as much as decoding two frames
SHARE_AT_64 = 0.25  # of the images, reduced to 64 px and enlarged, as the images of a small model are
NOT_MOVING = 0.01  # standard deviation of an expression below which it is not trained
RARE = 0.05  # the least that an expression is divided by, so that rare ones do not dominate the loss
BOX_TOLERANCE = 0.06  # crop widths by which the patches of training may lie beside the truth
SAVE_EVERY = 250
LOG_EVERY = 20
AVERAGE = OptimizerConfig(ema_decay=0.995)  # of it, only the decay of the averaged parameters is used
WEIGHTS = {"coarse": 1.0, "calibrated": 2.0, "expression": 0.5, "identity": 0.1}
COSINE_SCALE = 16.0  # of the identity classifier

_TRUTH = ("pose", "gaze", "lips", "expression", "landmarks", "speaker_id", "frame_bytes", "frame_offsets")


def truths(arrays: dict[str, np.ndarray], frame_size: int) -> Batch:
    """Returns calibrated [T, 13], coarse [T, 10] and expression [T, E] of record arrays of T frames."""
    points = arrays["landmarks"] / frame_size - 0.5
    middle = np.concatenate([points[:, 36:48].mean(1), points[:, 48:68].mean(1)], -1) * (1, -1, 1, -1)
    return {
        "calibrated": np.concatenate([arrays["lips"], arrays["pose"], arrays["gaze"]], -1).astype(np.float32),
        "coarse": np.concatenate([arrays["pose"], middle], -1).astype(np.float32),
        "expression": np.nan_to_num(arrays["expression"][:, EXPRESSION_COLUMNS]).astype(np.float32),
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Examples:
    """The frames of a split, sampled by step."""

    records: Records
    speakers: dict[str, int]
    pools: tuple[np.ndarray, ...]  # record numbers: speech, and takes with independent factors; sampled equally often

    def draw(self, generator: np.random.Generator, count: int) -> Batch:
        """Returns `count` images [count, 128, 128, 3] uint8 with their truths and `who` [count] int, the speaker."""
        rows: dict[str, list[np.ndarray]] = {}
        for k in range(count // FRAMES_A_RECORD):
            pool = self.pools[k % len(self.pools)]
            arrays = self.records.read(int(generator.choice(pool)), _TRUTH)
            length = len(arrays["pose"])
            at = generator.choice(length, FRAMES_A_RECORD, replace=length < FRAMES_A_RECORD)
            images, frame_size = _decode(arrays, at)
            if generator.random() < SHARE_AT_64:
                images = [fit_size(fit_size(image, SIZE // 2)) for image in images]
            part = {k: v[at] for k, v in truths(arrays, frame_size).items()}
            part["who"] = np.full(len(at), self.speakers.get(str(arrays["speaker_id"]), 0), np.int32)
            part["images"] = np.stack(images)
            for name, value in part.items():
                rows.setdefault(name, []).append(value)
        return {name: np.concatenate(value) for name, value in rows.items()}


def _decode(arrays: dict[str, np.ndarray], at: np.ndarray) -> tuple[list[np.ndarray], int]:
    """Returns the frames `at` of a record at the judge's size, and the size they had."""
    images, size = [], SIZE
    for t in at:
        start, end = arrays["frame_offsets"][t : t + 2]
        image = simplejpeg.decode_jpeg(arrays["frame_bytes"][start:end].tobytes(), colorspace="RGB")
        size = image.shape[0]
        images.append(fit_size(image))
    return images, size


def open_examples(data: str, split: str) -> Examples:
    """Returns the examples of a split. Raises InputError if the data are not puppets or the split is missing."""
    if corpus_name(data, split) != "puppet":
        raise InputError(f"{data}, {split}: the judge is trained on true renders; give a puppet corpus.")
    records = open_records(data, split)
    names = sorted({str(records.read(i, ("speaker_id",))["speaker_id"]) for i in range(len(records))})
    plain = np.array([i for i, p in enumerate(records.segments) if not p.variant], np.int64)
    wide = np.array([i for i, p in enumerate(records.segments) if p.variant], np.int64)
    pools = tuple(pool for pool in (plain, wide) if len(pool))
    return Examples(records=records, speakers={n: i for i, n in enumerate(names)}, pools=pools)


def statistics(examples: Examples, seed: int, most: int = 400) -> dict[str, Any]:
    """Returns means and deviations of the truths over at most `most` records of both pools, as fields of
    JudgeConfig."""
    generator = np.random.default_rng([seed, 1])
    chosen = np.concatenate([generator.permutation(p)[: most // len(examples.pools)] for p in examples.pools])
    found: dict[str, list[np.ndarray]] = {}
    for i in chosen:
        arrays = examples.records.read(int(i), _TRUTH)
        for name, value in truths(arrays, _decode(arrays, np.array([0]))[1]).items():
            found.setdefault(name, []).append(value)
    out: dict[str, Any] = {}
    for name, values in found.items():
        rows = np.concatenate(values).astype(np.float64)
        std = rows.std(0)
        std = np.where(std < NOT_MOVING, 0.0, np.maximum(std, RARE)) if name == "expression" else np.maximum(std, 1e-3)
        out |= {f"{name}_mean": tuple(rows.mean(0).tolist()), f"{name}_std": tuple(std.tolist())}
    return out


def augment(images: jax.Array, key: jax.Array) -> jax.Array:
    """Returns uint8 images [B, S, S, 3] as float32 in 0-1, slightly brighter or darker, tinted, blurred and noisy, so
    that a decoder's softness does not change the readings."""
    keys = jax.random.split(key, 5)
    shape = (len(images), 1, 1, 1)
    x = images.astype(jnp.float32) / 255
    gain = 1 + 0.1 * jax.random.normal(keys[0], shape) + 0.03 * jax.random.normal(keys[1], (len(images), 1, 1, 3))
    x = (x - 0.5) * gain + 0.5 + 0.04 * jax.random.normal(keys[2], shape)
    soft = x
    for axis in (1, 2):
        soft = (2 * soft + jnp.roll(soft, 1, axis) + jnp.roll(soft, -1, axis)) / 4
    amount = jnp.maximum(1.5 * jax.random.uniform(keys[3], shape) - 0.5, 0)  # a third of the images stay sharp
    x = x + amount * (soft - x)
    return jnp.clip(x + 0.01 * jax.random.normal(keys[4], x.shape), 0, 1)


def losses(params: PyTree, config: JudgeConfig, batch: dict[str, jax.Array], key: jax.Array) -> dict[str, jax.Array]:
    """Returns the four terms of a batch, unweighted."""
    standard = {
        name: (batch[name] - jnp.asarray(getattr(config, f"{name}_mean"))[None])
        / jnp.maximum(jnp.asarray(getattr(config, f"{name}_std")), 1e-6)[None]
        for name in ("coarse", "calibrated", "expression")
    }
    estimate = found_boxes(config)

    def boxes(coarse: jax.Array) -> jax.Array:
        # Early estimates are far off: patches are cut where they say, but never far from the truth.
        limit = jnp.array([30.0, 30.0, 8.0, *[BOX_TOLERANCE] * 2, 0.15, *[BOX_TOLERANCE] * 4])[None]
        return batch["coarse"] + jnp.clip(estimate(coarse) - batch["coarse"], -limit, limit)

    out = JudgeNet(config.embedding).apply({"params": params["net"]}, augment(batch["images"], key), boxes)
    moving = jnp.asarray(np.asarray(config.expression_std) > 0)[None]
    error = jnp.where(moving, optax.huber_loss(out["expression"], standard["expression"]), 0)
    prototypes = params["prototypes"] / jnp.linalg.norm(params["prototypes"], axis=-1, keepdims=True)
    logits = COSINE_SCALE * out["embedding"] @ prototypes.T
    return {
        "coarse": jnp.mean(optax.huber_loss(out["coarse"], standard["coarse"], delta=0.5)),
        "calibrated": jnp.mean(optax.huber_loss(out["calibrated"], standard["calibrated"], delta=0.5)),
        "expression": jnp.sum(error) / (len(error) * max(1, int((np.asarray(config.expression_std) > 0).sum()))),
        "identity": jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, batch["who"])),
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgeTrainingSettings:
    steps: int = 4000
    batch: int = 32
    learning_rate: float = 1.5e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < FRAMES_A_RECORD or self.batch % FRAMES_A_RECORD:
            raise InputError(f"steps {self.steps}, batch {self.batch}: at least one step and an even number of images.")

    @property
    def optimizer(self) -> optax.GradientTransformation:
        warmup = min(100, self.steps // 10 + 1)
        rate = optax.warmup_cosine_decay_schedule(0, self.learning_rate, warmup, self.steps, self.learning_rate / 50)
        return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=1e-3))


def init_state(settings: JudgeTrainingSettings, config: JudgeConfig, people: int) -> TrainState:
    """Returns the initial state; its parameters are the network ("net") and a prototype for each person."""
    keys = jax.random.split(rng.stream(settings.seed, "judge"), 2)
    init = functools.partial(JudgeNet(config.embedding).init, boxes=found_boxes(config))
    net = jax.jit(init)(keys[0], jnp.zeros((1, SIZE, SIZE, 3)))["params"]
    params = {"net": net, "prototypes": jax.random.normal(keys[1], (people, config.embedding))}
    return create(params, settings.optimizer)


def make_step(settings: JudgeTrainingSettings, config: JudgeConfig):
    """Returns the train step (state, batch) -> (state, metrics), compiled, with the state donated."""

    def step(state: TrainState, batch: dict[str, jax.Array]) -> tuple[TrainState, dict[str, jax.Array]]:
        key = rng.stream(settings.seed, "judge pictures", state.step)

        def total(params: PyTree):
            terms = losses(params, config, batch, key)
            return sum(WEIGHTS[name] * value for name, value in terms.items()), terms

        (loss, terms), gradients = jax.value_and_grad(total, has_aux=True)(state.params)
        return apply_gradients(state, gradients, settings.optimizer, AVERAGE), {"loss": loss, **terms}

    return jax.jit(step, donate_argnums=0)


def score(judge: Judge, examples: Examples, seed: int, images: int = 1024) -> dict:
    """Returns R2 and mean absolute error by name on held-out people, and nearest-of-N identity.

    References are the mean embeddings of 8 other frames of each person.
    """
    batch = examples.draw(np.random.default_rng([seed, 2]), images)
    read = judge.read(batch["images"])
    truth, estimate = batch["calibrated"], read.calibrated
    r2 = 1 - ((estimate - truth) ** 2).mean(0) / np.maximum(truth.var(0), 1e-9)
    expression = batch["expression"]
    variance = expression.var(0)
    expression_r2 = 1 - ((read.expression - expression) ** 2).mean(0) / np.maximum(variance, 1e-9)
    half = np.arange(len(expression)) % (2 * FRAMES_A_RECORD) < FRAMES_A_RECORD  # of other records than the rest
    people = [p for p in np.unique(batch["who"]) if (half & (batch["who"] == p)).any()]
    references = np.stack([read.embedding[half & (batch["who"] == p)].mean(0) for p in people])
    queries = ~half & np.isin(batch["who"], people)
    right = np.array(people)[nearest(read.embedding[queries], references)] == batch["who"][queries]
    return {
        "pictures": len(expression),
        "people": len(people),
        "r2": {n: float(v) for n, v in zip(CALIBRATED_NAMES, r2, strict=True)},
        "mae": {n: float(v) for n, v in zip(CALIBRATED_NAMES, np.abs(estimate - truth).mean(0), strict=True)},
        "expression_r2": {
            n: float(v) for n, v, s in zip(EXPRESSION_NAMES, expression_r2, variance, strict=True) if s > NOT_MOVING**2
        },
        "identity": float(right.mean()) if len(right) else 0.0,
    }


def train(data: str, out: Path, settings: JudgeTrainingSettings) -> Judge:
    """Trains to settings.steps and writes the judge to `out`; resumes from out/judge_run if that run has the same
    settings.

    Raises:
      InputError: the data are not puppets, out/judge_run has other settings or data, or the loss is not finite.
    """
    examples = open_examples(data, "train")
    held_out = open_examples(data, "val")
    config = JudgeConfig(**statistics(examples, settings.seed), corpus=data_fingerprint(data, "train"))
    step, state = make_step(settings, config), init_state(settings, config, len(examples.speakers))
    meta, started = {"run": f"{settings} {config.corpus}"}, time.perf_counter()
    with RunCheckpoints(out / "judge_run") as checkpoints:
        state = resume(checkpoints, state, meta, out)
        start = int(state.step)
        with contextlib.closing(MetricWriter(out / "judge_run", start, settings.steps, ("loss", *WEIGHTS))) as writer:
            for number in range(start, settings.steps):
                batch = examples.draw(np.random.default_rng([settings.seed, 0, number]), settings.batch)
                state, metrics = step(state, batch)
                writer.step(number + 1)
                if number % LOG_EVERY == 0:
                    if not np.isfinite(loss := metrics["loss"]):
                        raise InputError(f"step {number}: the loss is {loss}; use a smaller --learning-rate.")
                    writer.scalars(number, {name: float(value) for name, value in metrics.items()})
                if (number + 1) % SAVE_EVERY == 0:
                    checkpoints.save(number + 1, to_parts(state), meta)
    net = state.ema["net"]
    judge = Judge(jax.tree.map(lambda a: a.astype(jnp.float16).astype(jnp.float32), net), config)
    about = dataclasses.asdict(settings) | {"people": len(examples.speakers), "jax": jax.__version__}
    about["seconds"] = round(time.perf_counter() - started)  # since it was last resumed
    config = dataclasses.replace(config, accuracy=score(judge, held_out, settings.seed), training=about)
    save_judge(out, net, config)
    return Judge(judge.params, config)


def resume(checkpoints: RunCheckpoints, state: TrainState, meta: dict[str, str], out: Path) -> TrainState:
    """Returns the state of the newest checkpoint, or `state` if there is none. Raises InputError for another run's."""

    def check_same_run(found: dict[str, Any]) -> None:
        if found.get("run") != meta["run"]:
            raise InputError(
                f"{out}/judge_run is of a run with other settings or data; choose another --out or remove it."
            )

    if checkpoints.latest() is None:
        return state
    return from_parts(checkpoints.restore(to_parts(state), check_same_run, print))


@cli_main
def main(argv: list[str] | None = None) -> None:
    defaults = JudgeTrainingSettings()
    parser = CommandParser(prog="python -m demo_jax.evaluation.judge.train", description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", required=True, help="puppet corpus of clip records, at least 128 px")
    parser.add_argument("--out", required=True, help="folder for judge.npz, judge.json and the run")
    parser.add_argument("--steps", type=int, default=defaults.steps, help=f"({defaults.steps})")
    parser.add_argument("--batch", type=int, default=defaults.batch, help=f"images in a step ({defaults.batch})")
    parser.add_argument("--learning-rate", type=float, default=defaults.learning_rate)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    start_jax()
    settings = JudgeTrainingSettings(
        steps=args.steps, batch=args.batch, learning_rate=args.learning_rate, seed=args.seed
    )
    judge = train(args.data, Path(args.out), settings)
    accuracy = judge.config.accuracy
    for name in CALIBRATED_NAMES:
        print(f"{name:12s} R2 {accuracy['r2'][name]:6.3f}   mean absolute error {accuracy['mae'][name]:.3f}")
    readable = judge.readable()
    print(f"expression: {len(readable)} of {len(EXPRESSION_NAMES)} read with R2 >= 0.5")
    print(f"identity: {100 * accuracy['identity']:.1f} % nearest of {accuracy['people']}")


if __name__ == "__main__":
    raise SystemExit(main())
