"""Batches for both stages, through Grain. A batch is a pure function of (seed, step).

Items are shuffled anew each epoch; row j of the global batch of step n takes item n * batch_size + j of that endless
order (of two orders that take turns, where a corpus has speech and independent takes). A batch is cut into equal
shards, one for each part of the mesh that batches go over, and a process makes those that its devices hold, which need
not be adjacent and may be other processes' too. Randomness inside an example comes from a generator seeded by (seed,
n * batch_size + j). So neither the number of processes nor of workers changes any row, and resuming needs no state but
the step.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import os
from collections.abc import Callable
from typing import Any

import grain
import numpy as np

from data_pipelines.loading import examples
from data_pipelines.loading.augmentation import Augment
from data_pipelines.loading.examples import Example, decode_frame
from data_pipelines.loading.iterator import Batches
from data_pipelines.records.catalog import (
    code_paths,
    codes_info,
    corpus_name,
    data_fingerprint,
    first_codes,
    open_records,
    splits_of,
)
from data_pipelines.records.schema import read_codes
from data_pipelines.records.sources import DamagedRecordError, JoinedRecords, Records, read_members
from demo_jax.errors import InputError
from demo_jax.factors import EMOTIONS, FACTORS

__all__ = [
    "Batches", "codes_info", "corpus_name", "data_fingerprint", "decode_frame", "first_codes", "open_records",
    "splits_of", "stage1_batches", "stage2_batches",
]  # fmt: skip

_PLAIN, _GROUPS, _CODES = range(3)  # separate the random streams
_LIPS_SWAPPED = "redrawn:lip"  # whose lips do not match the speech
_AS_IT_IS = Augment()
_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Rows:
    """step -> the (position, item) pairs of this process. Each pool of items has an endless shuffled order, and the
    pools take turns."""

    pools: tuple[int, ...]  # the number of items of each; the numbers of the second pool follow those of the first
    turns: tuple[int, ...]  # the pool of each row, again and again
    seed: int
    batch_size: int
    shards: tuple[int, ...]  # this process's, in order
    shard_count: int

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.batch_size % self.shard_count:
            raise InputError(
                f"a batch of {self.batch_size} cannot be cut into {self.shard_count} shards; choose a multiple."
            )

    def __call__(self, step: int) -> list[tuple[int, int]]:
        each, first = self.batch_size // self.shard_count, np.cumsum([0, *self.pools])
        orders = [
            grain.MapDataset.range(first[k], first[k + 1]).seed((self.seed + k) % 2**32).shuffle().repeat()
            for k in range(len(self.pools))
        ]

        def item(position: int) -> int:
            whole, turn = divmod(position, len(self.turns))
            pool = self.turns[turn]
            return int(orders[pool][whole * self.turns.count(pool) + self.turns[:turn].count(pool)])

        rows = [step * self.batch_size + shard * each + i for shard in self.shards for i in range(each)]
        return [(p, item(p)) for p in rows]


def _or_before(make: Callable[[int, int], Example], position: int, item: int) -> Example:
    """Returns the example of an item, or if one of its records is damaged that of the item before it. Each damaged
    record is logged; raises DamagedRecordError after three in a row."""
    for i in range(item, item - 3, -1):
        try:
            return make(position, i)  # the item before the first is the last: a negative index
        except DamagedRecordError as error:
            found = error
            _LOG.warning("%s The item before it is taken instead.", error)
    raise found


def stage1_batches(
    data_dir: str | os.PathLike,
    split: str,
    *,
    mixture: tuple[tuple[str, int], ...] = (),
    batch_size: int,
    set_batch_size: int,
    seed: int,
    start_step: int,
    size: int,
    lip_window: int = 5,
    feature: str = "logmel",
    augment: Augment = _AS_IT_IS,
    shards: tuple[int, ...] = (0,),
    shard_count: int = 1,
    workers: int = 0,
) -> Batches:
    """Returns batches of images, truth and audio for the motion auto-encoder. Sizes are of the global batch; rows are
    this process's.

    Plain examples, b = batch_size * len(shards) / shard_count rows, every other one of takes whose factors are
    independent where there are any (paired groups and probes: speech alone seldom turns a head far); t is a random
    frame, s a random frame of the same clip. For every row of `data_dir` each corpus of `mixture` (folder, rows) gives
    so many; a held-out split that it lacks is left out.
      source [b, S, S, 3] u8 (frame s), driving [b, W, S, S, 3] u8 (W = lip_window frames around t, augmented),
      target [b, S, S, 3] u8 (frame t as it is), driving_shift [b, 3] float32 (how driving was moved and enlarged),
      source_calibrated, target_calibrated [b, 13], driving_calibrated [b, W, 13] float32 (factors.calibrated_code,
      NaN = not measured), source_landmarks, target_landmarks [b, 68, 2] float32 (pixels, NaN likewise), driving_boxes
      [b, 2, 4] float32 (mouth, eyes at t, pixels of the target), audio [b, W, A]
      float32, clip_hash [b] int32, time [b] int32 (t in frames of the clip), voiced [b] bool, phoneme [b] int32 (hash,
      -1 unknown); target_trust [b, S/8, S/8] float32 (0-1, how far the target can be trusted);
      source_expression [b, 52], driving_expression [b, W, 52] float32 (ARKit, NaN likewise)
    Paired groups, when set_batch_size > 0: set_source, set_driving, set_redrawn, set_reidentity_source, set_reidentity
      [., S, S, 3] u8 (base at s, base at t, factor-swapped at t, cross-identity at s and t), each with its _calibrated
      [., 13], _expression [., 52] and _landmarks [., 68, 2]; set_factor [.] int32 (which of FACTORS is swapped),
      set_boxes [., 2, 4], and set_redrawn_trust, set_reidentity_trust as target_trust. Photo-puppets have no second
      identity. Where the corpus has no paired groups (real video), neither, and set_redrawn is a composite of two
      frames.

    Raises:
      InputError: the folder, split or feature is missing, or a size is impossible.
    """
    corpora = [(os.fspath(data_dir), 1)]
    corpora += [(folder, rows) for folder, rows in mixture if split == "train" or split in splits_of(folder)]
    records = JoinedRecords(tuple(open_records(folder, split) for folder, _ in corpora))
    for segment in records.segments:
        if feature not in segment.features:
            raise InputError(
                f"{data_dir}, {split}: record {segment.key} has no audio feature {feature!r}; it has "
                f"{', '.join(segment.features) or 'none'}."
            )
    if lip_window < 1 or lip_window % 2 == 0:
        raise InputError(f"lip_window is {lip_window}; it is a positive odd number of frames.")
    shared: dict[str, Any] = {"seed": seed, "shards": shards, "shard_count": shard_count}
    clips: dict[str, list[int]] = {}
    for i, segment in enumerate(records.segments):
        clips.setdefault(segment.clip_id, []).append(i)
    usable = [i for i, s in enumerate(records.segments) if s.length >= lip_window and s.variant != _LIPS_SWAPPED]
    pools: list[tuple[int, ...]] = []
    shares: list[tuple[range, int]] = []
    for part, (folder, rows) in zip(records.parts, corpora, strict=True):
        found = [i for i in usable if i in part]
        if not found:
            raise InputError(f"{folder}, {split}: no record has the {lip_window} frames of a lip window.")
        speech = tuple(i for i in found if not records.segments[i].variant)
        independent = tuple(i for i in found if records.segments[i].variant)
        own = [pool for pool in (speech, independent) if pool]
        shares.append((range(len(pools), len(pools) + len(own)), rows))
        pools += own
    groups = (paired_groups(records) or [{"base": i} for i in usable]) if set_batch_size else []
    # One frame is decoded now, so that a model too large for the records is refused before training starts.
    decode_frame(records[usable[0]].frames[0], size)
    return Batches(
        _Stage1(
            records=records,
            driving=tuple(itertools.chain(*pools)),
            same_clip={i: tuple(clips[records.segments[i].clip_id]) for i in usable},
            groups=tuple(groups),
            plain_rows=_Rows(pools=tuple(map(len, pools)), turns=_turns(shares), batch_size=batch_size, **shared),
            group_rows=_Rows(pools=(len(groups),), turns=(0,), batch_size=set_batch_size, **shared)
            if set_batch_size
            else None,
            size=size,
            lip_window=lip_window,
            feature=feature,
            augment=augment,
        ),
        start_step,
        workers,
    )


def _turns(shares: list[tuple[range, int]]) -> tuple[int, ...]:
    """The pool of each row: every corpus gives its number of rows, from its pools in turn."""
    most = max(len(pools) for pools, _ in shares)
    return tuple(
        pools[(again * rows + row) % len(pools)]
        for again in range(most)
        for pools, rows in shares
        for row in range(rows)
    )


def paired_groups(records: JoinedRecords) -> list[dict[str, int]]:
    """Returns variant -> record of every complete paired group: a base, at least one factor-swapped render and, if all
    corpora with groups have any, a cross-identity render."""
    found: list[list[dict[str, int]]] = []
    for part in records.parts:
        groups: dict[tuple[str, int], dict[str, int]] = {}
        for i in part:
            segment = records.segments[i]
            if segment.set_id:
                groups.setdefault((segment.set_id, segment.piece), {})[segment.variant] = i
        complete = [g for g in groups.values() if "base" in g and any(name.startswith("redrawn:") for name in g)]
        found += [[g for g in complete if "reidentity" in g] or complete]
    crossed = all("reidentity" in group for groups in found for group in groups)
    return [
        {name: i for name, i in group.items() if crossed or name != "reidentity"}
        for groups in found
        for group in groups
    ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Stage1:
    records: Records
    driving: tuple[int, ...]  # of each corpus speech, then takes whose factors are independent
    same_clip: dict[int, tuple[int, ...]]
    groups: tuple[dict[str, int], ...]
    plain_rows: _Rows
    group_rows: _Rows | None
    size: int
    lip_window: int
    feature: str
    augment: Augment

    def __call__(self, step: int) -> Example:
        batch = examples.stack([_or_before(self._plain, *row) for row in self.plain_rows(step)])
        if self.group_rows is not None:
            batch |= examples.stack([_or_before(self._group, *row) for row in self.group_rows(step)])
        return batch

    def _plain(self, position: int, item: int) -> Example:
        rng = np.random.default_rng([self.plain_rows.seed, _PLAIN, position])
        index = self.driving[item]
        other = int(rng.choice(self.same_clip[index]))
        driving = self.records.read(index, examples.arrays_for_driving(self.feature))
        source = driving if other == index else self.records.read(other, examples.arrays_for_source())
        return examples.plain_example(
            rng,
            driving,
            source,
            size=self.size,
            lip_window=self.lip_window,
            feature=self.feature,
            augment=self.augment,
        )

    def _group(self, position: int, item: int) -> Example:
        rng = np.random.default_rng([self.plain_rows.seed, _GROUPS, position])
        group = self.groups[item]
        if len(group) == 1:
            arrays = self.records.read(group["base"], examples.arrays_for_source())
            return examples.composite_example(rng, arrays, size=self.size, augment=self.augment)
        variant = str(rng.choice(sorted(name for name in group if name.startswith("redrawn:"))))
        base, swapped, other_identity = (
            self.records.read(group[name], examples.arrays_for_source()) if name in group else None
            for name in ("base", variant, "reidentity")
        )
        assert base is not None
        assert swapped is not None
        factor = FACTORS.index(variant.removeprefix("redrawn:"))
        return examples.group_example(
            rng, base, swapped, other_identity, factor=factor, size=self.size, augment=self.augment
        )


def stage2_batches(
    codes_dir: str | os.PathLike,
    *,
    batch_size: int,
    window: int = 50,
    context: int = 10,
    look_ahead: int = 10,
    seed: int,
    start_step: int,
    feature: str = "logmel",
    split: str = "train",
    shards: tuple[int, ...] = (0,),
    shard_count: int = 1,
    workers: int = 0,
) -> Batches:
    """Returns batches of windows of motion codes for the flow transformer, b = batch_size * len(shards) / shard_count
    rows.

    A clip of T frames is drawn ceil(T / window) times an epoch, each time with a random window:
      codes [b, context + window, K] float32, codes_valid [b, context + window] bool (False before and after the clip),
      audio [b, context + window + look_ahead, A] float32, audio_valid, source [b, K] float32 (a frame outside the
      window where there is one), emotion [b] int32 (index in EMOTIONS), next_codes [b, window, K] and
      next_valid [b, window] (the frames after the window, where the next keyframe may lie)

    Raises:
      InputError: the folder, split or feature is missing, a record is damaged, or a size is impossible.
    """
    if window < 1 or context < 0 or look_ahead < 0:
        raise InputError(f"window {window}, context {context}, look-ahead {look_ahead} frames are impossible.")
    paths = code_paths(codes_dir, split)
    items: list[int] = []
    for i, path in enumerate(paths):
        record = read_codes(path)
        if feature not in record.features:
            raise InputError(f"{path} has no audio feature {feature!r}; it has {', '.join(record.features) or 'none'}.")
        items += [i] * -(-record.length // window)
    rows = _Rows(
        pools=(len(items),),
        turns=(0,),
        seed=seed,
        batch_size=batch_size,
        shards=shards,
        shard_count=shard_count,
    )
    sizes = {"window": window, "context": context, "look_ahead": look_ahead}
    return Batches(
        _Stage2(paths=paths, items=tuple(items), rows=rows, sizes=sizes, feature=feature), start_step, workers
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Stage2:
    paths: tuple[Any, ...]
    items: tuple[int, ...]
    rows: _Rows
    sizes: dict[str, int]
    feature: str

    def __call__(self, step: int) -> Example:
        return examples.stack([_or_before(self._window, *row) for row in self.rows(step)])

    def _window(self, position: int, item: int) -> Example:
        rng = np.random.default_rng([self.rows.seed, _CODES, position])
        audio = f"features/{self.feature}"
        arrays = read_members(self.paths[self.items[item]], ("codes", audio, "emotion"))
        emotion = EMOTIONS.index(str(arrays["emotion"]))
        return examples.code_example(rng, arrays["codes"], arrays[audio], emotion, **self.sizes)
