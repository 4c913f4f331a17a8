"""Mattes: the network's size and weights, the guided filter by brute force, foreground colours of a known composite."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from demo_jax.errors import InputError
from demo_jax.media.images import read_image
from demo_jax.models import matte as network
from demo_jax.rendering import guided_filter, matte
from demo_jax.rendering.foreground import SOLVED_SIDE, foreground, layers
from demo_jax.rendering.matte import find_mattes, flattened, weights
from demo_jax.rendering.resizing import enlarged_rows, reduced
from demo_jax.rendering.upright import FACES_PER_SQUARE, cut_square, square_to_photograph

# The face of matplotlib's public-domain portrait, as the face landmarker and `faces.measures` found it.
CENTRE, FACE_WIDTH, ROLL, CHIN = (263.0, 195.5), 185.2, 3.2, 334.6


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    cbook = pytest.importorskip("matplotlib.cbook", reason="its portrait comes with the prepare extra")
    return read_image(Path(cbook._get_data_path("sample_data/grace_hopper.jpg")))


@pytest.fixture(scope="module")
def mattes(photograph: np.ndarray) -> matte.Mattes:
    return find_mattes(photograph, CENTRE, FACE_WIDTH, ROLL)


def test_the_network_is_small() -> None:
    images = jax.ShapeDtypeStruct((1, network.SIZE, network.SIZE, 3), jnp.float32)
    params = jax.eval_shape(network.initial, jax.random.key(0))
    flops = jax.jit(network.logits).lower(params, images).cost_analysis()["flops"]
    assert 10e6 < flops < 45e6  # below the lower bound XLA has not counted the products
    assert jax.eval_shape(network.logits, params, images).shape == (1, network.SIZE, network.SIZE, 2)


def test_the_bundled_weights_are_the_networks() -> None:
    wanted = jax.eval_shape(network.initial, jax.random.key(0))
    assert jax.tree.map(jnp.shape, weights()) == jax.tree.map(jnp.shape, wanted)
    assert matte.WEIGHTS.stat().st_size < 1_000_000
    assert all(np.isfinite(array).all() for array in flattened(weights()).values())


def test_depthwise_convolution_equals_xlas() -> None:
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, 6, 5, 3)).astype(np.float32), rng.normal(size=(3, 3, 3)).astype(np.float32)
    numbers = ("NHWC", "HWIO", "NHWC")
    wanted = jax.lax.conv_general_dilated(
        x, kernel[:, :, None], (1, 1), "SAME", dimension_numbers=numbers, feature_group_count=3
    )
    np.testing.assert_allclose(network.depthwise(jnp.array(x), jnp.array(kernel)), wanted, rtol=0, atol=1e-5)


def test_mattes_of_a_portrait(photograph: np.ndarray, mattes: matte.Mattes) -> None:
    assert mattes.person.shape == mattes.head.shape == photograph.shape[:2]
    assert mattes.person.dtype == mattes.head.dtype == np.float32
    for found in (mattes.person, mattes.head):
        assert found.min() >= 0 and found.max() <= 1
    assert (mattes.head <= mattes.person + 1e-6).all()
    x, y = (round(c) for c in CENTRE)
    face = (slice(y - 80, y + 80), slice(x - 70, x + 70))
    assert mattes.person[face].min() > 0.98 and mattes.head[face].min() > 0.98
    assert mattes.person[:60, :60].max() < 0.02 and mattes.person[:60, -60:].max() < 0.02  # the upper corners
    below = round(CHIN + 0.5 * FACE_WIDTH)  # the fade ends at 0.35, and chins are found within 0.1
    assert mattes.person[below:, 200:320].min() > 0.9  # the torso
    assert mattes.head[below:].max() < 0.1
    assert 0.2 < mattes.head[round(CHIN + 0.15 * FACE_WIDTH), x] < 0.9  # the fade


def test_mattes_are_deterministic(photograph: np.ndarray, mattes: matte.Mattes) -> None:
    again = find_mattes(photograph, CENTRE, FACE_WIDTH, ROLL)
    np.testing.assert_array_equal(again.person, mattes.person)
    np.testing.assert_array_equal(again.head, mattes.head)


def test_mattes_follow_the_roll(photograph: np.ndarray, mattes: matte.Mattes) -> None:
    """The photograph turned by a quarter has the mattes turned by a quarter, up to the interpolation of the square."""
    turned = np.ascontiguousarray(np.rot90(photograph))  # counter-clockwise: the head's top to image left
    found = find_mattes(turned, (CENTRE[1], photograph.shape[1] - CENTRE[0]), FACE_WIDTH, ROLL + 90)
    assert np.abs(found.person - np.rot90(mattes.person)).mean() < 0.005
    assert np.abs(found.head - np.rot90(mattes.head)).mean() < 0.005


def test_mattes_of_large_photographs_are_fitted_on_reduced_ones(photograph: np.ndarray, mattes: matte.Mattes) -> None:
    large = np.repeat(np.repeat(photograph, 3, 0), 3, 1)
    found = find_mattes(large, (CENTRE[0] * 3, CENTRE[1] * 3), FACE_WIDTH * 3, ROLL)
    assert found.person.shape == large.shape[:2]
    assert np.abs(reduced(found.person, *photograph.shape[:2]) - mattes.person).mean() < 0.01


def test_beyond_the_square_the_person_continues_and_there_is_no_head(photograph: np.ndarray) -> None:
    tall = np.pad(photograph, ((0, 600), (400, 400), (0, 0)), mode="edge")
    found = find_mattes(tall, (CENTRE[0] + 400, CENTRE[1]), FACE_WIDTH)
    bottom = int(np.ceil(CENTRE[1] + FACES_PER_SQUARE / 2 * FACE_WIDTH))
    np.testing.assert_array_equal(
        found.person[bottom:], np.broadcast_to(found.person[bottom - 1], (len(tall) - bottom, tall.shape[1]))
    )
    assert found.head[bottom:].max() == 0 and found.head[:, :250].max() == 0


def test_a_face_outside_the_photograph_is_an_error(photograph: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"face of 100 px at \(900, 10\) does not lie in the photograph of 512 x 600"):
        find_mattes(photograph, (900.0, 10.0), 100.0)


def test_the_square_shows_what_its_matrix_says() -> None:
    """Colours are a linear function of the place, so that interpolation and area means are exact inside."""
    height, width = 300, 400
    y, x = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
    image = np.stack([x * 0.6, y * 0.8, 0 * x + 7], -1)
    matrix = square_to_photograph((210.0, 140.0), 55.0, 20.0, 32)
    square = cut_square(np.round(image).astype(np.uint8), matrix, 32)
    centres = np.stack(np.meshgrid(np.arange(32) + 0.5, np.arange(32) + 0.5), -1)
    at = centres @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(square[..., 0], at[..., 0] * 0.6, atol=1.2)  # bytes, and a reduced grid of whole pixels
    np.testing.assert_allclose(square[..., 1], at[..., 1] * 0.8, atol=1.2)
    up = np.array([16, 0]) @ matrix[:, :2].T + matrix[:, 2] - (210, 140)
    assert up[0] < 0 and up[1] < 0  # a positive roll: the head's top to image left


def test_the_guided_filter_equals_its_definition() -> None:
    rng = np.random.default_rng(0)
    guide, values = rng.random((9, 8, 3)).astype(np.float32), rng.random((9, 8)).astype(np.float32)
    radius, epsilon = 2, 0.01
    pad = [(radius, radius), (radius, radius)]
    mirrored, p = np.pad(guide, [*pad, (0, 0)], mode="symmetric"), np.pad(values, pad, mode="symmetric")
    window = 2 * radius + 1
    lines = np.zeros((9, 8, 4))
    for i in range(9):
        for j in range(8):
            colours = mirrored[i : i + window, j : j + window].reshape(-1, 3).astype(np.float64)
            inputs = p[i : i + window, j : j + window].ravel().astype(np.float64)
            # Ridge regression: least squares plus n epsilon |a|^2.
            n, centred = len(inputs), colours - colours.mean(0)
            a = np.linalg.solve(centred.T @ centred / n + epsilon * np.eye(3), centred.T @ (inputs - inputs.mean()) / n)
            lines[i, j] = *a, inputs.mean() - a @ colours.mean(0)
    padded = np.pad(lines, [*pad, (0, 0)], mode="symmetric")
    wanted = np.lib.stride_tricks.sliding_window_view(padded, (window, window), (0, 1)).mean((-1, -2))
    found = guided_filter.coefficients(guide, values, radius, epsilon)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4)  # differences of float32 means of squares
    np.testing.assert_allclose(
        guided_filter.apply(found, guide), (wanted[..., :3] * guide).sum(-1) + wanted[..., 3], rtol=0, atol=1e-4
    )


def _composite(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A soft disc of one smooth colour on another: image, matte, and the true layers."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, size),) * 2, indexing="ij")
    alpha = np.clip((0.6 - np.hypot(x, y)) / 0.15 + 0.5, 0, 1).astype(np.float32)
    front = np.stack([150 + 40 * x, 60 + 20 * y, 30 + 0 * x], -1)
    back = np.stack([40 + 0 * x, 120 + 20 * x, 200 + 30 * y], -1)
    image = alpha[..., None] * front + (1 - alpha[..., None]) * back
    return np.round(image).astype(np.uint8), alpha, front, back


@pytest.mark.parametrize("size", [120, SOLVED_SIDE + 50])
def test_the_layers_of_a_known_composite(size: int) -> None:
    image, alpha, front, back = _composite(size)
    found_front, found_back = layers(image, alpha)
    assert found_front.dtype == np.float32 and found_front.shape == image.shape
    rim = (alpha > 0.1) & (alpha < 0.9)
    for found, true in ((found_front, front), (found_back, back)):
        before = np.abs(image.astype(float) - true)[rim].mean()
        assert np.abs(found - true)[rim].mean() < 0.12 * before  # smooth layers are not constant: some bias remains
    again = alpha[..., None] * found_front + (1 - alpha[..., None]) * found_back
    assert np.abs(again - image).max() < 4
    solid = alpha == 1
    np.testing.assert_allclose(foreground(image, alpha)[solid], image[solid], rtol=0, atol=1.0)


def test_a_matte_of_another_size_is_an_error() -> None:
    with pytest.raises(InputError, match="the photograph is 40 x 30 and its matte 30 x 40"):
        foreground(np.zeros((30, 40, 3), np.uint8), np.zeros((40, 30), np.float32))


@pytest.mark.parametrize(("before", "after"), [(12, 4), (13, 5), (7, 7)])
def test_reducing_keeps_means(before: int, after: int) -> None:
    values = np.random.default_rng(0).random((before, before + 1)).astype(np.float32)
    small = reduced(values, after, after)
    np.testing.assert_allclose(small.mean(), values.mean(), rtol=1e-5)
    # Repeating each pixel `after` times makes whole windows of both sizes.
    fine = np.repeat(np.repeat(values, after, 0), after, 1).astype(np.float64)
    np.testing.assert_allclose(small, fine.reshape(after, before, after, before + 1).mean((1, 3)), rtol=1e-5)


def test_enlarging_rows_equals_jax() -> None:
    values = np.random.default_rng(0).random((5, 4, 2)).astype(np.float32)
    wanted = jax.image.resize(values, (13, 10, 2), "bilinear")
    np.testing.assert_allclose(enlarged_rows(values, 13, 10, slice(3, 11)), wanted[3:11], rtol=0, atol=1e-6)
