"""Lip closure in motion generated from natural recordings: python -m benchmarks.natural_speech --speech DIR.

  closure      at p, b and m of recordings with transcripts (data_pipelines.extraction.forced_alignment): the share of
               instants whose aperture, at its smallest within two frames, is under a quarter of the clip's 90th
               percentile. Baselines: random instants of the same words, and another clip's audio
  own_video    if the speaker's video was measured (--records, data_pipelines.prepare) and the manifest calls its audio
               in sync: correlation of the generated aperture with the filmed one, at once and at the best lag of each
               clip; the baseline is another clip's audio. And closure as filmed, the ceiling
  puppets      closure on held-out eSpeak speech with exact phoneme times (--codes and --puppets), with the true lips as
               ceiling, and correlation with them

Aperture is the calibrated coordinate of the motion code, of the bundled portrait, for one clip at a time from one seed.
Thresholds are relative to each clip, so that nothing depends on units. About a minute per guidance scale on one core.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.common import print_json, write_json
from data_pipelines.extraction.forced_alignment import Aligned, read_aligned, read_table, seconds
from data_pipelines.records.catalog import code_paths, open_records
from data_pipelines.records.schema import read_codes
from demo_jax.cli import CommandParser, cli_main
from demo_jax.constants import FPS, SAMPLES_PER_FRAME
from demo_jax.errors import InputError
from demo_jax.evaluation.generation import APERTURE
from demo_jax.evaluation.metrics.motion import best_lag, correlation, mean_and_error
from demo_jax.paths import ASSETS
from demo_jax.sampling import pipeline
from demo_jax.sampling.options import Options
from demo_jax.sampling.pipeline import Pipeline

Lips = Callable[[np.ndarray], np.ndarray]  # waveform [T * 640] int16 -> aperture [T]
Video = tuple[np.ndarray, np.ndarray, Aligned | None]
BILABIAL = ("P", "B", "M")
TOLERANCE = 2  # frames on either side of an instant in which the lips may close
SHARE, PERCENTILE = 0.25, 90  # closed: under this share of that percentile of the clip
MOST_LAG = 6  # largest lag, in frames, between audio and video that is tried
PORTRAIT = ASSETS / "portrait.png"


def closed(aperture: np.ndarray, instants: np.ndarray) -> np.ndarray:
    """Returns [N] bool: whether the lips [T] close within TOLERANCE frames of each instant [N] (seconds)."""
    frames = np.clip(np.floor(instants * FPS).astype(int), 0, len(aperture) - 1)
    padded = np.pad(aperture, TOLERANCE, mode="edge")
    smallest = np.lib.stride_tricks.sliding_window_view(padded, 2 * TOLERANCE + 1).min(-1)
    return smallest[frames] < SHARE * np.percentile(aperture, PERCENTILE)


def instants(phones: Sequence[str], times: np.ndarray, chosen: Sequence[str] = BILABIAL) -> np.ndarray:
    """Returns the middles [N], in seconds, of the chosen phones."""
    return times[np.isin(np.array(phones, dtype=np.str_), chosen)].mean(1)


def random_instants(rng: np.random.Generator, times: np.ndarray, count: int) -> np.ndarray:
    """Returns [count] seconds, uniform over the time in which phones are spoken: in pauses lips may well be closed."""
    lengths = times[:, 1] - times[:, 0]
    which = rng.choice(len(times), count, p=lengths / lengths.sum())
    return times[which, 0] + rng.random(count) * lengths[which]


def closure(clips: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], seed: int = 0) -> dict[str, float]:
    """Returns the shares of closed instants, true and random, of clips (aperture [T], instants [N], times of all phones
    [phones, 2]); there are ten random instants for each true one."""
    rng = np.random.default_rng(seed)
    at, beside = [], []
    for aperture, when, times in clips:
        at.append(closed(aperture, when))
        beside.append(closed(aperture, random_instants(rng, times, 10 * len(when))))
    hits, chance = np.concatenate(at), np.concatenate(beside)
    error = np.sqrt(hits.mean() * (1 - hits.mean()) / max(len(hits), 1))
    return {"closed": float(hits.mean()), "error": float(error), "random": float(chance.mean()), "count": len(hits)}


def other_audio(waveforms: Sequence[np.ndarray], i: int) -> np.ndarray:
    """Returns the audio of another clip, repeated or cut to the length of clip i. It is half of the list away, so that
    it is another person's."""
    return np.resize(waveforms[(i + len(waveforms) // 2) % len(waveforms)], len(waveforms[i]))


def on_recordings(lips: Lips, clips: Sequence[Aligned]) -> dict[str, dict[str, float]]:
    """Returns closure on recordings, with their own audio and with another clip's."""
    waveforms = [np.pad(clip.waveform, (0, -len(clip.waveform) % SAMPLES_PER_FRAME)) for clip in clips]
    spans = [(instants(clip.phones, clip.times), clip.times) for clip in clips]
    made = [lips(waveform) for waveform in waveforms]
    shuffled = [lips(other_audio(waveforms, i)) for i in range(len(clips))]
    return {
        "closure": closure([(a, *span) for a, span in zip(made, spans, strict=True)]),
        "closure_shuffled": closure([(a, *span) for a, span in zip(shuffled, spans, strict=True)]),
    }


def filmed(records: str, speech: str, aligned: Sequence[Aligned]) -> list[Video]:
    """Returns (filmed aperture [T], waveform [T * 640], alignment or None) of the videos whose audio is in sync.

    Raises InputError if there is none.
    """
    in_sync = {
        Path(row["file"]).stem for row in read_table(Path(speech) / "manifest.csv") if row["sync_evidence"] == "good"
    }
    by_name = {clip.name: clip for clip in aligned}
    found: dict[str, list[dict[str, np.ndarray]]] = {}
    for split in ("train", "val", "test"):
        source = open_records(records, split)
        for i, segment in enumerate(source.segments):
            if segment.clip_id in in_sync:
                found.setdefault(segment.clip_id, []).append(source.read(i, ("lips", "waveform")))
    if not found:
        raise InputError(f"{records} contains no clip that {speech}/manifest.csv lists with good sync_evidence.")
    return [
        (
            np.concatenate([segment["lips"][:, 0] for segment in segments]),
            np.concatenate([segment["waveform"] for segment in segments]),
            by_name.get(name),
        )
        for name, segments in sorted(found.items())
    ]


def against_video(lips: Lips, clips: Sequence[Video]) -> dict:
    """Returns correlation with the filmed aperture, and closure, generated and filmed, on the same clips."""
    waveforms = [waveform for _, waveform, _ in clips]
    rows: dict[str, list[float]] = {}
    generated_clips, filmed_clips = [], []
    for i, (truth, waveform, alignment) in enumerate(clips):
        made, shuffled = lips(waveform), lips(other_audio(waveforms, i))
        for name, track in (("correlation", made), ("correlation_shuffled", shuffled)):
            rows.setdefault(name, []).append(correlation(track, truth))
            rows.setdefault(f"{name}_best_lag", []).append(best_lag(track, truth, MOST_LAG)[1])
        if alignment is not None:
            span = instants(alignment.phones, alignment.times), alignment.times
            generated_clips.append((made, *span))
            filmed_clips.append((truth, *span))
    return {name: mean_and_error(values) for name, values in rows.items()} | {
        "closure_same_clips": closure(generated_clips),
        "closure_filmed": closure(filmed_clips),
    }


Puppet = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def puppet_clips(codes: str, puppets: str, most: int) -> list[Puppet]:
    """Returns (true aperture [T], waveform, instants of p, b, m [N], times of all phones [phones, 2]) of at most `most`
    test clips with speech."""
    records = open_records(puppets, "test")
    offsets: dict[str, int] = {}
    phones: dict[str, list[tuple[str, float, float]]] = {}
    for i, segment in enumerate(records.segments):  # in order of clip and segment
        if segment.variant:
            continue
        part = records.read(i, ("phonemes", "phoneme_times"))
        at = offsets.get(segment.clip_id, 0) / FPS
        known = phones.setdefault(segment.clip_id, [])
        for phone, (start, end) in zip(part["phonemes"], part["phoneme_times"].astype(float) + at, strict=True):
            if known and known[-1][0] == phone and abs(known[-1][2] - start) < 1e-3 and start - at < 1e-3:
                known[-1] = (known[-1][0], known[-1][1], end)  # a phone that was cut between two segments
            else:
                known.append((str(phone), start, end))
        offsets[segment.clip_id] = offsets.get(segment.clip_id, 0) + segment.length
    clips = []
    for path in code_paths(codes, "test"):
        spoken = phones.get(path.stem, [])
        if spoken and len(clips) < most:
            record = read_codes(path)
            times = np.array([(start, end) for _, start, end in spoken])
            when = instants([phone[0].upper() for phone, *_ in spoken], times)
            clips.append((record.truth[:, APERTURE], record.waveform, when, times))
    return clips


def on_puppets(lips: Lips, clips: Sequence[Puppet]) -> dict:
    """Returns closure of generated and true lips on puppets, and their correlation."""
    made = [lips(waveform) for _, waveform, *_ in clips]
    return {
        "closure": closure([(a, *clip[2:]) for a, clip in zip(made, clips, strict=True)]),
        "closure_truth": closure([(clip[0], *clip[2:]) for clip in clips]),
        "correlation": mean_and_error([correlation(a, clip[0]) for a, clip in zip(made, clips, strict=True)]),
    }


def generated(model: Pipeline, options: Options) -> Lips:
    """Returns the function from a waveform to the aperture that the model generates for the bundled portrait."""
    coordinate = int(model.layout.calibrated[APERTURE])
    portrait = model.read_portrait(PORTRAIT)
    code = np.asarray(model.encode_source(portrait)[1])
    return lambda waveform: np.concatenate(list(model.motion(code, waveform, options=options)))[:, coordinate]


def measure(
    lips: Lips,
    recordings: Sequence[Aligned],
    videos: Sequence[Video] = (),
    puppets: Sequence[Puppet] = (),
) -> dict:
    """Returns all figures of one way to generate lips from audio."""
    result: dict = {"recordings": on_recordings(lips, recordings)}
    if videos:
        result["own_video"] = against_video(lips, videos)
    if puppets:
        result["puppets"] = on_puppets(lips, puppets)
    return result


@cli_main
def main(argv: list[str] | None = None) -> None:
    parser = CommandParser(prog="python -m benchmarks.natural_speech", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--checkpoint", help="folder of a stage-2 checkpoint; the bundled model unless given")
    parser.add_argument("--speech", required=True, help="folder with transcripts.csv and the recordings it names")
    parser.add_argument("--records", help="prepared records of the same videos, for the filmed lips")
    parser.add_argument("--codes", help="motion codes of the puppet corpus, and ...")
    parser.add_argument("--puppets", help="... its clip records, for the same metric on held-out puppets")
    parser.add_argument("--puppet-clips", type=int, default=40)
    parser.add_argument("--audio-scale", type=float, nargs="+", default=[1.0, 2.0, 3.0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args(argv)
    model = pipeline.load(args.checkpoint)
    recordings, left_out = read_aligned(args.speech)
    videos = filmed(args.records, args.speech, recordings) if args.records else []
    puppets = puppet_clips(args.codes, args.puppets, args.puppet_clips) if args.codes and args.puppets else []
    about = {"seed": args.seed, "clips": len(recordings), "seconds": seconds(recordings), "left_out": left_out}
    result: dict = {"about": about, "scales": {}}
    for scale in tqdm(args.audio_scale, desc="guidance scale"):
        options = Options(seed=args.seed, audio_scale=scale)
        result["scales"][f"{scale:g}"] = measure(generated(model, options), recordings, videos, puppets)
        print_json(f"audio scale {scale:g}", result["scales"][f"{scale:g}"])
    if args.json:
        write_json(args.json, result)


if __name__ == "__main__":
    raise SystemExit(main())
