"""Tests of similarity search, exact unless a test says otherwise."""

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist
from sklearn import config_context
from sklearn.exceptions import NotFittedError

from imgsim import SimilarityIndex
from imgsim.metrics import average_precision_at_k, precision_at_k

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
def test_agrees_with_brute_force(metric, dtype, rows):
    """Scipy computes all distances in another way."""
    rows = rows.astype(dtype)
    index = SimilarityIndex(metric=metric).fit(rows)
    queries = np.random.default_rng(1).normal(size=(9, 12)).astype(dtype)

    distances, indices = index.kneighbors(queries, n_neighbors=7)

    expected, nearest = _brute_force(queries, rows, metric, 7)
    assert_array_equal(indices, nearest)
    assert_allclose(distances, expected, rtol=1e-5, atol=1e-6)
    assert distances.dtype == dtype


@pytest.mark.parametrize("metric", METRICS)
def test_k_may_be_the_whole_collection(metric, rows):
    """A full ranking is what mean average precision needs."""
    index = SimilarityIndex(metric=metric).fit(rows)

    _, indices = index.kneighbors(rows, n_neighbors=len(rows))

    assert_array_equal(np.sort(indices, axis=1), np.tile(np.arange(50), (50, 1)))
    assert_array_equal(indices[:, 0], np.arange(50))


@pytest.mark.parametrize("metric", METRICS)
def test_a_row_is_not_its_own_neighbour_among_duplicates(metric, rows):
    """By identity: dropping the first column would drop a twin instead."""
    rows[[3, 7, 20]] = rows[3]
    index = SimilarityIndex(metric=metric).fit(rows)

    distances, indices = index.kneighbors(n_neighbors=2)

    assert not (indices == np.arange(50)[:, None]).any()
    assert_array_equal(indices[[3, 7, 20]], [[7, 20], [3, 20], [3, 7]])
    assert_allclose(distances[[3, 7, 20]], 0, atol=1e-6)


def test_ties_break_by_row_number():
    """The answer must not depend on how a sort happens to run."""
    rows = np.tile([[1.0, 0.0], [0.0, 1.0]], (20, 1))
    index = SimilarityIndex(metric="euclidean").fit(rows)

    _, indices = index.kneighbors([[1.0, 0.0]], n_neighbors=25)

    assert_array_equal(indices[0], [*range(0, 40, 2), *range(1, 11, 2)])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exact_copies_are_at_distance_zero(metric, dtype):
    """A product of matrices leaves a rounding error, which breaks ties at random."""
    rows = np.random.default_rng(0).normal(size=(300, 37)).astype(dtype)
    index = SimilarityIndex(metric=metric).fit(np.vstack([rows] * 3))

    distances, indices = index.kneighbors(rows, n_neighbors=3)

    assert_array_equal(distances, 0)
    assert_array_equal(indices, np.arange(300)[:, None] + [0, 300, 600])
    assert all(len(found) == 2 for found in index.search(max_distance=0)[0])


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_near_copies_keep_their_distance(metric):
    """Next to nothing is not nothing: float64 and another formula."""
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


def test_blocks_change_nothing(rows):
    """Memory is bounded by computing in blocks of rows."""
    rows = np.repeat(rows, 20, axis=0)
    whole = SimilarityIndex(n_neighbors=9).fit(rows).kneighbors()

    with config_context(working_memory=0.05):
        in_blocks = SimilarityIndex(n_neighbors=9).fit(rows).kneighbors()

    assert_array_equal(in_blocks[1], whole[1])
    assert_allclose(in_blocks[0], whole[0], atol=1e-12)


def test_permuted_rows_give_permuted_answers(rows):
    """The order of the collection carries no meaning."""
    order = np.random.default_rng(1).permutation(50)

    _, indices = SimilarityIndex().fit(rows).kneighbors()
    _, permuted = SimilarityIndex().fit(rows[order]).kneighbors()

    assert_array_equal(order[permuted], indices[order])


def test_unreadable_rows_are_never_neighbours(rows):
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


def test_unreadable_queries_find_nothing(rows):
    """And shift nobody else's answer."""
    queries = rows[:3].copy()
    queries[1] = np.nan
    index = SimilarityIndex(n_neighbors=2).fit(rows)

    distances, ids = index.search(queries)

    assert [len(found) for found in ids] == [2, 0, 2]
    assert [found[0] for found in (ids[0], ids[2])] == [0, 2]
    assert len(distances[1]) == 0


@pytest.mark.parametrize("n_neighbors", [0, 51, 2.5, "many"])
def test_k_out_of_range_is_refused(n_neighbors, rows):
    """The message has the value and the bound."""
    index = SimilarityIndex().fit(rows)

    with pytest.raises(ValueError, match=f"n_neighbors={n_neighbors!r} must be.*50"):
        index.kneighbors(rows, n_neighbors=n_neighbors)


def test_without_queries_one_row_fewer_can_be_a_neighbour(rows):
    """None but the row itself is left out."""
    index = SimilarityIndex().fit(rows)

    index.kneighbors(n_neighbors=49)
    with pytest.raises(ValueError, match=r"at most 49, .* other than the query"):
        index.kneighbors(n_neighbors=50)


def test_search_answers_with_ids_within_the_distance(rows):
    """Nothing near enough is an empty answer, not a wrong one."""
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


def test_search_returns_what_there_is():
    """Three images have no five neighbours, and that is no mistake."""
    index = SimilarityIndex(n_neighbors=5).fit(np.eye(3))

    assert [len(found) for found in index.search()[0]] == [2, 2, 2]
    assert [len(found) for found in index.search(np.eye(3))[0]] == [3, 3, 3]


def test_an_index_of_one_image_answers():
    """Every collection starts with one."""
    index = SimilarityIndex().fit([[1.0, 2.0]])

    assert index.search([[1.0, 2.0]]).ids[0].tolist() == [0]
    assert index.search().ids[0].tolist() == []


def test_ids_may_be_any_hashable():
    """Paths, numbers and words, mixed if need be."""
    ids = ["a", 7, ("b", 1)]

    _, found = SimilarityIndex(n_neighbors=1).fit(np.eye(3), ids=ids).search(np.eye(3))

    assert [row.tolist() for row in found] == [["a"], [7], [("b", 1)]]


def test_repeated_ids_are_refused():
    """An answer has to name one image."""
    with pytest.raises(ValueError, match=r"\[0\] and ids\[2\] are both 'a'"):
        SimilarityIndex().fit(np.eye(3), ids=["a", "b", "a"])


@pytest.mark.parametrize("ids", ["abc", [[1], [2], [3]]])
def test_ids_that_cannot_name_are_refused(ids):
    """A string is not three ids, and a list cannot be looked up."""
    with pytest.raises(TypeError, match="ids"):
        SimilarityIndex().fit(np.eye(3), ids=ids)


def test_lengths_have_to_agree():
    """One id and one label an image."""
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        SimilarityIndex().fit(np.eye(3), y=[1, 2])
    with pytest.raises(ValueError, match="ids holds 1 ids for 3 rows"):
        SimilarityIndex().fit(np.eye(3), ids=["a"])


def test_paths_instead_of_rows_are_told_about_embedders():
    """The step that a newcomer forgets."""
    with pytest.raises(TypeError, match="put an embedder before"):
        SimilarityIndex().fit([Path("a.jpg"), Path("b.jpg")])


def test_folds_without_a_class_are_reported(blobs):
    """Sorted by class, each fold holds labels that the index has never seen."""
    X, y = blobs
    index = SimilarityIndex().fit(X[y != 2], y[y != 2])

    with pytest.warns(UserWarning, match="10 of 60 queries have a label"):
        index.score(X, y)


def test_a_collection_without_readable_images_is_refused():
    """There is nothing to find."""
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
def test_bad_searches_are_refused(parameters, message, rows):
    """The message names the parameter."""
    with pytest.raises(ValueError, match=message):
        SimilarityIndex().fit(rows).search(rows, **parameters)


def test_score_is_the_precision_of_the_neighbours(blobs):
    """What GridSearchCV maximises is the metric users know."""
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
    """The remedy is in the message."""
    with pytest.raises(ValueError, match=r"call fit\(X, y\)"):
        SimilarityIndex().fit(rows).score(rows, np.zeros(50))


def test_score_leaves_out_unreadable_queries(blobs):
    """They have no neighbours to be right or wrong."""
    X, y = blobs
    index = SimilarityIndex().fit(X, y)
    queries = X.copy()
    queries[::2] = np.nan

    assert index.score(queries, y) == index.score(X[1::2], y[1::2])
    with pytest.raises(ValueError, match="no query to score"):
        index.score(np.full_like(X, np.nan), y)


def test_a_zero_row_is_at_distance_one_from_all():
    """As scikit-learn defines cosine distance."""
    index = SimilarityIndex(n_neighbors=2).fit([[1.0, 0.0], [0.0, 2.0]])

    distances, _ = index.kneighbors([[0.0, 0.0]])

    assert_allclose(distances, 1)


def test_an_unfitted_index_says_so():
    """As every estimator does."""
    with pytest.raises(NotFittedError):
        SimilarityIndex().search([[1.0]])


def test_pickles_answer_alike(rows):
    """An index is kept between sessions."""
    index = SimilarityIndex().fit(rows, ids=[str(i) for i in range(50)])

    _, ids = pickle.loads(pickle.dumps(index)).search(rows[:5])

    assert_array_equal(ids, index.search(rows[:5]).ids)


def test_the_given_rows_are_not_changed(rows):
    """They belong to the caller, and may be read-only."""
    rows.flags.writeable = False
    before = rows.copy()

    SimilarityIndex(metric="cosine").fit(rows).kneighbors()

    assert_array_equal(rows, before)


@pytest.fixture
def on_a_line():
    """Return an index of numbers: a at 0, 1, 3 and 7, b at 8 and 20."""
    X = np.array([[0.0], [1], [3], [7], [8], [20]])
    return SimilarityIndex(2, metric="euclidean").fit(X, list("aaaabb"))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        # The two nearest others of each row, right (+) or wrong (-):
        # 1+ 3+, 1+ 2+, 2+ 3+, 1- 4+, 1- 5-, 12+ 13-.
        ({"precision": 1}, None),
        ({"precision": 0.6}, 13.0),
        ({"precision": 0.72}, 12.0),
        ({"precision": 0.75}, 4.0),
        # Of the right ones, 1 1 2 2 3 3 4 12, and one to come, so many are kept.
        ({"coverage": 0.5}, 3.0),
        ({"coverage": 0.2}, 1.0),
        ({"coverage": 0.95}, 12.0),
    ],
)
def test_a_threshold_is_that_found_by_hand(wanted, expected, on_a_line):
    """Two neighbours of six rows can be counted."""
    if expected is None:
        with pytest.raises(
            ValueError, match="precision=1 is not reached at any distance"
        ):
            on_a_line.suggest_threshold(**wanted)
        return

    assert on_a_line.suggest_threshold(**wanted) == expected


def test_a_threshold_without_labels_is_a_quantile_of_nearest_distances(on_a_line):
    """Which are 1, 1, 2, 1, 1 and 12."""
    index = SimilarityIndex(metric="euclidean").fit([[0.0], [1], [3], [7], [8], [20]])

    assert index.suggest_threshold(coverage=0.5) == 1
    assert index.suggest_threshold(coverage=0.7) == 2
    assert index.suggest_threshold(coverage=0.95) == 12


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"precision": 0}, "precision=0 must be a number in"),
        ({"precision": 1.1}, "precision=1.1 must be"),
        ({"coverage": "most"}, "coverage='most' must be"),
        ({"coverage": np.nan}, "coverage=nan must be"),
        ({"precision": 0.5}, r"call fit\(X, y\)"),
    ],
)
def test_impossible_thresholds_are_refused(wanted, message, rows):
    """The message names the share."""
    with pytest.raises(ValueError, match=message):
        SimilarityIndex().fit(rows).suggest_threshold(**wanted)


def test_a_threshold_needs_two_rows():
    """Nothing is near to the only one; and no two alike give no limit."""
    with pytest.raises(ValueError, match="at least 2"):
        SimilarityIndex().fit([[1.0, 2], [np.nan, 1]]).suggest_threshold()
    with pytest.raises(ValueError, match="no neighbor has the label"):
        SimilarityIndex().fit(np.eye(3), list("abc")).suggest_threshold()


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.95])
def test_new_images_of_the_kind_are_answered_as_often_as_promised(coverage):
    """By simulation; the promise holds on average over collections."""
    rng = np.random.default_rng(0)
    answered = []
    for _ in range(60):
        X = rng.normal(size=(60, 3))
        index = SimilarityIndex(1, metric="euclidean").fit(X)
        limit = index.suggest_threshold(coverage=coverage)
        _, ids = index.search(rng.normal(size=(200, 3)), max_distance=limit)
        answered.append(np.mean([len(found) > 0 for found in ids]))

    error = np.std(answered) / np.sqrt(60)
    assert coverage - 3 * error <= np.mean(answered) < coverage + 0.05


def test_few_images_give_the_largest_distance_they_know():
    """That of 5 covers 5 of 6 new ones; 19 of 20 they cannot promise."""
    X = np.random.default_rng(0).normal(size=(5, 3))
    index = SimilarityIndex().fit(X)

    largest = index.kneighbors(n_neighbors=1)[0].max()
    assert index.suggest_threshold(coverage=0.95) == largest


def test_a_threshold_by_precision_keeps_it(blobs):
    """What search then answers is right as often as asked."""
    X, y = blobs
    X = X + np.random.default_rng(0).normal(scale=9, size=X.shape)
    index = SimilarityIndex(5).fit(X, y)

    limit = index.suggest_threshold(precision=0.9)

    _, ids = index.search(max_distance=limit)
    right = np.concatenate([y[found] == y[i] for i, found in enumerate(ids)])
    assert right.mean() >= 0.9
    _, ids = index.search()
    assert np.concatenate([y[f] == y[i] for i, f in enumerate(ids)]).mean() < 0.9


def _mean_average_precision(X, y, **parameters):
    index = SimilarityIndex(**parameters).fit(X)
    indices = index.kneighbors(n_neighbors=len(X) - 1, return_distance=False)
    _, kind, count = np.unique(y, return_inverse=True, return_counts=True)
    return average_precision_at_k(y[indices] == y[:, None], count[kind] - 1)


def test_neighbours_improve_queries_and_rows(animals):
    """On photographs; on all 1,467 the gain is from 0.756 to 0.866."""
    plain = _mean_average_precision(animals.X, animals.target)

    expanded = _mean_average_precision(animals.X, animals.target, query_expansion=10)
    both = _mean_average_precision(
        animals.X, animals.target, query_expansion=10, database_augmentation=10
    )

    assert plain + 0.02 < expanded
    assert plain + 0.06 < both


def test_most_strangers_are_told_that_nothing_is_similar(animals):
    """Each kind of animal in turn is unknown; nine answers in ten are to be right."""
    X, y = animals.X, np.asarray(animals.target)
    lonely = []
    for kind in np.unique(y):
        index = SimilarityIndex().fit(X[y != kind], y[y != kind])
        by_precision = index.suggest_threshold(precision=0.9)
        by_coverage = index.suggest_threshold(coverage=0.95)
        lonely.append(
            [
                np.mean([len(f) == 0 for f in index.search(X[y == kind], 1, limit)[0]])
                for limit in (by_precision, by_coverage)
            ]
        )

    by_precision, by_coverage = np.mean(lonely, axis=0)
    assert by_precision > 0.4
    assert by_coverage > 0.2


@pytest.mark.parametrize("algorithm", ["exact", "pynndescent"])
def test_threads_answer_as_one_does(algorithm):
    """An index serves several requests at once."""
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
assert not {"torch", "numba"} & set(sys.modules)
rng = np.random.default_rng(0)
X = rng.normal(size=(60_000, 80)).astype(np.float32)  # too many to compare at once
parts = [X[i * 400 : i * 400 + 400] for i in range(4)]
index = SimilarityIndex().fit(X)
with ThreadPoolExecutor(4) as pool:
    together = list(pool.map(lambda part: index.kneighbors(part, 3), parts))
assert "numba" in sys.modules
import torch
with ThreadPoolExecutor(4) as pool:
    again = list(pool.map(lambda part: index.kneighbors(part, 3), parts))
for part, *answers in zip(parts, together, again):
    alone = index.kneighbors(part, 3)
    for found in answers:
        np.testing.assert_array_equal(found[0], alone[0])
        np.testing.assert_array_equal(found[1], alone[1])
"""


def test_threads_may_be_the_first_to_load_what_is_loaded_late():
    """Torch and numba come with the first search that needs them."""
    done = subprocess.run(
        [sys.executable, "-c", IN_THREADS],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("as_query", [np.float32, np.float64])
def test_distances_of_search_are_those_of_kneighbors(as_query, rows):
    """One answer in two forms."""
    index = SimilarityIndex(4).fit(rows, ids=[f"{i}" for i in range(50)])

    near, ids = index.search(rows[:6].astype(as_query))

    distances, indices = index.kneighbors(rows[:6].astype(as_query))
    assert_array_equal(np.array(ids), index.ids_[indices])
    assert_array_equal(np.array(near), distances)
