"""Threads: their number, and the division of work among them."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from multiprocessing import current_process
from typing import TypeVar

from joblib import effective_n_jobs
from sklearn import config_context, get_config
from threadpoolctl import ThreadpoolController

__all__ = ["count_threads", "map_in_threads"]

Task = TypeVar("Task")
Result = TypeVar("Result")


def count_threads(n_jobs: int | None = -1) -> int:
    """Return the number of threads that `n_jobs` stands for, at least 1.

    Parameters
    ----------
    n_jobs : int or None, default=-1
        As in scikit-learn: None is 1 unless a joblib context says otherwise, -1 is one
        thread for each processor that this process may use, -2 is one less.

    Returns
    -------
    n_threads : int
        The number of threads. For a negative `n_jobs`, it is at most the value of the
        environment variable `OMP_NUM_THREADS`, which joblib sets in its worker
        processes. It is 1 in a daemonic process, such as a worker of a pool of
        `multiprocessing` or of a `DataLoader` of torch.
    """
    if current_process().daemon and n_jobs != 0:
        # joblib would warn that such a process cannot have child processes.
        return max(n_jobs or 1, 1)
    n_threads: int = effective_n_jobs(n_jobs)
    share = os.environ.get("OMP_NUM_THREADS", "")
    if n_jobs is None or n_jobs > 0 or not share.isdigit() or not int(share):
        return n_threads
    return min(n_threads, int(share))


def map_in_threads(
    work: Callable[[Task], Result],
    tasks: Iterable[Task],
    n_threads: int,
    *,
    divide_pools: bool = True,
) -> Iterator[Result]:
    """Yield `work(task)` for each task, in order, computed in several threads.

    Parameters
    ----------
    work : callable
        Called with one task, in the caller's configuration of scikit-learn.

    tasks : iterable
        The tasks. At most `2 * n_threads` tasks are read ahead.

    n_threads : int
        Number of threads. With 1, the tasks run in the thread of the caller.

    divide_pools : bool, default=True
        Whether to divide the threads of BLAS and OpenMP among the `n_threads` threads.
        Threads that share one matrix product wait for each other while its result is
        used, so each should compute its own.

    Yields
    ------
    result : object
        The result of one task. The error of a task is raised in place of its result,
        and the tasks that have not started are canceled.
    """
    if n_threads == 1:
        yield from map(work, tasks)
        return
    if not divide_pools:
        yield from _map_in_pool(_with_config(work), iter(tasks), n_threads)
        return
    controller = ThreadpoolController()
    # A limit of OpenMP applies to one thread, a limit of BLAS to the whole process.
    n_openmp = _share_of(controller, "openmp", n_threads)
    limited = _limit_openmp(work, controller, n_openmp)
    n_blas = _share_of(controller, "blas", n_threads)
    with controller.limit(limits=n_blas, user_api="blas"):
        yield from _map_in_pool(_with_config(limited), iter(tasks), n_threads)


def _map_in_pool(
    work: Callable[[Task], Result], tasks: Iterator[Task], n_threads: int
) -> Iterator[Result]:
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="imgsim")
    try:
        pending: deque[Future[Result]] = deque(
            pool.submit(work, task) for task in islice(tasks, 2 * n_threads)
        )
        while pending:
            result = pending.popleft().result()
            pending.extend(pool.submit(work, task) for task in islice(tasks, 1))
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _with_config(work: Callable[[Task], Result]) -> Callable[[Task], Result]:
    """Return `work` with the caller's configuration of scikit-learn."""
    config = get_config()

    def configured(task: Task) -> Result:
        with config_context(**config):
            return work(task)

    return configured


def _limit_openmp(
    work: Callable[[Task], Result], controller: ThreadpoolController, n_openmp: int
) -> Callable[[Task], Result]:
    def limited(task: Task) -> Result:
        with controller.limit(limits=n_openmp, user_api="openmp"):
            return work(task)

    return limited


def _share_of(controller: ThreadpoolController, user_api: str, n_threads: int) -> int:
    """Return the number of threads of a pool that each of `n_threads` may use."""
    pools = controller.select(user_api=user_api).info()
    allowed: list[int] = [pool["num_threads"] for pool in pools]
    return max(1, min(allowed, default=count_threads()) // n_threads)
