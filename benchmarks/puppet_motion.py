"""How people move, and how puppets do: python -m benchmarks.puppet_motion [--real RECORDS] [--json F] [--figure F].

RECORDS is a folder of `python -m data_pipelines.prepare`. Every person counts once, however many clips show them.
Puppets are measured on their tracks, without drawing a frame. The verdict of a statistic is whether the median puppet
lies between the 10th and 90th percentile of the people.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from benchmarks.motion_statistics import SHORTEST, Track, as_measured, noise_floor, spectrum, statistics
from data_pipelines.puppet.corpus.build import person
from data_pipelines.puppet.corpus.clips import speech_clip
from data_pipelines.puppet.render.renderer import measure
from data_pipelines.records.schema import read_clip

MEASURED_BADLY = 0.6  # confidence below which a frame is ignored
SHOWN = (
    "yaw speed, rms", "pitch speed, rms", "yaw range in 3 s", "roll range in 3 s", "x range in 3 s",
    "z range in 3 s", "head 3rd difference, rms", "blinks a minute", "blink length at half depth",
    "saccades a minute", "saccade amplitude", "fixation", "gaze turns against head, gain", "aperture, 90 %",
    "aperture speed, rms", "openings a second", "mouth closed (< 0.02), share", "width, sd",
    "aperture with loudness, r",
)  # fmt: skip

DISTRIBUTIONS = {  # name -> its values over a track's frames, and the edges of the bins
    "lip aperture": (lambda track: track.lips[:, 0], np.linspace(0.0, 0.36, 37)),
    "lid opening": (lambda track: track.gaze[:, 2:].mean(1), np.linspace(0.0, 1.2, 41)),
}


def real_tracks(folder: Path) -> list[Track]:
    """One track per clip of a folder of records, its segments joined."""
    records_of: dict[str, list] = {}
    for path in sorted(folder.rglob("clips/*.npz")):
        record = read_clip(path)
        records_of.setdefault(record.clip_id, []).append(record)
    tracks = []
    for records in records_of.values():
        records.sort(key=lambda r: r.piece)
        pose, gaze, lips, audio, sure = (
            np.concatenate([getattr(r, name) for r in records])
            for name in ("pose", "gaze", "lips", "waveform", "confidence")
        )
        if len(pose) >= SHORTEST and np.mean(sure > MEASURED_BADLY) > 0.95:
            tracks.append(Track(person=records[0].speaker_id, pose=pose, gaze=gaze, lips=lips, waveform=audio))
    return tracks


def puppet_tracks(people: int, clips: int, seed: int) -> list[Track]:
    """`clips` spoken clips of each of `people` identities of the training split, as video would measure them."""
    tracks = []
    for index in range(people * clips):
        take = speech_clip(seed, "train", index, people)
        if not take.audio.phonemes:
            continue  # the real clips are of people who talk
        moves = take.motion
        truth = measure(person(seed, "train", take.person), moves.pose, moves.expression, moves.eyes, 256)
        track = Track(
            person=str(take.person),
            pose=moves.pose.astype(np.float64),
            gaze=np.concatenate([moves.eyes[:, :2], truth.openings], 1).astype(np.float64),
            lips=truth.lips.astype(np.float64),
            waveform=take.audio.waveform,
        )
        tracks.append(as_measured(track, np.random.default_rng([seed, index])))
    return tracks


def of_people(tracks: list[Track]) -> dict:
    """statistics: name -> one value per person; spectrum: density [people, F, 3]; distributions: name -> density
    [people, bins]; noise: name -> median person's."""
    groups: dict[str, list[Track]] = {}
    for track in tracks:
        groups.setdefault(track.person, []).append(track)
    each = [statistics(g) for g in groups.values()]
    floors = [noise_floor(g) for g in groups.values()]
    return {
        "people": len(groups),
        "clips": len(tracks),
        "minutes": sum(len(t.pose) for t in tracks) / 1500,
        "statistics": {name: np.array([s[name] for s in each]) for name in each[0]},
        "frequencies": spectrum(tracks[:1])[0],
        "spectrum": np.array([spectrum(g)[1] for g in groups.values()]),
        "distributions": {
            name: np.array([_density(np.concatenate([of(t) for t in g]), edges) for g in groups.values()])
            for name, (of, edges) in DISTRIBUTIONS.items()
        },
        "noise": {name: float(np.median([f[name] for f in floors])) for name in floors[0]},
    }


def _density(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """[bins]: share of the frames per unit; what lies beyond the edges counts in the last bins."""
    return np.histogram(np.clip(values, edges[0], edges[-1] - 1e-9), edges, density=True)[0]


def table(puppets: dict, real: dict | None) -> list[dict]:
    """One row per statistic: quantiles of the people and of the puppets, and the verdict."""
    rows = []
    for name, values in puppets["statistics"].items():
        row: dict = {"name": name, "puppets": [float(q) for q in np.nanpercentile(values, (25, 50, 75))]}
        if real is not None:
            row["real"] = [float(q) for q in np.nanpercentile(real["statistics"][name], (10, 25, 50, 75, 90))]
            row["within"] = bool(row["real"][0] <= row["puppets"][1] <= row["real"][4])
        rows.append(row)
    return rows


def show(rows: list[dict]) -> None:
    for row in rows:
        puppets = "{:8.3g} {:8.3g} {:8.3g}".format(*row["puppets"])
        real = "{:8.3g} {:8.3g} {:8.3g} {:8.3g} {:8.3g}".format(*row["real"]) if "real" in row else ""
        verdict = {True: "within", False: "OUTSIDE"}[row["within"]] if "real" in row else ""
        print(f"{row['name']:36s} puppets {puppets}   real {real}  {verdict}")


def figure(path: Path, rows: list[dict], puppets: dict, real: dict) -> None:
    """Spectra of head velocity, distributions over frames and, per statistic, over people."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = 6
    first = 3 + len(DISTRIBUTIONS)
    lines = -(-(first + len(SHOWN)) // columns)
    fig, axes = pyplot.subplots(lines, columns, figsize=(2.5 * columns, 2.1 * lines), layout="constrained")
    flat = axes.ravel()
    ink = (("people", real, "#444444"), ("puppets", puppets, "#d1661f"))
    for i, name in enumerate(("yaw", "pitch", "roll")):
        for label, group, colour in ink:
            low, middle, high = np.percentile(group["spectrum"][:, 1:, i], (25, 50, 75), axis=0)
            flat[i].loglog(group["frequencies"][1:], middle, color=colour, label=label)
            flat[i].fill_between(group["frequencies"][1:], low, high, color=colour, alpha=0.25, lw=0)
        flat[i].set_title(f"{name} velocity, (deg/s)$^2$/Hz", fontsize=8)
        flat[i].set_ylim(1e-3, 1e3)
        flat[i].set_xlabel("Hz", fontsize=7)
    flat[0].legend(fontsize=7)
    for axis, (name, (_, edges)) in zip(flat[3:], DISTRIBUTIONS.items(), strict=False):
        for label, group, colour in ink:
            low, middle, high = np.percentile(group["distributions"][name], (25, 50, 75), axis=0)
            axis.plot((edges[1:] + edges[:-1]) / 2, middle, color=colour, label=label)
            axis.fill_between((edges[1:] + edges[:-1]) / 2, low, high, color=colour, alpha=0.25, lw=0)
        axis.set_title(f"{name}, density", fontsize=8)
        axis.set_ylim(bottom=0)
    for axis, name in zip(flat[first:], SHOWN, strict=False):
        groups = [g["statistics"][name][np.isfinite(g["statistics"][name])] for _, g, _ in ink]
        boxes = axis.boxplot(groups, whis=(10, 90), showfliers=False, patch_artist=True, widths=0.6)
        for box, (_, _, colour) in zip(boxes["boxes"], ink, strict=True):
            box.set(facecolor=colour, alpha=0.45)
        for line in boxes["medians"]:
            line.set(color="black")
        axis.set_xticks((1, 2), [label for label, _, _ in ink], fontsize=7)
        axis.set_title(name, fontsize=8)
        axis.set_ylim(bottom=min(0.0, *(float(np.percentile(g, 5)) for g in groups)))
    for axis in flat:
        axis.tick_params(labelsize=7)
    for axis in flat[first + len(SHOWN) :]:
        axis.set_visible(False)
    fig.suptitle(
        f"{real['people']} people ({real['minutes']:.0f} min of video) and {puppets['people']} puppets"
        f" ({puppets['minutes']:.0f} min); boxes: quartiles, whiskers: 10-90 %",
        fontsize=9,
    )
    fig.savefig(path, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, help="clip records of real people")
    parser.add_argument("--people", type=int, default=40, help="puppets (default: 40)")
    parser.add_argument("--clips", type=int, default=4, help="clips of each (default: 4)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file to write the table to")
    parser.add_argument("--figure", type=Path, help="PNG to draw, with --real")
    args = parser.parse_args()
    puppets = of_people(puppet_tracks(args.people, args.clips, args.seed))
    real = of_people(real_tracks(args.real)) if args.real else None
    rows = table(puppets, real)
    show(rows)
    for label, group in (("puppets", puppets), ("real", real)):
        if group is not None:
            print(f"{label}: {group['people']} people, {group['clips']} clips, {group['minutes']:.1f} min")
            print("  noise floor:", ", ".join(f"{n} {v:.2g}" for n, v in group["noise"].items()))
    if real is not None:
        print(f"{sum(r['within'] for r in rows)} of {len(rows)} within")
    if args.json:
        groups = {"puppets": puppets} | ({"real": real} if real is not None else {})
        sizes = {n: {k: g[k] for k in ("people", "clips", "minutes", "noise")} for n, g in groups.items()}
        rounded = json.loads(json.dumps({"rows": rows, **sizes}), parse_float=lambda text: float(f"{float(text):.4g}"))
        args.json.write_text(json.dumps(rounded, indent=1) + "\n")
    if args.figure and real is not None:
        figure(args.figure, rows, puppets, real)


if __name__ == "__main__":
    main()
