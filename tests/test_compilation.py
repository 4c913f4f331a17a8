"""What was compiled once is not compiled again: not for another length, and not in the next process."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest
import tiny_model
from PIL import Image

from demo_jax.compilation import MIN_COMPILE_TIME, enable_compilation_cache
from demo_jax.media import audio
from demo_jax.sampling.controls import Controls
from demo_jax.sampling.options import Options
from demo_jax.sampling.pipeline import Pipeline

TESTS = Path(__file__).resolve().parent
SETTINGS = ("jax_enable_compilation_cache", "jax_compilation_cache_dir", MIN_COMPILE_TIME)


@pytest.fixture
def settings(monkeypatch):
    """JAX's settings of a command that has just begun, put back afterwards."""
    before = {name: getattr(jax.config, name) for name in SETTINGS}
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.delenv(MIN_COMPILE_TIME.upper(), raising=False)
    jax.config.update("jax_enable_compilation_cache", True)
    jax.config.update("jax_compilation_cache_dir", None)
    jax.config.update(MIN_COMPILE_TIME, 1.0)
    yield jax.config
    for name, value in before.items():
        jax.config.update(name, value)


def test_programs_are_kept_in_the_users_cache_folder(settings, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    enable_compilation_cache()
    assert settings.jax_compilation_cache_dir == str(tmp_path / "xdg/demo_jax/programs")
    assert settings.jax_persistent_cache_min_compile_time_secs == 0 and (tmp_path / "xdg/demo_jax/programs").is_dir()
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # which the standard ignores
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    settings.update("jax_compilation_cache_dir", None)
    enable_compilation_cache()
    assert settings.jax_compilation_cache_dir == str(tmp_path / "home/.cache/demo_jax/programs")


def test_the_users_settings_of_the_cache_take_precedence(settings, tmp_path, monkeypatch):
    settings.update("jax_compilation_cache_dir", str(tmp_path / "mine"))  # as JAX_COMPILATION_CACHE_DIR does
    monkeypatch.setenv(MIN_COMPILE_TIME.upper(), "1")
    enable_compilation_cache()
    assert settings.jax_compilation_cache_dir == str(tmp_path / "mine")
    assert settings.jax_persistent_cache_min_compile_time_secs == 1
    settings.update("jax_enable_compilation_cache", False)
    settings.update("jax_compilation_cache_dir", None)
    enable_compilation_cache()
    assert settings.jax_compilation_cache_dir is None


def test_a_cache_folder_that_cannot_be_written_costs_one_warning(settings, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    enable_compilation_cache()
    warning = capsys.readouterr().err
    assert warning.count("\n") == 1 and "JAX_COMPILATION_CACHE_DIR" in warning and str(tmp_path / "file") in warning
    assert not settings.jax_enable_compilation_cache and settings.jax_compilation_cache_dir is None


def test_several_cpu_processes_of_a_run_keep_nothing(settings, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(jax.distributed, "is_initialized", lambda: True)
    enable_compilation_cache()
    assert not settings.jax_enable_compilation_cache and not any(tmp_path.iterdir())


def portrait(folder):
    Image.fromarray(tiny_model.portrait()).save(folder / "p.png")
    (folder / "p.json").write_text('{"cropped": true, "corpus": "puppet"}')


@contextlib.contextmanager
def compiled():
    """The list of programs that JAX compiles meanwhile."""
    names = []

    def listen(event, seconds, **more):
        del seconds
        if event == "/jax/core/compile/backend_compile_duration":
            names.append(more.get("fun_name", event))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield names
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def test_another_length_compiles_nothing(tmp_path):
    demo, controls = Pipeline(tiny_model.model()), Controls.parse(gain="lip=0.5", blink="0")
    portrait(tmp_path)

    def generate(frames):
        speech, options = tiny_model.speech(frames), Options(steps=2)
        made = demo.generate(tmp_path / "p.png", speech, tmp_path / "a.mp4", controls=controls, options=options)
        assert (made.frames, made.windows) == (frames, -(-frames // tiny_model.WINDOW))

    with compiled() as first:
        generate(13)
    assert {"encode", "sample", "decode"} <= {
        name.removeprefix("jit_").removeprefix("jit(").rstrip(")") for name in first
    }
    with compiled() as second:
        generate(1)
        generate(40)
    assert second == []


COMMAND = """
import collections, json, sys
import jax
counts = collections.Counter()
jax.monitoring.register_event_listener(lambda event, **more: counts.update([event.rpartition("/")[2]]))
from demo_jax import sample
import tiny_model
from demo_jax.sampling import pipeline
pipeline.load = lambda path=None: pipeline.Pipeline(tiny_model.model())
status = sample.main(["--portrait", "p.png", "--audio", "s.wav", "--out", "a.mp4", "--steps", "2"])
print(json.dumps(counts), file=sys.stderr)
sys.exit(status)
"""


def test_a_second_process_compiles_nothing(tmp_path):
    portrait(tmp_path)
    audio.write_wav(tmp_path / "s.wav", tiny_model.speech(13))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")} | {
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    }

    def run():
        done = subprocess.run(
            [sys.executable, "-c", COMMAND],
            cwd=tmp_path,
            env=environment,
            check=True,
            stderr=subprocess.PIPE,
            text=True,
        )
        kept = sorted(path.name for path in (tmp_path / "cache").rglob("*-cache"))
        return json.loads(done.stderr.splitlines()[-1]), kept

    first, kept = run()
    assert {"jit_encode", "jit_sample", "jit_decode"} <= {name.rpartition("-")[0].rpartition("-")[0] for name in kept}
    assert first["cache_misses"] == len(kept) > 0
    second, after = run()
    assert second["compile_requests_use_cache"] == second["cache_hits"] > 0 and "cache_misses" not in second
    assert after == kept
