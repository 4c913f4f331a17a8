"""What must not change in a video made from a photograph: the portrait while every factor is frozen, and everything
outside the region that the head can reach. Frames and photograph are uint8 [.., H, W, 3] of one size."""

from __future__ import annotations

import numpy as np

from demo_jax.constants import LUMA
from demo_jax.errors import InputError
from demo_jax.evaluation.metrics.images import psnr, region

BT709 = np.array(LUMA)  # what H.264 stores at full resolution; its chroma is halved


def portrait_psnr(
    frames: np.ndarray, photograph: np.ndarray, box: np.ndarray, of_luma: bool = False
) -> dict[str, float]:
    """Returns the PSNR in dB of frames at rest against the photograph within a box: the least and the mean over frames.

    10 log10(255^2 / mean (frame - photograph)^2) of each frame, at most 88.1.

    Args:
      frames: [T, H, W, 3]. A video pads odd sizes by a row or a column: cut it off first.
      photograph: [H, W, 3].
      box: around the head, x0 y0 x1 y1 in pixels.
      of_luma: compares BT.709 luma, for frames decoded from a video, whose chroma was reduced.
    """
    check_sizes(frames, photograph)
    compare = luma_709 if of_luma else np.asarray
    truth = compare(photograph)
    values = [psnr(compare(frame), truth, box) for frame in frames]
    return {"min": float(np.min(values)), "mean": float(np.mean(values))}


def luma_709(image: np.ndarray) -> np.ndarray:
    """Returns the luma (BT.709) of images [.., 3] as float64 [..]."""
    return image.astype(np.float64) @ BT709


def change_outside(frames: np.ndarray, reference: np.ndarray, inside: np.ndarray) -> dict[str, float]:
    """Returns how far frames differ from a reference outside a mask.

    Args:
      frames: [T, H, W, 3].
      reference: the photograph [H, W, 3]; or frames [T, H, W, 3], such as those without a blink, where `inside` covers
        the eye patches.
      inside: bool [H, W] or [T, H, W], where change is allowed.

    Returns:
      max: the largest absolute difference, in levels of 255. share: of all pixels outside the mask, those that differ
      in any channel. Both NaN if the mask covers everything.
    """
    check_sizes(frames, reference)
    largest, differing, count = 0, 0, 0
    for t, frame in enumerate(frames):
        other = reference[t] if reference.ndim == 4 else reference
        outside = ~(inside[t] if inside.ndim == 3 else inside)
        difference = np.abs(frame.astype(np.int16) - other.astype(np.int16)).max(-1)[outside]
        count += difference.size
        differing += int(np.count_nonzero(difference))
        largest = max(largest, int(difference.max(initial=0)))
    if count == 0:
        return {"max": float("nan"), "share": float("nan")}
    return {"max": float(largest), "share": differing / count}


def boxes_mask(boxes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Returns a bool mask [H, W] of the pixels that boxes [N, 4] (x0 y0 x1 y1, pixels) touch, such as the eye patches.
    `shape` begins with H, W."""
    mask = np.zeros(shape[:2], bool)
    for box in boxes:
        mask[region(box, (shape[0], shape[1]))] = True
    return mask


def check_sizes(frames: np.ndarray, reference: np.ndarray) -> None:
    """Raises InputError if frames [T, H, W, 3] and a reference [(T,) H, W, 3] do not match, or there is no frame."""
    wanted = frames.shape if reference.ndim == 4 else frames.shape[1:]
    if len(frames) == 0 or reference.shape != wanted:
        raise InputError(
            f"frames {frames.shape} cannot be compared with an image {reference.shape}; give at least one frame, all "
            "of the image's size."
        )
