"""`python -m data_pipelines.excerpt`: a portrait and a recording out of a prepared corpus, to try a model on.

Takes the first clip of a split: its first frame as portrait.png, with the sidecar that marks it as cropped for
sample.py, and its speech as speech.wav.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from data_pipelines.records.catalog import corpus_name, speech_clips, splits_of
from demo_jax.cli import CommandParser, cli_main
from demo_jax.errors import InputError
from demo_jax.media import audio
from demo_jax.media.files import write_atomically


def write_excerpt(data: str, out: str) -> None:
    """Writes OUT/portrait.png, portrait.json and speech.wav from a held-out clip of the corpus in `data`.

    The split is test, else val, else the first. Raises InputError if there are no records of speech.
    """
    splits = splits_of(data)
    split = next((s for s in ("test", "val") if s in splits), splits[0])
    segments = next(speech_clips(data, split), None)
    if segments is None:
        raise InputError(f"{data}: the split {split!r} has no clips with speech.")
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "portrait.png", _png(segments[0].frames[0]))
    sidecar = {"cropped": True, "corpus": corpus_name(data, split)}
    write_atomically(folder / "portrait.json", json.dumps(sidecar).encode())
    audio.write_wav(folder / "speech.wav", np.concatenate([segment.waveform for segment in segments]))


def _png(jpeg: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(jpeg)).save(buffer, "png")
    return buffer.getvalue()


@cli_main
def main(argv: list[str] | None = None) -> None:
    parser = CommandParser(
        prog="python -m data_pipelines.excerpt",
        description="Writes a portrait and a recording from a held-out clip of a prepared corpus, to try a model on.",
        epilog="Example: python -m data_pipelines.excerpt --data out/real/records --out out/real",
    )
    parser.add_argument("--data", required=True, help="folder of the corpus: DIR/<split>/clips or its shards")
    parser.add_argument("--out", required=True, help="folder for portrait.png, portrait.json and speech.wav")
    args = parser.parse_args(argv)
    write_excerpt(args.data, args.out)


if __name__ == "__main__":
    raise SystemExit(main())
