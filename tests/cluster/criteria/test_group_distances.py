"""Tests of how near rows are to groups, against distances of all pairs."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist
from sklearn.metrics import silhouette_samples

from imgsim.cluster.criteria._group_distances import describe_groups

CDIST_NAMES = {"manhattan": "cityblock"}
METRICS = ["euclidean", "cosine", "manhattan"]


@pytest.fixture
def rows():
    """Return rows of three overlapping groups, of one alone, and of none."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat([0, 1, 2, 3, -1], [50, 30, 20, 1, 9]))
    X = rng.standard_normal((110, 5), dtype=np.float32) + labels[:, np.newaxis]
    X[labels == -1] = np.nan
    return X, labels


def _means(X, labels, metric):
    """Return mean distances of each row to the other members of each group."""
    X = X.astype(np.float64)
    distances = cdist(X, X, CDIST_NAMES.get(metric, metric))
    np.fill_diagonal(distances, 0)
    is_member = labels[:, np.newaxis] == np.arange(labels.max() + 1)
    n_others = is_member.sum(axis=0) - is_member
    return distances @ is_member / np.maximum(n_others, 1)


@pytest.mark.parametrize("metric", METRICS)
def test_it_describes_rows_and_groups(metric, rows):
    """From one pass come silhouettes and typical members."""
    X, labels = rows
    inside = labels >= 0

    found = describe_groups(X, labels, metric)

    X, labels = X[inside], labels[inside]
    means = _means(X, labels, metric)
    expected = silhouette_samples(X.astype(float), labels, metric=metric)
    assert_allclose(found.silhouette[inside], expected, atol=1e-5)
    assert_allclose(found.own[inside], means[np.arange(101), labels], rtol=1e-5)
    assert found.own[inside][labels == 3] == 0
    assert np.isnan(found.own[~inside]).all()
    assert np.isnan(found.silhouette[~inside]).all()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n_groups", [1, 6])
def test_there_may_be_no_silhouettes(metric, n_groups):
    """One group, or rows all alone, still have distances."""
    X = np.random.default_rng(0).standard_normal((6, 3))
    labels = np.arange(6) % n_groups

    found = describe_groups(X, labels, metric)

    means = _means(X, labels, metric)
    assert np.isnan(found.silhouette).all()
    assert_allclose(found.own, means[np.arange(6), labels], atol=1e-9)


@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
def test_many_rows_are_compared_with_a_sample(metric):
    """The sample is of every group, so that its means are near those of all."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat([0, 1, 2, 3], [1500, 700, 3, 1]))
    X = rng.standard_normal((2204, 3)) + labels[:, np.newaxis]

    exact = describe_groups(X, labels, metric)
    found = describe_groups(X, labels, metric, max_columns=600, seed=1)
    again = describe_groups(X, labels, metric, max_columns=600, seed=1)

    assert np.abs(found.silhouette - exact.silhouette).max() < 0.3
    assert np.abs(found.silhouette - exact.silhouette).mean() < 0.05
    assert found.own[labels == 0] == pytest.approx(exact.own[labels == 0], rel=0.2)
    assert_array_equal(found.silhouette, again.silhouette)


def test_cosine_needs_no_sample():
    """Its distances are linear, and all are summed at once."""
    rng = np.random.default_rng(0)
    X, labels = rng.standard_normal((300, 3)), np.arange(300) % 3

    exact = describe_groups(X, labels, "cosine")
    found = describe_groups(X, labels, "cosine", max_columns=20)

    assert_array_equal(found.own, exact.own)
