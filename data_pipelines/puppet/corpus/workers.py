"""Work in several processes that report how far they are and never outlive the one that started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from data_pipelines.loading.workers import exit_with_parent
from demo_jax.errors import InputError

Task = TypeVar("Task")
Report = Callable[[int], None]

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_SECONDS = 0.5  # between two looks at what was reported

_done: Any = None  # in a worker: the counter that it shares with its parent


def run_all(work: Callable[[Task, Report], None], tasks: Sequence[Task], workers: int, report: Report) -> None:
    """Calls work(task, report) for every task, in `workers` processes; with 1, in this one.

    `work` calls its `report` with every bit that it has done; `report` here gets their sums. On an interrupt, and on an
    error in any task, the processes are ended at once.

    Args:
      work: a function of a module, or functools.partial of one.
    Raises InputError when a process dies, and whatever `work` raises.
    """
    if workers <= 1 or len(tasks) <= 1:
        for task in tasks:
            work(task, report)
        return
    context = multiprocessing.get_context("spawn")
    counter = context.Value("q", 0)
    before, seen = set(multiprocessing.active_children()), 0
    with _one_thread_each():
        pool = ProcessPoolExecutor(min(workers, len(tasks)), context, _start, (counter,))
        pending: set[Future[None]] = {pool.submit(_call, work, task) for task in tasks}
    try:
        while pending:
            finished, pending = wait(pending, _SECONDS, FIRST_COMPLETED)
            now = counter.value
            report(now - seen)
            seen = now
            for future in finished:
                future.result()
        report(counter.value - seen)
    except BaseException as error:
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        pool.shutdown(cancel_futures=True)
        if isinstance(error, BrokenProcessPool):
            raise InputError(
                "a worker process died, perhaps for want of memory; run the same command again to go on, if it "
                "happens again with fewer --workers."
            ) from error
        raise
    pool.shutdown()


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes that start meanwhile compute with one thread, as there are as many of them as cores."""
    old = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in old.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _start(counter: Any) -> None:
    global _done
    _done = counter
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the parent decides
    exit_with_parent()


def _call(work: Callable[[Task, Report], None], task: Task) -> None:
    work(task, _report)


def _report(amount: int) -> None:
    with _done.get_lock():
        _done.value += amount
