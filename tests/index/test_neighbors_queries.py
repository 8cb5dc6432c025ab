"""Neighbours are those of `sklearn.neighbors`, asked for in the same way."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.cluster import DBSCAN
from sklearn.metrics import pairwise_distances
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsTransformer, NearestNeighbors
from sklearn.pipeline import make_pipeline

from imgsim import ColorHistogramEmbedder, SimilarityIndex
from imgsim.exceptions import ImageReadWarning

_V = np.linspace(0.5, 2, 6)
METRICS = {
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
    "seuclidean": {"V": _V},
    "mahalanobis": {"VI": np.diag(_V)},
    "hamming": {},
    "jaccard": {},
    "dice": {},
    "rogerstanimoto": {},
}
BOOLEAN = ("hamming", "jaccard", "dice", "rogerstanimoto")
FEW = ("cosine", "euclidean", "manhattan")


def _rows(n=60, seed=0, metric="cosine"):
    rows = np.random.default_rng(seed).normal(size=(n, 6))
    return rows > 0 if metric in BOOLEAN else rows


def _pair(X, metric="cosine", **parameters):
    params = METRICS[metric] or None
    ours = SimilarityIndex(metric=metric, metric_params=params, **parameters)
    if metric == "minkowski":  # whose p is a parameter of its own there
        params, parameters = None, {**parameters, **METRICS[metric]}
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
@pytest.mark.parametrize("metric", METRICS)
def test_distances_are_those_of_scikit_learn(metric, own):
    """Every metric that has a name in both."""
    ours, theirs = _pair(_rows(metric=metric), metric)
    queries = None if own else _rows(7, 1, metric)

    distances, indices = ours.kneighbors(queries, 9)

    expected, nearest = theirs.kneighbors(queries, 9)
    assert_allclose(distances, expected, rtol=1e-6, atol=1e-7)
    if metric not in BOOLEAN:  # where ties abound
        assert_array_equal(indices, nearest)


@pytest.mark.parametrize("metric", METRICS)
def test_all_pairs_agree_with_pairwise_distances(metric):
    """Each index goes with its distance, ties or not."""
    X, queries = _rows(metric=metric), _rows(7, 1, metric)
    ours, _ = _pair(X, metric)

    distances, indices = ours.kneighbors(queries, 60)

    expected = pairwise_distances(queries, X, metric=metric, **METRICS[metric])
    found = np.take_along_axis(expected, indices, axis=1)
    assert_allclose(distances, found, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("queries", [None, _rows(60), _rows(8, 1)])
@pytest.mark.parametrize("metric", FEW)
def test_radius_neighbors_are_those_of_scikit_learn(metric, queries):
    """Of no queries, the rows themselves, and others."""
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
@pytest.mark.parametrize("metric", FEW)
def test_graphs_are_those_of_scikit_learn(metric, mode, queries):
    """The same edges, stored zeros among them, and the same type of number."""
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
@pytest.mark.parametrize("metric", FEW)
def test_transform_is_that_of_kneighbors_transformer(metric, mode):
    """On the rows that were fitted, and on others."""
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
    """DBSCAN takes what is not stored to be far away."""
    X = np.repeat(_rows(10), 3, axis=0)

    graph = SimilarityIndex(2).fit(X).kneighbors_graph(mode="distance")

    assert graph.nnz == 60
    assert_array_equal(graph.data, 0)
    assert_array_equal(graph.indices[:6], [1, 2, 0, 2, 0, 1])


@pytest.mark.parametrize("of_rows", [np.float32, np.float64])
@pytest.mark.parametrize("of_queries", [np.float32, np.float64, np.int64, np.uint8])
def test_answers_are_of_the_type_of_the_rows(of_rows, of_queries):
    """Queries are converted, whole numbers too, and rounded if need be."""
    X = (_rows() * 10).astype(of_rows)
    queries = (np.abs(_rows(5, 1)) * 10).astype(of_queries)

    distances, indices = SimilarityIndex(metric="euclidean").fit(X).kneighbors(queries)

    expected = NearestNeighbors().fit(X.astype(float)).kneighbors(queries.astype(float))
    assert distances.dtype == of_rows
    assert_array_equal(indices, expected[1])
    assert_allclose(distances, expected[0], rtol=1e-5)


@pytest.mark.parametrize("method", ["kneighbors_graph", "radius_neighbors_graph"])
def test_another_mode_is_refused(method):
    """The message has both that there are."""
    index = SimilarityIndex().fit(_rows())

    with pytest.raises(ValueError, match="mode='far' must be 'connectivity' or"):
        getattr(index, method)(mode="far")


@pytest.mark.parametrize("radius", ["far", np.nan, [1.0]])
def test_a_radius_that_is_no_number_is_refused(radius):
    """The message names it."""
    with pytest.raises(ValueError, match=r"radius=.* must be a number"):
        SimilarityIndex().fit(_rows()).radius_neighbors(radius=radius)


@pytest.mark.parametrize("radius", [0, -1, np.inf])
@pytest.mark.parametrize("metric", FEW)
def test_any_radius_is_answered(metric, radius):
    """None but the row itself at 0, nothing below, and everything at infinity."""
    index = SimilarityIndex(metric=metric).fit(_rows())

    indices = index.radius_neighbors(_rows(), radius, return_distance=False)

    expected = {0: 1, -1: 0, np.inf: 60}[radius]
    assert [len(found) for found in indices] == [expected] * 60


def test_the_distance_of_a_neighbour_is_a_radius_that_reaches_it():
    """Within one type of number; a rounded limit may not lose what it came from."""
    X = _rows()
    index = SimilarityIndex(metric="euclidean").fit(X)
    distances, _ = index.kneighbors(n_neighbors=5)

    for row, limit in zip(X, distances[:, -1], strict=True):
        assert len(index.radius_neighbors(row[None], limit)[1][0]) == 6
        assert len(index.search(row[None], 60, limit)[0][0]) == 6


def test_groups_are_found_by_dbscan_in_a_pipeline(pictures):
    """What the graph of neighbours is for: pictures in, groups out."""
    copies = [np.where(picture > 250, 251, picture) for picture in pictures]
    grouper = make_pipeline(
        ColorHistogramEmbedder(),
        SimilarityIndex(6, mode="distance"),
        DBSCAN(eps=1e-3, min_samples=2, metric="precomputed"),
    )

    labels = grouper.fit_predict([*pictures, *copies])

    assert_array_equal(labels, [*range(12), *range(12)])
    X = ColorHistogramEmbedder().fit_transform([*pictures, *copies])
    alone = DBSCAN(eps=1e-3, min_samples=2, metric="cosine").fit_predict(X)
    assert_array_equal(labels, alone)


# scikit-learn 1.6 remarks on the diagonal that it adds to the graph by itself.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.EfficiencyWarning")
def test_an_unreadable_picture_is_noise_in_a_pipeline(pictures):
    """It is in no group, and ends nothing."""
    grouper = make_pipeline(
        ColorHistogramEmbedder(on_error="nan"),
        SimilarityIndex(6, mode="distance"),
        DBSCAN(eps=1e-3, min_samples=2, metric="precomputed"),
    )

    with pytest.warns(ImageReadWarning):
        labels = grouper.fit_predict([*pictures, "missing.jpg", *pictures])

    assert_array_equal(labels, [*range(12), -1, *range(12)])


def test_parameters_are_searched_by_grid(blobs):
    """The score chooses between metrics, and between numbers of neighbours to add."""
    X, y = blobs
    noise = np.random.default_rng(0).normal(scale=6, size=X.shape)
    grid = {"metric": ["cosine"], "query_expansion": [0, 5]}
    search = GridSearchCV(
        SimilarityIndex(),
        [grid, {"metric": ["euclidean", "chebyshev"]}],
        cv=StratifiedKFold(3, shuffle=True, random_state=0),
        error_score="raise",
    ).fit(X + noise, y)

    scores = search.cv_results_["mean_test_score"]
    assert search.best_score_ == scores.max() > 0.7
    assert len(set(scores)) > 1


def test_columns_of_another_name_are_refused():
    """A table with its columns in another order is another embedding."""
    table = pd.DataFrame(_rows(), columns=list("abcdef"))
    index = SimilarityIndex().fit(table)

    index.kneighbors(table)
    for method in (index.kneighbors, index.radius_neighbors, index.search, index.add):
        with pytest.raises(ValueError, match="feature names"):
            method(table[list("fedcba")])


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "manhattan"])
def test_a_distance_that_was_returned_reaches_its_row(metric):
    """It is rounded to the type of the rows, and may be the smaller for it."""
    X = np.random.default_rng(0).normal(size=(500, 16)).astype(np.float32)
    index = SimilarityIndex(metric=metric).fit(X)
    distances, rows = index.kneighbors(X[:50], 5)

    for i in range(50):
        (found,) = index.radius_neighbors(
            X[[i]], distances[i, -1], return_distance=False
        )
        assert rows[i, -1] in found


def test_large_integers_are_not_rounded():
    """float32 has 24 bits, so that 2**24 and 2**24 + 1 would be one."""
    X = np.array([[2**24, 0], [2**24 + 1, 0], [2**24 + 2, 0]])

    distances, rows = SimilarityIndex(2, metric="euclidean").fit(X).kneighbors(X[[1]])

    assert rows.tolist() == [[1, 0]]
    assert distances.tolist() == [[0, 1]]


def test_equal_rows_tie_by_number_for_products():
    """A product of matrices gives equal rows different last digits."""
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


def test_a_removed_row_beyond_single_precision_changes_nothing():
    """It makes no other row incomparable, and is found no more."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(70_001, 64)).astype(np.float32)
    index = SimilarityIndex(3, metric="euclidean").fit(X)
    expected = index.kneighbors(X[:100])
    X[-1] *= 1e20

    found = SimilarityIndex(3, metric="euclidean").fit(X).remove([70_000])

    for one, other in zip(found.kneighbors(X[:100]), expected, strict=True):
        assert_array_equal(one, other)


def test_a_function_is_called_by_no_other_name():
    """SciPy takes a function that is called as one of its own for that."""

    def jaccard(a, b):
        return abs(a - b).sum()

    X = np.random.default_rng(0).normal(size=(30, 4))

    own = SimilarityIndex(3, metric=jaccard).fit(X).kneighbors()
    manhattan = SimilarityIndex(3, metric="manhattan").fit(X).kneighbors()

    assert_allclose(own[0], manhattan[0])


def test_many_ids_are_left_out_of_one_answer():
    """The other queries need not look for as many."""
    X = np.random.default_rng(0).normal(size=(1000, 8))
    index = SimilarityIndex(3).fit(X)

    _, ids = index.search(X[:2], exclude_ids=[list(range(500)), []])

    assert (
        ids[0].tolist()
        == [i for i in index.kneighbors(X[:1], 1000)[1][0].tolist() if i >= 500][:3]
    )
    assert ids[1].tolist() == index.kneighbors(X[[1]])[1][0].tolist()
