"""Tests of arrays that are extended without a copy."""

import pickle
from copy import deepcopy
from functools import reduce

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from imgsim.index._growing_array import GrowingArray


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize("sizes", [[1], [3, 1, 1, 1, 20], [1] * 30, [0, 4, 0]])
def test_an_extended_array_holds_all_rows_in_order(sizes, copy):
    """The buffer is reallocated several times."""
    parts = [np.random.default_rng(i).random((n, 2)) for i, n in enumerate(sizes)]

    array = reduce(GrowingArray.extended, parts[1:], GrowingArray(parts[0], copy=copy))

    assert_array_equal(array.values, np.concatenate(parts))


@pytest.mark.parametrize("copy", [True, False])
def test_the_input_is_not_changed(copy):
    """The first rows belong to the caller."""
    first = np.arange(4.0)

    array = GrowingArray(first[:2], copy=copy).extended(np.array([9.0]))

    assert_array_equal(first, np.arange(4.0))
    assert not np.shares_memory(array.values, first)


def test_an_array_does_not_change_when_it_is_extended():
    """A concurrent search may be reading it."""
    array = GrowingArray(np.arange(10))

    extended = array.extended(np.array([7]))

    assert_array_equal(array.values, np.arange(10))
    assert_array_equal(extended.values, [*range(10), 7])
    assert np.shares_memory(array.values, extended.values)


def test_an_array_may_be_extended_twice():
    """An index and its copy must not write to the same memory."""
    array = GrowingArray(np.arange(10)).extended(np.array([10]))

    first = array.extended(np.array([1, 2]))
    second = array.extended(np.array([3]))
    third = first.extended(np.array([4]))

    assert first.values.tolist() == [*range(11), 1, 2]
    assert second.values.tolist() == [*range(11), 3]
    assert third.values.tolist() == [*range(11), 1, 2, 4]


def test_a_failed_extension_leaves_no_trace():
    """The memory that it claimed is not used by anyone."""
    array = GrowingArray(np.zeros((4, 2)))

    with pytest.raises(ValueError, match="broadcast"):
        array.extended(np.ones((1, 3)))

    assert_array_equal(array.values, np.zeros((4, 2)))
    assert_array_equal(array.extended(np.ones((1, 2))).values[-1], [1, 1])


@pytest.mark.parametrize("n_more", [0, 1])
def test_a_read_only_array_can_be_extended(n_more):
    """Arrays that are mapped from a file are read-only."""
    first = np.arange(3)
    first.flags.writeable = False
    array = GrowingArray(first, copy=False)

    extended = array.extended(np.zeros(n_more, dtype=int))

    assert_array_equal(extended.values, [0, 1, 2, *[0] * n_more])


@pytest.mark.parametrize(
    ("first", "more"),
    [
        (np.array(["a"]), np.array(["longer"])),
        (np.array([1]), np.array([1.5])),
        (np.array([1]), np.array(["a"], dtype=object)),
    ],
)
def test_the_dtype_is_widened(first, more):
    """A longer string must not be truncated."""
    array = GrowingArray(first).extended(more)

    assert array.values.tolist() == [*first.tolist(), *more.tolist()]


def test_extending_rarely_copies_the_array():
    """Otherwise, adding rows one by one would take quadratic time."""
    array, n_copies = GrowingArray(np.zeros(100)), 0

    for _ in range(2000):
        extended = array.extended(np.zeros(1))
        n_copies += not np.shares_memory(extended.values, array.values)
        array = extended

    assert len(array.values) == 2100
    assert n_copies < 12


@pytest.mark.parametrize("copied", [deepcopy, lambda a: pickle.loads(pickle.dumps(a))])
def test_copies_do_not_hold_spare_capacity(copied):
    """It would be sent to every worker process."""
    array = GrowingArray(np.zeros(1000)).extended(np.ones(1))

    other = copied(array)

    assert len(pickle.dumps(array)) < 8 * 1000 + 500
    assert not np.shares_memory(other.values, array.values)
    assert_array_equal(other.extended(np.ones(2)).values, [*np.zeros(1000), 1, 1, 1])
