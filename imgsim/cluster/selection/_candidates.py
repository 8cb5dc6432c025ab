"""Clustering with each candidate for the number of clusters."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackError
from tqdm.auto import tqdm

from imgsim._callbacks import FitTask
from imgsim._compute.threads import count_threads, map_in_threads
from imgsim._validation import is_integer
from imgsim.cluster.algorithms._feature_space import count_distinct
from imgsim.cluster.algorithms._registry import ClusteringTask, check_algorithm_params
from imgsim.cluster.selection._shared_kmeans_init import SharedKMeansInit

CLUSTERING_ERRORS = (ValueError, np.linalg.LinAlgError, ArpackError)
_DEFAULT_INIT = {"init": "k-means++", "n_init": "auto"}  # scikit-learn's defaults

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


@dataclass(frozen=True)
class Candidate:
    """A candidate for the number of clusters, and the clusters that were found.

    Parameters
    ----------
    k : int
        The requested number of clusters.

    seconds : float
        Wall-clock time of clustering.

    labels : ndarray of shape (n_rows,), dtype int64
        Cluster of each row; -1 for noise, and for all rows if clustering failed.

    estimator : object
        The fitted estimator; None if clustering failed.

    reason : str
        Why the candidate failed, "" if it did not.
    """

    k: int
    seconds: float
    labels: NDArray[np.int64] = field(repr=False)
    estimator: Any = field(default=None, repr=False)
    reason: str = ""

    @property
    def has_scores(self) -> bool:
        """Whether the clusters can be scored by the criteria."""
        return not self.reason


def check_k_range(k_range: Sequence[int]) -> list[int]:
    """Return the candidates in increasing order without duplicates."""
    values = list(k_range)
    integral = all(is_integer(k) for k in values)
    if not values or not integral or min(values) < 1:
        raise ValueError(
            f"k_range={k_range!r} must contain at least one candidate, and only "
            f"integers of at least 1."
        )
    return sorted({int(k) for k in values})


def cluster_candidates(
    task: ClusteringTask,
    ks: Iterable[int],
    n_jobs: int | None,
    verbose: int,
    fit_task: FitTask | None = None,
) -> list[Candidate]:
    """Cluster the rows with each number of clusters, several at a time in threads.

    The candidates are subtasks of `fit_task`, the task of the estimator that is fitted.
    """
    check_algorithm_params(task.algorithm, task.params)
    ks = list(ks)
    # For cosine, rows that differ only in length are equal after scaling.
    n_distinct = min(
        count_distinct(rows, max(ks)) for rows in (task.rows, task.features)
    )
    shared = _with_shared_init(task, [k for k in ks if k <= n_distinct])

    def cluster(k: int) -> Candidate:
        subtask = fit_task.subtask("candidate", k) if fit_task else nullcontext()
        with subtask:
            return _cluster(shared, k, n_distinct)

    # The largest k takes longest. It starts first, so that no thread waits for it.
    candidates = map_with_jobs(
        cluster, ks[::-1], n_jobs, verbose=verbose, name="clustering"
    )
    for candidate in candidates:
        if shared is not task and candidate.estimator is not None:
            candidate.estimator.set_params(**_DEFAULT_INIT)
    return candidates[::-1]


def _with_shared_init(task: ClusteringTask, ks: Sequence[int]) -> ClusteringTask:
    """Let k-means with default initialization share its initial centers for all k."""
    if task.algorithm != "kmeans" or task.params.keys() & _DEFAULT_INIT.keys():
        return task
    params = {**task.params, "init": SharedKMeansInit(ks), "n_init": 1}
    return replace(task, params=params)


def map_with_jobs(
    work: Callable[[Item], Outcome],
    items: Sequence[Item],
    n_jobs: int | None,
    *,
    verbose: int = 0,
    name: str | None = None,
) -> list[Outcome]:
    """Call `work` with each item in up to `n_jobs` threads, with a progress bar."""
    n_threads = max(1, min(count_threads(n_jobs), len(items)))
    outcomes = map_in_threads(work, items, n_threads)
    bar = tqdm(outcomes, name, len(items), disable=not verbose, unit=" candidates")
    return list(bar)


def _cluster(task: ClusteringTask, k: int, n_distinct: int) -> Candidate:
    noise = np.full(len(task.rows), -1, dtype=np.int64)
    if k > n_distinct:
        reason = f"k exceeds the number of distinct rows, {n_distinct}"
        return Candidate(k, 0.0, noise, reason=reason)
    start = perf_counter()
    try:
        estimator, labels = task.fit(k)
    except CLUSTERING_ERRORS as error:
        return Candidate(k, perf_counter() - start, noise, reason=str(error))
    seconds = perf_counter() - start
    return Candidate(k, seconds, labels, estimator, _why_no_scores(labels))


def _why_no_scores(labels: NDArray[np.int64]) -> str:
    clustered = labels[labels >= 0]
    n_clusters = len(np.unique(clustered))
    if n_clusters < 2:
        return "a single cluster, which cannot be compared with another"
    if n_clusters == len(clustered):
        return "each row is a cluster of its own"
    return ""
