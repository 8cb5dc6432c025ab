"""Exact search by brute force: all pairs are compared in double precision."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config

from imgsim._distance.rows import Collection, DistanceRows
from imgsim.index.exact._scan import Pairs, concatenate_pairs

_N_ROWS = 4096
_N_ARRAYS = 6  # of the size of a block of distances, at the same time


def brute_force_nearest(
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
    distances = np.full((len(queries), n_neighbors), np.inf)
    positions = np.full((len(queries), n_neighbors), -1, dtype=np.int64)
    for part, first, block in _distance_blocks(queries, collection):
        columns = np.arange(first, first + block.shape[1])
        candidates = np.concatenate(
            [positions[part], np.broadcast_to(columns, block.shape)], axis=1
        )
        candidate_distances = np.concatenate([distances[part], block], axis=1)
        nearest = _smallest(candidate_distances, n_neighbors)
        distances[part] = np.take_along_axis(candidate_distances, nearest, axis=1)
        positions[part] = np.take_along_axis(candidates, nearest, axis=1)
    positions[np.isinf(distances)] = -1
    return distances, positions


def brute_force_within(
    queries: DistanceRows, collection: Collection, radius: float
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

    Returns
    -------
    pairs : Pairs
        The pairs, in no particular order.
    """
    parts = [Pairs.empty()]
    for part, first, block in _distance_blocks(queries, collection):
        query, row = np.nonzero((block <= radius) & np.isfinite(block))
        parts.append(Pairs(query + part.start, row + first, block[query, row]))
    return concatenate_pairs(parts)


def _distance_blocks(
    queries: DistanceRows, collection: Collection
) -> Iterator[tuple[slice, int, NDArray[np.float64]]]:
    """Yield a slice of queries, the first row of a block, and all their distances.

    Distances to rows that are not allowed are infinite.
    """
    n_rows = min(_N_ROWS, len(collection.rows))
    limit = get_config()["working_memory"] * 2**20 / 8 / _N_ARRAYS
    n_queries = max(1, int(limit / (n_rows + queries.values.shape[1])))
    for start, query_block in queries.blocks(n_queries):
        part = slice(start, start + len(query_block))
        for first, rows in collection.rows.blocks(n_rows):
            distances = collection.metric.pairwise_distances(
                query_block.values, query_block.terms, rows.values, rows.terms
            )
            distances[:, ~collection.allowed[first : first + len(rows)]] = np.inf
            yield part, first, distances


def _smallest(distances: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Return the columns of the k smallest entries of each row, ties by column."""
    if k >= distances.shape[1]:
        return np.argsort(distances, axis=1, kind="stable")[:, :k]
    columns = np.argpartition(distances, k - 1, axis=1)[:, :k]
    largest_kept = np.take_along_axis(distances, columns, axis=1).max(axis=1)
    # Of the entries equal to the k-th smallest, argpartition keeps arbitrary entries.
    n_candidates = (distances <= largest_kept[:, np.newaxis]).sum(axis=1)
    for i in np.flatnonzero(n_candidates > k):
        columns[i] = np.argsort(distances[i], kind="stable")[:k]
    columns.sort(axis=1)
    kept = np.take_along_axis(distances, columns, axis=1)
    order = np.argsort(kept, axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)
