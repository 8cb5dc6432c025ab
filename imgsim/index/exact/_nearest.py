"""Exact nearest rows: by a scan if it is faster, otherwise by brute force."""

import sys

import numpy as np
from numpy.typing import NDArray

from imgsim._compute.precision import resolve_precision
from imgsim._distance.rows import Collection, DistanceRows
from imgsim.index.exact._brute_force import brute_force_nearest, brute_force_within
from imgsim.index.exact._scan import Pairs, scan_nearest, scan_within

# Number of operations, and of values in the collection, up to which brute force takes
# less time than loading the compiled loops.
_MAX_BRUTE_FORCE_OPERATIONS = 3e8
_MAX_BRUTE_FORCE_VALUES = 4e6
# Number of operations above which bfloat16 is faster, if torch is already imported and
# if it is not.
_MIN_BFLOAT16_OPERATIONS = {True: 2e9, False: 5e10}


def find_nearest(
    queries: DistanceRows, collection: Collection, n_neighbors: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the nearest rows of each query: distances and positions.

    Parameters
    ----------
    queries : DistanceRows
        The queries.

    collection : Collection
        The rows to search among.

    n_neighbors : int
        Number of neighbors of each query.

    Returns
    -------
    distances : ndarray of shape (n_queries, n_neighbors)
        Distances, increasing along each row; infinite where there are too few rows.

    positions : ndarray of shape (n_queries, n_neighbors), dtype int64
        Positions in the collection, in increasing order for equal distances; -1 where
        there are too few rows.
    """
    if not len(queries) or _prefers_brute_force(queries, collection):
        return brute_force_nearest(queries, collection, n_neighbors)
    distances = np.full((len(queries), n_neighbors), np.inf)
    positions = np.full((len(queries), n_neighbors), -1, dtype=np.int64)
    uncertain = np.arange(len(queries))
    for precision in _precisions(queries, collection):
        distances[uncertain], positions[uncertain], is_certain = scan_nearest(
            queries[uncertain], collection, n_neighbors, precision
        )
        uncertain = uncertain[~is_certain]
        if not len(uncertain):
            return distances, positions
    distances[uncertain], positions[uncertain] = brute_force_nearest(
        queries[uncertain], collection, n_neighbors
    )
    return distances, positions


def find_within(
    queries: DistanceRows,
    collection: Collection,
    radius: float,
    n_operations: float | None = None,
) -> Pairs:
    """Return the pairs of a query and a row with distances of at most `radius`.

    Parameters
    ----------
    queries : DistanceRows
        The queries.

    collection : Collection
        The rows to search among.

    radius : float
        Largest distance.

    n_operations : float, default=None
        Number of operations of the whole search, if this call is a part of a search.

    Returns
    -------
    pairs : Pairs
        The pairs, sorted by query and by row.
    """
    if not len(queries) or _prefers_brute_force(queries, collection, n_operations):
        pairs = brute_force_within(queries, collection, radius)
    else:
        precision = _precisions(queries, collection, n_operations)[0]
        pairs = scan_within(queries, collection, radius, precision)
    return pairs.select(np.lexsort((pairs.rows, pairs.queries)))


def _prefers_brute_force(
    queries: DistanceRows, collection: Collection, n_operations: float | None = None
) -> bool:
    """Return whether a scan is impossible, or slower than brute force.

    A scan is impossible for slow metrics and for rows outside the range of single
    precision.
    """
    metric, rows = collection.metric, collection.rows
    sizes = (queries.terms.size, rows.terms.size[collection.allowed])
    if metric.kind is None or not all(np.isfinite(size).all() for size in sizes):
        return True
    if metric.is_linear and collection.device != "cpu":
        return False
    if n_operations is None:
        n_operations = float(rows.values.size) * len(queries)
    return (
        rows.values.size <= _MAX_BRUTE_FORCE_VALUES
        and n_operations <= _MAX_BRUTE_FORCE_OPERATIONS
    )


def _precisions(
    queries: DistanceRows, collection: Collection, n_operations: float | None = None
) -> list[str]:
    """Return the precisions of scores to try, one after the other."""
    if n_operations is None:
        n_operations = float(collection.rows.values.size) * len(queries)
    can_lower = collection.metric.is_linear and collection.device == "cpu"
    if not can_lower or n_operations < _MIN_BFLOAT16_OPERATIONS["torch" in sys.modules]:
        return ["float32"]
    fastest = resolve_precision("auto", "cpu")
    return ["float32"] if fastest == "float32" else [fastest, "float32"]
