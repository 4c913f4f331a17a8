"""Many jobs by one manifest, against one by one: python -m benchmarks.batch_sampling --codes DIR --json OUT.

Portraits and recordings are those of the test split's first clips (--codes), cut to different lengths. Three ways take
turns, REPEATS times, and medians are reported:

  manifest    one `sample.py --manifest`
  loop        one process that calls Pipeline.generate for each job, as a user's script would
  commands    one `sample.py` for each job: each loads and compiles again (first repeat only)

in seconds, and in frames per second, from the start of the command to its end. The persistent compilation cache is a
folder of its own, filled by a first turn that does not count.
"""

from __future__ import annotations

import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax

from benchmarks.common import ROOT, make_parser, write_json
from data_pipelines.records.catalog import code_paths
from data_pipelines.records.schema import read_codes
from demo_jax.constants import FPS, SAMPLES_PER_FRAME
from demo_jax.media import audio

REPEATS = 3
LOOP = """
import json, sys
from pathlib import Path
from demo_jax.compilation import enable_compilation_cache
from demo_jax.sampling.pipeline import load
enable_compilation_cache()
demo = load()
for line in Path(sys.argv[1]).read_text().splitlines():
    job = json.loads(line)
    demo.generate(job["portrait"], job["audio"], Path(sys.argv[2]) / job["out"])
"""


def prepare_jobs(codes: str, count: int, folder: Path) -> tuple[list[dict[str, Any]], int]:
    """Returns jobs of 2 to 8 seconds, and their number of frames."""
    jobs, frames = [], 0
    for i, path in enumerate(code_paths(codes, "test")[:count]):
        record, seconds = read_codes(path), 2 + 6 * (i % 5) / 4
        speech = record.waveform[: round(seconds * FPS) * SAMPLES_PER_FRAME]
        audio.write_wav(folder / f"{i}.wav", speech)
        (folder / f"{i}.jpg").write_bytes(record.portrait.tobytes())
        (folder / f"{i}.json").write_text(json.dumps({"cropped": True}))
        jobs.append({"portrait": str(folder / f"{i}.jpg"), "audio": str(folder / f"{i}.wav"), "out": f"{i}.mp4"})
        frames += len(speech) // SAMPLES_PER_FRAME
    return jobs, frames


def seconds(*commands: list[str], environment: dict[str, str]) -> float:
    """Returns the seconds that the commands take one after another."""
    start = time.perf_counter()
    for command in commands:
        subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=True, capture_output=True)
    return time.perf_counter() - start


def main(argv: list[str] | None = None) -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--codes", required=True, help="motion codes of a corpus with a test split")
    parser.add_argument("--jobs", type=int, default=16)
    parser.add_argument("--json", type=Path, required=True, help="file to write")
    args = parser.parse_args(argv)
    took: dict[str, list[float]] = {"manifest": [], "loop": [], "commands": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        jobs, frames = prepare_jobs(args.codes, args.jobs, folder)
        manifest = folder / "jobs.jsonl"
        manifest.write_text("".join(json.dumps(job) + "\n" for job in jobs))
        environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(folder / "programs")}
        for turn in range(REPEATS + 1):
            for way in took:
                if way == "commands" and turn != 1:
                    continue
                out = folder / f"{way}{turn}"
                out.mkdir()
                one = [["sample.py", "--portrait", j["portrait"], "--audio", j["audio"], "--out", str(out / j["out"])]
                       for j in jobs]  # fmt: skip
                commands = {
                    "manifest": [["sample.py", "--manifest", str(manifest), "--out", str(out)]],
                    "loop": [["-c", LOOP, str(manifest), str(out)]],
                    "commands": one,
                }[way]
                spent = seconds(*commands, environment=environment)
                assert all((out / j["out"]).exists() for j in jobs)
                if turn:
                    took[way].append(spent)
                print(f"{way}: {spent:.1f} s", flush=True)
    found = {way: {"seconds": statistics.median(t), "frames_per_s": frames / statistics.median(t), "all": t}
             for way, t in took.items()}  # fmt: skip
    facts = {"date": datetime.date.today().isoformat(), "jax": jax.__version__, "cores": os.cpu_count(),
             "jobs": len(jobs), "frames": frames}  # fmt: skip
    write_json(args.json, facts | {"ways": found})
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
