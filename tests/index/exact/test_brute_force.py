"""Tests of comparing all pairs in double precision."""

import tracemalloc

import numpy as np
import pytest
from brute_force import METRICS, brute_force, draw, make_search, nearest_by_force
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context

from imgsim.index.exact import _brute_force
from imgsim.index.exact._brute_force import (
    _smallest,
    brute_force_nearest,
    brute_force_within,
)


@pytest.fixture(params=[1024, 0.001])
def few_or_many_blocks(request, monkeypatch):
    """Compare all pairs at once, or blocks of one query and seven rows."""
    if request.param < 1:
        monkeypatch.setattr(_brute_force, "_N_ROWS", 7)
    with config_context(working_memory=request.param):
        yield


every_metric = pytest.mark.parametrize("name", [*METRICS, "canberra"])


@pytest.mark.usefixtures("few_or_many_blocks")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_metric
def test_neighbors_are_those_of_scipy(name, dtype):
    """The number of blocks must not matter."""
    X, queries = draw(name, 60, 23, dtype), draw(name, 4, 23, dtype, seed=1)

    distances, rows = brute_force_nearest(*make_search(X, queries, name), 6)

    expected, true = nearest_by_force(queries, X, name, 6)
    assert_array_equal(rows, true)
    assert_allclose(distances, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("few_or_many_blocks")
@every_metric
def test_pairs_within_a_radius_are_those_of_scipy(name):
    """The number of blocks must not matter."""
    X, queries = draw(name, 60, 23), draw(name, 4, 23, seed=1)
    expected = brute_force(queries, X, name)
    radius = float(np.quantile(expected, 0.1)) + 1e-9

    query, row, distances = brute_force_within(*make_search(X, queries, name), radius)

    order = np.lexsort((row, query))
    assert_array_equal([query[order], row[order]], np.nonzero(expected <= radius))
    assert_allclose(distances, expected[query, row], rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("few_or_many_blocks")
@every_metric
def test_ties_are_broken_by_row_number(name):
    """Equal rows may be in different blocks."""
    X = np.tile(draw(name, 3, 9), (20, 1))

    _, rows = brute_force_nearest(*make_search(X, X[:3], name), 25)

    assert_array_equal(rows, nearest_by_force(X[:3], X, name, 25)[1])


@pytest.mark.usefixtures("few_or_many_blocks")
@pytest.mark.parametrize("n_allowed", [0, 1, 4, 5, 30])
@every_metric
def test_only_allowed_rows_are_found(name, n_allowed):
    """The position is -1 where there are too few rows."""
    X = draw(name, 30, 8)
    allowed = np.zeros(30, dtype=bool)
    allowed[np.random.default_rng(0).permutation(30)[:n_allowed]] = True

    searched = make_search(X, X[:4], name, allowed)
    distances, rows = brute_force_nearest(*searched, 4)
    within = brute_force_within(*searched, np.inf).rows

    expected, true = nearest_by_force(X[:4], X, name, 4, allowed)
    assert_array_equal(rows, true)
    assert_allclose(distances, expected, rtol=1e-10, atol=1e-12)
    assert_array_equal(np.unique(within), np.flatnonzero(allowed))


@pytest.mark.usefixtures("few_or_many_blocks")
def test_more_neighbors_than_rows_may_be_requested():
    """The remaining positions are -1 and the distances infinite."""
    X = draw("cosine", 5, 3)

    distances, rows = brute_force_nearest(*make_search(X, X[:1], "cosine"), 8)

    assert_array_equal(rows[:, 5:], [[-1, -1, -1]])
    assert np.isinf(distances[:, 5:]).all()


def test_zero_queries_have_empty_results():
    """An empty batch is not an error."""
    searched = make_search(draw("cosine", 5, 3), np.empty((0, 3)), "cosine")

    distances, rows = brute_force_nearest(*searched, 2)
    pairs = brute_force_within(*searched, 1.0)

    assert distances.shape == rows.shape == (0, 2)
    assert [len(part) for part in pairs] == [0, 0, 0]


@pytest.mark.parametrize("name", ["cosine", "manhattan", "canberra"])
def test_memory_stays_within_the_limit(name):
    """The matrix of all distances would take 64 MiB."""
    X = draw(name, 4000, 4)
    searched = make_search(X, X[:2000], name)

    tracemalloc.start()
    with config_context(working_memory=8):
        brute_force_nearest(*searched, 3)
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()

    assert peak < 12


@pytest.mark.parametrize("k", [1, 3, 10, 39, 40])
@pytest.mark.parametrize("n_levels", [2, 5, 1000])
def test_the_smallest_entries_are_in_stable_order(k, n_levels):
    """With few levels, most entries are equal, also around the k-th smallest."""
    distances = np.random.default_rng(k).integers(n_levels, size=(30, 40)).astype(float)

    columns = _smallest(distances, k)

    assert_array_equal(columns, np.argsort(distances, axis=1, kind="stable")[:, :k])
