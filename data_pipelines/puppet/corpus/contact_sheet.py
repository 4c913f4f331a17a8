"""Renders three contact sheets of puppets.

  conventions.png      +10 of each pose and gaze coordinate, and a row of expressions, with labels
  puppet_people.jpg    40 people of the corpus (its default seed), each with 5 expressions
  puppet_visemes.jpg   4 people, each speaking 15 phones: the frame at the middle of the phone, between two [ə]

python -m data_pipelines.puppet.corpus.contact_sheet --out docs/assets
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from data_pipelines.puppet.corpus.build import person
from data_pipelines.puppet.motion.articulation import contact_frame, lip_curves
from data_pipelines.puppet.motion.emotion import columns_named
from data_pipelines.puppet.motion.face_motion import REST_POSE
from data_pipelines.puppet.person.identity import random_identity
from data_pipelines.puppet.render.renderer import Renderer
from demo_jax.cli import CommandParser, cli_main
from demo_jax.errors import InputError
from demo_jax.factors import ARKIT_INDEX, GAZE_NAMES, POSE_NAMES
from demo_jax.media.files import write_atomically

_CAPTION = 14  # pixels above a cell
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
    """Returns labels, pose [T, 6], expression [T, 52], eyes [T, 3] of the sheet's cells, eight in a row."""
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


def conventions(seed: int, size: int, columns: int = 8) -> np.ndarray:
    """Returns [H, W, 3] uint8: the labelled sheet of the puppet with this seed."""
    labels, pose, expression, eyes = cells()
    frames = Renderer(random_identity(np.random.default_rng(seed)), size).render(pose, expression, eyes)
    rows = -(-len(labels) // columns)
    sheet = Image.new("RGB", (columns * size, rows * (size + _CAPTION)), "white")
    pencil = ImageDraw.Draw(sheet)
    for i, (label, frame) in enumerate(zip(labels, frames, strict=True)):
        x, y = i % columns * size, i // columns * (size + _CAPTION)
        sheet.paste(Image.fromarray(frame), (x, y + _CAPTION))
        pencil.text((x + 3, y + 1), label, fill="black")
    return np.asarray(sheet)


# Five cells per person: expression (a name without a side means both), pose and eyes in degrees.
_FACES: tuple[tuple[dict[str, float], dict[str, float]], ...] = (
    ({"mouthSmile": 0.15}, {}),
    ({"mouthSmile": 0.8, "cheekSquint": 0.6, "eyeSquint": 0.2, "jawOpen": 0.25}, {"yaw": -22, "gaze_yaw": 18}),
    ({"browInnerUp": 0.8, "browOuterUp": 0.8, "eyeWide": 0.7, "jawOpen": 0.5, "mouthFunnel": 0.3}, {"pitch": -10}),
    ({"browDown": 0.8, "noseSneer": 0.3, "mouthFrown": 0.6, "mouthPress": 0.4}, {"yaw": 25, "pitch": 8}),
    ({"eyeBlink": 1.0, "mouthPucker": 0.8, "browInnerUp": 0.3}, {"roll": 12}),
)


def people(size: int, number: int = 40, across: int = 4) -> np.ndarray:
    """Returns [H, W, 3] uint8: `number` people of all splits, `across` to a row, each with five expressions."""
    pose, expression, eyes = np.tile(REST_POSE, (5, 1)), np.zeros((5, 52)), np.zeros((5, 3))
    for i, (shapes, turn) in enumerate(_FACES):
        for name, value in shapes.items():
            expression[i, columns_named(name)] = value
        for name, value in turn.items():
            if name in POSE_NAMES:
                pose[i, POSE_NAMES.index(name)] += value
            else:
                eyes[i, GAZE_NAMES.index(name)] = value
    shown = [person(0, split, i) for i in range(number) for split in ("train", "val", "test")][:number]
    strips = [np.concatenate(list(Renderer(who, size).render(pose, expression, eyes)), 1) for who in shown]
    gap = np.full((size, size // 8, 3), 255, np.uint8)
    rows = []
    for start in range(0, number, across):
        row = [block for strip in strips[start : start + across] for block in (strip, gap)]
        rows.append(np.concatenate(row[:-1], 1))
    return np.concatenate(rows, 0)


PHONES = (
    "p", "m", "f", "v", "θ", "t", "s", "ʃ", "k", "l", "a", "ɛ", "i", "ɔ", "u",
)  # fmt: skip
_LABELS = {"θ": "th", "ʃ": "sh", "ɛ": "e (bed)", "ɔ": "o (thought)"}  # the sheet's plain font lacks these letters


def visemes(size: int, speakers: tuple[int, ...] = (0, 1, 10, 12)) -> np.ndarray:
    """Returns [H, W, 3] uint8: a row per person, a column per phone."""
    frames = 25
    curves = []
    for phone in PHONES:
        times = np.array([[0.30, 0.42], [0.42, 0.56], [0.56, 0.68]])
        curves.append(lip_curves(("ə", phone, "ə"), times, frames)[contact_frame(0.42, 0.56, frames)])
    pose, eyes = np.tile(REST_POSE, (len(PHONES), 1)), np.zeros((len(PHONES), 3))
    pose[:, POSE_NAMES.index("z")] -= 0.25  # nearer
    rows = [
        np.concatenate(list(Renderer(person(0, "train", i), size).render(pose, np.stack(curves), eyes)), 1)
        for i in speakers
    ]
    sheet = Image.new("RGB", (len(PHONES) * size, len(speakers) * size + _CAPTION), "white")
    sheet.paste(Image.fromarray(np.concatenate(rows, 0)), (0, _CAPTION))
    pencil = ImageDraw.Draw(sheet)
    for i, phone in enumerate(PHONES):
        pencil.text((i * size + 3, 1), _LABELS.get(phone, phone), fill="black")
    return np.asarray(sheet)


@cli_main
def main(argv: list[str] | None = None) -> int:
    parser = CommandParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="an existing folder for the three files")
    args = parser.parse_args(argv)
    if not args.out.is_dir():
        raise InputError(f"--out {args.out}: no such folder; make it first.")
    for name, sheet in (
        ("conventions.png", conventions(seed=9, size=128)),
        ("puppet_people.jpg", people(size=88)),
        ("puppet_visemes.jpg", visemes(size=104)),
    ):
        buffer = io.BytesIO()
        kind = {"optimize": True} if name.endswith("png") else {"quality": 90, "subsampling": 0}
        Image.fromarray(sheet).save(buffer, "PNG" if name.endswith("png") else "JPEG", **kind)
        write_atomically(args.out / name, buffer.getvalue())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
