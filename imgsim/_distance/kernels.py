"""Compiled loops over rows; as it imports numba, it is imported only in functions.

The loops release the global interpreter lock, so that threads can share the work. They
are compiled once per machine: numba caches them next to the package or in the user's
cache folder.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from imgsim._distance.metric import ABSOLUTE, LARGEST, PRODUCT, SQUARED

# Vector instructions require that sums may be computed in any order. No value is NaN.
_ANY_ORDER = {"reassoc", "nsz", "nnan"}

BLOCK_LENGTH = 128  # scores tested by one vectorized count


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function at its first call, and cache it on disk if possible."""
    return _compiled(function, {*_ANY_ORDER, "contract"})


def _compiled_exactly(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function without fused operations, so that equal products cancel."""
    return _compiled(function, _ANY_ORDER)


def _compiled(function: Callable[..., Any], fastmath: set[str]) -> Callable[..., Any]:
    options: dict[str, Any] = {
        "nogil": True,
        "fastmath": fastmath,
        "error_model": "numpy",
    }
    try:
        cached: Callable[..., Any] = numba.njit(cache=True, **options)(function)
        return cached
    except RuntimeError:  # no folder for the cache is writable
        uncached: Callable[..., Any] = numba.njit(**options)(function)
        return uncached


@compiled
def _replace_smallest(heap: NDArray[np.float32], value: np.float32) -> None:
    """Replace the smallest value of a heap."""
    n = len(heap)
    parent = 0
    while True:
        child = 2 * parent + 1
        if child >= n:
            break
        if child + 1 < n and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[parent] = heap[child]
        parent = child
    heap[parent] = value


@compiled
def _drop_low_scores(
    scores: NDArray[np.float32], rows: NDArray[np.int64], n: int, minimum: np.float32
) -> int:
    """Move the candidates with high scores to the front, and return their number."""
    kept = 0
    for i in range(n):
        if scores[i] >= minimum:
            scores[kept] = scores[i]
            rows[kept] = rows[i]
            kept += 1
    return kept


@compiled
def count_at_least(
    scores: NDArray[np.float32],
    scale: NDArray[np.float32],
    bias: NDArray[np.float32],
    minimum: np.float32,
) -> int:
    """Count the scores that are at least `minimum`, with vector instructions."""
    count = 0
    for j in range(len(scores)):
        count += scores[j] * scale[j] + bias[j] >= minimum
    return count


@compiled
def keep_candidates(
    scores: NDArray[np.float32],
    scale: NDArray[np.float32],
    bias: NDArray[np.float32],
    error: NDArray[np.float32],
    first_row: int,
    best: NDArray[np.float32],
    candidate_scores: NDArray[np.float32],
    candidate_rows: NDArray[np.int64],
    n_candidates: NDArray[np.int64],
) -> None:
    """Keep the rows of a block that may be among the nearest of each query.

    The score of query i and row `first_row + j` is `scores[i, j] * scale[j] + bias[j]`,
    with an error of at most `error[i]`. `best` is a heap of the k largest lower bounds
    of scores. A row whose upper bound reaches the smallest of them is a candidate.
    `n_candidates` is set to -1 for a query with more candidates than the arrays can
    hold.
    """
    n_queries, n_rows = scores.shape
    capacity = candidate_rows.shape[1]
    for i in range(n_queries):
        n = n_candidates[i]
        if n < 0:
            continue
        minimum = best[i, 0] - error[i]
        for start in range(0, n_rows, BLOCK_LENGTH):
            stop = start + BLOCK_LENGTH
            if not count_at_least(
                scores[i, start:stop], scale[start:stop], bias[start:stop], minimum
            ):
                continue
            for j in range(start, min(stop, n_rows)):
                score = scores[i, j] * scale[j] + bias[j]
                if score < minimum:
                    continue
                if score - error[i] > best[i, 0]:
                    _replace_smallest(best[i], score - error[i])
                    minimum = best[i, 0] - error[i]
                if n == capacity:
                    n = _drop_low_scores(
                        candidate_scores[i], candidate_rows[i], n, best[i, 0]
                    )
                if n == capacity:
                    n = -1
                    break
                candidate_scores[i, n] = score + error[i]
                candidate_rows[i, n] = first_row + j
                n += 1
            if n < 0:
                break
        n_candidates[i] = n


@compiled
def count_at_least_per_query(
    scores: NDArray[np.float32],
    scale: NDArray[np.float32],
    bias: NDArray[np.float32],
    minimum: NDArray[np.float32],
) -> NDArray[np.int64]:
    """Count the rows of a block with scores of at least `minimum`, for each query."""
    counts = np.empty(len(scores), dtype=np.int64)
    for i in range(len(scores)):
        counts[i] = count_at_least(scores[i], scale, bias, minimum[i])
    return counts


@compiled
def collect_at_least(
    scores: NDArray[np.float32],
    scale: NDArray[np.float32],
    bias: NDArray[np.float32],
    minimum: NDArray[np.float32],
    first_row: int,
    rows: NDArray[np.int64],
) -> None:
    """Write the row numbers that `count_at_least_per_query` counts, query by query."""
    n_queries, n_rows = scores.shape
    n = 0
    for i in range(n_queries):
        for j in range(n_rows):
            if scores[i, j] * scale[j] + bias[j] >= minimum[i]:
                rows[n] = first_row + j
                n += 1


@_compiled_exactly
def _compare_pair(
    query: NDArray[Any],
    row: NDArray[Any],
    query_shift: float,
    query_scale: float,
    row_shift: float,
    row_scale: float,
    kind: int,
) -> float:
    """Compare two transformed rows; `Metric.finish` computes the distance from it."""
    total = 0.0
    if kind == SQUARED:
        for f in range(len(row)):
            d = (query[f] - query_shift) * query_scale - (
                row[f] - row_shift
            ) * row_scale
            total += d * d
        return total
    if kind == PRODUCT:
        for f in range(len(row)):
            total += np.float64(query[f]) * np.float64(row[f])
        return 1.0 - total
    if kind == ABSOLUTE:
        for f in range(len(row)):
            total += abs(np.float64(query[f]) - np.float64(row[f]))
        return total
    if kind == LARGEST:
        for f in range(len(row)):
            total = max(total, abs(np.float64(query[f]) - np.float64(row[f])))
        return total
    union = 0.0
    for f in range(len(row)):
        total += min(query[f], row[f])
        union += max(query[f], row[f])
    return 1.0 - total / union if union > 0 else 0.0


@_compiled_exactly
def compare_pairs(
    queries: NDArray[Any],
    query_shift: NDArray[np.float64],
    query_scale: NDArray[np.float64],
    rows: NDArray[Any],
    row_shift: NDArray[np.float64],
    row_scale: NDArray[np.float64],
    kind: int,
    query_of_pair: NDArray[np.int64],
    row_of_pair: NDArray[np.int64],
    compared: NDArray[np.float64],
) -> None:
    """Call `_compare_pair` for pairs of a query and a row, in double precision."""
    for p in range(len(row_of_pair)):
        i, j = query_of_pair[p], row_of_pair[p]
        compared[p] = _compare_pair(
            queries[i],
            rows[j],
            query_shift[i],
            query_scale[i],
            row_shift[j],
            row_scale[j],
            kind,
        )


@compiled
def negative_manhattan(
    queries: NDArray[np.float32],
    rows: NDArray[np.float32],
    scores: NDArray[np.float32],
) -> None:
    """Write the negated Manhattan distances of even numbers of queries and rows."""
    n_queries, n_features = queries.shape
    for i in range(0, n_queries, 2):
        for j in range(0, len(rows), 2):
            first = second = third = fourth = np.float32(0)
            for f in range(n_features):
                q, p = queries[i, f], queries[i + 1, f]
                x, y = rows[j, f], rows[j + 1, f]
                first += abs(q - x)
                second += abs(q - y)
                third += abs(p - x)
                fourth += abs(p - y)
            scores[i, j], scores[i, j + 1] = -first, -second
            scores[i + 1, j], scores[i + 1, j + 1] = -third, -fourth


@compiled
def negative_chebyshev(
    queries: NDArray[np.float32],
    columns: NDArray[np.float32],
    scores: NDArray[np.float32],
) -> None:
    """Write the negated Chebyshev distances; each row is a column of `columns`."""
    n_features, n_rows = columns.shape
    for i in range(len(queries)):
        for j in range(n_rows):
            scores[i, j] = 0
        for f in range(n_features):
            value = queries[i, f]
            for j in range(n_rows):
                negated = -abs(value - columns[f, j])
                scores[i, j] = negated if negated < scores[i, j] else scores[i, j]
