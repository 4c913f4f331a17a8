"""Independent motion: every factor of every frame is drawn on its own, over its whole range.

In speech factors depend on each other and on the frame before. Measuring what an encoder represents of one factor, and
its leakage of another, needs frames in which no factor can be predicted from another.
"""

from __future__ import annotations

import numpy as np

from data_pipelines.puppet.motion.face_motion import REST_POSE, WIDE_GAZE, WIDE_POSE, Motion, assemble, random_lips
from demo_jax.factors import ARKIT_INDEX, ARKIT_NAMES, columns_of

_APART = 50  # frames of random_lips between two samples: by then they are independent


def independent_motion(rng: np.random.Generator, spoken: np.ndarray, frames: int) -> Motion:
    """Returns `frames` independent frames whose factors are independent of each other.

    Args:
      spoken: [N, 52] mouths of speech; half of the frames use one of them, the others a mouth that speech never makes.
    """
    of_pose, of_gaze, of_lips, of_residual = rng.spawn(4)
    pose = REST_POSE + of_pose.uniform(-1, 1, (frames, 6)) * WIDE_POSE
    eyes = np.pad(of_gaze.uniform(-1, 1, (frames, 2)) * WIDE_GAZE, ((0, 0), (0, 1)))
    rest = _lids(of_gaze, frames) + _rest(of_residual, frames)
    unspoken = random_lips(of_lips, frames * _APART)[::_APART]
    lips = np.where(of_lips.random((frames, 1)) < 0.5, spoken[of_lips.integers(len(spoken), size=frames)], unspoken)
    return assemble(pose, eyes, lips, rest)


def _lids(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Returns [T, 52]: open, half-closed and closed eyes, mostly both alike; sometimes wide or narrowed."""
    out = np.zeros((frames, len(ARKIT_NAMES)))
    blink = np.where(rng.random((frames, 2)) < 0.4, 0.0, rng.random((frames, 2)))
    blink[:, 1] = np.where(rng.random(frames) < 0.7, blink[:, 0], blink[:, 1])
    for name, share in (("Wide", 0.3), ("Squint", 0.3)):
        amount = rng.random(frames) * (rng.random(frames) < share)
        for side in ("Left", "Right"):
            out[:, ARKIT_INDEX[f"eye{name}{side}"]] = amount
    out[:, ARKIT_INDEX["eyeBlinkLeft"]], out[:, ARKIT_INDEX["eyeBlinkRight"]] = blink.T
    return out


def _rest(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Returns [T, 52]: a few of the residual's coefficients in each frame, mostly the same on both sides."""
    out = np.zeros((frames, len(ARKIT_NAMES)))
    single = columns_of("residual")
    out[:, single] = rng.random((frames, len(single))) * (rng.random((frames, len(single))) < 0.25)
    alike = rng.random(frames) < 0.7
    for name in (n for n in ARKIT_NAMES if n.endswith("Left") and ARKIT_INDEX[n] in single):
        other = ARKIT_INDEX[name.removesuffix("Left") + "Right"]
        out[alike, other] = out[alike, ARKIT_INDEX[name]]
    return out
