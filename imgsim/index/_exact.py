"""Exact nearest rows, block by block, in bounded memory."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import pairwise_distances_chunked


def find_nearest_rows(
    queries: NDArray[Any],
    rows: NDArray[Any],
    *,
    n_neighbors: int,
    metric: str,
    exclude_self: bool,
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Compare every query with every row and keep the nearest.

    Parameters
    ----------
    queries : ndarray of shape (n_queries, n_features)
        What to look for.

    rows : ndarray of shape (n_rows, n_features)
        Where to look.

    n_neighbors : int
        How many rows to keep for each query, at most as many as may be kept.

    metric : str
        A distance of scikit-learn.

    exclude_self : bool
        Whether `queries` are `rows`, and row i is no neighbour of query i.

    Returns
    -------
    distances : ndarray of shape (n_queries, n_neighbors)
        Increasing along each row.

    indices : ndarray of shape (n_queries, n_neighbors), dtype int64
        Positions in `rows`; among equal distances the lowest comes first.
    """

    def keep_nearest(
        distances: NDArray[Any], start: int
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        if exclude_self:
            block = np.arange(len(distances))
            distances[block, start + block] = np.inf
        nearest = _smallest(distances, n_neighbors)
        return np.take_along_axis(distances, nearest, axis=1), nearest

    blocks = pairwise_distances_chunked(
        queries, rows, metric=metric, reduce_func=keep_nearest
    )
    distances, indices = zip(*blocks, strict=True)
    return np.concatenate(distances), np.concatenate(indices)


def _smallest(distances: NDArray[Any], k: int) -> NDArray[np.int64]:
    """Return the columns of the k smallest entries of each row, ties by column."""
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
