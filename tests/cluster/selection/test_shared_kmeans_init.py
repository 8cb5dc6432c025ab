"""Tests of initial centers that several k-means share."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.cluster import KMeans, kmeans_plusplus

from imgsim.cluster.selection._shared_kmeans_init import SharedKMeansInit

KS = [1, 2, 3, 5, 7, 8, 9, 20, 21, 40]


@pytest.fixture(params=[np.float32, np.float64])
def rows(request):
    """Return 300 rows without clear clusters, some of them duplicated."""
    rows = np.random.default_rng(0).normal(size=(300, 12)).astype(request.param)
    rows[290:] = rows[:10]
    return rows


@pytest.mark.parametrize("order", [1, -1], ids=["ascending", "descending"])
def test_centers_are_those_that_kmeans_plusplus_draws(rows, order):
    """They do not depend on which k asks for them first."""
    shared = SharedKMeansInit(KS)

    for k in KS[::order]:
        centers = shared(rows, k, np.random.RandomState(3))

        assert_array_equal(centers, kmeans_plusplus(rows, k, random_state=3)[0])


def test_k_means_is_that_of_scikit_learn(rows):
    """Labels and centers are equal to the last bit."""
    shared = SharedKMeansInit(KS)

    for k in KS:
        alone = KMeans(k, random_state=3).fit(rows)
        kmeans = KMeans(k, init=shared, n_init=1, random_state=3).fit(rows)

        assert_array_equal(kmeans.labels_, alone.labels_)
        assert_array_equal(kmeans.cluster_centers_, alone.cluster_centers_)


def test_centers_are_drawn_once(rows, monkeypatch):
    """All k with the same number of trials for each center share one draw."""
    calls = []
    monkeypatch.setattr(
        "imgsim.cluster.selection._shared_kmeans_init.kmeans_plusplus",
        lambda X, k, **kwargs: calls.append(k) or kmeans_plusplus(X, k, **kwargs),
    )
    shared = SharedKMeansInit(range(2, 11))

    for k in range(2, 11):
        shared(rows, k, np.random.RandomState(0))

    assert calls == [2, 7, 10]


def test_the_returned_centers_are_a_copy(rows):
    """k-means moves them."""
    shared = SharedKMeansInit([3, 4])

    shared(rows, 4, np.random.RandomState(0))[:] = 0

    assert shared(rows, 3, np.random.RandomState(0)).any()
