"""What a stage-2 model generates, by NFE and guidance; window borders, streams, silence, controls, speed, memory.

    python -m benchmarks.generation --checkpoint runs/puppet_flow --codes data/puppet_codes --out out/generation.json

Measures codes of held-out recordings; speed and memory include rendering. --only selects sections, --clips limits the
recordings.

  steps, guidance   lip: correlation of the aperture with the recording's true one, in clips with speech; shuffled: with
                    another recording; lag; spread of pose over the truth's; rest: relative Frechet distance of all
                    codes but pose, relative to the portrait's (0 another true clip, 1 a still face)
  samples           lip of one of 16 samples, of their mean; spread of pose between samples over that within one
  seams             velocity at window borders over velocity elsewhere; of the truth at the same frames
  stream            the same figures with only 20 more frames of audio available to each frame
  silence           aperture at rest (median, 95th percentile beside that of speech), and how much the head moves
  length            the last of ten minutes against the first, for the same audio: paired differences of each figure
                    over the portraits, and their standard errors
  controls          error of given values, how far the head at a keyframe leaves its neighbours, and the effect of other
                    audio or another gaze on the generated head
  speed             motion alone over real time; frames per second with rendering; first frame of a stream
  memory            peak of the process for ten minutes over that for one
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.common import make_parser, write_json
from data_pipelines.loading.examples import decode_frame
from data_pipelines.records.catalog import code_paths
from data_pipelines.records.schema import CodeRecord, read_codes
from demo_jax.constants import FPS, SAMPLES_PER_FRAME
from demo_jax.evaluation.metrics.distribution import frechet_to_truth
from demo_jax.evaluation.metrics.motion import best_lag, boundary_jump, contains_speech, correlation, mean_and_error
from demo_jax.factors import CALIBRATED_NAMES, CALIBRATED_SCALE
from demo_jax.sampling import pipeline
from demo_jax.sampling.controls import FREE, Controls
from demo_jax.sampling.options import Options
from demo_jax.sampling.session import STREAM_HOP
from demo_jax.sampling.tracks import MotionTrack

Rows = list[np.ndarray]
MINUTES, PORTRAITS = 10, 8  # of the length section
SAMPLES = 16
APERTURE, YAW = CALIBRATED_NAMES.index("aperture"), CALIBRATED_NAMES.index("yaw")


class Bench:
    """Sections as methods, for one pipeline and its recordings."""

    def __init__(self, demo: pipeline.Pipeline, records: list[CodeRecord]) -> None:
        self.demo, self.records = demo, records
        self.place = {name: int(k) for name, k in zip(CALIBRATED_NAMES, demo.layout.calibrated, strict=True)}
        self.pose = demo.layout.slices["pose"]
        self.rest = np.setdiff1d(np.arange(demo.layout.size), np.arange(self.pose.start, self.pose.stop))

    def motion(
        self, options: Options, controls: Controls = FREE, *, shift: int = 0, stream: bool = False, silent: bool = False
    ) -> Rows:
        """Returns the raw codes [T, K] of every recording, each from its own noise; `shift` takes the audio of another
        recording, `silent` takes silence."""
        made, first = [], 1000 * options.seed
        for i, record in enumerate(self.records):
            options = dataclasses.replace(options, seed=first + i)
            audio = np.resize(self.records[(i + shift) % len(self.records)].waveform, len(record.waveform))
            audio = np.zeros_like(audio) if silent else audio
            source = record.codes[0]
            if stream:
                parts = self.demo.motion_stream(source, [audio], controls, options)
            else:
                parts = self.demo.motion(source, audio, controls, options)
            made.append(np.concatenate(list(parts)))
        return made

    def lips(self, made: Rows) -> list[float]:
        """Returns the correlation of the aperture with the true one, for each recording with speech."""
        return [
            correlation(m[:, self.place["aperture"]], r.truth[:, APERTURE])
            for m, r in zip(made, self.records, strict=True)
            if contains_speech(r.waveform)
        ]

    def quality(self, made: Rows, shuffled: Rows | None = None) -> dict[str, Any]:
        """Returns the figures of steps and guidance; `shuffled` are codes from other recordings' audio."""
        lags = [
            best_lag(m[:, self.place["aperture"]], r.truth[:, APERTURE])[0]
            for m, r in zip(made, self.records, strict=True)
        ]
        away, true = ([c - r.codes[0] for c, r in zip(x, self.records, strict=True)] for x in (made, self.truth))
        deviation, expected = (np.mean([c[:, self.pose].std(0) for c in x], 0) for x in (away, true))

        def distance(part: slice | np.ndarray) -> dict[str, float]:
            found = frechet_to_truth([c[:, part] for c in away], [c[:, part] for c in true])
            return {"mean": found["relative"], "error": found["error"]}  # standard deviation over the splits

        found = {
            "lip": mean_and_error(self.lips(made)),
            "lag": float(np.median(lags)),
            "spread": float((deviation / expected).mean()),
            "pose": distance(self.pose),
            "rest": distance(self.rest),
        }
        return found | ({"shuffled": mean_and_error(self.lips(shuffled))} if shuffled else {})

    @property
    def truth(self) -> Rows:
        return [r.codes for r in self.records]

    def steps(self) -> dict[str, Any]:
        found = {"encoder": self.quality(self.truth)}
        for steps in tqdm((1, 2, 3, 5, 10, 20), desc="steps"):
            found[str(steps)] = self.quality(self.motion(Options(steps=steps)))
        return found

    def guidance(self) -> dict[str, Any]:
        found = {}
        for scale in tqdm((0.0, 1.0, 1.5, 2.0, 3.0), desc="guidance"):
            options = Options(audio_scale=scale)
            found[f"{scale:g}"] = self.quality(self.motion(options), self.motion(options, shift=1))
        return found

    def samples(self) -> dict[str, Any]:
        made = [self.motion(Options(seed=seed)) for seed in tqdm(range(SAMPLES), desc="samples")]
        of_clips = [np.stack(clip) for clip in zip(*made, strict=True)]  # [SAMPLES, T, K] each
        heads = [clip[..., self.pose] for clip in of_clips]
        between, within = np.mean([h.std(0).mean(0) for h in heads], 0), np.mean([h.std(1).mean(0) for h in heads], 0)
        return {
            "one": mean_and_error(np.mean([self.lips(rows) for rows in made], 0).tolist()),
            f"mean_of_{SAMPLES}": mean_and_error(self.lips([clip.mean(0) for clip in of_clips])),
            "pose_between_samples_over_within": float((between / within).mean()),
        }

    def seams(self) -> dict[str, Any]:
        length = self.demo.model.flow.model.window if self.demo.model.flow else 0

        def jumps(rows: Rows, hop: int) -> dict[str, float]:
            return mean_and_error([x for c in rows if np.isfinite(x := boundary_jump(c[:, self.pose], hop))])

        whole, streamed = self.motion(Options()), self.motion(Options(), stream=True)
        return {
            "whole": jumps(whole, length), "whole_truth": jumps(self.truth, length),
            "stream": jumps(streamed, STREAM_HOP), "stream_truth": jumps(self.truth, STREAM_HOP),
        }  # fmt: skip

    def stream(self) -> dict[str, Any]:
        return {
            "whole": self.quality(self.motion(Options())),
            "stream": self.quality(self.motion(Options(), stream=True)),
        }

    def silence(self) -> dict[str, Any]:
        spoken, idle = self.motion(Options()), self.motion(Options(), silent=True)
        lips, speaking = (np.concatenate([c[:, self.place["aperture"]] for c in x]) for x in (idle, spoken))
        deviation, expected = (np.mean([c[:, self.pose].std(0) for c in x], 0) for x in (idle, self.truth))
        lids, usual = (
            np.mean([(np.diff(c[:, self.place["open_left"]]) < -0.5).sum() for c in x]) for x in (idle, self.truth)
        )
        unit = float(CALIBRATED_SCALE[APERTURE])
        return {
            "aperture_median": float(np.median(lips)) * unit,
            "aperture_95": float(np.percentile(lips, 95)) * unit,
            "speaking_95": float(np.percentile(speaking, 95)) * unit,
            "head_spread": float((deviation / expected).mean()),
            "blinks_over_true": float(lids / max(usual, 1e-9)),
        }

    def length(self) -> dict[str, Any]:
        """Returns the drift over the same minute of speech, repeated ten times, for several portraits."""
        minute, found = FPS * 60, []
        for i, record in enumerate(tqdm(self.records[:PORTRAITS], desc="length")):
            others = self.records[i:] + self.records[:i]
            audio = np.resize(np.concatenate([r.waveform for r in others]), minute * SAMPLES_PER_FRAME)
            codes = np.concatenate(
                list(self.demo.motion(record.codes[0], np.tile(audio, MINUTES), FREE, Options(seed=i)))
            )
            ends = []
            for part in (codes[:minute], codes[-minute:]):
                pose, lip = part[:, self.pose], part[:, self.place["aperture"]]
                ends.append(
                    {
                        "head_spread": pose.std(0).mean(),
                        "head_from_portrait": np.abs(pose - record.codes[0, self.pose]).mean(),
                        "head_speed": np.abs(np.diff(pose, axis=0)).mean(),
                        "aperture_spread": lip.std(),
                        "aperture_mean": lip.mean(),
                        "blinks": float((np.diff(part[:, self.place["open_left"]]) < -0.5).sum()),
                    }
                )
            found.append(ends)
        return {
            name: {
                "first": float(np.mean([a[name] for a, _ in found])),
                "last_less_first": mean_and_error([float(b[name] - a[name]) for a, b in found]),
            }
            for name in found[0][0]
        }

    def controls(self) -> dict[str, Any]:
        yaw, degrees = self.place["yaw"], float(CALIBRATED_SCALE[YAW])
        keys = np.array([25, 75, 125])
        requested = np.array([8.0, -8.0, 4.0], np.float32)
        keyframes = MotionTrack(columns={"+yaw": requested}, start=25, at=keys)
        made = self.motion(Options(), Controls(keyframes=keyframes))
        free = self.motion(Options())
        exact, leaps, usual = [], [], []
        for codes, other, record in zip(made, free, self.records, strict=True):
            at = keys[keys < len(codes) - 1]
            exact += list(np.abs(codes[at, yaw] - record.codes[0, yaw] - requested[: len(at)] / degrees) * degrees)
            leaps += list(np.abs(codes[at, yaw] - (codes[at - 1, yaw] + codes[at + 1, yaw]) / 2) * degrees)
            usual += list(np.abs(other[at, yaw] - (other[at - 1, yaw] + other[at + 1, yaw]) / 2) * degrees)
        gaze = MotionTrack(columns={"gaze_yaw": 12 * np.sin(np.arange(400) / 9).astype(np.float32)})
        with_gaze = self.motion(Options(), Controls(track=gaze))
        other_audio = self.motion(Options(), shift=1)

        def moved(rows: Rows) -> float:
            return float(
                np.mean([np.abs(a[:, yaw] - b[:, yaw]).mean() * degrees for a, b in zip(rows, free, strict=True)])
            )

        def leap(rows: Rows) -> float:
            return float(np.mean([np.abs(np.diff(c[:, yaw])).max() for c in rows]) * degrees)

        again = self.motion(Options(seed=1))
        return {
            "largest_step_of_head": leap(free),
            "largest_step_of_head_with_gaze_track": leap(with_gaze),
            "keyframe_error_degrees": float(np.max(exact)),
            "keyframe_leap_degrees": float(np.mean(leaps)),
            "usual_leap_degrees": float(np.mean(usual)),
            "head_moved_by_gaze_track": moved(with_gaze),
            "head_moved_by_other_sound": moved(other_audio),
            "head_moved_by_other_seed": moved(again),
        }

    def speed(self, repeats: int = 5) -> dict[str, Any]:
        record = self.records[0]
        portrait = decode_frame(record.portrait.tobytes(), self.demo.size)
        seconds = len(record.waveform) / 16_000

        def median(run: Callable[[], object]) -> float:
            run()
            times = []
            for _ in range(repeats):
                begin = time.perf_counter()
                run()
                times.append(time.perf_counter() - begin)
            return float(np.median(times))

        alone = median(lambda: list(self.demo.motion(record.codes[0], record.waveform)))
        streamed = median(lambda: list(self.demo.motion_stream(record.codes[0], [record.waveform])))
        rendered = median(lambda: list(self.demo.frames(portrait, record.waveform)))
        hop = (STREAM_HOP + 10 + 1) * SAMPLES_PER_FRAME
        first = median(lambda: next(self.demo.stream(portrait, [record.waveform[:hop]])))
        stream_rendered = median(lambda: list(self.demo.stream(portrait, [record.waveform])))
        return {
            "motion_times_real_time": seconds / alone,
            "stream_motion_times_real_time": seconds / streamed,
            "frames_a_second": seconds * FPS / rendered,
            "stream_frames_a_second": seconds * FPS / stream_rendered,
            "stream_first_frame_seconds": first,
            "seconds_of_sound": seconds,
        }


def memory(checkpoint: str | None) -> dict[str, float]:
    """Returns the peak resident memory in MiB of sampling one and ten minutes of noise, each in its own process."""
    peaks = {}
    for minutes in (1, 10):
        command = [sys.executable, "-m", "benchmarks.generation", "--peak", str(minutes)]
        command += ["--checkpoint", checkpoint] if checkpoint else []
        done = subprocess.run(command, capture_output=True, check=True, text=True)
        peaks[f"minutes_{minutes}"] = float(done.stdout.split()[-1])
    return peaks | {"ratio": peaks["minutes_10"] / peaks["minutes_1"]}


def peak(checkpoint: str | None, minutes: int) -> float:
    """Returns the peak resident memory in MiB of this process after sampling `minutes` of noise."""
    demo = pipeline.load(checkpoint)
    portrait = np.random.default_rng(0).integers(0, 256, (demo.size, demo.size, 3)).astype(np.uint8)
    speech = (np.random.default_rng(0).normal(size=minutes * 60 * 16_000) * 2000).astype(np.int16)
    for _ in demo.frames(portrait, speech, FREE, Options(steps=2)):
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


SECTIONS = ("steps", "guidance", "samples", "seams", "stream", "silence", "length", "controls", "speed", "memory")


def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--checkpoint", help="stage-2 run or published model (the bundled one)")
    parser.add_argument("--codes", help="motion codes of a puppet corpus by that model's encoder")
    parser.add_argument("--out", type=Path, help="json to write")
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--only", choices=SECTIONS, action="append")
    parser.add_argument("--peak", type=int, metavar="MINUTES", help=argparse.SUPPRESS)  # used by the memory section
    args = parser.parse_args(argv)
    if args.peak:
        print(peak(args.checkpoint, args.peak))
        return
    demo = pipeline.load(args.checkpoint)
    records = [read_codes(p) for p in code_paths(args.codes, "test")]
    records = [r for r in records if len(r.codes) >= 100][: args.clips]
    bench = Bench(demo, records)
    found: dict[str, Any] = {
        "about": {
            "checkpoint": Path(demo.model.path).name,
            "clips": len(records),
            "frames": sum(len(r.codes) for r in records),
            "date": datetime.date.today().isoformat(),
            "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
            "python": platform.python_version(),
            "jax": importlib.metadata.version("jax"),
        }
    }
    for section in args.only or SECTIONS:
        found[section] = memory(args.checkpoint) if section == "memory" else getattr(bench, section)()
        if args.out:
            write_json(args.out, found)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
