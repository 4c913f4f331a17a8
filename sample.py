"""Makes a talking video of one portrait and one recording, through the Python API in demo_jax.sampling.pipeline."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from demo_jax.factors import EMOTIONS, FACTORS, GAZE_NAMES, LIPS_NAMES, POSE_NAMES
from demo_jax.typing import FPS, CommandParser, InputError, exits_with_two

DESCRIPTION = """\
Makes a talking video (mp4, 25 frames a second) from a portrait and a recording of speech of any length, and beside it
the motion track of the video: OUT_track.npz and OUT_track.csv. The portrait may be any common picture, the recording
any common sound or video file; both are local files. Every video is marked as synthetic media in its metadata."""

EXAMPLES = f"""\
examples
  The bundled puppet:
    python sample.py --portrait demo_jax/assets/portrait.png --audio demo_jax/assets/speech.wav --out out/demo.mp4
  Lips only: head and eyes stay as in the portrait:
    python sample.py ... --hold pose,gaze,residual
  Half the head motion, a fifth more of the lips:
    python sample.py ... --gain pose=0.5,lip=1.2
  Head turned 10 degrees further than in the portrait, eyes straight at the camera:
    python sample.py ... --set yaw=+10,gaze_yaw=0,gaze_pitch=0
  Head motion out of a file, the rest generated; pose.csv has columns time,yaw,pitch,roll and one row every 0.04 s:
    python sample.py ... --track pose.csv

factors, for --hold and --gain
  {", ".join(FACTORS)}   (residual: brows, cheeks, smile and all else)

names, for --set and as columns of a track (with the column time, in seconds)
  {", ".join(POSE_NAMES[:3])}           degrees; yaw > 0 turns the nose to image right, pitch > 0 down,
                             roll > 0 the head's top to image left
  {", ".join(POSE_NAMES[3:])}                    face centre, right and up of the crop's centre, in crop widths;
                             log(crop width / face width)
  {", ".join(GAZE_NAMES[:2])}       degrees, in the head
  {", ".join(GAZE_NAMES[2:])}      0 closed, 1 open; left is the person's left
  {", ".join(LIPS_NAMES)}    lip gap and mouth width in eye spans; 0 to 1
  A leading + counts from the portrait's own value: yaw=+10, yaw=+-10, or a column +yaw. In a track, empty cells (csv)
  and NaN (npz) are free. Of several controls on one value, --set counts before --track, --track before --hold.

exit codes
  0 done, 2 something given cannot be used (one line on stderr says what, and nothing is written), 130 interrupted"""


def parser() -> CommandParser:
    p = CommandParser(
        prog="python sample.py",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--portrait", required=True, metavar="PICTURE", help="one face, seen from the front")
    p.add_argument("--audio", required=True, metavar="SOUND", help="the speech; its length is the video's")
    p.add_argument("--out", required=True, metavar="VIDEO", help="where to write, for example out/me.mp4")
    p.add_argument("--checkpoint", metavar="FOLDER", help="work directory of stage 2 or published model (bundled)")
    p.add_argument(
        "--cropped", action="store_true", help="the portrait is a square around the face already; none is searched for"
    )
    p.add_argument("--face-model", metavar="FILE", help="MediaPipe's face_landmarker.task, if not the installed one")
    p.add_argument("--seed", type=int, default=0, metavar="N", help="another number is another performance (0)")

    g = p.add_argument_group("controls (may be repeated; several items are separated by commas)")
    g.add_argument("--hold", action="append", default=[], metavar="FACTOR", help="keep a factor as in the portrait")
    g.add_argument(
        "--gain",
        action="append",
        default=[],
        metavar="FACTOR=G",
        help="multiply a factor's generated motion away from the portrait by G: 0 none, 1 as generated, at most 5",
    )
    g.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="one value for the whole video")
    g.add_argument("--track", metavar="FILE", help=f"values frame by frame, npz or csv, {FPS} rows a second")
    g.add_argument("--emotion", default="", choices=EMOTIONS, metavar="EMOTION", help=", ".join(EMOTIONS[1:]))

    g = p.add_argument_group("sampling")
    g.add_argument("--steps", type=int, default=10, metavar="N", help="solver steps per window of two seconds (10)")
    g.add_argument(
        "--solver", default="euler", help="euler (1 network evaluation a step), heun (2), dopri5 (6) (euler)"
    )
    g.add_argument(
        "--audio-scale",
        type=float,
        default=2.0,
        metavar="S",
        help="guidance by speech: 0 ignores it, 1 as trained (2)",
    )
    g.add_argument("--emotion-scale", type=float, default=1.0, metavar="S", help="guidance by --emotion (1)")
    return p


@exits_with_two
def main(arguments: Sequence[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    from demo_jax.sampling import pipeline  # after the arguments: --help needs no jax
    from demo_jax.sampling.controls import Controls

    options = pipeline.Options(
        seed=args.seed,
        steps=args.steps,
        solver=args.solver,
        audio_scale=args.audio_scale,
        emotion_scale=args.emotion_scale,
        emotion=args.emotion,
    )
    controls = Controls.parse(hold=args.hold, gain=args.gain, set=args.set, track=args.track)
    outputs = [path.resolve() for path in pipeline.output_paths(args.out)]
    if args.track and Path(args.track).resolve() in outputs:
        raise InputError(f"track {args.track} would be replaced by the new one; give another --out.")
    demo = pipeline.load(args.checkpoint)
    try:
        result = demo.generate(
            args.portrait,
            args.audio,
            args.out,
            controls=controls,
            options=options,
            cropped=args.cropped,
            face_model=args.face_model,
            progress=True,
            warn=_warn,
        )
    except KeyboardInterrupt:
        print("interrupted; nothing was written.", file=sys.stderr)
        return 130
    print(
        f"{result.video}: {result.frames} frames ({result.frames / FPS:.1f} s) in {result.seconds:.1f} s, "
        f"{result.evaluations} network evaluations in {result.windows} windows; motion in {result.tracks[0].name}, "
        f"{result.tracks[1].name}."
    )
    return 0


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
