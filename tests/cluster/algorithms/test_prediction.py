"""Tests of the prediction of clusters for unseen rows."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.cluster import DBSCAN, KMeans
from sklearn.metrics import pairwise_distances

from imgsim.cluster._cluster_summary import renumber_by_size
from imgsim.cluster.algorithms._prediction import make_predictor
from imgsim.cluster.algorithms._registry import ALGORITHMS, ClusteringTask

METRICS = ("euclidean", "cosine")
VOTING = [name for name in ALGORITHMS if ALGORITHMS[name].predicts_by == "neighbors"]


def _predictor(algorithm, rows, found, estimator=None, metric="euclidean"):
    """Return the predictor for clusters as the estimator numbers them, and labels."""
    labels, _, number_of = renumber_by_size(found)
    task = ClusteringTask(rows, rows, algorithm, metric, {}, 0)
    return make_predictor(task, estimator, labels, number_of), labels


def _vote_by_hand(row, rows, labels):
    """Return the label with the largest weight among the fifteen nearest rows."""
    distances = np.linalg.norm(rows - row, axis=1)
    weight_of = {}
    for i in np.argsort(distances)[:15]:
        weight_of[labels[i]] = weight_of.get(labels[i], 0) + 1 / distances[i]
    return max(weight_of, key=weight_of.get)


class _FirstColumn:
    """An estimator that predicts the first feature of a row as its cluster."""

    def predict(self, rows):
        return rows[:, 0].astype(np.int64)


@pytest.fixture
def rows():
    """Return 120 rows of 4 features without clusters."""
    return np.random.default_rng(0).normal(size=(120, 4))


def test_predictions_of_the_estimator_are_renumbered(rows):
    """Its labels are renumbered by size, and so are its predictions."""
    kmeans = KMeans(6, random_state=0).fit(rows)

    predictor, labels = _predictor(
        "kmeans", rows, kmeans.labels_.astype(np.int64), kmeans
    )

    assert_array_equal(predictor.predict(rows), labels)
    unseen = np.random.default_rng(1).normal(size=(50, 4))
    to_centers = pairwise_distances(
        unseen, [rows[labels == i].mean(axis=0) for i in range(6)]
    )
    assert_array_equal(predictor.predict(unseen), to_centers.argmin(axis=1))


@pytest.mark.parametrize("number", [1, 3, 9])
def test_an_empty_cluster_is_replaced_by_the_nearest_one(number):
    """A component of a mixture may be empty, also one beyond the largest label."""
    rows = np.array([[0, 5.0], [0, 6.0], [0, 7.0], [2, 50.0], [2, 51.0]])
    found = np.array([0, 0, 0, 2, 2])

    predictor, _ = _predictor("gaussian_mixture", rows, found, _FirstColumn())

    unseen = np.array([[number, 7.0], [number, 49.0], [2, 0.0]])
    assert predictor.predict(unseen).tolist() == [0, 1, 1]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dbscan_predicts_the_cluster_of_the_nearest_core_sample(dtype, metric, rows):
    """Rows without a core sample within the radius are noise."""
    rows = rows[:, :3].astype(dtype)
    eps = {"euclidean": 0.5, "cosine": 0.03}[metric]
    dbscan = DBSCAN(eps=eps, min_samples=4, metric=metric).fit(rows)
    assert dbscan.labels_.max() > 2

    predictor, labels = _predictor("dbscan", rows, dbscan.labels_, dbscan, metric)

    unseen = np.random.default_rng(1).normal(size=(80, 3)).astype(dtype)
    distances = pairwise_distances(
        unseen.astype(np.float64), rows.astype(np.float64), metric=metric
    )
    is_core = np.isin(np.arange(120), dbscan.core_sample_indices_)
    distances[:, ~is_core] = np.inf
    expected = np.where(
        distances.min(axis=1) <= eps, labels[distances.argmin(axis=1)], -1
    )
    assert_array_equal(predictor.predict(unseen), expected)
    assert_array_equal(predictor.predict(rows[is_core]), labels[is_core])
    assert (predictor.predict(rows[labels < 0]) == -1).all()


@pytest.mark.filterwarnings("ignore:no cluster was found")
def test_without_core_samples_all_predictions_are_noise(rows):
    """No row can be near a core sample."""
    dbscan = DBSCAN(eps=1e-6).fit(rows)

    predictor, _ = _predictor("dbscan", rows, dbscan.labels_, dbscan)

    assert (predictor.predict(rows) == -1).all()


@pytest.mark.parametrize("algorithm", VOTING)
def test_other_algorithms_take_a_vote_of_the_nearest_rows(algorithm, rows):
    """Votes are weighted by the inverse distance, and noise takes part."""
    found = np.random.default_rng(1).integers(-1, 4, size=120)

    predictor, labels = _predictor(algorithm, rows, found)

    unseen = np.random.default_rng(2).normal(size=(100, 4))
    expected = [_vote_by_hand(row, rows, labels) for row in unseen]
    assert_array_equal(predictor.predict(unseen), expected)
    assert -1 in expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_a_clustered_row_keeps_its_label(scale, dtype, rows):
    """However near its neighbors are, and whether it is predicted alone or not."""
    rows = (rows * scale).astype(dtype)
    rows[60:] = rows[:60] * dtype(1 + 1e-3)

    predictor, labels = _predictor("leiden", rows, np.arange(120) // 60)

    assert_array_equal(predictor.predict(rows), labels)
    one_by_one = [predictor.predict(row[np.newaxis])[0] for row in rows[50:70]]
    assert_array_equal(one_by_one, labels[50:70])


def test_equal_rows_decide_by_majority():
    """Other rows have no vote then, however many there are."""
    rows = np.vstack([np.zeros((3, 2)), np.full((9, 2), 1e-9)])
    found = np.array([0, 1, 1, *[2] * 9])

    predictor, _ = _predictor("agglomerative", rows, found)

    assert predictor.predict(np.zeros((1, 2))).tolist() == [1]


def test_a_row_near_noise_is_noise():
    """Noise takes part in the vote like a cluster."""
    rows = np.vstack([np.zeros((20, 2)), np.full((20, 2), 9.0)])
    rows += np.random.default_rng(0).normal(size=(40, 2)) / 10

    predictor, _ = _predictor("hdbscan", rows, np.repeat([-1, 0], 20))

    assert predictor.predict(np.array([[0.0, 0.0], [9.0, 9.0]])).tolist() == [-1, 0]


@pytest.mark.parametrize("n_rows", [2, 5, 15])
def test_fewer_rows_than_voters_all_vote(n_rows, rows):
    """A collection may have fewer than fifteen images."""
    rows = rows[:n_rows]

    predictor, labels = _predictor("spectral", rows, np.arange(n_rows) % 2)

    assert_array_equal(predictor.predict(rows), labels)
    expected = [_vote_by_hand(row, rows, labels) for row in rows + 0.1]
    assert_array_equal(predictor.predict(rows + 0.1), expected)
