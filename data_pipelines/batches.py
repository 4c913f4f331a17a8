"""An endless iterator of batches through Grain, which outlives its worker processes."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import gc
import logging
import multiprocessing
from collections.abc import Callable
from typing import Self

import grain

from data_pipelines.transforms import Example

_LAST_STEP = 2**40
_LOG = logging.getLogger(__name__)


class WorkersLostError(RuntimeError):
    """Worker processes were replaced again and again, and none made the batch."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Patience:
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
        self, make: Callable[[int], Example], start_step: int, workers: int, patience: Patience | None = None
    ) -> None:
        self._make, self._step, self._workers = make, start_step, workers
        self._patience = patience or Patience()
        self._puller = concurrent.futures.ThreadPoolExecutor(1) if workers else None
        self._waiting: concurrent.futures.Future[Example] | None = None
        self._begin()

    def _begin(self) -> None:
        self._others = set(multiprocessing.active_children())
        dataset = grain.MapDataset.range(self._step, _LAST_STEP).map(self._make)
        batches = dataset.to_iter_dataset(grain.ReadOptions(num_threads=2, prefetch_buffer_size=4))
        if self._workers > 0:
            _parse_flags()
            options = grain.MultiprocessingOptions(num_workers=self._workers, per_worker_buffer_size=2)
            batches = batches.mp_prefetch(options)
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
            "batch. Fewer data.workers need less memory; with data.workers=0 the cause is raised here."
        )

    def _pull(self) -> Example:
        if self._puller is None:
            return next(self._iterator)
        wait = self._patience
        waiting = self._waiting = self._puller.submit(next, self._iterator)
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
        """Ends workers that may not listen; what waits for them then comes to an end too."""
        for process in set(multiprocessing.active_children()) - self._others:
            process.kill()
        if self._waiting is not None:
            concurrent.futures.wait([self._waiting])
        with contextlib.suppress(Exception):
            self._iterator.close()
        # Their queues and semaphores: now, and not in the middle of something of multiprocessing's.
        self._iterator = self._waiting = None
        gc.collect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops the threads and worker processes."""
        if self._waiting is not None and not self._waiting.done():
            self._end()
        if self._puller is not None:
            self._puller.shutdown()
        if self._iterator is not None:
            self._iterator.close()


def _parse_flags() -> None:
    """Grain's worker processes read absl's flags, which nobody has parsed outside absl.app."""
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
