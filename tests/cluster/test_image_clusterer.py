"""Tests of clustering rows, over all algorithms."""

import pickle
import sys
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.cluster import (
    HDBSCAN,
    AgglomerativeClustering,
    BisectingKMeans,
    KMeans,
    MiniBatchKMeans,
)
from sklearn.decomposition import PCA
from sklearn.metrics import (
    adjusted_rand_score,
    pairwise_distances,
    silhouette_samples,
    silhouette_score,
)
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import normalize

from imgsim import ColorHistogramEmbedder, ImageClusterer
from imgsim.cluster.algorithms._registry import ALGORITHMS
from imgsim.exceptions import ImageReadWarning, WeakClustersWarning

METRICS = ("euclidean", "cosine")
WITH_K = [name for name in ALGORITHMS if ALGORITHMS[name].takes_n_clusters]
FINDING = [name for name in ALGORITHMS if ALGORITHMS[name].finds_n_clusters]
COMPARED = [name for name in WITH_K if name not in FINDING]
ESTIMATOR = [name for name in ALGORITHMS if ALGORITHMS[name].predicts_by == "estimator"]
VOTING = [name for name in ALGORITHMS if ALGORITHMS[name].predicts_by == "neighbors"]
DENSITY = [name for name in ALGORITHMS if name not in WITH_K]

every_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS)
every_metric = pytest.mark.parametrize("metric", METRICS)
# Both metrics, both precisions, reduced or not.
EVERY_SPACE = [
    ("euclidean", np.float32, None),
    ("euclidean", np.float64, 2),
    ("cosine", np.float32, 2),
    ("cosine", np.float64, None),
]


def _make(algorithm, n_clusters=None, **kwargs):
    """Make a clusterer with four clusters, or with as many as the algorithm finds."""
    if n_clusters is None:
        n_clusters = "auto" if algorithm in FINDING else 4
    if algorithm == "dbscan" and "algorithm_params" not in kwargs:
        kwargs["algorithm_params"] = {"min_samples": 3}
    kwargs = {"random_state": 0, "n_jobs": None, **kwargs}
    return ImageClusterer(n_clusters, algorithm=algorithm, **kwargs)


def _make_crowd():
    """Return 120 rows of 5 features in clusters that touch, ten of them twice."""
    rng = np.random.default_rng(4)
    X = rng.normal(size=(4, 5))[np.arange(120) % 4] * 1.5 + rng.normal(size=(120, 5))
    X[110:] = X[:10]
    return X + 1


@pytest.fixture
def crowd():
    """Return 120 rows of 5 features in clusters that touch, ten of them twice."""
    return _make_crowd()


@cache
def _fitted_to_crowd(algorithm, metric):
    """Return a clusterer that several tests look at, but do not change."""
    return _make(algorithm, metric=metric).fit(_make_crowd())


@pytest.fixture
def strangers():
    """Return 40 rows of 5 features that are not in the crowd."""
    return np.random.default_rng(9).normal(size=(40, 5)) * 2 + 1


@pytest.mark.parametrize(
    ("metric", "n_components"),
    [("euclidean", None), ("euclidean", "auto"), ("cosine", None), ("cosine", 6)],
)
@every_algorithm
def test_separated_clusters_are_found(algorithm, metric, n_components, blobs):
    """With a given number of clusters as well as without."""
    X, y = blobs
    k_range = None if algorithm in FINDING else [2, 3, 4]

    for n_clusters in (3, "auto"):
        clusterer = _make(
            algorithm,
            n_clusters,
            metric=metric,
            n_components=n_components,
            k_range=k_range,
            algorithm_params={},
        ).fit(X)

        clustered = clusterer.labels_ >= 0
        assert clusterer.n_clusters_ == 3
        assert adjusted_rand_score(y[clustered], clusterer.labels_[clustered]) == 1
        assert clusterer.n_noise_ == 60 - clustered.sum()
        assert clusterer.n_noise_ <= (15 if algorithm in DENSITY else 0)


def test_directions_are_compared_by_default(crowd):
    """The length of embeddings carries little information."""
    lengths = np.random.default_rng(0).uniform(1, 9, size=(120, 1))

    clusterer = ImageClusterer(4, random_state=0).fit(crowd)

    scaled = ImageClusterer(4, random_state=0).fit(crowd * lengths)
    assert clusterer.metric == "cosine"
    assert_array_equal(scaled.labels_, clusterer.labels_)


BY_HAND = {
    "kmeans": KMeans(4, random_state=0),
    "minibatch_kmeans": MiniBatchKMeans(4, random_state=0),
    "bisecting_kmeans": BisectingKMeans(4, random_state=0),
    "agglomerative": AgglomerativeClustering(4),
    "gaussian_mixture": GaussianMixture(4, covariance_type="diag", random_state=0),
    "hdbscan": HDBSCAN(copy=True),
}


@every_metric
@pytest.mark.parametrize("algorithm", BY_HAND)
def test_clusters_are_those_of_scikit_learn(algorithm, metric, crowd):
    """For cosine, scikit-learn's estimator is fitted on rows of unit length."""
    rows = normalize(crowd) if metric == "cosine" else crowd

    clusterer = _make(algorithm, metric=metric).fit(crowd)

    expected = BY_HAND[algorithm].fit_predict(rows)
    assert type(clusterer.estimator_) is type(BY_HAND[algorithm])
    assert adjusted_rand_score(expected, clusterer.labels_) == 1
    assert_array_equal(expected < 0, clusterer.labels_ < 0)


@every_metric
def test_reduced_rows_are_clustered(metric, crowd):
    """Centers and silhouettes refer to the rows before the reduction."""
    clusterer = _make("kmeans", metric=metric, n_components=2).fit(crowd)

    rows = normalize(crowd) if metric == "cosine" else crowd
    reduced = PCA(2, random_state=0).fit_transform(rows)
    reduced = normalize(reduced) if metric == "cosine" else reduced
    expected = KMeans(4, random_state=0).fit_predict(reduced)
    assert adjusted_rand_score(expected, clusterer.labels_) == 1
    assert clusterer.cluster_centers_.shape == (4, 5)
    assert_allclose(
        clusterer.silhouette_samples_,
        silhouette_samples(crowd, clusterer.labels_, metric=metric),
        atol=1e-5,
    )


@every_metric
@every_algorithm
def test_clusters_are_numbered_by_size(algorithm, metric):
    """They are numbered from 0 without gaps, and noise is -1."""
    clusterer = _fitted_to_crowd(algorithm, metric)

    labels = clusterer.labels_
    sizes = np.bincount(labels[labels >= 0])
    assert labels.dtype == np.int64
    assert labels.min() >= -1
    assert_array_equal(clusterer.cluster_sizes_, sizes)
    assert sizes.tolist() == sorted(sizes, reverse=True)
    assert sizes.min() > 0
    assert clusterer.n_clusters_ == len(sizes) > 1
    assert clusterer.n_noise_ == (labels == -1).sum()


@every_metric
@every_algorithm
def test_centers_and_medoids_are_those_of_brute_force(algorithm, metric, crowd):
    """A medoid is the member with the smallest mean distance to the others."""
    clusterer = _fitted_to_crowd(algorithm, metric)

    rows = normalize(crowd) if metric == "cosine" else crowd
    distances = pairwise_distances(crowd, metric=metric)
    for cluster, medoid in enumerate(clusterer.medoid_indices_):
        members = np.flatnonzero(clusterer.labels_ == cluster)
        expected = rows[members].mean(axis=0)
        assert_allclose(clusterer.cluster_centers_[cluster], expected)
        to_others = distances[np.ix_(members, members)].mean(axis=0)
        assert medoid in members
        assert to_others[members == medoid] == pytest.approx(to_others.min())


@every_metric
@every_algorithm
def test_silhouettes_are_those_of_scikit_learn(algorithm, metric, crowd):
    """Noise is left out."""
    clusterer = _fitted_to_crowd(algorithm, metric)

    labels, clustered = clusterer.labels_, clusterer.labels_ >= 0
    expected = silhouette_samples(crowd[clustered], labels[clustered], metric=metric)
    assert_allclose(clusterer.silhouette_samples_[clustered], expected, atol=1e-5)
    assert np.isnan(clusterer.silhouette_samples_[~clustered]).all()


@every_metric
@every_algorithm
def test_score_is_the_mean_silhouette(algorithm, metric, strangers):
    """Unseen images are scored in their predicted clusters, without noise."""
    clusterer = _fitted_to_crowd(algorithm, metric)

    labels = clusterer.predict(strangers)
    clustered = labels >= 0
    expected = silhouette_score(strangers[clustered], labels[clustered], metric=metric)
    assert clusterer.score(strangers) == pytest.approx(expected, abs=1e-5)


def _check_training_rows_keep_their_labels(clusterer, X):
    labels = clusterer.fit(X).labels_

    assert_array_equal(clusterer.predict(X), labels)
    one_by_one = [clusterer.predict(row[np.newaxis])[0] for row in X[:10]]
    assert_array_equal(one_by_one, labels[:10])


@pytest.mark.parametrize(("metric", "dtype", "n_components"), EVERY_SPACE)
@pytest.mark.parametrize("algorithm", ESTIMATOR)
def test_estimators_predict_the_labels_of_training_rows(
    algorithm, metric, dtype, n_components, crowd
):
    """The rows are predicted all at once as well as one at a time."""
    clusterer = _make(algorithm, metric=metric, n_components=n_components)

    _check_training_rows_keep_their_labels(clusterer, crowd.astype(dtype))


@pytest.mark.parametrize(("metric", "dtype", "n_components"), EVERY_SPACE)
@pytest.mark.parametrize("algorithm", VOTING)
def test_a_vote_predicts_the_labels_of_training_rows(
    algorithm, metric, dtype, n_components, crowd
):
    """The first 110 rows have no duplicates, whose labels could differ."""
    clusterer = _make(algorithm, metric=metric, n_components=n_components)

    _check_training_rows_keep_their_labels(clusterer, crowd[:110].astype(dtype))


@every_metric
def test_dbscan_predicts_the_labels_of_core_samples_and_noise(metric, crowd):
    """Only a border row between two clusters may be predicted in the other one."""
    clusterer = _make("dbscan", metric=metric, algorithm_params={"min_samples": 4})
    labels = clusterer.fit(crowd).labels_

    found = clusterer.predict(crowd)

    core = clusterer.estimator_.core_sample_indices_
    assert 0 < len(core) < (labels >= 0).sum() < 120
    assert_array_equal(found[core], labels[core])
    assert_array_equal(found < 0, labels < 0)


@every_metric
@every_algorithm
def test_unseen_rows_are_assigned_to_the_cluster_around_them(algorithm, metric, blobs):
    """For each way to predict clusters; density may leave rows out."""
    X, y = blobs
    clusterer = _make(algorithm, 3, metric=metric, algorithm_params={}).fit(X)
    unseen = X[::-1] + np.random.default_rng(1).normal(size=X.shape) / 2

    labels = clusterer.predict(unseen)

    assigned = labels >= 0
    assert assigned.mean() > (0.6 if algorithm in DENSITY else 0.99)
    assert_array_equal(labels[assigned], y[::-1][assigned])


@every_metric
@every_algorithm
def test_transform_returns_distances_to_centers(algorithm, metric, strangers):
    """There is one column for each cluster."""
    clusterer = _fitted_to_crowd(algorithm, metric)

    distances = clusterer.transform(strangers)

    expected = pairwise_distances(strangers, clusterer.cluster_centers_, metric=metric)
    assert distances.shape == (40, clusterer.n_clusters_)
    assert_allclose(distances, expected)


def test_k_means_predicts_the_nearest_center(crowd, strangers):
    """For the rows it was fitted on and for others."""
    clusterer = _make("kmeans", 6, metric="euclidean").fit(crowd)

    for X in (crowd, strangers):
        nearest = clusterer.transform(X).argmin(axis=1)
        assert_array_equal(clusterer.predict(X), nearest)


@every_metric
@every_algorithm
def test_rows_beyond_the_largest_distance_are_in_no_cluster(algorithm, metric, blobs):
    """An outlier is farther from the center than all rows of the collection."""
    X, _ = blobs
    clusterer = _make(algorithm, 3, metric=metric, algorithm_params={}).fit(X)
    outlier = np.eye(8, dtype=np.float32)[[5]] * 20
    largest = clusterer.report()["max_distance"].max() * 1.001

    labels = clusterer.predict(np.vstack([X, outlier]), max_distance=largest)

    assert_array_equal(labels[:-1], clusterer.predict(X))
    assert labels[-1] == -1
    if algorithm not in DENSITY:
        assert clusterer.predict(outlier)[0] >= 0


@every_metric
def test_the_largest_distance_is_that_of_transform(metric, strangers):
    """A row at exactly this distance from the center of its cluster is kept."""
    clusterer = _fitted_to_crowd("agglomerative", metric)
    labels, distances = clusterer.predict(strangers), clusterer.transform(strangers)
    own = distances[np.arange(40), labels]

    for limit in (0, 0.0, np.median(own), np.float32(own.max() * 2), np.inf):
        found = clusterer.predict(strangers, max_distance=limit)

        assert_array_equal(found, np.where(own <= limit, labels, -1))


@every_metric
def test_each_cluster_may_have_its_own_largest_distance(metric, strangers):
    """A distance that is usual in a wide cluster is unusual in a narrow one."""
    clusterer = _fitted_to_crowd("agglomerative", metric)
    labels, distances = clusterer.predict(strangers), clusterer.transform(strangers)
    own = distances[np.arange(40), labels]
    limits = np.array([np.median(own[labels == cluster]) for cluster in range(4)])

    found = clusterer.predict(strangers, max_distance=limits.tolist())

    assert_array_equal(found, np.where(own <= limits[labels], labels, -1))
    assert set(found) == {-1, 0, 1, 2, 3}


@pytest.mark.parametrize(
    "max_distance",
    [-1, -1e-9, np.nan, "far", "3", [1.0], [1.0, 2.0, -1.0], [[1.0, 2.0, 3.0]]],
    ids=str,
)
def test_invalid_largest_distances_are_rejected(max_distance, blobs):
    """The message has the value and the bound."""
    clusterer = ImageClusterer(3, random_state=0).fit(blobs[0])

    with pytest.raises(ValueError, match=r"max_distance=.* must be at least 0"):
        clusterer.predict(blobs[0], max_distance=max_distance)


@every_metric
@every_algorithm
def test_unreadable_rows_do_not_influence_others(algorithm, metric, crowd):
    """They are labeled -1, wherever they are in the collection."""
    holes = np.insert(crowd, [0, 30, 60, 120], np.nan, axis=0)
    holes[31, 1:] = 7
    readable = ~np.isnan(holes[:, 0])

    plain = _make(algorithm, metric=metric, n_components=3).fit(crowd)
    clusterer = _make(algorithm, metric=metric, n_components=3).fit(holes)

    assert_array_equal(clusterer.labels_[readable], plain.labels_)
    assert_array_equal(clusterer.labels_[~readable], -1)
    assert clusterer.n_noise_ == plain.n_noise_ + 4
    assert_array_equal(clusterer.cluster_sizes_, plain.cluster_sizes_)
    assert_array_equal(clusterer.cluster_centers_, plain.cluster_centers_)
    row_of = np.flatnonzero(readable)
    assert_array_equal(clusterer.medoid_indices_, row_of[plain.medoid_indices_])
    assert_array_equal(
        clusterer.silhouette_samples_[readable], plain.silhouette_samples_
    )
    assert np.isnan(clusterer.silhouette_samples_[~readable]).all()


@every_algorithm
def test_unreadable_rows_are_predicted_in_no_cluster(algorithm, strangers):
    """Their distances are NaN, and the score leaves them out."""
    clusterer = _fitted_to_crowd(algorithm, "cosine")
    holes = np.insert(strangers, [0, 9], np.nan, axis=0)
    readable = ~np.isnan(holes[:, 0])

    labels, distances = clusterer.predict(holes), clusterer.transform(holes)

    assert_array_equal(labels[readable], clusterer.predict(strangers))
    assert_array_equal(labels[~readable], -1)
    assert_array_equal(distances[readable], clusterer.transform(strangers))
    assert np.isnan(distances[~readable]).all()
    assert_allclose(clusterer.score(holes), clusterer.score(strangers))
    assert_array_equal(clusterer.predict(holes[~readable]), [-1, -1])
    assert_array_equal(clusterer.predict(holes[~readable], max_distance=1), [-1, -1])


@pytest.mark.parametrize(
    "algorithm", ["kmeans", "minibatch_kmeans", "bisecting_kmeans"]
)
def test_one_image_may_be_one_cluster(algorithm):
    """These algorithms can be fitted on a single row."""
    X = np.array([[3.0, 4.0]])

    clusterer = _make(algorithm, 1, n_components="auto").fit(X)

    assert_array_equal(clusterer.labels_, [0])
    assert_array_equal(clusterer.medoid_indices_, [0])
    assert_array_equal(clusterer.predict([[9.0, 9.0]]), [0])
    assert np.isnan(clusterer.score(X))


@pytest.mark.parametrize("algorithm", [*VOTING, "gaussian_mixture"])
def test_one_image_is_too_few_for_others(algorithm):
    """They need at least two rows to compare."""
    with pytest.raises(ValueError, match=r"at least 2 readable rows|minimum of 2"):
        _make(algorithm, 1).fit(np.ones((1, 3)))


@pytest.mark.parametrize("n_rows", [1, 2])
def test_few_images_are_noise_for_dbscan(n_rows):
    """A core sample needs five rows by default."""
    X = np.eye(3)[:n_rows]

    with pytest.warns(WeakClustersWarning, match="no cluster was found"):
        clusterer = _make("dbscan", algorithm_params={}).fit(X)

    assert_array_equal(clusterer.labels_, [-1] * n_rows)


@pytest.mark.parametrize("algorithm", COMPARED)
@pytest.mark.parametrize("n_samples", [1, 2])
def test_too_few_images_for_a_comparison_are_rejected(n_samples, algorithm):
    """Silhouettes need more rows than clusters, and at least two clusters."""
    with pytest.raises(ValueError, match=f"at least 3 .* got n_samples={n_samples}"):
        _make(algorithm, "auto").fit(np.eye(3)[:n_samples])


@every_algorithm
def test_more_clusters_than_readable_images_are_rejected(algorithm):
    """The message has both numbers."""
    X = np.vstack([np.eye(4), np.full((3, 4), np.nan)])

    with pytest.raises(ValueError, match=r"n_clusters=5 must be at most .*_samples=4"):
        _make(algorithm, 5).fit(X)


@every_metric
@pytest.mark.parametrize("algorithm", WITH_K)
def test_two_images_are_one_or_two_clusters(algorithm, metric):
    """As many as are requested."""
    X = np.array([[1.0, 2.0, 0.0], [0.0, 3.0, 9.0]])

    for n_clusters in (1, 2):
        clusterer = _make(algorithm, n_clusters, metric=metric).fit(X)

        assert clusterer.n_clusters_ == n_clusters
        assert_array_equal(clusterer.predict(X), clusterer.labels_)
        assert np.isnan(clusterer.score(X))


def test_two_images_are_too_few_for_hdbscan():
    """A cluster needs five rows by default."""
    with pytest.raises(ValueError, match=r"min_cluster_size=5 .* got n_samples=2"):
        _make("hdbscan").fit(np.eye(2))


@every_metric
@pytest.mark.parametrize("algorithm", sorted({*WITH_K} - {"minibatch_kmeans"}))
def test_each_image_may_be_its_own_cluster(algorithm, metric):
    """There are no silhouettes then. Small batches may find fewer clusters."""
    X = np.random.default_rng(0).normal(size=(9, 4))

    clusterer = _make(algorithm, 9, metric=metric).fit(X)

    assert_array_equal(clusterer.cluster_sizes_, [1] * 9)
    assert_array_equal(clusterer.medoid_indices_[clusterer.labels_], np.arange(9))
    assert np.isnan(clusterer.silhouette_samples_).all()
    assert np.isnan(clusterer.score(X))
    assert_array_equal(clusterer.predict(X), clusterer.labels_)


@every_metric
@pytest.mark.parametrize("value", [0.0, 2.5])
@pytest.mark.parametrize("algorithm", WITH_K)
def test_equal_images_are_one_cluster(algorithm, value, metric):
    """There is a single warning if more clusters are requested."""
    X = np.full((12, 3), value)

    with pytest.warns(WeakClustersWarning, match="distinct rows, 1, which") as caught:
        clusterer = _make(algorithm, 3, metric=metric, n_components="auto").fit(X)

    assert len(caught) == 1
    assert_array_equal(clusterer.labels_, np.zeros(12))
    assert clusterer.report()["max_distance"] == pytest.approx(
        1 if metric == "cosine" and value == 0 else 0
    )


@every_metric
@pytest.mark.parametrize("algorithm", FINDING)
def test_equal_images_are_one_cluster_or_noise(algorithm, metric):
    """The density of equal rows has no dip, so that hdbscan finds no cluster."""
    X = np.ones((12, 3))

    if algorithm == "hdbscan":
        with pytest.warns(WeakClustersWarning, match="no cluster was found"):
            clusterer = _make(algorithm, metric=metric).fit(X)
    else:
        clusterer = _make(algorithm, metric=metric).fit(X)

    assert clusterer.n_clusters_ == (algorithm != "hdbscan")


@pytest.mark.parametrize("algorithm", COMPARED)
def test_numbers_of_clusters_of_equal_images_are_not_compared(algorithm):
    """The message says why all candidates fail."""
    with pytest.raises(ValueError, match="exceeds the number of distinct rows, 1"):
        _make(algorithm, "auto").fit(np.ones((12, 3)))


@every_metric
@pytest.mark.parametrize("algorithm", WITH_K)
def test_there_are_at_most_as_many_clusters_as_distinct_images(algorithm, metric):
    """A single warning has both numbers."""
    X = np.repeat(np.eye(4) * 5, [30, 25, 24, 23], axis=0)

    with pytest.warns(WeakClustersWarning, match=r"=7 exceeds .* rows, 4,") as caught:
        clusterer = _make(algorithm, 7, metric=metric).fit(X)

    assert len(caught) == 1
    assert_array_equal(clusterer.cluster_sizes_, [30, 25, 24, 23])
    assert_array_equal(clusterer.predict(X), clusterer.labels_)
    assert_allclose(clusterer.silhouette_samples_, np.ones(102))


@pytest.mark.parametrize("algorithm", WITH_K)
def test_images_of_one_direction_are_equal_by_cosine(algorithm):
    """The length of the rows does not matter."""
    X = np.outer(2.0 ** np.arange(12), [3.0, 4.0])

    with pytest.warns(WeakClustersWarning, match="distinct rows, 1, which"):
        clusterer = _make(algorithm, 3, metric="cosine").fit(X)

    assert clusterer.n_clusters_ == 1


@every_metric
@pytest.mark.parametrize("n_clusters", ["auto", 4])
def test_all_images_may_be_noise(n_clusters, metric, crowd):
    """The warning says what to try."""
    clusterer = _make(
        "dbscan", n_clusters, metric=metric, algorithm_params={"eps": 1e-9}
    )

    with pytest.warns(
        WeakClustersWarning, match=r"no cluster was found: all 110 .* eps"
    ):
        clusterer.fit(crowd[:110])

    assert_array_equal(clusterer.labels_, [-1] * 110)
    assert clusterer.n_clusters_ == 0
    assert clusterer.n_noise_ == 110
    assert clusterer.cluster_centers_.shape == (0, 5)
    assert clusterer.medoid_indices_.shape == (0,)
    assert np.isnan(clusterer.silhouette_samples_).all()
    assert_array_equal(clusterer.predict(crowd, max_distance=1), [-1] * 120)
    assert clusterer.transform(crowd).shape == (120, 0)
    assert np.isnan(clusterer.score(crowd))
    assert len(clusterer.report()["size"]) == 0


@pytest.mark.parametrize("algorithm", DENSITY)
def test_density_keeps_the_requested_number_of_clusters(algorithm, blobs):
    """The largest clusters are kept; images of the others become noise."""
    X, y = blobs
    every = _make(algorithm, algorithm_params={}).fit(X)

    clusterer = _make(algorithm, 2, algorithm_params={}).fit(X)

    assert every.n_clusters_ == 3
    assert_array_equal(
        clusterer.labels_, np.where(every.labels_ == 2, -1, every.labels_)
    )
    assert (clusterer.predict(X[y == 2]) == -1).all()


@pytest.mark.parametrize("n_clusters", [1, 2, 3, 4])
def test_the_first_of_equally_large_clusters_is_kept(n_clusters):
    """Clusters of equal size are kept in the order of their labels."""
    sizes = [6, 9, 9, 6, 6]
    X = np.repeat(np.arange(5) * 100.0, sizes)[:, np.newaxis]
    X += np.arange(len(X))[:, np.newaxis] / 1000
    kwargs = {
        "metric": "euclidean",
        "algorithm_params": {"eps": 1.0, "min_samples": 3},
    }

    clusterer = _make("dbscan", n_clusters, **kwargs).fit(X)

    label_of = np.array([2, 0, 1, 3, 4])
    label_of[label_of >= n_clusters] = -1
    assert_array_equal(clusterer.labels_, np.repeat(label_of, sizes))


def test_more_clusters_than_density_has_keep_all(blobs):
    """The warning has both numbers."""
    every = _make("hdbscan").fit(blobs[0])

    with pytest.warns(WeakClustersWarning, match="n_clusters=50, but 3 clusters"):
        clusterer = _make("hdbscan", 50).fit(blobs[0])

    assert_array_equal(clusterer.labels_, every.labels_)


@pytest.mark.parametrize(
    ("algorithm", "params", "remedy"),
    [
        ("leiden", {"resolution": 1e-3}, "resolution"),
        ("dbscan", {"eps": 0.6}, "n_components=32"),
    ],
)
def test_a_cluster_of_nearly_all_rows_warns(algorithm, params, remedy):
    """A fixed radius typically gives such a cluster for raw embeddings."""
    X = np.random.default_rng(0).uniform(size=(30, 2))
    clusterer = _make(algorithm, metric="euclidean", algorithm_params=params)

    with pytest.warns(WeakClustersWarning, match=f"holds 30 of 30 rows.*{remedy}"):
        clusterer.fit(X)


@pytest.mark.parametrize(
    ("algorithm", "params"), [("leiden", {}), ("dbscan", {"eps": 0.1})]
)
def test_a_cluster_of_copies_does_not_warn(algorithm, params):
    """One cluster is right if all rows are equal."""
    clusterer = _make(algorithm, algorithm_params=params).fit(np.ones((25, 2)))

    assert set(clusterer.labels_) == {0}


def test_score_of_a_single_cluster_is_nan(blobs):
    """A silhouette compares clusters."""
    X, _ = blobs

    assert np.isnan(ImageClusterer(1).fit(X).score(X))
    assert np.isnan(ImageClusterer(3, random_state=0).fit(X).score(X[:5]))


@every_algorithm
def test_dtype_and_memory_layout_do_not_matter(algorithm, blobs):
    """Rows may be read-only, in Fortran order, a view or a list."""
    X = blobs[0].astype(np.float64)
    clusterer = _make(algorithm, 3).fit(X)
    frozen = np.asfortranarray(X)
    frozen.flags.writeable = False
    variants = [frozen, np.repeat(X, 2, axis=1)[:, ::2], X.tolist(), blobs[0]]

    for variant in variants:
        again = _make(algorithm, 3).fit(variant)

        assert_array_equal(again.labels_, clusterer.labels_)
        assert_array_equal(again.predict(variant), clusterer.predict(X))
    assert_array_equal(frozen, X)


@every_algorithm
@pytest.mark.parametrize("dtypes", [(np.float32, np.float64), (np.float64, np.float32)])
def test_rows_of_another_dtype_are_predicted(dtypes, algorithm, blobs):
    """The collection and new images may come from different files."""
    X, _ = blobs
    clusterer = _make(algorithm, 3).fit(X.astype(dtypes[0]))

    labels = clusterer.predict(X.astype(dtypes[1]))

    assert_array_equal(labels, clusterer.labels_)
    assert clusterer.transform(X.astype(dtypes[1])).dtype == dtypes[1]


@every_algorithm
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes_are_kept(dtype, algorithm, crowd):
    """Single precision takes half the memory."""
    X = crowd.astype(dtype)

    clusterer = _make(algorithm, n_components=3).fit(X)

    assert clusterer.cluster_centers_.dtype == dtype
    assert clusterer.transform(X).dtype == dtype
    assert clusterer.silhouette_samples_.dtype == np.float64
    assert clusterer.labels_.dtype == clusterer.predict(X).dtype == np.int64
    assert clusterer.medoid_indices_.dtype == clusterer.cluster_sizes_.dtype == np.int64


@every_algorithm
def test_a_clusterer_survives_pickling(algorithm, crowd, strangers):
    """The loaded clusterer predicts the same clusters."""
    clusterer = _make(algorithm, n_components=3).fit(crowd)

    loaded = pickle.loads(pickle.dumps(clusterer))

    assert_array_equal(loaded.predict(strangers), clusterer.predict(strangers))
    assert_array_equal(loaded.transform(strangers), clusterer.transform(strangers))
    assert str(loaded.report()) == str(clusterer.report())


@every_algorithm
def test_clones_and_second_fits_forget(algorithm, crowd, blobs):
    """Nothing remains of the first fit."""
    clusterer = _make(algorithm).fit(blobs[0]).fit(crowd)

    copy = clone(clusterer)

    assert not hasattr(copy, "labels_")
    assert_array_equal(copy.fit(crowd).labels_, clusterer.labels_)
    assert clusterer.n_features_in_ == 5
    for name, value in vars(copy).items():
        if isinstance(value, np.ndarray):
            assert_array_equal(value, vars(clusterer)[name])


@every_algorithm
def test_distances_may_be_a_data_frame(algorithm, crowd):
    """There is a named column for each cluster."""
    X = pd.DataFrame(crowd, columns=list("abcde"), index=np.arange(120) + 7)
    clusterer = _make(algorithm).set_output(transform="pandas").fit(X)

    distances = clusterer.transform(X)

    names = [f"imageclusterer{i}" for i in range(clusterer.n_clusters_)]
    assert distances.columns.tolist() == names
    assert distances.index.tolist() == X.index.tolist()
    assert clusterer.get_feature_names_out().tolist() == names
    assert clusterer.feature_names_in_.tolist() == list("abcde")


@every_algorithm
@pytest.mark.parametrize("make_seed", [int, np.random.RandomState])
def test_equal_seeds_give_equal_clusters(make_seed, algorithm, crowd):
    """The clusters are not clear, so that other seeds give other clusters."""
    first, second = (
        _make(algorithm, n_components=2, random_state=make_seed(5)).fit(crowd)
        for _ in range(2)
    )

    assert_array_equal(first.labels_, second.labels_)


@pytest.mark.parametrize(
    "algorithm", ["agglomerative", "hdbscan", "dbscan", "spectral", "leiden", "kmeans"]
)
@every_metric
def test_permuted_rows_have_the_same_clusters(algorithm, metric, blobs):
    """They have the same labels if all sizes are different."""
    X, _ = blobs
    order = np.random.default_rng(0).permutation(60)

    plain = _make(algorithm, 3, metric=metric, algorithm_params={}).fit(X)
    permuted = _make(algorithm, 3, metric=metric, algorithm_params={}).fit(X[order])

    assert len(set(plain.cluster_sizes_)) == 3
    assert_array_equal(permuted.labels_, plain.labels_[order])
    assert_array_equal(order[permuted.medoid_indices_], plain.medoid_indices_)


BAD_PARAMS = [
    ("kmeans", "n_init", 0),
    ("kmeans", "init", "best"),
    ("minibatch_kmeans", "batch_size", -1),
    ("bisecting_kmeans", "bisecting_strategy", "smallest"),
    ("spectral", "affinity", "neighbors of mine"),
    ("spectral", "n_neighbors", 0),
    ("agglomerative", "linkage", "wards"),
    ("dbscan", "eps", -1.0),
    ("dbscan", "min_samples", 0),
    ("hdbscan", "min_cluster_size", 1),
    ("hdbscan", "cluster_selection_method", "best"),
    ("gaussian_mixture", "covariance_type", "round"),
    ("leiden", "resolution", 0.0),
    ("leiden", "n_neighbors", 2.5),
]


@pytest.mark.parametrize(("algorithm", "name", "value"), BAD_PARAMS)
def test_invalid_values_of_parameters_are_rejected(algorithm, name, value, blobs):
    """The message has the name and the value, with a number of clusters or without."""
    for n_clusters in (3, "auto"):
        clusterer = _make(algorithm, n_clusters, algorithm_params={name: value})

        with pytest.raises(ValueError, match=name) as caught:
            clusterer.fit(blobs[0])
        assert repr(value) in str(caught.value)


@every_algorithm
@pytest.mark.parametrize("name", ["n_clusters", "random_state", "metric", "color"])
def test_unknown_parameters_are_rejected(name, algorithm, blobs):
    """So are parameters that belong to the clusterer itself."""
    clusterer = _make(algorithm, algorithm_params={name: 3})

    with pytest.raises(ValueError, match=f"{algorithm}' has no parameter '{name}'"):
        clusterer.fit(blobs[0])


def test_an_unknown_parameter_is_reported_once(blobs):
    """The message is not repeated for each candidate."""
    clusterer = _make("kmeans", "auto", algorithm_params={"color": 3})

    with pytest.raises(ValueError, match="has no parameter 'color'") as caught:
        clusterer.fit(blobs[0])
    assert str(caught.value).count("has no parameter") == 1


@pytest.mark.parametrize("k_range", [[], [0, 2], [2.5], [[2, 3], [3, 4]], "ab", 3])
def test_invalid_candidates_are_rejected(k_range, blobs):
    """The message names the parameter."""
    with pytest.raises(ValueError, match="k_range"):
        _make("kmeans", "auto", k_range=k_range).fit(blobs[0])


@pytest.mark.parametrize("k_range", [range(2, 5), [4, 3, 3, 2], np.array([2, 3, 4])])
def test_candidates_may_be_any_sequence(k_range, blobs):
    """Each candidate is clustered once."""
    clusterer = _make("kmeans", "auto", k_range=k_range).fit(blobs[0])

    assert clusterer.selection_.table["k"].tolist() == [2, 3, 4]
    assert clusterer.n_clusters_ == clusterer.selection_.best_k == 3


@pytest.mark.parametrize("algorithm", WITH_K)
def test_candidates_are_compared_unless_a_number_is_given(algorithm, blobs):
    """Also by leiden, which otherwise finds the number."""
    compared = _make(algorithm, "auto", k_range=[2, 3, 4]).fit(blobs[0])
    given = _make(algorithm, 3, k_range=[2, 3, 4]).fit(blobs[0])

    assert compared.selection_.table["k"].tolist() == [2, 3, 4]
    assert compared.n_clusters_ == compared.selection_.best_k == 3
    assert given.selection_ is None


@pytest.mark.parametrize("algorithm", FINDING)
def test_nothing_is_compared_if_the_algorithm_finds_the_number(algorithm, blobs):
    """There is no selection to look at."""
    clusterer = _make(algorithm, "auto").fit(blobs[0])

    assert clusterer.selection_ is None
    assert clusterer.n_clusters_ == 3


@pytest.mark.parametrize("algorithm", DENSITY)
@pytest.mark.parametrize("n_clusters", ["auto", 3])
def test_density_does_not_compare_candidates(n_clusters, algorithm, blobs):
    """The number of clusters cannot be set."""
    with pytest.raises(
        ValueError, match=rf"k_range=\[2, 3\] must be None for algorithm='{algorithm}'"
    ):
        _make(algorithm, n_clusters, k_range=[2, 3]).fit(blobs[0])


def test_leiden_finds_more_clusters_with_a_larger_resolution(crowd):
    """Without a resolution it finds the requested number."""
    n_found = [
        _make("leiden", algorithm_params={"resolution": r}).fit(crowd).n_clusters_
        for r in (0.3, 1, 2, 6)
    ]

    assert n_found == sorted(n_found)
    assert n_found[0] < n_found[-1]
    for n_clusters in (2, 3, 5, 8):
        assert _make("leiden", n_clusters).fit(crowd).n_clusters_ == n_clusters


def test_a_resolution_and_a_number_of_clusters_are_rejected(crowd):
    """Each follows from the other."""
    with pytest.raises(ValueError, match="resolution=2 and n_clusters=3 cannot both"):
        _make("leiden", 3, algorithm_params={"resolution": 2}).fit(crowd)


def test_leiden_names_the_missing_package(crowd, monkeypatch):
    """scikit-network is optional, also if numbers of clusters are compared."""
    for name in [name for name in sys.modules if name.split(".")[0] == "sknetwork"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sknetwork", None)

    for kwargs in ({}, {"n_clusters": 3}, {"k_range": [2, 3]}):
        with pytest.raises(
            ModuleNotFoundError, match=r"algorithm='leiden' needs scikit-network: pip"
        ):
            _make("leiden", **kwargs).fit(crowd)


@pytest.mark.parametrize(
    ("n_components", "message"),
    [
        (6, r"n_components=6 must be at most .*=5 \(n_samples=119 readable"),
        (0, "'n_components' parameter"),
        ("most", "'n_components' parameter"),
        (2.0, "'n_components' parameter"),
    ],
)
def test_invalid_numbers_of_components_are_rejected(n_components, message, crowd):
    """Unreadable rows do not count."""
    crowd[4] = np.nan

    with pytest.raises(ValueError, match=message):
        _make("kmeans", n_components=n_components).fit(crowd)


@every_metric
@pytest.mark.parametrize("algorithm", WITH_K)
def test_few_images_may_be_reduced(algorithm, metric):
    """`n_components="auto"` takes as many components as there are."""
    X = np.random.default_rng(0).normal(size=(4, 6))

    clusterer = _make(algorithm, 2, metric=metric, n_components="auto").fit(X)

    assert clusterer.n_clusters_ <= 2
    assert_array_equal(clusterer.predict(X), clusterer.labels_)


@every_metric
@every_algorithm
def test_the_report_has_a_row_for_each_cluster(algorithm, metric, crowd):
    """It agrees with the attributes and with `transform`."""
    clusterer = _fitted_to_crowd(algorithm, metric)

    report = clusterer.report()

    k = clusterer.n_clusters_
    labels, distances = clusterer.labels_, clusterer.transform(crowd)
    members = [labels == cluster for cluster in range(k)]
    between = pairwise_distances(clusterer.cluster_centers_, metric=metric)
    np.fill_diagonal(between, np.inf)
    assert_array_equal(report["cluster"], np.arange(k))
    assert_array_equal(report["size"], clusterer.cluster_sizes_)
    assert_array_equal(report["medoid"], clusterer.medoid_indices_)
    assert_array_equal(report["nearest"], between.argmin(axis=1))
    for cluster, some in enumerate(members):
        own, silhouettes = distances[some, cluster], clusterer.silhouette_samples_[some]
        assert report["silhouette"][cluster] == pytest.approx(silhouettes.mean())
        assert report["mean_distance"][cluster] == pytest.approx(own.mean())
        assert report["max_distance"][cluster] == pytest.approx(own.max())
    assert report.to_frame().shape == (k, 7)
    assert len(str(report).splitlines()) == k + 1


def test_a_report_is_a_copy(blobs):
    """Users may add columns."""
    clusterer = ImageClusterer(3, random_state=0).fit(blobs[0])

    clusterer.report()["name"] = np.array(["a", "b", "c"])

    assert "name" not in clusterer.report()


def test_a_grid_search_selects_clusters_and_components(blobs):
    """The score is the mean silhouette of images that were left out."""
    X, _ = blobs
    grid = {"n_clusters": [2, 3, 6], "n_components": [None, "auto"]}

    search = GridSearchCV(ImageClusterer(random_state=0), grid, cv=3).fit(
        X[np.random.default_rng(0).permutation(60)]
    )

    assert search.best_params_["n_clusters"] == 3
    assert 0.5 < search.best_score_ < 1


@every_algorithm
def test_a_clusterer_is_the_last_step_of_a_pipeline(algorithm, pictures):
    """An image that cannot be read is in no cluster."""
    sources = [*pictures, "missing.jpg", *pictures, *pictures]
    embedder = ColorHistogramEmbedder(on_error="nan")
    params = {"min_samples": 2} if algorithm in DENSITY else {}
    clusterer = _make(algorithm, 2, metric="cosine", algorithm_params=params)
    pipeline = make_pipeline(embedder, clusterer)

    with pytest.warns(ImageReadWarning, match="1 of 37"):
        labels = pipeline.fit_predict(sources)

    assert labels[12] == -1
    assert clusterer.n_noise_ == (labels < 0).sum()
    assert set(labels) - {-1} == {0, 1}


@pytest.mark.filterwarnings("ignore::imgsim.exceptions.WeakClustersWarning")
@pytest.mark.parametrize(
    ("algorithm", "kwargs"),
    [
        ("dbscan", {"algorithm_params": {"eps": 1e-9}}),
        ("kmeans", {"n_clusters": 115}),
        ("kmeans", {"n_clusters": "auto", "k_range": [2, 3, 4]}),
    ],
)
def test_warnings_point_at_the_line_of_the_caller(algorithm, kwargs):
    """Users find the call that they may want to change."""
    X = np.random.default_rng(0).normal(size=(120, 60))
    X[100:] = X[:20]

    for method in ("fit", "fit_predict"):
        with pytest.warns(WeakClustersWarning) as caught:
            getattr(_make(algorithm, **kwargs), method)(X)

        assert {record.filename for record in caught} == {__file__}


def test_a_collection_without_readable_images_is_rejected():
    """The message has the number of images."""
    with pytest.raises(ValueError, match="none of the 4 images could be read"):
        ImageClusterer(2, metric="cosine").fit(np.full((4, 3), np.nan))


def test_paths_are_rejected():
    """The message says that an embedder is missing."""
    with pytest.raises(TypeError, match="put an embedder before ImageClusterer"):
        ImageClusterer(2).fit(["a.jpg", "b.jpg"])


@st.composite
def _few_rows(draw):
    """Draw a few rows of a few values, so that many are equal or have one direction.

    The values are powers of two, so that scaling rows to unit length is exact.
    """
    n_rows, n_features = draw(st.integers(1, 14)), draw(st.integers(1, 3))
    values = st.sampled_from([0.0, 1.0, -1.0, 2.0, 0.5, 64.0, np.nan])
    row = st.lists(values, min_size=n_features, max_size=n_features)
    rows = draw(st.lists(row, min_size=n_rows, max_size=n_rows))
    return np.array(rows, dtype=draw(st.sampled_from([np.float32, np.float64])))


@pytest.mark.filterwarnings("ignore::imgsim.exceptions.WeakClustersWarning")
# A mixture may not converge on equal rows.
@pytest.mark.filterwarnings("ignore:Best performing initialization did not converge")
@every_algorithm
@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data())
def test_clusters_of_any_rows_are_well_formed(algorithm, data):
    """Otherwise a ValueError is raised; no other error or warning is allowed."""
    X = data.draw(_few_rows())
    clusterer = _make(
        algorithm,
        data.draw(st.sampled_from([1, 2, 3, 5])),
        metric=data.draw(st.sampled_from(METRICS)),
        n_components=data.draw(st.sampled_from([None, 1, "auto"])),
        algorithm_params={},
    )
    try:
        clusterer.fit(X)
    except ValueError:
        return

    labels, k = clusterer.labels_, clusterer.n_clusters_
    assert (labels[np.isnan(X).any(axis=1)] == -1).all()
    assert_array_equal(np.unique(labels[labels >= 0]), np.arange(k))
    assert clusterer.cluster_sizes_.sum() + clusterer.n_noise_ == len(X)
    assert_array_equal(labels[clusterer.medoid_indices_], np.arange(k))
    assert clusterer.transform(X).shape == (len(X), k)
    assert set(clusterer.predict(X)) <= {-1, *range(k)}
    if algorithm in ESTIMATOR:
        assert_array_equal(clusterer.predict(X), labels)


def test_clusters_of_real_photographs_are_their_classes(animals):
    """The adjusted Rand index is 0.86 for all animals and 0.77 for a third of them."""
    clusterer = _make("leiden", 25, n_components="auto").fit(animals.X)

    assert clusterer.n_clusters_ == 25
    assert adjusted_rand_score(animals.target, clusterer.labels_) > 0.72


def test_the_number_of_classes_of_real_photographs_is_found(animals):
    """All animals form 19 clusters, with an adjusted Rand index of 0.86.

    In a third of them, classes are as small as the neighborhoods of 20 images, and some
    are merged: there are 14 or 15 clusters, and the index is 0.67 to 0.71.
    """
    clusterer = _make("leiden", n_components="auto").fit(animals.X)

    assert 11 <= clusterer.n_clusters_ <= 33
    assert adjusted_rand_score(animals.target, clusterer.labels_) > 0.55


@pytest.mark.parametrize("algorithm", COMPARED)
def test_every_algorithm_finds_classes_of_real_photographs(algorithm, animals):
    """With 25 clusters, the adjusted Rand index is 0.64 to 0.78."""
    clusterer = _make(algorithm, 25, n_components="auto").fit(animals.X)

    assert adjusted_rand_score(animals.target, clusterer.labels_) > 0.55


def test_density_finds_real_classes_among_noise(animals):
    """A third of the photographs is noise; the index of the others is 0.8."""
    clusterer = _make("hdbscan", n_components="auto").fit(animals.X)

    labels, clustered = clusterer.labels_, clusterer.labels_ >= 0
    assert 0.2 < 1 - clustered.mean() < 0.5
    assert adjusted_rand_score(animals.target[clustered], labels[clustered]) > 0.7


@pytest.mark.parametrize(
    ("params", "shown"),
    [
        ({"algorithm": "leiden"}, ["clustering with leiden", "silhouettes"]),
        ({"k_range": [2, 3]}, ["clustering: 100%", "2/2"]),
        ({"k_range": [2, 3], "criterion": "gap"}, ["gap: 100%", "2/2"]),
    ],
    ids=["leiden", "silhouette", "gap"],
)
def test_progress_is_shown_on_request(blobs, capsys, params, shown):
    """Bars are written to stderr, so that results on stdout can be piped."""
    clusterer = ImageClusterer(random_state=0, **params)

    clusterer.fit(blobs[0])
    assert capsys.readouterr() == ("", "")

    clusterer.set_params(verbose=1).fit(blobs[0])
    output, progress = capsys.readouterr()
    assert output == ""
    for text in shown:
        assert text in progress
