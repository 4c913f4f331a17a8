"""The builder: the plan of a corpus, workers that exit with their parent, resuming, invalid arguments."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter, namedtuple
from pathlib import Path

import numpy as np
import pytest
from process_utils import alive, wait_for

pytest.importorskip("espeakng_loader")
pytest.importorskip("numba")
pytest.importorskip("simplejpeg")

from data_pipelines.puppet.__main__ import main
from data_pipelines.puppet.corpus import build as builder
from data_pipelines.puppet.corpus.build import build
from data_pipelines.puppet.corpus.clips import AUGMENTED_SHARE, is_augmented, is_idle, speech_clip, voice
from data_pipelines.puppet.corpus.plan import Parameters, by_person, duration
from data_pipelines.puppet.speech.sentences import SPLITS, VARIANTS
from demo_jax.errors import InputError
from demo_jax.factors import ARKIT_INDEX

TINY = Parameters(hours=0.0015, size=32, people=(2, 1, 1), set_frames=2, set_share=0.1)


def test_the_default_corpus_has_the_planned_frames_people_and_voices():
    parameters = Parameters()
    jobs = parameters.jobs()
    assert sum(parameters.people) >= 300 and parameters.people_in("test") == 50
    frames = Counter()
    for job in jobs:
        frames[job.kind] += job.frames(parameters)
    assert 0.15 < frames["set"] / frames.total() < 0.19  # below 20 % even if clips are shorter than usual
    assert frames.total() == pytest.approx(2 * 3600 * 25, rel=0.002)
    for split in SPLITS:
        people = parameters.people_in(split)
        spoken = [j.index for j in jobs if j.split == split and j.kind == "speech" and not is_idle(j.index)]
        assert {i % people for i in spoken} == set(range(people))
        assert {voice(0, split, i % people).variant for i in spoken} == set(VARIANTS[split])
    groups = by_person(jobs, parameters)
    assert len(groups) == 300 and sum(map(len, groups)) == len(jobs)
    assert all(len({(j.split, j.index % parameters.people_in(j.split)) for j in g}) == 1 for g in groups)


def test_clips_have_the_planned_lengths_and_languages():
    parameters = Parameters()
    takes = [speech_clip(0, "train", index, 230) for index in range(300, 364)]
    seconds = np.array([t.motion.frames / 25 for t in takes])
    assert seconds.min() >= 4 and seconds.max() <= 12.1
    # Of 64 clips with a standard deviation of 1.7 s, the mean is within 0.7 s of the planned one.
    assert seconds.mean() * 25 == pytest.approx(parameters.jobs()[0].frames(parameters), abs=0.7 * 25)
    assert {t.audio.language for t in takes} == {"en", "de", "fr", "es", "it", "pt", "pl", "nl", ""}
    silent = [t for t in takes if not t.audio.phonemes]
    assert len(silent) == 2 and all(t.motion.expression[:, ARKIT_INDEX["jawOpen"]].max() < 0.2 for t in silent)
    gaps = [np.diff(t.audio.times.reshape(-1))[1::2].max() for t in takes if t.audio.phonemes]
    assert np.mean(np.array(gaps) > 0.25) > 0.5  # most clips have a pause
    assert all((t.audio.times[1:, 0] >= t.audio.times[:-1, 1] - 1e-4).all() for t in takes)


def test_only_training_clips_are_augmented_and_their_motion_is_that_of_the_clean_audio(monkeypatch):
    from data_pipelines.puppet.corpus import clips

    drawn = [is_augmented(0, "train", index) for index in range(400)]
    assert np.mean(drawn) == pytest.approx(AUGMENTED_SHARE, abs=0.08)  # 3 sigma of 400 draws, less the idle ones
    assert not any(is_augmented(0, split, index) for split in ("val", "test") for index in range(100))
    index = drawn.index(True)
    augmented = speech_clip(0, "train", index, 4)
    monkeypatch.setattr(clips, "is_augmented", lambda *_: False)
    clean = speech_clip(0, "train", index, 4)
    assert augmented.audio.waveform.tobytes() != clean.audio.waveform.tobytes() == clean.context.tobytes()
    assert augmented.context.tobytes() == augmented.audio.waveform.tobytes()  # what the features are made of
    for name in ("pose", "eyes", "expression"):
        assert getattr(augmented.motion, name).tobytes() == getattr(clean.motion, name).tobytes()
    assert augmented.audio.times.tobytes() == clean.audio.times.tobytes()


_SCRIPT = """
import os, signal, sys, time
from pathlib import Path
from data_pipelines.loading.workers import run_all

def sleep(folder, report):
    Path(folder, str(os.getpid())).touch()
    time.sleep(300)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are born deaf to Ctrl-C
    run_all(sleep, [sys.argv[1]] * 4, 2, print)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_workers_die_with_their_parent(tmp_path, how):
    script, pids = tmp_path / "work.py", tmp_path / "pids"
    script.write_text(_SCRIPT)
    pids.mkdir()
    environment = os.environ | {"PYTHONPATH": str(Path(builder.__file__).parents[3])}
    parent = subprocess.Popen([sys.executable, script, pids], env=environment, stderr=subprocess.DEVNULL)
    try:
        assert wait_for(lambda: len(list(pids.iterdir())) == 2, 60)
        children = [int(path.name) for path in pids.iterdir()]
        assert all(alive(pid) for pid in children)
        parent.send_signal(how)
        parent.wait(20)
        assert parent.returncode != 0
        assert wait_for(lambda: not any(alive(pid) for pid in children), 20)
    finally:
        parent.kill()
        parent.wait(20)


def _contents(folder: Path) -> dict[str, dict[str, bytes]]:
    """Every array of every record; the zip file around them holds the time of day as well."""
    out = {}
    for path in sorted(folder.glob("*/clips/*.npz")):
        with np.load(path) as arrays:
            out[f"{path.parent.parent.name}/{path.name}"] = {name: arrays[name].tobytes() for name in arrays.files}
    return out


@pytest.mark.slow
def test_a_corpus_killed_and_resumed_in_other_processes_is_the_same(tmp_path, capsys):
    flags = ["--hours", "0.0015", "--size", "32", "--people", "2,1,1", "--set-frames", "2", "--set-share", "0.1"]
    folder, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, "-m", "data_pipelines.puppet", "--out", folder, *flags, "--workers", "2"]
    root = Path(builder.__file__).parents[3]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert wait_for(lambda: len(list(folder.glob("*/clips/*.npz"))) > 2, 120)
    process.kill()
    process.wait(20)
    assert main(["--out", str(folder), *flags, "--workers", "1"]) == 0
    assert "datasheet.html" in capsys.readouterr().out
    build(whole, TINY, workers=1, progress=False)
    killed, expected = _contents(folder), _contents(whole)
    assert killed.keys() == expected.keys()
    assert all(killed[name] == expected[name] for name in expected)
    for split in SPLITS:
        info = json.loads((folder / split / "dataset_info.json").read_text())
        assert info == json.loads((whole / split / "dataset_info.json").read_text())
        assert sum(info["counts"]["frames_of"].values()) == info["counts"]["frames"]
        assert info["counts"]["frames_of"].keys() == {"clips", "sets", "probes"}
    page = (folder / "datasheet.html").read_text()
    assert page == (whole / "datasheet.html").read_text()
    assert info["fingerprint"]["sha256"] in page and page.count("<svg") > 15 and "data:image/jpeg;base64," in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")  # nothing is fetched
    assert not list(folder.glob("*/clips/.*"))


def test_a_full_disk_is_detected_before_anything_is_written(tmp_path, capsys, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(builder, "_trial", lambda parameters: (0.3, 0.02, 12_000.0))
    monkeypatch.setattr(builder.shutil, "disk_usage", lambda folder: usage(10**10, 10**10, 10**8))
    assert main(["--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "2.2 GB will be written, but 0.1 GB are free" in error and error.count("\n") == 1
    assert not list(tmp_path.glob("*/clips/*"))


def test_an_interrupt_ends_in_one_line(tmp_path, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(builder, "run_all", interrupted)
    assert main(["--out", str(tmp_path), "--hours", "0.001", "--people", "1,1,1"]) == 130
    assert capsys.readouterr().err.splitlines()[-1].startswith("interrupted: run the same command again to resume")


def test_no_workers_are_refused(tmp_path):
    with pytest.raises(InputError, match="--workers 0"):
        build(tmp_path, TINY, workers=0, progress=False)


def test_durations_are_readable():
    assert [duration(s) for s in (0.2, 40, 1500, 12_240)] == ["1 seconds", "40 seconds", "25 minutes", "3.4 hours"]
