"""The gain of fine-tuning on minutes of one speaker: python -m benchmarks.finetune --out out/finetune.

The speaker is a puppet that the published model was not trained on (number --person of the test split, with voice and
sentences of that split), rendered for some minutes; or, with --data and --speaker, a person in a prepared corpus. The
last clips are held out. Then come, by the commands of configs/finetune.py, a full run and a low-rank run of both
stages; and demo_jax.evaluation.report of the published model and of both runs, on the held-out clips. Finished parts
are not repeated.

    python -m benchmarks.finetune --data data/real --speaker Obama --out out/finetune_real
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, make_parser, write_json
from data_pipelines.records.catalog import open_records, splits_of
from data_pipelines.records.schema import write_clip
from demo_jax.checkpoint.load import BUNDLED, load_any
from demo_jax.cli import cli_main
from demo_jax.errors import InputError
from demo_jax.evaluation import experiments
from demo_jax.evaluation.judge.regressor import BUNDLED_JUDGE, load_judge
from demo_jax.evaluation.puppets import Puppets, read_probes
from demo_jax.evaluation.reenactor import Reenactor
from demo_jax.evaluation.report.build import plain
from demo_jax.media.files import write_atomically

CLIPS = {"train": 20, "val": 2, "test": 6}  # of about 8.7 seconds
PROBES, PROBE_FRAMES = 4, 64  # of independent factors, for leakage
PAIRS = 96  # of motions; a report's eight per person are too few for one person
VARIANTS: dict[str, list[str]] = {"full": [], "low_rank": ["--config.low_rank=8"]}
SECTIONS = {
    "puppet": ("reconstruction", "control", "lip_sync"),
    "real": ("real_reconstruction", "response", "lip_sync"),
}


def render_person(out: Path, number: int) -> None:
    """Writes a corpus of one puppet of the default corpus' test split."""
    from data_pipelines.puppet.corpus.build import fingerprint, records
    from data_pipelines.puppet.corpus.clips import probe_take, speech_clip
    from data_pipelines.puppet.corpus.plan import Parameters

    parameters = Parameters()
    people, seed = parameters.people_in("test"), parameters.seed
    turn = 0
    for split, count in CLIPS.items():
        for _ in range(count):
            take = speech_clip(seed, "test", number + people * turn, people)
            turn += 1
            for record in records(take, "test", seed, parameters.size):
                write_clip(out / split, record)
    for k in range(PROBES):
        take = probe_take(seed, "test", number + people * k, people, PROBE_FRAMES)
        for record in records(take, "test", seed, parameters.size):
            write_clip(out / "test", record)
    write_json(out / "corpus.json", fingerprint(parameters))


def gather_speaker(data: str, speaker: str, out: Path) -> None:
    """Writes the clips of one speaker of a prepared corpus: the last is the test split, the one before it validation.

    Raises InputError if there are fewer than three.
    """
    found: dict[str, list[Any]] = {}
    for split in splits_of(data):
        records = open_records(data, split)
        for i in range(len(records.segments)):
            if str(records.read(i, ("speaker_id",))["speaker_id"]) == speaker:
                found.setdefault(records.segments[i].clip_id, []).append(records[i])
    if len(found) < 3:
        raise InputError(f"{data} has {len(found)} clips of speaker {speaker!r}; 3 are needed, and more are better.")
    names = sorted(found)
    for name in names:
        split = {names[-1]: "test", names[-2]: "val"}.get(name, "train")
        for record in found[name]:
            write_clip(out / split, record)


def run(log: Path, *command: object) -> None:
    """Runs a Python command with its output in `log`. Raises InputError if it fails."""
    with log.open("a") as file:
        words = [sys.executable, *(str(c) for c in command)]
        file.write(f"$ {' '.join(words)}\n")
        file.flush()
        if subprocess.run(words, cwd=ROOT, stdout=file, stderr=file, check=False).returncode:
            raise InputError(f"{' '.join(words[1:3])} failed; see {log}.")


def adapt(out: Path, name: str, settings: list[str]) -> Path:
    """Fine-tunes both stages by configs/finetune.py. Returns the run that sample.py takes."""
    log, data = out / f"{name}.log", out / "data"
    first, codes, second = out / f"{name}_ae", out / f"{name}_codes", out / name
    run(log, "train.py", "--config=configs/finetune.py:autoencoder", f"--workdir={first}", f"--config.data.path={data}",
        *settings)  # fmt: skip
    run(log, "-m", "data_pipelines.encode", "--autoencoder", first, "--data", data, "--out", codes)
    run(log, "train.py", "--config=configs/finetune.py:flow", f"--workdir={second}", f"--config.data.path={codes}",
        f"--config.autoencoder={first}", *settings)  # fmt: skip
    return second


def measured(out: Path, name: str, checkpoint: Path, codes: Path, corpus: str) -> dict[str, Any]:
    """Returns the report's results for one checkpoint."""
    folder = out / f"{name}_report"
    only = [word for section in SECTIONS[corpus] for word in ("--only", section)]
    run(out / f"{name}.log", "-m", "demo_jax.evaluation.report", "--checkpoint", checkpoint, "--data", out / "data",
        "--codes", codes, "--out", folder, *only)  # fmt: skip
    results = json.loads((folder / "report.json").read_text())["results"]
    if corpus == "puppet":
        results["leakage"] = leakage(checkpoint, str(out / "data"))
    return results


def leakage(checkpoint: Path, data: str) -> dict[str, Any]:
    """Returns the report's section, with more pairs."""
    reenactor = Reenactor(load_any(checkpoint))
    probes = read_probes(data, "test", reenactor.size, PROBES * PROBE_FRAMES, 1, 0)
    puppets = Puppets(data, "test", reenactor.size)
    return plain(experiments.leakage(reenactor, load_judge(BUNDLED_JUDGE), puppets, probes, 0, each=PAIRS))


def compare(out: Path, corpus: str, only: list[str]) -> dict[str, Any]:
    """Returns the results of the published model and of the variants, by name."""
    data, published = out / "data", out / "published_codes"
    run(out / "published.log", "-m", "data_pipelines.encode", "--autoencoder", BUNDLED, "--data", data,
        "--out", published)  # fmt: skip
    results = {"published": measured(out, "published", BUNDLED, published, corpus)}
    for name in only:
        results[name] = measured(out, name, adapt(out, name, VARIANTS[name]), out / f"{name}_codes", corpus)
    return results


@cli_main
def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__, prog="python -m benchmarks.finetune")
    parser.add_argument(
        "--out", required=True, type=Path, help="folder for the speaker's data, the runs and table.json"
    )
    parser.add_argument("--person", type=int, default=7, help="which puppet of the test split (7)")
    parser.add_argument("--data", help="a prepared corpus to take the speaker from, instead of a puppet")
    parser.add_argument("--speaker", help="speaker_id in it")
    parser.add_argument("--only", choices=tuple(VARIANTS), action="append", help="this run; may be repeated")
    args = parser.parse_args(argv)
    if (args.data is None) != (args.speaker is None):
        raise InputError("--data and --speaker go together.")
    if not (args.out / "data.done").exists():
        shutil.rmtree(args.out / "data", ignore_errors=True)
        if args.data:
            gather_speaker(args.data, args.speaker, args.out / "data")
        else:
            render_person(args.out / "data", args.person)
        write_atomically(args.out / "data.done", b"")
    results = compare(args.out, "real" if args.data else "puppet", args.only or list(VARIANTS))
    write_json(args.out / "table.json", results)
    print(args.out / "table.json")


if __name__ == "__main__":
    raise SystemExit(main())
