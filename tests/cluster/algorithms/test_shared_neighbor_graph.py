"""Tests of the graph of shared neighbors."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse.csgraph import connected_components
from sklearn.metrics import pairwise_distances

from imgsim.cluster.algorithms import _shared_neighbor_graph
from imgsim.cluster.algorithms._shared_neighbor_graph import shared_neighbors_graph


def _by_hand(rows, k):
    """Return the weights of all pairs of rows, 0 where there is no edge."""
    distances = pairwise_distances(rows.astype(np.float64))
    np.fill_diagonal(distances, -1)
    seventh = np.sort(distances, axis=1)[:, min(7, k)]
    sets = [set(line) for line in distances.argsort(axis=1)[:, : k + 1].tolist()]
    graph = np.zeros(distances.shape)
    for i, first in enumerate(sets):
        for j, second in enumerate(sets):
            if i != j and (j in first or i in second):
                nearness = np.exp(-(distances[i, j] ** 2) / seventh[i] / seventh[j])
                jaccard = len(first & second) / len(first | second)
                graph[i, j] = jaccard * max(nearness, 0.05)
    return graph


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n_rows", "k"), [(40, 5), (200, 20), (12, 11), (2, 1)])
def test_weights_are_those_of_the_definition(n_rows, k, dtype):
    """Spectral clustering and Leiden see nothing but these weights."""
    rows = np.random.default_rng(0).normal(size=(n_rows, 4)).astype(dtype)

    graph = shared_neighbors_graph(rows, k, seed=0)

    rtol = 1e-5 if dtype == np.float32 else 1e-10  # of the distances
    assert_allclose(graph.toarray(), _by_hand(rows, k), rtol=rtol)


def test_weights_do_not_depend_on_the_block_size(monkeypatch):
    """Pairs are compared in blocks only to limit the memory."""
    rows = np.random.default_rng(0).normal(size=(90, 4))
    monkeypatch.setattr(_shared_neighbor_graph, "_EDGES_PER_BLOCK", 7)

    graph = shared_neighbors_graph(rows, 6, seed=0)

    assert_allclose(graph.toarray(), _by_hand(rows, 6), rtol=1e-10)


def test_permuted_rows_have_the_permuted_graph():
    """The graph must not depend on the order of the rows."""
    rng = np.random.default_rng(0)
    rows, order = rng.normal(size=(80, 5)), rng.permutation(80)

    graph = shared_neighbors_graph(rows, 7, seed=0).toarray()
    permuted = shared_neighbors_graph(rows[order], 7, seed=0).toarray()

    assert_array_equal(permuted, graph[order][:, order])


@pytest.mark.parametrize("k", [9, 10, 1000])
def test_more_neighbors_than_rows_give_a_complete_graph(k):
    """All sets are then equal, so that the weights differ only by the distances."""
    rows = np.random.default_rng(0).normal(size=(10, 3))

    graph = shared_neighbors_graph(rows, k, seed=0)

    assert_allclose(graph.toarray(), _by_hand(rows, 9), rtol=1e-10)
    assert (graph.toarray() > 0).sum() == 90


@pytest.mark.parametrize(("n_clusters", "size"), [(2, 10), (5, 9), (20, 8)])
def test_edges_between_small_clusters_are_weak(n_clusters, size):
    """The sets of nearest rows are larger than the clusters, so they share rows."""
    rng = np.random.default_rng(0)
    cluster_of = np.repeat(np.arange(n_clusters), size)
    rows = 10 * rng.normal(size=(n_clusters, 16))[cluster_of]
    rows += 0.1 * rng.normal(size=rows.shape)

    graph = shared_neighbors_graph(rows, 20, seed=0).toarray()

    is_own = cluster_of[:, np.newaxis] == cluster_of
    assert graph[~is_own].max() <= 0.05
    assert graph[is_own].max() > 0.3


def test_components_are_connected_by_their_nearest_rows():
    """An edge between other rows could pull rows into the wrong cluster."""
    rows = np.array([0.0, 1.0, 2.1, 10.0, 11.0, 12.1, 40.0, 41.0, 42.1])[:, np.newaxis]

    graph = shared_neighbors_graph(rows, 2, seed=0).toarray()

    component_of = np.repeat([0, 1, 2], 3)
    is_bridge = component_of[:, np.newaxis] != component_of
    expected = np.zeros((9, 9))
    for i, j in ((2, 3), (5, 6)):
        expected[i, j] = expected[j, i] = 0.05 / 5
    assert_allclose(np.where(is_bridge, graph, 0), expected)
    assert_allclose(np.where(is_bridge, 0, graph), _by_hand(rows, 2), rtol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_components", [2, 3, 25])
def test_the_graph_is_connected_by_as_few_edges_as_possible(n_components, dtype):
    """Spectral clustering needs a connected graph."""
    rng = np.random.default_rng(0)
    component_of = np.arange(n_components * 8) % n_components
    centers = rng.normal(size=(n_components, 5)) * 1000
    rows = (centers[component_of] + rng.normal(size=(len(component_of), 5))).astype(
        dtype
    )

    graph = shared_neighbors_graph(rows, 4, seed=0)

    assert connected_components(graph)[0] == 1
    is_bridge = component_of[:, np.newaxis] != component_of
    assert graph.toarray()[is_bridge].astype(bool).sum() == 2 * (n_components - 1)
    assert graph.data.min() == pytest.approx(0.05 / 9)


@pytest.mark.parametrize("n_rows", [2, 3, 60])
def test_equal_rows_are_connected(n_rows):
    """Which of them are neighbors is arbitrary, but the graph must be connected."""
    rows = np.ones((n_rows, 3), dtype=np.float32)

    graph = shared_neighbors_graph(rows, 5, seed=0)

    assert connected_components(graph)[0] == 1
    assert (graph.diagonal() == 0).all()
    assert 0 < graph.data.min() <= graph.data.max() <= 1


def test_components_with_equal_means_are_connected():
    """The distance between their means is 0, which a sparse graph does not store."""
    rows = np.repeat([[0.0, 0.0], [5.0, 5.0], [0.0, 9.0]], 30, axis=0)
    rows = np.vstack([rows, [[10.0, 10.0], [0.0, 0.0]]])

    graph = shared_neighbors_graph(rows, 3, seed=0)

    assert connected_components(graph)[0] == 1
    assert abs(graph - graph.T).max() == 0


def test_read_only_rows_in_fortran_order_are_accepted():
    """A memory map is read-only, and a DataFrame may have this order."""
    rows = np.random.default_rng(0).normal(size=(50, 4))
    plain = shared_neighbors_graph(rows, 5, seed=0)
    rows = np.asfortranarray(rows)
    rows.flags.writeable = False

    graph = shared_neighbors_graph(rows, 5, seed=0)

    assert_array_equal(graph.toarray(), plain.toarray())
