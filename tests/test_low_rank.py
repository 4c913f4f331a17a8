import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from demo_jax.config import OptimizerConfig, RunConfig, Stage1Config, Stage1LossConfig
from demo_jax.errors import InputError
from demo_jax.models import low_rank
from demo_jax.training.state import create, make_optimizer
from demo_jax.training.steps import make_step

SHAPES = {"conv": (3, 3, 6, 8), "stacked": (2, 6, 7), "thin": (1, 5)}
RANK = 2


def parameters() -> dict:
    rng = np.random.default_rng(0)
    kernels = {
        n: {"kernel": jnp.asarray(rng.normal(size=s), jnp.float32), "bias": jnp.ones(s[-1])} for n, s in SHAPES.items()
    }
    return {"net": kernels, "still": {"dense": {"kernel": jnp.ones((4, 4))}}, "basis": {"free": jnp.ones((4, 4))}}


def test_it_begins_with_the_model_it_changes():
    params = parameters()
    attached = low_rank.attach(params, RANK, ("still",), seed=0)
    shapes = {path: (f["down"].shape, f["up"].shape) for path, f in attached[low_rank.GROUP].items()}
    assert shapes == {
        "net.conv.kernel": ((3, 3, 6, 2), (3, 3, 2, 8)),
        "net.stacked.kernel": ((2, 6, 2), (2, 2, 7)),
        "net.thin.kernel": ((1, 1), (1, 5)),
    }
    same = jax.tree.map(lambda a, b: bool((a == b).all()), low_rank.merged(attached), params)
    assert all(jax.tree.leaves(same))
    assert low_rank.merged(params) is params


def test_only_changes_of_that_rank_are_learned():
    config = RunConfig(
        start_from="x", low_rank=RANK, freeze=("still",), optimizer=OptimizerConfig(warmup_steps=0, learning_rate=0.05)
    )
    optimizer = make_optimizer(config.optimizer, 10, config.is_frozen)
    first = low_rank.attach(parameters(), RANK, config.freeze, seed=0)
    state = create(first, optimizer)
    aim = jax.tree.map(jnp.zeros_like, parameters())

    def losses(params, batch, key):
        assert low_rank.GROUP not in params
        distance = jax.tree.map(lambda a, b: jnp.sum(jnp.square(a - b)), params, aim)
        return {"loss": sum(jax.tree.leaves(distance))}

    step = jax.jit(make_step(losses, config, optimizer))
    for _ in range(4):
        state, metrics = step(state, {})
    assert [n for n in metrics if n.startswith("gradient/")] == ["gradient/low_rank"]
    before, after = parameters(), low_rank.merged(state.params)
    for name in SHAPES:
        change = np.asarray(after["net"][name]["kernel"] - before["net"][name]["kernel"])
        assert (np.linalg.matrix_rank(change, tol=1e-5) == min(RANK, *change.shape[-2:])).all()
        np.testing.assert_array_equal(after["net"][name]["bias"], before["net"][name]["bias"])
    np.testing.assert_array_equal(after["still"]["dense"]["kernel"], before["still"]["dense"]["kernel"])
    # What is held has no moments to store.
    moments = sum(x.size for x in jax.tree.leaves(state.opt_state))
    assert moments < 2 * sum(x.size for x in jax.tree.leaves(first[low_rank.GROUP])) + 10


def test_what_cannot_be_is_said():
    with pytest.raises(InputError, match="low_rank is set without start_from"):
        RunConfig(low_rank=4)
    with pytest.raises(InputError, match="low_rank freezes"):
        Stage1Config(low_rank=4, start_from="x", loss=dataclasses.replace(Stage1LossConfig(), adversarial=0.1))
