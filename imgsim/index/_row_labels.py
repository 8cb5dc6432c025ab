"""Labels of rows, converted to arrays and compared without rounding."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import column_or_1d

from imgsim._validation import is_integer
from imgsim._warnings import warn_caller


def as_labels(y: ArrayLike) -> NDArray[Any]:
    """Return labels as an array that represents each of them exactly."""
    labels: NDArray[Any] = np.asarray(column_or_1d(y))
    # NumPy converts a list of integers to floats if some of them exceed 64 bits.
    if labels.dtype.kind == "f" and isinstance(y, list | tuple) and _are_integers(y):
        return np.array(y, dtype=object)
    return labels


def have_equal_labels(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
    """Compare labels elementwise; NumPy 1 compares some integers as floats."""
    if not have_common_dtype(a, b):
        a, b = a.astype(object), b.astype(object)
    return np.asarray(a == b, dtype=bool)


def have_common_dtype(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Return whether labels can be converted to a common dtype without rounding."""
    kinds = a.dtype.kind, b.dtype.kind
    if not set(kinds) <= set("biuf"):
        return kinds[0] == kinds[1]
    if np.result_type(a, b).kind != "f":
        return True
    return all(_are_exact_as_floats(labels) for labels in (a, b))


def warn_of_unknown_labels(labels: NDArray[Any], known: NDArray[Any]) -> None:
    """Warn if labels of queries are not among the labels of the index."""
    names = set(known.tolist())
    n_unknown = sum(label not in names for label in labels.tolist())
    if n_unknown:
        warn_caller(
            f"{n_unknown} of {len(labels)} queries have a label that no row of the "
            f"index has, so their precision is 0. If the images are sorted by class, "
            f"pass cv=StratifiedKFold(shuffle=True) to cross-validation.",
            UserWarning,
        )


def _are_exact_as_floats(labels: NDArray[Any]) -> bool:
    if labels.dtype.kind not in "iu" or not labels.size:
        return True
    return int(labels.min()) >= -(2**53) and int(labels.max()) <= 2**53


def _are_integers(values: list[Any] | tuple[Any, ...]) -> bool:
    return all(is_integer(value) for value in values)
