"""Tests of Leiden on graphs whose clusters are known, and of invalid parameters."""

import sys
from multiprocessing.pool import ThreadPool

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_matrix
from sklearn.metrics import adjusted_rand_score

from imgsim import ImageClusterer
from imgsim.cluster.algorithms._leiden import fit_leiden
from imgsim.cluster.algorithms._shared_neighbor_graph import shared_neighbors_graph


def _modularity(graph, labels, resolution):
    """Return Newman's modularity: weight inside clusters minus its expected value."""
    total, degrees = graph.sum(), graph.sum(axis=1)
    same = labels[:, np.newaxis] == labels
    expected = resolution * np.outer(degrees, degrees) / total**2
    return ((graph / total - expected) * same).sum()


def _potts(graph, labels, resolution):
    """Return the quality of the constant Potts model, which ignores degrees."""
    same = labels[:, np.newaxis] == labels
    return ((graph / graph.sum() - resolution / len(graph) ** 2) * same).sum()


def _partitions(n):
    """Yield the labels of all partitions of n nodes."""
    if n == 0:
        yield ()
        return
    for labels in _partitions(n - 1):
        for label in range(max(labels, default=-1) + 2):
            yield (*labels, label)


def _cliques(*sizes):
    """Return a ring of weakly connected cliques, and the clique of each node."""
    clique_of = np.repeat(np.arange(len(sizes)), sizes)
    graph = (clique_of[:, np.newaxis] == clique_of) * 1.0
    starts = np.cumsum([0, *sizes[:-1]])
    for one, other in zip(starts, np.roll(starts, -1), strict=True):
        if one != other:
            graph[one, other + 1] = graph[other + 1, one] = 0.2
    np.fill_diagonal(graph, 0)
    return graph, clique_of


def _fit(graph, n_clusters=None, seed=0, **params):
    return fit_leiden(csr_matrix(graph), n_clusters, params, seed)


@pytest.fixture
def clusters_graph():
    """Return the graph of 120 rows in six clusters, and the clusters."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(6), 20)
    rows = rng.normal(size=(6, 5))[y] * 4 + rng.normal(size=(120, 5))
    return shared_neighbors_graph(rows, 8, seed=0), y


@pytest.mark.parametrize("resolution", [0.3, 1.0, 2.0])
@pytest.mark.parametrize(
    ("modularity", "quality"), [("newman", _modularity), ("potts", _potts)]
)
def test_no_partition_of_a_small_graph_is_better(modularity, quality, resolution):
    """Eight nodes have only 4140 partitions, so that all of them can be compared."""
    graph, _ = _cliques(3, 3, 2)

    _, labels = _fit(graph, modularity=modularity, resolution=resolution)

    best = max(quality(graph, np.array(p), resolution) for p in _partitions(8))
    assert quality(graph, labels, resolution) == pytest.approx(best)


@pytest.mark.parametrize("resolution", [6e-3 / 2.003, 0.03, 0.3])
@pytest.mark.parametrize(
    ("modularity", "quality"), [("newman", _modularity), ("potts", _potts)]
)
def test_a_ring_with_weak_chords_is_clustered(modularity, quality, resolution):
    """Some implementations of Leiden move the nodes of this graph forever.

    At the smallest resolution, the chords have exactly their expected weight.
    """
    graph = np.full((6, 6), 1e-3)
    for i in range(6):
        graph[i, i - 1] = graph[i - 1, i] = 1
    np.fill_diagonal(graph, 0)

    _, labels = _fit(graph, modularity=modularity, resolution=resolution)

    best = max(quality(graph, np.array(p), resolution) for p in _partitions(6))
    assert quality(graph, labels, resolution) == pytest.approx(best)


def test_the_default_resolution_is_one():
    """At this resolution, the quality is Newman's modularity as published."""
    graph, clique_of = _cliques(5, 4, 6, 5)

    leiden, labels = _fit(graph)

    assert leiden.resolution == 1
    assert adjusted_rand_score(clique_of, labels) == 1
    assert labels.dtype == np.int64


def test_the_modularity_is_at_least_that_of_the_true_clusters(clusters_graph):
    """The true clusters are one of the partitions that Leiden can return."""
    graph, y = clusters_graph

    _, labels = _fit(graph)

    dense = graph.toarray()
    assert _modularity(dense, labels, 1) >= _modularity(dense, y, 1) - 1e-9


def test_a_larger_resolution_finds_more_clusters(clusters_graph):
    """At the largest resolution, each row is a cluster of its own."""
    graph, _ = clusters_graph

    n_found = [_fit(graph, resolution=r)[1].max() + 1 for r in (0.5, 2, 4, 8, 20, 500)]

    assert n_found == sorted(n_found)
    assert n_found[0] == 6
    assert n_found[-1] == 120


@pytest.mark.parametrize("n_clusters", [3, 5, 6, 7, 8, 12, 120])
def test_the_requested_number_of_clusters_is_found(n_clusters, clusters_graph):
    """The resolution of the estimator must reproduce the labels."""
    graph, y = clusters_graph

    leiden, labels = _fit(graph, n_clusters)

    assert len(np.unique(labels)) == labels.max() + 1 == n_clusters
    again = _fit(graph, modularity="potts", resolution=leiden.resolution)[1]
    assert_array_equal(again, labels)
    if n_clusters == 6:
        assert adjusted_rand_score(y, labels) == 1


@pytest.mark.parametrize("n_clusters", [2, 3, 4, 6, 7])
def test_the_closest_number_that_any_resolution_yields_is_found(n_clusters):
    """No resolution divides a clique with equal weights into exactly two clusters."""
    graph, _ = _cliques(4, 4)
    possible = {
        _fit(graph, modularity="potts", resolution=r)[1].max() + 1
        for r in np.geomspace(0.01, 100, 60)
    }

    n_found = _fit(graph, n_clusters)[1].max() + 1

    smallest_error = min(abs(n - n_clusters) for n in possible)
    assert abs(n_found - n_clusters) <= smallest_error


def test_nearly_separate_clusters_are_merged_if_fewer_are_requested():
    """No resolution merges them, so those with the largest weight between them are."""
    graph, clique_of = _cliques(6, 5, 4)
    starts = [0, 6, 11]
    graph[graph == 0.2] = 1e-12
    graph[starts[1], starts[2]] = graph[starts[2], starts[1]] = 1e-9

    assert adjusted_rand_score(_fit(graph, 3)[1], clique_of) == 1
    assert adjusted_rand_score(_fit(graph, 2)[1], clique_of > 0) == 1
    assert_array_equal(_fit(graph, 1)[1], 0)


def test_a_graph_of_two_nodes_is_clustered():
    """It is the smallest graph, with a single edge."""
    graph = np.array([[0.0, 1.0], [1.0, 0.0]])

    assert_array_equal(_fit(graph, 1)[1], [0, 0])
    assert_array_equal(np.sort(_fit(graph, 2)[1]), [0, 1])


@pytest.mark.parametrize("params", [{}, {"shuffle_nodes": True}], ids=str)
def test_equal_seeds_give_equal_clusters_in_threads(params, clusters_graph):
    """Threads must not share a random number generator."""
    graph, _ = clusters_graph

    with ThreadPool(4) as pool:
        fits = [
            pool.apply_async(_fit, (graph, 20), {"seed": 3, **params}) for _ in range(8)
        ]
        found = {fit.get()[1].tobytes() for fit in fits}

    assert len(found) == 1


@pytest.mark.parametrize(
    "resolution", [0, -1.0, np.nan, np.inf, "high", None, [1.0]], ids=str
)
def test_an_invalid_resolution_is_rejected(resolution, clusters_graph):
    """The message must show the value."""
    with pytest.raises(ValueError, match=r"resolution=.* must be a positive number"):
        _fit(clusters_graph[0], resolution=resolution)


@pytest.mark.parametrize("name", ["tol_aggregation", "tol_optimization"])
@pytest.mark.parametrize("value", [0, -1e-3, np.nan, "x", None], ids=str)
def test_a_tolerance_below_the_rounding_errors_is_rejected(name, value, clusters_graph):
    """Leiden would take rounding errors for improvements and never stop."""
    with pytest.raises(
        ValueError, match=rf"{name}={value!r} must be .* at least 1e-06"
    ):
        _fit(clusters_graph[0], **{name: value})


def test_a_resolution_and_a_number_of_clusters_are_rejected(clusters_graph):
    """Each follows from the other."""
    with pytest.raises(ValueError, match=r"resolution=2\.0 and n_clusters=3 cannot"):
        _fit(clusters_graph[0], 3, resolution=2.0)


def test_the_missing_package_is_named(clusters_graph, monkeypatch):
    """The message must name the extra that installs it."""
    for name in [name for name in sys.modules if name.split(".")[0] == "sknetwork"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sknetwork", None)

    with pytest.raises(
        ModuleNotFoundError,
        match=r"algorithm='leiden' needs scikit-network: .*'scikit-imgsim\[graph\]'",
    ):
        _fit(clusters_graph[0])


def test_other_algorithms_do_not_need_scikit_network(blobs, monkeypatch):
    """Most users do not install the extra."""
    monkeypatch.setitem(sys.modules, "sknetwork", None)

    clusterer = ImageClusterer(3, algorithm="spectral", random_state=0).fit(blobs[0])

    assert clusterer.n_clusters_ == 3
