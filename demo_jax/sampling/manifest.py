"""A manifest of jobs: what each line may say, and which of them an earlier call has finished.

One JSON object a line. `portrait` and `audio` (or `silence`, seconds) name the inputs, `out` the video's name in the
output folder; what else a job may say are sample.py's controls and sampling flags with underscores, `seed` and
`cropped`, and lists where a flag may be repeated:

    {"portrait": "a.png", "audio": "a.wav", "out": "a.mp4", "seed": 3, "hold": ["pose"], "set": ["yaw=+10"]}

Paths count from the manifest's folder. Values are taken as JSON has them: numbers without quotes, true and false and
nothing else where yes or no is meant; null is as if the name were left out.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from demo_jax.errors import InputError
from demo_jax.media.text_files import check_flag, parse_json, read_lines
from demo_jax.sampling.options import Options
from demo_jax.sampling.pipeline import output_names

RESULTS = "results.jsonl"
MAX_INTEGER = 2**63  # JSON's have no limit; from about 10^308 on they are no floats
_OPTIONS = {f.name for f in dataclasses.fields(Options)}
_CONTROLS = {"hold", "gain", "set", "track", "keyframes", "drive", "blink", "look_at_camera"}
_INPUTS = {"portrait", "audio", "silence", "out", "cropped"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ManifestJob:
    """One line of a manifest, checked as far as that is possible without opening its files.

    line      its number, from 1
    said      the line as it was, for the fingerprint
    portrait, audio   paths; audio None = silence for `silence` seconds
    out       the video's path
    options, controls as sample.py takes them; controls still in words
    """

    line: int
    said: Mapping[str, Any]
    portrait: Path
    audio: Path | None
    silence: float
    out: Path
    cropped: bool
    options: Options
    controls: Mapping[str, Any]

    def fingerprint(self, model: str) -> str:
        """What decides the video: the line, the options (defaults too), the contents of the files that it names, and
        the model. A file that cannot be read counts as none: what is wrong with it is said when the job begins."""
        facts = [self.said, dataclasses.asdict(self.options), model]
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for path in self.files:
            try:
                digest.update(path.read_bytes())
            except (OSError, ValueError):
                digest.update(b"-")
        return digest.hexdigest()[:16]

    @property
    def files(self) -> list[Path]:
        """Every file that the job reads."""
        named = [self.portrait, self.portrait.with_suffix(".json")]
        named += [] if self.audio is None else [self.audio]
        named += [Path(self.controls[n]) for n in ("track", "keyframes") if self.controls.get(n)]
        return named + [Path(word.partition("=")[2]) for word in self.controls.get("drive", ())]


@dataclasses.dataclass(frozen=True, kw_only=True)
class InvalidJob:
    """A line that cannot be a job, and why."""

    line: int
    out: str
    error: str


def read_manifest(path: str | os.PathLike, folder: str | os.PathLike) -> list[ManifestJob | InvalidJob]:
    """The jobs of a manifest, in order; their videos go into `folder`. Raises InputError if it cannot be read or says
    nothing; a bad line is InvalidJob and spoils no other."""
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
    """The job, unless it would replace a file that a line of the manifest reads: `read`, file -> the first such job."""
    for path in output_names(job.out):
        if user := read.get(_place(path)):
            error = f"{path} would be replaced, but line {user.line} reads it; give another out."
            return InvalidJob(line=job.line, out=job.out.name, error=error)
    return job


def _place(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, ValueError):  # a name that no system takes; what is wrong with it is said when the job begins
        return path


def _name(line: str) -> str:
    try:
        return str(parse_json(line, "it").get("out", ""))
    except (InputError, AttributeError):
        return ""


def _job(number: int, line: str, base: Path, folder: Path) -> ManifestJob:
    said = parse_json(line, "it")
    if not isinstance(said, dict):
        raise InputError('it is not an object such as {"portrait": "a.png", "audio": "a.wav", "out": "a.mp4"}.')
    said = {name: value for name, value in said.items() if value is not None}
    known = _OPTIONS | _CONTROLS | _INPUTS
    if unknown := sorted(set(said) - known):
        raise InputError(f"{unknown[0]!r} is not known; a job may say {', '.join(sorted(known))}.")
    for name, value in said.items():
        if isinstance(value, int) and abs(value) > MAX_INTEGER:
            raise InputError(f"{name} is too large a number.")
    for name in ("portrait", "out"):
        if not isinstance(said.get(name), str) or not said[name]:
            raise InputError(f"it has no {name!r}.")
    if ("audio" in said) == ("silence" in said):
        raise InputError("it needs either 'audio' or 'silence'.")
    out = folder / said["out"]
    if "\x00" in said["out"] or out.parent.resolve() != folder.resolve() or out.suffix.lower() != ".mp4":
        raise InputError(f"out {said['out']!r} is not the name of an .mp4 in the output folder.")
    if not (base / said["portrait"]).name:
        raise InputError(f"portrait {said['portrait']!r} is not a file.")
    controls = {name: said[name] for name in _CONTROLS & said.keys()}
    for name in ("hold", "gain", "set", "drive", "blink"):
        if name in controls:
            controls[name] = _words(name, controls[name])
    for name in ("track", "keyframes"):
        if name in controls:
            controls[name] = str(base / _text(name, controls[name]))
    controls["drive"] = [_rebased(word, base) for word in controls.get("drive", ())]
    if "look_at_camera" in controls:
        controls["look_at_camera"] = check_flag("look_at_camera", said["look_at_camera"])
    options = Options(**{name: said[name] for name in _OPTIONS & said.keys()})
    silence = said.get("silence", 0)
    if not _is_number(silence):
        raise InputError(f"silence {silence!r} is not a number of seconds.")
    return ManifestJob(
        line=number,
        said=said,
        portrait=base / said["portrait"],
        audio=base / _text("audio", said["audio"]) if "audio" in said else None,
        silence=float(silence),
        out=out,
        cropped=check_flag("cropped", said.get("cropped", False)),
        options=options,
        controls=controls,
    )


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise InputError(f"{name} {value!r} is not the name of a file.")
    return value


def _words(name: str, value: Any) -> list[str]:
    words = value if isinstance(value, list) else [value]
    if not all(isinstance(word, str) or _is_number(word) for word in words):
        raise InputError(f"{name} {value!r}: give a string or a list of strings.")
    return [str(word) for word in words]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _rebased(word: str, base: Path) -> str:
    name, equals, path = word.partition("=")
    return f"{name}{equals}{base / path}" if path else word


def finished(folder: Path) -> dict[str, str]:
    """Video name -> fingerprint of the job that made it, by the results that earlier calls have left."""
    done: dict[str, str] = {}
    path = folder / RESULTS
    for line in read_lines(path, str(path)) if path.exists() else []:
        try:
            row = json.loads(line)
            if row["status"] == "done":
                done[row["out"]] = row["fingerprint"]
        except (ValueError, KeyError, TypeError):
            continue  # the last line of a call that was killed while it wrote
    return done
