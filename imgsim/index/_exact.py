"""Exact nearest rows, block by block, in bounded memory."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.metrics import pairwise_distances_chunked
from sklearn.preprocessing import normalize

_NEXT_TO_NOTHING = 1e-5  # of the length of the query
_N_PAIRS_AT_ONCE = 4096


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
    resolve_duplicates = _make_resolver(queries, rows, metric)

    def keep_nearest(
        distances: NDArray[Any], start: int
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        resolve_duplicates(distances, start)
        if exclude_self:
            block = np.arange(len(distances))
            distances[block, start + block] = np.inf
        nearest = _smallest(distances, n_neighbors)
        return np.take_along_axis(distances, nearest, axis=1), nearest

    blocks = pairwise_distances_chunked(
        queries,
        rows,
        metric=metric,
        reduce_func=keep_nearest,
        n_jobs=-1 if metric == "manhattan" else None,  # the others are products
        # Selecting takes the block of distances twice more.
        working_memory=get_config()["working_memory"] / 3,
    )
    distances, indices = zip(*blocks, strict=True)
    return np.concatenate(distances), np.concatenate(indices)


def _make_resolver(
    queries: NDArray[Any], rows: NDArray[Any], metric: str
) -> Callable[[NDArray[Any], int], None]:
    """Return a function that corrects, in place, distances that are next to nothing.

    A product of matrices leaves a rounding error where two rows are equal, which
    would break their ties at random. The differences of the rows leave none.
    """
    if metric == "manhattan":
        return lambda distances, start: None
    if metric == "cosine":
        unit_rows = normalize(rows)
        queries = unit_rows if queries is rows else normalize(queries)
        rows = unit_rows
    limits = _NEXT_TO_NOTHING * np.linalg.norm(queries, axis=1, keepdims=True)

    def resolve(distances: NDArray[Any], start: int) -> None:
        i, j = np.nonzero(distances < limits[start : start + len(distances)])
        for first in range(0, len(i), _N_PAIRS_AT_ONCE):
            part = slice(first, first + _N_PAIRS_AT_ONCE)
            difference = queries[start + i[part]] - rows[j[part]]
            squared = np.einsum("ij,ij->i", difference, difference)
            exact = squared / 2 if metric == "cosine" else np.sqrt(squared)
            distances[i[part], j[part]] = exact

    return resolve


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
