"""Tests of the fitted algorithms, before their clusters are renumbered."""

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
from imgsim.cluster.algorithms._registry import ALGORITHMS, ClusteringTask
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
    "kmeans, with parameters": (
        KMeans(5, init="random", n_init=2, max_iter=7, random_state=3),
        {"init": "random", "n_init": 2, "max_iter": 7},
    ),
    "agglomerative, with parameters": (
        AgglomerativeClustering(5, linkage="single"),
        {"linkage": "single"},
    ),
    "gaussian_mixture, with parameters": (
        GaussianMixture(5, covariance_type="full", reg_covar=1e-3, random_state=3),
        {"covariance_type": "full", "reg_covar": 1e-3},
    ),
    "hdbscan, with parameters": (
        HDBSCAN(min_cluster_size=12, min_samples=2, copy=True),
        {"min_cluster_size": 12, "min_samples": 2},
    ),
    "spectral, with parameters": (
        SpectralClustering(5, gamma=0.5, random_state=3),
        {"affinity": "rbf", "gamma": 0.5},
    ),
}


def _task(algorithm, rows, metric="euclidean", **params):
    return ClusteringTask(rows, rows, algorithm, metric, params, 3)


@pytest.fixture
def rows():
    """Return 150 rows of 4 features in five clusters that touch."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(5, 4))[np.arange(150) % 5] * 2 + rng.normal(size=(150, 4))


@pytest.fixture
def unit_rows(rows):
    """Return the rows scaled to unit length, as they are for cosine."""
    return normalize(rows)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", SCIKIT_LEARN)
def test_labels_are_those_of_scikit_learn(case, dtype, rows):
    """With scikit-learn's defaults as well as with the user's parameters."""
    expected, params = SCIKIT_LEARN[case]
    rows = rows.astype(dtype)

    estimator, labels = _task(case.split(",")[0], rows, **params).fit(5)

    assert type(estimator) is type(expected)
    assert labels.dtype == np.int64
    assert_array_equal(labels, expected.fit_predict(rows))


@pytest.mark.parametrize("min_samples", [1, 3, 5])
@pytest.mark.parametrize(("metric", "eps"), [("euclidean", 1.2), ("cosine", 0.04)])
def test_dbscan_is_that_of_scikit_learn(metric, eps, min_samples, rows):
    """It is fitted on a sparse graph of near rows instead of all distances."""
    rows = np.vstack([rows, rows[:10]])
    expected = DBSCAN(eps=eps, min_samples=min_samples, metric=metric).fit(rows)
    assert expected.labels_.max() > 1
    task = _task("dbscan", rows, metric, eps=eps, min_samples=min_samples)

    dbscan, labels = task.fit(None)

    assert_array_equal(labels, expected.labels_)
    assert_array_equal(dbscan.core_sample_indices_, expected.core_sample_indices_)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("params", [{}, {"eps": "auto"}, {"min_samples": 8}], ids=str)
def test_dbscan_finds_its_radius(params, metric, rows):
    """The radius is suggested unless the user sets one."""
    dbscan, _ = _task("dbscan", rows, metric, **params).fit(None)

    min_samples = params.get("min_samples", 5)
    assert dbscan.min_samples == min_samples
    assert dbscan.eps == suggest_eps(rows, min_samples, metric, 3)


@pytest.mark.parametrize("linkage", ["average", "complete", "single"])
@pytest.mark.parametrize("metric", METRICS)
def test_linkages_other_than_ward_use_the_metric(metric, linkage, unit_rows):
    """Mean cosine distances rank clusters differently than mean Euclidean ones."""
    agglomerative, labels = _task(
        "agglomerative", unit_rows, metric, linkage=linkage
    ).fit(5)

    expected = AgglomerativeClustering(5, linkage=linkage, metric=metric)
    assert agglomerative.metric == metric
    assert_array_equal(labels, expected.fit_predict(unit_rows))


def test_large_collections_are_merged_along_the_graph(rows):
    """The distances of all pairs may exceed scikit-learn's working memory."""
    graph = shared_neighbors_graph(rows, 20, 3)

    with config_context(working_memory=0.05):
        agglomerative, labels = _task("agglomerative", rows).fit(5)

    expected = AgglomerativeClustering(5, connectivity=graph).fit_predict(rows)
    assert_array_equal(agglomerative.connectivity.toarray(), graph.toarray())
    assert_array_equal(labels, expected)


@pytest.mark.parametrize("solver", ["arpack", "lobpcg"])
@pytest.mark.parametrize("n_neighbors", [10, 20])
def test_spectral_clusters_the_graph_of_neighbors(
    n_neighbors, solver, rows, monkeypatch
):
    """The solver depends on the number of rows."""
    if solver == "lobpcg":
        monkeypatch.setattr(_registry, "_MOST_ROWS_TO_FACTORIZE", 149)
    graph = shared_neighbors_graph(rows, n_neighbors, 3)

    spectral, labels = _task("spectral", rows, n_neighbors=n_neighbors).fit(5)

    expected = SpectralClustering(5, affinity="precomputed", random_state=3)
    assert spectral.eigen_solver == solver
    assert_allclose(spectral.affinity_matrix_.toarray(), graph.toarray())
    agreement = adjusted_rand_score(expected.fit_predict(graph.toarray()), labels)
    assert agreement > 0.95


def test_leiden_uses_the_given_number_of_neighbors(rows):
    """More neighbors give fewer clusters."""
    _, few = _task("leiden", rows, n_neighbors=4).fit(None)
    _, many = _task("leiden", rows, n_neighbors=40).fit(None)

    assert few.max() > many.max()


def test_other_rows_of_the_space_can_be_clustered(rows):
    """The gap statistic and stability do so with the same parameters and seed."""
    _, labels = _task("kmeans", rows, n_init=3).fit(4, rows[::2])

    expected = KMeans(4, n_init=3, random_state=3).fit_predict(rows[::2])
    assert_array_equal(labels, expected)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    "name",
    ["n_clusters", "n_components", "random_state", "metric", "n_cluster", ""],
)
def test_unknown_parameters_are_rejected(name, algorithm, rows):
    """Parameters of ImageClusterer are unknown, too; the message has those known."""
    known = ", ".join(sorted(ALGORITHMS[algorithm].params))

    with pytest.raises(
        ValueError, match=rf"algorithm='{algorithm}' has no parameter '{name}'"
    ) as caught:
        ClusteringTask(rows, rows, algorithm, "euclidean", {name: 2}, 0).fit(3)
    assert known in str(caught.value)


@pytest.mark.parametrize(
    ("algorithm", "params"),
    [
        ("spectral", {"n_neighbors": 5}),
        ("dbscan", {"eps": "auto"}),
        ("agglomerative", {"linkage": "average"}),
        ("leiden", {"n_neighbors": 5}),
    ],
)
def test_given_parameters_are_not_changed(algorithm, params, rows):
    """The dict belongs to the caller, and all candidates share it."""
    before = dict(params)

    ClusteringTask(rows, rows, algorithm, "euclidean", params, 0).fit(3)

    assert params == before


@pytest.mark.parametrize("algorithm", ["spectral", "leiden"])
@pytest.mark.parametrize("n_neighbors", [0, -3, 2.5, "20", None])
def test_n_neighbors_must_be_a_positive_integer(n_neighbors, algorithm, rows):
    """The message has the value."""
    with pytest.raises(ValueError, match=rf"n_neighbors={n_neighbors!r} must be an"):
        _task(algorithm, rows, n_neighbors=n_neighbors).fit(5)


@pytest.mark.parametrize("min_samples", [0, 2.5, "5", None])
def test_min_samples_must_be_a_positive_integer(min_samples, rows):
    """The message has the value."""
    with pytest.raises(ValueError, match=rf"min_samples={min_samples!r} must be an"):
        _task("dbscan", rows, min_samples=min_samples).fit(None)


@pytest.mark.parametrize("eps", [0, -1.0, "knee", None, np.nan, np.inf])
def test_eps_must_be_a_positive_number_or_auto(eps, rows):
    """The message has the value and the alternative."""
    with pytest.raises(ValueError, match=r"eps=.* must be 'auto' or a positive"):
        _task("dbscan", rows, eps=eps).fit(None)


@pytest.mark.parametrize(
    ("params", "least"),
    [({}, "min_cluster_size=5"), ({"min_samples": 7}, "min_samples=7")],
)
def test_hdbscan_needs_enough_rows(params, least, rows):
    """The message names the parameter that has to be smaller."""
    with pytest.raises(ValueError, match=rf"{least} readable rows, got n_samples=4\."):
        _task("hdbscan", rows[:4], **params).fit(None)


@pytest.mark.parametrize("affinity", ["precomputed", "precomputed_nearest_neighbors"])
def test_precomputed_affinities_are_rejected(affinity):
    """A square matrix of embeddings could be taken for a graph."""
    rows = np.abs(np.random.default_rng(0).normal(size=(20, 20)))

    with pytest.raises(ValueError, match=f"affinity='{affinity}' needs a graph"):
        _task("spectral", rows, affinity=affinity).fit(3)


def test_a_distance_threshold_is_rejected(rows):
    """It would overrule the number of clusters."""
    with pytest.raises(ValueError, match="no parameter 'distance_threshold'"):
        _task("agglomerative", rows, distance_threshold=1.0).fit(5)
    assert "distance_threshold" not in ALGORITHMS["agglomerative"].params


def test_overwriting_the_rows_is_rejected(rows):
    """Candidates share the rows in threads, and k-means would center them in place."""
    with pytest.raises(ValueError, match="no parameter 'copy_x'"):
        _task("kmeans", rows, copy_x=False).fit(5)


@pytest.mark.parametrize("n_rows", [2, 3, 7])
def test_spectral_can_put_each_row_in_its_own_cluster(n_rows, rows):
    """The sparse solvers do not find as many eigenvectors as there are rows."""
    _, labels = _task("spectral", rows[:n_rows]).fit(n_rows)

    assert len(np.unique(labels)) == n_rows


@pytest.mark.parametrize("n_clusters", [1, 2, 3])
@pytest.mark.parametrize("n_extra", [0, 1, 2, 4, 5])
def test_spectral_does_not_warn_of_few_rows(n_extra, n_clusters):
    """scikit-learn and SciPy switch to dense solvers at slightly different sizes."""
    y = np.arange(5 * n_clusters + n_extra) % n_clusters
    rows = np.eye(4)[y] * 20 + np.random.default_rng(0).normal(size=(len(y), 4))

    _, labels = _task("spectral", rows).fit(n_clusters)

    assert adjusted_rand_score(y, labels) == 1


@pytest.mark.parametrize("n_rows", [12, 24])
@pytest.mark.parametrize(
    ("algorithm", "n_clusters"), [("spectral", 3), ("leiden", None)]
)
def test_clusters_of_small_collections_are_found(algorithm, n_clusters, n_rows):
    """The sets of twenty neighbors are nearly the same for all of so few rows."""
    y = np.arange(n_rows) % 3
    rows = np.eye(8)[y] * 20 + np.random.default_rng(0).normal(size=(n_rows, 8))

    _, labels = _task(algorithm, rows).fit(n_clusters)

    assert adjusted_rand_score(y, labels) == 1
