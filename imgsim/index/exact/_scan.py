"""Exact search by a fast scan: score all rows, then compare exactly those in question.

Scores are computed in single precision or in bfloat16, and are wrong by a bound that
is known beforehand. Every row whose score may, within that bound, belong to the answer
is compared once more in double precision.
"""

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config

from imgsim._compute.threads import count_threads, map_in_threads
from imgsim._distance.metric import JACCARD, PRODUCT, SQUARED
from imgsim._distance.rows import Collection, DistanceRows
from imgsim._distance.scores import make_scorer, relative_error, slack

Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]

_N_SCORES = 2**19  # of a block, which stays in the cache of the processor
_N_QUERIES = 512
_N_BYTES = 64  # of a candidate, while pairs are compared and sorted
_LOWEST = np.float32(-3e38)


def scan_nearest(
    queries: DistanceRows, collection: Collection, n_neighbors: int, precision: str
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return the nearest rows of each query: distances, positions, and who is done.

    Parameters
    ----------
    queries : DistanceRows
        What to look for.

    collection : Collection
        Where to look.

    n_neighbors : int
        How many rows to find for each query.

    precision : {"float32", "bfloat16"}
        Format of the scan.

    Returns
    -------
    distances : ndarray of shape (n_queries, n_neighbors)
        Increasing along each row; infinite where there are not as many rows.

    positions : ndarray of shape (n_queries, n_neighbors), dtype int64
        Among equal distances the lowest comes first; -1 where there is no row.

    done : ndarray of shape (n_queries,), dtype bool
        False for a query that too many rows might be nearest to, so far as the
        precision tells.
    """
    capacity = min(4 * n_neighbors + 256, len(collection.rows))

    def find(part: slice) -> tuple[NDArray[Any], ...]:
        candidates = Candidates(len(queries[part]), n_neighbors, capacity)
        for block in _scored(queries[part], collection, precision):
            candidates.keep(block)
        pairs = compare_pairs(queries[part], collection, *candidates.pairs())
        return *sorted_pairs(
            pairs, len(candidates.rows), n_neighbors
        ), candidates.n_kept >= 0

    n_threads = _n_threads(collection, precision)
    n_bytes, lowered = _N_BYTES * capacity, precision == "bfloat16"
    found = shared_out(find, len(queries), n_threads, n_bytes, lowered)
    distances, positions, done = map(np.concatenate, zip(*found, strict=True))
    return distances, positions, done


def scan_within(
    queries: DistanceRows, collection: Collection, radius: float, precision: str
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

    precision : {"float32", "bfloat16"}
        Format of the scan.

    Returns
    -------
    query_of_pair : ndarray of shape (n_pairs,), dtype int64
        Positions in `queries`.

    row_of_pair : ndarray of shape (n_pairs,), dtype int64
        Positions in the collection.

    distances : ndarray of shape (n_pairs,)
        Their distances.
    """

    def find(part: slice) -> Pairs:
        some = queries[part]
        exact = collection.metric.score_at(
            radius, some.terms.size, some.values.shape[1]
        )
        found = [
            compare_pairs(some, collection, *_reaching(block, exact))
            for block in _scored(some, collection, precision)
        ]
        i, j, d = map(np.concatenate, zip(*found, strict=True))
        near = d <= radius
        return i[near] + part.start, j[near], d[near]

    n_threads = _n_threads(collection, precision)
    shares = shared_out(
        find, len(queries), n_threads, limits_openmp=precision == "bfloat16"
    )
    query_of_pair, row_of_pair, distances = map(
        np.concatenate, zip(*shares, strict=True)
    )
    return query_of_pair, row_of_pair, distances


def compare_pairs(
    queries: DistanceRows,
    collection: Collection,
    query_of_pair: NDArray[np.int64],
    row_of_pair: NDArray[np.int64],
) -> Pairs:
    """Return the pairs with their distances, computed in double precision."""
    from imgsim._distance.kernels import distances_of_pairs

    rows, metric = collection.rows, collection.metric
    compared = np.empty(len(row_of_pair))
    distances_of_pairs(
        queries.values,
        queries.terms.shift,
        queries.terms.scale,
        rows.values,
        rows.terms.shift,
        rows.terms.scale,
        metric.kind,
        query_of_pair,
        row_of_pair,
        compared,
    )
    distances = metric.finish(
        compared,
        queries.terms.scale[query_of_pair],
        rows.terms.scale[row_of_pair],
        rows.values.shape[1],
    )
    return query_of_pair, row_of_pair, distances


@dataclass(frozen=True)
class Block:
    """Scores of a block of rows, `scores * scale + bias`, wrong by `wrong` at most."""

    first: int
    scores: NDArray[np.float32]
    scale: NDArray[np.float32]
    bias: NDArray[np.float32]
    wrong: NDArray[np.float32]


class Candidates:
    """The rows that may be among the nearest of each query, so far."""

    def __init__(self, n_queries: int, n_neighbors: int, capacity: int) -> None:
        self.best = np.full((n_queries, n_neighbors), _LOWEST)
        self.scores = np.empty((n_queries, capacity), dtype=np.float32)
        self.rows = np.empty((n_queries, capacity), dtype=np.int64)
        self.n_kept = np.zeros(n_queries, dtype=np.int64)

    def __getitem__(self, part: slice) -> "Candidates":
        """Return those of some queries; what is kept there is kept here."""
        some = copy(self)
        for name in ("best", "scores", "rows", "n_kept"):
            setattr(some, name, getattr(self, name)[part])
        return some

    def keep(self, block: Block) -> None:
        """Look through the scores of a block of rows."""
        from imgsim._distance.kernels import keep_candidates

        keep_candidates(
            block.scores,
            block.scale,
            block.bias,
            block.wrong,
            block.first,
            self.best,
            self.scores,
            self.rows,
            self.n_kept,
        )

    def pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return queries and rows to compare exactly, in the order of queries."""
        kept = np.arange(self.rows.shape[1]) < self.n_kept[:, np.newaxis]
        kept &= self.scores >= self.best[:, :1]
        return np.nonzero(kept)[0], self.rows[kept]


def _reaching(
    block: Block, exact: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return queries and rows whose score may be as large as it should be."""
    from imgsim._distance.kernels import collect_reaching, count_reaching

    # To write the score to be reached in single precision rounds it, too.
    needed = np.maximum(exact - block.wrong - 1e-6 * np.abs(exact), _LOWEST)
    needed = needed.astype(np.float32)
    counts = count_reaching(block.scores, block.scale, block.bias, needed)
    rows = np.empty(counts.sum(), dtype=np.int64)
    collect_reaching(block.scores, block.scale, block.bias, needed, block.first, rows)
    return np.repeat(np.arange(len(counts)), counts), rows


def _scored(
    queries: DistanceRows, collection: Collection, precision: str
) -> Iterator[Block]:
    """Yield the rows of the collection, block by block, with their scores."""
    metric = collection.metric
    seen = metric.seen_singly(queries.values, queries.terms)
    error = relative_error(metric, seen.shape[1], precision)
    size = metric.size_seen(queries.terms)
    score = make_scorer(metric, seen, precision, collection.device)
    for first, rows in collection.rows.blocks(max(1024, _N_SCORES // len(queries))):
        allowed = collection.allowed[first : first + len(rows)]
        values, scale, bias = rows.values, rows.terms.scale, rows.terms.bias
        row_size = rows.terms.size[allowed].max(initial=0)
        row_bias = np.abs(bias[allowed]).max(initial=0)
        is_odd = np.isinf(rows.terms.size)
        if is_odd.any():  # none is allowed, and no score may be NaN
            values = np.where(is_odd[:, np.newaxis], values.dtype.type(0), values)
            scale = np.where(is_odd, 0, scale)
        yield Block(
            first,
            score(values),
            scale.astype(np.float32),
            np.where(allowed, bias, -np.inf).astype(np.float32),
            slack(metric, error, size, row_size, row_bias),
        )


def sorted_pairs(
    pairs: Pairs, n_queries: int, n_neighbors: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the nearest of pairs that are given in the order of queries."""
    query_of_pair, row_of_pair, compared = pairs
    distances = np.full((n_queries, n_neighbors), np.inf)
    positions = np.full((n_queries, n_neighbors), -1, dtype=np.int64)
    order = np.lexsort((row_of_pair, compared, query_of_pair))
    first = np.searchsorted(query_of_pair, np.arange(n_queries))
    rank = np.arange(len(order)) - first[query_of_pair]
    kept = rank < n_neighbors
    i, rank, order = query_of_pair[kept], rank[kept], order[kept]
    distances[i, rank] = compared[order]
    positions[i, rank] = row_of_pair[order]
    return distances, positions


def _n_threads(collection: Collection, precision: str) -> int:
    """Return into how many threads to divide what does not divide itself."""
    is_divided = collection.metric.kind in (SQUARED, PRODUCT, JACCARD)
    is_divided &= precision == "float32" or collection.device != "cpu"
    return 1 if is_divided else count_threads()


def shared_out(
    find: Callable[[slice], Any],
    n_queries: int,
    n_threads: int,
    n_bytes: int = 1,
    limits_openmp: bool = False,
) -> list[Any]:
    """Call a function for shares of the queries, each in a thread of its own.

    Products are shared among threads by the queries, and each is computed by the
    thread that looks through it: threads that share a product would wait for each
    other, and go on waiting while it is looked through. A query takes `n_bytes`.
    """
    n_fitting = int(get_config()["working_memory"] * 2**20 / n_bytes / n_threads)
    n_at_once = max(1, min(_N_QUERIES, n_fitting, -(-n_queries // n_threads)))
    shares = [slice(a, a + n_at_once) for a in range(0, n_queries, n_at_once)]
    return list(map_in_threads(find, shares, n_threads, divide_pools=limits_openmp))
