"""Metrics: distances between rows, and the terms of each row that a search needs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from imgsim._distance.magnitudes import (
    SAFE_SUM,
    check_variances,
    correct_distances,
)
from imgsim._validation import (
    find_readable_rows,
    is_number,
)

MetricName = Literal[
    "cosine",
    "correlation",
    "euclidean",
    "l2",
    "sqeuclidean",
    "manhattan",
    "cityblock",
    "l1",
    "chebyshev",
    "inner_product",
    "hamming",
    "jaccard",
    "braycurtis",
    "canberra",
    "dice",
    "jensenshannon",
    "mahalanobis",
    "minkowski",
    "rogerstanimoto",
    "russellrao",
    "seuclidean",
    "sokalsneath",
    "yule",
]

# How two rows are compared. The compiled loops identify each kind by its number.
SQUARED, PRODUCT, ABSOLUTE, LARGEST, JACCARD = range(5)

KIND_OF_METRIC = {
    "cosine": SQUARED,
    "euclidean": SQUARED,
    "sqeuclidean": SQUARED,
    "correlation": SQUARED,
    "hamming": SQUARED,
    "inner_product": PRODUCT,
    "manhattan": ABSOLUTE,
    "chebyshev": LARGEST,
    "jaccard": JACCARD,
}
METRIC_ALIASES = {"cityblock": "manhattan", "l1": "manhattan", "l2": "euclidean"}
SCIPY_METRICS = (
    "braycurtis",
    "canberra",
    "dice",
    "jensenshannon",
    "mahalanobis",
    "minkowski",
    "rogerstanimoto",
    "russellrao",
    "seuclidean",
    "sokalsneath",
    "yule",
)
BOOLEAN_METRICS = (
    "dice",
    "hamming",
    "jaccard",
    "rogerstanimoto",
    "russellrao",
    "sokalsneath",
    "yule",
)
_METRICS_OF_DIRECTION = ("cosine", "correlation")
_CDIST_NAMES = {SQUARED: "sqeuclidean", ABSOLUTE: "cityblock", LARGEST: "chebyshev"}
_ROUNDING = 4 * np.finfo(np.float64).eps
_FLOAT32_RANGE = (1e-12, 1e12)


@dataclass(frozen=True)
class RowTerms:
    """Terms of each row that a search needs in addition to the values of the row.

    The metric compares transformed rows, `(row - shift) * scale`. The score of a row
    for a query is larger if the row is nearer. For a linear metric, it is the inner
    product of the transformed query and the row, times `scale`, plus `bias`. The error
    of a score computed in low precision is bounded by a multiple of `size`, which is
    infinite for rows outside the range of float32.
    """

    shift: NDArray[np.float64]
    scale: NDArray[np.float64]
    bias: NDArray[np.float64]
    size: NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """A distance between rows."""

    name: str | Callable[..., float]
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> int | None:
        """Return the kind of comparison, or None for a SciPy metric or a function."""
        return KIND_OF_METRIC.get(self.name) if isinstance(self.name, str) else None

    @property
    def ignores_length(self) -> bool:
        """Return whether the metric compares only the directions of rows."""
        return self.name in _METRICS_OF_DIRECTION

    @property
    def is_linear(self) -> bool:
        """Return whether the order of rows by distance follows from inner products."""
        return self.kind in (SQUARED, PRODUCT)

    def compute_terms(self, rows: NDArray[Any]) -> RowTerms:
        """Return the terms of each row."""
        n = len(rows)
        shift, scale, bias, size = np.zeros(n), np.ones(n), np.zeros(n), np.ones(n)
        if self.kind is None or self.kind == JACCARD:
            return RowTerms(shift, scale, bias, size)
        if self.kind == ABSOLUTE:
            size = np.abs(rows).sum(axis=1, dtype=np.float64)
            return RowTerms(shift, scale, bias, _infinite_if_out_of_range(size))
        if self.kind == LARGEST:
            size = np.abs(rows).max(axis=1).astype(np.float64)
            return RowTerms(shift, scale, bias, _infinite_if_out_of_range(size))
        size = _euclidean_norms(rows)
        is_out_of_range = np.isinf(_infinite_if_out_of_range(size))
        if self.name == "correlation":
            shift = rows.mean(axis=1, dtype=np.float64)
        if self.ignores_length:
            norm = _euclidean_norms(rows, shift)
            norm[norm <= _ROUNDING * size] = 0  # all values of the row are equal
            scale = np.divide(1, norm, out=np.zeros(n), where=norm > 0)
            size = size * scale
        elif self.kind == SQUARED:
            with np.errstate(over="ignore"):  # rows out of range are not scored
                bias = -(size**2) / 2
        size[is_out_of_range] = np.inf
        return RowTerms(shift, scale, bias, size)

    def transform(self, rows: NDArray[Any], terms: RowTerms) -> NDArray[np.float64]:
        """Return the transformed rows, which the metric compares."""
        shifted = rows.astype(np.float64) - terms.shift[:, np.newaxis]
        return shifted * terms.scale[:, np.newaxis]

    def transform_to_float32(
        self, rows: NDArray[Any], terms: RowTerms
    ) -> NDArray[np.float32]:
        """Return the transformed rows in single precision."""
        if self.name == "correlation":
            return self.transform(rows, terms).astype(np.float32)
        values = np.ascontiguousarray(rows, dtype=np.float32)
        if self.ignores_length:
            values = values * terms.scale.astype(np.float32)[:, np.newaxis]
        return values

    def transformed_size(self, terms: RowTerms) -> NDArray[np.float64]:
        """Return the sizes of the transformed rows."""
        return (terms.scale > 0).astype(float) if self.ignores_length else terms.size

    def score_at_distance(
        self, distance: float, query_size: NDArray[np.float64], n_features: int
    ) -> NDArray[np.float64]:
        """Return the score of a row at this distance from queries of these sizes."""
        if self.name in (*_METRICS_OF_DIRECTION, "inner_product"):
            return np.full(len(query_size), 1 - distance)
        if self.kind != SQUARED:
            return np.full(len(query_size), -distance)
        # `distance**2` would raise OverflowError.
        squared = {"euclidean": distance * distance, "hamming": distance * n_features}
        return (query_size**2 - squared.get(str(self.name), distance)) / 2

    def finish(
        self,
        compared: NDArray[np.float64],
        query_scale: NDArray[np.float64],
        row_scale: NDArray[np.float64],
        n_features: int,
    ) -> NDArray[np.float64]:
        """Return distances, given the results of comparing transformed rows."""
        if self.name == "euclidean":
            return np.sqrt(compared)
        if self.name == "hamming":
            return compared / n_features
        if self.ignores_length:
            have_directions = (query_scale > 0) & (row_scale > 0)
            return np.where(have_directions, compared / 2, 1.0)
        return compared

    def pairwise_distances(
        self,
        queries: NDArray[Any],
        query_terms: RowTerms,
        rows: NDArray[Any],
        row_terms: RowTerms,
    ) -> NDArray[np.float64]:
        """Return the distance of each query to each row, in double precision."""
        if self.kind is None:
            name, params = self.name, self.params
            if callable(name):
                # The function is wrapped, because cdist replaces functions that have
                # the name of one of its own metrics.
                name, params = partial(_call, name, params), {}
            distances = np.asarray(
                cdist(
                    _convert_for_scipy(queries, self.name),
                    _convert_for_scipy(rows, self.name),
                    name,
                    **params,
                )
            )
            self.correct(distances, queries, rows)
            return distances
        left = self.transform(queries, query_terms)
        right = self.transform(rows, row_terms)
        if self.kind == PRODUCT:
            # In a matrix product, equal rows could have different results.
            return np.asarray(1 - np.einsum("if,jf->ij", left, right))
        if self.kind == JACCARD:
            return np.asarray(cdist(left > 0, right > 0, "jaccard"))
        distances = self.finish(
            cdist(left, right, _CDIST_NAMES[self.kind]),
            query_terms.scale[:, np.newaxis],
            row_terms.scale[np.newaxis],
            queries.shape[1],
        )
        self.correct(distances, queries, rows)
        return distances

    def correct(
        self,
        distances: NDArray[np.float64],
        queries: NDArray[Any],
        rows: NDArray[Any],
        pairs: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
    ) -> None:
        """Compute distances again, in place, if squares overflowed or underflowed.

        `distances` are the distances of all queries to all rows, or those of pairs of
        positions.
        """
        correct_distances(distances, queries, rows, pairs, self.name, self.params)


def make_metric(
    name: str | Callable[..., float], params: dict[str, Any] | None, rows: NDArray[Any]
) -> Metric:
    """Return a metric; parameters that are not given are computed from the rows."""
    if isinstance(name, str):
        name = METRIC_ALIASES.get(name, name)
    params = dict(params or {})
    if params and isinstance(name, str) and name in KIND_OF_METRIC:
        raise ValueError(
            f"metric={name!r} does not accept metric_params, got "
            f"{params}: pass metric_params=None."
        )
    if name == "precomputed":
        raise ValueError(
            "metric='precomputed' is not supported, because an index requires "
            "embeddings: pass the distances to "
            "sklearn.neighbors.NearestNeighbors(metric='precomputed')."
        )
    if name in ("seuclidean", "mahalanobis"):
        rows = rows[find_readable_rows(rows)]
    if name == "seuclidean":
        params.setdefault("V", np.var(rows, axis=0, ddof=1, dtype=np.float64))
        check_variances(params["V"])
    if name == "mahalanobis" and "VI" not in params:
        params["VI"] = np.linalg.pinv(np.cov(rows.T.astype(np.float64)))
    return Metric(name, params)


def check_max_distance(
    max_distance: float | None, metric: str | Callable[..., float]
) -> float:
    """Validate `max_distance`, and return it as a float, infinity for None.

    Only the metric "inner_product" has negative distances.
    """
    limit = np.inf if max_distance is None else max_distance
    allows_negative = metric == "inner_product"
    if not is_number(limit) or not limit >= (-np.inf if allows_negative else 0):
        bound = "" if allows_negative else ", at least 0"
        raise ValueError(f"max_distance={limit!r} must be a number{bound}.")
    return float(limit)


def _infinite_if_out_of_range(size: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return infinity for rows too large or too small to score in single precision."""
    smallest, largest = _FLOAT32_RANGE
    is_in_range = (size == 0) | ((size > smallest) & (size < largest))
    return np.where(is_in_range, size, np.inf)


def _euclidean_norms(
    rows: NDArray[Any], shift: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return the Euclidean norm of each row, computed in blocks of rows."""
    norms = np.empty(len(rows))
    step = max(1, 2**20 // rows.shape[1])
    for start in range(0, len(rows), step):
        block = rows[start : start + step].astype(np.float64)
        if shift is not None:
            block -= shift[start : start + step, np.newaxis]
        norms[start : start + step] = _norms_of_block(block)
    return norms


def _norms_of_block(block: NDArray[np.float64]) -> NDArray[np.float64]:
    squares = np.einsum("ij,ij->i", block, block)
    odd = np.flatnonzero(~((squares > SAFE_SUM[0]) & (squares < SAFE_SUM[1])))
    norms: NDArray[np.float64] = np.sqrt(squares)
    if len(odd):
        unit = np.abs(block[odd]).max(axis=1)
        unit[unit == 0] = 1
        scaled = block[odd] / unit[:, np.newaxis]
        norms[odd] = unit * np.sqrt(np.einsum("ij,ij->i", scaled, scaled))
    return norms


def _call(
    function: Callable[..., float],
    params: dict[str, Any],
    a: NDArray[Any],
    b: NDArray[Any],
) -> float:
    return float(function(a, b, **params))


def _convert_for_scipy(
    rows: NDArray[Any], name: str | Callable[..., float]
) -> NDArray[Any]:
    return rows > 0 if name in BOOLEAN_METRICS else rows.astype(np.float64)
