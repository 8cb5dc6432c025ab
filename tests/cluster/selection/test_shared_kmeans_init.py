"""Tests of first centres that several k-means share."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.cluster import KMeans, kmeans_plusplus

from imgsim.cluster.selection._shared_kmeans_init import SharedSeeds

KS = [1, 2, 3, 5, 7, 8, 9, 20, 21, 40]


@pytest.fixture(params=[np.float32, np.float64])
def rows(request):
    """Return 300 rows in no groups to speak of, some of them twice."""
    rows = np.random.default_rng(0).normal(size=(300, 12)).astype(request.param)
    rows[290:] = rows[:10]
    return rows


@pytest.mark.parametrize("order", [1, -1], ids=["ascending", "descending"])
def test_each_number_begins_as_if_it_were_alone(rows, order):
    """With what k-means++ draws for it, whichever is first."""
    seeds = SharedSeeds(KS)

    for k in KS[::order]:
        centers = seeds(rows, k, np.random.RandomState(3))

        assert_array_equal(centers, kmeans_plusplus(rows, k, random_state=3)[0])


def test_k_means_is_scikit_learns(rows):
    """To the last bit, from the first centre to the last."""
    seeds = SharedSeeds(KS)

    for k in KS:
        alone = KMeans(k, random_state=3).fit(rows)
        shared = KMeans(k, init=seeds, n_init=1, random_state=3).fit(rows)

        assert_array_equal(shared.labels_, alone.labels_)
        assert_array_equal(shared.cluster_centers_, alone.cluster_centers_)


def test_drawn_once(rows, monkeypatch):
    """For all numbers that try as many rows for each centre."""
    calls = []
    monkeypatch.setattr(
        "imgsim.cluster.selection._shared_kmeans_init.kmeans_plusplus",
        lambda X, k, **kwargs: calls.append(k) or kmeans_plusplus(X, k, **kwargs),
    )
    seeds = SharedSeeds(range(2, 11))

    for k in range(2, 11):
        seeds(rows, k, np.random.RandomState(0))

    assert calls == [2, 7, 10]


def test_what_is_returned_is_the_callers(rows):
    """K-means moves it."""
    seeds = SharedSeeds([3, 4])

    seeds(rows, 4, np.random.RandomState(0))[:] = 0

    assert seeds(rows, 3, np.random.RandomState(0)).any()
