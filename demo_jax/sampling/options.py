"""Options of the sampler: seed, solver steps, guidance, emotion. The defaults are the command's."""

from __future__ import annotations

import dataclasses
import math
from typing import no_type_check

from demo_jax.constants import FPS
from demo_jax.errors import InputError
from demo_jax.factors import EMOTIONS
from demo_jax.flow import ode

MAX_STEPS, MAX_SCALE = 1000, 20.0


@no_type_check  # at run time: values from JSON may have any type, and __post_init__ checks them
@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Options of the sampler. Raises InputError for impossible values."""

    seed: int = 0
    steps: int = 10  # solver steps
    solver: str = "euler"  # one of ode.SOLVERS
    audio_scale: float = 2.0  # classifier-free guidance; 1 = as trained; above 1 only the lips follow more
    emotion_scale: float = 1.0
    emotion: str = ""  # one of factors.EMOTIONS, or "neutral,2.5:happy" (happy from 2.5 s on); "" = generated

    def __post_init__(self) -> None:
        for name in ("seed", "steps"):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, int):
                raise InputError(f"{name} {number!r} is not a whole number.")
        for name in ("audio_scale", "emotion_scale"):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise InputError(f"{name.replace('_', ' ')} {number!r} is not a number.")
        for name in ("solver", "emotion"):
            if not isinstance(getattr(self, name), str):
                raise InputError(f"{name} {getattr(self, name)!r} is not a name.")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed {self.seed}: it must lie between 0 and {2**32 - 1}.")
        if not 1 <= self.steps <= MAX_STEPS:
            raise InputError(f"steps {self.steps}: it must lie between 1 and {MAX_STEPS}; 5 to 20 are usual.")
        if self.solver not in ode.SOLVERS:
            raise InputError(f"solver {self.solver!r}: choose one of {', '.join(ode.SOLVERS)}.")
        for name, scale in (("audio scale", self.audio_scale), ("emotion scale", self.emotion_scale)):
            if not (math.isfinite(scale) and 0 <= scale <= MAX_SCALE):
                raise InputError(
                    f"{name} {scale:g}: it must lie between 0 (ignored) and {MAX_SCALE:g}; 1 to 3 are usual."
                )
        if self.emotion_scale != 1 and not self.emotion:
            raise InputError(f"emotion scale {self.emotion_scale:g}: without an emotion there is nothing to scale.")
        self.emotions  # noqa: B018 (raises for an unknown emotion)

    @property
    def evaluations(self) -> int:
        """NFE per window; the branches of guidance count as one."""
        return ode.evaluations(self.steps, self.solver)

    @property
    def scales(self) -> dict[str, float]:
        """Guidance scales of guidance.guide. Emotion is guided only when one is requested: otherwise its branch would
        equal the unguided one."""
        return {"audio": self.audio_scale} | ({"emotion": self.emotion_scale} if self.emotion else {})

    @property
    def emotions(self) -> list[tuple[int, int]]:
        """(first frame, index into factors.EMOTIONS) of each emotion, in order, the first at frame 0."""
        spans: list[tuple[int, int]] = []
        for item in self.emotion.split(",") if self.emotion else []:
            time, _, name = item.strip().rpartition(":")
            try:
                frame = round(float(time) * FPS) if time else 0
            except (ValueError, OverflowError):
                frame = -1
            if name not in EMOTIONS[1:] or frame < 0 or (spans and frame <= spans[-1][0]):
                raise InputError(
                    f"emotion {item.strip()!r}: choose one of {', '.join(EMOTIONS[1:])}; or several with the seconds "
                    "at which each begins, in order, as in neutral,2.5:happy."
                )
            spans.append((frame, EMOTIONS.index(name)))
        return spans if spans and spans[0][0] == 0 else [(0, 0), *spans]


DEFAULTS = Options()
OPTION_NAMES = frozenset(field.name for field in dataclasses.fields(Options))
