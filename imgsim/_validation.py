"""Checks of input: the one place that touches scikit-learn's private names."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import _fit_context as fit_context
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    StrOptions,
    validate_params,
)

__all__ = [
    "HasMethods",
    "Interval",
    "InvalidParameterError",
    "StrOptions",
    "find_readable_rows",
    "fit_context",
    "validate_params",
]


def find_readable_rows(X: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which rows are embeddings, and not the NaN of an unreadable image."""
    readable: NDArray[np.bool_] = ~np.isnan(X).any(axis=1)
    return readable
