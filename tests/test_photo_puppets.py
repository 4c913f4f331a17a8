"""Photo-puppets: drivers from records, frames and numbers of a photograph, the command. With the public-domain portrait
that comes with matplotlib, and speakers made of the mean face."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import shutil
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import simplejpeg
from PIL import Image
from synthetic import clip

from data_pipelines import photo_puppets, prepare
from data_pipelines.loading.batches import stage1_batches
from data_pipelines.records.schema import ClipRecord, read_clip, write_clip
from data_pipelines.stills import drivers as speakers
from data_pipelines.stills import motion
from demo_jax.factors import ARKIT_INDEX, calibrated_code, rotation_matrix
from demo_jax.models.geometry.landmarks import mean_face

pytest.importorskip("mediapipe", reason="finding faces needs the prepare extra")
pytest.importorskip("matplotlib")

SIZE, FRAMES = 64, 6
OPEN = 0.05  # face widths by which the speakers' lower lips move


def speaker(name: str, length: int = 12) -> ClipRecord:
    """A record of the mean face, turned a little, whose lower lip and jaw move down in the second half."""
    pose = np.tile(np.array([6.0, -4.0, 3.0, 0.02, -0.03, np.log(2.1)], np.float32), (length, 1))
    points = np.tile(mean_face()[None], (length, 1, 1))
    lower = [*range(5, 12), *range(55, 60), *range(65, 68)]
    points[length // 2 :, lower, 1] -= OPEN
    seen = np.einsum("ij,tpj->tpi", rotation_matrix(*pose[0, :3])[:2], points) * np.exp(-np.log(2.1))
    landmarks = 64 * ((seen + pose[:, None, 3:5]) * (1, -1) + 0.5)
    lips = np.zeros((length, 3), np.float32)
    lips[length // 2 :, 0] = OPEN / 0.69
    expression = np.zeros((length, 52), np.float32)
    expression[length // 2 :, ARKIT_INDEX["jawOpen"]] = 0.4
    truth = {"pose": pose, "landmarks": landmarks.astype(np.float32), "lips": lips, "expression": expression}
    return clip(name, length=length, size=64, **truth)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two photographs, one of them without a face, their table, and records of two speakers."""
    import matplotlib

    folder = tmp_path_factory.mktemp("desk")
    (folder / "people").mkdir()
    shutil.copy(Path(matplotlib.get_data_path()) / "sample_data/grace_hopper.jpg", folder / "people/hopper.jpg")
    Image.new("RGB", (200, 200), (90, 120, 150)).save(folder / "people/wall.jpg")
    with (folder / "splits.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("folder", "file", "person", "split"))
        table.writerows(
            [("people", "hopper.jpg", "grace", "train"), ("people", "wall.jpg", "nobody", "val"),
             ("people", "other.jpg", "other", "test"), ("elsewhere", "x.jpg", "x", "train")]
        )  # fmt: skip
    for name in ("anna", "bertha"):
        write_clip(folder / "films/train", speaker(name))
    return folder


def arguments(desk: Path, out: Path, *more: str) -> list[str]:
    return [
        "--portraits", str(desk / "people"), "--splits", str(desk / "splits.csv"), "--drivers", str(desk / "films"),
        "--out", str(out), "--size", str(SIZE), "--frames", str(FRAMES), "--workers", "1", *more,
    ]  # fmt: skip


@contextlib.contextmanager
def in_this_process():
    """Tasks are done here: a process of their own would start all libraries again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "run_each", lambda work, tasks, workers: ((task, work(task)) for task in tasks))
        yield


@pytest.fixture(scope="module")
def made(desk: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made")
    with in_this_process():
        assert photo_puppets.main(arguments(desk, out)) == 0
    return out


def records(out: Path) -> dict[str, ClipRecord]:
    found = [read_clip(path) for path in sorted((out / "train/clips").glob("*.npz"))]
    return {record.variant: record for record in found}


# Drivers -------------------------------------------------------------------------------------------------------------


def test_landmarks_of_a_record_are_taken_to_the_heads_axes():
    found = speakers.in_head_axes(speaker("anna"))
    np.testing.assert_allclose(found[0], mean_face()[:, :2], atol=1e-4)
    assert found[-1, 8, 1] - found[0, 8, 1] == pytest.approx(-OPEN, abs=0.01)  # the jaw's depth counts a little


def test_drivers_are_displacements_from_the_speakers_rest(desk: Path):
    found = speakers.read_drivers(desk / "films", "train")
    assert found.clips == 2 and len(found.aperture) == 24
    first = found.frames_of(0)
    np.testing.assert_allclose(found.displacement[first[:6]], 0, atol=1e-5)
    np.testing.assert_allclose(found.displacement[first[6:], 57, 1], -OPEN, atol=0.01)
    assert not found.displacement[:, 36:48].any()  # lids have numbers of their own
    assert found.expression[first[-1], ARKIT_INDEX["jawOpen"]] == pytest.approx(0.4)
    again = speakers.load(found.save(desk / "drivers.npz"))
    assert again.checksum() == found.checksum()


def test_one_factor_is_drawn_again_and_the_others_stay(desk: Path):
    drivers = speakers.read_drivers(desk / "films", "train")
    still = motion.rest(np.array([5.0, 0, 0, 0, 0, 0.7]), np.array([3.0, 0, 0.9, 0.9]), 0.02, 200)
    base, swapped = motion.draw(np.random.default_rng(3), still, drivers)
    assert (base.pose[0] == still.pose[0]).all() and base.lips[0] == -1
    for factor, own in (("pose", {"pose"}), ("gaze", {"gaze"}), ("lip", {"aperture", "lips", "own_gap"})):
        changed = {
            f.name
            for f in dataclasses.fields(motion.Motion)
            if (getattr(swapped[factor], f.name) != getattr(base, f.name)).any()
        }
        assert changed == own
    pose, gaze = swapped["pose"].pose, swapped["gaze"].gaze
    assert (np.abs(pose[:, :3] - still.pose[:, :3]) <= motion.TURN + 1e-9).all()
    assert (np.abs(gaze[:, :2]) <= motion.GAZE).all() and gaze[:, 2:].min() == 0 and gaze[:, 2:].max() <= 1.15
    # Factors are independent: |r| of 200 pairs is below 0.25 in all but one of 2,500 draws.
    both = np.corrcoef(np.concatenate([pose, gaze], 1).T)[:6, 6:]
    assert np.abs(both).max() < 0.25


# Records -------------------------------------------------------------------------------------------------------------


def test_a_photograph_becomes_a_paired_group(made: Path):
    found = records(made)
    base, (name, swapped) = found["base"], next(item for item in found.items() if item[0] != "base")
    assert len(found) == 2 and name.startswith("redrawn:")
    assert base.corpus == "photo-puppet" and base.speaker_id == "grace" and base.length == FRAMES
    assert base.set_id == swapped.set_id == base.clip_id and base.clip_id != swapped.clip_id
    numbers = {"lip": "lips", "pose": "pose", "gaze": "gaze"}
    for factor, field in numbers.items():
        same = np.array_equal(getattr(base, field), getattr(swapped, field))
        assert same == (name != f"redrawn:{factor}"), field
    assert not base.waveform.any() and set(base.features) == {"logmel"}


def test_the_first_frame_is_the_photograph_with_its_measured_numbers(desk: Path, made: Path):
    from demo_jax.faces.crop import cut
    from demo_jax.faces.portrait import find_portrait

    image = np.asarray(Image.open(desk / "people/hopper.jpg").convert("RGB"))
    base, face = records(made)["base"], find_portrait(image, SIZE).face
    np.testing.assert_allclose(base.pose[0, :3], face.angles, atol=0.1)
    np.testing.assert_allclose(base.lips[0], face.lips, atol=1e-3)
    np.testing.assert_allclose(base.gaze[0, 2:], face.gaze[2:], atol=1e-3)
    seen = (face.points[:68] @ rotation_matrix(*face.angles)[:2].T) * (1, -1) * face.width + face.centre
    crop = base.crop
    np.testing.assert_allclose(base.landmarks[0], seen @ crop[:2, :2].T + crop[:2, 2], atol=0.2)
    frame = simplejpeg.decode_jpeg(base.frames[0]).astype(float)
    assert np.abs(frame - cut(image, crop, SIZE)).mean() < 4  # two ways of reducing, and JPEG
    assert (base.trust[0] == 255).all()


@pytest.fixture(scope="module")
def still(desk: Path):
    from data_pipelines.stills.still import read_still
    from demo_jax.faces.landmarker import FaceFinder

    with FaceFinder() as find:
        return read_still(desk / "people/hopper.jpg", find, SIZE, np.random.default_rng(0))


@pytest.fixture(scope="module")
def turned(desk: Path, still):
    """A motion of FRAMES frames, with its results: turned, lids shut, lips apart."""
    from data_pipelines.stills import puppet

    drivers = speakers.read_drivers(desk / "films", "train")
    resting = motion.rest(still.face.pose(still.crop, SIZE), still.face.gaze, float(still.face.lips[0]), FRAMES)
    pose, gaze, aperture = resting.pose.copy(), resting.gaze.copy(), resting.aperture.copy()
    pose[1, 0] += 18
    pose[2, :3] += (-12, 8, 10)
    gaze[3, 2:] = 0
    aperture[4] = 0.25
    lips = np.array([-1, -1, 7, -1, 7, 7])
    wanted = dataclasses.replace(resting, pose=pose, gaze=gaze, aperture=aperture, lips=lips)
    return drivers, wanted, puppet.move(still, wanted, drivers, still.expression, SIZE)


def test_landmarks_lie_where_the_frame_shows_them(still, turned):
    """Each frame's pixel at a landmark comes from the photograph's landmark: to a fifth of a pixel, but for lids and
    inner lips, whose lines are edges of the map, and the jaw's ends, where the neck's motion begins to fade."""
    from scipy.ndimage import map_coordinates

    from data_pipelines.stills import puppet
    from data_pipelines.stills.still import SCALE

    drivers, wanted, moved = turned
    scene, unit = still.photograph.scene, still.face.width
    grid, pixels = puppet._grid(still, SIZE)
    source = calibrated_code(still.face.lips, still.face.pose(still.crop, SIZE), still.face.gaze)
    lips = np.column_stack([wanted.aperture, np.tile(still.face.lips[1:], (FRAMES, 1))])
    codes = calibrated_code(lips, wanted.pose, wanted.gaze)
    change = puppet._displacements(still.face.points, wanted, drivers)
    found = puppet._program()(scene.face, source, codes, change, grid, np.float32(1 / (unit * pixels)))
    (x, y), *_ = jax.tree.map(np.asarray, found)
    photograph = (still.face.points[:68] @ rotation_matrix(*still.face.angles)[:2].T) * (1, -1)
    kept = [*range(5, 12), *range(17, 36), *range(48, 60)]
    for t in range(FRAMES):
        at = moved.landmarks[t, kept].T[::-1] * SCALE - 0.5
        shown = np.stack([map_coordinates(axis[t], at, order=1) for axis in (x, y)], -1)
        error = np.linalg.norm(shown - photograph[kept], axis=-1) * unit * pixels / SCALE
        assert error.max() < 0.2, t


def test_the_landmarker_finds_the_recorded_landmarks(turned):
    """On 64 px, enlarged, the landmarker's own error is about half a pixel; it lags behind turns at the jaw."""
    from demo_jax.faces.landmarker import FaceFinder
    from demo_jax.faces.measures import LANDMARKS_68

    _, wanted, moved = turned
    inner = [*range(17, 68)]
    with FaceFinder() as find:
        for t in (1, 2, 4):
            large = np.asarray(Image.fromarray(moved.frames[t]).resize((512, 512), Image.Resampling.BICUBIC))
            found = find(large)[0].points[LANDMARKS_68, :2] * (1, -1) * (SIZE / 512)
            assert np.linalg.norm(found[inner] - moved.landmarks[t, inner], axis=-1).mean() < 0.8, t
    # The frame that is turned differs from the photograph by much more.
    assert np.linalg.norm(moved.landmarks[1, 30] - moved.landmarks[0, 30]) > 4


def test_lids_shut_and_lips_part_as_far_as_asked(still, turned):
    _, wanted, moved = turned
    for upper, lower, first, last in ((37, 41, 36, 39), (38, 40, 36, 39), (43, 47, 42, 45), (44, 46, 42, 45)):
        along = moved.landmarks[0, last] - moved.landmarks[0, first]
        down = np.array([-along[1], along[0]]) / np.linalg.norm(along)
        gaps = (moved.landmarks[:, lower] - moved.landmarks[:, upper]) @ down
        assert abs(gaps[3]) < 0.2 * gaps[0] and gaps[0] > 1  # the two do not lie quite below each other
    span = np.linalg.norm(still.face.points[36] - still.face.points[45]) * still.face.width * still.crop[0, 0]
    gap = np.linalg.norm(moved.landmarks[4, 62] - moved.landmarks[4, 66])
    assert gap / span == pytest.approx(0.25, abs=0.02)  # seen from a few degrees aside
    np.testing.assert_allclose(moved.lips[:, 0], wanted.aperture, atol=1e-6)


def test_what_the_photograph_does_not_show_is_not_trusted(turned):
    _, _, moved = turned
    low, high = (np.clip(f(moved.landmarks[4, 60:68], 0) / 8, 0, 7).astype(int) for f in (np.min, np.max))
    mouth = slice(low[1], high[1] + 1), slice(low[0], high[0] + 1)
    assert moved.trust[4][mouth].min() < 128  # the inside of the mouth is drawn
    assert moved.trust[1].min() == 0 and (moved.trust[1] == 255).mean() > 0.5  # the turned head uncovers the wall
    assert (moved.trust[0] == 255).all()


def test_expressions_are_the_drivers_where_lips_are(still, turned):
    from data_pipelines.stills import puppet

    drivers, wanted, moved = turned
    jaw, blink = ARKIT_INDEX["jawOpen"], ARKIT_INDEX["eyeBlinkLeft"]
    own = still.expression
    np.testing.assert_array_equal(moved.expression[0], own.astype(np.float32))
    assert moved.expression[5, jaw] == pytest.approx(min(own[jaw] + 0.4, 1), abs=1e-5)
    assert np.isnan(moved.expression[5, blink])
    other = puppet._expression(dataclasses.replace(wanted, own_gap=np.zeros(FRAMES, bool)), drivers, own)
    assert np.isnan(other[5, jaw])


# The loader ----------------------------------------------------------------------------------------------------------


def test_stage_1_reads_them_as_paired_groups_without_a_second_identity(made: Path):
    from data_pipelines.loading.augmentation import Augment

    def first(mirror: float) -> dict[str, np.ndarray]:
        augment = Augment(mirror=mirror)
        made_batches = stage1_batches(
            made, "train", batch_size=2, set_batch_size=2, seed=0, start_step=0, size=SIZE, lip_window=1,
            augment=augment,
        )  # fmt: skip
        return next(iter(made_batches))

    plain, mirrored = first(0.0), first(1.0)
    variant = next(name for name in records(made) if name != "base")
    factors = ("lip", "pose", "gaze")
    assert (plain["set_factor"] == factors.index(variant.removeprefix("redrawn:"))).all()
    assert "set_reidentity" not in plain and plain["set_redrawn"].shape == (2, SIZE, SIZE, 3)
    assert plain["target_trust"].shape == (2, 8, 8) and plain["set_redrawn_trust"].min() < 1
    np.testing.assert_array_equal(mirrored["set_redrawn_trust"], plain["set_redrawn_trust"][..., ::-1])
    assert not plain["voiced"].any()


# The command ---------------------------------------------------------------------------------------------------------


def test_the_report_and_the_datasheet_say_what_was_left_out(made: Path):
    with (made / "report.csv").open(newline="") as file:
        rows = {row["clip_id"]: row for row in csv.DictReader(file)}
    assert rows["hopper"]["status"] == "accepted" and rows["hopper"]["identity"] == "grace"
    assert rows["wall"]["status"] == "rejected" and rows["wall"]["reason"] == "no face was found"
    assert "other" not in rows  # test is made only if asked for
    info = json.loads((made / "train/dataset_info.json").read_text())
    assert info["generator"] == "photo_puppets" and info["parameters"]["frames"] == FRAMES
    assert info["fingerprint"] and set(info["sources"]) == {"hopper"}


def test_the_same_command_resumes_and_gives_the_same_bytes(desk: Path, made: Path, tmp_path: Path, monkeypatch):
    paths = sorted((made / "train/clips").glob("*.npz"))
    before = [path.read_bytes() for path in paths]
    done: list[str] = []

    def here(work, tasks, workers):
        for task in tasks:
            done.append(task.clip_id)
            yield task, work(task)

    monkeypatch.setattr(prepare, "run_each", here)
    assert photo_puppets.main(arguments(desk, made)) == 0
    assert done == []
    paths[0].unlink()
    assert photo_puppets.main(arguments(desk, made)) == 0
    assert done == ["hopper"]
    assert [path.read_bytes() for path in paths] == before
    assert not list(made.glob(".unfinished-*"))


def test_a_process_of_its_own_gives_the_same_bytes(desk: Path, made: Path, tmp_path: Path):
    assert photo_puppets.main(arguments(desk, tmp_path, "--split", "train")) == 0
    for path in (made / "train/clips").glob("*.npz"):
        assert (tmp_path / "train/clips" / path.name).read_bytes() == path.read_bytes()


def test_a_sheet_of_records(made: Path, tmp_path: Path):
    assert photo_puppets.main(["--out", str(made), "--sheet", str(tmp_path / "sheet.png")]) == 0
    sheet = np.asarray(Image.open(io.BytesIO((tmp_path / "sheet.png").read_bytes())))
    assert sheet.shape == (2 * 2 * 256, 8 * 256, 3)
    assert (sheet == (0, 255, 0)).all(-1).sum() > 68  # landmarks


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("--portraits", "nowhere"), "there is no such folder"),
        (("--portraits", "films"), "no row whose folder is films"),
        (("--split", "later"), "it has test, train, val"),
        (("--split", "test"), "names other.jpg, which"),
        (("--drivers", "nowhere"), "there is no such folder"),
        (("--driver-split", "val"), "has no split 'val'; it has train"),
        (("--splits", "nowhere.csv"), "nowhere.csv"),
        (("--frames", "1"), "a record has 2 to 64"),
        (("--size", "100"), "a multiple of 16"),
        (("--split", "val"), "no photograph could be moved"),
    ],
)
def test_errors_are_one_sentence(desk: Path, tmp_path: Path, monkeypatch, capsys, changes, message):
    monkeypatch.chdir(desk)
    with in_this_process():
        assert photo_puppets.main([*arguments(desk, tmp_path / "out"), *changes]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and message in error


def test_a_missing_extra_is_named(desk: Path, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    assert photo_puppets.main(arguments(desk, tmp_path / "out")) == 2
    assert "pip install 'demo_jax[prepare]'" in capsys.readouterr().err


def test_required_flags_are_named(capsys):
    with pytest.raises(SystemExit) as stop:
        photo_puppets.main(["--out", "x", "--portraits", "y", "--drivers", "z"])
    assert stop.value.code == 2
    assert "--splits is required" in capsys.readouterr().err
