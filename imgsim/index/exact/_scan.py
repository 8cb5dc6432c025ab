"""Exact search by a scan: all rows are scored, and few are compared exactly.

Scores are computed in single precision or in bfloat16, with a known error bound. Each
row that may be a result according to its score is compared in double precision.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config

from imgsim._compute.threads import count_threads, map_in_threads
from imgsim._distance.metric import JACCARD, PRODUCT, SQUARED
from imgsim._distance.rows import Collection, DistanceRows
from imgsim._distance.scores import (
    absolute_error_bound,
    make_score_function,
    relative_error_bound,
)

Result = TypeVar("Result")

_N_SCORES = 2**19  # in a block, which then stays in the cache of the processor
_N_QUERIES = 512
_N_BYTES = 64  # for each candidate, while pairs are compared and sorted
_LOWEST_SCORE = np.float32(-3e38)


class Pairs(NamedTuple):
    """Pairs of a query and a row: positions of the queries and rows, and distances."""

    queries: NDArray[np.int64]
    rows: NDArray[np.int64]
    distances: NDArray[np.float64]

    @classmethod
    def empty(cls) -> Self:
        """Return an empty set of pairs."""
        none = np.empty(0, dtype=np.int64)
        return cls(none, none, np.empty(0))

    def select(self, key: NDArray[np.bool_] | NDArray[np.int64]) -> "Pairs":
        """Return the pairs at positions, or where a mask is true."""
        return Pairs(self.queries[key], self.rows[key], self.distances[key])


def concatenate_pairs(parts: Sequence[Pairs]) -> Pairs:
    """Return all pairs of the parts."""
    queries, rows, distances = zip(*parts, strict=True)
    return Pairs(*map(np.concatenate, (queries, rows, distances)))


def scan_nearest(
    queries: DistanceRows, collection: Collection, n_neighbors: int, precision: str
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return the nearest rows of each query, and for which queries they are certain.

    Parameters
    ----------
    queries : DistanceRows
        The queries.

    collection : Collection
        The rows to search among.

    n_neighbors : int
        Number of neighbors of each query.

    precision : {"float32", "bfloat16"}
        Precision of the scores.

    Returns
    -------
    distances : ndarray of shape (n_queries, n_neighbors)
        Distances, increasing along each row; infinite where there are too few rows.

    positions : ndarray of shape (n_queries, n_neighbors), dtype int64
        Positions in the collection, in increasing order for equal distances; -1 where
        there are too few rows.

    is_certain : ndarray of shape (n_queries,), dtype bool
        Whether the result of each query is certain. It is not if the precision is too
        low, so that the query has more candidates than can be compared.
    """
    capacity = min(4 * n_neighbors + 256, len(collection.rows))

    def search(
        part: slice,
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
        candidates = Candidates(len(queries[part]), n_neighbors, capacity)
        for block in _score_blocks(queries[part], collection, precision):
            candidates.update(block)
        pairs = compute_distances(queries[part], collection, *candidates.pairs())
        distances, positions = nearest_of_pairs(pairs, len(candidates), n_neighbors)
        return distances, positions, candidates.n_kept >= 0

    results = map_query_parts(
        search,
        len(queries),
        _count_threads(collection, precision),
        n_bytes=_N_BYTES * capacity,
        divide_pools=precision == "bfloat16",
    )
    distances, positions, is_certain = zip(*results, strict=True)
    return (
        np.concatenate(distances),
        np.concatenate(positions),
        np.concatenate(is_certain),
    )


def scan_within(
    queries: DistanceRows, collection: Collection, radius: float, precision: str
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

    precision : {"float32", "bfloat16"}
        Precision of the scores.

    Returns
    -------
    pairs : Pairs
        The pairs, in no particular order.
    """

    def search(part: slice) -> Pairs:
        some = queries[part]
        min_score = collection.metric.score_at_distance(
            radius, some.terms.size, some.values.shape[1]
        )
        candidates = [
            compute_distances(some, collection, *_pairs_with_score(block, min_score))
            for block in _score_blocks(some, collection, precision)
        ]
        pairs = concatenate_pairs(candidates)
        pairs = pairs.select(pairs.distances <= radius)
        return pairs._replace(queries=pairs.queries + part.start)

    parts = map_query_parts(
        search,
        len(queries),
        _count_threads(collection, precision),
        divide_pools=precision == "bfloat16",
    )
    return concatenate_pairs(parts)


def compute_distances(
    queries: DistanceRows,
    collection: Collection,
    query_of_pair: NDArray[np.int64],
    row_of_pair: NDArray[np.int64],
) -> Pairs:
    """Return pairs with their distances, computed in double precision."""
    from imgsim._distance.kernels import compare_pairs

    rows, metric = collection.rows, collection.metric
    compared = np.empty(len(row_of_pair))
    compare_pairs(
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
    metric.correct(distances, queries.values, rows.values, (query_of_pair, row_of_pair))
    return Pairs(query_of_pair, row_of_pair, distances)


@dataclass(frozen=True)
class ScoreBlock:
    """Scores of a block of rows, `scores * scale + bias`, and a bound on their errors.

    `scores` has a row for each query, and `error` an entry for each query.
    """

    first_row: int
    scores: NDArray[np.float32]
    scale: NDArray[np.float32]
    bias: NDArray[np.float32]
    error: NDArray[np.float32]


class Candidates:
    """Rows that may be among the nearest of each query, given the scores so far."""

    def __init__(self, n_queries: int, n_neighbors: int, capacity: int) -> None:
        self.best = np.full((n_queries, n_neighbors), _LOWEST_SCORE)
        self.scores = np.empty((n_queries, capacity), dtype=np.float32)
        self.rows = np.empty((n_queries, capacity), dtype=np.int64)
        self.n_kept = np.zeros(n_queries, dtype=np.int64)

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.rows)

    def __getitem__(self, part: slice) -> "Candidates":
        """Return a view of the candidates of some queries."""
        view = copy(self)
        for name in ("best", "scores", "rows", "n_kept"):
            setattr(view, name, getattr(self, name)[part])
        return view

    def update(self, block: ScoreBlock) -> None:
        """Add the candidates of a block, and drop candidates that it rules out."""
        from imgsim._distance.kernels import keep_candidates

        keep_candidates(
            block.scores,
            block.scale,
            block.bias,
            block.error,
            block.first_row,
            self.best,
            self.scores,
            self.rows,
            self.n_kept,
        )

    def pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the queries and rows to compare exactly, sorted by query."""
        is_kept = np.arange(self.rows.shape[1]) < self.n_kept[:, np.newaxis]
        is_kept &= self.scores >= self.best[:, :1]
        return np.nonzero(is_kept)[0], self.rows[is_kept]


def _pairs_with_score(
    block: ScoreBlock, min_score: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the queries and rows whose scores may be at least `min_score`."""
    from imgsim._distance.kernels import collect_at_least, count_at_least_per_query

    # Rounding the minimum to single precision adds an error of its own.
    minimum = np.maximum(
        min_score - block.error - 1e-6 * np.abs(min_score), _LOWEST_SCORE
    ).astype(np.float32)
    counts = count_at_least_per_query(block.scores, block.scale, block.bias, minimum)
    rows = np.empty(counts.sum(), dtype=np.int64)
    collect_at_least(
        block.scores, block.scale, block.bias, minimum, block.first_row, rows
    )
    return np.repeat(np.arange(len(counts)), counts), rows


def _score_blocks(
    queries: DistanceRows, collection: Collection, precision: str
) -> Iterator[ScoreBlock]:
    """Yield the scores of all rows of the collection, block by block."""
    metric = collection.metric
    transformed = metric.transform_to_float32(queries.values, queries.terms)
    relative_error = relative_error_bound(metric, transformed.shape[1], precision)
    query_size = metric.transformed_size(queries.terms)
    score = make_score_function(metric, transformed, precision, collection.device)
    for first, rows in collection.rows.blocks(max(1024, _N_SCORES // len(queries))):
        allowed = collection.allowed[first : first + len(rows)]
        values, scale, bias = rows.values, rows.terms.scale, rows.terms.bias
        row_size = rows.terms.size[allowed].max(initial=0)
        row_bias = np.abs(bias[allowed]).max(initial=0)
        is_out_of_range = np.isinf(rows.terms.size)
        if is_out_of_range.any():
            # These rows are not allowed, but their scores could be NaN.
            zero = values.dtype.type(0)
            values = np.where(is_out_of_range[:, np.newaxis], zero, values)
            scale = np.where(is_out_of_range, 0, scale)
        yield ScoreBlock(
            first,
            score(values),
            scale.astype(np.float32),
            np.where(allowed, bias, -np.inf).astype(np.float32),
            absolute_error_bound(
                metric, relative_error, query_size, row_size, row_bias
            ),
        )


def nearest_of_pairs(
    pairs: Pairs, n_queries: int, n_neighbors: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the distances and rows of the nearest pairs of each query.

    The pairs must be sorted by query.
    """
    distances = np.full((n_queries, n_neighbors), np.inf)
    positions = np.full((n_queries, n_neighbors), -1, dtype=np.int64)
    order = np.lexsort((pairs.rows, pairs.distances, pairs.queries))
    first = np.searchsorted(pairs.queries, np.arange(n_queries))
    rank = np.arange(len(order)) - first[pairs.queries]
    kept = rank < n_neighbors
    query, rank, order = pairs.queries[kept], rank[kept], order[kept]
    distances[query, rank] = pairs.distances[order]
    positions[query, rank] = pairs.rows[order]
    return distances, positions


def _count_threads(collection: Collection, precision: str) -> int:
    """Return the number of threads among which the queries are divided.

    The number is 1 if BLAS or the device divides the work itself.
    """
    divides_itself = collection.metric.kind in (SQUARED, PRODUCT, JACCARD)
    divides_itself &= precision == "float32" or collection.device != "cpu"
    return 1 if divides_itself else count_threads()


def map_query_parts(
    work: Callable[[slice], Result],
    n_queries: int,
    n_threads: int,
    *,
    n_bytes: int = 1,
    divide_pools: bool = False,
) -> list[Result]:
    """Call a function for slices of the queries, in several threads.

    Each product of matrices is computed by the thread that uses it. Threads that share
    a product would wait for each other while it is used.

    Parameters
    ----------
    work : callable
        Called with a slice.

    n_queries : int
        Number of queries.

    n_threads : int
        Number of threads.

    n_bytes : int, default=1
        Memory that each query takes, which limits the length of the slices.

    divide_pools : bool, default=False
        Whether to divide the threads of BLAS and OpenMP among the threads.

    Returns
    -------
    results : list
        The result for each slice, in order.
    """
    memory = get_config()["working_memory"] * 2**20
    n_fitting = int(memory / n_bytes / n_threads)
    length = max(1, min(_N_QUERIES, n_fitting, -(-n_queries // n_threads)))
    parts = [slice(a, a + length) for a in range(0, n_queries, length)]
    n_threads = min(n_threads, max(1, len(parts)))
    return list(map_in_threads(work, parts, n_threads, divide_pools=divide_pools))
