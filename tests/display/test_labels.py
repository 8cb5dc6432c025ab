"""Tests of labels of groups and their names, as maps and galleries take them."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from imgsim.display._labels import as_label_column, name_label


@pytest.mark.parametrize("dtype", [np.int8, np.int64, object, "Int64"], ids=str)
def test_integers_are_integers_wherever_they_come_from(dtype):
    """All below zero are in no group."""
    column = as_label_column(pd.Series([3, 0, -7], dtype=dtype))

    assert column.dtype.kind == "i"
    assert_array_equal(column, [3, 0, -1])


def test_unsigned_integers_keep_their_values():
    """There is nothing below zero."""
    assert_array_equal(as_label_column(np.array([2**63, 0], np.uint64)), [2**63, 0])


@pytest.mark.parametrize("dtype", [str, object], ids=str)
def test_names_are_strings(dtype):
    """Of fixed width, whatever they were."""
    column = as_label_column(np.array(["zebra", "a"], dtype=dtype))

    assert column.dtype.kind == "U"
    assert column.tolist() == ["zebra", "a"]


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ([0.5, 1.0], "float64"),
        (["a", 1, None], "object"),
        (pd.Series([1, None], dtype="Int64"), "Int64 with missing values"),
    ],
    ids=str,
)
def test_other_labels_are_refused(labels, found):
    """The message says what they are."""
    labels = labels if isinstance(labels, pd.Series) else np.array(labels)

    with pytest.raises(ValueError, match=f"integers or strings; got dtype {found}"):
        as_label_column(labels)


@pytest.mark.parametrize(
    "names", [["a", "b"], np.array(["a", "b"]), {0: "a", 9: "z"}], ids=str
)
def test_a_label_without_a_name_has_its_number(names):
    """Whether names are listed or looked up."""
    assert [name_label(n, names) for n in (0, 5, -1)] == ["a", "group 5", "no group"]
    assert name_label(0, None) == "group 0"
