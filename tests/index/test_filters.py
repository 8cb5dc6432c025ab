"""What is ruled out is in no answer, and what is not is not lost by it."""

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
    """Return an index of the rows, named "0" to "29"."""
    return SimilarityIndex(5, metric="euclidean").fit(
        rows, ids=list(map(str, range(30)))
    )


def _nearest(queries, rows, allowed, k):
    order = np.argsort(cdist(queries, rows), axis=1)
    return [[str(j) for j in line if allowed[j]][:k] for line in order]


def test_a_mask_says_who_may_be_found(index, rows):
    """As many answers as without it, as long as there are rows."""
    where = np.arange(30) % 3 == 0

    _, ids = index.search(rows, where=where)

    assert [found.tolist() for found in ids] == _nearest(rows, rows, where, 5)


@pytest.mark.parametrize("n_allowed", [0, 1, 2, 5, 6])
def test_a_mask_of_few_rows_leaves_all_of_them(n_allowed, index, rows):
    """Rows that the mask rules out ask, too, and lose none to themselves."""
    where = np.arange(30) < n_allowed

    _, ids = index.search(where=where)

    others = np.where(np.eye(30, dtype=bool), np.inf, cdist(rows, rows))
    for i, found in enumerate(ids):
        order = [j for j in np.argsort(others[i]) if where[j] and j != i]
        assert found.tolist() == [str(j) for j in order[:5]]


@pytest.mark.parametrize("as_sequence", [list, tuple, set, np.array])
def test_ids_are_left_out_of_all_answers(as_sequence, index, rows):
    """Unknown ones are ignored."""
    _, ids = index.search(rows, exclude_ids=as_sequence(["3", "17", "unknown"]))

    allowed = ~np.isin(np.arange(30), [3, 17])
    assert [found.tolist() for found in ids] == _nearest(rows, rows, allowed, 5)


@pytest.mark.parametrize("as_list", [list, set, frozenset, np.array])
def test_ids_are_left_out_of_single_answers(as_list, index, rows):
    """What a user has seen, user by user; none for the last."""
    seen = [["0", "1", "2"], [str(i) for i in range(28)], []]

    _, ids = index.search(rows[:3], exclude_ids=[as_list(names) for names in seen])

    for i, names in enumerate(seen):
        allowed = ~np.isin(np.arange(30).astype(str), names)
        assert [ids[i].tolist()] == _nearest(rows[i : i + 1], rows, allowed, 5)


def test_a_mask_and_ids_go_together(index, rows):
    """A row has to pass both."""
    where = np.arange(30) < 10

    _, ids = index.search(rows, 30, where=where, exclude_ids=["1", "2", "20"])

    allowed = where & ~np.isin(np.arange(30), [1, 2])
    assert [found.tolist() for found in ids] == _nearest(rows, rows, allowed, 30)


def test_tuples_are_ids_and_no_lists_of_ids(rows):
    """A pair may name a row."""
    names = [("a", i) for i in range(30)]
    index = SimilarityIndex(1).fit(rows, ids=names)

    _, ids = index.search(rows[:2], exclude_ids=[("a", 0), ("a", 1)])

    assert not {("a", 0), ("a", 1)} & {found[0] for found in ids}


def test_a_mask_follows_the_rows_that_are_there(index, rows):
    """Its order is that of `ids_`, after removals, too."""
    index.remove(["0", "4"])

    _, ids = index.search(rows[:1], where=index.ids_ == "7")

    assert [found.tolist() for found in ids] == [["7"]]


@pytest.mark.parametrize(
    "where",
    [np.ones(29, bool), np.ones(30), np.ones((30, 1), bool), list(range(30)), "all"],
)
def test_another_mask_is_refused(where, index, rows):
    """Of another length, or of numbers, which would be taken for positions."""
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
def test_other_exclusions_are_refused(exclude_ids, error, message, index, rows):
    """The message names the parameter."""
    with pytest.raises(error, match=message):
        index.search(rows, exclude_ids=exclude_ids)
