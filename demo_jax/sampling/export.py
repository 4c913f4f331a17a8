"""Exports a model as compiled programs in one file, which runs without this package's model code.

    python -m demo_jax.sampling.export --out out/puppet-v1.zip [--checkpoint FOLDER] [--batch 1] [--steps 10]
        [--photograph 640x576]

The file is a zip of StableHLO programs, which contain the weights, and what their caller needs:

    meta.json      sizes, the code's coordinates and units, audio feature, fingerprint, and each program's inputs
    encode.bin     image uint8 [S, S, 3] -> the portrait's pyramid (a flat list of arrays) and raw code [K]
    sample.bin     noise and a window's condition -> raw codes [B, L, K]
    decode.bin     pyramid, portrait's code [K], raw codes [10, K] -> uint8 [10, S, S, 3]
    space.npz      mean, whiten, unwhiten: conditions are whitened codes

and with --photograph, for photographs whose moving box has this padded height and width, pixels:

    move_face.bin  pyramid, portrait's code [K], raw codes [10, K], face [70, 3] -> points [10, 70, 3]
    draw.bin       scene (a flat list of arrays), portrait's code, raw codes [10, K], points -> uint8 [10, h, w, 4]

A scene is made once for a portrait, in Python: `demo.source(demo.read_portrait("me.jpg")).photograph` has the arrays
(`scene_arrays`), the face's points (scene.face.points), the portrait's code (the source's), and says where in the frame
the box lies: `paste` puts it there. Sides of boxes are multiples of 64; smaller ones may be padded to that of the file.

`jax.export.deserialize(zip.read("sample.bin")).call(*arrays)` runs one with jax alone; `read` loads all of them. Each
is lowered for CPU, CUDA and TPU.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import os
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jaxtyping import Array, Float, UInt8

from demo_jax.cli import CommandParser, cli_main
from demo_jax.devices import start_jax
from demo_jax.errors import InputError
from demo_jax.factors import CALIBRATED_NAMES, CALIBRATED_SCALE, EMOTIONS, FACTORS
from demo_jax.flow import condition as conditions
from demo_jax.flow import guidance, ode
from demo_jax.flow.condition import Condition
from demo_jax.media.files import AtomicFile
from demo_jax.models.autoencoder import AutoEncoder, to_float
from demo_jax.models.flow_transformer import FlowTransformer
from demo_jax.models.geometry.landmarks import EYE_CORNERS, mean_face
from demo_jax.models.layers import portable
from demo_jax.pytrees import leaf_name
from demo_jax.rendering import frames
from demo_jax.rendering.photograph import ALIGNED, Outlines, Scene, make_face, make_photograph
from demo_jax.sampling.drawing import DECODE_BATCH
from demo_jax.sampling.pipeline import Pipeline, load

PLATFORMS = ("cpu", "cuda", "tpu")
MAX_BOX = 2176  # pixels: of the largest video
FIELDS = tuple(f.name for f in dataclasses.fields(Condition))


def programs(
    demo: Pipeline, batch: int, steps: int, box: tuple[int, int] | None = None
) -> dict[str, tuple[Callable, list, list[str]]]:
    """Name -> (function of arrays, their shapes, their names). `box` is the height and width of photographs' boxes."""
    model, layout = demo.model, demo.layout
    assert model.flow is not None and model.space is not None
    net, transformer, space = (
        AutoEncoder(model.autoencoder.model),
        FlowTransformer(model.flow.model, layout),
        model.space,
    )
    flow, layers = model.flow.model, model.flow_params
    feature_size = layers["audio_in"]["kernel"].shape[-2] if layers else 0
    # Where photographs are drawn, portraits are of people.
    encoder = {"params": model.autoencoder_params if box is None else model.for_people}
    flow_weights = {"params": model.flow_params}

    def encode(image: UInt8[Array, "S S 3"]) -> tuple:
        pixels = to_float(image)[None]
        pyramid = net.apply(encoder, pixels, method=AutoEncoder.encode_source)
        return (*jax.tree.leaves(pyramid), net.apply(encoder, pixels, method=AutoEncoder.encode_motion)[0])

    image = jax.ShapeDtypeStruct((demo.size, demo.size, 3), jnp.uint8)
    *leaves, code = jax.eval_shape(encode, image)
    tree = jax.tree.structure(
        jax.eval_shape(lambda p: net.apply(encoder, to_float(p)[None], method=AutoEncoder.encode_source), image)
    )

    def decode(*arrays: Array) -> UInt8[Array, "n S S 3"]:
        *pyramid, portrait_code, codes = arrays
        return demo.drawer.decode(model.autoencoder_params, jax.tree.unflatten(tree, pyramid), portrait_code, codes)

    example = conditions.empty(
        batch, layout.size, feature_size, context=flow.context, length=flow.window, lookahead=flow.look_ahead
    )

    def sample(
        noise: Float[Array, "B L K"], audio_scale: Float[Array, ""], emotion_scale: Float[Array, ""], *fields: Array
    ) -> Float[Array, "B L K"]:
        def velocity(x: Float[Array, "B L K"], t: Float[Array, " B"], condition: Condition) -> Float[Array, "B L K"]:
            return transformer.apply(flow_weights, x, t, condition)

        scales = {"audio": guidance.audio_scale(audio_scale, layout), "emotion": emotion_scale}
        guided = guidance.guide(velocity, scales)
        condition = Condition(**dict(zip(FIELDS, fields, strict=True)))
        return space.from_whitened(ode.solve(guided, noise, condition, steps)[0])

    shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in (getattr(example, name) for name in FIELDS)]
    scale = jax.ShapeDtypeStruct((), jnp.float32)
    codes = jax.ShapeDtypeStruct((DECODE_BATCH, layout.size), jnp.float32)
    pyramid_names = [f"pyramid_{i}" for i in range(len(leaves))]
    made: dict[str, tuple[Callable, list, list[str]]] = {
        "encode": (encode, [image], ["picture"]),
        "sample": (
            sample,
            [jax.ShapeDtypeStruct(example.given.shape, jnp.float32), scale, scale, *shapes],
            ["noise", "audio_scale", "emotion_scale", *FIELDS],
        ),
        "decode": (decode, [*leaves, code, codes], [*pyramid_names, "portrait_code", "codes"]),
    }
    if box is None:
        return made

    def move_face(*arrays: Array) -> Float[Array, "n 70 3"]:
        *pyramid, portrait_code, codes, face = arrays
        pyramid = jax.tree.unflatten(tree, pyramid)
        return demo.drawer.move_face(model.for_people, pyramid, portrait_code, codes, face)

    scene = _empty_scene(*box)
    scene_leaves, scene_tree = jax.tree.flatten(scene)

    def draw(*arrays: Array) -> UInt8[Array, "n h w 4"]:
        *leaves, portrait_code, codes, points = arrays
        return frames.draw(jax.tree.unflatten(scene_tree, leaves), portrait_code, codes, points, layout.slices)

    points = jax.ShapeDtypeStruct((DECODE_BATCH, 70, 3), jnp.float32)
    face = jax.ShapeDtypeStruct((70, 3), jnp.float32)
    return made | {
        "move_face": (
            move_face,
            [*leaves, code, codes, face],
            [*pyramid_names, "portrait_code", "codes", "face"],
        ),
        "draw": (
            draw,
            [*(jax.ShapeDtypeStruct(np.shape(a), jnp.float32) for a in scene_leaves), code, codes, points],
            [*scene_arrays(scene), "portrait_code", "codes", "points"],
        ),
    }


def scene_arrays(scene: Scene) -> dict[str, np.ndarray]:
    """The arrays of a scene by name, in the order in which `draw` takes them."""
    return {leaf_name(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(scene)}


def _empty_scene(height: int, width: int) -> Scene:
    """A scene whose box is this large."""
    face = mean_face()
    points = np.concatenate([face, [(face[a] + face[b]) / 2 for a, b in EYE_CORNERS]])
    geometry = make_face(points, np.zeros(3), Outlines.of_landmarks(points))
    image, person = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.float32)
    return make_photograph(image, person, geometry, np.zeros(3), (width / 2, height / 2), float(height + width)).scene


def write(
    demo: Pipeline,
    out: str | os.PathLike,
    *,
    batch: int = 1,
    steps: int = 10,
    box: tuple[int, int] | None = None,
) -> Path:
    """Exports to the zip file `out`, atomically.

    Args:
      demo: the model.
      out: the file.
      batch: windows sampled at once.
      steps: solver steps.
      box: height and width of the box of photographs, multiples of 64; None: without the programs for photographs.

    Raises:
      InputError: a number is out of range, or the file cannot be written there.
    """
    if box is not None and not all(side % ALIGNED == 0 and ALIGNED <= side <= MAX_BOX for side in box):
        raise InputError(
            f"photograph {box[0]}x{box[1]}: the sides of a box are multiples of {ALIGNED}, at most {MAX_BOX}."
        )
    if not (1 <= batch <= 4096 and 1 <= steps <= 1000):
        raise InputError(f"batch {batch} and steps {steps}: both are at least 1, and at most 4096 and 1000.")
    model, path = demo.model, Path(out)
    assert model.flow is not None and model.space is not None
    if path.is_dir() or not path.absolute().parent.is_dir():
        wrong = (
            "is a folder; give a file name" if path.is_dir() else "is in a folder that does not exist; create it first"
        )
        raise InputError(f"output {path} {wrong}.")
    exported = programs(demo, batch, steps, box)
    flow, slices = model.flow.model, demo.layout.slices
    meta = {
        "fingerprint": demo.fingerprint,
        "corpus": model.meta.get("corpus", ""),
        "size": demo.size,
        "code_size": demo.layout.size,
        "factors": {name: [slices[name].start, slices[name].stop] for name in FACTORS},
        "calibrated": {
            name: {"coordinate": int(k), "scale": float(s)}
            for name, k, s in zip(CALIBRATED_NAMES, demo.layout.calibrated, CALIBRATED_SCALE, strict=True)
        },
        "emotions": list(EMOTIONS),
        "feature": model.flow.data.feature,
        "batch": batch,
        "context": flow.context,
        "window": flow.window,
        "look_ahead": flow.look_ahead,
        "steps": steps,
        "photograph": box,
        "platforms": list(PLATFORMS),
        "inputs": {
            name: [
                {"name": n, "shape": list(s.shape), "dtype": str(s.dtype)} for n, s in zip(names, shapes, strict=True)
            ]
            for name, (_, shapes, names) in exported.items()
        },
        "note": "Made by demo_jax. What these programs make is synthetic media.",
    }
    space = io.BytesIO()
    arrays: dict[str, Any] = {n: np.asarray(getattr(model.space, n)) for n in ("mean", "whiten", "unwhiten")}
    np.savez(space, **arrays)
    with portable(), AtomicFile(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as file:
        for name, (function, shapes, _) in exported.items():
            file.writestr(f"{name}.bin", export.export(jax.jit(function), platforms=PLATFORMS)(*shapes).serialize())
        file.writestr("space.npz", space.getvalue())
        file.writestr("meta.json", json.dumps(meta, indent=1))
    return path


def read(path: str | os.PathLike) -> tuple[dict[str, Callable], dict[str, Any]]:
    """Reads the programs of an exported file, by name, and its meta. Needs only jax: copy it to where this
    package is not installed."""
    with zipfile.ZipFile(path) as file:
        meta = json.loads(file.read("meta.json"))
        return {name: export.deserialize(bytearray(file.read(f"{name}.bin"))).call for name in meta["inputs"]}, meta


def _box(text: str) -> tuple[int, int]:
    if not (match := re.fullmatch(r"(\d{1,4})x(\d{1,4})", text)):
        raise InputError(f"photograph {text!r} is not HEIGHTxWIDTH, as in 640x576.")
    return int(match[1]), int(match[2])


@cli_main
def main(argv: list[str] | None = None) -> None:
    """Runs the command."""
    parser = CommandParser(
        prog="python -m demo_jax.sampling.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--checkpoint", metavar="FOLDER", help="stage-2 run or published model (the bundled one)")
    parser.add_argument("--out", required=True, metavar="FILE", help="the zip to write")
    parser.add_argument("--batch", type=int, default=1, metavar="B", help="windows sampled at once (1)")
    parser.add_argument("--steps", type=int, default=10, metavar="N", help="solver steps (10)")
    parser.add_argument(
        "--photograph", metavar="HEIGHTxWIDTH", help="programs for photographs too, for a box of this size (none)"
    )
    args = parser.parse_args(argv)
    box = None if args.photograph is None else _box(args.photograph)
    start_jax()
    path = write(load(args.checkpoint), args.out, batch=args.batch, steps=args.steps, box=box)
    sys.stdout.write(f"{path}: {path.stat().st_size / 2**20:.1f} MiB\n")


if __name__ == "__main__":
    raise SystemExit(main())
