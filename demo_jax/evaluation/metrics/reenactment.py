"""Self-reenactment: one frame of a video is the source, the others' motion drives it, and they are the truth.

Two scores frame the figure: the baseline copies the source to every frame, the ceiling is drawn with the true
landmarks given.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from demo_jax.evaluation.metrics.images import psnr


def gap_closed(score: float, baseline: float, ceiling: float) -> float:
    """Returns (score - baseline) / (ceiling - baseline): 0 is no better than the baseline, 1 as good as the ceiling;
    below 0 and above 1 are possible. NaN if the ceiling is not above the baseline."""
    return (score - baseline) / (ceiling - baseline) if ceiling > baseline else float("nan")


def mean_psnr(frames: np.ndarray, truth: np.ndarray, boxes: np.ndarray) -> float:
    """Returns the mean over frames of the PSNR in dB within each frame's box.

    Args:
      frames, truth: uint8 [T, H, W, 3].
      boxes: [T, 4] of the face or the mouth in the true frames, x0 y0 x1 y1 in pixels; frames whose box is NaN (no
        face was found) are left out.
    """
    values = [psnr(f, t, box) for f, t, box in zip(frames, truth, boxes, strict=True) if np.isfinite(box).all()]
    return float(np.mean(values)) if values else float("nan")


def landmark_box(landmarks: np.ndarray, margin: np.ndarray) -> np.ndarray:
    """Returns the boxes [T, 4] (x0 y0 x1 y1) around landmarks [T, P, 2], enlarged on each side by margin [T] pixels. Of
    the 68 landmarks, all give the face's box, `faces.measures.MOUTH` the mouth's."""
    return np.concatenate([landmarks.min(1) - margin[:, None], landmarks.max(1) + margin[:, None]], -1)


def landmark_error(read: np.ndarray, truth: np.ndarray, face_width: np.ndarray) -> float:
    """Returns the mean distance of landmarks from the true ones over the face width (0.02 is 2 %).

    Args:
      read, truth: [T, P, 2] pixels; frames with NaN in either are left out.
      face_width: [T] pixels, in the true frames.
    """
    return float(np.nanmean(np.linalg.norm(read - truth, axis=-1).mean(-1) / face_width))


def identity_similarity(
    frames: np.ndarray, source: np.ndarray, embed: Callable[[np.ndarray], np.ndarray]
) -> dict[str, float]:
    """Returns the cosine similarity of frames to their own source under an embedding: the least and the mean.

    No embedding of faces comes with this project: none that was trained elsewhere is among its dependencies, and one
    trained here would judge its own relatives. The caller brings one, and uses it only to compare a frame with the
    frame's own source.

    Args:
      frames: uint8 [T, H, W, 3].
      source: uint8 [H, W, 3].
      embed: image -> vector [D].
    """
    own = np.asarray(embed(source), np.float64)
    cosines = []
    for frame in frames:
        other = np.asarray(embed(frame), np.float64)
        cosines.append(float(own @ other / max(float(np.linalg.norm(own) * np.linalg.norm(other)), 1e-12)))
    return {"min": float(np.min(cosines)), "mean": float(np.mean(cosines))}
