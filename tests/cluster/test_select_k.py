"""Tests of choosing the number of groups."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import adjusted_rand_score, silhouette_score

from imgsim import ImageClusterer, select_k


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_the_table_holds_scikit_learns_silhouettes(metric, blobs):
    """A row a candidate, and the labelings they were computed from."""
    X, _ = blobs

    selection = select_k(X, [5, 2, 3], metric=metric, random_state=0)

    expected = [
        silhouette_score(X, selection.labelings[k], metric=metric) for k in (2, 3, 5)
    ]
    assert selection.table["k"].tolist() == [2, 3, 5]
    assert_allclose(selection.table["silhouette"], expected)
    assert selection.best_k == 3
    assert (np.diff(selection.table["inertia"]) < 0).all()


def test_nine_candidates_unless_told_otherwise(blobs):
    """2 to 10, as the notebooks did it."""
    assert select_k(blobs[0], random_state=0).table["k"].tolist() == [*range(2, 11)]


def test_the_clusterer_chooses_by_it(blobs):
    """`n_clusters="auto"` is this function."""
    X, _ = blobs

    clusterer = ImageClusterer(k_range=range(2, 6), random_state=0).fit(X)

    assert clusterer.selection_.table["k"].tolist() == [2, 3, 4, 5]
    assert clusterer.n_clusters_ == clusterer.selection_.best_k
    chosen = clusterer.selection_.labelings[clusterer.n_clusters_]
    assert adjusted_rand_score(chosen, clusterer.labels_) == 1
    assert ImageClusterer(3).fit(X).selection_ is None


def test_unreadable_rows_are_labelled_minus_one(blobs):
    """And left out of every silhouette."""
    X, _ = blobs
    holes = np.insert(X, 10, np.nan, axis=0)

    plain = select_k(X, random_state=0)
    selection = select_k(holes, random_state=0)

    assert_array_equal(selection.table["silhouette"], plain.table["silhouette"])
    assert selection.labelings[3][10] == -1


@pytest.mark.parametrize("k_range", [[], [1, 2], [2, 60], range(0)])
def test_impossible_candidates_are_refused(k_range, blobs):
    """The message has the bounds."""
    with pytest.raises(ValueError, match=r"k_range=.* must hold .* n_samples=60"):
        select_k(blobs[0], k_range)


def test_equal_seeds_give_equal_tables():
    """Each candidate draws its own starts from the one seed."""
    X = np.random.default_rng(0).normal(size=(50, 4))

    tables = [select_k(X, random_state=5).table for _ in range(2)]

    assert_array_equal(tables[0]["inertia"], tables[1]["inertia"])
