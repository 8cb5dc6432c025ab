"""Tests of the groups of unseen rows."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.cluster import DBSCAN, KMeans
from sklearn.metrics import pairwise_distances

from imgsim.cluster._group_summary import number_by_size
from imgsim.cluster.algorithms._prediction import make_rule
from imgsim.cluster.algorithms._registry import ALGORITHMS
from imgsim.cluster.selection._candidates import Setting

METRICS = ("euclidean", "cosine")
VOTING = [name for name in ALGORITHMS if ALGORITHMS[name].assigns == "neighbors"]


def _rule(algorithm, rows, found, estimator=None, metric="euclidean"):
    """Return the rule that assigns rows to groups as the estimator numbers them."""
    labels, _, number_of = number_by_size(found)
    setting = Setting(rows, rows, algorithm, metric, {}, 0)
    return make_rule(setting, estimator, labels, number_of), labels


def _vote_by_hand(row, rows, labels):
    """Return the label with the most weight among the fifteen nearest rows."""
    distances = np.linalg.norm(rows - row, axis=1)
    weight_of = {}
    for i in np.argsort(distances)[:15]:
        weight_of[labels[i]] = weight_of.get(labels[i], 0) + 1 / distances[i]
    return max(weight_of, key=weight_of.get)


class _Numbered:
    """An estimator whose groups are what the first column says."""

    def predict(self, rows):
        return rows[:, 0].astype(np.int64)


@pytest.fixture
def rows():
    """Return 120 rows of width 4 without groups."""
    return np.random.default_rng(0).normal(size=(120, 4))


def test_the_estimators_own_rule_is_renumbered(rows):
    """As its labels are."""
    kmeans = KMeans(6, random_state=0).fit(rows)

    rule, labels = _rule("kmeans", rows, kmeans.labels_.astype(np.int64), kmeans)

    assert_array_equal(rule.predict(rows), labels)
    other = np.random.default_rng(1).normal(size=(50, 4))
    from_centers = pairwise_distances(
        other, [rows[labels == i].mean(axis=0) for i in range(6)]
    )
    assert_array_equal(rule.predict(other), from_centers.argmin(axis=1))


@pytest.mark.parametrize("number", [1, 3, 9])
def test_a_group_without_rows_stands_for_the_nearest(number):
    """A component of a mixture may be empty, and beyond the largest label, too."""
    rows = np.array([[0, 5.0], [0, 6.0], [0, 7.0], [2, 50.0], [2, 51.0]])
    found = np.array([0, 0, 0, 2, 2])

    rule, _ = _rule("gaussian_mixture", rows, found, _Numbered())

    unseen = np.array([[number, 7.0], [number, 49.0], [2, 0.0]])
    assert rule.predict(unseen).tolist() == [0, 1, 1]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dbscan_asks_the_nearest_core_sample(dtype, metric, rows):
    """Within the radius; all else is noise."""
    rows = rows[:, :3].astype(dtype)
    eps = {"euclidean": 0.5, "cosine": 0.03}[metric]
    dbscan = DBSCAN(eps=eps, min_samples=4, metric=metric).fit(rows)
    assert dbscan.labels_.max() > 2

    rule, labels = _rule("dbscan", rows, dbscan.labels_, dbscan, metric)

    unseen = np.random.default_rng(1).normal(size=(80, 3)).astype(dtype)
    distances = pairwise_distances(
        unseen.astype(np.float64), rows.astype(np.float64), metric=metric
    )
    is_core = np.isin(np.arange(120), dbscan.core_sample_indices_)
    distances[:, ~is_core] = np.inf
    expected = np.where(
        distances.min(axis=1) <= eps, labels[distances.argmin(axis=1)], -1
    )
    assert_array_equal(rule.predict(unseen), expected)
    assert_array_equal(rule.predict(rows[is_core]), labels[is_core])
    assert (rule.predict(rows[labels < 0]) == -1).all()


@pytest.mark.filterwarnings("ignore:no group was found")
def test_without_a_core_sample_all_is_noise(rows):
    """There is nothing to be near to."""
    dbscan = DBSCAN(eps=1e-6).fit(rows)

    rule, _ = _rule("dbscan", rows, dbscan.labels_, dbscan)

    assert (rule.predict(rows) == -1).all()


@pytest.mark.parametrize("algorithm", VOTING)
def test_others_take_a_vote_of_the_nearest_rows(algorithm, rows):
    """By the inverse distance, noise included."""
    found = np.random.default_rng(1).integers(-1, 4, size=120)

    rule, labels = _rule(algorithm, rows, found)

    unseen = np.random.default_rng(2).normal(size=(100, 4))
    expected = [_vote_by_hand(row, rows, labels) for row in unseen]
    assert_array_equal(rule.predict(unseen), expected)
    assert -1 in expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_a_row_of_the_collection_keeps_its_group(scale, dtype, rows):
    """However near its neighbours are, one at a time or all at once."""
    rows = (rows * scale).astype(dtype)
    rows[60:] = rows[:60] * dtype(1 + 1e-3)

    rule, labels = _rule("leiden", rows, np.arange(120) // 60)

    assert_array_equal(rule.predict(rows), labels)
    one_by_one = [rule.predict(row[np.newaxis])[0] for row in rows]
    assert_array_equal(one_by_one, labels)


def test_equal_rows_decide_by_majority():
    """No other row is heard, however many there are."""
    rows = np.vstack([np.zeros((3, 2)), np.full((9, 2), 1e-9)])
    found = np.array([0, 1, 1, *[2] * 9])

    rule, _ = _rule("agglomerative", rows, found)

    assert rule.predict(np.zeros((1, 2))).tolist() == [1]


def test_a_row_near_noise_is_noise():
    """Noise is an answer like another."""
    rows = np.vstack([np.zeros((20, 2)), np.full((20, 2), 9.0)])
    rows += np.random.default_rng(0).normal(size=(40, 2)) / 10

    rule, _ = _rule("hdbscan", rows, np.repeat([-1, 0], 20))

    assert rule.predict(np.array([[0.0, 0.0], [9.0, 9.0]])).tolist() == [-1, 0]


@pytest.mark.parametrize("n_rows", [2, 5, 15])
def test_fewer_rows_than_voters_all_vote(n_rows, rows):
    """The collection may be small."""
    rows = rows[:n_rows]

    rule, labels = _rule("spectral", rows, np.arange(n_rows) % 2)

    assert_array_equal(rule.predict(rows), labels)
    expected = [_vote_by_hand(row, rows, labels) for row in rows + 0.1]
    assert_array_equal(rule.predict(rows + 0.1), expected)
