"""From video to clip records: geometry against a known face, a real portrait moved by known transforms, and every
reason for a rejection. Needs the `prepare` extra and scikit-image's photograph; nothing else."""

import csv
import functools
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from process_utils import dies_of_the_bad

from data_pipelines import prepare
from data_pipelines.extraction.video import find_scenes
from data_pipelines.loading.examples import decode_frame
from data_pipelines.records import splits
from data_pipelines.records.names import identity_of
from data_pipelines.records.schema import ClipRecord, read_clip
from demo_jax.constants import FPS, SAMPLE_RATE
from demo_jax.errors import InputError
from demo_jax.faces import measures
from demo_jax.faces.crop import cut, square_crop
from demo_jax.faces.driving import face_frames
from demo_jax.faces.landmarker import canonical_face, find_model
from demo_jax.faces.portrait import find_portrait
from demo_jax.faces.scan import Scan, find_cuts
from demo_jax.factors import ARKIT_INDEX, rotation_matrix
from demo_jax.media.video_writer import VideoWriter

cv2 = pytest.importorskip("cv2")
pytest.importorskip("mediapipe")
data = pytest.importorskip("skimage.data")

SIZE = 128
FRAMES = 40


@functools.cache
def astronaut() -> np.ndarray:
    """[256, 256, 3] head and shoulders."""
    return np.ascontiguousarray(data.astronaut()[:256, 96:352])


def moved(angle: float = 0.0, right: float = 0.0, down: float = 0.0, scale: float = 1.0) -> np.ndarray:
    """The astronaut turned counter-clockwise by `angle` degrees and enlarged about (128, 100), then shifted."""
    matrix = cv2.getRotationMatrix2D((128.0, 100.0), angle, scale)
    matrix[:, 2] += (right, down)
    return cv2.warpAffine(astronaut(), matrix, (256, 256), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def speech(frames: int) -> np.ndarray:
    """A buzz whose loudness changes: audio without speech."""
    t = np.arange(frames * SAMPLE_RATE // FPS) / SAMPLE_RATE
    return (np.sin(2 * np.pi * 150 * t) * (1 + np.sin(2 * np.pi * 3 * t)) * 6000).astype(np.int16)


def write_video(path: Path, frames: list[np.ndarray], audio: bool = True) -> Path:
    """Writes the frames as a video, with or without audio."""
    waveform = speech(len(frames)) if audio else None
    with VideoWriter(path, frames[0].shape[:2], waveform=waveform, synthetic=False) as video:
        for frame in frames:
            video.write(frame)
    return path


PHASE = 2 * np.pi * np.arange(FRAMES) / FRAMES
ROLL = 12 * np.sin(PHASE)
RIGHT, DOWN = 10 * np.sin(PHASE), 6 * np.cos(PHASE)
SCALE = 1 + 0.1 * (1 - np.cos(PHASE))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of good and bad videos, prepared once through the command."""
    root = tmp_path_factory.mktemp("prepare")
    videos = root / "videos"
    videos.mkdir()
    still = [astronaut()] * 30
    good = [moved(a, x, y, s) for a, x, y, s in zip(ROLL, RIGHT, DOWN, SCALE, strict=True)]
    write_video(videos / "mover_01.mp4", good)
    write_video(videos / "mute_01.mp4", still, audio=False)
    empty = np.tile(np.linspace(0, 255, 256, dtype=np.uint8)[:, None, None], (1, 256, 3))
    write_video(videos / "nobody_01.mp4", [empty] * 30)
    write_video(videos / "pair_01.mp4", [np.concatenate([astronaut(), astronaut()], 1)] * 30)
    write_video(videos / "shots_01.mp4", still + [empty] * 30 + [astronaut()] * 10)
    write_video(videos / "short_01.mp4", still[:10])
    (videos / "broken_01.mp4").write_text("not a video")
    whole = write_video(root / "whole.mp4", [moved(right=x) for x in RIGHT]).read_bytes()
    (videos / "cut_01.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    assert run(root) == 0
    return root


def run(root: Path, *more: str) -> int:
    return prepare.main(
        ["--videos", str(root / "videos"), "--out", str(root / "out"), "--split", "train", "--size", str(SIZE),
         "--workers", "2", "--licence", "public domain", "--consent", "NASA portrait", *more]
    )  # fmt: skip


def report(root: Path) -> dict[str, dict[str, str]]:
    with (root / "out" / "report.csv").open(newline="") as file:
        return {row["clip_id"]: row for row in csv.DictReader(file)}


def clips(root: Path, clip_id: str) -> list[ClipRecord]:
    return [read_clip(path) for path in sorted((root / "out/train/clips").glob(f"{clip_id}-*.npz"))]


def test_known_motion_is_recovered(prepared: Path) -> None:
    (record,) = clips(prepared, "mover_01")
    assert record.length == FRAMES and record.speaker_id == "mover"
    yaw, pitch, roll, x, y, z = record.pose.T
    # Roll > 0 leans the head's top to image left, which is counter-clockwise. 1.5 degrees: jitter of the landmarks and
    # the smoothing (sigma 1.5 frames takes 2 % off a sine of 40 frames).
    np.testing.assert_allclose(roll - roll.mean(), ROLL, atol=1.5)
    # The head does not turn otherwise; 3 degrees is the landmarks' coupling of roll into yaw and pitch.
    assert np.ptp(yaw) < 6 and np.ptp(pitch) < 6
    # Taken back through the crop and through the transforms, the face centre stays where it was. 0.015 crop widths are
    # 2 pixels of the record; the motion is 5 times that.
    at = np.stack([(x + 0.5) * SIZE, (0.5 - y) * SIZE, np.ones(FRAMES)])
    source = np.linalg.inv(record.crop.astype(np.float64)) @ at
    back = []
    for t in range(FRAMES):
        matrix = cv2.getRotationMatrix2D((128.0, 100.0), float(ROLL[t]), float(SCALE[t]))
        matrix[:, 2] += (RIGHT[t], DOWN[t])
        back.append(np.linalg.solve(matrix[:, :2], source[:2, t] - matrix[:, 2]))
    assert np.abs(back - np.mean(back, 0)).max() * record.crop[0, 0] / SIZE < 0.015
    # A face 20 % larger has a z smaller by log 1.2 = 0.18; 0.03 is 3 % of its width.
    np.testing.assert_allclose(z - z.mean(), np.mean(np.log(SCALE)) - np.log(SCALE), atol=0.03)
    assert abs(np.median(z) - np.log(2.1)) < 0.05  # the crop is 2.1 face widths


def test_the_record_is_complete(prepared: Path) -> None:
    (record,) = clips(prepared, "mover_01")
    assert np.isnan(record.expression[:, ARKIT_INDEX["tongueOut"]]).all()
    measured = np.delete(record.expression, ARKIT_INDEX["tongueOut"], axis=1)
    assert np.isfinite(measured).all()
    assert record.expression[:, ARKIT_INDEX["mouthSmileLeft"]].mean() > 0.3  # she smiles
    assert record.features["logmel"].shape == (FRAMES, 160)
    # The audio is the video's, in sync: AAC at 128 kb/s of a buzz is nearly transparent.
    assert np.corrcoef(record.waveform[3000:22_000], speech(FRAMES)[3000:22_000])[0, 1] > 0.98
    image = np.asarray(Image.open(io.BytesIO(record.frames[0])))
    assert image.shape == (SIZE, SIZE, 3)
    expected = cut(moved(ROLL[0], RIGHT[0], DOWN[0], SCALE[0]), record.crop, SIZE)
    assert np.abs(image.astype(int) - expected).mean() < 4  # h264 and JPEG; a shift of 2 pixels costs more than 8
    marks = record.landmarks[0]
    assert (marks > 0).all() and (marks < SIZE).all()
    assert marks[36, 0] < marks[45, 0] and marks[27, 1] < marks[8, 1]  # her right eye at image left; nose above chin
    (mouth, eyes) = record.boxes[0]
    assert mouth[1] > eyes[3] and (mouth[:2] < marks[48:68].min(0)).all() and (mouth[2:] > marks[48:68].max(0)).all()
    assert record.confidence.min() > 0.7
    assert np.abs(record.gaze[:, :2]).max() < 20 and record.gaze[:, 2:].min() > 0.6  # she looks at the lens, awake


@pytest.mark.parametrize(
    ("clip_id", "reason"),
    [
        ("mute_01", "no audio"),
        ("nobody_01", "no face"),
        ("pair_01", "several faces"),
        ("short_01", "too short"),
        ("broken_01", "cannot be read"),
        ("cut_01", "cut"),
    ],
)
def test_rejections_have_a_reason(prepared: Path, clip_id: str, reason: str) -> None:
    row = report(prepared)[clip_id]
    assert row["status"] == "rejected" and reason in row["reason"] and "\n" not in row["reason"]
    assert not clips(prepared, clip_id)


def test_a_video_is_split_at_its_cuts(prepared: Path) -> None:
    row = report(prepared)["shots_01"]
    assert row["status"] == "accepted" and row["pieces"] == "1"
    (record,) = clips(prepared, "shots_01")
    assert record.clip_id == "shots_01-s01" and record.length == 30
    assert "1.20-2.40 s: no face" in row["reason"] and "2.40-2.80 s: too short" in row["reason"]


def test_dataset_info_has_parameters_sources_and_datasheet(prepared: Path) -> None:
    info = json.loads((prepared / "out/train/dataset_info.json").read_text())
    assert info["datasheet"]["licence"] == "public domain" and info["datasheet"]["consent"] == "NASA portrait"
    assert set(info["datasheet"]["rejected"]) >= {"mute_01", "pair_01", "broken_01"}
    assert info["parameters"]["features"] == {"logmel": "1"} and len(info["sources"]["mover_01"]) == 64
    assert len(info["fingerprint"]) == 64
    assert not list((prepared / "out").glob(".unfinished*"))


def test_running_again_skips_what_is_done(prepared: Path) -> None:
    record = prepared / "out/train/clips/mover_01-0000.npz"
    before, info = record.stat().st_mtime_ns, (prepared / "out/train/dataset_info.json").read_text()
    lost = prepared / "out/train/clips/shots_01-s01-0000.npz"
    lost.unlink()
    assert run(prepared) == 0
    assert record.stat().st_mtime_ns == before and lost.is_file()
    assert (prepared / "out/train/dataset_info.json").read_text() == info


def test_portraits(prepared: Path) -> None:
    del prepared
    image = data.astronaut()
    portrait = find_portrait(image, SIZE)
    assert portrait.image.shape == (SIZE, SIZE, 3)
    (small_face,) = portrait.warnings
    assert "pixels wide" in small_face
    x, y, _ = portrait.crop @ (223, 110, 1)  # the bridge of her nose
    assert abs(x - SIZE / 2) < 8 and abs(y - SIZE / 2) < 12
    # Two faces far apart in a wide image, the right one larger.
    small = cv2.resize(image, (400, 400))
    pair = np.concatenate([np.pad(small, ((0, 112), (0, 0), (0, 0))), image], 1)
    both = find_portrait(pair, SIZE)
    assert len(both.warnings) == 2 and "2 faces" in both.warnings[0] and "largest" in both.warnings[0]
    assert abs((both.crop @ (223 + 400, 110, 1))[0] - SIZE / 2) < 8
    with pytest.raises(InputError, match="no face"):
        find_portrait(np.full((200, 200, 3), 90, np.uint8), SIZE)
    with pytest.raises(InputError, match="no face"):  # padded to a square it would crash MediaPipe
        find_portrait(np.full((20_000, 100, 3), 90, np.uint8), SIZE)


def test_without_the_extra_the_command_to_install_it_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(InputError, match=r"pip install 'demo_jax\[prepare\]'"):
        find_portrait(astronaut(), SIZE)
    (tmp_path / "m.task").write_bytes(b"no model")
    with pytest.raises(InputError, match=r"not a MediaPipe"):
        find_model(tmp_path / "m.task")


# ---- geometry, against the canonical face itself


def posed(yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray, scale: float = 20.0) -> np.ndarray:
    """The canonical face, with irises that look straight ahead, under known poses: [T, 478, 3]."""
    face = canonical_face(find_model())
    irises = []
    for _, inner, outer, side, _ in measures._EYES:
        centre = (face[inner] + face[outer]) / 2 + (side * measures.EYE_OUT, measures.EYE_UP, -measures.EYE_BACK)
        irises.append(centre + np.array([0, 0, measures.EYE_RADIUS]))
    points = np.concatenate([face, np.zeros((10, 3))])
    points[473], points[468] = irises
    return scale * np.einsum("tij,nj->tni", rotation_matrix(yaw, pitch, roll), points) + (300, -200, 0)


def measured(points: np.ndarray) -> measures.Measures:
    count = len(points)
    return measures.measure(points, np.zeros((count, 52)), np.ones(count, bool), canonical_face(find_model()))


def test_angles_follow_the_convention_and_lengths_ignore_them() -> None:
    slow = np.linspace(0, np.pi, 60)
    yaw, pitch, roll = 30 * np.sin(slow), 15 * np.sin(slow), -20 * np.sin(slow)
    result = measured(posed(yaw, pitch, roll))
    middle = slice(8, -8)  # smoothing bends the ends
    np.testing.assert_allclose(result.angles[middle], np.stack([yaw, pitch, roll], 1)[middle], atol=0.3)
    np.testing.assert_allclose(result.face_width, result.face_width[0], rtol=1e-3)
    np.testing.assert_allclose(result.lips[:, :2], np.broadcast_to(result.lips[0, :2], (60, 2)), atol=1e-3)
    # Turned to image right, the tip of the nose lies right of the face centre.
    assert result.landmarks[30, 30, 0] > result.centre[30, 0] + 20
    # The eyes look along the head, whichever way it is turned.
    np.testing.assert_allclose(result.gaze[:, :2], 0, atol=0.1)
    np.testing.assert_allclose(result.gaze[:, 2:], 1, atol=1e-3)


@pytest.mark.parametrize(("yaw", "pitch"), [(15.0, 0.0), (0.0, 12.0), (-10.0, -8.0)])
def test_gaze_follows_the_convention(yaw: float, pitch: float) -> None:
    ones = np.ones(20)
    points = posed(12 * ones, -5 * ones, 8 * ones)
    turn = rotation_matrix(yaw, pitch, 0) @ (0, 0, 1) - (0, 0, 1)
    head = rotation_matrix(12, -5, 8)
    for iris in (468, 473):
        points[:, iris] += 20 * measures.EYE_RADIUS * head @ turn
    np.testing.assert_allclose(measured(points).gaze[:, :2], np.broadcast_to((yaw, pitch), (20, 2)), atol=0.2)


def test_blinks_stay_sharp_and_gaze_crosses_them() -> None:
    points = posed(*np.zeros((3, 30)))
    for a, b in ((386, 374), (385, 380), (387, 373), (159, 145), (158, 153), (160, 144)):
        points[15, a] = points[15, b]
    points[15, [468, 473], 1] -= 10  # a hidden iris is put anywhere
    gaze = measured(points).gaze
    assert (gaze[15, 2:] < 0.01).all() and (gaze[[14, 16], 2:] > 0.99).all()
    np.testing.assert_allclose(gaze[:, :2], 0, atol=0.1)


def test_the_crop_is_fixed_square_and_exact() -> None:
    rng = np.random.default_rng(0)
    crop = square_crop(np.array([[100.0, 80.0], [104.0, 80.0]]), np.array([40.0, 40.0]), 84)
    np.testing.assert_allclose(crop[:2, :2], np.eye(2), atol=1e-6)  # 2.1 x 40 = 84: pixels are taken as they are
    np.testing.assert_allclose(crop @ (102, 80, 1), (42, 42, 1), atol=1e-4)
    image = rng.integers(0, 255, (160, 200, 3), np.uint8)
    np.testing.assert_array_equal(cut(image, crop, 84), image[38:122, 60:144])
    beyond = square_crop(np.array([[10.0, 80.0]]), np.array([40.0]), 84)
    assert (cut(image, beyond, 84)[:, :32] == image[38:122, :1]).all()  # the edge is repeated


def test_scenes_end_at_cuts_and_lost_faces() -> None:
    points = np.tile(np.float32(posed(*np.zeros((3, 1)))), (200, 1, 1))
    difference = np.full(200, 2.0)
    difference[60] = 40.0  # a cut
    points[100:103] = np.nan  # a short gap
    points[140:150] = np.nan  # a lost face
    points[170:, :, 0] += 300  # the face jumps
    scan = Scan(points=points, expression=np.zeros((200, 52)), several=np.zeros(200, bool), difference=difference)
    assert find_cuts(scan) == [60, 170]
    scenes = find_scenes(scan, 25)
    assert [(s.first, s.last) for s in scenes] == [(0, 60), (60, 140), (150, 170), (170, 200)]
    assert [bool(s.reason) for s in scenes] == [False, False, True, False]


# ---- planning


def test_no_identity_is_in_two_splits() -> None:
    names = [f"person{i}" for i in range(50)]
    fractions = splits.parse_split("train:0.8,val:0.1,test:0.1")
    found = splits.assign_splits(names * 3, fractions)
    counts = {s: list(found.values()).count(s) for s in fractions}
    assert counts == {"train": 40, "val": 5, "test": 5}
    assert splits.assign_splits(reversed(names), fractions) == found
    assert set(splits.assign_splits(["a", "b", "c"], fractions).values()) == set(fractions)
    grown = splits.assign_splits([*names, "new"], fractions, found)
    assert found.items() < grown.items()  # known people stay in their split
    assert identity_of(Path("x/Obama_clip_03.mp4")) == "Obama_clip"


@pytest.mark.slow
def test_a_video_whose_process_dies_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "process", dies_of_the_bad)  # what a library's crash does
    common = {"identity": "a", "split": "train", "out": str(tmp_path), "key": "", "corpus": "", "language": ""}
    tasks = [
        prepare.PrepareTask(path=f"{name}.mp4", clip_id=name, size=64, shortest=25, face_model=None, **common)
        for name in ("a", "bad", "c", "d")
    ]
    states = prepare.prepare(tasks, tmp_path, 2)
    assert [bool(s["pieces"]) for s in states] == [True, False, True, True]
    assert "died" in states[1]["reason"] and prepare._read_state(tmp_path, "bad") is None


def test_videos_of_earlier_calls_stay_in_the_report(tmp_path: Path) -> None:
    (tmp_path / ".state").mkdir()
    for name in ("a_01", "b_01"):
        (tmp_path / ".state" / f"{name}.json").write_text(json.dumps({"clip_id": name}))
    assert [s["clip_id"] for s in prepare.earlier_states(tmp_path, {"b_01"})] == ["a_01"]


def test_bad_input_is_one_sentence_and_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = write_video(tmp_path / "v_01.mp4", [astronaut()] * 3)
    (tmp_path / "none").mkdir()
    (tmp_path / "l.m3u8").write_text("#EXTM3U\n")
    out = str(tmp_path / "out")
    cases = [
        (["--videos", str(tmp_path / "no"), "--out", out], "does not exist"),
        (["--videos", str(tmp_path / "none"), "--out", out], "holds no videos"),
        (["--videos", "https://127.0.0.1/v.mp4", "--out", out], "not a local file"),
        (["--videos", str(tmp_path / "l.m3u8"), "--out", out], "playlist"),
        (["--videos", str(video), "--out", "/proc/x"], "cannot be written"),
        (["--videos", str(video), "--out", str(video)], "is a file"),
        (["--videos", str(video), "--out", out, "--split", "train:0.9"], "sum to 1"),
        (["--videos", str(video), "--out", out, "--split", "train:x"], "not a number"),
        (["--videos", str(video), "--out", out, "--size", "7"], "--size"),
        (["--videos", str(video), "--out", out, "--workers", "0"], "--workers"),
        (["--videos", str(video), "--out", out, "--face-model", str(video)], "not a MediaPipe"),
        (["--videos", str(video), "--out", out, "--identities", str(video)], "must be a csv"),
    ]
    for arguments, message in cases:
        assert prepare.main(arguments) == 2
        error = capsys.readouterr().err
        assert message in error and error.startswith("error: ") and error.count("\n") == 1, error
    assert not Path(out).exists()
    with pytest.raises(SystemExit) as caught:
        prepare.main(["--videos", str(video), "--out", out, "--unknown"])
    assert caught.value.code == 2


def test_the_command_line_shows_no_traceback(tmp_path: Path) -> None:
    video = write_video(tmp_path / "nobody_01.mp4", [np.full((64, 64, 3), 90, np.uint8)] * 5)
    command = [sys.executable, "-m", "data_pipelines.prepare", "--videos", str(video), "--out", str(tmp_path / "out")]
    root = Path(prepare.__file__).parents[1]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=root, env=os.environ | {"PYTHONPATH": str(root)}, check=False
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr and "no face" in done.stderr
    assert not list((tmp_path / "out").rglob("*.npz"))


def test_a_driving_video_is_cut_as_prepare_cuts_it(prepared: Path) -> None:
    (record,) = clips(prepared, "mover_01")
    frames = [frame for frame, seen in face_frames(prepared / "videos/mover_01.mp4", SIZE) if seen]
    assert len(frames) == FRAMES
    for frame, jpeg in zip(frames, record.frames, strict=True):
        # The square is found from the ears alone, not from the fitted head: a pixel or two.
        assert np.abs(frame.astype(float) - decode_frame(jpeg, SIZE)).mean() < 6
    with pytest.raises(InputError, match="a face was found in 0% of its frames"):
        next(face_frames(prepared / "videos/nobody_01.mp4", SIZE))
