"""Validation of parameters and arrays, with private functions of scikit-learn."""

import os
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, TypeGuard, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import _fit_context
from sklearn.utils import _param_validation
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.validation import validate_data

__all__ = [
    "ANY_INTEGER",
    "ANY_NUMBER",
    "RANDOM_STATE",
    "HasMethods",
    "Interval",
    "StrOptions",
    "check_rows",
    "check_rows_to_fit",
    "find_readable_rows",
    "fit_context",
    "floats_for",
    "is_integer",
    "is_number",
    "spread_labels",
    "validate_params",
]


_FLOATS = (np.float32, np.float64)

Function = TypeVar("Function", bound=Callable[..., Any])


def is_integer(value: Any) -> TypeGuard[int]:
    """Return whether a value is an integer. True and False are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: Any) -> TypeGuard[float]:
    """Return whether a value is a real number, perhaps NaN. True and False are not."""
    return isinstance(value, Real) and not isinstance(value, bool)


class Interval(_param_validation.Interval):
    """scikit-learn's interval of numbers, without True and False."""

    def is_satisfied_by(self, val: Any) -> bool:
        """Return whether a value is a number in the interval."""
        return is_number(val) and bool(super().is_satisfied_by(val))


ANY_INTEGER = Interval(Integral, None, None, closed="neither")
ANY_NUMBER = Interval(Real, None, None, closed="neither")
RANDOM_STATE = [
    Interval(Integral, 0, 2**32 - 1, closed="both"),
    np.random.RandomState,
    None,
]


def fit_context(
    *, prefer_skip_nested_validation: bool
) -> Callable[[Function], Function]:
    """Return scikit-learn's decorator of `fit`, which checks the parameters first.

    Declared here so that the decorated method keeps its signature for type checkers.
    """
    decorate: Callable[[Function], Function] = _fit_context(
        prefer_skip_nested_validation=prefer_skip_nested_validation
    )
    return decorate


def validate_params(
    constraints: dict[str, Any], *, prefer_skip_nested_validation: bool
) -> Callable[[Function], Function]:
    """Return scikit-learn's decorator of functions, which checks their parameters.

    Declared here so that the decorated function keeps its signature for type checkers.
    """
    decorate: Callable[[Function], Function] = _param_validation.validate_params(
        constraints, prefer_skip_nested_validation=prefer_skip_nested_validation
    )
    return decorate


def check_rows(estimator: Any, X: Any, *, reset: bool) -> NDArray[Any]:
    """Return X as float32 or float64. Rows may contain NaN, but not infinity."""
    first = X[0] if isinstance(X, list | tuple) and len(X) else None
    if isinstance(first, str | os.PathLike):
        raise TypeError(
            f"X must be an array of numbers; got paths such as {str(first)!r}; put an "
            f"embedder before {type(estimator).__name__} in a pipeline, for example "
            f"make_pipeline(ImageEmbedder(), {type(estimator).__name__}())."
        )
    rows: NDArray[Any] = validate_data(
        estimator,
        X,
        dtype=floats_for(X),
        ensure_all_finite="allow-nan",
        reset=reset,
    )
    return rows


def floats_for(X: Any) -> tuple[type, ...]:
    """Return the accepted dtypes; other dtypes are converted to the first one."""
    dtype: Any = getattr(X, "dtype", None)
    # float32 cannot represent every integer of 32 bits or more.
    is_wide = getattr(dtype, "kind", None) in ("i", "u") and dtype.itemsize > 2
    return _FLOATS[::-1] if is_wide else _FLOATS


def check_rows_to_fit(estimator: Any, X: Any) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return X and a mask of the rows without NaN. At least one row is required."""
    rows = check_rows(estimator, X, reset=True)
    readable = find_readable_rows(rows)
    if not readable.any():
        raise ValueError(
            f"every row of X contains NaN: none of the {len(rows)} images could be "
            f"read."
        )
    return rows, readable


def find_readable_rows(X: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which rows do not contain NaN, which stands for an unreadable image."""
    readable: NDArray[np.bool_] = ~np.isnan(X).any(axis=1)
    return readable


def spread_labels(
    labels: NDArray[Any], readable: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return labels for all rows, with -1 for rows that are not readable."""
    spread = np.full(len(readable), -1, dtype=np.int64)
    spread[readable] = labels
    return spread
