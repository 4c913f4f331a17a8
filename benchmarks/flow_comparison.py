"""Couplings, diffusion and plain regression on the same speech, at equal training and equal NFE.

    python -m benchmarks.flow_comparison --codes data/puppet_codes --out out/flow_comparison

Trains each of benchmarks.flow_kinds with every seed on the train split, at one small budget, and generates the test
split's clips (no pixels) at an NFE of 1, 2, 3, 5, 10 and 20 per window, unguided. Finished runs are skipped, so the
command may be interrupted at any time. Writes table.json and table.md: means over seeds with 95 % confidence intervals.

  lip            correlation of the aperture with the recording's true one, mean over clips with speech
  lag            the shift in frames at which it is largest
  mean16         the same of the mean of 16 samples (first seed only)
  pose, rest     Frechet distance of pose and of all other codes, relative to the portrait's: 0 is another true
                 clip's, 1 a still face's
  spread         standard deviation of pose over the truth's
  jitter         second difference of pose over the truth's
  straightness   1 - |v - (x1 - x0)|^2 / |x1 - x0|^2 along the way (flows)
  gain, skew     of the couplings in training: cost saved over what can be; R^2 of the noise from its pair's condition

References: the nearest training window by its audio (retrieval), a still face, and the encoder's own codes.
"""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree
from tqdm import tqdm

from benchmarks import flow_kinds
from benchmarks.common import make_parser, write_json
from data_pipelines.loading.batches import stage2_batches
from data_pipelines.records.catalog import code_paths
from data_pipelines.records.schema import CodeRecord, read_codes
from demo_jax import codes as code_space
from demo_jax import rng
from demo_jax.config import ConditionConfig, FlowTransformerConfig, OptimizerConfig
from demo_jax.evaluation.metrics.coupling import skew
from demo_jax.evaluation.metrics.distribution import frechet_to_truth
from demo_jax.evaluation.metrics.motion import best_lag, contains_speech, correlation, jitter
from demo_jax.factors import CALIBRATED_NAMES, EMOTIONS, FactorLayout
from demo_jax.flow import condition as conditions
from demo_jax.flow.coupling import CouplingBatch
from demo_jax.media.files import write_atomically
from demo_jax.models.flow_transformer import FlowTransformer
from demo_jax.sampling import windows
from demo_jax.training.conditioning import coupling_features, make_condition
from demo_jax.training.state import apply_gradients, create, make_optimizer
from demo_jax.training.steps import make_coupling

MODEL = FlowTransformerConfig(width=96, depth=4, heads=4)
BATCH = 64  # and the coupling's group
NFE = (1, 2, 3, 5, 10, 20)
SAMPLES = 16
PAIRED, DIRECTIONS = 256, 32  # batches whose pairs are measured, and in how many directions
# Nothing given and no keyframes: whole windows are paired. Audio is dropped as usual.
CONDITION = ConditionConfig(given=0.0, keyframe=0.0, cut=0.0, group=BATCH)
OPTIMIZER = OptimizerConfig(learning_rate=1e-3, warmup_steps=50, ema_decay=0.99)
LAYOUT = FactorLayout()
APERTURE = CALIBRATED_NAMES.index("aperture")
POSE = LAYOUT.slices["pose"]
REST = np.setdiff1d(np.arange(LAYOUT.size), np.arange(POSE.start, POSE.stop))
SIZES = windows.Sizes(
    context=MODEL.context, length=MODEL.window, lookahead=MODEL.look_ahead, hop=MODEL.window, ahead=2 * MODEL.window
)


def train(
    kind: str, seed: int, steps: int, codes: str, space: code_space.CodeSpace, feature: str
) -> tuple[PyTree, dict[str, float]]:
    """Returns the averaged parameters and the last loss."""
    model = FlowTransformer(MODEL, LAYOUT)
    optimizer = make_optimizer(OPTIMIZER, steps)
    terms = flow_kinds.losses(kind, LAYOUT, BATCH)

    @jax.jit
    def step(state, batch):
        condition_key, key = jax.random.split(rng.stream(seed, "train", state.step))
        x1, condition = make_condition(condition_key, batch, space, LAYOUT, CONDITION, MODEL.context)
        features = coupling_features(batch, space, condition)

        def objective(params):
            found = terms(network(kind, model, params), key, x1, condition, features)
            return found["loss"], found

        gradients, found = jax.grad(objective, has_aux=True)(state.params)
        return apply_gradients(state, gradients, optimizer, OPTIMIZER), found["loss"]

    width = read_codes(code_paths(codes, "train")[0]).features[feature].shape[1]
    first = conditions.empty(2, LAYOUT.size, width)
    params = jax.jit(model.init)(
        rng.stream(seed, "init"), jnp.zeros((2, MODEL.window, LAYOUT.size)), jnp.zeros(2), first
    )
    state = jax.jit(lambda p: create(p, optimizer))(params["params"])
    smooth = math.nan
    with (
        stage2_batches(codes, batch_size=BATCH, seed=seed, start_step=0, feature=feature) as batches,
        tqdm(total=steps, desc=f"{kind} {seed}", unit="step") as bar,
    ):
        for i in range(steps):
            state, loss = step(state, jax.tree.map(jnp.asarray, next(batches)))
            if i % 20 == 0:
                smooth = float(loss)
                bar.set_postfix(loss=f"{smooth:.3f}")
            bar.update()
    return jax.device_get(state.ema), {"loss": smooth}


def network(kind: str, model: FlowTransformer, params: PyTree) -> conditions.VelocityFn:
    """Returns what `kind` predicts, as a function of (x, t, condition)."""
    return flow_kinds.network(kind, functools.partial(model.apply, {"params": params}, method="guess"))


class Clips:
    """The test split's clips, as batches of windows that are generated for all clips at once."""

    def __init__(self, records: list[CodeRecord], space: code_space.CodeSpace, feature: str) -> None:
        self.records, self.space, self.true = records, space, [r.codes for r in records]
        self.timelines = []
        for record in records:
            codes = np.asarray(space.to_whitened(jnp.asarray(record.codes)))
            self.timelines.append(
                windows.Timeline(
                    audio=record.features[feature].astype(np.float32),
                    source=codes[0],
                    emotion=np.full(len(codes), EMOTIONS.index(record.emotion), np.int32),
                    given=np.zeros_like(codes),
                    given_mask=np.zeros(codes.shape, bool),
                    keyframes=np.zeros(codes.shape, bool),
                    factor_index=LAYOUT.factor_index,
                )
            )
        self.longest = max(t.end for t in self.timelines)

    def generate(self, sample, seed: int) -> list[np.ndarray]:
        """Returns raw codes [T, K] of every clip, by sample(x0 [B, L, K], condition) -> [B, L, K]."""
        made = [np.zeros((0, LAYOUT.size), np.float32) for _ in self.timelines]
        for w, start in enumerate(range(0, self.longest, MODEL.window)):
            parts = [
                t.condition(start, m[-MODEL.context :] if start else m, SIZES)
                for t, m in zip(self.timelines, made, strict=True)
            ]
            condition = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
            noise = jax.random.normal(rng.stream(seed, "noise", w), (len(parts), MODEL.window, LAYOUT.size))
            out = np.asarray(sample(noise, condition))
            made = [np.concatenate([m, o]) for m, o in zip(made, out, strict=True)]
        whole = [m[: t.end] for m, t in zip(made, self.timelines, strict=True)]
        return [np.asarray(self.space.from_whitened(jnp.asarray(m))) for m in whole]

    def lip(self, apertures: list[np.ndarray]) -> float:
        """Returns the mean correlation of apertures [T] with the true ones, over the clips with speech."""
        pairs = zip(apertures, self.records, strict=True)
        return float(np.mean([correlation(a, r.truth[:, APERTURE]) for a, r in pairs if contains_speech(r.waveform)]))

    def figures(self, made: list[np.ndarray]) -> dict[str, float]:
        """Returns the figures of codes [T, K] generated for all clips."""
        lag, rough = [], []
        for record, codes in zip(self.records, made, strict=True):
            if contains_speech(record.waveform):
                lag.append(best_lag(codes[:, LAYOUT.calibrated[APERTURE]], record.truth[:, APERTURE])[0])
            rough.append(jitter(codes[:, POSE]) / jitter(record.codes[:, POSE]))
        # Relative to the portrait: rest poses differ more between clips than a head moves within one, so that a still
        # face of the right person would count as motion.
        made, true = ([c - r.codes[0] for c, r in zip(x, self.records, strict=True)] for x in (made, self.true))
        deviations = [np.mean([c[:, POSE].std(0) for c in clips], 0) for clips in (made, true)]
        return {
            "lip": self.lip([c[:, LAYOUT.calibrated[APERTURE]] for c in made]),
            "lag": float(np.median(lag)),
            "pose": frechet_to_truth([c[:, POSE] for c in made], [c[:, POSE] for c in true])["relative"],
            "rest": frechet_to_truth([c[:, REST] for c in made], [c[:, REST] for c in true])["relative"],
            "spread": float((deviations[0] / deviations[1]).mean()),
            "jitter": float(np.mean(rough)),
        }


def evaluate(kind: str, params: PyTree, clips: Clips, seed: int) -> dict[str, Any]:
    """Returns the figures of one run by NFE, and a flow's straightness."""
    net = functools.partial(network, kind, FlowTransformer(MODEL, LAYOUT))
    found: dict[str, Any] = {}
    for steps in (1,) if kind == "regression" else NFE:
        run = jax.jit(functools.partial(run_sampler, kind, net, steps))
        made = clips.generate(functools.partial(run, params), seed)
        found[str(steps)] = clips.figures(made)
        if steps == 10 and seed == 0:  # costs as much as all else together
            apertures = [[m[:, LAYOUT.calibrated[APERTURE]] for m in made]]
            for more in range(1, SAMPLES):
                again = clips.generate(functools.partial(run, params), seed + 1000 * more)
                apertures.append([m[:, LAYOUT.calibrated[APERTURE]] for m in again])
            found["10"]["mean16"] = clips.lip([np.mean(clip, 0) for clip in zip(*apertures, strict=True)])
    if kind in flow_kinds.COUPLINGS:
        found["straightness"] = straightness(jax.jit(lambda *a: net(a[0])(*a[1:])), params, clips, seed)
    return found


def run_sampler(
    kind: str, net, steps: int, params: PyTree, x0: jax.Array, condition: conditions.Condition
) -> jax.Array:
    """Returns the codes [B, L, K] that `kind` samples from noise x0."""
    return flow_kinds.sample(kind, net(params), x0, condition, steps)


def straightness(net, params: PyTree, clips: Clips, seed: int, steps: int = 20) -> float:
    """Returns 1 - E |v(x_t, t) - (x_1 - x_0)|^2 / E |x_1 - x_0|^2 over the paths of first windows: 1 if one step is
    enough."""
    parts = [t.condition(0, np.zeros((0, LAYOUT.size), np.float32), SIZES) for t in clips.timelines]
    condition = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
    x0 = jax.random.normal(rng.stream(seed, "noise"), (len(parts), MODEL.window, LAYOUT.size))
    x, velocities = x0, []
    for i in range(steps):
        velocities.append(net(params, x, jnp.full(len(x), i / steps), condition))
        x = x + velocities[-1] / steps
    whole = x - x0
    bent = np.mean([float(jnp.mean(jnp.square(v - whole))) for v in velocities])
    return 1 - bent / float(jnp.mean(jnp.square(whole)))


def references(clips: Clips, codes: str, feature: str) -> dict[str, dict[str, float]]:
    """Returns the figures of the references: retrieval, a still face, and the encoder's codes of the true frames."""
    segments, audios = [], []
    for path in code_paths(codes, "train"):
        record = read_codes(path)
        audio = record.features[feature].astype(np.float32)
        for start in range(0, len(record.codes) - MODEL.window + 1, MODEL.window // 2):
            segments.append(record.codes[start : start + MODEL.window])
            audios.append(audio[start : start + MODEL.window].reshape(-1))
    library = np.stack(audios)
    library -= (centre := library.mean(0))
    retrieved, still = [], []
    for record in clips.records:
        out = []
        for start in range(0, len(record.codes), MODEL.window):
            audio = record.features[feature].astype(np.float32)[start : start + MODEL.window].reshape(-1)
            width = len(audio)
            distance = np.square(library[:, :width]).sum(1) - 2 * library[:, :width] @ (audio - centre[:width])
            out.append(segments[int(distance.argmin())][: width // clips.timelines[0].audio.shape[1]])
        retrieved.append(np.concatenate(out))
        still.append(np.repeat(record.codes[:1], len(record.codes), 0))
    return {
        "retrieval": clips.figures(retrieved),
        "still": clips.figures(still),
        "encoder": clips.figures(clips.true),
    }


def pairs(codes: str, space: code_space.CodeSpace, feature: str) -> dict[str, dict[str, float]]:
    """Returns each coupling's share of the cost that a pairing can save, and the skew of its noise.

    Both are measured on the first PAIRED batches of training. Skew is the held-out R^2 from the DIRECTIONS in which
    conditions differ most to the noise along those in which data do. On all 2,100 entries at once it would be zero,
    since a pairing moves few of their directions.
    """

    @jax.jit
    def prepare(batch, key):
        x1, condition = make_condition(key, batch, space, LAYOUT, CONDITION, MODEL.context)
        return x1, condition, coupling_features(batch, space, condition)

    couple = {kind: jax.jit(make_coupling(config), static_argnums=2) for kind, config in flow_kinds.COUPLINGS.items()}
    features_of_batches, data = [], []
    noise: dict[str, list[np.ndarray]] = {kind: [] for kind in couple}
    cost = dict.fromkeys(couple, 0.0)
    with stage2_batches(codes, batch_size=BATCH, seed=0, start_step=0, feature=feature) as batches:
        for i in tqdm(range(PAIRED), desc="pairs", unit="batch"):
            batch = jax.tree.map(jnp.asarray, next(batches))
            condition_key, noise_key = jax.random.split(rng.stream(0, "pairs", i))
            x1, condition, features = prepare(batch, condition_key)
            features_of_batches.append(np.asarray(features))
            data.append(np.asarray(x1).reshape(BATCH, -1))
            x0 = jax.random.normal(noise_key, x1.shape)
            uncoupled = CouplingBatch(x0=x0, x1=x1, condition_features=features, free_mask=condition.free)
            for kind, pair in couple.items():
                paired = pair(noise_key, uncoupled, BATCH)
                noise[kind].append(np.asarray(paired).reshape(BATCH, -1))
                cost[kind] += float(jnp.sum(jnp.where(condition.free, jnp.square(paired - x1), 0.0)))
    groups = np.repeat(np.arange(PAIRED), BATCH)
    all_features = np.concatenate(features_of_batches)
    varying = all_features @ _principal(all_features)
    directions = _principal(np.concatenate(data))
    saved = cost["independent"] - cost["plain"]
    return {
        kind: {
            "gain": (cost["independent"] - cost[kind]) / saved,
            "skew": skew(varying, np.concatenate(rows) @ directions, groups),
        }
        for kind, rows in noise.items()
    }


def _principal(rows: np.ndarray) -> np.ndarray:
    """Returns the first DIRECTIONS principal directions [n, DIRECTIONS] of rows [N, n]."""
    return np.linalg.eigh(np.cov(rows.T))[1][:, -DIRECTIONS:].astype(np.float32)


def interval(values: list[float]) -> tuple[float, float]:
    """Returns the mean and the half-width of its 95 % confidence interval (Student's t)."""
    from scipy.stats import t

    n = len(values)
    half = float(t.ppf(0.975, n - 1)) * float(np.std(values, ddof=1)) / n**0.5 if n > 1 else math.nan
    return float(np.mean(values)), half


def markdown(
    runs: dict[str, list[dict]], fixed: dict[str, dict[str, float]], paired: dict[str, dict[str, float]]
) -> str:
    names = ("lip", "lag", "mean16", "pose", "rest", "spread", "jitter")
    lines = ["| kind | NFE | " + " | ".join(names) + " | seeds |", "|---" * (len(names) + 3) + "|"]
    for kind, found in runs.items():
        for steps in found[0]:
            if not steps.isdigit():
                continue
            cells = []
            for name in names:
                values = [f[steps][name] for f in found if name in f[steps]]
                mean, half = interval(values) if values else (math.nan, math.nan)
                cells.append(f"{mean:.3f} ± {half:.3f}" if values else "")
            lines.append(f"| {kind} | {steps} | " + " | ".join(cells) + f" | {len(found)} |")
    for kind, row in fixed.items():
        lines.append(f"| {kind} | | " + " | ".join(f"{row[n]:.3f}" if n in row else "" for n in names) + " | |")
    lines += ["", "| kind | straightness | gain | skew |", "|---|---|---|---|"]
    for kind, found in runs.items():
        if "straightness" in found[0]:
            mean, half = interval([f["straightness"] for f in found])
            of = paired[kind]
            lines.append(f"| {kind} | {mean:.4f} ± {half:.4f} | {of['gain']:.3f} | {of['skew']:.4f} |")
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--codes", required=True, help="motion codes of a puppet corpus (data_pipelines.encode)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs and the table")
    parser.add_argument("--feature", default="phonetic", help="audio feature of the codes (phonetic)")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", choices=flow_kinds.KINDS, action="append", help="this kind; may be repeated")
    args = parser.parse_args(argv)
    space = code_space.load_space(Path(args.codes) / "space.npz")
    clips = Clips([read_codes(p) for p in code_paths(args.codes, "test")], space, args.feature)
    args.out.mkdir(parents=True, exist_ok=True)
    fixed = _once(args.out / "references.json", lambda: references(clips, args.codes, args.feature))
    paired = _once(args.out / "pairs.json", lambda: pairs(args.codes, space, args.feature))
    for seed in range(args.seeds):  # all kinds once, then again: an interrupted table is balanced
        for kind in args.only or flow_kinds.KINDS:
            done = args.out / f"{kind}-{args.steps}-{seed}.json"
            if done.exists():
                continue
            begin = time.monotonic()
            params, last = train(kind, seed, args.steps, args.codes, space, args.feature)
            found = evaluate(kind, params, clips, seed) | {"train": last, "seconds": time.monotonic() - begin}
            write_json(done, found)
            runs = _read(args.out, args.steps)
            table = {"runs": runs, "references": fixed, "pairs": paired}
            write_atomically(args.out / "table.json", json.dumps(table).encode())
            write_atomically(args.out / "table.md", markdown(runs, fixed, paired).encode())
    print(markdown(_read(args.out, args.steps), fixed, paired))


def _once(path: Path, make: Callable[[], dict]) -> dict:
    """Returns the contents of a JSON file, which is made first if it is missing."""
    if not path.exists():
        write_json(path, make())
    return json.loads(path.read_text())


def _read(folder: Path, steps: int) -> dict[str, list[dict]]:
    found = {
        k: [json.loads(p.read_text()) for p in sorted(folder.glob(f"{k}-{steps}-*.json"))] for k in flow_kinds.KINDS
    }
    return {kind: rows for kind, rows in found.items() if rows}


if __name__ == "__main__":
    main()
