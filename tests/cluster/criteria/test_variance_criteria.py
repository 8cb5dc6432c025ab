"""Tests of criteria from sums over clusters, against scikit-learn."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.distance import cdist
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score

from imgsim.cluster.criteria._variance_criteria import compute_variance_criteria


def _draw(n_rows, n_clusters, n_features, seed=0):
    """Return rows in overlapping clusters, and labels; no cluster is empty."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n_rows) % n_clusters)
    centers = rng.normal(size=(n_clusters, n_features))
    return centers[labels] + rng.normal(size=(n_rows, n_features)), labels


def _by_scikit_learn(rows, labels):
    """Return the three criteria in double precision."""
    rows = np.asarray(rows, dtype=float)
    members = [rows[labels == label] for label in np.unique(labels)]
    inertia = sum(((some - some.mean(axis=0)) ** 2).sum() for some in members)
    return [
        inertia,
        calinski_harabasz_score(rows, labels),
        davies_bouldin_score(rows, labels),
    ]


def _jackknife(values):
    """Return the standard error from values that were computed without one row each."""
    values = np.asarray(values)
    n = len(values)
    return np.sqrt((n - 1) / n * ((values - values.mean(axis=0)) ** 2).sum(axis=0))


def _without_each(rows, labels):
    for i in range(len(rows)):
        yield np.delete(rows, i, axis=0), np.delete(labels, i)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(60, 3, 5), (40, 2, 1), (7, 6, 3), (9000, 4, 2)])
def test_criteria_are_those_of_scikit_learn(shape, dtype):
    """9,000 rows are more than one block."""
    rows, labels = _draw(*shape)
    rows = rows.astype(dtype)

    criteria, _ = compute_variance_criteria(rows, labels, 0)

    assert_allclose(criteria, _by_scikit_learn(rows, labels), rtol=1e-6)


def test_rows_far_from_the_origin_keep_their_precision():
    """Embeddings after a ReLU have a large mean, and float32 has only seven digits."""
    rows, labels = _draw(60, 3, 5)
    far = (rows + 1e4).astype(np.float32)

    criteria, _ = compute_variance_criteria(far, labels, 0)

    assert_allclose(criteria, _by_scikit_learn(far, labels), rtol=1e-6)


def test_order_of_rows_and_numbers_of_clusters_do_not_matter():
    """The criteria only depend on which rows share a cluster."""
    rows, labels = _draw(60, 4, 5)
    order = np.random.default_rng(1).permutation(60)

    criteria, _ = compute_variance_criteria(rows, labels, 0)
    other, _ = compute_variance_criteria(rows[order], (3 - labels)[order], 0)

    assert_allclose(other, criteria)


def test_rows_on_their_cluster_means_have_no_spread():
    """scikit-learn defines the ratio of Caliński and Harabasz as 1 then."""
    rows = np.repeat([[0.0, 1], [2, 3], [8, 5]], 4, axis=0)
    labels = np.repeat([0, 1, 2], 4)

    criteria, errors = compute_variance_criteria(rows, labels, 0)

    assert criteria == (0, 1, 0)
    assert list(criteria) == _by_scikit_learn(rows, labels)
    assert errors == (0, 0, 0)


def test_cluster_means_may_coincide():
    """The distance between the means of two concentric rings is 0."""
    ring = np.array([[1.0, 0], [0, 1], [-1, 0], [0, -1]])
    rows = np.concatenate([ring, ring / 4, ring + 9])
    labels = np.repeat([0, 1, 2], 4)

    criteria, errors = compute_variance_criteria(rows, labels, 0)

    assert_allclose(criteria, _by_scikit_learn(rows, labels))
    assert np.isfinite(errors).all()


def test_few_rows_are_left_out_one_by_one():
    """The jackknife; an inertia without one row is scaled to the number of all rows."""
    rows, labels = _draw(10, 3, 2)

    _, errors = compute_variance_criteria(rows, labels, 0)

    without = [_by_scikit_learn(*some)[:2] for some in _without_each(rows, labels)]
    expected = _jackknife(without) * [10 / 9, 1]
    assert_allclose([errors.inertia, errors.calinski_harabasz], expected)


def test_left_out_rows_change_the_means_but_not_the_distances_to_them():
    """The error of Davies and Bouldin's index is still near the exact jackknife."""
    rows, labels = _draw(10, 2, 3, seed=2)
    means = np.stack([rows[labels == i].mean(axis=0) for i in (0, 1)])
    lengths = np.linalg.norm(rows - means[labels], axis=1)

    _, errors = compute_variance_criteria(rows, labels, 0)

    without = []
    for i in range(10):
        kept = np.arange(10) != i
        moved = [rows[kept & (labels == j)].mean(axis=0) for j in (0, 1)]
        spread = sum(lengths[kept & (labels == j)].mean() for j in (0, 1))
        without.append(spread / cdist(moved, moved)[0, 1])
    exact = [_by_scikit_learn(*some)[2] for some in _without_each(rows, labels)]
    assert errors.davies_bouldin == pytest.approx(_jackknife(without))
    assert errors.davies_bouldin == pytest.approx(_jackknife(exact), rel=0.3)


def test_a_cluster_may_be_empty_without_the_part_left_out():
    """The criteria of the remaining rows ignore the empty cluster."""
    rows, labels = _draw(9, 3, 2)
    rows, labels = np.vstack([rows, [[9.0, 9.0]]]), np.append(labels, 3)

    _, errors = compute_variance_criteria(rows, labels, 0)

    without = [_by_scikit_learn(*some)[:2] for some in _without_each(rows, labels)]
    expected = _jackknife(without) * [10 / 9, 1]
    assert_allclose([errors.inertia, errors.calinski_harabasz], expected)


@pytest.mark.parametrize("n_rows", [3, 8, 30])
def test_errors_are_finite_if_only_one_cluster_remains(n_rows):
    """One of two clusters has a single row, which some part leaves out."""
    rows, _ = _draw(n_rows, 1, 2)
    labels = np.zeros(n_rows, dtype=int)
    labels[-1] = 1

    _, errors = compute_variance_criteria(rows, labels, 0)

    assert np.isfinite(errors).all()
    assert min(errors) >= 0


def test_errors_agree_with_a_bootstrap():
    """Ten parts estimate an error to within a quarter, and the mean of 20 is closer."""
    rows, labels = _draw(300, 3, 4)
    rng = np.random.default_rng(0)

    errors = np.mean(
        [compute_variance_criteria(rows, labels, seed)[1] for seed in range(20)], axis=0
    )

    drawn = [rng.integers(300, size=300) for _ in range(100)]
    again = [_by_scikit_learn(rows[some], labels[some]) for some in drawn]
    assert_allclose(errors / np.std(again, axis=0), 1, atol=0.35)


def test_errors_are_the_deviation_over_other_images():
    """Images are drawn a hundred times from the same clusters."""
    rng = np.random.default_rng(0)
    values, errors = [], []

    for _ in range(100):
        labels = rng.integers(3, size=120)
        rows = 3 * np.eye(3)[labels] + rng.normal(size=(120, 3))
        criteria, error = compute_variance_criteria(rows, labels, 0)
        values.append(criteria)
        errors.append(error)

    expected = np.std(values, axis=0)
    assert_allclose(np.mean(errors, axis=0) / expected, 1, atol=0.35)


def test_equal_seeds_give_equal_errors():
    """The seed divides the rows into parts, and the criteria do not depend on it."""
    rows, labels = _draw(60, 3, 4)

    first, again, other = (
        compute_variance_criteria(rows, labels, seed) for seed in (5, 5, 6)
    )

    assert first == again
    assert_allclose(other[0], first[0])
    assert first[1] != other[1]


def test_rows_may_be_read_only():
    """They are not changed."""
    rows, labels = _draw(60, 3, 4)
    expected = compute_variance_criteria(rows, labels, 0)
    rows.setflags(write=False)
    labels.setflags(write=False)

    assert compute_variance_criteria(rows, labels, 0) == expected
