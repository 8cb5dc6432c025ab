"""Ids name one row each, whatever they are."""

import numpy as np
import pytest

from imgsim.index._row_store import check_ids, make_ids, next_id


@pytest.mark.parametrize(
    "ids",
    [
        [1, "1", ("a", 1), 2.5, None, frozenset([1])],
        np.arange(6),
        np.array(list("abcdef")),
        range(6),
        tuple("abcdef"),
        [2**70, -(2**70), 0, "\udcff", "", b"\xff"],
    ],
    ids=["mixed", "integers", "words", "range", "tuple", "odd"],
)
def test_anything_hashable_names_a_row(ids):
    """They come back as they were, and in order."""
    expected = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)

    assert check_ids(ids, 6).tolist() == expected


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (["a", "b", "a"], ValueError, r"\[0\] and ids\[2\] are both 'a'"),
        ([1, True, 2], ValueError, r"\[0\] and ids\[1\] are both True"),
        ([1, 2], ValueError, "2 ids for 3 rows"),
        ([1, float("nan"), 2], ValueError, r"ids\[1\] is nan"),
        ([1, [2], 3], TypeError, r"ids\[1\] is \[2\]"),
        (np.ones((3, 2)), TypeError, r"ids\[0\] is "),
        ("abc", TypeError, "ids='abc' must be a sequence"),
        (b"abc", TypeError, "must be a sequence"),
        (3, TypeError, "ids=3 must be a sequence"),
        (iter("abc"), TypeError, "must be a sequence"),
    ],
)
def test_what_cannot_name_is_refused(ids, error, message):
    """With the row and its id."""
    with pytest.raises(error, match=message):
        check_ids(ids, 3)


def _after(ids, n_rows):
    return make_ids(next_id(ids, 0), n_rows).tolist()


def test_new_numbers_follow_the_largest():
    """Also above what a processor counts; those below zero are no reason to go on."""
    assert _after(np.array([3, 9, 4]), 2) == [10, 11]
    assert _after(check_ids([-5, -7], 2), 1) == [0]
    assert _after(check_ids([2**70], 1), 2) == [2**70 + 1, 2**70 + 2]
    assert next_id(np.array([3]), 7) == 7


def test_new_numbers_stay_whole_where_integers_end():
    """Two floats may be equal where the numbers are not."""
    assert _after(check_ids([2**63 - 1], 1), 2) == [2**63, 2**63 + 1]


def test_numbers_of_numpy_are_numbers():
    """As `list(array)` makes them; Python's may be written to a file."""
    ids = check_ids(list(np.arange(3)), 3)

    assert _after(ids, 1) == [3]
    assert all(type(name) is int for name in ids)


def test_words_are_not_counted_on():
    """Nothing follows "b"."""
    with pytest.raises(ValueError, match="ids must be passed"):
        _after(check_ids([1, "b"], 2), 1)
