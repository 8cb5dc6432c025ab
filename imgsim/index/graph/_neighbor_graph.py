"""Approximate search: a walk over a graph of neighbours, made by pynndescent."""

from dataclasses import dataclass, replace
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from imgsim._compute.threads import count_threads
from imgsim._distance.rows import Collection, DistanceRows
from imgsim.index.exact._nearest import find_nearest
from imgsim.index.exact._scan import compare_pairs, shared_out, sorted_pairs
from imgsim.index.exact._self_neighbors import drop_own, find_own_neighbors, fits_memory

GRAPH_METRICS = ("correlation", "cosine", "euclidean", "sqeuclidean")

_N_NEIGHBORS = 30
_N_LINKS = 32
_N_STARTS = 4
_N_AXES = 32
_N_SAMPLED = 512
_N_SCORES = 2**20  # of entries, at once
_WIDTHS = (
    0.3,
    0.4,
    0.5,
    0.6,
    0.7,
    0.8,
    0.9,
    1,
    1.2,
    1.6,
    2.4,
    3.2,
    4.8,
    6.4,
    9.6,
    12.8,
    19.2,
    51.2,
)
# Operations up to which comparing all rows is quicker than compiling pynndescent.
_FEW_OPERATIONS = 4e12
_MIN_WIDTH = 64  # below, a pair costs as much as with this
_building = Lock()  # not every threading layer of numba can be entered twice


@dataclass(frozen=True)
class NeighborGraph:
    """A graph on which a walk comes to the nearest rows of a query.

    Parameters
    ----------
    links : ndarray of shape (n_rows, n_links), dtype int32
        The rows that a row leads to, -1 where there are no more.

    entries : ndarray of shape (n_entries,), dtype int64
        Rows at which a walk may begin.

    entry_codes : ndarray of shape (n_entries, n_axes), dtype float32
        Where they lie on the axes.

    axes : ndarray of shape (n_axes + 1, n_features), dtype float32
        Principal axes of the rows, and last their mean.

    width : int
        From how many of the nearest rows a walk goes on.

    n_neighbors : int
        For how many neighbours; for more of them it goes on from more rows.

    recall : float
        Share of the true neighbours that were found for a sample.
    """

    links: NDArray[np.int32]
    entries: NDArray[np.int64]
    entry_codes: NDArray[np.float32]
    axes: NDArray[np.float32]
    width: int
    n_neighbors: int
    recall: float

    def __len__(self) -> int:
        """Return the number of rows that it knows."""
        return len(self.links)

    def find_nearest(
        self, queries: DistanceRows, collection: Collection, n_neighbors: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return nearly the nearest rows, else as the exact `find_nearest` does."""
        known = collection.rows[: len(self)]
        allowed = collection.allowed[: len(self)]
        rarity = len(self) / max(1, int(np.count_nonzero(allowed)))
        searched = Collection(known, allowed, collection.metric)
        if rarity > 4 or not np.isfinite(queries.terms.size).all():
            return find_nearest(queries, collection, n_neighbors)
        n_found = int(np.ceil(n_neighbors * rarity))
        distances, positions = self._walked(queries, searched, n_found, n_neighbors)
        if len(self) < len(collection.rows):
            later = Collection(
                collection.rows[len(self) :],
                collection.allowed[len(self) :],
                collection.metric,
            )
            added = find_nearest(queries, later, n_neighbors)
            known_ones = added[1] >= 0
            added[1][known_ones] += len(self)
            distances, positions = _merged((distances, positions), added)
        lost = np.flatnonzero(positions[:, -1] < 0)
        if len(lost):
            found = find_nearest(queries[lost], collection, n_neighbors)
            distances[lost], positions[lost] = found
        return distances, positions

    def _walked(
        self,
        queries: DistanceRows,
        collection: Collection,
        n_found: int,
        n_neighbors: int,
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Walk from the nearest entries on, and return the nearest that were met."""
        from imgsim.index.graph._graph_kernels import walk

        rows, metric = collection.rows, collection.metric
        scale, bias = _single(rows)
        n_left = int(np.ceil(self.width * max(1, n_found / self.n_neighbors)))
        n_kept = min(len(rows), max(n_found, n_left))
        seen = metric.seen_singly(queries.values, queries.terms)
        starts = self._starts(seen)

        def find(part: slice) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
            found = np.full((len(seen[part]), n_kept), -1, dtype=np.int64)
            walk(
                seen[part],
                rows.values,
                scale,
                bias,
                self.links,
                starts[part],
                n_left,
                found,
            )
            is_answer = (found >= 0) & collection.allowed[found]
            pairs = np.nonzero(is_answer)[0], found[is_answer]
            compared = compare_pairs(queries[part], collection, *pairs)
            return sorted_pairs(compared, len(found), n_neighbors)

        shares = shared_out(find, len(queries), count_threads())
        distances, positions = map(np.concatenate, zip(*shares, strict=True))
        return distances, positions

    def _starts(self, seen: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the entries nearest to each query on the principal axes."""
        from imgsim.index.graph._graph_kernels import best_of_each

        axes, mean = self.axes[:-1], self.axes[-1]
        codes = seen @ axes.T - axes @ mean
        bias = -(self.entry_codes**2).sum(axis=1) / 2
        n_starts = min(_N_STARTS, len(self.entries))
        best = np.empty((len(seen), n_starts), dtype=np.int64)
        step = max(1, _N_SCORES // len(self.entries))
        for first in range(0, len(seen), step):
            part = slice(first, first + step)
            best_of_each(codes[part] @ self.entry_codes.T, bias, best[part])
        return self.entries[best]


def build_graph(
    collection: Collection,
    n_neighbors: int,
    recall: float,
    random_state: np.random.RandomState,
) -> NeighborGraph:
    """Build a graph whose walks find at least this share of the nearest rows.

    Parameters
    ----------
    collection : Collection
        The rows.

    n_neighbors : int
        Number of neighbours for which the recall is measured.

    recall : float
        Share of the true neighbours to find.

    random_state : RandomState
        Draws the sample, the entries and what pynndescent draws.

    Returns
    -------
    graph : NeighborGraph
        The graph; its width is the smallest that reached `recall` on rows of the
        collection that were left out of it, or else the largest tried.
    """
    rows = collection.rows
    neighbors = _neighbors(collection, random_state)
    order = random_state.permutation(np.flatnonzero(collection.allowed))
    sampled = np.sort(order[: min(_N_SAMPLED, max(1, len(order) // 4))])
    is_sampled = np.zeros(len(rows), dtype=bool)
    is_sampled[sampled] = True
    entries = np.sort(order[len(sampled) :][: max(1024, len(rows) // 12)])
    seen = collection.metric.seen(rows.values[entries], rows[entries].terms)
    # Where all rows are equal the shares of variance, which nobody asks for, are NaN.
    pca = PCA(min(_N_AXES, *seen.shape), svd_solver="randomized", random_state=0)
    with np.errstate(invalid="ignore"):
        codes = pca.fit_transform(seen).astype(np.float32)
    axes = np.vstack([pca.components_, pca.mean_]).astype(np.float32)
    parts = (entries, codes, axes)
    k = n_neighbors
    trial = NeighborGraph(_linked(neighbors, collection, is_sampled), *parts, k, k, 0)
    width, measured = _tuned(
        trial, collection, sampled, is_sampled, n_neighbors, recall
    )
    links = _linked(neighbors, collection, np.zeros_like(is_sampled))
    return NeighborGraph(links, *parts, width, k, measured)


def _neighbors(
    collection: Collection, random_state: np.random.RandomState
) -> NDArray[np.int32]:
    """Return the nearest other rows of each row, nearly."""
    rows, metric = collection.rows, collection.metric
    n_wanted = min(_N_NEIGHBORS, int(np.count_nonzero(collection.allowed)) - 1)
    n_operations = len(rows) ** 2 * max(rows.values.shape[1], _MIN_WIDTH)
    if n_operations < _FEW_OPERATIONS and fits_memory(len(rows), n_wanted):
        return find_own_neighbors(collection, n_wanted).astype(np.int32)
    from pynndescent import NNDescent

    with _building:
        graph = NNDescent(
            metric.seen_singly(rows.values, rows.terms),
            metric="euclidean",
            n_neighbors=n_wanted + 1,
            random_state=random_state.randint(2**31 - 1),
        )
    found = graph.neighbor_graph[0]
    return drop_own(found, np.arange(len(found)), n_wanted).astype(np.int32)


def _linked(
    neighbors: NDArray[np.int32], collection: Collection, is_left_out: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """Return the links of the graph."""
    from imgsim.index.graph._graph_kernels import add_ways_back, choose_links

    rows = collection.rows
    scale, bias = _single(rows)
    links = np.full((len(rows), _N_LINKS), -1, dtype=np.int32)

    def choose(part: slice) -> None:
        choose_links(
            neighbors[part],
            rows.values,
            scale,
            bias,
            is_left_out | ~collection.allowed,
            part.start,
            links[part],
        )

    shared_out(choose, len(rows), count_threads())
    add_ways_back(links)
    return links


def _tuned(
    graph: NeighborGraph,
    collection: Collection,
    sampled: NDArray[np.int64],
    is_sampled: NDArray[np.bool_],
    n_neighbors: int,
    recall: float,
) -> tuple[int, float]:
    """Return the smallest width at which the sample finds its neighbours, and how many.

    The sample is not in the graph and may not be found, as if it were new.
    """
    others = Collection(
        collection.rows, collection.allowed & ~is_sampled, collection.metric
    )
    queries = collection.rows[sampled]
    k = min(n_neighbors, int(np.count_nonzero(others.allowed)))
    true = np.sort(find_nearest(queries, others, k)[1], axis=1)
    for width in dict.fromkeys(int(np.ceil(k * multiple)) for multiple in _WIDTHS):
        found = replace(graph, width=width)._walked(queries, others, k, k)[1]
        hits = [np.isin(a, b).mean() for a, b in zip(true, found, strict=True)]
        measured = float(np.mean(hits))
        # The mean of a sample is uncertain; its error may not hide a miss.
        if measured - np.std(hits) / np.sqrt(len(hits)) >= recall:
            break
    return width, measured


def _merged(
    first: tuple[NDArray[np.float64], NDArray[np.int64]],
    second: tuple[NDArray[np.float64], NDArray[np.int64]],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the nearest of two answers, of which the first holds lower positions."""
    distances = np.concatenate([first[0], second[0]], axis=1)
    positions = np.concatenate([first[1], second[1]], axis=1)
    order = np.argsort(distances, axis=1, kind="stable")[:, : first[0].shape[1]]
    return (
        np.take_along_axis(distances, order, axis=1),
        np.take_along_axis(positions, order, axis=1),
    )


def _single(rows: DistanceRows) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return rows.terms.scale.astype(np.float32), rows.terms.bias.astype(np.float32)
