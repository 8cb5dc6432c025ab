"""The nearest other rows of every row; each product of two rows is computed once."""

from itertools import combinations_with_replacement
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config

from imgsim._compute.precision import resolve_precision, use_precision
from imgsim._compute.threads import count_threads
from imgsim._distance.rows import Collection
from imgsim._distance.scores import absolute_error_bound, relative_error_bound
from imgsim.index.exact._nearest import find_nearest
from imgsim.index.exact._scan import (
    Candidates,
    ScoreBlock,
    compute_distances,
    map_query_parts,
    nearest_of_pairs,
)

_N_ROWS = 1024  # in a block
_N_BYTES = 12  # of memory for each candidate


def find_self_neighbors(collection: Collection, n_neighbors: int) -> NDArray[np.int64]:
    """Return the nearest other rows of every row, for a linear metric.

    Parameters
    ----------
    collection : Collection
        The rows.

    n_neighbors : int
        Number of neighbors of each row, less than the number of rows.

    Returns
    -------
    positions : ndarray of shape (n_rows, n_neighbors), dtype int64
        Positions of the neighbors, the nearest first. A row is not a neighbor of
        itself.
    """
    scores = _TiledScores(collection, n_neighbors)
    blocks = range(0, len(collection.rows), _N_ROWS)
    tiles = list(combinations_with_replacement(blocks, 2))
    n_threads = count_threads()

    def update(part: slice) -> None:
        for first, second in tiles[part]:
            scores.update(first, second)

    map_query_parts(update, len(tiles), n_threads, divide_pools=True)
    nearest = map_query_parts(scores.nearest, len(collection.rows), n_threads)
    positions = np.concatenate(nearest)
    uncertain = np.flatnonzero(scores.candidates.n_kept < 0)
    if len(uncertain):
        queries = collection.rows[uncertain]
        _, found = find_nearest(queries, collection, n_neighbors + 1)
        positions[uncertain] = drop_self(found, uncertain, n_neighbors)
    return positions


def fits_memory(n_rows: int, n_neighbors: int) -> bool:
    """Return whether the candidates of all rows fit into `working_memory`."""
    n_bytes = n_rows * (_capacity(n_neighbors) * _N_BYTES + 4 * n_neighbors)
    return bool(n_bytes < get_config()["working_memory"] * 2**20)


def _capacity(n_neighbors: int) -> int:
    return 4 * n_neighbors + 64


def drop_self(
    positions: NDArray[np.integer], own: NDArray[np.int64], n_neighbors: int
) -> NDArray[np.integer]:
    """Return the first neighbors of each query, without its own position."""
    order = order_without_self(positions, own, n_neighbors)
    return np.take_along_axis(positions, order, axis=1)


def order_without_self(
    positions: NDArray[np.integer], own: NDArray[np.int64], n_neighbors: int
) -> NDArray[np.int64]:
    """Return the columns of the first neighbors that are not at `own` positions."""
    is_self = positions == own[:, np.newaxis]
    return np.argsort(is_self, axis=1, kind="stable")[:, :n_neighbors]


class _TiledScores:
    """Scores of pairs of blocks of rows, each used for the neighbors of both blocks."""

    def __init__(self, collection: Collection, n_neighbors: int) -> None:
        import torch

        n_rows = len(collection.rows)
        self.collection = collection
        self.n_neighbors = n_neighbors
        capacity = min(_capacity(n_neighbors), n_rows)
        self.candidates = Candidates(n_rows, n_neighbors, capacity)
        self.locks = [Lock() for _ in range(0, n_rows, _N_ROWS)]
        precision = resolve_precision("auto", "cpu")
        width = collection.rows.values.shape[1]
        metric = collection.metric
        self.transformed = torch.empty((n_rows, width), dtype=getattr(torch, precision))
        for first, rows in collection.rows.blocks(_N_ROWS):
            transformed = metric.transform_to_float32(rows.values, rows.terms)
            self.transformed[first : first + len(rows)] = torch.from_numpy(transformed)
        self.size = metric.transformed_size(collection.rows.terms)
        self.relative_error = relative_error_bound(metric, width, precision)
        bias = np.where(collection.allowed, collection.rows.terms.bias, -np.inf)
        self.bias = bias.astype(np.float32)

    def update(self, first: int, second: int) -> None:
        """Update the candidates of two blocks, given the first rows of both."""
        one, other = self._block(first), self._block(second)
        with use_precision("float32", "cpu"):
            product = self.transformed[one] @ self.transformed[other].T
        scores = product.float().numpy()
        if first == second:
            np.fill_diagonal(scores, -np.inf)
        self._update_one(one, other, scores)
        if first != second:
            self._update_one(other, one, np.ascontiguousarray(scores.T))

    def nearest(self, part: slice) -> NDArray[np.int64]:
        """Return the nearest candidates of some rows."""
        queries = self.collection.rows[part]
        candidates = self.candidates[part].pairs()
        pairs = compute_distances(queries, self.collection, *candidates)
        return nearest_of_pairs(pairs, len(queries), self.n_neighbors)[1]

    def _update_one(
        self, queries: slice, rows: slice, scores: NDArray[np.float32]
    ) -> None:
        terms = self.collection.rows.terms
        error = absolute_error_bound(
            self.collection.metric,
            self.relative_error,
            self.size[queries],
            self.size[rows].max(),
            np.abs(terms.bias[rows]).max(),
        )
        bias = self.bias[rows]
        block = ScoreBlock(rows.start, scores, np.ones_like(bias), bias, error)
        with self.locks[queries.start // _N_ROWS]:
            self.candidates[queries].update(block)

    def _block(self, first: int) -> slice:
        return slice(first, min(first + _N_ROWS, len(self.collection.rows)))
