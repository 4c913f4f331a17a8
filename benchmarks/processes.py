"""Several processes of one training run over loopback: python -m benchmarks.processes --help.

    python -m benchmarks.processes --codes data/puppet_codes --autoencoder runs/puppet_ae --out out/processes

Runs train.py as 1, 2 and 4 processes that share the same number of CPU devices, and compares the losses of every step
with those of one process; and as 2 whose devices are one fsdp axis, or one tensor axis, so that both have every row.
Then the run of 4 is resumed from its middle as 1 and as 2. And one process of a run of 4 is killed (SIGKILL) between
two checkpoints: the others must end by themselves with a message and exit code 3, and the restarted job must give the
losses of the undisturbed run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.common import ROOT, make_parser, write_json

DEVICES = 4
STEPS, SAVE_EVERY = 8, 4
GRACE = 180  # seconds within which the others must notice that one is gone


def flow_arguments(codes: str, autoencoder: str, save_every: int, settings: list[str]) -> list[str]:
    """Returns the arguments of train.py for stage 2 on given codes, with every step's loss logged and no validation
    before the end."""
    settings = [
        f"data.path={Path(codes).resolve()}", f"autoencoder={Path(autoencoder).resolve()}", f"save_every={save_every}",
        "eval_every=1000", "log_every=1", *settings,
    ]  # fmt: skip
    return ["--config=configs/puppet_flow.py", *(f"--config.{setting}" for setting in settings)]


class Work:
    """train.py on given codes, in folders under `out`."""

    def __init__(self, codes: str, autoencoder: str, out: Path, overrides: list[str]) -> None:
        self.out = out
        self.arguments = flow_arguments(codes, autoencoder, SAVE_EVERY, ["data.batch_size=8", *overrides])

    def start(self, name: str, count: int, steps: int) -> list[subprocess.Popen]:
        """Starts `count` processes of the run in folder `name`, with DEVICES devices between them; their output goes to
        NAME.<process>.log."""
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        started = []
        for i in range(count):
            environment = os.environ | {
                "JAX_PLATFORMS": "cpu",
                "XLA_FLAGS": f"--xla_force_host_platform_device_count={DEVICES // count}",
                "JAX_COORDINATOR_ADDRESS": f"localhost:{port}", "JAX_NUM_PROCESSES": str(count),
                "JAX_PROCESS_ID": str(i),
            }  # fmt: skip
            command = [sys.executable, "train.py", *self.arguments, f"--workdir={self.out / name}"]
            command += [f"--config.steps={steps}", "--distributed"]
            with (self.out / f"{name}.{i}.log").open("ab") as log:
                started.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log))
        return started

    def run(self, name: str, count: int, steps: int) -> None:
        """Runs the processes to their end. Raises SystemExit if one fails."""
        codes = [p.wait() for p in self.start(name, count, steps)]
        if any(codes):
            raise SystemExit(f"{name}: exit codes {codes}; see {self.out / name}.*.log")

    def losses(self, name: str) -> dict[int, float]:
        """Returns the loss of each step; the last one of a step that ran twice."""
        rows = [json.loads(line) for line in (self.out / name / "metrics.jsonl").read_text().splitlines()]
        return {row["step"]: row["loss"] for row in rows if row["split"] == "train"}

    def said(self, name: str, process: int) -> str:
        """Returns the log of one process."""
        return (self.out / f"{name}.{process}.log").read_text(errors="replace")


def difference(a: dict[int, float], b: dict[int, float]) -> float:
    """Returns the largest relative difference. Raises SystemExit if the steps are not the same."""
    if sorted(a) != sorted(b):
        raise SystemExit(f"steps differ: {sorted(a)} and {sorted(b)}")
    return max(abs(a[s] - b[s]) / abs(a[s]) for s in a)


def killed(work: Work, name: str, count: int) -> dict[str, object]:
    """Kills the last of `count` processes after the first checkpoint, and restarts the job. Returns what happened."""
    started = work.start(name, count, STEPS)
    folder, begin = work.out / name / "checkpoints" / str(SAVE_EVERY), time.monotonic()
    while not folder.exists():
        if any(p.poll() is not None for p in started) or time.monotonic() - begin > 600:
            raise SystemExit(f"{name} ended before its first checkpoint; see {work.out / name}.*.log")
        time.sleep(0.05)
    started[-1].send_signal(signal.SIGKILL)
    gone = time.monotonic()
    codes = []
    for process in started[:-1]:
        try:
            codes.append(process.wait(GRACE))
        except subprocess.TimeoutExpired:
            process.kill()
            codes.append(None)
    noticed = time.monotonic() - gone
    message = re.search(r"error: .*", work.said(name, 0))
    finished = max(work.losses(name))
    work.run(name, count, STEPS)
    return {
        "exit_codes_of_the_others": codes,
        "seconds_until_they_ended": round(noticed, 1),
        "message": message[0] if message else None,
        "last_step_before": finished,
        "steps_after": sorted(work.losses(name)),
    }


def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--codes", required=True, help="motion codes of a corpus")
    parser.add_argument("--autoencoder", required=True, help="the checkpoint that made them")
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs; emptied first")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the config")
    args = parser.parse_args(argv)
    out = args.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    work = Work(args.codes, args.autoencoder, out, args.set)
    found: dict[str, object] = {"devices": DEVICES, "steps": STEPS}
    work.run("of1", 1, STEPS)
    reference = work.losses("of1")
    found["losses"] = list(reference.values())
    for count in (2, 4):
        work.run(f"of{count}", count, STEPS)
        found[f"largest_difference_of_{count}"] = difference(reference, work.losses(f"of{count}"))
    for axis in ("fsdp", "tensor"):
        across = Work(args.codes, args.autoencoder, out, [*args.set, f"mesh.{axis}={DEVICES}"])
        across.run(axis, 2, STEPS)
        found[f"largest_difference_of_2_with_{axis}_across"] = difference(reference, across.losses(axis))
    for count in (1, 2):
        shutil.copytree(out / "of4", out / f"on{count}")
        shutil.rmtree(out / f"on{count}" / "checkpoints" / str(STEPS))  # as if it had ended after the one before
        work.run(f"on{count}", count, STEPS)
        found[f"largest_difference_of_4_then_{count}"] = difference(reference, work.losses(f"on{count}"))
    found["killed"] = killed(work, "killed", 4)
    found["largest_difference_after_kill"] = difference(work.losses("of4"), work.losses("killed"))
    write_json(out / "processes.json", found)
    print(json.dumps(found, indent=1))
    worst = np.max([v for k, v in found.items() if k.startswith("largest_difference")])
    print(f"largest difference of a loss: {worst:.1e}")


if __name__ == "__main__":
    main()
