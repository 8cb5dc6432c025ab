"""Tests of dividing work, processors and configuration among threads."""

import threading
import time
from multiprocessing import current_process

import pytest
from joblib import Parallel, cpu_count, delayed, parallel_config
from sklearn import config_context, get_config
from threadpoolctl import threadpool_info, threadpool_limits

from imgsim._compute.threads import count_threads, map_in_threads


def test_n_jobs_has_the_meaning_of_scikit_learn(monkeypatch):
    """None is one thread unless a joblib context says otherwise."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    assert count_threads(None) == 1
    assert count_threads(3) == 3
    assert count_threads(-1) == cpu_count()
    with parallel_config(backend="threading", n_jobs=2):
        assert count_threads(None) == 2


def test_all_processors_are_those_assigned_to_a_worker(monkeypatch):
    """Joblib assigns a share to each worker process by an environment variable."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    assert count_threads(-1) == 1
    assert count_threads(3) == 3


@pytest.mark.parametrize(("n_jobs", "expected"), [(None, 1), (-1, 1), (3, 3)])
def test_a_daemonic_process_uses_threads_without_a_warning(
    n_jobs, expected, monkeypatch
):
    """Threads are allowed in the workers of a pool, in which processes are not."""
    monkeypatch.setattr(current_process(), "daemon", True)

    assert count_threads(n_jobs) == expected


def test_workers_of_joblib_use_their_share():
    """Two workers that used all processors would start twice as many threads."""
    shares = Parallel(n_jobs=2)(delayed(count_threads)(-1) for _ in range(2))

    assert shares == [max(1, cpu_count() // 2)] * 2


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("divide_pools", [True, False])
def test_results_have_the_order_of_the_tasks(n_threads, divide_pools):
    """The first task is the slowest, and its result still comes first."""

    def work(task):
        time.sleep(0.02 if task == 0 else 0)
        return task**2

    results = map_in_threads(work, range(20), n_threads, divide_pools=divide_pools)

    assert list(results) == [task**2 for task in range(20)]


def test_few_tasks_are_read_ahead():
    """The results of a long list would otherwise fill the memory."""
    n_read = 0

    def tasks():
        nonlocal n_read
        while n_read < 100:
            n_read += 1
            yield n_read

    results = map_in_threads(lambda task: task, tasks(), 2)
    next(results)

    assert n_read <= 5
    results.close()


def test_an_error_is_raised_and_other_tasks_are_canceled():
    """The caller should not wait for results that are not needed."""
    done = []

    def work(task):
        if task == 1:
            raise ValueError("task 1")
        time.sleep(0.01)
        done.append(task)

    with pytest.raises(ValueError, match="task 1"):
        list(map_in_threads(work, range(1000), 2))
    assert len(done) < 10
    assert not [t for t in threading.enumerate() if t.name.startswith("imgsim")]


def test_threads_have_the_configuration_of_the_caller():
    """scikit-learn's configuration belongs to a thread; limits must hold in all."""
    with config_context(working_memory=7):
        found = map_in_threads(lambda _: get_config()["working_memory"], range(4), 2)

        assert list(found) == [7] * 4


def test_threads_divide_the_threads_of_blas_and_openmp():
    """Otherwise the threads of both pools would wait for each other."""

    def count(_):
        return [pool["num_threads"] for pool in threadpool_info()]

    with threadpool_limits(2):
        divided = list(map_in_threads(count, range(4), 2))
        before = count(None)

    assert {n for pools in divided for n in pools} == {1}
    assert set(before) == {2}
