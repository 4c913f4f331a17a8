"""The people of a puppet corpus: true renders of any motion, and probe frames with independent factors.

Needs the `puppet` extra. The corpus must come from this version of the generator; otherwise the renders would show
other people than its frames.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from etils import epath

from data_pipelines.loading.examples import decode_frame
from data_pipelines.puppet.corpus.build import Parameters, fingerprint, person
from data_pipelines.puppet.motion.face_motion import LOOK_FULL, Motion
from data_pipelines.records.catalog import open_records
from data_pipelines.records.schema import ClipRecord
from demo_jax.errors import InputError
from demo_jax.evaluation.judge.regressor import fit_size
from demo_jax.factors import ARKIT_INDEX

if TYPE_CHECKING:
    from data_pipelines.puppet.person.identity import Identity
    from data_pipelines.puppet.render.renderer import Renderer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probes:
    """Frames of known motion: images [N, S, S, 3] uint8 at the model's size, their motion (N frames), calibrated
    [N, 13] (record units), shape [N, I] and speaker [N] text."""

    images: np.ndarray
    motion: Motion
    calibrated: np.ndarray
    shape: np.ndarray
    speaker: np.ndarray
    independent: bool  # whether factors were sampled independently in every frame, or only in every take

    def of(self, speaker: str) -> np.ndarray:
        """Returns the rows of one person."""
        return np.flatnonzero(self.speaker == speaker)

    @functools.cached_property
    def speakers(self) -> list[str]:
        return sorted(set(self.speaker.tolist()))


class Puppets:
    """Renders the people of the corpus in `data` at `size` pixels. Raises InputError if that corpus cannot be
    rendered."""

    def __init__(self, data: str, split: str, size: int) -> None:
        path = epath.Path(data) / "corpus.json"
        if not path.exists():
            raise InputError(f"{data} has no corpus.json; true renders need a puppet corpus as its builder wrote it.")
        stored = json.loads(path.read_text())
        known = {f.name for f in dataclasses.fields(Parameters)}
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in stored["parameters"].items() if k in known
        }
        self.parameters, self.split, self.size = Parameters(**values), split, size
        if fingerprint(self.parameters)["versions"] != stored["versions"]:
            raise InputError(
                f"{data} was made by another version of the generator, whose people look different; build it again."
            )

    @functools.lru_cache(maxsize=32)  # noqa: B019  (one object per report; renderers are large)
    def _renderer(self, speaker: str) -> Renderer:
        from data_pipelines.puppet.render.renderer import Renderer

        return Renderer(self.identity(speaker), self.parameters.size)

    def identity(self, speaker: str) -> Identity:
        """Returns the identity of a record's speaker_id, which ends in the person's number."""
        return person(self.parameters.seed, self.split, int(speaker.rsplit("-", 1)[-1]))

    def render(self, speaker: str, motion: Motion) -> np.ndarray:
        """Returns uint8 [T, S, S, 3], rendered at the size of the corpus and resampled as its frames are."""
        frames = self._renderer(speaker).render(motion.pose, motion.expression, motion.eyes)
        return np.stack([fit_size(f, self.size) for f in frames])

    def calibrated(self, speaker: str, motion: Motion) -> np.ndarray:
        """Returns the calibrated values [T, 13] of a record of this motion, in its units."""
        from data_pipelines.puppet.render.renderer import measure  # numba: not for reports on real video

        found = measure(self.identity(speaker), motion.pose, motion.expression, motion.eyes, self.size)
        return np.concatenate([found.lips, motion.pose, motion.eyes[:, :2], found.openings], 1).astype(np.float32)


def motion_of(record: ClipRecord) -> Motion:
    """Returns the motion that a record was rendered with. Vergence is recovered from the eyeLook coefficients."""

    def look(name: str, side: str) -> np.ndarray:
        return record.expression[:, ARKIT_INDEX[f"eyeLook{name}{side}"]]

    left = look("Out", "Left") - look("In", "Left")
    right = look("In", "Right") - look("Out", "Right")
    vergence = LOOK_FULL[0] * (right - left)
    return Motion(
        pose=record.pose,
        eyes=np.concatenate([record.gaze[:, :2], vergence[:, None]], 1).astype(np.float32),
        expression=record.expression,
    )


def take(motion: Motion, rows: np.ndarray | slice) -> Motion:
    """Returns some frames of a motion."""
    return Motion(pose=motion.pose[rows], eyes=motion.eyes[rows], expression=motion.expression[rows])


def join(motions: list[Motion]) -> Motion:
    """Returns motions one after another, as one."""
    return Motion(**{f.name: np.concatenate([getattr(m, f.name) for m in motions]) for f in dataclasses.fields(Motion)})


def read_probes(data: str, split: str, size: int, frames: int, people: int, seed: int) -> Probes:
    """Returns about `frames` frames of at most `people` people, equally many of each.

    They come from probe takes or, if the corpus has none, from the base takes of paired groups, whose factors are
    independent of each other but change smoothly.

    Raises:
      InputError: the split has neither.
    """
    records = open_records(data, split)
    by_variant = {v: [i for i, p in enumerate(records.segments) if p.variant == v] for v in ("probe", "base")}
    variant = "probe" if by_variant["probe"] else "base"
    if not by_variant[variant]:
        raise InputError(
            f"{data}, {split}: there are no takes with independent factors; only puppet corpora have them."
        )
    by_speaker: dict[str, list[int]] = {}
    for i in by_variant[variant]:
        by_speaker.setdefault(str(records.read(i, ("speaker_id",))["speaker_id"]), []).append(i)
    generator = np.random.default_rng([seed, 11])
    names = sorted(by_speaker)
    chosen = sorted(names[i] for i in generator.permutation(len(names))[:people])
    each = max(2, frames // len(chosen))
    images, motions, calibrated, shapes, speakers = [], [], [], [], []
    for name in chosen:
        found = [records[i] for i in by_speaker[name][:8]]
        places = [(r, t) for r in found for t in range(r.length)]
        for k in sorted(generator.permutation(len(places))[:each].tolist()):
            record, t = places[k]
            images.append(decode_frame(record.frames[t], size))
            motions.append(take(motion_of(record), slice(t, t + 1)))
            calibrated.append(np.concatenate([record.lips[t], record.pose[t], record.gaze[t]]))
            shapes.append(record.identity)
            speakers.append(name)
    return Probes(
        images=np.stack(images),
        motion=join(motions),
        calibrated=np.stack(calibrated),
        shape=np.stack(shapes),
        speaker=np.array(speakers),
        independent=variant == "probe",
    )
