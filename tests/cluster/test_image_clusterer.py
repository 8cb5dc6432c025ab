"""Tests of grouping rows."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.preprocessing import normalize

from imgsim import ImageClusterer


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("n_clusters", [3, "auto"])
def test_finds_separated_groups(n_clusters, metric, blobs):
    """Told their number or not."""
    X, y = blobs

    clusterer = ImageClusterer(n_clusters, metric=metric, random_state=0).fit(X)

    assert clusterer.n_clusters_ == 3
    assert adjusted_rand_score(y, clusterer.labels_) == 1


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_is_scikit_learns_k_means(metric, blobs):
    """Up to the numbers of the groups."""
    X, _ = blobs
    rows = normalize(X) if metric == "cosine" else X
    kmeans = KMeans(5, n_init=10, random_state=4).fit(rows)

    clusterer = ImageClusterer(5, metric=metric, random_state=4).fit(X)

    assert adjusted_rand_score(kmeans.labels_, clusterer.labels_) == 1
    by_group = [rows[clusterer.labels_ == i].mean(axis=0) for i in range(5)]
    assert_allclose(clusterer.cluster_centers_, by_group, atol=1e-4)


def test_groups_are_numbered_by_size(blobs):
    """So that they are stable to read."""
    X, y = blobs
    order = np.random.default_rng(0).permutation(len(X))

    clusterer = ImageClusterer(3, random_state=1).fit(X[order])

    assert_array_equal(clusterer.cluster_sizes_, [30, 20, 10])
    assert_array_equal(clusterer.labels_, y[order])


def test_predict_and_transform_agree_with_fit(blobs):
    """k-means assigns the nearest centre, then and later."""
    X, _ = blobs
    clusterer = ImageClusterer(6, random_state=0).fit(X)

    distances = clusterer.transform(X)

    assert_array_equal(clusterer.predict(X), clusterer.labels_)
    assert_array_equal(distances.argmin(axis=1), clusterer.labels_)
    by_hand = np.linalg.norm(X[:, None] - clusterer.cluster_centers_, axis=2)
    assert_allclose(distances, by_hand, atol=1e-3)


def test_medoids_are_the_members_nearest_to_the_centre(blobs):
    """The picture to show for a group."""
    X, _ = blobs
    clusterer = ImageClusterer(4, random_state=0).fit(X)

    for label, medoid in enumerate(clusterer.medoid_indices_):
        members = np.flatnonzero(clusterer.labels_ == label)
        center = X[members].mean(axis=0)
        nearest = members[np.linalg.norm(X[members] - center, axis=1).argmin()]
        assert medoid == nearest


def test_unreadable_rows_change_nothing_else(blobs):
    """They are labelled -1, wherever they stand."""
    X, _ = blobs
    holes = np.insert(X, [0, 30, 60], np.nan, axis=0)
    readable = ~np.isnan(holes[:, 0])

    plain = ImageClusterer(random_state=0).fit(X)
    clusterer = ImageClusterer(random_state=0).fit(holes)

    assert_array_equal(clusterer.labels_[readable], plain.labels_)
    assert_array_equal(clusterer.labels_[~readable], -1)
    assert_array_equal(clusterer.predict(holes), clusterer.labels_)
    assert_array_equal(
        clusterer.medoid_indices_, np.flatnonzero(readable)[plain.medoid_indices_]
    )
    assert clusterer.n_noise_ == 3
    assert clusterer.score(holes) == pytest.approx(plain.score(X))


def test_score_is_the_mean_silhouette(blobs):
    """Of the groups that unseen images are assigned to."""
    X, _ = blobs
    clusterer = ImageClusterer(3, metric="cosine", random_state=0).fit(X[::2])

    expected = silhouette_score(X[1::2], clusterer.predict(X[1::2]), metric="cosine")
    assert clusterer.score(X[1::2]) == pytest.approx(expected)


def test_score_of_a_single_group_is_refused(blobs):
    """A silhouette compares groups."""
    X, _ = blobs

    with pytest.raises(ValueError, match="fall into 1 groups"):
        ImageClusterer(1).fit(X).score(X)


@pytest.mark.parametrize(
    ("n_clusters", "n_samples", "message"),
    [(5, 4, "n_clusters=5 must be at most .* n_samples=4"), ("auto", 2, "n_samples=2")],
)
def test_too_few_images_are_refused(n_clusters, n_samples, message):
    """The message has both numbers."""
    with pytest.raises(ValueError, match=message):
        ImageClusterer(n_clusters).fit(np.eye(n_samples))


def test_equal_images_are_one_group_or_an_error():
    """Told a number, fewer groups with k-means' own warning; not told, an error."""
    X = np.ones((8, 3))

    with pytest.warns(Warning, match="distinct clusters"):
        clusterer = ImageClusterer(3).fit(X)
    assert clusterer.n_clusters_ == 1
    assert_array_equal(clusterer.cluster_sizes_, [8])
    with (
        pytest.warns(Warning, match="distinct clusters"),
        pytest.raises(ValueError, match="all rows of X are equal"),
    ):
        ImageClusterer("auto").fit(X)


def test_equal_seeds_give_equal_groups():
    """On data without groups, where starts differ."""
    X = np.random.default_rng(0).normal(size=(80, 5))

    labels = [ImageClusterer(7, random_state=3).fit_predict(X) for _ in range(2)]

    assert_array_equal(labels[0], labels[1])


def test_real_photographs_fall_into_their_classes(animals):
    """Told 25, k-means gives an adjusted Rand index of 0.77 on all the animals."""
    clusterer = ImageClusterer(25, random_state=0).fit(animals.X)

    assert adjusted_rand_score(animals.target, clusterer.labels_) > 0.65


def test_a_collection_without_readable_images_is_refused():
    """In the words of the index."""
    with pytest.raises(ValueError, match="none of the 4 images could be read"):
        ImageClusterer(2, metric="cosine").fit(np.full((4, 3), np.nan))
