"""`python -m data_pipelines.train_matte`: trains the network that separates person and head from the background.

Labels photographs by a segmenter and a face landmarker, then trains the small network of `demo_jax.models.matte` on
squares around the faces, moved, recoloured and half of the time before other backgrounds.
"""

from __future__ import annotations

import functools
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

from data_pipelines.extraction.portrait_mattes import LabelledPortrait, read_portraits
from data_pipelines.extraction.segmenter import FETCH
from data_pipelines.loading.matte_augmentation import LayeredPortrait, MatteExample, augmented, layered, plain
from demo_jax.cli import CommandParser, cli_main
from demo_jax.config import OptimizerConfig
from demo_jax.devices import start_jax
from demo_jax.errors import InputError
from demo_jax.media.files import write_atomically
from demo_jax.models.matte import SIZE, Params, as_input, initial, logits
from demo_jax.rendering.matte import flattened, weights
from demo_jax.training.state import TrainState, apply_gradients, create

BATCH = 16
LEARNING_RATE = 3e-3
SHARE_WEIGHT, EDGE_WEIGHT = 1.0, 3.0  # of the head's share; of pixels on the matte's edge
MOST_REPEATED = 12  # a photograph of a small source is shown at most so many times as often as others


def loss(params: Params, image: jax.Array, person: jax.Array, share: jax.Array, weight: jax.Array) -> jax.Array:
    """Cross entropy of both mattes, plus the absolute error of the person's.

    Args:
      image: [B, S, S, 3] in -1..1.
      person, share, weight: [B, S, S], as in MatteExample.
    """
    found = logits(params, image)
    weight = weight * (1 + 4 * EDGE_WEIGHT * person * (1 - person))
    of_person = optax.sigmoid_binary_cross_entropy(found[..., 0], person) + jnp.abs(
        jax.nn.sigmoid(found[..., 0]) - person
    )
    of_share = optax.sigmoid_binary_cross_entropy(found[..., 1], share) * person
    return (weight * (of_person + SHARE_WEIGHT * of_share)).sum() / weight.sum()


def sources(portraits: Sequence[LabelledPortrait]) -> str:
    """The names of the publishers."""
    return ", ".join(sorted({portrait.source for portrait in portraits}))


def shown(portraits: Sequence[LayeredPortrait]) -> np.ndarray:
    """The probability of each portrait: sources count alike, up to MOST_REPEATED."""
    names = [one.portrait.source for one in portraits]
    counts = {name: names.count(name) for name in set(names)}
    largest = max(counts.values())
    odds = np.array([min(largest / counts[name], MOST_REPEATED) for name in names])
    return odds / odds.sum()


def train(portraits: Sequence[LayeredPortrait], *, steps: int, seed: int = 0, start: Params | None = None) -> Params:
    """Returns the averaged parameters, from `start` or random ones. Each batch is a pure function of (seed, step)."""
    schedule = optax.warmup_cosine_decay_schedule(0, LEARNING_RATE, min(100, steps // 2), steps, LEARNING_RATE / 100)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, b2=0.99, weight_decay=1e-3))

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state: TrainState, batch: tuple[jax.Array, ...]) -> tuple[TrainState, jax.Array]:
        value, gradients = jax.value_and_grad(loss)(state.params, *batch)
        return apply_gradients(state, gradients, optimizer, OptimizerConfig(ema_decay=0.99)), value

    params = initial(jax.random.key(seed)) if start is None else jax.tree.map(jnp.array, start)
    state = create(params, optimizer)
    odds = shown(portraits)
    bar = tqdm(range(steps), desc="training", unit="step")
    for number in bar:
        rng = np.random.default_rng([seed, number])
        chosen = rng.choice(len(portraits), BATCH, p=odds)
        state, value = step(state, stacked([augmented(rng, portraits[i], portraits, SIZE) for i in chosen]))
        if number % 20 == 0:
            bar.set_postfix(loss=f"{float(value):.4f}")
    return jax.tree.map(np.asarray, state.ema)


def stacked(examples: Sequence[MatteExample]) -> tuple[np.ndarray, ...]:
    """The arguments of the loss."""
    image = as_input(np.stack([e.image for e in examples]))
    return (image, *(np.stack([getattr(e, name) for e in examples]) for name in ("person", "share", "weight")))


def figures(params: Params, training: Sequence[LabelledPortrait], measured: Sequence[LabelledPortrait]) -> list[str]:
    """Lines of text: IoU and mean absolute error in the network's square, the mean label as baseline, by source."""
    lines = []
    baseline = np.mean([(e.person, e.person * e.share) for e in (plain(p, SIZE) for p in training)], 0)
    run = jax.jit(lambda params, images: jax.nn.sigmoid(logits(params, images)))
    rows: dict[str, list[np.ndarray]] = {}
    for portrait in measured:
        example = plain(portrait, SIZE)
        found = np.asarray(run(params, as_input(example.image)[None]))[0]
        truth = np.stack([example.person, example.person * example.share])
        mine = np.stack([found[..., 0], found[..., 0] * found[..., 1]])
        row = np.stack([agreement(guess, truth, example.weight) for guess in (mine, baseline)])
        for name in (portrait.source, "all"):
            rows.setdefault(name, []).append(row)
    for name, each in sorted(rows.items()):
        (ours, base) = np.mean(each, 0)
        for i, matte in enumerate(("person", "head")):
            lines.append(
                f"{name} (n={len(each)}) {matte}: IoU {ours[i, 0]:.4f} (mean label {base[i, 0]:.3f}), "
                f"mean absolute error {ours[i, 1]:.4f} ({base[i, 1]:.3f})"
            )
    return lines


def agreement(guess: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """[2, 2] for person and head: IoU at one half, and mean absolute error, where weight is 1. Mattes [2, S, S]."""
    inside = weight > 0
    a, b = guess[:, inside], truth[:, inside]
    both, either = ((a > 0.5) & (b > 0.5)).sum(1), ((a > 0.5) | (b > 0.5)).sum(1)
    return np.stack([both / np.maximum(either, 1), np.abs(a - b).mean(1)], 1)


@cli_main
def main(argv: list[str] | None = None) -> None:
    parser = CommandParser(
        prog="python -m data_pipelines.train_matte",
        description="Trains the network that separates a person, and the head, from the background of a photograph. "
        "The labels of persons come from MediaPipe's selfie segmenter, those of heads from the chin that the face "
        "landmarker finds. Takes some 20 minutes on one core and cannot be resumed.",
        epilog=f"The segmenter is not in any Python package: {FETCH} fetches an archive that contains "
        "selfie_segmentation.tflite. Example: python -m data_pipelines.train_matte --portraits photographs --splits "
        "splits.csv --segmenter selfie_segmentation.tflite --out matte-1.npz",
    )
    parser.add_argument(
        "--portraits", required=True, nargs="+", type=Path, metavar="DIR", help="folders of photographs of one person"
    )
    parser.add_argument(
        "--splits",
        required=True,
        type=Path,
        metavar="CSV",
        help="table with the columns folder (the folder's name), file and split: train trains, val or test is measured",
    )
    parser.add_argument("--segmenter", required=True, type=Path, metavar="FILE", help="the segmenter's .tflite file")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the npz file to write")
    parser.add_argument("--steps", type=int, default=3000, help=f"of {BATCH} squares each; default 3,000")
    parser.add_argument("--measure", choices=("val", "test"), default="val", help="rows to print figures of")
    parser.add_argument(
        "--leave-out",
        nargs="+",
        default=[],
        metavar="SOURCE",
        help="publishers whose photographs do not train: what their file names begin with, up to __",
    )
    parser.add_argument("--start", type=Path, metavar="FILE", help="npz file of parameters to train further")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    start_jax()
    start = None if args.start is None else read_start(args.start)
    portraits = read_portraits(args.portraits, args.splits, args.segmenter)
    if unknown := sorted(set(args.leave_out) - {p.source for p in portraits}):
        raise InputError(
            f"--leave-out {unknown[0]}: no file name begins with it; the sources are {sources(portraits)}."
        )
    training = [p for p in portraits if p.split == "train" and p.source not in args.leave_out]
    if not training:
        raise InputError(f"{args.splits} has no photograph to train on: none of the split train is left.")
    params = train([layered(p) for p in tqdm(training, desc="layers")], steps=args.steps, seed=args.seed, start=start)
    save(args.out, params)
    for line in figures(params, training, [p for p in portraits if p.split == args.measure]):
        tqdm.write(line)


def read_start(path: Path) -> Params:
    """Reads parameters that `save` wrote. Raises InputError if they are not this network's."""
    try:
        params = weights(path)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"--start {path} cannot be read ({error}); name a file that this command wrote.") from error
    wanted = jax.eval_shape(initial, jax.random.key(0))
    if jax.tree.map(jnp.shape, params) != jax.tree.map(jnp.shape, wanted):
        raise InputError(
            f"--start {path} holds the parameters of another network; name a file that this command wrote."
        )
    return params


def save(path: Path, params: Params) -> None:
    """Writes what rendering.matte reads, in float16."""
    buffer = io.BytesIO()
    arrays = {name: array.astype(np.float16) for name, array in flattened(params).items()}
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())


if __name__ == "__main__":
    raise SystemExit(main())
