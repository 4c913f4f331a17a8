"""The flow-matching loss against a plain re-derivation, and its masks."""

import jax
import jax.numpy as jnp
import numpy as np

from demo_jax.factors import FACTORS, FactorLayout
from demo_jax.flow import condition as conditions
from demo_jax.flow import loss

LAYOUT = FactorLayout(lip=5, pose=6, gaze=4, residual=2)
K = LAYOUT.size
BATCH, LENGTH = 3, 7


def example(seed=0):
    rng = np.random.default_rng(seed)
    velocity, target = rng.normal(size=(2, BATCH, LENGTH, K)).astype(np.float32)
    given = rng.random((BATCH, LENGTH, K)) < 0.3
    valid = np.arange(LENGTH)[None] < np.array([[7], [4], [1]])
    context = np.zeros((BATCH, 4), bool)
    context[:2, 2:] = True  # of the third there is none
    cond = conditions.empty(BATCH, K, 2, context=4, length=LENGTH).replace(
        given_mask=jnp.asarray(given), valid=jnp.asarray(valid), context_mask=jnp.asarray(context)
    )
    return velocity, target, given, valid, cond


def plain_losses(velocity, target, given, valid):
    """The definition, entry by entry: what is given and the context's last frame are right."""
    squares = {(term, f): [] for term in ("velocity", "difference") for f in FACTORS}
    for b in range(BATCH):
        for t in range(LENGTH):
            for k in range(K):
                f = FACTORS[LAYOUT.factor_index[k]]
                free = [valid[b, u] and not given[b, u, k] for u in (t - 1, t)]
                if free[1]:
                    squares["velocity", f].append((float(velocity[b, t, k]) - target[b, t, k]) ** 2)
                exists = valid[b, t] and (valid[b, t - 1] if t else b < 2)
                free[0] = free[0] and t > 0
                if exists and any(free):
                    before, now = (
                        float(velocity[b, u, k]) - target[b, u, k] if there else 0.0
                        for u, there in zip((t - 1, t), free, strict=True)
                    )
                    squares["difference", f].append((now - before) ** 2)
    means = {key: np.mean(values) if values else None for key, values in squares.items()}
    terms = {
        term: np.mean([means[term, f] for f in FACTORS if means[term, f] is not None])
        for term in ("velocity", "difference")
    }
    return terms, means


def test_loss_is_its_definition():
    velocity, target, given, valid, cond = example()
    scalars = loss.velocity_losses(jnp.asarray(velocity), jnp.asarray(target), cond, LAYOUT, difference_weight=0.5)
    terms, means = plain_losses(velocity, target, given, valid)
    # float32 sums over some hundred entries
    for term in ("velocity", "difference"):
        np.testing.assert_allclose(scalars[term], terms[term], rtol=1e-5)
        for factor in FACTORS:
            np.testing.assert_allclose(scalars[f"{term}/{factor}"], means[term, factor], rtol=1e-5)
    np.testing.assert_allclose(scalars["loss"], terms["velocity"] + 0.5 * terms["difference"], rtol=1e-5)


def test_nothing_outside_the_masks_counts():
    velocity, target, given, valid, cond = example()
    outside, target = given | ~valid[:, :, None], jnp.asarray(target)
    reference = loss.velocity_losses(jnp.asarray(velocity), target, cond, LAYOUT)
    for poison in (1e6, np.nan, np.inf):
        changed = jnp.where(outside, np.float32(poison), velocity)
        for name, value in loss.velocity_losses(changed, target, cond, LAYOUT).items():
            assert value == reference[name], (poison, name)
    gradient = jax.grad(lambda v: loss.velocity_losses(v, target, cond, LAYOUT)["loss"])(
        jnp.where(outside, jnp.inf, velocity)
    )
    assert (gradient[outside] == 0).all() and (gradient[~outside] != 0).all()


def test_factors_weigh_equally_whatever_their_size():
    cond = conditions.empty(BATCH, K, 2, length=LENGTH)
    zero = jnp.zeros((BATCH, LENGTH, K))
    for factor in FACTORS:
        velocity = zero.at[:, :, LAYOUT.slices[factor]].set(2.0)
        scalars = loss.velocity_losses(velocity, zero, cond, LAYOUT)
        np.testing.assert_allclose(scalars["velocity"], 4.0 / len(FACTORS), rtol=1e-6)
        np.testing.assert_allclose(scalars["difference"], 0.0)


def test_a_factor_that_is_given_leaves_the_mean():
    given = jnp.zeros((BATCH, LENGTH, K), bool).at[:, :, LAYOUT.slices["pose"]].set(True)
    cond = conditions.empty(BATCH, K, 2, length=LENGTH).replace(given_mask=given)
    scalars = loss.velocity_losses(jnp.full(given.shape, 3.0), jnp.zeros(given.shape), cond, LAYOUT)
    np.testing.assert_allclose(scalars["velocity"], 9.0, rtol=1e-6)
    assert scalars["velocity/pose"] == 0


def test_nothing_free_is_zero_with_a_zero_gradient():
    cond = conditions.empty(BATCH, K, 2, length=LENGTH).replace(valid=jnp.zeros((BATCH, LENGTH), bool))
    shape = (BATCH, LENGTH, K)
    value, gradient = jax.value_and_grad(lambda v: loss.velocity_losses(v, jnp.zeros(shape), cond, LAYOUT)["loss"])(
        jnp.ones(shape)
    )
    assert value == 0 and (gradient == 0).all()


def test_the_network_sees_given_entries_clean_and_a_perfect_one_has_no_loss():
    rng = np.random.default_rng(1)
    x0, x1 = rng.normal(size=(2, BATCH, LENGTH, K)).astype(np.float32)
    given = rng.random(x0.shape) < 0.5
    cond = conditions.empty(BATCH, K, 2, length=LENGTH).replace(
        given=jnp.where(given, x1, 0), given_mask=jnp.asarray(given)
    )
    t = jnp.array([0.0, 0.3, 0.9])

    def perfect(x, t, c):
        np.testing.assert_array_equal(x[given], x1[given])
        del c
        velocity = (x1 - x) / (1 - t)[:, None, None]  # the velocity of the line through x that ends in x1
        return jnp.where(given, 1e3, velocity)

    batch = loss.FlowBatch(x0=jnp.asarray(x0), x1=jnp.asarray(x1), t=t, condition=cond)
    scalars = loss.flow_matching_losses(perfect, batch, LAYOUT)
    assert scalars["loss"] < 1e-9  # float32 rounding, amplified tenfold at t = 0.9, squared
