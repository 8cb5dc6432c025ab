"""Tests of mean distances to clusters, against the distances of all pairs."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist
from sklearn.metrics import silhouette_samples

from imgsim.cluster.criteria._cluster_distances import measure_cohesion

CDIST_NAMES = {"manhattan": "cityblock"}
METRICS = ["euclidean", "cosine", "manhattan"]


@pytest.fixture
def rows():
    """Return rows in three overlapping clusters, one alone, and some in no cluster."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat([0, 1, 2, 3, -1], [50, 30, 20, 1, 9]))
    X = rng.standard_normal((110, 5), dtype=np.float32) + labels[:, np.newaxis]
    X[labels == -1] = np.nan
    return X, labels


def _means(X, labels, metric):
    """Return the mean distance of each row to the other members of each cluster."""
    X = X.astype(np.float64)
    distances = cdist(X, X, CDIST_NAMES.get(metric, metric))
    np.fill_diagonal(distances, 0)
    is_member = labels[:, np.newaxis] == np.arange(labels.max() + 1)
    n_others = is_member.sum(axis=0) - is_member
    return distances @ is_member / np.maximum(n_others, 1)


@pytest.mark.parametrize("metric", METRICS)
def test_silhouettes_and_mean_distances_are_those_of_all_pairs(metric, rows):
    """The row with the smallest mean distance is the medoid."""
    X, labels = rows
    inside = labels >= 0

    found = measure_cohesion(X, labels, metric)

    X, labels = X[inside], labels[inside]
    means = _means(X, labels, metric)
    expected = silhouette_samples(X.astype(float), labels, metric=metric)
    assert_allclose(found.silhouettes[inside], expected, atol=1e-5)
    assert_allclose(
        found.mean_distances[inside], means[np.arange(101), labels], rtol=1e-5
    )
    assert found.mean_distances[inside][labels == 3] == 0
    assert np.isnan(found.mean_distances[~inside]).all()
    assert np.isnan(found.silhouettes[~inside]).all()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n_clusters", [1, 6])
def test_silhouettes_may_be_undefined(metric, n_clusters):
    """A single cluster, or clusters of one row each, still have mean distances."""
    X = np.random.default_rng(0).standard_normal((6, 3))
    labels = np.arange(6) % n_clusters

    found = measure_cohesion(X, labels, metric)

    means = _means(X, labels, metric)
    assert np.isnan(found.silhouettes).all()
    assert_allclose(found.mean_distances, means[np.arange(6), labels], atol=1e-9)


@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
def test_many_rows_are_compared_with_a_sample(metric):
    """The sample represents every cluster, so that the means are nearly exact."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat([0, 1, 2, 3], [1500, 700, 3, 1]))
    X = rng.standard_normal((2204, 3)) + labels[:, np.newaxis]

    exact = measure_cohesion(X, labels, metric)
    found = measure_cohesion(X, labels, metric, max_columns=600, seed=1)
    again = measure_cohesion(X, labels, metric, max_columns=600, seed=1)

    assert np.abs(found.silhouettes - exact.silhouettes).max() < 0.3
    assert np.abs(found.silhouettes - exact.silhouettes).mean() < 0.05
    assert found.mean_distances[labels == 0] == pytest.approx(
        exact.mean_distances[labels == 0], rel=0.2
    )
    assert_array_equal(found.silhouettes, again.silhouettes)


def test_cosine_takes_no_sample():
    """Its distances are linear in unit rows, so that all can be summed at once."""
    rng = np.random.default_rng(0)
    X, labels = rng.standard_normal((300, 3)), np.arange(300) % 3

    exact = measure_cohesion(X, labels, "cosine")
    found = measure_cohesion(X, labels, "cosine", max_columns=20)

    assert_array_equal(found.mean_distances, exact.mean_distances)
