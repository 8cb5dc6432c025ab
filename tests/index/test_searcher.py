"""Tests of neighbors and of changes to the rows, on the public interface."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import KNeighborsTransformer, NearestNeighbors

from imgsim import SimilarityIndex
from imgsim.index import _searcher


@pytest.fixture
def rows():
    """Return 40 rows of width 5."""
    return np.random.default_rng(0).normal(size=(40, 5))


def _state(index):
    y = index.y_
    return (
        index.ids_.tolist(),
        None if y is None else y.tolist(),
        index.readable_.tolist(),
        index.radius_neighbors(np.ones((1, 5)), 99)[0][0].tolist(),
    )


NEW = np.ones((2, 5))


@pytest.mark.parametrize(
    ("labelled", "call"),
    [
        (False, lambda index: index.add(NEW, [3, "new"])),
        (False, lambda index: index.add(NEW, ["new", "new"], replace=True)),
        (False, lambda index: index.add(NEW, ["new"])),
        (False, lambda index: index.add(NEW, [["new"], ["newer"]])),
        (False, lambda index: index.add(NEW[:, :4])),
        (False, lambda index: index.add(NEW * np.inf)),
        (False, lambda index: index.add(NEW, y=[1, 2])),
        (False, lambda index: index.add(NEW > 0)),
        (False, lambda index: index.add(NEW, fingerprint="other")),
        (True, lambda index: index.add(NEW)),
        (True, lambda index: index.add(NEW, y=["a"])),
        (True, lambda index: index.add(NEW, [3, "new"], y=["a", "b"])),
        (False, lambda index: index.remove([3, "unknown"])),
        (False, lambda index: index.remove([3, 3])),
        (False, lambda index: index.remove(range(40))),
        (False, lambda index: index.remove("3")),
        (False, lambda index: index.remove([3, [4]])),
    ],
)
def test_a_refused_call_changes_nothing(labelled, call, rows):
    """Half an addition would leave ids without rows."""
    y = list("ab" * 20) if labelled else None
    index = SimilarityIndex().fit(rows, y, fingerprint="this")
    before = _state(index)

    with pytest.raises((ValueError, TypeError, KeyError)):
        call(index)

    assert _state(index) == before


def test_labels_without_a_common_dtype_are_kept(rows):
    """Dates and numbers have no common dtype."""
    index = SimilarityIndex().fit(rows, np.array(["2020-01-01"] * 40, "M8[D]"))

    index.add(NEW, y=[1, 2])

    assert len(index.y_) == len(index.ids_) == 42
    assert index.y_.tolist()[-2:] == [1, 2]
    assert len(index.search(NEW)[0]) == 2


def test_labels_of_another_kind_do_not_convert_the_old_ones(rows):
    """The number 0 must not become the string "0"."""
    index = SimilarityIndex().fit(rows, [0] * 40).add(NEW, y=["cat", "dog"])

    assert index.y_.tolist() == [0] * 40 + ["cat", "dog"]


def test_removed_rows_leave_no_trace(rows):
    """The results are those of an index fitted on the remaining rows."""
    index = SimilarityIndex(metric="euclidean").fit(rows[:10], list("ab" * 5))
    index.add(rows[10:30], range(10, 30), y=list("cd" * 10))
    index.remove([0, 12, 29])
    index.add(rows[30:32], [5, 99], y=["x", "y"], replace=True)

    kept = [*range(1, 5), *range(6, 12), *range(13, 29)]
    fresh = SimilarityIndex(metric="euclidean").fit(
        np.vstack([rows[kept], rows[30:32]])
    )
    assert index.ids_.tolist() == [*kept, 5, 99]
    labels = np.array([*"ab" * 5, *"cd" * 10])[kept]
    assert index.y_.tolist() == [*labels, "x", "y"]
    for found, expected in zip(
        index.kneighbors(rows, 20), fresh.kneighbors(rows, 20), strict=True
    ):
        assert_array_equal(found, expected)


def test_new_ids_follow_the_largest_id(rows):
    """Rows without ids are numbered in order."""
    index = SimilarityIndex().fit(rows[:3])

    assert index.add(rows[:2]).ids_.tolist() == [0, 1, 2, 3, 4]
    index.remove([1, 3])
    assert index.add(rows[:2]).ids_.tolist() == [0, 2, 4, 5, 6]


def test_a_removed_id_is_not_used_again(rows):
    """A user may have noted what image 2 is."""
    index = SimilarityIndex().fit(rows[:3])

    index.remove([2]).add(rows[5:6])

    assert index.ids_.tolist() == [0, 1, 3]


def test_an_unreadable_row_may_be_added_to_an_augmented_index(rows):
    """It has no neighbors to be augmented by."""
    index = SimilarityIndex(database_augmentation=3).fit(rows)

    index.add(np.full((1, 5), np.nan))

    assert index.readable_.tolist() == [True] * 40 + [False]


def test_the_last_readable_row_is_not_replaced_by_an_unreadable_one(rows):
    """An index must have a readable row."""
    index = SimilarityIndex().fit(rows[:1], ids=["a"])

    with pytest.raises(ValueError, match="readable row"):
        index.add(np.full((1, 5), np.nan), ["a"], replace=True)


def test_the_index_does_not_share_memory_with_its_input(rows):
    """The caller may change the arrays later."""
    X, y, ids = rows.copy(), np.arange(40), np.arange(40) + 7
    index = SimilarityIndex().fit(X, y, ids=ids)
    more, names = rows[:3].copy(), np.arange(3) + 900
    index.add(more, names, y=np.arange(3))
    before = _state(index)

    for array in (X, y, ids, more, names):
        array[:] = 0

    assert _state(index) == before


@pytest.mark.parametrize("augment", [0, 3])
def test_the_input_is_not_changed(augment, rows):
    """Augmentation works on a copy, and NaN stays NaN."""
    rows[4] = np.nan
    X = rows.copy()
    X.flags.writeable = False
    index = SimilarityIndex(database_augmentation=augment, query_expansion=augment).fit(
        X
    )

    index.add(X[5:9])
    index.kneighbors(X)

    assert_array_equal(X, rows)


def test_a_second_fit_forgets_the_first(rows):
    """No labels, ids, fingerprint or width of the first fit are left."""
    index = SimilarityIndex().fit(rows, list("ab" * 20), range(40), "first")

    index.fit(rows[:6, :3])

    assert index.y_ is None
    assert index.fingerprint_ is None
    assert index.ids_.tolist() == list(range(6))
    assert index.n_features_in_ == 3


def test_a_function_may_be_the_metric(rows):
    """As in scikit-learn, it takes two rows and perhaps parameters."""

    def weighted(x, y, power=1):
        return (np.abs(x - y) ** power).sum()

    index = SimilarityIndex(metric=weighted, metric_params={"power": 2}).fit(rows)

    distances, indices = index.kneighbors(rows[:4], 5)
    expected = cdist(rows[:4], rows, "sqeuclidean")
    assert_array_equal(indices, np.argsort(expected, axis=1)[:, :5])
    assert_allclose(distances, np.sort(expected, axis=1)[:, :5])


def test_inner_product_distances_may_be_negative(rows):
    """The distance is 1 minus the product."""
    index = SimilarityIndex(metric="inner_product").fit(rows)

    distances, indices = index.kneighbors(rows[:4], 5)

    expected = 1 - rows[:4] @ rows.T
    assert_array_equal(indices, np.argsort(expected, axis=1)[:, :5])
    assert_allclose(distances, np.sort(expected, axis=1)[:, :5])
    assert (distances < 0).any()
    near, ids = index.search(rows[:4], 40, -0.5)
    assert [len(found) for found in ids] == (expected <= -0.5).sum(axis=1).tolist()
    assert (np.concatenate(near) <= -0.5).all()


@pytest.mark.parametrize("metric", ["seuclidean", "mahalanobis"])
def test_unreadable_rows_do_not_change_a_metric(metric, rows):
    """Variances are computed from the readable rows."""
    rows[7] = np.nan
    readable = np.delete(np.arange(40), 7)

    index = SimilarityIndex(metric=metric).fit(rows)

    alone = SimilarityIndex(metric=metric).fit(rows[readable])
    expected = alone.kneighbors(rows[:5])
    assert_array_equal(index.kneighbors(rows[:5])[1], readable[expected[1]])
    assert_allclose(index.kneighbors(rows[:5])[0], expected[0])


def _counting(monkeypatch):
    calls = []
    build = _searcher.build_graph

    def counted(*args):
        calls.append(len(args[0].rows))
        return build(*args)

    monkeypatch.setattr(_searcher, "build_graph", counted)
    return calls


def test_a_graph_is_rebuilt_when_a_quarter_of_the_rows_changed(monkeypatch):
    """Until then, the cost of an addition is proportional to the rows added."""
    calls = _counting(monkeypatch)
    X = np.random.default_rng(0).normal(size=(400, 4))
    index = SimilarityIndex(metric="euclidean", algorithm="pynndescent")
    index.fit(X[:200])

    for i in range(200, 250):
        index.add(X[i : i + 1])
    assert calls == [200]
    index.add(X[250:251])
    assert calls == [200, 251]
    index.remove(range(62))
    assert calls == [200, 251]
    index.remove([62])
    assert calls == [200, 251, 188]


@pytest.mark.parametrize(
    "n",
    [1, 2, 3, 4, 5, 9],
)
def test_a_graph_of_few_rows_is_searched(n, rows):
    """A collection may start with one image."""
    index = SimilarityIndex(metric="euclidean", algorithm="pynndescent").fit(rows[:n])

    distances, indices = index.kneighbors(rows, n)

    assert_allclose(distances, np.sort(cdist(rows, rows[:n]), axis=1))
    assert_array_equal(np.sort(indices, axis=1), np.tile(np.arange(n), (40, 1)))


def test_a_graph_is_built_once_there_are_enough_rows(rows):
    """An index often starts with one image and grows."""
    index = SimilarityIndex(metric="euclidean", algorithm="pynndescent").fit(rows[:1])

    index.add(rows[1:])

    assert index.algorithm_ == "pynndescent"


def test_a_graph_of_equal_rows_is_built_without_warnings():
    """A collection may consist of one blank page, scanned fifty times."""
    X = np.ones((50, 3))

    index = SimilarityIndex(metric="euclidean", algorithm="pynndescent").fit(X)

    assert_array_equal(index.kneighbors(X[:2], 3)[0], 0)


VARIANCES = np.linspace(0.5, 2, 6)
SKLEARN_METRICS = {
    "cosine": {},
    "euclidean": {},
    "l2": {},
    "sqeuclidean": {},
    "manhattan": {},
    "cityblock": {},
    "chebyshev": {},
    "correlation": {},
    "canberra": {},
    "minkowski": {"p": 3},
    "seuclidean": {"V": VARIANCES},
    "mahalanobis": {"VI": np.diag(VARIANCES)},
    "hamming": {},
    "jaccard": {},
    "dice": {},
    "rogerstanimoto": {},
}
BOOLEAN = ("hamming", "jaccard", "dice", "rogerstanimoto")
FAST_METRICS = ("cosine", "euclidean", "manhattan")


def _rows(n=60, seed=0, metric="cosine"):
    rows = np.random.default_rng(seed).normal(size=(n, 6))
    return rows > 0 if metric in BOOLEAN else rows


def _pair(X, metric="cosine", **parameters):
    params = SKLEARN_METRICS[metric] or None
    ours = SimilarityIndex(metric=metric, metric_params=params, **parameters)
    if metric == "minkowski":  # p is a separate parameter in scikit-learn
        params, parameters = None, {**parameters, **SKLEARN_METRICS[metric]}
    theirs = NearestNeighbors(
        metric=metric, metric_params=params, algorithm="brute", **parameters
    )
    return ours.fit(X), theirs.fit(X)


def _columns(graph):
    return np.split(graph.indices, graph.indptr[1:-1])


def _assert_same_graph(found, expected):
    assert found.shape == expected.shape
    assert_array_equal(found.indptr, expected.indptr)
    for row, wanted in zip(_columns(found), _columns(expected), strict=True):
        assert_array_equal(np.sort(row), np.sort(wanted))
    assert_allclose(found.toarray(), expected.toarray(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("own", [True, False], ids=["own rows", "queries"])
@pytest.mark.parametrize("metric", SKLEARN_METRICS)
def test_distances_are_those_of_scikit_learn(metric, own):
    """Every metric that both know by a name is compared."""
    ours, theirs = _pair(_rows(metric=metric), metric)
    queries = None if own else _rows(7, 1, metric)

    distances, indices = ours.kneighbors(queries, 9)

    expected, nearest = theirs.kneighbors(queries, 9)
    assert_allclose(distances, expected, rtol=1e-6, atol=1e-7)
    if metric not in BOOLEAN:  # which have many ties
        assert_array_equal(indices, nearest)


@pytest.mark.parametrize("metric", SKLEARN_METRICS)
def test_all_pairs_agree_with_pairwise_distances(metric):
    """Each index belongs to its distance, even among ties."""
    X, queries = _rows(metric=metric), _rows(7, 1, metric)
    ours, _ = _pair(X, metric)

    distances, indices = ours.kneighbors(queries, 60)

    expected = pairwise_distances(queries, X, metric=metric, **SKLEARN_METRICS[metric])
    found = np.take_along_axis(expected, indices, axis=1)
    assert_allclose(distances, found, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("queries", [None, _rows(60), _rows(8, 1)])
@pytest.mark.parametrize("metric", FAST_METRICS)
def test_radius_neighbors_are_those_of_scikit_learn(metric, queries):
    """The queries may be the indexed rows, their copies, or others."""
    radius = {"cosine": 0.6, "euclidean": 2.5, "manhattan": 5}[metric]
    ours, theirs = _pair(_rows(), metric)

    near = ours.radius_neighbors(queries, radius)
    in_order = ours.radius_neighbors(queries, radius, sort_results=True)

    expected = theirs.radius_neighbors(queries, radius)
    expected_order = theirs.radius_neighbors(queries, radius, sort_results=True)
    for found, wanted in ((near, expected), (in_order, expected_order)):
        assert [len(row) for row in found[1]] == [len(row) for row in wanted[1]]
        assert_array_equal(np.concatenate(found[1]), np.concatenate(wanted[1]))
        assert_allclose(np.concatenate(found[0]), np.concatenate(wanted[0]), atol=1e-6)
    indices = ours.radius_neighbors(queries, radius, return_distance=False)
    assert_array_equal(np.concatenate(indices), np.concatenate(near[1]))


@pytest.mark.parametrize("queries", [None, _rows(60), _rows(8, 1)])
@pytest.mark.parametrize("mode", ["connectivity", "distance"])
@pytest.mark.parametrize("metric", FAST_METRICS)
def test_graphs_are_those_of_scikit_learn(metric, mode, queries):
    """They have the same edges, stored zeros included, and the same dtype."""
    radius = {"cosine": 0.6, "euclidean": 2.5, "manhattan": 5}[metric]
    ours, theirs = _pair(_rows(), metric)

    nearest = ours.kneighbors_graph(queries, 4, mode)
    within = ours.radius_neighbors_graph(queries, radius, mode)

    expected = theirs.kneighbors_graph(queries, 4, mode)
    _assert_same_graph(nearest, expected)
    assert_array_equal(nearest.indices, expected.indices)
    assert nearest.dtype == expected.dtype
    expected_within = theirs.radius_neighbors_graph(queries, radius, mode)
    _assert_same_graph(within, expected_within)
    assert within.dtype == expected_within.dtype


@pytest.mark.parametrize("mode", ["connectivity", "distance"])
@pytest.mark.parametrize("metric", FAST_METRICS)
def test_transform_is_that_of_kneighbors_transformer(metric, mode):
    """Both indexed rows and other queries are transformed."""
    X, queries = _rows(), _rows(8, 1)
    ours = SimilarityIndex(4, metric=metric, mode=mode)
    theirs = KNeighborsTransformer(
        n_neighbors=4, metric=metric, mode=mode, algorithm="brute"
    )

    _assert_same_graph(ours.fit_transform(X), theirs.fit_transform(X))
    _assert_same_graph(ours.transform(queries), theirs.transform(queries))
    names = ours.get_feature_names_out()
    assert len(names) == len(theirs.get_feature_names_out()) == 60
    assert names[0] == "similarityindex0"


def test_copies_are_stored_zeros():
    """DBSCAN takes an edge that is not stored for a large distance."""
    X = np.repeat(_rows(10), 3, axis=0)

    graph = SimilarityIndex(2).fit(X).kneighbors_graph(mode="distance")

    assert graph.nnz == 60
    assert_array_equal(graph.data, 0)
    assert_array_equal(graph.indices[:6], [1, 2, 0, 2, 0, 1])


@pytest.mark.parametrize("of_rows", [np.float32, np.float64])
@pytest.mark.parametrize("of_queries", [np.float32, np.float64, np.int64, np.uint8])
def test_distances_have_the_dtype_of_the_rows(of_rows, of_queries):
    """Queries of other dtypes are converted."""
    X = (_rows() * 10).astype(of_rows)
    queries = (np.abs(_rows(5, 1)) * 10).astype(of_queries)

    distances, indices = SimilarityIndex(metric="euclidean").fit(X).kneighbors(queries)

    expected = NearestNeighbors().fit(X.astype(float)).kneighbors(queries.astype(float))
    assert distances.dtype == of_rows
    assert_array_equal(indices, expected[1])
    assert_allclose(distances, expected[0], rtol=1e-5)


@pytest.mark.parametrize("radius", [0, -1, np.inf])
@pytest.mark.parametrize("metric", FAST_METRICS)
def test_any_number_may_be_a_radius(metric, radius):
    """Only the row itself is at 0, none is below 0, and all are below infinity."""
    index = SimilarityIndex(metric=metric).fit(_rows())

    indices = index.radius_neighbors(_rows(), radius, return_distance=False)

    expected = {0: 1, -1: 0, np.inf: 60}[radius]
    assert [len(found) for found in indices] == [expected] * 60


def test_unreadable_queries_are_within_no_radius():
    """The other queries keep their places."""
    queries = _rows(3)
    queries[1] = np.nan
    index = SimilarityIndex().fit(_rows())

    distances, indices = index.radius_neighbors(queries, 0.5)
    none = index.radius_neighbors(queries[[1, 1]], 0.5)

    assert [len(row) > 0 for row in indices] == [True, False, True]
    assert [len(row) for row in distances] == [len(row) for row in indices]
    assert [len(row) for part in none for row in part] == [0, 0, 0, 0]


def test_a_returned_distance_is_a_radius_that_includes_its_row():
    """The comparison must not use more digits than the returned distance."""
    X = _rows()
    index = SimilarityIndex(metric="euclidean").fit(X)
    distances, _ = index.kneighbors(n_neighbors=5)

    for row, limit in zip(X, distances[:, -1], strict=True):
        assert len(index.radius_neighbors(row[None], limit)[1][0]) == 6
        assert len(index.search(row[None], 60, limit)[0][0]) == 6


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "manhattan"])
def test_a_rounded_distance_is_a_radius_that_includes_its_row(metric):
    """Rounding to float32 may make the distance smaller."""
    X = np.random.default_rng(0).normal(size=(500, 16)).astype(np.float32)
    index = SimilarityIndex(metric=metric).fit(X)
    distances, rows = index.kneighbors(X[:50], 5)

    for i in range(50):
        (found,) = index.radius_neighbors(
            X[[i]], distances[i, -1], return_distance=False
        )
        assert rows[i, -1] in found


def test_large_integers_are_not_rounded():
    """float32 has 24 bits, so it cannot represent 2**24 + 1."""
    X = np.array([[2**24, 0], [2**24 + 1, 0], [2**24 + 2, 0]])

    distances, rows = SimilarityIndex(2, metric="euclidean").fit(X).kneighbors(X[[1]])

    assert rows.tolist() == [[1, 0]]
    assert distances.tolist() == [[0, 1]]


def test_equal_rows_have_equal_inner_products():
    """A matrix product may give equal rows different last digits."""
    rng = np.random.default_rng(0)
    for n, d in [(37, 7), (101, 63), (203, 130)]:
        X = rng.normal(size=(n, d))
        X[[n // 2, n - 1]] = X[0]

        rows = (
            SimilarityIndex(n, metric="inner_product")
            .fit(X)
            .kneighbors(rng.normal(size=(20, d)), return_distance=False)
        )

        place = np.argsort(rows, axis=1)[:, [0, n // 2, n - 1]]
        assert (np.diff(place) == 1).all()


def test_a_removed_row_outside_single_precision_changes_nothing():
    """It must not make the other rows NaN, and must not be found."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(70_001, 64)).astype(np.float32)
    index = SimilarityIndex(3, metric="euclidean").fit(X)
    expected = index.kneighbors(X[:100])
    X[-1] *= 1e20

    found = SimilarityIndex(3, metric="euclidean").fit(X).remove([70_000])

    for one, other in zip(found.kneighbors(X[:100]), expected, strict=True):
        assert_array_equal(one, other)


def test_a_function_is_not_replaced_by_a_metric_of_the_same_name():
    """SciPy's `cdist` replaces functions that have the name of one of its metrics."""

    def jaccard(a, b):
        return abs(a - b).sum()

    X = np.random.default_rng(0).normal(size=(30, 4))

    own = SimilarityIndex(3, metric=jaccard).fit(X).kneighbors()
    manhattan = SimilarityIndex(3, metric="manhattan").fit(X).kneighbors()

    assert_allclose(own[0], manhattan[0])
