"""Tests of the refinement of communities, and of Leiden with it."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from imgsim.cluster.algorithms._leiden import fit_leiden
from imgsim.cluster.algorithms._shared_neighbor_graph import shared_neighbors_graph

pytest.importorskip("sknetwork", reason="the extra graph is not installed")

from imgsim.cluster.algorithms._leiden_refinement import BoundedLeiden, refine


def _refined(graph, labels, resolution=1.0):
    """Return the subcommunities of a dense graph, with degrees as volumes."""
    graph = csr_matrix(graph / graph.sum())
    volumes = np.asarray(graph.sum(axis=1)).ravel()
    indptr, indices = graph.indptr.astype(np.int64), graph.indices.astype(np.int64)
    return refine(np.asarray(labels), indptr, indices, graph.data, volumes, resolution)


def _random_graph(n, seed):
    """Return a connected graph whose weights span twelve orders of magnitude."""
    rng = np.random.default_rng(seed)
    weights = 10.0 ** rng.uniform(-12, 0, (n, n)) * (rng.random((n, n)) < 0.2)
    upper = np.triu(weights, k=1) + np.diag(np.full(n - 1, 1e-6), k=1)
    return upper + upper.T


def test_a_weakly_connected_community_is_divided():
    """It consists of two triangles; a third triangle is another community."""
    triangle = np.ones((3, 3)) - np.eye(3)
    graph = np.kron(np.eye(3), triangle)
    graph[2, 3] = graph[3, 2] = graph[5, 6] = graph[6, 5] = 0.1

    refined = _refined(graph, [0, 0, 0, 0, 0, 0, 1, 1, 1])

    _, numbers = np.unique(refined, return_inverse=True)
    assert_array_equal(numbers, [0, 0, 0, 1, 1, 1, 2, 2, 2])


def test_nodes_without_an_edge_in_their_community_stay_alone():
    """A subcommunity must be connected."""
    graph = np.kron([[0, 1], [1, 0]], np.ones((3, 3)))

    assert_array_equal(_refined(graph, [0, 0, 0, 1, 1, 1]), range(6))


def test_a_weakly_connected_node_stays_alone():
    """Its weight to the community is smaller than the expected weight."""
    graph = np.ones((6, 6)) - np.eye(6)
    graph[5] = graph[:, 5] = 0
    graph[5, 0] = graph[0, 5] = 0.01

    refined = _refined(graph, [0] * 6, resolution=4.0)

    assert (refined == refined[5]).sum() == 1


@pytest.mark.parametrize("seed", range(20))
def test_subcommunities_are_connected_and_within_a_community(seed):
    """Leiden guarantees this, in contrast to Louvain."""
    graph = _random_graph(40, seed)
    labels = np.random.default_rng(seed).integers(0, 5, 40)

    refined = _refined(graph, labels, resolution=0.5 + seed % 3)

    for subcommunity in np.unique(refined):
        members = np.flatnonzero(refined == subcommunity)
        assert len(np.unique(labels[members])) == 1
        assert connected_components(graph[np.ix_(members, members)])[0] == 1


@pytest.mark.parametrize("resolution", [0.01, 1.0, 50.0])
@pytest.mark.parametrize("modularity", ["potts", "newman", "dugue"])
@pytest.mark.parametrize("seed", range(3))
def test_leiden_ends_with_weak_edges(seed, modularity, resolution):
    """The refinement of scikit-network 0.33 never ends on such graphs."""
    leiden = BoundedLeiden(modularity=modularity, resolution=resolution, random_state=0)

    labels = leiden.fit_predict(csr_matrix(_random_graph(60, seed)))

    assert len(labels) == 60


def test_leiden_ends_if_all_rows_have_equivalent_neighbors():
    """On a circle, rows differ only by rounding errors."""
    angles = np.linspace(0, 2 * np.pi, 150, endpoint=False)
    rows = np.column_stack([np.cos(angles), np.sin(angles)])
    graph = shared_neighbors_graph(rows, 20, seed=0)

    n_found = {k: fit_leiden(graph, k, {}, 0)[1].max() + 1 for k in (None, 5)}

    assert 1 < n_found[None] < 40
    assert n_found[5] == 5


def test_scikit_network_calls_the_refinement(monkeypatch):
    """The method is private, and a later version may rename it."""
    calls = []
    own = BoundedLeiden._optimize_refine
    monkeypatch.setattr(
        BoundedLeiden,
        "_optimize_refine",
        lambda self, *args: calls.append(1) or own(self, *args),
    )

    BoundedLeiden().fit(csr_matrix(_random_graph(20, 0)))

    assert calls


def test_a_fitted_estimator_is_pickled():
    """It is an attribute of a fitted clusterer."""
    leiden = BoundedLeiden(resolution=0.7).fit(csr_matrix(_random_graph(20, 0)))

    again = pickle.loads(pickle.dumps(leiden))

    assert_array_equal(again.labels_, leiden.labels_)
    assert again.resolution == 0.7
