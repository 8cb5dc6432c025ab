"""Tests of communities of a graph."""

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
    """Return Newman's: weights within groups, less those expected by chance."""
    total, degrees = graph.sum(), graph.sum(axis=1)
    same = labels[:, np.newaxis] == labels
    expected = resolution * np.outer(degrees, degrees) / total**2
    return ((graph / total - expected) * same).sum()


def _potts(graph, labels, resolution):
    """Return the constant Potts model's: chance knows no degrees."""
    same = labels[:, np.newaxis] == labels
    return ((graph / graph.sum() - resolution / len(graph) ** 2) * same).sum()


def _partitions(n):
    """Yield all ways to put n things into groups, as labels."""
    if n == 0:
        yield ()
        return
    for labels in _partitions(n - 1):
        for label in range(max(labels, default=-1) + 2):
            yield (*labels, label)


def _cliques(*sizes):
    """Return the graph of a ring of cliques, neighbours joined by a weak edge."""
    part_of = np.repeat(np.arange(len(sizes)), sizes)
    graph = (part_of[:, np.newaxis] == part_of) * 1.0
    starts = np.cumsum([0, *sizes[:-1]])
    for one, other in zip(starts, np.roll(starts, -1), strict=True):
        if one != other:
            graph[one, other + 1] = graph[other + 1, one] = 0.2
    np.fill_diagonal(graph, 0)
    return graph, part_of


def _fit(graph, n_clusters=None, seed=0, **params):
    return fit_leiden(csr_matrix(graph), n_clusters, params, seed)


@pytest.fixture
def groups_graph():
    """Return the neighbour graph of 120 rows in six groups, and the groups."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(6), 20)
    rows = rng.normal(size=(6, 5))[y] * 4 + rng.normal(size=(120, 5))
    return shared_neighbors_graph(rows, 8, seed=0), y


@pytest.mark.parametrize("resolution", [0.3, 1.0, 2.0])
@pytest.mark.parametrize(
    ("modularity", "quality"), [("newman", _modularity), ("potts", _potts)]
)
def test_no_partition_of_a_small_graph_is_better(modularity, quality, resolution):
    """Of all 4140 of eight nodes."""
    graph, _ = _cliques(3, 3, 2)

    _, labels = _fit(graph, modularity=modularity, resolution=resolution)

    best = max(quality(graph, np.array(p), resolution) for p in _partitions(8))
    assert quality(graph, labels, resolution) == pytest.approx(best)


def test_the_resolution_is_one_unless_told_otherwise():
    """That of Newman's modularity."""
    graph, part_of = _cliques(5, 4, 6, 5)

    leiden, labels = _fit(graph)

    assert leiden.resolution == 1
    assert adjusted_rand_score(part_of, labels) == 1
    assert labels.dtype == np.int64


def test_groups_are_better_than_those_that_were_meant(groups_graph):
    """Or as good: the truth is one of the partitions that it may find."""
    graph, y = groups_graph

    _, labels = _fit(graph)

    dense = graph.toarray()
    assert _modularity(dense, labels, 1) >= _modularity(dense, y, 1) - 1e-9


def test_a_larger_resolution_finds_more_groups(groups_graph):
    """Until each row is alone."""
    graph, _ = groups_graph

    n_groups = [_fit(graph, resolution=r)[1].max() + 1 for r in (0.5, 2, 4, 8, 20, 500)]

    assert n_groups == sorted(n_groups)
    assert n_groups[0] == 6
    assert n_groups[-1] == 120


@pytest.mark.parametrize("n_clusters", [3, 5, 6, 7, 8, 12, 120])
def test_the_number_asked_for_is_met(n_clusters, groups_graph):
    """By the resolution that yields it, which the estimator keeps."""
    graph, y = groups_graph

    leiden, labels = _fit(graph, n_clusters)

    assert len(np.unique(labels)) == labels.max() + 1 == n_clusters
    again = _fit(graph, modularity="potts", resolution=leiden.resolution)[1]
    assert_array_equal(again, labels)
    if n_clusters == 6:
        assert adjusted_rand_score(y, labels) == 1


@pytest.mark.parametrize("n_clusters", [2, 3, 4, 6, 7])
def test_or_the_nearest_that_any_resolution_yields(n_clusters):
    """A clique of equal weights does not fall into two."""
    graph, _ = _cliques(4, 4)
    yielded = {
        _fit(graph, modularity="potts", resolution=r)[1].max() + 1
        for r in np.geomspace(0.01, 100, 60)
    }

    n_found = _fit(graph, n_clusters)[1].max() + 1

    nearest = min(abs(n - n_clusters) for n in yielded)
    assert abs(n_found - n_clusters) <= nearest


def test_far_groups_are_joined_if_fewer_are_asked_for():
    """Those with the most weight between them; no resolution would."""
    graph, part_of = _cliques(6, 5, 4)
    starts = [0, 6, 11]
    graph[graph == 0.2] = 1e-12
    graph[starts[1], starts[2]] = graph[starts[2], starts[1]] = 1e-9

    assert adjusted_rand_score(_fit(graph, 3)[1], part_of) == 1
    assert adjusted_rand_score(_fit(graph, 2)[1], part_of > 0) == 1
    assert_array_equal(_fit(graph, 1)[1], 0)


def test_a_single_edge_is_no_limit():
    """Two rows are the smallest graph there is."""
    graph = np.array([[0.0, 1.0], [1.0, 0.0]])

    assert_array_equal(_fit(graph, 1)[1], [0, 0])
    assert_array_equal(np.sort(_fit(graph, 2)[1]), [0, 1])


@pytest.mark.parametrize("params", [{}, {"shuffle_nodes": True}], ids=str)
def test_equal_seeds_give_equal_groups(params, groups_graph):
    """Though Leiden may draw the order of nodes; in threads, too."""
    graph, _ = groups_graph

    with ThreadPool(4) as pool:
        fits = [
            pool.apply_async(_fit, (graph, 20), {"seed": 3, **params}) for _ in range(8)
        ]
        found = {fit.get()[1].tobytes() for fit in fits}

    assert len(found) == 1


@pytest.mark.parametrize(
    "resolution", [0, -1.0, np.nan, np.inf, "high", None, [1.0]], ids=str
)
def test_a_resolution_that_is_none_is_refused(resolution, groups_graph):
    """With the value."""
    with pytest.raises(ValueError, match=r"resolution=.* must be a positive number"):
        _fit(groups_graph[0], resolution=resolution)


@pytest.mark.parametrize("name", ["tol_aggregation", "tol_optimization"])
@pytest.mark.parametrize("value", [0, -1e-3, np.nan, "x", None], ids=str)
def test_a_tolerance_that_rounding_exceeds_is_refused(name, value, groups_graph):
    """Rounding would look like progress for ever."""
    with pytest.raises(
        ValueError, match=rf"{name}={value!r} must be .* at least 1e-06"
    ):
        _fit(groups_graph[0], **{name: value})


def test_a_number_of_groups_and_a_resolution_are_refused(groups_graph):
    """One follows from the other."""
    with pytest.raises(ValueError, match=r"resolution=2\.0 and n_clusters=3 cannot"):
        _fit(groups_graph[0], 3, resolution=2.0)


def test_the_missing_package_is_named(groups_graph, monkeypatch):
    """With the extra that brings it."""
    for name in [name for name in sys.modules if name.split(".")[0] == "sknetwork"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sknetwork", None)

    with pytest.raises(
        ModuleNotFoundError,
        match=r"algorithm='leiden' needs scikit-network: .*'scikit-imgsim\[graph\]'",
    ):
        _fit(groups_graph[0])


def test_the_other_algorithms_do_without_it(blobs, monkeypatch):
    """It is an extra."""
    monkeypatch.setitem(sys.modules, "sknetwork", None)

    clusterer = ImageClusterer(3, algorithm="spectral", random_state=0).fit(blobs[0])

    assert clusterer.n_clusters_ == 3
