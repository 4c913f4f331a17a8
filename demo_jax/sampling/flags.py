"""The flags of sample.py and their help."""

from __future__ import annotations

import argparse

from demo_jax.cli import CommandParser
from demo_jax.constants import FPS
from demo_jax.factors import EMOTIONS, FACTORS, GAZE_NAMES, LIPS_NAMES, POSE_NAMES

DESCRIPTION = """\
Makes a talking video from a portrait and a recording of speech of any length, and beside it the motion track of the
video: OUT_track.npz and OUT_track.csv. The portrait may be any common image file: a photograph is shown whole, in its
own size and surroundings. The recording may be any common audio or video file; both are local files. Instead of a
recording the audio may be silence (an idle face) or a live stream; instead of one job there may be a manifest of many.
Every video is marked as synthetic media in its metadata."""


EXAMPLES = f"""\
examples
  The bundled puppet:
    python sample.py --portrait demo_jax/assets/portrait.png --audio demo_jax/assets/speech.wav --out out/demo.mp4
  Lips only; head and eyes stay as in the portrait:
    python sample.py ... --hold pose,gaze,residual
  Half the head motion, a fifth more lip motion:
    python sample.py ... --gain pose=0.5,lip=1.2
  Head turned 10 degrees further than in the portrait, eyes straight ahead in the head:
    python sample.py ... --set yaw=+10,gaze_yaw=0,gaze_pitch=0
  Head motion from a file, the rest generated; pose.csv has columns time,yaw,pitch,roll and one row every 0.04 s:
    python sample.py ... --track pose.csv
  Head poses at single times from key.csv (the same columns, rows at any times), motion between them generated:
    python sample.py ... --keyframes key.csv
  Lips from one video, head motion from a second, added to the portrait's own pose, eyes from a third:
    python sample.py ... --drive lip=talk.mp4 --drive +pose=nod.mp4 --drive gaze=look.mp4
  The eyes look at the camera, and blink after one and after three seconds:
    python sample.py ... --look-at-camera --blink 1,3
  Only the square around the face, 512 pixels; or the person without the background:
    python sample.py --portrait me.jpg --audio me.wav --out me.mp4 --square --size 512
    python sample.py --portrait me.jpg --audio me.wav --out me.webm --background transparent
  Ten seconds of an idle face:
    python sample.py --portrait demo_jax/assets/portrait.png --silence 10 --out out/idle.mp4
  Live from a microphone to a player (raw 16 kHz mono 16-bit audio in, fragmented mp4 out):
    arecord -q -f S16_LE -r 16000 | python sample.py --portrait me.png --audio - --stream --out - | ffplay -
  Many jobs; a line of jobs.jsonl is {{"portrait": "a.png", "audio": "a.wav", "out": "a.mp4", "hold": ["pose"]}}:
    python sample.py --manifest jobs.jsonl --out out/videos

factors, for --hold and --gain
  {", ".join(FACTORS)}   (residual: brows, cheeks, smile and everything else)

names, for --set and as columns of a track (with the column time, in seconds)
  {", ".join(POSE_NAMES[:3])}           degrees; yaw > 0 turns the nose to image right, pitch > 0 down,
                             roll > 0 the head's top to image left
  {", ".join(POSE_NAMES[3:])}                    face centre, right and up of the crop's centre, in crop widths;
                             log(crop width / face width)
  {", ".join(GAZE_NAMES[:2])}       degrees, in the head
  {", ".join(GAZE_NAMES[2:])}      0 closed, 1 open; left is the person's left
  {", ".join(LIPS_NAMES)}    lip gap and mouth width in eye spans; 0 to 1
  A leading + adds to the portrait's own value: yaw=+10, yaw=+-10, or a column +yaw. In a track, empty cells (csv) and
  NaN (npz) are free. If several controls set one value, the order of precedence is --set, --keyframes, --track,
  --drive, --hold. A blink closes the lids whatever they are set to; a gain applies to generated motion only.

exit codes
  0 done, 1 some jobs of a manifest failed (reasons in results.jsonl), 2 an input cannot be used (one line on stderr,
  nothing is written), 130 interrupted"""


def parser() -> CommandParser:
    """The parser of sample.py's flags."""
    p = CommandParser(
        prog="python sample.py",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--portrait", metavar="IMAGE", help="a photograph of a face, seen from the front; or a puppet")
    audio = p.add_mutually_exclusive_group()
    audio.add_argument(
        "--audio",
        metavar="AUDIO",
        help="the speech, an audio or video file; the video has its length and its audio, up to 48 kHz stereo. With "
        "--stream, - is standard input",
    )
    audio.add_argument("--silence", type=float, metavar="SECONDS", help="no speech: an idle face of this length")
    p.add_argument(
        "--out",
        required=True,
        metavar="VIDEO",
        help="the video to write, for example out/me.mp4 (or .mov, .mkv, .webm). With --stream, - is standard output",
    )
    p.add_argument(
        "--stream",
        action="store_true",
        help="make frames while the audio arrives; files are streamed in real time. The video's audio is 16 kHz mono. "
        "Prints the latency of the frames",
    )
    p.add_argument(
        "--manifest",
        metavar="FILE",
        help="one JSON object a line, one line a job: portrait, audio or silence, out; cropped, seed, and the flags "
        "for picture, controls and sampling below, with underscores. --out is then a folder, with the result of each "
        "job in results.jsonl. Repeating the command continues: finished jobs are skipped",
    )
    p.add_argument("--slots", type=int, metavar="N", help="jobs sampled together (CPU 1, else 8 a device)")
    p.add_argument("--checkpoint", metavar="FOLDER", help="work directory of stage 2 or published model (bundled)")
    p.add_argument(
        "--cropped",
        action="store_true",
        help="the portrait is a square around the face already; no face is searched for",
    )
    p.add_argument("--face-model", metavar="FILE", help="MediaPipe's face_landmarker.task, if not the installed one")
    p.add_argument("--seed", type=int, default=0, metavar="N", help="changing it changes the motion (0)")

    g = p.add_argument_group("picture (of photographs; puppets are shown as their square)")
    g.add_argument("--square", action="store_true", help="only the square around the face")
    g.add_argument(
        "--size",
        type=int,
        metavar="PIXELS",
        help="the video's longer side, at most 2160; an image is never enlarged (its own, at most 1920 x 1080)",
    )
    g.add_argument(
        "--background",
        metavar="WHAT",
        help="transparent (--out is then a .webm), a colour as #RRGGBB, or an image file, in place of what is behind",
    )
    g.add_argument("--face", type=int, metavar="N", help="of several faces the Nth from the left (the largest)")
    g.add_argument(
        "--fps", type=int, default=FPS, metavar="RATE", help="25, 30, 50 or 60 frames a second (25); tracks have 25"
    )
    g.add_argument("--frames", metavar="FOLDER", help="also write the frames there, as PNG files, before encoding")

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
        help="take a factor from a video, or from a track (npz) that the same model wrote; + adds the change since its "
        "first frame to the portrait's own value",
    )
    g.add_argument("--blink", action="append", default=[], metavar="SECONDS", help="blink at these times")
    g.add_argument("--look-at-camera", action="store_true", help="the eyes look at the camera, however the head turns")
    g.add_argument(
        "--emotion",
        default="",
        metavar="EMOTION",
        help=f"{', '.join(EMOTIONS[1:])}; or several with the seconds at which each begins: neutral,2.5:happy",
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
        help="classifier-free guidance scale of the speech: 0 ignores it, 1 as trained (2)",
    )
    g.add_argument("--emotion-scale", type=float, default=1.0, metavar="S", help="the same of --emotion (1)")
    return p
