"""Validation and names of the labels that displays accept."""

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import column_or_1d

NOISE = "noise"

LabelNames = Mapping[int, str] | Sequence[str]


def as_label_column(labels: ArrayLike) -> NDArray[Any]:
    """Return labels as integers or strings. Every negative integer becomes -1."""
    dtype: Any = getattr(labels, "dtype", None)
    kind = getattr(dtype, "kind", None)
    is_extension = kind in ("i", "u") and not isinstance(dtype, np.dtype)
    if is_extension:
        # NumPy would convert nullable integers of pandas to floats.
        labels = np.asarray(labels, dtype=object)
    column: NDArray[Any] = np.asarray(column_or_1d(labels))
    if column.dtype.kind == "O" and all(isinstance(label, str) for label in column):
        return column.astype(str)
    if column.dtype.kind == "O" and all(_is_integer(label) for label in column):
        largest = np.iinfo(np.int64).max
        if len(column) and max(column) > largest:
            raise ValueError(
                f"labels contains {max(column)}, but must be at most {largest}."
            )
        column = np.maximum(column, -1).astype(np.int64)
    if column.dtype.kind not in "iuU":
        given = f"{dtype} with missing values" if is_extension else column.dtype
        raise ValueError(f"labels must be integers or strings; got dtype {given}.")
    return np.maximum(column, -1) if column.dtype.kind == "i" else column


def name_label(label: int, names: LabelNames | None) -> str:
    """Return the name of an integer label; without a name, "cluster" and its number."""
    listed = () if names is None else names
    given = listed if isinstance(listed, Mapping) else dict(enumerate(listed))
    return str(given.get(label, NOISE if label < 0 else f"cluster {label}"))


def _is_integer(label: Any) -> bool:
    return isinstance(label, Integral) and not isinstance(label, bool | np.bool_)
