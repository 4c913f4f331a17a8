"""Worker processes that die or hang: the batches stay the same, and it is said."""

import logging
import os
import signal

import numpy as np
import pytest

from data_pipelines.batches import Batches, Patience, WorkersLostError

# A worker takes some seconds to start, on a busy machine many more.
PATIENCE = {signal.SIGKILL: Patience(slow=30.0, dead=100.0), signal.SIGSTOP: Patience(slow=1.0, dead=25.0)}
ONCE = Patience(slow=30.0, dead=100.0, times=1)


def make(step: int) -> dict[str, np.ndarray]:
    return {"step": np.array([step]), "process": np.array([os.getpid()])}


def die(step: int) -> dict[str, np.ndarray]:
    os.kill(os.getpid(), signal.SIGKILL)
    return make(step)


def fail_at_nine(step: int) -> dict[str, np.ndarray]:
    if step == 9:
        raise ValueError("nine cannot be read")
    return make(step)


@pytest.mark.parametrize("send", [signal.SIGKILL, signal.SIGSTOP])
def test_lost_workers_are_replaced_and_no_batch_is(send, caplog):
    with Batches(make, 5, 2, PATIENCE[send]) as batches, caplog.at_level(logging.WARNING):
        first = next(batches)
        os.kill(int(first["process"][0]), send)
        rest = [next(batches) for _ in range(12)]  # more than lie ready
    assert [int(b["step"][0]) for b in [first, *rest]] == list(range(5, 18))
    assert int(rest[-1]["process"][0]) != int(first["process"][0])
    said = [r.getMessage() for r in caplog.records]
    assert any("starting others" in text for text in said)
    assert any("no batch for 1 seconds; still waiting" in text for text in said) or send == signal.SIGKILL


def test_what_kills_every_worker_ends_with_advice():
    advice = r"data, step 9: worker processes were replaced 1 times .*workers=0"
    with Batches(die, 9, 2, ONCE) as batches, pytest.raises(WorkersLostError, match=advice):
        next(batches)


@pytest.mark.parametrize("workers", [0, 1])
def test_what_a_worker_cannot_read_is_raised(workers):
    with Batches(fail_at_nine, 8, workers, ONCE) as batches:
        next(batches)
        with pytest.raises(ValueError, match="nine cannot be read"):
            next(batches)
