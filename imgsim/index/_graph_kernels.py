"""Compiled loops of the walk over a graph of neighbours; loaded late."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsim.index._kernels import N_AT_ONCE, compiled, n_reaching


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
    scores = np.empty(width, dtype=np.float32)
    is_open = np.empty(width, dtype=np.bool_)
    for i in range(n_queries):
        n = 0
        for u in range(starts.shape[1]):
            j = starts[i, u]
            visited[j] = i
            score = _score(queries[i], rows[j]) * scale[j] + bias[j]
            n = _insert(scores, found[i], is_open, n, score, j)[0]
        at = 0
        while at < min(n, n_left):
            if not is_open[at]:
                at += 1
                continue
            is_open[at] = False
            row = found[i, at]
            lowest = n
            for u in range(links.shape[1]):
                j = links[row, u]
                if j < 0:
                    break
                if visited[j] == i:
                    continue
                visited[j] = i
                score = _score(queries[i], rows[j]) * scale[j] + bias[j]
                if n < width or score > scores[n - 1]:
                    n, place = _insert(scores, found[i], is_open, n, score, j)
                    lowest = min(lowest, place)
            at = min(at, lowest)


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
