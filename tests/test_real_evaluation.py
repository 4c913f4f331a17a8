"""Poses of real video, measured by MediaPipe on a photograph that is turned in the image plane."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from demo_jax.errors import InputError
from demo_jax.evaluation import real
from demo_jax.evaluation.report import build
from demo_jax.evaluation.report.page import page
from demo_jax.evaluation.report.thresholds import targets
from demo_jax.factors import FactorLayout

SIZE = 128
LAYOUT = FactorLayout(lip=3, pose=6, gaze=4, residual=0)


def photograph() -> Image.Image:
    from skimage.data import astronaut

    return Image.fromarray(astronaut()).crop((100, 0, 350, 250)).resize((SIZE, SIZE), Image.Resampling.BOX)


def turned(roll: float) -> np.ndarray:
    """Roll > 0: the head's top goes to image left, as in an image turned counter-clockwise."""
    return np.asarray(photograph().rotate(roll, Image.Resampling.BICUBIC, fillcolor=(128, 128, 128)))


class Turner:
    """An auto-encoder that recognises images by their roll, and turns only half as far."""

    size, layout = SIZE, LAYOUT

    def __init__(self, rolls: np.ndarray) -> None:
        self.known = {turned(r).tobytes()[:3000]: r for r in rolls}

    def encode(self, images: np.ndarray) -> np.ndarray:
        codes = np.zeros((len(images), LAYOUT.size), np.float32)
        codes[:, LAYOUT.slices["pose"].start + 2] = [self.known[image.tobytes()[:3000]] for image in images]
        return codes

    def source(self, image: np.ndarray) -> None:
        del image

    def decode(self, source: None, codes: np.ndarray) -> np.ndarray:
        return np.stack([turned(c[LAYOUT.slices["pose"].start + 2] / 2) for c in codes])


def clip(rolls: np.ndarray, yaw_spread: float = 6.0) -> SimpleNamespace:
    frames = []
    for roll in rolls:
        buffer = io.BytesIO()
        Image.fromarray(turned(roll)).save(buffer, "jpeg", quality=95, subsampling=0)
        frames.append(buffer.getvalue())
    yaw = np.linspace(-2, 2, len(rolls)) * yaw_spread
    return SimpleNamespace(frames=frames, pose=np.column_stack([yaw, np.zeros((len(rolls), 5))]), length=len(rolls))


def test_half_a_roll_is_measured_as_half(monkeypatch):
    rolls = np.array([0.0, -14, -7, 7, 14, 10])
    # Frames are decoded from JPEG; the turner knows the images before compression.
    monkeypatch.setattr(real, "decode_frame", lambda data, size: turned(rolls[record.frames.index(data)]))
    record = clip(rolls)
    found = real.pose(Turner(rolls), [record])
    roll = found["poses"]["roll"]
    assert found["frames"] == 5 and found["face_found"] == 1
    assert roll["gain"] == pytest.approx(0.5, abs=0.06)  # the landmarker's own degree of noise over 28 degrees
    truth = np.abs(rolls[1:])
    assert roll["mae"] == pytest.approx(truth.mean() / 2, rel=0.15)
    assert roll["mae_constant"] == pytest.approx(truth.mean(), rel=0.15)
    leakage = real.leakage(Turner(rolls), [record], seed=0, each=6)
    assert leakage["rows"] == ["lip", "pose", "gaze"] and leakage["columns"] == ["pose", "lip"]
    assert leakage["model"][0, 0] == leakage["model"][2, 0] == 0  # a swap of lip or gaze moves nothing here


class Noise(Turner):
    """An untrained auto-encoder: its images show no face."""

    def encode(self, images: np.ndarray) -> np.ndarray:
        return np.zeros((len(images), LAYOUT.size), np.float32)

    def decode(self, source: None, codes: np.ndarray) -> np.ndarray:
        return np.random.default_rng(0).integers(0, 256, (len(codes), SIZE, SIZE, 3)).astype(np.uint8)


def test_images_without_a_face_are_reported_as_not_measured():
    record, reenactor = clip(np.array([0.0, -14, -7, 7, 14, 10])), Noise(np.zeros(0))
    results = {
        "real_pose": real.pose(reenactor, [record]),
        "real_leakage": real.leakage(reenactor, [record], 0, each=4),
    }
    assert results["real_pose"]["face_found"] == 0 and results["real_pose"]["frames"] == 0
    figures = [value for row in results["real_pose"]["poses"].values() for value in row.values()]
    assert len(figures) == 25 and np.isnan(figures).all() and np.isnan(results["real_leakage"]["model"]).all()
    results = json.loads(json.dumps(build.plain(results), allow_nan=False))  # as the report caches them
    summary = targets(results)
    assert len(summary) == 7 and all(t.reached is None for t in summary)
    about = {"checkpoint": "noise", "kind": "auto-encoder", "size": SIZE, "corpus": "real", "split": "test", "seed": 0}
    html = page({"about": about, "results": results}, summary, [])
    assert html.count("not measured") == 7 and ">nan" not in html
    assert ("real_pose/poses/yaw/gain", None) in build.rows_of(results)


def test_clips_that_hardly_turn_are_refused():
    with pytest.raises(InputError, match="4 degrees"):
        real.turning_clips([clip(np.zeros(6), yaw_spread=0.5)])
