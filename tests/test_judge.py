"""The judge: patches, files and training; and experiments whose answer is planted."""

from __future__ import annotations

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines.puppet.motion.face_motion import Motion
from data_pipelines.puppet.person.identity import random_identity
from data_pipelines.puppet.render.renderer import measure
from demo_jax.checkpoint.save import RunCheckpoints
from demo_jax.errors import InputError
from demo_jax.evaluation import experiments
from demo_jax.evaluation.judge import train
from demo_jax.evaluation.judge.regressor import (  # fmt: skip
    COARSE,
    EXPRESSION_COLUMNS,
    EXPRESSION_NAMES,
    FACE,
    SIZE,
    Judge,
    JudgeConfig,
    Readings,
    abstract_params,
    cut,
    fit_size,
    load_judge,
    nearest,
    save_judge,
)
from demo_jax.evaluation.puppets import Probes
from demo_jax.factors import CALIBRATED_NAMES, CALIBRATED_SCALE, FactorLayout, columns_of
from demo_jax.training.state import to_parts

E = len(EXPRESSION_NAMES)


def config(**changes) -> JudgeConfig:
    spread = {"calibrated": len(CALIBRATED_NAMES), "coarse": COARSE, "expression": E}
    values = {f"{k}_mean": (0.1,) * n for k, n in spread.items()} | {f"{k}_std": (0.5,) * n for k, n in spread.items()}
    return JudgeConfig(**values | changes)


def random_judge(**changes) -> Judge:
    rng = np.random.default_rng(0)

    def draw(leaf: jax.ShapeDtypeStruct) -> jax.Array:
        values = rng.normal(size=leaf.shape) / np.sqrt(np.prod(leaf.shape[:-1]) or 1)
        return jnp.asarray(np.float32(np.float16(values)))

    return Judge(jax.tree.map(draw, abstract_params(64)), config(**changes))


@pytest.mark.parametrize("roll", [0.0, 30.0, -80.0])
def test_patches_are_upright_and_scaled_to_the_face(roll):
    """A dot 0.3 face widths above and 0.2 right of the face's centre, in the head's axes, is where it should be."""
    x, y, z = 0.05, -0.03, 0.7
    turn, width = np.deg2rad(roll), np.exp(-z)
    u, v = 0.2, 0.3
    dx, dy = u * np.cos(turn) - v * np.sin(turn), u * np.sin(turn) + v * np.cos(turn)  # roll > 0: the top goes left
    at = np.array([0.5 + x + width * dx, 0.5 - y - width * dy]) * SIZE
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    dot = np.exp(-((columns - at[0]) ** 2 + (rows - at[1]) ** 2) / (2 * 2.0**2))
    place = np.array([[0, 0, roll, x, y, z, 0, 0, 0, 0]], np.float32)
    patch = np.asarray(cut(jnp.asarray(dot[None, ..., None].repeat(3, -1)), place, place[:, 3:5], FACE))[0, ..., 0]
    weight = patch / patch.sum()
    r, c = np.mgrid[: FACE.rows, : FACE.columns]
    expected = FACE.columns / 2 - 0.5 + np.array([u, -v]) * FACE.columns / FACE.width
    assert [(weight * c).sum(), (weight * r).sum()] == pytest.approx(expected, abs=0.05)


def test_a_saved_judge_reads_the_same_at_any_size(tmp_path):
    judge = random_judge(accuracy={"expression_r2": {EXPRESSION_NAMES[3]: 0.7, EXPRESSION_NAMES[4]: 0.2}})
    save_judge(tmp_path, judge.params, judge.config)
    assert (tmp_path / "judge.npz").stat().st_size < 3e6
    again = load_judge(tmp_path)
    assert again.config == judge.config and again.readable().tolist() == [3]
    images = np.random.default_rng(1).integers(0, 256, (3, 64, 64, 3)).astype(np.uint8)
    a, b = judge.read(images), again.read(np.stack([fit_size(image) for image in images]))
    for field in dataclasses.fields(Readings):
        np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name))
    assert a.calibrated.shape == (3, 13) and a.expression.shape == (3, E)
    np.testing.assert_allclose(np.linalg.norm(a.embedding, axis=-1), 1, rtol=1e-5)


def test_a_judge_that_cannot_be_read_is_refused_with_a_reason(tmp_path):
    with pytest.raises(InputError, match=r"demo_jax\.evaluation\.judge\.train"):
        load_judge(tmp_path)
    judge = random_judge()
    save_judge(tmp_path, judge.params, dataclasses.replace(judge.config, version=0))
    with pytest.raises(InputError, match="version 0"):
        load_judge(tmp_path)
    save_judge(tmp_path, {"face": judge.params["face"]}, judge.config)
    with pytest.raises(InputError, match="does not contain the parameters"):
        load_judge(tmp_path)
    (tmp_path / "judge.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match="damaged"):
        load_judge(tmp_path)
    (tmp_path / "judge.json").write_text(json.dumps([]))
    with pytest.raises(InputError, match="damaged"):
        load_judge(tmp_path)
    with pytest.raises(InputError, match="float64"):
        judge.read(np.zeros((1, 8, 8, 3)))


def test_the_nearest_reference_is_that_of_largest_cosine():
    assert nearest(np.array([[0.1, 3], [5, 1.0]]), np.array([[9.0, 9.1], [1, 0], [0, 1]])).tolist() == [2, 1]


def tiny_batch(count: int = 8) -> dict[str, np.ndarray]:
    """Dots whose place is the pose; the rest is noise."""
    rng = np.random.default_rng(0)
    place = rng.uniform(-0.15, 0.15, (count, 2))
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    at = (0.5 + place * (1, -1)) * SIZE
    dots = np.exp(-((columns - at[:, 0, None, None]) ** 2 + (rows - at[:, 1, None, None]) ** 2) / 200)
    calibrated, coarse = rng.normal(0.1, 0.02, (count, 13)), rng.normal(0.1, 0.02, (count, COARSE))
    calibrated[:, 6:8] = coarse[:, 3:5] = coarse[:, 6:8] = coarse[:, 8:10] = place
    return {
        "images": (255 * dots[..., None].repeat(3, -1)).astype(np.uint8),
        "calibrated": calibrated.astype(np.float32),
        "coarse": coarse.astype(np.float32),
        "expression": rng.uniform(size=(count, E)).astype(np.float32),
        "who": np.arange(count, dtype=np.int32) % 2,
    }


def test_training_learns_and_an_interrupted_run_resumes(tmp_path):
    settings = train.JudgeTrainingSettings(steps=20, batch=8, learning_rate=3e-3)
    state = train.init_state(settings, config(), people=2)
    step, batch = train.make_step(settings, config()), tiny_batch()
    losses, meta = [], {"run": "this run"}
    with RunCheckpoints(tmp_path) as checkpoints:
        assert train.resume(checkpoints, state, meta, tmp_path) is state
        for number in range(20):
            if number == 10:
                checkpoints.save(number, to_parts(state), meta)
            state, metrics = step(state, batch)
            losses.append(float(metrics["loss"]))
    assert np.mean(losses[-3:]) < 0.6 * losses[0]
    template = train.init_state(settings, config(), people=2)
    with RunCheckpoints(tmp_path) as checkpoints:
        again = train.resume(checkpoints, template, meta, tmp_path)
        with pytest.raises(InputError, match="other settings"):
            train.resume(checkpoints, template, {"run": "another run"}, tmp_path)
    assert int(again.step) == 10
    for _ in range(10):
        again, metrics = step(again, batch)
    assert float(metrics["loss"]) == losses[-1]


# Experiments in a world whose images are the numbers themselves, so that the answers are known.
LAYOUT = FactorLayout(lip=3, pose=6, gaze=4, residual=len(columns_of("residual")))
RESIDUAL = np.searchsorted(EXPRESSION_COLUMNS, columns_of("residual"))


class Numbers:
    """Puppets, reenactor and judge at once: an image is [13 calibrated, E expressions]; rendering applies `mixing`."""

    def __init__(self, mixing: np.ndarray) -> None:
        self.mixing, self.layout = mixing, LAYOUT
        self.person = random_identity(np.random.default_rng(0))
        self.config = config()

    def calibrated(self, speaker: str, motion: Motion) -> np.ndarray:
        del speaker
        found = measure(self.person, motion.pose, motion.expression, motion.eyes, 64)
        return np.concatenate([found.lips, motion.pose, motion.eyes[:, :2], found.openings], 1)

    def render(self, speaker: str, motion: Motion) -> np.ndarray:
        return np.concatenate([self.calibrated(speaker, motion), motion.expression[:, EXPRESSION_COLUMNS]], 1)

    def encode(self, images: np.ndarray) -> np.ndarray:
        return np.concatenate([images[:, :13] / CALIBRATED_SCALE, images[:, 13 + RESIDUAL]], 1)

    def source(self, image: np.ndarray) -> tuple[None, np.ndarray]:
        return None, self.encode(image[None])

    def decode(self, source: tuple[None, np.ndarray], codes: np.ndarray) -> np.ndarray:
        codes = codes @ self.mixing
        expression = np.zeros((len(codes), E))
        expression[:, RESIDUAL] = codes[:, 13:]
        return np.concatenate([codes[:, :13] * CALIBRATED_SCALE, expression], 1)

    def readable(self) -> np.ndarray:
        return RESIDUAL

    def read(self, images: np.ndarray) -> Readings:
        return Readings(calibrated=images[:, :13], expression=images[:, 13:], embedding=np.ones((len(images), 1)))


def probes(world: Numbers, count: int = 60) -> Probes:
    rng = np.random.default_rng(3)
    motion = experiments.neutral(count)
    motion.pose[:] += rng.uniform(-1, 1, (count, 6)) * (20, 10, 10, 0.05, 0.05, 0.1)
    motion.eyes[:, :2] = rng.uniform(-15, 15, (count, 2))
    motion.expression[:] = rng.uniform(0, 0.6, motion.expression.shape)
    return Probes(
        images=world.render("", motion), motion=motion, calibrated=world.calibrated("", motion),
        shape=np.zeros((count, 2)), speaker=np.repeat(["a", "b", "c"], count // 3), independent=True,
    )  # fmt: skip


def test_planted_leakage_of_the_decoder_is_found_and_nothing_else():
    yaw, gaze_yaw = CALIBRATED_NAMES.index("yaw"), CALIBRATED_NAMES.index("gaze_yaw")
    mixing = np.eye(LAYOUT.size)
    mixing[yaw, yaw] = 0.5
    mixing[yaw, gaze_yaw] = 0.4  # in units of the code: 0.4 * 10 degrees of gaze per 15 degrees of yaw
    world = Numbers(mixing)
    known = probes(world)
    found = experiments.leakage(world, world, world, known, seed=0, each=400)
    rows = found["rows"]
    assert rows == ["lip", "pose", "gaze", "residual"]
    excess = found["excess"]
    std = known.calibrated.std(0)
    # One of the six coordinates of pose moves one of the four of gaze.
    planted = 0.4 * (10 / 15) * std[yaw] / std[gaze_yaw] * np.sqrt((1 / 4) / (1 / 6)) / np.sqrt(6) * np.sqrt(6)
    share = np.sqrt(1 / 6)  # of the mean square of the shift that is yaw's
    assert excess[1, 2] == pytest.approx(planted * share, rel=0.1)  # sampling of 1200 pairs
    assert excess[1, 1] == pytest.approx(1 - 0.5 / 6, abs=0.03)
    others = excess - np.diag(np.diagonal(excess))
    others[1, 2] = 0
    # A smile widens the mouth of the true render, but not of one decoded from swapped blocks: that is no leakage.
    np.testing.assert_allclose(others, 0, atol=1e-6)
    np.testing.assert_allclose([excess[i, i] for i in (0, 2, 3)], 1, atol=1e-6)


def test_a_control_with_half_its_gain_is_found():
    mixing = np.eye(LAYOUT.size)
    yaw = CALIBRATED_NAMES.index("yaw")
    mixing[yaw, yaw] = 0.5
    world = Numbers(mixing)
    found = experiments.control_precision(world, world, world, ["a", "b"])
    assert found["yaw"]["model"]["gain"] == pytest.approx(0.5) and found["yaw"]["gain_ratio"] == pytest.approx(0.5)
    assert found["yaw"]["excess_mae"] == pytest.approx(0.5 * np.abs(experiments.GRIDS["yaw"][0]).mean(), rel=1e-5)
    for name in set(found) - {"yaw"}:
        assert found[name]["model"]["gain"] == pytest.approx(1, abs=1e-5), name
        assert found[name]["asked_high"] - found[name]["asked_low"] > 1e-2, name
    assert found["pitch"]["side_effect"] == pytest.approx(0, abs=1e-6)


def test_probes_of_a_perfect_code_are_perfect():
    world = Numbers(np.eye(LAYOUT.size))
    world.blocks = lambda codes: {n: codes[:, part] for n, part in LAYOUT.slices.items()}
    known = dataclasses.replace(probes(world, 600), shape=np.random.default_rng(0).normal(size=(600, 2)))
    found = experiments.probe(world, known)
    own = [found["excess"][i, i] for i in range(4)]
    assert own == pytest.approx([1] * 4, abs=0.02)
    assert found["model"][:4, found["columns"].index("identity")].max() < 0.05
    # Lips are measured on the face, which smiles too: the true factors are related, and the code is not at fault.
    assert found["excess"][0, 3] < 0.02
