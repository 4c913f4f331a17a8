"""The shape of the code base: what may import what, what lies at the top level, how long a file may be."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest
from process_utils import run_code

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


# Each part imports only parts on lower lines, and within a line those named here.
LAYERS = (
    ("demo_jax.constants", "demo_jax.errors", "demo_jax.paths", "demo_jax.pytrees"),
    ("demo_jax.cli", "demo_jax.factors", "demo_jax.config", "demo_jax.rng", "demo_jax.codes", "demo_jax.sharding")
    + ("demo_jax.compilation", "demo_jax.devices"),
    ("demo_jax.flow", "demo_jax.losses", "demo_jax.models", "demo_jax.audio", "demo_jax.media", "demo_jax.faces")
    + ("demo_jax.checkpoint",),
    ("demo_jax.training", "demo_jax.rendering"),
    ("demo_jax.sampling",),
    ("demo_jax.jobs", "demo_jax.evaluation"),
    ("demo_jax.train", "demo_jax.sample"),
    ("train", "sample"),
)
WITHIN_A_LAYER = {
    ("demo_jax.config", "demo_jax.factors"),
    ("demo_jax.codes", "demo_jax.factors"),
    ("demo_jax.sharding", "demo_jax.config"),
    ("demo_jax.devices", "demo_jax.compilation"),
    ("demo_jax.models", "demo_jax.flow"),  # the velocity network takes flow's conditions
    ("demo_jax.faces", "demo_jax.media"),
    ("demo_jax.checkpoint", "demo_jax.models"),  # low-rank changes are merged when a model is loaded
    ("demo_jax.checkpoint", "demo_jax.media"),
}
USES_DATA = ("demo_jax.jobs", "demo_jax.evaluation")


def part_of(module: str) -> str | None:
    """The entry of LAYERS that a module belongs to."""
    return next((part for layer in LAYERS for part in layer if is_under(module, part)), None)


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_every_module_of_the_core_has_its_layer():
    core = [module_name(p) for p in FILES if relative(p).startswith("demo_jax/") and module_name(p) != "demo_jax"]
    assert [m for m in core if part_of(m) is None] == []


def test_imports_point_down():
    level = {part: i for i, layer in enumerate(LAYERS) for part in layer}
    wrong = set()
    for path in FILES:
        here = part_of(module_name(path))
        for name in imported(path) if here else ():
            there = part_of(name)
            if there is None or there == here or (here, there) in WITHIN_A_LAYER:
                continue
            if level[there] >= level[here]:
                wrong.add(f"{relative(path)} imports {name}")
    assert sorted(wrong) == []


def test_only_jobs_and_evaluation_import_data_pipelines():
    core = tuple(relative(p) for p in FILES if part_of(module_name(p)) and not is_under(module_name(p), *USES_DATA))
    assert offenders(core, ("data_pipelines", "configs")) == []


def test_data_pipelines_import_the_two_lowest_layers():
    """`encode` runs a model, and two commands train one: these three use JAX too, and the latter a train state. The
    matte network's examples are cut as at sampling, by functions of `rendering` that need no network. `stills` moves
    photographs as sampling does, with all of `rendering`."""
    allowed = tuple(part for layer in LAYERS[:3] for part in layer)
    trainers = ("data_pipelines/train_phonetic.py", "data_pipelines/train_matte.py")
    movers = ("data_pipelines/photo_puppets.py", "data_pipelines/stills/")
    others = (*trainers, *movers)
    files = tuple(f for p in FILES if (f := relative(p)).startswith("data_pipelines/") and not f.startswith(others))
    cutting = ("demo_jax.rendering.foreground", "demo_jax.rendering.head_share", "demo_jax.rendering.upright")
    assert offenders(files, ("demo_jax", "configs"), (*allowed, *cutting)) == []
    assert offenders(trainers, ("demo_jax", "configs"), (*allowed, "demo_jax.training", "demo_jax.rendering")) == []
    assert offenders(movers, ("demo_jax", "configs"), (*allowed, "demo_jax.rendering")) == []
    light = tuple(f for f in files if f != "data_pipelines/encode.py")
    networks = ("jax", "demo_jax.models", "demo_jax.losses", "demo_jax.flow", "demo_jax.checkpoint", "demo_jax.codes")
    assert offenders(light, (*networks, "demo_jax.sharding", "demo_jax.devices")) == []


def test_the_top_of_data_pipelines_holds_commands():
    commands = [p for p in (ROOT / "data_pipelines").glob("*.py") if p.name != "__init__.py"]
    assert [p.name for p in commands if "__main__" not in p.read_text()] == []


def test_only_models_and_evaluation_import_flax():
    judging = ("demo_jax/models/", "demo_jax/evaluation/judge/", "demo_jax/evaluation/metrics/")
    others = tuple(relative(p) for p in FILES if not relative(p).startswith(judging))
    assert offenders(others, ("flax",)) == []


def test_only_checkpoint_imports_orbax():
    others = tuple(relative(p) for p in FILES if not relative(p).startswith("demo_jax/checkpoint/"))
    assert offenders(others, ("orbax",)) == []


def test_flow_does_no_input_or_output():
    assert offenders(("demo_jax/flow/",), ("os", "pathlib", "io", "etils", "tqdm", "demo_jax.models")) == []


def test_no_circles_of_files():
    """`demo_jax` itself is left out: it imports its public names on first use, as tests/test_api.py asserts."""
    edges = {module_name(p): {n for n in imported(p) if n != module_name(p)} for p in FILES}
    del edges["demo_jax"]
    known = {m: {n for n in names if n in edges} for m, names in edges.items()}
    left = dict(known)
    while free := [m for m, names in left.items() if not names & left.keys()]:
        for m in free:
            del left[m]
    assert sorted(left) == []


def test_every_package_says_what_belongs_in_it():
    short = [relative(p) for p in FILES if p.name == "__init__.py" and len(ast.get_docstring(TREES[p]) or "") < 40]
    assert short == []


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
    assert run_code(code) == ""


def test_no_file_is_over_400_lines():
    long = {relative(p): n for p in FILES if (n := len(p.read_text().splitlines())) > 400}
    assert long == {}


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="needs several workers")
def test_the_tests_of_a_file_share_a_worker(request):
    """And so what the file's fixtures make, which else would be made by each worker."""
    assert request.node.nodeid.endswith("@test_layout-fast")


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
