"""python -m data_pipelines.puppet.corpus.example: a portrait and a recording from the test split."""

from __future__ import annotations

import argparse
import json
import wave
from io import BytesIO
from pathlib import Path

import numpy as np

from data_pipelines.puppet.corpus.build import person
from data_pipelines.puppet.motion.face_motion import REST_POSE
from data_pipelines.puppet.speech.sentences import sentences, voice_variant
from data_pipelines.puppet.speech.synthesis import synthesise
from demo_jax.cli import CommandParser, cli_main
from demo_jax.constants import SAMPLE_RATE, SAMPLES_PER_FRAME
from demo_jax.errors import InputError
from demo_jax.factors import ARKIT_INDEX, ARKIT_NAMES
from demo_jax.media.files import write_atomically

_SECONDS = 8.0
_SIDECAR = {"cropped": True, "corpus": "puppet"}  # as demo_jax.sampling.portraits reads it


def portrait(seed: int, number: int, size: int) -> np.ndarray:
    """Returns [size, size, 3] uint8: test identity `number`, facing the camera with a slight smile, mouth closed."""
    from data_pipelines.puppet.render.renderer import Renderer

    expression = np.zeros((1, len(ARKIT_NAMES)), np.float32)
    for name in ("mouthSmileLeft", "mouthSmileRight"):
        expression[0, ARKIT_INDEX[name]] = 0.15
    return Renderer(person(seed, "test", number), size).render(REST_POSE[None], expression, np.zeros((1, 3)))[0]


def recording(number: int, voice: int = 1) -> np.ndarray:
    """Returns [S] int16, 16 kHz, about 8 s: test sentences from `number` on in a voice variant of the test split."""
    texts = sentences("en", "test")
    variant = voice_variant("test", voice)
    text = ""
    for step in range(len(texts)):
        longer = f"{text} {texts[(number + step) % len(texts)]}".strip()
        speech = synthesise(longer, f"en-us+{variant}", rate=158)
        if text and speech.seconds > _SECONDS:
            break
        text = longer
    speech = synthesise(text, f"en-us+{variant}", rate=158)
    samples = int(np.ceil((speech.seconds + 0.5) * SAMPLE_RATE / SAMPLES_PER_FRAME)) * SAMPLES_PER_FRAME
    out = np.zeros(samples, np.int16)
    out[SAMPLE_RATE // 4 :][: len(speech.waveform)] = speech.waveform
    return out


def _wav(samples: np.ndarray) -> bytes:
    buffer = BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    return buffer.getvalue()


def write_example(folder: Path, seed: int = 0, number: int = 0, size: int = 128) -> dict[str, Path]:
    """Writes portrait.png, its crop sidecar portrait.json, and speech.wav. Returns their paths by name."""
    import cv2

    done, png = cv2.imencode(".png", portrait(seed, number, size)[..., ::-1])
    if not done:
        raise InputError(f"a portrait of {size} pixels cannot be encoded; choose a --size of 32 to 1024.")
    try:
        return {
            "portrait": write_atomically(folder / "portrait.png", png.tobytes()),
            "sidecar": write_atomically(folder / "portrait.json", (json.dumps(_SIDECAR) + "\n").encode()),
            "speech": write_atomically(folder / "speech.wav", _wav(recording(number))),
        }
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error}); choose another --out.") from error


@cli_main
def main(arguments: list[str] | None = None) -> None:
    parser = CommandParser(
        prog="python -m data_pipelines.puppet.corpus.example",
        description="Writes portrait.png with its crop sidecar portrait.json, and speech.wav (about 8 s of English), "
        "from the puppet corpus's test split: identity, voice and sentences are in no training clip.",
        epilog="example:\n  python -m data_pipelines.puppet.corpus.example --out assets --number 3",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the three files")
    parser.add_argument("--size", type=int, default=128, help="pixels of the square portrait (default 128)")
    parser.add_argument("--seed", type=int, default=0, help="the corpus's seed (default 0)")
    parser.add_argument("--number", type=int, default=0, help="which test identity and sentences (default 0)")
    args = parser.parse_args(arguments)
    if not 32 <= args.size <= 1024 or args.seed < 0 or args.number < 0:
        raise InputError("--size is 32 to 1024, --seed and --number are 0 or more.")
    write_example(args.out, args.seed, args.number, args.size)


if __name__ == "__main__":
    raise SystemExit(main())
