"""The sub-packages of the puppet build on each other in one direction, as their package's docstring says."""

from __future__ import annotations

import ast
from pathlib import Path

import data_pipelines

ROOT = Path(data_pipelines.__file__).parent / "puppet"
BUILDS_ON = {
    "speech": set(),
    "motion": {"speech"},
    "person": set(),
    "dress": {"person"},
    "render": {"person", "dress"},
    "corpus": {"speech", "motion", "person", "dress", "render"},
}


def imported(path: Path) -> set[str]:
    """Returns the puppet's sub-packages that a file imports anywhere."""
    prefix = "data_pipelines.puppet."
    nodes = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom)]
    names = [f"{node.module}.{alias.name}" for node in nodes for alias in node.names]
    return {name.removeprefix(prefix).split(".")[0] for name in names if name.startswith(prefix)}


def test_sub_packages_import_only_those_they_build_on():
    found = {name: set().union(*(imported(p) for p in (ROOT / name).glob("*.py"))) - {name} for name in BUILDS_ON}
    assert {p.parent.name for p in ROOT.glob("*/__init__.py")} == BUILDS_ON.keys()
    assert [(name, others - BUILDS_ON[name]) for name, others in found.items() if others - BUILDS_ON[name]] == []
