"""`python -m data_pipelines.talking_portrait`: clip records -> a TFDS dataset of ArrayRecord shards, no TensorFlow.

    RECORDS/<split>/clips/*.npz, RECORDS/<split>/dataset_info.json
      -> OUT/talking_portrait/1.0.0/: shards, features.json, dataset_info.json, metadata.json (per split: fingerprint
         and datasheet, as they came) and pieces-<split>.json (a description of each segment)

Each array of the clip record is a field of its own, stored as raw bytes; frames are one byte string with offsets. The
dataset opens with data_pipelines.loading.batches, or with tfds.builder_from_directory(...).as_data_source(split).
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from etils import epath
from tqdm import tqdm

from data_pipelines.records.catalog import data_fingerprint, open_records, splits_of
from data_pipelines.records.schema import SCHEMA_VERSION, ClipRecord, read_clip
from data_pipelines.records.sources import ClipFolder, describe, from_example, index_name
from demo_jax.cli import CommandParser, cli_main
from demo_jax.errors import InputError
from demo_jax.media.files import write_atomically

VERSION = f"{SCHEMA_VERSION}.0.0"

_TEXT = ("clip_id", "speaker_id", "corpus", "language", "emotion", "set_id", "variant")
_ARRAYS: dict[str, tuple[tuple[int | None, ...], type]] = {
    "frame_bytes": ((None,), np.uint8),
    "frame_offsets": ((None,), np.int64),
    "pose": ((None, 6), np.float32),
    "expression": ((None, 52), np.float32),
    "gaze": ((None, 4), np.float32),
    "lips": ((None, 3), np.float32),
    "landmarks": ((None, 68, 2), np.float32),
    "boxes": ((None, 2, 4), np.float32),
    "confidence": ((None,), np.float32),
    "crop": ((3, 3), np.float32),
    "waveform": ((None,), np.int16),
    "phoneme_times": ((None, 2), np.float32),
    "identity": ((None,), np.float32),
}


def features_of(record: ClipRecord) -> tfds.features.FeaturesDict:
    """Returns the fields of a dataset whose records have the same features/NAME and coefficients/MODEL as this one."""

    def tensor(shape: tuple[int | None, ...], dtype: type) -> tfds.features.Tensor:
        # As bytes: otherwise every number becomes a list entry of its own in the serialised example.
        return tfds.features.Tensor(shape=shape, dtype=dtype, encoding=tfds.features.Encoding.BYTES)

    fields: dict[str, Any] = {name: tfds.features.Text() for name in _TEXT}
    fields |= {name: tfds.features.Scalar(np.int32) for name in ("schema_version", "piece", "base_piece")}
    fields |= {name: tensor(shape, dtype) for name, (shape, dtype) in _ARRAYS.items()}
    if record.trust.size:
        fields["trust"] = tensor((None, *record.trust.shape[1:]), np.uint8)
    fields["phonemes"] = tfds.features.Sequence(tfds.features.Text())
    fields["features"] = {name: tensor((None, a.shape[1]), np.float16) for name, a in record.features.items()}
    fields["coefficients"] = {name: tensor((None, a.shape[1]), np.float32) for name, a in record.coefficients.items()}
    return tfds.features.FeaturesDict(fields)


def to_example(record: ClipRecord) -> dict[str, Any]:
    """Returns a record as one example; sources.from_example is the inverse."""
    arrays = record.to_arrays()
    example: dict[str, Any] = {name: str(arrays[name]) for name in _TEXT}
    example |= {name: int(arrays[name]) for name in ("schema_version", "piece", "base_piece")}
    example |= {name: arrays[name] for name in _ARRAYS}
    example |= {"trust": record.trust} if record.trust.size else {}
    example["phonemes"] = list(record.phonemes)
    return example | {"features": dict(record.features), "coefficients": dict(record.coefficients)}


def read_example(path: epath.Path | str, names: dict[str, tuple[str, ...]]) -> tuple[str, dict[str, Any]]:
    """Reads one npz and returns its key and example. Raises InputError unless it has what `names` (`_names_of`)
    says."""
    record = read_clip(path)
    has = _names_of(record)
    for kind, expected in names.items():
        if (found := has[kind]) != expected:
            raise InputError(
                f"{path} has the {kind} {', '.join(found) or 'none'}, the first record "
                f"{', '.join(expected) or 'none'}; all records of a dataset need the same."
            )
    return record.key, to_example(record)


def _names_of(record: ClipRecord) -> dict[str, tuple[str, ...]]:
    """What all records of a dataset share: names of features and coefficients, and whether and how fine trust is."""
    trust = tuple(f"trust in {n} x {n} cells" for n in record.trust.shape[1:2] if n)
    return {kind: tuple(sorted(getattr(record, kind))) for kind in ("features", "coefficients")} | {"arrays": trust}


class TalkingPortrait(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """The TFDS builder. Splits, fields and metadata are those of the folder of clip records it is given."""

    name = "talking_portrait"
    VERSION = tfds.core.Version(VERSION)

    def __init__(self, *, records: str, through_beam: bool = False, **kwargs: Any) -> None:
        self._records, self._through_beam = records, through_beam
        self._paths = {split: clip_paths(records, split) for split in splits_of(records)}
        first = read_clip(next(iter(self._paths.values()))[0])
        self._fields = features_of(first)
        self._names = _names_of(first)
        super().__init__(file_format="array_record", **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Talking faces: frames, 3DMM coordinates, speech and its features, in segments of 64 frames.",
            features=self._fields,
            metadata=tfds.core.MetadataDict({split: split_info(self._records, split) for split in self._paths}),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        del dl_manager
        return {split: self._generate_examples(paths) for split, paths in self._paths.items()}

    def _generate_examples(self, paths: Sequence[epath.Path]) -> Any:
        example = functools.partial(read_example, names=self._names)
        if self._through_beam:
            import apache_beam as beam

            return beam.Create([str(path) for path in paths]) | beam.Map(example)
        return (example(path) for path in paths)


def clip_paths(records: str, split: str) -> tuple[epath.Path, ...]:
    """Returns the npz files of a split. Raises InputError if there are none."""
    source = open_records(records, split)
    if not isinstance(source, ClipFolder):
        raise InputError(f"{records} holds shards already; give the folder of clip records (SPLIT/clips/*.npz).")
    return source.paths


def split_info(records: str, split: str) -> dict[str, Any]:
    """Returns what the producer wrote into dataset_info.json, with the split's fingerprint as one text."""
    path = epath.Path(records) / split / "dataset_info.json"
    info = json.loads(path.read_text()) if path.exists() else {}
    if isinstance(info.get("fingerprint"), dict):
        info |= {"fingerprint_of": info["fingerprint"]}
    return info | {"fingerprint": data_fingerprint(records, split)}


def build(records: str, out: str, *, beam: bool = False, beam_options: Sequence[str] = ()) -> epath.Path:
    """Writes the dataset and returns its folder. A complete dataset of the same records is left as it is.

    Raises:
      InputError: no clip records, a damaged one, records that differ in their features, or `out` holds a dataset of
        other records.
    """
    config = tfds.download.DownloadConfig()
    if beam:
        try:
            from apache_beam.options.pipeline_options import PipelineOptions
        except ImportError as error:
            raise InputError(
                "--beam needs Apache Beam: pip install 'demo_jax[beam]', in an environment of its own."
            ) from error
        config = tfds.download.DownloadConfig(beam_options=PipelineOptions(list(beam_options)))
    builder = TalkingPortrait(records=records, through_beam=beam, data_dir=out)
    folder = epath.Path(builder.data_path)
    expected = {split: split_info(records, split)["fingerprint"] for split in splits_of(records)}
    if (folder / "metadata.json").exists():
        there = json.loads((folder / "metadata.json").read_text())
        if {split: info["fingerprint"] for split, info in there.items()} != expected:
            raise InputError(f"{folder} holds a dataset of other records; choose another --out, or delete it.")
    for cut_off in folder.parent.glob(f"incomplete.*_{folder.name}"):  # TFDS's, of a run that was killed
        cut_off.rmtree()
    builder.download_and_prepare(download_config=config)
    for split in expected:
        examples = builder.as_data_source(split)
        segments = [_row(examples[i]) for i in tqdm(range(len(examples)), desc=f"index {split}", unit="segment")]
        write_atomically(folder / index_name(split), json.dumps(segments).encode())
    return folder


def _row(example: dict[str, Any]) -> dict[str, Any]:
    return dataclasses.asdict(describe(from_example(example), sorted(example["features"])))


@cli_main
def main(argv: list[str] | None = None) -> None:
    parser = CommandParser(
        prog="python -m data_pipelines.talking_portrait",
        description="Shards a folder of clip records into a TFDS dataset of ArrayRecord files.",
        epilog="Example: python -m data_pipelines.talking_portrait --records data/puppet --out data/puppet_shards. "
        "Train from it with --config.data.path=data/puppet_shards. Unknown options go to Beam, such as "
        "--runner=DataflowRunner --direct_num_workers=8.",
    )
    parser.add_argument(
        "--records", required=True, help="folder with SPLIT/clips/*.npz, from prepare or the puppet builder"
    )
    parser.add_argument("--out", required=True, help="folder to write; the dataset is OUT/talking_portrait/VERSION")
    parser.add_argument("--beam", action="store_true", help="run as an Apache Beam pipeline (default: in this process)")
    args, others = parser.parse_known_args(argv)
    if others and not args.beam:
        parser.error(f"unknown options {' '.join(others)}; only --beam passes options on")
    print(build(args.records, args.out, beam=args.beam, beam_options=others))


if __name__ == "__main__":
    raise SystemExit(main())
