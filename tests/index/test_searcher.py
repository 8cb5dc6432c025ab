"""What an index keeps is what was given, added and not removed; or nothing changes."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist
from sklearn import config_context
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from imgsim import ColorHistogramEmbedder, SimilarityIndex
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


def test_labels_that_do_not_mix_in_an_array_are_kept_as_they_are(rows):
    """Dates and numbers have no common type of array, and half a row is none."""
    index = SimilarityIndex().fit(rows, np.array(["2020-01-01"] * 40, "M8[D]"))

    index.add(NEW, y=[1, 2])

    assert len(index.y_) == len(index.ids_) == 42
    assert index.y_.tolist()[-2:] == [1, 2]
    assert len(index.search(NEW)[0]) == 2


def test_labels_of_another_kind_do_not_change_those_known(rows):
    """The number 0 is not the word "0"."""
    index = SimilarityIndex().fit(rows, [0] * 40).add(NEW, y=["cat", "dog"])

    assert index.y_.tolist() == [0] * 40 + ["cat", "dog"]


def test_rows_that_came_and_went_leave_no_trace(rows):
    """Answers are those of an index that was fitted on what is left."""
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


def test_embeddings_are_not_copied_without_need(rows):
    """A large index would take its memory twice."""
    index = SimilarityIndex().fit(rows)

    assert np.shares_memory(index.embeddings_, index.embeddings_)


@pytest.mark.parametrize(
    ("metric", "effective"), [("l1", "manhattan"), ("l2", "euclidean"), ("dice",) * 2]
)
def test_the_effective_metric_has_one_name(metric, effective, rows):
    """As that of NearestNeighbors."""
    index = SimilarityIndex(metric=metric).fit(rows > 0)

    assert index.effective_metric_ == effective
    assert index.effective_metric_params_ == {}


def test_effective_parameters_of_a_metric_hold_what_fit_estimates(rows):
    """The variances of the rows are part of this distance."""
    index = SimilarityIndex(metric="seuclidean").fit(rows)

    assert_allclose(index.effective_metric_params_["V"], rows.var(axis=0, ddof=1))


def test_ids_go_on_after_the_largest(rows):
    """Where rows were named by numbers, new ones are, too."""
    index = SimilarityIndex().fit(rows[:3])

    assert index.add(rows[:2]).ids_.tolist() == [0, 1, 2, 3, 4]
    index.remove([1, 3])
    assert index.add(rows[:2]).ids_.tolist() == [0, 2, 4, 5, 6]


def test_a_number_is_not_given_twice(rows):
    """Who noted that picture 2 is a stranger must not be told of another one."""
    index = SimilarityIndex().fit(rows[:3])

    index.remove([2]).add(rows[5:6])

    assert index.ids_.tolist() == [0, 1, 3]


def test_a_row_that_cannot_be_read_may_be_added_to_an_augmented_index(rows):
    """As to any other."""
    index = SimilarityIndex(database_augmentation=3).fit(rows)

    index.add(np.full((1, 5), np.nan))

    assert index.readable_.tolist() == [True] * 40 + [False]


def test_the_last_readable_row_is_not_replaced_by_an_unreadable_one(rows):
    """As it may not be removed either."""
    index = SimilarityIndex().fit(rows[:1], ids=["a"])

    with pytest.raises(ValueError, match="readable row"):
        index.add(np.full((1, 5), np.nan), ["a"], replace=True)


def test_the_callers_arrays_may_change_later(rows):
    """The index keeps its own."""
    X, y, ids = rows.copy(), np.arange(40), np.arange(40) + 7
    index = SimilarityIndex().fit(X, y, ids=ids)
    more, names = rows[:3].copy(), np.arange(3) + 900
    index.add(more, names, y=np.arange(3))
    before = _state(index)

    for array in (X, y, ids, more, names):
        array[:] = 0

    assert _state(index) == before


@pytest.mark.parametrize("augment", [0, 3])
def test_what_is_given_is_not_changed(augment, rows):
    """Augmentation makes rows of its own, and NaN stays NaN."""
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
    """Labels, names, fingerprint and width."""
    index = SimilarityIndex().fit(rows, list("ab" * 20), range(40), "first")

    index.fit(rows[:6, :3])

    assert index.y_ is None
    assert index.fingerprint_ is None
    assert index.ids_.tolist() == list(range(6))
    assert index.n_features_in_ == 3


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
def test_rows_of_another_model_are_refused(call, rows):
    """Their distances mean nothing. Where either side is unknown, nobody can tell."""
    index = SimilarityIndex().fit(rows, fingerprint="this")

    with pytest.raises(
        ValueError, match=r"'other' differs from .*'this'.*compute X with"
    ):
        call(index, rows, "other")
    call(index, rows, "this")
    call(index, rows, None)
    call(SimilarityIndex().fit(rows), rows, "other")


def test_an_embedder_and_another_have_other_fingerprints(pictures):
    """The whole way: from the embedder, by the index, to the refusal."""
    embedder = ColorHistogramEmbedder()
    X = embedder.fit_transform(pictures)
    index = SimilarityIndex().fit(X, fingerprint=embedder.fingerprint())
    other = ColorHistogramEmbedder(normalize="l2").fit(pictures)

    index.search(X, fingerprint=embedder.fingerprint())
    with pytest.raises(ValueError, match="compute X with the embedder"):
        index.search(other.transform(pictures), fingerprint=other.fingerprint())


def test_ids_pass_through_a_pipeline(pictures):
    """By scikit-learn's routing of metadata."""
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
        (np.ones((2, 4)), ValueError, "4 features.*expecting 5"),
        (np.ones((2, 5)) > 0, TypeError, "X is boolean"),
        (np.ones((2, 5)) * 1j, ValueError, "[Cc]omplex"),
        (np.full((2, 5), "a"), ValueError, "could not convert"),
        (np.full((2, 5), np.inf), ValueError, "infinity"),
        (["a.jpg", "b.jpg"], TypeError, "put an embedder before"),
        (np.ones(5), ValueError, "[Ee]xpected 2D array"),
    ],
)
def test_rows_that_do_not_fit_are_refused(method, X, error, message, rows):
    """Of another width or type, in every method."""
    index = SimilarityIndex().fit(rows)

    with pytest.raises(error, match=message):
        getattr(index, method)(X)


@pytest.mark.parametrize("convert", [np.ndarray.tolist, pd.DataFrame])
def test_booleans_are_booleans_in_a_list_or_table(convert, rows):
    """How they are held does not matter."""
    given = convert(rows > 0)

    index = SimilarityIndex(2, metric="hamming").fit(given)

    assert_array_equal(index.kneighbors(rows > 0)[0][:, 0], 0)


@pytest.mark.parametrize("convert", [np.ndarray.tolist, pd.DataFrame])
def test_booleans_in_a_list_or_table_are_refused_by_numbers(convert, rows):
    """As those in an array are."""
    index = SimilarityIndex().fit(rows)

    with pytest.raises(TypeError, match="X is boolean"):
        index.kneighbors(convert(rows > 0))


def test_a_row_beyond_the_type_of_the_index_is_refused(rows):
    """1e300 has no float32."""
    index = SimilarityIndex(metric="euclidean").fit(rows.astype(np.float32))

    with pytest.raises(ValueError, match="float32"):
        index.kneighbors(rows * 1e300)


@pytest.mark.parametrize("metric", ["hamming", "jaccard", "dice"])
def test_boolean_metrics_refuse_numbers(metric, rows):
    """Nobody knows above which value a number is true."""
    with pytest.raises(ValueError, match=f"metric='{metric}' requires boolean rows"):
        SimilarityIndex(metric=metric).fit(rows)
    index = SimilarityIndex(metric=metric).fit(rows > 0)
    with pytest.raises(ValueError, match="requires boolean rows"):
        index.kneighbors(rows)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"metric": "precomputed"}, r"sklearn.neighbors.NearestNeighbors\(metric="),
        ({"metric": "cosine", "metric_params": {"p": 3}}, "takes no metric_params"),
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
def test_parameters_that_do_not_go_together_are_refused(parameters, message, rows):
    """By fit, and not by the first search."""
    with pytest.raises(ValueError, match=message):
        SimilarityIndex(**parameters).fit(rows)


def test_a_function_may_be_the_metric(rows):
    """As in scikit-learn: of two rows, and perhaps of parameters."""

    def weighted(x, y, power=1):
        return (np.abs(x - y) ** power).sum()

    index = SimilarityIndex(metric=weighted, metric_params={"power": 2}).fit(rows)

    distances, indices = index.kneighbors(rows[:4], 5)
    expected = cdist(rows[:4], rows, "sqeuclidean")
    assert_array_equal(indices, np.argsort(expected, axis=1)[:, :5])
    assert_allclose(distances, np.sort(expected, axis=1)[:, :5])


def test_inner_products_rank_by_the_product(rows):
    """One minus the product, which may be negative."""
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
def test_unreadable_rows_teach_a_metric_nothing(metric, rows):
    """Variances are those of the rows that can be read."""
    rows[7] = np.nan
    readable = np.delete(np.arange(40), 7)

    index = SimilarityIndex(metric=metric).fit(rows)

    alone = SimilarityIndex(metric=metric).fit(rows[readable])
    expected = alone.kneighbors(rows[:5])
    assert_array_equal(index.kneighbors(rows[:5])[1], readable[expected[1]])
    assert_allclose(index.kneighbors(rows[:5])[0], expected[0])


def test_a_clone_has_the_parameters_and_no_rows(rows):
    """As every estimator's."""
    index = SimilarityIndex(3, metric="minkowski", metric_params={"p": 3}).fit(rows)

    copy = clone(index).set_params(radius=2)

    assert copy.get_params() == {**index.get_params(), "radius": 2}
    assert not hasattr(copy, "ids_")


def _counting(monkeypatch):
    calls = []
    build = _searcher.build_graph

    def counted(*args):
        calls.append(len(args[0].rows))
        return build(*args)

    monkeypatch.setattr(_searcher, "build_graph", counted)
    return calls


def test_a_graph_is_rebuilt_when_a_quarter_is_new_or_gone(monkeypatch):
    """The documented rule; until then an addition costs what is added."""
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
def test_a_graph_of_few_rows_answers(n, rows):
    """Every collection starts with one."""
    index = SimilarityIndex(metric="euclidean", algorithm="pynndescent").fit(rows[:n])

    distances, indices = index.kneighbors(rows, n)

    assert_allclose(distances, np.sort(cdist(rows, rows[:n]), axis=1))
    assert_array_equal(np.sort(indices, axis=1), np.tile(np.arange(n), (40, 1)))


def test_a_graph_is_built_once_there_are_rows_for_it(rows):
    """An index that starts with one image and grows is the common case."""
    index = SimilarityIndex(metric="euclidean", algorithm="pynndescent").fit(rows[:1])

    index.add(rows[1:])

    assert index.algorithm_ == "pynndescent"


def test_a_graph_of_equal_rows_is_built_without_warnings():
    """A blank page, scanned fifty times."""
    X = np.ones((50, 3))

    index = SimilarityIndex(metric="euclidean", algorithm="pynndescent").fit(X)

    assert_array_equal(index.kneighbors(X[:2], 3)[0], 0)
