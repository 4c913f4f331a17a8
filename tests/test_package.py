"""The wheel, built as pip builds it and used outside the repository: commands, configs, bundled model, Python API."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow


def run(*command, cwd, **environment) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=os.environ | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """The folder of sdist and wheel; the wheel is made from the sdist's files, without isolation and so offline."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder, cwd=ROOT)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder / "source", filter="data")
    source = next((folder / "source").iterdir())
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=source)
    return folder


@pytest.fixture(scope="module")
def installed(dist, tmp_path_factory):
    """The wheel's files and commands, in a folder of their own; what they depend on comes from this environment."""
    target = tmp_path_factory.mktemp("installed")
    wheel = next(dist.glob("*.whl"))
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check")
    run(*pip, "--target", target, wheel, cwd=target)
    return target


def test_what_is_in_them(dist):
    names = zipfile.ZipFile(next(dist.glob("*.whl"))).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"demo_jax", "data_pipelines"}
    wanted = {
        "demo_jax/configs/puppet_flow.py",
        "demo_jax/assets/portrait.png",
        "demo_jax/assets/puppet-v1/_CHECKPOINT_METADATA",
    }
    assert wanted <= set(names)
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        files = {name.partition("/")[2] for name in archive.getnames()}
    assert {"train.py", "sample.py", "Makefile", "mkdocs.yml", "tests/test_package.py", "docs/index.md"} <= files


def test_commands_from_any_folder(installed, tmp_path):
    # The console scripts' first line names this environment's Python, whose own demo_jax, if any, comes after these.
    environment = {"PYTHONPATH": str(installed)}
    for command, says in (("sample", "--portrait"), ("prepare", "--videos")):
        assert says in run(installed / "bin" / f"demo-jax-{command}", "--help", cwd=tmp_path, **environment).stdout
    started = subprocess.run(
        [installed / "bin/demo-jax-train", "--config=puppet_flow", "--workdir=w"],
        cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True,
    )  # fmt: skip
    assert started.returncode == 2 and started.stderr.startswith("error: data.path is empty"), started.stderr
    assets = installed / "demo_jax/assets"
    run(
        sys.executable, "-m", "demo_jax.sample", "--portrait", assets / "portrait.png", "--silence", "0.4",
        "--steps", "1", "--out", "a.mp4", cwd=tmp_path, **environment,
    )  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", "a_track.npz", "a_track.csv"}


def test_the_python_interface(installed, tmp_path):
    code = (
        "import demo_jax, sys\n"
        "assert 'jax' not in sys.modules\n"
        "print(demo_jax.__version__, demo_jax.load().size, demo_jax.__file__)"
    )
    version, size, file = run(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(installed)).stdout.split()
    assert (version, size) == ("0.2.0", "128") and file.startswith(str(installed))
