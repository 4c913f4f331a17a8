"""Head, eyes, lids and emotions of the puppets: deterministic, within human limits, and with the named effects."""

from __future__ import annotations

import numpy as np
import pytest

from data_pipelines.puppet.corpus.clips import person_styles
from data_pipelines.puppet.motion import eyes as eye_motion
from data_pipelines.puppet.motion import face_motion
from data_pipelines.puppet.motion.articulation import (
    ArticulationStyle,
    contact_frame,
    idle_lips,
    lip_curves,
    random_articulation_style,
)
from data_pipelines.puppet.motion.emotion import EMOTION_TEMPO, FACES
from data_pipelines.puppet.motion.head_motion import POSE_LIMITS, neck_shift
from data_pipelines.puppet.motion.motion_style import MotionStyle, random_motion_style
from data_pipelines.puppet.person.head import puppet_head
from data_pipelines.puppet.person.identity import random_identity
from data_pipelines.puppet.render.renderer import deformed_heads, measure, neutral_head
from data_pipelines.puppet.speech.phones import BILABIAL, segments
from data_pipelines.puppet.speech.prosody import pitch, prosody
from data_pipelines.puppet.speech.sentences import VOICE_OF, languages, sentences
from data_pipelines.puppet.speech.synthesis import Speech, synthesise
from demo_jax.constants import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from demo_jax.factors import ARKIT_INDEX, ARKIT_NAMES, EMOTIONS, FACTOR_OF, columns_of

pytest.importorskip("espeakng_loader")

TEXT = "Peter bought my map, and Mom bobbed up on a boat. Then he left five vans by the pool, did he not?"


@pytest.fixture(scope="module")
def speech() -> Speech:
    return synthesise(TEXT, "en-us")


def _column(curves: np.ndarray, name: str) -> np.ndarray:
    return curves[:, ARKIT_INDEX[name]]


def _speak(speech: Speech, seed: int = 4, emotion: str = "neutral", **options) -> face_motion.Motion:
    frames = int(np.ceil(speech.seconds * FPS)) + 10
    lips = lip_curves(speech.phonemes, speech.times, frames, stressed=speech.stressed)
    audio = np.pad(speech.waveform, (0, frames * SAMPLES_PER_FRAME - len(speech.waveform)))
    return face_motion.speech_motion(
        np.random.default_rng(seed), lips, speech.times, speech.stressed, emotion, waveform=audio, **options
    )


def test_motion_is_a_pure_function_of_its_seed(speech):
    for draw in (_speak(speech), face_motion.idle_motion(np.random.default_rng(1), 90)):
        assert draw.pose.dtype == draw.eyes.dtype == draw.expression.dtype == np.float32
    for first, second in (
        (_speak(speech), _speak(speech)),
        (face_motion.idle_motion(np.random.default_rng(1), 90), face_motion.idle_motion(np.random.default_rng(1), 90)),
    ):
        for name in ("pose", "eyes", "expression"):
            assert getattr(first, name).tobytes() == getattr(second, name).tobytes()
    assert _speak(speech, 5).pose.tobytes() != _speak(speech).pose.tobytes()


def test_a_person_keeps_their_styles_and_people_differ():
    people = [person_styles(0, "train", n) for n in range(40)]
    assert people[3] == person_styles(0, "train", 3)
    assert len({style for style, _ in people}) == len({t for _, t in people}) == 40
    turns = np.array([t.turn for _, t in people])
    assert np.percentile(turns, 90) > 2.0 * np.percentile(turns, 10)
    assert all(60 <= t.distance <= 100 for _, t in people)


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("rate", [150, 280])
def test_every_bilabial_closes_in_every_language_and_style(language, rate):
    """Also those inside a phoneme, such as [pf], and with any person's way of speaking; so does the measured mouth,
    smiling or not."""
    rng = np.random.default_rng(rate)
    identity = random_identity(rng)
    contacts = 0
    for text in sentences(language, "train")[:4]:
        said = synthesise(text, VOICE_OF[language], rate)
        frames = int(np.ceil(said.seconds * FPS))
        lips = lip_curves(
            said.phonemes,
            said.times,
            frames,
            stressed=said.stressed,
            style=random_articulation_style(rng),
            language=language[:2],
        )
        at = [
            contact_frame(s.start, s.end, frames)
            for s in segments(said.phonemes, said.times, language[:2])
            if s.letter in BILABIAL and len(said.phonemes[s.index]) == 1
        ]
        at += [
            contact_frame(*t, frames) for p, t in zip(said.phonemes, said.times.tolist(), strict=True) if p[0] in "pbm"
        ]
        contacts += len(at)
        # To float32's last digit: mouthClose and jawOpen are each rounded.
        assert np.abs(_column(lips, "jawOpen") - _column(lips, "mouthClose"))[at].max() < 1e-6
        assert _column(lips, "mouthLowerDownLeft")[at].max() < 1e-6
        happy = lips.copy()
        for side in ("Left", "Right"):
            happy[:, ARKIT_INDEX[f"mouthSmile{side}"]] = 0.7
        for face in (lips, happy):
            pose = np.tile(face_motion.REST_POSE, (frames, 1))
            aperture = measure(identity, pose, face, np.zeros((frames, 3)), 64).lips[:, 0]
            assert aperture[at].max() < 0.005 < 0.1 < aperture.max()
    assert contacts >= 8


def test_phones_differ_in_opening_width_and_rounding():
    """Measured on the face, as a record holds them: [T, 3] aperture, width, pucker."""
    identity = random_identity(np.random.default_rng(3))
    phones = ("m", "f", "a", "i", "u", "s", "ʃ")

    def middle(phone: str) -> np.ndarray:
        between = lip_curves(("ə", phone, "ə"), np.array([[0.3, 0.4], [0.4, 0.52], [0.52, 0.62]]), 25)
        frame = contact_frame(0.4, 0.52, 25)
        row = between[frame : frame + 1]
        return measure(identity, face_motion.REST_POSE[None], row, np.zeros((1, 3)), 64).lips[0]

    m, f, a, i, u, s, sh = (middle(phone) for phone in phones)
    assert m[0] < 0.005 < f[0] < 0.05 < i[0] < 0.7 * a[0]
    assert f[0] < s[0] < a[0]
    assert u[1] < i[1] - 0.05 and u[2] > i[2] + 0.25
    assert sh[2] > s[2] + 0.15
    assert a[2] < 0.15 and s[1] > u[1] + 0.05


def test_diphthongs_glide_and_nasal_vowels_round():
    times = np.array([[0.4, 0.7]])
    ai = lip_curves(("aɪ",), times, 30)
    assert _column(ai, "jawOpen")[12] > 1.5 * _column(ai, "jawOpen")[16]
    plain, nasal = (lip_curves((v,), times, 30, language="fr")[14] for v in ("ɔ", "ɔ̃"))
    assert nasal[ARKIT_INDEX["mouthPucker"]] > plain[ARKIT_INDEX["mouthPucker"]] + 0.05
    # eSpeak NG writes the unrounded final vowel of Brazilian Portuguese as [y].
    front = lip_curves(("y",), times, 30, language="pt")[14]
    assert front[ARKIT_INDEX["mouthPucker"]] < 0.05 < _column(lip_curves(("y",), times, 30), "mouthPucker")[14]


def test_pitch_of_a_known_tone_and_of_none():
    seconds = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    for hertz in (90.0, 140.0, 260.0):
        tone = sum(np.sin(2 * np.pi * hertz * k * seconds) / k for k in range(1, 12))
        found = pitch((tone * 4000).astype(np.int16))[5:-5]
        # A period is a whole number of samples: 1.6 % of 260 Hz.
        np.testing.assert_allclose(found, hertz, rtol=0.02)
    noise = np.random.default_rng(0).normal(0, 2000, SAMPLE_RATE).astype(np.int16)
    assert np.isnan(pitch(noise)).mean() > 0.9
    assert np.isnan(pitch(np.zeros(SAMPLE_RATE, np.int16))).all()


def test_prosody_finds_phrases_and_the_higher_voice(speech):
    frames = int(np.ceil(speech.seconds * FPS))
    found = prosody(speech.waveform, speech.times, speech.stressed, frames)
    assert len(found.phrases) == 4  # two commas and two ends
    assert found.rising[-1] and not found.rising[1]  # "did he not?", "on a boat."
    assert len(found.accents) == speech.stressed.sum() and found.strength.std() > 0.1
    low, high = (np.nanmedian(pitch(synthesise("Many men mow lawns.", "en-us", pitch=p).waveform)) for p in (20, 80))
    assert high > 1.3 * low


def test_heads_nod_at_accents(speech):
    """Pitch (down) of the head, without its slow part: higher just at accents than elsewhere, over many draws."""
    from scipy.ndimage import gaussian_filter1d

    frames = _speak(speech).frames
    at = np.clip((speech.times[speech.stressed].mean(1) * FPS).astype(int), 0, frames - 1)
    near = np.zeros(frames, bool)
    near[at] = True
    gain = []
    for seed in range(25):
        nods = _speak(speech, seed, motion_style=MotionStyle(nod=1.2)).pose[:, 1]
        nods = nods - gaussian_filter1d(nods, 12)
        gain.append(nods[near].mean() - nods[~near].mean())
    assert np.mean(gain) > 0.3 and np.mean(np.array(gain) > 0) > 0.8  # degrees


def test_the_face_centre_follows_a_turn_of_the_neck():
    person = MotionStyle(neck=0.5, nape=0.1)
    roll, yaw, pitch_ = (
        neck_shift(np.array([row], np.float64), person)[0] for row in ([0, 0, 10], [10, 0, 0], [0, 10, 0])
    )
    assert roll[0] < -0.02  # roll > 0 takes the head's top, and so its middle, to image left
    assert yaw[0] > 0.005  # the nose and what is before the neck go to image right
    assert pitch_[1] < -0.005 and pitch_[2] < 0  # down, and nearer to the camera: larger
    assert not neck_shift(np.zeros((1, 3)), person).any()


def test_saccades_follow_the_main_sequence_and_land_on_their_target():
    # Bahill et al. (1975): peak speeds of about 200-300 deg/s at 5 degrees and 350-600 at 20. The profile is a
    # smoothstep, whose peak is 1.5 times its mean.
    peak = {a: 1.5 * a / eye_motion.saccade_seconds(a) for a in (5.0, 20.0)}
    assert 200 < peak[5.0] < 300 and 350 < peak[20.0] < 600
    rng, frames = np.random.default_rng(0), 100
    fixations = [
        eye_motion.Fixation(start=at, yaw=yaw, pitch=0.0, distance=d, away=d > 100)
        for at, yaw, d in ((0.0, 0.0, 80.0), (1.0, 15.0, 300.0), (2.0, -4.0, 80.0))
    ]
    pose = np.tile(face_motion.REST_POSE, (frames, 1)).astype(np.float64)
    eyes, saccades = eye_motion.gaze_track(rng, fixations, pose, MotionStyle())
    np.testing.assert_allclose(saccades, [[1.0, 15.0], [2.0, 19.0]], atol=1e-6)
    for frame, yaw in ((20, 0.0), (27, 15.0), (45, 15.0), (53, -4.0), (90, -4.0)):
        assert abs(eyes[frame, 0] - yaw) < 0.6  # drift and microsaccades
    assert eyes[20, 2] > 3.0 > eyes[47, 2] + 1.0  # far things are seen with parallel eyes
    assert (eyes[:, 2] > 0).all()


def test_vergence_turns_both_eyes_to_the_nose():
    assert 3.5 < eye_motion.vergence(100) < eye_motion.vergence(60) < 6.1
    identity, still = random_identity(np.random.default_rng(1)), np.zeros((2, 52))
    points = deformed_heads(neutral_head(identity), still, np.array([[0, 0, 0], [0, 0, 8.0]]))
    look = face_motion.eye_look(np.array([[0, 0, 8.0]]))
    for ball, outward, side in zip(puppet_head().eyeballs, (1, -1), ("Left", "Right"), strict=True):
        front = points[0, ball, 2].argmax()
        moved = points[1, ball][front] - points[0, ball][front]
        assert moved[0] * outward < -1e-3
        assert _column(look, f"eyeLookIn{side}")[0] > 0 == _column(look, f"eyeLookOut{side}")[0]


def test_eyes_turn_against_the_head_while_they_rest():
    frames = 100
    pose = np.tile(face_motion.REST_POSE, (frames, 1)).astype(np.float64)
    pose[:, 0] = np.linspace(-15, 15, frames)
    pose[:, 2] = 8.0
    fixations = [eye_motion.Fixation(start=0.0, yaw=0.0, pitch=0.0, distance=80.0, away=False)]
    eyes, _ = eye_motion.gaze_track(np.random.default_rng(0), fixations, pose, MotionStyle(vor_gain=1.0))
    slope = np.polyfit(pose[:, 0], eyes[:, 0], 1)[0]
    assert -1.05 < slope < -0.9
    # What the eyes do in the head takes them back to the camera, whatever the roll.
    from demo_jax.factors import rotation_matrix

    turn = rotation_matrix(*pose[:, :3].T)
    ahead = turn @ rotation_matrix(eyes[:, 0], eyes[:, 1], np.zeros(frames))[:, :, 2:]
    assert np.rad2deg(np.arccos(ahead[:, 2, 0])).max() < 1.0


def test_gaze_and_eye_look_agree():
    eyes = np.array([[12.0, -9.0, 3.0], [-15.0, 6.0, 0.0], [0.0, 0.0, 8.0]])
    look = face_motion.eye_look(eyes)
    out_left, in_left, in_right, out_right, up, down = (
        _column(look, f"eyeLook{n}") for n in ("OutLeft", "InLeft", "InRight", "OutRight", "UpLeft", "DownRight")
    )
    # Yaw > 0 is image right, the person's left.
    np.testing.assert_allclose((out_left - in_left) * face_motion.LOOK_FULL[0], eyes[:, 0] - eyes[:, 2] / 2, atol=1e-5)
    np.testing.assert_allclose(
        (in_right - out_right) * face_motion.LOOK_FULL[0], eyes[:, 0] + eyes[:, 2] / 2, atol=1e-5
    )
    np.testing.assert_allclose((down - up) * face_motion.LOOK_FULL[1], eyes[:, 1], atol=1e-5)


@pytest.mark.parametrize("emotion", EMOTIONS[1:])
def test_speech_motion_is_plausible(speech, emotion):
    moves = _speak(speech, emotion=emotion, motion_style=random_motion_style(np.random.default_rng(len(emotion))))
    assert moves.expression.min() >= 0 and moves.expression.max() <= 1
    lips = lip_curves(speech.phonemes, speech.times, moves.frames, stressed=speech.stressed)
    np.testing.assert_array_equal(moves.expression[:, columns_of("lip")], lips[:, columns_of("lip")])
    # People turn their heads by up to about 100 degrees a second when they talk, and do not jump.
    speed = np.abs(np.diff(moves.pose[:, :3], axis=0)) * FPS
    assert 1.0 < speed.max() < 150
    assert np.abs(np.diff(moves.pose[:, 3:], axis=0)).max() < 0.03
    # Between saccades the gaze rests: most frames move by less than a degree.
    assert np.median(np.abs(np.diff(moves.eyes, axis=0)).max(1)) < 1.0
    assert np.abs(moves.eyes[:, :2]).max(0)[0] <= eye_motion.GAZE_LIMITS[0] + 1e-4


@pytest.mark.parametrize("emotion", [e for e in FACES if e != "neutral"])
def test_an_emotion_has_the_named_effect(speech, emotion):
    shown, plain = (
        np.mean([_speak(speech, seed, name).expression.mean(0) for seed in range(6)], 0)
        for name in (emotion, "neutral")
    )
    for name, value in FACES[emotion].items():
        if value >= 0.3:
            both = [n for n in (name, f"{name}Left", f"{name}Right") if n in ARKIT_INDEX]
            assert all(shown[ARKIT_INDEX[n]] > plain[ARKIT_INDEX[n]] + 0.3 * value for n in both), name
    whole = _speak(speech, 3, emotion).expression
    strongest = max(FACES[emotion], key=lambda n: FACES[emotion][n])
    name = strongest if strongest in ARKIT_INDEX else f"{strongest}Left"
    assert np.ptp(_column(whole, name)) > 0.15  # it comes and goes


def test_emotions_change_the_tempo():
    assert tuple(EMOTION_TEMPO) == EMOTIONS[1:]
    assert EMOTION_TEMPO["sad"] < EMOTION_TEMPO["neutral"] == 1.0 < EMOTION_TEMPO["angry"]

    def speed(emotion: str) -> float:
        draws = [face_motion.idle_motion(np.random.default_rng(i), 150, emotion).pose[:, :3] for i in range(12)]
        return float(np.mean([np.abs(np.diff(d, axis=0)).mean() for d in draws]))

    assert speed("sad") < 0.75 * speed("neutral") < speed("angry")


def test_silent_people_move_within_limits():
    blinked, moved = 0, []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        moves = face_motion.idle_motion(
            rng, 200, style=random_articulation_style(rng), motion_style=random_motion_style(rng)
        )
        assert np.isfinite(moves.pose).all() and moves.frames == 200
        assert (np.abs(moves.pose - face_motion.REST_POSE).max(0) <= POSE_LIMITS + 8.0).all()  # and what the gaze adds
        assert moves.expression.min() >= 0 and moves.expression.max() <= 1
        assert _column(moves.expression, "jawOpen").max() < 0.25  # it does not speak
        blinked += (_column(moves.expression, "eyeBlinkLeft") > 0.8).any()
        moved.append(np.abs(np.diff(moves.pose[:, :3], axis=0)).mean() * FPS)
        assert np.ptp(_column(moves.expression, "browInnerUp")) > 0.02
        assert np.ptp(moves.eyes[:, 0]) > 2.0
    assert blinked >= 7 and 0.3 < np.median(moved) < 15
    lips = np.concatenate([idle_lips(np.random.default_rng(i), 200) for i in range(10)])
    assert _column(lips, "mouthPressLeft").max() > 0.2 and _column(lips, "mouthShrugLower").max() > 0.1
    outside = [i for i, n in enumerate(ARKIT_NAMES) if FACTOR_OF[n] != "lip"]
    assert not lips[:, outside].any()
    parted = lip_curves((), np.zeros((0, 2)), 20, style=ArticulationStyle(parted=0.05))
    np.testing.assert_allclose(_column(parted, "jawOpen"), 0.05, rtol=1e-3)


def test_blinks_are_as_frequent_and_short_as_in_people():
    lids = eye_motion.blinks(np.random.default_rng(0), 25 * 600)
    closed = lids > 0.5
    starts = np.flatnonzero(closed[1:] & ~closed[:-1])
    assert 13 < len(starts) / 10 < 23  # a minute
    lengths = [int(np.argmin(closed[s + 1 :])) / FPS for s in starts]
    assert 0.08 <= np.median(lengths) <= 0.2
    assert (lids[closed] > 0.9).any()
    intervals = np.diff(starts) / FPS
    assert 0.4 < intervals.std() / intervals.mean() < 1.2  # neither a clock nor bursts


def test_lids_close_faster_than_they_open():
    """One blink, sampled at many phases of the frames."""
    rise, fall = [], []
    for phase in np.linspace(0, 1 / FPS, 40, endpoint=False):
        lids = eye_motion.lids_closing(np.random.default_rng(3), 40, np.array([0.5 + phase]))
        bottom = int(lids.argmax())
        fall.append(np.clip(lids[:bottom], 0.05, None).size - np.flatnonzero(lids[: bottom + 1] > 0.05)[0])
        rise.append(np.flatnonzero(lids[bottom:] > 0.05)[-1])
    assert 1.3 * np.mean(fall) < np.mean(rise) < 8


def test_blinks_come_at_the_ends_of_phrases_and_with_large_saccades(speech):
    frames = int(np.ceil(speech.seconds * FPS))
    found = prosody(speech.waveform, speech.times, speech.stressed, frames)
    jumps = np.array([[1.0, 25.0]])
    times = [eye_motion.blink_times(np.random.default_rng(i), frames, 18.0, found, jumps) for i in range(300)]
    assert 15 < np.mean([len(t) for t in times]) / speech.seconds * 60 < 27
    ends = [e for _, e in found.phrases]
    near_end = np.mean([np.abs(t[:, None] - ends).min() < 0.2 for t in times if len(t)])
    assert near_end > 0.7
    assert np.mean([(np.abs(t - 1.0) < 0.1).any() for t in times]) > 0.3
    assert min(np.diff(t).min() for t in times if len(t) > 1) > 0.3


def test_wide_motion_covers_its_range_and_a_swap_changes_one_factor():
    lips = np.zeros((24, 52), np.float32)
    drawn = [face_motion.wide_motion(np.random.default_rng(i), lips) for i in range(200)]
    pose = np.concatenate([d.pose for d in drawn]) - face_motion.REST_POSE
    assert (np.abs(pose).max(0) <= face_motion.WIDE_POSE + 1e-5).all()
    # A uniform distribution over -a .. a has a standard deviation of 0.577 a; 200 walks of about 2 independent values.
    np.testing.assert_allclose(pose.std(0), 0.577 * face_motion.WIDE_POSE, rtol=0.12)
    base, other = (
        drawn[0],
        face_motion.wide_motion(np.random.default_rng(999), face_motion.random_lips(np.random.default_rng(1), 24)),
    )
    for factor in ("lip", "pose", "gaze", "residual"):
        new = face_motion.redraw(base, other, factor)
        assert np.array_equal(new.pose, base.pose) == (factor != "pose")
        assert np.array_equal(new.eyes, base.eyes) == (factor != "gaze")
        changed = {FACTOR_OF[ARKIT_NAMES[i]] for i in np.flatnonzero((new.expression != base.expression).any(0))}
        assert changed == (set() if factor == "pose" else {factor})
