"""Tests of what there is to tell of groups."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import pairwise_distances, silhouette_samples
from sklearn.preprocessing import normalize

from imgsim.cluster._group_summary import Groups, distances_from, number_by_size
from imgsim.exceptions import WeakClustersWarning

METRICS = ("euclidean", "cosine")
COLUMNS = [
    "group",
    "size",
    "medoid",
    "silhouette",
    "nearest",
    "mean_distance",
    "max_distance",
]


def _describe(rows, labels, metric):
    sizes = np.bincount(labels[labels >= 0])
    return Groups.of(rows, labels, sizes, metric, 0)


@pytest.fixture(params=[np.float32, np.float64])
def rows(request):
    """Return 90 rows of width 5 of unequal lengths."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(90, 5)) + 0.5).astype(request.param)


@pytest.fixture
def labels():
    """Return five groups, the last of a single row, and noise."""
    labels = np.random.default_rng(1).permutation(np.arange(90) % 5) - 1
    labels[labels == -1] = np.arange(18) % 4 - 1
    labels[7] = 4
    return labels


@pytest.mark.parametrize("metric", METRICS)
def test_a_row_of_the_table_is_a_group(metric, rows, labels):
    """With what brute force finds among the distances of all pairs."""
    groups = _describe(rows, labels, metric)

    distances = pairwise_distances(rows.astype(np.float64), metric=metric)
    between = pairwise_distances(groups.centers, metric=metric)
    np.fill_diagonal(between, np.inf)
    table = groups.table
    assert list(table) == COLUMNS
    assert table["group"].tolist() == [0, 1, 2, 3, 4]
    for group in range(5):
        members = np.flatnonzero(labels == group)
        assert table["size"][group] == len(members)
        to_others = distances[members].mean(axis=0)
        assert table["medoid"][group] == members[to_others[members].argmin()]
        assert table["nearest"][group] == np.argmin(between[group])
        from_center = pairwise_distances(
            rows[members], groups.centers[[group]], metric=metric
        )
        assert table["mean_distance"][group] == pytest.approx(from_center.mean(), 1e-4)
        assert table["max_distance"][group] == pytest.approx(from_center.max(), 1e-4)
    assert_array_equal(table["medoid"], groups.medoids)


@pytest.mark.parametrize("metric", METRICS)
def test_silhouettes_are_scikit_learns(metric, rows, labels):
    """Of grouped rows alone; noise has none."""
    groups = _describe(rows, labels, metric)

    grouped = labels >= 0
    expected = silhouette_samples(rows[grouped], labels[grouped], metric=metric)
    assert_allclose(groups.silhouettes[grouped], expected, atol=1e-5)
    assert np.isnan(groups.silhouettes[~grouped]).all()
    means = [expected[labels[grouped] == i].mean() for i in range(5)]
    assert_allclose(groups.table["silhouette"], means, atol=1e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_centers_are_mean_rows(metric, rows, labels):
    """Of unit rows for cosine; in the type of the rows."""
    groups = _describe(rows, labels, metric)

    seen = normalize(rows) if metric == "cosine" else rows
    expected = [seen[labels == i].mean(axis=0) for i in range(5)]
    assert groups.centers.dtype == rows.dtype
    assert_allclose(groups.centers, expected, atol=1e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_a_single_group_has_no_other(metric, rows):
    """Nothing to be nearest to, and no silhouette."""
    groups = _describe(rows, np.zeros(90, dtype=np.int64), metric)

    assert groups.table["nearest"].tolist() == [-1]
    assert np.isnan(groups.silhouettes).all()
    assert np.isnan(groups.table["silhouette"]).all()
    distances = pairwise_distances(rows.astype(np.float64), metric=metric)
    assert groups.medoids.tolist() == [distances.mean(axis=0).argmin()]


@pytest.mark.parametrize("metric", METRICS)
def test_a_row_of_its_own_is_its_medoid(metric, rows):
    """And its centre, at distance 0."""
    groups = _describe(rows[:6], np.arange(6), metric)

    assert groups.medoids.tolist() == [*range(6)]
    assert np.isnan(groups.silhouettes).all()
    assert_allclose(groups.table["max_distance"], np.zeros(6), atol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_of_equal_rows_the_first_is_the_medoid(metric):
    """All are at distance 0 from the others."""
    rows = np.repeat([[1.0, 2.0], [2.0, 1.0]], [3, 4], axis=0)

    groups = _describe(rows, np.array([1, 1, 1, 0, 0, 0, 0]), metric)

    assert groups.medoids.tolist() == [3, 0]
    assert_allclose(groups.silhouettes, np.ones(7))


@pytest.mark.parametrize("metric", METRICS)
def test_no_group_is_a_table_without_rows(metric, rows):
    """Where all is noise."""
    groups = _describe(rows, np.full(90, -1), metric)

    assert groups.centers.shape == (0, 5)
    assert groups.medoids.shape == (0,)
    assert np.isnan(groups.silhouettes).all()
    assert [len(column) for column in groups.table.values()] == [0] * 7
    assert str(groups.table).split() == COLUMNS


def test_groups_are_numbered_by_size():
    """Equal ones in the order of the algorithm's numbers, which may have gaps."""
    found = np.array([5, 2, 2, -1, 7, 7, 5, 7, -1, 0])

    labels, sizes, number_of = number_by_size(found)

    assert labels.tolist() == [2, 1, 1, -1, 0, 0, 2, 0, -1, 3]
    assert sizes.tolist() == [3, 2, 2, 1]
    assert number_of.tolist() == [3, -1, 1, -1, -1, 2, -1, 0, -1]
    assert_array_equal(number_of[found], labels)


def test_noise_alone_warns():
    """With what to try."""
    with pytest.warns(
        WeakClustersWarning, match=r"all 4 rows are noise\. Try a larger"
    ):
        labels, sizes, number_of = number_by_size(np.full(4, -1))

    assert labels.tolist() == [-1] * 4
    assert len(sizes) == 0
    assert number_of.tolist() == [-1]


@pytest.mark.parametrize("metric", METRICS)
def test_distances_from_centers_are_scikit_learns(metric, rows):
    """Whatever the length of a centre."""
    centers = rows[:3] * 2

    distances = distances_from(rows, centers, metric)

    expected = pairwise_distances(
        rows.astype(np.float64), centers.astype(np.float64), metric=metric
    )
    assert distances.shape == (90, 3)
    assert_allclose(distances, expected, atol=1e-5)
