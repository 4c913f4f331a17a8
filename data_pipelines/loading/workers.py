"""What every process that makes data in the background does first."""

from __future__ import annotations

import multiprocessing
import os
import threading


def exit_with_parent() -> None:
    """From now on this process ends when the one that started it does, however that happens. (The queues between them
    do not tell: a worker holds both ends of them, and would wait for ever for a parent that was killed.)"""
    threading.Thread(target=_leave, daemon=True).start()


def _leave() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()  # even of SIGKILL, its end of a pipe closes
    os._exit(1)
