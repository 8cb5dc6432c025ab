"""Compiled loops that build and search a graph; imported only in functions."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsim._distance.kernels import BLOCK_LENGTH, compiled, count_at_least


@compiled
def choose_links(
    neighbors: NDArray[np.int32],
    rows: NDArray[Any],
    scale: NDArray[np.float32],
    bias: NDArray[np.float32],
    is_excluded: NDArray[np.bool_],
    first: int,
    links: NDArray[np.int32],
) -> None:
    """Choose the links of consecutive rows, starting at row `first`.

    The neighbors of a row are visited from the nearest to the farthest. A neighbor is
    not linked if it is nearer to a linked neighbor than to the row, because a search
    reaches it through the linked neighbor. Half of the links of each row stay at -1, to
    be used for reverse links.
    """
    n_rows, n_links = links.shape
    for r in range(n_rows):
        i = first + r
        n = 0
        if is_excluded[i]:
            continue
        for j in neighbors[r]:
            if n == n_links // 2:
                break
            if is_excluded[j]:
                continue
            to_row = _score(rows[i], rows[j]) * scale[i] * scale[j] + bias[i]
            is_reached = False
            for c in links[r, :n]:
                between = _score(rows[c], rows[j]) * scale[c] * scale[j] + bias[c]
                if between > to_row:
                    is_reached = True
                    break
            if not is_reached:
                links[r, n] = j
                n += 1


@compiled
def add_reverse_links(links: NDArray[np.int32]) -> None:
    """Add the reverse of each link, if the other row has a free place for it."""
    n_rows, n_links = links.shape
    n_filled = (links >= 0).sum(axis=1)
    n_forward = n_filled.copy()
    for u in range(n_links // 2):
        for i in range(n_rows):
            if u < n_forward[i]:
                j = links[i, u]
                if n_filled[j] < n_links and i not in links[j, : n_forward[j]]:
                    links[j, n_filled[j]] = i
                    n_filled[j] += 1


@compiled
def largest_per_row(
    scores: NDArray[np.float32], bias: NDArray[np.float32], columns: NDArray[np.int64]
) -> None:
    """Write the columns of the largest scores of each row, in no particular order."""
    width = columns.shape[1]
    values = np.empty(width, dtype=np.float32)
    scale = np.ones_like(bias)
    for i in range(len(scores)):
        values[:] = -np.inf
        columns[i] = 0
        smallest = 0
        for start in range(0, scores.shape[1], BLOCK_LENGTH):
            stop = min(start + BLOCK_LENGTH, scores.shape[1])
            minimum = values[smallest]
            if not count_at_least(
                scores[i, start:stop], scale[start:stop], bias[start:stop], minimum
            ):
                continue
            for j in range(start, stop):
                if scores[i, j] + bias[j] > values[smallest]:
                    values[smallest] = scores[i, j] + bias[j]
                    columns[i, smallest] = j
                    smallest = int(values.argmin())


@compiled
def _score(query: NDArray[Any], row: NDArray[Any]) -> np.float32:
    total = np.float32(0)
    for f in range(len(row)):
        total += np.float32(query[f]) * np.float32(row[f])
    return total


@compiled
def _score_all(
    query: NDArray[np.float32],
    rows: NDArray[Any],
    chosen: NDArray[np.int64],
    scores: NDArray[np.float32],
) -> None:
    """Score rows four at a time, because memory is read faster in parallel."""
    n = len(chosen)
    for u in range(0, n - 3, 4):
        first, second = rows[chosen[u]], rows[chosen[u + 1]]
        third, fourth = rows[chosen[u + 2]], rows[chosen[u + 3]]
        a = b = c = d = np.float32(0)
        for f in range(len(query)):
            value = query[f]
            a += value * np.float32(first[f])
            b += value * np.float32(second[f])
            c += value * np.float32(third[f])
            d += value * np.float32(fourth[f])
        scores[u], scores[u + 1], scores[u + 2], scores[u + 3] = a, b, c, d
    for u in range(n - n % 4, n):
        scores[u] = _score(query, rows[chosen[u]])


@compiled
def search_graph(
    queries: NDArray[np.float32],
    rows: NDArray[Any],
    scale: NDArray[np.float32],
    bias: NDArray[np.float32],
    links: NDArray[np.int32],
    entries: NDArray[np.int64],
    beam_width: int,
    nearest: NDArray[np.int64],
) -> None:
    """Follow the links to the rows with the largest scores: a beam search.

    The search for query i starts at `entries[i]`, and writes the best rows that it
    visits to `nearest[i]`, or -1 if there are too few. It ends when the links of the
    `beam_width` best rows have been followed.
    """
    n_queries, n_kept = nearest.shape
    last_query = np.full(len(rows), -1, dtype=np.int32)  # that visited each row
    best = np.empty(n_kept, dtype=np.float32)
    is_open = np.empty(n_kept, dtype=np.bool_)
    capacity = max(links.shape[1], entries.shape[1])
    new_rows = np.empty(capacity, dtype=np.int64)
    scores = np.empty(capacity, dtype=np.float32)
    for i in range(n_queries):
        n_visited, position, row = 0, 0, -1
        while True:
            if row < 0:
                n_new = _collect_new(entries[i], last_query, i, new_rows)
            else:
                n_new = _collect_new(links[row], last_query, i, new_rows)
            _score_all(queries[i], rows, new_rows[:n_new], scores)
            for u in range(n_new):
                score = scores[u] * scale[new_rows[u]] + bias[new_rows[u]]
                if n_visited < n_kept or score > best[n_visited - 1]:
                    n_visited, inserted = _insert(
                        best, nearest[i], is_open, n_visited, score, new_rows[u]
                    )
                    position = min(position, inserted)
            while position < min(n_visited, beam_width) and not is_open[position]:
                position += 1
            if position >= min(n_visited, beam_width):
                break
            is_open[position] = False
            row = nearest[i, position]


@compiled
def _collect_new(
    rows: NDArray[Any],
    last_query: NDArray[np.int32],
    query: int,
    new_rows: NDArray[np.int64],
) -> int:
    """Write the rows that this query has not visited, and return their number."""
    n = 0
    for row in rows:
        if row < 0:
            break
        if last_query[row] != query:
            last_query[row] = query
            new_rows[n] = row
            n += 1
    return n


@compiled
def _insert(
    scores: NDArray[np.float32],
    rows: NDArray[np.int64],
    is_open: NDArray[np.bool_],
    n: int,
    score: float,
    row: int,
) -> tuple[int, int]:
    """Insert a row into rows sorted by score; return their number and its position."""
    capacity = len(scores)
    position = min(n, capacity - 1)
    while position > 0 and scores[position - 1] < score:
        scores[position] = scores[position - 1]
        rows[position] = rows[position - 1]
        is_open[position] = is_open[position - 1]
        position -= 1
    scores[position] = score
    rows[position] = row
    is_open[position] = True
    return min(n + 1, capacity), position
