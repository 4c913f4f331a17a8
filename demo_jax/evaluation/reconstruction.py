"""How well an auto-encoder draws true frames again from a source and their own motion codes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import simplejpeg
from tqdm import tqdm

from data_pipelines.loading.examples import decode_frame
from data_pipelines.records.schema import ClipRecord
from demo_jax.evaluation.metrics import images as measures
from demo_jax.evaluation.metrics.motion import mean_and_error
from demo_jax.evaluation.reenactor import Reenactor

Table = dict[str, dict[str, float]]


def reconstruction(reenactor: Reenactor, records: Sequence[ClipRecord]) -> Table:
    """Each piece's first frame is the source; the others are drawn from their own codes. One value a piece.

    PSNR over the frame, the face (around the 68 landmarks) and the mouth box, SSIM and sharpness over the frame,
    flicker where the truth stands still; *_copy is the source instead of the drawing, flicker_truth the truth's own.
    """
    found: dict[str, list[float]] = {}
    for record in tqdm(records, desc="reconstruction", unit="piece"):
        frames = np.stack([decode_frame(f, reenactor.size) for f in record.frames])
        if len(frames) < 2:
            continue
        made = reenactor.decode(reenactor.source(frames[0]), reenactor.encode(frames))
        scale = reenactor.size / simplejpeg.decode_jpeg_header(record.frames[0])[0]
        boxes, landmarks = record.boxes * scale, record.landmarks * scale
        rows: dict[str, list[float]] = {}
        for t in range(1, len(frames)):
            face = np.concatenate([landmarks[t].min(0), landmarks[t].max(0)])
            for suffix, picture in (("", made[t]), ("_copy", frames[0])):
                for name, box in (("frame", None), ("face", face), ("mouth", boxes[t, 0])):
                    rows.setdefault(f"psnr_{name}{suffix}", []).append(measures.psnr(picture, frames[t], box))
                rows.setdefault(f"ssim{suffix}", []).append(measures.ssim(picture, frames[t]))
            rows.setdefault("sharpness_ratio", []).append(measures.sharpness_ratio(made[t], frames[t]))
        for name, values in rows.items():
            found.setdefault(name, []).append(float(np.mean(values)))
        ours, truth = measures.flicker(made[1:], frames[1:])
        if np.isfinite(ours) and not record.variant:  # where factors jump, nothing is a flicker
            found.setdefault("flicker", []).append(ours)
            found.setdefault("flicker_truth", []).append(truth)
    return {name: mean_and_error(values) for name, values in found.items()}
