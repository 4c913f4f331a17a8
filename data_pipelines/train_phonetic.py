"""`python -m data_pipelines.train_phonetic --out FILE.npz`: trains the network of the phonetic features.

Speaks sentences with synthetic voices and disguises each utterance once
(`data_pipelines.puppet.speech.phonetic_corpus`), then trains the network to predict the phoneme class of each step of
20 ms, with bands hidden, shifted and stretched anew in each batch. No recordings are needed. Takes about half an hour
on one shared core, half of it for the speech.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

from data_pipelines.puppet.speech import phonetic_corpus
from demo_jax.audio.log_mel import MEL_BANDS, LogMel
from demo_jax.audio.phonetic import COLUMNS, INPUTS, KINDS, TAPS, Parameters, levelled, network
from demo_jax.cli import CommandParser, cli_main
from demo_jax.config import OptimizerConfig
from demo_jax.devices import start_jax
from demo_jax.errors import InputError
from demo_jax.media.files import write_atomically
from demo_jax.training.state import TrainState, apply_gradients, create

CLIPS = {"espeak": 6000, "flite": 1600, "hibari": 1600}
SHARES = {"espeak": 5, "flite": 4, "hibari": 3}  # of the excerpts of a batch of twelve
EXCERPT, WARM_UP = 250, 50  # steps of an excerpt, and those at its start that the loss ignores, as their past is cut
WIDTH, SMOOTHING = 224, 0.05
QUIETEST_SPEECH = -1.37  # as in phonetic.levelled: columns above it, relative to the peak, are speech

Utterance = tuple[np.ndarray, np.ndarray]  # log-mel [C, 40] float16, kinds [C / 2] int32


def utterances(name: str, speak: phonetic_corpus.Speaker, count: int, seed: int) -> list[Utterance]:
    """Returns `count` disguised utterances of a speaker."""
    found = []
    for i in tqdm(range(count), desc=name, unit="clip"):
        rng = np.random.default_rng([seed, list(CLIPS).index(name), i])
        spoken = speak(rng)
        waveform, times = phonetic_corpus.disguised(rng, spoken)
        bands = LogMel()(waveform).reshape(-1, MEL_BANDS)
        found.append((bands, phonetic_corpus.kinds_of(spoken, times, len(bands) // COLUMNS)))
    return found


def usual_colour(sources: Sequence[Sequence[Utterance]]) -> np.ndarray:
    """Returns [40] float32, the mean of loud columns of log-mel relative to their peak, speakers weighted alike."""
    silent = np.zeros(MEL_BANDS, np.float32)
    means = []
    for source in sources:
        columns = []
        for bands, _ in source:
            level = bands.astype(np.float32).mean(-1)
            loud = level > max(level.max(), -0.8) + QUIETEST_SPEECH
            columns.append(bands[loud].astype(np.float32) - max(level.max(), -0.8))
        means.append(np.concatenate(columns).mean(0) if columns else silent)
    return np.mean(means, 0).astype(np.float32)


def initial(key: jax.Array, width: int = WIDTH) -> Parameters:
    """Returns random parameters of phonetic.network; the last layer is zero."""
    parameters, size = {}, INPUTS
    for i, taps in enumerate(TAPS):
        inputs = size * len(taps)
        scale = np.sqrt((1 if i else 2) / inputs)  # residual layers begin smaller
        parameters[f"layer{i}"] = scale * jax.random.normal(jax.random.fold_in(key, i), (inputs, width))
        parameters[f"bias{i}"] = jnp.zeros(width)
        size = width
    return parameters | {"out": jnp.zeros((width, len(KINDS))), "bias_out": jnp.zeros(len(KINDS))}


def varied(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """Returns levelled inputs [steps, 82] with another microphone, contrast and vocal tract, and some bands hidden."""
    columns = x.reshape(len(x), COLUMNS, MEL_BANDS + 1).astype(np.float32)
    bands = columns[..., :MEL_BANDS]
    bands += np.interp(np.arange(MEL_BANDS), np.linspace(0, MEL_BANDS - 1, 6), rng.normal(0, 0.15, 6))
    if rng.random() < 0.5:
        first = int(rng.integers(MEL_BANDS - 6))
        bands[..., first : first + int(rng.integers(1, 7))] = 0
    if rng.random() < 0.5:
        bands *= rng.uniform(0.7, 1.3)
    if rng.random() < 0.4:
        source = np.clip(np.arange(MEL_BANDS) * rng.uniform(0.9, 1.1), 0, MEL_BANDS - 1)
        low = np.floor(source).astype(int)
        high, part = np.minimum(low + 1, MEL_BANDS - 1), (source - low).astype(np.float32)
        bands[...] = bands[..., low] * (1 - part) + bands[..., high] * part
    if rng.random() < 0.3:
        bands += rng.normal(0, 0.15, bands.shape)
    return columns.reshape(x.shape)


def loss(parameters: Parameters, x: jax.Array, kinds: jax.Array) -> jax.Array:
    """Returns the cross entropy with smoothed labels of inputs [B, steps, 82] and kinds [B, steps]."""
    logits = network(jnp, parameters, x)[:, WARM_UP:]
    target = jax.nn.one_hot(kinds[:, WARM_UP:], len(KINDS)) * (1 - SMOOTHING) + SMOOTHING / len(KINDS)
    return -(jax.nn.log_softmax(logits) * target).sum(-1).mean()


def train(
    sources: dict[str, list[Utterance]], usual: np.ndarray, *, steps: int, seed: int = 0, width: int = WIDTH
) -> Parameters:
    """Returns the network's parameters as float32 NumPy arrays. Each batch is a pure function of (seed, step)."""
    data = {}
    for name, source in sources.items():
        inputs = np.concatenate([levelled(bands, usual).reshape(-1, INPUTS) for bands, _ in source]).astype(np.float16)
        data[name] = inputs, np.concatenate([kinds for _, kinds in source])
        if len(inputs) <= EXCERPT:
            raise InputError(f"{name}: {len(inputs)} steps of speech are less than one excerpt of {EXCERPT}.")
    names = [name for name in data for _ in range(SHARES[name])]
    schedule = optax.warmup_cosine_decay_schedule(0, 2e-3, min(100, steps // 2), steps, 1e-5)
    optimizer = optax.adamw(schedule, weight_decay=1e-2)

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state: TrainState, x: jax.Array, kinds: jax.Array) -> tuple[TrainState, jax.Array]:
        value, gradients = jax.value_and_grad(loss)(state.params, x, kinds)
        return apply_gradients(state, gradients, optimizer, OptimizerConfig()), value  # the average is not used

    state = create(initial(jax.random.key(seed), width), optimizer)
    bar = tqdm(range(steps), unit="step")
    for number in bar:
        rng = np.random.default_rng([seed, number])
        excerpts, labels = [], []
        for name in names:
            x, kinds = data[name]
            start = int(rng.integers(len(x) - EXCERPT))
            excerpts.append(varied(rng, x[start : start + EXCERPT]))
            labels.append(kinds[start : start + EXCERPT])
        state, value = step(state, np.stack(excerpts), np.stack(labels))
        if number % 100 == 0:
            bar.set_postfix(loss=float(value))
    return {name: np.asarray(array) for name, array in state.params.items()}


@cli_main
def main(argv: list[str] | None = None) -> None:
    parser = CommandParser(
        prog="python -m data_pipelines.train_phonetic",
        description="Trains the network of the phonetic audio features on synthetic voices.",
        epilog="Example: python -m data_pipelines.train_phonetic --out phonetic-2.npz",
    )
    parser.add_argument("--out", required=True, type=Path, help="the npz file to write")
    parser.add_argument("--voices", nargs="+", default=list(CLIPS), help="of espeak, flite and hibari; default all")
    parser.add_argument("--clips", type=float, default=1.0, help="share of the usual number of utterances")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    start_jax()
    sources = {
        name: utterances(name, speak, max(round(CLIPS[name] * args.clips), 1), args.seed)
        for name, speak in phonetic_corpus.speakers(args.voices).items()
    }
    usual = usual_colour(list(sources.values()))
    parameters = train(sources, usual, steps=args.steps, seed=args.seed)
    save(args.out, parameters, usual)


def save(path: Path, parameters: Parameters, usual: np.ndarray) -> None:
    """Writes what phonetic.weights reads: float16, which changes probabilities by less than a hundredth."""
    buffer = io.BytesIO()
    arrays = {name: array.astype(np.float16) for name, array in (parameters | {"usual": usual}).items()}
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())


if __name__ == "__main__":
    raise SystemExit(main())
