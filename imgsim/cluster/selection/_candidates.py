"""The candidates among numbers of groups, clustered each."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackError
from tqdm.auto import tqdm

from imgsim._compute.threads import count_threads, map_in_threads
from imgsim.cluster.algorithms._feature_space import count_distinct
from imgsim.cluster.algorithms._registry import Task, check_params, fit_algorithm
from imgsim.cluster.selection._shared_kmeans_init import SharedSeeds

CLUSTERING_ERRORS = (ValueError, np.linalg.LinAlgError, ArpackError)
_ALONE = {"init": "k-means++", "n_init": "auto"}  # scikit-learn's k-means


@dataclass(frozen=True)
class Setting:
    """What all candidates have in common.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        Readable rows as they were given.

    seen : ndarray of shape (n_rows, n_components)
        The rows as the algorithm sees them.

    algorithm : str
        Its name.

    metric : {"euclidean", "cosine"}
        Distance between rows.

    params : dict
        Parameters of the algorithm.

    seed : int
        Seeds every candidate alike.
    """

    rows: NDArray[Any]
    seen: NDArray[Any]
    algorithm: str
    metric: str
    params: dict[str, Any]
    seed: int

    def fit(
        self, n_clusters: int | None, seen: NDArray[Any] | None = None
    ) -> tuple[Any, NDArray[np.int64]]:
        """Cluster the rows, or others of the same space."""
        seen = self.seen if seen is None else seen
        task = Task(seen, self.metric, self.params, self.seed, n_clusters)
        return fit_algorithm(self.algorithm, task)


@dataclass(frozen=True)
class Candidate:
    """A number of groups, and what came of it.

    Parameters
    ----------
    k : int
        Number of groups asked for.

    seconds : float
        Wall-clock time of clustering.

    labels : ndarray of shape (n_rows,), dtype int64
        The groups, -1 for noise or if it failed.

    estimator : object
        Fitted; None if it failed.

    reason : str
        Why it failed, "" if it did not.
    """

    k: int
    seconds: float
    labels: NDArray[np.int64] = field(repr=False)
    estimator: Any = field(default=None, repr=False)
    reason: str = ""

    @property
    def is_judged(self) -> bool:
        """Tell whether there are groups to compare."""
        return not self.reason


def check_candidates(k_range: Sequence[int]) -> list[int]:
    """Return the candidates in order, each once."""
    values = list(k_range)
    integral = all(isinstance(k, Integral) for k in values)
    if not values or not integral or min(values) < 1:
        raise ValueError(
            f"k_range={k_range!r} must hold integers of at least 1, and one or more."
        )
    return sorted({int(k) for k in values})


def cluster_candidates(
    setting: Setting, candidates: Iterable[int], n_jobs: int | None, verbose: int
) -> list[Candidate]:
    """Cluster the rows for each candidate, several at a time in threads."""
    check_params(setting.algorithm, setting.params)
    ks = list(candidates)
    # Rows of different length may be one for cosine, if rounding leaves them equal.
    n_distinct = min(
        count_distinct(rows, max(ks)) for rows in (setting.rows, setting.seen)
    )
    begun = _with_shared_seeds(setting, [k for k in ks if k <= n_distinct])
    # The largest takes longest, and begins first: no thread waits for it at the end.
    found = in_threads(
        lambda k: _cluster(begun, k, n_distinct), ks[::-1], n_jobs, verbose=verbose
    )
    for candidate in found:
        if begun is not setting and candidate.estimator is not None:
            candidate.estimator.set_params(**_ALONE)
    return found[::-1]


def _with_shared_seeds(setting: Setting, ks: Sequence[int]) -> Setting:
    """Let k-means of several k, begun once each, share how they begin."""
    if setting.algorithm != "kmeans" or setting.params.keys() & _ALONE.keys():
        return setting
    params = {**setting.params, "init": SharedSeeds(ks), "n_init": 1}
    return replace(setting, params=params)


def in_threads(
    work: Callable[[Any], Any],
    tasks: Sequence[Any],
    n_jobs: int | None,
    *,
    verbose: int = 0,
) -> list[Any]:
    """Do work for each task, several at a time, which share the processors."""
    n_threads = max(1, min(count_threads(n_jobs), len(tasks)))
    results = map_in_threads(work, tasks, n_threads)
    return list(tqdm(results, total=len(tasks), disable=not verbose, unit="k"))


def _cluster(setting: Setting, k: int, n_distinct: int) -> Candidate:
    n_rows = len(setting.rows)
    none = np.full(n_rows, -1, dtype=np.int64)
    if k > n_distinct:
        reason = f"it exceeds the number of rows that differ, {n_distinct}"
        return Candidate(k, 0.0, none, reason=reason)
    start = perf_counter()
    try:
        estimator, labels = setting.fit(k)
    except CLUSTERING_ERRORS as error:
        return Candidate(k, perf_counter() - start, none, reason=str(error))
    seconds = perf_counter() - start
    return Candidate(k, seconds, labels, estimator, _why_not_judged(labels))


def _why_not_judged(labels: NDArray[np.int64]) -> str:
    grouped = labels[labels >= 0]
    n_groups = len(np.unique(grouped))
    if n_groups < 2:
        return "a single group: nothing to compare it with"
    if n_groups == len(grouped):
        return "each row is a group of its own"
    return ""
