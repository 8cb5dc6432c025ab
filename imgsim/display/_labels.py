"""Labels of groups, and their names, as displays take them."""

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import column_or_1d

NO_GROUP = "no group"


def as_label_column(labels: ArrayLike) -> NDArray[Any]:
    """Return labels as integers of -1 and more, or as strings."""
    dtype: Any = getattr(labels, "dtype", None)
    kind = getattr(dtype, "kind", None)
    is_plain = isinstance(dtype, np.dtype) or kind not in ("i", "u")
    if not is_plain:
        labels = np.asarray(labels, dtype=object)  # of pandas, else made floats
    column: NDArray[Any] = np.asarray(column_or_1d(labels))
    if column.dtype.kind == "O" and all(isinstance(label, str) for label in column):
        return column.astype(str)
    if column.dtype.kind == "O" and all(_is_integer(label) for label in column):
        column = column.astype(np.int64)
    if column.dtype.kind not in "iuU":
        found = column.dtype if is_plain else f"{dtype} with missing values"
        raise ValueError(f"labels must be integers or strings; got dtype {found}.")
    return np.maximum(column, -1) if column.dtype.kind == "i" else column


def name_label(label: int, names: Mapping[int, str] | Sequence[str] | None) -> str:
    """Return the name of an integer label; one without a name has its number."""
    listed = () if names is None else names
    given = listed if isinstance(listed, Mapping) else dict(enumerate(listed))
    return str(given.get(label, NO_GROUP if label < 0 else f"group {label}"))


def _is_integer(label: Any) -> bool:
    return isinstance(label, Integral) and not isinstance(label, bool | np.bool_)
