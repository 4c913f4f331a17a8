"""Generation metrics: experiments on what stage 2 generates.

Each takes a pipeline and held-out code records and returns mean, standard error and count by name. Every number comes
with its baseline (shuffled speech, everything generated) and its ceiling (the auto-encoder's estimate from true
frames). The values that a checkpoint should reach are in `demo_jax.evaluation.report.thresholds`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from data_pipelines.loading.examples import decode_frame
from data_pipelines.records.schema import CodeRecord
from demo_jax.constants import SAMPLES_PER_FRAME
from demo_jax.evaluation.metrics.motion import (
    RIGID_LANDMARKS,
    best_lag,
    contains_speech,
    correlation,
    mean_and_error,
    spread,
)
from demo_jax.factors import CALIBRATED_NAMES
from demo_jax.sampling.controls import Controls
from demo_jax.sampling.options import DEFAULTS, Options
from demo_jax.sampling.pipeline import Pipeline

Table = dict[str, dict[str, float]]
APERTURE = CALIBRATED_NAMES.index("aperture")


def lip_sync(pipeline: Pipeline, records: Sequence[CodeRecord], options: Options = DEFAULTS) -> Table:
    """Returns how the aperture generated from speech follows the true one, with another recording's speech as baseline.

    Records without speech do not count. The ceiling is the encoder's estimate from the true frames. Lag > 0 means that
    the lips are late.
    """
    found: dict[str, list[float]] = {}
    records = [record for record in records if contains_speech(record.waveform)]
    coordinate = int(pipeline.layout.calibrated[APERTURE])
    for i, record in enumerate(tqdm(records, desc="lip sync", unit="clip")):
        truth, encoded = record.truth[:, APERTURE], record.codes[:, coordinate]
        source = record.codes[0]
        # With a single recording the baseline is its own audio, shifted by half its length.
        other = (
            records[(i + 1) % len(records)].waveform
            if len(records) > 1
            else np.roll(record.waveform, len(record.waveform) // 2)
        )
        other = np.resize(other, len(record.waveform))
        made, shuffled = (
            np.concatenate(list(pipeline.motion(source, speech, options=options)))[:, coordinate]
            for speech in (record.waveform, other)
        )
        lag, _ = best_lag(made, truth)
        row = {
            "aperture_correlation": correlation(made, truth),
            "aperture_correlation_shuffled": correlation(shuffled, truth),
            "aperture_correlation_encoder": correlation(encoded, truth),
            "aperture_lag_frames": float(lag),
            "aperture_spread_ratio": float(made.std() / max(truth.std(), 1e-6)),
        }
        for name, value in row.items():
            found.setdefault(name, []).append(value)
    return {name: mean_and_error(values) for name, values in found.items()}


def holding(pipeline: Pipeline, records: Sequence[CodeRecord], seconds: float = 4.0) -> Table:
    """Returns how still frozen factors are in the rendered frames, measured by MediaPipe's landmarks (`prepare` extra).

    Pose: spread of the rigid landmarks in hundredths of the face width, with everything generated and with pose frozen.
    Lip and gaze: standard deviation of the inner-lip gap and of the left lid gap, in the same unit, with pose frozen
    (so that a turning head does not move them) and with lip or gaze frozen too. What remains when a factor is frozen is
    the landmarker's noise and the effect of other factors on these points; with all frozen the frames are equal.
    """
    from demo_jax.faces.landmarker import FaceFinder

    cases = {
        "generated": Controls(),
        "pose_held": Controls.parse(hold=["pose"]),
        "pose_lip_held": Controls.parse(hold=["pose,lip"]),
        "pose_gaze_held": Controls.parse(hold=["pose,gaze"]),
        "all_held": Controls.parse(hold=["lip,pose,gaze,residual"]),
    }
    found: dict[str, list[float]] = {}
    with FaceFinder(most=1) as finder:
        for record in tqdm(records, desc="holding", unit="clip"):
            portrait = decode_frame(record.portrait.tobytes(), pipeline.size)
            speech = record.waveform[: int(seconds * 25) * SAMPLES_PER_FRAME]
            for case, controls in cases.items():
                frames = np.stack([image for image, _ in pipeline.frames(portrait, speech, controls)])
                points = _landmarks(frames, finder)
                if points is None:
                    continue
                for name, value in points.items():
                    found.setdefault(f"{name}/{case}", []).append(value)
                found.setdefault(f"pixels/{case}", []).append(float(frames.astype(np.float64).std(0).mean()))
    return {name: mean_and_error(values) for name, values in found.items()}


def control_response(pipeline: Pipeline, records: Sequence[CodeRecord]) -> Table:
    """Returns the gain of +10 degrees of yaw, pitch and roll, by MediaPipe's fitted pose of the rendered frames: 1 is
    exact."""
    from demo_jax.faces.landmarker import FaceFinder, canonical_face, find_model
    from demo_jax.faces.measures import fit_rigid
    from demo_jax.factors import euler_angles

    canonical = canonical_face(find_model())
    found: dict[str, list[float]] = {}
    frozen = "lip,gaze,residual,pose"
    with FaceFinder(most=1) as finder:
        for record in tqdm(records, desc="control", unit="clip"):
            portrait = decode_frame(record.portrait.tobytes(), pipeline.size)
            speech = record.waveform[:SAMPLES_PER_FRAME]
            angles = {}
            for name, settings in {"0": [], "yaw": ["yaw=+10"], "pitch": ["pitch=+10"], "roll": ["roll=+10"]}.items():
                controls = Controls.parse(hold=[frozen], set=settings)
                image = next(iter(pipeline.frames(portrait, speech, controls)))[0]
                faces = finder(_enlarged(image))
                if faces:
                    rotation = fit_rigid(faces[0].points[None], canonical)[1]
                    angles[name] = np.ravel(euler_angles(rotation))
            for i, name in enumerate(("yaw", "pitch", "roll")):
                if name in angles and "0" in angles:
                    found.setdefault(f"gain_{name}", []).append(float(angles[name][i] - angles["0"][i]) / 10)
    return {name: mean_and_error(values) for name, values in found.items()}


def _landmarks(frames: np.ndarray, finder) -> dict[str, float] | None:
    """Returns the spreads of `holding` in one clip, or None if a face was found in less than 80 % of its frames."""
    from demo_jax.faces.measures import LANDMARKS_68

    points = []
    for frame in frames:
        faces = finder(_enlarged(frame))
        if faces:
            points.append(faces[0].points[list(LANDMARKS_68)][:, :2] / faces[0].width)
    if len(points) < 0.8 * len(frames):  # too few faces found in this clip to measure it
        return None
    array = np.stack(points)
    gap = np.linalg.norm(array[:, 62] - array[:, 66], axis=-1)
    lids = np.linalg.norm(array[:, 43] - array[:, 47], axis=-1)
    return {
        "rigid_spread_percent": 100 * spread(array, RIGID_LANDMARKS),
        "lip_gap_percent": 100 * float(gap.std()),
        "lid_gap_percent": 100 * float(lids.std()),
    }


def _enlarged(image: np.ndarray, size: int = 256) -> np.ndarray:
    """Returns the image at the size the landmarker was made for."""
    from PIL import Image

    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))
