"""Starting processes and waiting for them in tests, and work for processes that die."""

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def run_code(code: str) -> str:
    """Runs Python code in an interpreter of its own, in the repository, and returns what it prints; asserts that it
    ends without an error."""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Returns whether the condition came true in that time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not condition():
        time.sleep(0.05)
    return condition()


def alive(pid: int) -> bool:
    """Returns whether a process runs, zombies left out."""
    try:
        os.kill(pid, 0)
        return not Path(f"/proc/{pid}/stat").exists() or Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def dies_of_the_bad(task: Any) -> dict[str, Any]:
    """In place of data_pipelines.prepare.process, which runs in a process of its own."""
    if task.clip_id == "bad":
        os._exit(9)
    return dataclasses.asdict(task) | {"pieces": ["0.npz"], "frames": 25, "reason": ""}


def double(number: int) -> int:
    """Refuses negative numbers, sleeps for 1000, and dies of 13."""
    if number < 0:
        raise ValueError(f"{number} is negative")
    if number == 13:
        os._exit(9)
    if number == 1000:
        time.sleep(300)
    return 2 * number


def die_once(path: Path) -> bool:
    """Dies if the file does not exist yet."""
    if not path.exists():
        path.touch()
        os._exit(9)
    return True


def count_up(number: int, report: Callable[[int], None]) -> None:
    for _ in range(number):
        report(1)
    double(number)
