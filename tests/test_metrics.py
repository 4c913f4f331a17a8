"""Metrics against closed forms, planted answers and other implementations."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from demo_jax.evaluation.metrics import control, disentanglement, images, motion
from demo_jax.losses import reconstruction


def textured(seed: int = 0, size: int = 48) -> np.ndarray:
    rng = np.random.default_rng(seed)
    smooth = np.kron(rng.uniform(0, 255, (size // 4, size // 4, 3)), np.ones((4, 4, 1)))
    return np.clip(smooth + rng.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)


def test_psnr_is_the_closed_form_and_only_of_its_box():
    a = np.zeros((8, 8, 3), np.uint8)
    b = a.copy()
    b[:4, :4] = 51  # a fifth of the range
    assert images.psnr(b, a, np.array([0, 0, 4, 4.0])) == pytest.approx(20 * np.log10(5))
    assert images.psnr(b, a) == pytest.approx(20 * np.log10(5) + 10 * np.log10(4))
    assert images.psnr(b, a, np.array([4, 4, 8.0, 9])) > 80


def test_psnr_agrees_with_scikit_image_and_with_that_of_training():
    a, b = textured(0), textured(1)
    expected = peak_signal_noise_ratio(a, b)
    assert images.psnr(b, a) == pytest.approx(expected, abs=1e-9)
    x, y = (jnp.asarray(image, jnp.float32)[None] / 127.5 - 1 for image in (a, b))
    assert float(reconstruction.psnr(y, x)[0]) == pytest.approx(expected, abs=1e-4)  # float32


@pytest.mark.parametrize("seed", [0, 1])
def test_ssim_agrees_with_scikit_image(seed):
    a, b = textured(seed), textured(seed + 10)
    mixed = (0.7 * a + 0.3 * b).astype(np.uint8)
    expected = structural_similarity(
        a, mixed, data_range=255, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert images.ssim(mixed, a) == pytest.approx(expected, abs=1e-9)
    assert images.ssim(a, a) == pytest.approx(1)


def test_sharpness_falls_with_contrast_squared():
    a = textured()
    half = (a // 2).astype(np.uint8)
    assert images.sharpness_ratio(a, a) == 1
    assert images.sharpness_ratio(half, a) == pytest.approx(0.25, rel=0.02)


def test_flicker_is_measured_in_the_static_part_alone():
    truth = np.full((5, 16, 16, 3), 100, np.uint8)
    truth[::2, :8] = 200  # moves
    made = truth.copy()
    made[::2, 8:] += 3  # the static half goes up and down by 3
    made[:, :8] = 0
    assert images.flicker(made, truth) == pytest.approx((3, 0))
    assert np.isnan(images.flicker(made[:1], truth[:1])).all()


def test_a_probe_finds_what_is_linear_for_all_people():
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(20), 50)
    code, noise = rng.normal(size=(1000, 4)), rng.normal(size=(1000, 1))
    truths = {"own": code @ rng.normal(size=(4, 3)), "half": code[:, :1] + noise, "none": rng.normal(size=(1000, 2))}
    # What depends on the person in a way of its own cannot be predicted for others.
    truths["person"] = rng.normal(size=(20, 2))[people]
    row = disentanglement.probe_matrix({"code": code, "who": np.eye(20)[people]}, truths, people)
    assert row[0] == pytest.approx([1, 0.5, 0, 0], abs=0.06)
    assert row[1, 3] == pytest.approx(0, abs=0.06)


def test_the_ceiling_is_the_share_of_the_largest_eigenvalues():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(100_000, 3))
    y = np.concatenate([a, -2 * a[:, :1], np.ones((100_000, 1))], 1)  # four that vary, two of them the same
    assert [disentanglement.rank_ceiling(y, k) for k in (1, 2, 3)] == pytest.approx([0.5, 0.75, 1], abs=0.01)


def test_a_probe_of_one_person_or_of_nothing_is_not_a_number():
    x = np.random.default_rng(0).normal(size=(20, 2))
    assert np.isnan(disentanglement.probe_r2(x, x, np.zeros(20)))
    assert np.isnan(disentanglement.probe_r2(x, np.ones((20, 1)), np.arange(20)))


def test_planted_leakage_is_found():
    """Reading = shift @ (gain on the diagonal, leaks beside it): the matrix comes out."""
    rng = np.random.default_rng(0)
    planted = {("a", "a"): 0.9, ("a", "b"): 0.2, ("b", "a"): 0.0, ("b", "b"): 1.1}
    shifts = {"a": rng.normal(size=(4000, 3)), "b": rng.normal(size=(4000, 2))}
    width = {"a": 3, "b": 2}
    turn = {k: np.linalg.qr(rng.normal(size=(3, 3)))[0][:, : width[k]] for k in "ab"}
    responses = {
        i: {j: planted[i, j] * (shifts[i] if i == j else shifts[i] @ turn[j][: width[i]]) for j in "ab"} for i in "ab"
    }
    found = disentanglement.leakage_matrix(responses, shifts)
    # A turn of three coordinates into two keeps the mean square of each.
    assert found == pytest.approx(np.array([[0.9, 0.2], [0.0, 1.1]]), abs=0.01)
    excess = disentanglement.excess_leakage(found, np.array([[1.0, 0.12], [0.1, 1.0]]))
    assert excess == pytest.approx(np.array([[0.9, 0.16], [0.0, 1.1]]), abs=0.01)


def test_responses_are_in_standard_deviations_of_varying_columns():
    reading, before = np.array([[3.0, 7, 1]]), np.array([[1.0, 7, 0]])
    np.testing.assert_allclose(disentanglement.response(reading, before, np.array([4.0, 2, 0])), [[0.5, 0]])


def test_cka_is_one_under_rotation_and_zero_for_unrelated_codes():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5000, 3)) * (1, 2, 3)
    turned = 5 * x @ np.linalg.qr(rng.normal(size=(3, 3)))[0] + 7
    assert disentanglement.linear_cka(x, turned) == pytest.approx(1)
    assert disentanglement.linear_cka(x, rng.normal(size=(5000, 4))) < 0.01
    # One of two equal and independent coordinates shared: the Gram norms are 1 and sqrt(2).
    y = rng.normal(size=(200_000, 2))
    assert disentanglement.linear_cka(y[:, :1], y) == pytest.approx(2**-0.5, abs=0.01)


def test_cross_covariance_finds_shared_coordinates():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(100_000, 2)), rng.normal(size=(100_000, 1))
    found = disentanglement.cross_covariance({"a": a, "b": np.concatenate([9 * a[:, :1] + 3, b], 1)})
    assert found == pytest.approx(np.array([[0, 0.5], [0.5, 0]]), abs=0.01)  # one of four pairs is equal


def test_the_papers_distances_of_orthogonal_and_equal_latents():
    a, b = np.array([[2.0, 0, 0]]), np.array([[0, 0.1, 0]])
    distance, cosine = disentanglement.paper_distances({"a": a, "b": b, "c": 5 * a})
    assert cosine == pytest.approx(np.array([[1, 0, 1], [0, 1, 0], [1, 0, 1]]))
    assert distance == pytest.approx(2**0.5 * (1 - cosine))


@pytest.mark.parametrize("degrees", [0, 25, 90])
def test_principal_angles_of_two_planes(degrees):
    rng = np.random.default_rng(0)
    q = np.linalg.qr(rng.normal(size=(50, 4)))[0]
    t = np.deg2rad(degrees)
    a = q[:, :2] @ rng.normal(size=(2, 2))  # any basis of the plane
    b = np.stack([q[:, 0] * np.cos(t) + q[:, 2] * np.sin(t), q[:, 1] * np.cos(t) + q[:, 3] * np.sin(t)], 1)
    # Rounding of 1e-16 in a cosine near 1 is 1e-8 radians.
    assert disentanglement.principal_angles(a, b @ rng.normal(size=(2, 2))) == pytest.approx([degrees] * 2, abs=1e-5)
    assert len(disentanglement.principal_angles(a, np.zeros((50, 3)))) == 0


def test_control_precision_recovers_a_planted_line():
    requested = np.tile(np.linspace(10, 30, 5), (3, 1))
    found = control.precision(requested, 0.8 * requested + 5)
    assert found == pytest.approx({"gain": 0.8, "offset": 1.0, "mae": 1.4, "correlation": 1.0})
    assert np.isnan(list(control.precision(requested[:, :1], requested[:, :1]).values())).all()


def test_the_usable_range_ends_where_the_error_is_too_large():
    grid = np.array([-20.0, -10, 0, 10, 20])
    assert control.usable_range(grid, np.array([0.1, 3, 0.5, 0.4, 0.9]), 1.0) == (-20, -20)
    assert control.usable_range(grid, np.array([0.6, 3, 0.5, 0.4, 0.9]), 1.0) == (0, 20)
    assert np.isnan(control.usable_range(grid, np.full(5, 2.0), 1.0)).all()


def test_silence_contains_no_speech():
    time = np.arange(16_000) / 16_000
    assert motion.contains_speech((1_000 * np.sin(2 * np.pi * 200 * time)).astype(np.int16))
    assert not motion.contains_speech(np.random.default_rng(0).normal(0, 10, 16_000).astype(np.int16) + np.int16(500))
