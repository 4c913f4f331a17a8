"""Experiments on an auto-encoder with puppets, whose truth can be rendered: probes, leakage, controls, reenactment.

Each takes a Reenactor, the Judge and probe frames and returns a dict of numbers, lists and matrices fit for JSON. A
figure estimated by the judge comes with the judge's figure on true renders of the same motion ("truth") and with what
the model adds ("excess").
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from tqdm import tqdm

from data_pipelines.puppet.motion.face_motion import REST_POSE, Motion, redraw
from demo_jax.evaluation.judge.regressor import EXPRESSION_NAMES, Judge, Readings, nearest
from demo_jax.evaluation.metrics import control, disentanglement
from demo_jax.evaluation.metrics.images import psnr, ssim
from demo_jax.evaluation.puppets import Probes, Puppets, join, take
from demo_jax.evaluation.reenactor import Reenactor, swapped
from demo_jax.factors import (
    ARKIT_INDEX,
    CALIBRATED_NAMES,
    CALIBRATED_SCALE,
    FACTOR_OF,
    FACTORS,
    GAZE_NAMES,
    POSE_NAMES,
    columns_of,
)

Result = dict[str, Any]

CALIBRATED_OF = {"lip": slice(0, 3), "pose": slice(3, 9), "gaze": slice(9, 13)}  # within the 13
NEAR = 1e-3  # an expression of smaller standard deviation is not measured

# Control -> (values of its grid, tolerance). Lips and openings are set through expressions, whose measured values
# differ between people.
GRIDS: dict[str, tuple[np.ndarray, float]] = {
    "yaw": (np.linspace(-25, 25, 11), 1.0),
    "pitch": (np.linspace(-15, 15, 7), 1.0),
    "roll": (np.linspace(-15, 15, 7), 1.0),
    "x": (np.linspace(-0.06, 0.06, 5), 0.01),
    "y": (np.linspace(-0.06, 0.06, 5), 0.01),
    "z": (np.linspace(0.6, 0.9, 5), 0.03),
    "gaze_yaw": (np.linspace(-20, 20, 9), 3.0),
    "gaze_pitch": (np.linspace(-15, 15, 7), 3.0),
    "open_left": (np.linspace(1, 0, 6), 0.15),
    "open_right": (np.linspace(1, 0, 6), 0.15),
    "aperture": (np.linspace(0, 0.8, 6), 0.05),
    "width": (np.linspace(-1, 1, 7), 0.05),
    "pucker": (np.linspace(0, 1, 6), 0.15),
}


def factor_truths(probes: Probes) -> dict[str, np.ndarray]:
    """Returns the truth of each factor by frame: calibrated coordinates, expressions for the residual; and identity."""
    truths = {name: probes.calibrated[:, part] for name, part in CALIBRATED_OF.items()}
    residual = probes.motion.expression[:, columns_of("residual")]
    return {**truths, "residual": residual[:, residual.std(0) > NEAR], "identity": probes.shape}


def readable_residual(judge: Judge) -> np.ndarray:
    """Returns the indices into EXPRESSION_NAMES of the residual's expressions that the judge can read."""
    return np.array([i for i in judge.readable() if FACTOR_OF[EXPRESSION_NAMES[i]] == "residual"], np.int64)


def factor_readings(read: Readings, residual: np.ndarray) -> dict[str, np.ndarray]:
    """Returns what the judge read of each factor; `residual` are indices into EXPRESSION_NAMES."""
    return {n: read.calibrated[:, part] for n, part in CALIBRATED_OF.items()} | {
        "residual": read.expression[:, residual]
    }


def probe(reenactor: Reenactor, probes: Probes) -> Result:
    """Returns how well each block of the code alone predicts each factor, as ridge R2 on people it was not fitted to.

    "truth" is the same for the true factors themselves, which are related: a smile widens the mouth. The identity row
    is the person's shape. "ceiling" is what a block of its size can predict of its own factor: ten coordinates cannot
    represent 17 expressions.
    """
    codes, truths = reenactor.encode(probes.images), factor_truths(probes)
    rows = reenactor.blocks(codes) | {"identity": probes.shape}
    perfect = {
        "lip": np.concatenate([truths["lip"], probes.motion.expression[:, columns_of("lip")]], 1),
        "pose": truths["pose"],
        "gaze": np.concatenate([truths["gaze"], probes.motion.expression[:, columns_of("gaze")]], 1),
        "residual": truths["residual"],
        "identity": probes.shape,
    }
    perfect = {name: perfect[name] for name in rows}
    model, truth = (disentanglement.probe_matrix(x, truths, probes.speaker) for x in (rows, perfect))
    own = np.array([[row == column for column in truths] for row in rows])
    return {
        "rows": list(rows),
        "columns": list(truths),
        "model": model,
        "truth": truth,
        "excess": np.where(own, model, np.maximum(model - truth, 0)),
        "ceiling": {n: disentanglement.rank_ceiling(truths[n], rows[n].shape[1]) for n in reenactor.blocks(codes)},
        "frames": len(codes),
        "people": len(probes.speakers),
        "independent_frames": probes.independent,
    }


def code_statistics(reenactor: Reenactor, probes: Probes) -> Result:
    """Returns cross-covariance, CKA and the paper's distances between the blocks of the probe frames' codes."""
    codes = reenactor.encode(probes.images)
    blocks = reenactor.blocks(codes)
    distance, cosine = disentanglement.paper_distances(reenactor.latents(codes - codes.mean(0)))
    return {
        "rows": list(blocks),
        "columns": list(blocks),
        "cross_covariance": disentanglement.cross_covariance(blocks),
        "cka": disentanglement.cka_matrix(blocks),
        "l2": distance,
        "cosine": cosine,
        "frames": len(codes),
    }


def leakage(reenactor: Reenactor, judge: Judge, puppets: Puppets, probes: Probes, seed: int, each: int = 8) -> Result:
    """Returns the leakage [factor swapped, factor measured], in standard deviations of the probe frames.

    One factor of a motion is swapped; of the code, its block alone is taken from the factor-swapped render. The entry
    is the change of each factor that the judge reads from the output, over the requested change.
    """
    generator = np.random.default_rng([seed, 12])
    residual = readable_residual(judge)
    truths = factor_truths(probes)
    names = [f for f in FACTORS if reenactor.layout.slices[f].stop > reenactor.layout.slices[f].start]
    columns = np.array([ARKIT_INDEX[EXPRESSION_NAMES[i]] for i in residual], np.int64)
    truths["residual"] = probes.motion.expression[:, columns]
    scale = {f: truths[f].std(0) for f in names}
    requested: dict[str, list] = {f: [] for f in names}
    found: dict[str, dict[tuple[str, str], list]] = {kind: {} for kind in ("model", "truth")}
    for speaker in tqdm(probes.speakers, desc="leakage", unit="person"):
        rows = probes.of(speaker)
        base = take(probes.motion, generator.choice(rows, each))
        other = take(probes.motion, generator.choice(len(probes.speaker), each))
        source = reenactor.source(probes.images[rows[0]])
        motions = {"base": base} | {f: redraw(base, other, f) for f in names}
        true = {k: puppets.render(speaker, m) for k, m in motions.items()}
        codes = {k: reenactor.encode(p) for k, p in true.items()}
        made = {"base": reenactor.decode(source, codes["base"])}
        made |= {
            f: reenactor.decode(source, swapped(codes["base"], codes[f], reenactor.layout.slices[f])) for f in names
        }
        known = {k: _truth(puppets.calibrated(speaker, m), m, columns) for k, m in motions.items()}
        for kind, images in (("model", made), ("truth", true)):
            read = {k: factor_readings(judge.read(p), residual) for k, p in images.items()}
            for i, j in itertools.product(names, names):
                change = disentanglement.response(read[i][j], read["base"][j], scale[j])
                found[kind].setdefault((i, j), []).append(change)
        for f in names:
            requested[f].append(disentanglement.response(known[f][f], known["base"][f], scale[f]))
    names = [f for f in names if np.concatenate(requested[f]).size]  # residual: only if the judge reads any of it
    shifts = {f: np.concatenate(requested[f]) for f in names}
    model, truth = (
        disentanglement.leakage_matrix(
            {i: {j: np.concatenate(found[kind][i, j]) for j in names} for i in names}, shifts
        )
        for kind in ("model", "truth")
    )
    return {
        "rows": names,
        "columns": names,
        "model": model,
        "truth": truth,
        "excess": disentanglement.excess_leakage(model, truth),
        "pairs": each * len(probes.speakers),
        "people": len(probes.speakers),
        "residual_read": [EXPRESSION_NAMES[i] for i in residual],
    }


def _truth(calibrated: np.ndarray, motion: Motion, columns: np.ndarray) -> dict[str, np.ndarray]:
    return {n: calibrated[:, part] for n, part in CALIBRATED_OF.items()} | {"residual": motion.expression[:, columns]}


def neutral(frames: int) -> Motion:
    """Returns the motion of a head at rest that looks into the camera."""
    return Motion(
        pose=np.tile(REST_POSE, (frames, 1)).astype(np.float32),
        eyes=np.zeros((frames, 3), np.float32),
        expression=np.zeros((frames, len(ARKIT_INDEX)), np.float32),
    )


def control_motion(name: str) -> Motion:
    """Returns the true motion behind a control's grid, with everything else at rest."""
    grid, _ = GRIDS[name]
    motion = neutral(len(grid))
    if name in POSE_NAMES:
        motion.pose[:, POSE_NAMES.index(name)] = grid
    elif name.startswith("gaze"):
        motion.eyes[:, GAZE_NAMES.index(name)] = grid
    elif name.startswith("open"):
        motion.expression[:, ARKIT_INDEX[f"eyeBlink{name.removeprefix('open_').title()}"]] = grid
    elif name == "aperture":
        motion.expression[:, ARKIT_INDEX["jawOpen"]] = grid
    elif name == "width":  # stretched or rounded
        for side in ("Left", "Right"):
            motion.expression[:, ARKIT_INDEX[f"mouthStretch{side}"]] = np.maximum(grid, 0)
        motion.expression[:, ARKIT_INDEX["mouthPucker"]] = np.maximum(-grid, 0)
    else:
        motion.expression[:, ARKIT_INDEX["mouthPucker"]] = grid
    return motion


def control_precision(reenactor: Reenactor, judge: Judge, puppets: Puppets, people: list[str]) -> Result:
    """Returns the precision of each calibrated coordinate, set to a grid of values on a resting portrait.

    The lips are set together (aperture, width and pucker of a possible mouth) and each is measured on its own grid. The
    side effect is the RMS change of other factors that the judge reads, in standard deviations per standard deviation
    of the control.
    """
    rows: dict[str, dict[str, list]] = {n: {"requested": [], "model": [], "truth": [], "side": []} for n in GRIDS}
    std = np.maximum(np.array(judge.config.calibrated_std), 1e-6)
    for speaker in tqdm(people, desc="control", unit="person"):
        portrait = puppets.render(speaker, neutral(1))[0]
        source = reenactor.source(portrait)
        motions = {name: control_motion(name) for name in GRIDS}
        everything = join(list(motions.values()))
        calibrated = puppets.calibrated(speaker, everything)
        codes = np.repeat(source[1], len(calibrated), 0)
        factor = np.concatenate([[_factor_of(n)] * len(m.pose) for n, m in motions.items()])
        control_of = np.concatenate([[CALIBRATED_NAMES.index(n)] * len(m.pose) for n, m in motions.items()])
        set_ = np.arange(13)[None] == control_of[:, None]
        lips = np.zeros(13, bool)
        lips[CALIBRATED_OF["lip"]] = True
        set_ |= (factor == "lip")[:, None] & lips[None]
        places = reenactor.layout.calibrated
        codes[:, places] = np.where(set_, calibrated / CALIBRATED_SCALE, codes[:, places])
        read = judge.read(reenactor.decode(source, codes)).calibrated
        true = judge.read(puppets.render(speaker, everything)).calibrated
        rest = judge.read(reenactor.decode(source, source[1])).calibrated
        start = 0
        for name, motion in motions.items():
            part, at = slice(start, start + motion.frames), CALIBRATED_NAMES.index(name)
            start = part.stop
            rows[name]["requested"].append(calibrated[part, at])
            rows[name]["model"].append(read[part, at])
            rows[name]["truth"].append(true[part, at])
            others = np.array([_factor_of(n) != _factor_of(name) for n in CALIBRATED_NAMES])
            moved = disentanglement.rms(((read[part] - rest) / std)[:, others])
            rows[name]["side"].append(moved / max(float(calibrated[part, at].std()) / float(std[at]), 1e-6))
    return {name: _control_figures(name, values) for name, values in rows.items()}


def _control_figures(name: str, rows: dict[str, list]) -> Result:
    requested, model, truth = (np.array(rows[k]) for k in ("requested", "model", "truth"))
    order = np.argsort(requested.mean(0))
    requested, model, truth = requested[:, order], model[:, order], truth[:, order]
    tolerance = GRIDS[name][1]
    made, judged = control.precision(requested, model), control.precision(requested, truth)
    low, high = control.usable_range(requested.mean(0), np.abs(model - requested).mean(0), tolerance)
    return {
        "model": made,
        "truth": judged,
        "excess_mae": made["mae"] - judged["mae"],
        "gain_ratio": made["gain"] / judged["gain"] if abs(judged["gain"]) > 1e-6 else float("nan"),
        "tolerance": tolerance,
        "usable_low": low,
        "usable_high": high,
        "asked_low": float(requested.mean(0)[0]),
        "asked_high": float(requested.mean(0)[-1]),
        "side_effect": float(np.mean(rows["side"])),
        "curve": {"asked": requested.mean(0), "model": model.mean(0), "truth": truth.mean(0),
                  "model_std": model.std(0), "truth_std": truth.std(0)},
        "people": len(requested),
    }  # fmt: skip


def _factor_of(name: str) -> str:
    return next(f for f, part in CALIBRATED_OF.items() if name in CALIBRATED_NAMES[part])


def reenactment(
    reenactor: Reenactor, judge: Judge, puppets: Puppets, probes: Probes, seed: int, each: int = 6
) -> Result:
    """Returns how motion of the same person ("self") and of another ("cross") looks on a portrait, against true renders
    of the portrait's person with that motion.

    Identity (share of frames whose embedding is nearest to that person's, by reference frames not used otherwise),
    errors of pose, gaze and lips, PSNR and SSIM.
    """
    people = probes.speakers
    if len(people) < 2:
        return {"people": len(people), "skipped": "one person only"}
    shares = {s: probes.of(s) for s in people}
    known = [probes.images[rows[1 : 1 + max(1, len(rows) // 2)]] for rows in shares.values()]
    references = np.stack([judge.read(images).embedding.mean(0) for images in known])
    generator = np.random.default_rng([seed, 13])
    out: Result = {"people": len(people), "frames": each * len(people)}
    for case in ("self", "cross"):
        rows: dict[str, list] = {}
        for i, speaker in enumerate(tqdm(people, desc=f"{case} reenactment", unit="person")):
            driver = (
                people[i]
                if case == "self"
                else people[(i + 1 + int(generator.integers(len(people) - 1))) % len(people)]
            )
            late = shares[driver][1 + max(1, len(shares[driver]) // 2) :]
            chosen = generator.choice(late if len(late) else shares[driver], each)
            motion = take(probes.motion, chosen)
            made = reenactor.decode(
                reenactor.source(probes.images[shares[speaker][0]]), reenactor.encode(probes.images[chosen])
            )
            true = puppets.render(speaker, motion)
            expected = puppets.calibrated(speaker, motion)
            for kind, images in (("model", made), ("truth", true)):
                read = judge.read(images)
                rows.setdefault(f"{kind}/identity_percent", []).append(100 * (nearest(read.embedding, references) == i))
                for at, name in enumerate(CALIBRATED_NAMES):
                    rows.setdefault(f"{kind}/mae_{name}", []).append(np.abs(read.calibrated[:, at] - expected[:, at]))
            rows.setdefault("model/psnr", []).append([psnr(a, b) for a, b in zip(made, true, strict=True)])
            rows.setdefault("model/ssim", []).append([ssim(a, b) for a, b in zip(made, true, strict=True)])
        means = {name: float(np.mean(values)) for name, values in rows.items()}
        out[case] = {k: {n.split("/")[1]: v for n, v in means.items() if n.startswith(k)} for k in ("model", "truth")}
        out[case]["excess"] = {k: out[case]["model"][k] - v for k, v in out[case]["truth"].items()}
    return out


def jacobian_angles(reenactor: Reenactor, probes: Probes, portraits: int = 4) -> Result:
    """Returns the principal angles between the image changes that two blocks of the code cause: 90 degrees is no
    overlap."""
    names = [f for f in FACTORS if reenactor.layout.slices[f].stop > reenactor.layout.slices[f].start]
    smallest, mean = (np.zeros((portraits, len(names), len(names))) for _ in range(2))
    rows = np.linspace(0, len(probes.images) - 1, portraits).astype(int)
    for k, row in enumerate(tqdm(rows, desc="image Jacobians", unit="portrait")):
        jacobian = reenactor.jacobian(probes.images[row], reenactor.encode(probes.images[row : row + 1])[0])
        for (i, a), (j, b) in itertools.combinations(enumerate(names), 2):
            angles = disentanglement.principal_angles(
                jacobian[:, reenactor.layout.slices[a]], jacobian[:, reenactor.layout.slices[b]]
            )
            for store, value in ((smallest, angles.min(initial=90)), (mean, angles.mean() if angles.size else 90)):
                store[k, i, j] = store[k, j, i] = value
    return {
        "rows": names,
        "columns": names,
        "smallest": smallest.mean(0),
        "mean": mean.mean(0),
        "portraits": portraits,
    }
