"""Tests of approximate search on a graph."""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from brute_force import brute_force, make_search, nearest_by_force
from numpy.testing import assert_allclose, assert_array_equal

from imgsim import SimilarityIndex
from imgsim.index.graph import _neighbor_graph
from imgsim.index.graph._neighbor_graph import GRAPH_METRICS, build_graph


def _clustered(n_rows, n_features=32, seed=0, dtype=np.float32):
    """Return rows in fifty clusters, like photographs of fifty subjects."""
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(99).normal(size=(50, n_features)) * 3
    X = centers[rng.integers(50, size=n_rows)] + rng.normal(size=(n_rows, n_features))
    return X.astype(dtype)


def _build(X, name="cosine", k=10, recall=0.95, seed=0, allowed=None):
    collection = make_search(X, X[:1], name, allowed)[1]
    return build_graph(collection, k, recall, np.random.RandomState(seed))


@pytest.fixture(scope="module", params=GRAPH_METRICS)
def built(request):
    """Return rows, the name of their metric, and their graph."""
    X = _clustered(1500)
    return X, request.param, _build(X, request.param)


@pytest.fixture(scope="module")
def cosine_graph():
    """Return rows and their graph."""
    X = _clustered(2000)
    return X, _build(X)


def _recall(found, true):
    return np.mean([np.isin(a, b).mean() for a, b in zip(true, found, strict=True)])


def test_new_queries_have_the_requested_recall(built):
    """The width was chosen on other rows, so the recall may differ by chance."""
    X, name, graph = built
    queries = _clustered(300, seed=5)

    _, rows = graph.find_nearest(*make_search(X, queries, name), 10)

    assert graph.recall >= 0.95
    assert _recall(rows, nearest_by_force(queries, X, name, 10)[1]) >= 0.93


def test_distances_are_exact_and_increase(built):
    """Only the choice of the rows is approximate."""
    X, name, graph = built
    queries = _clustered(50, seed=6)

    distances, rows = graph.find_nearest(*make_search(X, queries, name), 10)

    expected = np.take_along_axis(brute_force(queries, X, name), rows, axis=1)
    assert_allclose(distances, expected, rtol=1e-9, atol=1e-12)
    assert (np.diff(distances, axis=1) >= 0).all()
    assert all(len(set(found)) == 10 for found in rows.tolist())


def test_a_wider_beam_finds_more(cosine_graph):
    """The widest beam finds nearly all neighbors."""
    X, graph = cosine_graph
    queries = _clustered(200, seed=7)
    true = nearest_by_force(queries, X, "cosine", 5)[1]

    recalls = [
        _recall(
            replace(graph, width=width).find_nearest(
                *make_search(X, queries, "cosine"), 5
            )[1],
            true,
        )
        for width in (0.3, 1, 40)
    ]

    assert recalls[0] <= recalls[1] <= recalls[2]
    assert recalls[2] > 0.99


def test_a_higher_recall_takes_a_wider_beam():
    """The smallest sufficient width is chosen."""
    X = _clustered(1500)

    low, high = _build(X, recall=0.3), _build(X, recall=1.0)

    assert low.width < high.width
    assert low.recall <= high.recall


def test_recall_is_measured_on_rows_left_out():
    """Rows in the graph find themselves and their neighbors too easily."""
    X = _clustered(1200)
    graph = _build(X)
    sampled = np.sort(np.random.RandomState(0).permutation(1200)[:300])
    is_sampled = np.isin(np.arange(1200), sampled)
    queries, collection = make_search(X, X[sampled], "cosine")
    neighbors = _neighbor_graph._find_neighbors(collection, np.random.RandomState(0))
    links = _neighbor_graph._make_links(neighbors, collection, is_sampled)

    others = make_search(X, X[sampled], "cosine", ~is_sampled)[1]
    _, rows = replace(graph, links=links)._search(queries, others, 10, 10)

    true = nearest_by_force(X[sampled], X, "cosine", 10, ~is_sampled)[1]
    assert not np.isin(rows, sampled).any()
    assert_allclose(graph.recall, _recall(rows, true), rtol=1e-12)


def test_equal_seeds_give_equal_graphs_and_results():
    """Graph construction is random but reproducible."""
    X, queries = _clustered(800), _clustered(20, seed=8)

    first, second, other = (_build(X, seed=seed) for seed in (3, 3, 4))

    assert_array_equal(first.links, second.links)
    assert_array_equal(first.entries, second.entries)
    assert (first.width, first.recall) == (second.width, second.recall)
    for a, b in zip(
        first.find_nearest(*make_search(X, queries, "cosine"), 5),
        second.find_nearest(*make_search(X, queries, "cosine"), 5),
        strict=True,
    ):
        assert_array_equal(a, b)
    assert len(first.entries) != len(other.entries) or (
        not np.array_equal(first.entries, other.entries)
    )


@pytest.mark.parametrize("n_allowed", [0, 1, 4, 5, 6, 20])
def test_the_search_is_exact_if_few_rows_are_allowed(cosine_graph, n_allowed):
    """A search of the graph would meet too few of them."""
    X, graph = cosine_graph
    allowed = np.zeros(len(X), dtype=bool)
    allowed[np.random.default_rng(0).permutation(len(X))[:n_allowed]] = True

    distances, rows = graph.find_nearest(*make_search(X, X[:9], "cosine", allowed), 5)

    expected, true = nearest_by_force(X[:9], X, "cosine", 5, allowed)
    assert_array_equal(rows, true)
    assert_allclose(distances, expected, atol=1e-12)


def test_a_filter_does_not_reduce_recall(cosine_graph):
    """The beam is wider if fewer rows are allowed."""
    X, graph = cosine_graph
    allowed = np.random.default_rng(0).random(len(X)) < 0.4
    queries = _clustered(200, seed=9)

    _, rows = graph.find_nearest(*make_search(X, queries, "cosine", allowed), 5)

    assert allowed[rows].all()
    assert _recall(rows, nearest_by_force(queries, X, "cosine", 5, allowed)[1]) > 0.93


def test_a_query_that_meets_too_few_rows_is_searched_exactly(cosine_graph):
    """A filter may exclude all rows near the query."""
    X, graph = cosine_graph
    query = X[:1]
    near = nearest_by_force(query, X, "cosine", 500)[1][0]
    allowed = np.ones(len(X), dtype=bool)
    allowed[near] = False

    distances, rows = graph.find_nearest(*make_search(X, query, "cosine", allowed), 5)

    expected, true = nearest_by_force(query, X, "cosine", 5, allowed)
    assert_array_equal(rows, true)
    assert_allclose(distances, expected, atol=1e-12)


def test_rows_added_later_are_found(cosine_graph):
    """They are not in the graph until it is rebuilt."""
    X, graph = cosine_graph
    later = _clustered(30, seed=10)
    later[7] = X[3]
    both = np.vstack([X, later])

    distances, rows = graph.find_nearest(*make_search(both, later, "cosine"), 2)

    assert (rows == np.arange(2000, 2030)[:, np.newaxis]).any(axis=1).all()
    assert rows[7].tolist() == [3, 2007]
    assert_allclose(distances[:, 0], 0, atol=1e-12)


def test_many_copies_of_a_row_are_found():
    """There are more copies than a row has links."""
    X = _clustered(1000)
    X[100:160] = X[5]
    graph = _build(X)

    distances, rows = graph.find_nearest(*make_search(X, X[5:6], "cosine"), 5)

    assert_allclose(distances, np.zeros((1, 5)), atol=1e-12)
    assert set(rows[0].tolist()) <= {5, *range(100, 160)}


def test_all_rows_may_be_requested():
    """The search then compares the query with every row."""
    X = _clustered(60)
    graph = _build(X, k=3)

    for n_neighbors in (60, 61):
        _, rows = graph.find_nearest(*make_search(X, X[:4], "cosine"), n_neighbors)

        assert_array_equal(rows[:, :60], nearest_by_force(X[:4], X, "cosine", 60)[1])
        assert (rows[:, 60:] == -1).all()


@pytest.mark.parametrize("n_rows", [3, 4, 5, 9])
def test_the_smallest_graphs_are_searched(n_rows):
    """With three rows, none can be left out to measure the recall."""
    X = _clustered(n_rows)

    graph = _build(X, k=1)
    _, rows = graph.find_nearest(*make_search(X, X, "cosine"), 1)

    assert_array_equal(rows, np.arange(n_rows)[:, np.newaxis])
    assert 0 <= graph.recall <= 1


def test_rows_that_are_not_allowed_are_not_in_the_graph():
    """Rows of unreadable images are such rows, stored as zeros."""
    X = _clustered(400)
    allowed = np.arange(400) % 4 > 0
    X[~allowed] = 0

    graph = _build(X, allowed=allowed)
    _, rows = graph.find_nearest(*make_search(X, X[:40], "cosine", allowed), 4)

    assert (graph.links[~allowed] == -1).all()
    assert allowed[graph.links[graph.links >= 0]].all()
    assert allowed[graph.entries].all()
    assert allowed[rows].all()


def test_threads_may_search_at_the_same_time(cosine_graph):
    """A server handles several requests at once."""
    X, graph = cosine_graph
    searched = make_search(X, _clustered(40, seed=11), "cosine")
    expected = graph.find_nearest(*searched, 5)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: graph.find_nearest(*searched, 5), range(8)))

    for answer in answers:
        assert_array_equal(answer[0], expected[0])
        assert_array_equal(answer[1], expected[1])


@pytest.fixture
def fake_pynndescent(monkeypatch):
    """Replace pynndescent by a comparison of all rows, and record its arguments."""
    called = SimpleNamespace(drops_self=False)

    def descend(data, **options):
        called.data, called.options = data, options
        distances = brute_force(data, data, "euclidean")
        if called.drops_self:
            np.fill_diagonal(distances, np.inf)
        order = np.argsort(distances, axis=1, kind="stable")
        order = order[:, : options["n_neighbors"]].astype(np.int32)
        return SimpleNamespace(
            neighbor_graph=(order, np.take_along_axis(distances, order, axis=1))
        )

    monkeypatch.setitem(sys.modules, "pynndescent", SimpleNamespace(NNDescent=descend))
    monkeypatch.setattr(_neighbor_graph, "_MAX_EXACT_OPERATIONS", 0)
    return called


@pytest.mark.parametrize("drops_self", [False, True])
@pytest.mark.parametrize("name", GRAPH_METRICS)
def test_large_graphs_are_built_by_pynndescent(fake_pynndescent, name, drops_self):
    """It gets transformed rows, which Euclidean distances rank like the metric."""
    fake_pynndescent.drops_self = drops_self
    X = _clustered(500)

    graph = _build(X, name)

    options = fake_pynndescent.options
    assert options["metric"] == "euclidean"
    assert options["n_neighbors"] == 31
    assert isinstance(options["random_state"], int)
    assert fake_pynndescent.data.dtype == np.float32
    ranks = nearest_by_force(X[:5], X, name, 20)[1]
    seen = fake_pynndescent.data
    assert_array_equal(nearest_by_force(seen[:5], seen, "euclidean", 20)[1], ranks)
    assert not (graph.links == np.arange(500)[:, np.newaxis]).any()
    _, rows = graph.find_nearest(*make_search(X, X[:50], name), 5)
    assert _recall(rows, nearest_by_force(X[:50], X, name, 5)[1]) > 0.9


def test_the_seed_reaches_pynndescent(fake_pynndescent):
    """Equal seeds must give equal graphs."""
    seeds = []
    for seed in (1, 1, 2):
        _build(_clustered(100), seed=seed)
        seeds.append(fake_pynndescent.options["random_state"])

    assert seeds[0] == seeds[1] != seeds[2]


def test_missing_neighbors_of_pynndescent_are_not_links(fake_pynndescent, monkeypatch):
    """It returns -1 where it finds too few neighbors, as among many copies."""
    descend = sys.modules["pynndescent"].NNDescent

    def miss(data, **options):
        found = descend(data, **options)
        found.neighbor_graph[0][::3, 5:] = -1
        found.neighbor_graph[0][7] = -1
        return found

    monkeypatch.setattr(sys.modules["pynndescent"], "NNDescent", miss)
    X = _clustered(400)

    graph = _build(X)

    has_link = graph.links >= 0
    assert not (has_link[:, 1:] & ~has_link[:, :-1]).any()
    _, rows = graph.find_nearest(*make_search(X, X[:50], "cosine"), 5)
    assert _recall(rows, nearest_by_force(X[:50], X, "cosine", 5)[1]) > 0.9


@pytest.mark.parametrize("size", [1e30, 1e-30])
def test_rows_outside_single_precision_are_found(size):
    """A search of the graph cannot rank them, so the search is exact."""
    X = _clustered(300) * np.float32(size)
    index = SimilarityIndex(3, metric="euclidean", algorithm="pynndescent").fit(X)

    _, rows = index.kneighbors(X[:5])

    assert index.algorithm_ == "exact"
    assert_array_equal(rows, nearest_by_force(X[:5], X, "euclidean", 3)[1])


def test_self_neighbors_are_those_of_brute_force(monkeypatch):
    """They become the links of the graph, so no row may be its own neighbor."""
    monkeypatch.setattr("imgsim.index.exact._self_neighbors._N_ROWS", 128)
    X = _clustered(401)
    allowed = np.arange(401) % 7 > 0
    collection = make_search(X, X[:1], "cosine", allowed)[1]

    found = _neighbor_graph._find_neighbors(collection, np.random.RandomState(0))

    distances = brute_force(X, X, "cosine")
    distances[:, ~allowed] = np.inf
    np.fill_diagonal(distances, np.inf)
    assert_array_equal(found, np.argsort(distances, axis=1, kind="stable")[:, :30])


def test_the_recall_holds_for_fewer_neighbors():
    """The beam must not be narrower for one neighbor than for twenty."""
    X = np.random.default_rng(0).normal(size=(4000, 24)).astype(np.float32)
    index = SimilarityIndex(20, algorithm="pynndescent", recall=0.9, random_state=0)
    index.fit(X[:3800])

    for k in (1, 5, 20):
        rows = index.kneighbors(X[3800:], k)[1]
        true = nearest_by_force(X[3800:], X[:3800], "cosine", k)[1]
        assert _recall(rows, true) > 0.85
