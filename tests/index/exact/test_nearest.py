"""Tests of exact search, whichever method it chooses."""

import sys

import numpy as np
import pytest
from brute_force import (
    LINEAR,
    METRICS,
    SUMMED,
    brute_force,
    draw,
    make_search,
    nearest_by_force,
)
from numpy.testing import assert_allclose, assert_array_equal

from imgsim.index.exact import _nearest
from imgsim.index.exact._brute_force import brute_force_nearest, brute_force_within
from imgsim.index.exact._nearest import find_nearest, find_within

METHODS = ("brute force", "float32", "bfloat16")


@pytest.fixture(params=METHODS)
def method(request, monkeypatch):
    """Force one method for all searches; return its name and the precisions tried."""
    scan = _nearest.scan_nearest
    precisions = []
    monkeypatch.setattr(
        _nearest,
        "scan_nearest",
        lambda *args: precisions.append(args[-1]) or scan(*args),
    )
    if request.param != "brute force":
        monkeypatch.setattr(_nearest, "_MAX_BRUTE_FORCE_VALUES", 0)
    if request.param == "bfloat16":
        pytest.importorskip("torch")
        monkeypatch.setattr(_nearest, "_MIN_BFLOAT16_OPERATIONS", {True: 0, False: 0})
        monkeypatch.setattr(_nearest, "resolve_precision", lambda *_: "bfloat16")
    return request.param, precisions


@pytest.mark.parametrize("name", [*METRICS, "canberra"])
def test_neighbors_are_those_of_scipy(method, name):
    """All methods must agree."""
    X, queries = draw(name, 1101, 29), draw(name, 6, 29, seed=1)

    distances, rows = find_nearest(*make_search(X, queries, name), 7)

    expected, true = nearest_by_force(queries, X, name, 7)
    assert_array_equal(rows, true)
    assert_allclose(distances, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", [*METRICS, "canberra"])
def test_pairs_within_a_radius_are_sorted(method, name):
    """Pairs are sorted by query, and then by row."""
    X, queries = draw(name, 1101, 29), draw(name, 6, 29, seed=1)
    expected = brute_force(queries, X, name)
    radius = float(np.quantile(expected, 0.02)) + 1e-9

    query, row, distances = find_within(*make_search(X, queries, name), radius)

    assert_array_equal([query, row], np.nonzero(expected <= radius))
    assert_allclose(distances, expected[query, row], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("n_copies", [30, 1000])
@pytest.mark.parametrize("name", METRICS)
def test_ties_are_broken_by_row_number(method, name, n_copies):
    """With many equal rows, a scan has too many candidates and is not certain."""
    X = np.tile(draw(name, 2, 9), (n_copies, 1))

    _, rows = find_nearest(*make_search(X, X[:2], name), 12)

    assert_array_equal(rows, nearest_by_force(X[:2], X, name, 12)[1])


def test_only_uncertain_queries_are_repeated(method):
    """They are repeated in higher precision, and finally compared with all rows."""
    name, precisions = method
    X = np.vstack(
        [draw("cosine", 500, 64), np.repeat(draw("cosine", 1, 64, seed=1), 900, 0)]
    )

    easy, hard = X[:1], X[-1:]
    find_nearest(*make_search(X, easy, "cosine"), 1)
    n_for_easy = len(precisions)
    find_nearest(*make_search(X, hard, "cosine"), 1)

    assert (
        precisions[n_for_easy:]
        == {
            "brute force": [],
            "float32": ["float32"],
            "bfloat16": ["bfloat16", "float32"],
        }[name]
    )
    assert n_for_easy == (name != "brute force")


@pytest.mark.parametrize("name", ["cosine", "manhattan", "jaccard"])
def test_zero_queries_have_empty_results(method, name):
    """An empty batch is not an error."""
    searched = make_search(draw(name, 1100, 3), np.empty((0, 3), np.float32), name)

    distances, rows = find_nearest(*searched, 2)
    pairs = find_within(*searched, 1.0)

    assert distances.shape == rows.shape == (0, 2)
    assert [len(part) for part in pairs] == [0, 0, 0]


RANGES = [
    *((np.float32, size) for size in (1e30, 1e18, 1e-13, 1e-30, 1e-42)),
    *((np.float64, size) for size in (1e100, 1e-100)),
]


@pytest.mark.parametrize(("dtype", "size"), RANGES)
@pytest.mark.parametrize("name", [*LINEAR, *SUMMED])
def test_huge_and_tiny_rows_are_not_lost(method, name, dtype, size):
    """Their products leave the range of float32."""
    X = draw(name, 1101, 8, np.float64)
    X[:600] *= size
    X = X.astype(dtype)
    searched = make_search(X, X[[0, 1, 1000]], name)
    true = brute_force_nearest(*searched, 4)
    radius = float(true[0][:, 2:].mean())

    _, rows = find_nearest(*searched, 4)
    pairs = find_within(*searched, radius)

    assert_array_equal(rows, true[1])
    near = brute_force_within(*searched, radius)
    order = np.lexsort((near[1], near[0]))
    assert_array_equal(pairs[:2], [near[0][order], near[1][order]])


def test_small_searches_load_no_compiled_loops(monkeypatch):
    """Loading them takes longer than a small search without them."""
    for module in ("_distance.kernels", "index.graph._graph_kernels"):
        monkeypatch.delitem(sys.modules, f"imgsim.{module}", raising=False)
    X = draw("cosine", 200, 16)

    find_nearest(*make_search(X, X[:5], "cosine"), 3)

    assert "imgsim._distance.kernels" not in sys.modules


def test_bfloat16_is_used_for_large_searches_by_products(monkeypatch):
    """For few operations, the conversion would take longer than it saves."""
    calls = []
    monkeypatch.setattr(_nearest, "_MAX_BRUTE_FORCE_VALUES", 0)
    monkeypatch.setattr(
        _nearest, "_MIN_BFLOAT16_OPERATIONS", {True: 50_000, False: 50_000}
    )
    monkeypatch.setattr(_nearest, "resolve_precision", lambda *_: "bfloat16")

    def scan(queries, collection, n_neighbors, precision):
        calls.append((collection.metric.name, len(queries), precision))
        shape = len(queries), n_neighbors
        return np.zeros(shape), np.zeros(shape, int), np.ones(len(queries), dtype=bool)

    monkeypatch.setattr(_nearest, "scan_nearest", scan)
    for name in ("cosine", "manhattan", "jaccard"):
        X = draw(name, 1000, 10)
        for n_queries in (1, 20):
            find_nearest(*make_search(X, X[:n_queries], name), 2)

    assert [case for case in calls if case[2] == "bfloat16"] == [
        ("cosine", 20, "bfloat16")
    ]
    assert len(calls) == 6
