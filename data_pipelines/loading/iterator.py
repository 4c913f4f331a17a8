"""An endless iterator of batches through Grain, which survives the death of its worker processes."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import gc
import logging
import multiprocessing
import threading
from collections.abc import Callable
from multiprocessing import util
from typing import Any, Self

import grain

from data_pipelines.loading.examples import Example
from data_pipelines.loading.workers import exit_with_parent

_LAST_STEP = 2**40
_CLOSING = 30.0  # seconds that closing may take; Grain gives a worker 25 to end by itself
_LOG = logging.getLogger(__name__)


class WorkersLostError(RuntimeError):
    """Worker processes were replaced several times, and none made the batch."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkerTimeouts:
    """Limits for worker processes: seconds of waiting for a batch after which it counts as slow, and after which its
    workers count as dead; and how often they are replaced for one batch."""

    slow: float = 60.0
    dead: float = 600.0
    times: int = 3


class Batches:
    """Yields make(step) for step = start_step, start_step + 1, ...: dicts of NumPy arrays [b, ...]. Close it, or use it
    in a `with`.

    A batch depends on its step alone, so workers that were killed, as by a kernel short of memory, or that hang are
    replaced by others, which continue at the missing step: no batch is lost or repeated. Replacement and slowness are
    logged as warnings. Raises WorkersLostError when replacement does not help.
    """

    def __init__(
        self, make: Callable[[int], Example], start_step: int, workers: int, timeouts: WorkerTimeouts | None = None
    ) -> None:
        self._make, self._step, self._workers = make, start_step, workers
        self._timeouts = timeouts or WorkerTimeouts()
        self._waiting: concurrent.futures.Future[Example] | None = None
        self._open()

    def _open(self) -> None:
        self._others = set(multiprocessing.active_children())
        dataset = grain.MapDataset.range(self._step, _LAST_STEP).map(self._make)
        # With workers each of them has these threads and buffers, in memory that containers have little of (/dev/shm).
        reading = grain.ReadOptions(num_threads=1, prefetch_buffer_size=1)
        if self._workers == 0:
            reading = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)
        batches = dataset.to_iter_dataset(reading)
        if self._workers > 0:
            _parse_flags()
            options = grain.MultiprocessingOptions(num_workers=self._workers, per_worker_buffer_size=1)
            batches = batches.mp_prefetch(options, worker_init_fn=_start_worker)
        self._iterator = iter(batches)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Example:
        for _ in range(self._timeouts.times + 1):
            try:
                batch = self._pull()
            except WorkersLostError as error:
                _LOG.warning("data, step %d: %s; starting others.", self._step, error)
            else:
                self._step += 1
                return batch
            self._kill()
            self._open()
        raise WorkersLostError(
            f"data, step {self._step}: worker processes were replaced {self._timeouts.times} times without making this "
            "batch. Fewer data.workers need less memory, and less of /dev/shm, of which a container has 64 MiB by "
            "default; with data.workers=0 the cause is raised here."
        )

    def _pull(self) -> Example:
        if self._workers == 0:
            return next(self._iterator)
        timeouts = self._timeouts
        waiting = self._waiting = _in_thread(next, self._iterator)
        try:
            try:
                return waiting.result(timeouts.slow)
            except TimeoutError:
                _LOG.warning("data, step %d: no batch for %g seconds; still waiting.", self._step, timeouts.slow)
                return waiting.result(timeouts.dead - timeouts.slow)
        except TimeoutError as error:
            raise WorkersLostError(f"no batch for {timeouts.dead:g} seconds") from error
        except RuntimeError as error:
            if "terminated unexpectedly" not in str(error):  # Grain's words; what a worker raises comes as it is
                raise
            raise WorkersLostError(str(error).split(". ")[0]) from error

    def _kill(self) -> None:
        """Kills the workers, which may not respond, and closes the iterator."""
        for process in set(multiprocessing.active_children()) - self._others:
            process.kill()
        self._close_iterator()

    def _close_iterator(self) -> None:
        """Closes the iterator, once no thread waits for its next batch. Locks that a killed worker held and messages
        that it had half written would block closing forever; the iterator is then abandoned."""
        closing = _in_thread(_close, self._iterator, self._waiting)
        self._iterator = self._waiting = None
        if concurrent.futures.wait([closing], _CLOSING).not_done:
            _LOG.warning("data: the iterator of killed worker processes cannot be closed and is abandoned.")
            _not_at_exit()
        gc.collect()  # frees queues and semaphores now, and not while multiprocessing is busy

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops the threads and worker processes."""
        if self._waiting is not None and not self._waiting.done():
            self._kill()
        elif self._iterator is not None:
            self._close_iterator()


def _start_worker(index: int, count: int) -> None:
    exit_with_parent()


def _in_thread(call: Callable[..., Any], *arguments: Any) -> concurrent.futures.Future[Any]:
    """Returns the future result of a call in a daemon thread, which does not delay the end of the program."""
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def run() -> None:
        try:
            future.set_result(call(*arguments))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def _not_at_exit() -> None:
    """Stops Grain from closing its iterators again when the program exits, which would block."""
    registry = util._finalizer_registry  # type: ignore[attr-defined]
    for key, finalizer in list(registry.items()):
        if (getattr(finalizer._callback, "__module__", None) or "").startswith("grain."):
            registry.pop(key, None)


def _close(iterator: Any, waiting: concurrent.futures.Future[Example] | None) -> None:
    if waiting is not None:
        concurrent.futures.wait([waiting])
    with contextlib.suppress(Exception):
        iterator.close()


def _parse_flags() -> None:
    """Marks absl's flags as parsed: Grain's worker processes read them, and only absl.app parses them."""
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
