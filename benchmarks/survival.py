"""SIGKILL at random instants, and nothing is lost: python -m benchmarks.survival --help.

    python -m benchmarks.survival --out out/survival --codes data/puppet_codes --autoencoder runs/puppet_ae \\
        --records data/puppet --videos films

Each of the commands below runs once undisturbed, and then again in an empty folder, where it is killed with all its
processes at instants drawn from a seed, KILLS times, and at last left to finish. Then

  training   (--codes, --autoencoder) every step's loss is that of the undisturbed run, bit for bit, and so are the
             parameters; checkpoints are written at every other step, so that kills meet them
  shards     (--records) data_pipelines.talking_portrait: every record holds the same arrays
  puppet     data_pipelines.puppet, a small corpus: every record holds the same arrays
  prepare    (--videos) data_pipelines.prepare: likewise
  batch      sample.py --manifest: every job is there, its track is the same, and its video is whole

and in no folder is anything left that the undisturbed run has not left. A command that finishes between two kills is
begun anew. Results go to survival.json.
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

from benchmarks.processes import flow_arguments
from data_pipelines.records.catalog import open_records, splits_of
from demo_jax.checkpoint.fingerprints import fingerprint
from demo_jax.checkpoint.load import load_model
from demo_jax.media import video
from demo_jax.media.files import write_atomically

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ROOT / "demo_jax" / "assets"
JOBS = 6

Command = Callable[[Path], list[str]]  # output folder -> command
Reading = Callable[[Path], dict[str, Any]]  # output folder -> what must be the same, by name


def start(command: list[str], log: Path) -> subprocess.Popen:
    with log.open("ab") as file:
        return subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file, start_new_session=True)


def finish(process: subprocess.Popen, log: Path) -> None:
    if process.wait():
        raise SystemExit(f"exit code {process.returncode}; see {log}")


def kill(process: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def survive(name: str, command: Command, read: Reading, out: Path, kills: int, seed: int) -> dict[str, Any]:
    """Runs `command` undisturbed and killed; returns what happened, and under "differences" what is not the same."""
    log = out / f"{name}.log"
    begin = time.monotonic()
    finish(start(command(out / name), log), log)
    duration = time.monotonic() - begin
    wanted, files = read(out / name), names(out / name)
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
                raise SystemExit(f"{name} could not go on after {done} kills; see {log}")
            early += 1
            shutil.rmtree(folder)
    finish(start(command(folder), log), log)
    found = read(folder)
    differences = sorted(set(wanted) ^ set(found)) + [k for k in wanted if k in found and wanted[k] != found[k]]
    return {
        "kills": kills, "finished_between_kills": early, "seconds_undisturbed": round(duration, 1),
        "compared": len(wanted), "differences": differences, "left_behind": sorted(names(folder) - files),
    }  # fmt: skip


def names(folder: Path) -> set[str]:
    """Of all files that are not named by a moment or by what else is drawn anew."""
    drawn = ("events.out", "tmp_", "array_metadatas")
    paths = (p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    return {str(p) for p in paths if not any(d in str(p) for d in drawn) and "/d/" not in str(p)}


def read_training(folder: Path) -> dict[str, Any]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines() if line.endswith("}")]
    losses = {f"loss of step {r['step']}": r["loss"] for r in rows if r["split"] == "train"}  # of two, the last
    return losses | {"parameters": fingerprint(load_model(folder, "flow").flow_params)}


def read_shards(folder: Path) -> dict[str, Any]:
    """ArrayRecord's files differ from run to run; what they hold must not."""
    found = {}
    for split in splits_of(folder):
        records = open_records(folder, split)
        for i, key in enumerate(records.keys):
            found[f"{split}/{key}"] = {name: array.tobytes() for name, array in records[i].to_arrays().items()}
    return found


def read_records(folder: Path) -> dict[str, Any]:
    found = {}
    for path in folder.rglob("clips/*.npz"):
        with np.load(path, allow_pickle=False) as arrays:
            found[path.name] = {k: arrays[k].tobytes() for k in arrays.files}
    return found


def read_batch(folder: Path) -> dict[str, Any]:
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


def commands(args: argparse.Namespace, out: Path) -> dict[str, tuple[Command, Reading]]:
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs; emptied first")
    parser.add_argument("--codes", help="motion codes of a corpus")
    parser.add_argument("--autoencoder", help="the checkpoint that made them")
    parser.add_argument("--records", help="folder of clip records")
    parser.add_argument("--videos", help="folder of videos of faces")
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
            write_atomically(out / "survival.json", json.dumps(found, indent=1).encode())
    print(json.dumps(found, indent=1))
    return 1 if any(f["differences"] or f["left_behind"] for f in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
