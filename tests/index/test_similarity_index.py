"""Tests of the interface of `SimilarityIndex`: input, parameters and methods."""

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist
from sklearn import config_context
from sklearn.base import clone
from sklearn.cluster import DBSCAN
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline

from imgsim import ColorHistogramEmbedder, SimilarityIndex
from imgsim.exceptions import ImageReadWarning
from imgsim.metrics import precision_at_k

METRICS = {"cosine": "cosine", "euclidean": "euclidean", "manhattan": "cityblock"}


@pytest.fixture
def rows():
    """Return 50 rows of width 12."""
    return np.random.default_rng(0).normal(size=(50, 12))


def _brute_force(queries, rows, metric, k):
    distances = cdist(queries, rows, METRICS[metric])
    indices = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, indices, axis=1), indices


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("metric", METRICS)
def test_neighbors_are_those_of_brute_force(metric, dtype, rows):
    """SciPy computes all distances in another way."""
    rows = rows.astype(dtype)
    index = SimilarityIndex(metric=metric).fit(rows)
    queries = np.random.default_rng(1).normal(size=(9, 12)).astype(dtype)

    distances, indices = index.kneighbors(queries, n_neighbors=7)

    expected, nearest = _brute_force(queries, rows, metric, 7)
    assert_array_equal(indices, nearest)
    assert_allclose(distances, expected, rtol=1e-5, atol=1e-6)
    assert distances.dtype == dtype


@pytest.mark.parametrize("metric", METRICS)
def test_all_rows_may_be_requested(metric, rows):
    """Mean average precision needs a full ranking."""
    index = SimilarityIndex(metric=metric).fit(rows)

    _, indices = index.kneighbors(rows, n_neighbors=len(rows))

    assert_array_equal(np.sort(indices, axis=1), np.tile(np.arange(50), (50, 1)))
    assert_array_equal(indices[:, 0], np.arange(50))


@pytest.mark.parametrize("metric", METRICS)
def test_a_row_is_not_its_own_neighbor_among_copies(metric, rows):
    """Dropping the first column would drop a copy instead."""
    rows[[3, 7, 20]] = rows[3]
    index = SimilarityIndex(metric=metric).fit(rows)

    distances, indices = index.kneighbors(n_neighbors=2)

    assert not (indices == np.arange(50)[:, None]).any()
    assert_array_equal(indices[[3, 7, 20]], [[7, 20], [3, 20], [3, 7]])
    assert_allclose(distances[[3, 7, 20]], 0, atol=1e-6)


def test_ties_are_broken_by_row_number():
    """The result must not depend on the sorting algorithm."""
    rows = np.tile([[1.0, 0.0], [0.0, 1.0]], (20, 1))
    index = SimilarityIndex(metric="euclidean").fit(rows)

    _, indices = index.kneighbors([[1.0, 0.0]], n_neighbors=25)

    assert_array_equal(indices[0], [*range(0, 40, 2), *range(1, 11, 2)])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exact_copies_have_distance_zero(metric, dtype):
    """The rounding errors of a matrix product would break ties at random."""
    rows = np.random.default_rng(0).normal(size=(300, 37)).astype(dtype)
    index = SimilarityIndex(metric=metric).fit(np.vstack([rows] * 3))

    distances, indices = index.kneighbors(rows, n_neighbors=3)

    assert_array_equal(distances, 0)
    assert_array_equal(indices, np.arange(300)[:, None] + [0, 300, 600])
    assert all(len(found) == 2 for found in index.search(max_distance=0)[0])


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_near_copies_have_a_positive_distance(metric):
    """Distances are computed by a precise formula in double precision."""
    rows = np.random.default_rng(0).normal(size=(200, 64)).astype(np.float32)
    moved = rows + np.float32(1e-6) * np.random.default_rng(1).normal(size=rows.shape)
    queries = moved.astype(np.float32)
    index = SimilarityIndex(n_neighbors=1, metric=metric).fit(rows)

    distances, indices = index.kneighbors(queries)

    x, y = rows.astype(np.float64), queries.astype(np.float64)
    if metric == "cosine":
        x, y = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, y))
        expected = ((x - y) ** 2).sum(axis=1) / 2
    else:
        expected = np.linalg.norm(x - y, axis=1)
    assert_array_equal(indices[:, 0], np.arange(200))
    assert_allclose(distances[:, 0], expected, rtol=0.02, atol=1e-13)


def test_results_do_not_depend_on_the_working_memory(rows):
    """Memory is bounded by computing in blocks of rows."""
    rows = np.repeat(rows, 20, axis=0)
    whole = SimilarityIndex(n_neighbors=9).fit(rows).kneighbors()

    with config_context(working_memory=0.05):
        in_blocks = SimilarityIndex(n_neighbors=9).fit(rows).kneighbors()

    assert_array_equal(in_blocks[1], whole[1])
    assert_allclose(in_blocks[0], whole[0], atol=1e-12)


def test_permuted_rows_give_permuted_results(rows):
    """The order of the collection has no meaning."""
    order = np.random.default_rng(1).permutation(50)

    _, indices = SimilarityIndex().fit(rows).kneighbors()
    _, permuted = SimilarityIndex().fit(rows[order]).kneighbors()

    assert_array_equal(order[permuted], indices[order])


def test_unreadable_rows_are_never_neighbors(rows):
    """NaN stands for an image that could not be read."""
    rows[[4, 9]] = np.nan
    index = SimilarityIndex().fit(rows)
    others = np.delete(np.arange(50), [4, 9])

    distances, indices = index.kneighbors(n_neighbors=47)

    assert_array_equal(indices[[4, 9]], -1)
    assert np.isnan(distances[[4, 9]]).all()
    assert not np.isin(indices[others], [4, 9]).any()
    without = SimilarityIndex().fit(rows[others]).kneighbors(n_neighbors=47)
    assert_array_equal(indices[others], others[without[1]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("query_dtype", [np.float32, np.float64])
def test_unreadable_queries_have_no_neighbors(dtype, query_dtype, rows):
    """The results of the other queries stay in their places."""
    queries = rows[:3].astype(query_dtype)
    queries[1] = np.nan
    index = SimilarityIndex(n_neighbors=2).fit(rows.astype(dtype))

    distances, ids = index.search(queries)

    assert [len(found) for found in ids] == [2, 0, 2]
    assert [found[0] for found in (ids[0], ids[2])] == [0, 2]
    assert len(distances[1]) == 0


@pytest.mark.parametrize("n_neighbors", [0, 51, 2.5, "many"])
def test_n_neighbors_out_of_range_is_refused(n_neighbors, rows):
    """The message has the value and the bound."""
    index = SimilarityIndex().fit(rows)

    with pytest.raises(ValueError, match=f"n_neighbors={n_neighbors!r} must be.*50"):
        index.kneighbors(rows, n_neighbors=n_neighbors)


def test_an_indexed_row_has_one_candidate_less(rows):
    """Only the row itself is excluded."""
    index = SimilarityIndex().fit(rows)

    index.kneighbors(n_neighbors=49)
    with pytest.raises(ValueError, match=r"at most 49, .* other than the query"):
        index.kneighbors(n_neighbors=50)


def test_search_returns_ids_within_the_distance(rows):
    """A query without a similar image has an empty result."""
    names = [f"{i}.jpg" for i in range(50)]
    index = SimilarityIndex(metric="euclidean").fit(rows, ids=names)
    all_distances = np.sort(cdist(rows[:2], rows), axis=1)
    limit = all_distances[0, 2] + 1e-9

    distances, ids = index.search(rows[:2], n_neighbors=10, max_distance=limit)
    _, strangers = index.search(rows[:1] + 100, max_distance=limit)

    assert ids[0].tolist() == [
        names[i] for i in _brute_force(rows[:1], rows, "euclidean", 3)[1][0]
    ]
    assert_allclose(distances[0], all_distances[0, :3], atol=1e-6)
    assert all((found <= limit).all() for found in distances)
    assert strangers[0].shape == (0,)


def test_search_returns_fewer_neighbors_from_a_small_index():
    """It is not an error that three images have no five neighbors."""
    index = SimilarityIndex(n_neighbors=5).fit(np.eye(3))

    assert [len(found) for found in index.search()[0]] == [2, 2, 2]
    assert [len(found) for found in index.search(np.eye(3))[0]] == [3, 3, 3]


def test_an_index_may_hold_one_image():
    """A collection may start with one image."""
    index = SimilarityIndex().fit([[1.0, 2.0]])

    assert index.search([[1.0, 2.0]]).ids[0].tolist() == [0]
    assert index.search().ids[0].tolist() == []


def test_ids_may_be_any_hashable():
    """Paths, numbers and strings may be mixed."""
    ids = ["a", 7, ("b", 1)]

    _, found = SimilarityIndex(n_neighbors=1).fit(np.eye(3), ids=ids).search(np.eye(3))

    assert [row.tolist() for row in found] == [["a"], [7], [("b", 1)]]


def test_repeated_ids_are_refused():
    """An id must identify one image."""
    with pytest.raises(ValueError, match=r"\[0\] and ids\[2\] are both 'a'"):
        SimilarityIndex().fit(np.eye(3), ids=["a", "b", "a"])


@pytest.mark.parametrize("ids", ["abc", [[1], [2], [3]]])
def test_invalid_ids_are_refused(ids):
    """A string is not three ids, and a list cannot be looked up."""
    with pytest.raises(TypeError, match="ids"):
        SimilarityIndex().fit(np.eye(3), ids=ids)


def test_inconsistent_lengths_are_refused():
    """Each image has one id and one label."""
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        SimilarityIndex().fit(np.eye(3), y=[1, 2])
    with pytest.raises(ValueError, match="ids has 1 entries and X has 3 rows"):
        SimilarityIndex().fit(np.eye(3), ids=["a"])


def test_paths_instead_of_rows_are_refused():
    """The message names the step that a new user forgets."""
    with pytest.raises(TypeError, match="put an embedder before"):
        SimilarityIndex().fit([Path("a.jpg"), Path("b.jpg")])


def test_score_warns_of_unknown_labels(blobs):
    """In images sorted by class, a fold has labels that the index has never seen."""
    X, y = blobs
    index = SimilarityIndex().fit(X[y != 2], y[y != 2])

    with pytest.warns(UserWarning, match="10 of 60 queries have a label"):
        index.score(X, y)


def test_a_collection_without_readable_images_is_refused():
    """An index must have a readable row."""
    with pytest.raises(ValueError, match="none of the 2 images could be read"):
        SimilarityIndex().fit(np.full((2, 3), np.nan))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_neighbors": 0}, "n_neighbors=0"),
        ({"max_distance": -1}, "max_distance=-1"),
        ({"max_distance": "far"}, "max_distance='far' must be a number"),
    ],
)
def test_invalid_search_parameters_are_refused(parameters, message, rows):
    """The message names the parameter."""
    with pytest.raises(ValueError, match=message):
        SimilarityIndex().fit(rows).search(rows, **parameters)


def test_score_is_the_precision_of_the_neighbors(blobs):
    """GridSearchCV maximizes a metric that users know."""
    X, y = blobs
    rng = np.random.default_rng(1)
    X = X + rng.normal(scale=8, size=X.shape)
    train, test = rng.permutation(60)[:45], rng.permutation(60)[45:]
    index = SimilarityIndex(n_neighbors=4).fit(X[train], y[train])

    _, indices = _brute_force(X[test], X[train], "cosine", 4)
    relevance = y[train][indices] == y[test][:, None]
    assert index.score(X[test], y[test]) == pytest.approx(
        precision_at_k(relevance, k=4)
    )


def test_score_needs_labels(rows):
    """The message says how to pass them."""
    with pytest.raises(ValueError, match=r"call fit\(X, y\)"):
        SimilarityIndex().fit(rows).score(rows, np.zeros(50))


def test_score_ignores_unreadable_queries(blobs):
    """They have no neighbors that could be relevant."""
    X, y = blobs
    index = SimilarityIndex().fit(X, y)
    queries = X.copy()
    queries[::2] = np.nan

    assert index.score(queries, y) == index.score(X[1::2], y[1::2])
    with pytest.raises(ValueError, match="no query to score"):
        index.score(np.full_like(X, np.nan), y)


def test_a_row_of_zeros_has_distance_one_to_every_row():
    """scikit-learn defines cosine distance in this way."""
    index = SimilarityIndex(n_neighbors=2).fit([[1.0, 0.0], [0.0, 2.0]])

    distances, _ = index.kneighbors([[0.0, 0.0]])

    assert_allclose(distances, 1)


def test_an_unfitted_index_raises_not_fitted_error():
    """Every estimator of scikit-learn raises it."""
    with pytest.raises(NotFittedError):
        SimilarityIndex().search([[1.0]])


def test_a_pickled_index_has_the_same_results(rows):
    """An index may be sent to a worker process."""
    index = SimilarityIndex().fit(rows, ids=[str(i) for i in range(50)])

    _, ids = pickle.loads(pickle.dumps(index)).search(rows[:5])

    assert_array_equal(ids, index.search(rows[:5]).ids)


@pytest.mark.parametrize("algorithm", ["exact", "pynndescent"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "layout", [np.asfortranarray, lambda X: X[::-1, ::-1], lambda X: X[::2, ::3]]
)
def test_any_memory_layout_is_accepted(algorithm, dtype, layout, monkeypatch):
    """The rows and the queries may be views of other arrays."""
    monkeypatch.setattr("imgsim.index.exact._nearest._MAX_BRUTE_FORCE_VALUES", 0)
    X = layout(np.random.default_rng(0).normal(size=(400, 18)).astype(dtype))
    index = SimilarityIndex(3, algorithm=algorithm, random_state=0).fit(X)

    distances, indices = index.kneighbors(X[:9])

    expected = np.sort(cdist(X[:9], X, "cosine"), axis=1)[:, :3]
    assert_allclose(distances, expected, atol=1e-6)
    assert_array_equal(indices[:, 0], np.arange(9))


@pytest.mark.parametrize("device", ["auto", "cpu:0"])
@pytest.mark.parametrize("metric", ["cosine", "inner_product", "manhattan"])
def test_products_may_be_computed_by_torch(device, metric, rows):
    """On any device the neighbors are those of the default device."""
    pytest.importorskip("torch")
    index = SimilarityIndex(metric=metric, device=device).fit(rows)

    distances, indices = index.kneighbors(rows[:9])

    expected = SimilarityIndex(metric=metric).fit(rows).kneighbors(rows[:9])
    assert_array_equal(indices, expected[1])
    assert_allclose(distances, expected[0], atol=1e-12)


def test_an_unknown_device_is_refused(rows):
    """The message lists what may be passed."""
    pytest.importorskip("torch")
    index = SimilarityIndex(device="abacus").fit(rows)

    with pytest.raises(ValueError, match="device='abacus' must be 'auto' or"):
        index.kneighbors(rows)


def test_parameters_may_be_set_after_fit(rows):
    """They take effect with the next search, like those of NearestNeighbors."""
    index = SimilarityIndex().fit(rows).set_params(n_neighbors=3, query_expansion=2)

    distances, indices = index.kneighbors(rows[:4])

    expected = SimilarityIndex(3, query_expansion=2).fit(rows).kneighbors(rows[:4])
    assert_array_equal(indices, expected[1])
    assert_array_equal(distances, expected[0])


def test_fit_does_not_change_its_input(rows):
    """The rows belong to the caller and may be read-only."""
    rows.flags.writeable = False
    before = rows.copy()

    SimilarityIndex(metric="cosine").fit(rows).kneighbors()

    assert_array_equal(rows, before)


@pytest.mark.parametrize("algorithm", ["exact", "pynndescent"])
def test_threads_may_search_at_the_same_time(algorithm):
    """A server handles several requests at once."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 6)).astype(np.float32)
    index = SimilarityIndex(metric="euclidean", algorithm=algorithm, random_state=0)
    index.fit(X)
    queries = [rng.normal(size=(9, 6)).astype(np.float32) for _ in range(24)]
    alone = [index.search(some, exclude_ids=[1, 2, 3]) for some in queries]

    with ThreadPoolExecutor(4) as pool:
        together = list(
            pool.map(lambda some: index.search(some, exclude_ids=[1, 2, 3]), queries)
        )

    for found, expected in zip(together, alone, strict=True):
        for i in range(9):
            assert_array_equal(found[0][i], expected[0][i])
            assert_array_equal(found[1][i], expected[1][i])


IN_THREADS = """
import sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from imgsim import SimilarityIndex
from imgsim.index.exact import _nearest

# Small searches use scores in bfloat16, as large ones do.
_nearest._MAX_BRUTE_FORCE_VALUES = 0
_nearest._MIN_BFLOAT16_OPERATIONS = {True: 0, False: 0}
_nearest.resolve_precision = lambda *_: "bfloat16"
assert not {"torch", "numba"} & set(sys.modules)
X = np.random.default_rng(0).normal(size=(2000, 80)).astype(np.float32)
index = SimilarityIndex().fit(X)
parts = np.split(X[:80], 4)
with ThreadPoolExecutor(4) as pool:
    results = list(pool.map(lambda part: index.kneighbors(part, 3), parts))
assert {"torch", "numba"} <= set(sys.modules)
for part, result in zip(parts, results):
    expected = index.kneighbors(part, 3)
    np.testing.assert_array_equal(result[0], expected[0])
    np.testing.assert_array_equal(result[1], expected[1])
"""


def test_threads_may_be_the_first_to_import_torch_and_numba():
    """Both are imported by the first search that needs them."""
    pytest.importorskip("torch")

    done = subprocess.run(
        [sys.executable, "-c", IN_THREADS],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("as_query", [np.float32, np.float64])
def test_distances_of_search_are_those_of_kneighbors(as_query, rows):
    """Both methods return the same neighbors in two forms."""
    index = SimilarityIndex(4).fit(rows, ids=[f"{i}" for i in range(50)])

    near, ids = index.search(rows[:6].astype(as_query))

    distances, indices = index.kneighbors(rows[:6].astype(as_query))
    assert_array_equal(np.array(ids), index.ids_[indices])
    assert_array_equal(np.array(near), distances)


@pytest.mark.parametrize("method", ["kneighbors_graph", "radius_neighbors_graph"])
def test_another_mode_is_refused(method, rows):
    """The message lists both modes."""
    index = SimilarityIndex().fit(rows)

    with pytest.raises(ValueError, match="mode='far' must be 'connectivity' or"):
        getattr(index, method)(mode="far")


@pytest.mark.parametrize("radius", ["far", np.nan, [1.0]])
def test_a_radius_that_is_not_a_number_is_refused(radius, rows):
    """The message names the parameter."""
    with pytest.raises(ValueError, match=r"radius=.* must be a number"):
        SimilarityIndex().fit(rows).radius_neighbors(radius=radius)


def test_dbscan_finds_clusters_in_a_pipeline(pictures):
    """The graph of neighbors replaces a matrix of all distances."""
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


# scikit-learn 1.6 warns of the diagonal that it adds to the graph itself.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.EfficiencyWarning")
def test_an_unreadable_image_is_noise_in_a_pipeline(pictures):
    """It is in no cluster and does not stop the pipeline."""
    grouper = make_pipeline(
        ColorHistogramEmbedder(on_error="nan"),
        SimilarityIndex(6, mode="distance"),
        DBSCAN(eps=1e-3, min_samples=2, metric="precomputed"),
    )

    with pytest.warns(ImageReadWarning):
        labels = grouper.fit_predict([*pictures, "missing.jpg", *pictures])

    assert_array_equal(labels, [*range(12), -1, *range(12)])


def test_grid_search_chooses_parameters(blobs):
    """`score` compares metrics and values of `query_expansion`."""
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


def test_other_feature_names_are_refused(rows):
    """A DataFrame with its columns in another order holds other embeddings."""
    table = pd.DataFrame(rows[:, :6], columns=list("abcdef"))
    index = SimilarityIndex().fit(table)

    index.kneighbors(table)
    for method in (index.kneighbors, index.radius_neighbors, index.search, index.add):
        with pytest.raises(ValueError, match="feature names"):
            method(table[list("fedcba")])


@pytest.mark.parametrize("n_removed", [0, 2])
def test_embeddings_are_the_rows_of_the_index(n_removed, rows):
    """Other functions read them, so unreadable rows are NaN and removed ones absent."""
    rows[3] = np.nan
    index = SimilarityIndex().fit(rows).remove(range(n_removed))

    embeddings = index.embeddings_

    assert_array_equal(embeddings, rows[n_removed:])
    assert_array_equal(index.readable_, ~np.isnan(embeddings).any(axis=1))
    with pytest.raises(ValueError, match="read-only"):
        embeddings[0] = 0


def test_embeddings_are_not_copied_unnecessarily(rows):
    """A copy would double the memory of a large index."""
    index = SimilarityIndex().fit(rows)

    assert np.shares_memory(index.embeddings_, index.embeddings_)


@pytest.mark.parametrize(
    ("metric", "effective"), [("l1", "manhattan"), ("l2", "euclidean"), ("dice",) * 2]
)
def test_the_effective_metric_has_one_name(metric, effective, rows):
    """It has the same meaning as in NearestNeighbors."""
    index = SimilarityIndex(metric=metric).fit(rows > 0)

    assert index.effective_metric_ == effective
    assert index.effective_metric_params_ == {}


def test_effective_metric_parameters_include_computed_ones(rows):
    """The variances of the rows are part of this distance."""
    index = SimilarityIndex(metric="seuclidean").fit(rows)

    assert_allclose(index.effective_metric_params_["V"], rows.var(axis=0, ddof=1))


@pytest.mark.parametrize(
    "call",
    [
        lambda index, X, f: index.add(X, fingerprint=f),
        lambda index, X, f: index.kneighbors(X, fingerprint=f),
        lambda index, X, f: index.radius_neighbors(X, fingerprint=f),
        lambda index, X, f: index.search(X, fingerprint=f),
    ],
    ids=["add", "kneighbors", "radius_neighbors", "search"],
)
def test_another_fingerprint_is_refused(call, rows):
    """Distances between embeddings of two models have no meaning."""
    index = SimilarityIndex().fit(rows, fingerprint="this")

    with pytest.raises(
        ValueError, match=r"'other' differs from .*'this'.*compute X with"
    ):
        call(index, rows, "other")
    call(index, rows, "this")
    call(index, rows, None)
    call(SimilarityIndex().fit(rows), rows, "other")


def test_the_embeddings_of_another_embedder_are_refused(pictures):
    """The fingerprints of two embedders differ."""
    embedder = ColorHistogramEmbedder()
    X = embedder.fit_transform(pictures)
    index = SimilarityIndex().fit(X, fingerprint=embedder.fingerprint())
    other = ColorHistogramEmbedder(normalize="l2").fit(pictures)

    index.search(X, fingerprint=embedder.fingerprint())
    with pytest.raises(ValueError, match="compute X with the embedder"):
        index.search(other.transform(pictures), fingerprint=other.fingerprint())


def test_ids_are_passed_through_a_pipeline(pictures):
    """Metadata routing of scikit-learn passes them to the index."""
    names = [f"{i}.png" for i in range(12)]
    with config_context(enable_metadata_routing=True):
        index = SimilarityIndex().set_fit_request(ids=True, fingerprint=True)
        pipeline = make_pipeline(ColorHistogramEmbedder(), index)

        pipeline.fit(pictures, ids=names, fingerprint="histogram")

    assert pipeline[-1].ids_.tolist() == names
    assert pipeline[-1].fingerprint_ == "histogram"


@pytest.mark.parametrize("method", ["kneighbors", "radius_neighbors", "search", "add"])
@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.ones((2, 11)), ValueError, "11 features.*expecting 12"),
        (np.ones((2, 12)) > 0, TypeError, "X is boolean"),
        (np.ones((2, 12)) * 1j, ValueError, "[Cc]omplex"),
        (np.full((2, 12), "a"), ValueError, "could not convert"),
        (np.full((2, 12), np.inf), ValueError, "infinity"),
        (["a.jpg", "b.jpg"], TypeError, "put an embedder before"),
        (np.ones(12), ValueError, "[Ee]xpected 2D array"),
    ],
)
def test_rows_that_do_not_fit_are_refused(method, X, error, message, rows):
    """Every method checks the width and the type of its input."""
    index = SimilarityIndex().fit(rows)

    with pytest.raises(error, match=message):
        getattr(index, method)(X)


@pytest.mark.parametrize("convert", [np.ndarray.tolist, pd.DataFrame])
def test_a_list_or_dataframe_may_be_boolean(convert, rows):
    """The container does not matter."""
    given = convert(rows > 0)

    index = SimilarityIndex(2, metric="hamming").fit(given)

    assert_array_equal(index.kneighbors(rows > 0)[0][:, 0], 0)


@pytest.mark.parametrize("convert", [np.ndarray.tolist, pd.DataFrame])
def test_a_boolean_list_or_dataframe_is_refused_by_an_index_of_numbers(convert, rows):
    """The container does not matter."""
    index = SimilarityIndex().fit(rows)

    with pytest.raises(TypeError, match="X is boolean"):
        index.kneighbors(convert(rows > 0))


def test_a_value_outside_the_dtype_of_the_index_is_refused(rows):
    """The value 1e300 would become infinite in float32."""
    index = SimilarityIndex(metric="euclidean").fit(rows.astype(np.float32))

    with pytest.raises(ValueError, match="float32"):
        index.kneighbors(rows * 1e300)


@pytest.mark.parametrize("metric", ["hamming", "jaccard", "dice"])
def test_boolean_metrics_refuse_numbers(metric, rows):
    """It is not known above which value a number is true."""
    with pytest.raises(ValueError, match=f"metric='{metric}' requires boolean rows"):
        SimilarityIndex(metric=metric).fit(rows)
    index = SimilarityIndex(metric=metric).fit(rows > 0)
    with pytest.raises(ValueError, match="requires boolean rows"):
        index.kneighbors(rows)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"metric": "precomputed"}, r"sklearn.neighbors.NearestNeighbors\(metric="),
        (
            {"metric": "cosine", "metric_params": {"p": 3}},
            "does not accept metric_params",
        ),
        ({"metric": "manhattan", "query_expansion": 2}, "requires metric='cosine'"),
        (
            {"metric": "euclidean", "database_augmentation": 2},
            "requires metric='cosine'",
        ),
        ({"metric": "manhattan", "algorithm": "pynndescent"}, "algorithm='exact'"),
        ({"metric": "hamming", "algorithm": "pynndescent"}, "algorithm='exact'"),
        ({"metric": "far"}, "The 'metric' parameter"),
        ({"recall": 0}, "The 'recall' parameter"),
        ({"n_neighbors": 0}, "The 'n_neighbors' parameter"),
    ],
)
def test_incompatible_parameters_are_refused(parameters, message, rows):
    """The error is raised by `fit` and not by the first search."""
    with pytest.raises(ValueError, match=message):
        SimilarityIndex(**parameters).fit(rows)


def test_a_clone_has_the_parameters_and_no_rows(rows):
    """Every estimator of scikit-learn can be cloned."""
    index = SimilarityIndex(3, metric="minkowski", metric_params={"p": 3}).fit(rows)

    copy = clone(index).set_params(radius=2)

    assert copy.get_params() == {**index.get_params(), "radius": 2}
    assert not hasattr(copy, "ids_")
