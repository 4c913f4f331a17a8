"""The networks: exact layers against their definitions, and which inputs may influence which outputs."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import full_autoencoder, puppet_128_autoencoder
from demo_jax.config import AutoEncoderConfig, FlowTransformerConfig, from_config_dict
from demo_jax.evaluation.judge import regressor
from demo_jax.factors import FactorLayout
from demo_jax.flow import condition as conditions
from demo_jax.models import layers
from demo_jax.models.autoencoder import AutoEncoder
from demo_jax.models.flow_transformer import FlowTransformer, _detail
from demo_jax.models.geometry.warp import identity_grid, warp
from demo_jax.models.layers import (
    ModulatedBlock,
    depth_to_space,
    space_to_depth,
    upsample_bilinear,
    upsample_nearest,
)
from demo_jax.models.motion_encoder import orthonormal

TINY = AutoEncoderConfig(
    size=32,
    levels=((8, 16), (16, 8)),
    latent=48,
    style_width=16,
    encoder_size=32,
    encoder_channels=(8, 8, 16),
    encoder_width=32,
    projection=8,
)


def dense_warp(image, grid):
    """The same by hat functions and a matrix product, for jax.grad to differentiate on its own."""
    height, width = image.shape[1:3]
    x = jnp.clip((grid[..., 0] + 1) * width / 2 - 0.5, 0, width - 1)
    y = jnp.clip((grid[..., 1] + 1) * height / 2 - 0.5, 0, height - 1)
    hat_x = jax.nn.relu(1 - jnp.abs(x[..., None] - jnp.arange(width)[None, None, None]))
    hat_y = jax.nn.relu(1 - jnp.abs(y[..., None] - jnp.arange(height)[None, None, None]))
    return jnp.einsum("bhwi,bhwj,bijc->bhwc", hat_y, hat_x, image)


def test_warp_by_the_identity_is_the_image():
    image = jax.random.normal(jax.random.key(0), (2, 6, 9, 3))
    grid = jnp.broadcast_to(identity_grid(6, 9)[None], (2, 6, 9, 2))
    np.testing.assert_allclose(warp(image, grid), image, atol=2e-6)  # rounding of the pixel positions


def test_warp_by_one_pixel_shifts_and_repeats_the_border():
    image = jax.random.normal(jax.random.key(0), (1, 4, 8, 2))
    grid = identity_grid(4, 8)[None] + jnp.array([2 / 8, 0.0])[None, None, None]
    expected = jnp.concatenate([image[:, :, 1:], image[:, :, -1:]], 2)
    np.testing.assert_allclose(warp(image, grid), expected, atol=3e-6)


def test_warp_and_its_gradients_equal_the_dense_form():
    image = jax.random.normal(jax.random.key(0), (2, 8, 6, 4))
    grid = identity_grid(5, 7)[None] + 0.4 * jax.random.normal(jax.random.key(1), (2, 5, 7, 2))
    weight = jax.random.normal(jax.random.key(2), (2, 5, 7, 4))
    np.testing.assert_allclose(warp(image, grid), dense_warp(image, grid), atol=5e-6)
    ours = jax.jit(jax.grad(lambda i, g: jnp.sum(warp(i, g) * weight), (0, 1)))(image, grid)
    theirs = jax.jit(jax.grad(lambda i, g: jnp.sum(dense_warp(i, g) * weight), (0, 1)))(image, grid)
    np.testing.assert_allclose(ours[0], theirs[0], atol=2e-5)
    np.testing.assert_allclose(ours[1], theirs[1], atol=2e-4)  # sums over channels, times half the width


def test_the_regressors_own_sampler_equals_warp():
    """It repeats the border a thousandth of a pixel earlier: places outside the image are left out."""
    image = jax.random.normal(jax.random.key(0), (2, 40, 40, 3))
    place = jnp.zeros((2, 10)).at[:, 2].set(jnp.array([8.0, -30.0])).at[:, 3].set(0.3)  # roll; to the right
    grid = jnp.broadcast_to(jnp.pad(identity_grid(40, 40), ((0, 0), (0, 0), (0, 1)))[None], image.shape)
    grid = regressor.cut(grid, place, place[:, 3:5], regressor.EYES)[..., :2]  # linear: samples are the positions
    inside = np.asarray(jnp.abs(grid).max(-1) < 1 - 1.1 / 40)
    assert 0.5 < inside.mean() < 1
    ours, theirs = warp(image, grid), regressor.cut(image, place, place[:, 3:5], regressor.EYES)
    np.testing.assert_allclose(ours[inside], theirs[inside], atol=1e-4)  # positions rounded to float32, slopes up to 6


def test_space_to_depth_round_trip():
    x = jnp.arange(2 * 4 * 6 * 3.0).reshape(2, 4, 6, 3)
    assert (depth_to_space(space_to_depth(x)) == x).all()


def test_doubling_is_bilinear_resizing():
    x = jax.random.normal(jax.random.key(0), (2, 5, 3, 4))
    np.testing.assert_allclose(upsample_bilinear(x), jax.image.resize(x, (2, 10, 6, 4), "bilinear"), atol=1e-6)


@pytest.mark.parametrize("channels", [6, 8])
def test_a_doubling_block_is_the_block_of_the_doubled_image(channels):
    x = jax.random.normal(jax.random.key(0), (2, 5, 3, 8))
    style = jax.random.normal(jax.random.key(1), (2, 4))
    plain, doubling = ModulatedBlock(channels), ModulatedBlock(channels, doubles=True)
    variables = jax.jit(doubling.init)(jax.random.key(2), x, style)
    variables = jax.tree.map(lambda a: a + 0.1, variables)  # biases are zero at first

    def of_doubled(variables, x):
        return plain.apply(variables, upsample_nearest(x), style)

    def doubled(variables, x):
        return doubling.apply(variables, x, style)

    np.testing.assert_allclose(jax.jit(doubled)(variables, x), jax.jit(of_doubled)(variables, x), atol=1e-5)
    gradients = [
        jax.jit(jax.grad(lambda v, x, f=f: jnp.mean(jnp.square(f(v, x))), (0, 1)))(variables, x)
        for f in (doubled, of_doubled)
    ]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), *gradients)


def test_basis_is_orthonormal_and_rejects_too_few_dimensions():
    q = orthonormal(jax.random.normal(jax.random.key(0), (48, 42)))
    np.testing.assert_allclose(q.T @ q, jnp.eye(42), atol=1e-5)
    # Signs are fixed: an already orthonormal matrix is its own basis, whatever LAPACK's choice.
    np.testing.assert_allclose(orthonormal(q), q, atol=1e-5)
    with pytest.raises(ValueError, match="at least as many"):
        orthonormal(jnp.zeros((10, 42)))


@pytest.fixture(scope="module")
def autoencoder():
    model = AutoEncoder(TINY)
    key = jax.random.key(0, impl="rbg")  # a tenth of threefry's time to compile, for a hundred parameters
    variables = jax.jit(model.init)(key, jnp.zeros((1, 32, 32, 3)), jnp.zeros((1, 5, 32, 32, 3)), jnp.zeros((1, 5, 7)))
    return model, variables


def test_rows_of_a_batch_do_not_influence_each_other(autoencoder):
    model, variables = autoencoder

    @jax.jit
    def run(images):
        codes = model.apply(variables, images, method=AutoEncoder.encode_motion)
        pyramid = model.apply(variables, images, method=AutoEncoder.encode_source)
        return codes, model.apply(variables, pyramid, codes, codes[::-1] * 0 + 0.5, method=AutoEncoder.decode)

    images = jax.random.uniform(jax.random.key(1), (3, 32, 32, 3), minval=-1)
    changed = images.at[2].set(0.0)
    (codes, decoded), (codes2, decoded2) = run(images), run(changed)
    assert codes.shape == (3, 42) and decoded.shape == (3, 32, 32, 3) and decoded.dtype == jnp.float32
    np.testing.assert_allclose(codes[:2], codes2[:2], atol=1e-5)
    np.testing.assert_allclose(decoded[:2], decoded2[:2], atol=1e-5)
    assert float(jnp.abs(decoded[2] - decoded2[2]).max()) > 1e-3


def test_images_follow_the_driving_code(autoencoder):
    model, variables = autoencoder
    image = jax.random.uniform(jax.random.key(1), (1, 32, 32, 3), minval=-1)

    @jax.jit
    def run(code, driving):
        pyramid = model.apply(variables, image, method=AutoEncoder.encode_source)
        return model.apply(variables, pyramid, code, driving, method=AutoEncoder.decode)

    code = jnp.zeros((1, 42))
    one, two = run(code, code), run(code, code + 1.0)
    assert float(jnp.abs(one - two).max()) > 1e-4


@pytest.mark.parametrize(
    ("config", "least", "most"), [(full_autoencoder, 5e9, 18e9), (puppet_128_autoencoder, 2e8, 1.5e9)]
)
def test_the_cost_of_a_decoded_frame_is_within_its_budget(config, least: float, most: float):
    config = from_config_dict(config.get_config()).model
    model = AutoEncoder(dataclasses.replace(config, dtype="float32"))
    s = config.size
    image, code = jax.ShapeDtypeStruct((1, s, s, 3), jnp.float32), jax.ShapeDtypeStruct((1, 42), jnp.float32)
    window = jax.ShapeDtypeStruct((1, 5, s, s, 3), jnp.float32)
    variables = jax.eval_shape(
        model.init, jax.random.key(0), image, window, jax.ShapeDtypeStruct((1, 5, 160), jnp.float32)
    )
    pyramid = jax.eval_shape(lambda v, x: model.apply(v, x, method=AutoEncoder.encode_source), variables, image)
    decode = jax.jit(lambda v, p, a, b: model.apply(v, p, a, b, method=AutoEncoder.decode))
    flops = decode.lower(variables, pyramid, code, code).cost_analysis()["flops"]
    assert least < flops <= most


@pytest.fixture(scope="module")
def flow():
    """A small flow transformer with random instead of zero output layers, so that influences show."""
    config = FlowTransformerConfig(width=32, depth=2, heads=2, window=8, context=3, look_ahead=2)
    model = FlowTransformer(config, FactorLayout())
    cond = random_condition(jax.random.key(5))
    x = jax.random.normal(jax.random.key(1), (2, 8, 42))
    variables = jax.jit(model.init)(jax.random.key(0, impl="rbg"), x, jnp.zeros(2), cond)
    # adaLN-zero: before training the field is the best linear one, which at t = 0 replaces noise by the prior's mean.
    run = jax.jit(model.apply, static_argnames="method")
    _, mean, _ = run(variables, x, jnp.zeros(2), cond, method="guess")
    np.testing.assert_allclose(run(variables, x, jnp.zeros(2), cond), mean - x, atol=1e-5)
    rng = np.random.default_rng(2)
    variables = jax.tree.map(lambda v: v + np.float32(0.1) * rng.standard_normal(v.shape, np.float32), variables)
    return jax.jit(lambda cond: model.apply(variables, x, jnp.full(2, 0.3), cond)), cond


def random_condition(key):
    keys = iter(jax.random.split(key, 8))
    cond = conditions.empty(2, 42, 7, context=3, length=8, lookahead=2)
    return cond.replace(
        context=jax.random.normal(next(keys), (2, 3, 42)),
        context_mask=jnp.ones((2, 3), bool),
        audio=jax.random.normal(next(keys), (2, 13, 7)),
        audio_mask=jnp.ones((2, 13), bool),
        source=jax.random.normal(next(keys), (2, 42)),
        emotion=jnp.ones((2, 13), jnp.int32),
        keep_audio=jnp.ones(2, bool),
        keep_emotion=jnp.ones(2, bool),
    )


def moved(flow, **changes) -> float:
    """The largest change of the velocity when the condition changes."""
    run, cond = flow
    return float(jnp.abs(run(cond.replace(**changes)) - run(cond)).max())


def test_every_condition_changes_the_velocity(flow):
    _, cond = flow
    assert moved(flow, audio=cond.audio + 1) > 1e-3
    assert moved(flow, source=cond.source + 1) > 1e-3
    assert moved(flow, emotion=cond.emotion + 1) > 1e-3
    assert moved(flow, context=cond.context + 1) > 1e-3
    assert moved(flow, context_level=cond.context_level + 0.3) > 1e-3
    assert moved(flow, keyframe=cond.keyframe + 1, keyframe_mask=~cond.keyframe_mask) > 1e-3
    assert moved(flow, keyframe_distance=cond.keyframe_distance + 5) > 1e-3
    lookahead = cond.audio.at[:, -1].add(1.0)
    assert moved(flow, audio=lookahead) > 1e-3


def test_dropped_and_masked_conditions_have_no_effect(flow):
    run, cond = flow
    dropped = cond.replace(keep_audio=jnp.zeros(2, bool), keep_emotion=jnp.zeros(2, bool))
    louder = dropped.replace(audio=dropped.audio + 1, emotion=dropped.emotion + 1)
    np.testing.assert_array_equal(run(dropped), run(louder))
    no_context = cond.replace(context_mask=jnp.zeros((2, 3), bool))
    np.testing.assert_array_equal(
        run(no_context), run(no_context.replace(context=cond.context + 1, context_level=cond.context_level + 1))
    )
    hidden = cond.replace(audio_mask=cond.audio_mask.at[:, -2:].set(False))
    np.testing.assert_array_equal(run(hidden), run(hidden.replace(audio=hidden.audio.at[:, -2:].add(1.0))))


def test_padding_frames_do_not_reach_valid_ones(flow):
    run, cond = flow
    # Frame 5 of the window is token 8. After the clip's end there is no audio either, except in the look-ahead frames.
    padded = cond.replace(valid=cond.valid.at[:, 5:].set(False), audio_mask=cond.audio_mask.at[:, 8:11].set(False))
    changed = padded.replace(audio=padded.audio.at[:, 8:11].add(1.0))  # tokens of the padding frames
    np.testing.assert_array_equal(run(padded)[:, :5], run(changed)[:, :5])


def test_detail_is_what_smooth_motion_has_not():
    line = jnp.arange(20.0)[None, :, None] * jnp.array([1.0, -2.0])[None, None]
    known = (jnp.arange(20)[None, :, None] < 15).astype(jnp.float32)
    detail = _detail(line, known)
    np.testing.assert_allclose(detail[0, 2:13], 0.0, atol=1e-5)  # a straight line has none except at its ends
    assert not np.asarray(detail[0, 15:]).any()
    other = jnp.where(known > 0, line, 99.0)
    np.testing.assert_array_equal(_detail(other, known), detail)  # unknown frames have no effect
    noise = jax.random.normal(jax.random.key(0), (1, 4000, 1))
    assert float(jnp.var(_detail(noise, jnp.ones_like(noise)))) == pytest.approx(0.8, abs=0.05)  # 1 - 1 / 5


def test_given_entries_have_no_velocity_and_change_the_rest(flow):
    run, cond = flow
    mask = cond.given_mask.at[:, :, FactorLayout().slices["pose"]].set(True)
    given = cond.replace(given_mask=mask)
    out = run(given)
    assert (jnp.where(mask, out, 0) == 0).all()
    changed = run(given.replace(given=jnp.where(mask, 1.0, 0.0)))
    assert float(jnp.abs(changed - out)[:, :, FactorLayout().slices["lip"]].max()) > 1e-3


def test_config_explains_impossible_values():
    with pytest.raises(ValueError, match="double up to size / 2 = 32"):
        AutoEncoderConfig(levels=((8, 4), (32, 4)))
    with pytest.raises(ValueError, match="halving down to 4 px"):
        AutoEncoderConfig(encoder_channels=(8, 8))
    with pytest.raises(ValueError, match="at least as many"):
        AutoEncoderConfig(latent=20)
    with pytest.raises(ValueError, match=r"multiple of twice model\.heads"):
        FlowTransformerConfig(width=30, heads=4)


def test_cudnn_attention_is_chosen_only_for_arrays_that_it_takes(monkeypatch):
    chosen = layers.attention_implementation
    assert chosen(jnp.bfloat16, 70, 128) is None  # here, on a CPU
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert chosen(jnp.bfloat16, 70, 128) == "cudnn"
    assert [chosen(jnp.float32, 70, 128), chosen(jnp.bfloat16, 45, 128), chosen(jnp.bfloat16, 70, 4)] == [None] * 3
    with layers.portable():
        assert chosen(jnp.bfloat16, 70, 128) is None
