"""The nearest other rows of every row; each product of two rows is computed once."""

from itertools import combinations_with_replacement
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config

from imgsim._compute.precision import computing_in, resolve_precision
from imgsim._compute.threads import count_threads
from imgsim._distance.rows import Collection
from imgsim._distance.scores import relative_error, slack
from imgsim.index.exact._nearest import find_nearest
from imgsim.index.exact._scan import (
    Block,
    Candidates,
    compare_pairs,
    shared_out,
    sorted_pairs,
)

_N_ROWS = 1024  # of a block
_N_BYTES = 12  # of a candidate


def find_own_neighbors(collection: Collection, n_neighbors: int) -> NDArray[np.int64]:
    """Return the nearest other rows of every row, by a metric that products rank.

    Parameters
    ----------
    collection : Collection
        The rows.

    n_neighbors : int
        How many rows to find for each, fewer than there are.

    Returns
    -------
    positions : ndarray of shape (n_rows, n_neighbors), dtype int64
        The nearest first; no row is its own neighbour.
    """
    tiles = _Tiles(collection, n_neighbors)
    blocks = range(0, len(collection.rows), _N_ROWS)
    pairs = list(combinations_with_replacement(blocks, 2))
    n_threads = count_threads()

    def look(part: slice) -> None:
        for first, second in pairs[part]:
            tiles.look(first, second)

    shared_out(look, len(pairs), n_threads, limits_openmp=True)
    nearest = shared_out(tiles.nearest, len(collection.rows), n_threads)
    positions = np.concatenate(nearest)
    missed = np.flatnonzero(tiles.candidates.n_kept < 0)
    if len(missed):
        found = find_nearest(collection.rows[missed], collection, n_neighbors + 1)[1]
        positions[missed] = drop_own(found, missed, n_neighbors)
    return positions


def fits_memory(n_rows: int, n_neighbors: int) -> bool:
    """Tell whether the candidates of all rows fit into `working_memory`."""
    n_bytes = n_rows * (_capacity(n_neighbors) * _N_BYTES + 4 * n_neighbors)
    return bool(n_bytes < get_config()["working_memory"] * 2**20)


def _capacity(n_neighbors: int) -> int:
    return 4 * n_neighbors + 64


def drop_own(
    found: NDArray[Any], own: NDArray[np.int64], n_neighbors: int
) -> NDArray[Any]:
    """Return the first rows found for each query that are not its own."""
    return np.take_along_axis(found, order_without_own(found, own, n_neighbors), axis=1)


def order_without_own(
    found: NDArray[Any], own: NDArray[np.int64], n_neighbors: int
) -> NDArray[np.int64]:
    """Return the columns of the first rows found for each query but for its own."""
    is_own = found == own[:, np.newaxis]
    return np.argsort(is_own, axis=1, kind="stable")[:, :n_neighbors]


class _Tiles:
    """Scores of a block of rows with another, looked through for both."""

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
        self.seen = torch.empty((n_rows, width), dtype=getattr(torch, precision))
        for first, rows in collection.rows.blocks(_N_ROWS):
            seen = collection.metric.seen_singly(rows.values, rows.terms)
            self.seen[first : first + len(rows)] = torch.from_numpy(seen)
        self.size = collection.metric.size_seen(collection.rows.terms)
        self.error = relative_error(collection.metric, width, precision)
        bias = np.where(collection.allowed, collection.rows.terms.bias, -np.inf)
        self.bias = bias.astype(np.float32)

    def look(self, first: int, second: int) -> None:
        """Look for neighbours among two blocks, which begin at these rows."""
        one, other = self._block(first), self._block(second)
        with computing_in("float32", "cpu"):
            product = self.seen[one] @ self.seen[other].T
        scores = product.float().numpy()
        if first == second:
            np.fill_diagonal(scores, -np.inf)
        self._keep(one, other, scores)
        if first != second:
            self._keep(other, one, np.ascontiguousarray(scores.T))

    def nearest(self, part: slice) -> NDArray[np.int64]:
        """Return the nearest of the candidates of some rows."""
        queries = self.collection.rows[part]
        pairs = self.candidates[part].pairs()
        compared = compare_pairs(queries, self.collection, *pairs)
        return sorted_pairs(compared, len(queries), self.n_neighbors)[1]

    def _keep(self, asking: slice, asked: slice, scores: NDArray[np.float32]) -> None:
        terms = self.collection.rows.terms
        wrong = slack(
            self.collection.metric,
            self.error,
            self.size[asking],
            self.size[asked].max(),
            np.abs(terms.bias[asked]).max(),
        )
        bias = self.bias[asked]
        block = Block(asked.start, scores, np.ones_like(bias), bias, wrong)
        with self.locks[asking.start // _N_ROWS]:
            self.candidates[asking].keep(block)

    def _block(self, first: int) -> slice:
        return slice(first, min(first + _N_ROWS, len(self.collection.rows)))
