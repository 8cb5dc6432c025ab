"""Checks of input: the one place that touches scikit-learn's private names."""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import _fit_context as fit_context
from sklearn.utils._param_validation import (
    Interval,
    StrOptions,
    validate_params,
)
from sklearn.utils.validation import validate_data

__all__ = [
    "Interval",
    "StrOptions",
    "check_rows",
    "find_readable_rows",
    "fit_context",
    "validate_params",
]


def check_rows(estimator: Any, X: Any, *, reset: bool) -> NDArray[Any]:
    """Return embeddings as float32 or float64; rows may hold NaN, none infinity."""
    first = X[0] if isinstance(X, list | tuple) and len(X) else None
    if isinstance(first, str | os.PathLike):
        raise TypeError(
            f"X must be rows of numbers; got paths such as {str(first)!r}: put an "
            f"embedder before {type(estimator).__name__}, as in make_pipeline."
        )
    rows: NDArray[Any] = validate_data(
        estimator,
        X,
        dtype=(np.float32, np.float64),
        ensure_all_finite="allow-nan",
        reset=reset,
    )
    return rows


def find_readable_rows(X: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which rows are embeddings, and not the NaN of an unreadable image."""
    readable: NDArray[np.bool_] = ~np.isnan(X).any(axis=1)
    return readable
