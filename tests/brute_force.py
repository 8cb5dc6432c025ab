"""Helpers for tests of searches, with results by brute force."""

from decimal import Decimal, localcontext

import numpy as np
from scipy.spatial.distance import cdist

from imgsim._distance.metric import make_metric
from imgsim._distance.rows import Collection, DistanceRows

LINEAR = ("cosine", "correlation", "euclidean", "sqeuclidean", "inner_product")
SUMMED = ("manhattan", "chebyshev")
BOOLEAN = ("hamming", "jaccard")
METRICS = (*LINEAR, *SUMMED, *BOOLEAN)


def make_search(X, queries, metric, allowed=None, device="cpu"):
    """Return queries and a collection as the internal search functions expect them."""
    described = make_metric(metric, None, X)
    if allowed is None:
        allowed = np.ones(len(X), dtype=bool)
    collection = Collection(
        DistanceRows(X, described.compute_terms(X)), allowed, described, device=device
    )
    return DistanceRows(queries, described.compute_terms(queries)), collection


def draw(metric, n_rows, n_features, dtype=np.float32, seed=0):
    """Return random rows that the metric can compare."""
    rng = np.random.default_rng(seed)
    if metric in BOOLEAN:
        return rng.integers(2, size=(n_rows, n_features)).astype(dtype)
    return rng.normal(size=(n_rows, n_features)).astype(dtype)


def brute_force(queries, X, metric):
    """Return the distances of all pairs by SciPy, as scikit-learn defines them."""
    left, right = queries.astype(np.float64), X.astype(np.float64)
    if metric == "inner_product":
        return 1 - (left[:, np.newaxis] * right[np.newaxis]).sum(axis=2)
    if metric in BOOLEAN:
        return cdist(left > 0, right > 0, metric)
    if metric == "correlation":
        left = left - left.mean(axis=1, keepdims=True)
        right = right - right.mean(axis=1, keepdims=True)
    if metric not in ("cosine", "correlation"):
        return cdist(left, right, {"manhattan": "cityblock"}.get(metric, metric))
    # SciPy's cosine distance is NaN for rows of zeros.
    zero_left, zero_right = ~left.any(axis=1), ~right.any(axis=1)
    left[zero_left], right[zero_right] = 1, 1
    distances = cdist(left, right, "cosine")
    distances[zero_left], distances[:, zero_right] = 1, 1
    return distances


def nearest_by_force(queries, X, metric, n_neighbors, allowed=None):
    """Return the distances and row numbers of the nearest rows, ties by row number."""
    distances = brute_force(queries, X, metric)
    if allowed is not None:
        distances[:, ~allowed] = np.inf
    rows = np.argsort(distances, axis=1, kind="stable")[:, :n_neighbors]
    distances = np.take_along_axis(distances, rows, axis=1)
    return distances, np.where(np.isinf(distances), -1, rows)


def cosine_in_60_digits(x, y):
    """Return the cosine distance of two vectors without cancellation errors."""
    with localcontext() as context:
        context.prec = 60
        a, b = ([Decimal(float(value)) for value in row] for row in (x, y))
        product = sum(p * q for p, q in zip(a, b, strict=True))
        lengths = sum(p * p for p in a) * sum(q * q for q in b)
        return float(1 - product / lengths.sqrt())
