"""SIGKILL at random instants must lose nothing: python -m benchmarks.survival --help.

    python -m benchmarks.survival --out out/survival --codes data/puppet_codes --autoencoder runs/puppet_ae \\
        --records data/puppet --videos videos

Each of the commands below runs once undisturbed, and then again in an empty folder, where it is killed with all its
processes at instants sampled from a seed, KILLS times, and finally left to finish. Then

  training   (--codes, --autoencoder) every step's loss is that of the undisturbed run, bit for bit, and so are the
             parameters; checkpoints are written at every other step, so that kills hit them
  shards     (--records) data_pipelines.talking_portrait: every record holds the same arrays
  puppet     data_pipelines.puppet, a small corpus: every record holds the same arrays
  prepare    (--videos) data_pipelines.prepare: likewise
  batch      sample.py --manifest: every job is there, its track is the same, and its video is whole

and no folder contains a file that the undisturbed run did not leave. A command that finishes between two kills is
started again in an empty folder. Results go to survival.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.common import ROOT, make_parser, write_json
from benchmarks.processes import flow_arguments
from data_pipelines.records.catalog import open_records, splits_of
from demo_jax.checkpoint.fingerprints import fingerprint
from demo_jax.checkpoint.load import load_model
from demo_jax.media import video

ASSETS = ROOT / "demo_jax" / "assets"
JOBS = 6

Command = Callable[[Path], list[str]]  # output folder -> command
Reader = Callable[[Path], dict[str, Any]]  # output folder -> contents that must be the same, by name


def start(command: list[str], log: Path) -> subprocess.Popen:
    """Starts a command as the leader of its own process group, with its output in `log`."""
    with log.open("ab") as file:
        return subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file, start_new_session=True)


def finish(process: subprocess.Popen, log: Path) -> None:
    """Waits for a process. Raises SystemExit if it fails."""
    if process.wait():
        raise SystemExit(f"exit code {process.returncode}; see {log}")


def kill(process: subprocess.Popen) -> None:
    """Kills a process with its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def survive(name: str, command: Command, read: Reader, out: Path, kills: int, seed: int) -> dict[str, Any]:
    """Runs `command` undisturbed and killed. Returns counts, and under "differences" the names of what differs."""
    log = out / f"{name}.log"
    begin = time.monotonic()
    finish(start(command(out / name), log), log)
    duration = time.monotonic() - begin
    expected, files = read(out / name), names(out / name)
    rng, folder = np.random.default_rng([seed, *name.encode()]), out / f"{name}_killed"
    done, early = 0, 0
    with tqdm(total=kills, desc=name, unit="kill") as bar:
        while done < kills:
            process = start(command(folder), log)
            try:
                process.wait(float(rng.uniform(0, 1.1 * duration)))
            except subprocess.TimeoutExpired:
                kill(process)
                done += 1
                bar.update()
                continue
            if process.returncode:
                raise SystemExit(f"{name} could not resume after {done} kills; see {log}")
            early += 1
            shutil.rmtree(folder)
    finish(start(command(folder), log), log)
    found = read(folder)
    differences = sorted(set(expected) ^ set(found)) + [k for k in expected if k in found and expected[k] != found[k]]
    return {
        "kills": kills, "finished_between_kills": early, "seconds_undisturbed": round(duration, 1),
        "compared": len(expected), "differences": differences, "left_behind": sorted(names(folder) - files),
    }  # fmt: skip


def names(folder: Path) -> set[str]:
    """Returns the names of all files but those named by time or at random."""
    random = ("events.out", "tmp_", "array_metadatas")
    paths = (p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    return {str(p) for p in paths if not any(word in str(p) for word in random) and "/d/" not in str(p)}


def read_training(folder: Path) -> dict[str, Any]:
    """Returns the loss of every step and the fingerprint of the parameters."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines() if line.endswith("}")]
    losses = {
        f"loss of step {r['step']}": r["loss"] for r in rows if r["split"] == "train"
    }  # of a repeated step, the last
    return losses | {"parameters": fingerprint(load_model(folder, "flow").flow_params)}


def read_shards(folder: Path) -> dict[str, Any]:
    """Returns the arrays of every record. The files of ArrayRecord differ from run to run; their contents must not."""
    found = {}
    for split in splits_of(folder):
        records = open_records(folder, split)
        for i, key in enumerate(records.keys):
            found[f"{split}/{key}"] = {name: array.tobytes() for name, array in records[i].to_arrays().items()}
    return found


def read_records(folder: Path) -> dict[str, Any]:
    """Returns the arrays of every record file."""
    found = {}
    for path in folder.rglob("clips/*.npz"):
        with np.load(path, allow_pickle=False) as arrays:
            found[path.name] = {k: arrays[k].tobytes() for k in arrays.files}
    return found


def read_batch(folder: Path) -> dict[str, Any]:
    """Returns the status, codes and frame count of every job."""
    rows = {}
    for line in (folder / "results.jsonl").read_text().splitlines():
        row = json.loads(line)
        rows[row["out"]] = row["status"]
    for i in range(JOBS):
        with np.load(folder / f"{i}_track.npz") as arrays:
            rows[f"codes of {i}"] = arrays["codes"].tobytes()
            length = len(arrays["codes"])
        rows[f"frames of {i}"] = sum(1 for _ in video.read_video(folder / f"{i}.mp4")[1])
        if rows[f"frames of {i}"] != length:
            rows[f"frames of {i}"] = f"{rows[f'frames of {i}']} of {length}"
    return rows


def commands(args: argparse.Namespace, out: Path) -> dict[str, tuple[Command, Reader]]:
    python, found = sys.executable, {}
    if args.codes and args.autoencoder:
        settings = flow_arguments(args.codes, args.autoencoder, 2, ["steps=30", *args.set])
        found["training"] = lambda o: [python, "train.py", *settings, f"--workdir={o}"], read_training
    if args.records:
        shards = [python, "-m", "data_pipelines.talking_portrait", f"--records={Path(args.records).resolve()}"]
        found["shards"] = lambda o: [*shards, f"--out={o}"], read_shards
    if args.videos:
        prepare = [
            python,
            "-m",
            "data_pipelines.prepare",
            "--videos",
            str(Path(args.videos).resolve()),
            "--split=train",
        ]
        found["prepare"] = lambda o: [*prepare, "--size=64", f"--out={o}"], read_records
    puppet = [python, "-m", "data_pipelines.puppet", "--hours=0.004", "--size=64", "--people=2,1,1"]
    found["puppet"] = lambda o: [*puppet, f"--out={o}"], read_records
    manifest = out / "jobs.jsonl"
    job = {"portrait": str(ASSETS / "portrait.png"), "silence": 1.0, "steps": 2}
    manifest.write_text("".join(json.dumps(job | {"out": f"{i}.mp4", "seed": i}) + "\n" for i in range(JOBS)))
    batch = [python, "sample.py", "--manifest", str(manifest), "--slots=2"]
    found["batch"] = lambda o: [*batch, f"--out={o}"], read_batch
    return found


def main(argv: list[str] | None = None) -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs; emptied first")
    parser.add_argument("--codes", help="motion codes of a corpus")
    parser.add_argument("--autoencoder", help="the checkpoint that made them")
    parser.add_argument("--records", help="folder of clip records")
    parser.add_argument("--videos", help="folder of videos with faces")
    parser.add_argument("--kills", type=int, default=20, help="of each command (20)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", help="this command; may be repeated")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the training")
    args = parser.parse_args(argv)
    out = args.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    found = {}
    for name, (command, read) in commands(args, out).items():
        if not args.only or name in args.only:
            found[name] = survive(name, command, read, out, args.kills, args.seed)
            write_json(out / "survival.json", found)
    print(json.dumps(found, indent=1))
    return 1 if any(f["differences"] or f["left_behind"] for f in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
