"""What is written beside the records of a corpus: which sources were accepted, and where they come from."""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipelines.records.schema import SCHEMA_VERSION
from demo_jax.constants import FPS
from demo_jax.media.files import write_atomically


def add_datasheet_flags(parser: argparse.ArgumentParser, sources: str) -> None:
    """Adds the flags that describe where `sources`, such as "videos", come from."""
    sheet = parser.add_argument_group("datasheet", "kept in dataset_info.json; give what you know")
    sheet.add_argument("--source", default="", help=f"where the {sources} come from")
    sheet.add_argument("--licence", default="", help=f"licence of the {sources}")
    sheet.add_argument("--consent", default="", help="how the people shown agreed to this use")


def write_report(out: Path, states: Sequence[Mapping[str, Any]]) -> Path:
    """Writes OUT/report.csv, a row per video, and returns its path."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(("file", "clip_id", "identity", "split", "status", "pieces", "seconds", "reason"))
    for s in states:
        status = "accepted" if s["pieces"] else "rejected"
        row = (s["path"], s["clip_id"], s["identity"], s["split"], status, len(s["pieces"]), s["frames"] / FPS)
        table.writerow((*row, s["reason"]))
    return write_atomically(out / "report.csv", text.getvalue().encode("utf-8", "backslashreplace"))


def write_info(
    out: Path,
    split: str,
    states: Sequence[Mapping[str, Any]],
    parameters: Mapping[str, Any],
    datasheet: Mapping[str, str],
    generator: str,
) -> Path:
    """Writes OUT/<split>/dataset_info.json: parameters, source checksums, their common fingerprint, and the datasheet.
    Returns its path. `generator` is the command."""
    sources = {s["clip_id"]: s["key"] for s in states}
    facts = {"schema_version": SCHEMA_VERSION, "generator": generator, "parameters": parameters, "sources": sources}
    fingerprint = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    rejected = {s["clip_id"]: s["reason"] for s in states if s["reason"]}
    totals = {
        "clips": sum(bool(s["pieces"]) for s in states),
        "pieces": sum(len(s["pieces"]) for s in states),
        "seconds": sum(s["frames"] for s in states) / FPS,
        "identities": len({s["identity"] for s in states if s["pieces"]}),
    }
    info = facts | {"fingerprint": fingerprint, "totals": totals, "datasheet": dict(datasheet) | {"rejected": rejected}}
    return write_atomically(out / split / "dataset_info.json", json.dumps(info, indent=1, sort_keys=True).encode())
