"""Ablations of stage 1's losses: python -m benchmarks.ablations --data data/puppet --out out/ablations.

Trains every variant of configs/ablation_autoencoder.py with every seed at the same small budget, one after the other,
each in a folder of its own, and measures it on the test split. Finished runs are skipped and unfinished ones resumed,
so the command may be interrupted at any time. Writes table.json and table.md: mean and standard deviation over seeds.

  psnr, psnr_boxes      reconstruction; within the mouth and eye boxes (dB)
  psnr_swap, psnr_cross one factor from another image, motion on a second identity, against their true renders (dB)
  probe_own             R^2 of a ridge probe, code block -> its own factor's truth; mean of lip, pose, gaze
  probe_other, _worst   the same for the other factors' truth: mean over, and largest of, the off-diagonal pairs
  moved_other           how far the other blocks move when one factor is swapped, in standard deviations
  moved_identity        distance between codes of the same motion on two identities, likewise

Probes are fitted on the train split's paired groups, whose factors are independent, and scored on those of test. A
block that a variant removes is still probed at its place, which shows what its coordinates contain.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.common import ROOT, make_parser, write_json
from configs.ablation_autoencoder import VARIANTS
from data_pipelines.loading.batches import stage1_batches
from data_pipelines.loading.examples import decode_frame
from data_pipelines.records.catalog import open_records
from demo_jax.checkpoint.load import LoadedModel, load_model
from demo_jax.config import Stage1LossConfig
from demo_jax.factors import calibrated_code
from demo_jax.jobs.validation import reconstruct
from demo_jax.losses.reconstruction import box_mask, psnr
from demo_jax.media.files import write_atomically
from demo_jax.models.autoencoder import AutoEncoder, to_float
from demo_jax.training.code_blocks import PARTS
from demo_jax.training.stage1_losses import stage1_losses

BATCHES, ROWS = 8, 8  # of test images
SEGMENTS, EVERY = 60, 3  # records of paired groups for a probe, and the stride of their frames
CHUNK = 32

Figures = dict[str, float]


def figures(checkpoint: Path, data: str) -> Figures:
    """Returns all figures of one run. The judge's (leakage, control) are not among them."""
    model = load_model(checkpoint, "autoencoder")
    return image_figures(model, data) | probe_figures(*(set_codes(model, data, split) for split in ("train", "test")))


def image_figures(model: LoadedModel, data: str) -> Figures:
    """Returns PSNR of reconstruction and of factor-swapped renders, and the distances between codes."""
    config, middle = model.autoencoder, model.autoencoder.model.lip_window // 2
    # The figures must not depend on a variant's weights; without teacher forcing, the encoder's own code counts.
    numbers = (f.name for f in dataclasses.fields(Stage1LossConfig) if isinstance(f.default, float))
    off = {name: 0.0 for name in numbers if name != "temperature"}
    measured = {"swap": 1.0, "cross_identity": 1.0, "consistency": 1.0, "identity": 1.0}
    layout_blocks = dataclasses.replace(config, loss=Stage1LossConfig(**(off | measured)))
    own_blocks = dataclasses.replace(
        config, loss=dataclasses.replace(Stage1LossConfig(**(off | measured)), merged=config.loss.merged)
    )
    net = AutoEncoder(config.model)

    @jax.jit
    def measure(params: dict, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        key = jax.random.key(0)
        terms = stage1_losses(net, own_blocks, params, batch, key)
        codes = stage1_losses(net, layout_blocks, params, batch, key)
        truth = to_float(batch["driving"][:, middle])
        made = reconstruct(net, params, batch["source"], batch["driving"][:, middle])
        return {
            "psnr": jnp.mean(psnr(made, truth)),
            "psnr_boxes": jnp.mean(psnr(made, truth, box_mask(batch["driving_boxes"], config.model.size))),
            "psnr_swap": terms["psnr_swap"],
            "psnr_cross": terms["psnr_cross"],
            "moved_other": codes["consistency"],
            "moved_identity": codes["identity"],
        }

    with stage1_batches(
        data, "test", batch_size=ROWS, set_batch_size=ROWS, seed=0, start_step=0, size=config.model.size,
        lip_window=config.model.lip_window, feature=config.data.feature,
    ) as batches:  # fmt: skip
        rows = [
            jax.device_get(measure(model.autoencoder_params, jax.tree.map(jnp.asarray, next(batches))))
            for _ in range(BATCHES)
        ]
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def set_codes(model: LoadedModel, data: str, split: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Returns code blocks [N, .] by factor and truth [N, 13] of frames of a split's paired groups."""
    config = model.autoencoder.model
    encode = jax.jit(functools.partial(AutoEncoder(config).apply, method=AutoEncoder.encode_motion))
    records = open_records(data, split)
    members = [i for i, segment in enumerate(records.segments) if segment.variant]
    chosen = np.random.default_rng(0).permutation(members)[:SEGMENTS]
    frames, truths = [], []
    for record in (records[int(i)] for i in chosen):
        frames += [decode_frame(frame, config.size) for frame in record.frames[::EVERY]]
        truths.append(calibrated_code(record.lips, record.pose, record.gaze)[::EVERY])
    images = np.stack(frames + [frames[-1]] * (-len(frames) % CHUNK))  # whole chunks: one program
    codes = np.concatenate(
        [
            encode({"params": model.autoencoder_params}, to_float(jnp.asarray(images[i : i + CHUNK])))
            for i in range(0, len(images), CHUNK)
        ]
    )[: len(frames)]
    return {factor: codes[:, config.layout.slices[factor]] for factor in config.layout.used}, np.concatenate(truths)


def probe_figures(
    train: tuple[dict[str, np.ndarray], np.ndarray], test: tuple[dict[str, np.ndarray], np.ndarray]
) -> Figures:
    """Returns the probe figures, from (blocks, truth) of the train and of the test split."""
    own, other = [], []
    for block in train[0]:
        for factor, part in PARTS.items():
            score = probe(train[0][block], train[1][:, part], test[0][block], test[1][:, part])
            (own if block == factor else other).append(score)
    return {
        "probe_own": float(np.mean(own)),
        "probe_other": float(np.mean(other)),
        "probe_worst": float(np.max(other)),
    }


def probe(x: np.ndarray, y: np.ndarray, x_test: np.ndarray, y_test: np.ndarray, ridge: float = 1e-3) -> float:
    """Returns the R^2 on the test half of a ridge regression from standardised x [N, n] to y [N, m], mean over the
    coordinates of y. Values below 0, worse than the mean, count as 0."""
    mean, scale = x.mean(0), x.std(0) + 1e-6
    a, b = (np.c_[(v - mean) / scale, np.ones(len(v))].astype(np.float64) for v in (x, x_test))
    fit = np.linalg.solve(a.T @ a + ridge * len(a) * np.eye(a.shape[1]), a.T @ y)
    error = np.square(y_test - b @ fit).mean(0) / (y_test.var(0) + 1e-9)
    return float(np.maximum(1 - error, 0).mean())


def run(variant: str, seed: int, steps: int, data: str, folder: Path) -> Figures:
    """Trains and measures one variant, or reads the figures that an earlier call measured."""
    done = folder / "figures.json"
    if not done.exists():
        command = [
            sys.executable, "train.py", f"--config=configs/ablation_autoencoder.py:{variant}", f"--workdir={folder}",
            f"--config.data.path={data}", f"--config.seed={seed}", f"--config.steps={steps}",
        ]  # fmt: skip
        subprocess.run(command, cwd=ROOT, check=True)
        write_json(done, figures(folder, data))
    return json.loads(done.read_text())


def summary(found: dict[str, list[Figures]]) -> dict[str, dict[str, dict[str, float]]]:
    """Returns by variant and figure: mean, spread (standard deviation over seeds, 0 for one) and count."""
    return {
        variant: {
            name: {
                "mean": float(np.mean([r[name] for r in runs])),
                "spread": float(np.std([r[name] for r in runs], ddof=1)) if len(runs) > 1 else 0.0,
                "count": len(runs),
            }
            for name in runs[0]
        }
        for variant, runs in found.items()
    }


def markdown(table: dict[str, dict[str, dict[str, float]]]) -> str:
    names = list(next(iter(table.values())))
    lines = ["| variant | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for variant, row in table.items():
        cells = [
            f"{v['mean']:.2f} ± {v['spread']:.2f}" if n.startswith("psnr") else f"{v['mean']:.3f} ± {v['spread']:.3f}"
            for n, v in row.items()
        ]
        lines.append(f"| {variant} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--data", required=True, help="puppet corpus with paired groups in train and test")
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs and the table")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", choices=VARIANTS, action="append", help="this variant; may be repeated")
    args = parser.parse_args(argv)
    found: dict[str, list[Figures]] = {}
    data, out = str(Path(args.data).resolve()), args.out.resolve()
    for seed in range(args.seeds):  # all variants once, then again: an interrupted table is balanced
        for variant in args.only or VARIANTS:
            runs = found.setdefault(variant, [])
            runs.append(run(variant, seed, args.steps, data, out / f"{variant}-{args.steps}-{seed}"))
            table = summary(found)
            write_json(out / "table.json", table)
            write_atomically(out / "table.md", markdown(table).encode())
    sys.stdout.write(markdown(summary(found)))


if __name__ == "__main__":
    main()
