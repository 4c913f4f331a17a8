"""The flags of sample.py, and the help that teaches them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from demo_jax.cli import CommandParser
from demo_jax.constants import FPS
from demo_jax.factors import EMOTIONS, FACTORS, GAZE_NAMES, LIPS_NAMES, POSE_NAMES

if TYPE_CHECKING:
    pass

DESCRIPTION = """\
Makes a talking video (mp4, 25 frames a second) from a portrait and a recording of speech of any length, and beside it
the motion track of the video: OUT_track.npz and OUT_track.csv. The portrait may be any common picture, the recording
any common sound or video file; both are local files. Instead of a recording there may be silence, in which the face
idles, or sound that is still arriving; instead of one job, a manifest of many. Every video is marked as synthetic media
in its metadata."""


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
  The head passes where key.csv says (the same columns, rows at any times), and moves by itself between:
    python sample.py ... --keyframes key.csv
  Lips out of one video, the head's motion out of a second, added to the portrait's own pose, eyes out of a third:
    python sample.py ... --drive lip=talk.mp4 --drive +pose=nod.mp4 --drive gaze=look.mp4
  The eyes stay on the camera, and blink after one and after three seconds:
    python sample.py ... --look-at-camera --blink 1,3
  Ten seconds of listening:
    python sample.py --portrait demo_jax/assets/portrait.png --silence 10 --out out/idle.mp4
  A microphone to a player, while one speaks (raw 16 kHz mono 16-bit sound in, fragmented mp4 out):
    arecord -q -f S16_LE -r 16000 | python sample.py --portrait me.png --audio - --stream --out - | ffplay -
  Many at once; a line of jobs.jsonl is {{"portrait": "a.png", "audio": "a.wav", "out": "a.mp4", "hold": ["pose"]}}:
    python sample.py --manifest jobs.jsonl --out out/videos

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
  and NaN (npz) are free. Of several controls on one value, --set counts before --keyframes, these before --track, that
  before --drive, and that before --hold. A blink closes what lids there are; only generated motion has a gain.

exit codes
  0 done, 1 some jobs of a manifest failed (results.jsonl says why), 2 something given cannot be used (one line on
  stderr says what, and nothing is written), 130 interrupted"""


def parser() -> CommandParser:
    p = CommandParser(
        prog="python sample.py",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--portrait", metavar="PICTURE", help="one face, seen from the front")
    sound = p.add_mutually_exclusive_group()
    sound.add_argument(
        "--audio",
        metavar="SOUND",
        help="the speech; its length is the video's, and its sound, up to 48 kHz stereo. With --stream, - is "
        "standard input",
    )
    sound.add_argument("--silence", type=float, metavar="SECONDS", help="no speech: an idle face for so long")
    p.add_argument(
        "--out",
        required=True,
        metavar="VIDEO",
        help="where to write, for example out/me.mp4. With --stream, - is standard output",
    )
    p.add_argument(
        "--stream",
        action="store_true",
        help="make frames while the sound arrives; a file is heard at the speed at "
        "which it was spoken, and the video gets 16 kHz mono. Says how late the frames were",
    )
    p.add_argument(
        "--manifest",
        metavar="FILE",
        help="one job a line, in JSON: portrait, audio or silence, out; cropped, seed, and the controls and sampling "
        "flags below, with underscores. --out is then a folder, in which results.jsonl says what became of each. The "
        "same command goes on: finished jobs are skipped",
    )
    p.add_argument("--slots", type=int, metavar="N", help="jobs of a manifest made together (CPU 1, else 8 a device)")
    p.add_argument("--checkpoint", metavar="FOLDER", help="work directory of stage 2 or published model (bundled)")
    p.add_argument(
        "--cropped", action="store_true", help="the portrait is a square around the face already; none is searched for"
    )
    p.add_argument("--face-model", metavar="FILE", help="MediaPipe's face_landmarker.task, if not the installed one")
    p.add_argument("--seed", type=int, default=0, metavar="N", help="another number is another session (0)")

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
    g.add_argument("--keyframes", metavar="FILE", help="values at single times, csv; everything between is generated")
    g.add_argument(
        "--drive",
        action="append",
        default=[],
        metavar="[+]FACTOR=FILE",
        help="take a factor from a video, or from a "
        "track (npz) that the same model wrote; + counts from its first frame and adds to the portrait's own",
    )
    g.add_argument("--blink", action="append", default=[], metavar="SECONDS", help="blink at these times")
    g.add_argument("--look-at-camera", action="store_true", help="the eyes, however the head turns")
    g.add_argument(
        "--emotion",
        default="",
        metavar="EMOTION",
        help=f"{', '.join(EMOTIONS[1:])}; or several with the seconds from which each counts: neutral,2.5:happy",
    )

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
