"""What of a person moves with the head: all above the chin's level, and the neck, fading into the torso."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32

NECK, NECK_EDGE, FADE = 1.1, 0.1, 0.35  # face widths: half the neck's width, its soft edge, the fade below the chin
CHINS = np.linspace(0.5, 1.2, 141)  # face widths below the centre: where a chin may be (portraits: 0.68 to 0.90)


def head_share(
    across: Float[np.ndarray, "*axes"], below: Float[np.ndarray, "*axes"], chin: float
) -> Float32[np.ndarray, "*axes"]:
    """Returns the part, 0 to 1, of a person's pixel that moves with the head.

    It is all of the person above the chin's level, and below it what is within NECK of the neck's axis, fading to 0
    over FADE. Hair that falls lower follows the torso.

    Args:
      across, below: place relative to the point between the ears, in the head's axes and in face widths.
      chin: the chin's `below`.
    """
    fade = np.clip(1 - (below - chin) / FADE, 0, 1)
    neck = np.clip((NECK + NECK_EDGE / 2 - np.abs(across)) / NECK_EDGE, 0, 1)
    return np.where(below <= chin, 1.0, fade * neck).astype(np.float32)


def fit_chin(share: Float[np.ndarray, " N"], below: Float[np.ndarray, " N"], weight: Float[np.ndarray, " N"]) -> float:
    """Returns the chin whose fade is nearest to an estimated share at places on the neck, in least squares."""
    fades = np.clip(1 - (below[None] - CHINS[:, None]) / FADE, 0, 1)
    return float(CHINS[np.argmin(((fades - share[None]) ** 2 * weight[None]).sum(1))])
