"""Waiting for processes and files in tests, and one that dies."""

import dataclasses
import os
import time
from pathlib import Path
from typing import Any


def wait_for(condition, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not condition():
        time.sleep(0.05)
    return condition()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return not Path(f"/proc/{pid}/stat").exists() or Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def dies_of_the_bad(job: Any) -> dict[str, Any]:
    """In place of data_pipelines.prepare.process, which runs in a process of its own."""
    if job.clip_id == "bad":
        os._exit(9)
    return dataclasses.asdict(job) | {"pieces": ["0.npz"], "frames": 25, "reason": ""}
