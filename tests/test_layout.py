"""The shape of the code base: what may import what, what lies at the top level, how long a file may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("demo_jax", "data_pipelines", "configs")
FILES = sorted(p for name in PACKAGES for p in (ROOT / name).rglob("*.py")) + [
    p for p in (ROOT / "train.py", ROOT / "sample.py") if p.exists()
]

# Parsed while tests are collected: CPython 3.11's parser may fail while another thread, left by another test, uses it.
TREES = {path: ast.parse(path.read_text()) for path in FILES}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(path: Path) -> set[str]:
    """Every module the file names in an import anywhere, absolute: `from a import b` gives a and a.b."""
    package = path.relative_to(ROOT).parts[:-1]
    names: set[str] = set()
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) + "." if node.level else ""
            module = (base + (node.module or "")).strip(".")
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return names


def is_under(name: str, *roots: str) -> bool:
    return any(name == root or name.startswith(root + ".") for root in roots)


def offenders(inside: tuple[str, ...], forbidden: tuple[str, ...], allowed: tuple[str, ...] = ()) -> list[str]:
    """Imports of `forbidden` modules, except `allowed` ones, in files whose path starts with one of `inside`."""
    return [
        f"{relative(path)} imports {name}"
        for path in FILES
        if relative(path).startswith(inside)
        for name in sorted(imported(path))
        if is_under(name, *forbidden) and not is_under(name, *allowed) and name not in PACKAGES
    ]


def test_only_models_and_the_judge_import_flax():
    others = tuple(
        relative(p)
        for p in FILES
        if not relative(p).startswith("demo_jax/models/") and relative(p) != "demo_jax/evaluation/judge/regressor.py"
    )
    assert offenders(others, ("flax",)) == []


def test_only_checkpoint_imports_orbax():
    others = tuple(relative(p) for p in FILES if relative(p) != "demo_jax/checkpoint/load.py")
    assert offenders(others, ("orbax",)) == []


def test_data_pipelines_import_only_the_vocabulary():
    others = tuple(
        relative(p)
        for p in FILES
        if relative(p).startswith("data_pipelines/")
        # The two commands of data_pipelines that run a network.
        and relative(p) not in ("data_pipelines/encode.py", "data_pipelines/train_phonetic.py")
    )
    vocabulary = ("demo_jax.constants", "demo_jax.factors", "demo_jax.media.locks", "demo_jax.media.text_files")
    assert offenders(others, ("demo_jax", "jax", "configs"), vocabulary) == []


def test_demo_jax_imports_data_pipelines_only_at_its_edges():
    edges = (
        "demo_jax/evaluation/",
        "demo_jax/sampling/pipeline.py",
        "demo_jax/sampling/inputs.py",
        "demo_jax/sampling/streaming.py",
        "demo_jax/sampling/batch.py",
    )
    others = tuple(
        relative(p) for p in FILES if relative(p).startswith("demo_jax/") and not relative(p).startswith(edges)
    )
    assert offenders(others, ("data_pipelines", "configs")) == []


@pytest.mark.parametrize(
    ("inside", "forbidden"),
    [
        ("demo_jax/constants.py", ("demo_jax", "data_pipelines", "jax")),
        ("demo_jax/factors.py", ("demo_jax.models", "demo_jax.training", "demo_jax.sampling", "jax")),
        ("demo_jax/flow/", ("demo_jax.models", "demo_jax.losses", "demo_jax.training", "demo_jax.sampling")),
        ("demo_jax/flow/", ("os", "pathlib", "io", "etils", "tqdm")),
        ("demo_jax/losses/", ("demo_jax.models", "demo_jax.training", "demo_jax.sampling")),
        ("demo_jax/models/", ("demo_jax.training", "demo_jax.sampling", "demo_jax.losses")),
        ("demo_jax/training/", ("demo_jax.sampling",)),
    ],
)
def test_imports_point_one_way(inside: str, forbidden: tuple[str, ...]):
    assert offenders((inside,), forbidden) == []


def test_tensorflow_and_importlib_tricks_are_nowhere():
    everywhere = tuple(relative(p) for p in FILES)
    assert offenders(everywhere, ("tensorflow", "torch", "importlib.import_module")) == []


def test_the_contracts_import_without_heavy_libraries():
    """Every worker process imports them."""
    code = (
        "import sys, demo_jax.constants, demo_jax.factors, data_pipelines.records.schema\n"
        "heavy = {'jax', 'flax', 'cv2', 'mediapipe', 'numba', 'grain', 'tensorflow_datasets', 'scipy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_no_file_is_over_400_lines():
    long = {relative(p): n for p in FILES if (n := len(p.read_text().splitlines())) > 400}
    assert long == {}


def test_top_level_layout():
    wanted = {"demo_jax", "configs", "data_pipelines", "tests", "docs", "benchmarks", "train.py", "sample.py"} | {
        "pyproject.toml", "requirements.lock", "Makefile", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md",
        ".ci",
    }  # fmt: skip
    missing = sorted(name for name in wanted if not (ROOT / name).exists())
    assert missing == []
    scripts = {p.name for p in ROOT.glob("*.py")}
    assert scripts == {"train.py", "sample.py"}


def test_the_lock_holds_versions_only():
    lines = [x for x in (ROOT / "requirements.lock").read_text().splitlines() if not x.startswith("#")]
    assert lines
    for line in lines:
        requirement = line.split(";")[0].strip()
        assert requirement.count("==") == 1, line
        assert "/" not in line, line
        assert "@" not in line, line
