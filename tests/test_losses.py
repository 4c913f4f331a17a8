"""Image losses and InfoNCE against closed forms and plain numpy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from demo_jax.errors import InputError
from demo_jax.losses.adversarial import discriminator_hinge, generator_hinge
from demo_jax.losses.contrastive import comparable, lip_info_nce
from demo_jax.losses.perceptual import LAYERS, perceptual, vgg_features
from demo_jax.losses.reconstruction import (
    box_mask,
    gradient_l1,
    image_loss,
    multiscale_structure,
    psnr,
    ssim,
    trusted,
    weighted_l1,
)
from demo_jax.losses.vgg16 import load_vgg16


def images(seed: int, n: int = 2, size: int = 32) -> jax.Array:
    return jax.random.uniform(jax.random.key(seed), (n, size, size, 3), minval=-1)


def test_equal_images_have_no_loss():
    a = images(0)
    boxes = jnp.array([[[4.0, 4.0, 12.0, 8.0]]] * 2)
    np.testing.assert_allclose(image_loss(a, a, boxes, region=4.0, structure=0.2, sharpness=1.0), 0, atol=1e-6)
    np.testing.assert_allclose(ssim((a + 1) / 2, (a + 1) / 2), 1, atol=1e-5)


def test_images_learn_nothing_where_their_targets_cannot_be_trusted():
    target, decoded = images(0), images(1)
    trust = jnp.ones((2, 4, 4)).at[:, 1, 2].set(0.0)  # of 8 x 8 pixels each
    boxes = jnp.array([[[4.0, 4.0, 28.0, 28.0]]] * 2)

    def loss(image: jax.Array) -> jax.Array:
        kept = trusted(image, target, trust)
        return jnp.sum(image_loss(kept, target, boxes, region=4.0, structure=0.2, sharpness=1.0))

    gradient = np.asarray(jax.grad(loss)(decoded))
    hidden = np.zeros((32, 32), bool)
    hidden[8:16, 16:24] = True
    assert not gradient[:, hidden].any()
    assert (gradient[:, ~hidden] != 0).any(-1).all()
    np.testing.assert_array_equal(trusted(decoded, target, jnp.ones((2, 1, 1))), decoded)


def test_ssim_of_two_constants_is_the_luminance_term():
    a, b = jnp.full((1, 32, 32, 3), 0.2), jnp.full((1, 32, 32, 3), 0.6)
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    # A variance is a difference of squares: float32 leaves 1e-7 of it, over the constant 9e-4.
    np.testing.assert_allclose(ssim(a, b), expected, rtol=1e-3)
    np.testing.assert_allclose(multiscale_structure(2 * a - 1, 2 * b - 1), 1 - expected, rtol=1e-3)


def test_ssim_is_over_windows_of_eight_that_overlap_by_half():
    a, b = (np.asarray(images(s, 1, 16) + 1) / 2 for s in (0, 1))
    found = []
    for y in range(0, 9, 4):
        for x in range(0, 9, 4):
            p, q = a[0, y : y + 8, x : x + 8].reshape(-1, 3), b[0, y : y + 8, x : x + 8].reshape(-1, 3)
            mu, nu, cov = p.mean(0), q.mean(0), ((p - p.mean(0)) * (q - q.mean(0))).mean(0)
            below = (mu**2 + nu**2 + 1e-4) * (p.var(0) + q.var(0) + 9e-4)
            found.append((2 * mu * nu + 1e-4) * (2 * cov + 9e-4) / below)
    np.testing.assert_allclose(ssim(jnp.asarray(a), jnp.asarray(b)), np.mean(found), rtol=1e-4)


def test_hinge_losses_are_zero_beyond_their_margins():
    assert float(discriminator_hinge(jnp.array([1.0, 3.0]), jnp.array([-1.0, -9.0]))) == 0
    assert float(discriminator_hinge(jnp.array([0.5]), jnp.array([0.5]))) == 2.0
    assert float(generator_hinge(jnp.array([2.0, 4.0]))) == -3.0


@pytest.fixture(scope="module")
def vgg_file(tmp_path_factory):
    """VGG-16's first layers as torchvision names and stores them, with random numbers, and a layer we do not use."""
    rng, out = np.random.default_rng(0), {"classifier.0.weight": np.zeros((2, 2), np.float32)}
    for number, channels, size in LAYERS:
        out[f"features.{number}.weight"] = rng.normal(0, 0.1, (size, channels, 3, 3)).astype(np.float32)
        out[f"features.{number}.bias"] = rng.normal(0, 0.1, size).astype(np.float32)
    path = tmp_path_factory.mktemp("vgg") / "vgg16.safetensors"
    safetensors.numpy.save_file(out, path)
    return path, out


def test_vgg_weights_keep_their_orientation(vgg_file):
    path, stored = vgg_file
    image = np.asarray(images(0, 1, 8))
    first, second, third = vgg_features(load_vgg16(str(path)), jnp.asarray(image))
    assert (first.shape, second.shape, third.shape) == ((1, 8, 8, 64), (1, 4, 4, 128), (1, 2, 2, 256))
    # relu1_2 at one place by hand, as torch correlates: input channel, row, column.
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    x = np.pad(((image[0] + 1) / 2 - mean) / std, ((2, 2), (2, 2), (0, 0)))
    w0, b0 = stored["features.0.weight"], stored["features.0.bias"]
    near = [[np.einsum("oiyx,yxi->o", w0, x[r + 1 : r + 4, c + 1 : c + 4]) + b0 for c in (2, 3, 4)] for r in (3, 4, 5)]
    w1, b1 = stored["features.2.weight"], stored["features.2.bias"]
    expected = np.maximum(np.einsum("oiyx,yxi->o", w1, np.maximum(near, 0)) + b1, 0)
    np.testing.assert_allclose(first[0, 4, 3], expected, rtol=1e-4, atol=1e-5)


def test_perceptual_loss_grows_with_the_difference(vgg_file):
    weights, a = load_vgg16(str(vgg_file[0])), images(0, 1)
    near, far = (float(perceptual(weights, a, a + s * (images(1, 1) - a))[0]) for s in (0.1, 0.5))
    assert float(perceptual(weights, a, a)[0]) == 0 and 0 < near < far


def test_a_file_that_is_not_vgg16_is_rejected(tmp_path):
    (tmp_path / "text").write_text("no")
    with pytest.raises(InputError, match="cannot be read as a safetensors file"):
        load_vgg16(str(tmp_path / "text"))
    safetensors.numpy.save_file({"features.0.weight": np.zeros((64, 3, 5, 5), np.float32)}, tmp_path / "other")
    with pytest.raises(InputError, match=r"features.0.weight has shape \(64, 3, 5, 5\), and should"):
        load_vgg16(str(tmp_path / "other"))


def test_box_mask_holds_the_pixels_whose_centres_are_inside():
    mask = box_mask(jnp.array([[[1.0, 2.0, 3.0, 3.0], [0.0, 0.0, 1.0, 1.0]]]), 4)[0, :, :, 0]
    expected = np.zeros((4, 4))
    expected[2, 1:3] = 1
    expected[0, 0] = 1
    np.testing.assert_array_equal(mask, expected)


def test_weighted_l1_is_a_weighted_mean():
    a, b = images(0), images(1)
    weight = 1 + 4 * box_mask(jnp.array([[[4.0, 4.0, 12.0, 8.0]]] * 2), 32)
    w, d = np.asarray(weight), np.abs(np.asarray(a) - np.asarray(b))
    expected = [np.average(d[i].mean(-1), weights=w[i, :, :, 0]) for i in range(2)]
    np.testing.assert_allclose(weighted_l1(a, b, weight), expected, rtol=1e-5)


def test_the_gradient_loss_of_a_ramp_is_its_slope():
    ramp = jnp.broadcast_to(0.01 * jnp.arange(32.0)[None, None, :, None], (2, 32, 32, 3))
    a, even = images(2), jnp.ones((2, 32, 32, 1))
    # Each halving doubles the slope per pixel; the other direction is flat.
    np.testing.assert_allclose(gradient_l1(a + ramp, a, even), (0.01 + 0.02 + 0.04) / 3 / 2, rtol=1e-3)
    np.testing.assert_allclose(gradient_l1(a + 0.3, a, even), 0, atol=1e-6)  # a constant has no gradient
    # Where it is steep only on one side, what that side weighs decides.
    bent = ramp.at[:, :, 16:].set(ramp[:, :, 16:17])
    left = jnp.broadcast_to(jnp.where(jnp.arange(32)[None, None, :, None] < 16, 3.0, 1.0), even.shape)
    assert 1.4 < float(gradient_l1(a + bent, a, left)[0] / gradient_l1(a + bent, a, even)[0]) < 1.6  # 3/4 over 1/2


def test_an_image_loss_is_the_sum_of_its_terms():
    a, b, boxes = images(0), images(1), jnp.array([[[4.0, 4.0, 12.0, 8.0]]] * 2)
    whole = image_loss(a, b, boxes, region=4.0, structure=0.2, sharpness=0.7)
    plain = image_loss(a, b, boxes, region=4.0, structure=0.0, sharpness=0.0)
    weight = 1 + 4 * box_mask(boxes, 32)
    more = 0.2 * multiscale_structure(a, b) + 0.7 * gradient_l1(a, b, weight)
    np.testing.assert_allclose(whole, plain + more, rtol=1e-5)
    np.testing.assert_allclose(plain, weighted_l1(a, b, weight), rtol=1e-6)


def test_psnr_of_a_known_error_and_within_a_mask():
    a = jnp.zeros((1, 8, 8, 3))
    np.testing.assert_allclose(psnr(a, a + 0.2), -10 * np.log10(0.1**2), rtol=1e-5)
    mask = box_mask(jnp.array([[[0.0, 0.0, 4.0, 8.0]]]), 8)
    b = a.at[:, :, 4:].add(1.0) + 0.2 * mask
    np.testing.assert_allclose(psnr(a, b, mask), 20.0, rtol=1e-5)
    assert float(psnr(a + 3, a + 1)[0]) == pytest.approx(100.0)  # clipped, as when written


def test_comparable_leaves_out_near_silent_and_same_phoneme_pairs():
    clip, time = jnp.array([0, 0, 0, 1, 1]), jnp.array([0, 5, 6, 0, 90])
    voiced, phoneme = jnp.array([True, True, False, False, True]), jnp.array([3, 4, -1, -1, 3])
    out = np.asarray(comparable(clip, time, voiced, phoneme))
    assert not out.diagonal().any()
    assert not out[0, 1] and out[0, 2]  # 5 frames apart, 6 frames apart
    assert not out[2, 3]  # both silent
    assert not out[0, 4]  # the same phoneme
    assert out[1, 3] and (out == out.T).all()


def test_info_nce_equals_numpy_and_ignores_what_is_left_out():
    lips = jax.random.normal(jax.random.key(0), (5, 8))
    audio = jax.random.normal(jax.random.key(1), (5, 8))
    negatives = ~jnp.eye(5, dtype=bool) & ~jnp.zeros((5, 5), bool).at[0, 1].set(True).at[1, 0].set(True)
    anchors = jnp.array([True, True, True, False, True])
    loss, accuracy = lip_info_nce(lips, audio, negatives, anchors, 0.2)

    l, a = np.asarray(lips, np.float64), np.asarray(audio, np.float64)
    l, a = l / np.linalg.norm(l, axis=1, keepdims=True), a / np.linalg.norm(a, axis=1, keepdims=True)
    scores, allowed = l @ a.T / 0.2, np.asarray(negatives) | np.eye(5, dtype=bool)
    losses, right = [], []
    for s, m in ((scores, allowed), (scores.T, allowed.T)):
        for i in np.flatnonzero(anchors):
            row = np.where(m[i], s[i], -np.inf)
            losses.append(np.log(np.exp(row).sum()) - s[i, i])
            right.append(row.argmax() == i)
    assert float(loss) == pytest.approx(np.mean(losses), rel=1e-5)
    assert float(accuracy) == pytest.approx(np.mean(right))


def test_info_nce_prefers_matching_pairs_and_survives_silence():
    x = jax.random.normal(jax.random.key(0), (6, 8))
    everything = ~jnp.eye(6, dtype=bool)
    matched = lip_info_nce(x, x, everything, jnp.ones(6, bool), 0.1)
    crossed = lip_info_nce(x, x[::-1], everything, jnp.ones(6, bool), 0.1)
    assert float(matched[1]) == 1 and float(matched[0]) < float(crossed[0])
    gradient = jax.grad(lambda x: lip_info_nce(x, x, everything, jnp.zeros(6, bool), 0.1)[0])(x)
    assert np.isfinite(gradient).all() and not gradient.any()
