"""Compiled loops over rows; this module imports numba, and is itself loaded late.

They release the interpreter's lock, so that threads share the work, and are compiled
once for a machine: numba keeps them beside the package or in the user's cache.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from imgsim._distance.metric import ABSOLUTE, LARGEST, PRODUCT, SQUARED

# Sums may be added in any order, which vector instructions need; nothing is NaN.
_ANY_ORDER = {"reassoc", "nsz", "nnan"}

N_AT_ONCE = 128  # scores to look at together


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function when it is first called, once for a machine if that can be."""
    return _compiled(function, {*_ANY_ORDER, "contract"})


def _compiled_exactly(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that rounds each product, so that equal ones cancel."""
    return _compiled(function, _ANY_ORDER)


def _compiled(function: Callable[..., Any], fastmath: set[str]) -> Callable[..., Any]:
    options: dict[str, Any] = {
        "nogil": True,
        "fastmath": fastmath,
        "error_model": "numpy",
    }
    try:
        kept: Callable[..., Any] = numba.njit(cache=True, **options)(function)
        return kept
    except RuntimeError:  # there is no folder to write to
        alone: Callable[..., Any] = numba.njit(**options)(function)
        return alone


@compiled
def _replace_smallest(heap: NDArray[np.float32], value: np.float32) -> None:
    """Put a value in the place of the smallest of a heap."""
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
def _drop_beaten(
    scores: NDArray[np.float32], rows: NDArray[np.int64], n: int, least: np.float32
) -> int:
    """Move the candidates that may still be among the best to the front."""
    kept = 0
    for i in range(n):
        if scores[i] >= least:
            scores[kept] = scores[i]
            rows[kept] = rows[i]
            kept += 1
    return kept


@compiled
def n_reaching(
    scores: NDArray[np.float32],
    scale: NDArray[np.float32],
    bias: NDArray[np.float32],
    needed: np.float32,
) -> int:
    """Count the scores that are as large as needed; counting is a vector operation."""
    count = 0
    for j in range(len(scores)):
        count += scores[j] * scale[j] + bias[j] >= needed
    return count


@compiled
def keep_candidates(
    scores: NDArray[np.float32],
    scale: NDArray[np.float32],
    bias: NDArray[np.float32],
    slack: NDArray[np.float32],
    first_row: int,
    best: NDArray[np.float32],
    candidate_scores: NDArray[np.float32],
    candidate_rows: NDArray[np.int64],
    n_candidates: NDArray[np.int64],
) -> None:
    """Keep the rows of a block that may be among the best of each query.

    The score of query i and row `first_row + j` is `scores[i, j] * scale[j] + bias[j]`,
    wrong by `slack[i]` at most. `best` holds, as a heap, the k largest scores that are
    certain; what could still reach the smallest of them is a candidate. A count of -1
    says that there were too many.
    """
    n_queries, n_rows = scores.shape
    capacity = candidate_rows.shape[1]
    for i in range(n_queries):
        n = n_candidates[i]
        if n < 0:
            continue
        needed = best[i, 0] - slack[i]
        for start in range(0, n_rows, N_AT_ONCE):
            stop = start + N_AT_ONCE
            if not n_reaching(
                scores[i, start:stop], scale[start:stop], bias[start:stop], needed
            ):
                continue
            for j in range(start, min(stop, n_rows)):
                score = scores[i, j] * scale[j] + bias[j]
                if score < needed:
                    continue
                if score - slack[i] > best[i, 0]:
                    _replace_smallest(best[i], score - slack[i])
                    needed = best[i, 0] - slack[i]
                if n == capacity:
                    n = _drop_beaten(
                        candidate_scores[i], candidate_rows[i], n, best[i, 0]
                    )
                if n == capacity:
                    n = -1
                    break
                candidate_scores[i, n] = score + slack[i]
                candidate_rows[i, n] = first_row + j
                n += 1
            if n < 0:
                break
        n_candidates[i] = n


@compiled
def count_reaching(
    scores: NDArray[np.float32],
    scale: NDArray[np.float32],
    bias: NDArray[np.float32],
    needed: NDArray[np.float32],
) -> NDArray[np.int64]:
    """Count, for each query, the rows of a block whose score is as large as needed."""
    counts = np.empty(len(scores), dtype=np.int64)
    for i in range(len(scores)):
        counts[i] = n_reaching(scores[i], scale, bias, needed[i])
    return counts


@compiled
def collect_reaching(
    scores: NDArray[np.float32],
    scale: NDArray[np.float32],
    bias: NDArray[np.float32],
    needed: NDArray[np.float32],
    first_row: int,
    found: NDArray[np.int64],
) -> None:
    """Write the rows that `count_reaching` counted, query after query."""
    n_queries, n_rows = scores.shape
    n = 0
    for i in range(n_queries):
        for j in range(n_rows):
            if scores[i, j] * scale[j] + bias[j] >= needed[i]:
                found[n] = first_row + j
                n += 1


@_compiled_exactly
def _pair_distance(
    query: NDArray[Any],
    row: NDArray[Any],
    query_shift: float,
    query_scale: float,
    row_shift: float,
    row_scale: float,
    kind: int,
) -> float:
    """Compare two rows in double precision."""
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
    either = 0.0
    for f in range(len(row)):
        total += min(query[f], row[f])
        either += max(query[f], row[f])
    return 1.0 - total / either if either > 0 else 0.0


@_compiled_exactly
def distances_of_pairs(
    queries: NDArray[Any],
    query_shift: NDArray[np.float64],
    query_scale: NDArray[np.float64],
    rows: NDArray[Any],
    row_shift: NDArray[np.float64],
    row_scale: NDArray[np.float64],
    kind: int,
    query_of_pair: NDArray[np.int64],
    row_of_pair: NDArray[np.int64],
    distances: NDArray[np.float64],
) -> None:
    """Compare each pair of a query and a row in double precision."""
    for p in range(len(row_of_pair)):
        i, j = query_of_pair[p], row_of_pair[p]
        distances[p] = _pair_distance(
            queries[i],
            rows[j],
            query_shift[i],
            query_scale[i],
            row_shift[j],
            row_scale[j],
            kind,
        )


@compiled
def sums_of_differences(
    queries: NDArray[np.float32],
    rows: NDArray[np.float32],
    scores: NDArray[np.float32],
) -> None:
    """Write minus the Manhattan distance of each query and row; both come in pairs."""
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
def largest_differences(
    queries: NDArray[np.float32],
    columns: NDArray[np.float32],
    scores: NDArray[np.float32],
) -> None:
    """Write minus the Chebyshev distance of each query and row, a row a column."""
    n_features, n_rows = columns.shape
    for i in range(len(queries)):
        for j in range(n_rows):
            scores[i, j] = 0
        for f in range(n_features):
            value = queries[i, f]
            for j in range(n_rows):
                negated = -abs(value - columns[f, j])
                scores[i, j] = negated if negated < scores[i, j] else scores[i, j]
