"""Tests of the summary of clusters, against brute force."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import pairwise_distances, silhouette_samples
from sklearn.preprocessing import normalize

from imgsim.cluster._cluster_summary import (
    ClusterSummary,
    distances_to_centers,
    renumber_by_size,
)
from imgsim.exceptions import WeakClustersWarning

METRICS = ("euclidean", "cosine")
COLUMNS = [
    "cluster",
    "size",
    "medoid",
    "silhouette",
    "nearest",
    "mean_distance",
    "max_distance",
]


def _summarize(rows, labels, metric):
    sizes = np.bincount(labels[labels >= 0])
    return ClusterSummary.from_labels(rows, labels, sizes, metric, 0)


@pytest.fixture(params=[np.float32, np.float64])
def rows(request):
    """Return 90 rows of 5 features and of different lengths."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(90, 5)) + 0.5).astype(request.param)


@pytest.fixture
def labels():
    """Return labels of five clusters, the last of a single row, and noise."""
    labels = np.random.default_rng(1).permutation(np.arange(90) % 5) - 1
    labels[labels == -1] = np.arange(18) % 4 - 1
    labels[7] = 4
    return labels


@pytest.mark.parametrize("metric", METRICS)
def test_the_table_has_a_row_for_each_cluster(metric, rows, labels):
    """Its values are computed here from the distances of all pairs."""
    summary = _summarize(rows, labels, metric)

    distances = pairwise_distances(rows.astype(np.float64), metric=metric)
    between = pairwise_distances(summary.centers, metric=metric)
    np.fill_diagonal(between, np.inf)
    table = summary.table
    assert list(table) == COLUMNS
    assert table["cluster"].tolist() == [0, 1, 2, 3, 4]
    for cluster in range(5):
        members = np.flatnonzero(labels == cluster)
        assert table["size"][cluster] == len(members)
        to_others = distances[members].mean(axis=0)
        assert table["medoid"][cluster] == members[to_others[members].argmin()]
        assert table["nearest"][cluster] == np.argmin(between[cluster])
        to_center = pairwise_distances(
            rows[members], summary.centers[[cluster]], metric=metric
        )
        assert table["mean_distance"][cluster] == pytest.approx(to_center.mean(), 1e-4)
        assert table["max_distance"][cluster] == pytest.approx(to_center.max(), 1e-4)
    assert_array_equal(table["medoid"], summary.medoids)


@pytest.mark.parametrize("metric", METRICS)
def test_silhouettes_are_those_of_scikit_learn(metric, rows, labels):
    """Noise is left out and has no silhouette."""
    summary = _summarize(rows, labels, metric)

    clustered = labels >= 0
    expected = silhouette_samples(rows[clustered], labels[clustered], metric=metric)
    assert_allclose(summary.silhouettes[clustered], expected, atol=1e-5)
    assert np.isnan(summary.silhouettes[~clustered]).all()
    means = [expected[labels[clustered] == i].mean() for i in range(5)]
    assert_allclose(summary.table["silhouette"], means, atol=1e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_centers_are_mean_rows(metric, rows, labels):
    """For cosine they are means of unit rows; they keep the dtype of the rows."""
    summary = _summarize(rows, labels, metric)

    scaled = normalize(rows) if metric == "cosine" else rows
    expected = [scaled[labels == i].mean(axis=0) for i in range(5)]
    assert summary.centers.dtype == rows.dtype
    assert_allclose(summary.centers, expected, atol=1e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_a_single_cluster_has_no_nearest_cluster(metric, rows):
    """Nor does it have silhouettes."""
    summary = _summarize(rows, np.zeros(90, dtype=np.int64), metric)

    assert summary.table["nearest"].tolist() == [-1]
    assert np.isnan(summary.silhouettes).all()
    assert np.isnan(summary.table["silhouette"]).all()
    distances = pairwise_distances(rows.astype(np.float64), metric=metric)
    assert summary.medoids.tolist() == [distances.mean(axis=0).argmin()]


@pytest.mark.parametrize("metric", METRICS)
def test_the_only_row_of_a_cluster_is_its_medoid(metric, rows):
    """It is also the center, so that its distance is 0."""
    summary = _summarize(rows[:6], np.arange(6), metric)

    assert summary.medoids.tolist() == [*range(6)]
    assert np.isnan(summary.silhouettes).all()
    assert_allclose(summary.table["max_distance"], np.zeros(6), atol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_the_first_of_equal_rows_is_the_medoid(metric):
    """Their distances to the others are all 0."""
    rows = np.repeat([[1.0, 2.0], [2.0, 1.0]], [3, 4], axis=0)

    summary = _summarize(rows, np.array([1, 1, 1, 0, 0, 0, 0]), metric)

    assert summary.medoids.tolist() == [3, 0]
    assert_allclose(summary.silhouettes, np.ones(7))


@pytest.mark.parametrize("metric", METRICS)
def test_the_table_may_have_no_rows(metric, rows):
    """All rows are noise then."""
    summary = _summarize(rows, np.full(90, -1), metric)

    assert summary.centers.shape == (0, 5)
    assert summary.medoids.shape == (0,)
    assert np.isnan(summary.silhouettes).all()
    assert [len(column) for column in summary.table.values()] == [0] * 7
    assert str(summary.table).split() == COLUMNS


def test_clusters_are_renumbered_by_size():
    """Clusters of equal size keep their order; the old numbers may have gaps."""
    found = np.array([5, 2, 2, -1, 7, 7, 5, 7, -1, 0])

    labels, sizes, number_of = renumber_by_size(found)

    assert labels.tolist() == [2, 1, 1, -1, 0, 0, 2, 0, -1, 3]
    assert sizes.tolist() == [3, 2, 2, 1]
    assert number_of.tolist() == [3, -1, 1, -1, -1, 2, -1, 0, -1]
    assert_array_equal(number_of[found], labels)


def test_noise_alone_warns():
    """The message says what to try."""
    with pytest.warns(
        WeakClustersWarning, match=r"all 4 rows are noise\. Try a larger"
    ):
        labels, sizes, number_of = renumber_by_size(np.full(4, -1))

    assert labels.tolist() == [-1] * 4
    assert len(sizes) == 0
    assert number_of.tolist() == [-1]


@pytest.mark.parametrize("metric", METRICS)
def test_distances_to_centers_are_those_of_scikit_learn(metric, rows):
    """Centers need not have unit length for cosine."""
    centers = rows[:3] * 2

    distances = distances_to_centers(rows, centers, metric)

    expected = pairwise_distances(
        rows.astype(np.float64), centers.astype(np.float64), metric=metric
    )
    assert distances.shape == (90, 3)
    assert_allclose(distances, expected, atol=1e-5)
