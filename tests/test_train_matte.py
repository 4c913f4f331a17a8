"""Training the matte network: labels of heads, examples whose labels fit the image, learning, errors."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines import train_matte
from data_pipelines.extraction.portrait_mattes import LabelledPortrait, read_portraits
from data_pipelines.extraction.segmenter import Segmenter
from data_pipelines.loading.matte_augmentation import augmented, layered, plain
from demo_jax.errors import InputError
from demo_jax.models import matte as network
from demo_jax.rendering.head_share import FADE, NECK, fit_chin, head_share

cv2 = pytest.importorskip("cv2", reason="needs the prepare extra")
SIZE = 32


def _portrait(shift: float = 0.0, roll: float = 0.0) -> LabelledPortrait:
    """A bright disc on a body, before a dark wall: the brightness is the label."""
    y, x = np.meshgrid(np.arange(120) + 0.5, np.arange(100) + 0.5, indexing="ij")
    shown = (np.hypot(x - 50 - shift, y - 50) < 24) | ((y > 80) & (np.abs(x - 50 - shift) < 40))
    image = np.where(shown[..., None], (230, 200, 180), (40, 50, 60)).astype(np.uint8)
    return LabelledPortrait(
        name="disc", source="tests", split="train", image=image, person=(shown * 255).astype(np.uint8),
        centre=(50.0 + shift, 50.0), face_width=40.0, roll=roll, chin=0.6,
    )  # fmt: skip


def test_the_head_fades_below_the_chin() -> None:
    across = np.array([0.0, 2.0, 0.0, 0.0, 0.0, NECK + 0.1])
    below = np.array([0.79, 0.5, 0.8 + FADE / 2, 0.8 + FADE, 1.5, 0.85])
    np.testing.assert_allclose(head_share(across, below, 0.8), [1, 1, 0.5, 0, 0, 0], atol=1e-6)


def test_the_chin_is_found_from_a_noisy_share() -> None:
    below = np.linspace(-1.8, 1.8, 128)
    noise = np.random.default_rng(0).normal(0, 0.1, 128)
    found = fit_chin(head_share(0 * below, below, 0.73) + noise, below, np.ones(128))
    assert abs(found - 0.73) < 0.02


def test_labels_are_cut_with_the_image() -> None:
    example = plain(_portrait(), SIZE)
    bright = example.image[..., 0] > 135
    inside = example.weight > 0
    assert 0.4 < inside.mean() < 1  # 100 of 144 columns, and 120 of 144 rows
    assert (bright == (example.person > 0.5))[inside].mean() > 0.98  # rounding of bytes on the edge
    rows = example.share[:, SIZE // 2]
    chin = SIZE / 2 + 0.6 * SIZE / 3.6
    assert (rows[: int(chin)] == 1).all() and rows[int(chin + FADE * SIZE / 3.6) + 1 :].max() == 0


def test_augmentation_keeps_labels_on_the_person() -> None:
    """With the person far brighter than any of these backgrounds, the label can be read off the image."""
    others = [layered(_portrait(shift)) for shift in (-5.0, 5.0)]
    agreeing = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        example = augmented(rng, others[0], others, SIZE)
        assert example.image.dtype == np.uint8 and example.image.shape == (SIZE, SIZE, 3)
        inside = example.weight > 0
        image, person = example.image[inside].astype(float).mean(-1), example.person[inside] > 0.5
        agreeing.append(np.corrcoef(image, person)[0, 1])
        again = augmented(np.random.default_rng(seed), others[0], others, SIZE)
        np.testing.assert_array_equal(again.image, example.image)
    assert np.mean(agreeing) > 0.6  # before other backgrounds, which may be as bright, it is lower than before the wall
    assert max(agreeing) > 0.95


def test_small_sources_are_shown_more_often() -> None:
    many = [layered(_portrait())] * 30
    one = dataclasses.replace(many[0], portrait=dataclasses.replace(many[0].portrait, source="rare"))
    odds = train_matte.shown([*many, one])
    np.testing.assert_allclose(odds.sum(), 1)
    np.testing.assert_allclose(odds[-1] / odds[0], train_matte.MOST_REPEATED)


def test_the_command_learns(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train_matte, "BATCH", 4)
    monkeypatch.setattr(train_matte, "SIZE", SIZE)
    portraits = [_portrait(shift) for shift in (-4.0, 0.0, 4.0)]
    portraits.append(dataclasses.replace(portraits[0], split="val"))
    monkeypatch.setattr(train_matte, "read_portraits", lambda *given: portraits)
    out = tmp_path / "m.npz"
    command = ["--portraits", "p", "--splits", "s.csv", "--segmenter", "s.tflite", "--out", str(out)]
    assert train_matte.main([*command, "--steps", "25", "--seed", "1"]) == 0
    assert "all (n=1) person: IoU 0." in capsys.readouterr().out
    examples = tuple(jnp.array(x) for x in train_matte.stacked([plain(_portrait(), SIZE)]))
    before, after = network.initial(jax.random.key(1)), jax.tree.map(jnp.array, train_matte.read_start(out))
    assert float(train_matte.loss(after, *examples)) < 0.75 * float(train_matte.loss(before, *examples))
    assert all(array.dtype == np.float16 for array in np.load(out).values())
    assert train_matte.main([*command, "--leave-out", "elsewhere"]) == 2
    assert "--leave-out elsewhere: no file name begins with it; the sources are tests." in capsys.readouterr().err
    assert train_matte.main([*command, "--leave-out", "tests"]) == 2
    assert "has no photograph to train on" in capsys.readouterr().err


def test_agreement() -> None:
    truth = np.zeros((2, 4, 4), np.float32)
    truth[0, :2], truth[1, :1] = 1, 1
    guess = np.zeros_like(truth)
    guess[0, 1:3] = 1
    weight = np.ones((4, 4), np.float32)
    np.testing.assert_allclose(train_matte.agreement(guess, truth, weight), [[1 / 3, 0.5], [0, 0.25]])
    weight[1:] = 0
    np.testing.assert_allclose(train_matte.agreement(guess, truth, weight), [[0, 1], [0, 1]])


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"segmenter .*none.tflite does not exist; npm pack @mediapipe"):
        Segmenter(tmp_path / "none.tflite")
    (tmp_path / "text.tflite").write_text("this is not a model")
    with pytest.raises(InputError, match=r"--start .*text.tflite cannot be read \(.*\); name a file that this"):
        train_matte.read_start(tmp_path / "text.tflite")
    np.savez(tmp_path / "other.npz", **{"stem/kernel": np.zeros((3, 3))})
    with pytest.raises(InputError, match=r"other.npz holds the parameters of another network"):
        train_matte.read_start(tmp_path / "other.npz")
    with pytest.raises(InputError, match=r"text.tflite is not a .tflite file; npm pack"):
        Segmenter(tmp_path / "text.tflite")
    with pytest.raises(InputError, match=r"splits.csv does not exist; name a CSV with the columns"):
        read_portraits([tmp_path], tmp_path / "splits.csv", tmp_path / "text.tflite")
    (tmp_path / "splits.csv").write_text("folder,file,split\nelsewhere,a.jpg,train\n")
    with pytest.raises(InputError, match=rf"splits.csv lists no file of {tmp_path.name}"):
        read_portraits([tmp_path], tmp_path / "splits.csv", tmp_path / "text.tflite")
