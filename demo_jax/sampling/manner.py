"""How generated motion is shown on a portrait: as it was generated on a puppet, a little less of it on a photograph.

The flow has learned puppets' motion. People open their mouths less, and a photograph must not jump at the first frame.
Only generated motion is changed, never what a control gives.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Float32

from demo_jax.constants import FPS
from demo_jax.factors import CALIBRATED_NAMES, FactorLayout


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manner:
    """What is changed of generated motion.

    aperture  multiplier of the lips' aperture
    settle    seconds in which motion that begins at the portrait becomes the generated one; 0: it begins there
    """

    aperture: float = 1.0
    settle: float = 0.0

    @property
    def settling(self) -> int:
        """Frames until then."""
        return round(self.settle * FPS)


SQUARE = Manner()
PHOTOGRAPH = Manner(aperture=0.75, settle=0.6)


class AppliedManner:
    """A manner, applied to the codes of one portrait from the first on, part by part."""

    def __init__(
        self,
        manner: Manner,
        portrait_code: Float[np.ndarray, " K"],
        layout: FactorLayout,
        given: Bool[np.ndarray, "settling K"],
    ) -> None:
        """`given` are the entries that controls give in the first `manner.settling` frames. By the first of them
        generated motion has settled, since it was generated to lead there."""
        self._manner, self._portrait_code = manner, portrait_code
        self._aperture = layout.calibrated[CALIBRATED_NAMES.index("aperture")]
        self._settled = np.where(given.any(0), given.argmax(0), len(given)) if len(given) else 0  # frames
        self._first: Float[np.ndarray, " K"] | None = None

    def __call__(self, codes: Float[np.ndarray, "n K"], start: int) -> Float[np.ndarray, "n K"]:
        """Returns the codes to show of generated, raw ones, frames start .. start + n - 1."""
        manner = self._manner
        if manner == SQUARE:
            return codes
        codes = np.array(codes, np.float32)
        codes[:, self._aperture] *= manner.aperture
        if self._first is None:
            self._first = (self._portrait_code - codes[0]).astype(np.float32)
        frame = start + np.arange(len(codes))[:, None]
        remaining = np.clip(1 - frame / np.maximum(self._settled, 1), 0, 1) * (self._settled > 0)
        return codes + _smooth(remaining) * self._first


def _smooth(x: Float[np.ndarray, "n K"]) -> Float32[np.ndarray, "n K"]:
    return (x * x * (3 - 2 * x)).astype(np.float32)
