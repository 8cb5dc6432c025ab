"""What a distance between two rows means, and what a search has to know of a row."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from imgsim._validation import find_readable_rows

# How a pair of rows is compared; the compiled loops know these by number.
SQUARED, PRODUCT, ABSOLUTE, LARGEST, JACCARD = range(5)

KINDS = {
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
OTHER_NAMES = {"cityblock": "manhattan", "l1": "manhattan", "l2": "euclidean"}
SLOW_METRICS = {
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
}
BOOLEAN_METRICS = {
    "dice",
    "hamming",
    "jaccard",
    "rogerstanimoto",
    "russellrao",
    "sokalsneath",
    "yule",
}
_DIRECTIONS = ("cosine", "correlation")
_CDIST_NAMES = {SQUARED: "sqeuclidean", ABSOLUTE: "cityblock", LARGEST: "chebyshev"}
_ROUNDING = 4 * np.finfo(np.float64).eps
_FLOAT32_RANGE = (1e-12, 1e12)


@dataclass(frozen=True)
class RowTerms:
    """What a search has to know of each row, beside its values.

    `(row - shift) * scale` is the row as the metric sees it. The score of a row for a
    query, larger for nearer rows, is the product of query and row times `scale`, plus
    `bias`; computed in few digits it is wrong by a share of `size`, which is infinite
    where single precision does not reach.
    """

    shift: NDArray[np.float64]
    scale: NDArray[np.float64]
    bias: NDArray[np.float64]
    size: NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """A distance between rows."""

    name: str | Callable[[NDArray[Any], NDArray[Any]], float]
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> int | None:
        """Return how pairs are compared, or None for a metric of SciPy's."""
        return KINDS.get(self.name) if isinstance(self.name, str) else None

    @property
    def sees_directions(self) -> bool:
        """Tell whether the length of a row does not matter."""
        return self.name in _DIRECTIONS

    @property
    def is_linear(self) -> bool:
        """Tell whether products of rows rank them."""
        return self.kind in (SQUARED, PRODUCT)

    def describe(self, rows: NDArray[Any]) -> RowTerms:
        """Return the terms of each row."""
        n = len(rows)
        shift, scale, bias, size = np.zeros(n), np.ones(n), np.zeros(n), np.ones(n)
        if self.kind is None or self.kind == JACCARD:
            return RowTerms(shift, scale, bias, size)
        if self.kind == ABSOLUTE:
            size = np.abs(rows).sum(axis=1, dtype=np.float64)
            return RowTerms(shift, scale, bias, _bounded(size))
        if self.kind == LARGEST:
            size = np.abs(rows).max(axis=1).astype(np.float64)
            return RowTerms(shift, scale, bias, _bounded(size))
        size = _lengths(rows)
        is_odd = np.isinf(_bounded(size))
        if self.name == "correlation":
            shift = rows.mean(axis=1, dtype=np.float64)
        if self.sees_directions:
            length = _lengths(rows, shift)
            length[length <= _ROUNDING * size] = 0  # a row of equal numbers
            scale = np.divide(1, length, out=np.zeros(n), where=length > 0)
            size = size * scale
        elif self.kind == SQUARED:
            bias = -(size**2) / 2
        size[is_odd] = np.inf
        return RowTerms(shift, scale, bias, size)

    def seen(self, rows: NDArray[Any], terms: RowTerms) -> NDArray[np.float64]:
        """Return rows as the metric sees them, in double precision."""
        shifted = rows.astype(np.float64) - terms.shift[:, np.newaxis]
        return shifted * terms.scale[:, np.newaxis]

    def seen_singly(self, rows: NDArray[Any], terms: RowTerms) -> NDArray[np.float32]:
        """Return rows as the metric sees them, in single precision."""
        if self.name == "correlation":
            return self.seen(rows, terms).astype(np.float32)
        values = np.ascontiguousarray(rows, dtype=np.float32)
        if self.sees_directions:
            values = values * terms.scale.astype(np.float32)[:, np.newaxis]
        return values

    def score_at(
        self, distance: float, query_size: NDArray[np.float64], n_features: int
    ) -> NDArray[np.float64]:
        """Return the scores of rows at a distance from queries of these sizes."""
        if self.name in (*_DIRECTIONS, "inner_product"):
            return np.full(len(query_size), 1 - distance)
        if self.kind != SQUARED:
            return np.full(len(query_size), -distance)
        squared = {"euclidean": distance**2, "hamming": distance * n_features}
        return (query_size**2 - squared.get(str(self.name), distance)) / 2

    def size_seen(self, terms: RowTerms) -> NDArray[np.float64]:
        """Return the sizes of rows as the metric sees them."""
        return (terms.scale > 0).astype(float) if self.sees_directions else terms.size

    def finish(
        self,
        compared: NDArray[np.float64],
        query_scale: NDArray[np.float64],
        row_scale: NDArray[np.float64],
        n_features: int,
    ) -> NDArray[np.float64]:
        """Turn what comparing pairs gave into distances."""
        if self.name == "euclidean":
            return np.sqrt(compared)
        if self.name == "hamming":
            return compared / n_features
        if self.sees_directions:
            has_directions = (query_scale > 0) & (row_scale > 0)
            return np.where(has_directions, compared / 2, 1.0)
        return compared

    def between(
        self,
        queries: NDArray[Any],
        query_terms: RowTerms,
        rows: NDArray[Any],
        row_terms: RowTerms,
    ) -> NDArray[np.float64]:
        """Return the distances of all pairs, in double precision, row by row."""
        if self.kind is None:
            name, params = self.name, self.params
            if callable(name):  # SciPy would go by its name, if that is one it knows
                name, params = partial(_call, name, params), {}
            return np.asarray(
                cdist(
                    _as_scipy_wants(queries, self.name),
                    _as_scipy_wants(rows, self.name),
                    name,
                    **params,
                )
            )
        left, right = self.seen(queries, query_terms), self.seen(rows, row_terms)
        if self.kind == PRODUCT:
            # Unlike a product of matrices, equal for equal rows.
            return np.asarray(1 - np.einsum("if,jf->ij", left, right))
        if self.kind == JACCARD:
            return np.asarray(cdist(left > 0, right > 0, "jaccard"))
        return self.finish(
            cdist(left, right, _CDIST_NAMES[self.kind]),
            query_terms.scale[:, np.newaxis],
            row_terms.scale[np.newaxis],
            queries.shape[1],
        )


def make_metric(
    name: str | Callable[..., float], params: dict[str, Any] | None, rows: NDArray[Any]
) -> Metric:
    """Return the metric of this name, with what it learns from the rows."""
    if isinstance(name, str):
        name = OTHER_NAMES.get(name, name)
    params = dict(params or {})
    if params and isinstance(name, str) and name in KINDS:
        raise ValueError(f"metric={name!r} takes no metric_params, got {params}.")
    if name == "precomputed":
        raise ValueError(
            "metric='precomputed' has no rows to search among: pass the distances to "
            "sklearn.neighbors.NearestNeighbors(metric='precomputed')."
        )
    if name in ("seuclidean", "mahalanobis"):
        rows = rows[find_readable_rows(rows)]
    if name == "seuclidean":
        params.setdefault("V", np.var(rows, axis=0, ddof=1, dtype=np.float64))
    if name == "mahalanobis" and "VI" not in params:
        params["VI"] = np.linalg.pinv(np.cov(rows.T.astype(np.float64)))
    return Metric(name, params)


def check_max_distance(
    max_distance: float | None, metric: str | Callable[..., float]
) -> float:
    """Return a limit of distances, infinity for None, or raise ValueError.

    Only the distances of "inner_product" may be negative.
    """
    limit = np.inf if max_distance is None else max_distance
    least = -np.inf if metric == "inner_product" else 0
    if not isinstance(limit, Real) or not limit >= least:
        allowed = "a number" if metric == "inner_product" else "a number, at least 0"
        raise ValueError(f"max_distance={limit!r} must be {allowed}.")
    return float(limit)


def _bounded(size: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return infinity for rows too large or too small to score in single precision."""
    least, most = _FLOAT32_RANGE
    return np.where((size == 0) | ((size > least) & (size < most)), size, np.inf)


def _lengths(
    rows: NDArray[Any], shift: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return the Euclidean length of each row, a block of rows at a time."""
    lengths = np.empty(len(rows))
    step = max(1, 2**20 // rows.shape[1])
    for start in range(0, len(rows), step):
        block = rows[start : start + step].astype(np.float64)
        if shift is not None:
            block -= shift[start : start + step, np.newaxis]
        lengths[start : start + step] = np.sqrt(np.einsum("ij,ij->i", block, block))
    return lengths


def _call(function: Any, params: dict[str, Any], a: Any, b: Any) -> float:
    return float(function(a, b, **params))


def _as_scipy_wants(rows: NDArray[Any], name: Any) -> NDArray[Any]:
    is_boolean = isinstance(name, str) and name in BOOLEAN_METRICS
    return rows > 0 if is_boolean else rows.astype(np.float64)
