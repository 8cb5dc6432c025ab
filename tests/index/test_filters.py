"""Filtered rows are not in any result, and no other row is lost."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from imgsim import SimilarityIndex


@pytest.fixture
def rows():
    """Return 30 rows of width 4."""
    return np.random.default_rng(0).normal(size=(30, 4))


@pytest.fixture
def index(rows):
    """Return an index of the rows with ids "0" to "29"."""
    return SimilarityIndex(5, metric="euclidean").fit(
        rows, ids=list(map(str, range(30)))
    )


def _nearest(queries, rows, allowed, k):
    order = np.argsort(cdist(queries, rows), axis=1)
    return [[str(j) for j in line if allowed[j]][:k] for line in order]


def test_only_rows_of_the_mask_are_found(index, rows):
    """The number of results is the same as without a mask, if there are enough rows."""
    where = np.arange(30) % 3 == 0

    _, ids = index.search(rows, where=where)

    assert [found.tolist() for found in ids] == _nearest(rows, rows, where, 5)


@pytest.mark.parametrize("n_allowed", [0, 1, 2, 5, 6])
def test_all_rows_of_a_small_mask_are_found(n_allowed, index, rows):
    """Rows outside the mask are queries, too. No result is lost to the query itself."""
    where = np.arange(30) < n_allowed

    _, ids = index.search(where=where)

    others = np.where(np.eye(30, dtype=bool), np.inf, cdist(rows, rows))
    for i, found in enumerate(ids):
        order = [j for j in np.argsort(others[i]) if where[j] and j != i]
        assert found.tolist() == [str(j) for j in order[:5]]


@pytest.mark.parametrize("as_sequence", [list, tuple, set, np.array])
def test_ids_are_excluded_from_all_results(as_sequence, index, rows):
    """Unknown ids are ignored."""
    _, ids = index.search(rows, exclude_ids=as_sequence(["3", "17", "unknown"]))

    allowed = ~np.isin(np.arange(30), [3, 17])
    assert [found.tolist() for found in ids] == _nearest(rows, rows, allowed, 5)


@pytest.mark.parametrize("as_list", [list, set, frozenset, np.array])
def test_ids_are_excluded_from_single_results(as_list, index, rows):
    """An example are the images that each user has already seen."""
    seen = [["0", "1", "2"], [str(i) for i in range(28)], []]

    _, ids = index.search(rows[:3], exclude_ids=[as_list(names) for names in seen])

    for i, names in enumerate(seen):
        allowed = ~np.isin(np.arange(30).astype(str), names)
        assert [ids[i].tolist()] == _nearest(rows[i : i + 1], rows, allowed, 5)


def test_a_mask_and_excluded_ids_are_combined(index, rows):
    """A row must pass both filters."""
    where = np.arange(30) < 10

    _, ids = index.search(rows, 30, where=where, exclude_ids=["1", "2", "20"])

    allowed = where & ~np.isin(np.arange(30), [1, 2])
    assert [found.tolist() for found in ids] == _nearest(rows, rows, allowed, 30)


def test_tuples_are_ids(rows):
    """A tuple may be the id of a row, so it is not a list of ids."""
    names = [("a", i) for i in range(30)]
    index = SimilarityIndex(1).fit(rows, ids=names)

    _, ids = index.search(rows[:2], exclude_ids=[("a", 0), ("a", 1)])

    assert not {("a", 0), ("a", 1)} & {found[0] for found in ids}


def test_a_mask_has_the_order_of_ids_after_removals(index, rows):
    """Row numbers change when rows are removed."""
    index.remove(["0", "4"])

    _, ids = index.search(rows[:1], where=index.ids_ == "7")

    assert [found.tolist() for found in ids] == [["7"]]


@pytest.mark.parametrize(
    "where",
    [np.ones(29, bool), np.ones(30), np.ones((30, 1), bool), list(range(30)), "all"],
)
def test_a_wrong_mask_is_refused(where, index, rows):
    """Numbers would be taken for positions, and another length for other rows."""
    with pytest.raises(
        ValueError, match=r"where must be a boolean mask of shape \(30,"
    ):
        index.search(rows, where=where)


@pytest.mark.parametrize(
    ("exclude_ids", "error", "message"),
    [
        ("3", TypeError, "exclude_ids='3' must be a sequence"),
        ([["1"], ["2"]], ValueError, "2 lists of ids for 30 queries"),
        (3, TypeError, "exclude_ids=3 must be a sequence"),
        ([["1"], "2"], TypeError, "exclude_ids"),
    ],
)
def test_wrong_exclusions_are_refused(exclude_ids, error, message, index, rows):
    """The message names the parameter."""
    with pytest.raises(error, match=message):
        index.search(rows, exclude_ids=exclude_ids)


def test_many_ids_may_be_excluded_from_one_result():
    """The other queries should not search for as many neighbors."""
    X = np.random.default_rng(0).normal(size=(1000, 8))
    index = SimilarityIndex(3).fit(X)

    _, ids = index.search(X[:2], exclude_ids=[list(range(500)), []])

    assert (
        ids[0].tolist()
        == [i for i in index.kneighbors(X[:1], 1000)[1][0].tolist() if i >= 500][:3]
    )
    assert ids[1].tolist() == index.kneighbors(X[[1]])[1][0].tolist()
