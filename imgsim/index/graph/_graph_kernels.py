"""Compiled loops of the walk over a graph of neighbours; loaded late."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsim._distance.kernels import N_AT_ONCE, compiled, n_reaching


@compiled
def choose_links(
    neighbors: NDArray[np.int32],
    rows: NDArray[Any],
    scale: NDArray[np.float32],
    bias: NDArray[np.float32],
    is_left_out: NDArray[np.bool_],
    first: int,
    links: NDArray[np.int32],
) -> None:
    """Choose the links of some rows, from `first` on, to walk on.

    Of the neighbours of a row, nearest first, one is passed over where a neighbour
    chosen before is nearer to it than the row is: a walk reaches it by that one. Half
    of the places stay free, -1, for the way back.
    """
    n_rows, n_links = links.shape
    for r in range(n_rows):
        i = first + r
        n = 0
        if is_left_out[i]:
            continue
        for j in neighbors[r]:
            if n == n_links // 2:
                break
            if is_left_out[j]:
                continue
            to_row = _score(rows[i], rows[j]) * scale[i] * scale[j] + bias[i]
            is_near_another = False
            for c in links[r, :n]:
                between = _score(rows[c], rows[j]) * scale[c] * scale[j] + bias[c]
                if between > to_row:
                    is_near_another = True
                    break
            if not is_near_another:
                links[r, n] = j
                n += 1


@compiled
def add_ways_back(links: NDArray[np.int32]) -> None:
    """Make links lead both ways, as far as there are free places."""
    n_rows, n_links = links.shape
    n_chosen = (links >= 0).sum(axis=1)
    n_forward = n_chosen.copy()
    for u in range(n_links // 2):
        for i in range(n_rows):
            if u < n_forward[i]:
                j = links[i, u]
                if n_chosen[j] < n_links and i not in links[j, : n_forward[j]]:
                    links[j, n_chosen[j]] = i
                    n_chosen[j] += 1


@compiled
def best_of_each(
    scores: NDArray[np.float32], bias: NDArray[np.float32], best: NDArray[np.int64]
) -> None:
    """Write the columns of the largest scores of each line, in no order."""
    width = best.shape[1]
    values = np.empty(width, dtype=np.float32)
    scale = np.ones_like(bias)
    for i in range(len(scores)):
        values[:] = -np.inf
        best[i] = 0
        worst = 0
        for start in range(0, scores.shape[1], N_AT_ONCE):
            stop = min(start + N_AT_ONCE, scores.shape[1])
            least = values[worst]
            if not n_reaching(
                scores[i, start:stop], scale[start:stop], bias[start:stop], least
            ):
                continue
            for j in range(start, stop):
                if scores[i, j] + bias[j] > values[worst]:
                    values[worst] = scores[i, j] + bias[j]
                    best[i, worst] = j
                    worst = int(values.argmin())


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
    """Score rows, four together: reading one from memory takes longer than that."""
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
def walk(
    queries: NDArray[np.float32],
    rows: NDArray[Any],
    scale: NDArray[np.float32],
    bias: NDArray[np.float32],
    links: NDArray[np.int32],
    starts: NDArray[np.int64],
    n_left: int,
    found: NDArray[np.int64],
) -> None:
    """Walk over the links to the rows of the largest scores, from `starts` on.

    `found` takes the best rows met, -1 where there are none. The walk ends when all
    links of the `n_left` best have been followed.
    """
    n_queries, width = found.shape
    visited = np.full(len(rows), -1, dtype=np.int32)
    best = np.empty(width, dtype=np.float32)
    is_open = np.empty(width, dtype=np.bool_)
    n_at_once = max(links.shape[1], starts.shape[1])
    met = np.empty(n_at_once, dtype=np.int64)
    scores = np.empty(n_at_once, dtype=np.float32)
    for i in range(n_queries):
        n_found, at, row = 0, 0, -1
        while True:
            if row < 0:
                n_met = _new_ones(starts[i], visited, i, met)
            else:
                n_met = _new_ones(links[row], visited, i, met)
            _score_all(queries[i], rows, met[:n_met], scores)
            for u in range(n_met):
                score = scores[u] * scale[met[u]] + bias[met[u]]
                if n_found < width or score > best[n_found - 1]:
                    n_found, place = _insert(
                        best, found[i], is_open, n_found, score, met[u]
                    )
                    at = min(at, place)
            while at < min(n_found, n_left) and not is_open[at]:
                at += 1
            if at >= min(n_found, n_left):
                break
            is_open[at] = False
            row = found[i, at]


@compiled
def _new_ones(
    rows: NDArray[Any], visited: NDArray[np.int32], query: int, met: NDArray[np.int64]
) -> int:
    """Write the rows that this query has not met before; return how many."""
    n = 0
    for row in rows:
        if row < 0:
            break
        if visited[row] != query:
            visited[row] = query
            met[n] = row
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
    """Put a row among those found, the best first; return how many, and its place."""
    width = len(scores)
    place = min(n, width - 1)
    while place > 0 and scores[place - 1] < score:
        scores[place] = scores[place - 1]
        rows[place] = rows[place - 1]
        is_open[place] = is_open[place - 1]
        place -= 1
    scores[place] = score
    rows[place] = row
    is_open[place] = True
    return min(n + 1, width), place
