"""Controls and motion tracks: their values in code space, round trips, and all errors."""

import numpy as np
import pytest

from demo_jax.errors import InputError
from demo_jax.factors import CALIBRATED_NAMES, CALIBRATED_SCALE, FACTORS, TRACK_COLUMNS, FactorLayout, rotation_matrix
from demo_jax.sampling.controls import BLINK, Controls, Drive, Setting, gaze_at_camera, resolve
from demo_jax.sampling.tracks import MotionTrack, read_codes, read_keyframes, read_track, write_track

LAYOUT = FactorLayout(lip=5, pose=6, gaze=5, residual=2)
PORTRAIT = np.linspace(-1, 1, LAYOUT.size, dtype=np.float32)
WHERE = dict(zip(CALIBRATED_NAMES, LAYOUT.calibrated, strict=True))
SCALE = dict(zip(CALIBRATED_NAMES, CALIBRATED_SCALE, strict=True))


def test_no_control_gives_nothing():
    given = resolve(Controls(), PORTRAIT, 4, LAYOUT)
    assert not given.mask.any() and not given.values.any() and (given.gain == 1).all()
    codes = np.random.default_rng(0).normal(size=(4, LAYOUT.size)).astype(np.float32)
    np.testing.assert_array_equal(given.finish(codes, PORTRAIT), codes)


@pytest.mark.parametrize("factor", FACTORS)
def test_hold_gives_the_whole_block_of_the_portrait(factor):
    given = resolve(Controls.parse(hold=factor), PORTRAIT, 3, LAYOUT)
    inside = np.zeros(LAYOUT.size, bool)
    inside[LAYOUT.slices[factor]] = True
    assert (given.mask == inside).all()
    np.testing.assert_array_equal(given.values, np.where(inside, PORTRAIT, 0)[None].repeat(3, 0))


def test_set_is_absolute_and_plus_is_relative_to_the_portrait():
    given = resolve(Controls.parse(set=["yaw=-12,open_left=0.25", "pitch=+3", "roll=+-4"]), PORTRAIT, 2, LAYOUT)
    wanted = {
        "yaw": -12 / 15,
        "open_left": 0.25 / 0.5,
        "pitch": PORTRAIT[WHERE["pitch"]] + 3 / 15,
        "roll": PORTRAIT[WHERE["roll"]] - 4 / 15,
    }
    assert given.mask.sum() == 2 * len(wanted)
    for name, value in wanted.items():
        assert given.mask[:, WHERE[name]].all()
        np.testing.assert_allclose(given.values[:, WHERE[name]], value, rtol=1e-6)  # float32


def test_set_takes_precedence_over_track_and_track_over_hold():
    track = MotionTrack(columns={"yaw": np.array([3.0, np.nan], np.float32), "pitch": np.ones(2, np.float32)}, start=1)
    controls = Controls(hold=("pose",), set={"pitch": Setting(value=6.0)}, track=track)
    values = resolve(controls, PORTRAIT, 4, LAYOUT).values
    yaw, pitch = WHERE["yaw"], WHERE["pitch"]
    np.testing.assert_allclose(values[:, yaw], [PORTRAIT[yaw], 3 / 15, PORTRAIT[yaw], PORTRAIT[yaw]], rtol=1e-6)
    np.testing.assert_allclose(values[:, pitch], 6 / 15, rtol=1e-6)


def test_gain_scales_generated_values_about_the_portrait_and_leaves_given_ones():
    controls = Controls.parse(gain=["pose=0.5", "lip=0"], set="yaw=30")
    given = resolve(controls, PORTRAIT, 3, LAYOUT)
    codes = np.random.default_rng(0).normal(size=(2, LAYOUT.size)).astype(np.float32)
    done = given.finish(codes, PORTRAIT)
    pose, lip, yaw = LAYOUT.slices["pose"], LAYOUT.slices["lip"], WHERE["yaw"]
    np.testing.assert_array_equal(done[:, yaw], np.float32(2.0))
    others = [k for k in range(pose.start, pose.stop) if k != yaw]
    np.testing.assert_allclose(done[:, others], ((codes + PORTRAIT) / 2)[:, others], atol=1e-6)  # float32
    np.testing.assert_array_equal(done[:, lip], PORTRAIT[lip][None].repeat(2, 0))
    rest = slice(LAYOUT.slices["gaze"].start, None)
    np.testing.assert_array_equal(done[:, rest], codes[:, rest])


def test_a_track_gives_its_frames_and_no_others():
    columns = {"+yaw": np.array([1, np.nan, 2, 3], np.float32), "aperture": np.full(4, 0.3, np.float32)}
    given = resolve(Controls(track=MotionTrack(columns=columns, start=2)), PORTRAIT, 5, LAYOUT)
    yaw, gap = WHERE["yaw"], WHERE["aperture"]
    np.testing.assert_array_equal(given.mask[:, yaw], [0, 0, 1, 0, 1])
    np.testing.assert_array_equal(given.mask[:, gap], [0, 0, 1, 1, 1])
    assert given.mask.sum() == 5
    np.testing.assert_allclose(given.values[[2, 4], yaw], PORTRAIT[yaw] + np.array([1, 2]) / SCALE["yaw"], rtol=1e-6)
    with pytest.raises(InputError, match=r"begins at 0.2 s, but the video is only 0.12 s"):
        Controls(track=MotionTrack(columns=columns, start=5)).check_length(3)


def test_keyframes_are_given_at_their_frames_and_take_precedence_over_a_track(tmp_path):
    path = tmp_path / "key.csv"
    path.write_text("time,yaw,+pitch\n0.1,15,\n0.21,,3\n")  # nearest frames: 2 (of 2.5, to even) and 5
    keyframes = read_keyframes(path)
    np.testing.assert_array_equal(keyframes.frames, [2, 5])
    track = MotionTrack(columns={"yaw": np.full(9, 3.0, np.float32)})
    given = resolve(Controls(keyframes=keyframes, track=track), PORTRAIT, 8, LAYOUT)
    np.testing.assert_allclose(given.values[:, WHERE["yaw"]], np.where(np.arange(8) == 2, 15, 3) / 15, rtol=1e-6)
    np.testing.assert_array_equal(given.mask[:, WHERE["pitch"]], np.arange(8) == 5)
    np.testing.assert_allclose(given.values[5, WHERE["pitch"]], PORTRAIT[WHERE["pitch"]] + 3 / 15, rtol=1e-6)


def test_a_driven_factor_follows_the_video_and_is_then_held_or_free():
    codes = np.random.default_rng(1).normal(size=(4, LAYOUT.size)).astype(np.float32)
    drives = {"lip": Drive(codes=codes), "pose": Drive(codes=codes, relative=True)}
    given = resolve(Controls(drive=drives, hold=("lip",), set={"yaw": Setting(value=3.0)}), PORTRAIT, 6, LAYOUT)
    lip, pose, yaw = LAYOUT.slices["lip"], LAYOUT.slices["pose"], WHERE["yaw"]
    np.testing.assert_array_equal(given.values[:, lip], np.concatenate([codes, PORTRAIT[None].repeat(2, 0)])[:, lip])
    others = [k for k in range(pose.start, pose.stop) if k != yaw]
    np.testing.assert_allclose(given.values[:4, others], (PORTRAIT + codes - codes[0])[:, others], rtol=1e-6)
    np.testing.assert_array_equal(given.mask[:, others], (np.arange(6) < 4)[:, None].repeat(5, 1))
    np.testing.assert_allclose(given.values[:, yaw], 3 / 15, rtol=1e-6)  # set counts before


def test_frames_of_a_driving_video_without_a_face_are_free_or_held():
    codes = np.random.default_rng(1).normal(size=(5, LAYOUT.size)).astype(np.float32)
    codes[[0, 3]] = np.nan
    drives = {"lip": Drive(codes=codes), "pose": Drive(codes=codes, relative=True)}
    given = resolve(Controls(drive=drives, hold=("lip",)), PORTRAIT, 6, LAYOUT)
    lip, pose, seen = LAYOUT.slices["lip"], LAYOUT.slices["pose"], [1, 2, 4]
    assert np.isfinite(given.values).all()
    np.testing.assert_array_equal(given.values[seen, lip], codes[seen, lip])
    np.testing.assert_array_equal(given.values[[0, 3, 5], lip], PORTRAIT[None, lip].repeat(3, 0))
    np.testing.assert_allclose(given.values[seen, pose], (PORTRAIT + codes[seen] - codes[1])[:, pose], rtol=1e-6)
    np.testing.assert_array_equal(given.mask[:, pose].all(1), np.isin(np.arange(6), seen))


def test_a_blink_closes_the_lids_whatever_they_are_set_to():
    controls = Controls.parse(blink="0.08", set="open_left=0.5")
    given = resolve(controls, PORTRAIT, 12, LAYOUT)
    during = np.arange(2, 2 + len(BLINK))
    left, right = (given.values[:, WHERE[f"open_{side}"]] for side in ("left", "right"))
    np.testing.assert_allclose(left[during], (1 - BLINK) * np.float32(0.5 / SCALE["open_left"]), atol=1e-6)
    np.testing.assert_allclose(right[during], (1 - BLINK) * PORTRAIT[WHERE["open_right"]], atol=1e-6)
    assert left[during].min() == 0 and (left[[0, 1, 9, 10, 11]] == left[0]).all()
    assert given.mask[:, WHERE["open_left"]].all() and given.mask[:, WHERE["open_right"]].sum() == len(BLINK)


def test_a_span_of_frames_is_resolved_as_in_the_whole():
    codes = np.random.default_rng(2).normal(size=(9, LAYOUT.size)).astype(np.float32)
    controls = Controls(
        hold=("residual",),
        drive={"gaze": Drive(codes=codes, relative=True)},
        track=MotionTrack(columns={"yaw": np.arange(6, dtype=np.float32)}, start=3),
        keyframes=MotionTrack(columns={"pitch": np.ones(2, np.float32)}, start=4, at=np.array([4, 8])),
        blink=(0.2,),
    )
    whole, part = (resolve(controls, PORTRAIT, n, LAYOUT, start) for n, start in ((14, 0), (7, 4)))
    np.testing.assert_array_equal(part.values, whole.values[4:11])
    np.testing.assert_array_equal(part.mask, whole.mask[4:11])


def test_eyes_that_look_at_the_camera_undo_the_head():
    pose = np.zeros((4, 6))
    pose[:, :3] = [(20, 0, 0), (0, 12, 0), (15, -10, 8), (80, 0, 0)]
    gaze = gaze_at_camera(pose)
    np.testing.assert_allclose(gaze[0], [-20, 0], atol=1e-9)
    np.testing.assert_allclose(gaze[1], [0, -12], atol=1e-9)
    looks = rotation_matrix(*pose[2, :3]) @ rotation_matrix(*gaze[2], 0.0) @ (0, 0, 1)
    np.testing.assert_allclose(looks, [0, 0, 1], atol=1e-9)  # towards the camera
    np.testing.assert_allclose(gaze[3], [-35, 0], atol=1e-9)  # as far as eyes turn


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        ({"blink": "9"}, "blink begins at 9 s, but the video is only 1 s long"),
        ({"keyframes": MotionTrack(columns={"yaw": np.ones(1)}, start=30, at=np.array([30]))}, "first keyframe begins"),
    ],
)
def test_controls_after_the_end_are_refused(controls, message):
    blink = controls.pop("blink", "")
    with pytest.raises(InputError, match=message):
        Controls(**controls, blink=Controls.parse(blink=blink).blink).check_length(25)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,yaw\n1,2\n1.01,3\n", "row 2 is less than a frame"),
        ("time,yaw\n2,2\n1,3\n", "row 2 is less than a frame"),
        ("time,yaw\n-1,2\n", "cannot start before 0"),
        ("time,jawOpen\n1,2\n", "no value that can be controlled"),
        ("time,yaw\n1e9,2\n", "seconds from the start"),
        ("time\n1\n", "no value that can be controlled"),
    ],
)
def test_bad_keyframes_are_refused(tmp_path, text, message):
    (tmp_path / "key.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_keyframes(tmp_path / "key.csv")


def test_codes_of_a_track_are_for_their_own_model_only(tmp_path):
    track = full_track()
    path = write_track(tmp_path / "t.npz", track)
    np.testing.assert_array_equal(read_codes(path, "abc"), track.codes)
    with pytest.raises(InputError, match="codes of another model"):
        read_codes(path, "abd")
    with pytest.raises(InputError, match="not a track with motion codes"):
        read_codes(write_track(tmp_path / "t.csv", track), "abc")


def full_track(frames=7):
    rng = np.random.default_rng(0)
    columns = {name: rng.normal(size=frames).astype(np.float32) for name in TRACK_COLUMNS[1:]}
    columns["pitch"][2] = columns["jawOpen"][3] = np.nan
    codes = rng.normal(size=(frames, LAYOUT.size)).astype(np.float32)
    return MotionTrack(columns=columns, start=3, codes=codes, fingerprint="abc")


def test_tracks_survive_npz_exactly_and_csv_to_six_digits(tmp_path):
    track = full_track()
    for suffix, tolerance in ((".npz", 0), (".csv", 1e-5)):
        again = read_track(write_track(tmp_path / f"t{suffix}", track))
        assert again.start == 3 and set(again.columns) == set(TRACK_COLUMNS[1:])
        for name, values in track.columns.items():
            np.testing.assert_allclose(again.columns[name], values, rtol=tolerance)  # NaN stays NaN
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.csv", "t.npz"]  # no temporary file is left
    with np.load(tmp_path / "t.npz") as file:
        np.testing.assert_array_equal(file["codes"], track.codes)
        assert str(file["fingerprint"]) == "abc"
    assert (tmp_path / "t.csv").read_text().splitlines()[0] == ",".join(TRACK_COLUMNS)


def test_a_handwritten_track_may_be_short_and_sparse(tmp_path):
    path = tmp_path / "nod.csv"
    path.write_text("\ufefftime, +pitch ,yaw\n0.04,1.5,\n0.08,,2\n\n", encoding="utf-8")
    track = read_track(path)
    assert track.start == 1 and track.length == 2
    np.testing.assert_array_equal(track.columns["+pitch"], np.array([1.5, np.nan], np.float32))
    np.testing.assert_array_equal(track.columns["yaw"], np.array([np.nan, 2], np.float32))


BAD_CSV = {
    "time,yaw\n0,1\n0.0333,2\n0.0667,3\n": r"not at 25 rows a second.*it has 29\.99 rows a second",
    "time,yaw\n0,1\n0.04,2\n0.12,3\n": "row 3 is at 0.12 s, where 0.08 s was due",
    "time,yaw\n0,1\n,2\n": "time is missing in row 2",
    "time,yaw\n-0.04,1\n0,2\n": "cannot start before 0",
    "yaw,pitch\n1,2\n": "no column time",
    "time,jaw\n0,1\n": "unknown column 'jaw'",
    "time,yaw,+yaw\n0,1,1\n": "both yaw and \\+yaw",
    "time,yaw,yaw\n0,1,1\n": "column yaw twice",
    "time,yaw\n0,left\n": "yaw in row 1 is 'left', not a number",
    "time,yaw\n0,inf\n": "yaw is infinite in row 1",
    "time,yaw\n0,1e308\n": "yaw is infinite in row 1",
    "time,yaw\n0,1,2\n": "row 1 has 3 cells, the heading 2",
    "time,yaw\n0,\n": "has no value that can be controlled",
    "time,jawOpen\n0,0.5\n": "has no value that can be controlled",
    "time,yaw\n": "no rows",
    "": "is empty",
}


@pytest.mark.parametrize(("text", "message"), BAD_CSV.items())
def test_bad_csv_tracks_are_refused(tmp_path, text, message):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_track(path)


def test_bad_npz_tracks_are_refused(tmp_path):
    path = tmp_path / "bad.npz"
    path.write_bytes(b"not a zip file")
    with pytest.raises(InputError, match="not an npz file"):
        read_track(path)
    time = np.arange(3) / 25
    for arrays, message in (
        ({"time": time, "yaw": np.zeros((3, 2))}, r"yaw is float64\[3, 2\]"),
        ({"time": time, "yaw": np.zeros(4)}, "differ in length"),
        ({"time": time, "yaw": np.array(["a", "b", "c"])}, "should be numbers"),
        ({"time": time, "pose": np.zeros(3)}, "unknown column 'pose'"),
    ):
        np.savez(path, **arrays)
        with pytest.raises(InputError, match=message):
            read_track(path)
    with pytest.raises(InputError, match="does not exist"):
        read_track(tmp_path / "none.csv")
    with pytest.raises(InputError, match=r"\.npz or \.csv"):
        read_track(tmp_path / "track.txt")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"hold": "head"}, "'head' is not a factor"),
        ({"gain": "pose"}, "not NAME=NUMBER"),
        ({"gain": "pose=fast"}, "'fast' is not a number"),
        ({"gain": "pose=-1"}, "between 0"),
        ({"gain": "pose=nan"}, "between 0"),
        ({"gain": "yaw=1"}, "'yaw' is not a factor"),
        ({"gain": "pose=1,pose=2"}, "pose is given twice"),
        ({"gain": "pose=0.5", "hold": "pose"}, "not both"),
        ({"set": "yaw"}, "not NAME=NUMBER"),
        ({"set": "yaw=400"}, "between -90 and 90 \\(degrees\\)"),
        ({"set": "yaw=nan"}, "between -90 and 90"),
        ({"set": "yaw=+200"}, "between -180 and 180"),
        ({"set": "yaw=++2"}, None),
        ({"set": "jawOpen=0.5"}, "cannot be set"),
        ({"blink": "soon"}, "'soon' is not a number"),
        ({"blink": "-1"}, "seconds from the start"),
        ({"camera": True, "set": "gaze_yaw=3"}, "cannot both look at the camera"),
    ],
)
def test_bad_values_are_refused(words, message):
    if message is None:  # float() takes one sign: a second + is only a longer way to write the same
        assert Controls.parse(**words).set["yaw"] == Setting(value=2.0, relative=True)
        return
    with pytest.raises(InputError, match=message):
        Controls.parse(**words)


def test_impossible_numbers_in_a_track_are_refused():
    with pytest.raises(InputError, match=r"track yaw=900: must lie between -90 and 90"):
        Controls(track=MotionTrack(columns={"yaw": np.array([0, np.nan, 900], np.float32)}))
