"""Measured properties of the puppet corpus: python -m benchmarks.puppet_proof [--json OUT].

  closure    at the contact frame of every p, b and m of test clips, the measured lip aperture is that of a closed mouth
  probes     a linear probe, on held-out people: each viseme against all other phones; open against close vowels
             (aperture), rounded against spread ones (rounding). From lips [3] and their squares, from the lip
             factor's coefficients, and from the mouth's pixels
  landmarks  MediaPipe's landmarker finds the rendered head as a face, in frames of speech clips at 256 px

Everything uses the corpus's default seed; the probes are fitted on people and sentences of the train split and
scored on those of the test split. Takes about three minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from data_pipelines.puppet.corpus.build import person
from data_pipelines.puppet.corpus.clips import Take, speech_clip
from data_pipelines.puppet.corpus.plan import Parameters
from data_pipelines.puppet.motion.articulation import contact_frame
from data_pipelines.puppet.render.renderer import Renderer, measure
from demo_jax.faces.landmarker import FaceFinder
from demo_jax.factors import columns_of
from demo_jax.media.files import write_atomically

SEED = 0
CLOSED = 0.01  # of the eye span; an open [a] is about 0.3
MOUTH = (24, 16)  # pixels, width x height, of the probe's image of the mouth

BILABIAL = "pbm"
CONTRASTS = {  # first letters of the IPA symbols -> what they are distinguished from, "" for every other phone
    "bilabial": (BILABIAL, ""), "labiodental": ("fvʋɱ", ""), "open vowel": ("aɑæʌɐ", ""), "spread vowel": ("iɪeɛ", ""),
    "rounded": ("uʊoɔyøœʏw", ""), "sibilant": ("szʃʒɕʑʂʐ", ""), "open against close vowels": ("aɑæ", "iɪuʊyʏɨʉ"),
    "rounded against spread vowels": ("uʊoɔyøœʏ", "iɪeɛ"),
}  # fmt: skip


def takes(split: str, number: int) -> list[Take]:
    """The first speech clips of a split that have speech in them, with one person each as far as there are enough."""
    people = Parameters().people_in(split)
    clips = (speech_clip(SEED, split, index, people) for index in range(2 * number))
    return [take for take in clips if take.audio.phonemes][:number]


def closure(clips: list[Take], split: str) -> dict:
    contacts = []
    for take in clips:
        moves = take.motion
        lips = measure(person(SEED, split, take.person), moves.pose, moves.expression, moves.eyes, 64).lips
        for phone, (start, end) in zip(take.audio.phonemes, take.audio.times.tolist(), strict=True):
            if phone[0] in BILABIAL:
                contacts.append(lips[contact_frame(start, end, moves.frames), 0])
    return {"contacts": len(contacts), "closed": float(np.mean(np.array(contacts) < CLOSED)), "worst": max(contacts)}


def samples(clips: list[Take], split: str, size: int = 128) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The middle frames of all phones: features by name, each [N, .], and the phones' first letters [N]."""
    import cv2

    lips, coefficients, pixels, letters = [], [], [], []
    for take in clips:
        who, moves = person(SEED, split, take.person), take.motion
        phones = zip(take.audio.phonemes, take.audio.times.tolist(), strict=True)
        labels = {contact_frame(*span, moves.frames): phone[0] for phone, span in phones}
        frames = np.array(sorted(labels))
        part = (moves.pose[frames], moves.expression[frames], moves.eyes[frames])
        truth = measure(who, *part, size)
        for image, (x0, y0, x1, y1) in zip(Renderer(who, size).render(*part), truth.boxes[:, 0], strict=True):
            corners = np.array([[x0, y0], [x1, y0], [x0, y1]], np.float32)
            at = np.array([[0, 0], [MOUTH[0], 0], [0, MOUTH[1]]], np.float32)
            patch = cv2.warpAffine(image, cv2.getAffineTransform(corners, at), MOUTH, flags=cv2.INTER_AREA)
            patch = patch.astype(np.float64).mean(-1)
            pixels.append(((patch - patch.mean()) / (patch.std() + 1e-6)).ravel())
        lips.append(np.c_[truth.lips, truth.lips**2])
        coefficients.append(part[1][:, columns_of("lip")])
        letters += [labels[f] for f in frames]
    features = {"lips": np.concatenate(lips), "coefficients": np.concatenate(coefficients), "pixels": np.stack(pixels)}
    return features, np.array(letters)


def probe(train: np.ndarray, is_one: np.ndarray, test: np.ndarray, truth: np.ndarray) -> dict:
    """Ridge regression on the label, both classes weighing the same -> area under the ROC curve, balanced accuracy."""
    mean, scale = train.mean(0), train.std(0) + 1e-9
    a, b = (np.c_[(x - mean) / scale, np.ones(len(x))] for x in (train, test))
    weight = np.where(is_one, 0.5 / is_one.mean(), 0.5 / (1 - is_one.mean()))[:, None]
    ridge = 1e-2 * len(a) * np.eye(a.shape[1])
    fit = np.linalg.solve(a.T @ (weight * a) + ridge, a.T @ (weight[:, 0] * np.where(is_one, 1.0, -1.0)))
    score = b @ fit
    rank = score.argsort().argsort() + 1.0
    ones, zeros = truth.sum(), (~truth).sum()
    area = (rank[truth].sum() - ones * (ones + 1) / 2) / (ones * zeros)
    accuracy = ((score[truth] > 0).mean() + (score[~truth] <= 0).mean()) / 2
    return {"auc": float(area), "balanced_accuracy": float(accuracy), "count": int(ones)}


def probes(train: list[Take], test: list[Take]) -> dict:
    (features, letters), (features_, letters_) = samples(train, "train"), samples(test, "test")

    def scores(ones: str, zeros: str) -> dict:
        def sides(of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            is_one = np.isin(of, list(ones))
            return is_one, is_one | np.isin(of, list(zeros)) if zeros else np.ones(len(of), bool)

        (one, used), (one_, used_) = sides(letters), sides(letters_)
        return {name: probe(x[used], one[used], features_[name][used_], one_[used_]) for name, x in features.items()}

    return {name: scores(*contrast) for name, contrast in CONTRASTS.items()}


def landmarker(clips: list[Take], split: str, each: int, size: int = 256) -> dict:
    found, expected = 0, 0
    missed: dict[str, int] = {}
    with FaceFinder() as finder:
        for take in clips:
            who, moves = person(SEED, split, take.person), take.motion
            frames = np.linspace(0, moves.frames - 1, each).astype(int)
            for image in Renderer(who, size).render(moves.pose[frames], moves.expression[frames], moves.eyes[frames]):
                hit = len(finder(image)) > 0
                found, expected = found + hit, expected + 1
                missed[str(take.person)] = missed.get(str(take.person), 0) + (not hit)
    people = {name: count for name, count in missed.items() if count}
    return {"frames": expected, "people": len(missed), "found": found / expected, "missed_by_person": people}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=50, help="test clips; the probes are fitted on twice as many")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args()
    test = takes("test", args.clips)
    result: dict = {"seed": SEED, "test_clips": len(test)}
    for name, figures in (
        ("closure", lambda: closure(test, "test")),
        ("probes", lambda: probes(takes("train", 2 * args.clips), test)),
        ("landmarker_256px", lambda: landmarker(test, "test", each=10)),
    ):
        result[name] = figures()
        sys.stdout.write(f"{name}: {json.dumps(result[name], indent=1, default=float)}\n")
        sys.stdout.flush()
    if args.json:
        write_atomically(args.json, (json.dumps(result, indent=1, default=float) + "\n").encode())


if __name__ == "__main__":
    main()
