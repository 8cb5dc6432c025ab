"""Tests of clustering with several numbers of clusters."""

import os
import threading
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse.linalg import ArpackNoConvergence
from sklearn import config_context, get_config
from sklearn.cluster import KMeans
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_info, threadpool_limits

from imgsim.cluster.algorithms._registry import ClusteringTask
from imgsim.cluster.selection._candidates import (
    Candidate,
    check_k_range,
    cluster_candidates,
)


def _task(X, algorithm="kmeans", metric="euclidean", seed=0, **params):
    return ClusteringTask(X, X, algorithm, metric, params, seed)


def _task_of(fit, n_rows=20):
    """Return a task whose algorithm is a function of k."""
    rows = np.arange(float(n_rows))[:, np.newaxis]
    return SimpleNamespace(
        rows=rows, features=rows, algorithm="agglomerative", params={}, fit=fit
    )


def _halves(k):
    return "an estimator", np.arange(20) % 2


def _n_threads(kind):
    return {
        pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == kind
    }


@pytest.fixture(autouse=True)
def _one_openmp_thread():
    """Leave the threads alone, unlike in the other tests of clustering."""


@pytest.fixture
def all_threads():
    """Let BLAS use all processors, at least two, and restore its threads afterwards."""
    before, n_threads = threadpool_info(), max(2, os.cpu_count())
    _set_threads({"blas": n_threads})
    yield n_threads
    _set_threads(before)


def _set_threads(limits):
    threadpool_limits(limits)
    with threadpool_limits():
        pass  # leaving the context makes the limits of this thread take effect


@pytest.mark.parametrize(
    ("k_range", "expected"),
    [
        (range(2, 11), [2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ([5, 2, 3, 2, 5], [2, 3, 5]),
        ((4,), [4]),
        (np.array([3, 1], dtype=np.uint8), [1, 3]),
        ([np.int64(7), 2], [2, 7]),
        (range(4, 1, -1), [2, 3, 4]),
        ([10**12], [10**12]),
    ],
)
def test_candidates_are_sorted_without_duplicates(k_range, expected):
    """They are Python integers, also if NumPy integers were given."""
    candidates = check_k_range(k_range)

    assert candidates == expected
    assert {type(k) for k in candidates} == {int}


@pytest.mark.parametrize(
    "k_range", [[], range(0), [0, 2], [-3], [2.0], [2, 3.5], ["2"], "23", [None]]
)
def test_other_candidates_are_rejected(k_range):
    """The message has the value and the bound."""
    with pytest.raises(ValueError, match=r"k_range=.* must contain at least"):
        check_k_range(k_range)


@pytest.mark.parametrize("n_jobs", [1, 2, None, -1])
def test_labels_are_those_of_k_means_with_the_same_seed(blobs, n_jobs):
    """The number of threads does not matter."""
    X, _ = blobs

    candidates = cluster_candidates(_task(X, seed=4), range(2, 7), n_jobs, 0)

    assert [candidate.k for candidate in candidates] == [2, 3, 4, 5, 6]
    for candidate in candidates:
        kmeans = KMeans(candidate.k, random_state=4).fit(X)
        assert_array_equal(candidate.labels, kmeans.labels_)
        assert candidate.estimator.inertia_ == pytest.approx(kmeans.inertia_)


def test_a_candidate_has_its_clusters(blobs):
    """The fitted estimator, the labels and the time of clustering."""
    (candidate,) = cluster_candidates(_task(blobs[0]), [3], 1, 0)

    check_is_fitted(candidate.estimator)
    assert candidate.estimator.n_clusters == 3
    assert candidate.labels.dtype == np.int64
    assert 0 < candidate.seconds < 60
    assert candidate.has_scores
    assert candidate.reason == ""


def test_parameters_are_passed_to_the_algorithm(blobs):
    """They are set on the estimator."""
    (candidate,) = cluster_candidates(_task(blobs[0], max_iter=7), [3], 1, 0)

    assert candidate.estimator.max_iter == 7


@pytest.mark.parametrize(
    ("k", "reason"),
    [
        (1, "a single cluster"),
        (5, "k exceeds the number of distinct rows, 4"),
        (12, "k exceeds the number of distinct rows, 4"),
        (99, "k exceeds the number of distinct rows, 4"),
    ],
)
def test_impossible_candidates_have_a_reason(k, reason):
    """Of twelve rows, four are distinct; neither an error nor a warning is raised."""
    X = np.tile([[0.0, 1], [-0.0, 1], [4, 5], [6, 7], [9, 9]], (3, 1))[:12]

    candidates = cluster_candidates(_task(X), [2, k, 4], 1, 0)

    assert [candidate.has_scores for candidate in candidates] == [True, False, True]
    assert reason in candidates[1].reason


def test_an_impossible_candidate_is_not_clustered(blobs):
    """It has no estimator, no clusters and took no time."""
    (candidate,) = cluster_candidates(_task(blobs[0]), [61], 1, 0)

    assert candidate.estimator is None
    assert candidate.seconds == 0
    assert_array_equal(candidate.labels, np.full(60, -1))


def test_as_many_clusters_as_rows_have_no_scores():
    """The rows are clustered all the same."""
    (candidate,) = cluster_candidates(_task(np.eye(4)), [4], 1, 0)

    assert candidate.reason == "each row is a cluster of its own"
    assert sorted(candidate.labels) == [0, 1, 2, 3]


def test_rows_that_differ_in_length_only_are_equal_for_cosine():
    """Two directions are at most two clusters."""
    X = np.array([[1.0, 0], [2, 0], [4, 0], [0, 1], [0, 2], [0, 4]])
    unit = X / X.sum(axis=1, keepdims=True)
    task = ClusteringTask(X, unit, "kmeans", "cosine", {}, 0)

    two, three = cluster_candidates(task, [2, 3], 1, 0)

    assert two.has_scores
    assert three.reason == "k exceeds the number of distinct rows, 2"


@pytest.mark.parametrize(
    "error",
    [
        ValueError("did not converge"),
        np.linalg.LinAlgError("did not converge"),
        ArpackNoConvergence("did not converge", [], []),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_error_of_the_algorithm_is_a_reason(n_jobs, error):
    """The other candidates are clustered all the same."""

    def fit(k):
        if k == 3:
            raise error
        return _halves(k)

    found = cluster_candidates(_task_of(fit), [2, 3, 4], n_jobs, 0)

    assert [candidate.has_scores for candidate in found] == [True, False, True]
    assert "did not converge" in found[1].reason
    assert found[1].estimator is None


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_other_errors_are_raised(n_jobs):
    """Lack of memory is not the fault of one candidate."""

    def fit(k):
        raise MemoryError("no more")

    with pytest.raises(MemoryError, match="no more"):
        cluster_candidates(_task_of(fit), [2, 3], n_jobs, 0)


def test_parameters_may_suit_a_single_candidate(blobs):
    """Three initial centers let other candidates fail with scikit-learn's reason."""
    X, _ = blobs

    found = cluster_candidates(_task(X, init=X[[0, 30, 50]]), [2, 3, 4], 1, 0)

    assert [candidate.has_scores for candidate in found] == [False, True, False]
    assert "does not match the number of clusters 4" in found[2].reason


def test_noise_is_not_a_cluster():
    """One cluster and noise have no scores, but two clusters and noise do."""

    def fit(k):
        labels = np.arange(20) % k
        return "an estimator", np.where(labels == 0, -1, labels)

    two, three = cluster_candidates(_task_of(fit), [2, 3], 1, 0)

    assert "a single cluster" in two.reason
    assert three.has_scores


def test_candidates_are_clustered_at_the_same_time():
    """With two jobs, each of two candidates waits for the other."""
    both = threading.Barrier(2, timeout=10)

    def fit(k):
        both.wait()
        return _halves(k)

    found = cluster_candidates(_task_of(fit), [2, 3], 2, 0)

    assert [candidate.k for candidate in found] == [2, 3]


@pytest.mark.parametrize("n_jobs", [1, None])
def test_one_job_clusters_in_the_thread_of_the_caller(n_jobs):
    """The largest k, which takes longest, is the first."""
    seen = []

    def fit(k):
        seen.append((k, threading.current_thread()))
        return _halves(k)

    cluster_candidates(_task_of(fit), [2, 3, 4], n_jobs, 0)

    assert seen == [(k, threading.current_thread()) for k in (4, 3, 2)]


@pytest.mark.parametrize("kind", ["openmp", "blas"])
def test_jobs_share_the_processors(all_threads, kind):
    """Together they have no more threads than there are processors."""
    found = set()

    def fit(k):
        found.update(_n_threads(kind))
        return _halves(k)

    cluster_candidates(_task_of(fit), [2, 3], 2, 0)

    assert max(found, default=1) <= max(1, os.cpu_count() // 2)


def test_a_limit_on_threads_is_respected():
    """Users set limits on machines that they share."""
    found = set()

    def fit(k):
        found.update(_n_threads("openmp"))
        return _halves(k)

    with threadpool_limits(1, user_api="openmp"):
        cluster_candidates(_task_of(fit), [2], 1, 0)

    assert found == {1}


def test_the_threads_of_blas_are_restored(all_threads):
    """K-means limits them, and two fits that overlap restore them in the wrong order.

    The second fit begins while the limit of the first holds, and restores that limit.
    """
    first_began, second_began, first_ended = (threading.Event() for _ in range(3))
    calls = count()

    def fit(k):
        is_first = next(calls) == 0
        if not is_first:
            first_began.wait(10)
        with threadpool_limits(1, user_api="blas"):
            (first_began if is_first else second_began).set()
            (second_began if is_first else first_ended).wait(10)
        if is_first:
            first_ended.set()
        return _halves(k)

    cluster_candidates(_task_of(fit), [2, 3], 2, 0)

    assert _n_threads("blas") == {all_threads}


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_scikit_learns_configuration_holds_in_every_thread(n_jobs):
    """Agglomerative clustering depends on the working memory."""
    found = []

    def fit(k):
        found.append(get_config()["working_memory"])
        return _halves(k)

    with config_context(working_memory=77):
        cluster_candidates(_task_of(fit), [2, 3], n_jobs, 0)

    assert found == [77, 77]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_progress_bar_counts_candidates(blobs, capsys, n_jobs):
    """It is shown on the standard error if verbose is set."""
    task = _task(blobs[0])

    cluster_candidates(task, [2, 3, 4], n_jobs, 0)
    silent = capsys.readouterr()
    cluster_candidates(task, [2, 3, 4], n_jobs, 1)
    shown = capsys.readouterr()

    assert silent == ("", "")
    assert shown.out == ""
    assert "3/3" in shown.err


def test_a_candidate_prints_in_one_line():
    """Its labels are left out."""
    candidate = Candidate(3, 0.5, np.zeros(9), reason="did not converge")

    assert repr(candidate) == "Candidate(k=3, seconds=0.5, reason='did not converge')"
