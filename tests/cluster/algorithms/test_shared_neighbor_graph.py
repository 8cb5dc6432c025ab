"""Tests of the graph of shared neighbours."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse.csgraph import connected_components
from sklearn.metrics import pairwise_distances

from imgsim.cluster.algorithms import _shared_neighbor_graph
from imgsim.cluster.algorithms._shared_neighbor_graph import shared_neighbors_graph


def _by_hand(rows, k):
    """Return Jaccard indices times nearness of all pairs, 0 where there is no edge."""
    distances = pairwise_distances(rows.astype(np.float64))
    np.fill_diagonal(distances, -1)
    seventh = np.sort(distances, axis=1)[:, min(7, k)]
    sets = [set(line) for line in distances.argsort(axis=1)[:, : k + 1].tolist()]
    graph = np.zeros(distances.shape)
    for i, one in enumerate(sets):
        for j, other in enumerate(sets):
            if i != j and (j in one or i in other):
                nearness = np.exp(-(distances[i, j] ** 2) / seventh[i] / seventh[j])
                shared = len(one & other) / len(one | other)
                graph[i, j] = shared * max(nearness, 0.05)
    return graph


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n_rows", "k"), [(40, 5), (200, 20), (12, 11), (2, 1)])
def test_weights_are_shares_of_neighbours_times_nearness(n_rows, k, dtype):
    """Of rows near to either, each row belonging to its own set."""
    rows = np.random.default_rng(0).normal(size=(n_rows, 4)).astype(dtype)

    graph = shared_neighbors_graph(rows, k, seed=0)

    rtol = 1e-5 if dtype == np.float32 else 1e-10  # of the distances
    assert_allclose(graph.toarray(), _by_hand(rows, k), rtol=rtol)


def test_pairs_are_compared_in_blocks(monkeypatch):
    """Whose length changes nothing."""
    rows = np.random.default_rng(0).normal(size=(90, 4))
    monkeypatch.setattr(_shared_neighbor_graph, "_N_EDGES", 7)

    graph = shared_neighbors_graph(rows, 6, seed=0)

    assert_allclose(graph.toarray(), _by_hand(rows, 6), rtol=1e-10)


def test_permuted_rows_have_the_permuted_graph():
    """It is about the rows, not their numbers."""
    rng = np.random.default_rng(0)
    rows, order = rng.normal(size=(80, 5)), rng.permutation(80)

    graph = shared_neighbors_graph(rows, 7, seed=0).toarray()
    permuted = shared_neighbors_graph(rows[order], 7, seed=0).toarray()

    assert_array_equal(permuted, graph[order][:, order])


@pytest.mark.parametrize("k", [9, 10, 1000])
def test_neighbours_are_at_most_all_others(k):
    """All sets are the same then, and only nearness tells."""
    rows = np.random.default_rng(0).normal(size=(10, 3))

    graph = shared_neighbors_graph(rows, k, seed=0)

    assert_allclose(graph.toarray(), _by_hand(rows, 9), rtol=1e-10)
    assert (graph.toarray() > 0).sum() == 90


@pytest.mark.parametrize(("n_groups", "size"), [(2, 10), (5, 9), (20, 8)])
def test_groups_smaller_than_the_sets_stay_apart(n_groups, size):
    """Their rows have the same neighbours as those of others, but far ones."""
    rng = np.random.default_rng(0)
    group_of = np.repeat(np.arange(n_groups), size)
    rows = 10 * rng.normal(size=(n_groups, 16))[group_of]
    rows += 0.1 * rng.normal(size=rows.shape)

    graph = shared_neighbors_graph(rows, 20, seed=0).toarray()

    is_own = group_of[:, np.newaxis] == group_of
    assert graph[~is_own].max() <= 0.05
    assert graph[is_own].max() > 0.3


def test_parts_are_joined_where_they_face_each_other():
    """From the row nearest to the other's mean, by the least weight there may be."""
    rows = np.array([0.0, 1.0, 2.1, 10.0, 11.0, 12.1, 40.0, 41.0, 42.1])[:, np.newaxis]

    graph = shared_neighbors_graph(rows, 2, seed=0).toarray()

    part_of = np.repeat([0, 1, 2], 3)
    is_bridge = part_of[:, np.newaxis] != part_of
    expected = np.zeros((9, 9))
    for one, other in ((2, 3), (5, 6)):
        expected[one, other] = expected[other, one] = 0.05 / 5
    assert_allclose(np.where(is_bridge, graph, 0), expected)
    assert_allclose(np.where(is_bridge, 0, graph), _by_hand(rows, 2), rtol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_parts", [2, 3, 25])
def test_the_graph_is_connected(n_parts, dtype):
    """Which spectral clustering needs; a tree joins parts, and not more than that."""
    rng = np.random.default_rng(0)
    part_of = np.arange(n_parts * 8) % n_parts
    centers = rng.normal(size=(n_parts, 5)) * 1000
    rows = (centers[part_of] + rng.normal(size=(len(part_of), 5))).astype(dtype)

    graph = shared_neighbors_graph(rows, 4, seed=0)

    assert connected_components(graph)[0] == 1
    is_bridge = part_of[:, np.newaxis] != part_of
    assert graph.toarray()[is_bridge].astype(bool).sum() == 2 * (n_parts - 1)
    assert graph.data.min() == pytest.approx(0.05 / 9)


@pytest.mark.parametrize("n_rows", [2, 3, 60])
def test_equal_rows_are_connected(n_rows):
    """Though which of them are neighbours is arbitrary."""
    rows = np.ones((n_rows, 3), dtype=np.float32)

    graph = shared_neighbors_graph(rows, 5, seed=0)

    assert connected_components(graph)[0] == 1
    assert (graph.diagonal() == 0).all()
    assert 0 < graph.data.min() <= graph.data.max() <= 1


def test_copies_are_told_apart():
    """Equal means of parts are no missing edge between them."""
    rows = np.repeat([[0.0, 0.0], [5.0, 5.0], [0.0, 9.0]], 30, axis=0)
    rows = np.vstack([rows, [[10.0, 10.0], [0.0, 0.0]]])

    graph = shared_neighbors_graph(rows, 3, seed=0)

    assert connected_components(graph)[0] == 1
    assert abs(graph - graph.T).max() == 0


def test_read_only_rows_in_fortran_order_will_do():
    """As a memory map gives them, or a DataFrame."""
    rows = np.random.default_rng(0).normal(size=(50, 4))
    plain = shared_neighbors_graph(rows, 5, seed=0)
    rows = np.asfortranarray(rows)
    rows.flags.writeable = False

    graph = shared_neighbors_graph(rows, 5, seed=0)

    assert_array_equal(graph.toarray(), plain.toarray())
