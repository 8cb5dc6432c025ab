"""Tests of an array that grows."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from imgsim.index._row_store import GrowingArray


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize("sizes", [[1], [3, 1, 1, 1, 20], [1] * 30, [0, 4, 0]])
def test_it_holds_what_was_appended_in_order(sizes, copy):
    """However often it had to make room."""
    parts = [np.random.default_rng(i).random((n, 2)) for i, n in enumerate(sizes)]
    array = GrowingArray(parts[0], copy=copy)

    for part in parts[1:]:
        array.append(part)

    assert_array_equal(array.values, np.concatenate(parts))


@pytest.mark.parametrize("copy", [True, False])
def test_the_first_rows_are_not_the_callers(copy):
    """Appending writes to none of them."""
    first = np.arange(4.0)
    array = GrowingArray(first[:2], copy=copy)

    array.append(np.array([9.0]))

    assert_array_equal(first, np.arange(4.0))
    assert not np.shares_memory(array.values, first)


def test_values_in_use_stay_as_they_are():
    """A search may be looking at them."""
    array = GrowingArray(np.arange(10))
    before = array.values

    array.append(np.array([7]))

    assert_array_equal(before, np.arange(10))
    assert np.shares_memory(array.values, before)


@pytest.mark.parametrize("n_more", [0, 1])
def test_a_read_only_array_can_grow(n_more):
    """As one that is mapped from a file."""
    first = np.arange(3)
    first.flags.writeable = False
    array = GrowingArray(first, copy=False)

    array.append(np.zeros(n_more, dtype=int))

    assert_array_equal(array.values, [0, 1, 2, *[0] * n_more])


@pytest.mark.parametrize(
    ("first", "more"),
    [
        (np.array(["a"]), np.array(["longer"])),
        (np.array([1]), np.array([1.5])),
        (np.array([1]), np.array(["a"], dtype=object)),
    ],
)
def test_it_takes_wider_types(first, more):
    """Without cutting off what does not fit."""
    array = GrowingArray(first)

    array.append(more)

    assert array.values.tolist() == [*first.tolist(), *more.tolist()]


def test_appending_costs_what_is_appended(monkeypatch):
    """All is moved a few times only, not each time."""
    moves = []
    reallocate = GrowingArray._reallocate
    monkeypatch.setattr(
        GrowingArray, "_reallocate", lambda *args: moves.append(1) or reallocate(*args)
    )
    array = GrowingArray(np.zeros(100))

    for _ in range(2000):
        array.append(np.zeros(1))

    assert len(array.values) == 2100
    assert len(moves) < 12


def test_pickles_hold_the_rows_and_no_room():
    """Room to spare is not worth sending."""
    array = GrowingArray(np.zeros(1000))

    pickled = pickle.dumps(array)
    copy = pickle.loads(pickled)
    copy.append(np.ones(2))

    assert len(pickled) < 8 * 1000 + 500
    assert_array_equal(copy.values, [*np.zeros(1000), 1, 1])
