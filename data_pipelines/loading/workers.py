"""The one pool of worker processes, for `prepare` and the puppet builder, and what every background process does first.

The processes are spawned, compute with one thread each, leave interrupts to the process that started them, and end with
it. Each has an executor of its own, so that a process that dies takes no other's task with it.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from demo_jax.errors import InputError

Task = TypeVar("Task")
Result = TypeVar("Result")
Report = Callable[[int], None]

_THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENCV_FOR_THREADS_NUM",
)  # fmt: skip
_SECONDS = 0.5  # between two readings of the progress counter

_progress: Any = None  # in a worker: the counter that it shares with its parent


def run_each(
    work: Callable[[Task], Result], tasks: Sequence[Task], workers: int
) -> Generator[tuple[Task, Result | None], None, None]:
    """Yields (task, work(task)) as they are done, in any order, computed in `workers` other processes.

    A task whose process dies costs no other task. It is tried once more after the others; if its process dies again,
    the result is None. On an interrupt, on an error in any task and when the iterator is closed, the processes are
    ended at once.

    Args:
      work: a function of a module, or functools.partial of one.
    Raises what `work` raises.
    """
    died: list[Task] = []
    with contextlib.closing(_completed(work, tasks, workers)) as completed:
        for task, future in completed:
            if _process_died(future):
                died.append(task)
            else:
                yield task, future.result()
    with contextlib.closing(_completed(work, died, workers)) as completed:
        for task, future in completed:
            yield task, None if _process_died(future) else future.result()


def run_all(work: Callable[[Task, Report], None], tasks: Sequence[Task], workers: int, report: Report) -> None:
    """Calls work(task, report) for every task, in `workers` other processes; with one worker or task, in this process.

    `work` calls its `report` with every amount that it has done; `report` here gets their sums. On an interrupt, and on
    an error in any task, the processes are ended at once.

    Args:
      work: a function of a module, or functools.partial of one.
    Raises InputError when a process dies, and what `work` raises.
    """
    if workers <= 1 or len(tasks) <= 1:
        for task in tasks:
            work(task, report)
        return
    counter, reported = multiprocessing.get_context("spawn").Value("q", 0), 0

    def report_progress() -> None:
        nonlocal reported
        now = counter.value
        report(now - reported)
        reported = now

    call = functools.partial(_call, work)
    with contextlib.closing(_completed(call, tasks, workers, counter, report_progress)) as completed:
        for _, future in completed:
            if _process_died(future):
                raise InputError(
                    "a worker process died, perhaps for want of memory; run the same command again to continue, if it "
                    "happens again with fewer --workers."
                ) from future.exception()
            future.result()
    report_progress()


def _completed(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    workers: int,
    counter: Any = None,
    poll: Callable[[], None] = lambda: None,
) -> Generator[tuple[Task, Future[Result]], None, None]:
    """Yields each task with its future once that is done. Calls `poll` at least every _SECONDS. Ends the processes at
    once unless every task was yielded."""
    before = set(multiprocessing.active_children())
    idle = [_one_process(counter) for _ in range(min(workers, len(tasks)))]
    running: dict[Future[Result], tuple[Task, ProcessPoolExecutor]] = {}
    waiting = list(reversed(tasks))
    try:
        while waiting or running:
            while waiting and idle:
                process, task = idle.pop(), waiting.pop()
                try:
                    with _one_thread_each():  # an executor starts its process when it gets its first task
                        running[process.submit(work, task)] = task, process
                except BrokenProcessPool:  # its process died while it had no task
                    idle.append(_one_process(counter))
                    waiting.append(task)
            done, _ = wait(running, _SECONDS, FIRST_COMPLETED)
            poll()
            for future in done:
                task, process = running.pop(future)
                if _process_died(future):
                    process.shutdown()
                    process = _one_process(counter)
                idle.append(process)
                yield task, future
    except BaseException:
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        raise
    finally:
        for process in [*idle, *(process for _, process in running.values())]:
            process.shutdown(cancel_futures=True)


def _one_process(counter: Any) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _start, (counter,))


def _process_died(future: Future[Any]) -> bool:
    return isinstance(future.exception(), BrokenProcessPool)


@contextlib.contextmanager
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
    global _progress
    _progress = counter
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the parent decides
    exit_with_parent()


def _call(work: Callable[[Task, Report], None], task: Task) -> None:
    work(task, _report)


def _report(amount: int) -> None:
    with _progress.get_lock():
        _progress.value += amount


def exit_with_parent() -> None:
    """From now on this process ends when the one that started it does, however that happens. (The queues between them
    do not show it: a worker holds both ends of them, and would wait forever for a parent that was killed.)"""
    threading.Thread(target=_exit_after_parent, daemon=True).start()


def _exit_after_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()  # even of SIGKILL, its end of a pipe closes
    os._exit(1)
