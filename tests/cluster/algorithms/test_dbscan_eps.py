"""Tests of the radius of DBSCAN if the user sets none."""

import numpy as np
import pytest
from sklearn.cluster import DBSCAN
from sklearn.metrics import pairwise_distances

from imgsim.cluster.algorithms._dbscan_eps import suggest_eps


def _column(*gaps):
    """Return rows with one feature and with these gaps between them."""
    return np.cumsum([0.0, *gaps])[:, np.newaxis]


def _distances(rows, min_samples, metric):
    """Return the sorted distances to the `min_samples`-th nearest row, itself first."""
    all_pairs = pairwise_distances(rows.astype(np.float64), metric=metric)
    return np.sort(np.sort(all_pairs, axis=1)[:, min_samples - 1])


def test_radius_lies_between_near_and_far_neighbors():
    """Of 100 rows, 60 have a neighbor at 1 and 40 have one at 3."""
    rows = _column(*[1.0] * 59, 50.0, *[3.0] * 39)

    assert suggest_eps(rows, 2, "euclidean", seed=0) == 2


def test_equal_distances_have_no_knee():
    """The median distance reaches all rows, and rounding excludes none of them."""
    rows = _column(*[0.1] * 40)

    eps = suggest_eps(rows, 2, "euclidean", seed=0)

    assert eps == pytest.approx(0.1, rel=1e-4)
    labels = DBSCAN(eps=eps, min_samples=2).fit_predict(rows)
    assert (labels == 0).all()


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_outliers_do_not_change_the_radius(dtype, metric, blobs):
    """One row in a hundred may be arbitrarily far away."""
    rng = np.random.default_rng(0)
    X = np.vstack([blobs[0]] * 4) + rng.normal(size=(240, 8)) / 2
    outliers = rng.normal(size=(2, 8)) * 1e4

    plain = suggest_eps(X.astype(dtype), 5, metric, seed=0)
    eps = suggest_eps(np.vstack([X, outliers]).astype(dtype), 5, metric, seed=0)

    assert eps == pytest.approx(plain, rel=0.1)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("min_samples", [2, 5, 10])
def test_radius_is_the_mean_of_two_sorted_distances(min_samples, metric, blobs):
    """A row counts as its own nearest neighbor, as in DBSCAN."""
    X, _ = blobs

    eps = suggest_eps(X, min_samples, metric, seed=0)

    distances = _distances(X, min_samples, metric)
    position = np.searchsorted(distances, eps)
    assert len(X) // 4 < position < len(X)
    assert eps == pytest.approx(distances[position - 1 : position + 1].mean(), rel=1e-3)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_radius_separates_clusters_from_outliers(metric):
    """DBSCAN with this radius finds three clusters and none of the scattered rows."""
    rng = np.random.default_rng(1)
    y = np.repeat([0, 1, 2, 3], [70, 60, 50, 8])
    centers = np.vstack([np.eye(10)[:3] * 20, np.zeros(10)])
    spread = np.where(y == 3, 12.0, 1.0)[:, np.newaxis]
    rows = centers[y] + rng.normal(size=(188, 10)) * spread

    eps = suggest_eps(rows, 5, metric, seed=0)

    labels = DBSCAN(eps=eps, min_samples=5, metric=metric).fit_predict(rows)
    assert [len(set(labels[y == i]) - {-1}) for i in range(4)] == [1, 1, 1, 0]
    assert (labels[y < 3] >= 0).mean() > 0.8


def test_min_samples_of_one_takes_the_nearest_other_row():
    """The distance of a row to itself, 0, would allow any radius."""
    rows = _column(*[1.0] * 59, 50.0, *[3.0] * 39)

    assert suggest_eps(rows, 1, "euclidean", seed=0) == 2


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("n_rows", [1, 2, 3, 50])
def test_radius_of_equal_rows_is_positive(n_rows, metric):
    """DBSCAN rejects 0, so the radius is so small that no other row is near."""
    rows = np.ones((n_rows, 4), dtype=np.float32)

    assert 0 < suggest_eps(rows, 5, metric, seed=0) < 1e-5


@pytest.mark.parametrize("n_rows", [2, 3, 4, 5])
def test_fewer_rows_than_min_samples_have_a_radius(n_rows):
    """All rows are noise then, which is DBSCAN's decision."""
    rows = np.random.default_rng(0).normal(size=(n_rows, 3))

    eps = suggest_eps(rows, 5, "euclidean", seed=0)

    assert 0 < eps <= pairwise_distances(rows).max() * 1.001


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_radius_scales_with_the_rows(scale, blobs):
    """A radius has the unit of the rows."""
    X = blobs[0].astype(np.float64)

    eps = suggest_eps(X * scale, 5, "euclidean", seed=0)

    assert eps / scale == pytest.approx(suggest_eps(X, 5, "euclidean", seed=0))


def test_order_of_rows_does_not_change_the_radius(blobs):
    """The distances are sorted."""
    X, _ = blobs
    order = np.random.default_rng(0).permutation(len(X))

    assert suggest_eps(X[order], 5, "euclidean", 0) == pytest.approx(
        suggest_eps(X, 5, "euclidean", 0)
    )
