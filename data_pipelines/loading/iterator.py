"""An endless iterator of batches through Grain, which outlives its worker processes."""

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
_LET_GO = 30.0  # seconds that closing may take; Grain gives a worker 25 to end by itself
_LOG = logging.getLogger(__name__)


class WorkersLostError(RuntimeError):
    """Worker processes were replaced again and again, and none made the batch."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkerTimeouts:
    """With worker processes: seconds after which a batch that does not come is called slow, and after which its workers
    count as dead; and how often they are replaced for one batch."""

    slow: float = 60.0
    dead: float = 600.0
    times: int = 3


class Batches:
    """make(step) for step = start_step, start_step + 1, ...: dicts of NumPy arrays [b, ...]. Close it, or use it in a
    `with`.

    A batch depends on its step alone, so workers that were killed, as by a kernel short of memory, or that hang are
    replaced by others which go on at the step that is missing: no batch is lost or comes twice. That and slowness are
    logged as warnings. Raises WorkersLostError when it does not help.
    """

    def __init__(
        self, make: Callable[[int], Example], start_step: int, workers: int, timeouts: WorkerTimeouts | None = None
    ) -> None:
        self._make, self._step, self._workers = make, start_step, workers
        self._patience = timeouts or WorkerTimeouts()
        self._waiting: concurrent.futures.Future[Example] | None = None
        self._begin()

    def _begin(self) -> None:
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
        for _ in range(self._patience.times + 1):
            try:
                batch = self._pull()
            except WorkersLostError as error:
                _LOG.warning("data, step %d: %s; starting others.", self._step, error)
            else:
                self._step += 1
                return batch
            self._end()
            self._begin()
        raise WorkersLostError(
            f"data, step {self._step}: worker processes were replaced {self._patience.times} times without making this "
            "batch. Fewer data.workers need less memory, and less of /dev/shm, of which a container has 64 MiB by "
            "default; with data.workers=0 the cause is raised here."
        )

    def _pull(self) -> Example:
        if self._workers == 0:
            return next(self._iterator)
        wait = self._patience
        waiting = self._waiting = _in_thread(next, self._iterator)
        try:
            try:
                return waiting.result(wait.slow)
            except TimeoutError:
                _LOG.warning("data, step %d: no batch for %g seconds; still waiting.", self._step, wait.slow)
                return waiting.result(wait.dead - wait.slow)
        except TimeoutError as error:
            raise WorkersLostError(f"no batch for {wait.dead:g} seconds") from error
        except RuntimeError as error:
            if "terminated unexpectedly" not in str(error):  # Grain's words; what a worker raises comes as it is
                raise
            raise WorkersLostError(str(error).split(". ")[0]) from error

    def _end(self) -> None:
        """Ends workers that may not listen."""
        for process in set(multiprocessing.active_children()) - self._others:
            process.kill()
        self._let_go()

    def _let_go(self) -> None:
        """Closes the iterator, once nobody waits for its next batch. Locks that a killed worker held and messages that
        it had half written would block that for ever: then what is left of them is left behind."""
        closing = _in_thread(_close, self._iterator, self._waiting)
        self._iterator = self._waiting = None
        if concurrent.futures.wait([closing], _LET_GO).not_done:
            _LOG.warning("data: what killed worker processes left behind cannot be closed.")
            _not_at_exit()
        gc.collect()  # queues and semaphores: now, and not in the middle of something of multiprocessing's

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops the threads and worker processes."""
        if self._waiting is not None and not self._waiting.done():
            self._end()
        elif self._iterator is not None:
            self._let_go()


def _start_worker(index: int, count: int) -> None:
    exit_with_parent()


def _in_thread(call: Callable[..., Any], *arguments: Any) -> concurrent.futures.Future[Any]:
    """Its result. Nobody waits for the thread when the program ends."""
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def run() -> None:
        try:
            future.set_result(call(*arguments))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def _not_at_exit() -> None:
    """Else Grain closes its iterators once more when the program ends, which would not."""
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
    """Grain's worker processes read absl's flags, which nobody has parsed outside absl.app."""
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
