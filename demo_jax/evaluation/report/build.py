"""`python -m demo_jax.evaluation.report`: the figures of a checkpoint on held-out data: report.json, tables.csv, and
report.html to read.

Takes auto-encoders and stage-2 checkpoints, puppets and real video, and measures all that they allow. Each section is
cached in OUT/parts under a name made of everything it depends on, so that an interrupted report resumes. The default
split is `test`; nothing is tuned on it.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import importlib.metadata
import io
import json
import math
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from data_pipelines.records.catalog import code_paths, corpus_name, data_fingerprint, open_records
from data_pipelines.records.schema import PROBE, ClipRecord, CodeRecord, read_codes
from demo_jax.checkpoint.fingerprints import fingerprint
from demo_jax.checkpoint.load import BUNDLED, LoadedModel, load_any
from demo_jax.cli import CommandParser, cli_main
from demo_jax.devices import start_jax
from demo_jax.errors import InputError
from demo_jax.evaluation import experiments, generation, real
from demo_jax.evaluation.judge.regressor import BUNDLED_JUDGE, Judge, load_judge
from demo_jax.evaluation.puppets import Probes, Puppets, read_probes
from demo_jax.evaluation.reconstruction import reconstruction
from demo_jax.evaluation.reenactor import Reenactor
from demo_jax.evaluation.report import examples as report_examples
from demo_jax.evaluation.report.page import page
from demo_jax.evaluation.report.thresholds import targets
from demo_jax.media.files import write_atomically
from demo_jax.paths import resolve
from demo_jax.sampling.pipeline import Pipeline

VERSION = 1  # of the sections: raised when the meaning of a figure changes
PUPPET = (
    "reconstruction", "probe_reconstruction", "probe", "codes", "leakage", "control", "reenactment", "jacobians",
)  # fmt: skip
REAL = ("real_reconstruction", "real_pose", "real_leakage")
GENERATED = ("lip_sync", "holding", "response")  # of stage 2, with --codes
JUDGED = ("leakage", "control", "reenactment")
CLIPS_SHOWN = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportSettings:
    """The settings that decide which samples are measured. Raises InputError for counts below 1."""

    data: str
    split: str = "test"
    clips: int = 40  # most segments of speech or real video, and clips of generated motion
    people: int = 50  # most people of the probes
    frames: int = 1500  # approximate number of probe frames
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("clips", "people", "frames"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name} {getattr(self, name)}: at least 1 is needed.")


def choose(count: int, most: int, seed: int = 0) -> list[int]:
    """Returns at most `most` of `count` indices, the same ones for the same seed, ascending."""
    return sorted(np.random.default_rng(seed).permutation(count)[:most].tolist())


def clip_records(data: str, split: str, most: int, variants: tuple[str, ...] = ("",)) -> list[ClipRecord]:
    """Returns segments of takes of these variants; by default speech, without the takes of paired groups."""
    records = open_records(data, split)
    plain = [i for i, segment in enumerate(records.segments) if segment.variant in variants]
    return [records[plain[i]] for i in choose(len(plain), most)]


def independent_takes(data: str, split: str, most: int) -> list[ClipRecord]:
    """Returns probe takes or, in a corpus without them, the base takes of its paired groups."""
    return clip_records(data, split, most, (PROBE,)) or clip_records(data, split, most, ("base",))


def code_records(codes: str, split: str, most: int) -> list[CodeRecord]:
    """Returns at most `most` code records of a split."""
    paths = code_paths(codes, split)
    return [read_codes(paths[i]) for i in choose(len(paths), most)]


class _Measurer:
    """Measures sections. What they share is opened once, when the first of them needs it."""

    def __init__(self, model: LoadedModel, settings: ReportSettings, judge: Path, codes: str | None) -> None:
        self.model, self.settings, self.reenactor = model, settings, Reenactor(model)
        self._judge_folder, self._codes = judge, codes
        self._made: dict[str, Any] = {}

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    @property
    def judge(self) -> Judge:
        return self._once("judge", lambda: load_judge(self._judge_folder))

    @property
    def puppets(self) -> Puppets:
        s = self.settings
        return self._once("puppets", lambda: Puppets(s.data, s.split, self.reenactor.size))

    @property
    def probes(self) -> Probes:
        s = self.settings
        return self._once(
            "probes", lambda: read_probes(s.data, s.split, self.reenactor.size, s.frames, s.people, s.seed)
        )

    @property
    def pipeline(self) -> Pipeline:
        return self._once("pipeline", lambda: Pipeline(self.model))

    @property
    def spoken(self) -> list[CodeRecord]:
        s = self.settings
        return self._once("spoken", lambda: code_records(self._codes or "", s.split, s.clips))

    def run(self, name: str) -> Any:
        """Returns the result of one section."""
        s, reenactor = self.settings, self.reenactor
        few = max(1, s.clips // 5)  # rendering frames and finding faces in them is expensive
        match name:
            case "reconstruction" | "real_reconstruction":
                return reconstruction(reenactor, clip_records(s.data, s.split, s.clips))
            case "probe_reconstruction":
                return reconstruction(reenactor, independent_takes(s.data, s.split, s.clips))
            case "probe":
                return experiments.probe(reenactor, self.probes)
            case "codes":
                return experiments.code_statistics(reenactor, self.probes)
            case "leakage":
                return experiments.leakage(reenactor, self.judge, self.puppets, self.probes, s.seed)
            case "control":
                return experiments.control_precision(reenactor, self.judge, self.puppets, self.probes.speakers)
            case "reenactment":
                return experiments.reenactment(reenactor, self.judge, self.puppets, self.probes, s.seed)
            case "jacobians":
                return experiments.jacobian_angles(reenactor, self.probes)
            case "real_pose":
                return real.pose(reenactor, clip_records(s.data, s.split, s.clips))
            case "real_leakage":
                return real.leakage(reenactor, clip_records(s.data, s.split, s.clips), s.seed)
            case "lip_sync":
                return generation.lip_sync(self.pipeline, self.spoken)
            case "holding":
                return generation.holding(self.pipeline, self.spoken[:few])
            case "response":
                return generation.control_response(self.pipeline, self.spoken[:few])
        raise ValueError(name)


def plain(value: Any) -> Any:
    """Returns a result fit for JSON: arrays become lists, and numbers that are not finite (not measured) None."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def rows_of(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """Returns the numbers of a result as (path, number) for the table; matrices by the names of their rows and
    columns."""
    if isinstance(value, dict):
        rows, columns = value.get("rows"), value.get("columns")
        out: list[tuple[str, Any]] = []
        for key, inner in value.items():
            place = f"{path}/{key}" if path else key
            if isinstance(inner, list) and inner and isinstance(inner[0], list) and rows and columns:
                out += [(f"{place}/{r}/{c}", inner[i][j]) for i, r in enumerate(rows) for j, c in enumerate(columns)]
            else:
                out += rows_of(inner, place)
        return out
    return [(path, value)] if isinstance(value, int | float | bool) or value is None else []


def sections(model: LoadedModel, corpus: str, codes: str | None) -> tuple[str, ...]:
    """Returns the sections that can be measured of this checkpoint on these data."""
    generated = GENERATED if model.flow is not None and codes else ()
    return (*(PUPPET if corpus == "puppet" else REAL), *generated)


def examples(measurer: _Measurer, corpus: str, names: list[str]) -> list[report_examples.Example]:
    """Returns the strips and clips of the page; with true renders only if one of the sections `names` rendered too."""
    s, reenactor = measurer.settings, measurer.reenactor
    spoken = clip_records(s.data, s.split, CLIPS_SHOWN)
    out = [report_examples.strip(reenactor, record) for record in spoken]
    if corpus == "puppet":
        out += [report_examples.strip(reenactor, record) for record in independent_takes(s.data, s.split, CLIPS_SHOWN)]
    if set(names) & set(JUDGED):
        out.append(report_examples.cross_strip(reenactor, measurer.puppets, measurer.probes))
        out.append(report_examples.control_clip(reenactor, measurer.puppets, measurer.probes.speakers[0]))
    return out + [report_examples.speech_clip(reenactor, record) for record in spoken]


def about(model: LoadedModel, name: str, settings: ReportSettings, corpus: str, judge: Path) -> dict[str, Any]:
    """Returns what the report depends on: checkpoint, data, judge, settings, versions and machine."""
    description = judge / "judge.json"
    versions = {p: importlib.metadata.version(p) for p in ("jax", "flax", "numpy")}
    return {
        "checkpoint": name,
        "kind": "stage 2" if model.flow is not None else "auto-encoder",
        "size": model.autoencoder.model.size,
        "autoencoder_fingerprint": fingerprint(model.autoencoder_params),
        "corpus": corpus,
        "data_fingerprint": data_fingerprint(settings.data, settings.split)[:16],
        "trained_on": str(model.meta.get("data_fingerprint", ""))[:16],
        "judge": hashlib.sha256((judge / "judge.npz").read_bytes()).hexdigest()[:16] if description.exists() else "",
        **{k: v for k, v in dataclasses.asdict(settings).items() if k != "data"},
        **versions,
        "python": platform.python_version(),
        "device": jax.devices()[0].device_kind,
        "machine": platform.machine(),
    }


def write_report(
    checkpoint: str, settings: ReportSettings, out: Path, judge: Path, codes: str | None, only: list[str] | None
) -> dict[str, Any]:
    """Measures what `out` does not have yet and writes the three files. Returns the contents of report.json."""
    model = load_any(checkpoint)
    corpus = corpus_name(settings.data, settings.split)
    possible = sections(model, corpus, codes)
    names = [name for name in possible if not only or name in only]
    if unavailable := [name for name in only or () if name not in possible]:
        raise InputError(
            f"--only {unavailable[0]}: cannot be measured here. This checkpoint on {corpus} data allows: "
            f"{', '.join(possible)}. {', '.join(GENERATED)} need a stage-2 checkpoint and --codes."
        )
    if set(names) & set(JUDGED):
        load_judge(judge)  # a missing judge is reported before the first hour, not after
    measurer = _Measurer(model, settings, judge, codes)
    facts = about(model, Path(checkpoint).name, settings, corpus, judge)
    results = {name: _kept(out / "parts", name, facts, codes, measurer) for name in names}
    report: dict[str, Any] = {"about": facts, "results": results}
    summary = targets(results)
    report["targets"] = [plain(dataclasses.asdict(t)) | {"reached": t.reached} for t in summary]
    write_atomically(out / "report.json", json.dumps(report, indent=1, allow_nan=False).encode())
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerows([("figure", "value"), *rows_of(results)])
    write_atomically(out / "tables.csv", table.getvalue().encode())
    write_atomically(out / "report.html", page(report, summary, examples(measurer, corpus, names)).encode())
    return report


def _kept(folder: Path, name: str, facts: dict[str, Any], codes: str | None, measurer: _Measurer) -> Any:
    """Returns the section's result, from `folder` if it has that of the same checkpoint, data and judge."""
    depends = {k: facts[k] for k in ("autoencoder_fingerprint", "data_fingerprint", "split", "clips", "people",
                                     "frames", "seed")}  # fmt: skip
    if name in JUDGED:
        depends["judge"] = facts["judge"]
    if name in GENERATED:
        depends |= {"flow": fingerprint(measurer.model.flow_params), "codes": codes}
    key = hashlib.sha256(json.dumps([VERSION, name, depends], sort_keys=True).encode()).hexdigest()[:12]
    path = folder / f"{name}-{key}.json"
    if path.exists():
        return json.loads(path.read_text())
    result = plain(measurer.run(name))
    write_atomically(path, json.dumps(result, allow_nan=False).encode())
    return result


@cli_main
def main(argv: list[str] | None = None) -> None:
    every = (*PUPPET, *REAL, *GENERATED)
    parser = CommandParser(
        prog="python -m demo_jax.evaluation.report",
        description="Measures a checkpoint on held-out data and writes report.json, tables.csv and report.html: "
        "image quality, probes of the code, leakage, precision of controls, identity. Real video, holding and "
        "response need the prepare extra.",
        epilog="Example: python -m demo_jax.evaluation.report --data data/puppet --out out/report",
    )
    parser.add_argument(
        "--checkpoint", default=str(BUNDLED), help="work directory or published model (the bundled one)"
    )
    parser.add_argument("--data", required=True, help="corpus of clip records, as for stage 1")
    parser.add_argument(
        "--codes", help="codes of the same corpus by the checkpoint's auto-encoder: adds what stage 2 generates"
    )
    parser.add_argument(
        "--out", required=True, help="folder to write; finished sections of the same report in it are kept"
    )
    parser.add_argument("--judge", default=str(BUNDLED_JUDGE), help="folder of the judge (the bundled one)")
    defaults = ReportSettings(data="")
    parser.add_argument("--split", default=defaults.split)
    parser.add_argument(
        "--clips", type=int, default=defaults.clips, help=f"most segments of a section ({defaults.clips})"
    )
    parser.add_argument(
        "--people", type=int, default=defaults.people, help=f"most people of the probes ({defaults.people})"
    )
    parser.add_argument(
        "--frames", type=int, default=defaults.frames, help=f"approximate number of probe frames ({defaults.frames})"
    )
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--only", choices=every, action="append", help="measure only this; may be repeated")
    args = parser.parse_args(argv)
    start_jax()
    settings = ReportSettings(
        data=args.data, split=args.split, clips=args.clips, people=args.people, frames=args.frames, seed=args.seed
    )
    report = write_report(args.checkpoint, settings, Path(args.out), Path(resolve(args.judge)), args.codes, args.only)
    for t in report["targets"]:
        value = "–" if t["value"] is None else f"{t['value']:.3f}"
        mark = {True: "reached", False: "missed", None: ""}[t["reached"]]
        print(f"  {t['name']:60s} {value:>9s}   {mark}")
    print(f"{Path(args.out) / 'report.html'}")
