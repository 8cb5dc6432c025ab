"""The magnitudes of values for which distances do not overflow or underflow."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

# By size of the dtype in bytes. The squares of these numbers can be represented.
_SQUARABLE = {4: (1e-15, 1e15), 8: (1e-150, 1e150)}
_LARGEST = {4: 1e33, 8: 1e280}
_SMALLEST_LENGTH = 1e-280  # of a row whose direction can be computed
# The dimension of these distances is the square of the dimension of the rows, or their
# parameters are variances.
_SQUARED_METRICS = ("inner_product", "mahalanobis", "seuclidean", "sqeuclidean")
_METRICS_OF_DIRECTION = ("correlation", "cosine")
# These distances do not change if all rows are multiplied by a number.
_RATIO_METRICS = (*_METRICS_OF_DIRECTION, "braycurtis", "canberra", "jensenshannon")
_NORMS = ("euclidean", "mahalanobis", "minkowski", "seuclidean")
SAFE_SUM = 1e-280, 1e280  # of powers of differences
_N_VALUES = 2**20


def check_magnitudes(rows: NDArray[Any], metric: str | Callable[..., float]) -> None:
    """Raise ValueError if a distance of a row could not be represented or computed."""
    if callable(metric) or not rows.size:
        return
    size = rows.dtype.itemsize
    largest = _LARGEST[size]
    if metric in _RATIO_METRICS:
        largest = _LARGEST[8]
    elif metric in _SQUARED_METRICS:
        largest = _SQUARABLE[size][1]
    if largest < float(np.finfo(rows.dtype).max):
        check_largest_value(rows, metric, largest)
    if metric in _METRICS_OF_DIRECTION and size == 8:
        _check_lengths(rows, metric)


def check_magnitudes_to_fit(
    rows: NDArray[Any], metric: str | Callable[..., float]
) -> None:
    """Raise ValueError, in addition, if the distances between all rows would be 0."""
    check_magnitudes(rows, metric)
    if metric in _SQUARED_METRICS and metric != "inner_product":
        check_smallest_value(rows, metric, _SQUARABLE[rows.dtype.itemsize][0])


def check_largest_value(rows: NDArray[Any], metric: Any, largest: float) -> None:
    """Raise ValueError if a value of a readable row exceeds `largest`."""
    found = _largest_value(rows)
    if found > largest:
        raise ValueError(
            f"X contains a value of magnitude {found:.3g}, but it must be at most "
            f"{largest:g} for metric={metric!r} and {rows.dtype}: scale X."
        )


def check_smallest_value(rows: NDArray[Any], metric: Any, smallest: float) -> None:
    """Raise ValueError if all values are below `smallest`, and not all are 0."""
    found = _largest_value(rows)
    if 0 < found < smallest:
        raise ValueError(
            f"the largest value of X has the magnitude {found:.3g}, but it must be at "
            f"least {smallest:g} for metric={metric!r} and {rows.dtype}: scale X."
        )


def check_variances(variances: NDArray[np.float64]) -> None:
    """Raise ValueError if differences cannot be divided by these variances."""
    variances = np.asarray(variances, dtype=np.float64)
    invalid = ~((variances > SAFE_SUM[0]) & (variances < SAFE_SUM[1]))
    if invalid.any():
        i = int(np.flatnonzero(invalid)[0])
        raise ValueError(
            f"metric='seuclidean' requires a positive variance of each feature, but "
            f"feature {i} has the variance {variances[i]:g}: remove the feature, scale "
            f"X, or pass other variances as metric_params={{'V': ...}}."
        )


def _largest_value(rows: NDArray[Any]) -> float:
    """Return the largest magnitude of a value that is not NaN, without a copy."""
    if not rows.size:
        return 0.0
    return float(max(np.fmax.reduce(rows, axis=None), -np.fmin.reduce(rows, axis=None)))


def _check_lengths(rows: NDArray[Any], metric: str) -> None:
    lengths = np.maximum(rows.max(axis=1), -rows.min(axis=1))
    too_short = lengths[(lengths > 0) & (lengths < _SMALLEST_LENGTH)]
    if len(too_short):
        raise ValueError(
            f"the largest value of a row of X has the magnitude {too_short[0]:.3g}, "
            f"but it must be 0, or at least {_SMALLEST_LENGTH:g} for "
            f"metric={metric!r}: scale X."
        )


def correct_distances(
    distances: NDArray[np.float64],
    queries: NDArray[Any],
    rows: NDArray[Any],
    pairs: tuple[NDArray[np.int64], NDArray[np.int64]] | None,
    metric: str | Callable[..., float],
    params: dict[str, Any],
) -> None:
    """Compute distances again, in place, if powers of differences left their range.

    `distances` are the distances of all queries to all rows, or those of pairs of
    positions.
    """
    p = params.get("p", 2) if metric == "minkowski" else 2
    if metric not in _NORMS or not np.isfinite(p):
        return
    smallest, largest = np.array(SAFE_SUM) ** (1 / max(p, 1))
    # A difference is so small only if both values are, because it is a multiple of the
    # rounding unit of the larger value.
    smallest_value = smallest / np.finfo(np.float64).eps
    finfo = np.finfo(rows.dtype)
    if float(finfo.smallest_subnormal) > smallest_value and float(finfo.max) < largest:
        return
    suspicious = np.nonzero(~((distances > smallest) & (distances < largest)))
    query, row = suspicious if pairs is None else (p[suspicious] for p in pairs)
    is_extreme = _find_extreme(queries, query, smallest_value, largest)
    is_extreme |= _find_extreme(rows, row, smallest_value, largest)
    places = tuple(axis[is_extreme] for axis in suspicious)
    query, row = query[is_extreme], row[is_extreme]
    origin = np.zeros((1, rows.shape[1]))
    for part in _batches(len(query), rows.shape[1]):
        difference = queries[query[part]].astype(np.float64) - rows[row[part]]
        unit = np.abs(difference).max(axis=1, keepdims=True)
        unit[unit == 0] = 1
        scaled = cdist(difference / unit, origin, metric, **params)
        distances[tuple(axis[part] for axis in places)] = (scaled * unit)[:, 0]


def _find_extreme(
    rows: NDArray[Any], chosen: NDArray[np.int64], smallest: float, largest: float
) -> NDArray[np.bool_]:
    """Return which of the chosen rows have extreme values other than 0."""
    distinct, position = np.unique(chosen, return_inverse=True)
    is_extreme = np.zeros(len(distinct), dtype=bool)
    for part in _batches(len(distinct), rows.shape[1]):
        values = np.abs(rows[distinct[part]])
        is_far = (values > largest) | ((values < smallest) & (values > 0))
        is_extreme[part] = is_far.any(axis=1)
    return is_extreme[position]


def _batches(n: int, n_features: int) -> Iterator[slice]:
    step = max(1, _N_VALUES // n_features)
    return (slice(start, start + step) for start in range(0, n, step))
