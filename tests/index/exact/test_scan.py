"""Tests of the fast scan: exact, whatever the precision of its scores."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from searching import (
    BOOLEAN,
    LINEAR,
    METRICS,
    brute_force,
    cosine_in_60_digits,
    draw,
    make_search,
    nearest_by_force,
)
from sklearn import config_context

from imgsim.index.exact import _scan
from imgsim.index.exact._brute_force import brute_force_nearest
from imgsim.index.exact._scan import map_query_parts, scan_nearest, scan_within

# Only products are computed in other precisions.
PRECISIONS = [
    *((name, "float32") for name in METRICS),
    *((name, "bfloat16") for name in (*LINEAR, "hamming")),
]
metrics_and_precisions = pytest.mark.parametrize(("name", "precision"), PRECISIONS)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of 1024 rows, so that a few thousand are several."""
    monkeypatch.setattr(_scan, "_N_SCORES", 1)


@pytest.fixture(autouse=True)
def torch_or_skip(request):
    """Torch is optional; without it nothing is computed in bfloat16."""
    if "bfloat16" in request.node.name:
        pytest.importorskip("torch")


def _sorted(pairs):
    """Return pairs in the order of queries, then of rows."""
    order = np.lexsort((pairs[1], pairs[0]))
    return [part[order] for part in pairs]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@metrics_and_precisions
def test_neighbours_are_those_of_brute_force(name, precision, dtype):
    """Blocks, the last of which is not full, and rows of an odd width."""
    X, queries = draw(name, 2501, 37, dtype), draw(name, 9, 37, dtype, seed=1)
    searched = make_search(X, queries, name)

    distances, rows, done = scan_nearest(*searched, 6, precision)

    expected, true = nearest_by_force(queries, X, name, 6)
    assert done.all() or precision == "bfloat16" or name in BOOLEAN
    assert_array_equal(rows[done], true[done])
    assert_allclose(distances[done], expected[done], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@metrics_and_precisions
def test_pairs_within_a_radius_are_those_of_brute_force(name, precision, dtype):
    """None that is nearer is missing, none that is farther is there."""
    X, queries = draw(name, 2101, 19, dtype), draw(name, 7, 19, dtype, seed=1)
    expected = brute_force(queries, X, name)
    radius = float(np.quantile(expected, 0.01)) + 1e-9

    pairs = scan_within(*make_search(X, queries, name), radius, precision)

    query, row, distances = _sorted(pairs)
    assert_array_equal([query, row], np.nonzero(expected <= radius))
    assert_allclose(distances, expected[query, row], rtol=1e-10, atol=1e-12)


@metrics_and_precisions
def test_ties_break_by_row_number(name, precision):
    """Fewer copies of each row than there is room for candidates."""
    base = draw(name, 300, 40)
    X = base[np.random.default_rng(0).integers(300, size=2501)]
    queries = draw(name, 5, 40, seed=1)

    _, rows, done = scan_nearest(*make_search(X, queries, name), 12, precision)

    assert done.all() or precision == "bfloat16" or name in BOOLEAN
    assert_array_equal(rows[done], nearest_by_force(queries, X, name, 12)[1][done])


@metrics_and_precisions
def test_too_many_ties_are_owned_up_to(name, precision):
    """A query is done only if its answer is certain."""
    X = np.repeat(draw(name, 2, 12), [100, 2400], axis=0)
    queries = X[[0, -1]]

    distances, rows, done = scan_nearest(*make_search(X, queries, name), 4, precision)

    assert not done[1]
    expected, true = nearest_by_force(queries, X, name, 4)
    assert_array_equal(rows[done], true[done])
    assert_allclose(distances[done], expected[done], atol=1e-12)


@metrics_and_precisions
def test_rows_from_far_to_near_are_all_looked_at(name, precision):
    """Each is better than all before; the last are the answer."""
    X, query = draw(name, 2501, 33), draw(name, 1, 33, seed=1)
    X = X[np.argsort(-brute_force(query, X, name)[0], kind="stable")]

    _, rows, done = scan_nearest(*make_search(X, query, name), 5, precision)

    assert done.all() or precision == "bfloat16" or name in BOOLEAN
    assert_array_equal(rows[done], nearest_by_force(query, X, name, 5)[1][done])


@pytest.mark.parametrize("n_allowed", [0, 1, 3, 4, 5, 1200])
@metrics_and_precisions
def test_only_allowed_rows_are_found(name, precision, n_allowed):
    """Though the others are nearer; places without a row say so."""
    X = draw(name, 2048, 24)
    queries = X[:3]
    allowed = np.zeros(2048, dtype=bool)
    allowed[np.random.default_rng(0).permutation(2048)[:n_allowed]] = True
    searched = make_search(X, queries, name, allowed)

    distances, rows, done = scan_nearest(*searched, 4, precision)

    expected, true = nearest_by_force(queries, X, name, 4, allowed)
    assert done.all() or n_allowed > 256
    assert_array_equal(rows[done], true[done])
    assert_allclose(distances[done], expected[done], rtol=1e-10, atol=1e-12)


@metrics_and_precisions
def test_forbidden_rows_are_within_no_radius(name, precision):
    """Not even an infinite one."""
    X = draw(name, 1500, 5)
    allowed = np.arange(1500) % 3 == 0
    searched = make_search(X, X[:2], name, allowed)

    query, row, _ = _sorted(scan_within(*searched, np.inf, precision))

    assert_array_equal(query, np.repeat([0, 1], 500))
    assert_array_equal(row, np.tile(np.flatnonzero(allowed), 2))


@metrics_and_precisions
def test_all_rows_may_be_asked_for(name, precision):
    """And more than there are."""
    X, queries = draw(name, 130, 11), draw(name, 3, 11, seed=1)
    searched = make_search(X, queries, name)

    for n_neighbors in (130, 140):
        distances, rows, done = scan_nearest(*searched, n_neighbors, precision)

        assert done.all()
        assert_array_equal(rows[:, :130], nearest_by_force(queries, X, name, 130)[1])
        assert (rows[:, 130:] == -1).all()
        assert np.isinf(distances[:, 130:]).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (3, 2)])
@metrics_and_precisions
def test_the_smallest_collections_are_searched(name, precision, shape):
    """One row, one feature, one query."""
    X = draw(name, *shape) + (name not in BOOLEAN)
    searched = make_search(X, X[:1], name)

    distances, rows, done = scan_nearest(*searched, 1, precision)

    expected, true = nearest_by_force(X[:1], X, name, 1)
    assert done.all()
    assert_array_equal(rows, true)
    assert_allclose(distances, expected, atol=1e-12)


@metrics_and_precisions
def test_rows_and_queries_of_zeros_have_their_distances(name, precision):
    """Cosine and correlation see no direction in them."""
    X = draw(name, 250, 10)
    X[[4, 7, 249]] = 0
    queries = np.vstack([X[:2], np.zeros((1, 10), dtype=np.float32)])
    searched = make_search(X, queries, name)

    distances, rows, done = scan_nearest(*searched, 250, precision)

    assert done.all()
    at = np.argsort(rows, axis=1)
    by_row = np.take_along_axis(distances, at, axis=1)
    assert_allclose(by_row, brute_force(queries, X, name), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("gap", [1e-4, 2e-7])
def test_near_duplicates_have_exact_distances(precision, gap):
    """Five digits, where a difference of products in float32 has none."""
    X = draw("cosine", 1200, 64)
    X[:20] = X[0] * (1 + gap * draw("cosine", 20, 64, np.float64, seed=3))
    query = X[:1]

    distances, rows, done = scan_nearest(
        *make_search(X, query, "cosine"), 20, precision
    )

    assert done.all()
    assert_array_equal(np.sort(rows[0]), np.arange(20))
    others = rows[0] > 0
    expected = [cosine_in_60_digits(query[0], X[row]) for row in rows[0][others]]
    assert_allclose(distances[0][others], expected, rtol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["cosine", "correlation", "euclidean"])
def test_a_common_offset_changes_no_answer(name, precision):
    """It makes scores coarse, and then more rows are compared."""
    X = (draw(name, 1500, 16, np.float64) + 1000).astype(np.float32)
    queries = X[:4]

    _, rows, done = scan_nearest(*make_search(X, queries, name), 5, precision)

    # SciPy's cosine loses the digits that are in question here.
    true = brute_force_nearest(*make_search(X, queries, name), 5)[1]
    assert_array_equal(rows[done], true[done])


@pytest.mark.parametrize(
    ("name", "precision"), [case for case in PRECISIONS if case[0] != "inner_product"]
)
def test_a_row_is_at_distance_0_of_itself(name, precision):
    """And not at what rounding leaves of it, which no radius of 0 reaches."""
    X = draw(name, 1100, 13)
    X = X[np.unique(X, axis=0, return_index=True)[1]]

    query, row, distances = _sorted(scan_within(*make_search(X, X, name), 0, precision))

    assert_array_equal(query, np.arange(len(X)))
    assert_array_equal(row, np.arange(len(X)))
    assert_array_equal(distances, np.zeros(len(X)))


def _read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def _every_other(X):
    return np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3]


def _backwards(X):
    return X[::-1].copy()[::-1]


@pytest.mark.parametrize(
    "layout", [_read_only, np.asfortranarray, _every_other, _backwards]
)
@pytest.mark.parametrize(
    ("name", "precision"),
    [("cosine", "float32"), ("cosine", "bfloat16"), ("manhattan", "float32")],
)
def test_any_layout_of_memory_is_searched(name, precision, layout):
    """As views of larger arrays have them."""
    X, queries = draw(name, 1100, 6), draw(name, 3, 6, seed=1)

    searched = make_search(layout(X), layout(queries), name)
    _, rows, done = scan_nearest(*searched, 4, precision)

    assert_array_equal(rows[done], nearest_by_force(queries, X, name, 4)[1][done])


@metrics_and_precisions
def test_searching_changes_neither_rows_nor_queries(name, precision):
    """They are the caller's."""
    X, queries = draw(name, 1100, 6), draw(name, 3, 6, seed=1)
    before = X.copy(), queries.copy()

    scan_nearest(*make_search(X, queries, name), 4, precision)

    assert_array_equal(X, before[0])
    assert_array_equal(queries, before[1])


@metrics_and_precisions
def test_threads_do_not_disturb_each_other(name, precision):
    """As in a server."""
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
    """Nor on how many are answered at once."""
    X, queries = draw(name, 1100, 9), draw(name, 5, 9, seed=1)
    distances, rows, done = scan_nearest(*make_search(X, queries, name), 3, precision)

    for i in np.flatnonzero(done):
        alone = scan_nearest(*make_search(X, queries[i : i + 1], name), 3, precision)
        if alone[2][0]:
            assert_array_equal(alone[0][0], distances[i])
            assert_array_equal(alone[1][0], rows[i])


@pytest.mark.parametrize("name", ["cosine", "manhattan", "jaccard"])
def test_memory_stays_within_the_limit(name, monkeypatch):
    """Beside the answer, and a block of scores; a larger limit is made use of."""
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

    answer = 600 * 400 * 16 / 2**20
    assert peaks[0] < answer + 4 + 8 < peaks[1]


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("n_queries", [1, 2, 7, 1100])
def test_queries_are_divided_in_order(n_queries, n_threads):
    """Each to one share, so that answers need only be joined."""
    shares = map_query_parts(
        lambda part: np.arange(n_queries)[part], n_queries, n_threads
    )

    assert_array_equal(np.concatenate(shares), np.arange(n_queries))
    assert max(map(len, shares)) <= 512
    assert len(shares) >= min(n_threads, n_queries)


def test_errors_in_a_thread_reach_the_caller():
    """Instead of a part of the answer that is missing."""

    def fail(part):
        raise MemoryError(str(part.start))

    with pytest.raises(MemoryError):
        map_query_parts(fail, 9, 2)


def test_shares_shrink_with_the_memory_of_a_query():
    """Until one query is left."""
    with config_context(working_memory=1):
        shares = map_query_parts(lambda part: part, 5, 1, n_bytes=2**19)
        alone = map_query_parts(lambda part: part, 5, 1, n_bytes=2**30)

    assert [share.stop - share.start for share in shares] == [2, 2, 2]
    assert len(alone) == 5
