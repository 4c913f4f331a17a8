"""What the documentation names exists and runs: functions in architecture.md, the site, and every code block
of the README and the tutorials."""

from __future__ import annotations

import argparse
import ast
import functools
import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import tiny_model
from absl.testing import flagsaver
from PIL import Image

from demo_jax import sample, train
from demo_jax.config import from_config_dict
from demo_jax.media import audio
from demo_jax.sampling import pipeline
from demo_jax.sampling.pipeline import Pipeline

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "docs/getting-started.md", *sorted((ROOT / "docs/tutorials").glob("*.md"))]
OUTSIDE = ("pip ", "apt-get ", "demo-jax-")  # the last are tested with the wheel


def blocks(page: Path, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", page.read_text(), re.S)


def command_lines() -> list[str]:
    text = "\n".join(block for page in PAGES for block in blocks(page, "bash"))
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return list(dict.fromkeys(line.strip() for line in lines if line.strip() and not line.startswith(OUTSIDE)))


SAMPLES = [line for line in command_lines() if line.startswith("python sample.py ")]
OTHERS = [line for line in command_lines() if line not in SAMPLES]


# The site ------------------------------------------------------------------------------------------------------------


@functools.cache
def definitions(file: Path) -> set[str]:
    """Functions, classes and their methods."""
    found = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{x.name}" for x in node.body if isinstance(x, ast.FunctionDef)}
    return found


def test_architecture_names_what_exists():
    text = (ROOT / "docs/architecture.md").read_text()
    named = re.findall(r"`([\w/]+\.py):([\w.]+)`", text)
    assert len(named) > 60
    assert [f"{file}:{name}" for file, name in named if name not in definitions(ROOT / file)] == []
    places = re.findall(r"`((?:demo_jax|data_pipelines)/[\w/]+(?:\.py|/))`", text)
    assert [place for place in places if not (ROOT / place).exists()] == []


def test_every_page_of_decisions_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text()
    pages = [p.relative_to(ROOT / "docs").as_posix() for p in (ROOT / "docs").rglob("*.md")]
    assert [page for page in pages if page not in navigation] == []


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 50
    # Nothing is fetched by whoever reads it.
    loaded = r'<(?:script|link|img)[^>]+(?:src|href)="https?://'
    assert [p.name for p in pages if re.search(loaded, re.sub(r'<link rel="canonical"[^>]*>', "", p.read_text()))] == []


# Commands ------------------------------------------------------------------------------------------------------------


class Parsed(Exception):
    """A command took its arguments."""


@pytest.fixture
def takes(monkeypatch):
    """Parses a command line as its program does, and stops there; test_end_to_end runs these commands' code."""
    plain = argparse.ArgumentParser.parse_known_args

    def stop(self, *arguments, **options):
        plain(self, *arguments, **options)
        raise Parsed

    def take(line: str) -> None:
        program, *words = shlex.split(line, comments=True)
        if program == "make":
            assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.M), words[0]
            return
        if words[0] == "train.py":
            monkeypatch.setattr(sys, "argv", words)  # config_flags looks there for overrides
            monkeypatch.delitem(sys.modules, "config_config", raising=False)
            monkeypatch.chdir(ROOT)
            words = [word for word in words if word != "--distributed"]  # there are no others to find
            if "runs/real_flow" in words[1]:  # a model that the reader has trained
                words[1] = words[1].replace(",runs/real_flow", "")
            with flagsaver.flagsaver():
                assert train.parse(words) == ["train.py"]
                from_config_dict(train.CONFIG.value)
                assert train.WORKDIR.value
            return
        assert words[0] == "-m", line
        module = importlib.import_module(words[1])
        main = module if hasattr(module, "main") else importlib.import_module(f"{words[1]}.__main__")
        with monkeypatch.context() as patch:
            patch.setattr(argparse.ArgumentParser, "parse_known_args", stop)
            with pytest.raises(Parsed):
                main.main(words[2:])

    return take


@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # of config_flags
@pytest.mark.parametrize("line", OTHERS)
def test_every_command_line_is_taken(takes, line):
    takes(line)


def test_the_check_finds_what_is_wrong(takes, capsys):
    with pytest.raises(SystemExit):
        takes("python -m data_pipelines.encode --autoencoder a --data b --outt c")
    capsys.readouterr()


@pytest.fixture(scope="module")
def demo():
    return Pipeline(tiny_model.model())


@pytest.fixture
def desk(monkeypatch, tmp_path, demo):
    """A folder with all files that the pages name, and the small model in place of every other; short recordings."""
    monkeypatch.setattr(pipeline, "load", lambda path=None: demo)
    speech = audio.read_audio(ROOT / "demo_jax/assets/speech.wav")[: 100 * 640]
    (tmp_path / "demo_jax/assets").mkdir(parents=True)
    for folder in ("", "demo_jax/assets", "out/example"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for name in ("portrait", "photo"):
            Image.fromarray(tiny_model.portrait()).save(tmp_path / folder / f"{name}.png")
            Image.fromarray(tiny_model.portrait()).save(tmp_path / folder / f"{name}.jpg")
            (tmp_path / folder / f"{name}.json").write_text('{"cropped": true, "corpus": "puppet"}')
        audio.write_wav(tmp_path / folder / "speech.wav", speech)
    with Image.open(Path(matplotlib.get_data_path()) / "sample_data/grace_hopper.jpg") as photograph:
        for suffix in ("jpg", "png"):
            photograph.resize((256, 300)).save(tmp_path / f"me.{suffix}")
    audio.write_wav(tmp_path / "me.wav", speech[: 20 * 640])
    monkeypatch.chdir(tmp_path)
    for block in blocks(ROOT / "docs/tutorials/controls.md", "python")[:1]:  # makes nod.csv and key.csv
        exec(compile(block, "controls.md", "exec"), {})
    for name in ("me", "seed3"):  # which the first tutorial makes
        demo.generate("portrait.png", speech[: 20 * 640], f"out/{name}.mp4")
    return tmp_path


def test_every_line_of_sample_makes_a_video(desk, capsys):
    assert len(SAMPLES) > 12
    for line in SAMPLES:
        words = shlex.split(line)[2:]
        if words == ["--help"]:
            with pytest.raises(SystemExit, match="0"):
                sample.main(words)
            continue
        assert sample.main([*words, "--steps", "1"]) == 0, (line, capsys.readouterr().err)
        video = desk / words[words.index("--out") + 1]
        assert video.stat().st_size > 500, line
        assert video.with_name(f"{video.stem}_track.csv").exists(), line


PYTHON = [(page, i) for page in PAGES for i in range(len(blocks(page, "python")))]


@pytest.mark.parametrize(("page", "number"), PYTHON, ids=[f"{page.stem}-{i}" for page, i in PYTHON])
def test_the_python_runs(desk, page, number):
    names: dict = {}
    exec(compile(blocks(page, "python")[number], page.name, "exec"), names)
    if "result" in names:
        assert names["result"].frames == 100 and all(path.exists() for path in names["result"].tracks)
    if "code" in names:
        assert np.isfinite(names["code"]).all()
