"""The command: makes a talking video of a portrait and a recording, through the API in demo_jax.sampling.pipeline."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from demo_jax.cli import cli_main
from demo_jax.errors import InputError
from demo_jax.sampling.flags import parser

if TYPE_CHECKING:
    import numpy as np

    from demo_jax.sampling.controls import Controls
    from demo_jax.sampling.options import Options
    from demo_jax.sampling.pipeline import Pipeline
    from demo_jax.sampling.portraits import View


@cli_main
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs sample.py; returns the exit code."""
    args = parser().parse_args(arguments)
    if args.manifest:
        return _manifest(args)
    if args.slots is not None:
        raise InputError("slots: only with --manifest, whose jobs are sampled together.")
    if not args.portrait or (args.audio is None and args.silence is None):
        raise InputError("give --portrait and one of --audio, --silence; or a --manifest of jobs. See --help.")
    from demo_jax.devices import start_jax  # after parsing: --help needs no jax
    from demo_jax.sampling import outputs, pipeline
    from demo_jax.sampling.controls import CONTROL_NAMES, Controls
    from demo_jax.sampling.options import OPTION_NAMES, Options

    view = _view(args)
    flags = vars(args)
    options = Options(**{name: flags[name] for name in OPTION_NAMES})
    if not args.stream:
        for flag, value in (("audio", args.audio), ("out", args.out)):
            if value == "-":
                raise InputError(f"{flag} -: only with --stream.")
    if args.out != "-":
        named = (
            args.portrait, args.audio, args.track, args.keyframes, args.face_model, args.checkpoint, args.background
        )  # fmt: skip
        driving = [drive.partition("=")[2] for drive in args.drive]
        files = [path for path in (*named, *driving) if path not in (None, "", "-")]
        transparent = view.background is not None and view.background.transparent
        outputs.refuse_overwriting(outputs.output_paths(args.out, transparent and not args.stream), files)
    start_jax()
    demo = pipeline.load(args.checkpoint)
    drive = demo.read_drive(args.drive, face_model=args.face_model, warn=_warn)
    controls = Controls.from_flags({name: flags[name] for name in CONTROL_NAMES}, drive)
    speech = args.audio if args.silence is None else pipeline.silence(args.silence)
    try:
        if args.stream:
            return _stream(args, demo, speech, controls, options, view)
        result = demo.generate(
            args.portrait,
            speech,
            args.out,
            controls=controls,
            options=options,
            cropped=args.cropped,
            view=view,
            fps=args.fps,
            frame_folder=args.frames,
            face_model=args.face_model,
            progress=True,
            warn=_warn,
        )
    except KeyboardInterrupt:
        print("interrupted; nothing was written.", file=sys.stderr)
        return 130
    print(
        f"{result.video}: {result.frames} frames ({result.frames / args.fps:.1f} s) in {result.seconds:.1f} s, "
        f"{result.evaluations} network evaluations in {result.windows} windows; motion in {result.tracks[0].name}, "
        f"{result.tracks[1].name}."
    )
    return 0


def _manifest(args: argparse.Namespace) -> int:
    from demo_jax.devices import start_jax
    from demo_jax.media.locks import locked
    from demo_jax.sampling import batch, manifest, pipeline

    if args.stream:
        raise InputError("--stream cannot be used with --manifest.")
    known = parser()
    for name, value in vars(args).items():
        if name not in ("manifest", "out", "slots", "checkpoint", "face_model") and value != known.get_default(name):
            raise InputError(f"with --manifest, each line gives its own {name}; leave the flag out.")
    if args.slots is not None and args.slots < 1:
        raise InputError(f"slots {args.slots}: at least 1 job runs at a time.")
    folder = Path(args.out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"output folder {folder} cannot be created ({error.strerror}).") from error
    start_jax()
    listed = manifest.read_manifest(args.manifest, folder)
    sampler = batch.BatchSampler(pipeline.load(args.checkpoint), args.slots, args.face_model)
    try:
        with locked(folder, "making videos"):
            counts = sampler.run(listed, folder, progress=True, warn=_warn)
    except KeyboardInterrupt:
        print("interrupted; the same command continues.", file=sys.stderr)
        return 130
    summary = ", ".join(f"{n} {name}" for name, n in counts.items())
    print(f"{folder}: {summary}; details in {folder / manifest.RESULTS}.")
    return 1 if counts["failed"] else 0


def _view(args: argparse.Namespace) -> View:
    from demo_jax.media.background import parse_background
    from demo_jax.media.frame_rates import check_frame_rate
    from demo_jax.sampling.portraits import View

    check_frame_rate(args.fps)
    background = None if args.background is None else parse_background(args.background)
    return View(size=args.size, square=args.square, background=background, face=args.face)


def _stream(
    args: argparse.Namespace,
    demo: Pipeline,
    speech: str | np.ndarray,
    controls: Controls,
    options: Options,
    view: View,
) -> int:
    from demo_jax.sampling import streaming

    if args.frames is not None:
        raise InputError("frames: not with --stream, whose frames leave as they are made.")
    portrait = demo.read_portrait(
        args.portrait, cropped=args.cropped, view=view, face_model=args.face_model, warn=_warn
    )
    if not isinstance(speech, str):
        chunks = streaming.paced(speech)
    elif speech == "-":
        chunks = streaming.raw_chunks(sys.stdin.buffer)
    else:
        chunks = streaming.paced(demo.read_speech(speech, warn=_warn))
    out = None if args.out == "-" else args.out
    result = streaming.stream_video(demo, portrait, chunks, out, controls, options, args.fps)
    print(
        f"{args.out}: {result.frames} frames; the first came {result.first_frame:.2f} s after the audio it needs, "
        f"the latest {result.latest:.2f} s after; {result.frames_a_second:.0f} frames a second could be sustained "
        f"(real-time factor {result.real_time_factor:.2f}).",
        file=sys.stderr if out is None else sys.stdout,
    )
    return 0


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
