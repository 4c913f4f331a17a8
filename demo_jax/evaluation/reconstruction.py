"""Reconstruction: true frames against what an auto-encoder renders from a source and their own motion codes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import simplejpeg
from tqdm import tqdm

from data_pipelines.loading.examples import decode_frame
from data_pipelines.records.schema import ClipRecord
from demo_jax.evaluation.metrics import images as image_metrics
from demo_jax.evaluation.metrics.motion import mean_and_error
from demo_jax.evaluation.reenactor import Reenactor

Table = dict[str, dict[str, float]]


def reconstruction(reenactor: Reenactor, records: Sequence[ClipRecord]) -> Table:
    """Returns mean, standard error and count of each metric, with one value per segment.

    The first frame of a segment is the source; the others are rendered from their own codes. PSNR over the frame, the
    face (around the 68 landmarks) and the mouth box; SSIM and sharpness over the frame; flicker where the truth is
    static. The baseline *_copy shows the source in place of the rendered frame; flicker_truth is the truth's own.
    """
    found: dict[str, list[float]] = {}
    for record in tqdm(records, desc="reconstruction", unit="segment"):
        frames = np.stack([decode_frame(f, reenactor.size) for f in record.frames])
        if len(frames) < 2:
            continue
        made = reenactor.decode(reenactor.source(frames[0]), reenactor.encode(frames))
        scale = reenactor.size / simplejpeg.decode_jpeg_header(record.frames[0])[0]
        boxes, landmarks = record.boxes * scale, record.landmarks * scale
        rows: dict[str, list[float]] = {}
        for t in range(1, len(frames)):
            face = np.concatenate([landmarks[t].min(0), landmarks[t].max(0)])
            for suffix, image in (("", made[t]), ("_copy", frames[0])):
                for name, box in (("frame", None), ("face", face), ("mouth", boxes[t, 0])):
                    rows.setdefault(f"psnr_{name}{suffix}", []).append(image_metrics.psnr(image, frames[t], box))
                rows.setdefault(f"ssim{suffix}", []).append(image_metrics.ssim(image, frames[t]))
            rows.setdefault("sharpness_ratio", []).append(image_metrics.sharpness_ratio(made[t], frames[t]))
        for name, values in rows.items():
            found.setdefault(name, []).append(float(np.mean(values)))
        ours, truth = image_metrics.flicker(made[1:], frames[1:])
        if np.isfinite(ours) and not record.variant:  # where factors jump, a change is no flicker
            found.setdefault("flicker", []).append(ours)
            found.setdefault("flicker_truth", []).append(truth)
    return {name: mean_and_error(values) for name, values in found.items()}
