"""Tests of labels and their names, as maps and galleries take them."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from imgsim.display._labels import as_label_column, name_label


@pytest.mark.parametrize("dtype", [np.int8, np.int64, object, "Int64"], ids=str)
def test_integers_of_every_dtype_are_labels(dtype):
    """Every negative label becomes -1, which means noise."""
    column = as_label_column(pd.Series([3, 0, -7], dtype=dtype))

    assert column.dtype.kind == "i"
    assert_array_equal(column, [3, 0, -1])


def test_unsigned_integers_keep_their_values():
    """They must not be converted to signed integers."""
    assert_array_equal(as_label_column(np.array([2**63, 0], np.uint64)), [2**63, 0])


@pytest.mark.parametrize("dtype", [str, object], ids=str)
def test_names_are_strings(dtype):
    """Objects and strings give the same column."""
    column = as_label_column(np.array(["zebra", "a"], dtype=dtype))

    assert column.dtype.kind == "U"
    assert column.tolist() == ["zebra", "a"]


@pytest.mark.parametrize(
    ("labels", "dtype"),
    [
        ([0.5, 1.0], "float64"),
        (["a", 1, None], "object"),
        (pd.Series([1, None], dtype="Int64"), "Int64 with missing values"),
    ],
    ids=str,
)
def test_other_labels_are_refused(labels, dtype):
    """The message names their dtype."""
    labels = labels if isinstance(labels, pd.Series) else np.array(labels)

    with pytest.raises(ValueError, match=f"integers or strings; got dtype {dtype}"):
        as_label_column(labels)


@pytest.mark.parametrize(
    "names", [["a", "b"], np.array(["a", "b"]), {0: "a", 9: "z"}], ids=str
)
def test_a_label_without_a_name_is_numbered(names):
    """Names may be a sequence or a mapping."""
    expected = ["a", "cluster 5", "noise"]
    assert [name_label(n, names) for n in (0, 5, -1)] == expected
    assert name_label(0, None) == "cluster 0"
