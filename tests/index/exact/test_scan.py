"""Tests of the scan, which is exact whatever the precision of its scores."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from brute_force import (
    BOOLEAN,
    LINEAR,
    METRICS,
    brute_force,
    cosine_in_60_digits,
    draw,
    make_search,
    nearest_by_force,
)
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context

from imgsim.index.exact import _scan
from imgsim.index.exact._brute_force import brute_force_nearest
from imgsim.index.exact._scan import map_query_parts, scan_nearest, scan_within

# Only products of rows are also computed in bfloat16.
PRECISIONS = [
    *((name, "float32") for name in METRICS),
    *((name, "bfloat16") for name in (*LINEAR, "hamming")),
]
metrics_and_precisions = pytest.mark.parametrize(("name", "precision"), PRECISIONS)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Use blocks of 1024 rows, so that a few thousand rows make several blocks."""
    monkeypatch.setattr(_scan, "_N_SCORES", 1)


@pytest.fixture(autouse=True)
def torch_or_skip(request):
    """Skip tests of bfloat16 without torch."""
    if "bfloat16" in request.node.name:
        pytest.importorskip("torch")


def _sorted(pairs):
    """Return pairs sorted by query and row."""
    order = np.lexsort((pairs[1], pairs[0]))
    return [part[order] for part in pairs]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@metrics_and_precisions
def test_neighbors_are_those_of_scipy(name, precision, dtype):
    """The last block is not full, and the width of the rows is odd."""
    X, queries = draw(name, 2501, 37, dtype), draw(name, 9, 37, dtype, seed=1)
    searched = make_search(X, queries, name)

    distances, rows, is_certain = scan_nearest(*searched, 6, precision)

    expected, true = nearest_by_force(queries, X, name, 6)
    assert is_certain.all() or precision == "bfloat16" or name in BOOLEAN
    assert_array_equal(rows[is_certain], true[is_certain])
    assert_allclose(distances[is_certain], expected[is_certain], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@metrics_and_precisions
def test_pairs_within_a_radius_are_those_of_scipy(name, precision, dtype):
    """No nearer pair is missing, and no farther pair is returned."""
    X, queries = draw(name, 2101, 19, dtype), draw(name, 7, 19, dtype, seed=1)
    expected = brute_force(queries, X, name)
    radius = float(np.quantile(expected, 0.01)) + 1e-9

    pairs = scan_within(*make_search(X, queries, name), radius, precision)

    query, row, distances = _sorted(pairs)
    assert_array_equal([query, row], np.nonzero(expected <= radius))
    assert_allclose(distances, expected[query, row], rtol=1e-10, atol=1e-12)


@metrics_and_precisions
def test_ties_are_broken_by_row_number(name, precision):
    """There are fewer copies of each row than candidates are kept."""
    base = draw(name, 300, 40)
    X = base[np.random.default_rng(0).integers(300, size=2501)]
    queries = draw(name, 5, 40, seed=1)

    _, rows, is_certain = scan_nearest(*make_search(X, queries, name), 12, precision)

    assert is_certain.all() or precision == "bfloat16" or name in BOOLEAN
    assert_array_equal(
        rows[is_certain], nearest_by_force(queries, X, name, 12)[1][is_certain]
    )


@metrics_and_precisions
def test_a_query_with_too_many_ties_is_not_certain(name, precision):
    """The caller repeats such a query by another method."""
    X = np.repeat(draw(name, 2, 12), [100, 2400], axis=0)
    queries = X[[0, -1]]

    distances, rows, is_certain = scan_nearest(
        *make_search(X, queries, name), 4, precision
    )

    assert not is_certain[1]
    expected, true = nearest_by_force(queries, X, name, 4)
    assert_array_equal(rows[is_certain], true[is_certain])
    assert_allclose(distances[is_certain], expected[is_certain], atol=1e-12)


@metrics_and_precisions
def test_rows_sorted_from_far_to_near_are_found(name, precision):
    """Each row replaces an earlier candidate, and the last rows are the result."""
    X, query = draw(name, 2501, 33), draw(name, 1, 33, seed=1)
    X = X[np.argsort(-brute_force(query, X, name)[0], kind="stable")]

    _, rows, is_certain = scan_nearest(*make_search(X, query, name), 5, precision)

    assert is_certain.all() or precision == "bfloat16" or name in BOOLEAN
    assert_array_equal(
        rows[is_certain], nearest_by_force(query, X, name, 5)[1][is_certain]
    )


@pytest.mark.parametrize("n_allowed", [0, 1, 3, 4, 5, 1200])
@metrics_and_precisions
def test_only_allowed_rows_are_found(name, precision, n_allowed):
    """The other rows may be nearer; positions are -1 where there are too few rows."""
    X = draw(name, 2048, 24)
    queries = X[:3]
    allowed = np.zeros(2048, dtype=bool)
    allowed[np.random.default_rng(0).permutation(2048)[:n_allowed]] = True
    searched = make_search(X, queries, name, allowed)

    distances, rows, is_certain = scan_nearest(*searched, 4, precision)

    expected, true = nearest_by_force(queries, X, name, 4, allowed)
    assert is_certain.all() or n_allowed > 256
    assert_array_equal(rows[is_certain], true[is_certain])
    assert_allclose(distances[is_certain], expected[is_certain], rtol=1e-10, atol=1e-12)


@metrics_and_precisions
def test_only_allowed_rows_are_within_a_radius(name, precision):
    """An infinite radius does not include rows that are not allowed."""
    X = draw(name, 1500, 5)
    allowed = np.arange(1500) % 3 == 0
    searched = make_search(X, X[:2], name, allowed)

    query, row, _ = _sorted(scan_within(*searched, np.inf, precision))

    assert_array_equal(query, np.repeat([0, 1], 500))
    assert_array_equal(row, np.tile(np.flatnonzero(allowed), 2))


@metrics_and_precisions
def test_all_rows_may_be_requested(name, precision):
    """Requesting more than all rows leaves the other positions empty."""
    X, queries = draw(name, 130, 11), draw(name, 3, 11, seed=1)
    searched = make_search(X, queries, name)

    for n_neighbors in (130, 140):
        distances, rows, is_certain = scan_nearest(*searched, n_neighbors, precision)

        assert is_certain.all()
        assert_array_equal(rows[:, :130], nearest_by_force(queries, X, name, 130)[1])
        assert (rows[:, 130:] == -1).all()
        assert np.isinf(distances[:, 130:]).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (3, 2)])
@metrics_and_precisions
def test_the_smallest_collections_are_searched(name, precision, shape):
    """There may be only one row, one feature or one query."""
    X = draw(name, *shape) + (name not in BOOLEAN)
    searched = make_search(X, X[:1], name)

    distances, rows, is_certain = scan_nearest(*searched, 1, precision)

    expected, true = nearest_by_force(X[:1], X, name, 1)
    assert is_certain.all()
    assert_array_equal(rows, true)
    assert_allclose(distances, expected, atol=1e-12)


@metrics_and_precisions
def test_rows_and_queries_of_zeros_have_defined_distances(name, precision):
    """They have no direction, so their cosine distance is 1 by definition."""
    X = draw(name, 250, 10)
    X[[4, 7, 249]] = 0
    queries = np.vstack([X[:2], np.zeros((1, 10), dtype=np.float32)])
    searched = make_search(X, queries, name)

    distances, rows, is_certain = scan_nearest(*searched, 250, precision)

    assert is_certain.all()
    at = np.argsort(rows, axis=1)
    by_row = np.take_along_axis(distances, at, axis=1)
    assert_allclose(by_row, brute_force(queries, X, name), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("gap", [1e-4, 2e-7])
def test_near_copies_have_precise_distances(precision, gap):
    """A difference of products in float32 would have no correct digit."""
    X = draw("cosine", 1200, 64)
    X[:20] = X[0] * (1 + gap * draw("cosine", 20, 64, np.float64, seed=3))
    query = X[:1]

    distances, rows, is_certain = scan_nearest(
        *make_search(X, query, "cosine"), 20, precision
    )

    assert is_certain.all()
    assert_array_equal(np.sort(rows[0]), np.arange(20))
    others = rows[0] > 0
    expected = [cosine_in_60_digits(query[0], X[row]) for row in rows[0][others]]
    assert_allclose(distances[0][others], expected, rtol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["cosine", "correlation", "euclidean"])
def test_a_common_offset_does_not_change_neighbors(name, precision):
    """It makes scores coarse, so that more rows are compared exactly."""
    X = (draw(name, 1500, 16, np.float64) + 1000).astype(np.float32)
    queries = X[:4]

    _, rows, is_certain = scan_nearest(*make_search(X, queries, name), 5, precision)

    # SciPy's cosine distance loses the digits that matter here.
    true = brute_force_nearest(*make_search(X, queries, name), 5)[1]
    assert_array_equal(rows[is_certain], true[is_certain])


@pytest.mark.parametrize(
    ("name", "precision"), [case for case in PRECISIONS if case[0] != "inner_product"]
)
def test_a_row_has_distance_0_to_itself(name, precision):
    """A radius of 0 would not include a distance that is only nearly 0."""
    X = draw(name, 1100, 13)
    X = X[np.unique(X, axis=0, return_index=True)[1]]

    query, row, distances = _sorted(scan_within(*make_search(X, X, name), 0, precision))

    assert_array_equal(query, np.arange(len(X)))
    assert_array_equal(row, np.arange(len(X)))
    assert_array_equal(distances, np.zeros(len(X)))


@pytest.mark.parametrize(
    ("name", "precision"),
    [("cosine", "float32"), ("cosine", "bfloat16"), ("manhattan", "float32")],
)
def test_read_only_rows_are_searched(name, precision):
    """Rows that are mapped from a file cannot be written."""
    X, queries = draw(name, 1100, 6), draw(name, 3, 6, seed=1)
    X.flags.writeable = queries.flags.writeable = False

    _, rows, is_certain = scan_nearest(*make_search(X, queries, name), 4, precision)

    assert_array_equal(
        rows[is_certain], nearest_by_force(queries, X, name, 4)[1][is_certain]
    )


@metrics_and_precisions
def test_searching_changes_neither_rows_nor_queries(name, precision):
    """The arrays belong to the caller."""
    X, queries = draw(name, 1100, 6), draw(name, 3, 6, seed=1)
    before = X.copy(), queries.copy()

    scan_nearest(*make_search(X, queries, name), 4, precision)

    assert_array_equal(X, before[0])
    assert_array_equal(queries, before[1])


@metrics_and_precisions
def test_threads_may_search_at_the_same_time(name, precision):
    """A server handles several requests at once."""
    X = draw(name, 1500, 12)
    parts = [X[i : i + 20] for i in range(0, 80, 20)]

    def search(queries):
        return scan_nearest(*make_search(X, queries, name), 5, precision)

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(search, parts))

    for found, queries in zip(together, parts, strict=True):
        for a, b in zip(found, search(queries), strict=True):
            assert_array_equal(a, b)


@metrics_and_precisions
def test_queries_do_not_depend_on_each_other(name, precision):
    """The result of a query is the same in any batch."""
    X, queries = draw(name, 1100, 9), draw(name, 5, 9, seed=1)
    distances, rows, is_certain = scan_nearest(
        *make_search(X, queries, name), 3, precision
    )

    for i in np.flatnonzero(is_certain):
        alone = scan_nearest(*make_search(X, queries[i : i + 1], name), 3, precision)
        if alone[2][0]:
            assert_array_equal(alone[0][0], distances[i])
            assert_array_equal(alone[1][0], rows[i])


@pytest.mark.parametrize("name", ["cosine", "manhattan", "jaccard"])
def test_memory_stays_within_the_limit(name, monkeypatch):
    """A larger limit is used, because larger blocks are faster."""
    monkeypatch.undo()
    X = draw(name, 8000, 8)
    searched = make_search(X, X[:600], name)

    peaks = []
    for working_memory in (4, 4000):
        tracemalloc.start()
        with config_context(working_memory=working_memory):
            scan_nearest(*searched, 400, "float32")
        peaks.append(tracemalloc.get_traced_memory()[1] / 2**20)
        tracemalloc.stop()

    result = 600 * 400 * 16 / 2**20
    assert peaks[0] < result + 4 + 8 < peaks[1]


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("n_queries", [1, 2, 7, 1100])
def test_queries_are_divided_into_parts_in_order(n_queries, n_threads):
    """The results of the parts only have to be joined."""
    parts = map_query_parts(
        lambda part: np.arange(n_queries)[part], n_queries, n_threads
    )

    assert_array_equal(np.concatenate(parts), np.arange(n_queries))
    assert max(map(len, parts)) <= 512
    assert len(parts) >= min(n_threads, n_queries)


def test_errors_in_a_thread_reach_the_caller():
    """A part of the result must not be missing silently."""

    def fail(part):
        raise MemoryError(str(part.start))

    with pytest.raises(MemoryError):
        map_query_parts(fail, 9, 2)


def test_parts_shrink_with_the_memory_of_a_query():
    """The smallest part is one query."""
    with config_context(working_memory=1):
        parts = map_query_parts(lambda part: part, 5, 1, n_bytes=2**19)
        single = map_query_parts(lambda part: part, 5, 1, n_bytes=2**30)

    assert [part.stop - part.start for part in parts] == [2, 2, 2]
    assert len(single) == 5
