"""Many jobs at once: each gives the result of a single run, finished ones are skipped, bad ones stop no others."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny_model
from media_files import make
from PIL import Image

from demo_jax import sample
from demo_jax.errors import InputError
from demo_jax.media import audio as audio_files
from demo_jax.media import video
from demo_jax.media.probe import read_facts
from demo_jax.media.video_writer import VideoWriter
from demo_jax.sampling import batch, pipeline
from demo_jax.sampling import manifest as jobs
from demo_jax.sampling.controls import Controls
from demo_jax.sampling.options import Options
from demo_jax.sampling.pipeline import Pipeline
from demo_jax.sampling.tracks import read_track

ROOT = Path(__file__).resolve().parents[1]
LENGTHS = (31, 5, 12, 20)


@pytest.fixture(scope="module")
def demo():
    return Pipeline(tiny_model.model())


@pytest.fixture
def folder(tmp_path, demo, monkeypatch):
    """Two portraits, four recordings of different lengths."""
    for i in range(2):
        Image.fromarray(tiny_model.portrait(i)).save(tmp_path / f"p{i}.png")
        (tmp_path / f"p{i}.json").write_text('{"cropped": true, "corpus": "puppet"}')
    for i, frames in enumerate(LENGTHS):
        audio_files.write_wav(tmp_path / f"s{i}.wav", tiny_model.speech(frames, seed=i))
    make(tmp_path / "stereo.wav", "-i", str(tmp_path / "s3.wav"), "-af", "pan=stereo|c0=c0|c1=c0")
    monkeypatch.setattr(pipeline, "load", lambda path=None: demo)
    return tmp_path


def manifest(folder, *rows):
    text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
    (folder / "jobs.jsonl").write_text(text + "\n")
    return folder / "jobs.jsonl"


def job(i, **more):
    return {"portrait": f"p{i % 2}.png", "audio": f"s{i}.wav", "out": f"{i}.mp4", "seed": i, "steps": 2} | more


def run(folder, *extra):
    try:
        return sample.main(["--manifest", str(folder / "jobs.jsonl"), "--out", str(folder / "out"), *extra])
    except SystemExit as stop:
        return stop.code


def results(folder):
    return [json.loads(line) for line in (folder / "out/results.jsonl").read_text().splitlines()]


def test_every_job_gives_the_result_of_a_single_run(folder, demo, capsys):
    manifest(
        folder, job(0, hold=["pose"]), job(1, emotion="happy", audio_scale=1.5), job(2, set="yaw=+10"),
        job(3, look_at_camera=True, audio="stereo.wav"), {"portrait": "p1.png", "silence": 0.6, "out": "4.mp4",
        "steps": 2, "gain": "lip=2"},
    )  # fmt: skip
    assert run(folder, "--slots", "2") == 0
    assert "5 done, 0 failed, 0 skipped" in capsys.readouterr().out
    controls = [
        Controls.parse(hold="pose"), Controls(), Controls.parse(set="yaw=+10"), Controls(camera=True),
        Controls.parse(gain="lip=2"),
    ]  # fmt: skip
    options = [
        Options(seed=0, steps=2), Options(seed=1, steps=2, emotion="happy", audio_scale=1.5), Options(seed=2, steps=2),
        Options(seed=3, steps=2), Options(steps=2),
    ]  # fmt: skip
    for i, (control, option) in enumerate(zip(controls, options, strict=True)):
        portrait = tiny_model.portrait(1 if i == 4 else i % 2)
        speech = pipeline.silence(0.6) if i == 4 else tiny_model.speech(LENGTHS[i], seed=i)
        alone = np.stack([code for _, code in demo.frames(portrait, speech, control, option)])
        with np.load(folder / f"out/{i}_track.npz") as made:
            # In a batch sums are taken in another order.
            np.testing.assert_allclose(made["codes"], alone, atol=2e-4)
        info, frames = video.read_video(folder / f"out/{i}.mp4")
        assert len(list(frames)) == len(alone) and info.has_audio
        audio = read_facts(folder / f"out/{i}.mp4", "video").audio
        assert audio is not None and audio.channels == (2 if i == 3 else 1)  # the recording's own
    rows = results(folder)
    assert sorted(row["out"] for row in rows) == [f"{i}.mp4" for i in range(5)]
    assert all(row["status"] == "done" and row["seconds"] > 0 for row in rows)


def test_a_bad_job_is_reported_and_does_not_stop_the_others(folder, capsys):
    manifest(
        folder, "not json", job(0), job(1, portrait="no.png"), job(1, out="../x.mp4"), job(2, steps=0), job(3, nose=1),
        job(2, out="0.mp4"), job(1, out="b.mp4", track="none.csv"), "[1]", job(1, out="c.mp4", silence=1),
        job(1, blink=3, out="d.mp4"), job(2, out="e.mp4"), job(1, out="a\0/f.mp4"),
        {"portrait": "p1.png", "silence": "long", "out": "g.mp4"}, job(1, out="h.mp4", emotion=5),
        job(1, out="i.mp4", seed=1.5), job(1, out="j.mp4", steps=2.0), job(1, out="k.mp4", portrait="/"),
        job(1, out="l.mp4", portrait=300 * "p" + ".png"), job(1, out="m.mp4", track=300 * "t" + ".csv"),
        job(1, out=300 * "n" + ".mp4"),
    )  # fmt: skip
    assert run(folder) == 1
    assert "2 done, 19 failed" in capsys.readouterr().out
    found = {row["line"]: row.get("error") for row in results(folder)}
    for line, says in {
        1: "not JSON", 2: None, 3: "no.png does not exist", 4: "not the name of an .mp4", 5: "steps 0",
        6: "'nose' is not", 7: "also that of line 2", 8: "none.csv does not exist", 9: "not an object",
        10: "either 'audio' or 'silence'", 11: "blink begins at 3 s", 12: None,
        13: "not the name of an .mp4", 14: "silence 'long' is not a number",
        15: "emotion 5 is not a name", 16: "seed 1.5 is not a whole number", 17: "steps 2.0 is not a whole number",
        18: "portrait '/' is not a file", 19: "cannot be opened", 20: "too long", 21: "too long",
    }.items():  # fmt: skip
        assert (found[line] is None) if says is None else (says in found[line]), (line, found[line])
    assert sorted(p.name for p in (folder / "out").glob("*.mp4")) == ["0.mp4", "e.mp4"]
    assert not list((folder / "out").glob(".*"))


def test_finished_jobs_are_skipped_and_changed_ones_repeated(folder, capsys):
    manifest(folder, job(0), job(1), job(2))
    assert run(folder) == 0
    before = {p.name: p.stat().st_mtime_ns for p in (folder / "out").glob("*.mp4")}
    audio_files.write_wav(folder / "s1.wav", tiny_model.speech(7, seed=9))  # another recording
    (folder / "out/2.mp4").unlink()
    (folder / "out/.2.123.tmp.mp4").write_bytes(b"half")  # of a call that was killed
    with (folder / "out/results.jsonl").open("a") as file:
        file.write('{"line": 3, "out": "2.m')
    with (folder / "out/results.jsonl").open("a") as file:
        file.write("\n")
    assert run(folder) == 0
    assert "2 done, 0 failed, 1 skipped" in capsys.readouterr().out
    after = {p.name: p.stat().st_mtime_ns for p in (folder / "out").glob("*.mp4")}
    assert [before[n] == after[n] for n in ("0.mp4", "1.mp4", "2.mp4")] == [True, False, False]
    assert not list((folder / "out").glob(".*"))
    assert read_track(folder / "out/1_track.npz").length == 7


def test_a_model_trained_further_repeats_all_jobs(folder, demo, monkeypatch, capsys):
    manifest(folder, job(0))
    assert run(folder) == 0 and run(folder) == 0
    assert "0 done, 0 failed, 1 skipped" in capsys.readouterr().out
    before, encoder = read_track(folder / "out/0_track.npz").columns["yaw"], demo.fingerprint
    flow = jax.tree.map(lambda p: p + 1e-2, demo.model.flow_params)
    monkeypatch.setattr(demo, "model", dataclasses.replace(demo.model, flow_params=flow))
    assert demo.fingerprint == encoder  # what codes mean is as it was
    assert run(folder) == 0
    assert "1 done, 0 failed, 0 skipped" in capsys.readouterr().out
    assert (read_track(folder / "out/0_track.npz").columns["yaw"] != before).any()


def test_no_job_replaces_an_input_of_the_manifest(folder, capsys):
    """The output folder is that of the inputs, and a line's video is what another is driven by."""
    manifest(
        folder, job(0), job(1, drive=["lip=1.mp4"]), job(2, out="4.mp4", drive=["pose=3_track.npz"]),
        job(0, out="3.mp4"), job(0, out="5.mp4", track="5_track.csv"),
    )  # fmt: skip
    for name in ("1.mp4", "3_track.npz", "5_track.csv"):
        (folder / name).write_text("here")
    found = jobs.read_manifest(folder / "jobs.jsonl", folder)
    says = [getattr(x, "error", "") for x in found]
    assert [bool(text) for text in says] == [False, True, False, True, True]
    assert "1.mp4 would be replaced, but line 2 reads it; give another out." in says[1]
    assert "3_track.npz would be replaced, but line 3 reads it" in says[3]
    assert "5_track.csv would be replaced, but line 5 reads it" in says[4]


def test_one_program_serves_a_bucket(folder, demo):
    fresh = Pipeline(demo.model)
    sampler = batch.BatchSampler(fresh, slots=3)
    (folder / "out").mkdir()
    listed = jobs.read_manifest(manifest(folder, *[job(i) for i in range(4)]), folder / "out")
    assert sampler.run(listed, folder / "out") == {"done": 4, "failed": 0, "skipped": 0}
    assert fresh.sample._cache_size() == sampler._decode._cache_size() == 1


def test_a_failing_encoder_fails_only_its_job(folder, demo, monkeypatch):
    write = VideoWriter.write

    def broken(self, frame):
        if self.path.name == "1.mp4" and self.frames == 2:
            raise InputError("the disk is full.")
        write(self, frame)

    monkeypatch.setattr(VideoWriter, "write", broken)
    manifest(folder, job(0), job(1), job(2))
    assert run(folder) == 1
    found = {row["out"]: row["status"] for row in results(folder)}
    assert found == {"0.mp4": "done", "1.mp4": "failed", "2.mp4": "done"}
    assert not list((folder / "out").glob("1*")) and not list((folder / "out").glob(".*"))


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--slots", "0"], "slots 0"),
        (["--silence", "3"], "gives its own silence"),
        (["--seed", "3"], "gives its own seed"),
        (["--hold", "pose"], "gives its own hold"),
        (["--portrait", "p0.png"], "gives its own portrait"),
    ],
)
def test_flags_that_do_not_go_together(folder, capsys, extra, message):
    manifest(folder, job(0))
    assert run(folder, *extra) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_manifest_is_refused(folder, capsys, text):
    (folder / "jobs.jsonl").write_text(text)
    assert run(folder) == 2
    assert "is empty" in capsys.readouterr().err


@pytest.mark.skipif(len(jax.devices()) < 8, reason="needs the 8 simulated devices of conftest.py")
def test_slots_are_spread_over_all_devices(demo):
    sampler = batch.BatchSampler(demo, slots=3)
    assert sampler.slots == 8
    rows = sampler._put(np.zeros((8, 4), np.float32))
    assert len({shard.device for shard in rows.addressable_shards}) == 8


@pytest.mark.slow
def test_a_killed_call_resumes(tmp_path):
    """In a process of its own, on one device, killed when the first video appears."""
    Image.fromarray(tiny_model.portrait()).save(tmp_path / "p.png")
    (tmp_path / "p.json").write_text('{"cropped": true, "corpus": "puppet"}')
    rows = [{"portrait": "p.png", "silence": s, "out": f"{i}.mp4", "steps": 1} for i, s in enumerate((0.2, 9, 9))]
    manifest(tmp_path, *rows)
    command = [
        sys.executable,
        "sample.py",
        "--manifest",
        tmp_path / "jobs.jsonl",
        "--out",
        tmp_path / "out",
        "--checkpoint",
        tiny_model.save(tmp_path / "model"),
        "--slots",
        "1",
    ]
    environment = os.environ | {
        "XLA_FLAGS": os.environ["XLA_FLAGS"].replace("count=8", "count=1"),  # each device makes a slot
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    }
    del environment["JAX_COMPILATION_CACHE_DIR"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    while not (tmp_path / "out/0.mp4").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert "0 failed" in done.stdout and sorted(p.name for p in (tmp_path / "out").glob("*.mp4")) == [
        "0.mp4", "1.mp4", "2.mp4",
    ]  # fmt: skip
    for i, frames in enumerate((5, 225, 225)):
        assert len(list(video.read_video(tmp_path / f"out/{i}.mp4")[1])) == frames
    assert not list((tmp_path / "out").glob(".*")) and list((tmp_path / "cache").rglob("*"))
