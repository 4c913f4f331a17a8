"""How audio features transfer from puppets to people: python -m benchmarks.audio_features --features logmel ...

A proxy for training the flow on each feature: a small network from features, with ten frames of context on either side,
to the true aperture of the puppets of the train split; then the metrics of benchmarks.natural_speech on its
predictions. It predicts a mean, which closes less than a sample. So there are, besides closure at a fixed threshold,
closure at the threshold that a share of random instants passes, and the area under that curve (0.5 is chance). About
three minutes per feature on one core (hama: half an hour, hence --clips).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PyTree

from benchmarks.common import print_json, write_json
from benchmarks.natural_speech import (
    PERCENTILE,
    TOLERANCE,
    Lips,
    filmed,
    instants,
    measure,
    puppet_clips,
    random_instants,
)
from data_pipelines.extraction.forced_alignment import Aligned, read_aligned
from data_pipelines.records.catalog import code_paths
from data_pipelines.records.schema import read_codes
from demo_jax.audio.registry import extractor
from demo_jax.cli import CommandParser, cli_main
from demo_jax.constants import FPS, SAMPLES_PER_FRAME
from demo_jax.evaluation.generation import APERTURE

CONTEXT = 10  # frames on either side
EXCERPT, BATCH, STEPS = 60, 16, 2500
NARROW, WIDE = 64, 128
RANDOM_SHARES = (0.3, 0.4)  # of random instants that pass, at which closure is given


def network(parameters: PyTree, x: jax.Array) -> jax.Array:
    """Returns apertures [B, T] of features x [B, T + 20, A]: each frame is projected, then a window of frames."""
    narrow = jnp.tanh(x @ parameters["frame"])
    frames = x.shape[1] - 2 * CONTEXT
    window = jnp.concatenate([narrow[:, k : k + frames] for k in range(2 * CONTEXT + 1)], -1)
    hidden = jax.nn.relu(window @ parameters["window"] + parameters["bias"])
    return (hidden @ parameters["out"])[..., 0] + parameters["offset"]


def fit(features: Sequence[np.ndarray], apertures: Sequence[np.ndarray], seed: int) -> Lips:
    """Returns a function from features [T, A] to aperture [T], fitted to those of the clips."""
    whole, target = np.concatenate(features), np.concatenate(apertures)
    mean, scale = whole.mean(0), whole.std(0) + 1e-2
    centre, spread = target.mean(), target.std()

    def padded(x: np.ndarray) -> np.ndarray:
        return np.pad((x - mean) / scale, ((CONTEXT, CONTEXT), (0, 0)), mode="edge").astype(np.float32)

    inputs = [padded(x) for x in features]
    targets = [((y - centre) / spread).astype(np.float32) for y in apertures]
    keys = jax.random.split(jax.random.key(seed), 2)
    size, inputs_of_window = whole.shape[-1], NARROW * (2 * CONTEXT + 1)
    parameters = {
        "frame": jax.random.normal(keys[0], (size, NARROW)) / size**0.5,
        "window": jax.random.normal(keys[1], (inputs_of_window, WIDE)) * (2 / inputs_of_window) ** 0.5,
        "bias": jnp.zeros(WIDE),
        "out": jnp.zeros((WIDE, 1)),
        "offset": jnp.zeros(()),
    }
    optimizer = optax.adamw(optax.cosine_decay_schedule(2e-3, STEPS), weight_decay=1e-2)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(parameters: PyTree, state: PyTree, x: jax.Array, y: jax.Array) -> tuple[PyTree, PyTree]:
        gradient = jax.grad(lambda p: jnp.mean((network(p, x) - y) ** 2))(parameters)
        updates, state = optimizer.update(gradient, state, parameters)
        return optax.apply_updates(parameters, updates), state

    state, rng = optimizer.init(parameters), np.random.default_rng(seed)
    long = [i for i, y in enumerate(targets) if len(y) >= EXCERPT]
    lengths = np.array([len(targets[i]) for i in long])
    for _ in range(STEPS):
        batch_x, batch_y = [], []
        for i in rng.choice(long, BATCH, p=lengths / lengths.sum()):
            start = int(rng.integers(len(targets[i]) - EXCERPT + 1))
            batch_x.append(inputs[i][start : start + EXCERPT + 2 * CONTEXT])
            batch_y.append(targets[i][start : start + EXCERPT])
        parameters, state = step(parameters, state, np.stack(batch_x), np.stack(batch_y))
    apply = jax.jit(network)

    def predict(x: np.ndarray) -> np.ndarray:
        # Clips are padded to whole seconds, so that few programs are compiled.
        frames = len(x)
        ready = np.pad(padded(x), ((0, -frames % FPS), (0, 0)), mode="edge")
        return np.asarray(apply(parameters, ready[None]))[0, :frames] * spread + centre

    return predict


def openness(lips: Lips, clips: Sequence[Aligned], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the smallest aperture around each p, b and m, and around ten times as many random instants, over the
    clip's 90th percentile."""
    rng, at, beside = np.random.default_rng(seed), [], []
    for clip in clips:
        aperture = lips(np.pad(clip.waveform, (0, -len(clip.waveform) % SAMPLES_PER_FRAME)))
        part = np.pad(aperture / np.percentile(aperture, PERCENTILE), TOLERANCE, mode="edge")
        smallest = np.lib.stride_tricks.sliding_window_view(part, 2 * TOLERANCE + 1).min(-1)
        when = instants(clip.phones, clip.times)
        for times, found in ((when, at), (random_instants(rng, clip.times, 10 * len(when)), beside)):
            found.append(smallest[np.clip(np.floor(times * FPS).astype(int), 0, len(smallest) - 1)])
    return np.concatenate(at), np.concatenate(beside)


@cli_main
def main(argv: list[str] | None = None) -> None:
    parser = CommandParser(prog="python -m benchmarks.audio_features", description="Compares audio features.")
    parser.add_argument("--features", nargs="+", default=["logmel", "phonetic"], help="of logmel, phonetic and hama")
    parser.add_argument("--speech", required=True, help="folder with transcripts.csv and the recordings it names")
    parser.add_argument("--records", required=True, help="prepared records of the same videos")
    parser.add_argument("--codes", required=True, help="motion codes of the puppet corpus, and ...")
    parser.add_argument("--puppets", required=True, help="... its clip records")
    parser.add_argument("--clips", type=int, default=10_000, help="most training clips")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args(argv)
    recordings, _ = read_aligned(args.speech)
    videos = filmed(args.records, args.speech, recordings)
    puppets = puppet_clips(args.codes, args.puppets, 40)
    training = [read_codes(path) for path in code_paths(args.codes, "train")[: args.clips]]
    results = {}
    for name in args.features:
        extract = extractor(name)
        known: dict[bytes, np.ndarray] = {}  # several metrics use the same audio

        def features(waveform: np.ndarray, extract=extract, known=known) -> np.ndarray:
            key = waveform.tobytes()
            if key not in known:
                known[key] = extract(waveform).astype(np.float32)
            return known[key]

        predict = fit([features(r.waveform) for r in training], [r.truth[:, APERTURE] for r in training], args.seed)

        def lips(waveform: np.ndarray, predict=predict, features=features) -> np.ndarray:
            return predict(features(waveform))

        at, beside = openness(lips, recordings, args.seed)
        area = float((at[:, None] < beside[None]).mean() + 0.5 * (at[:, None] == beside[None]).mean())
        shares = {f"closed_at_{share:g}": float((at < np.quantile(beside, share)).mean()) for share in RANDOM_SHARES}
        results[name] = {"area": area, **shares, **measure(lips, recordings, videos, puppets)}
        print_json(name, results[name])
    if args.json:
        write_json(args.json, results)


if __name__ == "__main__":
    raise SystemExit(main())
