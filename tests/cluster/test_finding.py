"""Tests of how many groups are found, and which; the rest is ImageClusterer's."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from imgsim.cluster._finding import find_groups
from imgsim.cluster.algorithms._registry import ALGORITHMS
from imgsim.cluster.selection._candidates import Setting
from imgsim.exceptions import WeakClustersWarning

FINDING = [name for name in ALGORITHMS if ALGORITHMS[name].finds_n_clusters]
TOLD = [name for name in ALGORITHMS if ALGORITHMS[name].takes_n_clusters]


def _find(rows, algorithm, n_clusters, k_range=None, params=None):
    setting = Setting(rows, rows, algorithm, "euclidean", params or {}, 0)
    readable = np.ones(len(rows), dtype=bool)
    return find_groups(setting, readable, n_clusters, k_range, "silhouette", 1)


@pytest.mark.parametrize("algorithm", TOLD)
def test_numbers_are_compared_if_there_are_candidates(algorithm, blobs):
    """Unless one is given."""
    X, _ = blobs

    selection = _find(X, algorithm, "auto", [2, 3, 4]).selection

    assert selection.table["k"].tolist() == [2, 3, 4]
    assert selection.best_k == 3
    assert _find(X, algorithm, 3, [2, 3, 4]).selection is None


@pytest.mark.parametrize("algorithm", FINDING)
def test_an_algorithm_may_find_the_number_itself(algorithm, blobs):
    """Then nothing is compared."""
    found = _find(blobs[0], algorithm, "auto")

    assert found.selection is None
    assert found.labels.max() == 2


@pytest.mark.parametrize("n_clusters", [1, 2, 3, 4])
def test_the_largest_groups_are_kept(n_clusters):
    """Of equal ones those of lower number; rows of the others are noise."""
    sizes = [6, 9, 9, 6, 6]
    rows = np.repeat(np.arange(5) * 100.0, sizes)[:, np.newaxis]
    rows += np.arange(len(rows))[:, np.newaxis] / 1000
    params = {"eps": 1.0, "min_samples": 3}

    every = _find(rows, "dbscan", "auto", params=params).labels
    found = _find(rows, "dbscan", n_clusters, params=params).labels

    assert_array_equal(every, np.repeat(np.arange(5), sizes))
    kept = [1, 2, 0, 3][:n_clusters]
    assert_array_equal(found, np.where(np.isin(every, kept), every, -1))


def test_more_groups_than_there_are_keep_all(blobs):
    """A density has as many peaks as it has; the warning has both numbers."""
    every = _find(blobs[0], "hdbscan", "auto").labels

    with pytest.warns(WeakClustersWarning, match="n_clusters=50, but 3 groups"):
        found = _find(blobs[0], "hdbscan", 50)

    assert_array_equal(found.labels, every)


@pytest.mark.parametrize("algorithm", TOLD)
def test_fewer_distinct_rows_than_groups_warn(algorithm):
    """With both numbers, and in our words alone."""
    rows = np.repeat(np.eye(3) * 9, [9, 6, 4], axis=0)

    with pytest.warns(
        WeakClustersWarning, match="n_clusters=5 exceeds .* there are 3 groups at most"
    ) as caught:
        labels = _find(rows, algorithm, 5).labels

    assert len(caught) == 1
    assert len(np.unique(labels)) == 3


@pytest.mark.parametrize("algorithm", ["dbscan", "hdbscan"])
@pytest.mark.parametrize("n_clusters", ["auto", 2])
def test_candidates_are_refused_where_none_can_be_told(algorithm, n_clusters, blobs):
    """Instead of being ignored."""
    with pytest.raises(
        ValueError, match=rf"k_range=\[2, 3\]: algorithm='{algorithm}' finds .* itself"
    ):
        _find(blobs[0], algorithm, n_clusters, [2, 3])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_more_groups_than_rows_are_refused(algorithm, blobs):
    """With both numbers."""
    with pytest.raises(
        ValueError, match=r"n_clusters=6 must be at most .* n_samples=5"
    ):
        _find(blobs[0][:5], algorithm, 6)


@pytest.mark.parametrize(
    ("algorithm", "remedy"), [("leiden", "resolution"), ("dbscan", "n_components=32")]
)
def test_a_group_of_nearly_all_is_told(algorithm, remedy):
    """As a single one is what a fixed radius makes of raw embeddings."""
    X = np.random.default_rng(0).uniform(size=(30, 2))
    params = {"leiden": {"resolution": 1e-3}, "dbscan": {"eps": 0.6}}[algorithm]

    with pytest.warns(
        WeakClustersWarning, match=f"one group holds 30 of 30 rows.*{remedy}"
    ):
        _find(X, algorithm, "auto", params=params)


@pytest.mark.parametrize("algorithm", ["leiden", "dbscan"])
@pytest.mark.filterwarnings("error")
def test_rows_that_are_all_copies_are_one_group(algorithm):
    """There is nothing to tell apart."""
    X = np.ones((25, 2))
    params = {"eps": 0.1} if algorithm == "dbscan" else {}

    assert set(_find(X, algorithm, "auto", params=params).labels) == {0}
