"""What keeps factors apart: statistics and distances against closed forms, and each term on planted leaks."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines.loading.augmentation import shift_truth
from demo_jax.config import Stage1LossConfig
from demo_jax.errors import InputError
from demo_jax.factors import FACTORS, FactorLayout, columns_of
from demo_jax.losses.contrastive import gaze_contrast, other_gaze
from demo_jax.losses.disentanglement import code_distance, cosine_overlap, cross_covariance, spread
from demo_jax.models.autoencoder import AutoEncoder
from demo_jax.training import stage1_losses
from demo_jax.training.code_blocks import Blocks, swap_factor, teacher_force, undo_shift
from tests import tiny_model

LAYOUT = FactorLayout(lip=4, pose=6, gaze=5, residual=2)
BLOCKS = Blocks(layout=LAYOUT)
OFF = Stage1LossConfig(
    **{f.name: 0.0 for f in dataclasses.fields(Stage1LossConfig) if f.name not in ("temperature", "merged", "vgg16")}
)


def normal(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def test_cross_covariance_of_a_copy_is_its_squared_correlation_and_ignores_scale():
    x = np.asarray(normal(0, 200, 3))
    codes = np.c_[x[:, 0], x[:, 1], 0.6 * x[:, 0] + 0.8 * x[:, 2]]
    block, free = np.array([0, 0, 1]), np.zeros(3, bool)
    wanted = np.mean([np.corrcoef(codes[:, i], codes[:, 2])[0, 1] ** 2 for i in (0, 1)])
    found = cross_covariance(jnp.asarray(codes), block, free)
    assert float(found) == pytest.approx(wanted, rel=1e-3)  # the variance floor costs 2e-4
    assert float(cross_covariance(jnp.asarray(codes * [5, 1, 9]), block, free)) == pytest.approx(wanted, rel=1e-3)


def test_cross_covariance_lets_truth_correlate_with_truth():
    x = normal(0, 64, 1)
    codes, block = jnp.concatenate([x, x, normal(1, 64, 1)], 1), np.array([0, 1, 1])
    both = cross_covariance(codes, block, np.array([True, True, False]))
    one = cross_covariance(codes, block, np.array([True, False, False]))
    assert float(both) == pytest.approx(float(np.corrcoef(codes[:, 0], codes[:, 2])[0, 1] ** 2), abs=1e-3)
    assert float(one) > 0.45  # the copy counts for half of the pairs
    assert float(cross_covariance(codes, np.zeros(3, int), np.zeros(3, bool))) == 0  # no split, nothing to keep apart


def test_code_distance_weighs_blocks_alike_and_only_what_is_kept():
    a, b = jnp.zeros((2, 5)), jnp.array([[1.0, 1, 1, 1, 4], [3, 3, 3, 3, 8]])
    block, scale = np.array([0, 0, 0, 0, 1]), jnp.array([1.0, 1, 1, 1, 2])
    assert float(code_distance(a, b, scale, block, jnp.ones((2, 5), bool))) == pytest.approx((2 + 3) / 2)
    first = jnp.array([[True] * 5, [False] * 5])
    assert float(code_distance(a, b, scale, block, first)) == pytest.approx((1 + 2) / 2)
    only = jnp.array([[False] * 4 + [True], [False] * 5])
    assert float(code_distance(a, b, scale, block, only)) == pytest.approx(2)
    assert float(code_distance(a, b, scale, block, jnp.zeros((2, 5), bool))) == 0


def test_the_distance_in_spreads_does_not_fall_when_codes_shrink():
    a, b = normal(0, 32, 4), normal(1, 32, 4)

    def distance(factor: float) -> float:
        codes = jnp.concatenate([a, b]) * factor
        return code_distance(a * factor, b * factor, spread(codes), np.zeros(4, int), jnp.ones(a.shape, bool))

    # The floor of the spread (0.01) is 1 part in 1000 of 0.3.
    assert float(distance(0.3)) == pytest.approx(float(distance(1.0)), rel=2e-3)


def test_cosine_overlap():
    e = jnp.eye(4)
    assert float(cosine_overlap([e[:1], 2 * e[1:2], e[2:3]])) == pytest.approx(0, abs=1e-6)
    assert float(cosine_overlap([e[:1], -3 * e[:1]])) == pytest.approx(1, abs=1e-5)
    half = e[:1] + e[1:2]  # 45 degrees from two of the others, which are orthogonal
    assert float(cosine_overlap([e[:1], e[1:2], half])) == pytest.approx((0 + 0.5 + 0.5) / 3, abs=1e-5)


def test_gaze_contrast_equals_its_definition():
    anchors, positives, candidates = normal(0, 3, 4), normal(1, 3, 4), normal(2, 5, 4)
    negatives = jnp.array([[1, 1, 0, 0, 1], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0]], bool)
    loss, accuracy = gaze_contrast(anchors, positives, candidates, negatives, 0.3)

    def cosine(x, y):
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        return x @ y / np.linalg.norm(x) / np.linalg.norm(y)

    losses, right = [], []
    for i in (0, 1):  # the last has no negatives
        good = cosine(anchors[i], positives[i]) / 0.3
        bad = [cosine(anchors[i], candidates[j]) / 0.3 for j in np.flatnonzero(negatives[i])]
        losses.append(np.log(np.exp(good) + np.sum(np.exp(bad))) - good)
        right.append(good > max(bad))
    assert float(loss) == pytest.approx(np.mean(losses), rel=1e-5)
    assert float(accuracy) == pytest.approx(np.mean(right))
    nothing = gaze_contrast(anchors, positives, candidates, jnp.zeros((3, 5), bool), 0.3)
    assert [float(x) for x in nothing] == [0, 0]


def test_other_gazes_are_known_and_more_than_5_degrees_away():
    anchors, usable = jnp.array([[0.0, 0], [0, 0], [jnp.nan, 0]]), jnp.array([True, False, True])
    candidates = jnp.array([[3.0, 3.9], [3, 4.1], [-20, 0], [jnp.nan, 9]])
    assert other_gaze(anchors, candidates, usable).tolist() == [[False, True, True, False], [False] * 4, [False] * 4]


def test_swap_takes_one_block_or_what_it_is_merged_into():
    base, redrawn = jnp.zeros((4, LAYOUT.size)), jnp.ones((4, LAYOUT.size))
    mixed = swap_factor(base, redrawn, jnp.arange(4), BLOCKS)
    for i, factor in enumerate(FACTORS):
        assert set(np.flatnonzero(mixed[i])) == set(range(LAYOUT.size)[LAYOUT.slices[factor]])
    merged = Blocks(layout=LAYOUT, merged=("lip",))
    mixed = np.asarray(swap_factor(base, redrawn, jnp.arange(4), merged))
    lip, residual = (set(range(LAYOUT.size)[LAYOUT.slices[f]]) for f in ("lip", "residual"))
    assert set(np.flatnonzero(mixed[0])) == set(np.flatnonzero(mixed[3])) == lip | residual
    assert not merged.fixed[list(lip)].any() and merged.fixed.sum() == 10
    paper = Blocks(layout=FactorLayout(lip=10, pose=6, gaze=6, residual=0))
    assert paper.moving(jnp.arange(4)).any(1).tolist() == [True, True, True, False]


def test_teacher_forcing_takes_what_is_known_and_not_merged():
    codes, truth = jnp.zeros((2000, LAYOUT.size)), jnp.ones((2000, 13)).at[0].set(jnp.nan)
    given = teacher_force(jax.random.key(0), codes, truth, BLOCKS, share=0.5, lip_share=0.25)[1:]
    lip, pose, gaze = (given[:, LAYOUT.calibrated[p]] for p in (slice(3), slice(3, 9), slice(9, 13)))
    for part, share in ((lip, 0.25), (pose, 0.5), (gaze, 0.5)):
        assert ((part == part[:, :1]).all(1)).all()
        assert abs(float(part.mean()) - share) < 0.05  # 4 standard errors of 2000 draws
    assert (pose[:, 0] == gaze[:, 0]).all()
    everything = teacher_force(jax.random.key(0), codes, truth, BLOCKS, share=1.0, lip_share=1.0)
    assert not everything[0].any() and float(everything[1].sum()) == 13
    merged = Blocks(layout=LAYOUT, merged=("pose",))
    assert float(teacher_force(jax.random.key(0), codes, truth, merged, share=1.0, lip_share=1.0)[1].sum()) == 7


def test_false_free_coordinates_are_another_rows_and_spare_the_calibrated_ones():
    codes = jnp.broadcast_to(jnp.arange(400.0)[:, None], (400, LAYOUT.size))
    truth = jnp.full((400, 13), jnp.nan)
    given = np.asarray(
        teacher_force(jax.random.key(0), codes, truth, BLOCKS, share=0.0, lip_share=0.0, false_share=0.25) - codes
    )[1:]
    free = [i for f in ("lip", "gaze") for i in range(LAYOUT.size)[LAYOUT.slices[f]] if i not in LAYOUT.calibrated]
    assert set(np.flatnonzero(given.any(0))) == set(free)
    assert set(np.unique(given)) == {-1.0, 0.0}  # the row before
    assert abs(-given[:, free].mean() - 0.25) < 0.09  # 4 standard errors of 399 draws
    assert (given[:, free] == given[:, free[:1]]).all()


def test_undo_shift_is_the_inverse_of_shifting_the_truth():
    truth = np.asarray(normal(3, 6, 13))
    shifts = np.asarray(0.1 * normal(4, 6, 3))
    moved = np.stack([shift_truth(t, s) for t, s in zip(truth, shifts, strict=True)])
    assert np.abs(moved - truth).max() > 0.1
    codes = jnp.ones((6, LAYOUT.size)).at[:, LAYOUT.calibrated].set(moved)
    back = undo_shift(codes, jnp.asarray(shifts), LAYOUT)
    np.testing.assert_allclose(back[:, LAYOUT.calibrated], truth, atol=1e-5)
    rest = np.setdiff1d(np.arange(LAYOUT.size), LAYOUT.calibrated)
    assert (np.asarray(back)[:, rest] == 1).all()


def test_supervision_is_the_mean_error_of_factors_and_skips_the_unknown():
    codes = jnp.zeros((2, LAYOUT.size))
    truth = jnp.concatenate([jnp.full((2, 3), 1.0), jnp.full((2, 6), 2.0), jnp.full((2, 4), 3.0)], 1)
    truth = truth.at[1, :3].set(jnp.nan)
    assert float(stage1_losses.supervision(codes, truth, BLOCKS)) == pytest.approx((1 + 2 + 3) / 3)
    without = Blocks(layout=LAYOUT, merged=("pose",))
    assert float(stage1_losses.supervision(codes, truth, without)) == pytest.approx((1 + 3) / 2)


def test_expressions_are_compared_where_known_and_factors_weigh_alike():
    truth = jnp.zeros((2, 52)).at[1, columns_of("lip")].set(jnp.nan)
    lip, residual = (jnp.ones((2, len(columns_of(f)))) for f in ("lip", "residual"))
    assert float(stage1_losses.expression_error({"lip": lip, "residual": 3 * residual}, truth)) == pytest.approx(
        (1 + 9) / 2
    )
    assert float(stage1_losses.expression_error({"lip": lip}, jnp.full((2, 52), jnp.nan))) == 0


def test_a_block_says_nothing_of_other_factors_expressions():
    model, params = AutoEncoder(tiny_model.STAGE1.model), tiny_model.model().autoencoder_params
    layout = tiny_model.LAYOUT

    def read(codes):
        return model.apply({"params": params}, codes, method=AutoEncoder.read_expressions)

    base, moved = np.zeros((1, layout.size), np.float32), np.zeros((1, layout.size), np.float32)
    moved[:, layout.slices["gaze"]] = 1.0
    before, after = read(jnp.asarray(base)), read(jnp.asarray(moved))
    assert set(before) == {"lip", "gaze", "residual"}
    changed = {f for f in before if not np.array_equal(before[f], after[f])}
    assert changed == {"gaze"}


class _NoNet(stage1_losses.BoundAutoEncoder):
    def __call__(self, *args):
        raise AssertionError("this term needs no network")


def planted(leak: float, **weights: float) -> dict[str, float]:
    """Code terms of sets in which redrawing factor i also moves the next factor's coordinates by `leak`."""
    base = np.array(normal(5, 4, LAYOUT.size))
    redrawn = base.copy()
    for i, factor in enumerate(FACTORS):
        redrawn[i, LAYOUT.slices[factor]] += 1.0
        redrawn[i, LAYOUT.slices[FACTORS[(i + 1) % 4]]] += leak
    codes = {"source": normal(6, 4, LAYOUT.size), "set_driving": base, "set_redrawn": redrawn, "set_source": base}
    codes |= {"set_reidentity": base + leak, "set_reidentity_source": base}
    codes = {name: jnp.asarray(code) for name, code in codes.items()} | {"driving": codes["source"]}
    loss = dataclasses.replace(OFF, **weights)
    window = jnp.repeat(codes["source"][:, None], 5, 1)
    net = _NoNet(model=AutoEncoder(tiny_model.STAGE1.model), params={})
    terms = stage1_losses.code_terms(net, loss, BLOCKS, tiny_model.stage1_batch(), codes, window)
    return {name: float(value) for name, value in terms.items()}


def test_consistency_sees_a_planted_leak_and_only_that():
    clean, leaky, worse = (planted(x, consistency=1.0) for x in (0.0, 0.2, 0.4))
    assert clean == {"consistency": 0}
    assert 0 < leaky["consistency"] < worse["consistency"]
    assert leaky.keys() == {"consistency"}


def test_identity_sees_a_code_that_knows_who_it_is():
    assert planted(0.0, identity=1.0) == {"identity": 0}
    assert planted(0.2, identity=1.0)["identity"] > 0.03


def test_factors_that_cannot_be_merged_are_refused():
    with pytest.raises(InputError, match=r"loss\.merged"):
        Stage1LossConfig(merged=("residual",))
