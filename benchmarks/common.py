"""Shared by the benchmarks: their command lines, their results as JSON, and the machine."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from demo_jax.media.files import write_atomically

ROOT = Path(__file__).resolve().parents[1]  # the repository


def make_parser(description: str | None, **options: Any) -> argparse.ArgumentParser:
    """Returns a parser whose help shows `description`, a module's docstring, as it is written."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, **options
    )


def write_json(path: Path, results: Any) -> None:
    """Writes results to `path` as indented JSON. What JSON does not know becomes a float."""
    write_atomically(path, (json.dumps(results, indent=1, default=float) + "\n").encode())


def print_json(name: str, results: Any) -> None:
    """Prints the results of one section at once, after its name."""
    sys.stdout.write(f"{name}: {json.dumps(results, indent=1, default=float)}\n")
    sys.stdout.flush()


def processor() -> str:
    """Returns the processor's name, or "" where the system does not give it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
