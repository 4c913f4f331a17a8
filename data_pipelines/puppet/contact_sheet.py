"""Draws the conventions sheet: +10 of each pose and gaze coordinate, and a row of expressions, with labels.

python -m data_pipelines.puppet.contact_sheet --out docs/assets/conventions.png
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np

from data_pipelines.puppet.identity import random_identity
from data_pipelines.puppet.render import Renderer
from data_pipelines.schema import write_atomically
from demo_jax.factors import ARKIT_INDEX, POSE_NAMES
from demo_jax.typing import CommandParser, InputError, exits_with_two

NEUTRAL_Z = float(np.log(2.1))
_BOTH = ("Left", "Right")
_EXPRESSIONS: tuple[tuple[str, dict[str, float]], ...] = (
    ("jawOpen", {"jawOpen": 1.0}),
    ("jawOpen + mouthClose", {"jawOpen": 0.6, "mouthClose": 0.6}),
    ("mouthPucker", {"mouthPucker": 1.0}),
    ("mouthFunnel", {"mouthFunnel": 1.0, "jawOpen": 0.2}),
    ("mouthSmile", {f"mouthSmile{s}": 1.0 for s in _BOTH}),
    ("mouthFrown, browDown", {f"{n}{s}": 1.0 for n in ("mouthFrown", "browDown") for s in _BOTH}),
    ("eyeBlinkLeft", {"eyeBlinkLeft": 1.0}),
    ("eyeWide, browInnerUp", {"browInnerUp": 1.0, "eyeWideLeft": 1.0, "eyeWideRight": 1.0}),
)


def cells() -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Labels, pose [T, 6], expression [T, 52], eyes [T, 3] of the sheet's cells, eight in a row."""
    steps = {"yaw": 10.0, "pitch": 10.0, "roll": 10.0, "x": 0.1, "y": 0.1, "z": 0.1}
    labels = ["neutral", *(f"{n} +{steps[n]:g}" for n in POSE_NAMES), "yaw +40"]
    labels += ["gaze yaw +10", "gaze pitch +10", "gaze yaw +25", "gaze pitch +25", "yaw -25, gaze +25", "pitch -20"]
    labels += ["roll -20", "all 0, z 0.5"]
    first = len(labels)
    labels += [name for name, _ in _EXPRESSIONS]
    pose, expression, gaze = np.zeros((len(labels), 6)), np.zeros((len(labels), 52)), np.zeros((len(labels), 3))
    pose[:, 5] = NEUTRAL_Z
    for i, name in enumerate(POSE_NAMES):
        pose[1 + i, i] += steps[name]
    pose[7, 0] = 40.0
    gaze[8:13, :2] = [[10, 0], [0, 10], [25, 0], [0, 25], [25, 0]]
    pose[12, 0], pose[13, 1], pose[14, 2], pose[15, 5] = -25.0, -20.0, -20.0, 0.5
    for i, (_, shapes) in enumerate(_EXPRESSIONS):
        for name, value in shapes.items():
            expression[first + i, ARKIT_INDEX[name]] = value
    return labels, pose, expression, gaze


def contact_sheet(seed: int = 11, size: int = 128, columns: int = 8) -> np.ndarray:
    """[H, W, 3] uint8: the labelled sheet of the puppet drawn with this seed."""
    from PIL import Image, ImageDraw

    labels, pose, expression, gaze = cells()
    frames = Renderer(random_identity(np.random.default_rng(seed)), size).render(pose, expression, gaze)
    caption = 14
    rows = -(-len(labels) // columns)
    sheet = Image.new("RGB", (columns * size, rows * (size + caption)), "white")
    pencil = ImageDraw.Draw(sheet)
    for i, (label, frame) in enumerate(zip(labels, frames, strict=True)):
        x, y = i % columns * size, i // columns * (size + caption)
        sheet.paste(Image.fromarray(frame), (x, y + caption))
        pencil.text((x + 3, y + 1), label, fill="black")
    return np.asarray(sheet)


@exits_with_two
def main(argv: list[str] | None = None) -> int:
    parser = CommandParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="PNG file to write")
    parser.add_argument("--seed", type=int, default=11, help="which random puppet (default: 11)")
    parser.add_argument("--size", type=int, default=128, help="pixels of each frame, 32 to 512 (default: 128)")
    args = parser.parse_args(argv)
    if not 32 <= args.size <= 512 or args.seed < 0:
        raise InputError(f"--size {args.size}, --seed {args.seed}: give a size of 32 to 512 and a seed of 0 or more.")
    if not args.out.parent.is_dir():
        raise InputError(f"--out {args.out}: the folder {args.out.parent} does not exist; make it first.")
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(contact_sheet(args.seed, args.size)).save(buffer, "PNG", optimize=True)
    write_atomically(args.out, buffer.getvalue())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
