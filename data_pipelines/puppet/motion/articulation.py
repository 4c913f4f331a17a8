"""Phonemes -> lip curves: which of the 52 ARKit coefficients the mouth shows at every frame.

A dominance model in the manner of Cohen and Massaro (1993): every letter has a target for jaw, lips and rounding and a
dominance weight for each (a [t] has little weight on rounding and takes its neighbours', a [u] has much). The curve is
the weighted mean of the targets under a moving window, which gives anticipation and carry-over. The window is wider for
rounding and spreading, which begin early, than for the jaw. Gates, which neighbours cannot weaken, are applied on top:
bilabials seal the lips and labiodentals tuck the lower lip under the teeth, each during at least one frame centre,
however short the phone.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from data_pipelines.puppet.motion.noise import bumps, factor_about_one, smooth_noise
from data_pipelines.puppet.speech.phones import (
    BILABIAL,
    CHANNELS,
    LABIODENTAL,
    REST,
    SOFT,
    STOPS,
    VOWELS,
    Segment,
    segments,
    target,
)
from data_pipelines.puppet.speech.prosody import frame_centres
from demo_jax.constants import FPS
from demo_jax.factors import ARKIT_INDEX, ARKIT_NAMES

ARTICULATION_VERSION = "2"

_RATE = 200  # grid of the curves, Hz
_APPROACH, _RELEASE = 0.085, 0.065  # seconds in which a closure is approached and released
_LIPS_BLUR = 1.55  # of the lips' window over the jaw's
_BREATH = 0.25  # seconds; shorter gaps between phones have no breath


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArticulationStyle:
    """The articulation style of one person. The defaults are a careful speaker.

    effort     1 is ordinary speech, 0.6 mumbling, 1.4 loud
    jaw        how much of the opening the jaw makes rather than the lips; 1 is usual, 0.7 a stiff jaw
    rounding   how far [u], [o], [ʃ] push the lips forward; 1 is usual
    spread     how far [i], [e], [s] draw the corners apart; 1 is usual
    upper      activity of the upper lip; 1 is usual
    blur       standard deviation of the moving window, seconds: small is crisp
    asymmetry  -1 to 1: how much stronger the left side of the lips is than the right
    parted     jawOpen of the resting lips
    breath     depth of the breaths taken before phrases; 0 hides them
    """

    effort: float = 1.0
    jaw: float = 1.0
    rounding: float = 1.0
    spread: float = 1.0
    upper: float = 1.0
    blur: float = 0.045
    asymmetry: float = 0.0
    parted: float = 0.0
    breath: float = 0.0


def random_articulation_style(rng: np.random.Generator) -> ArticulationStyle:
    """Samples the articulation style of a person."""

    about_one = functools.partial(factor_about_one, rng)
    return ArticulationStyle(
        effort=about_one(0.14),
        jaw=about_one(0.15),
        rounding=about_one(0.18),
        spread=about_one(0.25),
        upper=about_one(0.35),
        blur=0.047 * about_one(0.12),
        asymmetry=float(np.clip(rng.normal(0, 0.35), -1, 1)),
        parted=float(max(0.0, rng.normal(0.0, 0.035))),
        breath=float(rng.uniform(0.3, 1.2)),
    )


def vary(rng: np.random.Generator, style: ArticulationStyle, effort: float = 1.0) -> ArticulationStyle:
    """Returns the person's style in one utterance, slightly varied; `effort`: the emotion's factor."""
    return dataclasses.replace(
        style,
        effort=style.effort * effort * float(rng.uniform(0.9, 1.1)),
        rounding=style.rounding * float(rng.uniform(0.92, 1.08)),
        spread=style.spread * float(rng.uniform(0.9, 1.1)),
        blur=style.blur * float(rng.uniform(0.94, 1.06)),
    )


def contact_frame(start: float, end: float, frames: int) -> int:
    """Returns the frame whose centre is nearest to the middle of the phone, where a closure must be complete."""
    return int(np.clip(round((start + end) / 2 * FPS - 0.5), 0, frames - 1))


def _gate(time: np.ndarray, spans: list[tuple[float, float, float]]) -> np.ndarray:
    """Returns [G]: `strength` inside each (start, end, strength) span, falling smoothly to 0 around it."""
    gate = np.zeros(len(time))
    for start, end, strength in spans:
        outside = np.clip(np.maximum((start - time) / _APPROACH, (time - end) / _RELEASE), 0, 1)
        gate = np.maximum(gate, strength * 0.5 * (1 + np.cos(np.pi * outside)))
    return gate


def _contacts(spoken: list[Segment], times: np.ndarray, frames: int) -> tuple[list, list]:
    """Returns the spans (start, end, strength) in which the lips are sealed and in which the lower lip is tucked.

    Each span contains the contact frame of its phoneme.
    """
    closures: list[tuple[float, float, float]] = []
    tucks: list[tuple[float, float, float]] = []
    for i, s in enumerate(spoken):
        seals = s.letter in BILABIAL or s.letter in ("β", "ɸ")
        if not seals and s.letter not in LABIODENTAL and s.letter != "ʋ":
            continue
        first = seals or s.start <= times[s.index][0] + 1e-6  # the [f] of [pf] leaves the middle to the [p]
        span = times[s.index] if first else (s.start, s.end)
        centre = (contact_frame(float(span[0]), float(span[1]), frames) + 0.5) / FPS
        # The lips of a stop part with its burst, before the next phone; those of an [m] at its end.
        again = i + 1 < len(spoken) and spoken[i + 1].letter in BILABIAL
        release = min(0.4 * (s.end - s.start), 0.045) if s.letter in STOPS and not again else 0.0
        span = (min(s.start, centre), max(s.end - release, centre), SOFT.get(s.letter, 1.0))
        (closures if seals else tucks).append(span)
    return closures, tucks


def lip_curves(
    phonemes: tuple[str, ...],
    times: np.ndarray,
    frames: int,
    *,
    stressed: np.ndarray | None = None,
    style: ArticulationStyle | None = None,
    language: str = "",
) -> np.ndarray:
    """Returns the lip curves of a mouth that speaks these phonemes.

    Args:
      phonemes, times: P IPA texts and [P, 2] seconds, as synthesise returns them.
      frames: T; frame i shows the instant (i + 1/2) / 25 s.
      stressed: [P] bool; stressed vowels open the jaw further.
      style: the person's; default a careful speaker.
      language: of the record, such as "fr"; some letters have other lip targets in some languages.
    Returns: [T, 52] float32, 0-1, zero outside the lip factor; in silence the resting lips of the style.
    """
    style = style or ArticulationStyle()
    # Outside the clip is silence: the window averages over resting lips there.
    margin = int(6 * style.blur * _RATE) + 1
    time = (np.arange(-margin, frames * _RATE // FPS + margin) + 0.5) / _RATE
    rest = np.array(REST)
    rest[0] = style.parted
    table = np.tile(rest, (len(time), 1))
    spoken = segments(phonemes, times, language)
    for start, end in _breaths(spoken, style):
        table[(time >= start) & (time < end)] = (0.16 * style.breath, 0.05, 0, 0.03, 0.14, 0.06, 0, 0.8, 0.8)
    closures, tucks = _contacts(spoken, np.asarray(times), frames)
    for i, s in enumerate(spoken):
        row = target(s.letter)
        if s.letter in VOWELS:
            loud = stressed is not None and bool(stressed[s.index])
            row[0] *= 1.15 if loud else 0.92
            row[1:4] *= 1.08 if loud else 0.95
            glide = i > 0 and spoken[i - 1].index == s.index and spoken[i - 1].letter in VOWELS
            if glide:  # the end of a diphthong is approached, not reached
                row = 0.8 * row + 0.2 * target(spoken[i - 1].letter)
        table[(time >= s.start) & (time < s.end)] = row
    curves = (
        _weighted(table[:, :1], table[:, 7:8], style.blur),
        _weighted(table[:, 1:7], table[:, 8:9], style.blur * _LIPS_BLUR),
    )
    centres = frame_centres(frames)
    values = [np.interp(centres, time, v) for v in np.concatenate(curves, 1).T]
    channel = dict(zip(CHANNELS, values, strict=True))
    # The grid is linear between its points; the gates are evaluated at the frames' own instants.
    return _coefficients(_styled(channel, style), _gate(centres, closures), _gate(centres, tucks), style)


def _weighted(values: np.ndarray, weights: np.ndarray, seconds: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter1d

    def blur(v: np.ndarray) -> np.ndarray:
        return gaussian_filter1d(v, seconds * _RATE, axis=0, mode="nearest")

    return blur(values * weights) / np.maximum(blur(weights), 1e-6)


def _breaths(spoken: list[Segment], style: ArticulationStyle) -> list[tuple[float, float]]:
    """Returns the spans (start, end) before phrases in which the lips part for a breath, if there is time."""
    if style.breath <= 0 or not spoken:
        return []
    before = [0.0, *(s.end for s in spoken[:-1])]
    gaps = [(a, s.start) for a, s in zip(before, spoken, strict=True) if s.start - a > _BREATH]
    return [(max(a + 0.06, b - 0.45), b - 0.05) for a, b in gaps]


def _styled(channel: dict[str, np.ndarray], style: ArticulationStyle) -> dict[str, np.ndarray]:
    lips = style.effort / np.sqrt(style.jaw)  # a stiff jaw is made up for by the lips
    gain = {
        "jaw": style.effort * style.jaw, "stretch": style.effort * style.spread, "pucker": style.rounding,
        "funnel": style.rounding, "lower": lips, "upper": lips * style.upper, "forward": style.effort,
    }  # fmt: skip
    return {name: value * gain[name] for name, value in channel.items()}


def _coefficients(
    channel: dict[str, np.ndarray], closed: np.ndarray, tuck: np.ndarray, style: ArticulationStyle
) -> np.ndarray:
    """Converts seven channels and two gates, each [T], to coefficients [T, 52]."""
    out = np.zeros((len(closed), len(ARKIT_NAMES)), np.float64)

    def put(name: str, value: np.ndarray) -> None:
        out[:, ARKIT_INDEX[name]] = value

    def put_both(name: str, value: np.ndarray) -> None:
        put(f"{name}Left", value * (1 + 0.15 * style.asymmetry))
        put(f"{name}Right", value * (1 - 0.15 * style.asymmetry))

    free = (1 - closed) * (1 - tuck)
    jaw = channel["jaw"] * (1 - 0.5 * closed)
    jaw = jaw * (1 - 0.6 * tuck)
    put("jawOpen", jaw)
    # mouthClose = jawOpen brings the lips together over the open jaw.
    put("mouthClose", jaw * np.maximum(closed, 0.85 * tuck))
    put("jawForward", 0.5 * channel["forward"] * free)
    put("mouthPucker", channel["pucker"] * (1 - 0.35 * closed) * (1 - 0.5 * tuck) + 0.05 * closed)
    put("mouthFunnel", channel["funnel"] * free)
    put("mouthRollLower", 0.65 * tuck * (1 - closed) + 0.18 * closed)
    put("mouthRollUpper", 0.15 * closed)
    put_both("mouthStretch", channel["stretch"] * (1 - 0.8 * closed))
    put_both("mouthLowerDown", channel["lower"] * free)
    put_both("mouthUpperUp", (channel["upper"] * (1 - tuck) + 0.18 * tuck) * (1 - closed))
    put_both("mouthPress", 0.35 * closed)
    return np.clip(out, 0, 1).astype(np.float32)


def idle_lips(rng: np.random.Generator, frames: int, style: ArticulationStyle | None = None) -> np.ndarray:
    """Returns the lips [T, 52] float32 of a silent person: they rest, part a little, press together, swallow."""
    style = style or ArticulationStyle()
    seconds = frames / FPS
    parted = np.clip(style.parted + 0.02 * smooth_noise(rng, frames, 1, 1.5)[:, 0], 0, 0.2)

    def events(every: float, least: float, most: float) -> np.ndarray:
        count = int(rng.poisson(seconds / every))
        width = rng.uniform(least, most, count)
        return np.clip(bumps(frames, rng.uniform(0, seconds, count), rng.uniform(0.5, 1.0, count), width), 0, 1)

    press, swallow, part = events(6.0, 0.15, 0.4), events(10.0, 0.15, 0.25), events(8.0, 0.2, 0.6)
    out = np.zeros((frames, len(ARKIT_NAMES)))
    still = (1 - press) * (1 - swallow)
    jaw = (parted + 0.08 * part) * still
    for name, value in {
        "jawOpen": jaw, "mouthLowerDownLeft": 0.3 * part * still, "mouthLowerDownRight": 0.3 * part * still,
        "mouthPressLeft": 0.6 * press * (1 + 0.2 * style.asymmetry), "mouthRollLower": 0.35 * press + 0.1 * swallow,
        "mouthPressRight": 0.6 * press * (1 - 0.2 * style.asymmetry), "mouthRollUpper": 0.3 * press,
        "mouthShrugLower": 0.45 * swallow, "mouthPucker": 0.1 * swallow,
    }.items():  # fmt: skip
        out[:, ARKIT_INDEX[name]] = value
    sideways = 0.06 * smooth_noise(rng, frames, 1, 1.2)[:, 0]
    out[:, ARKIT_INDEX["mouthLeft"]], out[:, ARKIT_INDEX["mouthRight"]] = np.clip([sideways, -sideways], 0, 1)
    return np.clip(out, 0, 1).astype(np.float32)
