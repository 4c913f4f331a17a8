"""`python -m data_pipelines.encode`: clip records -> motion codes, with the fingerprint of their motion encoder.

Writes OUT/<split>/codes/<clip_id>.npz (schema.CodeRecord, one per whole clip), OUT/space.npz (statistics and readout,
fitted to the train split) and OUT/codes.json (fingerprints, and the clips: only those listed are read). The audio
feature that conditions stage 2 is computed from the waveforms and stored beside the features of the records. Paired
groups and probes are left out: their motion does not belong to their speech.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

from data_pipelines.add_features import with_features
from data_pipelines.loading.examples import decode_frame
from data_pipelines.records.catalog import (
    codes_info,
    data_fingerprint,
    remove_unlisted_codes,
    speech_clips,
    splits_of,
)
from data_pipelines.records.schema import ClipRecord, CodeRecord, pack
from demo_jax import codes
from demo_jax.audio.registry import AudioFeatures, extractor
from demo_jax.checkpoint.fingerprints import code_fingerprint
from demo_jax.checkpoint.load import LoadedModel, load_any
from demo_jax.cli import CommandParser, cli_main
from demo_jax.devices import start_jax
from demo_jax.errors import InputError
from demo_jax.factors import calibrated_code
from demo_jax.media.files import write_atomically
from demo_jax.media.locks import locked
from demo_jax.models.autoencoder import AutoEncoder, to_float

CHUNK = 64  # frames encoded at once; the only batch size, so that the encoder compiles once


def encode_corpus(autoencoder: str, data: str, out: str, feature: str = "phonetic") -> None:
    """Encodes every split of `data`, with the audio feature of that name. Everything is written anew, codes.json last.
    Code records in `out` of clips that `data` no longer has are removed.

    Raises:
      InputError: no checkpoint, no records, or `out` holds codes of another auto-encoder or corpus.
    """
    model = load_any(autoencoder)
    target, features = Path(out), extractor(feature)
    splits = splits_of(data)
    meta = {
        "schema": 1,
        "encoder_fingerprint": code_fingerprint(model.autoencoder_params),
        "corpus": model.meta.get("corpus", ""),
        "data_fingerprint": {split: data_fingerprint(data, split) for split in splits},
        "features": {features.name: features.version},
    }
    _check_target(target, meta)
    with locked(target, "encoding"):
        clips = _encode(model, data, target, features, splits)
        # Last: it marks the folder as complete.
        write_atomically(target / "codes.json", json.dumps(meta | {"clips": clips}, indent=2).encode())
        remove_unlisted_codes(target, clips)


def _encode(
    model: LoadedModel, data: str, target: Path, features: AudioFeatures, splits: Sequence[str]
) -> dict[str, list[str]]:
    """Writes the code records of every split, and the code space. Returns split -> clip_ids."""
    encoder = jax.jit(
        lambda images: AutoEncoder(model.autoencoder.model).apply(
            {"params": model.autoencoder_params}, to_float(images), method=AutoEncoder.encode_motion
        )
    )
    fitted: list[CodeRecord] = []
    clips: dict[str, list[str]] = {split: [] for split in splits}
    for split in splits:
        for segments in tqdm(speech_clips(data, split), desc=f"encode {split}", unit="clip"):
            record = with_features(_encode_clip(segments, encoder, model), features)
            write_atomically(target / split / "codes" / f"{record.clip_id}.npz", pack(record))
            clips[split].append(record.clip_id)
            if split == splits[0]:
                fitted.append(record)
    if not fitted:
        raise InputError(f"{data}: the split {splits[0]!r} has no clips with speech to encode.")
    space = codes.fit(
        np.concatenate([r.codes for r in fitted]),
        np.concatenate([r.expression for r in fitted]),
        model.autoencoder.model.layout,
    )
    write_atomically(target / "space.npz", codes.pack_space(space))
    return clips


def _check_target(target: Path, meta: dict) -> None:
    if not (target / "codes.json").exists():
        return
    old = codes_info(target)
    if old.get("encoder_fingerprint") != meta["encoder_fingerprint"]:
        raise InputError(
            f"{target} holds codes of motion encoder {old.get('encoder_fingerprint')}, this one is "
            f"{meta['encoder_fingerprint']}; give another --out."
        )
    if old.get("data_fingerprint") != meta["data_fingerprint"]:
        raise InputError(
            f"{target} holds codes of other data: another corpus, or this one before it was changed; give another "
            "--out, or remove that folder."
        )


def _encode_clip(segments: list[ClipRecord], encoder: jax.stages.Wrapped, model: LoadedModel) -> CodeRecord:
    size = model.autoencoder.model.size
    frames = np.stack([decode_frame(f, size) for segment in segments for f in segment.frames])
    encoded = []
    for start in range(0, len(frames), CHUNK):
        chunk = frames[start : start + CHUNK]
        padded = np.pad(chunk, ((0, CHUNK - len(chunk)), (0, 0), (0, 0), (0, 0)))
        encoded.append(np.asarray(encoder(padded))[: len(chunk)])

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(segment, name) for segment in segments])

    first = segments[0]
    return CodeRecord(
        clip_id=first.clip_id,
        speaker_id=first.speaker_id,
        corpus=first.corpus,
        codes=np.concatenate(encoded),
        features={n: np.concatenate([s.features[n] for s in segments]) for n in first.features},
        waveform=joined("waveform"),
        truth=calibrated_code(joined("lips"), joined("pose"), joined("gaze")),
        expression=joined("expression"),
        confidence=joined("confidence"),
        emotion=first.emotion,
        language=first.language,
        portrait=np.frombuffer(first.frames[0], np.uint8),
    )


@cli_main
def main(argv: list[str] | None = None) -> None:
    parser = CommandParser(
        prog="python -m data_pipelines.encode",
        description="Turns prepared clips into motion codes for stage 2, with a trained auto-encoder.",
        epilog="Example: python -m data_pipelines.encode --autoencoder runs/puppet_ae --data data/puppet "
        "--out data/puppet_codes",
    )
    parser.add_argument("--autoencoder", required=True, help="work directory of either stage, or a published model")
    parser.add_argument("--data", required=True, help="folder of the corpus: DIR/<split>/clips or its shards")
    parser.add_argument("--out", required=True, help="folder to write; a second run with the same arguments renews it")
    parser.add_argument("--feature", default="phonetic", help="audio feature for stage 2 (default phonetic)")
    args = parser.parse_args(argv)
    start_jax()
    encode_corpus(args.autoencoder, args.data, args.out, args.feature)


if __name__ == "__main__":
    raise SystemExit(main())
