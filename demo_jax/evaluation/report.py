"""`python -m demo_jax.evaluation.report`: the figures of a checkpoint on held-out data, as JSON and as a table.

What each figure means stands in `protocols.py`. The split is `test` unless said otherwise; nothing is tuned on it.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from data_pipelines.catalog import code_paths, open_records
from data_pipelines.schema import ClipRecord, CodeRecord, read_codes, write_atomically
from demo_jax.checkpoint import BUNDLED, load_model
from demo_jax.evaluation import protocols
from demo_jax.sampling.pipeline import Pipeline
from demo_jax.typing import CommandParser, exits_with_two

PROTOCOLS = ("reconstruction", "lip_sync", "holding", "control")


def choose(count: int, most: int, seed: int = 0) -> list[int]:
    """At most `most` of `count` indices, the same ones every time."""
    return sorted(np.random.default_rng(seed).permutation(count)[:most].tolist())


def clip_records(data: str, split: str, most: int) -> list[ClipRecord]:
    """Pieces of real speech, without the takes of puppet sets."""
    records = open_records(data, split)
    plain = [i for i, piece in enumerate(records.pieces) if not piece.variant]
    return [records[plain[i]] for i in choose(len(plain), most)]


def code_records(codes: str, split: str, most: int) -> list[CodeRecord]:
    paths = code_paths(codes, split)
    return [read_codes(paths[i]) for i in choose(len(paths), most)]


@exits_with_two
def main(argv: list[str] | None = None) -> None:
    parser = CommandParser(
        prog="python -m demo_jax.evaluation.report",
        description="Measures a checkpoint on held-out clips: reconstruction, lip sync, whether held factors hold "
        "still, and the gain of pose controls. Holding and control need the prepare extra.",
        epilog="Example: python -m demo_jax.evaluation.report --data data/puppet --codes data/puppet_codes "
        "--out out/report.json",
    )
    parser.add_argument(
        "--checkpoint", default=str(BUNDLED), help="work directory or published model (the bundled one)"
    )
    parser.add_argument("--data", required=True, help="corpus of clip records, as for stage 1")
    parser.add_argument("--codes", required=True, help="codes of the same corpus by the checkpoint's auto-encoder")
    parser.add_argument("--out", required=True, help="JSON file to write")
    parser.add_argument("--split", default="test")
    parser.add_argument("--clips", type=int, default=40, help="most clips or pieces of each protocol (40)")
    parser.add_argument("--only", choices=PROTOCOLS, action="append", help="run only this one; may be repeated")
    args = parser.parse_args(argv)

    model = load_model(args.checkpoint)
    pipeline = Pipeline(model)
    spoken = code_records(args.codes, args.split, args.clips)
    few = spoken[: max(1, args.clips // 5)]  # frames are rendered and searched for faces: dear
    run: dict[str, Callable[[], protocols.Table]] = {
        "reconstruction": lambda: protocols.reconstruction(model, clip_records(args.data, args.split, args.clips)),
        "lip_sync": lambda: protocols.lip_sync(pipeline, spoken),
        "holding": lambda: protocols.holding(pipeline, few),
        "control": lambda: protocols.control_response(pipeline, few),
    }
    results = {name: run[name]() for name in (args.only or PROTOCOLS)}
    about = {
        "checkpoint": Path(args.checkpoint).name,
        "autoencoder_fingerprint": model.meta.get("autoencoder_fingerprint"),
        "data_fingerprint": model.meta.get("data_fingerprint"),
        "split": args.split,
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
        "machine": platform.machine(),
    }
    write_atomically(Path(args.out), json.dumps({"about": about, "results": results}, indent=2).encode())
    for name, table in results.items():
        print(f"\n{name}")
        for figure, value in table.items():
            print(f"  {figure:40s} {value['mean']:9.3f} +- {value['error']:.3f}  (n = {value['count']})")


if __name__ == "__main__":
    raise SystemExit(main())
