"""Exact nearest rows: by a fast scan where that pays, else by comparing all pairs."""

import sys

import numpy as np
from numpy.typing import NDArray

from imgsim._compute.precision import resolve_precision
from imgsim._distance.rows import Collection, DistanceRows
from imgsim.index.exact._brute_force import compare_nearest, compare_within
from imgsim.index.exact._scan import Pairs, scan_nearest, scan_within

# Operations, and numbers in the collection, up to which all pairs are compared at once:
# it takes less time than to load the compiled loops.
_FEW_OPERATIONS = 3e8
_FEW_NUMBERS = 4e6
# Operations from which bfloat16 pays, where torch is loaded and where it is not.
_MIN_FOR_BFLOAT16 = {True: 2e9, False: 5e10}


def find_nearest(
    queries: DistanceRows, collection: Collection, n_neighbors: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the nearest rows of each query: distances and positions.

    Parameters
    ----------
    queries : DistanceRows
        What to look for.

    collection : Collection
        Where to look.

    n_neighbors : int
        How many rows to find for each query.

    Returns
    -------
    distances : ndarray of shape (n_queries, n_neighbors)
        Increasing along each row; infinite where there are not as many rows.

    positions : ndarray of shape (n_queries, n_neighbors), dtype int64
        Among equal distances the lowest comes first; -1 where there is no row.
    """
    if not len(queries) or _is_compared(queries, collection):
        return compare_nearest(queries, collection, n_neighbors)
    distances = np.full((len(queries), n_neighbors), np.inf)
    positions = np.full((len(queries), n_neighbors), -1, dtype=np.int64)
    open_queries = np.arange(len(queries))
    for precision in _precisions(queries, collection):
        found = scan_nearest(queries[open_queries], collection, n_neighbors, precision)
        distances[open_queries], positions[open_queries], done = found
        open_queries = open_queries[~done]
        if not len(open_queries):
            return distances, positions
    distances[open_queries], positions[open_queries] = compare_nearest(
        queries[open_queries], collection, n_neighbors
    )
    return distances, positions


def find_within(
    queries: DistanceRows,
    collection: Collection,
    radius: float,
    n_operations: float | None = None,
) -> Pairs:
    """Return the pairs of a query and a row that are not further apart than `radius`.

    Parameters
    ----------
    queries : DistanceRows
        What to look for.

    collection : Collection
        Where to look.

    radius : float
        Largest distance.

    n_operations : float, default=None
        Of the whole search, if this is a part of one.

    Returns
    -------
    query_of_pair : ndarray of shape (n_pairs,), dtype int64
        Positions in `queries`, increasing.

    row_of_pair : ndarray of shape (n_pairs,), dtype int64
        Positions in the collection, increasing for each query.

    distances : ndarray of shape (n_pairs,)
        Their distances.
    """
    if not len(queries) or _is_compared(queries, collection, n_operations):
        pairs = compare_within(queries, collection, radius)
    else:
        precision = _precisions(queries, collection, n_operations)[0]
        pairs = scan_within(queries, collection, radius, precision)
    order = np.lexsort((pairs[1], pairs[0]))
    return pairs[0][order], pairs[1][order], pairs[2][order]


def _is_compared(
    queries: DistanceRows, collection: Collection, n_operations: float | None = None
) -> bool:
    """Tell whether all pairs are compared at once: few, odd, or of no fast metric."""
    metric, rows = collection.metric, collection.rows
    sizes = (queries.terms.size, rows.terms.size[collection.allowed])
    if metric.kind is None or not all(np.isfinite(size).all() for size in sizes):
        return True
    if metric.is_linear and collection.device != "cpu":
        return False
    if n_operations is None:
        n_operations = float(rows.values.size) * len(queries)
    return rows.values.size <= _FEW_NUMBERS and n_operations <= _FEW_OPERATIONS


def _precisions(
    queries: DistanceRows, collection: Collection, n_operations: float | None = None
) -> list[str]:
    """Return the formats to scan in, one after the other."""
    if n_operations is None:
        n_operations = float(collection.rows.values.size) * len(queries)
    is_here = collection.metric.is_linear and collection.device == "cpu"
    if not is_here or n_operations < _MIN_FOR_BFLOAT16["torch" in sys.modules]:
        return ["float32"]
    fastest = resolve_precision("auto", "cpu")
    return ["float32"] if fastest == "float32" else [fastest, "float32"]
