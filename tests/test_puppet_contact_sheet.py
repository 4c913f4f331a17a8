"""The contact sheets, and the arithmetic of the linear probe that reads visemes."""

import numpy as np
import pytest

pytest.importorskip("numba")

from PIL import Image

from benchmarks.puppet_proof import probe
from data_pipelines.puppet.corpus import contact_sheet


def test_conventions_has_a_labelled_cell_for_every_coordinate() -> None:
    labels, pose, expression, eyes = contact_sheet.cells()
    moved = (pose != pose[0]).any(-1) | (expression != 0).any(-1) | (eyes != 0).any(-1)
    assert not moved[0] and moved[1:].all() and len(set(labels)) == len(labels)
    sheet = contact_sheet.conventions(seed=3, size=32)
    assert sheet.shape == (len(labels) // 8 * (32 + 14), 8 * 32, 3)
    # Every cell shows something else.
    cells = {sheet[14 + y : 46 + y, x : x + 32].tobytes() for y in range(0, len(sheet), 46) for x in range(0, 256, 32)}
    assert len(cells) == len(labels)


def test_people_and_visemes_differ_from_cell_to_cell() -> None:
    people = contact_sheet.people(size=32, number=4, across=2)
    assert people.shape == (64, 2 * 5 * 32 + 4, 3)
    visemes = contact_sheet.visemes(size=32, speakers=(0,))[14:]
    cells = [visemes[:, x : x + 32].astype(int) for x in range(0, visemes.shape[1], 32)]
    closed, open_ = cells[0], cells[contact_sheet.PHONES.index("a")]
    assert np.abs(closed - cells[1]).max() < 30 < np.abs(closed - open_).max()  # p resembles m, not a


def test_command(tmp_path, capsys, monkeypatch) -> None:
    for name in ("conventions", "people", "visemes"):  # rendered above; this tests the files
        monkeypatch.setattr(contact_sheet, name, lambda **_: np.zeros((8, 8, 3), np.uint8))
    assert contact_sheet.main(["--out", str(tmp_path)]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "conventions.png", "puppet_people.jpg", "puppet_visemes.jpg",
    ]  # fmt: skip
    for path in tmp_path.iterdir():
        Image.open(path).verify()
    assert contact_sheet.main(["--out", str(tmp_path / "none")]) == 2
    assert "make it first" in capsys.readouterr().err


def test_probe_separates_what_is_linear_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((400, 5)), rng.standard_normal((400, 5))
    side = np.array([1.0, -2.0, 0.5, 0.0, 0.0])
    right = probe(x, x @ side > 0.5, y, y @ side > 0.5)
    assert right["auc"] > 0.99 and right["balanced_accuracy"] > 0.93
    chance = probe(x, x @ side > 0.5, y, rng.random(400) > 0.5)  # labels that have nothing to do with the features
    assert abs(chance["auc"] - 0.5) < 0.1 and abs(chance["balanced_accuracy"] - 0.5) < 0.1
