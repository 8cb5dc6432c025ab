"""Exact search by comparing all pairs in double precision: any metric, few rows."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config

from imgsim._distance.rows import Collection, DistanceRows

_N_ROWS = 4096
_N_ARRAYS = 6  # of the size of a block of distances, while it is worked on


def compare_nearest(
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
    distances = np.full((len(queries), n_neighbors), np.inf)
    positions = np.full((len(queries), n_neighbors), -1, dtype=np.int64)
    for part, first, block in _blocks(queries, collection):
        found = np.arange(first, first + block.shape[1])
        known = distances[part], positions[part]
        joined = np.concatenate([known[0], block], axis=1)
        names = np.concatenate([known[1], np.broadcast_to(found, block.shape)], axis=1)
        nearest = _smallest(joined, n_neighbors)
        distances[part] = np.take_along_axis(joined, nearest, axis=1)
        positions[part] = np.take_along_axis(names, nearest, axis=1)
    positions[np.isinf(distances)] = -1
    return distances, positions


def compare_within(
    queries: DistanceRows, collection: Collection, radius: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the pairs of a query and a row that are not further apart than `radius`.

    Parameters
    ----------
    queries : DistanceRows
        What to look for.

    collection : Collection
        Where to look.

    radius : float
        Largest distance.

    Returns
    -------
    query_of_pair : ndarray of shape (n_pairs,), dtype int64
        Positions in `queries`.

    row_of_pair : ndarray of shape (n_pairs,), dtype int64
        Positions in the collection.

    distances : ndarray of shape (n_pairs,)
        Their distances.
    """
    none = np.empty(0, dtype=np.int64)
    found = [(none, none, np.empty(0))]
    for part, first, block in _blocks(queries, collection):
        i, j = np.nonzero((block <= radius) & np.isfinite(block))
        found.append((i + part.start, j + first, block[i, j]))
    query_of_pair, row_of_pair, distances = map(
        np.concatenate, zip(*found, strict=True)
    )
    return query_of_pair, row_of_pair, distances


def _blocks(
    queries: DistanceRows, collection: Collection
) -> Iterator[tuple[slice, int, NDArray[np.float64]]]:
    """Yield the distances of some queries to some rows, infinite to those ruled out."""
    n_rows = min(_N_ROWS, len(collection.rows))
    limit = get_config()["working_memory"] * 2**20 / 8 / _N_ARRAYS
    n_queries = max(1, int(limit / (n_rows + queries.values.shape[1])))
    for start, some in queries.blocks(n_queries):
        part = slice(start, start + len(some))
        for first, rows in collection.rows.blocks(n_rows):
            block = collection.metric.between(
                some.values, some.terms, rows.values, rows.terms
            )
            block[:, ~collection.allowed[first : first + len(rows)]] = np.inf
            yield part, first, block


def _smallest(distances: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Return the columns of the k smallest entries of each row, ties by column."""
    if k >= distances.shape[1]:
        return np.argsort(distances, axis=1, kind="stable")[:, :k]
    columns = np.argpartition(distances, k - 1, axis=1)[:, :k]
    largest_kept = np.take_along_axis(distances, columns, axis=1).max(axis=1)
    # Of several entries equal to the k-th, argpartition keeps any.
    n_candidates = (distances <= largest_kept[:, np.newaxis]).sum(axis=1)
    for i in np.flatnonzero(n_candidates > k):
        columns[i] = np.argsort(distances[i], kind="stable")[:k]
    columns.sort(axis=1)
    kept = np.take_along_axis(distances, columns, axis=1)
    order = np.argsort(kept, axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)
