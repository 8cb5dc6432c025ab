"""Tests of the refinement of communities."""

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
    """Return the parts of communities of a dense graph, by degrees."""
    graph = csr_matrix(graph / graph.sum())
    volumes = np.asarray(graph.sum(axis=1)).ravel()
    indptr, indices = graph.indptr.astype(np.int64), graph.indices.astype(np.int64)
    return refine(np.asarray(labels), indptr, indices, graph.data, volumes, resolution)


def _random_graph(n, seed):
    """Return a symmetric graph with weights over twelve orders of magnitude."""
    rng = np.random.default_rng(seed)
    weights = 10.0 ** rng.uniform(-12, 0, (n, n)) * (rng.random((n, n)) < 0.2)
    upper = np.triu(weights, k=1) + np.diag(np.full(n - 1, 1e-6), k=1)
    return upper + upper.T


def test_two_halves_of_a_community_come_apart():
    """Two triangles with a thin edge between them, one triangle of another group."""
    triangle = np.ones((3, 3)) - np.eye(3)
    graph = np.kron(np.eye(3), triangle)
    graph[2, 3] = graph[3, 2] = graph[5, 6] = graph[6, 5] = 0.1

    parts = _refined(graph, [0, 0, 0, 0, 0, 0, 1, 1, 1])

    _, numbers = np.unique(parts, return_inverse=True)
    assert_array_equal(numbers, [0, 0, 0, 1, 1, 1, 2, 2, 2])


def test_without_an_edge_inside_all_stay_alone():
    """A community of strangers is no part."""
    graph = np.kron([[0, 1], [1, 0]], np.ones((3, 3)))

    assert_array_equal(_refined(graph, [0, 0, 0, 1, 1, 1]), range(6))


def test_a_loose_node_stays_alone():
    """Where chance ties it to its community as strongly as its edges do."""
    graph = np.ones((6, 6)) - np.eye(6)
    graph[5] = graph[:, 5] = 0
    graph[5, 0] = graph[0, 5] = 0.01

    parts = _refined(graph, [0] * 6, resolution=4.0)

    assert (parts == parts[5]).sum() == 1


@pytest.mark.parametrize("seed", range(20))
def test_parts_are_connected_and_inside_their_community(seed):
    """Both are what Leiden promises and Louvain does not."""
    graph = _random_graph(40, seed)
    labels = np.random.default_rng(seed).integers(0, 5, 40)

    parts = _refined(graph, labels, resolution=0.5 + seed % 3)

    for part in np.unique(parts):
        members = np.flatnonzero(parts == part)
        assert len(np.unique(labels[members])) == 1
        assert connected_components(graph[np.ix_(members, members)])[0] == 1


@pytest.mark.parametrize("resolution", [0.01, 1.0, 50.0])
@pytest.mark.parametrize("modularity", ["potts", "newman", "dugue"])
@pytest.mark.parametrize("seed", range(3))
def test_comes_to_an_end(seed, modularity, resolution):
    """Where edges are faint, and scikit-network's own refinement goes on for ever."""
    leiden = BoundedLeiden(modularity=modularity, resolution=resolution, random_state=0)

    labels = leiden.fit_predict(csr_matrix(_random_graph(60, seed)))

    assert len(labels) == 60


def test_comes_to_an_end_where_all_rows_are_alike():
    """On a turntable each place is as good as the next, but for rounding."""
    angles = np.linspace(0, 2 * np.pi, 150, endpoint=False)
    rows = np.column_stack([np.cos(angles), np.sin(angles)])
    graph = shared_neighbors_graph(rows, 20, seed=0)

    n_found = {k: fit_leiden(graph, k, {}, 0)[1].max() + 1 for k in (None, 5)}

    assert 1 < n_found[None] < 40
    assert n_found[5] == 5


def test_scikit_network_calls_it(monkeypatch):
    """A later version may name its steps otherwise."""
    calls = []
    own = BoundedLeiden._optimize_refine
    monkeypatch.setattr(
        BoundedLeiden,
        "_optimize_refine",
        lambda self, *args: calls.append(1) or own(self, *args),
    )

    BoundedLeiden().fit(csr_matrix(_random_graph(20, 0)))

    assert calls


def test_is_pickled():
    """With the estimator that it is part of."""
    leiden = BoundedLeiden(resolution=0.7).fit(csr_matrix(_random_graph(20, 0)))

    again = pickle.loads(pickle.dumps(leiden))

    assert_array_equal(again.labels_, leiden.labels_)
    assert again.resolution == 0.7
