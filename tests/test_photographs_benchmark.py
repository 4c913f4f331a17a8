"""The pure parts of the benchmark of photographs: the choice of portraits, requested changes, and the table."""

from collections import Counter

import numpy as np
import pytest

from benchmarks import photograph_frames, photograph_table, photographs
from demo_jax.errors import InputError
from demo_jax.evaluation.metrics.reader import READ_NAMES
from demo_jax.factors import CALIBRATED_NAMES, CALIBRATED_SCALE, FactorLayout

LAYOUT = FactorLayout()
VALUES = dict.fromkeys(CALIBRATED_NAMES, 0.0) | {
    "yaw": 7.0, "gaze_yaw": -4.0, "aperture": 0.06, "open_left": 0.9, "open_right": 0.7
}  # fmt: skip


def person(gains, leak=0.0):
    """A portrait whose readings follow every control with a gain, and whose pitch follows the yaw a little."""
    rest = np.array([7.0, 1.0, 0.0, -4.0, 0.0, 0.3, 0.3, 0.06, 0.6])
    control = {}
    for name in photograph_frames.GRIDS:
        asked = photograph_frames.requested(name, VALUES)
        read = np.repeat(rest[None], len(asked), 0)
        if name == "open":
            read[:, 5:7] *= (1 + gains[name] * (asked - 1))[:, None]
        else:
            read[:, READ_NAMES.index(name)] += gains[name] * asked
        if name == "yaw":
            read[:, 1] += leak * asked
        control[name] = {"requested": asked.tolist(), "read": read.tolist(), "rest": rest.tolist()}
    aligned = {name: list(np.array(photograph_frames.GRIDS[name]) * 0.5) for name in ("yaw", "pitch", "roll")}
    return {
        "control": control, "old_control": control, "aligned": aligned, "blink": 0.1, "frozen": 0.0, "mouth": 5.0,
        "kept": {"frames": 88.1, "mp4_luma": 41.0, "old": 30.0}, "outside": 0.0, "reach": 0.5,
        "seams": {"reach": 1.0, "box": float("nan")}, "flicker": {"head": 0.1, "shoulders": 0.2, "reach": 0.0},
    }  # fmt: skip


def test_sources_take_turns_and_the_seed_decides():
    files = [f"{source}__p{i}.jpg" for source, count in (("a", 9), ("b", 3), ("c", 5)) for i in range(count)]
    order = photographs.spread_over_sources(files, 3)
    assert sorted(order) == sorted(files)
    assert Counter(file[0] for file in order[:9]) == {"a": 3, "b": 3, "c": 3}
    assert order == photographs.spread_over_sources(files[::-1], 3)
    assert order != photographs.spread_over_sources(files, 4)


def test_a_split_without_rows_is_an_error(tmp_path):
    splits = tmp_path / "splits.csv"
    splits.write_text("folder,file,person,split\nfaces,a__1.jpg,1,test\nother,b__2.jpg,2,train\n")
    assert photographs.listed(splits, tmp_path / "faces", "test", 0) == [tmp_path / "faces" / "a__1.jpg"]
    with pytest.raises(InputError, match="no train rows of the folder faces"):
        photographs.listed(splits, tmp_path / "faces", "train", 0)


def test_turns_are_added_and_apertures_replace():
    code = np.arange(LAYOUT.size, dtype=np.float32)
    changes = photograph_frames.grid_changes("yaw", VALUES)
    codes = photograph_frames.changed(code, LAYOUT.calibrated, changes)
    yaw = LAYOUT.calibrated[CALIBRATED_NAMES.index("yaw")]
    scale = CALIBRATED_SCALE[CALIBRATED_NAMES.index("yaw")]
    np.testing.assert_allclose(codes[:, yaw] * scale, 7.0 + np.arange(-20, 21, 5), rtol=1e-6)
    np.testing.assert_array_equal(np.delete(codes, yaw, 1), np.delete(np.repeat(code[None], 9, 0), yaw, 1))
    assert photograph_frames.grid_changes("aperture", VALUES)[3] == {"aperture": 0.15}
    np.testing.assert_allclose(photograph_frames.requested("aperture", VALUES)[3], 0.09)
    np.testing.assert_allclose(photograph_frames.requested("open", VALUES), np.array([0, 0.25, 0.5, 0.75, 1]) / 0.8)


def test_the_table_finds_gains_and_leakage():
    gains = dict(zip(photograph_frames.GRIDS, (0.9, 0.8, 1.0, 1.2, 0.5, 1.1, 0.7), strict=True))
    found = [person(gains, leak=0.2) for _ in range(3)]
    rows = {row.metric: row for row in photograph_table.rows({"frames": found})}
    for name, gain in gains.items():
        label = "eyes' opening" if name == "open" else name.replace("_", " ")
        (row,) = (row for metric, row in rows.items() if metric.startswith(f"gain: {label} "))
        assert row.measured == pytest.approx(gain)
        assert rows[f"correlation: {label}"].measured == pytest.approx(1)
    assert rows["gain by direct alignment: yaw"].measured == pytest.approx(0.5)
    # One spread of yaw is 2.34 degrees, of pitch 1.89.
    assert rows["leakage of yaw, linear, largest: into pitch"].measured == pytest.approx(0.2 * 2.34 / 1.89)
    matrix = photograph_table.leak_matrix(found)["linear"]
    own = list(photograph_table.COLUMN.values())
    np.testing.assert_allclose(matrix[np.arange(7), own], list(gains.values()), rtol=1e-6)


def test_a_figure_without_portraits_is_empty_and_not_an_error():
    found = [person(dict.fromkeys(photograph_frames.GRIDS, 1.0))]
    rows = photograph_table.rows({"frames": found})
    (row,) = (row for row in rows if "box's border" in row.metric)
    assert row.n == "0 portraits" and np.isnan(row.measured)
    assert "| – | – | – |" in photograph_table.text([row])
