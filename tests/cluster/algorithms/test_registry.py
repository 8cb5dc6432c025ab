"""Tests of the algorithms as they are fitted, without what is made of their groups."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.cluster import (
    DBSCAN,
    HDBSCAN,
    AgglomerativeClustering,
    BisectingKMeans,
    KMeans,
    MiniBatchKMeans,
    SpectralClustering,
)
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import normalize

from imgsim.cluster.algorithms import _registry
from imgsim.cluster.algorithms._dbscan_eps import suggest_eps
from imgsim.cluster.algorithms._registry import ALGORITHMS, Task, fit_algorithm
from imgsim.cluster.algorithms._shared_neighbor_graph import shared_neighbors_graph

METRICS = ("euclidean", "cosine")
SCIKIT_LEARN = {
    "kmeans": (KMeans(5, random_state=3), {}),
    "minibatch_kmeans": (MiniBatchKMeans(5, random_state=3), {}),
    "bisecting_kmeans": (BisectingKMeans(5, random_state=3), {}),
    "agglomerative": (AgglomerativeClustering(5), {}),
    "gaussian_mixture": (
        GaussianMixture(5, covariance_type="diag", random_state=3),
        {},
    ),
    "hdbscan": (HDBSCAN(copy=True), {}),
    "kmeans, told more": (
        KMeans(5, init="random", n_init=2, max_iter=7, random_state=3),
        {"init": "random", "n_init": 2, "max_iter": 7},
    ),
    "agglomerative, told more": (
        AgglomerativeClustering(5, linkage="single"),
        {"linkage": "single"},
    ),
    "gaussian_mixture, told more": (
        GaussianMixture(5, covariance_type="full", reg_covar=1e-3, random_state=3),
        {"covariance_type": "full", "reg_covar": 1e-3},
    ),
    "hdbscan, told more": (
        HDBSCAN(min_cluster_size=12, min_samples=2, copy=True),
        {"min_cluster_size": 12, "min_samples": 2},
    ),
    "spectral, told more": (
        SpectralClustering(5, gamma=0.5, random_state=3),
        {"affinity": "rbf", "gamma": 0.5},
    ),
}


def _task(rows, metric="euclidean", n_clusters=5, **params):
    return Task(rows, metric, params, 3, n_clusters)


@pytest.fixture
def rows():
    """Return 150 rows of width 4 in five groups that touch."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(5, 4))[np.arange(150) % 5] * 2 + rng.normal(size=(150, 4))


@pytest.fixture
def unit_rows(rows):
    """Return them of length 1, as cosine has them."""
    return normalize(rows)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", SCIKIT_LEARN)
def test_are_scikit_learns(case, dtype, rows):
    """With its defaults, or what the user sets."""
    expected, params = SCIKIT_LEARN[case]
    rows = rows.astype(dtype)

    estimator, labels = fit_algorithm(case.split(",")[0], _task(rows, **params))

    assert type(estimator) is type(expected)
    assert labels.dtype == np.int64
    assert_array_equal(labels, expected.fit_predict(rows))


@pytest.mark.parametrize("min_samples", [1, 3, 5])
@pytest.mark.parametrize(("metric", "eps"), [("euclidean", 1.2), ("cosine", 0.04)])
def test_dbscan_is_scikit_learns(metric, eps, min_samples, rows):
    """Though it is given a graph of near rows, not all distances."""
    rows = np.vstack([rows, rows[:10]])
    expected = DBSCAN(eps=eps, min_samples=min_samples, metric=metric).fit(rows)
    assert expected.labels_.max() > 1

    dbscan, labels = fit_algorithm(
        "dbscan", _task(rows, metric, None, eps=eps, min_samples=min_samples)
    )

    assert_array_equal(labels, expected.labels_)
    assert_array_equal(dbscan.core_sample_indices_, expected.core_sample_indices_)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("params", [{}, {"eps": "auto"}, {"min_samples": 8}], ids=str)
def test_dbscan_finds_its_radius(params, metric, rows):
    """Unless it is told one."""
    dbscan, _ = fit_algorithm("dbscan", _task(rows, metric, None, **params))

    min_samples = params.get("min_samples", 5)
    assert dbscan.min_samples == min_samples
    assert dbscan.eps == suggest_eps(rows, min_samples, metric, 3)


@pytest.mark.parametrize("linkage", ["average", "complete", "single"])
@pytest.mark.parametrize("metric", METRICS)
def test_linkages_but_wards_take_the_metric(metric, linkage, unit_rows):
    """Mean cosine distances rank otherwise than mean Euclidean ones."""
    agglomerative, labels = fit_algorithm(
        "agglomerative", _task(unit_rows, metric, linkage=linkage)
    )

    expected = AgglomerativeClustering(5, linkage=linkage, metric=metric)
    assert agglomerative.metric == metric
    assert_array_equal(labels, expected.fit_predict(unit_rows))


def test_large_collections_are_joined_along_the_graph(rows):
    """Where the distances of all pairs do not fit the memory meant for them."""
    graph = shared_neighbors_graph(rows, 20, 3)

    with config_context(working_memory=0.05):
        agglomerative, labels = fit_algorithm("agglomerative", _task(rows))

    expected = AgglomerativeClustering(5, connectivity=graph).fit_predict(rows)
    assert_array_equal(agglomerative.connectivity.toarray(), graph.toarray())
    assert_array_equal(labels, expected)


@pytest.mark.parametrize("solver", ["arpack", "lobpcg"])
@pytest.mark.parametrize("n_neighbors", [10, 20])
def test_spectral_cuts_the_graph_of_neighbours(n_neighbors, solver, rows, monkeypatch):
    """By the solver that its size allows."""
    if solver == "lobpcg":
        monkeypatch.setattr(_registry, "_MOST_ROWS_TO_FACTORISE", 149)
    graph = shared_neighbors_graph(rows, n_neighbors, 3)

    spectral, labels = fit_algorithm("spectral", _task(rows, n_neighbors=n_neighbors))

    expected = SpectralClustering(5, affinity="precomputed", random_state=3)
    assert spectral.eigen_solver == solver
    assert_allclose(spectral.affinity_matrix_.toarray(), graph.toarray())
    agreement = adjusted_rand_score(expected.fit_predict(graph.toarray()), labels)
    assert agreement > 0.95


def test_leiden_takes_the_graph_of_neighbours(rows):
    """Of as many as it is told."""
    few = fit_algorithm("leiden", _task(rows, n_clusters=None, n_neighbors=4))[1]
    many = fit_algorithm("leiden", _task(rows, n_clusters=None, n_neighbors=40))[1]

    assert few.max() > many.max()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    "name",
    ["n_clusters", "n_components", "random_state", "metric", "n_cluster", ""],
)
def test_parameters_that_are_none_are_refused(name, algorithm, rows):
    """Also those that are the clusterer's; those that there are are named."""
    known = ", ".join(sorted(ALGORITHMS[algorithm].params))

    with pytest.raises(
        ValueError, match=rf"algorithm='{algorithm}' has no parameter '{name}'"
    ) as caught:
        fit_algorithm(algorithm, Task(rows, "euclidean", {name: 2}, 0, 3))
    assert known in str(caught.value)


def test_the_given_parameters_are_not_changed(rows):
    """A dict is shared by all candidates, and is the caller's."""
    for algorithm, params in [
        ("spectral", {"n_neighbors": 5}),
        ("dbscan", {"eps": "auto"}),
        ("agglomerative", {"linkage": "average"}),
        ("leiden", {"n_neighbors": 5}),
    ]:
        before = dict(params)

        fit_algorithm(algorithm, Task(rows, "euclidean", params, 0, 3))

        assert params == before


@pytest.mark.parametrize("algorithm", ["spectral", "leiden"])
@pytest.mark.parametrize("n_neighbors", [0, -3, 2.5, "20", None])
def test_a_number_of_neighbours_that_is_none_is_refused(n_neighbors, algorithm, rows):
    """With the value."""
    with pytest.raises(ValueError, match=rf"n_neighbors={n_neighbors!r} must be an"):
        fit_algorithm(algorithm, _task(rows, n_neighbors=n_neighbors))


@pytest.mark.parametrize("min_samples", [0, 2.5, "5", None])
def test_a_number_of_samples_that_is_none_is_refused(min_samples, rows):
    """With the value."""
    with pytest.raises(ValueError, match=rf"min_samples={min_samples!r} must be an"):
        fit_algorithm("dbscan", _task(rows, min_samples=min_samples))


@pytest.mark.parametrize("eps", [0, -1.0, "knee", None, np.nan, np.inf])
def test_a_radius_that_is_none_is_refused(eps, rows):
    """With the value, and the word that finds one."""
    with pytest.raises(ValueError, match=r"eps=.* must be 'auto' or a positive"):
        fit_algorithm("dbscan", _task(rows, eps=eps))


@pytest.mark.parametrize("affinity", ["precomputed", "precomputed_nearest_neighbors"])
def test_rows_are_no_affinities(affinity):
    """As many rows as columns would pass for a graph."""
    rows = np.abs(np.random.default_rng(0).normal(size=(20, 20)))

    with pytest.raises(ValueError, match="affinity"):
        fit_algorithm("spectral", _task(rows, n_clusters=3, affinity=affinity))


def test_a_threshold_beside_a_number_of_groups_is_refused(rows):
    """Nor is it offered."""
    with pytest.raises(ValueError, match="distance_threshold"):
        fit_algorithm("agglomerative", _task(rows, distance_threshold=1.0))
    assert "distance_threshold" not in ALGORITHMS["agglomerative"].params


def test_rows_are_not_overwritten(rows):
    """Candidates share them, in threads: k-means would centre them under the others."""
    with pytest.raises(ValueError, match="copy_x"):
        fit_algorithm("kmeans", _task(rows, copy_x=False))


@pytest.mark.parametrize("n_rows", [2, 3, 7])
def test_spectral_may_give_each_row_its_group(n_rows, rows):
    """As many eigenvectors as rows are more than the sparse solvers find."""
    _, labels = fit_algorithm("spectral", _task(rows[:n_rows], n_clusters=n_rows))

    assert len(np.unique(labels)) == n_rows


@pytest.mark.parametrize("n_rows", [12, 24])
@pytest.mark.parametrize("algorithm", ["spectral", "leiden"])
def test_small_collections_have_a_graph_that_tells_groups(algorithm, n_rows):
    """Sets of twenty neighbours are nearly all alike among so few rows."""
    y = np.arange(n_rows) % 3
    rows = np.eye(8)[y] * 20 + np.random.default_rng(0).normal(size=(n_rows, 8))
    n_clusters = 3 if algorithm == "spectral" else None

    _, labels = fit_algorithm(algorithm, _task(rows, n_clusters=n_clusters))

    assert adjusted_rand_score(y, labels) == 1
