"""Damaged and hostile inputs against the commands: python -m benchmarks.fuzz [--cases 500 --seed 0 --out out/fuzz].

Every case makes its inputs from a seed and calls sample.py, data_pipelines.prepare or the loader of checkpoints, in
this process. It may end in two ways: complete output; or exit code 2, one sentence on standard error, and no output.
Anything else is a failure: an exception, another exit code, more than LIMIT seconds, a file outside the output folder,
remains in it or in the folder for temporary files, an attempt to reach the network (by Python's sockets; ffmpeg is
limited to local files by its own lists). If a damaged checkpoint loads, its parameters must be those of the undamaged
one. --only portrait --case 17 repeats a case.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.common import make_parser, write_json
from benchmarks.fuzz_inputs import NAMES, NUMBERS, Case, audio, image, track
from data_pipelines import prepare
from demo_jax import sample
from demo_jax.checkpoint.fingerprints import fingerprint
from demo_jax.checkpoint.load import BUNDLED, load_model
from demo_jax.errors import InputError
from demo_jax.media.video_writer import VideoWriter
from demo_jax.paths import ASSETS
from demo_jax.sampling import pipeline

LIMIT = 120  # seconds per case
SHARES = {
    "portrait": 0.26, "sound": 0.24, "track": 0.16, "control": 0.08, "checkpoint": 0.12, "manifest": 0.06,
    "prepare": 0.08,
}  # fmt: skip
Outcome = tuple[str, str]  # "made", "refused" or a failure; and the messages


def valid(portrait: Path = ASSETS / "portrait.png") -> list[str]:
    return ["--portrait", str(portrait), "--silence", "0.4", "--steps", "1"]


def run_sample(case: Case, arguments: list[str]) -> Outcome:
    """Runs sample.py and checks its output."""
    out = case.out / "v.mp4"
    code, messages = called(sample.main, [*arguments, "--out", str(out)])
    if code == 0:
        complete = all((case.out / name).stat().st_size for name in ("v.mp4", "v_track.npz", "v_track.csv"))
        return ("made", "") if complete and len(list(case.out.iterdir())) == 3 else ("output is incomplete", messages)
    return refusal(case, code, messages)


def refusal(case: Case, code: int, messages: str) -> Outcome:
    """Checks that a command refused its input properly."""
    errors = [line for line in messages.splitlines() if not line.startswith("warning:")]
    if code != 2:
        return f"exit code {code}", messages
    if len(errors) != 1 or not errors[0].startswith("error: "):
        return "not one sentence", messages
    left = sorted(p.name for p in case.out.iterdir())
    return (f"left behind: {left}", messages) if left else ("refused", errors[0])


def called(main: Callable[[list[str]], int], arguments: list[str]) -> tuple[int, str]:
    """Returns exit code and standard error of a command's main function."""
    errors, output = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(output):
        try:
            code = main(arguments)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    return code, errors.getvalue()


def portrait_case(case: Case) -> Outcome:
    return run_sample(case, valid(image(case)))


def audio_case(case: Case) -> Outcome:
    return run_sample(case, ["--portrait", str(ASSETS / "portrait.png"), "--audio", audio(case), "--steps", "1"])


def track_case(case: Case) -> Outcome:
    option = case.pick(("--track", "--track", "--keyframes"))
    given = str(track(case))
    return run_sample(case, [*valid(), *(("--drive", f"pose={given}") if case.chance(0.2) else (option, given))])


def control_case(case: Case) -> Outcome:
    arguments = valid()
    for _ in range(int(case.rng.integers(1, 4))):
        name, number = case.pick(NAMES), case.pick(NUMBERS)
        option = case.pick(
            ("--set", "--gain", "--hold", "--blink", "--emotion", "--steps", "--audio-scale", "--seed", "--silence")
        )
        value = {"--set": f"{name}={number}", "--gain": f"{name}={number}", "--hold": name, "--emotion": name}.get(
            option, number
        )
        arguments.append(f"{option}={value}")
    return run_sample(case, arguments)


@functools.cache
def undamaged_fingerprint() -> str:
    """Returns the fingerprint of the bundled model's parameters."""
    model = load_model(BUNDLED, "flow")
    return fingerprint([model.flow_params, model.autoencoder_params])


def checkpoint_case(case: Case) -> Outcome:
    folder = case.given / "model"
    shutil.copytree(BUNDLED, folder)
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    for file in (case.pick(files) for _ in range(int(case.rng.integers(1, 3)))):
        if case.chance(0.2):
            file.unlink(missing_ok=True)
        elif file.exists():
            file.write_bytes(case.damaged(file.read_bytes()))
    try:
        model = load_model(folder, "flow")
    except InputError as error:
        return ("refused", str(error)) if "\n" not in str(error) else ("not one sentence", str(error))
    same = fingerprint([model.flow_params, model.autoencoder_params]) == undamaged_fingerprint()
    return ("made", "") if same else ("damage was not noticed", "")


def manifest_case(case: Case) -> Outcome:
    lines = []
    for i in range(int(case.rng.integers(1, 4))):
        job: dict[str, Any] = {"portrait": str(ASSETS / "portrait.png"), "silence": 0.4, "out": f"{i}.mp4"}
        name = case.pick(("portrait", "audio", "silence", "out", "hold", "seed", "set", "\x00", "steps", "track"))
        job[name] = case.pick(
            (None, [], {}, "..", "../../x.mp4", "/x.mp4", "", 1e400, -1, "a.mp4", ["pose"], "http://127.0.0.1:9/a.png",
             {"yaw": "x"})
        )  # fmt: skip
        lines.append(json.dumps(job))
    file = case.given / "jobs.jsonl"
    text = "\n".join(lines).encode()
    file.write_bytes(case.damaged(text) if case.chance(0.3) else text)
    code, messages = called(sample.main, ["--manifest", str(file), "--out", str(case.out), "--slots", "1"])
    if code == 2:
        return refusal(case, code, messages)
    names = [p.name for p in case.out.rglob("*") if p.is_file()]
    odd = [n for n in names if not n.endswith((".mp4", "_track.npz", "_track.csv", "results.jsonl"))]
    return ("made", "") if code in (0, 1) and not odd else (f"exit code {code}, {odd}", messages)


def prepare_case(case: Case) -> Outcome:
    file = case.given / case.pick(("a.mp4", "-i.mp4", "a b.mkv", "%d.mp4"))
    side = int(case.pick((2, 32, 64, 130)))
    with VideoWriter(case.given / "intact.mp4", (side, side), waveform=np.zeros(8000, np.int16)) as writer:
        for _ in range(int(case.pick((1, 12)))):
            writer.write(case.rng.integers(0, 256, (side, side, 3)).astype(np.uint8))
    data = (case.given / "intact.mp4").read_bytes()
    (case.given / "intact.mp4").unlink()
    file.write_bytes(case.damaged(data) if case.chance(0.8) else data)
    code, messages = called(
        prepare.main, [f"--videos={file}", "--out", str(case.out / "records"), "--split", "train", "--workers", "1"]
    )
    if code == 2:  # no face in noise: the report of that stays
        shutil.rmtree(case.out / "records", ignore_errors=True)
        return refusal(case, code, "\n".join(s for s in messages.splitlines() if s.startswith("error")))
    return ("made", "") if code == 0 else (f"exit code {code}", messages)


KINDS: dict[str, Callable[[Case], Outcome]] = {
    "portrait": portrait_case, "sound": audio_case, "track": track_case, "control": control_case,
    "checkpoint": checkpoint_case, "manifest": manifest_case, "prepare": prepare_case,
}  # fmt: skip


@contextlib.contextmanager
def guarded(case: Case) -> Iterator[list[str]]:
    """Yields a list that collects violations: network, files elsewhere. Raises TimeoutError in a case that takes too
    long."""
    wrong: list[str] = []

    def connect(self: socket.socket, address: Any) -> None:
        wrong.append(f"network: {address}")
        raise OSError("no network")

    def timed_out(signum: int, frame: Any) -> None:
        raise TimeoutError(f"more than {LIMIT} s")

    root, before = case.given.parent, os.getcwd()
    elsewhere = root / "cwd"
    elsewhere.mkdir()
    os.chdir(elsewhere)
    real, socket.socket.connect = socket.socket.connect, connect  # type: ignore[method-assign, assignment]
    kept, tempfile.tempdir = tempfile.tempdir, str(case.temporary)
    handler = signal.signal(signal.SIGALRM, timed_out)
    signal.alarm(LIMIT)
    try:
        yield wrong
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
        tempfile.tempdir = kept
        socket.socket.connect = real  # type: ignore[method-assign]
        os.chdir(before)
        wrong += [f"file outside: {p}" for p in (*elsewhere.iterdir(), *case.temporary.iterdir())]
        wrong += [f"file outside: {p}" for p in root.iterdir() if p.name not in ("in", "out", "tmp", "cwd")]


def run_case(root: Path, kind: str, number: int, seed: int) -> dict[str, Any]:
    """Returns the outcome of one case."""
    shutil.rmtree(root, ignore_errors=True)
    case, begin = Case(root, kind, number, seed), time.monotonic()
    outcome, messages = "exception", ""
    with guarded(case) as wrong:
        try:
            outcome, messages = KINDS[kind](case)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            messages = "".join(traceback.format_exception(error))
    if wrong:
        outcome = "; ".join(wrong)
    return {
        "kind": kind, "case": number, "outcome": outcome, "said": messages[-2000:],
        "seconds": round(time.monotonic() - begin, 2),
    }  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("out/fuzz"))
    parser.add_argument("--only", choices=KINDS, action="append", help="this kind; may be repeated")
    parser.add_argument("--case", type=int, help="only this case of each kind, with its messages")
    args = parser.parse_args(argv)
    load = pipeline.load
    pipeline.load = functools.cache(load)  # the bundled model is read and compiled once
    kinds = args.only or list(KINDS)
    scale = args.cases / sum(SHARES[k] for k in kinds)
    todo = [(k, i) for k in kinds for i in ([args.case] if args.case is not None else range(round(SHARES[k] * scale)))]
    rows = []
    try:
        with tempfile.TemporaryDirectory(prefix="fuzz") as root:
            for kind, number in tqdm(todo, unit="case", disable=args.case is not None):
                rows.append(run_case(Path(root) / "case", kind, number, args.seed))
    finally:
        pipeline.load = load
    bad = [r for r in rows if r["outcome"] not in ("made", "refused")]
    counts = {
        kind: dict(Counter(r["outcome"] if r not in bad else "failed" for r in rows if r["kind"] == kind))
        for kind in kinds
    }
    args.out.mkdir(parents=True, exist_ok=True)
    found = {"seed": args.seed, "cases": len(rows), "counts": counts, "failures": bad}
    write_json(args.out / "fuzz.json", found)
    for row in bad if args.case is None else rows:
        print(f"{row['kind']} {row['case']}: {row['outcome']}\n{row['said']}")
    print(json.dumps(counts, indent=1))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
