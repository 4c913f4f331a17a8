"""What README.md tells a reader to type: every command line is one that its program takes, and the Python runs."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_model
from absl.testing import flagsaver

from demo_jax import train
from demo_jax.config import from_config_dict
from demo_jax.media import audio
from demo_jax.sampling import flags, pipeline
from demo_jax.sampling.pipeline import Pipeline
from demo_jax.sampling.tracks import read_track

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
PLACEHOLDER = ["--portrait", "a.png", "--audio", "a.wav", "--out", "a.mp4"]  # where the README writes three dots


def command_lines() -> list[str]:
    """The lines of indented and fenced blocks that start Python or make, continued lines joined."""
    fenced = [block for kind, block in re.findall(r"```(\w*)\n(.*?)```", README, re.S) if kind in ("", "sh", "bash")]
    indented = re.findall(r"^    .*$", re.sub(r"```.*?```", "", README, flags=re.S), re.M)
    text = re.sub(r"\\\n\s*", " ", "\n".join([*fenced, *(line[4:] for line in indented)]))
    parts = [part.strip() for line in text.splitlines() for part in re.split(r"\s\|\s", line)]
    return list(dict.fromkeys(p for p in parts if re.match(r"(\S*python3?|make) ", p)))


class Parsed(Exception):
    """A command took its arguments."""


@pytest.fixture
def takes(monkeypatch):
    """Parses a command line as its program does, and stops there."""
    plain = argparse.ArgumentParser.parse_known_args

    def stop(self, *arguments, **options):
        plain(self, *arguments, **options)
        raise Parsed

    def take(line: str) -> None:
        program, *words = shlex.split(line, comments=True)
        if program == "make":
            target = words[0]
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M), target
            return
        if words[0] == "train.py":
            monkeypatch.setattr(sys, "argv", words)  # config_flags looks there for overrides
            monkeypatch.delitem(sys.modules, "config_config", raising=False)
            monkeypatch.chdir(ROOT)
            with flagsaver.flagsaver():
                assert train.parse(words) == ["train.py"]
                from_config_dict(train.CONFIG.value)
                assert train.WORKDIR.value
            return
        if words[0] == "sample.py":
            rest = [w for word in words[1:] for w in (PLACEHOLDER if word == "..." else [word])]
            flags.parser().parse_args(rest)
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
@pytest.mark.parametrize("line", command_lines())
def test_every_command_line_is_taken(takes, line):
    takes(line)


def test_there_are_command_lines():
    programs = {line.split()[1] for line in command_lines()}
    assert {"sample.py", "train.py", "demo", "test"} <= programs and len(command_lines()) > 10


def test_the_check_finds_what_is_wrong(takes, capsys):
    for line in (
        "python sample.py ... --hodl pose",
        "python -m data_pipelines.encode --autoencoder a --data b --outt c",
    ):
        with pytest.raises(SystemExit):
            takes(line)
    capsys.readouterr()


def python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README, re.S)


@pytest.mark.parametrize("number", range(len(python_blocks())))
def test_the_python_runs(monkeypatch, tmp_path, number):
    """With the small model in place of the bundled one, which makes the same files."""
    demo = Pipeline(tiny_model.model())
    monkeypatch.setattr(pipeline, "load", lambda path=None: demo)
    speech = audio.read_audio(ROOT / "demo_jax/assets/speech.wav")[: 20 * 640]
    monkeypatch.setattr(audio, "read_audio", lambda path, *rest, **more: speech)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo_jax").symlink_to(ROOT / "demo_jax")
    (tmp_path / "out").mkdir()
    names: dict = {}
    exec(compile(python_blocks()[number], "README.md", "exec"), names)
    if "result" in names:
        tracks = [read_track(path) for path in sorted((tmp_path / "out").glob("*.npz"))]
        assert names["result"].frames == 20 and [track.length for track in tracks] == [20]
        assert (tmp_path / "out/api.mp4").stat().st_size > 500
    if "codes" in names:
        assert np.isfinite(np.stack(names["codes"])).all() and len(names["codes"]) == 20
