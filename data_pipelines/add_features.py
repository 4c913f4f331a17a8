"""`python -m data_pipelines.add_features`: adds audio features to encoded clips, from their waveforms.

Writes OUT/<split>/codes/<clip_id>.npz with the new features beside the old ones, OUT/space.npz unchanged, and
OUT/codes.json with the new feature's version: motion does not change, so no image is encoded again. Train on them with
`--config.data.feature=NAME`.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from tqdm import tqdm

from data_pipelines.records.catalog import code_paths, codes_info, remove_unlisted_codes, splits_of
from data_pipelines.records.schema import CodeRecord, pack, read_codes
from demo_jax.audio.registry import AudioFeatures, extractor
from demo_jax.cli import CommandParser, cli_main
from demo_jax.errors import InputError
from demo_jax.media.files import write_atomically


def with_features(record: CodeRecord, features: AudioFeatures) -> CodeRecord:
    """Returns the record with these features of its waveform [T * 640] beside those it has."""
    return dataclasses.replace(record, features=record.features | {features.name: features(record.waveform)})


def add_features(codes: str, out: str, features: AudioFeatures) -> int:
    """Writes every split of the code records in `codes`, with more features, to `out`; codes.json comes last. Returns
    the number of clips.

    Raises:
      InputError: no code records, or `out` is `codes` or holds other codes.
    """
    source, target = Path(codes), Path(out)
    info = codes_info(codes)
    if target.resolve() == source.resolve():
        raise InputError(f"--out {out} is --codes; give another folder.")
    if (target / "codes.json").exists() and _fingerprints(codes_info(out)) != _fingerprints(info):
        raise InputError(f"{out} holds codes of another auto-encoder or corpus; give another --out.")
    count = 0
    for split in splits_of(codes):
        for path in tqdm(code_paths(codes, split), desc=f"{features.name} {split}", unit="clip"):
            record = with_features(read_codes(path), features)
            write_atomically(target / split / "codes" / path.name, pack(record))
            count += 1
    write_atomically(target / "space.npz", (source / "space.npz").read_bytes())
    clips = {split: [path.stem for path in code_paths(codes, split)] for split in splits_of(codes)}
    versions = info.get("features", {}) | {features.name: features.version}
    info |= {"features": versions, "clips": clips}
    write_atomically(target / "codes.json", json.dumps(info, indent=2).encode())
    remove_unlisted_codes(target, clips)
    return count


def _fingerprints(info: dict) -> tuple:
    return info.get("encoder_fingerprint"), info.get("data_fingerprint")


@cli_main
def main(argv: list[str] | None = None) -> None:
    parser = CommandParser(
        prog="python -m data_pipelines.add_features",
        description="Adds audio features to motion codes, from the waveforms in them.",
        epilog="Example: python -m data_pipelines.add_features --codes data/puppet_codes --feature phonetic "
        "--out data/puppet_codes_phonetic",
    )
    parser.add_argument("--codes", required=True, help="folder that data_pipelines.encode wrote")
    parser.add_argument("--feature", required=True, help="logmel, phonetic or hama")
    parser.add_argument("--out", required=True, help="folder to write; a second run with the same arguments renews it")
    args = parser.parse_args(argv)
    add_features(args.codes, args.out, extractor(args.feature))


if __name__ == "__main__":
    raise SystemExit(main())
