"""What the motion encoder reads in images of people, against their records: python -m benchmarks.encoder_readings

Records of held-out video have the landmarker's numbers (`data_pipelines.prepare`), photo-puppets exact ones
(`data_pipelines.photo_puppets --split test`). For each calibrated number of a code: R² and gain (the slope of what is
read over the truth), over all frames; the same within a person, where what is constant to a person counts as right; and
`person`, the share of the truth's variance that errors constant to a person have. For landmarks: the mean distance of
the decoder's points from true ones, and the R² of the change of mouth, eyes and brows between two frames of a clip in
the head's place (face widths), where 0 is no motion at all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from tqdm import tqdm

from benchmarks.common import make_parser, print_json, write_json
from data_pipelines.loading.examples import decode_frame
from data_pipelines.records.catalog import open_records
from demo_jax.checkpoint.load import BUNDLED, load_any
from demo_jax.cli import cli_main
from demo_jax.evaluation.reenactor import Reenactor
from demo_jax.factors import CALIBRATED_NAMES, calibrated_code

PARTS = {"mouth": slice(48, 68), "eyes": slice(36, 48), "brows": slice(17, 27)}


def read_corpus(reader: Reenactor, folder: str, split: str, frames: int) -> dict[str, np.ndarray]:
    """Reads `frames` frames of each record, evenly spaced; the first is the source of all."""
    records = open_records(folder, split)
    rows: dict[str, list[np.ndarray]] = {
        name: [] for name in ("truth", "read", "marks", "true_marks", "person", "unit")
    }
    for record in tqdm([records[i] for i in range(len(records))], desc=Path(folder).name):
        at = np.unique(np.linspace(0, record.length - 1, frames).round().astype(int))
        at = at[record.confidence[at] > 0]
        if len(at) < 2:
            continue
        images = np.stack([decode_frame(record.frames[t], reader.size) for t in at])
        codes = reader.encode(images)
        true = record.landmarks[at] * (reader.size / simplejpeg.decode_jpeg_header(record.frames[0])[0])
        rows["truth"].append(calibrated_code(record.lips[at], record.pose[at], record.gaze[at]))
        rows["read"].append(codes[:, reader.layout.calibrated])
        rows["marks"].append(reader.landmarks(reader.source(images[0]), codes))
        rows["true_marks"].append(np.stack([np.repeat(true[:1], len(at), 0), true], 1))
        rows["person"].append(np.full(len(at), record.speaker_id))
        rows["unit"].append(reader.size * np.exp(-record.pose[at, 5]))
    return {name: np.concatenate(parts) for name, parts in rows.items()}


def agreement(truth: np.ndarray, read: np.ndarray, person: np.ndarray) -> dict[str, float]:
    """Figures of one number."""

    def r2(t: np.ndarray, r: np.ndarray) -> float:
        return float(1 - np.square(r - t).mean() / np.var(t))

    def centred(x: np.ndarray) -> np.ndarray:
        return x - np.array([x[person == p].mean() for p in person])

    t, r = centred(truth), centred(read)
    error = read - truth
    bias = np.array([error[person == p].mean() for p in person])
    return {
        "r2": r2(truth, read),
        "gain": float(np.polyfit(truth, read, 1)[0]),
        "correlation": float(np.corrcoef(truth, read)[0, 1]),
        "r2_within": r2(t, r),
        "gain_within": float(np.polyfit(t, r, 1)[0]),
        "person": float(np.var(bias) / np.var(truth)),
    }


def figures(found: dict[str, np.ndarray]) -> dict[str, Any]:
    """All figures of one corpus."""
    table = {
        name: agreement(found["truth"][:, i], found["read"][:, i], found["person"])
        for i, name in enumerate(CALIBRATED_NAMES)
    }
    unit = found["unit"][:, None, None]
    distance = np.linalg.norm(found["marks"][:, 1] - found["true_marks"][:, 1], axis=-1) / unit[..., 0]
    changes = {}
    for part, points in PARTS.items():
        true, made = (_shape(found[name][:, :, points]) / unit for name in ("true_marks", "marks"))
        changes[part] = float(1 - np.square(made - true).sum() / np.square(true).sum())
    return {
        "frames": len(found["truth"]), "people": len(set(found["person"])), "numbers": table,
        "landmarks_percent": float(100 * distance.mean()), "change_r2": changes,
    }  # fmt: skip


def _shape(marks: np.ndarray) -> np.ndarray:
    """The change of a part's points between two frames [N, 2, P, 2], without its own movement."""
    inside = marks - marks.mean(2, keepdims=True)
    return inside[:, 1] - inside[:, 0]


@cli_main
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__, prog="python -m benchmarks.encoder_readings")
    parser.add_argument("--checkpoint", nargs="+", default=[str(BUNDLED)], help="models, one table each")
    parser.add_argument("--data", nargs="+", required=True, help="folders of clip records")
    parser.add_argument("--split", default="test")
    parser.add_argument("--frames", type=int, default=8, help="of each record")
    parser.add_argument("--out", type=Path, help="json to write")
    args = parser.parse_args(argv)
    results: dict[str, Any] = {}
    for checkpoint in args.checkpoint:
        reader = Reenactor(load_any(checkpoint))
        for folder in args.data:
            name = f"{Path(checkpoint).name}/{Path(folder).name}"
            results[name] = figures(read_corpus(reader, folder, args.split, args.frames))
            if args.out:
                write_json(args.out, results)
    print_json("encoder_readings", results)


if __name__ == "__main__":
    main()
