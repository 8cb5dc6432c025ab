"""Tests of criteria from sums over groups, against scikit-learn's."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.distance import cdist
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score

from imgsim.cluster.criteria._variance_criteria import judge


def _draw(n_rows, n_groups, n_features, seed=0):
    """Return rows in groups that overlap, and the groups; each has a row."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n_rows) % n_groups)
    centers = rng.normal(size=(n_groups, n_features))
    return centers[labels] + rng.normal(size=(n_rows, n_features)), labels


def _by_scikit_learn(rows, labels):
    """Return inertia, Caliński-Harabasz and Davies-Bouldin, in double precision."""
    rows = np.asarray(rows, dtype=float)
    members = [rows[labels == label] for label in np.unique(labels)]
    inertia = sum(((some - some.mean(axis=0)) ** 2).sum() for some in members)
    return [
        inertia,
        calinski_harabasz_score(rows, labels),
        davies_bouldin_score(rows, labels),
    ]


def _jackknife(values):
    """Return the standard error from values that lack a row each."""
    values = np.asarray(values)
    n = len(values)
    return np.sqrt((n - 1) / n * ((values - values.mean(axis=0)) ** 2).sum(axis=0))


def _without_each(rows, labels):
    for i in range(len(rows)):
        yield np.delete(rows, i, axis=0), np.delete(labels, i)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(60, 3, 5), (40, 2, 1), (7, 6, 3), (9000, 4, 2)])
def test_criteria_are_scikit_learns(shape, dtype):
    """Also of more rows than are added up at a time."""
    rows, labels = _draw(*shape)
    rows = rows.astype(dtype)

    criteria, _ = judge(rows, labels, 0)

    assert_allclose(criteria, _by_scikit_learn(rows, labels), rtol=1e-6)


def test_rows_far_from_the_origin_lose_no_digits():
    """As embeddings after a ReLU may lie; single precision has seven digits."""
    rows, labels = _draw(60, 3, 5)
    far = (rows + 1e4).astype(np.float32)

    criteria, _ = judge(far, labels, 0)

    assert_allclose(criteria, _by_scikit_learn(far, labels), rtol=1e-6)


def test_order_and_numbers_of_groups_do_not_matter():
    """Only who is with whom."""
    rows, labels = _draw(60, 4, 5)
    order = np.random.default_rng(1).permutation(60)

    criteria, _ = judge(rows, labels, 0)
    other, _ = judge(rows[order], (3 - labels)[order], 0)

    assert_allclose(other, criteria)


def test_rows_on_their_means_have_no_spread():
    """scikit-learn calls the ratio of Caliński and Harabasz 1 then."""
    rows = np.repeat([[0.0, 1], [2, 3], [8, 5]], 4, axis=0)
    labels = np.repeat([0, 1, 2], 4)

    criteria, errors = judge(rows, labels, 0)

    assert criteria == (0, 1, 0)
    assert list(criteria) == _by_scikit_learn(rows, labels)
    assert errors == (0, 0, 0)


def test_means_may_coincide():
    """A ring about a point: nothing is divided by the distance of their means."""
    ring = np.array([[1.0, 0], [0, 1], [-1, 0], [0, -1]])
    rows = np.concatenate([ring, ring / 4, ring + 9])
    labels = np.repeat([0, 1, 2], 4)

    criteria, errors = judge(rows, labels, 0)

    assert_allclose(criteria, _by_scikit_learn(rows, labels))
    assert np.isfinite(errors).all()


def test_few_rows_are_left_out_one_by_one():
    """The jackknife; an inertia counts for as many rows as there are in all."""
    rows, labels = _draw(10, 3, 2)

    _, errors = judge(rows, labels, 0)

    without = [_by_scikit_learn(*some)[:2] for some in _without_each(rows, labels)]
    expected = _jackknife(without) * [10 / 9, 1]
    assert_allclose([errors.inertia, errors.calinski_harabasz], expected)


def test_left_out_rows_move_the_means_but_not_the_distances_from_them():
    """As documented; the index of Davies and Bouldin barely notices."""
    rows, labels = _draw(10, 2, 3, seed=2)
    means = np.stack([rows[labels == i].mean(axis=0) for i in (0, 1)])
    lengths = np.linalg.norm(rows - means[labels], axis=1)

    _, errors = judge(rows, labels, 0)

    without = []
    for i in range(10):
        kept = np.arange(10) != i
        moved = [rows[kept & (labels == j)].mean(axis=0) for j in (0, 1)]
        spread = sum(lengths[kept & (labels == j)].mean() for j in (0, 1))
        without.append(spread / cdist(moved, moved)[0, 1])
    exact = [_by_scikit_learn(*some)[2] for some in _without_each(rows, labels)]
    assert errors.davies_bouldin == pytest.approx(_jackknife(without))
    assert errors.davies_bouldin == pytest.approx(_jackknife(exact), rel=0.3)


def test_a_group_may_vanish_with_the_part_left_out():
    """A row that is alone: the others are judged without its group."""
    rows, labels = _draw(9, 3, 2)
    rows, labels = np.vstack([rows, [[9.0, 9.0]]]), np.append(labels, 3)

    _, errors = judge(rows, labels, 0)

    without = [_by_scikit_learn(*some)[:2] for some in _without_each(rows, labels)]
    expected = _jackknife(without) * [10 / 9, 1]
    assert_allclose([errors.inertia, errors.calinski_harabasz], expected)


@pytest.mark.parametrize("n_rows", [3, 8, 30])
def test_two_groups_may_become_one(n_rows):
    """One of them a single row: the errors are numbers all the same."""
    rows, _ = _draw(n_rows, 1, 2)
    labels = np.zeros(n_rows, dtype=int)
    labels[-1] = 1

    _, errors = judge(rows, labels, 0)

    assert np.isfinite(errors).all()
    assert min(errors) >= 0


def test_errors_agree_with_a_bootstrap():
    """Loosely: ten parts tell an error to a quarter, and their mean better."""
    rows, labels = _draw(300, 3, 4)
    rng = np.random.default_rng(0)

    errors = np.mean([judge(rows, labels, seed)[1] for seed in range(20)], axis=0)

    drawn = [rng.integers(300, size=300) for _ in range(100)]
    again = [_by_scikit_learn(rows[some], labels[some]) for some in drawn]
    assert_allclose(errors / np.std(again, axis=0), 1, atol=0.35)


def test_errors_tell_how_criteria_vary_with_the_images():
    """Drawn anew a hundred times from the same groups."""
    rng = np.random.default_rng(0)
    values, errors = [], []

    for _ in range(100):
        labels = rng.integers(3, size=120)
        rows = 3 * np.eye(3)[labels] + rng.normal(size=(120, 3))
        criteria, error = judge(rows, labels, 0)
        values.append(criteria)
        errors.append(error)

    expected = np.std(values, axis=0)
    assert_allclose(np.mean(errors, axis=0) / expected, 1, atol=0.35)


def test_equal_seeds_leave_equal_parts_out():
    """Others others."""
    rows, labels = _draw(60, 3, 4)

    first, again, other = (judge(rows, labels, seed) for seed in (5, 5, 6))

    assert first == again
    assert_allclose(other[0], first[0])
    assert first[1] != other[1]


def test_rows_may_be_read_only():
    """And stay as they were."""
    rows, labels = _draw(60, 3, 4)
    expected = judge(rows, labels, 0)
    rows.setflags(write=False)
    labels.setflags(write=False)

    assert judge(rows, labels, 0) == expected
