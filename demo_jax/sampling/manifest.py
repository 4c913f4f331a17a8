"""A manifest of jobs: reading its lines, and finding the jobs that an earlier call finished.

Each line is a JSON object. `portrait` and `audio` (or `silence`, seconds) are the inputs, `out` is the video's name in
the output folder. A job may also have `seed`, `cropped`, and sample.py's flags for picture, controls and sampling, with
underscores, and with lists where a flag may be repeated:

    {"portrait": "a.png", "audio": "a.wav", "out": "a.mp4", "seed": 3, "hold": ["pose"], "set": ["yaw=+10"]}

Paths are relative to the manifest's folder. Values have their JSON type: numbers without quotes, and true or false for
yes or no; null is the same as leaving the name out.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from demo_jax.constants import FPS
from demo_jax.errors import InputError
from demo_jax.media.background import TRANSPARENT
from demo_jax.media.frame_rates import check_frame_rate
from demo_jax.media.text_files import check_flag, parse_json, read_lines
from demo_jax.sampling.controls import CONTROL_NAMES
from demo_jax.sampling.options import OPTION_NAMES, Options
from demo_jax.sampling.outputs import output_names
from demo_jax.sampling.portraits import View

RESULTS = "results.jsonl"
VIDEOS = (".mp4", ".webm")
MAX_INTEGER = 2**63  # JSON has no limit; floats end at about 10^308
_INPUTS = {"portrait", "audio", "silence", "out", "cropped"}
_VIEW = {"size", "square", "background", "face", "fps", "frames"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ManifestJob:
    """One line of a manifest, checked as far as possible without opening its files.

    line             its number, from 1
    fields           the line's values as written, for the fingerprint
    portrait, audio  paths; audio None = silence for `silence` seconds
    out              the video's path
    options          of the sampler
    controls         values of sample.py's flags, not parsed yet
    view             what is shown; its background is in `background`, not read yet
    background       as in the flag, a file relative to the manifest's folder
    fps              frames a second
    frames           a folder for the frames as PNG files, in the output folder
    """

    line: int
    fields: Mapping[str, Any]
    portrait: Path
    audio: Path | None
    silence: float
    out: Path
    cropped: bool
    options: Options
    controls: Mapping[str, Any]
    view: View
    background: str | None
    fps: int
    frames: Path | None

    def fingerprint(self, model: str) -> str:
        """Hash of everything that decides the video: the line, the options (defaults too), the contents of the files it
        names, and the model. An unreadable file counts as missing; its error is reported when the job starts."""
        facts = [self.fields, dataclasses.asdict(self.options), model]
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for path in self.files:
            try:
                digest.update(path.read_bytes())
            except (OSError, ValueError):
                digest.update(b"-")
        return digest.hexdigest()[:16]

    @property
    def files(self) -> list[Path]:
        """All files that the job reads."""
        named = [self.portrait, self.portrait.with_suffix(".json")]
        named += [] if self.audio is None else [self.audio]
        if self.background is not None and not _is_colour(self.background):
            named.append(Path(self.background))
        named += [Path(self.controls[n]) for n in ("track", "keyframes") if self.controls.get(n)]
        return named + [Path(drive.partition("=")[2]) for drive in self.controls.get("drive", ())]


@dataclasses.dataclass(frozen=True, kw_only=True)
class InvalidJob:
    """A line that is not a valid job, and the reason."""

    line: int
    out: str
    error: str


def read_manifest(path: str | os.PathLike, folder: str | os.PathLike) -> list[ManifestJob | InvalidJob]:
    """Reads the jobs of a manifest, in order; their videos go into `folder`. A bad line becomes an InvalidJob and does
    not stop the others. Raises InputError if the manifest is empty or cannot be read."""
    file = Path(path)
    lines = read_lines(file, f"manifest {path}")
    jobs: list[ManifestJob | InvalidJob] = []
    taken: dict[Path, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            job = _job(number, line, file.parent, Path(folder))
            if job.out in taken:
                raise InputError(f"out {job.out.name} is also that of line {taken[job.out]}.")
            taken[job.out] = number
            jobs.append(job)
        except InputError as error:
            jobs.append(InvalidJob(line=number, out=_name(line), error=str(error)))
    if not jobs:
        raise InputError(f"manifest {path} is empty; give one JSON object a line.")
    read = {_place(file): job for job in reversed(jobs) if isinstance(job, ManifestJob) for file in job.files}
    return [_without_overwriting(job, read) if isinstance(job, ManifestJob) else job for job in jobs]


def _without_overwriting(job: ManifestJob, read: Mapping[Path, ManifestJob]) -> ManifestJob | InvalidJob:
    """Returns the job, or an InvalidJob if it would replace an input of a job. `read`: file -> the first job that reads
    it."""
    for path in output_names(job.out):
        if user := read.get(_place(path)):
            error = f"{path} would be replaced, but line {user.line} reads it; give another out."
            return InvalidJob(line=job.line, out=job.out.name, error=error)
    return job


def _place(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, ValueError):  # a name that the system refuses; reported when the job starts
        return path


def _name(line: str) -> str:
    try:
        return str(parse_json(line, "it").get("out", ""))
    except (InputError, AttributeError):
        return ""


def _job(number: int, line: str, base: Path, folder: Path) -> ManifestJob:
    fields = parse_json(line, "it")
    if not isinstance(fields, dict):
        raise InputError('it is not an object such as {"portrait": "a.png", "audio": "a.wav", "out": "a.mp4"}.')
    fields = {name: value for name, value in fields.items() if value is not None}
    known = OPTION_NAMES | CONTROL_NAMES | _INPUTS | _VIEW
    if unknown := sorted(set(fields) - known):
        raise InputError(f"{unknown[0]!r} is not known; a job may have {', '.join(sorted(known))}.")
    for name, value in fields.items():
        if isinstance(value, int) and abs(value) > MAX_INTEGER:
            raise InputError(f"{name} is too large a number.")
    for name in ("portrait", "out"):
        if not isinstance(fields.get(name), str) or not fields[name]:
            raise InputError(f"it has no {name!r}.")
    if ("audio" in fields) == ("silence" in fields):
        raise InputError("it needs either 'audio' or 'silence'.")
    out = folder / fields["out"]
    if (
        "\x00" in fields["out"]
        or out.parent.resolve() != folder.resolve()
        or out.suffix.lower() not in (".mp4", ".webm")
    ):
        raise InputError(f"out {fields['out']!r} is not the name of an .mp4 or .webm in the output folder.")
    if not (base / fields["portrait"]).name:
        raise InputError(f"portrait {fields['portrait']!r} is not a file.")
    controls = {name: fields[name] for name in CONTROL_NAMES & fields.keys()}
    for name in ("hold", "gain", "set", "drive", "blink"):
        if name in controls:
            controls[name] = _strings(name, controls[name])
    for name in ("track", "keyframes"):
        if name in controls:
            controls[name] = str(base / _text(name, controls[name]))
    controls["drive"] = [_rebased(drive, base) for drive in controls.get("drive", ())]
    if "look_at_camera" in controls:
        controls["look_at_camera"] = check_flag("look_at_camera", fields["look_at_camera"])
    options = Options(**{name: fields[name] for name in OPTION_NAMES & fields.keys()})
    silence = fields.get("silence", 0)
    if not _is_number(silence):
        raise InputError(f"silence {silence!r} is not a number of seconds.")
    return ManifestJob(
        line=number,
        fields=fields,
        portrait=base / fields["portrait"],
        audio=base / _text("audio", fields["audio"]) if "audio" in fields else None,
        silence=float(silence),
        out=out,
        cropped=check_flag("cropped", fields.get("cropped", False)),
        options=options,
        controls=controls,
        view=View(
            size=_whole("size", fields.get("size")),
            square=check_flag("square", fields.get("square", False)),
            face=_whole("face", fields.get("face")),
        ),
        background=_background(fields.get("background"), base),
        fps=check_frame_rate(_whole("fps", fields.get("fps", FPS)) or 0),
        frames=None if "frames" not in fields else _inside("frames", fields["frames"], folder),
    )


def _whole(name: str, value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise InputError(f"{name} {value!r} is not a whole number.")
    return value


def _is_colour(background: str) -> bool:
    return background == TRANSPARENT or background.startswith("#")


def _background(value: Any, base: Path) -> str | None:
    if value is None:
        return None
    text = _text("background", value)
    return text if _is_colour(text) else str(base / text)


def _inside(name: str, value: Any, folder: Path) -> Path:
    path = folder / _text(name, value)
    if "\x00" in value or path.parent.resolve() != folder.resolve():
        raise InputError(f"{name} {value!r} is not a name in the output folder.")
    return path


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise InputError(f"{name} {value!r} is not the name of a file.")
    return value


def _strings(name: str, value: Any) -> list[str]:
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) or _is_number(item) for item in items):
        raise InputError(f"{name} {value!r}: give a string or a list of strings.")
    return [str(item) for item in items]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _rebased(drive: str, base: Path) -> str:
    name, equals, path = drive.partition("=")
    return f"{name}{equals}{base / path}" if path else drive


def finished(folder: Path) -> dict[str, str]:
    """Video name -> fingerprint of the job that made it, from the results.jsonl of earlier calls."""
    done: dict[str, str] = {}
    path = folder / RESULTS
    for line in read_lines(path, str(path)) if path.exists() else []:
        try:
            row = json.loads(line)
            if row["status"] == "done":
                done[row["out"]] = row["fingerprint"]
        except (ValueError, KeyError, TypeError):
            continue  # the last line of a call that was killed while writing it
    return done
