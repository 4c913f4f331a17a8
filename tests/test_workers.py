"""The pool of worker processes: every result once, a death that costs one task, errors that end the others."""

import multiprocessing
import os

import pytest
from process_utils import count_up, die_once, double

from data_pipelines.loading import workers
from demo_jax.errors import InputError

pytestmark = pytest.mark.slow


def test_every_task_is_done_once_and_a_death_costs_only_its_own():
    found = list(workers.run_each(double, [1, 13, 2, 3, 4], 2))
    assert sorted(found, key=lambda pair: pair[0]) == [(1, 2), (2, 4), (3, 6), (4, 8), (13, None)]
    assert list(workers.run_each(double, [], 2)) == []


def test_a_task_whose_process_died_is_tried_again(tmp_path):
    assert list(workers.run_each(die_once, [tmp_path / "died"], 2)) == [(tmp_path / "died", True)]


def test_an_error_ends_the_other_processes_at_once():
    before = set(multiprocessing.active_children())
    with pytest.raises(ValueError, match="-1 is negative"):
        list(workers.run_each(double, [1000, -1], 2))
    assert set(multiprocessing.active_children()) <= before


def test_closing_ends_the_processes():
    before = set(multiprocessing.active_children())
    results = workers.run_each(double, [1, 1000], 2)
    assert next(results) == (1, 2)
    results.close()
    assert set(multiprocessing.active_children()) <= before


def test_progress_adds_up_and_the_environment_stays():
    old, reports = dict(os.environ), []
    workers.run_all(count_up, [3, 4, 5], 2, reports.append)
    assert sum(reports) == 12 and min(reports) >= 0
    assert dict(os.environ) == old


def test_run_all_stops_at_the_first_death():
    with pytest.raises(InputError, match="a worker process died"):
        workers.run_all(count_up, [13, 1000, 1000], 2, lambda amount: None)
