"""Worker processes that die or hang: the batches stay the same, and a warning is logged."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from process_utils import alive, wait_for

from data_pipelines.loading import iterator as module
from data_pipelines.loading.iterator import Batches, WorkersLostError, WorkerTimeouts

pytestmark = pytest.mark.slow
# A worker takes some seconds to start, on a busy machine many more.
TIMEOUTS = {signal.SIGKILL: WorkerTimeouts(slow=30.0, dead=100.0), signal.SIGSTOP: WorkerTimeouts(slow=1.0, dead=25.0)}
ONCE = WorkerTimeouts(slow=30.0, dead=100.0, times=1)


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
def test_lost_workers_are_replaced_without_losing_a_batch(send, caplog):
    with Batches(make, 5, 2, TIMEOUTS[send]) as batches, caplog.at_level(logging.WARNING):
        first = next(batches)
        os.kill(int(first["process"][0]), send)
        rest = [next(batches) for _ in range(12)]  # more than lie ready
    assert [int(b["step"][0]) for b in [first, *rest]] == list(range(5, 18))
    assert int(rest[-1]["process"][0]) != int(first["process"][0])
    logged = [r.getMessage() for r in caplog.records]
    assert any("starting others" in text for text in logged)
    assert any("no batch for 1 seconds; still waiting" in text for text in logged) or send == signal.SIGKILL


def test_a_cause_that_kills_every_worker_ends_with_advice():
    advice = r"data, step 9: worker processes were replaced 1 times .*workers=0"
    with Batches(die, 9, 2, ONCE) as batches, pytest.raises(WorkersLostError, match=advice):
        next(batches)


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_of_workers_are_raised(workers):
    with Batches(fail_at_nine, 8, workers, ONCE) as batches:
        next(batches)
        with pytest.raises(ValueError, match="nine cannot be read"):
            next(batches)


def test_an_iterator_that_does_not_close_is_abandoned(monkeypatch):
    """As Grain's iterator does not when a worker was killed while it held a lock."""
    monkeypatch.setattr(module, "_CLOSING", 0.1)
    batches, closing = Batches(make, 0, 0), threading.Event()
    next(batches)
    close = batches._iterator.close
    monkeypatch.setattr(batches._iterator, "close", lambda: (closing.wait(100), close()))
    begin = time.monotonic()
    batches.close()
    assert time.monotonic() - begin < 50
    closing.set()


_SCRIPT = """
import os, time
import numpy as np
from data_pipelines.loading.iterator import Batches

def make(step):
    return {"process": np.array([os.getpid()])}

if __name__ == "__main__":
    with Batches(make, 0, 1) as batches:
        print(int(next(batches)["process"][0]), flush=True)
        time.sleep(300)
"""


def test_workers_of_a_killed_run_end(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(_SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(Path(module.__file__).parents[2])}
    parent = subprocess.Popen([sys.executable, script], env=environment, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    assert alive(worker)
    parent.kill()
    parent.wait(20)
    assert wait_for(lambda: not alive(worker), 20)
    parent.stdout.close()
