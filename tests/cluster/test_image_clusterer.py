"""Tests of grouping rows, over all algorithms."""

import pickle
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
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
TOLD = [name for name in ALGORITHMS if ALGORITHMS[name].takes_n_clusters]
FINDING = [name for name in ALGORITHMS if ALGORITHMS[name].finds_n_clusters]
COMPARED = [name for name in TOLD if name not in FINDING]
OWN_RULE = [name for name in ALGORITHMS if ALGORITHMS[name].assigns == "itself"]
VOTING = [name for name in ALGORITHMS if ALGORITHMS[name].assigns == "neighbors"]
DENSITY = [name for name in ALGORITHMS if name not in TOLD]

every_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS)
every_metric = pytest.mark.parametrize("metric", METRICS)


def _make(algorithm, n_clusters=None, **kwargs):
    """Make a clusterer of four groups, or of as many as the algorithm finds."""
    if n_clusters is None:
        n_clusters = "auto" if algorithm in FINDING else 4
    if algorithm == "dbscan" and "algorithm_params" not in kwargs:
        kwargs["algorithm_params"] = {"min_samples": 3}
    kwargs = {"random_state": 0, "n_jobs": None, **kwargs}
    return ImageClusterer(n_clusters, algorithm=algorithm, **kwargs)


@pytest.fixture
def crowd():
    """Return 120 rows of width 5 in groups that touch, some of them twice."""
    rng = np.random.default_rng(4)
    X = rng.normal(size=(4, 5))[np.arange(120) % 4] * 1.5 + rng.normal(size=(120, 5))
    X[110:] = X[:10]
    return X + 1


@pytest.fixture
def strangers():
    """Return 40 rows of width 5 that are in no collection."""
    return np.random.default_rng(9).normal(size=(40, 5)) * 2 + 1


@every_metric
@every_algorithm
@pytest.mark.parametrize("n_components", [None, 6, "auto"])
def test_finds_separated_groups(n_components, algorithm, metric, blobs):
    """Told their number or not; of density, only the fringe is noise."""
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

        grouped = clusterer.labels_ >= 0
        assert clusterer.n_clusters_ == 3
        assert adjusted_rand_score(y[grouped], clusterer.labels_[grouped]) == 1
        assert clusterer.n_noise_ == 60 - grouped.sum()
        assert clusterer.n_noise_ <= (15 if algorithm in DENSITY else 0)


def test_directions_are_compared_by_default(crowd):
    """Embeddings of networks differ in length without a meaning."""
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
def test_is_scikit_learns_estimator(algorithm, metric, crowd):
    """On unit rows for cosine, up to the numbers of the groups."""
    rows = normalize(crowd) if metric == "cosine" else crowd

    clusterer = _make(algorithm, metric=metric).fit(crowd)

    expected = BY_HAND[algorithm].fit_predict(rows)
    assert type(clusterer.estimator_) is type(BY_HAND[algorithm])
    assert adjusted_rand_score(expected, clusterer.labels_) == 1
    assert_array_equal(expected < 0, clusterer.labels_ < 0)


@every_metric
def test_reduced_rows_are_clustered(metric, crowd):
    """And all that is told of the groups is about the rows as they were given."""
    clusterer = _make("kmeans", metric=metric, n_components=2).fit(crowd)

    rows = normalize(crowd) if metric == "cosine" else crowd
    seen = PCA(2, random_state=0).fit_transform(rows)
    seen = normalize(seen) if metric == "cosine" else seen
    expected = KMeans(4, random_state=0).fit_predict(seen)
    assert adjusted_rand_score(expected, clusterer.labels_) == 1
    assert clusterer.cluster_centers_.shape == (4, 5)
    assert_allclose(
        clusterer.silhouette_samples_,
        silhouette_samples(crowd, clusterer.labels_, metric=metric),
        atol=1e-5,
    )


@every_metric
@every_algorithm
def test_groups_are_numbered_by_size(algorithm, metric, crowd):
    """From 0 without gaps, so that they are stable to read; noise is -1."""
    clusterer = _make(algorithm, metric=metric).fit(crowd)

    labels = clusterer.labels_
    sizes = np.bincount(labels[labels >= 0])
    assert labels.dtype == np.int64
    assert labels.min() >= -1
    assert_array_equal(clusterer.cluster_sizes_, sizes)
    assert sizes.tolist() == sorted(sizes, reverse=True)
    assert sizes.min() > 0
    assert clusterer.n_clusters_ == len(sizes) > 1
    assert clusterer.n_noise_ == (labels == -1).sum()
    assert_array_equal(clusterer.fit_predict(crowd), labels)


@every_metric
@every_algorithm
def test_centers_and_medoids_are_those_of_brute_force(algorithm, metric, crowd):
    """The mean, and the member with the smallest mean distance to the others."""
    clusterer = _make(algorithm, metric=metric).fit(crowd)

    rows = normalize(crowd) if metric == "cosine" else crowd
    distances = pairwise_distances(crowd, metric=metric)
    for group, medoid in enumerate(clusterer.medoid_indices_):
        members = np.flatnonzero(clusterer.labels_ == group)
        expected = rows[members].mean(axis=0)
        assert_allclose(clusterer.cluster_centers_[group], expected)
        to_others = distances[np.ix_(members, members)].mean(axis=0)
        assert medoid in members
        assert to_others[members == medoid] == pytest.approx(to_others.min())


@every_metric
@every_algorithm
def test_silhouettes_are_scikit_learns(algorithm, metric, crowd):
    """Noise is left out; the score is their mean."""
    clusterer = _make(algorithm, metric=metric).fit(crowd)

    labels, grouped = clusterer.labels_, clusterer.labels_ >= 0
    expected = silhouette_samples(crowd[grouped], labels[grouped], metric=metric)
    assert_allclose(clusterer.silhouette_samples_[grouped], expected, atol=1e-5)
    assert np.isnan(clusterer.silhouette_samples_[~grouped]).all()


@every_metric
@every_algorithm
def test_score_is_the_mean_silhouette(algorithm, metric, crowd, strangers):
    """Of the groups that unseen images are assigned to, noise left out."""
    clusterer = _make(algorithm, metric=metric).fit(crowd)

    labels = clusterer.predict(strangers)
    grouped = labels >= 0
    expected = silhouette_score(strangers[grouped], labels[grouped], metric=metric)
    assert clusterer.score(strangers) == pytest.approx(expected, abs=1e-5)


@every_metric
@pytest.mark.parametrize("n_components", [None, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("algorithm", OWN_RULE)
def test_its_own_rule_gives_training_rows_their_groups(
    algorithm, dtype, n_components, metric, crowd
):
    """Exactly, all at once or one at a time."""
    X = crowd.astype(dtype)
    clusterer = _make(algorithm, metric=metric, n_components=n_components).fit(X)

    assert_array_equal(clusterer.predict(X), clusterer.labels_)
    one_by_one = [clusterer.predict(row[np.newaxis])[0] for row in X[:30]]
    assert_array_equal(one_by_one, clusterer.labels_[:30])


@every_metric
@pytest.mark.parametrize("n_components", [None, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("algorithm", VOTING)
def test_a_vote_gives_training_rows_their_groups(
    algorithm, dtype, n_components, metric, crowd
):
    """Unless an equal row has another, as density may have it."""
    X = crowd[:110].astype(dtype)
    clusterer = _make(algorithm, metric=metric, n_components=n_components).fit(X)

    assert_array_equal(clusterer.predict(X), clusterer.labels_)
    one_by_one = [clusterer.predict(row[np.newaxis])[0] for row in X[:30]]
    assert_array_equal(one_by_one, clusterer.labels_[:30])


@every_metric
def test_dbscan_gives_core_samples_and_noise_their_labels(metric, crowd):
    """Only a border row between two groups may change sides."""
    clusterer = _make("dbscan", metric=metric, algorithm_params={"min_samples": 4})
    labels = clusterer.fit(crowd).labels_

    found = clusterer.predict(crowd)

    core = clusterer.estimator_.core_sample_indices_
    assert 0 < len(core) < (labels >= 0).sum() < 120
    assert_array_equal(found[core], labels[core])
    assert_array_equal(found < 0, labels < 0)


@every_metric
@every_algorithm
def test_unseen_rows_join_the_group_they_lie_in(algorithm, metric, blobs):
    """Whatever the rule."""
    X, y = blobs
    clusterer = _make(algorithm, 3, metric=metric, algorithm_params={}).fit(X)
    unseen = X[::-1] + np.random.default_rng(1).normal(size=X.shape) / 2

    labels = clusterer.predict(unseen)

    joined = labels >= 0
    assert joined.mean() > (0.6 if algorithm in DENSITY else 0.99)
    assert_array_equal(labels[joined], y[::-1][joined])


@every_metric
@every_algorithm
def test_transform_measures_distances_from_centers(algorithm, metric, crowd, strangers):
    """By the metric, one column a group."""
    clusterer = _make(algorithm, metric=metric).fit(crowd)

    distances = clusterer.transform(strangers)

    expected = pairwise_distances(strangers, clusterer.cluster_centers_, metric=metric)
    assert distances.shape == (40, clusterer.n_clusters_)
    assert_allclose(distances, expected)


def test_k_means_assigns_the_nearest_center(crowd, strangers):
    """Then and later."""
    clusterer = _make("kmeans", 6, metric="euclidean").fit(crowd)

    for X in (crowd, strangers):
        nearest = clusterer.transform(X).argmin(axis=1)
        assert_array_equal(clusterer.predict(X), nearest)


@every_metric
@every_algorithm
def test_strangers_are_in_no_group(algorithm, metric, blobs):
    """An elephant among lions: farther from the centre than any lion."""
    X, _ = blobs
    clusterer = _make(algorithm, 3, metric=metric, algorithm_params={}).fit(X)
    elephant = np.eye(8, dtype=np.float32)[[5]] * 20
    largest = clusterer.report()["max_distance"].max() * 1.001

    labels = clusterer.predict(np.vstack([X, elephant]), max_distance=largest)

    assert_array_equal(labels[:-1], clusterer.predict(X))
    assert labels[-1] == -1
    if algorithm not in DENSITY:
        assert clusterer.predict(elephant)[0] >= 0


@every_metric
def test_the_largest_distance_counts_from_the_own_center(metric, crowd, strangers):
    """As `transform` gives it, at most that far."""
    clusterer = _make("agglomerative", metric=metric).fit(crowd)
    labels, distances = clusterer.predict(strangers), clusterer.transform(strangers)
    own = distances[np.arange(40), labels]

    for limit in (0, 0.0, np.median(own), np.float32(own.max() * 2), np.inf):
        found = clusterer.predict(strangers, max_distance=limit)

        assert_array_equal(found, np.where(own <= limit, labels, -1))


@every_metric
def test_each_group_may_have_a_largest_distance_of_its_own(metric, crowd, strangers):
    """A wide group has room for what would be a stranger to a narrow one."""
    clusterer = _make("agglomerative", metric=metric).fit(crowd)
    labels, distances = clusterer.predict(strangers), clusterer.transform(strangers)
    own = distances[np.arange(40), labels]
    limits = np.array([np.median(own[labels == group]) for group in range(4)])

    found = clusterer.predict(strangers, max_distance=limits.tolist())

    assert_array_equal(found, np.where(own <= limits[labels], labels, -1))
    assert set(found) == {-1, 0, 1, 2, 3}


@pytest.mark.parametrize(
    "max_distance",
    [-1, -1e-9, np.nan, "far", "3", [1.0], [1.0, 2.0, -1.0], [[1.0, 2.0, 3.0]]],
    ids=str,
)
def test_a_largest_distance_that_is_none_is_refused(max_distance, blobs):
    """With the value."""
    clusterer = ImageClusterer(3, random_state=0).fit(blobs[0])

    with pytest.raises(ValueError, match=r"max_distance=.* must be at least 0"):
        clusterer.predict(blobs[0], max_distance=max_distance)


@every_metric
@every_algorithm
def test_unreadable_rows_change_nothing_else(algorithm, metric, crowd):
    """They are labelled -1, wherever they stand."""
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
def test_unreadable_rows_are_in_no_group_later(algorithm, crowd, strangers):
    """Nor at any distance, nor judged."""
    clusterer = _make(algorithm).fit(crowd)
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
def test_one_image_is_one_group(algorithm):
    """If one is asked for."""
    X = np.array([[3.0, 4.0]])

    clusterer = _make(algorithm, 1, n_components="auto").fit(X)

    assert_array_equal(clusterer.labels_, [0])
    assert_array_equal(clusterer.medoid_indices_, [0])
    assert_array_equal(clusterer.predict([[9.0, 9.0]]), [0])
    assert np.isnan(clusterer.score(X))


@pytest.mark.parametrize("algorithm", [*VOTING, "gaussian_mixture"])
def test_one_image_is_too_few_for_others(algorithm):
    """They compare rows."""
    with pytest.raises(ValueError, match=r"at least 2 readable rows|minimum of 2"):
        _make(algorithm, 1).fit(np.ones((1, 3)))


@pytest.mark.parametrize("n_rows", [1, 2])
def test_few_images_are_noise_for_dbscan(n_rows):
    """Five make a group unless told otherwise."""
    X = np.eye(3)[:n_rows]

    with pytest.warns(WeakClustersWarning, match="no group was found"):
        clusterer = _make("dbscan", algorithm_params={}).fit(X)

    assert_array_equal(clusterer.labels_, [-1] * n_rows)


@pytest.mark.parametrize("algorithm", COMPARED)
@pytest.mark.parametrize("n_samples", [1, 2])
def test_too_few_images_to_compare_are_refused(n_samples, algorithm):
    """Two groups of two images say nothing."""
    with pytest.raises(ValueError, match=f"at least 3 .* got n_samples={n_samples}"):
        _make(algorithm, "auto").fit(np.eye(3)[:n_samples])


@every_algorithm
def test_more_groups_than_images_are_refused(algorithm):
    """Unreadable ones do not count."""
    X = np.vstack([np.eye(4), np.full((3, 4), np.nan)])

    with pytest.raises(ValueError, match=r"n_clusters=5 must be at most .*_samples=4"):
        _make(algorithm, 5).fit(X)


@every_metric
@pytest.mark.parametrize("algorithm", TOLD)
def test_two_images_are_one_group_or_two(algorithm, metric):
    """As many as are asked for."""
    X = np.array([[1.0, 2.0, 0.0], [0.0, 3.0, 9.0]])

    for n_clusters in (1, 2):
        clusterer = _make(algorithm, n_clusters, metric=metric).fit(X)

        assert clusterer.n_clusters_ == n_clusters
        assert_array_equal(clusterer.predict(X), clusterer.labels_)
        assert np.isnan(clusterer.score(X))


def test_two_images_are_too_few_for_hdbscan():
    """Five make a group unless told otherwise."""
    with pytest.raises(ValueError, match=r"min_cluster_size=5 .* got n_samples=2"):
        _make("hdbscan").fit(np.eye(2))


@every_metric
@pytest.mark.parametrize("algorithm", sorted({*TOLD} - {"minibatch_kmeans"}))
def test_each_image_may_be_its_group(algorithm, metric):
    """Small batches alone may miss some; there are no silhouettes then."""
    X = np.random.default_rng(0).normal(size=(9, 4))

    clusterer = _make(algorithm, 9, metric=metric).fit(X)

    assert_array_equal(clusterer.cluster_sizes_, [1] * 9)
    assert_array_equal(clusterer.medoid_indices_[clusterer.labels_], np.arange(9))
    assert np.isnan(clusterer.silhouette_samples_).all()
    assert np.isnan(clusterer.score(X))
    assert_array_equal(clusterer.predict(X), clusterer.labels_)


@every_metric
@pytest.mark.parametrize("value", [0.0, 2.5])
@pytest.mark.parametrize("algorithm", TOLD)
def test_equal_images_are_one_group(algorithm, value, metric):
    """With a warning if more are asked for, and no other."""
    X = np.full((12, 3), value)

    with pytest.warns(
        WeakClustersWarning, match="there are 1 groups at most"
    ) as caught:
        clusterer = _make(algorithm, 3, metric=metric, n_components="auto").fit(X)

    assert len(caught) == 1
    assert_array_equal(clusterer.labels_, np.zeros(12))
    assert clusterer.report()["max_distance"] == pytest.approx(
        1 if metric == "cosine" and value == 0 else 0
    )


@every_metric
@pytest.mark.parametrize("algorithm", FINDING)
def test_equal_images_are_one_group_or_noise(algorithm, metric):
    """A density without a dip has no groups for hdbscan."""
    X = np.ones((12, 3))

    if algorithm == "hdbscan":
        with pytest.warns(WeakClustersWarning, match="no group was found"):
            clusterer = _make(algorithm, metric=metric).fit(X)
    else:
        clusterer = _make(algorithm, metric=metric).fit(X)

    assert clusterer.n_clusters_ == (algorithm != "hdbscan")


@pytest.mark.parametrize("algorithm", COMPARED)
def test_equal_images_leave_nothing_to_compare(algorithm):
    """The message says why."""
    with pytest.raises(ValueError, match="exceeds the number of rows that differ, 1"):
        _make(algorithm, "auto").fit(np.ones((12, 3)))


@every_metric
@pytest.mark.parametrize("algorithm", TOLD)
def test_more_groups_than_distinct_images_are_as_many(algorithm, metric):
    """With a warning of ours that has both numbers, and no other."""
    X = np.repeat(np.eye(4) * 5, [30, 25, 24, 23], axis=0)

    with pytest.warns(WeakClustersWarning, match="n_clusters=7 exceeds .* 4 groups"):
        clusterer = _make(algorithm, 7, metric=metric).fit(X)

    assert_array_equal(clusterer.cluster_sizes_, [30, 25, 24, 23])
    assert_array_equal(clusterer.predict(X), clusterer.labels_)
    assert_allclose(clusterer.silhouette_samples_, np.ones(102))


@pytest.mark.parametrize("algorithm", TOLD)
def test_images_of_one_direction_are_equal_by_cosine(algorithm):
    """However long their rows are."""
    X = np.outer(2.0 ** np.arange(12), [3.0, 4.0])

    with pytest.warns(WeakClustersWarning, match="there are 1 groups at most"):
        clusterer = _make(algorithm, 3, metric="cosine").fit(X)

    assert clusterer.n_clusters_ == 1


@every_metric
@pytest.mark.parametrize("n_clusters", ["auto", 4])
def test_noise_alone_is_an_answer(n_clusters, metric, crowd):
    """With a warning that says what to try."""
    clusterer = _make(
        "dbscan", n_clusters, metric=metric, algorithm_params={"eps": 1e-9}
    )

    with pytest.warns(WeakClustersWarning, match=r"no group was found: all 110 .* eps"):
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
def test_density_keeps_as_many_groups_as_are_asked_for(algorithm, blobs):
    """The largest; images of the others become noise, and stay it."""
    X, y = blobs
    every = _make(algorithm, algorithm_params={}).fit(X)

    clusterer = _make(algorithm, 2, algorithm_params={}).fit(X)

    assert every.n_clusters_ == 3
    assert_array_equal(
        clusterer.labels_, np.where(every.labels_ == 2, -1, every.labels_)
    )
    assert (clusterer.predict(X[y == 2]) == -1).all()


def test_score_of_a_single_group_is_nan(blobs):
    """A silhouette compares groups."""
    X, _ = blobs

    assert np.isnan(ImageClusterer(1).fit(X).score(X))
    assert np.isnan(ImageClusterer(3, random_state=0).fit(X).score(X[:5]))


@every_algorithm
def test_precision_and_memory_layout_do_not_matter(algorithm, blobs):
    """Rows may be read-only, in Fortran's order, a view or a list."""
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
def test_rows_of_another_precision_are_assigned(dtypes, algorithm, blobs):
    """A collection and its queries may come from different files."""
    X, _ = blobs
    clusterer = _make(algorithm, 3).fit(X.astype(dtypes[0]))

    labels = clusterer.predict(X.astype(dtypes[1]))

    assert_array_equal(labels, clusterer.labels_)
    assert clusterer.transform(X.astype(dtypes[1])).dtype == dtypes[1]


@every_metric
@every_algorithm
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_types_are_kept(dtype, algorithm, metric, crowd):
    """Single precision takes half the memory."""
    X = crowd.astype(dtype)

    clusterer = _make(algorithm, metric=metric, n_components=3).fit(X)

    assert clusterer.cluster_centers_.dtype == dtype
    assert clusterer.transform(X).dtype == dtype
    assert clusterer.silhouette_samples_.dtype == np.float64
    assert clusterer.labels_.dtype == clusterer.predict(X).dtype == np.int64
    assert clusterer.medoid_indices_.dtype == clusterer.cluster_sizes_.dtype == np.int64


@every_algorithm
def test_survives_a_pickle(algorithm, crowd, strangers):
    """With the rule for unseen rows."""
    clusterer = _make(algorithm, n_components=3).fit(crowd)

    loaded = pickle.loads(pickle.dumps(clusterer))

    assert_array_equal(loaded.predict(strangers), clusterer.predict(strangers))
    assert_array_equal(loaded.transform(strangers), clusterer.transform(strangers))
    assert str(loaded.report()) == str(clusterer.report())


@every_algorithm
def test_clones_and_second_fits_forget(algorithm, crowd, blobs):
    """Nothing is left of other rows."""
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
    """A named column for each group."""
    X = pd.DataFrame(crowd, columns=list("abcde"), index=np.arange(120) + 7)
    clusterer = _make(algorithm).set_output(transform="pandas").fit(X)

    distances = clusterer.transform(X)

    names = [f"imageclusterer{i}" for i in range(clusterer.n_clusters_)]
    assert distances.columns.tolist() == names
    assert distances.index.tolist() == X.index.tolist()
    assert clusterer.get_feature_names_out().tolist() == names
    assert clusterer.feature_names_in_.tolist() == list("abcde")


@every_metric
@every_algorithm
def test_equal_seeds_give_equal_groups(algorithm, metric, crowd):
    """On data without groups, where starts differ."""
    found = {
        _make(algorithm, metric=metric, n_components=2, random_state=seed)
        .fit(crowd)
        .labels_.tobytes()
        for seed in (5, 5, 5, *map(np.random.RandomState, (7, 7, 7)))
    }

    assert len(found) <= 2


@pytest.mark.parametrize(
    "algorithm", ["agglomerative", "hdbscan", "dbscan", "spectral", "leiden", "kmeans"]
)
@every_metric
def test_permuted_rows_have_the_same_groups(algorithm, metric, blobs):
    """And the same numbers, if sizes differ."""
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
    ("spectral", "affinity", "neighbours"),
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
def test_values_that_the_algorithm_refuses_are_refused(algorithm, name, value, blobs):
    """With their name and the value, told a number of groups or not."""
    for n_clusters in (3, "auto"):
        clusterer = _make(algorithm, n_clusters, algorithm_params={name: value})

        with pytest.raises(ValueError, match=name) as caught:
            clusterer.fit(blobs[0])
        assert repr(value) in str(caught.value)


@every_algorithm
@pytest.mark.parametrize("name", ["n_clusters", "random_state", "metric", "colour"])
def test_names_that_are_none_are_refused(name, algorithm, blobs):
    """Those that are the clusterer's own, too."""
    clusterer = _make(algorithm, algorithm_params={name: 3})

    with pytest.raises(ValueError, match=f"{algorithm}' has no parameter '{name}'"):
        clusterer.fit(blobs[0])


def test_a_name_is_refused_once(blobs):
    """Not once for each candidate."""
    clusterer = _make("kmeans", "auto", algorithm_params={"colour": 3})

    with pytest.raises(ValueError, match="has no parameter 'colour'") as caught:
        clusterer.fit(blobs[0])
    assert str(caught.value).count("has no parameter") == 1


@pytest.mark.parametrize("k_range", [[], [0, 2], [2.5], [[2, 3], [3, 4]], "ab", 3])
def test_candidates_that_are_none_are_refused(k_range, blobs):
    """With what was given."""
    with pytest.raises(ValueError, match="k_range"):
        _make("kmeans", "auto", k_range=k_range).fit(blobs[0])


@pytest.mark.parametrize("k_range", [range(2, 5), [4, 3, 3, 2], np.array([2, 3, 4])])
def test_candidates_may_be_any_sequence(k_range, blobs):
    """Each is tried once, in order."""
    clusterer = _make("kmeans", "auto", k_range=k_range).fit(blobs[0])

    assert clusterer.selection_.table["k"].tolist() == [2, 3, 4]
    assert clusterer.n_clusters_ == clusterer.selection_.best_k == 3


@pytest.mark.parametrize("algorithm", DENSITY)
@pytest.mark.parametrize("n_clusters", ["auto", 3])
def test_candidates_are_refused_by_density(n_clusters, algorithm, blobs):
    """It cannot be told a number."""
    with pytest.raises(ValueError, match=rf"k_range=\[2, 3\]: algorithm='{algorithm}'"):
        _make(algorithm, n_clusters, k_range=[2, 3]).fit(blobs[0])


def test_leiden_finds_more_groups_by_a_larger_resolution(crowd):
    """And the number asked for without one."""
    n_groups = [
        _make("leiden", algorithm_params={"resolution": r}).fit(crowd).n_clusters_
        for r in (0.3, 1, 2, 6)
    ]

    assert n_groups == sorted(n_groups)
    assert n_groups[0] < n_groups[-1]
    for n_clusters in (2, 3, 5, 8):
        assert _make("leiden", n_clusters).fit(crowd).n_clusters_ == n_clusters


def test_a_resolution_beside_a_number_of_groups_is_refused(crowd):
    """One follows from the other."""
    with pytest.raises(ValueError, match="resolution=2 and n_clusters=3 cannot both"):
        _make("leiden", 3, algorithm_params={"resolution": 2}).fit(crowd)


def test_leiden_says_what_it_needs(crowd, monkeypatch):
    """scikit-network is an extra; also where it would be compared."""
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
def test_components_that_there_are_not_are_refused(n_components, message, crowd):
    """Unreadable rows have none."""
    crowd[4] = np.nan

    with pytest.raises(ValueError, match=message):
        _make("kmeans", n_components=n_components).fit(crowd)


@every_metric
@pytest.mark.parametrize("algorithm", TOLD)
def test_few_images_may_be_reduced(algorithm, metric):
    """`n_components="auto"` takes what there is."""
    X = np.random.default_rng(0).normal(size=(4, 6))

    clusterer = _make(algorithm, 2, metric=metric, n_components="auto").fit(X)

    assert clusterer.n_clusters_ <= 2
    assert_array_equal(clusterer.predict(X), clusterer.labels_)


@every_metric
@every_algorithm
def test_the_report_is_a_row_a_group(algorithm, metric, crowd):
    """Whatever was told of them before, beside each other."""
    clusterer = _make(algorithm, metric=metric).fit(crowd)

    report = clusterer.report()

    k = clusterer.n_clusters_
    labels, distances = clusterer.labels_, clusterer.transform(crowd)
    members = [labels == group for group in range(k)]
    between = pairwise_distances(clusterer.cluster_centers_, metric=metric)
    np.fill_diagonal(between, np.inf)
    assert_array_equal(report["group"], np.arange(k))
    assert_array_equal(report["size"], clusterer.cluster_sizes_)
    assert_array_equal(report["medoid"], clusterer.medoid_indices_)
    assert_array_equal(report["nearest"], between.argmin(axis=1))
    for group, some in enumerate(members):
        own, silhouettes = distances[some, group], clusterer.silhouette_samples_[some]
        assert report["silhouette"][group] == pytest.approx(silhouettes.mean())
        assert report["mean_distance"][group] == pytest.approx(own.mean())
        assert report["max_distance"][group] == pytest.approx(own.max())
    assert report.to_frame().shape == (k, 7)
    assert len(str(report).splitlines()) == k + 1


def test_a_report_is_the_callers(blobs):
    """Who may add a column."""
    clusterer = ImageClusterer(3, random_state=0).fit(blobs[0])

    clusterer.report()["name"] = np.array(["a", "b", "c"])

    assert "name" not in clusterer.report()


def test_a_grid_search_chooses_groups_and_components(blobs):
    """By the mean silhouette of images left out."""
    X, _ = blobs
    grid = {"n_clusters": [2, 3, 6], "n_components": [None, 2, "auto"]}

    search = GridSearchCV(ImageClusterer(random_state=0), grid, cv=3).fit(
        X[np.random.default_rng(0).permutation(60)]
    )

    assert search.best_params_["n_clusters"] == 3
    assert 0.5 < search.best_score_ < 1


@every_algorithm
def test_stands_behind_an_embedder(algorithm, pictures):
    """A picture that cannot be read is in no group."""
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
def test_warnings_point_at_the_callers_line(algorithm, kwargs):
    """Which is where something is to be changed."""
    X = np.random.default_rng(0).normal(size=(120, 60))
    X[100:] = X[:20]

    for method in ("fit", "fit_predict"):
        with pytest.warns(WeakClustersWarning) as caught:
            getattr(_make(algorithm, **kwargs), method)(X)

        assert {record.filename for record in caught} == {__file__}


def test_a_collection_without_readable_images_is_refused():
    """In the words of the index."""
    with pytest.raises(ValueError, match="none of the 4 images could be read"):
        ImageClusterer(2, metric="cosine").fit(np.full((4, 3), np.nan))


def test_paths_are_no_rows():
    """An embedder is missing."""
    with pytest.raises(TypeError, match="put an embedder before ImageClusterer"):
        ImageClusterer(2).fit(["a.jpg", "b.jpg"])


@st.composite
def _small_rows(draw):
    """Draw a few rows of a few values, so that many are equal, or have one direction.

    Powers of two, of which unit rows have no rounding errors.
    """
    n_rows, n_features = draw(st.integers(1, 14)), draw(st.integers(1, 3))
    values = st.sampled_from([0.0, 1.0, -1.0, 2.0, 0.5, 64.0, np.nan])
    row = st.lists(values, min_size=n_features, max_size=n_features)
    rows = draw(st.lists(row, min_size=n_rows, max_size=n_rows))
    return np.array(rows, dtype=draw(st.sampled_from([np.float32, np.float64])))


@pytest.mark.filterwarnings("ignore::imgsim.exceptions.WeakClustersWarning")
# A mixture of equal rows may go on and on.
@pytest.mark.filterwarnings("ignore:Best performing initialization did not converge")
@every_algorithm
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_whatever_the_rows_groups_are_well_formed(algorithm, data):
    """Or a ValueError says why there are none; nothing else is raised or warned of."""
    X = data.draw(_small_rows())
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
    if algorithm in OWN_RULE:
        assert_array_equal(clusterer.predict(X), labels)


def test_real_photographs_fall_into_their_classes(animals):
    """Told 25, all the animals agree with them by 0.86, and a third of them by 0.77."""
    clusterer = _make("leiden", 25, metric="cosine", n_components="auto").fit(animals.X)

    assert clusterer.n_clusters_ == 25
    assert adjusted_rand_score(animals.target, clusterer.labels_) > 0.72


def test_the_number_of_classes_of_real_photographs_is_found(animals):
    """All the animals make 19 groups, which agree by 0.86 with their classes.

    A third of them has classes as small as the neighbourhoods, of 20, some of which
    grow together: 14 or 15 groups by seed, and 0.67 to 0.71.
    """
    clusterer = _make("leiden", metric="cosine", n_components="auto").fit(animals.X)

    assert 11 <= clusterer.n_clusters_ <= 33
    assert adjusted_rand_score(animals.target, clusterer.labels_) > 0.55


@pytest.mark.parametrize("algorithm", COMPARED)
def test_every_algorithm_sees_classes_of_real_photographs(algorithm, animals):
    """Told 25, they agree by 0.64 to 0.78, by algorithm and seed."""
    clusterer = _make(algorithm, 25, metric="cosine", n_components="auto").fit(
        animals.X
    )

    assert adjusted_rand_score(animals.target, clusterer.labels_) > 0.55


def test_density_finds_real_classes_among_noise(animals):
    """A third of the photographs is noise; the others agree by 0.8."""
    clusterer = _make("hdbscan", metric="cosine", n_components="auto").fit(animals.X)

    labels, grouped = clusterer.labels_, clusterer.labels_ >= 0
    assert 0.2 < 1 - grouped.mean() < 0.5
    assert adjusted_rand_score(animals.target[grouped], labels[grouped]) > 0.7
