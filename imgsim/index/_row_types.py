"""Which types of number and label go together."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim._distance.metric import BOOLEAN_METRICS


def kind_of(labels: NDArray[Any]) -> str:
    """Return what sort of thing labels are; numbers are one."""
    return "number" if labels.dtype.kind in "biuf" else labels.dtype.kind


def is_boolean(X: ArrayLike) -> bool:
    """Tell whether rows are booleans, in an array, a list or a DataFrame."""
    dtypes = getattr(X, "dtypes", None)  # of a DataFrame
    if dtypes is None:
        return bool(np.asarray(X).dtype.kind == "b")
    return all(str(dtype) in ("bool", "boolean", "Boolean") for dtype in dtypes)


def check_values(rows: NDArray[Any], metric: Any) -> None:
    """Raise ValueError unless the metric can compare rows of these values."""
    if isinstance(metric, str) and metric in BOOLEAN_METRICS:
        odd = rows[~np.isnan(rows) & (rows != 0) & (rows != 1)]
        if len(odd):
            raise ValueError(
                f"metric={metric!r} compares boolean rows, and X holds {odd[0]:g}: "
                f"pass X > threshold, or another metric."
            )
